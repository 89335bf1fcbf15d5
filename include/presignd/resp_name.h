/*
 * resp_name - the addresses of a host, looked up on a helper thread: getaddrinfo may block for as
 * long as a name server likes.
 *
 * The one who asked never waits for the thread: it may cancel, and its loop may end, at any time.
 */
#ifndef PRESIGND_RESP_NAME_H
#define PRESIGND_RESP_NAME_H

#include "presignd/loop.h"

enum { RESP_ADDRESSES_MAX = 8, RESP_ADDRESS_TEXT = 64 };

struct resp_addresses {
    size_t n;
    char text[RESP_ADDRESSES_MAX][RESP_ADDRESS_TEXT]; /* numeric, NUL-terminated */
};

struct resp_name_job;

struct resp_name { /* zeroed before its first use */
    /* From the loop: n addresses, or none and why. May start again. */
    void (*done)(struct resp_name *n, const struct resp_addresses *a, struct str why);
    struct loop *loop;
    struct source source;
    struct resp_name_job *job; /* NULL: not under way */
};

/* Starts a lookup; `host` is copied. An address is its own answer, without a thread, but that too
 * comes later. ST_NO_MEMORY: no memory, descriptor or thread; ST_INVALID: no host name can look
 * like that. Only while none is under way. */
MUST_CHECK enum status resp_name_start(struct resp_name *n, struct loop *l, struct str host);

/* done is not called. Fine when none is under way. */
void resp_name_cancel(struct resp_name *n);

#endif
