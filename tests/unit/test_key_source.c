/*
 * The pure half (key_refresh) takes canned replies and any time; the driving half runs on a loop
 * against a key host of our own, a thread that can hold its answers back.
 */
#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "token_kit.h"

#include "presignd/key_refresh.h"
#include "presignd/key_source.h"
#include "presignd/log.h"

enum { NOT_HS = ((1 << JWA_KINDS) - 1) & ~JWA_HS_ALL, LIMIT_MS = 20000, NOW = 1800000000 };

static const struct str audience = STR_INIT("presignd");

static struct issuer_config issuer(const char *name)
{
    return (struct issuer_config){
        .issuer = str_from(name),
        .audiences = &audience,
        .n_audiences = 1,
        .algorithms = NOT_HS,
        .user_claim = STR("sub"),
        .plan_claim = STR("plan"),
        .tenant_claim = STR("org"),
        .leeway_s = 30,
        .max_lifetime_s = 86400,
    };
}

static const char *jwks(EVP_PKEY *pkey, const char *kid)
{
    return kit_text("{\"keys\":[{%s,\"kid\":\"%s\"}]}", kit_jwk_members(pkey), kid);
}

/* ---- addresses ---------------------------------------------------------------------------------- */

static void test_urls(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool ok;
    } cases[] = {
        { "https://login.example.com/jwks.json", true },
        { "https://login.example.com:8443/a?b=c", true },
        { "HTTPS://login.example.com", true },
        { "https://10.0.0.1/jwks", true },
        { "https://[2001:db8::1]/jwks", true },
        { "http://127.0.0.1:8080/jwks", true },
        { "http://127.9.9.9/", true },
        { "http://[::1]:80/jwks", true },
        { "http://localhost:99/jwks", true },
        { "http://LOCALHOST/jwks", true },
        { "http://login.example.com/jwks.json", false },
        { "http://localhost.example.com/", false },
        { "http://127.0.0.1.example.com/", false },
        { "http://127.0.0.1@example.com/", false },
        { "http://example.com/127.0.0.1", false },
        { "http://example.com?127.0.0.1", false },
        { "http://10.0.0.1/", false },
        { "http://169.254.169.254/latest/meta-data", false },
        { "http://[::2]/", false },
        { "http://0.0.0.0/", false },
        { "http://128.0.0.1/", false },
        { "http://", false },
        { "http:///jwks", false },
        { "https://", false },
        { "https:///jwks", false },
        { "https://user@example.com/", false },
        { "https://user:pass@example.com/", false },
        { "https://example.com/#frag", false },
        { "https://example.com/a b", false },
        { "https://example.com/\n", false },
        { "https://exam\xc3\xa4ple.com/", false },
        { "ftp://example.com/", false },
        { "file:///etc/passwd", false },
        { "//example.com/", false },
        { "example.com", false },
        { "", false },
    };
    for (size_t i = 0; i < ROWS(cases); i++)
        CHECK_EQ(cases[i].url, key_source_url_ok(str_from(cases[i].url)), cases[i].ok);
    char *longest = kit_keep(calloc(1, 3000));
    memset(longest, 'a', 2999);
    memcpy(longest, "https://e.com/", 14);
    assert_false(key_source_url_ok(str_from(longest)));
}

/* ---- the pure half ------------------------------------------------------------------------------ */

struct talk {
    struct key_refresh r;
    struct call call;
    struct buf why;
    char why_space[2048];
};

static enum key_next say(struct talk *t, const struct reply *reply, int64_t now_s)
{
    t->why = BUF_FIXED(t->why_space);
    return key_refresh_next(&t->r, reply, now_s, &t->call, &t->why);
}

static enum key_next begin(struct talk *t)
{
    return say(t, &(struct reply){ .kind = REPLY_NONE }, NOW);
}

static struct reply ok(const char *body)
{
    return (
        struct reply){ .kind = REPLY_HTTP, .http = 200, .body = str_from(body), .max_age_s = -1 };
}

