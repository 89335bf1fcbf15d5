/* floor: app */
#include "test.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "oom.h"
#include "presignd/config_make.h"

enum { TEXT_MAX = 1 << 20, ENTRIES_MAX = 16 };

static const char base[] =
    "{'auth': {'issuers': [{'issuer': 'i', 'audience': ['a'], 'algorithms': ['HS256'],"
    " 'secret_file': '/nowhere'}]},"
    " 'buckets': {'main': {'bucket': 'bbb', 'region': 'eu-west-1'}},"
    " 'profiles': {'default': {'bucket': 'main', 'key': '{uuid}', 'max_bytes': 9,"
    " 'content_types': ['image/*']}}}";

/* environ has no const; literals do. */
static char **env_of(const char *const *entries)
{
    return (char **)(uintptr_t)entries;
}

/* ---- a file of the test's own ------------------------------------------------------------------- */

/* A folder with one file, whose text is JSON with ' for ". */
struct place {
    char folder[32];
    char file[48];
};

static void place_make(struct place *p, const char *text)
{
    memcpy(p->folder, "/tmp/test-config-XXXXXX", sizeof("/tmp/test-config-XXXXXX"));
    assert_non_null(mkdtemp(p->folder));
    snprintf(p->file, sizeof(p->file), "%s/c.json", p->folder);
    FILE *f = fopen(p->file, "w");
    assert_non_null(f);
    for (; *text; text++)
        fputc(*text == '\'' ? '"' : *text, f);
    assert_int_equal(fclose(f), 0);
}

static void place_remove(const struct place *p)
{
    unlink(p->file);
    rmdir(p->folder);
}

static enum status load(const char *text, char **environment, bool dev, struct config **out,
                        struct buf *why)
{
    struct place p;
    place_make(&p, text);
    const struct config_ask ask = {
        .path = p.file, .dev = dev, .dev_secret_file = "/secret", .environment = environment
    };
    *out = NULL;
    const enum status st = config_load(&ask, out, why);
    place_remove(&p);
    return st;
}

static bool has_line(const struct buf *why, const char *start)
{
    struct str rest = buf_view(why), line;
    while (str_cut(&rest, '\n', &line))
        if (str_starts(line, str_from(start)))
            return true;
    return false;
}

/* ---- faults ------------------------------------------------------------------------------------- */

/* Each fault's first words, all of which must be there. */
static const struct {
    const char *name, *text;
    const char *faults[6];
} refused[] = {
    { "no JSON", "{'a': }", { "/tmp/test-config-" } },
    { "a list", "[]", { "the configuration: must be a JSON object" } },
    { "empty",
      "{}",
      { "auth.issuers: is missing", "buckets: is missing", "profiles: is missing" } },
    { "all shapes at once",
      "{'nope': 1, 'threads': 'x', 'cors': {'origins': [1], 'x': 2}, 'auth': null, 'buckets': {},"
      " 'profiles': {'b': 1}}",
      { "nope: unknown member", "threads: must be an integer", "cors.origins[0]: must be a string",
        "cors.x: unknown member", "buckets: must not be empty", "profiles.b: must be an object" } },
    { "issuers by number",
      "{'auth': {'issuers': [{'issuer': 'a'}, {'issuer': '', 'x': 1}]}, 'buckets': {'a': 1},"
      " 'profiles': {'a': 1}}",
      { "auth.issuers[0].audience: is missing", "auth.issuers[1].issuer: must not be empty",
        "auth.issuers[1].x: unknown member" } },
    { "a null where a value belongs",
      "{'listen': null, 'limits': null, 'log': {'level': null}}",
      { "listen: must not be null", "limits: must not be null", "log.level: must not be null" } },
    { "all meanings at once",
      "{'listen': 'x', 'auth': {'issuers': [{'issuer': 'i', 'audience': ['a'],"
      " 'algorithms': ['RS256']}]}, 'buckets': {'main': {'bucket': 'b'}},"
      " 'profiles': {'q': {'bucket': 'main', 'key': 'x', 'max_bytes': 9, 'content_types': "
      "['a/b']}}}",
      { "listen: must be", "auth.issuers.i: needs exactly one", "buckets.main.region: is missing",
        "profiles.q.key: ", "default_profile: must name" } },
    { "limits, all at once",
      "{'auth': {'issuers': [{'issuer': 'i', 'audience': ['a'], 'algorithms': ['HS256'],"
      " 'secret_file': '/s'}]}, 'buckets': {'main': {'bucket': 'bbb', 'region': 'r'}},"
      " 'profiles': {'default': {'bucket': 'main', 'key': '{uuid}', 'max_bytes': 9,"
      " 'content_types': ['a/b']}}, 'default_plan': 'p', 'ledger': {'backend': 'none'},"
      " 'plans': {'p': {'limits': [{'name': 'a', 'kind': 'rate', 'max': 1},"
      " {'name': 'a', 'kind': 'open', 'max': 1, 'burst': 2, 'window': 'month'}]}}}",
      { "plans.p.limits[0].window_s: is missing", "plans.p.limits[1].name: is there twice",
        "plans.p.limits[1].window: goes with", "plans.p.limits[1].burst: goes with",
        "plans.p.limits: need a ledger" } },
    { "one name for several tallies",
      "{'auth': {'issuers': [{'issuer': 'i', 'audience': ['a'], 'algorithms': ['HS256'],"
      " 'secret_file': '/s'}]}, 'buckets': {'main': {'bucket': 'bbb', 'region': 'r'}},"
      " 'profiles': {'default': {'bucket': 'main', 'key': '{uuid}', 'max_bytes': 9,"
      " 'content_types': ['a/b']}}, 'default_plan': 'p', 'plans': {"
      "'p': {'limits': [{'name': 'a', 'kind': 'count', 'max': 1, 'window_s': 60}]},"
      "'q': {'limits': [{'name': 'b', 'kind': 'open', 'max': 1}]},"
      "'r': {'limits': [{'name': 'b', 'kind': 'rate', 'max': 1, 'window_s': 60},"
      " {'name': 'a', 'kind': 'count', 'max': 1, 'window': 'month'}]}}}",
      { "plans.r.limits[0].name: b has another kind in plan q, but one name is one tally in all "
        "plans:"
        " give one of them another name",
        "plans.r.limits[1].name: a has another window in plan p," } },
    { "a ledger's members by their backend",
      "{'ledger': {'backend': 'redis', 'path': 7, 'url': 'redis://h', 'timeout_ms': 0}, 'x': 1}",
      { "ledger.path: must be a string", "ledger.timeout_ms: must be at least 1",
        "x: unknown member" } },
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(refused); i++) {
        AUTO(buf) why = BUF_INIT(TEXT_MAX);
        struct config *c;
        CHECK_EQ(refused[i].name, load(refused[i].text, NULL, false, &c, &why), ST_INVALID);
        CHECK(refused[i].name, c == NULL);
        for (size_t k = 0; k < ROWS(refused[i].faults) && refused[i].faults[k]; k++)
            if (!has_line(&why, refused[i].faults[k]))
                fail_msg("%s: no \"%s\" in\n%.*s", refused[i].name, refused[i].faults[k],
                         STR_ARGS(buf_view(&why)));
    }
}

