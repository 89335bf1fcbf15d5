#include "test.h"

#include "build_rules.h"

/* clang-format off */
static const struct { const char *name, *changes, *member, *why; } refused[] = {
    { "bucket",           "{'bucket': 'nope'}",           "bucket",          "names no bucket" },
    { "key, a word",      "{'key': '{uuid}/{usr}'}",      "key",             "{usr} is no word" },
    { "key, no uuid",     "{'key': '{user}'}",            "key",             "{uuid} or {uuid7}" },
    { "key, climbing",    "{'key': '../{uuid}'}",         "key",             "\"..\"" },
    { "types, none",      "{'content_types': []}",        "content_types",   "is empty" },
    { "types, all",       "{'content_types': ['*/*']}",   "content_types.*/*", "neither" },
    { "types, capital",   "{'content_types': ['image/png', 'Image/gif']}", "content_types.Image/gif", "lower case" },
    { "types, list",      "{'content_types': ['image/png,image/gif']}", "content_types.image/png,image/gif", "neither" },
    { "extension, dot",   "{'extensions': {'image/png': ['.png']}}", "extensions.image/png", "without a dot" },
    { "extension, capital", "{'extensions': {'image/png': ['PNG']}}", "extensions.image/png", "without a dot" },
    { "extension, long",  "{'extensions': {'image/png': ['abcdefghij0123456']}}", "extensions.image/png", "1 to 16" },
    { "extensions, none", "{'extensions': {'image/png': []}}", "extensions.image/png", "no extension" },
    { "extensions, pattern", "{'extensions': {'image/*': ['png']}}", "extensions.image/*", "type/subtype" },
    { "over 5 GiB",       "{'max_bytes': 5368709121}",    "max_bytes",       "5 GiB" },
    { "negative most",    "{'max_bytes': -1}",            "max_bytes",       "from 0" },
    { "negative least",   "{'min_bytes': -1}",            "min_bytes",       "from 0" },
    { "least over most",  "{'min_bytes': 1001}",          "min_bytes",       "to max_bytes" },
    { "size",             "{'size': 'big'}",              "size",            "exact, range or any" },
    { "checksum",         "{'checksum': 'maybe'}",        "checksum",        "optional" },
    { "no life",          "{'expires_s': 0}",             "expires_s",       "from 1" },
    { "life over a week", "{'expires_s': 604801}",        "expires_s",       "604800" },
    { "most over a week", "{'max_expires_s': 604801}",    "max_expires_s",   "604800" },
    { "no most",          "{'max_expires_s': 0}",         "max_expires_s",   "from 1" },
    { "life over most",   "{'expires_s': 901, 'max_expires_s': 900}", "expires_s", "more than max_expires_s" },

    { "fields, a list",   "{'fields': []}",               "fields",          "an object" },
    { "field, unknown",   "{'fields': {'Expires': 'x'}}", "fields.Expires",  "is no field" },
    { "field, spelling",  "{'fields': {'cache-control': 'x'}}", "fields.cache-control", "spelt" },
    { "field, redirect",  "{'fields': {'success_action_redirect': 'https://x.example/'}}",
      "fields.success_action_redirect", "a redirect would hide" },
    { "field, key",       "{'fields': {'key': 'x'}}",     "fields.key",      "profile's key" },
    { "field, type",      "{'fields': {'Content-Type': 'x'}}", "fields.Content-Type", "content_type" },
    { "field, metadata",  "{'fields': {'x-amz-meta-a': 'x'}}", "fields.x-amz-meta-a", "metadata.set" },
    { "field, checksum",  "{'fields': {'x-amz-checksum-sha256': 'x'}}", "fields.x-amz-checksum-sha256", "request's checksum" },
    { "field, signature", "{'fields': {'x-amz-signature': 'x'}}", "fields.x-amz-signature", "is no field" },
    { "field, number",    "{'fields': {'Cache-Control': 1}}", "fields.Cache-Control", "must be a text" },
    { "field, empty",     "{'fields': {'Cache-Control': ''}}", "fields.Cache-Control", "ASCII" },
    { "field, blank",     "{'fields': {'Cache-Control': ' x'}}", "fields.Cache-Control", "blanks" },
    { "field, dollar",    "{'fields': {'Cache-Control': '$x'}}", "fields.Cache-Control", "cannot stand" },
    { "field, line feed", "{'fields': {'Cache-Control': 'a\\nb'}}", "fields.Cache-Control", "cannot stand" },
    { "field, non-ASCII", "{'fields': {'Cache-Control': '\xc3\xbc'}}", "fields.Cache-Control", "ASCII" },
    { "field, a word",    "{'fields': {'Cache-Control': '{nope}'}}", "fields.Cache-Control", "{nope} is no word" },
    { "field, file name", "{'fields': {'Content-Disposition': 'inline; filename={filename}'}}",
      "fields.Content-Disposition", "just \"attachment\"" },
    { "status",           "{'fields': {'success_action_status': '302'}}", "fields.success_action_status", "S3 knows" },
    { "acl",              "{'fields': {'acl': 'public'}}", "fields.acl",     "S3 knows" },
    { "acl from a token", "{'fields': {'acl': '{claim:acl}'}}", "fields.acl", "S3 knows" },
    { "encryption",       "{'fields': {'x-amz-server-side-encryption': 'AES'}}", "fields.x-amz-server-side-encryption", "S3 knows" },
    { "bucket key",       "{'fields': {'x-amz-server-side-encryption-bucket-key-enabled': 'yes'}}",
      "fields.x-amz-server-side-encryption-bucket-key-enabled", "S3 knows" },
    { "tags, a text",     "{'fields': {'tagging': 'a=b'}}", "fields.tagging", "an object" },
    { "tags, none",       "{'fields': {'tagging': {}}}",  "fields.tagging",  "1 to 10" },
    { "tags, eleven",     "{'fields': {'tagging': {'a':'','b':'','c':'','d':'','e':'','f':'','g':'','h':'','i':'','j':'','k':''}}}",
      "fields.tagging", "1 to 10" },
    { "tag, number",      "{'fields': {'tagging': {'a': 1}}}", "fields.tagging.a", "must be a text" },
    { "tag, reserved",    "{'fields': {'tagging': {'aws:a': 'x'}}}", "fields.tagging.aws:a", "aws:" },
    { "tag, no name",     "{'fields': {'tagging': {'': 'x'}}}", "fields.tagging.", "1 to 128" },
    { "tag, word in name", "{'fields': {'tagging': {'{user}': 'x'}}}", "fields.tagging.{user}", "braces" },
    { "tag, file name",   "{'fields': {'tagging': {'a': '{filename}'}}}", "fields.tagging.a", "{filename}" },
    { "tag, a word",      "{'fields': {'tagging': {'a': '{nope}'}}}", "fields.tagging.a", "{nope} is no word" },
    { "tag, dollar",      "{'fields': {'tagging': {'a$': 'x'}}}", "fields.tagging.a$", "is no tag" },

    { "metadata, capital", "{'metadata': {'set': {'Album': 'x'}}}", "metadata.set.Album", "is no name" },
    { "metadata, underscore", "{'metadata': {'set': {'a_b': 'x'}}}", "metadata.set.a_b", "is no name" },
    { "metadata, a word", "{'metadata': {'set': {'a': '{nope}'}}}", "metadata.set.a", "{nope} is no word" },
    { "metadata, allowed name", "{'metadata': {'allow': ['ok', 'No']}}", "metadata.allow.No", "is no name" },
    { "metadata, empty name", "{'metadata': {'allow': ['']}}", "metadata.allow.", "is no name" },

    { "allow, no plans",  "{'allow': {'plans': []}}",     "allow.plans",     "is empty" },
    { "allow, plan",      "{'allow': {'plans': ['free', 'gold']}}", "allow.plans.gold", "names no plan" },
    { "allow, two words", "{'allow': {'scope': 'a b'}}",  "allow.scope",     "one word" },
    { "allow, claims",    "{'allow': {'claims': []}}",    "allow.claims",    "an object" },
    { "allow, a text",    "{'allow': {'claims': {'role': 'x'}}}", "allow.claims.role", "list of texts" },
    { "allow, nothing",   "{'allow': {'claims': {'role': []}}}", "allow.claims.role", "list of texts" },
    { "allow, a number",  "{'allow': {'claims': {'role': ['a', 1]}}}", "allow.claims.role", "list of texts" },
};

