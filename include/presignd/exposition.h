/*
 * exposition - the metrics of all loops as Prometheus text (exposition format 0.0.4).
 */
#ifndef PRESIGND_EXPOSITION_H
#define PRESIGND_EXPOSITION_H

#include "presignd/metrics.h"
#include "presignd/request.h"

struct gauge {
    const char *name; /* "presignd_credentials_remaining_seconds" */
    const char *help;
    const char *label; /* `issuer`, or NULL */
    struct str label_value;
    double value;
};

/* Sums over `n` loops; labels of routes come from the table; then the gauges, in their order. */
void exposition_write(struct buf *out, const struct metrics *const *loops, size_t n,
                      const struct route *routes, size_t n_routes, const struct gauge *gauges,
                      size_t n_gauges);

#endif