static void test_no_file(void **state)
{
    (void)state;
    const char *named[] = { "PRESIGND_CONFIG=/nowhere/at/all", "PRESIGND__UI=false", NULL };
    const struct config_ask asks[] = { { .path = "/nowhere/at/all" },
                                       { .environment = env_of(named) } };
    for (size_t i = 0; i < ROWS(asks); i++) {
        AUTO(buf) why = BUF_INIT(TEXT_MAX);
        struct config *c = NULL;
        assert_int_equal(config_load(&asks[i], &c, &why), ST_UNREACHABLE);
        assert_true(has_line(&why, "/nowhere/at/all: No such file"));
    }
}

/* ---- the environment ---------------------------------------------------------------------------- */

/* `path` leads to what must stand in the effective configuration, as JSON. */
static const struct {
    const char *name;
    const char *environment[4];
    const char *path, *want;
} set[] = {
    { "text", { "PRESIGND__LISTEN=127.0.0.1:1" }, "listen", "\"127.0.0.1:1\"" },
    { "text that looks like JSON",
      { "PRESIGND__DEFAULT_PLAN=", "PRESIGND__AUTH__COOKIE=null" },
      "auth.cookie",
      "\"null\"" },
    { "number", { "PRESIGND__THREADS=3" }, "threads", "3" },
    { "boolean", { "PRESIGND__LOG__ACCESS=false" }, "log.access", "false" },
    { "word", { "PRESIGND__LOG__LEVEL=debug" }, "log.level", "\"debug\"" },
    { "list",
      { "PRESIGND__CORS__ORIGINS=[\"https://a.test\"]" },
      "cors.origins",
      "[\"https://a.test\"]" },
    { "in a map",
      { "PRESIGND__BUCKETS__MAIN__REGION=us-east-2" },
      "buckets.main.region",
      "\"us-east-2\"" },
    { "a name with a dash",
      { "PRESIGND__BUCKETS__A_B__BUCKET=ccc", "PRESIGND__BUCKETS__A_B__REGION=eu-west-1" },
      "buckets.a-b.bucket",
      "\"ccc\"" },
    { "an entry whole",
      { "PRESIGND__BUCKETS__C={\"bucket\":\"ddd\",\"region\":\"eu-west-1\"}" },
      "buckets.c.bucket",
      "\"ddd\"" },
    { "a whole before its part",
      { "PRESIGND__BUCKETS__C__BUCKET=eee",
        "PRESIGND__BUCKETS__C={\"bucket\":\"ddd\",\"region\":\"eu-west-1\"}" },
      "buckets.c.bucket",
      "\"eee\"" },
    { "a map of texts",
      { "PRESIGND__PROFILES__DEFAULT__METADATA__SET__UPLOADED_BY={user}" },
      "profiles.default.metadata.set.uploaded-by",
      "\"{user}\"" },
    { "a map with capitals, whole",
      { "PRESIGND__PROFILES__DEFAULT__FIELDS={\"Cache-Control\":\"private\"}" },
      "profiles.default.fields.Cache-Control",
      "\"private\"" },
    { "the default region",
      { "AWS_REGION=eu-north-1", "PRESIGND__BUCKETS__X__BUCKET=xxx" },
      "buckets.x.region",
      "\"eu-north-1\"" },
    { "a ledger",
      { "PRESIGND__LEDGER__BACKEND=redis", "PRESIGND__LEDGER__URL=redis://h",
        "PRESIGND__LEDGER__ON_FAILURE__QUOTA=allow" },
      "ledger.on_failure",
      "{\"quota\":\"allow\",\"rate\":\"local\"}" },
    { "a ledger's path", { "PRESIGND__LEDGER__PATH=/l" }, "ledger.path", "\"/l\"" },
    { "a ledger whole",
      { "PRESIGND__LEDGER={\"backend\":\"none\"}" },
      "ledger",
      "{\"backend\":\"none\"}" },
    { "limits, whole",
      { "PRESIGND__PLANS__A__LIMITS=[{\"name\":\"n\",\"kind\":\"rate\",\"max\":9,\"window_s\":60}]",
        "PRESIGND__DEFAULT_PLAN=a" },
      "plans.a.limits",
      "[{\"name\":\"n\",\"kind\":\"rate\",\"max\":9,\"window_s\":60,\"burst\":9}]" },
    { "other people's variables",
      { "PRESIGND_LISTEN=1", "presignd__listen=2" },
      "listen",
      "\"0.0.0.0:8080\"" },
};

