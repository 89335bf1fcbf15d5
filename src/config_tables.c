/*
 * config_tables - the members of the configuration: types, bounds, defaults. The schema in
 * config/presignd.schema.json says the same to editors; a test holds the two together.
 */
#include "presignd/config_raw.h"

static const char *const provider_words[] = { "auto",      "env",  "file", "web_identity",
                                              "container", "imds", NULL };
static const char *const backend_words[] = { "none", "sqlite", "redis", NULL };
static const char *const size_words[] = { "exact", "range", "any", NULL };
static const char *const checksum_words[] = { "none", "optional", "required", NULL };
static const char *const limit_words[] = { "rate", "count", "bytes", "open", NULL };
static const char *const window_words[] = { "month", NULL };
static const char *const on_rate_words[] = { "local", "deny", "allow", NULL };
static const char *const on_quota_words[] = { "deny", "allow", NULL };
static const char *const unsettled_words[] = { "keep", "release", NULL };
static const char *const level_words[] = { "debug", "info", "warn", "error", NULL };

#define TABLE(name, type)                                                               \
    static const struct jr_table name##_table = { .fields = name##_fields,              \
                                                  .n_fields = ARRAY_LEN(name##_fields), \
                                                  .struct_bytes = sizeof(type) }

enum { MB = 1 << 20, DAY_S = 86400 };

/* What a number of JSON, and of a Redis script, holds exactly. */
#define EXACT_MAX ((INT64_C(1) << 53) - 1)

/* clang-format off */
#define AT(member) .offset = offsetof(struct OF, member)

#define OF raw_cors
static const struct jr_field cors_fields[] = {
    { .name = "origins",     .type = JR_STRS, AT(origins) },
    { .name = "credentials", .type = JR_BOOL, AT(credentials) },
    { .name = "max_age_s",   .type = JR_INT,  AT(max_age_s), .min = 0, .max = DAY_S },
};
TABLE(cors, struct raw_cors);
#undef OF

#define OF raw_issuer
static const struct jr_field issuer_fields[] = {
    { .name = "issuer",          .type = JR_STR,  AT(issuer), .flags = JR_REQUIRED | JR_NOT_EMPTY },
    { .name = "audience",        .type = JR_STRS, AT(audience), .flags = JR_REQUIRED | JR_NOT_EMPTY,
      .min = 1, .max = 1024 },
    { .name = "algorithms",      .type = JR_STRS, AT(algorithms), .flags = JR_REQUIRED | JR_NOT_EMPTY },
    { .name = "jwks_url",        .type = JR_STR,  AT(jwks_url), .flags = JR_NOT_EMPTY },
    { .name = "jwks_file",       .type = JR_STR,  AT(jwks_file), .flags = JR_NOT_EMPTY },
    { .name = "public_key_file", .type = JR_STR,  AT(public_key_file), .flags = JR_NOT_EMPTY },
    { .name = "secret_file",     .type = JR_STR,  AT(secret_file), .flags = JR_NOT_EMPTY },
    { .name = "discovery",       .type = JR_BOOL, AT(discovery) },
    { .name = "user_claim",      .type = JR_STR,  AT(user_claim), .flags = JR_NOT_EMPTY },
    { .name = "plan_claim",      .type = JR_STR,  AT(plan_claim), .flags = JR_NOT_EMPTY },
    { .name = "tenant_claim",    .type = JR_STR,  AT(tenant_claim), .flags = JR_NOT_EMPTY },
    { .name = "scope",           .type = JR_STR,  AT(scope), .flags = JR_NULL_OK },
    { .name = "leeway_s",        .type = JR_INT,  AT(leeway_s), .min = 0, .max = 300 },
    { .name = "max_lifetime_s",  .type = JR_INT,  AT(max_lifetime_s), .min = 1, .max = 366 * DAY_S },
};
TABLE(issuer, struct raw_issuer);
#undef OF

