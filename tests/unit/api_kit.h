/*
 * api_kit.h - one worker with everything it owns and a server on port 0, all in the test's thread;
 * settings, keys and credentials that tests make and change; requests over the loopback.
 */
#ifndef PRESIGND_API_KIT_H
#define PRESIGND_API_KIT_H

#include "wire.h"

#include "token_kit.h"

#include "build_rules.h"

#include "presignd/api.h"
#include "presignd/date.h"
#include "presignd/grant.h"
#include "presignd/log.h"

#define KIT_ISSUER "https://issuer.example"

/* ---- settings: what a configuration says, freed with its last reference -------------------------- */

struct setting_profile {
    const char *name, *changes; /* sorted by name; the first is the default */
};

struct setting {
    int refs;
    struct building b;
    struct bucket buckets[2]; /* "main", and "noform" without POST */
    struct plan plan;
    struct rules rules;
    struct server_config server;
    int64_t creds_min_ttl_s;
    struct str cookie;
    int *freed; /* counted up when the last reference goes; may be NULL */
};

static inline void setting_ref(void *owner)
{
    ((struct setting *)owner)->refs++;
}

static inline void setting_unref(void *owner)
{
    struct setting *s = owner;
    if (--s->refs > 0)
        return;
    if (s->freed)
        ++*s->freed;
    building_release(&s->b);
    free(s);
}

static inline void setting_bucket(struct setting *s, size_t i, const char *name, bool post)
{
    struct buf why = BUF_INIT(1024);
    s->buckets[i] = (struct bucket){
        .name = str_from(name),
        .where = { .bucket = STR("a-bucket"), .region = STR("eu-west-1") },
        .post = post,
    };
    if (bucket_prepare(&s->buckets[i], &s->b.arena, &why) != ST_OK)
        fail_msg("bucket %s: %s", name, buf_cstr(&why));
    buf_release(&why);
}

static inline void setting_profiles(struct setting *s, const struct setting_profile *rows, size_t n)
{
    struct profile *list = arena_array(&s->b.arena, n, sizeof(*list));
    struct buf why = BUF_INIT(4096), warn = BUF_INIT(65536);
    for (size_t i = 0; i < n; i++) {
        struct str member = STR("");
        const struct profile_config c = building_profile(&s->b, rows[i].name, rows[i].changes);
        if (profile_prepare(&list[i], &c, &s->rules, &s->b.arena, &member, &why, &warn) != ST_OK)
            fail_msg("%s: %.*s %s", rows[i].name, STR_ARGS(member), buf_cstr(&why));
    }
    buf_release(&why);
    buf_release(&warn);
    s->rules.profiles = list;
    s->rules.n_profiles = n;
    s->rules.default_profile = list;
}

/* One reference, for the test. */
static inline struct setting *setting_new(const struct setting_profile *rows, size_t n)
{
    struct setting *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    s->refs = 1;
    s->b = BUILDING_INIT;
    setting_bucket(s, 0, "main", true);
    setting_bucket(s, 1, "noform", false);
    s->plan.name = STR("free");
    s->rules = (struct rules){ .buckets = s->buckets,
                               .n_buckets = 2,
                               .plans = &s->plan,
                               .n_plans = 1,
                               .default_plan = &s->plan };
    setting_profiles(s, rows, n);
    s->creds_min_ttl_s = 60;
    s->cookie = STR("");
    s->server = (struct server_config){
        .body_bytes = 65536,
        .header_bytes = 8192,
        .connections = 50,
        .header_timeout_ms = 15000,
        .body_timeout_ms = 15000,
        .idle_timeout_ms = 75000,
        .access_log = true,
    };
    return s;
}

static inline struct api_settings settings_of(struct setting *s)
{
    return (struct api_settings){ .rules = &s->rules,
                                  .creds_min_ttl_s = s->creds_min_ttl_s,
                                  .cookie = s->cookie,
                                  .server = &s->server,
                                  .owner = s,
                                  .owner_ref = setting_ref,
                                  .owner_unref = setting_unref };
}

/* ---- keys and tokens ---------------------------------------------------------------------------- */

static const struct str kit_audience = STR_INIT("presignd");

static struct issuer_config kit_issuer = {
    .issuer = STR_INIT(KIT_ISSUER),
    .audiences = &kit_audience,
    .n_audiences = 1,
    .algorithms = JWA_HS256,
    .user_claim = STR_INIT("sub"),
    .plan_claim = STR_INIT("plan"),
    .tenant_claim = STR_INIT("org"),
    .scope = STR_INIT(""),
    .leeway_s = 30,
    .max_lifetime_s = 86400,
};

/* One issuer; takes the keys (NULL: none yet, but they could be fetched). One reference. */
static inline struct keyring *ring_of(const struct issuer_config *ic, struct keyset *keys)
{
    static uint64_t version;
    struct keyring *kr = keyring_new(1);
    assert_non_null(kr);
    kr->version = ++version;
    kr->issuers[0] = (struct key_state){ .config = ic, .keys = keys, .can_refetch = !keys };
    return kr;
}

static inline struct keyset *secret_keys(const char *secret)
{
    struct buf why = BUF_INIT(1024);
    struct keyset *ks = keyset_from_secret(str_from(secret), JWA_HS256, &why);
    assert_non_null(ks);
    buf_release(&why);
    return ks;
}

static inline const char *payload_for(int64_t life_s, const char *more)
{
    const int64_t now_s = loop_clock_wall_us() / 1000000;
    return kit_text("{\"iss\":\"" KIT_ISSUER "\",\"aud\":\"presignd\",\"sub\":\"u-1\","
                    "\"iat\":%" PRId64 ",\"exp\":%" PRId64 "%s}",
                    now_s, now_s + life_s, more);
}

