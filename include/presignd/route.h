/*
 * route - finds the route of a path: exact, case-sensitive, no trailing slash, no normalising.
 */
#ifndef PRESIGND_ROUTE_H
#define PRESIGND_ROUTE_H

#include "presignd/request.h"

struct route_match {
    const struct route *route; /* NULL: no such path (out_allowed 0) or method */
    size_t number;             /* index in the table; n when there is no route */
    struct str path_id;
    unsigned allowed;          /* methods that this path has */
    unsigned flags;            /* of enum route_flags, of all routes with this path */
};

struct route_match route_find(const struct route *routes, size_t n, bool admin_listener,
                              struct str path, unsigned method);

/* Of enum http_method; exact case (RFC 9110 section 9.1); 0 for one that we do not know. */
unsigned route_method(const char *name);

/* The name of one method; "OTHER" for 0. */
struct str route_method_name(unsigned method);

/* "GET, HEAD, POST": for Allow and Access-Control-Allow-Methods. GET brings HEAD along. */
void route_methods(struct buf *out, unsigned methods);

#endif
