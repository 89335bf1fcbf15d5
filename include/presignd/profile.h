/*
 * profile - the operator's rules in the form that requests are judged by: buckets, profiles, plans.
 * Made once from the configuration (profile_prepare), immutable afterwards, shared by all loops.
 * Texts lie in the configuration's arena.
 */
#ifndef PRESIGND_PROFILE_H
#define PRESIGND_PROFILE_H

#include "presignd/endpoint.h"
#include "presignd/profile_texts.h"

struct bucket {
    struct str name; /* the alias: "main" */
    struct endpoint_config where;
    bool path_style_given;
    bool post;
    struct endpoint public_place, own_place; /* resolved by profile_prepare */
};

enum { EXPIRES_MAX_S = 604800 };
enum size_rule { SIZE_EXACT, SIZE_RANGE, SIZE_ANY };
enum checksum_rule { CHECKSUM_NONE, CHECKSUM_OPTIONAL, CHECKSUM_REQUIRED };

struct profile_extensions {
    struct str content_type;
    struct jr_strs extensions;
};

struct profile_claim {
    struct str name;
    struct jr_strs values;
};

struct profile {
    struct str name;
    const struct bucket *bucket;
    struct template key;
    struct jr_strs content_types;
    const struct profile_extensions *extensions;
    size_t n_extensions;
    int64_t min_bytes, max_bytes;
    enum size_rule size;
    enum checksum_rule checksum;
    int64_t expires_s, max_expires_s;
    struct profile_side post_side, put_side;
    struct jr_strs metadata_set; /* names, without x-amz-meta- */
    struct jr_strs metadata_allow;
    const struct template **words; /* templates with words: what a token must be able to fill */
    size_t n_words;
    struct jr_strs allow_plans;
    bool allow_plans_given;
    struct str allow_scope; /* "" = any */
    const struct profile_claim *allow_claims;
    size_t n_allow_claims;
    bool token_bound;
};

enum limit_kind { LIMIT_RATE, LIMIT_COUNT, LIMIT_BYTES, LIMIT_OPEN };
enum { WINDOW_FOREVER = 0, WINDOW_MONTH = -1 };

struct limit {
    struct str name;
    enum limit_kind kind;
    int64_t max;
    int64_t window_s; /* WINDOW_FOREVER, WINDOW_MONTH, or seconds */
    int64_t burst;
};

struct plan {
    struct str name;
    const struct limit *limits;
    size_t n_limits;
    bool unsettled_release;
};

struct rules {
    const struct bucket *buckets;
    size_t n_buckets;
    const struct profile *profiles; /* sorted by name (str_compare): found by bisection */
    size_t n_profiles;
    const struct profile *default_profile;
    const struct plan *plans;
    size_t n_plans;
    const struct plan *default_plan; /* NULL when no plans are configured */
    bool several_issuers;
};

const struct profile *rules_profile(const struct rules *r, struct str name); /* NULL: none */

/* The plan a principal has: the token's, or the default; NULL when no plans are configured (then
 * {plan} and allow.plans go by the word in the token). */
const struct plan *rules_plan(const struct rules *r, struct str name);

/* The raw form of a profile, as the configuration's tables fill it. */
struct profile_config {
    struct str name, bucket, key;
    struct jr_strs content_types;
    struct jr_list extensions; /* struct profile_extensions */
    int64_t min_bytes, max_bytes;
    int size, checksum; /* the enums above */
    int64_t expires_s, max_expires_s;
    bool max_expires_given;
    json_t *fields; /* an object; values are texts, for "tagging" an object of texts; may be NULL */
    struct jr_strs metadata_allow;
    struct jr_pairs metadata_set;
    bool allow_plans_given;
    struct jr_strs allow_plans;
    struct str allow_scope;
    json_t *allow_claims; /* object: name -> array of texts; may be NULL */
    bool token_bound;
};

/*
 * Checks one profile and compiles it. `buckets` are resolved already (bucket_prepare), `plans` and
 * several_issuers are set.
 * ST_OK; ST_INVALID: *member is the path below the profile ("key", "fields.acl"), *why a sentence.
 * Warnings (the check prints them) are appended to `warn`, one a line. ST_NO_MEMORY.
 */
MUST_CHECK enum status profile_prepare(struct profile *out, const struct profile_config *c,
                                       const struct rules *r, struct arena *a, struct str *member,
                                       struct buf *why, struct buf *warn);

/* Fills path_style where not given, resolves both places. ST_INVALID with why. */
MUST_CHECK enum status bucket_prepare(struct bucket *b, struct arena *a, struct buf *why);

#endif
