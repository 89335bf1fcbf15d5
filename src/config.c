/*
 * config - from files and environment to one immutable snapshot.
 *
 * The document is completed first (environment, then defaults), then read through the tables into
 * raw structs, then compiled: each section says all it has to complain of, so that an operator mends
 * a configuration in one round.
 */
#include "presignd/config.h"

#include <stdlib.h>

#include "presignd/config_make.h"
#include "presignd/key_source.h"

enum { ARENA_MAX = 64 << 20, WARNINGS_MAX = 65536, PORT_MAX = 65535, WORD_MAX = 128 };

struct config *config_ref(struct config *c)
{
    atomic_fetch_add(&c->refs, 1);
    return c;
}

void config_unref(struct config *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) > 1)
        return;
    json_decref(c->effective);
    arena_release(&c->arena);
    free(c);
}

/* ---- complaints --------------------------------------------------------------------------------- */

void making_complain(struct making *m, struct str section, struct str name, struct str member,
                     struct str sentence)
{
    const struct str parts[] = { section, name, member };
    bool dot = false;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (parts[i].len == 0)
            continue;
        if (dot)
            buf_lit(m->why, ".");
        config_put_name(m->why, parts[i]);
        dot = true;
    }
    buf_lit(m->why, ": ");
    config_put_name(m->why, sentence);
    buf_lit(m->why, "\n");
    m->bad = true;
}

void *making_rows(struct making *m, size_t n, size_t size)
{
    void *p = arena_array(&m->c->arena, n, size);
    if (!p)
        m->no_memory = true;
    return p;
}

/* ---- sections ----------------------------------------------------------------------------------- */

/* "1.2.3.4:80", "[::1]:80", ":80": numbers only, as the listener takes them. */
static bool cut_address(struct str text, struct str *out_host)
{
    size_t colon = text.len;
    int64_t port;
    while (colon > 0 && text.ptr[colon - 1] != ':')
        colon--;
    const struct str digits = str_slice(text, colon, text.len);
    if (colon == 0 || digits.len == 0 || !str_to_int(digits, PORT_MAX, &port))
        return false;
    const struct str host = str_slice(text, 0, colon - 1);
    const bool six = str_starts(host, STR("[")) && str_ends(host, STR("]"));
    *out_host = six ? str_slice(host, 1, host.len - 1) : host;
    return six == (str_find(*out_host, ':', 0) < out_host->len);
}

static void check_address(struct making *m, struct str text, const char *member)
{
    struct str host;
    struct cidr address, loopback[2];
    const bool ok = cut_address(text, &host) && str_find(host, '/', 0) == host.len &&
                    (host.len == 0 || cidr_parse(host, &address) == ST_OK);
    if (!ok) {
        making_complain(m, str_from(member), STR(""), STR(""),
                        STR("must be an address and a port: 0.0.0.0:8080, [::]:8080 or :8080"));
        return;
    }
    const bool known = cidr_parse(STR("127.0.0.0/8"), &loopback[0]) == ST_OK &&
                       cidr_parse(STR("::1"), &loopback[1]) == ST_OK;
    assert(known);
    if (m->c->dev && (host.len == 0 || !cidr_has(loopback, 2, address.bytes)))
        making_complain(m, str_from(member), STR(""), STR(""),
                        STR("--dev listens on loopback only"));
}

static void take_listeners(struct making *m)
{
    struct config *c = m->c;
    c->listen = m->raw.listen;
    c->admin_listen = m->raw.admin_listen;
    c->threads = m->raw.threads ? (int)m->raw.threads : config_processors();
    check_address(m, c->listen, "listen");
    if (c->admin_listen.len)
        check_address(m, c->admin_listen, "admin_listen");
    if (str_equal(c->listen, c->admin_listen) && !str_ends(c->listen, STR(":0")))
        COMPLAIN(m, "admin_listen", STR(""), "", "must differ from listen");
}

