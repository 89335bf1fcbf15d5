/*
 * route - finds the route of a path: exact, case-sensitive, no trailing slash, no normalising.
 */
#ifndef PRESIGND_ROUTE_H
#define PRESIGND_ROUTE_H

#include "presignd/request.h"

struct route_match {
    const struct route *route; /* NULL: no such path (out_allowed 0) or method */
    size_t number;             /* index in the table */
    struct str path_id;
    unsigned allowed;          /* methods that this path has */
};

struct route_match route_find(const struct route *routes, size_t n, bool admin_listener,
                              struct str path, unsigned method);

/* 0 for a method that we do not know. */
unsigned route_method(const char *name);

/* "GET, HEAD, POST": for Allow and Access-Control-Allow-Methods. */
void route_methods(struct buf *out, unsigned methods);

#endif
