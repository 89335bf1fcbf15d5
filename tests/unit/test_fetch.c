/*
 * fetch against a small server of our own: it knows a few paths, records what it was asked, and
 * "/hang" never answers. Names are looked up by the functions below instead of libc's, so that a
 * name can lead anywhere and a lookup can hang.
 */
#include "test.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "presignd/fetch.h"

enum { LIMIT_MS = 20000, ASKED_MAX = 65536 };

/* names */

static pthread_mutex_t lookup_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t lookup_changed = PTHREAD_COND_INITIALIZER;
static bool lookups_hang;
static int lookups_hanging;

static const struct {
    const char *name;
    const char *address;
} names[] = {
    { "local.test", "127.0.0.1" },
    { "public.test", "203.0.113.9" },
    { "imds.test", "169.254.169.254" },
    { "slow.test", "127.0.0.1" },
};

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    (void)hints;
    const char *address = NULL;
    for (size_t i = 0; i < ROWS(names); i++)
        if (name && strcmp(name, names[i].name) == 0)
            address = names[i].address;
    if (!address)
        return EAI_NONAME;
    if (strcmp(name, "slow.test") == 0) {
        pthread_mutex_lock(&lookup_lock);
        lookups_hanging++;
        pthread_cond_broadcast(&lookup_changed);
        while (lookups_hang)
            pthread_cond_wait(&lookup_changed, &lookup_lock);
        lookups_hanging--;
        pthread_cond_broadcast(&lookup_changed);
        pthread_mutex_unlock(&lookup_lock);
    }
    struct addrinfo *a = calloc(1, sizeof(*a) + sizeof(struct sockaddr_in));
    if (!a)
        return EAI_MEMORY;
    struct sockaddr_in in = { .sin_family = AF_INET };
    in.sin_port = htons((uint16_t)(service ? strtol(service, NULL, 10) : 0));
    inet_pton(AF_INET, address, &in.sin_addr);
    memcpy(a + 1, &in, sizeof(in));
    a->ai_family = AF_INET;
    a->ai_socktype = SOCK_STREAM;
    a->ai_protocol = IPPROTO_TCP;
    a->ai_addrlen = sizeof(in);
    a->ai_addr = (struct sockaddr *)(void *)(a + 1);
    *out = a;
    return 0;
}

void freeaddrinfo(struct addrinfo *a)
{
    free(a);
}

/* the server: a thread a connection */

static struct {
    int listener;
    int port;
    int stop[2]; /* readable: end */
    pthread_t thread;
    pthread_mutex_t lock;
    char asked[ASKED_MAX]; /* the last request, NUL-terminated */
    int requests;
    int connections;
    int open; /* connections being served */
    pthread_cond_t closed;
} server = { .lock = PTHREAD_MUTEX_INITIALIZER, .closed = PTHREAD_COND_INITIALIZER };

#define BIG_BODY 5000

