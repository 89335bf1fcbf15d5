/*
 * server - libmicrohttpd on our loop, and the lives of its connections.
 *
 * The library brings no thread: it has an epoll set of its own, whose descriptor the loop watches,
 * and is run once a turn when that is ready or when the bound it gave for its sleep has passed
 * (without that bound connections hang: what it has read but not finished shows in no descriptor).
 *
 * Its one timeout starts anew with every byte, so a client that sends a byte a minute is never
 * late. The reaper is what ends such connections: it looks at the phase that each has been in, and
 * for how long. Only one thing it cannot see from the library's calls: the first bytes of a next
 * request on a connection kept alive. There it asks the kernel how many bytes have arrived.
 */
#include "exchange.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    POOL_BEYOND_HEADER =
        4096, /* of a connection's memory: request line, records, answer's header */
    REAPS_PER_DEADLINE = 8,
    REAP_MIN_MS = 10,
    REAP_MAX_MS = 1000,
    MS_PER_S = 1000,
    SAY_EVERY_MS = 60000,
    TCP_CLOSE_WAIT = 8, /* as in netinet/tcp.h, which cannot stand beside linux/tcp.h */
    QUEUE_MAX = 4096,   /* connections taken from the kernel's queue at the end */
    STOP_TURNS = 64,
    PORT_MAX = 65535,
};

/* ---- listening ---------------------------------------------------------------------------------- */

struct listen_address {
    struct sockaddr_storage addr;
    socklen_t len;
    bool any; /* both families, where the system has both */
};

static bool set_ipv6(struct listen_address *a, const char *host, uint16_t port)
{
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    if (inet_pton(AF_INET6, host, &in6.sin6_addr) != 1)
        return false;
    a->len = sizeof(in6);
    memcpy(&a->addr, &in6, sizeof(in6));
    return true;
}

static bool set_ipv4(struct listen_address *a, const char *host, uint16_t port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
    if (inet_pton(AF_INET, host, &in.sin_addr) != 1)
        return false;
    a->len = sizeof(in);
    memcpy(&a->addr, &in, sizeof(in));
    return true;
}

/* "host:port"; names are not asked for, so nothing here can block. */
static bool parse_listen(struct str text, struct listen_address *out)
{
    size_t colon = text.len;
    while (colon > 0 && text.ptr[colon - 1] != ':')
        colon--;
    const struct str digits = str_slice(text, colon, text.len);
    int64_t port;
    if (colon == 0 || digits.len == 0 || !str_to_int(digits, PORT_MAX, &port))
        return false;

    struct str host = str_slice(text, 0, colon - 1);
    *out = (struct listen_address){ .any = host.len == 0 };
    if (out->any)
        return set_ipv6(out, "::", (uint16_t)port);
    const bool six = str_starts(host, STR("[")) && str_ends(host, STR("]"));
    if (six)
        host = str_slice(host, 1, host.len - 1);
    char cstr[INET6_ADDRSTRLEN];
    struct buf copy = BUF_FIXED(cstr);
    buf_str(&copy, host);
    const char *name = buf_cstr(&copy);
    if (!name)
        return false;
    return six ? set_ipv6(out, name, (uint16_t)port) : set_ipv4(out, name, (uint16_t)port);
}

static bool set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

/* A socket that listens, or -1 with errno. TCP_NODELAY passes on to what is accepted. */
static int open_listener(const struct listen_address *a, bool reuse_port)
{
    const int family = a->addr.ss_family;
    const int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
        (!reuse_port || set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1)) &&
        (family != AF_INET6 || set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !a->any)) &&
        set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) &&
        bind(fd, (const struct sockaddr *)&a->addr, a->len) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    const int cause = errno;
    close(fd);
    errno = cause;
    return -1;
}

/* "Any address" on a machine without IPv6. */
static bool fall_back(struct listen_address *a)
{
    struct sockaddr_in6 in6;
    memcpy(&in6, &a->addr, sizeof(in6));
    return set_ipv4(a, "0.0.0.0", ntohs(in6.sin6_port));
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_in6 in6 = { .sin6_port = 0 };
    socklen_t len = sizeof(in6);
    if (getsockname(fd, (struct sockaddr *)&in6, &len))
        return 0;
    return ntohs(in6.sin6_port); /* at the same place in an IPv4 address */
}