#define FIFTY "01234567890123456789012345678901234567890123456789"
#define LONG  FIFTY FIFTY FIFTY FIFTY FIFTY

static const struct { const char *name, *changes, *warning; } warned[] = {
    { "nothing",          "{}",                               "" },
    { "any",              "{'size': 'any'}",                  "profiles.x.size: any lets a PUT" },
    { "no POST",          "{'bucket': 'noform'}",             "profiles.x.bucket: takes no POST" },
    { "user",             "{'key': '{user}/{uuid}'}",         "profiles.x.key: holds {user}" },
    { "user and hash",    "{'key': '{user}/{user_hash}/{uuid}'}", "" },
    { "unused extension", "{'extensions': {'text/plain': ['txt']}}", "profiles.x.extensions.text/plain: has no effect" },
    { "svg by a pattern", "{'extensions': {'image/svg+xml': ['svg']}}", "has no effect" },
    { "used extension",   "{'extensions': {'image/png': ['png']}}", "" },
    { "set and allowed",  "{'metadata': {'allow': ['a'], 'set': {'a': 'x'}}}", "profiles.x.metadata.allow.a: is also set" },
    { "key too long",     "{'key': '{user_hash}/{uuid}" LONG LONG LONG LONG "'}", "profiles.x.key: may grow" },
    { "file names in metadata", "{'metadata': {'set': {'a': '{filename}'}}}", "" },
    { "many file names",  "{'metadata': {'set': {'a': '{filename}', 'b': '{filename}', 'c': '{filename}'}}}",
      "profiles.x.metadata: may grow" },
};
/* clang-format on */

