/*
 * metrics - the bounds of the latency histogram and the one operation that is not a plain add.
 *
 * Buckets hold their own share only; the text format wants running sums, and whoever writes it
 * makes them. So an observation touches two cells, not fifteen.
 */
#include "presignd/metrics.h"

#include "presignd/base.h"

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
