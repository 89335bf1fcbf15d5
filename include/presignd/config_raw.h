/*
 * config_raw - the configuration as it is written: one description (jr tables) that reads it, says
 * what the environment may set, and carries the defaults. Internal to the config modules.
 */
#ifndef PRESIGND_CONFIG_RAW_H
#define PRESIGND_CONFIG_RAW_H

#include "presignd/config.h"
#include "presignd/json_read.h"

struct raw_cors {
    struct jr_strs origins;
    bool credentials;
    int64_t max_age_s;
};

struct raw_issuer {
    struct str issuer;
    struct jr_strs audience, algorithms;
    struct str jwks_url, jwks_file, public_key_file, secret_file;
    bool discovery;
    struct str user_claim, plan_claim, tenant_claim, scope;
    int64_t leeway_s, max_lifetime_s;
};

struct raw_auth {
    struct str cookie;
    struct jr_list issuers; /* struct raw_issuer */
};

struct raw_role {
    struct str role_arn, session_name, external_id;
    int64_t duration_s;
    json_t *policy; /* an object, or its text */
};

struct raw_credentials {
    int provider; /* enum cred_provider */
    int64_t min_ttl_s;
    struct str file, profile; /* of provider file */
    struct str region, sts_endpoint;
    struct raw_role *assume_role; /* NULL: none */
};

struct raw_bucket {
    struct str name, bucket, region, endpoint, public_endpoint;
    bool path_style, path_style_given, post, dualstack, fips, accelerate;
};

struct raw_metadata {
    struct jr_strs allow;
    struct jr_pairs set;
};

struct raw_allow {
    struct jr_strs plans;
    bool plans_given;
    struct str scope;
    json_t *claims;
};

struct raw_profile {
    struct profile_config base; /* name first */
    json_t *extensions;
    struct raw_metadata metadata;
    struct raw_allow allow;
};

struct raw_limit {
    struct str name;
    int kind; /* enum limit_kind */
    int64_t max, window_s, burst;
    int window; /* the only word is "month" */
    bool window_s_given, window_given, burst_given;
};

struct raw_plan {
    struct str name;
    struct jr_list limits; /* struct raw_limit */
    int unsettled;
};

struct raw_on_failure {
    int rate, quota; /* enum ledger_on_rate, ledger_on_quota */
};

struct raw_ledger {
    int backend; /* enum ledger_backend */
    struct str path, url, username, password_file, prefix;
    int64_t timeout_ms, replicas;
    struct raw_on_failure on_failure;
};

struct raw_limits {
    int64_t body_bytes, header_bytes, connections;
    int64_t header_timeout_s, body_timeout_s, idle_timeout_s;
};

struct raw_drain {
    int64_t delay_s, timeout_s;
};

struct raw_log {
    int level; /* enum log_level */
    bool access;
};

struct raw_config {
    struct str listen, admin_listen;
    int64_t threads;
    struct raw_cors cors;
    struct raw_auth auth;
    struct raw_credentials credentials;
    struct jr_list buckets, profiles, plans;
    struct str default_profile, default_plan;
    struct raw_ledger ledger;
    struct raw_limits limits;
    struct jr_strs trusted_proxies;
    struct raw_drain drain;
    struct raw_log log;
    bool ui;
};

extern const struct jr_table raw_config_table;

/* JSON texts: defaults of the whole, of one profile, bucket, plan, issuer, of the two kinds of ledger, a role;
 * the --dev configuration. */
extern const char raw_defaults[], raw_profile_defaults[], raw_bucket_defaults[];
extern const char raw_plan_defaults[], raw_issuer_defaults[];
extern const char raw_sqlite_defaults[], raw_redis_defaults[], raw_role_defaults[], raw_dev[];

#endif
