/*
 * ratelimit - the header fields RateLimit-Policy and RateLimit, as draft-ietf-httpapi-ratelimit-headers
 * has them (-11, 23 May 2026): `"name";q=1000;w=86400` and `"name";r=999;t=3600`, structured fields
 * (RFC 9651) of one item, about the tightest limit.
 *
 * q is the limit's max and w its window in seconds (of a calendar month the one under way); r is
 * what is left, t the seconds in which no more than r can be had. What never renews has neither w
 * nor t. Units (`qu`): bytes are "content-bytes", open uploads "concurrent-requests".
 */
#ifndef PRESIGND_RATELIMIT_H
#define PRESIGND_RATELIMIT_H

#include "presignd/limits.h"
#include "presignd/request.h"

enum { RATELIMIT_TEXT_MAX = 192 };

/* The limit with the smallest share left, the first of several; p has at least one. */
size_t ratelimit_tightest(const struct plan *p, const struct limit_state *states);

void ratelimit_policy(struct buf *out, const struct limit *l, int64_t now_s);

/* retry_after_s > 0 stands for t, so that both say the same (draft section 6). */
void ratelimit_left(struct buf *out, const struct limit *l, const struct limit_state *state,
                    int64_t now_us, int64_t retry_after_s);

/* Adds both to the answer: of the limit with this name, "" for the tightest. With a refusal r->fault
 * is set already. Does nothing for a plan without limits (or none), where the ledger told no states
 * (NULL), and without memory. */
void ratelimit_add(struct request *r, const struct plan *p, const struct limit_state *states,
                   struct str limit_name);

#endif