static struct bucket buckets[2];
static const struct plan plans[] = { { .name = STR_INIT("free") }, { .name = STR_INIT("pro") } };

static struct rules some_rules(void)
{
    buckets[0] = (struct bucket){ .name = STR("main"), .post = true };
    buckets[1] = (struct bucket){ .name = STR("noform") };
    return (struct rules){ .buckets = buckets,
                           .n_buckets = ROWS(buckets),
                           .plans = plans,
                           .n_plans = ROWS(plans),
                           .default_plan = &plans[0],
                           .several_issuers = true };
}

/* What profile_prepare was given and said. */
struct outcome {
    struct building b;
    struct rules r;
    struct profile p;
    struct str member;
    struct buf why, warn;
    enum status st;
};

static void outcome_release(struct outcome *o)
{
    buf_release(&o->why);
    buf_release(&o->warn);
    building_release(&o->b);
}

static void prepare(struct outcome *o, const char *changes)
{
    *o = (struct outcome){
        .b = BUILDING_INIT, .r = some_rules(), .why = BUF_INIT(4096), .warn = BUF_INIT(4096)
    };
    struct profile_config c = building_profile(&o->b, "x", changes);
    o->st = profile_prepare(&o->p, &c, &o->r, &o->b.arena, &o->member, &o->why, &o->warn);
}

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(refused); i++) {
        AUTO(outcome) o;
        prepare(&o, refused[i].changes);
        CHECK_EQ(refused[i].name, o.st, ST_INVALID);
        CHECK_TEXT(refused[i].name, o.member, refused[i].member);
        const char *why = buf_cstr(&o.why);
        if (!why || !strstr(why, refused[i].why))
            fail_msg("%s: the reason is \"%s\"", refused[i].name, why);
    }
}

static void test_warned(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(warned); i++) {
        AUTO(outcome) o;
        prepare(&o, warned[i].changes);
        CHECK_EQ(warned[i].name, o.st, ST_OK);
        const char *warn = buf_cstr(&o.warn);
        if (!warn || !strstr(warn, warned[i].warning) || (!*warned[i].warning && *warn))
            fail_msg("%s: the warning is \"%s\"", warned[i].name, warn);
        CHECK(warned[i].name, o.warn.len == 0 || o.warn.ptr[o.warn.len - 1] == '\n');
    }
}

