/*
 * packet_json - signs a grant and writes its packet, in the words that dialects put together.
 */
#ifndef PRESIGND_PACKET_JSON_H
#define PRESIGND_PACKET_JSON_H

#include "presignd/grant.h"

/*
 * Signs grant `i` of the call with the credentials of its world. For POST the worker's `packet`
 * holds fields, `url` the place; for PUT `url` holds the signed URL. Both until the next call.
 * ST_OK, or a status to refuse with (ST_PROFILE_NOT_ALLOWED with a log reason where the packet is
 * larger than a store takes).
 */
MUST_CHECK enum status packet_sign(struct grant_call *g, size_t i);

/* What the policy of a POST grant is made of; its texts are the decision's. */
struct post_ask packet_post_ask(const struct grant_call *g, const struct grant *it);

/* "url" + "fields", or "url" + "headers", of what was just signed. */
void packet_write(struct jw *j, struct grant_call *g, size_t i);
void packet_write_fields(struct jw *j, struct grant_call *g);
void packet_write_headers(struct jw *j, struct grant_call *g, size_t i);

/* "metadata": {"path","content_length","content_type"} */
void packet_write_metadata(struct jw *j, const struct decision *d);

/* "expires_at": RFC 3339 */
void packet_write_expires_at(struct jw *j, int64_t expires_at_s);

/* After all were signed: the grant's line in the log (event "grant"), the count in metrics, and what
 * is left of the plan's limits among the answer's headers. */
void packet_granted(struct grant_call *g);

#endif
