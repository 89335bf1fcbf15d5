/*
 * config_plans - plans and their limits, and the ledger that holds them: what goes together, and how
 * large a number may be so that the sums stay exact (below 2^53, which Redis's Lua counts to).
 */
#include "presignd/address.h"
#include "presignd/config_make.h"

enum {
    LIMIT_NAME_MAX = 64,
    RATE_PER_S_MAX = 10000, /* GCRA counts in microseconds: a step is at least 100 */
    REFILL_MAX_S = 366 * 86400,
    HOST_MAX = 253,
    REDIS_PORT = 6379,
    PORT_MAX = 65535,
    DATABASE_MAX = 65535,
    PREFIX_MAX = 64,
};

/* ---- limits ------------------------------------------------------------------------------------- */

/* Which members go with a kind. */
/* clang-format off */
static const struct {
    bool window_s, needs_window_s, month, burst;
} goes_with[] = {
    [LIMIT_RATE]  = { .window_s = true, .needs_window_s = true, .burst = true },
    [LIMIT_COUNT] = { .window_s = true, .month = true },
    [LIMIT_BYTES] = { .window_s = true, .month = true },
    [LIMIT_OPEN]  = { .window_s = false },
};
/* clang-format on */

/* One limit as it is written, and its place. */
struct written {
    struct making *m;
    struct str plan;
    const struct raw_limit *all;
    size_t index;
};

static void say(const struct written *w, const char *member, struct str sentence)
{
    AUTO(buf) place = BUF_INIT(128);
    buf_lit(&place, "limits[");
    buf_int(&place, (int64_t)w->index);
    buf_lit(&place, "].");
    buf_str(&place, str_from(member));
    making_complain(w->m, STR("plans"), w->plan, buf_view(&place), sentence);
}

static bool limit_name_ok(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        const bool letter = c >= 'a' && c <= 'z';
        if (!letter && (i == 0 || (!ascii_digit(c) && c != '_' && c != '-')))
            return false;
    }
    return name.len > 0 && name.len <= LIMIT_NAME_MAX;
}

static void check_limit_name(const struct written *w)
{
    const struct str name = w->all[w->index].name;
    if (!limit_name_ok(name))
        say(w, "name", STR("names of limits are [a-z][a-z0-9_-]*, at most 64 bytes"));
    for (size_t i = 0; i < w->index; i++)
        if (str_equal(w->all[i].name, name)) {
            say(w, "name", STR("is there twice in this plan"));
            return;
        }
}

static void check_members(const struct written *w)
{
    const struct raw_limit *l = &w->all[w->index];
    if (l->window_s_given && !goes_with[l->kind].window_s)
        say(w, "window_s", STR("goes with kinds rate, count and bytes only"));
    if (l->window_given && !goes_with[l->kind].month)
        say(w, "window", STR("goes with kinds count and bytes only"));
    if (l->burst_given && !goes_with[l->kind].burst)
        say(w, "burst", STR("goes with kind rate only"));
    if (!l->window_s_given && goes_with[l->kind].needs_window_s)
        say(w, "window_s", STR("is missing: a rate is max per window_s"));
    else if (l->window_s_given && l->window_given)
        say(w, "window", STR("cannot stand beside window_s"));
}

/* The burst comes back one by one, each after a step of window_s / max. */
static void check_rate(const struct written *w)
{
    const struct raw_limit *l = &w->all[w->index];
    if (l->kind != LIMIT_RATE || !l->window_s_given)
        return;
    if (l->max > RATE_PER_S_MAX * l->window_s)
        say(w, "max", STR("must be at most 10000 times window_s"));
    else if (l->burst_given && l->burst / l->max > REFILL_MAX_S / l->window_s)
        say(w, "burst", STR("would take more than 366 days to come back"));
}

static struct limit compile_limit(const struct written *w)
{
    const struct raw_limit *l = &w->all[w->index];
    check_limit_name(w);
    check_members(w);
    check_rate(w);
    return (struct limit){
        .name = l->name,
        .kind = (enum limit_kind)l->kind,
        .max = l->max,
        .window_s = l->window_given     ? WINDOW_MONTH
                    : l->window_s_given ? l->window_s
                                        : WINDOW_FOREVER,
        .burst = l->kind != LIMIT_RATE ? 0
                 : l->burst_given      ? l->burst
                                       : l->max,
    };
}

/* ---- one name in several plans ------------------------------------------------------------------ */

/* The first limit of that name in the plans before this one. */
static const struct limit *find_before(const struct plan *list, const struct plan *plan,
                                       struct str name, const struct plan **out_plan)
{
    for (const struct plan *p = list; p < plan; p++)
        for (size_t i = 0; i < p->n_limits; i++)
            if (str_equal(p->limits[i].name, name)) {
                *out_plan = p;
                return &p->limits[i];
            }
    return NULL;
}