static enum key_next hear(struct talk *t, const char *body, int64_t now_s)
{
    const struct reply r = ok(body);
    return say(t, &r, now_s);
}

static void start_talk(struct talk *t, const struct issuer_config *ic)
{
    *t = (struct talk){ .r = { .config = ic, .max_age_s = -1 }, .call = CALL_INIT };
}

static void end_talk(struct talk *t)
{
    key_refresh_release(&t->r);
    call_release(&t->call);
}

static void test_jwks_url(void **state)
{
    (void)state;
    struct issuer_config ic = issuer("https://login/");
    ic.jwks_url = STR("https://login/keys");
    struct talk t;
    start_talk(&t, &ic);
    assert_int_equal(begin(&t), KEY_CALL);
    CHECK_TEXT("url", t.call.url, "https://login/keys");
    assert_string_equal(t.call.method, "GET");
    assert_int_equal(t.call.hosts, CALL_HOSTS_ANY);
    assert_int_equal(t.call.total_ms, 5000);
    assert_int_equal(t.call.max_bytes, 1 << 20);
    assert_int_equal(hear(&t, jwks(kit.rsa, "a"), NOW), KEY_CHANGED);
    assert_int_equal(t.r.keys->n, 1);
    assert_int_equal(t.r.fetched_at_s, NOW);
    const struct keyset *first = t.r.keys;

    assert_int_equal(begin(&t), KEY_CALL);
    assert_int_equal(hear(&t, jwks(kit.rsa, "a"), NOW + 50), KEY_SAME);
    assert_ptr_equal(t.r.keys, first);
    assert_int_equal(t.r.fetched_at_s, NOW + 50);
    assert_int_equal(begin(&t), KEY_CALL);
    assert_int_equal(hear(&t, jwks(kit.rsa, "b"), NOW + 60), KEY_CHANGED);
    CHECK_TEXT("kid", t.r.keys->keys[0].kid, "b");
    end_talk(&t);

    ic.jwks_url = STR("http://127.0.0.1:1/keys");
    start_talk(&t, &ic);
    assert_int_equal(begin(&t), KEY_CALL);
    assert_int_equal(t.call.hosts, CALL_HOSTS_LOOPBACK);
    end_talk(&t);
}

static void test_failures_keep_keys(void **state)
{
    (void)state;
    const char *twin = kit_jwk_members(kit.rsa);
    struct issuer_config ic = issuer("https://login/");
    ic.jwks_url = STR("https://login/keys");
    const struct {
        const char *name;
        struct reply reply;
        const char *tells;
    } cases[] = {
        { "404", { .kind = REPLY_HTTP, .http = 404, .body = str_from(jwks(kit.rsa, "x")) }, "404" },
        { "500", { .kind = REPLY_HTTP, .http = 500 }, "500" },
        { "204", { .kind = REPLY_HTTP, .http = 204 }, "204" },
        { "302", { .kind = REPLY_HTTP, .http = 302 }, "302" },
        { "304", { .kind = REPLY_HTTP, .http = 304 }, "304" },
        { "timeout", { .kind = REPLY_TIMEOUT, .why = STR("took too long") }, "too long" },
        { "refused", { .kind = REPLY_UNREACHABLE, .why = STR("refused") }, "refused" },
        { "forbidden", { .kind = REPLY_FORBIDDEN, .why = STR("not loopback") }, "loopback" },
        { "too large", { .kind = REPLY_TOO_LARGE, .why = STR("too large") }, "large" },
        { "empty", ok(""), "JSON" },
        { "HTML", ok("<html>"), "JSON" },
        { "no set", ok("{}"), "no array" },
        { "empty set", ok("{\"keys\":[]}"), "no usable" },
        { "twins only",
          ok(kit_text("{\"keys\":[{%s,\"kid\":\"a\"},{%s,\"kid\":\"a\"}]}", twin, twin)),
          "no usable" },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct talk t;
        start_talk(&t, &ic);
        assert_int_equal(begin(&t), KEY_CALL);
        CHECK_EQ(cases[i].name, say(&t, &cases[i].reply, NOW), KEY_FAILED);
        CHECK(cases[i].name, !t.r.keys);
        assert_int_equal(begin(&t), KEY_CALL);
        CHECK_EQ(cases[i].name, hear(&t, jwks(kit.rsa, "a"), NOW), KEY_CHANGED);
        assert_int_equal(begin(&t), KEY_CALL);
        CHECK_EQ(cases[i].name, say(&t, &cases[i].reply, NOW + KEY_LAST_GOOD_S), KEY_FAILED);
        CHECK(cases[i].name, t.r.keys);
        CHECK(cases[i].name, memmem(t.why.ptr, t.why.len, cases[i].tells, strlen(cases[i].tells)));
        assert_int_equal(begin(&t), KEY_CALL);
        CHECK_EQ(cases[i].name, say(&t, &cases[i].reply, NOW + KEY_LAST_GOOD_S + 1), KEY_LOST);
        CHECK(cases[i].name, !t.r.keys);
        assert_int_equal(begin(&t), KEY_CALL);
        CHECK_EQ(cases[i].name, say(&t, &cases[i].reply, NOW + KEY_LAST_GOOD_S + 2), KEY_FAILED);
        CHECK_EQ(cases[i].name, t.r.failures, 3);
        assert_int_equal(begin(&t), KEY_CALL);
        CHECK_EQ(cases[i].name, hear(&t, jwks(kit.rsa, "a"), NOW + 100000), KEY_CHANGED);
        CHECK_EQ(cases[i].name, t.r.failures, 0);
        end_talk(&t);
    }
}