static void check_effective(const char *name, const struct config *c, const char *path,
                            const char *want)
{
    struct str rest = str_from(path), part;
    json_t *here = c->effective;
    while (str_cut(&rest, '.', &part)) {
        char key[64];
        snprintf(key, sizeof(key), "%.*s", STR_ARGS(part));
        here = json_object_get(here, key);
    }
    char *got = json_dumps(here, JSON_ENCODE_ANY | JSON_COMPACT);
    CHECK(name, got != NULL);
    CHECK_BYTES(name, got, strlen(got), want, strlen(want));
    free(got);
}

static void test_environment(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(set); i++) {
        const char *environment[ENTRIES_MAX] = { NULL };
        for (size_t k = 0; k < ROWS(set[i].environment); k++)
            environment[k] = set[i].environment[k];
        AUTO(buf) why = BUF_INIT(TEXT_MAX);
        struct config *c;
        const enum status st = load(base, env_of(environment), false, &c, &why);
        if (st != ST_OK)
            fail_msg("%s: %.*s", set[i].name, STR_ARGS(buf_view(&why)));
        check_effective(set[i].name, c, set[i].path, set[i].want);
        config_unref(c);
    }
}

static const struct {
    const char *name, *entry, *fault;
} not_set[] = {
    { "unknown", "PRESIGND__NOPE=1", "PRESIGND__NOPE: no member" },
    { "unknown inside", "PRESIGND__LOG__NOPE=1", "PRESIGND__LOG__NOPE: no member" },
    { "nothing", "PRESIGND__=1", "PRESIGND__: no member" },
    { "small letters", "PRESIGND__listen=1", "PRESIGND__listen: no member" },
    { "bad bytes in a name", "PRESIGND__BUCKETS__M\xe6X__REGION=r",
      "PRESIGND__BUCKETS__M?X__REGION: no member" },
    { "a dash in a name", "PRESIGND__BUCKETS__A-B__REGION=r",
      "PRESIGND__BUCKETS__A-B__REGION: no" },
    { "behind a text", "PRESIGND__LISTEN__X=1", "PRESIGND__LISTEN__X: no member" },
    { "into a list", "PRESIGND__AUTH__ISSUERS__0__SCOPE=a", "PRESIGND__AUTH__ISSUERS__0" },
    { "into limits", "PRESIGND__PLANS__A__LIMITS__0__MAX=9", "PRESIGND__PLANS__A__LIMITS__0__MAX" },
    { "a ledger's number", "PRESIGND__LEDGER__REPLICAS=two", "PRESIGND__LEDGER__REPLICAS: the" },
    { "a ledger's password", "PRESIGND__LEDGER__PASSWORD=x", "PRESIGND__LEDGER__PASSWORD: no" },
    { "into a map with capitals", "PRESIGND__PROFILES__DEFAULT__FIELDS__ACL=private",
      "PRESIGND__PROFILES__DEFAULT__FIELDS__ACL: no member" },
    { "behind a pair", "PRESIGND__PROFILES__DEFAULT__METADATA__SET__A__B=x",
      "PRESIGND__PROFILES__DEFAULT__METADATA__SET__A__B: no member" },
    { "no number", "PRESIGND__THREADS=two", "PRESIGND__THREADS: the value" },
    { "no boolean", "PRESIGND__LOG__ACCESS=yes", "PRESIGND__LOG__ACCESS: the value" },
    { "no list", "PRESIGND__CORS__ORIGINS=https://a.test", "PRESIGND__CORS__ORIGINS: the value" },
    { "bad UTF-8", "PRESIGND__LISTEN=\xff", "PRESIGND__LISTEN: the value" },
    { "a number for a boolean", "PRESIGND__LOG__ACCESS=1", "log.access: must be true or false" },
    { "a text for a list", "PRESIGND__CORS__ORIGINS=\"*\"", "cors.origins: must be a list" },
    { "a member twice", "PRESIGND__LOG={\"access\":true,\"access\":true}",
      "PRESIGND__LOG: the value" },
};

