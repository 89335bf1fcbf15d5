/*
 * resp_link - a connection to Redis that is kept up: its phases and the breaker.
 *
 * Keep in mind:
 * - Whatever may call the owner (done, changed) runs between enter() and leave(). The owner may free
 *   the link there: it is then dead, and freed by the last leave().
 * - One timer does all that has a time: it is always set, so that moving it cannot fail.
 */
#include "presignd/resp_link.h"

#include <stdlib.h>

#include "presignd/log.h"
#include "presignd/random.h"
#include "presignd/resp_hello.h"
#include "presignd/resp_name.h"
#include "presignd/resp_queue.h"
#include "presignd/resp_wire.h"

enum {
    CONNECT_MS = 2000,   /* to one address, AUTH and checks included */
    NAME_MS = 5000,      /* then it is told that the lookup hangs */
    PROBE_MS = 1000,     /* for the PING of an open breaker */
    PAUSE_LEAST_MS = 50, /* between two tries */
    PAUSE_MOST_MS = 5000,
    STABLE_MS = 10000, /* up for so long: the next pause is a short one again */
    IDLE_MS = 3600000, /* nothing to do */
    WHY_MAX = 320,
};

enum phase {
    PHASE_WAITING,  /* a pause before the next try */
    PHASE_NAMING,   /* the host's addresses are looked up */
    PHASE_OPENING,  /* connecting */
    PHASE_GREETING, /* resp_hello */
    PHASE_UP,
    PHASE_TRIPPED, /* the breaker is open: a pause, then a probe */
    PHASE_LEAVING, /* nothing is sent any more; what is under way may still be answered */
};

struct resp_link {
    struct loop *loop;
    struct resp_config config;
    struct resp_listener *listener;
    struct resp_tls *tls;
    struct random_pool random;

    enum phase phase;
    int64_t phase_until_ms;
    struct timer chores;
    struct resp_name name;
    struct resp_addresses addresses;
    size_t next_address;
    struct resp_wire wire;
    struct resp_hello hello;
    struct resp_ask greeting, probe;
    bool probing;

    struct resp_queue queue;

    int failures;       /* in a row, while up */
    int64_t counted_ms; /* when the last of them was counted */
    int tries;          /* since it was up for STABLE_MS */
    int64_t up_since_ms;
    struct buf why;  /* down: the reason; up: a warning or nothing */
    struct buf told; /* the last reason that was logged */
    bool told_up;
    int depth; /* of enter() */
    bool dead;
    char why_space[WHY_MAX];
    char told_space[WHY_MAX];
};

static void enter(struct resp_link *k)
{
    k->depth++;
}

static int64_t now_ms(const struct resp_link *k)
{
    return loop_now_ms(k->loop);
}

static void run_chores_at(struct resp_link *k, int64_t at_ms)
{
    const enum status st = loop_timer_at(k->loop, &k->chores, at_ms);
    assert(st == ST_OK); /* it is set: moving succeeds */
}

static void run_chores_soon(struct resp_link *k)
{
    if (!k->dead && k->depth == 0)
        run_chores_at(k, now_ms(k));
}

/* what is told: each change once */

static void set_why(struct resp_link *k, struct str why)
{
    buf_reset(&k->why);
    buf_str(&k->why, str_slice(why, 0, WHY_MAX));
}

static void say(struct resp_link *k, bool up)
{
    AUTO(buf) text = BUF_INIT(1024);
    buf_str(&text, k->config.host);
    buf_lit(&text, ":");
    buf_int(&text, k->config.port);
    if (up) {
        buf_lit(&text, ": connected");
        if (k->hello.version.len) {
            buf_lit(&text, ", version ");
            buf_str(&text, buf_view(&k->hello.version));
        }
    }
    if (k->why.len) {
        buf_lit(&text, ": ");
        buf_str(&text, buf_view(&k->why));
    }
    const bool good = up && k->why.len == 0;
    log_say(good ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "redis", buf_view(&text),
            loop_wall_us(k->loop));
}

static void tell(struct resp_link *k, bool up)
{
    const bool turned = up != k->told_up;
    if (turned || (!up && !str_equal(buf_view(&k->told), buf_view(&k->why)))) {
        say(k, up);
        buf_reset(&k->told);
        buf_str(&k->told, buf_view(&k->why));
    }
    k->told_up = up;
    if (turned)
        k->listener->changed(k->listener, up, buf_view(&k->why));
}