/* One word of printable ASCII, without blanks and without any of these. */
static bool word_ok(struct str word, struct str without)
{
    for (size_t i = 0; i < word.len; i++)
        if (word.ptr[i] == ' ' || str_find(without, word.ptr[i], 0) < without.len)
            return false;
    return word.len > 0 && word.len <= WORD_MAX && str_printable_ascii(word);
}

static void take_cors(struct making *m)
{
    const struct raw_cors *raw = &m->raw.cors;
    m->c->server.cors = (struct cors_config){ .origins = raw->origins.items,
                                              .n_origins = raw->origins.n,
                                              .credentials = raw->credentials,
                                              .max_age_s = raw->max_age_s };
    const bool cookie = m->raw.auth.cookie.len > 0;
    if (cookie && !word_ok(m->raw.auth.cookie, STR("()<>@,;:\\\"/[]?={}")))
        COMPLAIN(m, "auth.cookie", STR(""), "", "is no name of a cookie (RFC 6265)");
    for (size_t i = 0; i < raw->origins.n; i++) {
        const struct str o = raw->origins.items[i];
        if (!cors_origin_pattern_ok(o))
            making_complain(m, STR("cors.origins"), o, STR(""),
                            STR("must be https://host[:port], https://*.host[:port] or \"*\""));
        else if (str_equal(o, STR("*")) && (raw->credentials || cookie))
            COMPLAIN(m, "cors.origins", STR(""), "",
                     "\"*\" cannot go with cors.credentials or auth.cookie");
    }
}

static void take_server(struct making *m)
{
    struct server_config *s = &m->c->server;
    const struct raw_limits *l = &m->raw.limits;
    s->cookie_auth = m->raw.auth.cookie.len > 0;
    s->cookie_name = m->raw.auth.cookie;
    s->body_bytes = (size_t)l->body_bytes;
    s->header_bytes = (size_t)l->header_bytes;
    s->connections = (unsigned)MAX_OF(1, l->connections / m->c->threads);
    s->header_timeout_ms = l->header_timeout_s * 1000;
    s->body_timeout_ms = l->body_timeout_s * 1000;
    s->idle_timeout_ms = l->idle_timeout_s * 1000;
    s->access_log = m->raw.log.access;

    const struct jr_strs *proxies = &m->raw.trusted_proxies;
    struct cidr *list = making_rows(m, proxies->n, sizeof(*list));
    for (size_t i = 0; list && i < proxies->n; i++)
        if (cidr_parse(proxies->items[i], &list[i]) != ST_OK)
            making_complain(m, STR("trusted_proxies"), proxies->items[i], STR(""),
                            STR("must be an address or a network such as 10.0.0.0/8"));
    s->trusted = list;
    s->n_trusted = list ? proxies->n : 0;
}

static unsigned take_algorithms(struct making *m, const struct raw_issuer *raw)
{
    unsigned set = 0;
    for (size_t i = 0; i < raw->algorithms.n; i++) {
        const unsigned one = jwa_from_name(raw->algorithms.items[i]);
        if (one == 0)
            making_complain(m, STR("auth.issuers"), raw->issuer, STR("algorithms"),
                            STR("known are HS/RS/PS/ES 256, 384, 512 and EdDSA"));
        set |= one;
    }
    if ((set & JWA_HS_ALL) && (set & ~(unsigned)JWA_HS_ALL))
        COMPLAIN(m, "auth.issuers", raw->issuer, "algorithms",
                 "HS* and public-key algorithms never go together in one issuer");
    return set;
}