static void check_shared(const struct profile_side *s, size_t i, const char *name,
                         const char *value)
{
    CHECK(name, i < s->n_shared);
    CHECK_TEXT(name, s->shared[i].name, name);
    CHECK_TEXT(name, s->shared[i].value, value);
}

static void check_varying(const struct profile_side *s, size_t i, const char *name,
                          const char *text, enum text_form form)
{
    CHECK(name, i < s->n_varying);
    CHECK_TEXT(name, s->varying[i].name, name);
    CHECK_TEXT(name, s->varying[i].value.text, text);
    CHECK_EQ(name, s->varying[i].form, form);
}

static void test_sides(void **state)
{
    (void)state;
    AUTO(outcome) o;
    prepare(&o,
            "{'fields': {'success_action_status': '201', 'acl': 'private',"
            " 'Content-Disposition': 'attachment', 'Cache-Control': 'max-age=1',"
            " 'x-amz-storage-class': 'STANDARD_IA', 'Content-Encoding': '{claim:enc}'},"
            " 'metadata': {'allow': ['album'], 'set': {'by': '{user}', 'app': 'a b\xc3\xbc'}}}");
    CHECK_EQ("prepared", o.st, ST_OK);

    const struct profile_side *post = &o.p.post_side, *put = &o.p.put_side;
    CHECK_EQ("form, shared", post->n_shared, 5);
    check_shared(post, 0, "success_action_status", "201");
    check_shared(post, 1, "acl", "private");
    check_shared(post, 2, "Cache-Control", "max-age=1");
    check_shared(post, 3, "x-amz-storage-class", "STANDARD_IA");
    check_shared(post, 4, "x-amz-meta-app", "a%20b%C3%BC");
    CHECK_EQ("form, varying", post->n_varying, 3);
    check_varying(post, 0, "Content-Disposition", "attachment", TEXT_ATTACHMENT);
    check_varying(post, 1, "Content-Encoding", "{claim:enc}", TEXT_PLAIN);
    check_varying(post, 2, "x-amz-meta-by", "{user}", TEXT_METADATA);
    CHECK_EQ("metadata", post->metadata_bytes, strlen("x-amz-meta-app") + strlen("a%20b%C3%BC"));

    CHECK_EQ("headers, shared", put->n_shared, 4);
    check_shared(put, 0, "x-amz-acl", "private");
    check_shared(put, 1, "cache-control", "max-age=1");
    check_shared(put, 2, "x-amz-storage-class", "STANDARD_IA");
    check_shared(put, 3, "x-amz-meta-app", "a%20b%C3%BC");
    CHECK_EQ("headers, varying", put->n_varying, 3);
    check_varying(put, 0, "content-disposition", "attachment", TEXT_ATTACHMENT);
    check_varying(put, 1, "content-encoding", "{claim:enc}", TEXT_PLAIN);
    check_varying(put, 2, "x-amz-meta-by", "{user}", TEXT_METADATA);

    CHECK_EQ("words: the key and three texts", o.p.n_words, 4);
    CHECK_EQ("set", o.p.metadata_set.n, 2);
    CHECK_TEXT("set", o.p.metadata_set.items[0], "by");
}

static void test_tagging(void **state)
{
    (void)state;
    AUTO(outcome) fixed;
    prepare(&fixed, "{'fields': {'tagging': {'a&b': '<x> \xc3\xbc', 'empty': ''}}}");
    CHECK_EQ("prepared", fixed.st, ST_OK);
    check_shared(&fixed.p.post_side, 0, "tagging",
                 "<Tagging><TagSet><Tag><Key>a&amp;b</Key><Value>&lt;x&gt; \xc3\xbc</Value></Tag>"
                 "<Tag><Key>empty</Key><Value></Value></Tag></TagSet></Tagging>");
    check_shared(&fixed.p.put_side, 0, "x-amz-tagging", "a%26b=%3Cx%3E%20%C3%BC&empty=");

    AUTO(outcome) words;
    prepare(&words, "{'fields': {'tagging': {'by': 'u={user}&', 't': '{tenant}'}}}");
    CHECK_EQ("prepared", words.st, ST_OK);
    check_varying(&words.p.post_side, 0, "tagging",
                  "<Tagging><TagSet><Tag><Key>by</Key><Value>u={user}&amp;</Value></Tag>"
                  "<Tag><Key>t</Key><Value>{tenant}</Value></Tag></TagSet></Tagging>",
                  TEXT_PLAIN);
    check_varying(&words.p.put_side, 0, "x-amz-tagging", "by=u%3D{user}%26&t={tenant}", TEXT_PLAIN);
}

