/*
 * exchange - what server.c (connections and their deadlines) and request.c (one request on one of
 * them) share. Nobody else includes it.
 *
 * A peer lives as long as its connection and is small: thousands of them may sit idle. An exchange
 * lives from the request line to the end of the answer; it owns the memory of a request (target,
 * arena, buffers) and is used again for the next.
 */
#ifndef PRESIGND_HTTP_EXCHANGE_H
#define PRESIGND_HTTP_EXCHANGE_H

#include "presignd/server.h"

enum { TARGET_MAX = 2048, WAITING_MAX = 4096 };

enum peer_phase {
    PEER_FRESH,  /* connected, no request line yet: the header deadline runs */
    PEER_IDLE,   /* after an answer: only the library's idle timeout */
    PEER_HEADER, /* in a later request's header: the header deadline runs */
    PEER_BODY,   /* the body deadline runs */
    PEER_BUSY,   /* ours to work: what waits has a deadline of its own */
    PEER_ANSWER, /* the answer is on its way: as long as an idle connection may last */
};

struct peer {
    struct peer *next, **link;
    struct server *server;
    struct MHD_Connection *conn;
    int fd;
    enum peer_phase phase;
    int64_t since_ms;    /* the phase began, on the loop's clock */
    uint64_t bytes_seen; /* PEER_IDLE: what had arrived when it was last looked at; 0: never */
};

enum exchange_phase {
    EXCHANGE_HEADER, /* the library asks for the first time: steps may run, no answer may be queued
                        unless the connection is to be closed */
    EXCHANGE_BODY,   /* bytes come in, or nothing does */
    EXCHANGE_WHOLE,  /* everything is there: the answer may go */
};

enum { ANSWER_HEADERS = REQUEST_HEADERS_OUT + 2 };

/* What the library's response object was made of: an answer made of the same may have it again. */
struct answer_shape {
    struct str body;
    const char *type, *cache;
    bool cors, credentials, expose;
    struct str origin; /* of Access-Control-Allow-Origin; empty: none */
};

struct answer_kept {
    struct MHD_Response *response; /* NULL: none */
    struct answer_shape shape;
    char origin[CORS_ORIGIN_MAX];
    const char *names[ANSWER_HEADERS]; /* headers that belong to one answer only */
    size_t n_names;
    bool single_use;
};

struct exchange {
    struct request *r; /* NULL until the header is complete; lives in the arena */
    struct peer *peer;
    struct exchange *next;
    struct exchange **link; /* in the list of those that wait */
    enum exchange_phase phase;
    bool suspended; /* the library does not call us until it has resumed */
    bool waiting;   /* suspended and not yet woken */
    bool cors;      /* the listener and the path take part in CORS */
    bool answered;  /* http, r->out and headers are settled */
    bool queued;    /* handed to the library */
    bool close;     /* the connection ends with this answer */
    bool keep_body; /* a step asked for the body */
    int http;
    size_t drained; /* bytes of a body that nobody wants */
    struct timer deadline;
    struct arena arena; /* while r is NULL; else r has them */
    struct buf out;
    struct buf body;
    struct answer_kept kept;
    size_t target_len; /* as sent; the copy is cut */
    char target[TARGET_MAX + 1];
};

static inline void peer_enter(struct peer *p, enum peer_phase phase)
{
    p->phase = phase;
    p->since_ms = loop_now_ms(p->server->loop);
    p->bytes_seen = 0;
}

/* For a request line that has just arrived; copies the target. NULL without memory. */
struct exchange *exchange_new(struct peer *p, const char *target);

/* The library's handler for one exchange, all calls of it. */
enum MHD_Result exchange_handle(struct exchange *x, const struct request_line *line,
                                const char *data, size_t *data_size);

/* The request has ended, however it ended: log, counters, the route's end(); keeps x for reuse. */
void exchange_end(struct exchange *x, bool answer_was_sent);

void exchange_free(struct exchange *x);

/* What the settled answer's body is. */
static inline struct str answer_body_of(const struct request *r)
{
    return r->out_static.ptr ? r->out_static : (struct str){ r->out.ptr, r->out.len };
}

/* Hands the settled answer to the library; MHD_NO when that failed and the connection must end. */
enum MHD_Result answer_queue(struct exchange *x);

/* Drops what was kept for the next answer; before x->out loses its block. */
void answer_forget(struct exchange *x);

#endif
