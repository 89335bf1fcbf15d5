/*
 * ledger - what operators ask of the ledger and correct in it, beside a running server or without one.
 *
 * Questions go through the same interface that requests use, on a loop of the command's own; copies
 * of the whole are the embedded engine's business. A user is named as in the log (the hash), or by
 * the claim in the token where it is clear whose token.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "presignd/cmd.h"
#include "presignd/date.h"
#include "presignd/json_write.h"
#include "presignd/ledger_redis.h"
#include "presignd/ledger_sqlite.h"
#include "presignd/principal.h"
#include "presignd/tally_text.h"

enum {
    WHY_MAX = 4096,
    ANSWER_MAX = 1 << 20,
    PATH_LIMIT = 4096,
    HASH_LEN = 32,
    TURN_MS = 100,
    CONNECT_LIMIT_MS = 5000,
    ASK_LIMIT_MS = 30000,
    REDIS_TIMEOUT_MS = 5000, /* a person waits longer than a request */
};

#define NUMBER_LIMIT ((INT64_C(1) << 53) - 1)

static const char usage[] =
    "usage: presignd ledger show USER | set USER LIMIT N | reset USER | release USER BYTES |\n"
    "                       export | backup FILE   [options]\n"
    "  show USER            what USER has used of each limit\n"
    "  set USER LIMIT N     what USER has used of LIMIT (count, bytes) is N from now on\n"
    "  reset USER           nothing is used any more; what is reserved stays reserved\n"
    "  release USER BYTES   gives back BYTES on every bytes limit that never renews\n"
    "  export               every user and upload as JSON lines (SQLite)\n"
    "  backup FILE          a copy of the database, also while it is served from (SQLite)\n"
    "  USER is the 32 hex digits that the log calls user_hash, or the user's claim in the token\n"
    "  --issuer I      USER is a claim of this issuer's tokens (where there are several issuers)\n"
    "  --json          show, set, reset, release: the answer for programs\n"
    "  --config FILE   the configuration that names the ledger\n";

/* One call of the command. */
struct errand {
    const struct verb *verb;
    const char *config_path, *issuer;
    char *const *args; /* behind the verb */
    bool json;
    struct config *config;
    char user_hash[HASH_LEN + 1];
};

struct verb {
    const char *name;
    int n_args;
    enum ledger_verb asks; /* LEDGER_VIEW: nothing, it copies the whole */
    int (*run)(struct errand *c);
};

static int complain(const struct errand *c, struct str what)
{
    fprintf(stderr, "presignd ledger %s: %.*s\n", c->verb->name, STR_ARGS(what));
    return 1;
}

#define COMPLAIN(c, sentence) complain(c, STR(sentence))

/* ---- the engine --------------------------------------------------------------------------------- */

struct engine {
    struct loop *loop;
    struct ledger_db *db;
    struct ledger_fleet *fleet;
    struct ledger_redis_config redis;
    struct secret password;
    struct ledger *door;
};

/* The order matters: nobody may post to the loop when it goes. */
static void engine_close(struct engine *e)
{
    ledger_db_stop(e->db);
    ledger_free(TAKE(e->door));
    if (e->loop)
        loop_free(TAKE(e->loop));
    ledger_db_free(TAKE(e->db));
    ledger_fleet_free(TAKE(e->fleet));
    secret_release(&e->password);
}

static enum status open_sqlite(struct engine *e, const struct ledger_config *c, struct buf *why)
{
    TRY(ledger_db_open(&e->db, c->path, LEDGER_DB_COMMAND, why));
    e->door = ledger_sqlite_new(e->db, e->loop);
    return e->door ? ST_OK : ST_NO_MEMORY;
}

static enum status read_password(struct engine *e, struct str file, struct buf *why)
{
    AUTO(buf) path = BUF_INIT(PATH_LIMIT);
    buf_str(&path, file);
    const char *cpath = buf_cstr(&path);
    const enum status st = cpath ? secret_read_file(&e->password, cpath) : ST_NO_MEMORY;
    if (st == ST_OK || st == ST_NO_MEMORY)
        return st;
    buf_lit(why, "ledger.password_file cannot be read: ");
    buf_str(why, file);
    return st;
}