static void check_key_place(struct making *m, const struct raw_issuer *raw, unsigned algorithms)
{
    const int places = (raw->jwks_url.len > 0) + (raw->jwks_file.len > 0) +
                       (raw->public_key_file.len > 0) + (raw->secret_file.len > 0) + raw->discovery;
    if (places != 1)
        COMPLAIN(m, "auth.issuers", raw->issuer, "",
                 "needs exactly one of jwks_url, jwks_file, public_key_file, secret_file, or "
                 "discovery");
    if (raw->secret_file.len && !(algorithms & JWA_HS_ALL))
        COMPLAIN(m, "auth.issuers", raw->issuer, "secret_file", "goes with HS* algorithms only");
    if (!raw->secret_file.len && (algorithms & JWA_HS_ALL))
        COMPLAIN(m, "auth.issuers", raw->issuer, "algorithms", "HS* needs a secret_file");
    if (raw->jwks_url.len && !key_source_url_ok(raw->jwks_url))
        COMPLAIN(m, "auth.issuers", raw->issuer, "jwks_url",
                 "must be https, or http to a loopback address");
    if (raw->discovery && !key_source_url_ok(raw->issuer))
        COMPLAIN(m, "auth.issuers", raw->issuer, "discovery",
                 "needs an issuer that is an https URL, or http to a loopback address");
}

static void take_issuers(struct making *m)
{
    struct config *c = m->c;
    const struct raw_issuer *raw = m->raw.auth.issuers.items;
    const size_t n = m->raw.auth.issuers.n;
    c->issuers = making_rows(m, n, sizeof(*c->issuers));
    for (size_t i = 0; c->issuers && i < n; i++) {
        const unsigned algorithms = take_algorithms(m, &raw[i]);
        check_key_place(m, &raw[i], algorithms);
        if (raw[i].scope.len && !word_ok(raw[i].scope, STR("\"\\")))
            COMPLAIN(m, "auth.issuers", raw[i].issuer, "scope", "must be one word");
        for (size_t k = 0; k < i; k++)
            if (str_equal(raw[k].issuer, raw[i].issuer))
                COMPLAIN(m, "auth.issuers", raw[i].issuer, "", "is there twice");
        c->issuers[i] = (struct issuer_config){
            .issuer = raw[i].issuer,
            .audiences = raw[i].audience.items,
            .n_audiences = raw[i].audience.n,
            .algorithms = algorithms,
            .jwks_url = raw[i].jwks_url,
            .jwks_file = raw[i].jwks_file,
            .public_key_file = raw[i].public_key_file,
            .secret_file = raw[i].secret_file,
            .discovery = raw[i].discovery,
            .user_claim = raw[i].user_claim,
            .plan_claim = raw[i].plan_claim,
            .tenant_claim = raw[i].tenant_claim,
            .scope = raw[i].scope,
            .leeway_s = raw[i].leeway_s,
            .max_lifetime_s = raw[i].max_lifetime_s,
        };
        c->n_issuers = i + 1;
    }
}

static bool name_ok(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        const bool letter = c >= 'a' && c <= 'z';
        if (!letter && (i == 0 || (!ascii_digit(c) && c != '-')))
            return false;
    }
    return name.len > 0 && name.len <= 64;
}

void making_check_name(struct making *m, struct str section, struct str name)
{
    if (!name_ok(name))
        making_complain(m, section, name, STR(""),
                        STR("names are [a-z][a-z0-9-]*, at most 64 bytes"));
}

/* It stands between slashes in what is signed; AWS's own names are judged with the endpoint. */
static bool region_ok(struct str region)
{
    for (size_t i = 0; i < region.len; i++)
        if (!ascii_alnum(region.ptr[i]) && str_find(STR("-_."), region.ptr[i], 0) == 3)
            return false;
    return region.len <= 64;
}