static void test_discovery(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct { const char *name, *document; const char *url; } cases[] = {
        { "good", "{\"issuer\":\"https://login/t/\",\"jwks_uri\":\"https://keys/k\",\"x\":[{}]}", "https://keys/k" },
        { "loopback", "{\"issuer\":\"https://login/t/\",\"jwks_uri\":\"http://127.0.0.1:7/k\"}", "http://127.0.0.1:7/k" },
        { "issuer without slash", "{\"issuer\":\"https://login/t\",\"jwks_uri\":\"https://keys/k\"}", NULL },
        { "issuer of another", "{\"issuer\":\"https://evil/\",\"jwks_uri\":\"https://keys/k\"}", NULL },
        { "issuer in capitals", "{\"issuer\":\"https://LOGIN/t/\",\"jwks_uri\":\"https://keys/k\"}", NULL },
        { "no issuer", "{\"jwks_uri\":\"https://keys/k\"}", NULL },
        { "issuer a list", "{\"issuer\":[\"https://login/t/\"],\"jwks_uri\":\"https://keys/k\"}", NULL },
        { "no jwks_uri", "{\"issuer\":\"https://login/t/\"}", NULL },
        { "jwks_uri a list", "{\"issuer\":\"https://login/t/\",\"jwks_uri\":[\"https://keys/k\"]}", NULL },
        { "jwks_uri empty", "{\"issuer\":\"https://login/t/\",\"jwks_uri\":\"\"}", NULL },
        { "jwks_uri over http", "{\"issuer\":\"https://login/t/\",\"jwks_uri\":\"http://keys/k\"}", NULL },
        { "jwks_uri metadata", "{\"issuer\":\"https://login/t/\",\"jwks_uri\":\"http://169.254.169.254/\"}", NULL },
        { "jwks_uri file", "{\"issuer\":\"https://login/t/\",\"jwks_uri\":\"file:///etc/passwd\"}", NULL },
        { "issuer twice", "{\"issuer\":\"https://evil/\",\"issuer\":\"https://login/t/\",\"jwks_uri\":\"https://keys/k\"}", NULL },
        { "no JSON", "<html>", NULL },
        { "a list", "[]", NULL },
    };
    /* clang-format on */
    struct issuer_config ic = issuer("https://login/t/");
    ic.discovery = true;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct talk t;
        start_talk(&t, &ic);
        CHECK_EQ(cases[i].name, begin(&t), KEY_CALL);
        CHECK_TEXT(cases[i].name, t.call.url, "https://login/t/.well-known/openid-configuration");
        CHECK_EQ(cases[i].name, hear(&t, cases[i].document, NOW),
                 cases[i].url ? KEY_CALL : KEY_FAILED);
        if (cases[i].url) {
            CHECK_TEXT(cases[i].name, t.call.url, cases[i].url);
            CHECK_EQ(cases[i].name, hear(&t, jwks(kit.p256, "a"), NOW), KEY_CHANGED);
        } else {
            CHECK(cases[i].name, t.why.len > 0);
        }
        CHECK_EQ(cases[i].name, begin(&t), KEY_CALL); /* discovered anew */
        CHECK_TEXT(cases[i].name, t.call.url, "https://login/t/.well-known/openid-configuration");
        end_talk(&t);
    }
}

