/*
 * packet_view - reads a packet back: what was signed, by whom, until when.
 *
 * Takes what presignd answered to any of its routes (API.md sections 2 and 4): "url" with "fields" or
 * "headers", "presigned_post", "uploadUrl", "presignedUrl". Nothing is verified: the secret key is
 * the store's and presignd's alone. What packet_hides() names is for comparing, not for showing.
 */
#ifndef PRESIGND_PACKET_VIEW_H
#define PRESIGND_PACKET_VIEW_H

#include "presignd/json_read.h"

enum { PACKET_VIEW_BYTES_MAX = 256 * 1024, PACKET_CONDITIONS_MAX = 100 };

enum condition_kind { CONDITION_EXACT, CONDITION_STARTS };

struct condition {
    enum condition_kind kind;
    struct str field; /* without the "$" */
    struct str value;
};

struct packet_view {
    bool post;
    struct str url;           /* without its query */
    struct str bucket, key;   /* as far as it says */
    struct jr_pairs fields;   /* POST: the form's; PUT: the headers; none: not told */
    bool has_policy;          /* POST: the policy could be read */
    struct str policy;        /* POST: as it stands in the field, base64 */
    const char *policy_fault; /* POST: why it could not */
    struct condition conditions[PACKET_CONDITIONS_MAX]; /* PUT: the signed headers that are known */
    size_t n_conditions;
    bool has_range;
    int64_t min_bytes, max_bytes;   /* of the file, inclusive */
    struct str signed_headers;      /* PUT: "content-type;host", lower case */
    int64_t signed_at_s, ends_at_s; /* 0: not told */
    struct str access_key_id, day, region, service;
    bool temporary; /* signed with a session token */
};

/*
 * ST_OK, or ST_INVALID with a sentence in `why`: no JSON, a refusal of presignd, a batch, no packet.
 * ST_TOO_LARGE, ST_NO_MEMORY. Texts are in the arena.
 */
MUST_CHECK enum status packet_view_read(struct packet_view *out, struct str text, struct arena *a,
                                        struct buf *why);

/* The policy of a POST packet into `out`; out->policy_fault says why it could not be read. */
MUST_CHECK enum status packet_view_policy(struct packet_view *out, struct str base64,
                                          struct arena *a);

/* What the packet wants of a field or header, names in any case; NULL: nothing. */
const struct condition *packet_view_condition(const struct packet_view *p, struct str field);

/* The value of a pair, names in any case; NULL: there is none. */
const struct str *pairs_find(const struct jr_pairs *pairs, struct str name);

/* An object of strings; numbers are taken as they are printed. ST_INVALID: something else. */
MUST_CHECK enum status pairs_read(struct jr_pairs *out, json_t *object, struct arena *a);

/* Fields whose value nobody should print: tokens, signatures, customers' keys. */
bool packet_hides(struct str field);

#endif