enum status server_listen(struct str address, bool reuse_port, int *out_fd, uint16_t *out_port,
                          struct buf *why)
{
    struct listen_address a;
    if (!parse_listen(address, &a)) {
        buf_lit(why, "\"");
        buf_str(why, address);
        buf_lit(why, "\" is no address to listen on: 0.0.0.0:8080, [::]:8080 or :8080");
        return ST_INVALID;
    }
    int fd = open_listener(&a, reuse_port);
    if (fd < 0 && errno == EAFNOSUPPORT && a.any && fall_back(&a))
        fd = open_listener(&a, reuse_port);
    if (fd < 0) {
        buf_lit(why, "cannot listen on ");
        buf_str(why, address);
        buf_lit(why, ": ");
        buf_str(why, str_from(strerrordesc_np(errno)));
        return ST_UNREACHABLE;
    }
    *out_fd = fd;
    *out_port = bound_port(fd);
    return ST_OK;
}

/* ---- what the library tells us ------------------------------------------------------------------ */

static struct peer *peer_of(struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static int fd_of(struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

static void peer_opened(struct server *s, struct MHD_Connection *conn, void **context)
{
    s->open_connections++;
    metric_add(&s->metrics->connections_opened, 1);
    struct peer *p = calloc(1, sizeof(*p));
    if (!p)
        return; /* its first request finds no peer and ends it */
    p->server = s;
    p->conn = conn;
    p->fd = fd_of(conn);
    peer_enter(p, PEER_FRESH);
    p->next = s->peers;
    p->link = &s->peers;
    if (p->next)
        p->next->link = &p->next;
    s->peers = p;
    *context = p;
}

static void peer_closed(struct server *s, void **context)
{
    struct peer *p = *context;
    *context = NULL;
    s->open_connections--;
    s->ready =
        true; /* there may be room for one that waits, which the library sees at its next run */
    metric_add(&s->metrics->connections_closed, 1);
    if (!p)
        return;
    *p->link = p->next;
    if (p->next)
        p->next->link = p->link;
    free(p);
}

static void on_connection(void *cls, struct MHD_Connection *conn, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        peer_opened(cls, conn, context);
    else
        peer_closed(cls, context);
}

/* The request line is complete. What is returned comes back as *context of the handler. */
static void *on_request_line(void *cls, const char *target, struct MHD_Connection *conn)
{
    (void)cls;
    struct peer *p = peer_of(conn);
    if (!p)
        return NULL;
    if (p->phase == PEER_IDLE)
        peer_enter(p, PEER_HEADER);
    return exchange_new(p, target);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_size, void **context)
{
    (void)conn;
    struct server *s = cls;
    const struct request_line line = { .method = method, .url = url, .version = version };
    if (*context)
        return exchange_handle(*context, &line, data, data_size);
    metric_add(&s->metrics->connections_refused, 1);
    return MHD_NO;
}

static void on_end(void *cls, struct MHD_Connection *conn, void **context,
                   enum MHD_RequestTerminationCode how)
{
    (void)cls;
    struct exchange *x = *context;
    *context = NULL;
    if (x)
        exchange_end(x, how == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    struct peer *p = peer_of(conn);
    if (p)
        peer_enter(p, PEER_IDLE);
}

/* Paths are compared as they were sent, so nothing is unescaped. */
static size_t leave_escaped(void *cls, struct MHD_Connection *conn, char *text)
{
    (void)cls, (void)conn;
    return strlen(text);
}

/* Nearly all of it is about clients that went away; only the limit of descriptors is ours to heal. */
__attribute__((format(printf, 2, 0))) static void on_message(void *cls, const char *format,
                                                             va_list args)
{
    struct server *s = cls;
    char text[256];
    const bool limit = strstr(format, "resource limit") != NULL;
    if (!limit && !log_enabled(LOG_LEVEL_DEBUG))
        return;
    const int64_t now_ms = loop_now_ms(s->loop);
    if (limit && s->library_said_ms && now_ms - s->library_said_ms < SAY_EVERY_MS)
        return;
    if (limit)
        s->library_said_ms = now_ms;
    if (vsnprintf(text, sizeof(text), format, args) > 0)
        log_say(limit ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, "http", str_trim(str_from(text)),
                loop_wall_us(s->loop));
}

/* ---- the reaper --------------------------------------------------------------------------------- */

/* The library sees the end of the stream at its next turn and ends the connection. */
static void cut_off(struct peer *p)
{
    peer_enter(p, PEER_BUSY);
    shutdown(p->fd, SHUT_RDWR);
}

static struct tcp_info kernel_view(const struct peer *p)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    memset(&info, 0, sizeof(info));
    if (getsockopt(p->fd, IPPROTO_TCP, TCP_INFO, &info, &len))
        memset(&info, 0, sizeof(info));
    return info;
}

/*
 * Has a next request begun of which no line is complete? Its deadline runs from when that is seen.
 * And has the client gone? 0.9.75 misses the end of a stream that comes together with a request:
 * its edge-triggered set does not tell it a second time.
 */
static void look_at_idle(struct peer *p)
{
    const struct tcp_info info = kernel_view(p);
    if (info.tcpi_state == TCP_CLOSE_WAIT)
        cut_off(p);
    else if (p->bytes_seen == 0)
        p->bytes_seen = info.tcpi_bytes_received;
    else if (info.tcpi_bytes_received > p->bytes_seen)
        peer_enter(p, PEER_HEADER);
}

static bool has_unread(const struct peer *p)
{
    int bytes = 0;
    return ioctl(p->fd, FIONREAD, &bytes) || bytes > 0;
}

/* When nobody is accepted any more, a connection without a request is only in the way. */
static bool useless(const struct peer *p)
{
    if (!p->server->quiesced || has_unread(p))
        return false;
    return p->phase == PEER_IDLE ||
           (p->phase == PEER_FRESH && kernel_view(p).tcpi_bytes_received == 0);
}

static int64_t patience_ms(const struct peer *p)
{
    const struct server_config *c = p->server->config;
    switch (p->phase) {
    case PEER_FRESH:
    case PEER_HEADER: return c->header_timeout_ms;
    case PEER_BODY: return c->body_timeout_ms;
    case PEER_ANSWER: return c->idle_timeout_ms;
    case PEER_IDLE:
    case PEER_BUSY: break;
    }
    return INT64_MAX;
}

static void reap_one(struct peer *p, int64_t now_ms)
{
    if (useless(p)) {
        cut_off(p);
    } else if (p->phase == PEER_IDLE) {
        look_at_idle(p);
    } else if (now_ms - p->since_ms >= patience_ms(p)) {
        metric_add(&p->server->metrics->connections_refused, 1);
        cut_off(p);
    }
}

static void set_reaper(struct server *s)
{
    const struct server_config *c = s->config;
    const int64_t shortest = MIN_OF(c->header_timeout_ms, c->body_timeout_ms) / REAPS_PER_DEADLINE;
    const int64_t period = MAX_OF(MIN_OF(shortest, REAP_MAX_MS), REAP_MIN_MS);
    /* the timer's place in the heap was kept when it fired: setting it again asks for no memory */
    if (loop_timer_at(s->loop, &s->reaper, loop_now_ms(s->loop) + period) != ST_OK)
        log_say(LOG_LEVEL_ERROR, "http", STR("no memory for the timer of deadlines"),
                loop_wall_us(s->loop));
}

static void reap(struct timer *t)
{
    struct server *s = container_of(t, struct server, reaper);
    const int64_t now_ms = loop_now_ms(s->loop);
    for (struct peer *p = s->peers; p; p = p->next)
        reap_one(p, now_ms);
    set_reaper(s);
}

/* ---- on the loop -------------------------------------------------------------------------------- */

static void on_ready(struct source *src, uint32_t events)
{
    (void)events;
    container_of(src, struct server, epoll)->ready = true;
}

/* Runs the library; when it wants to be run again without an event. */
static int64_t run_library(struct server *s, int64_t now_ms)
{
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    s->ready = false;
    MHD_run(s->daemon);
    const bool bounded = MHD_get_timeout(s->daemon, &wait_ms) == MHD_YES;
    if (s->ready) /* something came up meanwhile: a resume, room for a connection */
        return now_ms;
    return bounded && wait_ms < INT32_MAX ? now_ms + (int64_t)wait_ms : INT64_MAX;
}

/* A server that has nothing to do (the admin listener, mostly) costs no system call. */
static int64_t before_sleep(struct turn *t)
{
    struct server *s = container_of(t, struct server, turn);
    const int64_t now_ms = loop_now_ms(s->loop);
    if (s->ready || now_ms >= s->run_at_ms)
        s->run_at_ms = run_library(s, now_ms);
    return s->run_at_ms == INT64_MAX ? -1 : s->run_at_ms - now_ms;
}

static struct MHD_Daemon *start_daemon(struct server *s, int listen_fd)
{
    const struct server_config *c = s->config;
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
#if MHD_VERSION >= 0x01000000
    flags |= MHD_USE_NO_THREAD_SAFETY;
#endif
    /* clang-format off */
    const struct MHD_OptionItem options[] = {
        { MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)(c->header_bytes + POOL_BEYOND_HEADER), NULL },
        { MHD_OPTION_CONNECTION_LIMIT, (intptr_t)c->connections, NULL },
        { MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)((c->idle_timeout_ms + MS_PER_S - 1) / MS_PER_S), NULL },
#if MHD_VERSION >= 0x01000000
        { MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1, NULL }, /* as strict as the RFCs let a server be */
#else
        { MHD_OPTION_STRICT_FOR_CLIENT, 0, NULL }, /* the gate is, and looks only once */
#endif
        { MHD_OPTION_END, 0, NULL },
    };
    return MHD_start_daemon(flags, 0, NULL, NULL, on_request, s,
                            MHD_OPTION_EXTERNAL_LOGGER, on_message, s,
                            MHD_OPTION_LISTEN_SOCKET, listen_fd,
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
                            MHD_OPTION_URI_LOG_CALLBACK, on_request_line, s,
                            MHD_OPTION_NOTIFY_COMPLETED, on_end, s,
                            MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL,
                            MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    /* clang-format on */
}

enum status server_start(struct server *s, int listen_fd)
{
    assert(s->n_routes < METRIC_ROUTES);
    s->daemon = start_daemon(s, listen_fd);
    if (!s->daemon) {
        close(listen_fd);
        return ST_INTERNAL;
    }

    const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    s->epoll = (struct source){ .ready = on_ready, .fd = info ? info->epoll_fd : -1 };
    s->turn = (struct turn){ .before_sleep = before_sleep };
    s->reaper = (struct timer){ .due = reap };
    s->ready = true;
    loop_turn_add(s->loop, &s->turn);
    set_reaper(s);
    if (!s->reaper.slot || loop_watch(s->loop, &s->epoll, EPOLLIN) != ST_OK) {
        server_stop(s);
        return ST_INTERNAL;
    }
    return ST_OK;
}

void server_use(struct server *s, const struct server_config *c)
{
    s->config = c;
}

/* ---- the end ------------------------------------------------------------------------------------ */

void server_drain(struct server *s)
{
    s->draining = true;
}

/* Who was let in by the kernel, but not yet by us, would be reset when the socket closes. */
static void take_in_queue(struct server *s, int listen_fd)
{
    for (int i = 0; i < QUEUE_MAX; i++) {
        struct sockaddr_storage addr;
        socklen_t len = sizeof(addr);
        const int fd =
            accept4(listen_fd, (struct sockaddr *)&addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        /* closes it when it cannot have it */
        MHD_add_connection(s->daemon, fd, (const struct sockaddr *)&addr, len);
    }
}

void server_quiesce(struct server *s)
{
    if (s->quiesced || !s->daemon)
        return;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_LISTEN_FD);
    if (info && !s->lasting)
        take_in_queue(s, info->listen_fd);
    const int fd = MHD_quiesce_daemon(s->daemon);
    if (fd >= 0)
        close(fd);
    s->draining = s->quiesced = s->ready = true;
}

/* A next request may stand in a connection since the library last looked. */
bool server_idle(const struct server *s)
{
    if (s->in_flight > 0 || s->ready)
        return false;
    for (const struct peer *p = s->peers; p; p = p->next)
        if (has_unread(p))
            return false;
    return true;
}

/* Nothing may be suspended when the library stops; steps that are woken now cannot wait again. */
static void wake_all(struct server *s)
{
    int turns = 0;
    do {
        while (s->waiting)
            request_wake(s->waiting->r);
        MHD_run(s->daemon);
    } while (s->waiting && ++turns < STOP_TURNS);
}

void server_stop(struct server *s)
{
    if (!s->daemon)
        return;
    s->stopping = true;
    wake_all(s);
    loop_timer_stop(s->loop, &s->reaper);
    loop_turn_remove(s->loop, &s->turn);
    if (s->epoll.events && loop_watch(s->loop, &s->epoll, 0) != ST_OK)
        assert(false); /* taking out of the set cannot fail */
    MHD_stop_daemon(TAKE(s->daemon));
    while (s->free_list) {
        struct exchange *x = s->free_list;
        s->free_list = x->next;
        exchange_free(x);
    }
    s->n_free = 0;
}