static void test_defaults(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct { const char *name, *changes; int64_t life, most; } rows[] = {
        { "an hour",       "{}",                                     900,    3600 },
        { "longer life",   "{'expires_s': 7200}",                    7200,   7200 },
        { "given",         "{'expires_s': 60, 'max_expires_s': 90}", 60,     90 },
        { "a week",        "{'expires_s': 604800}",                  604800, 604800 },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(rows); i++) {
        AUTO(outcome) o;
        prepare(&o, rows[i].changes);
        CHECK_EQ(rows[i].name, o.st, ST_OK);
        CHECK_EQ(rows[i].name, o.p.expires_s, rows[i].life);
        CHECK_EQ(rows[i].name, o.p.max_expires_s, rows[i].most);
    }
}

static void test_too_long(void **state)
{
    (void)state;
    AUTO(outcome) o;
    prepare(&o, "{}");
    char text[2049];
    memset(text, 'a', sizeof(text));
    struct jr_pair set = { STR("a"), { text, 2048 } };
    struct profile_config c = building_profile(&o.b, "x", "{}");
    c.metadata_set = (struct jr_pairs){ &set, 1 };
    CHECK_EQ("metadata over 2048 with the name",
             profile_prepare(&o.p, &c, &o.r, &o.b.arena, &o.member, &o.why, &o.warn), ST_INVALID);
    CHECK_TEXT("metadata over 2048 with the name", o.member, "metadata.set");
    set.value.len = 2048 - strlen("x-amz-meta-a");
    CHECK_EQ("exactly 2048",
             profile_prepare(&o.p, &c, &o.r, &o.b.arena, &o.member, &o.why, &o.warn), ST_OK);
    set.value.len = 2049;
    CHECK_EQ("a text over 2048",
             profile_prepare(&o.p, &c, &o.r, &o.b.arena, &o.member, &o.why, &o.warn), ST_INVALID);
    CHECK_TEXT("a text over 2048", o.member, "metadata.set.a");

    struct jr_pair many[37];
    char names[37][2];
    for (size_t i = 0; i < ROWS(many); i++) {
        names[i][0] = (char)(i < 26 ? 'a' + (char)i : '0' + (char)(i - 26));
        many[i] = (struct jr_pair){ { names[i], 1 }, STR("x") };
    }
    c.metadata_set = (struct jr_pairs){ many, ROWS(many) };
    CHECK_EQ("37 texts", profile_prepare(&o.p, &c, &o.r, &o.b.arena, &o.member, &o.why, &o.warn),
             ST_INVALID);
}

static void test_lookup(void **state)
{
    (void)state;
    enum { N = 500 };
    static char names[N][8];
    static struct profile all[N];
    for (size_t i = 0; i < N; i++) {
        for (size_t d = 0, v = i; d < 4; d++, v /= 10)
            names[i][3 - d] = (char)('0' + v % 10);
        all[i].name = (struct str){ names[i], 4 };
    }
    for (size_t n = 0; n <= N; n += 125) {
        struct rules r = { .profiles = all, .n_profiles = n };
        for (size_t i = 0; i < N; i++)
            CHECK("found where it is", rules_profile(&r, all[i].name) == (i < n ? &all[i] : NULL));
        CHECK("empty", !rules_profile(&r, STR("")));
        CHECK("a part", !rules_profile(&r, STR("000")));
        CHECK("longer", !rules_profile(&r, STR("00000")));
        CHECK("behind all", !rules_profile(&r, STR("9999")));
    }
}

