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
    const struct metrics *const *loops;
    size_t n_loops;
    const struct route *routes;
    size_t n_routes;
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
    const int64_t milli = (int64_t)(MIN_OF(size, SHOWN_MAX) * MILLI + 0.5);
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
    for (size_t i = 0; i < w->n_loops; i++)
        total +=
            metric_read((const metric_cell *)(const void *)((const char *)w->loops[i] + offset));
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

/* ---- requests ----------------------------------------------------------------------------------- */

static struct str label_of(const struct writer *w, size_t route)
{
    return route < w->n_routes ? str_from(w->routes[route].label) : STR("none");
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
    for (size_t i = route; i < METRIC_ROUTES; i++)
        if (i == route || str_equal(label_of(w, i), label_of(w, route)))
            total += SUM_AT(w, requests, i * HTTP_CODES + http);
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
        buf_str(w->out, str_from(name));
        buf_lit(w->out, "{");
        label(w->out, "code", status_code((enum status)i));
        buf_lit(w->out, "}");
        number(w->out, n);
    }
}

static void grants(const struct writer *w)
{
    family(w->out, "presignd_grants_total", "counter", "Packets handed out, by method.");
    buf_lit(w->out, "presignd_grants_total{method=\"POST\"}");
    number(w->out, SUM(w, grants_post));
    buf_lit(w->out, "presignd_grants_total{method=\"PUT\"}");
    number(w->out, SUM(w, grants_put));
}

static void bucket_line(const struct writer *w, size_t i, uint64_t so_far)
{
    buf_lit(w->out, "presignd_request_duration_seconds_bucket{le=\"");
    if (i < METRIC_BUCKETS)
        micros_as_seconds(w->out, (uint64_t)metric_bounds_us[i]);
    else
        buf_lit(w->out, "+Inf");
    buf_lit(w->out, "\"}");
    number(w->out, so_far);
}

static void latency(const struct writer *w)
{
    family(w->out, "presignd_request_duration_seconds", "histogram",
           "From the end of the request's header to the end of the answer.");
    uint64_t so_far = 0;
    for (size_t i = 0; i <= METRIC_BUCKETS; i++) {
        so_far += SUM_AT(w, latency.bucket, i);
        bucket_line(w, i, so_far);
    }
    buf_lit(w->out, "presignd_request_duration_seconds_sum ");
    micros_as_seconds(w->out, SUM(w, latency.sum_us));
    buf_lit(w->out, "\npresignd_request_duration_seconds_count");
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

void exposition_write(struct buf *out, const struct metrics *const *loops, size_t n,
                      const struct route *routes, size_t n_routes, const struct gauge *gauges,
                      size_t n_gauges)
{
    const struct writer w = {
        .out = out,
        .loops = loops,
        .n_loops = n,
        .routes = routes,
        .n_routes = n_routes,
    };
    requests(&w);
    refusals(&w);
    grants(&w);
    counter(&w, "presignd_token_cache_hits_total", "Tokens known from an earlier request.",
            SUM(&w, token_cache_hits));
    counter(&w, "presignd_token_cache_misses_total", "Tokens that had to be verified.",
            SUM(&w, token_cache_misses));
    latency(&w);
    connections(&w);
    counter(&w, "presignd_log_lines_lost_total", "Log lines dropped: the reader was too slow.",
            SUM(&w, log_lines_lost));
    write_gauges(out, gauges, n_gauges);
}
