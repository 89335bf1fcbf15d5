/*
 * exposition - families are written whole, one after the other, as the format demands: HELP, TYPE,
 * then every series. Counters of loops are summed on the way; series that never counted are left
 * out, except where a family would be empty or a rate is likely to be asked for from the start.
 */
#include "presignd/exposition.h"

#include <math.h>

enum { HTTP_CODES = 600, MILLI = 1000, MICRO = 1000000, MICRO_DIGITS = 6 };

static const double SHOWN_MAX = 1e15; /* thousandths of it still fit 64 bits */

struct writer {
    struct buf *out;
    const struct exposition *e;
};

static void family(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_lit(out, "# HELP ");
    buf_str(out, str_from(name));
    buf_lit(out, " ");
    buf_str(out, str_from(help));
    buf_lit(out, "\n# TYPE ");
    buf_str(out, str_from(name));
    buf_lit(out, " ");
    buf_str(out, str_from(type));
    buf_lit(out, "\n");
}

/* Backslash, quote and newline are what the format wants escaped in a label's value. */
static void label(struct buf *out, const char *name, struct str value)
{
    buf_str(out, str_from(name));
    buf_lit(out, "=\"");
    for (size_t i = 0; i < value.len; i++) {
        const char c = value.ptr[i];
        if (c == '\\' || c == '"')
            buf_char(out, '\\');
        buf_str(out, c == '\n' ? STR("\\n") : str_slice(value, i, i + 1));
    }
    buf_lit(out, "\"");
}

static void number(struct buf *out, uint64_t v)
{
    buf_lit(out, " ");
    buf_int(out, (int64_t)MIN_OF(v, (uint64_t)INT64_MAX));
    buf_lit(out, "\n");
}

/* 250 as 0.00025: seconds with as many decimals as are needed. */
static void micros_as_seconds(struct buf *out, uint64_t micros)
{
    buf_int(out, (int64_t)(micros / MICRO));
    int64_t rest = (int64_t)(micros % MICRO);
    int digits = MICRO_DIGITS;
    if (rest == 0)
        return;
    for (; rest % 10 == 0; rest /= 10)
        digits--;
    buf_lit(out, ".");
    buf_int_padded(out, rest, digits);
}

static void gauge_value(struct buf *out, double v)
{
    if (!isfinite(v)) {
        buf_str(out, isnan(v) ? STR(" NaN\n") : v > 0 ? STR(" +Inf\n") : STR(" -Inf\n"));
        return;
    }
    const double size = v < 0 ? -v : v;
    const double shown = size < SHOWN_MAX ? size : SHOWN_MAX;
    const int64_t milli = (int64_t)(shown * MILLI + 0.5);
    buf_lit(out, " ");
    if (v < 0 && milli > 0)
        buf_lit(out, "-");
    buf_int(out, milli / MILLI);
    if (milli % MILLI > 0) {
        buf_lit(out, ".");
        buf_int_padded(out, milli % MILLI, 3);
    }
    buf_lit(out, "\n");
}

/* The sum over all loops of one cell, given by its place in struct metrics. */
static uint64_t sum(const struct writer *w, size_t offset)
{
    uint64_t total = 0;
    for (size_t i = 0; i < w->e->n_loops; i++)
        total +=
            metric_read((const metric_cell *)(const void *)((const char *)w->e->loops[i] + offset));
    return total;
}

#define SUM(w, member)       sum((w), offsetof(struct metrics, member))
#define SUM_AT(w, member, i) sum((w), offsetof(struct metrics, member) + (i) * sizeof(metric_cell))

static void counter(const struct writer *w, const char *name, const char *help, uint64_t v)
{
    family(w->out, name, "counter", help);
    buf_str(w->out, str_from(name));
    number(w->out, v);
}

/* name{key="value"} n */
static void series(const struct writer *w, const char *name, const char *key, struct str value,
                   uint64_t n)
{
    buf_str(w->out, str_from(name));
    buf_lit(w->out, "{");
    label(w->out, key, value);
    buf_lit(w->out, "}");
    number(w->out, n);
}

/* ---- requests ----------------------------------------------------------------------------------- */

static struct str label_of(const struct writer *w, size_t route)
{
    return route < w->e->n_routes ? str_from(w->e->routes[route].label) : STR("none");
}

/* Rows of one label are one series. */
static bool first_of_label(const struct writer *w, size_t route)
{
    for (size_t i = 0; i < route; i++)
        if (str_equal(label_of(w, i), label_of(w, route)))
            return false;
    return true;
}

