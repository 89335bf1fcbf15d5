/*
 * probes - /livez, /readyz, /healthz and the admin listener's /metrics (API.md section 5).
 *
 * Liveness knows no dependency: an outage of the metadata service must not restart containers.
 * Readiness says by name what is missing.
 */
#include "presignd/api.h"
#include "presignd/exposition.h"

enum { STUCK_MS = 10000, CHECKS_MAX = 4, REASON_MAX = 256, GAUGES_MAX = 64 };

/* ---- livez -------------------------------------------------------------------------------------- */

static enum step answer_livez(struct request *r)
{
    const struct fleet *f = worker_of(r)->fleet;
    bool alive = true;
    for (size_t i = 0; i < f->n_workers; i++)
        alive = alive && loop_stuck_ms(f->workers[i]->loop) < STUCK_MS;
    struct jw j = { .out = &r->out };
    jw_open(&j, '{');
    jw_str(&j, "status", alive ? STR("alive") : STR("stuck"));
    jw_close(&j);
    return request_answer(r, alive ? 200 : 503);
}

/* ---- readyz ------------------------------------------------------------------------------------- */

struct check {
    const char *name;
    bool ok;
    struct buf reason;
    char space[REASON_MAX];
};

static struct check *check_add(struct check *list, size_t *n, const char *name)
{
    assert(*n < CHECKS_MAX);
    struct check *c = &list[(*n)++];
    c->name = name;
    c->ok = true;
    c->reason = BUF_FIXED(c->space);
    return c;
}

static void check_credentials(struct check *c, const struct world *w, int64_t now_s)
{
    if (!w->creds || creds_left_s(w->creds, now_s) <= 0) {
        c->ok = false;
        buf_lit(&c->reason, "no credentials");
        return;
    }
    buf_lit(&c->reason, "from ");
    buf_str(&c->reason, str_from(w->creds->source));
    if (w->creds->expires_at_s == CREDS_NEVER) {
        buf_lit(&c->reason, ", without an end");
        return;
    }
    const int64_t left_s = creds_left_s(w->creds, now_s);
    buf_lit(&c->reason, ", ");
    buf_int(&c->reason, left_s);
    buf_lit(&c->reason, " s left");
    /* a packet ends 60 s before its credentials do */
    c->ok = left_s >= w->settings.creds_min_ttl_s + 60;
}

static void check_keys(struct check *c, const struct world *w, int64_t now_s)
{
    const struct keyring *kr = w->keyring;
    if (!kr) {
        c->ok = false;
        buf_lit(&c->reason, "no key set");
        return;
    }
    for (size_t i = 0; i < kr->n; i++) {
        const struct key_state *k = &kr->issuers[i];
        if (!k->keys && k->fetched_at_s == 0)
            c->ok = false;
        if (c->reason.len)
            buf_lit(&c->reason, "; ");
        buf_str(&c->reason, k->config->issuer);
        if (!k->keys)
            buf_lit(&c->reason, ": no keys");
        else if (k->can_refetch) {
            buf_lit(&c->reason, ": fetched ");
            buf_int(&c->reason, now_s - k->fetched_at_s);
            buf_lit(&c->reason, " s ago");
        } else
            buf_lit(&c->reason, ": static");
        if (k->last_fetch_failed)
            buf_lit(&c->reason, ", the last fetch failed");
    }
}

static size_t run_checks(struct request *r, struct check *list)
{
    struct worker *w = worker_of(r);
    size_t n = 0;
    check_credentials(check_add(list, &n, "credentials"), w->world, r->now_s);
    check_keys(check_add(list, &n, "keys"), w->world, r->now_s);

    struct check *ledger = check_add(list, &n, "ledger");
    struct str why = STR("");
    ledger->ok = ledger_ready(w->ledger, &why);
    buf_str(&ledger->reason, str_slice(why, 0, REASON_MAX));

    struct check *draining = check_add(list, &n, "draining");
    draining->ok = !atomic_load(&w->fleet->draining);
    if (!draining->ok)
        buf_lit(&draining->reason, "stopping");
    return n;
}

static void write_checks(struct jw *j, const struct check *list, size_t n)
{
    jw_open_key(j, "checks", '[');
    for (size_t i = 0; i < n; i++) {
        jw_open(j, '{');
        jw_str(j, "name", str_from(list[i].name));
        jw_bool(j, "ok", list[i].ok);
        jw_str(j, "reason", (struct str){ list[i].reason.ptr, list[i].reason.len });
        jw_close(j);
    }
    jw_close(j);
}