static void test_environment_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(not_set); i++) {
        const char *environment[] = { not_set[i].entry, NULL };
        AUTO(buf) why = BUF_INIT(TEXT_MAX);
        struct config *c;
        CHECK_EQ(not_set[i].name, load(base, env_of(environment), false, &c, &why), ST_INVALID);
        if (!has_line(&why, not_set[i].fault))
            fail_msg("%s: %.*s", not_set[i].name, STR_ARGS(buf_view(&why)));
    }
}

/* A name that holds the separator can only mean what is there. */
static void test_names_that_are_there(void **state)
{
    (void)state;
    static const char text[] =
        "{'auth': {'issuers': [{'issuer': 'i', 'audience': ['a'], 'algorithms': ['HS256'],"
        " 'secret_file': '/nowhere'}]}, 'buckets': {'main': {'bucket': 'bbb', 'region': 'r'}},"
        " 'profiles': {'a--b': {'bucket': 'main', 'key': '{uuid}', 'max_bytes': 9,"
        " 'content_types': ['image/*']}, 'a': {'bucket': 'main', 'key': '{uuid}', 'max_bytes': 9,"
        " 'content_types': ['image/*']}}, 'default_profile': 'a'}";
    const char *environment[] = { "PRESIGND__PROFILES__A__B__MAX_BYTES=7",
                                  "PRESIGND__PROFILES__A__MAX_BYTES=8", NULL };
    AUTO(buf) why = BUF_INIT(TEXT_MAX);
    struct config *c;
    if (load(text, env_of(environment), false, &c, &why) != ST_OK)
        fail_msg("%.*s", STR_ARGS(buf_view(&why)));
    check_effective("longer", c, "profiles.a--b.max_bytes", "7");
    check_effective("shorter", c, "profiles.a.max_bytes", "8");
    config_unref(c);
}

static void test_environment_alone(void **state)
{
    (void)state;
    const char *environment[] = {
        "PRESIGND__AUTH__ISSUERS=[{\"issuer\":\"i\",\"audience\":[\"a\"],\"algorithms\":[\"HS256\"]"
        ","
        "\"secret_file\":\"/nowhere\"}]",
        "PRESIGND__BUCKETS__MAIN__BUCKET=bbb",
        "AWS_REGION=eu-west-1",
        "PRESIGND__PROFILES__DEFAULT__BUCKET=main",
        "PRESIGND__PROFILES__DEFAULT__KEY={uuid}",
        "PRESIGND__PROFILES__DEFAULT__MAX_BYTES=9",
        "PRESIGND__PROFILES__DEFAULT__CONTENT_TYPES=[\"image/*\"]",
        NULL,
    };
    const struct config_ask ask = { .environment = env_of(environment) };
    AUTO(buf) why = BUF_INIT(TEXT_MAX);
    struct config *c = NULL;
    if (config_load(&ask, &c, &why) != ST_OK)
        fail_msg("%.*s", STR_ARGS(buf_view(&why)));
    assert_int_equal(c->rules.n_profiles, 1);
    assert_int_equal(c->server.body_bytes, 65536);
    assert_int_equal(c->drain_delay_ms, 10000);
    config_unref(c);
}

/* ---- what is made of it ------------------------------------------------------------------------- */