static void test_plans(void **state)
{
    (void)state;
    struct rules r = some_rules();
    CHECK("named", rules_plan(&r, STR("pro")) == &plans[1]);
    CHECK("unknown", rules_plan(&r, STR("gold")) == &plans[0]);
    CHECK("none", rules_plan(&r, STR("")) == &plans[0]);
    struct rules none = { .n_plans = 0 };
    CHECK("no plans", rules_plan(&none, STR("pro")) == NULL);
}

static void test_buckets(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *name;
        struct bucket in;
        const char *public_host, *public_path, *own_host;
    } rows[] = {
        { "plain", { .where = { .bucket = STR_INIT("photos"), .region = STR_INIT("eu-west-1") } },
          "photos.s3.eu-west-1.amazonaws.com", "/", "photos.s3.eu-west-1.amazonaws.com" },
        { "dots", { .where = { .bucket = STR_INIT("a.b.c"), .region = STR_INIT("eu-west-1") } },
          "s3.eu-west-1.amazonaws.com", "/a.b.c/", "s3.eu-west-1.amazonaws.com" },
        { "endpoint", { .where = { .bucket = STR_INIT("photos"), .region = STR_INIT("x"),
                                   .endpoint = STR_INIT("http://rgw:7480"),
                                   .public_endpoint = STR_INIT("https://files.example") } },
          "files.example", "/photos/", "rgw:7480" },
        { "no path style, said so", { .path_style_given = true,
                                      .where = { .bucket = STR_INIT("photos"), .region = STR_INIT("x"),
                                                 .endpoint = STR_INIT("https://files.example") } },
          "photos.files.example", "/", "photos.files.example" },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(rows); i++) {
        AUTO(arena) a = ARENA_INIT(65536);
        AUTO(buf) why = BUF_INIT(4096);
        struct bucket b = rows[i].in;
        CHECK_EQ(rows[i].name, bucket_prepare(&b, &a, &why), ST_OK);
        CHECK_TEXT(rows[i].name, b.public_place.host, rows[i].public_host);
        CHECK_TEXT(rows[i].name, b.public_place.path, rows[i].public_path);
        CHECK_TEXT(rows[i].name, b.own_place.host, rows[i].own_host);
    }
    AUTO(arena) a = ARENA_INIT(65536);
    AUTO(buf) why = BUF_INIT(4096);
    struct bucket bad = { .where = { .bucket = STR("No_Bucket"), .region = STR("eu-west-1") } };
    CHECK_EQ("bad name", bucket_prepare(&bad, &a, &why), ST_INVALID);
    CHECK("a sentence", why.len > 0);
}

/* Whatever is refused memory, the answer is a status. */
static void test_no_memory(void **state)
{
    (void)state;
    AUTO(outcome) o;
    prepare(&o, "{}");
    struct profile_config c = building_profile(
        &o.b, "x",
        "{'fields': {'acl': 'private', 'tagging': {'a': '{user}'}},"
        " 'metadata': {'set': {'a': '{user}', 'b': 'c'}}, 'allow': {'claims': {'a': ['b']}}}");
    enum status st = ST_NO_MEMORY;
    for (size_t limit = 0; st == ST_NO_MEMORY && limit < 65536; limit += 16) {
        AUTO(arena) a = ARENA_INIT(limit);
        st = profile_prepare(&o.p, &c, &o.r, &a, &o.member, &o.why, &o.warn);
        CHECK("no memory or done", st == ST_NO_MEMORY || st == ST_OK);
    }
    CHECK_EQ("done in the end", st, ST_OK);
}

TEST_MAIN(cmocka_unit_test(test_refused), cmocka_unit_test(test_warned),
          cmocka_unit_test(test_sides), cmocka_unit_test(test_tagging),
          cmocka_unit_test(test_defaults), cmocka_unit_test(test_too_long),
          cmocka_unit_test(test_lookup), cmocka_unit_test(test_plans),
          cmocka_unit_test(test_buckets), cmocka_unit_test(test_no_memory))