/* clang-format off */
static const struct { const char *path; const char *answer; } pages[] = {
    { "/ok",        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"abc\"\r\nCache-Control: public, max-age=600\r\n"
                    "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nhello" },
    { "/404",       "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope" },
    { "/503",       "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nCache-Control: no-store, max-age=5\r\n\r\n" },
    { "/moved",     "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n" },
    { "/chunked",   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nETag: \"late\"\r\n\r\n" },
    { "/interim",   "HTTP/1.1 103 Early\r\nETag: \"early\"\r\nCache-Control: max-age=1\r\n\r\n"
                    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" },
    { "/age-high",  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nCache-Control: max-age=99999999999999999999\r\n\r\n" },
    { "/age-word",  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nCache-Control: max-age=soon\r\n\r\n" },
    { "/age-quoted","HTTP/1.1 200 OK\r\nContent-Length: 0\r\nCache-Control: Max-Age=\"60\"\r\n\r\n" },
    { "/age-two",   "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nCache-Control: max-age=60\r\nCache-Control: no-cache\r\n\r\n" },
    { "/bad-date",  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: yesterday\r\n\r\n" },
    { "/zip-bomb",  "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x01" },
    { "/no-length", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end" },
    { "/short",     "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nnot fifty" },
    { "/nothing",   "" },
    { "/garbage",   "SSH-2.0-OpenSSH_9.2\r\n" },
    { "/old",       "hello from HTTP/0.9" },
    { "/length-twice", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello" },
};
/* clang-format on */

static void answer(int fd, const char *path, bool head)
{
    const char *text = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    for (size_t i = 0; i < ROWS(pages); i++)
        if (strcmp(path, pages[i].path) == 0)
            text = pages[i].answer;
    static _Thread_local char big[BIG_BODY + 200];
    static _Thread_local char headers[80000];
    if (strcmp(path, "/big") == 0) {
        const int n =
            snprintf(big, sizeof(big), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BIG_BODY);
        memset(big + n, 'b', BIG_BODY);
        big[n + BIG_BODY] = '\0';
        text = big;
    }
    if (strcmp(path, "/many-headers") == 0) {
        char *at = headers + sprintf(headers, "HTTP/1.1 200 OK\r\n");
        for (int i = 0; i < 700; i++)
            at += sprintf(at, "X-Filler-%03d: %080d\r\n", i, i);
        sprintf(at, "Content-Length: 0\r\n\r\n");
        text = headers;
    }
    const char *end = strstr(text, "\r\n\r\n");
    const size_t len = head && end ? (size_t)(end - text) + 4 : strlen(text);
    for (size_t sent = 0; sent < len;) {
        const ssize_t n = send(fd, text + sent, len - sent, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
}

/* Reads one request; false when there is none. */
static bool read_request(int fd, char *text)
{
    for (size_t len = 0; len < ASKED_MAX - 1;) {
        const ssize_t n = recv(fd, text + len, ASKED_MAX - 1 - len, 0);
        if (n <= 0)
            return false;
        len += (size_t)n;
        text[len] = '\0';
        const char *end = strstr(text, "\r\n\r\n");
        const char *length = end ? strstr(text, "Content-Length: ") : NULL;
        const size_t body = length ? strtoul(length + 16, NULL, 10) : 0;
        if (end && len >= (size_t)(end - text) + 4 + body)
            break;
    }
    pthread_mutex_lock(&server.lock);
    memcpy(server.asked, text, strlen(text) + 1);
    server.requests++;
    pthread_mutex_unlock(&server.lock);
    return true;
}

/* Until the other side closes: what it was told to wait for, it waits for. */
static void drain(int fd)
{
    char rest[256];
    while (recv(fd, rest, sizeof(rest), 0) > 0)
        continue;
}

static void *serve(void *arg)
{
    const int fd = (int)(intptr_t)arg;
    char *text = calloc(1, ASKED_MAX);
    char method[16];
    char path[128];
    bool go_on = text;
    while (go_on && read_request(fd, text) && sscanf(text, "%15s %127s", method, path) == 2) {
        if (strcmp(path, "/hang") == 0)
            break;
        answer(fd, path, strcmp(method, "HEAD") == 0);
        go_on = strstr(text, "X-Keep");
    }
    if (!go_on)
        shutdown(fd, SHUT_WR);
    drain(fd);
    close(fd);
    free(text);
    pthread_mutex_lock(&server.lock);
    server.open--;
    pthread_cond_broadcast(&server.closed);
    pthread_mutex_unlock(&server.lock);
    return NULL;
}

static void serve_on_thread(int fd)
{
    pthread_mutex_lock(&server.lock);
    server.connections++;
    server.open++;
    pthread_mutex_unlock(&server.lock);
    pthread_t thread;
    if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd))
        abort();
    pthread_detach(thread);
}

static void *server_main(void *arg)
{
    (void)arg;
    for (;;) {
        struct pollfd fds[] = { { .fd = server.stop[0], .events = POLLIN },
                                { .fd = server.listener, .events = POLLIN } };
        if (poll(fds, ROWS(fds), -1) < 0 || fds[0].revents)
            break;
        const int fd = accept(server.listener, NULL, NULL);
        if (fd >= 0)
            serve_on_thread(fd);
    }
    pthread_mutex_lock(&server.lock);
    while (server.open)
        pthread_cond_wait(&server.closed, &server.lock);
    pthread_mutex_unlock(&server.lock);
    return NULL;
}

static int start_server(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(in);
    server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server.listener < 0 || bind(server.listener, (const struct sockaddr *)&in, sizeof(in)) ||
        listen(server.listener, 16) || getsockname(server.listener, (struct sockaddr *)&in, &len) ||
        pipe(server.stop))
        return -1;
    server.port = ntohs(in.sin_port);
    if (fetch_global_start() != ST_OK)
        return -1;
    return pthread_create(&server.thread, NULL, server_main, NULL);
}

static int stop_server(void **state)
{
    (void)state;
    close(server.stop[1]);
    pthread_join(server.thread, NULL);
    close(server.listener);
    close(server.stop[0]);
    fetch_global_end();
    return 0;
}

static int requests(void)
{
    pthread_mutex_lock(&server.lock);
    const int n = server.requests;
    pthread_mutex_unlock(&server.lock);
    return n;
}

static int connections(void)
{
    pthread_mutex_lock(&server.lock);
    const int n = server.connections;
    pthread_mutex_unlock(&server.lock);
    return n;
}

static bool asked(const char *part)
{
    pthread_mutex_lock(&server.lock);
    const bool found = strstr(server.asked, part);
    pthread_mutex_unlock(&server.lock);
    return found;
}

/* one call */

struct trial {
    struct loop *loop;
    struct fetcher *fetcher;
    struct fetch fetch;
    struct call call;
    int done;
    struct reply reply; /* its texts are in the copies */
    char body[8192], etag[512], why[512];
    const char *then; /* asked from inside done */
};

static void keep(char *to, size_t size, struct str text)
{
    assert_true(text.len < size);
    if (text.len)
        memcpy(to, text.ptr, text.len);
    to[text.len] = '\0';
}

static void set_url(struct call *c, const char *host, const char *path)
{
    buf_reset(&c->url);
    buf_lit(&c->url, "http://");
    buf_str(&c->url, str_from(host));
    buf_lit(&c->url, ":");
    buf_int(&c->url, server.port);
    buf_str(&c->url, str_from(path));
}

static void on_done(struct fetch *f, const struct reply *r)
{
    struct trial *t = container_of(f, struct trial, fetch);
    t->done++;
    t->reply = *r;
    keep(t->body, sizeof(t->body), r->body);
    keep(t->etag, sizeof(t->etag), r->etag);
    keep(t->why, sizeof(t->why), r->why);
    if (t->then) {
        set_url(&t->call, "127.0.0.1", t->then);
        t->then = NULL;
        assert_int_equal(fetch_start(t->fetcher, f, &t->call), ST_OK);
    }
}

static void begin(struct trial *t)
{
    memset(t, 0, sizeof(*t));
    t->loop = loop_new();
    assert_non_null(t->loop);
    t->fetcher = fetcher_new(t->loop);
    assert_non_null(t->fetcher);
    t->fetch.done = on_done;
    t->call = CALL_INIT;
    t->call.hosts = CALL_HOSTS_LOOPBACK;
    t->call.total_ms = LIMIT_MS / 2;
    t->call.connect_ms = LIMIT_MS / 2;
}

static void end(struct trial *t)
{
    call_release(&t->call);
    fetcher_free(t->fetcher);
    loop_free(t->loop);
}

static void run(struct trial *t, int wanted)
{
    const int64_t until_ms = loop_now_ms(t->loop) + LIMIT_MS;
    while (t->done < wanted && loop_now_ms(t->loop) < until_ms)
        loop_turn(t->loop, 1000);
    assert_int_equal(t->done, wanted);
}

static void ask(struct trial *t)
{
    const int wanted = t->done + 1;
    assert_int_equal(fetch_start(t->fetcher, &t->fetch, &t->call), ST_OK);
    assert_int_equal(t->done, wanted - 1); /* never from inside fetch_start */
    run(t, wanted);
}

static void get(struct trial *t, const char *path)
{
    set_url(&t->call, "127.0.0.1", path);
    ask(t);
}

/* clang-format off */
static const struct {
    const char *path; enum reply_kind kind; int http; const char *body; int64_t max_age_s; const char *etag;
} answers[] = {
    { "/ok",           REPLY_HTTP,        200, "hello",            600, "\"abc\"" },
    { "/404",          REPLY_HTTP,        404, "nope",              -1, "" },
    { "/503",          REPLY_HTTP,        503, "",                   0, "" },
    { "/moved",        REPLY_HTTP,        302, "",                  -1, "" },
    { "/chunked",      REPLY_HTTP,        200, "abcde",             -1, "" },
    { "/interim",      REPLY_HTTP,        200, "ok",                -1, "" },
    { "/age-high",     REPLY_HTTP,        200, "",           INT32_MAX, "" },
    { "/age-word",     REPLY_HTTP,        200, "",                   0, "" },
    { "/age-quoted",   REPLY_HTTP,        200, "",                  60, "" },
    { "/age-two",      REPLY_HTTP,        200, "",                   0, "" },
    { "/bad-date",     REPLY_HTTP,        200, "",                  -1, "" },
    { "/zip-bomb",     REPLY_HTTP,        200, "\x1f\x8b\x08\x01",  -1, "" },
    { "/no-length",    REPLY_HTTP,        200, "to the end",        -1, "" },
    { "/short",        REPLY_UNREACHABLE,   0, "",                  -1, "" },
    { "/nothing",      REPLY_UNREACHABLE,   0, "",                  -1, "" },
    { "/garbage",      REPLY_UNREACHABLE,   0, "",                  -1, "" },
    { "/old",          REPLY_UNREACHABLE,   0, "",                  -1, "" },
    { "/length-twice", REPLY_UNREACHABLE,   0, "",                  -1, "" },
    { "/many-headers", REPLY_TOO_LARGE,     0, "",                  -1, "" },
};
/* clang-format on */

static void test_answers(void **state)
{
    (void)state;
    struct trial t;
    begin(&t);
    for (size_t i = 0; i < ROWS(answers); i++) {
        const char *name = answers[i].path;
        const int before = requests();
        get(&t, name);
        CHECK_EQ(name, t.reply.kind, answers[i].kind);
        CHECK_EQ(name, t.reply.http, answers[i].http);
        CHECK_BYTES(name, t.body, strlen(t.body), answers[i].body, strlen(answers[i].body));
        CHECK_BYTES(name, t.etag, strlen(t.etag), answers[i].etag, strlen(answers[i].etag));
        CHECK_EQ(name, t.reply.max_age_s, answers[i].max_age_s);
        CHECK_EQ(name, t.reply.date_s, i == 0 ? 784111777 : -1);
        CHECK(name, (t.why[0] == '\0') == (t.reply.kind == REPLY_HTTP));
        CHECK_EQ(name, requests() - before, 1); /* no redirect, no second attempt */
        CHECK(name, !t.fetch.job);
    }
    end(&t);
}

static void test_size_limit(void **state)
{
    (void)state;
    struct trial t;
    begin(&t);
    t.call.max_bytes = BIG_BODY;
    get(&t, "/big");
    assert_int_equal(t.reply.kind, REPLY_HTTP);
    assert_int_equal(strlen(t.body), BIG_BODY);
    t.call.max_bytes = BIG_BODY - 1;
    get(&t, "/big");
    assert_int_equal(t.reply.kind, REPLY_TOO_LARGE);
    assert_int_equal(strlen(t.body), 0);
    end(&t);
}

static void test_requests(void **state)
{
    (void)state;
    struct trial t;
    begin(&t);
    call_header(&t.call, "X-One", STR("first"));
    call_header(&t.call, "X-Empty", STR(""));
    get(&t, "/ok?a=b/../c");
    assert_true(asked("GET /ok?a=b/../c HTTP/1.1\r\n"));
    assert_true(asked("\r\nX-One: first\r\n"));
    assert_true(asked("\r\nX-Empty:\r\n"));
    assert_false(asked("X-Forwarded-For"));
    get(&t, "/a/../ok");
    assert_true(asked("GET /a/../ok HTTP/1.1\r\n"));

    call_reset(&t.call);
    t.call.method = "PUT";
    get(&t, "/ok");
    assert_true(asked("PUT /ok HTTP/1.1\r\n"));
    assert_true(asked("Content-Length: 0\r\n"));
    assert_false(asked("Content-Type"));
    assert_false(asked("X-One"));

    call_reset(&t.call);
    t.call.method = "POST";
    buf_lit(&t.call.body, "Action=x");
    call_header(&t.call, "Content-Type", STR("application/x-www-form-urlencoded"));
    get(&t, "/ok");
    assert_true(asked("POST /ok HTTP/1.1\r\n"));
    assert_true(asked("Content-Length: 8\r\n"));
    assert_true(asked("Content-Type: application/x-www-form-urlencoded\r\n"));
    assert_true(asked("\r\n\r\nAction=x"));
    assert_false(asked("Expect"));

    call_reset(&t.call);
    t.call.method = "HEAD";
    get(&t, "/big");
    assert_true(asked("HEAD /big HTTP/1.1\r\n"));
    assert_int_equal(t.reply.http, 200);
    assert_int_equal(t.reply.content_length, BIG_BODY);
    end(&t);
}

static void test_refused_calls(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct str value;
    } rows[] = {
        { "line feed", STR_INIT("a\nX: b") },
        { "carriage return", STR_INIT("a\rb") },
        { "NUL", STR_INIT("a\0b") },
    };
    struct trial t;
    begin(&t);
    const int before = requests();
    for (size_t i = 0; i < ROWS(rows); i++) {
        call_reset(&t.call);
        set_url(&t.call, "127.0.0.1", "/ok");
        call_header(&t.call, "X-Value", rows[i].value);
        CHECK_EQ(rows[i].name, buf_check(&t.call.headers), ST_INVALID);
        CHECK_EQ(rows[i].name, fetch_start(t.fetcher, &t.fetch, &t.call), ST_INVALID);
        CHECK(rows[i].name, !t.fetch.job);
    }
    call_reset(&t.call);
    assert_int_equal(fetch_start(t.fetcher, &t.fetch, &t.call), ST_INVALID); /* no URL */
    set_url(&t.call, "127.0.0.1", "/ok");
    buf_str(&t.call.url, (struct str){ "\0x", 2 });
    assert_int_equal(fetch_start(t.fetcher, &t.fetch, &t.call), ST_INVALID);
    assert_int_equal(requests(), before);
    end(&t);
}

static void test_bad_urls(void **state)
{
    (void)state;
    static const char *const urls[] = { "file:///etc/passwd", "ftp://127.0.0.1/x",
                                        "http://a:b@127.0.0.1/", "http://",
                                        "http://unknown.test/" };
    struct trial t;
    begin(&t);
    for (size_t i = 0; i < ROWS(urls); i++) {
        buf_reset(&t.call.url);
        buf_str(&t.call.url, str_from(urls[i]));
        ask(&t);
        CHECK_EQ(urls[i], t.reply.kind, REPLY_UNREACHABLE);
        CHECK(urls[i], t.why[0] != '\0');
    }
    end(&t);
}

static void test_address_rules(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        enum call_hosts hosts;
        enum reply_kind want;
    } rows[] = {
        { "127.0.0.1", CALL_HOSTS_LOOPBACK, REPLY_HTTP },
        { "local.test", CALL_HOSTS_LOOPBACK, REPLY_HTTP },
        { "local.test", CALL_HOSTS_CONTAINER, REPLY_HTTP },
        { "local.test", CALL_HOSTS_METADATA, REPLY_HTTP },
        { "public.test", CALL_HOSTS_LOOPBACK, REPLY_FORBIDDEN },
        { "public.test", CALL_HOSTS_CONTAINER, REPLY_FORBIDDEN },
        { "imds.test", CALL_HOSTS_CONTAINER, REPLY_FORBIDDEN },
        { "169.254.169.254", CALL_HOSTS_CONTAINER, REPLY_FORBIDDEN },
        { "169.254.170.2", CALL_HOSTS_LOOPBACK, REPLY_FORBIDDEN },
        { "[::ffff:203.0.113.9]", CALL_HOSTS_CONTAINER, REPLY_FORBIDDEN },
        { "[fd00:ec2::23]", CALL_HOSTS_LOOPBACK, REPLY_FORBIDDEN },
    };
    struct trial t;
    begin(&t);
    for (size_t i = 0; i < ROWS(rows); i++) {
        t.call.hosts = rows[i].hosts;
        set_url(&t.call, rows[i].host, "/ok");
        ask(&t);
        CHECK_EQ(rows[i].host, t.reply.kind, rows[i].want);
    }
    end(&t);
}

/* A connection made without a rule must not serve a call with one. */
static void test_reuse(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum call_hosts hosts;
        int fresh;
    } rows[] = {
        { "first", CALL_HOSTS_ANY, 1 },
        { "kept", CALL_HOSTS_ANY, 0 },
        { "with a rule", CALL_HOSTS_LOOPBACK, 1 },
        { "rule again", CALL_HOSTS_LOOPBACK, 1 },
        { "metadata", CALL_HOSTS_METADATA, 1 },
        { "kept still", CALL_HOSTS_ANY, 0 },
    };
    struct trial t;
    begin(&t);
    call_header(&t.call, "X-Keep", STR("1"));
    for (size_t i = 0; i < ROWS(rows); i++) {
        const int before = connections();
        t.call.hosts = rows[i].hosts;
        get(&t, "/ok");
        CHECK_EQ(rows[i].name, t.reply.http, 200);
        CHECK_EQ(rows[i].name, connections() - before, rows[i].fresh);
    }
    end(&t);
}

static void test_proxy(void **state)
{
    (void)state;
    char proxy[64];
    snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", server.port);
    setenv("http_proxy", proxy, 1);
    struct trial t;
    begin(&t);
    t.call.hosts = CALL_HOSTS_METADATA;
    set_url(&t.call, "local.test", "/ok");
    ask(&t);
    assert_int_equal(t.reply.http, 200);
    assert_true(asked("GET /ok HTTP/1.1")); /* straight: a proxy would see the whole URL */

    t.call.hosts = CALL_HOSTS_ANY;
    buf_reset(&t.call.url);
    buf_lit(&t.call.url, "http://behind.test/ok");
    ask(&t);
    assert_int_equal(t.reply.kind, REPLY_HTTP);
    assert_true(asked("GET http://behind.test/ok HTTP/1.1"));
    unsetenv("http_proxy");
    end(&t);
}

static void test_unreachable(void **state)
{
    (void)state;
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(in);
    const int fd = socket(AF_INET, SOCK_STREAM, 0); /* bound, never listening */
    assert_int_equal(bind(fd, (const struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);

    struct trial t;
    begin(&t);
    buf_lit(&t.call.url, "http://127.0.0.1:");
    buf_int(&t.call.url, ntohs(in.sin_port));
    ask(&t);
    assert_int_equal(t.reply.kind, REPLY_UNREACHABLE);
    assert_true(strlen(t.why) > 0);
    close(fd);

    /* TLS towards somebody who does not speak it */
    buf_reset(&t.call.url);
    buf_lit(&t.call.url, "https://127.0.0.1:");
    buf_int(&t.call.url, server.port);
    t.call.total_ms = 300;
    ask(&t);
    assert_true(t.reply.kind == REPLY_UNREACHABLE || t.reply.kind == REPLY_TIMEOUT);
    end(&t);
}

static void test_deadline(void **state)
{
    (void)state;
    struct trial t;
    begin(&t);
    t.call.total_ms = 80;
    const int64_t from_us = loop_clock_us();
    get(&t, "/hang");
    const int64_t took_ms = (loop_clock_us() - from_us) / 1000;
    assert_int_equal(t.reply.kind, REPLY_TIMEOUT);
    CHECK_TEXT("why", str_from(t.why), "no answer within 80 ms");
    assert_true(took_ms >= 79 && took_ms < LIMIT_MS / 2);
    end(&t);
}

static void test_hanging_lookup(void **state)
{
    (void)state;
    struct trial t;
    begin(&t);
    pthread_mutex_lock(&lookup_lock);
    lookups_hang = true;
    pthread_mutex_unlock(&lookup_lock);
    t.call.total_ms = 100;
    set_url(&t.call, "slow.test", "/ok");
    ask(&t); /* would never end if the loop waited for the lookup */
    assert_int_equal(t.reply.kind, REPLY_TIMEOUT);
    t.call.total_ms = LIMIT_MS;
    get(&t, "/ok");
    assert_int_equal(t.reply.http, 200);

    set_url(&t.call, "slow.test", "/ok");
    assert_int_equal(fetch_start(t.fetcher, &t.fetch, &t.call), ST_OK);
    loop_turn(t.loop, 10);
    fetch_cancel(&t.fetch);
    end(&t);
    pthread_mutex_lock(&lookup_lock);
    lookups_hang = false;
    pthread_cond_broadcast(&lookup_changed);
    while (lookups_hanging)
        pthread_cond_wait(&lookup_changed, &lookup_lock);
    pthread_mutex_unlock(&lookup_lock);
}

static void test_next_from_done(void **state)
{
    (void)state;
    struct trial t;
    begin(&t);
    t.then = "/404";
    set_url(&t.call, "127.0.0.1", "/ok");
    assert_int_equal(fetch_start(t.fetcher, &t.fetch, &t.call), ST_OK);
    run(&t, 2);
    assert_int_equal(t.reply.http, 404);
    end(&t);
}

static void test_cancel(void **state)
{
    (void)state;
    struct trial t;
    begin(&t);
    fetch_cancel(&t.fetch); /* idle */
    const int before = requests();
    set_url(&t.call, "127.0.0.1", "/hang");
    assert_int_equal(fetch_start(t.fetcher, &t.fetch, &t.call), ST_OK);
    const int64_t until_ms = loop_now_ms(t.loop) + LIMIT_MS;
    while (requests() == before && loop_now_ms(t.loop) < until_ms)
        loop_turn(t.loop, 10);
    fetch_cancel(&t.fetch);
    assert_null(t.fetch.job);
    get(&t, "/ok"); /* the same fetch is free for the next call */
    assert_int_equal(t.reply.http, 200);
    assert_int_equal(t.done, 1);

    struct fetch second = { .done = on_done };
    set_url(&t.call, "127.0.0.1", "/hang");
    assert_int_equal(fetch_start(t.fetcher, &t.fetch, &t.call), ST_OK);
    assert_int_equal(fetch_start(t.fetcher, &second, &t.call), ST_OK);
    loop_turn(t.loop, 10);
    end(&t); /* cancels both without done */
    assert_int_equal(t.done, 1);
    assert_null(second.job);
}

/* files */

static void file_call(struct trial *t, const char *path)
{
    t->call.method = "FILE";
    buf_reset(&t->call.url);
    buf_str(&t->call.url, str_from(path));
}

static void test_files(void **state)
{
    (void)state;
    char folder[] = "/tmp/test_fetch.XXXXXX";
    assert_non_null(mkdtemp(folder));
    char path[64], fifo[64];
    snprintf(path, sizeof(path), "%s/token", folder);
    snprintf(fifo, sizeof(fifo), "%s/fifo", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("a token\n", f);
    fclose(f);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    const struct {
        const char *name, *path;
        size_t max_bytes;
        enum reply_kind kind;
        int http;
        const char *body;
    } rows[] = {
        { "there", path, 64, REPLY_HTTP, 200, "a token\n" },
        { "just fits", path, 8, REPLY_HTTP, 200, "a token\n" },
        { "too large", path, 7, REPLY_TOO_LARGE, 0, "" },
        { "empty", "/dev/null", 64, REPLY_UNREACHABLE, 0, "" },
        { "endless", "/dev/zero", 64, REPLY_UNREACHABLE, 0, "" },
        { "missing", "/tmp/test_fetch.there/is/none", 64, REPLY_HTTP, 404, "" },
        { "a folder", folder, 64, REPLY_UNREACHABLE, 0, "" },
        { "a FIFO", fifo, 64, REPLY_UNREACHABLE, 0, "" },
    };
    struct trial t;
    begin(&t);
    for (size_t i = 0; i < ROWS(rows); i++) {
        file_call(&t, rows[i].path);
        t.call.max_bytes = rows[i].max_bytes;
        ask(&t);
        CHECK_EQ(rows[i].name, t.reply.kind, rows[i].kind);
        CHECK_EQ(rows[i].name, t.reply.http, rows[i].http);
        CHECK_BYTES(rows[i].name, t.body, strlen(t.body), rows[i].body, strlen(rows[i].body));
        CHECK(rows[i].name, (t.why[0] == '\0') == (rows[i].kind == REPLY_HTTP));
    }
    end(&t);
    unlink(path);
    unlink(fifo);
    rmdir(folder);
}

static void test_file_cancelled(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct trial t;
        begin(&t);
        file_call(&t, "/etc/passwd");
        assert_int_equal(fetch_start(t.fetcher, &t.fetch, &t.call), ST_OK);
        if (i % 2)
            loop_turn(t.loop, i % 3);
        fetch_cancel(&t.fetch);
        end(&t); /* the loop may go before the thread has read */
        assert_true(t.done <= 1);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_answers),        cmocka_unit_test(test_size_limit),
    cmocka_unit_test(test_requests),       cmocka_unit_test(test_refused_calls),
    cmocka_unit_test(test_bad_urls),       cmocka_unit_test(test_address_rules),
    cmocka_unit_test(test_reuse),          cmocka_unit_test(test_proxy),
    cmocka_unit_test(test_unreachable),    cmocka_unit_test(test_deadline),
    cmocka_unit_test(test_hanging_lookup), cmocka_unit_test(test_next_from_done),
    cmocka_unit_test(test_cancel),         cmocka_unit_test(test_files),
    cmocka_unit_test(test_file_cancelled),
};

int main(void)
{
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