/* Profiles come in any order; each keeps its own key. */
static void test_profiles_keep_their_words(void **state)
{
    (void)state;
    static const char text[] =
        "{'auth': {'issuers': [{'issuer': 'i', 'audience': ['a'], 'algorithms': ['HS256'],"
        " 'secret_file': '/nowhere'}]}, 'buckets': {'main': {'bucket': 'bbb', 'region': 'r'}},"
        " 'profiles': {"
        "  'z': {'bucket': 'main', 'key': 'z/{uuid}', 'max_bytes': 9, 'content_types': ['a/b']},"
        "  'm': {'bucket': 'main', 'key': 'm/{uuid}', 'max_bytes': 9, 'content_types': ['a/b']},"
        "  'a': {'bucket': 'main', 'key': 'a/{uuid}', 'max_bytes': 9, 'content_types': ['a/b']}},"
        " 'default_profile': 'm'}";
    AUTO(buf) why = BUF_INIT(TEXT_MAX);
    struct config *c;
    if (load(text, NULL, false, &c, &why) != ST_OK)
        fail_msg("%.*s", STR_ARGS(buf_view(&why)));
    assert_int_equal(c->rules.n_profiles, 3);
    for (size_t i = 0; i < c->rules.n_profiles; i++) {
        const struct profile *p = &c->rules.profiles[i];
        assert_ptr_equal(rules_profile(&c->rules, p->name), p);
        assert_ptr_equal(p->words[0], &p->key);
        assert_true(str_starts(p->key.text, p->name));
    }
    CHECK_TEXT("default", c->rules.default_profile->name, "m");
    config_unref(c);
}

/* One limit of each kind, and what is made of it. */
static const struct {
    const char *name, *text;
    struct limit want;
} made_limits[] = {
    { "rate",
      "{'name': 'a', 'kind': 'rate', 'max': 60, 'window_s': 30}",
      { .kind = LIMIT_RATE, .max = 60, .window_s = 30, .burst = 60 } },
    { "rate with a burst",
      "{'name': 'a', 'kind': 'rate', 'max': 60, 'window_s': 30, 'burst': 5}",
      { .kind = LIMIT_RATE, .max = 60, .window_s = 30, .burst = 5 } },
    { "count a day",
      "{'name': 'a', 'kind': 'count', 'max': 7, 'window_s': 86400}",
      { .kind = LIMIT_COUNT, .max = 7, .window_s = 86400 } },
    { "bytes a month",
      "{'name': 'a', 'kind': 'bytes', 'max': 7, 'window': 'month'}",
      { .kind = LIMIT_BYTES, .max = 7, .window_s = WINDOW_MONTH } },
    { "bytes for ever",
      "{'name': 'a', 'kind': 'bytes', 'max': 9007199254740991}",
      { .kind = LIMIT_BYTES, .max = 9007199254740991, .window_s = WINDOW_FOREVER } },
    { "open", "{'name': 'a', 'kind': 'open', 'max': 1}", { .kind = LIMIT_OPEN, .max = 1 } },
};

/* A variable whose value is JSON with ' for ". */
static const char *variable(char *out, size_t size, const char *name, const char *value)
{
    snprintf(out, size, "%s=%s", name, value);
    for (char *p = out; (p = strchr(p, '\'')) != NULL;)
        *p = '"';
    return out;
}

static void test_limits(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(made_limits); i++) {
        char list[512], set_limits[600];
        snprintf(list, sizeof(list), "[%s]", made_limits[i].text);
        const char *environment[] = { variable(set_limits, sizeof(set_limits),
                                               "PRESIGND__PLANS__P__LIMITS", list),
                                      "PRESIGND__DEFAULT_PLAN=p", NULL };
        AUTO(buf) why = BUF_INIT(TEXT_MAX);
        struct config *c;
        if (load(base, env_of(environment), false, &c, &why) != ST_OK)
            fail_msg("%s: %.*s", made_limits[i].name, STR_ARGS(buf_view(&why)));
        const struct limit *got = c->rules.default_plan->limits, *want = &made_limits[i].want;
        CHECK_EQ(made_limits[i].name, c->rules.default_plan->n_limits, 1);
        CHECK_TEXT(made_limits[i].name, got->name, "a");
        CHECK_EQ(made_limits[i].name, got->kind, want->kind);
        CHECK_EQ(made_limits[i].name, got->max, want->max);
        CHECK_EQ(made_limits[i].name, got->window_s, want->window_s);
        CHECK_EQ(made_limits[i].name, got->burst, want->burst);
        config_unref(c);
    }
}

static const struct {
    const char *name, *ledger, *host;
    int64_t port, database;
    bool tls;
} made_redis[] = {
    { "all", "{'backend': 'redis', 'url': 'redis://cache.test:6380/15'}", "cache.test", 6380, 15,
      false },
    { "a host", "{'backend': 'redis', 'url': 'redis://h'}", "h", 6379, 0, false },
    { "a port", "{'backend': 'redis', 'url': 'redis://h:1'}", "h", 1, 0, false },
    { "a database", "{'backend': 'redis', 'url': 'redis://h/2'}", "h", 6379, 2, false },
    { "empty parts", "{'backend': 'redis', 'url': 'redis://h:/'}", "h", 6379, 0, false },
    { "TLS", "{'backend': 'redis', 'url': 'rediss://h'}", "h", 6379, 0, true },
    { "IPv6", "{'backend': 'redis', 'url': 'rediss://[2001:db8::1]:7/3'}", "2001:db8::1", 7, 3,
      true },
};