/* phases */

static bool has_wire(const struct resp_link *k)
{
    return k->phase >= PHASE_OPENING;
}

static void enter_phase(struct resp_link *k, enum phase p, int64_t for_ms)
{
    k->phase = p;
    k->queue.no_more = p == PHASE_LEAVING;
    k->phase_until_ms = now_ms(k) + for_ms;
}

/* Full jitter below a ceiling that doubles. */
static int64_t pause_ms(struct resp_link *k)
{
    const int64_t ceiling_ms = MIN_OF((int64_t)PAUSE_MOST_MS, (int64_t)100 << MIN_OF(k->tries, 6));
    k->tries++;
    return PAUSE_LEAST_MS + random_below(&k->random, ceiling_ms - PAUSE_LEAST_MS + 1);
}

static void forget_calm_past(struct resp_link *k)
{
    if (k->phase == PHASE_UP && now_ms(k) - k->up_since_ms >= STABLE_MS)
        k->tries = 0;
}

static void close_and_wait(struct resp_link *k)
{
    enter_phase(k, PHASE_WAITING, pause_ms(k));
    resp_wire_close(&k->wire);
}

/* The connection is no more, or shall be no more. */
static void drop(struct resp_link *k, struct str why)
{
    forget_calm_past(k);
    set_why(k, why);
    close_and_wait(k);
    if (!k->dead)
        tell(k, false);
}

/* An error said that this server is of no use. */
static void begin_leaving(struct resp_link *k, struct str why)
{
    forget_calm_past(k);
    set_why(k, why);
    enter_phase(k, PHASE_LEAVING, IDLE_MS);
}

static void trip(struct resp_link *k)
{
    forget_calm_past(k);
    set_why(k, STR("the server does not answer in time"));
    k->probing = false;
    enter_phase(k, PHASE_TRIPPED, pause_ms(k));
}

static void come_up(struct resp_link *k)
{
    k->failures = 0;
    k->up_since_ms = now_ms(k);
    enter_phase(k, PHASE_UP, IDLE_MS);
    set_why(k, buf_view(&k->hello.warning));
    tell(k, true);
}

/* connecting: name, addresses in turn, hello */

static void leave(struct resp_link *k);

static void named(struct resp_name *n, const struct resp_addresses *a, struct str why)
{
    struct resp_link *k = container_of(n, struct resp_link, name);
    enter(k);
    k->addresses = *a;
    k->next_address = 0;
    k->phase = PHASE_OPENING; /* leave() opens the first one */
    if (a->n == 0) {
        char space[WHY_MAX];
        struct buf text = BUF_FIXED(space);
        buf_lit(&text, "the name leads nowhere: ");
        buf_str(&text, why);
        drop(k, buf_view(&text));
    }
    leave(k);
}

static void start_naming(struct resp_link *k)
{
    const enum status st = resp_name_start(&k->name, k->loop, k->config.host);
    if (st == ST_OK)
        enter_phase(k, PHASE_NAMING, NAME_MS);
    else
        drop(k, st == ST_INVALID ? STR("the host's name is none")
                                 : STR("no memory or thread to look the name up"));
}

/* The next address, or the end of this try. */
static void open_next(struct resp_link *k)
{
    while (!resp_wire_is_open(&k->wire) && k->next_address < k->addresses.n) {
        enter_phase(k, PHASE_OPENING, CONNECT_MS);
        resp_wire_open(&k->wire, k->addresses.text[k->next_address++], k->config.port,
                       k->config.host);
    }
    if (!resp_wire_is_open(&k->wire))
        drop(k, k->wire.why.len ? buf_view(&k->wire.why) : STR("no connection in time"));
}

static bool ask_views(struct resp_link *k, struct resp_ask *a, const struct str *words, size_t n)
{
    const char *argv[RESP_HELLO_ARGS];
    size_t lens[RESP_HELLO_ARGS];
    for (size_t i = 0; i < n; i++) {
        argv[i] = words[i].ptr;
        lens[i] = words[i].len;
    }
    return resp_wire_ask(&k->wire, a, n, argv, lens);
}

static void greet(struct resp_link *k, const struct resp_reply *last)
{
    char space[WHY_MAX];
    struct buf why = BUF_FIXED(space);
    const enum hello_verdict verdict = resp_hello_next(&k->hello, last, &why);
    if (verdict == HELLO_FINE)
        come_up(k);
    else if (verdict == HELLO_NO)
        drop(k, buf_view(&why));
    else if (!ask_views(k, &k->greeting, k->hello.argv, k->hello.argc))
        drop(k, STR("no memory to greet the server"));
}