static void test_delays(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t max_age_s;
        int failures;
        int64_t want_s;
    } cases[] = {
        { "nothing said", -1, 0, 600 }, { "said", 300, 0, 300 },
        { "no-store", 0, 0, 60 },       { "too short", 59, 0, 60 },
        { "too long", 3601, 0, 3600 },  { "far too long", INT64_C(1) << 40, 0, 3600 },
        { "first failure", 300, 1, 1 }, { "second", 300, 2, 2 },
        { "sixth", 300, 6, 32 },        { "seventh", 300, 7, 60 },
        { "many", 300, 1000000, 60 },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        const struct key_refresh r = { .max_age_s = cases[i].max_age_s,
                                       .failures = cases[i].failures };
        CHECK_EQ(cases[i].name, key_refresh_delay_ms(&r, 100), cases[i].want_s * 1000);
        CHECK_EQ(cases[i].name, key_refresh_delay_ms(&r, 0), cases[i].want_s * 900);
        CHECK_EQ(cases[i].name, key_refresh_delay_ms(&r, 200), cases[i].want_s * 1100);
    }
}

/* ---- files -------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/presignd-keys-XXXXXX";

static const char *file_with(const char *name, const char *text)
{
    const char *path = kit_text("%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return path;
}

static void test_load(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    const char *set = file_with("set", jwks(kit.p256, "a"));
    const char *pem = file_with("pem", kit_pem(kit.rsa));
    const char *secret = file_with("secret", kit_text("%s\n", kit_secret));
    const char *tiny = file_with("tiny", "short\n");
    const char *empty = file_with("empty", "");
    const char *half = file_with("half", kit_text("{\"keys\":[7,{%s}]}", kit_jwk_members(kit.rsa)));
    const char *gone = kit_text("%s/gone", folder);
    const struct {
        const char *name;
        const char *jwks_url, *jwks_file, *pem, *secret;
        bool discovery;
        unsigned algorithms;
        const char *tells; /* NULL: loads */
    } cases[] = {
        { "set", NULL, set, NULL, NULL, false, NOT_HS, NULL },
        { "PEM", NULL, NULL, pem, NULL, false, JWA_RS256, NULL },
        { "secret", NULL, NULL, NULL, secret, false, JWA_HS512, NULL },
        { "URL", "https://login/k", NULL, NULL, NULL, false, NOT_HS, NULL },
        { "discovery", NULL, NULL, NULL, NULL, true, NOT_HS, NULL },
        { "a set with a skipped key", NULL, half, NULL, NULL, false, NOT_HS, NULL },
        { "nothing", NULL, NULL, NULL, NULL, false, NOT_HS, "exactly one" },
        { "two places", "https://login/k", set, NULL, NULL, false, NOT_HS, "exactly one" },
        { "URL and discovery", "https://login/k", NULL, NULL, NULL, true, NOT_HS, "exactly one" },
        { "URL over http", "http://login/k", NULL, NULL, NULL, false, NOT_HS, "https" },
        { "no algorithm", NULL, set, NULL, NULL, false, 0, "at least one" },
        { "HS with others", NULL, NULL, NULL, secret, false, JWA_HS256 | JWA_RS256, "never" },
        { "HS without secret", NULL, set, NULL, NULL, false, JWA_HS256, "belong together" },
        { "HS by URL", "https://login/k", NULL, NULL, NULL, false, JWA_HS256, "belong together" },
        { "secret without HS", NULL, NULL, NULL, secret, false, JWA_RS256, "belong together" },
        { "no such file", NULL, gone, NULL, NULL, false, NOT_HS, "No such file" },
        { "no such PEM", NULL, NULL, gone, NULL, false, NOT_HS, "No such file" },
        { "no such secret", NULL, NULL, NULL, gone, false, JWA_HS256, "No such file" },
        { "a folder", NULL, folder, NULL, NULL, false, NOT_HS, "directory" },
        { "an empty set", NULL, empty, NULL, NULL, false, NOT_HS, "JSON" },
        { "an empty secret", NULL, NULL, NULL, empty, false, JWA_HS256, "empty" },
        { "a short secret", NULL, NULL, NULL, tiny, false, JWA_HS256, "32 bytes" },
        { "PEM as a set", NULL, pem, NULL, NULL, false, NOT_HS, "JSON" },
        { "set as a PEM", NULL, NULL, set, NULL, false, NOT_HS, "PEM" },
        { "PEM as a secret", NULL, NULL, NULL, pem, false, JWA_HS256, "PEM" },
        { "set of other algorithms", NULL, set, NULL, NULL, false, JWA_RS256, "no usable" },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct issuer_config ic = issuer("https://login/");
        ic.jwks_url = str_from(cases[i].jwks_url);
        ic.jwks_file = str_from(cases[i].jwks_file);
        ic.public_key_file = str_from(cases[i].pem);
        ic.secret_file = str_from(cases[i].secret);
        ic.discovery = cases[i].discovery;
        ic.algorithms = cases[i].algorithms;
        char space[2048];
        struct buf why = BUF_FIXED(space);
        struct keyring *kr = key_source_load(&ic, 1, NULL, NULL, &why);
        CHECK_EQ(cases[i].name, kr != NULL, cases[i].tells == NULL);
        if (!kr) {
            CHECK(cases[i].name, memmem(why.ptr, why.len, "https://login/", 14));
            CHECK(cases[i].name, memmem(why.ptr, why.len, cases[i].tells, strlen(cases[i].tells)));
        } else {
            const bool url = cases[i].jwks_url || cases[i].discovery;
            CHECK_EQ(cases[i].name, kr->issuers[0].can_refetch, url);
            CHECK_EQ(cases[i].name, kr->issuers[0].keys == NULL, url);
            CHECK_EQ(cases[i].name, why.len > 0, cases[i].jwks_file == half);
        }
        keyring_unref(kr);
    }
}

