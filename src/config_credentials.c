/*
 * config_credentials - the `credentials` section and the AWS environment: what signs packets.
 */
#include <stdlib.h>

#include "presignd/config_make.h"
#include "presignd/json_guard.h"
#include "presignd/sts.h"

enum { POLICY_BYTES_MAX = 2048 };

static void take_environment(struct making *m)
{
    char **e = m->ask->environment;
    m->c->env = (struct cred_env){
        .access_key_id = config_env_get(e, "AWS_ACCESS_KEY_ID"),
        .secret_key = config_env_get(e, "AWS_SECRET_ACCESS_KEY"),
        .session_token = config_env_get(e, "AWS_SESSION_TOKEN"),
        .expiration = config_env_get(e, "AWS_CREDENTIAL_EXPIRATION"),
        .relative_uri = config_env_get(e, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
        .full_uri = config_env_get(e, "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        .auth_token = config_env_get(e, "AWS_CONTAINER_AUTHORIZATION_TOKEN"),
        .auth_token_file = config_env_get(e, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
        .imds_endpoint = config_env_get(e, "AWS_EC2_METADATA_SERVICE_ENDPOINT"),
        .imds_endpoint_mode = config_env_get(e, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"),
        .imds_disabled =
            str_equal_nocase(config_env_get(e, "AWS_EC2_METADATA_DISABLED"), STR("true")),
        .role_arn = config_env_get(e, "AWS_ROLE_ARN"),
        .web_identity_token_file = config_env_get(e, "AWS_WEB_IDENTITY_TOKEN_FILE"),
        .role_session_name = config_env_get(e, "AWS_ROLE_SESSION_NAME"),
        .region = m->raw.credentials.region.len ? m->raw.credentials.region : config_region(m->ask),
        .sts_endpoint = m->raw.credentials.sts_endpoint,
    };
}

/* ---- the credentials file ----------------------------------------------------------------------- */

/* HOME + rest, in the configuration's own memory; "" without HOME. */
static struct str below_home(struct making *m, struct str rest)
{
    const struct str home = config_env_get(m->ask->environment, "HOME");
    if (!home.len)
        return STR("");
    AUTO(buf) path = BUF_INIT(8192);
    buf_str(&path, home);
    buf_str(&path, rest);
    struct str out = STR("");
    if (arena_keep(&m->c->arena, &path, &out) == ST_NO_MEMORY)
        m->no_memory = true;
    return out;
}

/* As it is given, ~/ being HOME; not given: where the SDKs look. */
static struct str path_of(struct making *m, struct str given, struct str usual)
{
    if (!given.len)
        return below_home(m, usual);
    return str_starts(given, STR("~/")) ? below_home(m, str_slice(given, 1, given.len)) : given;
}

static bool profile_ok(struct str name)
{
    return name.len <= CRED_PROFILE_MAX && str_printable_ascii(name) &&
           str_find(name, ']', 0) == name.len;
}

static void take_file(struct making *m)
{
    char **e = m->ask->environment;
    const struct raw_credentials *raw = &m->raw.credentials;
    struct cred_env *env = &m->c->env;
    if (!profile_ok(raw->profile))
        COMPLAIN(m, "credentials.profile", STR(""), "",
                 "must be at most 128 printable ASCII characters without ]");
    if (m->c->provider != CRED_FILE) {
        if (raw->file.len || raw->profile.len)
            buf_lit(&m->warn, "credentials.file and credentials.profile are read by provider "
                              "\"file\" only\n");
        return;
    }
    env->profile = raw->profile.len ? raw->profile : config_env_get(e, "AWS_PROFILE");
    if (!raw->profile.len && !profile_ok(env->profile))
        COMPLAIN(m, "AWS_PROFILE", STR(""), "",
                 "must be at most 128 printable ASCII characters without ]");
    const struct str file = config_env_get(e, "AWS_SHARED_CREDENTIALS_FILE");
    env->file = path_of(m, raw->file.len ? raw->file : file, STR("/.aws/credentials"));
    /* a file that the configuration names is the only one */
    if (!raw->file.len)
        env->config_file = path_of(m, config_env_get(e, "AWS_CONFIG_FILE"), STR("/.aws/config"));
    if (!env->file.len && !m->no_memory)
        COMPLAIN(m, "credentials.file", STR(""), "",
                 "is not set, and neither AWS_SHARED_CREDENTIALS_FILE nor HOME says where the "
                 "file is");
}

/* ---- a role to assume --------------------------------------------------------------------------- */

#define ROLE "credentials.assume_role"

/* Letters, digits, '_' and the marks of `more`: what STS takes. */
static bool made_of(struct str text, struct str more)
{
    for (size_t i = 0; i < text.len; i++)
        if (!ascii_alnum(text.ptr[i]) && text.ptr[i] != '_' &&
            str_find(more, text.ptr[i], 0) == more.len)
            return false;
    return true;
}

static bool role_arn_ok(struct str arn)
{
    size_t colons = 0;
    for (size_t i = 0; i < arn.len; i++)
        colons += arn.ptr[i] == ':';
    struct str rest = arn;
    struct str part = STR_NONE;
    for (size_t i = 0; i < 6 && str_cut(&rest, ':', &part); i++)
        if ((i == 0 && !str_equal(part, STR("arn"))) || (i == 2 && !str_equal(part, STR("iam"))))
            return false;
    return colons == 5 && str_starts(part, STR("role/")) && part.len > sizeof("role/") - 1 &&
           made_of(arn, STR("+=,.@:/-"));
}

/* One form for an object and for its text: what is short enough is up to AWS's count of bytes. */
static void keep_policy(struct making *m, const json_t *policy)
{
    char *text = json_dumps(policy, JSON_COMPACT | JSON_ENSURE_ASCII);
    struct str *out = &m->c->env.role.policy;
    if (text && str_from(text).len > POLICY_BYTES_MAX)
        COMPLAIN(m, ROLE, STR(""), "policy", "is longer than the 2048 bytes that STS takes");
    else if (!text || !(*out = arena_copy(&m->c->arena, str_from(text))).ptr)
        m->no_memory = true;
    free(text);
}

static void take_policy(struct making *m, const json_t *given)
{
    json_t *parsed = NULL;
    json_error_t unused;
    enum status st = ST_OK;
    if (json_is_string(given))
        st = json_guard_load((struct str){ json_string_value(given), json_string_length(given) },
                             JSON_REJECT_DUPLICATES, &parsed, &unused);
    const json_t *policy = json_is_string(given) ? parsed : given;
    if (st == ST_NO_MEMORY)
        m->no_memory = true;
    else if (!json_object_get(policy, "Statement"))
        COMPLAIN(m, ROLE, STR(""), "policy",
                 "must be \"prefix\", or a policy: a JSON object with a Statement, or one as text");
    else
        keep_policy(m, policy);
    json_decref(parsed);
}

static bool is_prefix(const json_t *policy)
{
    return json_is_string(policy) && str_equal(str_from(json_string_value(policy)), STR("prefix"));
}

static void take_role(struct making *m)
{
    const struct raw_role *raw = m->raw.credentials.assume_role;
    if (!raw)
        return;
    m->c->env.role = (struct cred_role){ .role_arn = raw->role_arn,
                                         .session_name = raw->session_name,
                                         .external_id = raw->external_id,
                                         .policy = STR(""),
                                         .duration_s = raw->duration_s };
    if (!role_arn_ok(raw->role_arn))
        COMPLAIN(m, ROLE, STR(""), "role_arn",
                 "is no role's ARN: arn:aws:iam::123456789012:role/NAME");
    if (!made_of(raw->session_name, STR("+=,.@-")))
        COMPLAIN(m, ROLE, STR(""), "session_name", "may hold letters, digits and _+=,.@- only");
    if (raw->external_id.len == 1 || !made_of(raw->external_id, STR("+=,.@:/-")))
        COMPLAIN(m, ROLE, STR(""), "external_id",
                 "must be at least 2 of letters, digits and _+=,.@:/-");
    if (raw->policy && !json_is_null(raw->policy) && !is_prefix(raw->policy))
        take_policy(m, raw->policy);
}

static bool uses_web_identity(const struct config *c)
{
    return c->env.web_identity_token_file.len && c->env.role_arn.len &&
           (c->provider == CRED_WEB_IDENTITY ||
            (c->provider == CRED_AUTO && !c->env.access_key_id.len));
}

/* What the sources would refuse at the start, told by `check` as well. */
static void check_sts(struct making *m)
{
    const struct cred_env *e = &m->c->env;
    if (!e->role.role_arn.len && !e->sts_endpoint.len && !uses_web_identity(m->c))
        return;
    struct sts_place place;
    AUTO(buf) why = BUF_INIT(1024);
    const enum status st =
        sts_place_set(&place, e->sts_endpoint, e->region, !e->role.role_arn.len, &why);
    sts_place_release(&place);
    if (st == ST_NO_MEMORY)
        m->no_memory = true;
    if (st != ST_INVALID)
        return;
    config_put_name(m->why, buf_view(&why));
    buf_lit(m->why, "\n");
    m->bad = true;
}

/* ---- a session policy made of the profiles -------------------------------------------------------- */

static struct str arn_partition(struct str arn)
{
    struct str part = STR_NONE;
    for (int i = 0; i < 2; i++)
        str_cut(&arn, ':', &part);
    return part;
}

static void add_once(struct making *m, json_t *list, struct str text)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (str_equal(str_from(json_string_value(json_array_get(list, i))), text))
            return;
    if (json_array_append_new(list, json_stringn(text.ptr, text.len)))
        m->no_memory = true;
}

static void add_action(struct making *m, json_t *list, bool wanted, const char *action)
{
    if (wanted && json_array_append_new(list, json_string(action)))
        m->no_memory = true;
}

static bool sends(const struct profile_side *side, struct str field)
{
    for (size_t i = 0; i < side->n_shared; i++)
        if (str_equal(side->shared[i].name, field))
            return true;
    for (size_t i = 0; i < side->n_varying; i++)
        if (str_equal(side->varying[i].name, field))
            return true;
    return false;
}

static bool any_sends(const struct rules *r, struct str field)
{
    bool found = false;
    for (size_t i = 0; i < r->n_profiles; i++)
        found = found || sends(&r->profiles[i].post_side, field);
    return found;
}

/* Where the key's fixed beginning ends; complains of one that limits nothing. */
static struct str fixed_prefix(struct making *m, const struct profile *p)
{
    const struct str prefix = str_slice(p->key.text, 0, str_find(p->key.text, '{', 0));
    if (!prefix.len)
        COMPLAIN(m, "profiles", p->name, "key",
                 "begins with a word, and " ROLE ".policy \"prefix\" has nothing to limit the "
                 "session to: begin it with a folder, such as uploads/");
    else if (str_find(prefix, '*', 0) < prefix.len || str_find(prefix, '?', 0) < prefix.len)
        COMPLAIN(m, "profiles", p->name, "key",
                 "has a * or a ? in its fixed beginning, which " ROLE ".policy \"prefix\" cannot "
                 "say: they stand for anything there");
    return prefix;
}

/* What a profile adds: its keys to `objects`, their beginning to what `prefixes` has of its bucket. */
static void add_profile(struct making *m, const struct profile *p, json_t *objects,
                        json_t *prefixes)
{
    AUTO(buf) pattern = BUF_INIT(4096);
    AUTO(buf) arn = BUF_INIT(8192);
    buf_str(&pattern, fixed_prefix(m, p));
    buf_lit(&pattern, "*");
    buf_lit(&arn, "arn:");
    buf_str(&arn, arn_partition(m->c->env.role.role_arn));
    buf_lit(&arn, ":s3:::");
    buf_str(&arn, p->bucket->where.bucket);
    const char *bucket = buf_cstr(&arn);
    if (bucket && !json_object_get(prefixes, bucket) &&
        json_object_set_new(prefixes, bucket, json_array()))
        m->no_memory = true;
    if (bucket)
        add_once(m, json_object_get(prefixes, bucket), buf_view(&pattern));
    buf_lit(&arn, "/");
    buf_str(&arn, buf_view(&pattern));
    if (buf_check(&arn) != ST_OK)
        m->no_memory = true;
    else
        add_once(m, objects, buf_view(&arn));
}

/* Which of the statements from `first` on lists under just these prefixes; NULL: none. */
static json_t *find_list(const json_t *statements, size_t first, const json_t *prefixes)
{
    for (size_t i = first; i < json_array_size(statements); i++) {
        json_t *statement = json_array_get(statements, i);
        const json_t *like = json_object_get(json_object_get(statement, "Condition"), "StringLike");
        if (json_equal(json_object_get(like, "s3:prefix"), prefixes))
            return statement;
    }
    return NULL;
}

/*
 * So that a missing object is 404 and not 403. A statement allows each of its prefixes in each of its
 * buckets, so buckets share one only where their prefixes are the same.
 */
static void add_lists(struct making *m, json_t *statements, json_t *prefixes)
{
    const char *bucket;
    json_t *its;
    const size_t first = json_array_size(statements);
    json_object_foreach(prefixes, bucket, its)
    {
        const json_t *same = find_list(statements, first, its);
        if (same)
            add_once(m, json_object_get(same, "Resource"), str_from(bucket));
        else if (json_array_append_new(
                     statements, json_pack("{s:s, s:s, s:[s], s:{s:{s:O}}}", "Effect", "Allow",
                                           "Action", "s3:ListBucket", "Resource", bucket,
                                           "Condition", "StringLike", "s3:prefix", its)))
            m->no_memory = true;
    }
}

/*
 * With a key of KMS an upload in one piece makes a data key; to decrypt is for parts, which no packet
 * has, and for looking at objects. Which key it is the bucket says, and this cannot know: the session
 * may what both this and the role allow, and the role names it. Stores of others may not know the word.
 */
static void add_kms(struct making *m, json_t *statements, bool looks)
{
    const struct rules *r = &m->c->rules;
    bool aws = false;
    for (size_t i = 0; i < r->n_buckets; i++)
        aws = aws || !r->buckets[i].where.endpoint.len;
    if (!aws)
        return;
    json_t *actions = json_array();
    add_action(m, actions, true, "kms:GenerateDataKey");
    add_action(m, actions, looks, "kms:Decrypt");
    if (json_array_append_new(statements, json_pack("{s:s, s:o, s:s}", "Effect", "Allow", "Action",
                                                    actions, "Resource", "*")))
        m->no_memory = true;
}

/* What packets and HEADs need, under the prefixes. */
static json_t *session_policy(struct making *m, json_t *objects, json_t *prefixes)
{
    const struct rules *r = &m->c->rules;
    const bool looks = m->c->ledger.backend != LEDGER_NONE;
    json_t *actions = json_array();
    add_action(m, actions, true, "s3:PutObject");
    add_action(m, actions, any_sends(r, STR("acl")), "s3:PutObjectAcl");
    add_action(m, actions, any_sends(r, STR("tagging")), "s3:PutObjectTagging");
    add_action(m, actions, looks, "s3:GetObject");
    json_t *all = json_pack("{s:s, s:[{s:s, s:o, s:O}]}", "Version", "2012-10-17", "Statement",
                            "Effect", "Allow", "Action", actions, "Resource", objects);
    json_t *statements = json_object_get(all, "Statement");
    if (looks)
        add_lists(m, statements, prefixes);
    add_kms(m, statements, looks);
    return all;
}

void config_take_session_policy(struct making *m)
{
    const struct raw_role *raw = m->raw.credentials.assume_role;
    if (m->bad || !raw || !is_prefix(raw->policy))
        return;
    json_t *objects = json_array(), *prefixes = json_object(); /* by the bucket's ARN */
    for (size_t i = 0; i < m->c->rules.n_profiles; i++)
        add_profile(m, &m->c->rules.profiles[i], objects, prefixes);
    json_t *policy = session_policy(m, objects, prefixes);
    if (!policy)
        m->no_memory = true;
    else if (!m->bad)
        keep_policy(m, policy);
    json_decref(policy);
    json_decref(objects);
    json_decref(prefixes);
}

/* ---- all of it ---------------------------------------------------------------------------------- */

void config_take_credentials(struct making *m)
{
    struct config *c = m->c;
    c->provider = (enum cred_provider)m->raw.credentials.provider;
    c->creds_min_ttl_s = m->raw.credentials.min_ttl_s;
    take_environment(m);
    take_file(m);
    take_role(m);
    check_sts(m);
    const struct cred_env *e = &c->env;
    const bool given = e->access_key_id.len || e->secret_key.len || e->session_token.len ||
                       e->relative_uri.len || e->full_uri.len;
    if (c->dev && c->provider == CRED_AUTO && !given) {
        c->provider = CRED_STATIC;
        c->env.access_key_id = STR("PRESIGNDDEVDUMMY0000");
        c->env.secret_key = STR("no-store-knows-this-dummy-secret-key");
        c->env.session_token = c->env.expiration = STR("");
    }
}
