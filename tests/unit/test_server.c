/* The server over sockets: steps, bodies, waiting, deadlines, CORS, refusals, the end. */
#include "wire.h"

#define H    "Host: a\r\n"
#define JSON "Content-Type: application/json\r\n"

/* ---- routes ------------------------------------------------------------------------------------- */

struct state {
    struct request r;
    int steps;
};

static struct request *waiter; /* the last one that waits */
static int ends, sent, wakes_seen;

static void on_end(struct request *r, bool answer_was_sent)
{
    if (r == waiter)
        waiter = NULL;
    ends++;
    sent += answer_was_sent;
}

static void reset_counts(void)
{
    waiter = NULL;
    ends = sent = wakes_seen = 0;
}

static enum step say_hello(struct request *r)
{
    buf_lit(&r->out, "{\"hello\":true}");
    if (request_query(r, STR("text")).ptr)
        r->out_type = "text/plain";
    if (request_query(r, STR("twice")).ptr) { /* beside the one that every answer has */
        request_header(r, "Cache-Control", STR("private"));
        request_header(r, "X-Twice", STR("1"));
        request_header(r, "X-Twice", STR("2"));
    }
    return request_answer(r, 200);
}

/* Bytes that nobody copies, and that stay out of a refusal. */
static enum step say_static(struct request *r)
{
    r->out_static = STR("{}");
    r->out_cache = "no-cache";
    if (request_query(r, STR("refuse")).ptr)
        return request_refuse(r, ST_OVERLOADED);
    return request_answer(r, 200);
}

static enum step echo(struct request *r)
{
    buf_str(&r->out, r->body);
    request_header(r, "Location", STR("/v1/things/1"));
    return request_answer(r, 201);
}

static enum step say_length(struct request *r)
{
    buf_int(&r->out, (int64_t)r->body.len);
    return request_answer(r, 200);
}

static enum step no_token(struct request *r)
{
    fault_set(&r->fault, ST_INVALID_TOKEN, STR("the signature is wrong"));
    fault_str(&r->fault, "hint", STR("never shown"));
    r->fault.log_reason = STR("signature");
    return request_refuse(r, ST_INVALID_TOKEN);
}

static enum step missing_token(struct request *r)
{
    return request_refuse(r, ST_MISSING_TOKEN);
}

static enum step busy(struct request *r)
{
    fault_set(&r->fault, ST_RATE_LIMITED, STR("Slower."));
    fault_int(&r->fault, "limit", 5);
    r->fault.retry_after_s = 7;
    return request_refuse(r, ST_RATE_LIMITED);
}

static enum step nothing(struct request *r)
{
    return request_answer(r, 204);
}

static enum step too_much(struct request *r)
{
    static const char block[65536];
    for (int i = 0; i < 200; i++)
        buf_str(&r->out, (struct str){ block, sizeof(block) });
    return request_answer(r, 200);
}

static enum step say_id(struct request *r)
{
    buf_str(&r->out, r->path_id);
    buf_lit(&r->out, " ");
    struct str verbose = request_query(r, STR("verbose"));
    buf_str(&r->out, verbose.ptr ? verbose : STR("(absent)"));
    return request_answer(r, 200);
}

/* Waits until woken twice, or until its deadline. */
static enum step wait_twice(struct request *r)
{
    struct state *s = container_of(r, struct state, r);
    if (r->timed_out)
        return request_refuse(r, ST_KEYS_UNAVAILABLE);
    if (s->steps++ < 2) {
        waiter = r;
        return request_wait(r, loop_now_ms(request_loop(r)) + 60000);
    }
    wakes_seen++;
    return STEP_ON;
}

static enum step wait_briefly(struct request *r)
{
    if (r->timed_out)
        return request_refuse(r, ST_KEYS_UNAVAILABLE);
    waiter = r;
    return request_wait(r, loop_now_ms(request_loop(r)) + 20);
}

/* What it waits for is there before it has said that it waits. */
static enum step wake_at_once(struct request *r)
{
    struct state *s = container_of(r, struct state, r);
    if (s->steps++ > 0)
        return STEP_ON;
    request_wake(r);
    const enum step step = request_wait(r, loop_now_ms(request_loop(r)) + 60000);
    request_wake(r);
    request_wake(r);
    return step;
}

static step_fn *const hello_steps[] = { say_hello, NULL };
static step_fn *const static_steps[] = { say_static, NULL };
static step_fn *const echo_steps[] = { request_wants_json, request_read_body, echo, NULL };
static step_fn *const length_steps[] = { request_read_body, say_length, NULL };
static step_fn *const token_steps[] = { no_token, request_read_body, echo, NULL };
static step_fn *const missing_steps[] = { missing_token, NULL };
static step_fn *const busy_steps[] = { busy, NULL };
static step_fn *const nothing_steps[] = { nothing, NULL };
static step_fn *const much_steps[] = { too_much, NULL };
static step_fn *const id_steps[] = { say_id, NULL };
static step_fn *const wait_steps[] = { wait_twice, say_hello, NULL };
static step_fn *const brief_steps[] = { wait_briefly, say_hello, NULL };
static step_fn *const at_once_steps[] = { wake_at_once, say_hello, NULL };
static step_fn *const wait_body_steps[] = { wait_twice, request_read_body, echo, NULL };
static step_fn *const body_wait_steps[] = { request_read_body, wait_twice, echo, NULL };

#define ROUTE(m, p, s, f)                                           \
    {                                                               \
        m, STR_INIT(p), s, sizeof(struct state), f, p, on_end, NULL \
    }
/* clang-format off */
static const struct route routes[] = {
    ROUTE(HTTP_GET,    "/hello",           hello_steps,     0),
    ROUTE(HTTP_POST,   "/echo",            echo_steps,      0),
    ROUTE(HTTP_POST,   "/length",          length_steps,    0),
    ROUTE(HTTP_POST,   "/token",           token_steps,     0),
    ROUTE(HTTP_GET,    "/missing",         missing_steps,   0),
    ROUTE(HTTP_GET,    "/busy",            busy_steps,      0),
    ROUTE(HTTP_DELETE, "/things/{id}",     nothing_steps,   0),
    ROUTE(HTTP_GET,    "/things/{id}/see", id_steps,        0),
    ROUTE(HTTP_GET,    "/much",            much_steps,      0),
    ROUTE(HTTP_GET,    "/wait",            wait_steps,      0),
    ROUTE(HTTP_GET,    "/brief",           brief_steps,     0),
    ROUTE(HTTP_GET,    "/at_once",         at_once_steps,   0),
    ROUTE(HTTP_POST,   "/wait_body",       wait_body_steps, 0),
    ROUTE(HTTP_POST,   "/body_wait",       body_wait_steps, 0),
    ROUTE(HTTP_GET,    "/livez",           hello_steps,     ROUTE_PROBE),
    ROUTE(HTTP_GET,    "/static",          static_steps,    0),
    ROUTE(HTTP_GET,    "/page",            hello_steps,     ROUTE_OPEN),
};
/* clang-format on */