static void greeted(struct resp_ask *a, const struct resp_reply *r)
{
    struct resp_link *k = container_of(a, struct resp_link, greeting);
    /* Lost: leave() sees that the wire is closed. */
    if (k->phase == PHASE_GREETING && (r->kind == RESP_OK || r->kind == RESP_ERROR))
        greet(k, r);
}

static void start_greeting(struct resp_link *k)
{
    enter_phase(k, PHASE_GREETING, CONNECT_MS);
    resp_hello_start(&k->hello, &k->config);
    greet(k, NULL);
}

/* the breaker */

static void probed(struct resp_ask *a, const struct resp_reply *r)
{
    struct resp_link *k = container_of(a, struct resp_link, probe);
    char space[WHY_MAX];
    struct buf why = BUF_FIXED(space);
    if (k->phase != PHASE_TRIPPED || (r->kind != RESP_OK && r->kind != RESP_ERROR))
        return;
    if (r->kind == RESP_ERROR && resp_hello_ends(r->text, &why))
        drop(k, buf_view(&why));
    else
        come_up(k);
}

static void probe(struct resp_link *k)
{
    const struct str ping = STR("PING");
    k->probing = true;
    enter_phase(k, PHASE_TRIPPED, PROBE_MS);
    if (!ask_views(k, &k->probe, &ping, 1))
        drop(k, STR("too much waits for the server"));
}

/* commands */

/* One stall lets many commands wait: it counts once in the time that one command has. */
static void count_failure(struct resp_link *k)
{
    if (k->failures > 0 && now_ms(k) - k->counted_ms < k->config.timeout_ms)
        return;
    k->failures++;
    k->counted_ms = now_ms(k);
}

/* What an answer says about the server; leave() tells it. */
static void heard(struct resp_queue *q, enum resp_kind kind, struct str error)
{
    struct resp_link *k = container_of(q, struct resp_link, queue);
    char space[WHY_MAX];
    struct buf why = BUF_FIXED(space);
    if (kind == RESP_TIMEOUT)
        count_failure(k);
    else
        k->failures = 0;
    if (k->phase == PHASE_UP && k->failures >= RESP_BREAKER_FAILURES)
        trip(k);
    const bool talking = k->phase == PHASE_UP || k->phase == PHASE_TRIPPED;
    if (talking && kind == RESP_ERROR && resp_hello_ends(error, &why))
        begin_leaving(k, buf_view(&why));
}

void resp_link_send(struct resp_link *k, struct resp_command *c, const struct resp_script *s,
                    size_t n_keys, const struct str *argv, size_t argc)
{
    assert(!k->dead);
    if (k->phase == PHASE_UP && resp_queue_send(&k->queue, c, s, n_keys, argv, argc))
        return;
    resp_queue_refuse(&k->queue, c);
    run_chores_soon(k);
}

void resp_link_forget(struct resp_link *k, struct resp_command *c)
{
    resp_queue_forget(&k->queue, c);
}

/* the loop's turns */

/* What an event has left to do. */
static void settle(struct resp_link *k)
{
    const bool closed = has_wire(k) && !resp_wire_is_open(&k->wire);
    if (k->phase == PHASE_OPENING && closed)
        open_next(k);
    else if (k->phase == PHASE_OPENING && resp_wire_connected(&k->wire))
        start_greeting(k);
    else if (closed && k->phase != PHASE_LEAVING)
        drop(k, buf_view(&k->wire.why));
    else if (k->told_up && (k->phase == PHASE_TRIPPED || k->phase == PHASE_LEAVING))
        tell(k, false);
    if (k->phase == PHASE_LEAVING && (closed || !k->queue.first))
        close_and_wait(k);
}

static void schedule(struct resp_link *k)
{
    int64_t at_ms = MIN_OF(k->phase_until_ms, resp_queue_due_ms(&k->queue));
    if (k->queue.n_unsent || k->wire.flush_wanted ||
        (k->wire.broken && resp_wire_is_open(&k->wire)))
        at_ms = now_ms(k);
    run_chores_at(k, at_ms);
}

static void destroy(struct resp_link *k)
{
    resp_wire_release(&k->wire);
    resp_tls_free(k->tls);
    random_pool_release(&k->random);
    free(k);
}

