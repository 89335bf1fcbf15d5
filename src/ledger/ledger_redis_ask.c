/*
 * ledger_redis_ask - questions as KEYS and ARGV of the scripts; each script's head says what stands
 * where. Texts are views: the link copies them when it sends.
 */
#include "redis_parts.h"

#include <stdlib.h>

#include "presignd/tally_text.h"

static void push(struct args *a, struct str s)
{
    if (a->n < ARGS_MAX)
        a->list[a->n] = s;
    a->n++;
}

static void push_int(struct args *a, int64_t v)
{
    const size_t at = a->digits.len;
    buf_int(&a->digits, v);
    push(a, str_slice(buf_view(&a->digits), at, a->digits.len));
}

static void push_flag(struct args *a, bool v)
{
    push(a, v ? STR("1") : STR("0"));
}

static void args_start(struct args *a, enum fleet_script script)
{
    a->script = script;
    a->n = 0;
    a->digits = BUF_FIXED(a->digits_space);
    a->key.limit = KEY_MAX;
    buf_reset(&a->key);
}

/* KEYS[1] of a user, and what base.lua wants. */
static void push_user(struct args *a, const struct ledger_fleet *f, struct str user_hash)
{
    buf_str(&a->key, f->config.prefix);
    buf_lit(&a->key, "{");
    buf_str(&a->key, user_hash);
    buf_lit(&a->key, "}");
    push(a, buf_view(&a->key));
}

static void push_base(struct args *a, const struct ledger_fleet *f, struct str user_hash,
                      int64_t now_us)
{
    if (f->config.own_clock)
        push_int(a, now_us);
    else
        push(a, STR(""));
    push(a, buf_view(&f->due_key));
    push(a, user_hash);
}

static enum status args_check(const struct args *a)
{
    if (a->n > ARGS_MAX)
        return ST_TOO_LARGE;
    TRY(buf_check(&a->key));
    return buf_check(&a->digits);
}

/* ---- verbs -------------------------------------------------------------------------------------- */

static int64_t span_us(const struct limit *l, int64_t step_us)
{
    const int64_t most_us = INT64_C(1) << 52;
    return l->burst > most_us / step_us ? most_us : l->burst * step_us;
}

static void push_limit(struct args *a, const struct limit *l)
{
    const int64_t step_us = limit_step_us(l);
    push(a, l->name);
    push(a, limit_kind_words[l->kind]);
    push_int(a, l->max);
    push_int(a, l->window_s);
    push_int(a, step_us);
    push_int(a, span_us(l, step_us));
}

static void push_file(struct args *a, const struct ledger_file *f)
{
    push(a, f->id);
    push(a, f->uuid);
    push(a, f->profile);
    push(a, f->bucket);
    push(a, f->bucket_name);
    push(a, f->key);
    push(a, f->content_type);
    push_int(a, f->content_length);
    push_int(a, f->reserve_bytes);
    push_int(a, f->expires_at_s);
    push_flag(a, f->post);
    push_flag(a, f->exact);
}

static void push_reserve(struct args *a, const struct ledger_op *op)
{
    const size_t n_limits = op->plan ? op->plan->n_limits : 0;
    push(a, op->verb == LEDGER_PEEK ? STR("peek") : STR("reserve"));
    push_int(a, (int64_t)n_limits);
    push_int(a, (int64_t)op->n_files);
    push(a, op->idempotency_key);
    push(a, op->request_hash);
    push_flag(a, op->plan && op->plan->unsettled_release);
    for (size_t i = 0; i < n_limits; i++)
        push_limit(a, &op->plan->limits[i]);
    for (size_t i = 0; i < MIN_OF(op->n_files, (size_t)FILES_MAX); i++)
        push_file(a, &op->files[i]);
}

static void push_upload(struct args *a, const struct ledger_op *op)
{
    static const struct str presences[] = {
        [OBJECT_UNKNOWN] = STR_INIT("unknown"),
        [OBJECT_MISSING] = STR_INIT("missing"),
        [OBJECT_THERE] = STR_INIT("there"),
    };
    push(a, op->id);
    push(a, presences[op->seen.presence]);
    push_int(a, MIN_OF(MAX_OF(op->seen.size, 0), LIMITS_NUMBER_MAX));
    push(a, op->seen.etag.len <= UPLOAD_ETAG_MAX ? op->seen.etag : STR(""));
    push_int(a, op->now_us / 1000000);
}

static void push_tally(struct args *a, const struct ledger_op *op)
{
    push(a, op->limit_name);
    push_int(a, MIN_OF(MAX_OF(op->amount, -LIMITS_NUMBER_MAX), LIMITS_NUMBER_MAX));
    for (size_t i = 0; op->plan && i < op->plan->n_limits; i++) {
        const struct limit *l = &op->plan->limits[i];
        if (!str_equal(l->name, op->limit_name))
            continue;
        push(a, limit_kind_words[l->kind]);
        push_int(a, limit_window_start(l, op->now_us / 1000000));
        return;
    }
    push(a, STR(""));
    push(a, STR("0"));
}

