/*
 * head_store.h - a small HTTP server on the test's own loop that answers HEAD requests: what a store
 * says about one path is a row, everything else is 404. It may hold its answers until it is told.
 */
#ifndef PRESIGND_TEST_HEAD_STORE_H
#define PRESIGND_TEST_HEAD_STORE_H

#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "presignd/fetch.h"
#include "presignd/profile.h"

enum { STORE_PEERS = 96, STORE_BYTES = 8192, STORE_PATIENCE_MS = 20000 };

struct store_page {
    const char *path;   /* without the query */
    const char *answer; /* whole; "" closes the connection; NULL: never answered */
};

struct store_peer {
    struct source source; /* fd < 0: free */
    struct head_store *store;
    char in[STORE_BYTES];
    size_t len;
    const char *answer; /* held back */
};

struct head_store {
    struct loop *loop;
    struct source listener;
    int port;
    const struct store_page *pages;
    size_t n_pages;
    bool hold;
    int requests, waiting, most_waiting, connections;
    char asked[STORE_BYTES]; /* the last request */
    struct store_peer peers[STORE_PEERS];
};

static inline void store_close(struct store_peer *p)
{
    if (p->source.fd < 0)
        return;
    assert_int_equal(loop_watch(p->store->loop, &p->source, 0), ST_OK);
    close(p->source.fd);
    p->source.fd = -1;
    if (p->answer)
        p->store->waiting--;
    p->answer = NULL;
    p->len = 0;
}

static inline void store_say(struct store_peer *p, const char *text)
{
    const size_t n = strlen(text);
    const bool sent = n > 0 && send(p->source.fd, text, n, MSG_NOSIGNAL) == (ssize_t)n;
    if (!sent || strstr(text, "Connection: close"))
        store_close(p);
}

static inline const char *store_find(const struct head_store *st, const char *request)
{
    const char *path = strchr(request, ' ');
    const size_t n = path ? strcspn(path + 1, "? ") : 0;
    for (size_t i = 0; i < st->n_pages; i++)
        if (strlen(st->pages[i].path) == n && strncmp(path + 1, st->pages[i].path, n) == 0)
            return st->pages[i].answer;
    return "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
}

static inline void store_peer_ready(struct source *s, uint32_t events)
{
    (void)events;
    struct store_peer *p = container_of(s, struct store_peer, source);
    struct head_store *st = p->store;
    const ssize_t n = recv(s->fd, p->in + p->len, sizeof(p->in) - 1 - p->len, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        store_close(p);
        return;
    }
    p->len += (size_t)n;
    p->in[p->len] = '\0';
    if (!strstr(p->in, "\r\n\r\n"))
        return;
    p->len = 0;
    st->requests++;
    memcpy(st->asked, p->in, sizeof(st->asked));
    const char *answer = store_find(st, p->in);
    if (!answer)
        return;
    if (!st->hold) {
        store_say(p, answer);
        return;
    }
    p->answer = answer;
    st->waiting++;
    st->most_waiting = st->waiting > st->most_waiting ? st->waiting : st->most_waiting;
}

static inline void store_accept(struct source *s, uint32_t events)
{
    (void)events;
    struct head_store *st = container_of(s, struct head_store, listener);
    const int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    st->connections++;
    for (size_t i = 0; i < STORE_PEERS; i++) {
        struct store_peer *p = &st->peers[i];
        if (p->source.fd >= 0)
            continue;
        *p = (struct store_peer){ .source = { .ready = store_peer_ready, .fd = fd }, .store = st };
        assert_int_equal(loop_watch(st->loop, &p->source, EPOLLIN), ST_OK);
        return;
    }
    fail_msg("more than %d connections", STORE_PEERS);
}

static inline void store_start(struct head_store *st, struct loop *l,
                               const struct store_page *pages, size_t n)
{
    signal(SIGPIPE, SIG_IGN);
    *st = (struct head_store){ .loop = l, .pages = pages, .n_pages = n };
    for (size_t i = 0; i < STORE_PEERS; i++)
        st->peers[i].source.fd = -1;
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(in);
    st->listener.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    st->listener.ready = store_accept;
    assert_true(st->listener.fd >= 0);
    assert_int_equal(bind(st->listener.fd, (const struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(listen(st->listener.fd, 64), 0);
    assert_int_equal(getsockname(st->listener.fd, (struct sockaddr *)&in, &len), 0);
    st->port = ntohs(in.sin_port);
    assert_int_equal(loop_watch(l, &st->listener, EPOLLIN), ST_OK);
}

/* What was held back is said, from now on at once. */
static inline void store_let_go(struct head_store *st)
{
    st->hold = false;
    for (size_t i = 0; i < STORE_PEERS; i++) {
        struct store_peer *p = &st->peers[i];
        if (p->source.fd < 0 || !p->answer)
            continue;
        const char *answer = p->answer;
        p->answer = NULL;
        st->waiting--;
        store_say(p, answer);
    }
}

static inline void store_stop(struct head_store *st)
{
    for (size_t i = 0; i < STORE_PEERS; i++)
        store_close(&st->peers[i]);
    assert_int_equal(loop_watch(st->loop, &st->listener, 0), ST_OK);
    close(st->listener.fd);
}

/* The loop turns until it is so. */
#define STORE_UNTIL(l, name, cond)                                          \
    do {                                                                    \
        const int64_t end_us_ = loop_clock_us() + STORE_PATIENCE_MS * 1000; \
        while (!(cond)) {                                                   \
            if (loop_clock_us() > end_us_)                                  \
                fail_msg("%s: never: %s", (name), #cond);                   \
            loop_turn((l), 20);                                             \
        }                                                                   \
    } while (0)

/* A bucket behind this port, addressed by path; its public endpoint leads nowhere. */
static inline void store_bucket(struct bucket *b, struct arena *a, const char *alias,
                                const char *real, int port)
{
    char text[64];
    snprintf(text, sizeof(text), "http://127.0.0.1:%d", port);
    char space[256];
    struct buf why = BUF_FIXED(space);
    *b = (struct bucket){
        .name = str_from(alias),
        .where = { .bucket = str_from(real),
                   .region = STR("eu-west-1"),
                   .endpoint = arena_copy(a, str_from(text)),
                   .public_endpoint = STR("https://cdn.example.com"),
                   .path_style = true },
        .path_style_given = true,
        .post = true,
    };
    if (bucket_prepare(b, a, &why) != ST_OK)
        fail_msg("%s: %.*s", alias, STR_ARGS(buf_view(&why)));
}

#endif
