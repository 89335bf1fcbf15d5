/*
 * server - one listener on one loop: libmicrohttpd (external epoll, no threads), the gate, limits and
 * deadlines of our own, CORS, steps, drain. Embed it; the owner is found with container_of.
 */
#ifndef PRESIGND_SERVER_H
#define PRESIGND_SERVER_H

#include "presignd/access_log.h"
#include "presignd/cors.h"
#include "presignd/metrics.h"
#include "presignd/request.h"

/* Changes at reload; the server borrows it (it is part of the configuration's snapshot). */
struct server_config {
    struct cors_config cors;
    bool cookie_auth; /* auth.cookie is set: the Origin check of API.md applies */
    struct str cookie_name;
    size_t body_bytes, header_bytes;
    unsigned connections; /* of this loop */
    int64_t header_timeout_ms, body_timeout_ms, idle_timeout_ms;
    const struct cidr *trusted;
    size_t n_trusted;
    bool access_log;
};

struct exchange;
struct peer;

struct server {
    struct loop *loop;
    const struct server_config *config;
    const struct route *routes;
    size_t n_routes;
    struct metrics *metrics;
    struct random_pool *random;
    bool admin;
    bool lasting;  /* the listening socket outlives us: who waits there at the end is the next's */
    bool draining; /* answers carry Connection: close */
    size_t in_flight; /* requests between first byte of the header and the end */
    size_t open_connections;
    /* below: the http floor's own */
    struct MHD_Daemon *daemon;
    struct source epoll;
    struct turn turn;
    struct exchange *waiting; /* suspended */
    size_t n_waiting;
    struct exchange *free_list; /* kept for reuse */
    size_t n_free;
    struct peer *peers;      /* open connections */
    struct timer reaper;     /* header, body and sending deadlines */
    bool ready;              /* the library has events to fetch */
    int64_t run_at_ms;       /* when it wants to be run without any */
    int64_t library_said_ms; /* when a message of the library was last passed on */
    bool quiesced, stopping;
};

/*
 * Makes a listening socket: "0.0.0.0:8080", "[::]:8080", ":8080"; port 0 picks a free one. With
 * reuse_port several may share one port (SO_REUSEPORT). *out_port is the port it got.
 * ST_INVALID (bad text) or ST_UNREACHABLE (the system's reason), both with why.
 */
MUST_CHECK enum status server_listen(struct str address, bool reuse_port, int *out_fd,
                                     uint16_t *out_port, struct buf *why);

/* Fields above the line are set by the owner before; there are less than METRIC_ROUTES routes. Takes
 * the descriptor. The connection limit, the header limit and the idle timeout are those of now, also
 * after server_use(). ST_OK or ST_INTERNAL. */
MUST_CHECK enum status server_start(struct server *s, int listen_fd);

/* At reload. */
void server_use(struct server *s, const struct server_config *c);

/* From now on every answer closes its connection. */
void server_drain(struct server *s);

/* Stops accepting, after taking in who already stands in the queue; requests that are under way go
 * on, connections without one are closed. */
void server_quiesce(struct server *s);

/* No request is under way, and none waits to be read. */
bool server_idle(const struct server *s);

/* Ends all connections, resumes what waits, stops. NULL daemon is fine. */
void server_stop(struct server *s);

#endif
