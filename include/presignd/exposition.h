/*
 * exposition - the metrics of all loops as Prometheus text (exposition format 0.0.4).
 */
#ifndef PRESIGND_EXPOSITION_H
#define PRESIGND_EXPOSITION_H

#include "presignd/metrics.h"
#include "presignd/request.h"
#include "presignd/sweeper.h"

struct gauge {
    const char *name; /* "presignd_credentials_remaining_seconds" */
    const char *help;
    const char *label; /* `issuer`, or NULL */
    struct str label_value;
    double value;
};

struct exposition {
    const struct metrics *const *loops; /* summed */
    size_t n_loops;
    const struct route *routes; /* their labels */
    size_t n_routes;
    const struct sweep_counts *sweeps; /* NULL: nothing is swept */
    const struct gauge *gauges;        /* last, in their order */
    size_t n_gauges;
};

void exposition_write(struct buf *out, const struct exposition *e);

#endif