static inline const char *good_token(void)
{
    return kit_token(JWA_HS256, "{\"alg\":\"HS256\"}", payload_for(3600, ""));
}

/* ---- credentials -------------------------------------------------------------------------------- */

static inline struct creds *creds_named(const char *akid, int64_t expires_at_s)
{
    struct creds *c = creds_new(str_from(akid), str_from(akid), STR("session"), expires_at_s,
                                loop_clock_wall_us() / 1000000, "env");
    assert_non_null(c);
    return c;
}

/* A source whose answers the test writes. */
struct script {
    struct cred_source source; /* first */
    int asked;
    enum next answer;
    const char *akid;
    int64_t expires_at_s;
};

static inline enum next script_next(struct cred_source *s, const struct reply *last, int64_t now_s,
                                    struct call *out_call, struct creds **out, struct buf *why)
{
    (void)last, (void)now_s, (void)out_call;
    struct script *sc = container_of(s, struct script, source);
    sc->asked++;
    if (sc->answer != NEXT_DONE)
        buf_lit(why, "as written");
    else
        *out = creds_named(sc->akid, sc->expires_at_s);
    return sc->answer;
}

static inline void script_free(struct cred_source *s)
{
    (void)s; /* part of the test's own struct */
}

static const struct cred_source_kind script_kind = { "script", script_next, script_free };

/* ---- the worker --------------------------------------------------------------------------------- */

struct api {
    struct worker worker;
    struct worker *workers[1];
    struct fleet fleet;
    struct script script;
    struct cred_listener cred_listener;
    struct key_listener key_listener;
    struct wire wire; /* for clients */
    bool keys_heard;
};

static inline void api_attempted(struct cred_listener *l, struct creds *held, bool fresh,
                                 struct str why)
{
    (void)fresh, (void)why;
    worker_use_creds(&container_of(l, struct api, cred_listener)->worker, held);
}

static inline void api_keys(struct key_listener *l, struct keyring *kr)
{
    struct api *a = container_of(l, struct api, key_listener);
    a->keys_heard = true;
    worker_use_keyring(&a->worker, kr);
}

static inline void api_free(struct api *a)
{
    server_stop(&a->worker.server);
    key_source_free(a->fleet.key_source);
    cred_store_free(a->fleet.cred_store);
    worker_release(&a->worker);
    free(a);
}

/* Everything but the listener. NULL without memory. The store is not started: it never answers. */
static inline struct api *api_build(struct setting *s, struct keyring *kr, struct creds *c)
{
    struct api *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->workers[0] = &a->worker;
    a->fleet.workers = a->workers;
    a->fleet.n_workers = 1;
    a->script = (struct script){ .source.kind = &script_kind, .answer = NEXT_FAIL };
    a->cred_listener.attempted = api_attempted;
    a->key_listener.changed = api_keys;
    bool ok = worker_init(&a->worker, &a->fleet) == ST_OK;
    if (ok) {
        a->fleet.cred_store =
            cred_store_new(a->worker.loop, NULL, &a->script.source, &a->cred_listener);
        a->fleet.key_source = key_source_new(a->worker.loop, NULL, &a->key_listener);
        const struct api_settings settings = settings_of(s);
        worker_use_settings(&a->worker, &settings);
        if (kr)
            worker_use_keyring(&a->worker, kr);
        if (c)
            worker_use_creds(&a->worker, c);
        ok = a->fleet.cred_store && a->fleet.key_source;
    }
    if (!ok) {
        api_free(a);
        return NULL;
    }
    return a;
}

static inline bool api_listen(struct api *a, struct setting *s)
{
    char space[256];
    struct buf why = BUF_FIXED(space);
    int fd;
    a->worker.server = (struct server){
        .loop = a->worker.loop,
        .config = &s->server,
        .routes = api_routes,
        .n_routes = api_routes_n,
        .metrics = &a->worker.metrics,
        .random = &a->worker.random,
    };
    a->wire.loop = a->worker.loop;
    return server_listen(STR("127.0.0.1:0"), false, &fd, &a->wire.port, &why) == ST_OK &&
           server_start(&a->worker.server, fd) == ST_OK;
}

static inline struct api *api_new(struct setting *s, struct keyring *kr, struct creds *c)
{
    struct api *a = api_build(s, kr, c);
    if (!a || !api_listen(a, s))
        abort(); /* cmocka's asserts tell the compiler nothing */
    return a;
}

/* ---- requests ----------------------------------------------------------------------------------- */

static inline const char *post_text(const char *target, const char *token, const char *body)
{
    return kit_text("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                    target, token, strlen(body), body);
}

/* JSON with ' for ". */
static inline const char *quoted(const char *text)
{
    char *copy = kit_text("%s", text);
    for (char *p = copy; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    return copy;
}

static inline void client_post(struct client *c, const char *target, const char *token,
                               const char *body)
{
    client_text(c, post_text(target, token, quoted(body)));
}

/* The body of the answer at the front as JSON; the caller drops it. NULL: it is none. */
static inline json_t *answer_json(const struct client *c)
{
    const struct str body = answer_body(c);
    return body.ptr ? json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

/* One request on its own connection: its status; *out (may be NULL) the body. */
static inline int ask_json(struct api *a, const char *target, const char *token, const char *body,
                           json_t **out)
{
    struct client *c = client_new(&a->wire);
    client_post(c, target, token, body);
    const int status = client_answer(c, target);
    if (out)
        *out = answer_json(c);
    client_free(c);
    return status;
}

static inline const char *text_at(const json_t *doc, const char *name)
{
    const char *text = json_string_value(json_object_get(doc, name));
    return text ? text : "";
}

#define GOOD_BODY "{'content_type':'image/png','content_length':10}"

#endif
