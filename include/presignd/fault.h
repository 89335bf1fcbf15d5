/*
 * fault - why something was refused, in the form the client will see it.
 *
 * The functions that judge a request fill one: the sentence (`detail`) and the extra members that
 * API.md lists with the code ("member", "allowed", "max_bytes", ...). Texts are borrowed: literals,
 * configuration, or the request's arena.
 */
#ifndef PRESIGND_FAULT_H
#define PRESIGND_FAULT_H

#include "presignd/status.h"

enum fault_kind { FAULT_STR, FAULT_INT, FAULT_LIST, FAULT_NULL };

struct fault_member {
    const char *name; /* a literal */
    enum fault_kind kind;
    struct str str;
    int64_t num;
    const struct str *list; /* FAULT_LIST: num entries */
};

struct fault {
    enum status status;
    struct str detail;     /* for a person; the table's title when empty */
    struct str log_reason; /* for the operator only, never sent; may be empty */
    int64_t retry_after_s; /* > 0: sent as Retry-After */
    struct fault_member members[8];
    size_t n_members;
};

/* Sets status and sentence, forgets members; returns the status: return fault_set(f, ST_X, ...). */
enum status fault_set(struct fault *f, enum status st, struct str detail);

/* Each adds one member; more than the array holds is our own mistake (assert). */
void fault_str(struct fault *f, const char *name, struct str value);
void fault_int(struct fault *f, const char *name, int64_t value);
void fault_list(struct fault *f, const char *name, const struct str *values, size_t n);

#endif
