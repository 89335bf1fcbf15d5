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

enum { METRIC_ROUTES = 16, METRIC_BUCKETS = 14 };

struct metric_histogram {
    metric_cell bucket[METRIC_BUCKETS + 1]; /* each its own share, not a running sum; last: +Inf */
    metric_cell sum_us;
};

/* Upper bounds of the buckets in microseconds, ascending. */
extern const int64_t metric_bounds_us[METRIC_BUCKETS];

struct metrics {
    metric_cell requests[METRIC_ROUTES][600]; /* by route number and HTTP status */
    metric_cell refusals[STATUS_COUNT];
    metric_cell grants_post, grants_put;
    metric_cell token_cache_hits, token_cache_misses;
    metric_cell connections_opened, connections_closed, connections_refused;
    metric_cell log_lines_lost;
    struct metric_histogram latency;
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

#endif