static struct wire *started(void)
{
    struct wire *w = wire_new();
    reset_counts();
    wire_start(w, routes, ROWS(routes), false);
    return w;
}

static int ask(struct client *c, const char *name, const char *text)
{
    client_text(c, text);
    return client_answer(c, name);
}

/* ---- one request each --------------------------------------------------------------------------- */

#define LINE_OF(n) "Content-Length: " #n "\r\n"

/* clang-format off */
static const struct {
    const char *name, *in;
    int want;
    const char *header; /* a line of the answer's header */
    const char *body;   /* part of the answer's body */
} one[] = {
    { "GET",             "GET /hello HTTP/1.1\r\n" H "\r\n", 200, "Content-Type: application/json", "{\"hello\":true}" },
    { "no-store",        "GET /hello HTTP/1.1\r\n" H "\r\n", 200, "Cache-Control: no-store", "{" },
    { "nosniff",         "GET /hello HTTP/1.1\r\n" H "\r\n", 200, "X-Content-Type-Options: nosniff", "{" },
    { "static",          "GET /static HTTP/1.1\r\n" H "\r\n", 200, "Content-Length: 2", "{}" },
    { "own cache rule",  "GET /static HTTP/1.1\r\n" H "\r\n", 200, "Cache-Control: no-cache", "{}" },
    { "refused static",  "GET /static?refuse HTTP/1.1\r\n" H "\r\n", 503, "Cache-Control: no-store", "overloaded" },
    { "vary",            "GET /hello HTTP/1.1\r\n" H "\r\n", 200, "Vary: Origin", "{" },
    { "correlation",     "GET /hello HTTP/1.1\r\n" H "X-Request-Id: a.B-1_\r\n\r\n", 200, "X-Correlation-Id: a.B-1_", "{" },
    { "correlation on refusal", "GET /none HTTP/1.1\r\n" H "X-Request-Id: a\r\n\r\n", 404, "X-Correlation-Id: a", "not_found" },
    { "POST",            "POST /echo HTTP/1.1\r\n" H JSON LINE_OF(2) "\r\n{}", 201, "Location: /v1/things/1", "{}" },
    { "POST in chunks",  "POST /echo HTTP/1.1\r\n" H JSON "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", 201, NULL, "{}" },
    { "empty body",      "POST /length HTTP/1.1\r\n" H LINE_OF(0) "\r\n", 200, NULL, "0" },
    { "empty in chunks", "POST /length HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, NULL, "0" },
    { "charset",         "POST /echo HTTP/1.1\r\n" H "Content-Type: Application/JSON ; charset=UTF-8\r\n" LINE_OF(2) "\r\n{}", 201, NULL, "{}" },
    { "charset quoted",  "POST /echo HTTP/1.1\r\n" H "Content-Type: application/json;charset=\"utf-8\"\r\n" LINE_OF(2) "\r\n{}", 201, NULL, "{}" },
    { "204",             "DELETE /things/7 HTTP/1.1\r\n" H "\r\n", 204, NULL, NULL },
    { "id and query",    "GET /things/7/see?a=b&verbose=1&verbose=2 HTTP/1.1\r\n" H "\r\n", 200, NULL, "7 1" },
    { "query without value", "GET /things/7/see?verbose HTTP/1.1\r\n" H "\r\n", 200, NULL, "7 " },
    { "query absent",    "GET /things/%2F/see?verboser=1 HTTP/1.1\r\n" H "\r\n", 200, NULL, "%2F (absent)" },
    { "wakes at once",   "GET /at_once HTTP/1.1\r\n" H "\r\n", 200, NULL, "hello" },
    { "waits in vain",   "GET /brief HTTP/1.1\r\n" H "\r\n", 503, "Retry-After: 1", "\"code\":\"keys_unavailable\"" },
    { "unknown path",    "GET /nothing HTTP/1.1\r\n" H "\r\n", 404, "Content-Type: application/problem+json", "\"code\":\"not_found\"" },
    { "unknown method",  "PUT /hello HTTP/1.1\r\n" H LINE_OF(2) "\r\n{}", 405, "Allow: GET, HEAD", "\"code\":\"method_not_allowed\"" },
    { "wrong method",    "GET /echo HTTP/1.1\r\n" H "\r\n", 405, "Allow: POST", "\"code\":\"method_not_allowed\"" },
    { "plain OPTIONS",   "OPTIONS /echo HTTP/1.1\r\n" H "\r\n", 405, "Allow: POST", "method_not_allowed" },
    { "no length",       "POST /echo HTTP/1.1\r\n" H JSON "\r\n", 411, NULL, "\"code\":\"length_required\"" },
    { "no type",         "POST /echo HTTP/1.1\r\n" H LINE_OF(2) "\r\n{}", 415, NULL, "\"code\":\"unsupported_media_type\"" },
    { "another type",    "POST /echo HTTP/1.1\r\n" H "Content-Type: text/plain\r\n" LINE_OF(2) "\r\n{}", 415, NULL, "unsupported_media_type" },
    { "longer type",     "POST /echo HTTP/1.1\r\n" H "Content-Type: application/jsonp\r\n" LINE_OF(2) "\r\n{}", 415, NULL, "unsupported_media_type" },
    { "type before length", "POST /echo HTTP/1.1\r\n" H "\r\n", 415, NULL, "unsupported_media_type" },
    { "charset latin1",  "POST /echo HTTP/1.1\r\n" H "Content-Type: application/json; charset=iso-8859-1\r\n" LINE_OF(2) "\r\n{}", 415, NULL, "unsupported_media_type" },
    { "charset empty",   "POST /echo HTTP/1.1\r\n" H "Content-Type: application/json; charset=\r\n" LINE_OF(2) "\r\n{}", 415, NULL, "unsupported_media_type" },
    { "too long",        "POST /echo HTTP/1.1\r\n" H JSON LINE_OF(4097) "\r\n", 413, NULL, "\"code\":\"body_too_large\"" },
    { "far too long",    "POST /echo HTTP/1.1\r\n" H JSON LINE_OF(9223372036854775807) "\r\n", 413, "Connection: close", "body_too_large" },
    { "too long, waits", "POST /echo HTTP/1.1\r\n" H JSON "Expect: 100-continue\r\n" LINE_OF(5000) "\r\n", 413, "Connection: close", "body_too_large" },
    { "no token",        "GET /missing HTTP/1.1\r\n" H "\r\n", 401, "WWW-Authenticate: Bearer realm=\"presignd\"", "\"code\":\"missing_token\"" },
    { "bad token",       "POST /token HTTP/1.1\r\n" H LINE_OF(2) "\r\n{}", 401, "WWW-Authenticate: Bearer realm=\"presignd\", error=\"invalid_token\"", "\"code\":\"invalid_token\"" },
    { "retry",           "GET /busy HTTP/1.1\r\n" H "\r\n", 429, "Retry-After: 7", "\"limit\":5" },
    { "answer too long", "GET /much HTTP/1.1\r\n" H "\r\n", 500, "Content-Type: application/problem+json", "\"code\":\"internal_error\"" },
};
/* clang-format on */

static void test_one(void **state)
{
    (void)state;
    struct wire *w = started();
    for (size_t i = 0; i < ROWS(one); i++) {
        const char *name = one[i].name;
        struct client *c = client_new(w);
        const bool short_body = one[i].want == 413 && !strstr(one[i].in, "close");
        if (short_body && strstr(one[i].in, "4097")) { /* small enough to be read and dropped */
            static char body[4098];
            memset(body, 'x', 4097);
            client_text(c, one[i].in);
            CHECK_EQ(name, ask(c, name, body), one[i].want);
        } else {
            CHECK_EQ(name, ask(c, name, one[i].in), one[i].want);
        }
        if (one[i].header)
            CHECK(name, answer_has(c, one[i].header));
        if (one[i].body)
            CHECK(name, body_has(c, one[i].body));
        CHECK_EQ(name, answer_header(c, "X-Request-Id").len, 36);
        CHECK(name, answer_has_name(c, "Date"));
        if (one[i].want >= 400)
            CHECK(name, memmem(answer_body(c).ptr, answer_body(c).len,
                               answer_header(c, "X-Request-Id").ptr, 36) != NULL);
        client_free(c);
    }
    wire_stop(w);
}

/* The library's own words must not show what we keep to ourselves. */
static void test_bad_token_tells_nothing(void **state)
{
    (void)state;
    struct wire *w = started();
    struct client *c = client_new(w);
    assert_int_equal(ask(c, "bad token", "POST /token HTTP/1.1\r\n" H LINE_OF(2) "\r\n{}"), 401);
    assert_false(body_has(c, "signature"));
    assert_false(body_has(c, "hint"));
    client_free(c);
    wire_stop(w);
}

static void test_correlation_refused(void **state)
{
    (void)state;
    static const char longer[] = "0123456789012345678901234567890123456789012345678901234567890"
                                 "1234";
    static const char *const bad[] = { "", "a b", "a,b", "\xc3\xa9", "<a>", "a/b", longer };
    struct wire *w = started();
    for (size_t i = 0; i < ROWS(bad); i++) {
        struct client *c = client_new(w);
        client_text(c, "GET /hello HTTP/1.1\r\n" H "X-Request-Id: ");
        client_text(c, bad[i]);
        CHECK_EQ(bad[i], ask(c, bad[i], "\r\n\r\n"), 200);
        CHECK(bad[i], !answer_has_name(c, "X-Correlation-Id"));
        client_free(c);
    }
    wire_stop(w);
}

/* ---- connections -------------------------------------------------------------------------------- */

static void test_head(void **state)
{
    (void)state;
    struct wire *w = started();
    struct client *c = client_new(w);
    client_text(c, "HEAD /hello HTTP/1.1\r\n" H "\r\n");
    assert_int_equal(client_answer_kind(c, "HEAD", true), 200);
    assert_true(answer_has(c, "Content-Length: 128"));
    client_next(c, true);
    assert_int_equal(c->len, 0);
    assert_int_equal(ask(c, "GET after HEAD", "GET /hello HTTP/1.1\r\n" H "\r\n"), 200);
    client_free(c);
    wire_stop(w);
}

static void test_keep_alive_and_pipeline(void **state)
{
    (void)state;
    static const char three[] =
        "GET /hello HTTP/1.1\r\n" H "\r\n"
        "POST /echo HTTP/1.1\r\n" H JSON LINE_OF(7) "\r\n{\"a\":1}"
                                                    "GET /nothing HTTP/1.1\r\n" H "\r\n";
    static const int want[] = { 200, 201, 404 };
    struct wire *w = started();
    struct client *c = client_new(w);
    for (int round = 0; round < 50; round++) {
        client_text(c, three);
        for (size_t i = 0; i < ROWS(want); i++) {
            CHECK_EQ("pipelined", client_answer(c, "pipelined"), want[i]);
            client_next(c, false);
        }
    }
    assert_int_equal(w->server.open_connections, 1);
    assert_int_equal(ends, 100);
    assert_int_equal(sent, 100);
    client_free(c);
    wire_stop(w);
}

/* A small refused body is read and dropped, and the next request on the connection is served. */
static void test_connection_survives_refusals(void **state)
{
    (void)state;
    static char big[20001];
    memset(big, 'x', 16384);
    struct wire *w = started();
    struct client *c = client_new(w);
    client_text(c, "POST /token HTTP/1.1\r\n" H LINE_OF(16384) "\r\n");
    client_text(c, big);
    client_text(c, "GET /hello HTTP/1.1\r\n" H "\r\n");
    assert_int_equal(client_answer(c, "refused"), 401);
    assert_false(answer_has(c, "Connection: close"));
    client_next(c, false);
    assert_int_equal(client_answer(c, "next"), 200);
    client_next(c, false);

    client_text(c, "POST /token HTTP/1.1\r\n" H "Content-Length: 16385\r\n\r\n");
    assert_int_equal(client_answer(c, "too much to drop"), 401);
    assert_true(answer_has(c, "Connection: close"));
    client_expect_closed(c, "too much to drop");
    client_free(c);

    c = client_new(w);
    assert_int_equal(ask(c, "waits for 100",
                         "POST /token HTTP/1.1\r\n" H "Expect: 100-continue\r\n" LINE_OF(2) "\r\n"),
                     401);
    client_expect_closed(c, "waits for 100");
    client_free(c);
    wire_stop(w);
}

static void test_continue(void **state)
{
    (void)state;
    struct wire *w = started();
    struct client *c = client_new(w);
    client_text(c, "POST /echo HTTP/1.1\r\n" H JSON "Expect: 100-continue\r\n" LINE_OF(2) "\r\n");
    assert_int_equal(client_answer_kind(c, "continue", true), 100);
    client_next(c, true);
    assert_int_equal(ask(c, "the rest", "{}"), 201);
    client_free(c);
    wire_stop(w);
}

/* Behind chunks that the library judges leniently nothing is read; elsewhere the connection stays. */
static struct client *after_chunks(struct wire *w, struct client *c)
{
    client_next(c, false);
    if (MHD_VERSION >= 0x01000000)
        return c;
    client_expect_closed(c, "lenient chunks");
    client_free(c);
    return client_new(w);
}

static void test_chunked_too_long(void **state)
{
    (void)state;
    static char chunk[4096 + 16];
    struct wire *w = started();
    memset(chunk, 'x', sizeof(chunk));
    struct client *c = client_new(w);
    client_text(c, "POST /length HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1000\r\n");
    client_send(c, chunk, 4096);
    assert_int_equal(ask(c, "at the limit", "\r\n0\r\n\r\n"), 200);
    assert_true(body_has(c, "4096"));
    c = after_chunks(w, c);

    client_text(c, "POST /length HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1001\r\n");
    client_send(c, chunk, 4097);
    assert_int_equal(ask(c, "over the limit", "\r\n0\r\n\r\n"), 413);
    c = after_chunks(w, c);
    assert_int_equal(ask(c, "goes on", "GET /hello HTTP/1.1\r\n" H "\r\n"), 200);
    client_next(c, false);

    /* without an end */
    client_text(c, "POST /length HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 2000 && !gone(c); i++) {
        client_text(c, "1000\r\n");
        client_send(c, chunk, 4096);
        client_text(c, "\r\n");
    }
    client_expect_closed(c, "endless");
    client_free(c);
    wire_stop(w);
}

static void test_http_1_0(void **state)
{
    (void)state;
    struct wire *w = started();
    struct client *c = client_new(w);
    assert_int_equal(ask(c, "closes", "GET /hello HTTP/1.0\r\n\r\n"), 200);
    client_expect_closed(c, "closes");
    client_free(c);
    c = client_new(w);
    assert_int_equal(ask(c, "asks", "GET /hello HTTP/1.1\r\n" H "Connection: close\r\n\r\n"), 200);
    client_expect_closed(c, "asks");
    client_free(c);
    wire_stop(w);
}

/* The other clients stand in the kernel's queue until there is room. */
static void test_connection_limit(void **state)
{
    (void)state;
    struct wire *w = wire_new();
    w->config.connections = 2;
    reset_counts();
    wire_start(w, routes, ROWS(routes), false);
    struct client *c[3];
    for (size_t i = 0; i < 3; i++) {
        c[i] = client_new(w);
        client_text(c[i], "GET /hello HTTP/1.1\r\n" H "\r\n");
    }
    assert_int_equal(client_answer(c[0], "first"), 200);
    assert_int_equal(client_answer(c[1], "second"), 200);
    for (int i = 0; i < 5; i++)
        loop_turn(w->loop, 1);
    client_receive(c[2]);
    assert_int_equal(c[2]->len, 0);
    client_free(c[0]);
    assert_int_equal(client_answer(c[2], "third"), 200);
    client_free(c[1]);
    client_free(c[2]);
    wire_stop(w);
}

/* ---- CORS --------------------------------------------------------------------------------------- */

static const struct str origins[] = { STR_INIT("https://app.example.com") };

#define GOOD      "Origin: https://app.example.com\r\n"
#define EVIL      "Origin: https://evil.net\r\n"
#define PREFLIGHT "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x\r\n"

/* clang-format off */
static const struct {
    const char *name, *in;
    int want;
    bool cors, vary;
} cross[] = {
    { "allowed",                "GET /hello HTTP/1.1\r\n" H GOOD "\r\n",                200, true,  true  },
    { "allowed, refused",       "GET /missing HTTP/1.1\r\n" H GOOD "\r\n",              401, true,  true  },
    { "allowed, no such path",  "GET /nothing HTTP/1.1\r\n" H GOOD "\r\n",              404, true,  true  },
    { "allowed, wrong method",  "DELETE /hello HTTP/1.1\r\n" H GOOD "\r\n",             405, true,  true  },
    { "none",                   "GET /hello HTTP/1.1\r\n" H "\r\n",                     200, false, true  },
    { "stranger",               "GET /hello HTTP/1.1\r\n" H EVIL "\r\n",                200, false, true  },
    { "null",                   "GET /hello HTTP/1.1\r\n" H "Origin: null\r\n\r\n",     200, false, true  },
    { "probe",                  "GET /livez HTTP/1.1\r\n" H GOOD "\r\n",                200, false, false },
    { "preflight",              "OPTIONS /echo HTTP/1.1\r\n" H GOOD PREFLIGHT "\r\n",   204, true,  true  },
    { "preflight of stranger",  "OPTIONS /echo HTTP/1.1\r\n" H EVIL PREFLIGHT "\r\n",   204, false, true  },
    { "preflight, other method", "OPTIONS /hello HTTP/1.1\r\n" H GOOD PREFLIGHT "\r\n", 204, true,  true  },
    { "preflight, no such path", "OPTIONS /nothing HTTP/1.1\r\n" H GOOD PREFLIGHT "\r\n", 404, true, true },
    { "preflight, no method",   "OPTIONS /echo HTTP/1.1\r\n" H GOOD "\r\n",             405, true,  true  },
    { "preflight, no origin",   "OPTIONS /echo HTTP/1.1\r\n" H PREFLIGHT "\r\n",        405, false, true  },
    { "preflight of probe",     "OPTIONS /livez HTTP/1.1\r\n" H GOOD PREFLIGHT "\r\n",  405, false, false },
};
/* clang-format on */

static void test_cors(void **state)
{
    (void)state;
    struct wire *w = wire_new();
    reset_counts();
    w->config.cors = (struct cors_config){
        .origins = origins,
        .n_origins = 1,
        .credentials = true,
        .max_age_s = 600,
    };
    wire_start(w, routes, ROWS(routes), false);
    for (size_t i = 0; i < ROWS(cross); i++) {
        const char *name = cross[i].name;
        struct client *c = client_new(w);
        CHECK_EQ(name, ask(c, name, cross[i].in), cross[i].want);
        CHECK_EQ(name, answer_has(c, "Vary: Origin"), cross[i].vary);
        CHECK_EQ(name, answer_has(c, "Access-Control-Allow-Origin: https://app.example.com"),
                 cross[i].cors);
        CHECK_EQ(name, answer_has_name(c, "Access-Control-Allow-Origin"), cross[i].cors);
        CHECK_EQ(name, answer_has(c, "Access-Control-Allow-Credentials: true"), cross[i].cors);
        const bool preflight = cross[i].want == 204 && cross[i].cors;
        CHECK_EQ(name, answer_has(c, "Access-Control-Max-Age: 600"), preflight);
        CHECK_EQ(name, answer_has_name(c, "Access-Control-Allow-Methods"), preflight);
        CHECK_EQ(name,
                 answer_has(c, "Access-Control-Allow-Headers: Authorization, Content-Type, "
                               "Idempotency-Key, X-Request-Id"),
                 preflight);
        CHECK_EQ(name, answer_has_name(c, "Access-Control-Expose-Headers"),
                 cross[i].cors && strncmp(cross[i].in, "OPTIONS", 7) != 0);
        client_free(c);
    }
    wire_stop(w);
}

/* Answers of one exchange, one after the other: nothing of one may show in another. */
static void test_nothing_is_left_over(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct { const char *name, *in; int want; const char *has, *lacks; } rows[] = {
        { "good origin",     "GET /hello HTTP/1.1\r\n" H GOOD "\r\n", 200, "Access-Control-Allow-Origin: https://app.example.com", "Location" },
        { "good, again",     "GET /hello HTTP/1.1\r\n" H GOOD "\r\n", 200, "Access-Control-Allow-Origin: https://app.example.com", "Location" },
        { "second origin",   "GET /hello HTTP/1.1\r\n" H "Origin: https://b\r\n\r\n", 200, "Access-Control-Allow-Origin: https://b", "Location" },
        { "evil origin",     "GET /hello HTTP/1.1\r\n" H EVIL "\r\n", 200, "Vary: Origin", "Access-Control-Allow-Origin" },
        { "no origin",       "GET /hello HTTP/1.1\r\n" H "\r\n", 200, "Vary: Origin", "Access-Control-Allow-Origin" },
        { "correlation",     "GET /hello HTTP/1.1\r\n" H "X-Request-Id: c1\r\n\r\n", 200, "X-Correlation-Id: c1", "Access-Control-Allow-Origin" },
        { "another",         "GET /hello HTTP/1.1\r\n" H "X-Request-Id: c2\r\n\r\n", 200, "X-Correlation-Id: c2", "Location" },
        { "none",            "GET /hello HTTP/1.1\r\n" H "\r\n", 200, "Cache-Control: no-store", "X-Correlation-Id" },
        { "location",        "POST /echo HTTP/1.1\r\n" H JSON LINE_OF(2) "\r\n{}", 201, "Location: /v1/things/1", "X-Correlation-Id" },
        { "no location",     "GET /hello HTTP/1.1\r\n" H "\r\n", 200, "Content-Type: application/json", "Location" },
        { "refusal",         "GET /busy HTTP/1.1\r\n" H "\r\n", 429, "Retry-After: 7", "Location" },
        { "refusal, again",  "GET /busy HTTP/1.1\r\n" H "\r\n", 429, "Retry-After: 7", "WWW-Authenticate" },
        { "another refusal", "GET /missing HTTP/1.1\r\n" H "\r\n", 401, "WWW-Authenticate: Bearer realm=\"presignd\"", "Retry-After" },
        { "text",            "GET /hello?text HTTP/1.1\r\n" H "\r\n", 200, "Content-Length: 14", "WWW-Authenticate" },
        { "twice",           "GET /hello?twice HTTP/1.1\r\n" H "\r\n", 200, "Cache-Control: private", "Location" },
        { "after twice",     "GET /hello HTTP/1.1\r\n" H "\r\n", 200, "Cache-Control: no-store", "X-Twice" },
        { "probe",           "GET /livez HTTP/1.1\r\n" H GOOD "\r\n", 200, "Cache-Control: no-store", "Vary" },
        { "empty",           "DELETE /things/7 HTTP/1.1\r\n" H "\r\n", 204, "Vary: Origin", "Content-Type" },
        { "at the end",      "GET /hello HTTP/1.1\r\n" H GOOD "\r\n", 200, "Access-Control-Allow-Origin: https://app.example.com", "X-Twice" },
    };
    /* clang-format on */
    static const struct str two[] = { STR_INIT("https://app.example.com"), STR_INIT("https://b") };
    struct wire *w = wire_new();
    reset_counts();
    w->config.cors = (struct cors_config){ .origins = two, .n_origins = 2 };
    wire_start(w, routes, ROWS(routes), false);
    struct client *c = client_new(w);
    char last_id[37] = "";
    for (size_t i = 0; i < ROWS(rows) * 2; i++) {
        const size_t row = i % ROWS(rows);
        const char *name = rows[row].name;
        CHECK_EQ(name, ask(c, name, rows[row].in), rows[row].want);
        CHECK(name, answer_has(c, rows[row].has));
        CHECK(name, !answer_has_name(c, rows[row].lacks));
        CHECK(name, !answer_has_name(c, "Connection"));
        const struct str id = answer_header(c, "X-Request-Id");
        CHECK_EQ(name, id.len, 36);
        CHECK(name, strncmp(last_id, id.ptr, id.len) != 0);
        memcpy(last_id, id.ptr, id.len);
        client_next(c, false);
    }
    assert_int_equal(w->server.n_free, 1);
    client_free(c);
    wire_stop(w);
}

/* clang-format off */
static const struct { const char *name, *in; int want; } with_cookie[] = {
    { "GET without origin",      "GET /hello HTTP/1.1\r\n" H "Cookie: s=t\r\n\r\n",             200 },
    { "HEAD-like without origin", "GET /hello HTTP/1.1\r\n" H "Cookie: a=b; s=t\r\n\r\n",       200 },
    { "GET, good origin",        "GET /hello HTTP/1.1\r\n" H GOOD "Cookie: s=t\r\n\r\n",        200 },
    { "GET, strange origin",     "GET /hello HTTP/1.1\r\n" H EVIL "Cookie: s=t\r\n\r\n",        403 },
    { "GET, strange origin, what is for everybody", "GET /page HTTP/1.1\r\n" H EVIL "Cookie: s=t\r\n\r\n", 200 },
    { "POST, good origin",       "POST /length HTTP/1.1\r\n" H GOOD "Cookie: s=t\r\n" LINE_OF(0) "\r\n", 200 },
    { "POST, no origin",         "POST /length HTTP/1.1\r\n" H "Cookie: s=t\r\n" LINE_OF(0) "\r\n",      403 },
    { "POST, strange origin",    "POST /length HTTP/1.1\r\n" H EVIL "Cookie: s=t\r\n" LINE_OF(0) "\r\n", 403 },
    { "POST, null origin",       "POST /length HTTP/1.1\r\n" H "Origin: null\r\nCookie: s=t\r\n" LINE_OF(0) "\r\n", 403 },
    { "DELETE, no origin",       "DELETE /things/1 HTTP/1.1\r\n" H "Cookie: s=t\r\n\r\n",       403 },
    { "the header beats it",     "POST /length HTTP/1.1\r\n" H "Authorization: Bearer x\r\nCookie: s=t\r\n" LINE_OF(0) "\r\n", 200 },
    { "another cookie",          "POST /length HTTP/1.1\r\n" H "Cookie: ss=t; x=s\r\n" LINE_OF(0) "\r\n", 200 },
    { "no cookie",               "POST /length HTTP/1.1\r\n" H LINE_OF(0) "\r\n",                 200 },
    { "no such path first",      "POST /nothing HTTP/1.1\r\n" H "Cookie: s=t\r\n" LINE_OF(0) "\r\n", 404 },
    { "wrong method first",      "POST /hello HTTP/1.1\r\n" H "Cookie: s=t\r\n" LINE_OF(0) "\r\n", 405 },
};
/* clang-format on */

static void test_cookie_origin(void **state)
{
    (void)state;
    struct wire *w = wire_new();
    reset_counts();
    w->config.cors = (struct cors_config){ .origins = origins, .n_origins = 1 };
    w->config.cookie_auth = true;
    w->config.cookie_name = STR("s");
    wire_start(w, routes, ROWS(routes), false);
    for (size_t i = 0; i < ROWS(with_cookie); i++) {
        const char *name = with_cookie[i].name;
        struct client *c = client_new(w);
        CHECK_EQ(name, ask(c, name, with_cookie[i].in), with_cookie[i].want);
        if (with_cookie[i].want == 403)
            CHECK(name, body_has(c, "\"code\":\"origin_not_allowed\""));
        client_free(c);
    }
    wire_stop(w);
}

/* ---- waiting ------------------------------------------------------------------------------------ */

static void wake_waiter(struct wire *w, const char *name)
{
    WIRE_UNTIL(w, name, waiter != NULL);
    struct request *r = waiter;
    waiter = NULL;
    request_wake(r);
}

static void test_wait_and_wake(void **state)
{
    (void)state;
    struct wire *w = started();
    struct client *c = client_new(w);
    for (int i = 0; i < 3; i++) {
        client_text(c, "GET /wait HTTP/1.1\r\n" H "\r\n");
        wake_waiter(w, "first");
        wake_waiter(w, "second");
        assert_int_equal(client_answer(c, "answer"), 200);
        client_next(c, false);
    }
    assert_int_equal(wakes_seen, 3);
    WIRE_UNTIL(w, "all ended", ends == 3);
    assert_int_equal(w->server.n_waiting, 0);
    client_free(c);
    wire_stop(w);
}

static void test_wait_around_body(void **state)
{
    (void)state;
    static const char *const paths[] = { "/wait_body", "/body_wait" };
    struct wire *w = started();
    for (size_t i = 0; i < ROWS(paths); i++) {
        struct client *c = client_new(w);
        client_text(c, "POST ");
        client_text(c, paths[i]);
        client_text(c, " HTTP/1.1\r\n" H LINE_OF(4) "\r\n{\"");
        if (i == 1)
            client_text(c, "\"}");
        wake_waiter(w, paths[i]);
        wake_waiter(w, paths[i]);
        if (i == 0)
            client_text(c, "\"}");
        CHECK_EQ(paths[i], client_answer(c, paths[i]), 201);
        CHECK(paths[i], body_has(c, "{\"\"}"));
        client_free(c);
    }
    wire_stop(w);
}

/* The library does not notice; the request ends when it is woken, and once. */
static void test_client_leaves_while_waiting(void **state)
{
    (void)state;
    struct wire *w = started();
    struct client *c = client_new(w);
    client_text(c, "GET /wait HTTP/1.1\r\n" H "\r\n");
    WIRE_UNTIL(w, "waits", waiter != NULL);
    const struct linger hard = { .l_onoff = 1 };
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    client_free(c);
    wake_waiter(w, "first");
    wake_waiter(w, "second");
    WIRE_UNTIL(w, "ends", w->server.open_connections == 0);
    assert_int_equal(ends, 1);
    assert_int_equal(sent, 0);
    assert_int_equal(w->server.in_flight, 0);
    wire_stop(w);
}

static void test_client_leaves_in_body(void **state)
{
    (void)state;
    struct wire *w = started();
    struct client *c = client_new(w);
    client_text(c, "POST /echo HTTP/1.1\r\n" H JSON LINE_OF(100) "\r\n{");
    WIRE_UNTIL(w, "begun", w->server.in_flight == 1);
    client_free(c);
    WIRE_UNTIL(w, "ends", w->server.open_connections == 0);
    assert_int_equal(ends, 1);
    assert_int_equal(sent, 0);
    assert_int_equal(metric_read(&w->metrics.requests[1][499]), 1);
    wire_stop(w);
}

/* Stopping with requests that wait: each is woken, answered or not, and ended once. */
static void test_stop_while_waiting(void **state)
{
    (void)state;
    struct wire *w = started();
    struct client *c[20];
    for (size_t i = 0; i < ROWS(c); i++) {
        c[i] = client_new(w);
        client_text(c[i], "GET /wait HTTP/1.1\r\n" H "\r\n");
    }
    WIRE_UNTIL(w, "all wait", w->server.n_waiting == ROWS(c));
    wire_stop(w);
    assert_int_equal(ends, ROWS(c));
    for (size_t i = 0; i < ROWS(c); i++)
        client_free(c[i]);
}

/* ---- deadlines ---------------------------------------------------------------------------------- */

static struct wire *impatient(void)
{
    struct wire *w = wire_new();
    reset_counts();
    w->config.header_timeout_ms = 120;
    w->config.body_timeout_ms = 120;
    wire_start(w, routes, ROWS(routes), false);
    return w;
}

/* A byte now and then does not help. */
static void drip(struct client *c, const char *name, const char *bytes)
{
    for (size_t i = 0; !gone(c); i++) {
        if (i == strlen(bytes))
            fail_msg("%s: taken to its end", name);
        client_send(c, bytes + i, 1);
        const int64_t next_us = loop_clock_us() + 20000;
        while (loop_clock_us() < next_us)
            loop_turn(c->w->loop, 5);
    }
}

static const char slow_header[] =
    "GET /hello HTTP/1.1\r\n" H "X: 0123456789012345678901234567890123456"
    "78901234567890123456789\r\n\r\n";

static void test_header_deadline(void **state)
{
    (void)state;
    struct wire *w = impatient();
    struct client *c = client_new(w);
    client_expect_closed(c, "silent");
    client_free(c);

    c = client_new(w);
    drip(c, "dripping", slow_header);
    client_free(c);

    c = client_new(w);
    client_text(c, "GET /hello HTTP/1.1\r\nHost: a\r\n");
    client_expect_closed(c, "half a header");
    client_free(c);
    WIRE_UNTIL(w, "closed", w->server.open_connections == 0);
    assert_int_equal(metric_read(&w->metrics.connections_refused), 3);
    wire_stop(w);
}

static void test_header_deadline_kept_alive(void **state)
{
    (void)state;
    struct wire *w = impatient();
    struct client *c = client_new(w), *idle = client_new(w);
    assert_int_equal(ask(c, "first", "GET /hello HTTP/1.1\r\n" H "\r\n"), 200);
    assert_int_equal(ask(idle, "first", "GET /hello HTTP/1.1\r\n" H "\r\n"), 200);
    client_next(c, false);
    client_next(idle, false);
    drip(c, "dripping", slow_header);
    client_free(c);

    c = client_new(w);
    assert_int_equal(ask(c, "first", "GET /hello HTTP/1.1\r\n" H "\r\n"), 200);
    client_text(c, "GET /hello HTTP/1.1\r\n");
    client_expect_closed(c, "half a header");
    client_free(c);

    /* idle alone is no offence */
    assert_int_equal(ask(idle, "second", "GET /hello HTTP/1.1\r\n" H "\r\n"), 200);
    client_free(idle);
    wire_stop(w);
}

static void test_body_deadline(void **state)
{
    (void)state;
    static const char *const begun[] = {
        "POST /echo HTTP/1.1\r\n" H JSON LINE_OF(100) "\r\n",
        "POST /echo HTTP/1.1\r\n" H JSON "Transfer-Encoding: chunked\r\n\r\n",
        "POST /token HTTP/1.1\r\n" H LINE_OF(100) "\r\n",
    };
    static const char *const slow[] = {
        "{                                                  ",
        "1\r\n{\r\n1\r\n \r\n1\r\n \r\n1\r\n \r\n1\r\n \r\n1\r\n \r\n1\r\n \r\n",
        "{                                                  ",
    };
    struct wire *w = impatient();
    for (size_t i = 0; i < ROWS(begun); i++) {
        struct client *c = client_new(w);
        client_text(c, begun[i]);
        drip(c, begun[i], slow[i]);
        client_free(c);
    }
    WIRE_UNTIL(w, "closed", w->server.open_connections == 0);
    assert_int_equal(ends, ROWS(begun));
    assert_int_equal(metric_read(&w->metrics.connections_refused), ROWS(begun));
    wire_stop(w);
}

/* What waits for us is not late, however long it takes. */
static void test_waiting_is_not_late(void **state)
{
    (void)state;
    struct wire *w = impatient();
    struct client *c = client_new(w);
    client_text(c, "GET /wait HTTP/1.1\r\n" H "\r\n");
    const int64_t end_us = loop_clock_us() + 400000;
    WIRE_UNTIL(w, "time passes", loop_clock_us() > end_us);
    wake_waiter(w, "first");
    wake_waiter(w, "second");
    assert_int_equal(client_answer(c, "answer"), 200);
    client_free(c);
    wire_stop(w);
}

/* ---- counters ----------------------------------------------------------------------------------- */

static void test_counters(void **state)
{
    (void)state;
    struct wire *w = started();
    struct client *c = client_new(w);
    assert_int_equal(ask(c, "a", "GET /hello HTTP/1.1\r\n" H "\r\n"), 200);
    client_next(c, false);
    assert_int_equal(ask(c, "b", "GET /nothing HTTP/1.1\r\n" H "\r\n"), 404);
    client_next(c, false);
    assert_int_equal(ask(c, "c", "GET /busy HTTP/1.1\r\n" H "\r\n"), 429);
    WIRE_UNTIL(w, "ended", w->server.in_flight == 0);
    assert_int_equal(metric_read(&w->metrics.requests[0][200]), 1);
    assert_int_equal(metric_read(&w->metrics.requests[METRIC_ROUTES - 1][404]), 1);
    assert_int_equal(metric_read(&w->metrics.refusals[ST_NOT_FOUND]), 1);
    assert_int_equal(metric_read(&w->metrics.refusals[ST_RATE_LIMITED]), 1);
    assert_int_equal(metric_read(&w->metrics.connections_opened), 1);
    client_free(c);
    WIRE_UNTIL(w, "closed", w->server.open_connections == 0);
    assert_int_equal(metric_read(&w->metrics.connections_closed), 1);
    wire_stop(w);
}

/* ---- the end ------------------------------------------------------------------------------------ */

static void test_drain(void **state)
{
    (void)state;
    struct wire *w = started();
    struct client *idle = client_new(w), *fresh = client_new(w), *waits = client_new(w);
    assert_int_equal(ask(idle, "before", "GET /hello HTTP/1.1\r\n" H "\r\n"), 200);
    assert_false(answer_has(idle, "Connection: close"));
    client_text(waits, "GET /wait HTTP/1.1\r\n" H "\r\n");
    WIRE_UNTIL(w, "waits", waiter != NULL);

    server_drain(&w->server);
    struct client *late = client_new(w);
    assert_int_equal(ask(late, "while draining", "GET /hello HTTP/1.1\r\n" H "\r\n"), 200);
    assert_true(answer_has(late, "Connection: close"));
    client_expect_closed(late, "while draining");

    /* in the kernel's queue when the socket closes: still served */
    struct client *queued = client_new(w);
    client_text(queued, "GET /hello HTTP/1.1\r\n" H "\r\n");
    server_quiesce(&w->server);
    server_quiesce(&w->server);
    assert_int_equal(client_answer(queued, "queued"), 200);
    assert_true(answer_has(queued, "Connection: close"));

    client_expect_closed(idle, "idle");
    client_expect_closed(fresh, "fresh");
    assert_int_not_equal(w->server.open_connections, 0);
    wake_waiter(w, "first");
    wake_waiter(w, "second");
    assert_int_equal(client_answer(waits, "waited"), 200);
    assert_true(answer_has(waits, "Connection: close"));
    WIRE_UNTIL(w, "idle at last", w->server.open_connections == 0);

    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in to = { .sin_family = AF_INET,
                                    .sin_port = htons(w->port),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), -1);
    close(fd);
    client_free(idle);
    client_free(fresh);
    client_free(waits);
    client_free(late);
    client_free(queued);
    wire_stop(w);
}