static void take_buckets(struct making *m)
{
    struct config *c = m->c;
    const struct raw_bucket *raw = m->raw.buckets.items;
    const size_t n = m->raw.buckets.n;
    struct bucket *list = making_rows(m, n, sizeof(*list));
    for (size_t i = 0; list && i < n; i++) {
        AUTO(buf) why = BUF_INIT(1024);
        making_check_name(m, STR("buckets"), raw[i].name);
        list[i] = (struct bucket){ .name = raw[i].name,
                                   .where = { .bucket = raw[i].bucket,
                                              .region = raw[i].region,
                                              .endpoint = raw[i].endpoint,
                                              .public_endpoint = raw[i].public_endpoint,
                                              .path_style = raw[i].path_style,
                                              .dualstack = raw[i].dualstack,
                                              .fips = raw[i].fips,
                                              .accelerate = raw[i].accelerate },
                                   .path_style_given = raw[i].path_style_given,
                                   .post = raw[i].post };
        if (raw[i].region.len == 0)
            COMPLAIN(m, "buckets", raw[i].name, "region", "is missing, and AWS_REGION is not set");
        else if (!region_ok(raw[i].region))
            COMPLAIN(m, "buckets", raw[i].name, "region", "is no region name");
        else if (bucket_prepare(&list[i], &c->arena, &why) != ST_OK)
            making_complain(m, STR("buckets"), raw[i].name, STR(""), buf_view(&why));
    }
    c->rules.buckets = list;
    c->rules.n_buckets = list ? n : 0;
}

static int by_name(const void *a, const void *b)
{
    const struct raw_profile *one = a, *two = b;
    return str_compare(one->base.name, two->base.name);
}

static void take_profile(struct making *m, struct raw_profile *raw, struct profile *out)
{
    AUTO(buf) why = BUF_INIT(2048);
    struct str member = STR("");
    struct profile_config *pc = &raw->base;
    pc->metadata_allow = raw->metadata.allow;
    pc->metadata_set = raw->metadata.set;
    pc->allow_plans_given = raw->allow.plans_given;
    pc->allow_plans = raw->allow.plans;
    pc->allow_scope = raw->allow.scope;
    pc->allow_claims = raw->allow.claims;
    making_check_name(m, STR("profiles"), pc->name);
    const enum status st =
        profile_prepare(out, pc, &m->c->rules, &m->c->arena, &member, &why, &m->warn);
    if (st != ST_OK)
        making_complain(m, STR("profiles"), pc->name, member,
                        st == ST_NO_MEMORY ? STR("no memory") : buf_view(&why));
}

/* {"image/png": ["png"]} into rows; false when it has another shape. */
static bool take_extensions(struct making *m, const struct raw_profile *raw, struct jr_list *out)
{
    const size_t n = json_object_size(raw->extensions);
    struct profile_extensions *table = making_rows(m, n, sizeof(*table));
    if (raw->extensions && !json_is_object(raw->extensions))
        return false;
    const char *key;
    json_t *list;
    size_t i = 0;
    json_object_foreach(raw->extensions, key, list)
    {
        struct str *items = making_rows(m, json_array_size(list), sizeof(*items));
        if (!table || !items || !json_is_array(list))
            return false;
        for (size_t k = 0; k < json_array_size(list); k++) {
            if (!json_is_string(json_array_get(list, k)))
                return false;
            items[k] = str_from(json_string_value(json_array_get(list, k)));
        }
        table[i].content_type = str_from(key);
        table[i++].extensions = (struct jr_strs){ items, json_array_size(list) };
    }
    *out = (struct jr_list){ table, i };
    return true;
}

static void take_profiles(struct making *m)
{
    struct config *c = m->c;
    struct raw_profile *raw = m->raw.profiles.items;
    const size_t n = m->raw.profiles.n;
    struct profile *list = making_rows(m, n, sizeof(*list));
    c->rules.several_issuers = c->n_issuers > 1;
    /* sorted before they are compiled: a compiled profile points into itself */
    qsort(raw, n, sizeof(*raw), by_name);
    for (size_t i = 0; list && i < n; i++) {
        if (!take_extensions(m, &raw[i], &raw[i].base.extensions))
            COMPLAIN(m, "profiles", raw[i].base.name, "extensions",
                     "must map types to lists of extensions");
        take_profile(m, &raw[i], &list[i]);
    }
    if (!list)
        return;
    c->rules.profiles = list;
    c->rules.n_profiles = n;
    c->rules.default_profile = rules_profile(&c->rules, m->raw.default_profile);
    if (!c->rules.default_profile)
        COMPLAIN(m, "default_profile", STR(""), "", "must name one of the profiles");
}

