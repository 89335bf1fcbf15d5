/*
 * ledger - decides atomically whether a user may have a grant, remembers it, settles it.
 *
 * One asynchronous interface; engines fill the table of functions. The engine `none` grants all and
 * remembers nothing: it is refused by the configuration wherever a plan has limits.
 *
 * A ledger belongs to one loop. An operation is embedded in its owner; `done` is called once, from
 * the loop, never from inside the call that started it. An engine that can answer at once fills
 * status and returns LEDGER_DONE instead, and `done` is not called.
 */
#ifndef PRESIGND_LEDGER_H
#define PRESIGND_LEDGER_H

#include "presignd/fault.h"
#include "presignd/loop.h"
#include "presignd/profile.h"

enum ledger_progress { LEDGER_DONE, LEDGER_PENDING };

struct ledger_file { /* one grant of a reservation */
    struct str id;   /* the upload's id */
    struct str bucket, key, content_type;
    int64_t content_length; /* -1 unknown */
    int64_t reserve_bytes;
    int64_t expires_at_s;
    bool post;
};

struct ledger_op {
    void (*done)(struct ledger_op *op);
    /* asked */
    struct str user_hash;    /* the pair (issuer, user) */
    const struct plan *plan; /* NULL: no plans */
    const struct ledger_file *files;
    size_t n_files;
    int64_t now_s;
    /* answered */
    enum status status;
    struct fault fault; /* filled when status is not ST_OK */
};

struct ledger;
struct ledger_kind {
    const char *name;
    bool remembers; /* false: /v1/quota and /v1/uploads/{id} are 404 */
    enum ledger_progress (*reserve)(struct ledger *l, struct ledger_op *op);
    /* the packet was never handed out: what the op reserved is given back. Of an op still under way
     * whatever it gets; its done is not called, and the op is not touched any more. */
    void (*release)(struct ledger *l, const struct ledger_op *op);
    bool (*ready)(struct ledger *l, struct str *why);
    void (*free)(struct ledger *l);
};
struct ledger {
    const struct ledger_kind *kind;
};

enum ledger_progress ledger_reserve(struct ledger *l, struct ledger_op *op);
void ledger_release(struct ledger *l, const struct ledger_op *op);
bool ledger_ready(struct ledger *l, struct str *why);
void ledger_free(struct ledger *l);

/* The engine for "backend": "none". NULL without memory. */
struct ledger *ledger_none_new(void);

#endif
