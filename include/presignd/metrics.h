/*
 * metrics - counters of one loop. Only the owner adds; the admin listener reads all of them with
 * relaxed atomic loads and sums. No names here but the fixed families below: the text is made by
 * the http floor (exposition.h).
 */
#ifndef PRESIGND_METRICS_H
#define PRESIGND_METRICS_H

#include <stdatomic.h>

#include "presignd/status.h"

typedef atomic_uint_least64_t metric_cell;

enum { METRIC_ROUTES = 32, METRIC_BUCKETS = 14, METRIC_NAMES = 32, METRIC_NAME_MAX = 64 };

struct metric_histogram {
    metric_cell bucket[METRIC_BUCKETS + 1]; /* each its own share, not a running sum; last: +Inf */
    metric_cell sum_us;
};

/* Upper bounds of the buckets in microseconds, ascending. */
extern const int64_t metric_bounds_us[METRIC_BUCKETS];

/* Counters whose names come with what they count (limits of the configuration), so bounded: what is
 * one too many, or too long, counts among the others. A name that stands there stays. */
struct metric_names {
    metric_cell n;
    struct {
        char name[METRIC_NAME_MAX + 1];
        metric_cell count;
    } rows[METRIC_NAMES];
    metric_cell others;
};

struct metrics {
    metric_cell requests[METRIC_ROUTES][600]; /* by route number and HTTP status */
    metric_cell refusals[STATUS_COUNT];
    metric_cell grants_post, grants_put;
    metric_cell token_cache_hits, token_cache_misses;
    metric_cell connections_opened, connections_closed, connections_refused;
    metric_cell log_lines_lost;
    struct metric_histogram latency;
    metric_cell reservations_taken, reservations_replayed, reservations_refused;
    metric_cell reservations_unavailable, reservations_released;
    struct metric_names limit_refusals;
    struct metric_histogram ledger_latency;
};

static inline void metric_add(metric_cell *c, uint64_t n)
{
    /* one writer: a relaxed load and store is enough and needs no locked instruction */
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline uint64_t metric_read(const metric_cell *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

void metric_observe(struct metric_histogram *h, int64_t micros);

/* One more of this name. */
void metric_add_named(struct metric_names *m, struct str name);

/* For readers: how many rows can be read now. */
static inline size_t metric_names_n(const struct metric_names *m)
{
    return (size_t)atomic_load_explicit(&m->n, memory_order_acquire);
}

#endif