static void take_rest(struct making *m)
{
    struct config *c = m->c;
    c->drain_delay_ms = m->raw.drain.delay_s * 1000;
    c->drain_timeout_ms = m->raw.drain.timeout_s * 1000;
    if (c->drain_timeout_ms < c->drain_delay_ms)
        COMPLAIN(m, "drain.timeout_s", STR(""), "", "must not be less than drain.delay_s");
    c->log_level = (enum log_level)m->raw.log.level;
    c->ui = m->raw.ui;
}

/* ---- all of it ---------------------------------------------------------------------------------- */

static enum status compile(struct making *m)
{
    take_listeners(m);
    take_cors(m);
    take_server(m);
    take_issuers(m);
    config_take_credentials(m);
    take_buckets(m);
    config_take_plans(m);
    config_take_ledger(m);
    take_profiles(m);
    config_take_session_policy(m);
    take_rest(m);
    if (m->no_memory)
        return ST_NO_MEMORY;
    TRY(arena_keep(&m->c->arena, &m->warn, &m->c->warnings));
    return m->bad ? ST_INVALID : ST_OK;
}

static enum status read_raw(struct making *m)
{
    struct jr_error err = { .member = STR("") };
    const enum status st =
        jr_fill(m->c->effective, &raw_config_table, STR(""), &m->c->arena, &m->raw, &err);
    if (st == ST_INVALID_REQUEST)
        making_complain(m, err.member, STR(""), STR(""), err.detail);
    return st == ST_INVALID_REQUEST ? ST_INVALID : st;
}

/* ST_OK goes on; ST_INVALID goes on to look for more faults. */
static enum status note(struct making *m, enum status st)
{
    m->bad = m->bad || st == ST_INVALID;
    return st == ST_INVALID ? ST_OK : st;
}

static enum status make(struct making *m)
{
    const enum status st = config_document(m->ask, &m->c->arena, &m->c->effective, m->why);
    TRY(m->c->effective ? note(m, st) : st);
    TRY(config_shape(m->c->effective, &m->c->arena, m->why));
    TRY(read_raw(m));
    return compile(m);
}

enum status config_load(const struct config_ask *ask, struct config **out, struct buf *why)
{
    AUTO_PTR(config) *c = calloc(1, sizeof(*c));
    if (!c)
        return ST_NO_MEMORY;
    atomic_init(&c->refs, 1);
    c->arena = ARENA_INIT(ARENA_MAX);
    c->dev = ask->dev;
    struct making m = { .c = c, .ask = ask, .why = why, .warn = BUF_INIT(WARNINGS_MAX) };
    const enum status st = make(&m);
    buf_release(&m.warn);
    if (st == ST_OK)
        *out = TAKE(c);
    return st;
}

enum status config_print(struct buf *out, const struct config *c)
{
    char *text = json_dumps(c->effective, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    if (!text)
        return ST_NO_MEMORY;
    buf_str(out, str_from(text));
    buf_lit(out, "\n");
    free(text);
    return buf_check(out);
}

void config_needs_restart(struct buf *out, const struct config *was, const struct config *now)
{
    const struct {
        struct str name;
        bool differs;
    } rows[] = {
        { STR("listen"), !str_equal(was->listen, now->listen) },
        { STR("admin_listen"), !str_equal(was->admin_listen, now->admin_listen) },
        { STR("threads"), was->threads != now->threads },
        { STR("ledger"), !json_equal(json_object_get(was->effective, "ledger"),
                                     json_object_get(now->effective, "ledger")) },
        /* what the listener was made with */
        { STR("limits.header_bytes"), was->server.header_bytes != now->server.header_bytes },
        { STR("limits.connections"), was->server.connections != now->server.connections },
        { STR("limits.idle_timeout_s"),
          was->server.idle_timeout_ms != now->server.idle_timeout_ms },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!rows[i].differs)
            continue;
        if (out->len)
            buf_lit(out, ", ");
        buf_str(out, rows[i].name);
    }
}