/* A request that has come but was not read yet: stopping now would lose it. */
static void test_idle(void **state)
{
    (void)state;
    struct wire *w = started();
    struct client *c = client_new(w);
    assert_int_equal(ask(c, "before", "GET /hello HTTP/1.1\r\n" H "\r\n"), 200);
    WIRE_UNTIL(w, "idle before", server_idle(&w->server));
    client_text(c, "GET /wait HTTP/1.1\r\n" H "\r\n");
    assert_int_equal(w->server.in_flight, 0);
    assert_false(server_idle(&w->server));
    WIRE_UNTIL(w, "waits", waiter != NULL);
    assert_false(server_idle(&w->server));
    wake_waiter(w, "first");
    wake_waiter(w, "second");
    assert_int_equal(client_answer(c, "waited"), 200);
    WIRE_UNTIL(w, "idle after", server_idle(&w->server));
    client_free(c);
    wire_stop(w);
}

/* clang-format off */
static const struct { const char *name; struct str in; enum status want; } addresses[] = {
    { "IPv4",           STR_INIT("127.0.0.1:0"),     ST_OK          },
    { "any IPv4",       STR_INIT("0.0.0.0:0"),       ST_OK          },
    { "any",            STR_INIT(":0"),              ST_OK          },
    { "empty",          STR_INIT(""),                ST_INVALID     },
    { "no port",        STR_INIT("127.0.0.1"),       ST_INVALID     },
    { "empty port",     STR_INIT("127.0.0.1:"),      ST_INVALID     },
    { "large port",     STR_INIT("127.0.0.1:65536"), ST_INVALID     },
    { "signed port",    STR_INIT("127.0.0.1:-1"),    ST_INVALID     },
    { "name",           STR_INIT("localhost:0"),     ST_INVALID     },
    { "open bracket",   STR_INIT("[::1:0"),          ST_INVALID     },
    { "empty brackets", STR_INIT("[]:0"),            ST_INVALID     },
    { "no brackets",    STR_INIT("::1:0"),           ST_INVALID     },
    { "too long",       STR_INIT("1111.2222.3333.4444.5555.6666.7777.8888.9999.0000.1111:0"), ST_INVALID },
    { "not ours",       STR_INIT("192.0.2.1:0"),     ST_UNREACHABLE },
};
/* clang-format on */