static void leave(struct resp_link *k)
{
    if (k->depth == 1 && !k->dead)
        settle(k);
    if (--k->depth > 0)
        return;
    if (k->dead)
        destroy(k);
    else
        schedule(k);
}

static void wire_ready(struct source *source, uint32_t epoll_events)
{
    struct resp_wire *w = container_of(source, struct resp_wire, source);
    struct resp_link *k = container_of(w, struct resp_link, wire);
    enter(k);
    resp_wire_ready(w, epoll_events);
    leave(k);
}

static void wire_wants_flush(struct resp_wire *w)
{
    run_chores_soon(container_of(w, struct resp_link, wire));
}

static void phase_is_over(struct resp_link *k)
{
    switch (k->phase) {
    case PHASE_WAITING: start_naming(k); break;
    case PHASE_NAMING: /* a second thread would hang as well */
        set_why(k, STR("the lookup of the name takes long"));
        enter_phase(k, PHASE_NAMING, IDLE_MS);
        tell(k, false);
        break;
    case PHASE_OPENING: /* leave() goes on to the next address */ resp_wire_close(&k->wire); break;
    case PHASE_GREETING: drop(k, STR("connected, but the server does not answer")); break;
    case PHASE_UP: enter_phase(k, PHASE_UP, IDLE_MS); break;
    case PHASE_TRIPPED:
        if (k->probing)
            drop(k, STR("the server does not answer"));
        else
            probe(k);
        break;
    case PHASE_LEAVING: close_and_wait(k); break;
    }
}

/* From a copy: done() may change the reason. */
static void answer_unsent(struct resp_link *k)
{
    char space[WHY_MAX];
    struct buf why = BUF_FIXED(space);
    buf_str(&why, k->phase == PHASE_UP ? STR("too much waits for the server, or no memory")
                                       : buf_view(&k->why));
    resp_queue_answer_unsent(&k->queue, buf_view(&why));
}

static void chores_due(struct timer *t)
{
    struct resp_link *k = container_of(t, struct resp_link, chores);
    run_chores_at(k, now_ms(k) + IDLE_MS); /* at once: the place it had is still free */
    enter(k);
    answer_unsent(k);
    resp_queue_expire(&k->queue, now_ms(k));
    if (!k->dead && k->phase_until_ms <= now_ms(k))
        phase_is_over(k);
    resp_wire_flush(&k->wire);
    leave(k);
}

/* life */

bool resp_link_up(const struct resp_link *k, struct str *why)
{
    *why = buf_view(&k->why);
    return k->phase == PHASE_UP;
}

enum status resp_link_new(struct resp_link **out, struct loop *l, const struct resp_config *c,
                          struct resp_listener *h, struct buf *why)
{
    assert(c->timeout_ms > 0);
    struct resp_tls *tls = c->tls ? resp_tls_new(why) : NULL;
    if (c->tls && !tls)
        return ST_INVALID;
    struct resp_link *k = calloc(1, sizeof(*k));
    if (!k) {
        resp_tls_free(tls);
        return ST_NO_MEMORY;
    }
    k->loop = l;
    k->config = *c;
    k->listener = h;
    k->tls = tls;
    k->why = BUF_FIXED(k->why_space);
    k->told = BUF_FIXED(k->told_space);
    k->chores.due = chores_due;
    k->name.done = named;
    k->greeting.answered = greeted;
    k->probe.answered = probed;
    k->queue.wire = &k->wire;
    k->queue.timeout_ms = c->timeout_ms;
    k->queue.heard = heard;
    k->wire.loop = l;
    k->wire.tls = tls;
    k->wire.ready = wire_ready;
    k->wire.wants_flush = wire_wants_flush;
    enter_phase(k, PHASE_WAITING, 0);
    set_why(k, STR("not connected yet"));
    if (resp_wire_init(&k->wire) != ST_OK || loop_timer_at(l, &k->chores, now_ms(k)) != ST_OK) {
        destroy(k);
        return ST_NO_MEMORY;
    }
    *out = k;
    return ST_OK;
}

void resp_link_free(struct resp_link *k)
{
    if (!k)
        return;
    enter(k);
    k->dead = true;
    k->phase = PHASE_WAITING;
    loop_timer_stop(k->loop, &k->chores);
    resp_name_cancel(&k->name);
    resp_queue_forget_all(&k->queue);
    resp_wire_close(&k->wire);
    leave(k);
}
