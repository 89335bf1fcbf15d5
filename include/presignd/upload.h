/*
 * upload - what a ledger remembers of one grant, and what became of it (API.md section 2).
 *
 * A packet cannot be revoked: whatever the client says, what it reserved stays until the packet is
 * dead (expires_at + UPLOAD_GRACE_S). `charge` tells what the limits hold of it at the moment.
 */
#ifndef PRESIGND_UPLOAD_H
#define PRESIGND_UPLOAD_H

#include "presignd/status.h"

enum {
    UPLOAD_GRACE_S = 60,      /* after expires_at: uploads begun in time may end, clocks differ */
    UPLOAD_KEPT_S = 86400,    /* an upload that has ended stays visible */
    UPLOAD_IDEM_S = 86400,    /* an Idempotency-Key is remembered */
    UPLOAD_ETAG_MAX = 128,    /* longer ones are not kept */
    IDEMPOTENCY_KEY_MAX = 64, /* [A-Za-z0-9._-] */
};

enum upload_state { UPLOAD_GRANTED, UPLOAD_COMPLETED, UPLOAD_CANCELLED, UPLOAD_EXPIRED };

/* "granted", "completed", "cancelled", "expired" */
extern const struct str upload_state_words[4];

struct upload {
    struct str id;
    struct str user_hash;
    enum upload_state state; /* a granted one whose time is over is shown as expired */
    struct str profile;
    struct str bucket; /* the alias in the configuration */
    struct str bucket_name;
    struct str key, content_type;
    int64_t content_length; /* as granted; -1: none was given */
    int64_t reserve_bytes;  /* what was reserved for it */
    int64_t created_s, expires_s;
    int64_t size;    /* of the object; -1 until seen */
    struct str etag; /* as the store sent it; "" until seen */
    bool post;
    /* Whoever uses the packet, content_length bytes will lie there. Never true of a PUT: what it does
     * not sign may be added, and some stores heed it (x-amz-copy-source: another object's bytes). */
    bool exact;
    bool charged;           /* a limit still holds a reservation for it */
    bool unsettled_release; /* the plan's word when the store cannot be asked */
};

/* What the store said about an object, for complete and for the sweeper. */
enum object_presence {
    OBJECT_UNKNOWN, /* no answer, or no right to look */
    OBJECT_MISSING,
    OBJECT_THERE,
};
struct object_seen {
    enum object_presence presence;
    int64_t size;
    struct str etag;
    int http;       /* the store's status; 0: it did not answer */
    struct str why; /* for the log; "" when it answered */
};

#endif