#define OF raw_auth
static const struct jr_field auth_fields[] = {
    { .name = "cookie",  .type = JR_STR,  AT(cookie), .flags = JR_NULL_OK },
    { .name = "issuers", .type = JR_LIST, AT(issuers), .flags = JR_REQUIRED | JR_NOT_EMPTY,
      .sub = &issuer_table },
};
TABLE(auth, struct raw_auth);
#undef OF

/* AWS's bounds: IAM "IAM and STS quotas", STS "AssumeRole". */
#define OF raw_role
static const struct jr_field role_fields[] = {
    { .name = "role_arn",     .type = JR_STR, AT(role_arn), .flags = JR_REQUIRED | JR_NOT_EMPTY,
      .min = 1, .max = 2048 },
    { .name = "session_name", .type = JR_STR, AT(session_name), .flags = JR_NOT_EMPTY,
      .min = 2, .max = 64 },
    { .name = "duration_s",   .type = JR_INT, AT(duration_s), .min = 900, .max = DAY_S / 2 },
    { .name = "external_id",  .type = JR_STR, AT(external_id), .min = 0, .max = 1224 },
    { .name = "policy",       .type = JR_ANY, AT(policy), .flags = JR_NULL_OK },
};
TABLE(role, struct raw_role);
#undef OF

#define OF raw_credentials
static const struct jr_field credentials_fields[] = {
    { .name = "provider",     .type = JR_ENUM, AT(provider), .words = provider_words },
    { .name = "min_ttl_s",    .type = JR_INT, AT(min_ttl_s), .min = 1, .max = 3600 },
    { .name = "file",         .type = JR_STR, AT(file) },
    { .name = "profile",      .type = JR_STR, AT(profile) },
    { .name = "region",       .type = JR_STR, AT(region) },
    { .name = "sts_endpoint", .type = JR_STR, AT(sts_endpoint) },
    { .name = "assume_role",  .type = JR_OPT_OBJECT, AT(assume_role), .flags = JR_NULL_OK,
      .sub = &role_table },
};
TABLE(credentials, struct raw_credentials);
#undef OF

#define OF raw_bucket
static const struct jr_field bucket_fields[] = {
    { .name = "bucket",          .type = JR_STR,  AT(bucket), .flags = JR_REQUIRED | JR_NOT_EMPTY },
    { .name = "region",          .type = JR_STR,  AT(region) },
    { .name = "endpoint",        .type = JR_STR,  AT(endpoint) },
    { .name = "public_endpoint", .type = JR_STR,  AT(public_endpoint) },
    { .name = "path_style",      .type = JR_BOOL, AT(path_style),
      .given_offset = offsetof(struct raw_bucket, path_style_given) },
    { .name = "post",            .type = JR_BOOL, AT(post) },
    { .name = "dualstack",       .type = JR_BOOL, AT(dualstack) },
    { .name = "fips",            .type = JR_BOOL, AT(fips) },
    { .name = "accelerate",      .type = JR_BOOL, AT(accelerate) },
};
TABLE(bucket, struct raw_bucket);
#undef OF

#define OF raw_metadata
static const struct jr_field metadata_fields[] = {
    { .name = "allow", .type = JR_STRS,  AT(allow) },
    { .name = "set",   .type = JR_PAIRS, AT(set) },
};
TABLE(metadata, struct raw_metadata);
#undef OF

#define OF raw_allow
static const struct jr_field allow_fields[] = {
    { .name = "plans",  .type = JR_STRS, AT(plans),
      .given_offset = offsetof(struct raw_allow, plans_given) },
    { .name = "scope",  .type = JR_STR,  AT(scope), .flags = JR_NULL_OK },
    { .name = "claims", .type = JR_ANY,  AT(claims) },
};
TABLE(allow, struct raw_allow);
#undef OF