static uint64_t requests_of_label(const struct writer *w, size_t route, size_t http)
{
    uint64_t total = 0;
    for (size_t i = route; i < METRIC_ROUTES; i++) {
        const uint64_t n = SUM_AT(w, requests, i * HTTP_CODES + http);
        if (n > 0 && (i == route || str_equal(label_of(w, i), label_of(w, route))))
            total += n;
    }
    return total;
}

static void requests(const struct writer *w)
{
    static const char name[] = "presignd_requests_total";
    family(w->out, name, "counter",
           "Requests by route and answered status; 499: client went away.");
    for (size_t route = 0; route < METRIC_ROUTES; route++) {
        if (!first_of_label(w, route))
            continue;
        for (size_t http = 0; http < HTTP_CODES; http++) {
            const uint64_t n = requests_of_label(w, route, http);
            if (n == 0)
                continue;
            buf_str(w->out, str_from(name));
            buf_lit(w->out, "{");
            label(w->out, "route", label_of(w, route));
            buf_lit(w->out, ",status=\"");
            buf_int(w->out, (int64_t)http);
            buf_lit(w->out, "\"}");
            number(w->out, n);
        }
    }
}

/* Statuses that share a code are one series. */
static void refusals(const struct writer *w)
{
    static const char name[] = "presignd_refusals_total";
    uint64_t left[STATUS_COUNT];
    family(w->out, name, "counter", "Refusals by the code the client was told.");
    for (size_t i = 0; i < STATUS_COUNT; i++)
        left[i] = SUM_AT(w, refusals, i);
    for (size_t i = 0; i < STATUS_COUNT; i++) {
        uint64_t n = left[i];
        for (size_t k = i + 1; k < STATUS_COUNT; k++) {
            if (str_equal(status_code((enum status)i), status_code((enum status)k))) {
                n += left[k];
                left[k] = 0;
            }
        }
        if (n == 0)
            continue;
        series(w, name, "code", status_code((enum status)i), n);
    }
}

static void grants(const struct writer *w)
{
    static const char name[] = "presignd_grants_total";
    family(w->out, name, "counter", "Packets handed out, by method.");
    series(w, name, "method", STR("POST"), SUM(w, grants_post));
    series(w, name, "method", STR("PUT"), SUM(w, grants_put));
}

static void bucket_line(const struct writer *w, const char *name, size_t i, uint64_t so_far)
{
    buf_str(w->out, str_from(name));
    buf_lit(w->out, "_bucket{le=\"");
    if (i < METRIC_BUCKETS)
        micros_as_seconds(w->out, (uint64_t)metric_bounds_us[i]);
    else
        buf_lit(w->out, "+Inf");
    buf_lit(w->out, "\"}");
    number(w->out, so_far);
}

/* `at` is the histogram's place in struct metrics. */
static void histogram(const struct writer *w, const char *name, const char *help, size_t at)
{
    family(w->out, name, "histogram", help);
    uint64_t so_far = 0;
    for (size_t i = 0; i <= METRIC_BUCKETS; i++) {
        so_far += sum(w, at + offsetof(struct metric_histogram, bucket) + i * sizeof(metric_cell));
        bucket_line(w, name, i, so_far);
    }
    buf_str(w->out, str_from(name));
    buf_lit(w->out, "_sum ");
    micros_as_seconds(w->out, sum(w, at + offsetof(struct metric_histogram, sum_us)));
    buf_lit(w->out, "\n");
    buf_str(w->out, str_from(name));
    buf_lit(w->out, "_count");
    number(w->out, so_far);
}

static void connections(const struct writer *w)
{
    const uint64_t opened = SUM(w, connections_opened), closed = SUM(w, connections_closed);
    counter(w, "presignd_connections_opened_total", "Connections accepted.", opened);
    counter(w, "presignd_connections_closed_total", "Connections ended.", closed);
    counter(w, "presignd_connections_refused_total",
            "Connections cut off by a deadline or for want of memory.",
            SUM(w, connections_refused));
    family(w->out, "presignd_connections_open", "gauge", "Connections open now.");
    buf_lit(w->out, "presignd_connections_open");
    /* the two are read one after the other while loops go on */
    number(w->out, opened > closed ? opened - closed : 0);
}

/* ---- the ledger --------------------------------------------------------------------------------- */