/* Until the connection is up; nothing may be counted locally meanwhile. */
static enum status wait_ready(struct engine *e, struct buf *why)
{
    struct str reason = STR("");
    const int64_t end_ms = loop_now_ms(e->loop) + CONNECT_LIMIT_MS;
    while (!ledger_ready(e->door, &reason)) {
        if (loop_now_ms(e->loop) >= end_ms) {
            buf_lit(why, "Redis cannot be asked: ");
            buf_str(why, reason);
            return ST_UNREACHABLE;
        }
        loop_turn(e->loop, TURN_MS);
    }
    return ST_OK;
}

static enum status open_redis(struct engine *e, const struct ledger_config *c, struct buf *why)
{
    e->redis = c->redis;
    e->redis.server.timeout_ms = REDIS_TIMEOUT_MS;
    e->redis.on_rate = ON_RATE_DENY;
    e->redis.on_quota = ON_QUOTA_DENY;
    if (c->password_file.len) {
        TRY(read_password(e, c->password_file, why));
        e->redis.server.password = &e->password;
    }
    e->fleet = ledger_fleet_new(&e->redis);
    if (!e->fleet)
        return ST_NO_MEMORY;
    TRY(ledger_redis_new(&e->door, e->fleet, e->loop, why));
    return wait_ready(e, why);
}

static enum status engine_open(struct engine *e, const struct ledger_config *c, struct buf *why)
{
    e->loop = loop_new();
    if (!e->loop)
        return ST_NO_MEMORY;
    return c->backend == LEDGER_REDIS ? open_redis(e, c, why) : open_sqlite(e, c, why);
}

/* ---- one question ------------------------------------------------------------------------------- */

struct question {
    struct ledger_op op;
    bool answered;
};

static void note_answer(struct ledger_op *op)
{
    container_of(op, struct question, op)->answered = true;
}

static enum status ask(struct engine *e, struct question *q)
{
    q->op.done = note_answer;
    q->op.now_us = loop_clock_wall_us();
    if (ledger_ask(e->door, &q->op) == LEDGER_DONE)
        return q->op.status;
    const int64_t end_ms = loop_now_ms(e->loop) + ASK_LIMIT_MS;
    while (!q->answered) {
        if (loop_now_ms(e->loop) >= end_ms) {
            ledger_cancel(e->door, &q->op);
            fault_set(&q->op.fault, ST_LEDGER_UNAVAILABLE, STR("no answer in time"));
            return ST_LEDGER_UNAVAILABLE;
        }
        loop_turn(e->loop, TURN_MS);
    }
    return q->op.status;
}

static int explain(const struct errand *c, const struct question *q)
{
    if (q->op.status == ST_NOT_FOUND && q->op.verb == LEDGER_SET)
        return COMPLAIN(c, "the user has counted nothing under that limit, or it is no count or "
                           "bytes limit");
    if (q->op.status == ST_NOT_FOUND)
        return COMPLAIN(c, "the ledger knows no such user (see --issuer)");
    const struct fault *f = &q->op.fault;
    return complain(c, f->log_reason.len ? f->log_reason : f->detail);
}

/* ---- the answer --------------------------------------------------------------------------------- */

/* As far as `unit` goes: "1.5 GiB". */
static void put_human(struct buf *out, int64_t bytes)
{
    static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB" };
    int64_t unit = 1024;
    size_t i = 0;
    for (; i + 1 < ARRAY_LEN(units) && bytes / unit >= 1024; i++)
        unit *= 1024;
    buf_lit(out, " (");
    buf_int(out, bytes / unit);
    buf_lit(out, ".");
    buf_int(out, bytes % unit * 10 / unit);
    buf_lit(out, " ");
    buf_str(out, str_from(units[i]));
    buf_lit(out, ")");
}

static void put_amount(struct buf *out, enum limit_kind kind, int64_t amount)
{
    buf_int(out, amount);
    if (kind == LIMIT_BYTES && amount >= 1024)
        put_human(out, amount);
}

enum { CELLS = 5, CELL_MAX = 96 };
struct line { /* of the table: LIMIT KIND USED RESERVED SINCE, and what plans allow */
    char text[CELLS][CELL_MAX];
    struct buf cell[CELLS], plans;
};