#define OF raw_profile
static const struct jr_field profile_fields[] = {
    { .name = "bucket",        .type = JR_STR,    AT(base.bucket), .flags = JR_REQUIRED },
    { .name = "key",           .type = JR_STR,    AT(base.key), .flags = JR_REQUIRED },
    { .name = "content_types", .type = JR_STRS,   AT(base.content_types),
      .flags = JR_REQUIRED | JR_NOT_EMPTY },
    { .name = "extensions",    .type = JR_ANY,    AT(extensions) },
    { .name = "min_bytes",     .type = JR_INT,    AT(base.min_bytes), .max = INT64_MAX },
    { .name = "max_bytes",     .type = JR_INT,    AT(base.max_bytes), .flags = JR_REQUIRED,
      .max = INT64_MAX },
    { .name = "size",          .type = JR_ENUM,   AT(base.size), .words = size_words },
    { .name = "checksum",      .type = JR_ENUM,   AT(base.checksum), .words = checksum_words },
    { .name = "expires_s",     .type = JR_INT,    AT(base.expires_s), .min = 1, .max = EXPIRES_MAX_S },
    { .name = "max_expires_s", .type = JR_INT,    AT(base.max_expires_s), .min = 1,
      .max = EXPIRES_MAX_S, .given_offset = offsetof(struct raw_profile, base.max_expires_given) },
    { .name = "fields",        .type = JR_ANY,    AT(base.fields) },
    { .name = "metadata",      .type = JR_OBJECT, AT(metadata), .sub = &metadata_table },
    { .name = "allow",         .type = JR_OBJECT, AT(allow), .sub = &allow_table },
    { .name = "token_bound",   .type = JR_BOOL,   AT(base.token_bound) },
};
TABLE(profile, struct raw_profile);
#undef OF

#define OF raw_limit
static const struct jr_field limit_fields[] = {
    { .name = "name",     .type = JR_STR,  AT(name), .flags = JR_REQUIRED | JR_NOT_EMPTY },
    { .name = "kind",     .type = JR_ENUM, AT(kind), .flags = JR_REQUIRED, .words = limit_words },
    { .name = "max",      .type = JR_INT,  AT(max), .flags = JR_REQUIRED, .min = 1, .max = EXACT_MAX },
    { .name = "window_s", .type = JR_INT,  AT(window_s), .min = 1, .max = 366 * DAY_S,
      .given_offset = offsetof(struct raw_limit, window_s_given) },
    { .name = "window",   .type = JR_ENUM, AT(window), .words = window_words,
      .given_offset = offsetof(struct raw_limit, window_given) },
    { .name = "burst",    .type = JR_INT,  AT(burst), .min = 1, .max = EXACT_MAX,
      .given_offset = offsetof(struct raw_limit, burst_given) },
};
TABLE(limit, struct raw_limit);
#undef OF

#define OF raw_plan
static const struct jr_field plan_fields[] = {
    { .name = "limits",    .type = JR_LIST, AT(limits), .sub = &limit_table },
    { .name = "unsettled", .type = JR_ENUM, AT(unsettled), .words = unsettled_words },
};
TABLE(plan, struct raw_plan);
#undef OF

#define OF raw_on_failure
static const struct jr_field on_failure_fields[] = {
    { .name = "rate",  .type = JR_ENUM, AT(rate), .words = on_rate_words },
    { .name = "quota", .type = JR_ENUM, AT(quota), .words = on_quota_words },
};
TABLE(on_failure, struct raw_on_failure);
#undef OF

#define OF raw_ledger
static const struct jr_field ledger_fields[] = {
    { .name = "backend",       .type = JR_ENUM,   AT(backend), .words = backend_words },
    { .name = "path",          .type = JR_STR,    AT(path), .flags = JR_NOT_EMPTY },
    { .name = "url",           .type = JR_STR,    AT(url), .flags = JR_NOT_EMPTY },
    { .name = "username",      .type = JR_STR,    AT(username), .flags = JR_NOT_EMPTY },
    { .name = "password_file", .type = JR_STR,    AT(password_file), .flags = JR_NOT_EMPTY },
    { .name = "prefix",        .type = JR_STR,    AT(prefix) },
    { .name = "timeout_ms",    .type = JR_INT,    AT(timeout_ms), .min = 1, .max = 5000 },
    { .name = "replicas",      .type = JR_INT,    AT(replicas), .min = 1, .max = 10000 },
    { .name = "on_failure",    .type = JR_OBJECT, AT(on_failure), .sub = &on_failure_table },
};
TABLE(ledger, struct raw_ledger);
#undef OF

