/* floor: http
 *
 * One request from connect to answer, with every allocation failing in turn, ours and the library's:
 * the client gets an answer or the end of its connection, and the server goes on.
 */
#include "wire.h"

#include "oom.h"

enum { TURNS_MAX = 1500, TURN_MS = 2 };

static struct wire *w;
static int ended;

static enum step wait_once(struct request *r)
{
    if (r->correlation.len == 0 || r->timed_out)
        return STEP_ON;
    return request_wait(r, loop_now_ms(request_loop(r)) + 1);
}

static enum step echo(struct request *r)
{
    buf_str(&r->out, r->body);
    request_header(r, "Location", arena_copy(&r->arena, STR("/v1/things/1")));
    return request_answer(r, 201);
}

static void on_end(struct request *r, bool answer_was_sent)
{
    (void)r, (void)answer_was_sent;
    ended++;
}

static step_fn *const echo_steps[] = { wait_once, request_wants_json, request_read_body, echo,
                                       NULL };

static const struct str origins[] = { STR_INIT("https://a") };

/* clang-format off */
static const struct route routes[] = {
    { HTTP_POST, STR_INIT("/echo"), echo_steps, sizeof(struct request), 0, "echo", on_end, NULL },
};

#define HEADER "Host: a\r\nContent-Type: application/json\r\nOrigin: https://a\r\nCookie: a=b; c=d\r\n"
static const struct { const char *name, *in; int want; } requests[] = {
    { "grant",    "POST /echo HTTP/1.1\r\n" HEADER "Content-Length: 2\r\n\r\n{}", 201 },
    { "waits",    "POST /echo HTTP/1.1\r\n" HEADER "X-Request-Id: x\r\nContent-Length: 2\r\n\r\n{}", 201 },
    { "chunked",  "POST /echo HTTP/1.1\r\n" HEADER "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 201 },
    { "refusal",  "POST /echo HTTP/1.1\r\n" HEADER "\r\n", 411 },
    { "wrong method", "DELETE /echo HTTP/1.1\r\n" HEADER "\r\n", 405 },
    { "preflight", "OPTIONS /echo HTTP/1.1\r\n" HEADER "Access-Control-Request-Method: POST\r\n\r\n", 204 },
    { "malformed", "GET /echo HTTP/1.1\r\n" HEADER "Content-Length: 2\r\n\r\n{}", 400 },
};
/* clang-format on */

static size_t row;

/* The answer's status; 0: the connection ended without; -1: neither came. */
static int outcome(struct client *c)
{
    for (int i = 0; i < TURNS_MAX && !answer_there(c, false); i++)
        loop_turn(w->loop, TURN_MS);
    if (!answer_there(c, false))
        return -1;
    return answer_bytes(c, false) > 0 ? atoi(c->in + strlen("HTTP/1.1 ")) : 0;
}

static int ask(const char *text, bool failing)
{
    struct client *c = client_new(w);
    client_text(c, text);
    if (failing)
        oom_resume();
    const int got = outcome(c);
    if (failing)
        oom_pause();
    client_free(c);
    return got;
}

/* A cold server each time, so that nothing is there from an earlier run. */
static bool answers_or_ends(void)
{
    oom_pause();
    w = wire_new();
    ended = 0;
    w->config.cors = (struct cors_config){ .origins = origins, .n_origins = 1 };
    wire_start(w, routes, ROWS(routes), false);
    const int got = ask(requests[row].in, true);
    const bool struck = oom_struck();
    const bool kept = got == requests[row].want || (struck && (got == 0 || got >= 500));
    const bool goes_on = ask(requests[row].in, false) == requests[row].want;
    wire_stop(w);
    oom_resume();
    return kept && goes_on && ended <= 2;
}

static void test_every_allocation(void **state)
{
    (void)state;
    for (row = 0; row < ROWS(requests); row++)
        oom_torture(answers_or_ends);
}

TEST_MAIN(cmocka_unit_test(test_every_allocation))