/* A tally that was not touched since its window ended is stored as it was, but counts as empty. */
static bool is_over(const struct rules *r, const struct tally *t, int64_t now_us)
{
    for (size_t i = 0; i < r->n_plans; i++)
        for (size_t k = 0; k < r->plans[i].n_limits; k++) {
            const struct limit *l = &r->plans[i].limits[k];
            if (str_equal(l->name, t->name) && l->kind == t->kind && l->window_s != WINDOW_FOREVER)
                return limit_window_end(l, t->start_s) <= now_us / 1000000;
        }
    return false;
}

static void put_since(struct buf *out, const struct rules *r, const struct tally *t, int64_t now_us)
{
    if (t->kind == LIMIT_RATE) {
        buf_lit(out, "burst full");
        if (t->tat_us > now_us) {
            buf_lit(out, " at ");
            date_iso(out, (t->tat_us + 999999) / 1000000);
        }
    } else if (t->start_s) {
        date_iso(out, t->start_s);
        buf_str(out, is_over(r, t, now_us) ? STR(" (over)") : STR(""));
    } else
        buf_lit(out, "-");
}

/* "1000 in free, 5000 in pro": the plan is in the token, so each that has this limit is named. */
static void put_plans(struct buf *out, const struct rules *r, const struct tally *t)
{
    for (size_t i = 0; i < r->n_plans; i++)
        for (size_t k = 0; k < r->plans[i].n_limits; k++) {
            const struct limit *l = &r->plans[i].limits[k];
            if (!str_equal(l->name, t->name) || l->kind != t->kind)
                continue;
            buf_str(out, out->len ? STR(", ") : STR(""));
            put_amount(out, l->kind, l->max);
            buf_lit(out, " in ");
            buf_str(out, r->plans[i].name);
        }
    if (out->len == 0)
        buf_lit(out, "no plan has it");
}

static void fill_line(struct line *l, const struct rules *r, const struct tally *t, int64_t now_us)
{
    const bool counts = t->kind == LIMIT_COUNT || t->kind == LIMIT_BYTES;
    buf_str(&l->cell[0], t->name);
    buf_str(&l->cell[1], limit_kind_words[t->kind]);
    if (counts)
        put_amount(&l->cell[2], t->kind, t->used);
    else
        buf_lit(&l->cell[2], "-");
    if (t->kind != LIMIT_RATE)
        put_amount(&l->cell[3], t->kind, t->reserved);
    else
        buf_lit(&l->cell[3], "-");
    put_since(&l->cell[4], r, t, now_us);
    put_plans(&l->plans, r, t);
}

static void put_line(struct buf *out, const struct line *l, const size_t *widths)
{
    for (size_t i = 0; i < CELLS; i++) {
        buf_str(out, buf_view(&l->cell[i]));
        for (size_t pad = l->cell[i].len; pad < widths[i] + 2; pad++)
            buf_char(out, ' ');
    }
    buf_str(out, buf_view(&l->plans));
    buf_char(out, '\n');
}

static void put_table(struct buf *out, const struct errand *c, const struct ledger_op *op)
{
    static const char *const head[CELLS] = { "LIMIT", "KIND", "USED", "RESERVED", "SINCE" };
    struct line lines[1 + TALLIES_MAX];
    size_t widths[CELLS] = { 0 };
    const size_t n = 1 + MIN_OF(op->n_tallies, (size_t)TALLIES_MAX);
    for (size_t i = 0; i < n; i++) {
        lines[i].plans = BUF_INIT(WHY_MAX);
        for (size_t k = 0; k < CELLS; k++) {
            lines[i].cell[k] = BUF_FIXED(lines[i].text[k]);
            if (i == 0)
                buf_str(&lines[i].cell[k], str_from(head[k]));
        }
        if (i == 0)
            buf_lit(&lines[i].plans, "ALLOWED");
        else
            fill_line(&lines[i], &c->config->rules, &op->tallies[i - 1], op->now_us);
        for (size_t k = 0; k < CELLS; k++)
            widths[k] = MAX_OF(widths[k], lines[i].cell[k].len);
    }
    buf_lit(out, "user_hash ");
    buf_str(out, op->user_hash);
    buf_lit(out, "\n");
    for (size_t i = 0; i < n; i++) {
        put_line(out, &lines[i], widths);
        buf_release(&lines[i].plans);
    }
}