#define OF raw_limits
static const struct jr_field limits_fields[] = {
    { .name = "body_bytes",       .type = JR_INT, AT(body_bytes), .min = 1024, .max = MB },
    { .name = "header_bytes",     .type = JR_INT, AT(header_bytes), .min = 1024, .max = 65536 },
    { .name = "connections",      .type = JR_INT, AT(connections), .min = 1, .max = 1000000 },
    { .name = "header_timeout_s", .type = JR_INT, AT(header_timeout_s), .min = 1, .max = 3600 },
    { .name = "body_timeout_s",   .type = JR_INT, AT(body_timeout_s), .min = 1, .max = 3600 },
    { .name = "idle_timeout_s",   .type = JR_INT, AT(idle_timeout_s), .min = 1, .max = 3600 },
};
TABLE(limits, struct raw_limits);
#undef OF

#define OF raw_drain
static const struct jr_field drain_fields[] = {
    { .name = "delay_s",   .type = JR_INT, AT(delay_s), .min = 0, .max = 3600 },
    { .name = "timeout_s", .type = JR_INT, AT(timeout_s), .min = 0, .max = 3600 },
};
TABLE(drain, struct raw_drain);
#undef OF

#define OF raw_log
static const struct jr_field log_fields[] = {
    { .name = "level",  .type = JR_ENUM, AT(level), .words = level_words },
    { .name = "access", .type = JR_BOOL, AT(access) },
};
TABLE(log, struct raw_log);
#undef OF

#define OF raw_config
static const struct jr_field config_fields[] = {
    { .name = "listen",          .type = JR_STR,    AT(listen), .flags = JR_NOT_EMPTY },
    { .name = "admin_listen",    .type = JR_STR,    AT(admin_listen), .flags = JR_NULL_OK },
    { .name = "threads",         .type = JR_INT,    AT(threads), .min = 0, .max = 64 },
    { .name = "cors",            .type = JR_OBJECT, AT(cors), .sub = &cors_table },
    { .name = "auth",            .type = JR_OBJECT, AT(auth), .sub = &auth_table, .flags = JR_REQUIRED },
    { .name = "credentials",     .type = JR_OBJECT, AT(credentials), .sub = &credentials_table },
    { .name = "buckets",         .type = JR_MAP,    AT(buckets), .sub = &bucket_table,
      .flags = JR_REQUIRED | JR_NOT_EMPTY },
    { .name = "default_profile", .type = JR_STR,    AT(default_profile) },
    { .name = "profiles",        .type = JR_MAP,    AT(profiles), .sub = &profile_table,
      .flags = JR_REQUIRED | JR_NOT_EMPTY },
    { .name = "default_plan",    .type = JR_STR,    AT(default_plan) },
    { .name = "plans",           .type = JR_MAP,    AT(plans), .sub = &plan_table },
    { .name = "ledger",          .type = JR_OBJECT, AT(ledger), .sub = &ledger_table },
    { .name = "limits",          .type = JR_OBJECT, AT(limits), .sub = &limits_table },
    { .name = "trusted_proxies", .type = JR_STRS,   AT(trusted_proxies) },
    { .name = "drain",           .type = JR_OBJECT, AT(drain), .sub = &drain_table },
    { .name = "log",             .type = JR_OBJECT, AT(log), .sub = &log_table },
    { .name = "ui",              .type = JR_BOOL,   AT(ui) },
};
#undef OF
/* clang-format on */

const struct jr_table raw_config_table = { .fields = config_fields,
                                           .n_fields = ARRAY_LEN(config_fields),
                                           .struct_bytes = sizeof(struct raw_config) };

/* ---- defaults ----------------------------------------------------------------------------------- */