static enum step answer_readyz(struct request *r)
{
    struct check list[CHECKS_MAX];
    const size_t n = run_checks(r, list);
    bool ready = true;
    for (size_t i = 0; i < n; i++)
        ready = ready && list[i].ok;

    struct jw j = { .out = &r->out };
    jw_open(&j, '{');
    jw_str(&j, "status", ready ? STR("ready") : STR("not_ready"));
    jw_open_key(&j, "failing", '[');
    for (size_t i = 0; i < n; i++)
        if (!list[i].ok)
            jw_item_str(&j, str_from(list[i].name));
    jw_close(&j);
    if (request_query(r, STR("verbose")).ptr)
        write_checks(&j, list, n);
    jw_close(&j);
    return request_answer(r, ready ? 200 : 503);
}

/* ---- metrics ------------------------------------------------------------------------------------ */

static void add_gauge(struct gauge *list, size_t *n, struct gauge g)
{
    if (*n < GAUGES_MAX)
        list[(*n)++] = g;
}

static void creds_gauges(struct gauge *list, size_t *n, const struct world *w, int64_t now_s)
{
    const struct creds *c = w->creds;
    add_gauge(list, n,
              (struct gauge){ .name = "presignd_credentials_available",
                              .help = "1 while there are signing credentials.",
                              .value = c && creds_left_s(c, now_s) > 0 });
    if (!c)
        return;
    add_gauge(list, n,
              (struct gauge){ .name = "presignd_credentials_age_seconds",
                              .help = "Since the signing credentials were obtained.",
                              .value = (double)(now_s - c->obtained_at_s) });
    if (c->expires_at_s != CREDS_NEVER)
        add_gauge(list, n,
                  (struct gauge){ .name = "presignd_credentials_remaining_seconds",
                                  .help = "Until the signing credentials end.",
                                  .value = (double)creds_left_s(c, now_s) });
}

static void keys_gauges(struct gauge *list, size_t *n, const struct world *w, int64_t now_s)
{
    const struct keyring *kr = w->keyring;
    for (size_t i = 0; kr && i < kr->n; i++)
        add_gauge(
            list, n,
            (struct gauge){ .name = "presignd_keys",
                            .help = "Usable verification keys of an issuer.",
                            .label = "issuer",
                            .label_value = kr->issuers[i].config->issuer,
                            .value = kr->issuers[i].keys ? (double)kr->issuers[i].keys->n : 0.0 });
    for (size_t i = 0; kr && i < kr->n; i++)
        if (kr->issuers[i].can_refetch && kr->issuers[i].fetched_at_s > 0)
            add_gauge(list, n,
                      (struct gauge){ .name = "presignd_keys_age_seconds",
                                      .help = "Since an issuer's key set was last fetched.",
                                      .label = "issuer",
                                      .label_value = kr->issuers[i].config->issuer,
                                      .value = (double)(now_s - kr->issuers[i].fetched_at_s) });
}

static enum step answer_metrics(struct request *r)
{
    struct worker *w = worker_of(r);
    const struct fleet *f = w->fleet;
    struct gauge gauges[GAUGES_MAX];
    size_t n = 0;
    creds_gauges(gauges, &n, w->world, r->now_s);
    keys_gauges(gauges, &n, w->world, r->now_s);

    const struct metrics **all = arena_array(&r->arena, f->n_workers, sizeof(*all));
    if (!all)
        return request_refuse(r, ST_OVERLOADED);
    for (size_t i = 0; i < f->n_workers; i++)
        all[i] = &f->workers[i]->metrics;
    const struct exposition e = { .loops = all,
                                  .n_loops = f->n_workers,
                                  .routes = api_routes,
                                  .n_routes = api_routes_all_n,
                                  .sweeps = f->sweeps,
                                  .gauges = gauges,
                                  .n_gauges = n };
    exposition_write(&r->out, &e);
    r->out_type = "text/plain; version=0.0.4; charset=utf-8";
    return request_answer(r, 200);
}

step_fn *const livez_steps[] = { answer_livez, NULL };
step_fn *const readyz_steps[] = { answer_readyz, NULL };
step_fn *const metrics_steps[] = { answer_metrics, NULL };
