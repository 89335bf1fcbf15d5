/*
 * metrics - the bounds of the latency histogram and the operations that are no plain add.
 *
 * Buckets hold their own share only; the text format wants running sums, and whoever writes it
 * makes them. So an observation touches two cells, not fifteen.
 */
#include "presignd/metrics.h"

#include <string.h>

/* Fine where a healthy answer lies (tens of microseconds), coarse where something waited. */
const int64_t metric_bounds_us[METRIC_BUCKETS] = {
    50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000, 5000000,
};

void metric_observe(struct metric_histogram *h, int64_t micros)
{
    const int64_t value = MAX_OF(micros, 0);
    size_t i = 0;
    while (i < METRIC_BUCKETS && value > metric_bounds_us[i])
        i++;
    metric_add(&h->bucket[i], 1);
    metric_add(&h->sum_us, (uint64_t)value);
}

static metric_cell *cell_named(struct metric_names *m, struct str name)
{
    for (size_t i = 0; i < (size_t)metric_read(&m->n); i++)
        if (str_equal(str_from(m->rows[i].name), name))
            return &m->rows[i].count;
    return NULL;
}

void metric_add_named(struct metric_names *m, struct str name)
{
    metric_cell *c = cell_named(m, name);
    const size_t n = (size_t)metric_read(&m->n);
    if (c || n == METRIC_NAMES || name.len > METRIC_NAME_MAX) {
        metric_add(c ? c : &m->others, 1);
        return;
    }
    memcpy(m->rows[n].name, name.ptr, name.len);
    metric_add(&m->rows[n].count, 1);
    /* whoever sees the number sees the row */
    atomic_store_explicit(&m->n, n + 1, memory_order_release);
}