static void put_moment(struct jw *j, const char *key, int64_t unix_s)
{
    char space[32];
    struct buf text = BUF_FIXED(space);
    if (unix_s == 0) {
        jw_null(j, key);
        return;
    }
    date_iso(&text, unix_s);
    jw_str(j, key, buf_view(&text));
}

static enum status put_json(struct buf *out, const struct ledger_op *op)
{
    struct jw j = { .out = out };
    jw_open(&j, '{');
    jw_str(&j, "user_hash", op->user_hash);
    jw_open_key(&j, "limits", '[');
    for (size_t i = 0; i < op->n_tallies; i++) {
        const struct tally *t = &op->tallies[i];
        jw_open(&j, '{');
        jw_str(&j, "name", t->name);
        jw_str(&j, "kind", limit_kind_words[t->kind]);
        jw_int(&j, "used", t->used);
        jw_int(&j, "reserved", t->reserved);
        put_moment(&j, "window_start", t->start_s);
        put_moment(&j, "full_at", t->kind == LIMIT_RATE ? (t->tat_us + 999999) / 1000000 : 0);
        jw_close(&j);
    }
    jw_close(&j);
    jw_close(&j);
    buf_lit(out, "\n");
    return jw_end(&j);
}

static int print_user(const struct errand *c, const struct ledger_op *op)
{
    AUTO(buf) out = BUF_INIT(ANSWER_MAX);
    enum status st = ST_OK;
    if (c->json)
        st = put_json(&out, op);
    else
        put_table(&out, c, op);
    if (st != ST_OK || buf_check(&out) != ST_OK)
        return COMPLAIN(c, "no memory for the answer");
    return fwrite(out.ptr, 1, out.len, stdout) == out.len && fflush(stdout) == 0 ? 0 : 1;
}

/* ---- verbs of one user -------------------------------------------------------------------------- */

static bool is_hash(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!ascii_digit(s.ptr[i]) && !(s.ptr[i] >= 'a' && s.ptr[i] <= 'f'))
            return false;
    return s.len == HASH_LEN;
}

/* False: it was said why not. */
static bool name_user(struct errand *c)
{
    const struct str user = str_from(c->args[0]);
    const struct issuer_config *issuer = c->config->n_issuers == 1 ? c->config->issuers : NULL;
    if (!c->issuer && is_hash(user)) {
        memcpy(c->user_hash, user.ptr, HASH_LEN + 1);
        return true;
    }
    for (size_t i = 0; c->issuer && i < c->config->n_issuers; i++)
        if (str_equal(c->config->issuers[i].issuer, str_from(c->issuer)))
            issuer = &c->config->issuers[i];
    if (c->issuer && (!issuer || !str_equal(issuer->issuer, str_from(c->issuer)))) {
        COMPLAIN(c, "--issuer: the configuration has no such issuer");
        return false;
    }
    if (!issuer) {
        COMPLAIN(c, "USER is no user_hash, and there are several issuers: say which (--issuer I)");
        return false;
    }
    principal_hash_user(issuer->issuer, user, c->user_hash);
    return true;
}

/* What the arguments behind USER say. False: it was said that they are wrong. */
static bool take_amounts(const struct errand *c, struct ledger_op *op)
{
    const int last = c->verb->n_args - 1;
    if (c->verb->asks == LEDGER_SET)
        op->limit_name = str_from(c->args[1]);
    if (c->verb->asks != LEDGER_SET && c->verb->asks != LEDGER_GIVE_BACK)
        return true;
    if (str_to_int(str_from(c->args[last]), NUMBER_LIMIT, &op->amount))
        return true;
    COMPLAIN(c, "the amount must be a whole number from 0 to 9007199254740991");
    return false;
}