static bool same_tally(const struct limit *a, const struct limit *b)
{
    const bool windowed = a->kind == LIMIT_COUNT || a->kind == LIMIT_BYTES;
    return a->kind == b->kind && (!windowed || a->window_s == b->window_s);
}

/*
 * A user has one tally for a name, whatever his plan. If its kind or window changed with the plan,
 * who has tokens of two plans would begin anew with each change between them.
 */
static void check_names_across(struct making *m, const struct raw_plan *raw,
                               const struct plan *list, size_t at)
{
    for (size_t i = 0; i < list[at].n_limits; i++) {
        const struct limit *l = &list[at].limits[i];
        const struct plan *other;
        const struct limit *before = find_before(list, &list[at], l->name, &other);
        if (!before || same_tally(before, l) || !limit_name_ok(l->name))
            continue;
        AUTO(buf) text = BUF_INIT(512);
        buf_str(&text, l->name);
        buf_lit(&text, " has another ");
        buf_str(&text, l->kind == before->kind ? STR("window") : STR("kind"));
        buf_lit(&text, " in plan ");
        buf_str(&text, str_slice(other->name, 0, LIMIT_NAME_MAX)); /* longer ones are faults */
        buf_lit(&text, ", but one name is one tally in all plans: give one of them another name");
        say(&(struct written){ m, list[at].name, raw[at].limits.items, i }, "name",
            buf_view(&text));
    }
}

/* ---- plans -------------------------------------------------------------------------------------- */

static void take_plan(struct making *m, const struct raw_plan *raw, struct plan *out)
{
    making_check_name(m, STR("plans"), raw->name);
    struct limit *limits = making_rows(m, raw->limits.n, sizeof(*limits));
    for (size_t i = 0; limits && i < raw->limits.n; i++)
        limits[i] = compile_limit(&(struct written){ m, raw->name, raw->limits.items, i });
    *out = (struct plan){ .name = raw->name,
                          .limits = limits,
                          .n_limits = limits ? raw->limits.n : 0,
                          .unsettled_release = raw->unsettled == 1 };
    if (raw->limits.n > LEDGER_LIMITS_MAX)
        COMPLAIN(m, "plans", raw->name, "limits", "must have at most 16 entries");
    if (!out->unsettled_release)
        return;
    buf_lit(&m->warn, "plans.");
    buf_str(&m->warn, raw->name);
    buf_lit(&m->warn, ".unsettled: release believes clients that do not say what they uploaded\n");
}

void config_take_plans(struct making *m)
{
    struct config *c = m->c;
    const struct raw_plan *raw = m->raw.plans.items;
    const size_t n = m->raw.plans.n;
    struct plan *list = making_rows(m, n, sizeof(*list));
    for (size_t i = 0; list && i < n; i++) {
        take_plan(m, &raw[i], &list[i]);
        check_names_across(m, raw, list, i);
        if (str_equal(list[i].name, m->raw.default_plan))
            c->rules.default_plan = &list[i];
    }
    c->rules.plans = list;
    c->rules.n_plans = list ? n : 0;
    if (!c->rules.default_plan && (n > 0 || m->raw.default_plan.len))
        COMPLAIN(m, "default_plan", STR(""), "", "must name one of the plans");
}

/* ---- the ledger --------------------------------------------------------------------------------- */

/* clang-format off */
static const struct {
    const char *member;
    enum ledger_backend backend;
    struct str sentence;
} ledger_members[] = {
    { "path",          LEDGER_SQLITE, STR_INIT("goes with backend sqlite only") },
    { "url",           LEDGER_REDIS,  STR_INIT("goes with backend redis only") },
    { "username",      LEDGER_REDIS,  STR_INIT("goes with backend redis only") },
    { "password_file", LEDGER_REDIS,  STR_INIT("goes with backend redis only") },
    { "prefix",        LEDGER_REDIS,  STR_INIT("goes with backend redis only") },
    { "timeout_ms",    LEDGER_REDIS,  STR_INIT("goes with backend redis only") },
    { "replicas",      LEDGER_REDIS,  STR_INIT("goes with backend redis only") },
    { "on_failure",    LEDGER_REDIS,  STR_INIT("goes with backend redis only") },
};
/* clang-format on */

static void check_ledger_members(struct making *m)
{
    json_t *written = json_object_get(m->c->effective, "ledger");
    for (size_t i = 0; i < ARRAY_LEN(ledger_members); i++)
        if (ledger_members[i].backend != m->c->ledger.backend &&
            json_object_get(written, ledger_members[i].member))
            making_complain(m, STR("ledger"), STR(""), str_from(ledger_members[i].member),
                            ledger_members[i].sentence);
}