static int let_go;

static void count_let_go(void *owner)
{
    assert_ptr_equal(owner, &let_go);
    let_go++;
}

static void test_owner(void **state)
{
    (void)state;
    static struct issuer_config many[KEYRING_ISSUERS_MAX + 1];
    char space[1024];
    struct buf why = BUF_FIXED(space);
    struct issuer_config ic = issuer("https://login/");
    assert_null(key_source_load(&ic, 1, &let_go, count_let_go, &why));
    assert_int_equal(let_go, 1);
    assert_null(key_source_load(many, ROWS(many), &let_go, count_let_go, &why));
    assert_int_equal(let_go, 2);
    ic.discovery = true;
    struct keyring *kr = key_source_load(&ic, 1, &let_go, count_let_go, &why);
    assert_non_null(kr);
    assert_int_equal(let_go, 2);
    keyring_unref(kr);
    assert_int_equal(let_go, 3);
}

static void test_load_several(void **state)
{
    (void)state;
    static struct issuer_config many[KEYRING_ISSUERS_MAX + 1];
    char space[2048];
    struct buf why = BUF_FIXED(space);
    for (size_t i = 0; i < ROWS(many); i++) {
        many[i] = issuer(kit_text("https://login%zu/", i));
        many[i].jwks_url = STR("https://login/k");
    }
    struct keyring *kr = key_source_load(many, KEYRING_ISSUERS_MAX, NULL, NULL, &why);
    assert_non_null(kr);
    assert_int_equal(kr->version, 1);
    keyring_unref(kr);
    assert_null(key_source_load(many, ROWS(many), NULL, NULL, &why));
    many[5].issuer = many[2].issuer;
    assert_null(key_source_load(many, 6, NULL, NULL, &why));
    many[5] = issuer("");
    many[5].jwks_url = STR("https://login/k");
    assert_null(key_source_load(many, 6, NULL, NULL, &why));
    many[5] = issuer("https://a/");
    many[5].jwks_url = STR("https://login/k");
    many[5].n_audiences = 0;
    assert_null(key_source_load(many, 6, NULL, NULL, &why));
}