/* Corrects if the verb does, then shows what is there. */
static int ask_of_user(const struct errand *c, struct engine *e, struct question *q)
{
    if (c->verb->asks != LEDGER_SHOW && ask(e, q) != ST_OK)
        return explain(c, q);
    struct question show = {
        .op = { .verb = LEDGER_SHOW, .user_hash = q->op.user_hash, .arena = q->op.arena }
    };
    if (ask(e, &show) != ST_OK)
        return explain(c, &show);
    return print_user(c, &show.op);
}

static int of_user(struct errand *c)
{
    struct question q = { .op = { .verb = c->verb->asks } };
    if (!name_user(c) || !take_amounts(c, &q.op))
        return 1;
    struct arena arena = ARENA_INIT(ANSWER_MAX);
    AUTO(buf) why = BUF_INIT(WHY_MAX);
    struct engine e = { .loop = NULL };
    q.op.user_hash = str_from(c->user_hash);
    q.op.arena = &arena;
    const enum status st = engine_open(&e, &c->config->ledger, &why);
    int code = 1;
    if (st == ST_OK)
        code = ask_of_user(c, &e, &q);
    else
        complain(c, why.len ? buf_view(&why) : STR("no memory"));
    engine_close(&e);
    arena_release(&arena);
    return code;
}

/* ---- verbs of the whole ------------------------------------------------------------------------- */

/* 0: the ledger is a file. */
static int wants_file(const struct errand *c)
{
    if (c->config->ledger.backend == LEDGER_SQLITE)
        return 0;
    return COMPLAIN(c, "this ledger is in Redis: copy it with Redis's own tools (redis-cli --rdb "
                       "FILE, or its snapshots)");
}

static int say_how(const struct errand *c, enum status st, const struct buf *why)
{
    if (st == ST_OK)
        return 0;
    return complain(c, why->len ? buf_view(why) : STR("no memory"));
}

static int export_all(struct errand *c)
{
    AUTO(buf) why = BUF_INIT(WHY_MAX);
    if (wants_file(c))
        return 1;
    return say_how(c, ledger_db_export(c->config->ledger.path, STDOUT_FILENO, &why), &why);
}

static int backup(struct errand *c)
{
    AUTO(buf) why = BUF_INIT(WHY_MAX);
    if (wants_file(c))
        return 1;
    const enum status st = ledger_db_backup(c->config->ledger.path, str_from(c->args[0]), &why);
    return say_how(c, st, &why);
}

/* ---- arguments ---------------------------------------------------------------------------------- */

/* clang-format off */
static const struct verb verbs[] = {
    { "show",    1, LEDGER_SHOW,      of_user },
    { "set",     3, LEDGER_SET,       of_user },
    { "reset",   1, LEDGER_RESET,     of_user },
    { "release", 2, LEDGER_GIVE_BACK, of_user },
    { "export",  0, LEDGER_VIEW,      export_all },
    { "backup",  1, LEDGER_VIEW,      backup },
};
/* clang-format on */

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

static int run(struct errand *c)
{
    AUTO_PTR(config) *config = cmd_config(c->config_path, false, NULL);
    if (!config)
        return 1;
    c->config = config;
    if (config->ledger.backend == LEDGER_NONE)
        return COMPLAIN(c, "the configuration has no ledger (ledger.backend is none)");
    return c->verb->run(c);
}

int cmd_ledger(int argc, char **argv)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' },
        { "issuer", required_argument, NULL, 'i' },
        { "json", no_argument, NULL, 'j' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    struct errand e = { .verb = NULL };
    int c;
    while ((c = cmd_option(argc, argv, "c:i:jh", options)) != -1) {
        if (c == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (c == '?')
            return cmd_usage(usage, argv[optind - 1]);
        if (c == 'c')
            e.config_path = optarg;
        if (c == 'i')
            e.issuer = optarg;
        e.json = e.json || c == 'j';
    }
    if (optind >= argc)
        return cmd_usage(usage, "no command");
    e.verb = find_verb(argv[optind]);
    if (!e.verb)
        return cmd_usage(usage, argv[optind]);
    e.args = argv + optind + 1;
    const int n = argc - optind - 1;
    if (n != e.verb->n_args)
        return cmd_usage(usage, n > e.verb->n_args ? e.args[e.verb->n_args] : "the end");
    return run(&e);
}
