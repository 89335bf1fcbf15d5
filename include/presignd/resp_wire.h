/*
 * resp_wire - one TCP or TLS connection to Redis: hiredis' asynchronous context on our loop, with
 * replies that are bounded and made flat. The only file that knows hiredis (0.14 and 1.x).
 *
 * What it is asked is put into the output buffer; resp_wire_flush() sends it, so that the commands of
 * one turn share a write. Answers come in the order of the questions, from resp_wire_ready(),
 * resp_wire_flush() and resp_wire_close() only; each question gets exactly one.
 */
#ifndef PRESIGND_RESP_WIRE_H
#define PRESIGND_RESP_WIRE_H

#include "presignd/buf.h"
#include "presignd/loop.h"
#include "presignd/resp.h"

struct redisAsyncContext;
struct redisReplyObjectFunctions;
struct resp_tls; /* the trusted authorities and rules for TLS */

/* NULL with why: hiredis was built without, or OpenSSL failed. */
struct resp_tls *resp_tls_new(struct buf *why);
void resp_tls_free(struct resp_tls *t);

struct resp_ask {                                                     /* embed it */
    void (*answered)(struct resp_ask *a, const struct resp_reply *r); /* OK, ERROR, LOST, GARBAGE */
};

struct resp_wire { /* zeroed; then the members of this part are set by the owner */
    struct loop *loop;
    const struct resp_tls *tls;                       /* NULL: plain TCP */
    void (*wants_flush)(struct resp_wire *w);         /* call resp_wire_flush() soon */
    void (*ready)(struct source *s, uint32_t events); /* call resp_wire_ready() */

    struct source source;
    struct redisAsyncContext *context; /* NULL: closed */
    const struct redisReplyObjectFunctions *plain;
    void *session; /* OpenSSL's, while the context lives */
    bool flush_wanted, flushing, broken;
    size_t unanswered;
    size_t reply_rows, reply_bytes; /* of the reply that is being read */
    struct resp_row *rows;          /* RESP_ROWS_MAX of them */
    struct buf why;                 /* why it closed */
    char why_space[256];
};

MUST_CHECK enum status resp_wire_init(struct resp_wire *w);
void resp_wire_release(struct resp_wire *w); /* closed before */

/* Begins to connect to a numeric address; `name` is what a certificate must be for. A failure that
 * shows at once leaves it closed: w->why says it. */
void resp_wire_open(struct resp_wire *w, const char *address, uint16_t port, struct str name);
void resp_wire_close(struct resp_wire *w); /* answers RESP_LOST; fine when closed */

static inline bool resp_wire_is_open(const struct resp_wire *w)
{
    return w->context;
}
bool resp_wire_connected(const struct resp_wire *w);

/* The bytes are copied. False when closed, closing, or too much is waiting: no answer will come. */
bool resp_wire_ask(struct resp_wire *w, struct resp_ask *a, size_t argc, const char **argv,
                   const size_t *lens);
void resp_wire_flush(struct resp_wire *w);
void resp_wire_ready(struct resp_wire *w, uint32_t epoll_events);

#endif