static void test_redis(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(made_redis); i++) {
        char text[512];
        const char *environment[] = { variable(text, sizeof(text), "PRESIGND__LEDGER",
                                               made_redis[i].ledger),
                                      "PRESIGND__LEDGER__USERNAME=u",
                                      "PRESIGND__LEDGER__PASSWORD_FILE=/p",
                                      "PRESIGND__LEDGER__REPLICAS=3",
                                      "PRESIGND__LEDGER__ON_FAILURE__RATE=deny",
                                      "PRESIGND__LEDGER__ON_FAILURE__QUOTA=allow",
                                      NULL };
        AUTO(buf) why = BUF_INIT(TEXT_MAX);
        struct config *c;
        if (load(base, env_of(environment), false, &c, &why) != ST_OK)
            fail_msg("%s: %.*s", made_redis[i].name, STR_ARGS(buf_view(&why)));
        const struct ledger_config *l = &c->ledger;
        CHECK_EQ(made_redis[i].name, l->backend, LEDGER_REDIS);
        CHECK_TEXT(made_redis[i].name, l->redis.server.host, made_redis[i].host);
        CHECK_EQ(made_redis[i].name, l->redis.server.port, made_redis[i].port);
        CHECK_EQ(made_redis[i].name, l->redis.server.database, made_redis[i].database);
        CHECK_EQ(made_redis[i].name, l->redis.server.tls, made_redis[i].tls);
        CHECK_EQ(made_redis[i].name, l->redis.server.timeout_ms, 50);
        CHECK(made_redis[i].name, l->redis.server.password == NULL);
        CHECK_TEXT(made_redis[i].name, l->redis.server.username, "u");
        CHECK_TEXT(made_redis[i].name, l->password_file, "/p");
        CHECK_TEXT(made_redis[i].name, l->redis.prefix, "presignd:");
        CHECK_EQ(made_redis[i].name, l->redis.replicas, 3);
        CHECK_EQ(made_redis[i].name, l->redis.on_rate, ON_RATE_DENY);
        CHECK_EQ(made_redis[i].name, l->redis.on_quota, ON_QUOTA_ALLOW);
        config_unref(c);
    }
}

static void test_sqlite_as_it_comes(void **state)
{
    (void)state;
    AUTO(buf) why = BUF_INIT(TEXT_MAX);
    struct config *c;
    assert_int_equal(load(base, NULL, false, &c, &why), ST_OK);
    assert_int_equal(c->ledger.backend, LEDGER_SQLITE);
    CHECK_TEXT("path", c->ledger.path, "/var/lib/presignd/ledger.db");
    config_unref(c);
}

static void test_dev(void **state)
{
    (void)state;
    const char *variables[] = { "PRESIGND__LISTEN=127.0.0.1:0",
                                "PRESIGND__BUCKETS__MAIN__BUCKET=other-bucket", NULL };
    const char *outside[] = { "PRESIGND__LISTEN=0.0.0.0:0", NULL };
    const char *keys[] = { "AWS_ACCESS_KEY_ID=AKID", "AWS_SECRET_ACCESS_KEY=s", NULL };
    struct config_ask ask = { .dev = true,
                              .dev_secret_file = "/s",
                              .dev_ledger_path = "/l",
                              .environment = env_of(variables) };
    AUTO(buf) why = BUF_INIT(TEXT_MAX);
    struct config *c = NULL;
    if (config_load(&ask, &c, &why) != ST_OK)
        fail_msg("%.*s", STR_ARGS(buf_view(&why)));
    CHECK_TEXT("listen", c->listen, "127.0.0.1:0");
    CHECK_TEXT("bucket", c->rules.buckets[0].where.bucket, "other-bucket");
    CHECK_TEXT("secret", c->issuers[0].secret_file, "/s");
    CHECK_TEXT("ledger", c->ledger.path, "/l");
    CHECK_TEXT("plan", c->rules.default_plan->name, "dev");
    assert_true(c->rules.default_plan->n_limits > 0);
    assert_int_equal(c->provider, CRED_STATIC);
    assert_int_equal(c->drain_delay_ms, 0);
    config_unref(c);

    ask.environment = env_of(keys);
    assert_int_equal(config_load(&ask, &c, &why), ST_OK);
    assert_int_equal(c->provider, CRED_AUTO);
    config_unref(c);

    ask.environment = env_of(outside);
    assert_int_equal(config_load(&ask, &c, &why), ST_INVALID);
    assert_true(has_line(&why, "listen: --dev listens on loopback only"));
}

/* With --dev and a file, nothing is mixed into what the file says. */
static void test_dev_and_a_file(void **state)
{
    (void)state;
    AUTO(buf) why = BUF_INIT(TEXT_MAX);
    struct config *c;
    if (load(base, NULL, true, &c, &why) != ST_OK)
        fail_msg("%.*s", STR_ARGS(buf_view(&why)));
    assert_int_equal(c->rules.profiles[0].max_bytes, 9);
    assert_int_equal(c->rules.profiles[0].size, SIZE_EXACT);
    CHECK_TEXT("listen", c->listen, "127.0.0.1:8080");
    config_unref(c);
}