static void reservations(const struct writer *w)
{
    static const char name[] = "presignd_reservations_total";
    family(w->out, name, "counter",
           "Answers of the ledger to requests for packets; released: given back, no packet was "
           "handed out.");
    series(w, name, "outcome", STR("taken"), SUM(w, reservations_taken));
    series(w, name, "outcome", STR("replayed"), SUM(w, reservations_replayed));
    series(w, name, "outcome", STR("refused"), SUM(w, reservations_refused));
    series(w, name, "outcome", STR("unavailable"), SUM(w, reservations_unavailable));
    series(w, name, "outcome", STR("released"), SUM(w, reservations_released));
}

/* NULL: this loop never met it. */
static const metric_cell *refusals_of(const struct metrics *m, struct str limit)
{
    const struct metric_names *names = &m->limit_refusals;
    for (size_t i = 0; i < metric_names_n(names); i++)
        if (str_equal(str_from(names->rows[i].name), limit))
            return &names->rows[i].count;
    return NULL;
}

/* Each loop numbers the names in the order that it met them: the first that has one tells it. */
static void refusals_of_all(const struct writer *w, const char *name, size_t loop, struct str limit)
{
    uint64_t n = 0;
    for (size_t i = 0; i < w->e->n_loops; i++) {
        const metric_cell *c = refusals_of(w->e->loops[i], limit);
        if (c && i < loop)
            return;
        n += c ? metric_read(c) : 0;
    }
    series(w, name, "limit", limit, n);
}

static void refusals_by_limit(const struct writer *w)
{
    static const char name[] = "presignd_limit_refusals_total";
    family(w->out, name, "counter", "Refusals by the limit that had no room.");
    for (size_t loop = 0; loop < w->e->n_loops; loop++) {
        const struct metric_names *m = &w->e->loops[loop]->limit_refusals;
        for (size_t i = 0; i < metric_names_n(m); i++)
            refusals_of_all(w, name, loop, str_from(m->rows[i].name));
    }
    const uint64_t others = SUM(w, limit_refusals.others);
    if (others > 0)
        series(w, name, "limit", STR(""), others);
}

static void sweeps(const struct writer *w)
{
    static const char name[] = "presignd_sweeps_total";
    const struct sweep_counts *s = w->e->sweeps;
    if (!s)
        return;
    family(w->out, name, "counter",
           "Uploads settled after their packet died, by what the store said.");
    series(w, name, "outcome", STR("there"), metric_read(&s->there));
    series(w, name, "outcome", STR("missing"), metric_read(&s->missing));
    series(w, name, "outcome", STR("unknown"), metric_read(&s->unknown));
    series(w, name, "outcome", STR("unasked"), metric_read(&s->unasked));
    series(w, name, "outcome", STR("failed"), metric_read(&s->failed));
    counter(w, "presignd_sweep_heads_total", "HEAD requests of the sweeper.",
            metric_read(&s->heads));
    family(w->out, "presignd_sweep_backlog", "gauge", "Uploads that wait to be settled.");
    buf_lit(w->out, "presignd_sweep_backlog");
    number(w->out, metric_read(&s->backlog));
}

static void write_gauges(struct buf *out, const struct gauge *gauges, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct gauge *g = &gauges[i];
        if (i == 0 || !str_equal(str_from(g->name), str_from(gauges[i - 1].name)))
            family(out, g->name, "gauge", g->help);
        buf_str(out, str_from(g->name));
        if (g->label) {
            buf_lit(out, "{");
            label(out, g->label, g->label_value);
            buf_lit(out, "}");
        }
        gauge_value(out, g->value);
    }
}

void exposition_write(struct buf *out, const struct exposition *e)
{
    const struct writer w = { .out = out, .e = e };
    requests(&w);
    refusals(&w);
    grants(&w);
    reservations(&w);
    refusals_by_limit(&w);
    sweeps(&w);
    counter(&w, "presignd_token_cache_hits_total", "Tokens known from an earlier request.",
            SUM(&w, token_cache_hits));
    counter(&w, "presignd_token_cache_misses_total", "Tokens that had to be verified.",
            SUM(&w, token_cache_misses));
    histogram(&w, "presignd_request_duration_seconds",
              "From the end of the request's header to the end of the answer.",
              offsetof(struct metrics, latency));
    histogram(&w, "presignd_ledger_duration_seconds",
              "From a question to the ledger to its answer.",
              offsetof(struct metrics, ledger_latency));
    connections(&w);
    counter(&w, "presignd_log_lines_lost_total", "Log lines dropped: the reader was too slow.",
            SUM(&w, log_lines_lost));
    write_gauges(out, e->gauges, e->n_gauges);
}
