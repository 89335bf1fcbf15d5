/*
 * request - one HTTP request on its way through an array of steps.
 *
 * A step does one thing and answers ON, WAIT or STOP; it does not know its neighbours. Steps run
 * from the library's handler; a step that must wait arranges its own waking (request_wake) and
 * answers through request_wait(). The struct is embedded at the start of the route's own state,
 * found with container_of; all of it lives in the request's arena.
 */
#ifndef PRESIGND_REQUEST_H
#define PRESIGND_REQUEST_H

#include "presignd/arena.h"
#include "presignd/fault.h"
#include "presignd/gate.h"
#include "presignd/log.h"
#include "presignd/loop.h"
#include "presignd/random.h"
#include "presignd/route.h"

struct server;

/* A header's value that is as long as the second, or longer, is left out of the answer. */
enum { REQUEST_HEADERS_OUT = 8, REQUEST_HEADER_MAX = 2048 };

struct header_out {
    const char *name;
    struct str value; /* in the arena */
};

struct request {
    struct server *server;
    struct MHD_Connection *conn;
    const struct route *route;
    size_t route_number;
    enum http_method method; /* 0: one that we do not know */
    struct str path, query;  /* raw, as sent; query without '?' */
    struct str path_id;
    struct headers headers;
    struct str body; /* after request_read_body */
    struct arena arena;
    char id[UUID_TEXT + 1]; /* X-Request-Id */
    struct str correlation; /* a caller's X-Request-Id, "" none */
    int64_t began_us;       /* monotonic */
    int64_t wall_us;
    int64_t now_s;         /* the one reading of the clock, whole seconds */
    struct fault fault;    /* filled by whoever refuses */
    struct buf out;        /* the answer's body */
    struct str out_static; /* the body instead: bytes that live as long as the program */
    const char *out_type;  /* "application/json" by default; a literal, as the next */
    const char *out_cache; /* Cache-Control, "no-store" by default */
    struct header_out headers_out[REQUEST_HEADERS_OUT];
    size_t n_headers_out;
    bool timed_out; /* the deadline of the last request_wait passed */
    bool handed;    /* the answer was given to the library: the client may have read it */
    /* below: the http floor's own */
    struct exchange *exchange;
    size_t step;
};

/* Reads the whole body (411, 413 and the body deadline are judged here), then goes on. */
step_fn request_read_body;

/* Checks that Content-Type is application/json with charset absent or utf-8: else 415. */
step_fn request_wants_json;

/* Answers with r->out, or r->out_static. `http` 200, 201, 204, ... */
enum step request_answer(struct request *r, int http);

/* Answers with a problem made of r->fault (its detail and members), or of `st` alone when the fault
 * was set for another status. */
enum step request_refuse(struct request *r, enum status st);

/* Suspends until request_wake or the deadline (ms on the loop's clock). */
enum step request_wait(struct request *r, int64_t deadline_ms);

/* From the same loop; does nothing when it does not wait. */
void request_wake(struct request *r);

/* One more header of the answer; more than the array holds is our own mistake. */
void request_header(struct request *r, const char *name, struct str value);

/* "?name=value": the raw value of a query parameter; ptr NULL when absent, "" for "?name". */
struct str request_query(const struct request *r, struct str name);

/* Moments, for steps. */
struct loop *request_loop(const struct request *r);

#endif