/* Plans and what holds them go together: a file that says something of them says all. */
static void test_dev_and_plans_of_a_file(void **state)
{
    (void)state;
    static const struct {
        const char *name, *members;
        size_t n_plans;
    } files[] = {
        { "nothing of them", "'ui': false", 1 },
        { "no ledger", "'ledger': {'backend': 'none'}", 0 },
        { "plans", "'plans': {'a': {}, 'b': {}}, 'default_plan': 'b'", 2 },
    };
    for (size_t i = 0; i < ROWS(files); i++) {
        char text[1024];
        AUTO(buf) why = BUF_INIT(TEXT_MAX);
        struct config *c;
        snprintf(text, sizeof(text), "%.*s, %s}", (int)strlen(base) - 1, base, files[i].members);
        if (load(text, NULL, true, &c, &why) != ST_OK)
            fail_msg("%s: %.*s", files[i].name, STR_ARGS(buf_view(&why)));
        CHECK_EQ(files[i].name, c->rules.n_plans, files[i].n_plans);
        config_unref(c);
    }
}

static const struct {
    const char *name, *was, *now, *want;
} restarts[] = {
    { "nothing", "PRESIGND__UI=false", "PRESIGND__DEFAULT_PROFILE=default", "" },
    { "listen", "PRESIGND__LISTEN=:1", "PRESIGND__LISTEN=:2", "listen" },
    { "admin", "PRESIGND__ADMIN_LISTEN=:1", "PRESIGND__ADMIN_LISTEN=", "admin_listen" },
    { "threads", "PRESIGND__THREADS=1", "PRESIGND__THREADS=2", "threads, limits.connections" },
    { "idle", "PRESIGND__LIMITS__IDLE_TIMEOUT_S=1", "PRESIGND__LIMITS__IDLE_TIMEOUT_S=2",
      "limits.idle_timeout_s" },
    { "the ledger's backend", "PRESIGND__LEDGER__PATH=/l",
      "PRESIGND__LEDGER={\"backend\":\"none\"}", "ledger" },
    { "the ledger's place", "PRESIGND__LEDGER__PATH=/l", "PRESIGND__LEDGER__PATH=/m", "ledger" },
    { "the ledger's default, said", "PRESIGND__UI=false", "PRESIGND__LEDGER__BACKEND=sqlite", "" },
    { "header", "PRESIGND__LIMITS__HEADER_BYTES=2000", "PRESIGND__LIMITS__HEADER_BYTES=3000",
      "limits.header_bytes" },
};

static void test_restart(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(restarts); i++) {
        const char *was_env[] = { restarts[i].was, NULL };
        const char *now_env[] = { restarts[i].now, NULL };
        AUTO(buf) why = BUF_INIT(TEXT_MAX);
        AUTO(buf) out = BUF_INIT(TEXT_MAX);
        struct config *was, *now;
        CHECK_EQ(restarts[i].name, load(base, env_of(was_env), false, &was, &why), ST_OK);
        CHECK_EQ(restarts[i].name, load(base, env_of(now_env), false, &now, &why), ST_OK);
        config_needs_restart(&out, was, now);
        CHECK_TEXT(restarts[i].name, out, restarts[i].want);
        config_unref(was);
        config_unref(now);
    }
}

/* ---- threads ------------------------------------------------------------------------------------ */

struct group_file {
    const char *path, *text;
};

static const struct {
    const char *name;
    struct group_file files[5];
    int64_t want;
} groups[] = {
    { "no groups", { { "proc/self/cgroup", "0::/\n" } }, CONFIG_THREADS_MAX },
    { "nothing at all", { { "proc/x", "" } }, CONFIG_THREADS_MAX },
    { "v2, a container's root",
      { { "proc/self/cgroup", "0::/\n" }, { "sys/fs/cgroup/cpu.max", "200000 100000\n" } },
      2 },
    { "v2, no limit",
      { { "proc/self/cgroup", "0::/\n" }, { "sys/fs/cgroup/cpu.max", "max 100000\n" } },
      CONFIG_THREADS_MAX },
    { "v2, a half counts whole",
      { { "proc/self/cgroup", "0::/\n" }, { "sys/fs/cgroup/cpu.max", "150000 100000\n" } },
      2 },
    { "v2, less than one",
      { { "proc/self/cgroup", "0::/\n" }, { "sys/fs/cgroup/cpu.max", "10000 100000\n" } },
      1 },
    { "v2, the group above limits",
      { { "proc/self/cgroup", "0::/a/b\n" },
        { "sys/fs/cgroup/a/b/cpu.max", "400000 100000\n" },
        { "sys/fs/cgroup/a/cpu.max", "300000 100000\n" } },
      3 },
    { "v1",
      { { "proc/self/cgroup", "3:memory:/x\n4:cpu,cpuacct:/d\n" },
        { "sys/fs/cgroup/cpu,cpuacct/d/cpu.cfs_quota_us", "250000\n" },
        { "sys/fs/cgroup/cpu,cpuacct/d/cpu.cfs_period_us", "100000\n" } },
      3 },
    { "v1, no limit",
      { { "proc/self/cgroup", "4:cpu,cpuacct:/d\n" },
        { "sys/fs/cgroup/cpu,cpuacct/d/cpu.cfs_quota_us", "-1\n" },
        { "sys/fs/cgroup/cpu,cpuacct/d/cpu.cfs_period_us", "100000\n" } },
      CONFIG_THREADS_MAX },
    { "v1, a container's root",
      { { "proc/self/cgroup", "4:cpu:/docker/abc\n" },
        { "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n" },
        { "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n" } },
      1 },
};