/* clang-format off */
static const struct {
    enum fleet_script script;
    struct str word; /* ARGV[4]; "" none */
    void (*push)(struct args *a, const struct ledger_op *op);
} verbs[] = {
    [LEDGER_RESERVE]   = { SCRIPT_RESERVE, STR_INIT(""),          push_reserve },
    [LEDGER_PEEK]      = { SCRIPT_RESERVE, STR_INIT(""),          push_reserve },
    [LEDGER_VIEW]      = { SCRIPT_UPLOAD,  STR_INIT("view"),      push_upload  },
    [LEDGER_CANCEL]    = { SCRIPT_UPLOAD,  STR_INIT("cancel"),    push_upload  },
    [LEDGER_COMPLETE]  = { SCRIPT_UPLOAD,  STR_INIT("complete"),  push_upload  },
    [LEDGER_SETTLE]    = { SCRIPT_UPLOAD,  STR_INIT("settle"),    push_upload  },
    [LEDGER_SHOW]      = { SCRIPT_TALLIES, STR_INIT("show"),      push_tally   },
    [LEDGER_ADJUST]    = { SCRIPT_TALLIES, STR_INIT("adjust"),    push_tally   },
    [LEDGER_SET]       = { SCRIPT_TALLIES, STR_INIT("set"),       push_tally   },
    [LEDGER_RESET]     = { SCRIPT_TALLIES, STR_INIT("reset"),     push_tally   },
    [LEDGER_GIVE_BACK] = { SCRIPT_TALLIES, STR_INIT("give_back"), push_tally   },
};
/* clang-format on */

/* So many uploads fit into one reply. */
enum { DUE_MAX = 100 };

static enum status args_of_due(struct args *a, const struct ledger_fleet *f,
                               const struct ledger_op *op)
{
    args_start(a, SCRIPT_DUE);
    push(a, buf_view(&f->due_key));
    push_base(a, f, STR(""), op->now_us);
    push(a, f->config.prefix);
    push_int(a, (int64_t)MIN_OF(op->max_uploads, (size_t)DUE_MAX));
    push_int(a, op->now_us / 1000000);
    return args_check(a);
}

enum status args_of_op(struct args *a, const struct ledger_fleet *f, const struct ledger_op *op)
{
    if (op->verb == LEDGER_DUE)
        return args_of_due(a, f, op);
    if (op->n_files > FILES_MAX)
        return ST_TOO_LARGE;
    args_start(a, verbs[op->verb].script);
    push_user(a, f, op->user_hash);
    push_base(a, f, op->user_hash, op->now_us);
    if (verbs[op->verb].word.len > 0)
        push(a, verbs[op->verb].word);
    verbs[op->verb].push(a, op);
    return args_check(a);
}

enum status args_of_release(struct args *a, const struct ledger_fleet *f, const struct owed *o)
{
    args_start(a, SCRIPT_RELEASE);
    push_user(a, f, o->user_hash);
    push_base(a, f, o->user_hash, o->now_us);
    push(a, o->token);
    push(a, o->idempotency_key);
    for (size_t i = 0; i < o->n_ids; i++)
        push(a, o->ids[i]);
    return args_check(a);
}

enum status args_of_handed(struct args *a, const struct ledger_fleet *f, const struct ledger_op *op)
{
    args_start(a, SCRIPT_HANDED);
    push_user(a, f, op->user_hash);
    for (size_t i = 0; i < op->n_files; i++)
        push(a, op->replayed ? str_from(op->replay[i].id) : op->files[i].id);
    return args_check(a);
}

enum status args_of_probe(struct args *a, const struct ledger_fleet *f)
{
    args_start(a, SCRIPT_PROBE);
    buf_str(&a->key, f->config.prefix);
    buf_lit(&a->key, "{probe}");
    push(a, buf_view(&a->key));
    return args_check(a);
}

/* ---- owed --------------------------------------------------------------------------------------- */

static struct str packed(char **to, struct str s)
{
    if (s.len > 0)
        memcpy(*to, s.ptr, s.len);
    const struct str copy = { *to, s.len };
    *to += s.len;
    return copy;
}

struct owed *owed_new(const struct ledger_op *op)
{
    size_t bytes = op->user_hash.len + op->idempotency_key.len;
    for (size_t i = 0; i < op->n_files; i++)
        bytes += op->files[i].id.len;
    const size_t head = sizeof(struct owed) + op->n_files * sizeof(struct str);
    struct owed *o = malloc(head + bytes);
    if (!o)
        return NULL;
    char *to = (char *)o + head;
    *o = (struct owed){ .now_us = op->now_us, .n_ids = op->n_files };
    o->user_hash = packed(&to, op->user_hash);
    o->idempotency_key = packed(&to, op->idempotency_key);
    for (size_t i = 0; i < op->n_files; i++)
        o->ids[i] = packed(&to, op->files[i].id);
    o->token = o->n_ids > 0 ? o->ids[0] : STR("");
    return o;
}
