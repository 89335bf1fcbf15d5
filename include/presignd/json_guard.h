/*
 * json_guard - runs jansson's parser so that it survives a failed allocation.
 *
 * jansson 2.14 ignores that its token buffer could not grow and then reads and writes past it. So
 * while it parses, its allocator does not return on failure: everything the parse had allocated is
 * freed and the call ends with ST_NO_MEMORY. Nobody else calls json_load*.
 */
#ifndef PRESIGND_JSON_GUARD_H
#define PRESIGND_JSON_GUARD_H

#include <jansson.h>

#include "presignd/status.h"

/*
 * json_loadb() with `flags`. ST_OK: *out_doc is owned by the caller. ST_INVALID_REQUEST: jansson
 * refused the text, *out_error says why. ST_NO_MEMORY.
 *
 * The first call sets jansson's allocation functions for the whole process; blocks remain plain
 * malloc() blocks, so libraries that mix both stay right. Make it before threads start.
 */
MUST_CHECK enum status json_guard_load(struct str text, size_t flags, json_t **out_doc,
                                       json_error_t *out_error);

#endif