/* Without a ledger limits would not hold, so they are refused and never ignored. */
static void check_no_limits(struct making *m)
{
    for (size_t i = 0; i < m->c->rules.n_plans; i++)
        if (m->c->rules.plans[i].n_limits > 0)
            COMPLAIN(m, "plans", m->c->rules.plans[i].name, "limits",
                     "need a ledger: ledger.backend is none");
}

static bool all_of(struct str text, struct str others)
{
    for (size_t i = 0; i < text.len; i++)
        if (!ascii_alnum(text.ptr[i]) && str_find(others, text.ptr[i], 0) == others.len)
            return false;
    return text.len > 0;
}

/* A name, an IPv4 address, or an IPv6 address in brackets, which are taken off. */
static bool take_host(struct str host, struct resp_config *out)
{
    struct cidr unused;
    const bool six = str_starts(host, STR("[")) && str_ends(host, STR("]"));
    out->host = six ? str_slice(host, 1, host.len - 1) : host;
    if (six)
        return str_find(out->host, ':', 0) < out->host.len &&
               str_find(out->host, '/', 0) == out->host.len &&
               cidr_parse(out->host, &unused) == ST_OK;
    return host.len <= HOST_MAX && all_of(host, STR(".-_"));
}

static bool take_number(struct str text, int64_t max, int64_t fallback, int64_t *out)
{
    *out = fallback;
    return text.len == 0 || str_to_int(text, max, out);
}

/* host[:port][/database], behind the scheme */
static bool take_place(struct str rest, struct resp_config *out)
{
    const size_t slash = str_find(rest, '/', 0);
    const struct str place = str_slice(rest, 0, slash);
    const size_t six = str_starts(place, STR("[")) ? str_find(place, ']', 0) : 0;
    const size_t colon = str_find(place, ':', six);
    int64_t port, database;
    if (!take_number(str_slice(rest, slash + 1, rest.len), DATABASE_MAX, 0, &database) ||
        !take_number(str_slice(place, colon + 1, place.len), PORT_MAX, REDIS_PORT, &port))
        return false;
    out->database = (int)database;
    out->port = (uint16_t)port;
    return port > 0 && take_host(str_slice(place, 0, colon), out);
}

static void take_url(struct making *m, struct str url, struct resp_config *out)
{
    const struct str plain = STR("redis://"), tls = STR("rediss://");
    out->tls = str_starts(url, tls);
    if (url.len == 0)
        COMPLAIN(m, "ledger.url", STR(""), "", "is missing");
    else if (str_find(url, '@', 0) < url.len)
        COMPLAIN(m, "ledger.url", STR(""), "",
                 "must hold no user and no password: they are username and password_file");
    else if ((!out->tls && !str_starts(url, plain)) ||
             !take_place(str_slice(url, out->tls ? tls.len : plain.len, url.len), out))
        COMPLAIN(m, "ledger.url", STR(""), "",
                 "must be redis://host[:port][/database], or rediss:// for TLS");
}

static void take_redis(struct making *m, const struct raw_ledger *raw)
{
    struct ledger_config *l = &m->c->ledger;
    l->password_file = raw->password_file;
    l->redis = (struct ledger_redis_config){
        .server = { .username = raw->username, .timeout_ms = raw->timeout_ms },
        .prefix = raw->prefix,
        .replicas = raw->replicas,
        .on_rate = (enum ledger_on_rate)raw->on_failure.rate,
        .on_quota = (enum ledger_on_quota)raw->on_failure.quota,
    };
    take_url(m, raw->url, &l->redis.server);
    if (raw->username.len && !raw->password_file.len)
        COMPLAIN(m, "ledger.username", STR(""), "", "needs a password_file");
    if (str_find(raw->username, ' ', 0) < raw->username.len || !str_printable_ascii(raw->username))
        COMPLAIN(m, "ledger.username", STR(""), "", "must be one word of printable ASCII");
    if (raw->prefix.len > PREFIX_MAX || !all_of(raw->prefix, STR(":._/-")))
        COMPLAIN(m, "ledger.prefix", STR(""), "", "must be 1 to 64 of A-Z a-z 0-9 : . _ / -");
}

void config_take_ledger(struct making *m)
{
    const struct raw_ledger *raw = &m->raw.ledger;
    struct ledger_config *l = &m->c->ledger;
    l->backend = (enum ledger_backend)raw->backend;
    check_ledger_members(m);
    if (l->backend == LEDGER_NONE)
        check_no_limits(m);
    if (l->backend == LEDGER_REDIS)
        take_redis(m, raw);
    if (l->backend != LEDGER_SQLITE)
        return;
    l->path = raw->path;
    if (str_starts(raw->path, STR(":")) || str_ends(raw->path, STR("/")))
        COMPLAIN(m, "ledger.path", STR(""), "", "must be the path of a file");
}
