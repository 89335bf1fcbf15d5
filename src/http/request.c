/*
 * request - one request from its request line to the end of its answer.
 *
 * What the library (0.9.75 and 1.0.1 alike) makes of its handler, and what follows for us:
 *   - It is called once when the header is complete, once for each piece of the body, once when all
 *     is there, and again after each resume. Steps run in the first and the last kind of call.
 *   - An answer queued in the first call ends the connection. So an answer that is ready by then
 *     waits for the last call, unless the connection shall end: because the message cannot be
 *     trusted, or because there is more body to come than is worth reading. A small body is read
 *     and dropped instead; closing on unread bytes would reset the connection, and the reset may
 *     overtake the answer.
 *   - A piece of the body must be taken whole, and nothing may be answered there.
 */
#include "exchange.h"

#include <stdlib.h>
#include <string.h>

#include "presignd/problem.h"
#include "presignd/route.h"

enum {
    ARENA_BYTES = 4 << 20,
    ANSWER_BYTES = 4 << 20,
    ANSWER_KEPT = 64 << 10,   /* a larger block is not kept for the next request */
    DRAIN_BYTES = 16 << 10,   /* of a body that nobody wants, announced */
    OVERLONG_BYTES = 1 << 20, /* of a chunked body, after the limit */
    CORRELATION_MAX = 64,
    FREE_MAX = 256,
    MICROS_PER_S = 1000000,
    MICROS_PER_MS = 1000,
    CLIENT_GONE = 499,
};

/* ---- life --------------------------------------------------------------------------------------- */

static struct exchange *exchange_take(struct server *s)
{
    struct exchange *x = s->free_list;
    if (x) {
        s->free_list = x->next;
        s->n_free--;
        return x;
    }
    x = calloc(1, sizeof(*x));
    if (x) {
        x->arena = ARENA_INIT(ARENA_BYTES);
        x->out = BUF_INIT(ANSWER_BYTES);
        x->body = BUF_INIT(0);
    }
    return x;
}

struct exchange *exchange_new(struct peer *p, const char *target)
{
    struct exchange *x = exchange_take(p->server);
    if (!x)
        return NULL;
    x->peer = p;
    x->phase = EXCHANGE_HEADER;
    x->target_len = strlen(target);
    memcpy(x->target, target, MIN_OF(x->target_len, (size_t)TARGET_MAX));
    x->body.limit = p->server->config->body_bytes;
    p->server->in_flight++;
    return x;
}

void exchange_free(struct exchange *x)
{
    if (!x)
        return;
    answer_forget(x);
    arena_release(&x->arena);
    buf_release(&x->out);
    buf_release(&x->body);
    free(x);
}

static void keep_for_reuse(struct server *s, struct exchange *x)
{
    if (s->n_free == FREE_MAX || s->stopping) {
        exchange_free(x);
        return;
    }
    if (x->out.cap > ANSWER_KEPT) {
        answer_forget(x);
        buf_release(&x->out);
    }
    arena_reset(&x->arena);
    buf_reset(&x->out);
    buf_reset(&x->body);
    x->r = NULL;
    x->suspended = x->waiting = x->answered = x->queued = x->close = x->keep_body = false;
    x->drained = 0;
    x->next = s->free_list;
    s->free_list = x;
    s->n_free++;
}

/* ---- waiting ------------------------------------------------------------------------------------ */

static void stop_waiting(struct exchange *x)
{
    struct server *s = x->peer->server;
    loop_timer_stop(s->loop, &x->deadline);
    *x->link = x->next;
    if (x->next)
        x->next->link = x->link;
    x->waiting = false;
    s->n_waiting--;
}

void request_wake(struct request *r)
{
    struct exchange *x = r->exchange;
    if (!x->waiting)
        return;
    stop_waiting(x);
    MHD_resume_connection(r->conn);
    r->server->ready = true; /* it shows in no descriptor */
}

static void deadline_passed(struct timer *t)
{
    struct exchange *x = container_of(t, struct exchange, deadline);
    x->r->timed_out = true;
    request_wake(x->r);
}

enum step request_wait(struct request *r, int64_t deadline_ms)
{
    struct exchange *x = r->exchange;
    struct server *s = r->server;
    r->timed_out = false;
    x->deadline.due = deadline_passed;
    /* while it stops, nobody is left to wake us */
    if (s->stopping || s->n_waiting >= WAITING_MAX ||
        loop_timer_at(s->loop, &x->deadline, deadline_ms) != ST_OK) {
        r->fault.log_reason = s->stopping ? STR("stopping") : STR("too many requests wait");
        return request_refuse(r, ST_OVERLOADED);
    }
    x->waiting = x->suspended = true;
    x->next = s->waiting;
    x->link = &s->waiting;
    if (x->next)
        x->next->link = &x->next;
    s->waiting = x;
    s->n_waiting++;
    MHD_suspend_connection(r->conn);
    return STEP_WAIT;
}

