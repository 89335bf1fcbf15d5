/*
 * route - what answers which path, and by which steps; finds the route of a path: exact,
 * case-sensitive, no trailing slash, no normalising.
 */
#ifndef PRESIGND_ROUTE_H
#define PRESIGND_ROUTE_H

#include "presignd/json_write.h"

struct request;

enum step {
    STEP_ON,   /* the next one */
    STEP_WAIT, /* call this same step again after request_wake() or the deadline */
    STEP_BODY, /* only request_read_body: go on when the body is there */
    STEP_STOP, /* answered or refused */
};
typedef enum step step_fn(struct request *r);

enum http_method { HTTP_GET = 1, HTTP_HEAD = 2, HTTP_POST = 4, HTTP_DELETE = 8, HTTP_OPTIONS = 16 };

enum route_flags {
    ROUTE_PROBE = 1,   /* no CORS, logged only when it fails, served on both listeners */
    ROUTE_ADMIN = 2,   /* on the admin listener only */
    ROUTE_DIALECT = 4, /* served under the same rules; for the log */
    ROUTE_OPEN = 8,    /* the same for everybody: a cookie needs no known origin */
};

struct route {
    unsigned methods;      /* of enum http_method; GET brings HEAD along */
    struct str path;       /* exact; a trailing "{id}" takes one non-empty segment into path_id;
                               "{id}/x" is allowed too */
    step_fn *const *steps; /* NULL-terminated */
    size_t state_bytes;    /* of the struct that embeds struct request first */
    unsigned flags;
    const char *label; /* in metrics and the log; one number per distinct label */
    /* called once when the request has ended, however it ended: give back, release; may be NULL */
    void (*end)(struct request *r, bool answer_was_sent);
    /* adds members to the access log line; may be NULL */
    void (*log)(const struct request *r, struct jw *line);
};

struct route_match {
    const struct route *route; /* NULL: no such path (out_allowed 0) or method */
    size_t number;             /* index in the table; n when there is no route */
    struct str path_id;
    unsigned allowed; /* methods that this path has */
    unsigned flags;   /* of enum route_flags, of all routes with this path */
};

struct route_match route_find(const struct route *routes, size_t n, bool admin_listener,
                              struct str path, unsigned method);

/* Of enum http_method; exact case (RFC 9110 section 9.1); 0 for one that we do not know. */
unsigned route_method(const char *name);

/* The name of one method; "OTHER" for 0. */
struct str route_method_name(unsigned method);

/* "GET, HEAD, POST": for Allow and Access-Control-Allow-Methods. GET brings HEAD along. */
void route_methods(struct buf *out, unsigned methods);

#endif
