/*
 * fetch - one bounded call to the outside: HTTP by libcurl's multi interface on a loop, or the
 * reading of a small file on a helper thread. Never blocks the loop, never follows a redirect.
 *
 * A call has a deadline, a size limit and a rule for the addresses it may connect to; the rule is
 * applied to the very address that is connected to, so that a name cannot be rebound in between.
 */
#ifndef PRESIGND_FETCH_H
#define PRESIGND_FETCH_H

#include "presignd/address.h"
#include "presignd/buf.h"
#include "presignd/loop.h"

enum { CALL_URL_MAX = 16384, CALL_HEADERS_MAX = 16384, CALL_BODY_MAX = 16384 };

/* What to ask; owned by whoever asks and filled anew for each call (call_reset). */
struct call {
    const char *method; /* "GET", "PUT", "POST", "HEAD"; "FILE": url is a path to read */
    struct buf url;
    struct buf headers; /* lines, made by call_header */
    struct buf body;
    enum call_hosts hosts;
    int64_t connect_ms, total_ms;
    size_t max_bytes; /* of the reply's body */
};

#define CALL_INIT                                          \
    ((struct call){ .method = "GET",                       \
                    .url = BUF_INIT(CALL_URL_MAX),         \
                    .headers = BUF_INIT(CALL_HEADERS_MAX), \
                    .body = BUF_INIT(CALL_BODY_MAX),       \
                    .connect_ms = 1000,                    \
                    .total_ms = 2000,                      \
                    .max_bytes = 65536 })
void call_release(struct call *c); /* wipes: headers may hold tokens */
void call_reset(struct call *c);

/* A header line; CR, LF or NUL in the value breaks the buffer (buf_check says ST_INVALID). */
void call_header(struct call *c, const char *name, struct str value);

enum reply_kind {
    REPLY_NONE,        /* nothing was asked yet */
    REPLY_HTTP,        /* an HTTP answer, of whatever status; for FILE: http is 200 or 404 */
    REPLY_TIMEOUT,     /* the deadline passed */
    REPLY_UNREACHABLE, /* refused, reset, no such name, TLS failure */
    REPLY_FORBIDDEN,   /* the address rule said no */
    REPLY_TOO_LARGE,
};

struct reply {
    enum reply_kind kind;
    int http;
    struct str body;   /* valid during the callback only; wiped after it */
    int64_t max_age_s; /* Cache-Control: max-age of the answer; 0 for no-store/no-cache; -1 none */
    int64_t date_s;    /* its Date header; -1 none */
    int64_t content_length; /* -1 unknown; for HEAD the header's value */
    struct str etag;        /* its ETag, "" none */
    struct str why;         /* a sentence for the log when kind is no REPLY_HTTP */
};

/*
 * Once per process, by main, before any thread and after the last fetcher. ST_INTERNAL when libcurl
 * does not start, or is one that looks names up on the caller's thread (that would block a loop).
 */
MUST_CHECK enum status fetch_global_start(void);
void fetch_global_end(void);

struct fetcher; /* one per loop that fetches */

struct fetch {
    void (*done)(struct fetch *f, const struct reply *r); /* may start the next call on f */
    struct fetch_job *job;                                /* NULL: idle */
};

/* NULL without memory. The loop must outlive it; fetcher_free cancels what runs (done not called).
 * Not to be freed from inside done. */
struct fetcher *fetcher_new(struct loop *l);
void fetcher_free(struct fetcher *fr);

/* Starts; the call is copied. done comes later from the loop, never from inside fetch_start.
 * ST_OK; ST_INVALID or ST_TOO_LARGE: the call was built wrongly; ST_NO_MEMORY. */
MUST_CHECK enum status fetch_start(struct fetcher *fr, struct fetch *f, const struct call *c);

/* Ends a running call without done; fine when idle. */
void fetch_cancel(struct fetch *f);

#endif