const char raw_defaults[] =
    "{ \"listen\": \"0.0.0.0:8080\", \"admin_listen\": \"127.0.0.1:9090\", \"threads\": 0,"
    "  \"cors\": { \"origins\": [], \"credentials\": false, \"max_age_s\": 600 },"
    "  \"auth\": { \"cookie\": null },"
    "  \"credentials\": { \"provider\": \"auto\", \"min_ttl_s\": 60 },"
    "  \"default_profile\": \"default\","
    "  \"ledger\": { \"backend\": \"sqlite\" },"
    "  \"limits\": { \"body_bytes\": 65536, \"header_bytes\": 8192, \"connections\": 10000,"
    "                \"header_timeout_s\": 15, \"body_timeout_s\": 15, \"idle_timeout_s\": 75 },"
    "  \"trusted_proxies\": [],"
    "  \"drain\": { \"delay_s\": 10, \"timeout_s\": 25 },"
    "  \"log\": { \"level\": \"info\", \"access\": true },"
    "  \"ui\": false }";

const char raw_profile_defaults[] =
    "{ \"min_bytes\": 1, \"size\": \"exact\", \"checksum\": \"optional\", \"expires_s\": 900,"
    "  \"token_bound\": false }";

const char raw_bucket_defaults[] =
    "{ \"post\": true, \"dualstack\": false, \"fips\": false, \"accelerate\": false }";

const char raw_plan_defaults[] = "{ \"limits\": [], \"unsettled\": \"keep\" }";

const char raw_sqlite_defaults[] = "{ \"path\": \"/var/lib/presignd/ledger.db\" }";

const char raw_redis_defaults[] =
    "{ \"prefix\": \"presignd:\", \"timeout_ms\": 50, \"replicas\": 1,"
    "  \"on_failure\": { \"rate\": \"local\", \"quota\": \"deny\" } }";

const char raw_role_defaults[] = "{ \"session_name\": \"presignd\", \"duration_s\": 3600 }";

const char raw_issuer_defaults[] =
    "{ \"user_claim\": \"sub\", \"plan_claim\": \"plan\", \"tenant_claim\": \"org\","
    "  \"discovery\": false, \"leeway_s\": 30, \"max_lifetime_s\": 86400 }";

const char raw_dev[] =
    "{ \"listen\": \"127.0.0.1:8080\", \"admin_listen\": \"127.0.0.1:9090\","
    "  \"cors\": { \"origins\": [\"*\"] },"
    "  \"auth\": { \"issuers\": [ { \"issuer\": \"presignd-dev\", \"audience\": [\"presignd\"],"
    "                             \"algorithms\": [\"HS256\"] } ] },"
    "  \"buckets\": { \"main\": { \"bucket\": \"presignd-dev\" } },"
    "  \"profiles\": { \"default\": {"
    "      \"bucket\": \"main\", \"key\": \"{user_hash}/{uuid}/{filename}\","
    "      \"content_types\": [\"image/*\", \"video/*\", \"audio/*\", \"text/plain\", \"text/csv\","
    "                        \"application/pdf\", \"application/zip\", \"application/json\","
    "                        \"application/octet-stream\"],"
    "      \"min_bytes\": 0, \"max_bytes\": 5368709120, \"size\": \"range\","
    "      \"fields\": { \"success_action_status\": \"201\" } } },"
    "  \"default_plan\": \"dev\","
    "  \"plans\": { \"dev\": { \"limits\": ["
    "      { \"name\": \"requests\", \"kind\": \"rate\", \"max\": 6000, \"window_s\": 60 },"
    "      { \"name\": \"uploads_a_day\", \"kind\": \"count\", \"max\": 100000, \"window_s\": "
    "86400 },"
    "      { \"name\": \"bytes_a_month\", \"kind\": \"bytes\", \"max\": 1099511627776,"
    "        \"window\": \"month\" },"
    "      { \"name\": \"open_uploads\", \"kind\": \"open\", \"max\": 1000 } ] } },"
    "  \"drain\": { \"delay_s\": 0 } }";