/* ---- answers ------------------------------------------------------------------------------------ */

void request_header(struct request *r, const char *name, struct str value)
{
    assert(r->n_headers_out < REQUEST_HEADERS_OUT);
    r->headers_out[r->n_headers_out++] = (struct header_out){ name, value };
}

enum step request_answer(struct request *r, int http)
{
    const enum status st = buf_check(&r->out);
    if (st != ST_OK)
        return request_refuse(r, st);
    r->exchange->http = http;
    r->exchange->answered = true;
    return STEP_STOP;
}

static struct str decimal(struct request *r, int64_t v)
{
    char space[24];
    struct buf text = BUF_FIXED(space);
    buf_int(&text, v);
    return arena_copy(&r->arena, buf_view(&text));
}

static void challenge(struct request *r, enum status st)
{
    static const char realm[] = "Bearer realm=\"presignd\"";
    static const char invalid[] = "Bearer realm=\"presignd\", error=\"invalid_token\"";
    const int http = status_http(st);
    if (http == 401)
        request_header(r, "WWW-Authenticate", str_from(st == ST_INVALID_TOKEN ? invalid : realm));
    if (r->fault.retry_after_s > 0 || http == 429 || http == 503)
        request_header(r, "Retry-After", decimal(r, MAX_OF(r->fault.retry_after_s, 1)));
}

/* The cause of a bad token is for the log only: to the client all are one. */
static void settle_fault(struct fault *f, enum status st)
{
    static const struct str ended = STR_INIT("The token is not valid, or no longer.");
    const struct str reason = f->log_reason;
    const bool token = st == ST_INVALID_TOKEN;
    if (f->status != st || token) {
        const int64_t retry_after_s = f->status == st ? f->retry_after_s : 0;
        fault_set(f, st, token ? ended : STR_NONE);
        f->retry_after_s = retry_after_s;
    }
    f->log_reason = reason;
}

enum step request_refuse(struct request *r, enum status st)
{
    struct exchange *x = r->exchange;
    settle_fault(&r->fault, st);
    if (st == ST_MALFORMED_HTTP)
        x->close = true;
    buf_reset(&r->out);
    problem_write(&r->out, &r->fault, str_from(r->id));
    r->out_static = STR_NONE;
    r->out_type = "application/problem+json";
    r->out_cache = "no-store";
    challenge(r, st);
    metric_add(&r->server->metrics->refusals[st], 1);
    x->http = status_http(st);
    x->answered = true;
    return STEP_STOP;
}

/* ---- from the header to the first step ---------------------------------------------------------- */

