/*
 * wire.h - a server and its clients in one thread: bytes are sent as they stand, the loop turns
 * until the answer is there. Everything is bounded by a deadline far beyond what is needed.
 */
#ifndef PRESIGND_TEST_WIRE_H
#define PRESIGND_TEST_WIRE_H

#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "presignd/server.h"

enum { WIRE_PATIENCE_MS = 8000, WIRE_BYTES = 256 * 1024 };

struct wire {
    struct loop *loop;
    struct server server;
    struct server_config config;
    struct metrics metrics;
    struct random_pool random;
    uint16_t port;
};

struct client {
    struct wire *w;
    int fd;
    size_t len; /* received */
    bool closed;
    char in[WIRE_BYTES];
};

/* A configuration that tests change before wire_start(). */
static inline struct wire *wire_new(void)
{
    struct wire *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->config = (struct server_config){
        .body_bytes = 4096,
        .header_bytes = 8192,
        .connections = 200,
        .header_timeout_ms = 15000,
        .body_timeout_ms = 15000,
        .idle_timeout_ms = 75000,
    };
    return w;
}

static inline void wire_start(struct wire *w, const struct route *routes, size_t n, bool admin)
{
    char space[256];
    struct buf why = BUF_FIXED(space);
    int fd;
    w->loop = loop_new();
    assert_non_null(w->loop);
    assert_int_equal(server_listen(STR("127.0.0.1:0"), true, &fd, &w->port, &why), ST_OK);
    w->server = (struct server){
        .loop = w->loop,
        .config = &w->config,
        .routes = routes,
        .n_routes = n,
        .metrics = &w->metrics,
        .random = &w->random,
        .admin = admin,
    };
    assert_int_equal(server_start(&w->server, fd), ST_OK);
}

static inline void wire_stop(struct wire *w)
{
    server_stop(&w->server);
    assert_int_equal(w->server.open_connections, 0);
    assert_int_equal(w->server.in_flight, 0);
    loop_free(w->loop);
    free(w);
}

static inline struct client *client_new(struct wire *w)
{
    struct client *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    c->w = w;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in to = { .sin_family = AF_INET,
                                    .sin_port = htons(w->port),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    assert_int_equal(connect(c->fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(fcntl(c->fd, F_SETFL, O_NONBLOCK), 0);
    return c;
}

static inline void client_free(struct client *c)
{
    close(c->fd);
    free(c);
}

/* Takes in what has arrived. */
static inline void client_receive(struct client *c)
{
    while (!c->closed && c->len < sizeof(c->in) - 1) {
        const ssize_t n = recv(c->fd, c->in + c->len, sizeof(c->in) - 1 - c->len, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        c->closed = n <= 0;
        c->len += n > 0 ? (size_t)n : 0;
        c->in[c->len] = '\0';
    }
}

/* Turns the loop until `cond` holds; the test fails with `name` when it never does. */
#define WIRE_UNTIL(w, name, cond)                                            \
    do {                                                                     \
        const int64_t end_us_ = loop_clock_us() + WIRE_PATIENCE_MS * 1000LL; \
        while (!(cond)) {                                                    \
            if (loop_clock_us() > end_us_)                                   \
                fail_msg("%s: never came true: %s", (name), #cond);          \
            loop_turn((w)->loop, 5);                                         \
        }                                                                    \
    } while (0)

/* The loop turns while there is no room, so any length can be sent. */
static inline void client_send(struct client *c, const char *bytes, size_t len)
{
    const int64_t end_us = loop_clock_us() + WIRE_PATIENCE_MS * 1000LL;
    while (len > 0 && !c->closed) {
        const ssize_t n = send(c->fd, bytes, len, MSG_NOSIGNAL);
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
            continue;
        }
        if (errno != EAGAIN)
            return;
        if (loop_clock_us() > end_us)
            fail_msg("nobody takes %zu bytes", len);
        loop_turn(c->w->loop, 5);
        client_receive(c);
    }
}

static inline void client_text(struct client *c, const char *text)
{
    client_send(c, text, strlen(text));
}

/* Bytes of the answer at the front, 0 while it is not whole. */
static inline size_t answer_bytes(const struct client *c, bool head)
{
    const char *end = strstr(c->in, "\r\n\r\n");
    if (!end)
        return 0;
    size_t total = (size_t)(end - c->in) + 4;
    const char *length = strcasestr(c->in, "\r\nContent-Length: ");
    if (!head && length && length < end)
        total += strtoul(length + strlen("\r\nContent-Length: "), NULL, 10);
    return total <= c->len ? total : 0;
}

static inline bool answer_there(struct client *c, bool head)
{
    client_receive(c);
    return c->closed || answer_bytes(c, head) > 0;
}

/* Waits for one answer; its status, or 0 when the connection ended without one. */
static inline int client_answer_kind(struct client *c, const char *name, bool head)
{
    WIRE_UNTIL(c->w, name, answer_there(c, head));
    return answer_bytes(c, head) > 0 ? atoi(c->in + strlen("HTTP/1.1 ")) : 0;
}

static inline int client_answer(struct client *c, const char *name)
{
    return client_answer_kind(c, name, false);
}

/* The answer at the front has been looked at. */
static inline void client_next(struct client *c, bool head)
{
    const size_t n = answer_bytes(c, head);
    memmove(c->in, c->in + n, c->len - n + 1);
    c->len -= n;
}

static inline bool gone(struct client *c)
{
    client_receive(c);
    return c->closed;
}

static inline void client_expect_closed(struct client *c, const char *name)
{
    WIRE_UNTIL(c->w, name, gone(c));
}

/* Does the header of the answer at the front hold this line? */
static inline bool answer_has(const struct client *c, const char *line)
{
    const char *end = strstr(c->in, "\r\n\r\n");
    char with_ends[512];
    snprintf(with_ends, sizeof(with_ends), "\r\n%s\r\n", line);
    const char *at = strcasestr(c->in, with_ends);
    return end && at && at < end;
}

static inline bool answer_has_name(const struct client *c, const char *name)
{
    const char *end = strstr(c->in, "\r\n\r\n");
    char with_ends[128];
    snprintf(with_ends, sizeof(with_ends), "\r\n%s:", name);
    const char *at = strcasestr(c->in, with_ends);
    return end && at && at < end;
}

/* The value of a header of the answer at the front. */
static inline struct str answer_header(const struct client *c, const char *name)
{
    char with_ends[128];
    snprintf(with_ends, sizeof(with_ends), "\r\n%s: ", name);
    const char *at = strcasestr(c->in, with_ends);
    if (!at)
        return STR_NONE;
    at += strlen(with_ends);
    return (struct str){ at, (size_t)(strstr(at, "\r\n") - at) };
}

static inline struct str answer_body(const struct client *c)
{
    const char *end = strstr(c->in, "\r\n\r\n");
    return end ? (struct str){ end + 4, answer_bytes(c, false) - (size_t)(end + 4 - c->in) }
               : STR_NONE;
}

static inline bool body_has(const struct client *c, const char *text)
{
    const struct str body = answer_body(c);
    return body.ptr && memmem(body.ptr, body.len, text, strlen(text));
}

#endif