static void test_listen(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(addresses); i++) {
        char space[256];
        struct buf why = BUF_FIXED(space);
        int fd = -1;
        uint16_t port = 0;
        CHECK_EQ(addresses[i].name, server_listen(addresses[i].in, false, &fd, &port, &why),
                 addresses[i].want);
        CHECK_EQ(addresses[i].name, port > 0, addresses[i].want == ST_OK);
        CHECK_EQ(addresses[i].name, why.len > 0, addresses[i].want != ST_OK);
        if (fd >= 0)
            close(fd);
    }
}

static void test_listen_shared(void **state)
{
    (void)state;
    char space[256], text[32];
    struct buf why = BUF_FIXED(space);
    int first, second, third;
    uint16_t port, again;
    assert_int_equal(server_listen(STR("127.0.0.1:0"), true, &first, &port, &why), ST_OK);
    snprintf(text, sizeof(text), "127.0.0.1:%u", (unsigned)port);
    assert_int_equal(server_listen(str_from(text), true, &second, &again, &why), ST_OK);
    assert_int_equal(port, again);
    assert_int_equal(server_listen(str_from(text), false, &third, &again, &why), ST_UNREACHABLE);
    close(first);
    close(second);
}

TEST_MAIN(cmocka_unit_test(test_one), cmocka_unit_test(test_bad_token_tells_nothing),
          cmocka_unit_test(test_correlation_refused), cmocka_unit_test(test_head),
          cmocka_unit_test(test_keep_alive_and_pipeline),
          cmocka_unit_test(test_connection_survives_refusals), cmocka_unit_test(test_continue),
          cmocka_unit_test(test_chunked_too_long), cmocka_unit_test(test_http_1_0),
          cmocka_unit_test(test_connection_limit), cmocka_unit_test(test_cors),
          cmocka_unit_test(test_nothing_is_left_over), cmocka_unit_test(test_cookie_origin),
          cmocka_unit_test(test_wait_and_wake), cmocka_unit_test(test_wait_around_body),
          cmocka_unit_test(test_client_leaves_while_waiting),
          cmocka_unit_test(test_client_leaves_in_body), cmocka_unit_test(test_stop_while_waiting),
          cmocka_unit_test(test_header_deadline), cmocka_unit_test(test_header_deadline_kept_alive),
          cmocka_unit_test(test_body_deadline), cmocka_unit_test(test_waiting_is_not_late),
          cmocka_unit_test(test_counters), cmocka_unit_test(test_drain),
          cmocka_unit_test(test_idle), cmocka_unit_test(test_listen),
          cmocka_unit_test(test_listen_shared))