static bool correlation_ok(struct str id)
{
    if (id.len == 0 || id.len > CORRELATION_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        const char c = id.ptr[i];
        if (!ascii_alnum(c) && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

static bool is_preflight(const struct request *r)
{
    return r->exchange->cors && r->method == HTTP_OPTIONS && r->headers.values[HEADER_ORIGIN].ptr &&
           r->headers.values[HEADER_ACR_METHOD].ptr;
}

static struct str method_list(struct request *r, unsigned methods)
{
    char space[64];
    struct buf list = BUF_FIXED(space);
    route_methods(&list, methods);
    return arena_copy(&r->arena, buf_view(&list));
}

static void answer_preflight(struct request *r, unsigned methods)
{
    const struct cors_config *c = &r->server->config->cors;
    if (cors_allows(c, r->headers.values[HEADER_ORIGIN])) {
        request_header(r, "Access-Control-Allow-Methods", method_list(r, methods));
        request_header(r, "Access-Control-Allow-Headers",
                       STR("Authorization, Content-Type, Idempotency-Key, X-Request-Id"));
        request_header(r, "Access-Control-Max-Age", decimal(r, c->max_age_s));
    }
    request_answer(r, MHD_HTTP_NO_CONTENT);
}

static bool has_cookie(struct str line, struct str name)
{
    struct str pair;
    while (str_cut(&line, ';', &pair)) {
        pair = str_trim(pair);
        const size_t eq = str_find(pair, '=', 0);
        if (eq < pair.len && str_equal(str_slice(pair, 0, eq), name))
            return true;
    }
    return false;
}

/* A cookie comes by itself, so who makes the browser send it must be known (CSRF). */
static bool origin_ok(const struct request *r)
{
    const struct server_config *c = r->server->config;
    const struct headers *h = &r->headers;
    if (!c->cookie_auth || !r->exchange->cors || r->route->flags & ROUTE_OPEN ||
        h->seen[HEADER_AUTHORIZATION] || !has_cookie(h->values[HEADER_COOKIE], c->cookie_name))
        return true;
    const struct str origin = h->values[HEADER_ORIGIN];
    if (!origin.ptr)
        return r->method == HTTP_GET || r->method == HTTP_HEAD;
    return cors_allows(&c->cors, origin) && str_equal(cors_allow_origin(&c->cors, origin), origin);
}

static void refuse_for(struct request *r, enum status st, struct str detail, const char *reason)
{
    fault_set(&r->fault, st, detail);
    r->fault.log_reason = str_from(reason);
    request_refuse(r, st);
}

/* API.md section 1, "order", as far as no route has a say. */
static void judge(struct request *r, const struct request_line *line, const struct route_match *m)
{
    const struct gate_rules rules = { r->server->config->header_bytes, TARGET_MAX };
    const char *reason = NULL;
    const enum status st = gate_check(r->conn, line, &rules, &r->headers, &reason);
    const struct str id = r->headers.values[HEADER_X_REQUEST_ID];
    if (correlation_ok(id))
        r->correlation = id;
    r->exchange->close |= r->headers.last;
    if (st != ST_OK) {
        refuse_for(r, st, STR_NONE, reason);
    } else if (!m->allowed) {
        request_refuse(r, ST_NOT_FOUND);
    } else if (is_preflight(r)) {
        answer_preflight(r, m->allowed);
    } else if (!m->route) {
        request_header(r, "Allow", method_list(r, m->allowed));
        request_refuse(r, ST_METHOD_NOT_ALLOWED);
    } else if (!origin_ok(r)) {
        refuse_for(r, ST_ORIGIN_NOT_ALLOWED,
                   STR("With a cookie, only allowed origins may ask for this."), NULL);
    }
}

static struct request *request_new(struct exchange *x, const struct route_match *m)
{
    struct server *s = x->peer->server;
    struct request *r = arena_alloc(&x->arena, m->route ? m->route->state_bytes : sizeof(*r));
    if (!r)
        return NULL;
    r->server = s;
    r->conn = x->peer->conn;
    r->route = m->route;
    r->route_number = m->route ? m->number : METRIC_ROUTES - 1;
    r->path_id = m->path_id;
    r->exchange = x;
    r->began_us = loop_clock_us();
    r->wall_us = loop_wall_us(s->loop);
    r->now_s = r->wall_us / MICROS_PER_S;
    r->out_type = "application/json";
    r->out_cache = "no-store";
    if (random_uuid7(s->random, r->wall_us / MICROS_PER_MS, r->id) != ST_OK)
        return NULL;
    r->arena = x->arena;
    r->out = x->out;
    return r;
}

static enum MHD_Result begin(struct exchange *x, const struct request_line *seen)
{
    struct server *s = x->peer->server;
    const size_t copied = MIN_OF(x->target_len, (size_t)TARGET_MAX);
    const struct str target = { x->target, copied };
    const size_t mark = str_find(target, '?', 0);
    const struct str path = str_slice(target, 0, mark);
    const unsigned method = route_method(seen->method);
    const struct route_match m = route_find(s->routes, s->n_routes, s->admin, path, method);

    struct request *r = request_new(x, &m);
    if (!r)
        return MHD_NO;
    r->method = (enum http_method)method;
    r->path = path;
    r->query = str_slice(target, mark + 1, copied);
    x->r = r;
    x->cors = !s->admin && !(m.flags & ROUTE_PROBE);

    struct request_line line = *seen;
    line.target = (struct str){ x->target, x->target_len };
    line.copied = copied;
    judge(r, &line, &m);
    return MHD_YES;
}

/* ---- steps -------------------------------------------------------------------------------------- */

static void run_steps(struct exchange *x)
{
    struct request *r = x->r;
    while (!x->answered) {
        step_fn *step = r->route->steps[r->step];
        assert(step); /* the last step of a route answers */
        switch (step(r)) {
        case STEP_ON: r->step++; break;
        case STEP_WAIT: return;
        case STEP_BODY: return;
        case STEP_STOP: assert(x->answered); break;
        }
    }
}

enum step request_read_body(struct request *r)
{
    struct exchange *x = r->exchange;
    if (x->phase == EXCHANGE_WHOLE) {
        const enum status st = buf_check(&x->body);
        if (st != ST_OK)
            return request_refuse(r, st == ST_TOO_LARGE ? ST_BODY_TOO_LARGE : ST_OVERLOADED);
        r->body = buf_view(&x->body);
        return STEP_ON;
    }
    if (r->headers.content_length < 0 && !r->headers.chunked)
        return request_refuse(r, ST_LENGTH_REQUIRED);
    if (r->headers.content_length > 0 &&
        (uint64_t)r->headers.content_length > r->server->config->body_bytes)
        return request_refuse(r, ST_BODY_TOO_LARGE);
    x->keep_body = true;
    return STEP_BODY;
}

static bool charset_ok(struct str params)
{
    struct str param;
    while (str_cut(&params, ';', &param)) {
        param = str_trim(param);
        const size_t eq = str_find(param, '=', 0);
        if (!str_equal_nocase(str_slice(param, 0, eq), STR("charset")))
            continue;
        const struct str value = str_slice(param, eq + 1, param.len);
        if (!str_equal_nocase(value, STR("utf-8")) && !str_equal_nocase(value, STR("\"utf-8\"")))
            return false;
    }
    return true;
}

enum step request_wants_json(struct request *r)
{
    const struct str type = r->headers.values[HEADER_CONTENT_TYPE];
    const size_t semicolon = str_find(type, ';', 0);
    const struct str essence = str_trim(str_slice(type, 0, semicolon));
    if (str_equal_nocase(essence, STR("application/json")) &&
        charset_ok(str_slice(type, semicolon, type.len)))
        return STEP_ON;
    fault_set(&r->fault, ST_UNSUPPORTED_MEDIA_TYPE,
              STR("The request must say Content-Type: application/json, in UTF-8."));
    return request_refuse(r, ST_UNSUPPORTED_MEDIA_TYPE);
}

struct str request_query(const struct request *r, struct str name)
{
    struct str rest = r->query, pair;
    while (str_cut(&rest, '&', &pair)) {
        const size_t eq = str_find(pair, '=', 0);
        if (str_equal(str_slice(pair, 0, eq), name))
            return eq < pair.len ? str_slice(pair, eq + 1, pair.len) : STR("");
    }
    return STR_NONE;
}

struct loop *request_loop(const struct request *r)
{
    return r->server->loop;
}

/* ---- the library's calls ------------------------------------------------------------------------ */

/* False when so much came that nobody waits for its end. */
static bool take_body(struct exchange *x, const char *data, size_t n)
{
    if (x->keep_body && !x->answered && buf_check(&x->body) == ST_OK) {
        buf_str(&x->body, (struct str){ data, n });
        return true;
    }
    x->drained += n;
    return x->drained <= OVERLONG_BYTES;
}

/* The answer is there before the body: is the rest of the message worth reading? */
static bool ends_at_once(const struct exchange *x)
{
    const struct headers *h = &x->r->headers;
    if (!x->answered)
        return false;
    return x->close || (h->has_body && (h->chunked || h->content_length > DRAIN_BYTES ||
                                        h->seen[HEADER_EXPECT] > 0));
}

enum MHD_Result exchange_handle(struct exchange *x, const struct request_line *line,
                                const char *data, size_t *data_size)
{
    if (*data_size > 0) {
        const bool go_on = take_body(x, data, *data_size);
        *data_size = 0;
        return go_on ? MHD_YES : MHD_NO;
    }
    x->suspended = false;
    if (x->phase == EXCHANGE_BODY)
        x->phase = EXCHANGE_WHOLE;
    peer_enter(x->peer, PEER_BUSY);
    if (!x->r && begin(x, line) != MHD_YES)
        return MHD_NO;
    run_steps(x);
    if (x->suspended)
        return MHD_YES;
    if (x->phase == EXCHANGE_HEADER && !ends_at_once(x)) {
        x->phase = EXCHANGE_BODY;
        if (x->r->headers.has_body)
            peer_enter(x->peer, PEER_BODY);
        return MHD_YES;
    }
    return answer_queue(x);
}

/* ---- the end ------------------------------------------------------------------------------------ */

static void count_and_log(const struct exchange *x)
{
    const struct request *r = x->r;
    const struct server *s = r->server;
    const int64_t took_us = loop_clock_us() - r->began_us;
    const int http = x->queued ? x->http : CLIENT_GONE;
    metric_add(&s->metrics->requests[r->route_number][http], 1);
    metric_observe(&s->metrics->latency, took_us);

    const bool quiet = r->route && r->route->flags & ROUTE_PROBE && http < 400;
    if (!s->config->access_log || quiet || !log_enabled(LOG_LEVEL_INFO))
        return;
    char space[CLIENT_TEXT];
    struct buf client = BUF_FIXED(space);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    access_client(&client, info ? info->client_addr : NULL, s->config->trusted,
                  s->config->n_trusted, r->headers.values[HEADER_X_FORWARDED_FOR]);
    const bool bare = r->method == HTTP_HEAD || http == 304 || !x->queued;
    const size_t sent = bare ? 0 : answer_body_of(r).len;
    access_log_write(r, buf_view(&client), http, took_us, sent);
}

void exchange_end(struct exchange *x, bool answer_was_sent)
{
    struct server *s = x->peer->server;
    struct request *r = x->r;
    if (x->waiting)
        stop_waiting(x);
    if (r) {
        count_and_log(x);
        if (r->route && r->route->end)
            r->route->end(r, answer_was_sent && x->queued);
        x->arena = r->arena;
        x->out = r->out;
    }
    s->in_flight--;
    keep_for_reuse(s, x);
}