/* ---- a key host --------------------------------------------------------------------------------- */

static struct host {
    int listener, port;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool held, ended;
    int requests;
    int status;
    const char *body;
} host;

static void answer(int fd)
{
    char request[4096];
    size_t n = 0;
    ssize_t got;
    while (n < sizeof(request) - 1 && (got = read(fd, request + n, sizeof(request) - 1 - n)) > 0) {
        n += (size_t)got;
        request[n] = '\0';
        if (strstr(request, "\r\n\r\n"))
            break;
    }
    pthread_mutex_lock(&host.lock);
    host.requests++;
    pthread_cond_broadcast(&host.changed);
    while (host.held && !host.ended)
        pthread_cond_wait(&host.changed, &host.lock);
    dprintf(fd, "HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", host.status,
            strlen(host.body), host.body);
    pthread_mutex_unlock(&host.lock);
}

static void *serve(void *nothing)
{
    (void)nothing;
    int fd;
    while ((fd = accept(host.listener, NULL, NULL)) >= 0) {
        answer(fd);
        close(fd);
    }
    return NULL;
}

static void host_start(void)
{
    host = (struct host){ 0 };
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(in);
    pthread_mutex_init(&host.lock, NULL);
    pthread_cond_init(&host.changed, NULL);
    host.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(host.listener, (struct sockaddr *)(void *)&in, len), 0);
    assert_int_equal(listen(host.listener, 16), 0);
    assert_int_equal(getsockname(host.listener, (struct sockaddr *)(void *)&in, &len), 0);
    host.port = ntohs(in.sin_port);
    host.status = 200;
    host.body = "";
    assert_int_equal(pthread_create(&host.thread, NULL, serve, NULL), 0);
}

static void host_end(void)
{
    pthread_mutex_lock(&host.lock);
    host.ended = true;
    pthread_cond_broadcast(&host.changed);
    pthread_mutex_unlock(&host.lock);
    shutdown(host.listener, SHUT_RDWR);
    pthread_join(host.thread, NULL);
    close(host.listener);
}

static void host_set(int status, const char *body, bool held)
{
    pthread_mutex_lock(&host.lock);
    host.status = status;
    host.body = body;
    host.held = held;
    pthread_cond_broadcast(&host.changed);
    pthread_mutex_unlock(&host.lock);
}

static int host_requests(void)
{
    pthread_mutex_lock(&host.lock);
    const int n = host.requests;
    pthread_mutex_unlock(&host.lock);
    return n;
}

/* ---- the driving half --------------------------------------------------------------------------- */

static struct ear {
    struct key_listener listener;
    struct keyring *ring;
    int heard;
} ear;

static void heard(struct key_listener *l, struct keyring *kr)
{
    struct ear *e = container_of(l, struct ear, listener);
    keyring_unref(e->ring);
    e->ring = keyring_ref(kr);
    e->heard++;
}

