/*
 * limit_json - what is left of a plan's limits, as `GET /v1/quota` shows it ("limits") and a dry run
 * ("quota"), in the order of the configuration (API.md section 2).
 */
#ifndef PRESIGND_LIMIT_JSON_H
#define PRESIGND_LIMIT_JSON_H

#include "presignd/json_write.h"
#include "presignd/limits.h"

/* The elements of an array that the caller opened, one object per limit: "name", "kind", "limit",
 * "used", "reserved", "remaining", "window_s" and "resets_at" (null where it never renews or is not
 * known). No plan, or a ledger that told no states: none. */
void limit_json_write(struct jw *j, const struct plan *p, const struct limit_state *states);

#endif