static void write_under(const char *root, const char *path, const char *text)
{
    char full[256];
    snprintf(full, sizeof(full), "%s/%s", root, path);
    for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(full, 0700);
        *p = '/';
    }
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* The file and the folders on the way to it, the deepest first. */
static void remove_under(const char *root, const char *path)
{
    char full[256];
    snprintf(full, sizeof(full), "%s/%s", root, path);
    unlink(full);
    for (char *p; (p = strrchr(full, '/')) && (size_t)(p - full) >= strlen(root);) {
        *p = '\0';
        rmdir(full);
    }
}

static void test_threads(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(groups); i++) {
        char root[] = "/tmp/test-config-XXXXXX";
        assert_non_null(mkdtemp(root));
        for (size_t k = 0; k < ROWS(groups[i].files) && groups[i].files[k].path; k++)
            write_under(root, groups[i].files[k].path, groups[i].files[k].text);
        CHECK_EQ(groups[i].name, config_cgroup_processors(root), groups[i].want);
        for (size_t k = 0; k < ROWS(groups[i].files) && groups[i].files[k].path; k++)
            remove_under(root, groups[i].files[k].path);
    }
    assert_in_range(config_processors(), 1, CONFIG_THREADS_MAX);
}

/* ---- without memory ----------------------------------------------------------------------------- */

static const struct place *torture_place;

/* Loads and prints, or says that there is no memory; never half a configuration. */
static bool load_promises(void)
{
    static const char *const environment[] = {
        "PRESIGND__LISTEN=127.0.0.1:0",
        "PRESIGND__CORS__ORIGINS=[\"https://a.test\"]",
        "PRESIGND__PROFILES__DEFAULT__METADATA__SET__BY={user}",
        "PRESIGND__PLANS__FREE__UNSETTLED=release",
        "PRESIGND__PLANS__FREE__LIMITS=[{\"name\":\"a\",\"kind\":\"rate\",\"max\":1,\"window_s\":9}"
        "]",
        "PRESIGND__LEDGER={\"backend\":\"redis\",\"url\":\"redis://h:1/2\"}",
        "PRESIGND__DEFAULT_PLAN=free",
        NULL,
    };
    const struct config_ask ask = { .path = torture_place->file,
                                    .environment = env_of(environment) };
    AUTO(buf) why = BUF_INIT(TEXT_MAX);
    AUTO(buf) text = BUF_INIT(TEXT_MAX);
    struct config *c = NULL;
    const enum status st = config_load(&ask, &c, &why);
    if (st != ST_OK)
        return !c && oom_struck();
    const bool whole = c->rules.n_profiles == 1 && c->rules.default_profile && c->n_issuers == 1 &&
                       c->server.cors.n_origins == 1 && c->rules.default_plan &&
                       c->rules.default_plan->n_limits == 1 && c->ledger.redis.server.port == 1;
    const bool printed = config_print(&text, c) == ST_OK || oom_struck();
    config_unref(c);
    return whole && printed;
}

static void test_memory(void **state)
{
    (void)state;
    struct place p;
    place_make(&p, base);
    torture_place = &p;
    oom_torture(load_promises);
    place_remove(&p);
}

TEST_MAIN(cmocka_unit_test(test_refused), cmocka_unit_test(test_no_file),
          cmocka_unit_test(test_environment), cmocka_unit_test(test_environment_refused),
          cmocka_unit_test(test_names_that_are_there), cmocka_unit_test(test_environment_alone),
          cmocka_unit_test(test_profiles_keep_their_words), cmocka_unit_test(test_limits),
          cmocka_unit_test(test_redis), cmocka_unit_test(test_sqlite_as_it_comes),
          cmocka_unit_test(test_dev), cmocka_unit_test(test_dev_and_a_file),
          cmocka_unit_test(test_dev_and_plans_of_a_file), cmocka_unit_test(test_restart),
          cmocka_unit_test(test_threads), cmocka_unit_test(test_memory))