static struct loop *loop;
static struct fetcher *fetcher;
static struct key_source *source;

static void source_start(void)
{
    ear = (struct ear){ .listener = { heard } };
    loop = loop_new();
    fetcher = loop ? fetcher_new(loop) : NULL;
    source = fetcher ? key_source_new(loop, fetcher, &ear.listener) : NULL;
    assert_non_null(source);
}

static void source_end(void)
{
    key_source_free(source);
    fetcher_free(fetcher);
    loop_free(loop);
    keyring_unref(ear.ring);
}

/* Turns the loop until the ear has heard so often. */
static void turn_until_heard(int times)
{
    const int64_t end = loop_clock_us() + LIMIT_MS * 1000;
    while (ear.heard < times && loop_clock_us() < end)
        loop_turn(loop, 50);
    assert_int_equal(ear.heard, times);
}

static void turn_until_asked(int requests)
{
    const int64_t end = loop_clock_us() + LIMIT_MS * 1000;
    while (host_requests() < requests && loop_clock_us() < end)
        loop_turn(loop, 10);
    assert_int_equal(host_requests(), requests);
}

static struct keyring *load_url(struct issuer_config *ic, const char *path)
{
    char space[1024];
    struct buf why = BUF_FIXED(space);
    *ic = issuer("https://login/");
    ic->jwks_url = str_from(kit_text("http://127.0.0.1:%d/%s", host.port, path));
    struct keyring *kr = key_source_load(ic, 1, NULL, NULL, &why);
    assert_non_null(kr);
    return kr;
}

static void test_drive(void **state)
{
    (void)state;
    struct issuer_config ic;
    host_start();
    source_start();
    struct keyring *kr = load_url(&ic, "a");
    host_set(200, jwks(kit.p256, "one"), false);
    assert_int_equal(key_source_use(source, kr), ST_OK);
    assert_int_equal(ear.heard, 1); /* the ring as loaded, at once */
    assert_int_equal(ear.ring->version, 2);
    assert_null(ear.ring->issuers[0].keys);
    struct keyring *stale = keyring_ref(ear.ring);
    turn_until_heard(2);

    /* It may still be on its way when the first attempt has ended: no second one for that. */
    key_source_want(source, 0, stale);
    turn_until_heard(3);
    assert_int_equal(host_requests(), 1);
    assert_int_equal(ear.ring->issuers[0].refetch_after_s, 0);
    ear.heard = 2;
    assert_int_equal(ear.ring->version, 3);
    CHECK_TEXT("kid", ear.ring->issuers[0].keys->keys[0].kid, "one");
    assert_false(ear.ring->issuers[0].last_fetch_failed);
    assert_int_equal(ear.ring->issuers[0].refetch_after_s, 0);
    assert_true(ear.ring->issuers[0].fetched_at_s > 0);

    /* Any number of wants while one is on its way: one fetch. */
    host_set(200, jwks(kit.p256, "two"), true);
    for (int i = 0; i < 1000; i++)
        key_source_want(source, 0, ear.ring);
    turn_until_asked(2);
    for (int i = 0; i < 1000; i++)
        key_source_want(source, 0, ear.ring);
    loop_turn(loop, 0); /* the wants arrive while the answer is held back */
    assert_int_equal(ear.heard, 2);
    host_set(200, jwks(kit.p256, "two"), false);
    turn_until_heard(3);
    assert_int_equal(ear.ring->version, 4);
    CHECK_TEXT("kid", ear.ring->issuers[0].keys->keys[0].kid, "two");
    assert_true(ear.ring->issuers[0].refetch_after_s > 0);
    assert_false(keyring_may_refetch(&ear.ring->issuers[0], ear.ring->issuers[0].fetched_at_s));

    /* Cooling: heard at once, nothing asked, the same ring. */
    struct keyring *before = ear.ring;
    key_source_want(source, 0, ear.ring);
    turn_until_heard(4);
    assert_ptr_equal(ear.ring, before);
    key_source_want(source, 63, ear.ring); /* of a configuration that is gone */
    turn_until_heard(5);
    assert_int_equal(host_requests(), 2);

    /* A want by the first ring, which knows of no attempt, after others have ended. */
    key_source_want(source, 0, stale);
    turn_until_heard(6);
    assert_int_equal(host_requests(), 2);

    /* A reload keeps the keys while it asks again; nothing new: the version stays. */
    struct issuer_config again;
    struct keyring *reloaded = load_url(&again, "a");
    assert_int_equal(key_source_use(source, reloaded), ST_OK);
    assert_int_equal(ear.heard, 7);
    assert_int_equal(ear.ring->version, 5);
    assert_non_null(ear.ring->issuers[0].keys);
    turn_until_heard(8);
    assert_int_equal(ear.ring->version, 5);
    assert_int_equal(host_requests(), 3);

    /* Another address: other keys. */
    struct issuer_config moved;
    struct keyring *other = load_url(&moved, "b");
    assert_int_equal(key_source_use(source, other), ST_OK);
    assert_null(ear.ring->issuers[0].keys);
    turn_until_heard(10);
    assert_non_null(ear.ring->issuers[0].keys);
    keyring_unref(stale);
    keyring_unref(kr);
    keyring_unref(reloaded);
    keyring_unref(other);
    source_end();
    host_end();
}

static void test_outage_and_back(void **state)
{
    (void)state;
    struct issuer_config ic;
    host_start();
    source_start();
    struct keyring *kr = load_url(&ic, "a");
    host_set(503, "", false);
    assert_int_equal(key_source_use(source, kr), ST_OK);
    turn_until_heard(2);
    assert_true(ear.ring->issuers[0].last_fetch_failed);
    assert_null(ear.ring->issuers[0].keys);
    assert_int_equal(ear.ring->version, 2); /* no keys before, none now */
    host_set(200, jwks(kit.p256, "back"), false);
    turn_until_heard(3); /* by itself, after a second */
    assert_false(ear.ring->issuers[0].last_fetch_failed);
    assert_non_null(ear.ring->issuers[0].keys);
    host_set(500, "", false);
    key_source_want(source, 0, ear.ring);
    turn_until_heard(4);
    assert_true(ear.ring->issuers[0].last_fetch_failed);
    assert_non_null(ear.ring->issuers[0].keys);
    assert_int_equal(ear.ring->version, 3);
    keyring_unref(kr);
    source_end();
    host_end();
}

/* Freed with a fetch and a post on their way: nobody hears, nothing is touched. */
static void test_free_in_flight(void **state)
{
    (void)state;
    struct issuer_config ic;
    host_start();
    source_start();
    struct keyring *kr = load_url(&ic, "a");
    host_set(200, jwks(kit.p256, "one"), true);
    assert_int_equal(key_source_use(source, kr), ST_OK);
    turn_until_asked(1);
    key_source_want(source, 0, ear.ring);
    keyring_unref(kr);
    source_end();
    host_end();
    assert_int_equal(ear.heard, 1);
}

static int start(void **state)
{
    log_setup(STDERR_FILENO, LOG_LEVEL_ERROR);
    return fetch_global_start() == ST_OK ? kit_start(state) : -1;
}

static int end(void **state)
{
    static const char *const names[] = { "set", "pem", "secret", "tiny", "empty", "half" };
    for (size_t i = 0; i < ROWS(names); i++)
        unlink(kit_text("%s/%s", folder, names[i]));
    rmdir(folder);
    fetch_global_end();
    return kit_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_jwks_url),
        cmocka_unit_test(test_failures_keep_keys),
        cmocka_unit_test(test_discovery),
        cmocka_unit_test(test_delays),
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_owner),
        cmocka_unit_test(test_load_several),
        cmocka_unit_test(test_drive),
        cmocka_unit_test(test_outage_and_back),
        cmocka_unit_test(test_free_in_flight),
    };
    return cmocka_run_group_tests(tests, start, end);
}
