#include "test.h"

#include "build_rules.h"
#include "presignd/decide.h"

#define NOW    INT64_C(1772696045) /* 2026-03-05 07:34:05 UTC */
#define UUID4  "11111111-1111-4111-8111-111111111111"
#define UUID7  "01900000-0000-7000-8000-000000000000"
#define MD5    "1B2M2Y8AsgTpgAmY7PhCfg=="
#define SHA1   "2jmj7l5rSw0yVb/vlWAYkK/YBwk="
#define SHA256 "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
#define CRC    "AAAAAA=="

/* ---- a small world ---- */

/* clang-format off */
static const struct { const char *name, *changes; } profiles[] = { /* sorted */
    { "all",      "{'fields': {'success_action_status': '201', 'Content-Disposition': 'attachment',"
                  " 'Cache-Control': 'max-age=1', 'tagging': {'by': '{user}'}},"
                  " 'metadata': {'allow': ['album', 'app', 'title'], 'set': {'app': 'x y', 'by': '{user}/\xc3\xbc'}}}" },
    { "any",      "{'size': 'any', 'min_bytes': 0}" },
    { "bound",    "{'token_bound': true}" },
    { "claim",    "{'key': '{claim:dept}/{uuid}'}" },
    { "default",  "{'key': '{user}/{uuid}'}" },
    { "editors",  "{'allow': {'plans': ['free'], 'scope': 'write', 'claims': {'role': ['editor', '7', 'true']}}}" },
    { "ext",      "{'key': '{uuid7}.{ext}', 'content_types': ['image/*', 'application/x-odd'],"
                  " 'extensions': {'image/png': ['png', 'apng']}}" },
    { "html",     "{'content_types': ['text/*', 'text/html']}" },
    { "long",     "{'key': '{claim:long}{claim:long}{claim:long}{claim:long}{claim:long}{claim:long}{claim:long}{filename}{uuid}'}" },
    { "longer",   "{'key': '{claim:long}{claim:long}{claim:long}{claim:long}{claim:long}{claim:long}{claim:long}{claim:long}{uuid}'}" },
    { "named",    "{'key': '{uuid}/{filename}'}" },
    { "pro",      "{'allow': {'plans': ['pro']}}" },
    { "put",      "{'bucket': 'noform'}" },
    { "putany",   "{'bucket': 'noform', 'size': 'any'}" },
    { "putrange", "{'bucket': 'noform', 'size': 'range'}" },
    { "range",    "{'size': 'range', 'min_bytes': 5}" },
    { "strict",   "{'checksum': 'required'}" },
    { "tagged",   "{'key': '{user_hash}/{uuid}', 'fields': {'tagging': {'team': '{tenant}'}}}" },
    { "tenant",   "{'key': '{tenant}/{uuid}'}" },
    { "unsummed", "{'checksum': 'none', 'max_bytes': 5368709120, 'expires_s': 60, 'max_expires_s': 7200}" },
};
/* clang-format on */

static struct building building;
static struct rules rules;
static struct principal who;
static struct bucket buckets[2];
static struct profile prepared[ROWS(profiles)];
static const struct plan plans[] = { { .name = STR_INIT("free") }, { .name = STR_INIT("pro") } };
static struct grant_ids ids = { .id = UUID7, .uuid = UUID4 };

static void prepare_all(void)
{
    AUTO(buf) why = BUF_INIT(4096);
    AUTO(buf) warn = BUF_INIT(65536);
    for (size_t i = 0; i < ROWS(profiles); i++) {
        struct str member = STR("");
        struct profile_config c =
            building_profile(&building, profiles[i].name, profiles[i].changes);
        enum status st =
            profile_prepare(&prepared[i], &c, &rules, &building.arena, &member, &why, &warn);
        if (st != ST_OK)
            fail_msg("%s: %.*s %s", profiles[i].name, STR_ARGS(member), buf_cstr(&why));
    }
}

static int set_up(void **state)
{
    (void)state;
    building = BUILDING_INIT;
    buckets[0] = (struct bucket){ .name = STR("main"), .post = true };
    buckets[1] = (struct bucket){ .name = STR("noform") };
    rules = (struct rules){
        .buckets = buckets, .n_buckets = 2, .plans = plans, .n_plans = 2, .default_plan = &plans[0]
    };
    prepare_all();
    rules.profiles = prepared;
    rules.n_profiles = ROWS(prepared);
    rules.default_profile = rules_profile(&rules, STR("default"));
    return rules.default_profile ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    building_release(&building);
    return 0;
}

static int new_principal(void **state)
{
    (void)state;
    char longest[129] = "";
    memset(longest, 'k', 128);
    who = (struct principal){ .user = STR("u-1"),
                              .user_hash = "0123456789abcdef0123456789abcdef",
                              .tenant = STR("acme"),
                              .scope = STR("read write"),
                              .expires_at_s = NOW + 600 };
    who.claims = json_pack("{s:s,s:s,s:s}", "role", "editor", "dept", "r-d", "long", longest);
    return who.claims ? 0 : -1;
}

static int end_principal(void **state)
{
    (void)state;
    json_decref(who.claims);
    return 0;
}

static struct wish wish_for(const char *profile)
{
    return (struct wish){ .profile = str_from(profile),
                          .content_type = STR("image/png"),
                          .has_length = true,
                          .content_length = 100 };
}

/* One decision with its memory. */
struct run {
    struct arena arena;
    struct decision d;
    struct fault f;
    enum status st;
};

static void run_release(struct run *r)
{
    arena_release(&r->arena);
}

static void run(struct run *r, const struct wish *w)
{
    r->arena = ARENA_INIT(1 << 20);
    r->f = (struct fault){ .status = ST_OK };
    r->st = decide(&rules, &who, w, NOW, &ids, &r->arena, &r->d, &r->f);
}

static struct fault_member member(const struct fault *f, const char *name)
{
    for (size_t i = 0; i < f->n_members; i++) {
        if (strcmp(f->members[i].name, name) == 0)
            return f->members[i];
    }
    fail_msg("the fault has no %s", name);
    return (struct fault_member){ .name = "" };
}

static void check_field(const char *row, const struct decision *d, const char *name,
                        const char *want)
{
    for (size_t i = 0; i < d->n_fields; i++) {
        if (!str_equal(d->fields[i].name, str_from(name)))
            continue;
        CHECK(row, want);
        CHECK_TEXT(row, d->fields[i].value, want);
        return;
    }
    if (want)
        fail_msg("%s: there is no %s", row, name);
}

/* ---- what is granted ---- */

static void test_form(void **state)
{
    (void)state;
    struct jr_pair pairs[] = { { STR("album"), STR("4 2") }, { STR("title"), STR("") } };
    struct wish w = wish_for("all");
    w.has_filename = true;
    w.filename = STR("Ein \xc3\x9c.png");
    w.metadata = (struct jr_pairs){ pairs, ROWS(pairs) };
    w.checksum_kind = CHECK_SHA256;
    w.checksum = STR(SHA256);
    AUTO(run) r;
    run(&r, &w);
    CHECK_EQ("granted", r.st, ST_OK);
    CHECK("POST", r.d.post);
    CHECK_TEXT("key", r.d.key, "0123456789abcdef0123456789abcdef/" UUID4);
    CHECK_TEXT("id", str_from(r.d.ids.id), UUID7);
    CHECK("plan", r.d.plan == &plans[0]);

    /* clang-format off */
    static const struct { const char *name, *value; } want[] = {
        { "success_action_status",    "201" },
        { "Cache-Control",            "max-age=1" },
        { "x-amz-meta-app",           "x%20y" },
        { "Content-Type",             "image/png" },
        { "x-amz-checksum-algorithm", "SHA256" },
        { "x-amz-checksum-sha256",    SHA256 },
        { "Content-Disposition",      "attachment; filename=\"Ein _.png\"; filename*=UTF-8''Ein%20%C3%9C.png" },
        { "tagging",                  "<Tagging><TagSet><Tag><Key>by</Key><Value>u-1</Value></Tag></TagSet></Tagging>" },
        { "x-amz-meta-by",            "u-1%2F%C3%BC" },
        { "x-amz-meta-album",         "4%202" },
        { "x-amz-meta-title",         "" },
    };
    /* clang-format on */
    CHECK_EQ("fields", r.d.n_fields, ROWS(want));
    CHECK_EQ("shared ones first", r.d.n_shared, 3);
    for (size_t i = 0; i < ROWS(want); i++) {
        CHECK_TEXT(want[i].name, r.d.fields[i].name, want[i].name);
        CHECK_TEXT(want[i].name, r.d.fields[i].value, want[i].value);
        CHECK(want[i].name, post_value_ok(r.d.fields[i].value));
    }
}

static void test_headers(void **state)
{
    (void)state;
    struct wish w = wish_for("all");
    w.method = METHOD_PUT;
    w.checksum_kind = CHECK_SHA1;
    w.checksum = STR(SHA1);
    AUTO(run) r;
    run(&r, &w);
    CHECK_EQ("granted", r.st, ST_OK);
    CHECK("PUT", !r.d.post && r.d.length_signed);
    check_field("type", &r.d, "content-type", "image/png");
    check_field("length", &r.d, "content-length", "100");
    check_field("checksum", &r.d, "x-amz-checksum-sha1", SHA1);
    check_field("no algorithm", &r.d, "x-amz-checksum-algorithm", NULL);
    check_field("no status", &r.d, "success_action_status", NULL);
    check_field("tags", &r.d, "x-amz-tagging", "by=u-1");
    check_field("no file name sent", &r.d, "content-disposition", "attachment");
    check_field("cache", &r.d, "cache-control", "max-age=1");
    check_field("metadata", &r.d, "x-amz-meta-by", "u-1%2F%C3%BC");
    CHECK_EQ("and no more", r.d.n_fields, 8);
    for (size_t i = 0; i < r.d.n_fields; i++)
        for (size_t c = 0; c < r.d.fields[i].name.len; c++)
            CHECK("lower case",
                  !(r.d.fields[i].name.ptr[c] >= 'A' && r.d.fields[i].name.ptr[c] <= 'Z'));
}

static void test_checksums(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct { enum checksum_kind kind; const char *value, *field, *header, *algorithm; } rows[] = {
        { CHECK_MD5,    MD5,    "Content-MD5",           "content-md5",           NULL },
        { CHECK_SHA1,   SHA1,   "x-amz-checksum-sha1",   "x-amz-checksum-sha1",   "SHA1" },
        { CHECK_SHA256, SHA256, "x-amz-checksum-sha256", "x-amz-checksum-sha256", "SHA256" },
        { CHECK_CRC32,  CRC,    "x-amz-checksum-crc32",  "x-amz-checksum-crc32",  "CRC32" },
        { CHECK_CRC32C, CRC,    "x-amz-checksum-crc32c", "x-amz-checksum-crc32c", "CRC32C" },
    };
    static const struct { const char *name; enum checksum_kind kind; struct str value; } refused[] = {
        { "empty",           CHECK_MD5,    STR_INIT("") },
        { "hex",             CHECK_MD5,    STR_INIT("d41d8cd98f00b204e9800998ecf8427e") },
        { "unpadded",        CHECK_MD5,    STR_INIT("1B2M2Y8AsgTpgAmY7PhCfg") },
        { "spare bits",      CHECK_MD5,    STR_INIT("1B2M2Y8AsgTpgAmY7PhCfh==") },
        { "base64url",       CHECK_SHA1,   STR_INIT("2jmj7l5rSw0yVb_vlWAYkK_YBwk=") },
        { "another's length", CHECK_SHA256, STR_INIT(SHA1) },
        { "longer than any", CHECK_SHA256, STR_INIT(SHA256 SHA256) },
        { "blank",           CHECK_CRC32,  STR_INIT("AAAA AA==") },
        { "line feed",       CHECK_CRC32C, STR_INIT("AAAAAA==\n") },
        { "dollar",          CHECK_CRC32C, STR_INIT("AAAA$A==") },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(rows); i++) {
        for (int put = 0; put < 2; put++) {
            struct wish w = wish_for("strict");
            w.method = put ? METHOD_PUT : METHOD_POST;
            w.checksum_kind = rows[i].kind;
            w.checksum = str_from(rows[i].value);
            AUTO(run) r;
            run(&r, &w);
            CHECK_EQ(rows[i].field, r.st, ST_OK);
            check_field(rows[i].field, &r.d, put ? rows[i].header : rows[i].field, rows[i].value);
            check_field(rows[i].field, &r.d, "x-amz-checksum-algorithm",
                        put ? NULL : rows[i].algorithm);
        }
    }
    for (size_t i = 0; i < ROWS(refused); i++) {
        struct wish w = wish_for("default");
        w.checksum_kind = refused[i].kind;
        w.checksum = refused[i].value;
        AUTO(run) r;
        run(&r, &w);
        CHECK_EQ(refused[i].name, r.st, ST_CHECKSUM_INVALID);
    }
}

/* ---- sizes and methods ---- */

static void test_sizes(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *name, *profile;
        enum method_wish method;
        int64_t size; /* -1: not sent */
        enum status want;
        bool post;
        int64_t min, max, reserve;
        bool length_signed;
    } rows[] = {
        { "exact",              "default",  METHOD_AUTO, 100,  ST_OK, true,  100, 100,  100,  false },
        { "exact, PUT",         "default",  METHOD_PUT,  100,  ST_OK, false, 100, 100,  100,  true },
        { "least",              "default",  METHOD_AUTO, 1,    ST_OK, true,  1,   1,    1,    false },
        { "most",               "default",  METHOD_AUTO, 1000, ST_OK, true,  1000, 1000, 1000, false },
        { "5 GiB",              "unsummed", METHOD_POST, INT64_C(5368709120), ST_OK, true,
          INT64_C(5368709120), INT64_C(5368709120), INT64_C(5368709120), false },
        { "range",              "range",    METHOD_AUTO, -1,   ST_OK, true,  5,   1000, 1000, false },
        { "range with a size",  "range",    METHOD_POST, 9,    ST_OK, true,  9,   9,    9,    false },
        { "range, PUT",         "range",    METHOD_PUT,  9,    ST_OK, false, 9,   9,    9,    true },
        { "any",                "any",      METHOD_PUT,  -1,   ST_OK, false, 0,   1000, 1000, false },
        { "any with a size",    "any",      METHOD_PUT,  9,    ST_OK, false, 9,   9,    9,    true },
        { "any, POST",          "any",      METHOD_AUTO, 0,    ST_OK, true,  0,   0,    0,    false },
        { "no POST",            "put",      METHOD_AUTO, 100,  ST_OK, false, 100, 100,  100,  true },
        { "no POST, any",       "putany",   METHOD_AUTO, -1,   ST_OK, false, 1,   1000, 1000, false },
        { "POST where none is", "put",      METHOD_POST, 100,  ST_PROFILE_NOT_ALLOWED, .min = 0 },
        { "exact, none",        "default",  METHOD_AUTO, -1,   ST_INVALID_REQUEST, .min = 0 },
        { "exact, none, PUT",   "default",  METHOD_PUT,  -1,   ST_INVALID_REQUEST, .min = 0 },
        { "range, none, PUT",   "range",    METHOD_PUT,  -1,   ST_INVALID_REQUEST, .min = 0 },
        { "range, none, no POST", "putrange", METHOD_AUTO, -1, ST_INVALID_REQUEST, .min = 0 },
        { "any, none, POST",    "any",      METHOD_POST, -1,   ST_INVALID_REQUEST, .min = 0 },
        { "any, none, auto",    "any",      METHOD_AUTO, -1,   ST_INVALID_REQUEST, .min = 0 },
        { "negative",           "default",  METHOD_AUTO, -5,   ST_INVALID_REQUEST, .min = 0 },
        { "empty",              "default",  METHOD_AUTO, 0,    ST_FILE_TOO_SMALL,  .min = 1 },
        { "range, too small",   "range",    METHOD_AUTO, 4,    ST_FILE_TOO_SMALL,  .min = 5 },
        { "too large",          "default",  METHOD_AUTO, 1001, ST_FILE_TOO_LARGE,  .min = 1000 },
        { "any, too large",     "any",      METHOD_PUT,  1001, ST_FILE_TOO_LARGE,  .min = 1000 },
        { "far too large",      "default",  METHOD_AUTO, INT64_MAX, ST_FILE_TOO_LARGE, .min = 1000 },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(rows); i++) {
        const char *name = rows[i].name;
        struct wish w = wish_for(rows[i].profile);
        w.method = rows[i].method;
        w.has_length = rows[i].size != -1;
        w.content_length = rows[i].size;
        AUTO(run) r;
        run(&r, &w);
        CHECK_EQ(name, r.st, rows[i].want);
        if (r.st == ST_OK) {
            CHECK_EQ(name, r.d.post, rows[i].post);
            CHECK_EQ(name, r.d.min_bytes, rows[i].min);
            CHECK_EQ(name, r.d.max_bytes, rows[i].max);
            CHECK_EQ(name, r.d.reserve_bytes, rows[i].reserve);
            CHECK_EQ(name, r.d.length_signed, rows[i].length_signed);
            CHECK_EQ(name, r.d.content_length, rows[i].size);
            check_field(name, &r.d, "x-none", NULL);
            continue;
        }
        CHECK(name, r.f.detail.len > 0);
        const char *extra = r.st == ST_FILE_TOO_SMALL   ? "min_bytes"
                            : r.st == ST_FILE_TOO_LARGE ? "max_bytes"
                                                        : NULL;
        if (extra)
            CHECK_EQ(name, member(&r.f, extra).num, rows[i].min);
        if (r.st == ST_INVALID_REQUEST)
            CHECK_TEXT(name, member(&r.f, "member").str, "content_length");
    }
}

/* ---- who may ---- */

static void test_allow(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct { const char *name, *profile, *plan, *scope, *claims; enum status want; const char *reason; } rows[] = {
        { "all hold",          "editors", "free", "read write", "{'role': 'editor'}",      ST_OK, NULL },
        { "in a list",         "editors", "",     "write",      "{'role': ['x', 'editor']}", ST_OK, NULL },
        { "a number",          "editors", "free", "write",      "{'role': 7}",             ST_OK, NULL },
        { "a truth",           "editors", "free", "write",      "{'role': true}",          ST_OK, NULL },
        { "pro",               "pro",     "pro",  "",           "{}",                      ST_OK, NULL },
        { "unknown profile",   "nope",    "free", "write",      "{'role': 'editor'}",      ST_PROFILE_NOT_ALLOWED, "no such profile: nope" },
        { "another case",      "Default", "free", "write",      "{'role': 'editor'}",      ST_PROFILE_NOT_ALLOWED, "no such profile" },
        { "another plan",      "editors", "pro",  "write",      "{'role': 'editor'}",      ST_PROFILE_NOT_ALLOWED, "allow.plans does not hold the plan pro" },
        { "the default plan",  "pro",     "",     "",           "{}",                      ST_PROFILE_NOT_ALLOWED, "the plan free" },
        { "an unknown plan",   "pro",     "gold", "",           "{}",                      ST_PROFILE_NOT_ALLOWED, "the plan free" },
        { "no scope",          "editors", "free", "",           "{'role': 'editor'}",      ST_PROFILE_NOT_ALLOWED, "allow.scope write" },
        { "a longer scope",    "editors", "free", "writer",     "{'role': 'editor'}",      ST_PROFILE_NOT_ALLOWED, "allow.scope write" },
        { "no claim",          "editors", "free", "write",      "{}",                      ST_PROFILE_NOT_ALLOWED, "claim role" },
        { "another value",     "editors", "free", "write",      "{'role': 'edito'}",       ST_PROFILE_NOT_ALLOWED, "claim role" },
        { "another number",    "editors", "free", "write",      "{'role': 77}",            ST_PROFILE_NOT_ALLOWED, "claim role" },
        { "false",             "editors", "free", "write",      "{'role': false}",         ST_PROFILE_NOT_ALLOWED, "claim role" },
        { "null",              "editors", "free", "write",      "{'role': null}",          ST_PROFILE_NOT_ALLOWED, "claim role" },
        { "a real",            "editors", "free", "write",      "{'role': 7.0}",           ST_PROFILE_NOT_ALLOWED, "claim role" },
        { "an empty list",     "editors", "free", "write",      "{'role': []}",            ST_PROFILE_NOT_ALLOWED, "claim role" },
        { "lists in a list",   "editors", "free", "write",      "{'role': [['editor']]}",  ST_PROFILE_NOT_ALLOWED, "claim role" },
        { "an object",         "editors", "free", "write",      "{'role': {'editor': 1}}", ST_PROFILE_NOT_ALLOWED, "claim role" },
        { "text with a NUL",   "editors", "free", "write",      "{'role': 'editor\\u0000'}", ST_PROFILE_NOT_ALLOWED, "claim role" },
        { "no word",           "claim",   "free", "",           "{}",                      ST_PROFILE_NOT_ALLOWED, "{claim:dept}" },
        { "a word that climbs", "claim",  "free", "",           "{'dept': '..'}",          ST_PROFILE_NOT_ALLOWED, "{user_hash}" },
        { "a key too long",    "longer",  "free", "",           NULL,                      ST_PROFILE_NOT_ALLOWED, "the key is longer" },
    };
    /* clang-format on */
    struct str first = STR_NONE;
    AUTO(arena) kept = ARENA_INIT(4096);
    for (size_t i = 0; i < ROWS(rows); i++) {
        json_t *claims = who.claims;
        who.plan = str_from(rows[i].plan);
        who.scope = str_from(rows[i].scope);
        if (rows[i].claims)
            who.claims = building_json(&building, rows[i].claims);
        struct wish w = wish_for(rows[i].profile);
        AUTO(run) r;
        run(&r, &w);
        who.claims = claims;
        CHECK_EQ(rows[i].name, r.st, rows[i].want);
        if (r.st == ST_OK)
            continue;
        AUTO(buf) reason = BUF_INIT(4096);
        buf_str(&reason, r.f.log_reason);
        if (!strstr(buf_cstr(&reason), rows[i].reason))
            fail_msg("%s: the log says \"%s\"", rows[i].name, buf_cstr(&reason));
        if (!first.ptr)
            first = arena_copy(&kept, r.f.detail);
        CHECK_STR("all look alike", r.f.detail, first);
        CHECK_EQ("all look alike", r.f.n_members, 0);
    }
}

static void test_words(void **state)
{
    (void)state;
    AUTO(run) r;
    struct wish w = wish_for("");
    run(&r, &w);
    CHECK_EQ("default profile", r.st, ST_OK);
    CHECK_TEXT("default profile", r.d.key, "u-1/" UUID4);

    struct wish tagged = wish_for("tagged");
    who.tenant = STR("a b");
    AUTO(run) unfit;
    run(&unfit, &tagged);
    CHECK_EQ("a word in a tag", unfit.st, ST_PROFILE_NOT_ALLOWED);
    who.user = STR("auth0|1");
    AUTO(run) user;
    run(&user, &w);
    CHECK_EQ("a user with a pipe", user.st, ST_PROFILE_NOT_ALLOWED);
    struct wish hashed = wish_for("range");
    AUTO(run) hash;
    run(&hash, &hashed);
    CHECK_EQ("but {user_hash}", hash.st, ST_OK);
}

static void test_no_plans(void **state)
{
    (void)state;
    struct rules without = rules;
    without.n_plans = 0;
    without.default_plan = NULL;
    struct rules with = rules;
    rules = without;
    struct wish w = wish_for("pro");
    AUTO(run) none;
    run(&none, &w);
    CHECK_EQ("no word in the token", none.st, ST_PROFILE_NOT_ALLOWED);
    who.plan = STR("pro");
    AUTO(run) word;
    run(&word, &w);
    rules = with;
    CHECK_EQ("the token's own word", word.st, ST_OK);
    CHECK("no plan", word.d.plan == NULL);
}

/* ---- types, names, metadata ---- */

static void test_types(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct { const char *name, *profile; struct str type; enum status want; const char *signed_as; } rows[] = {
        { "capitals are signed as sent", "default", STR_INIT(" Image/PNG; a=b "), ST_OK, "Image/PNG; a=b" },
        { "exact",           "default", STR_INIT("application/pdf"), ST_OK, "application/pdf" },
        { "named html",      "html",    STR_INIT("text/html"),       ST_OK, "text/html" },
        { "another",         "default", STR_INIT("video/mp4"),       ST_CONTENT_TYPE_NOT_ALLOWED, NULL },
        { "empty",           "default", STR_INIT(""),                ST_CONTENT_TYPE_NOT_ALLOWED, NULL },
        { "svg by a pattern", "default", STR_INIT("image/svg+xml"),  ST_CONTENT_TYPE_NOT_ALLOWED, NULL },
        { "script by a pattern", "html", STR_INIT("text/javascript"), ST_CONTENT_TYPE_NOT_ALLOWED, NULL },
        { "pdf with a tail", "default", STR_INIT("application/pdfx"), ST_CONTENT_TYPE_NOT_ALLOWED, NULL },
        { "a list",          "default", STR_INIT("image/png,text/html"), ST_INVALID_REQUEST, NULL },
        { "no type",         "default", STR_INIT("png"),             ST_INVALID_REQUEST, NULL },
        { "a shape before an unknown profile", "nope", STR_INIT("*/*"), ST_INVALID_REQUEST, NULL },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct wish w = wish_for(rows[i].profile);
        w.content_type = rows[i].type;
        AUTO(run) r;
        run(&r, &w);
        CHECK_EQ(rows[i].name, r.st, rows[i].want);
        if (r.st == ST_OK)
            check_field(rows[i].name, &r.d, "Content-Type", rows[i].signed_as);
        else if (r.st == ST_INVALID_REQUEST)
            CHECK_TEXT(rows[i].name, member(&r.f, "member").str, "content_type");
        else
            CHECK_EQ(rows[i].name, member(&r.f, "allowed").num, 2);
    }
}

static void test_names(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct { const char *name, *profile, *type; struct str filename; enum status want; const char *key; } rows[] = {
        { "name in the key",     "named", "image/png",  STR_INIT("a/Ein Bild.png"), ST_OK, UUID4 "/Ein Bild.png" },
        { "no name",             "named", "image/png",  { NULL, 0 },               ST_OK, UUID4 "/file" },
        { "extension of a name", "ext",   "image/png",  STR_INIT("x.PNG"),         ST_OK, UUID7 ".png" },
        { "extension of a type", "ext",   "image/png",  { NULL, 0 },               ST_OK, UUID7 ".png" },
        { "of a type, name without", "ext", "image/jpeg", STR_INIT("x"),           ST_OK, UUID7 ".jpg" },
        { "no rule for a type",  "ext",   "image/jpeg", STR_INIT("x.exe"),         ST_OK, UUID7 ".exe" },
        { "of neither",          "ext",   "application/x-odd", STR_INIT("x.a-b"),  ST_OK, UUID7 ".bin" },
        { "another in the rule", "ext",   "image/png",  STR_INIT("x.apng"),        ST_OK, UUID7 ".apng" },
        { "not in the rule",     "ext",   "image/png",  STR_INIT("x.jpg"),         ST_EXTENSION_MISMATCH, NULL },
        { "two, the last counts", "ext",  "image/png",  STR_INIT("x.png.exe"),     ST_EXTENSION_MISMATCH, NULL },
        { "none, but a rule",    "ext",   "IMAGE/PNG",  STR_INIT("x"),             ST_EXTENSION_MISMATCH, NULL },
        { "nothing left",        "named", "image/png",  STR_INIT("../.."),         ST_FILENAME_INVALID, NULL },
        { "empty",               "named", "image/png",  STR_INIT(""),              ST_FILENAME_INVALID, NULL },
        { "bad UTF-8",           "named", "image/png",  STR_INIT("\xff"),          ST_FILENAME_INVALID, NULL },
        { "unused, but bad",     "range", "image/png",  STR_INIT("..."),           ST_FILENAME_INVALID, NULL },
        { "too long for its key", "long", "image/png",
          STR_INIT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
          ST_FILENAME_INVALID, NULL },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct wish w = wish_for(rows[i].profile);
        w.content_type = str_from(rows[i].type);
        w.has_filename = rows[i].filename.ptr;
        w.filename = rows[i].filename;
        AUTO(run) r;
        run(&r, &w);
        CHECK_EQ(rows[i].name, r.st, rows[i].want);
        if (r.st == ST_OK)
            CHECK_TEXT(rows[i].name, r.d.key, rows[i].key);
    }
}

static void test_longest_key(void **state)
{
    (void)state;
    struct wish w = wish_for("long"); /* 7 * 128 + name + 36 */
    char name[256];
    memset(name, 'n', sizeof(name));
    w.has_filename = true;
    w.filename = (struct str){ name, 1024 - 7 * 128 - 36 };
    AUTO(run) fits;
    run(&fits, &w);
    CHECK_EQ("1024 bytes", fits.st, ST_OK);
    CHECK_EQ("1024 bytes", fits.d.key.len, 1024);
    w.filename.len++;
    AUTO(run) over;
    run(&over, &w);
    CHECK_EQ("1025 bytes", over.st, ST_FILENAME_INVALID);
}

static void test_metadata(void **state)
{
    (void)state;
    char big[2049];
    memset(big, 'b', sizeof(big));
    /* what the profile adds: x-amz-meta-app x%20y, x-amz-meta-by u-1%2F%C3%BC */
    const size_t room =
        2048 - strlen("x-amz-meta-appx%20yx-amz-meta-byu-1%2F%C3%BCx-amz-meta-album");
    const struct {
        const char *name, *profile;
        struct jr_pair pair;
        enum status want;
    } rows[] = {
        { "allowed", "all", { STR("album"), STR("\xc3\xbc\n$") }, ST_OK },
        { "as long as it may be", "all", { STR("album"), { big, room } }, ST_OK },
        { "one byte more", "all", { STR("album"), { big, room + 1 } }, ST_METADATA_NOT_ALLOWED },
        { "far more", "all", { STR("album"), { big, sizeof(big) } }, ST_METADATA_NOT_ALLOWED },
        { "set by the operator", "all", { STR("app"), STR("x") }, ST_METADATA_NOT_ALLOWED },
        { "set, not allowed", "all", { STR("by"), STR("x") }, ST_METADATA_NOT_ALLOWED },
        { "not allowed", "all", { STR("albums"), STR("x") }, ST_METADATA_NOT_ALLOWED },
        { "capitals", "all", { STR("Album"), STR("x") }, ST_METADATA_NOT_ALLOWED },
        { "empty name", "all", { STR(""), STR("x") }, ST_METADATA_NOT_ALLOWED },
        { "with its prefix",
          "all",
          { STR("x-amz-meta-album"), STR("x") },
          ST_METADATA_NOT_ALLOWED },
        { "none allowed", "default", { STR("album"), STR("x") }, ST_METADATA_NOT_ALLOWED },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct jr_pair pair = rows[i].pair;
        struct wish w = wish_for(rows[i].profile);
        w.metadata = (struct jr_pairs){ &pair, 1 };
        AUTO(run) r;
        run(&r, &w);
        CHECK_EQ(rows[i].name, r.st, rows[i].want);
        if (i == 0)
            check_field(rows[i].name, &r.d, "x-amz-meta-album", "%C3%BC%0A%24");
    }
}

static void test_too_many_metadata(void **state)
{
    (void)state;
    struct building b = BUILDING_INIT;
    AUTO(buf) why = BUF_INIT(4096);
    AUTO(buf) warn = BUF_INIT(4096);
    struct str names[60];
    struct jr_pair pairs[60];
    char text[60][2];
    for (size_t i = 0; i < ROWS(names); i++) {
        memcpy(text[i], (char[]){ (char)('a' + (char)(i / 10)), (char)('0' + (char)(i % 10)) }, 2);
        names[i] = (struct str){ text[i], 2 };
        pairs[i] = (struct jr_pair){ names[i], STR("") };
    }
    struct profile_config c = building_profile(&b, "many", "{}");
    c.metadata_allow = (struct jr_strs){ names, ROWS(names) };
    struct profile many;
    struct str at;
    CHECK_EQ("sixty may be allowed", profile_prepare(&many, &c, &rules, &b.arena, &at, &why, &warn),
             ST_OK);
    struct rules one = { .profiles = &many, .n_profiles = 1, .default_profile = &many };
    for (size_t n = 1; n <= ROWS(pairs); n++) {
        struct wish w = wish_for("");
        w.metadata = (struct jr_pairs){ pairs, n };
        struct decision d;
        struct fault f;
        enum status st = decide(&one, &who, &w, NOW, &ids, &b.arena, &d, &f);
        CHECK_EQ("as many as a form holds", st,
                 n + 1 <= POST_FIELDS_MAX - 7 ? ST_OK : ST_METADATA_NOT_ALLOWED);
    }
    building_release(&b);
}

/* ---- expiry ---- */

static void test_expiry(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *name, *profile;
        int64_t wish; /* INT64_MIN: none */
        int64_t token_left;
        enum status want;
        int64_t life;
        enum expiry_limit limit;
    } rows[] = {
        { "none",               "default",  INT64_MIN, 600, ST_OK, 900,  LIMITED_BY_PROFILE },
        { "shorter",            "default",  300,    600, ST_OK, 300,  LIMITED_BY_REQUEST },
        { "longer than usual",  "default",  1800,   600, ST_OK, 1800, LIMITED_BY_REQUEST },
        { "exactly the most",   "default",  3600,   600, ST_OK, 3600, LIMITED_BY_REQUEST },
        { "over the most",      "default",  3601,   600, ST_OK, 3600, LIMITED_BY_PROFILE },
        { "a week",             "default",  604800, 600, ST_OK, 3600, LIMITED_BY_PROFILE },
        { "a second",           "default",  1,      600, ST_OK, 1,    LIMITED_BY_REQUEST },
        { "over the usual",     "unsummed", 7000,   600, ST_OK, 7000, LIMITED_BY_REQUEST },
        { "bound",              "bound",    INT64_MIN, 600, ST_OK, 600, LIMITED_BY_TOKEN },
        { "bound, wish first",  "bound",    600,    600, ST_OK, 600,  LIMITED_BY_REQUEST },
        { "bound, profile first", "bound",  INT64_MIN, 900, ST_OK, 900, LIMITED_BY_PROFILE },
        { "bound, over",        "bound",    5000,   601, ST_OK, 601,  LIMITED_BY_TOKEN },
        { "bound, one second",  "bound",    300,    1,   ST_OK, 1,    LIMITED_BY_TOKEN },
        { "unbound, no matter", "default",  300,    -5,  ST_OK, 300,  LIMITED_BY_REQUEST },
        { "bound, ended",       "bound",    300,    0,   ST_EXPIRY_NOT_ALLOWED, 0, 0 },
        { "bound, leeway",      "bound",    300,    -20, ST_EXPIRY_NOT_ALLOWED, 0, 0 },
        { "zero",               "default",  0,      600, ST_EXPIRY_NOT_ALLOWED, 0, 0 },
        { "negative",           "default",  -1,     600, ST_EXPIRY_NOT_ALLOWED, 0, 0 },
        { "over a week",        "default",  604801, 600, ST_EXPIRY_NOT_ALLOWED, 0, 0 },
        { "far over",           "default",  INT64_MAX, 600, ST_EXPIRY_NOT_ALLOWED, 0, 0 },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct wish w = wish_for(rows[i].profile);
        w.has_expires = rows[i].wish != INT64_MIN;
        w.expires_in = rows[i].wish;
        who.expires_at_s = NOW + rows[i].token_left;
        AUTO(run) r;
        run(&r, &w);
        CHECK_EQ(rows[i].name, r.st, rows[i].want);
        if (r.st != ST_OK)
            continue;
        CHECK_EQ(rows[i].name, r.d.life_s, rows[i].life);
        CHECK_EQ(rows[i].name, r.d.limited_by, rows[i].limit);
    }
}

static void test_credentials(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *name;
        int64_t life, creds_left, min_ttl, want;
        enum expiry_limit limit;
        bool starved;
    } rows[] = {
        { "never end",            900, INT64_MAX - NOW, 60, 900, LIMITED_BY_REQUEST, false },
        { "long enough",          900, 961,  60, 900, LIMITED_BY_REQUEST,     false },
        { "a tie",                900, 960,  60, 900, LIMITED_BY_REQUEST,     false },
        { "a second short",       900, 959,  60, 899, LIMITED_BY_CREDENTIALS, false },
        { "just enough",          900, 120,  60, 60,  LIMITED_BY_CREDENTIALS, false },
        { "too little",           900, 119,  60, 59,  LIMITED_BY_CREDENTIALS, true },
        { "short wish, enough",   30,  90,   60, 30,  LIMITED_BY_REQUEST,     false },
        { "short wish, too little", 30, 89,  60, 29,  LIMITED_BY_CREDENTIALS, true },
        { "nothing",              900, 60,   60, 0,   LIMITED_BY_CREDENTIALS, true },
        { "dead",                 900, -100, 60, -160, LIMITED_BY_CREDENTIALS, true },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct decision d = { .life_s = rows[i].life, .limited_by = LIMITED_BY_REQUEST };
        enum expiry_limit limit;
        bool starved;
        int64_t end =
            decide_expiry(&d, NOW, NOW + rows[i].creds_left, rows[i].min_ttl, &limit, &starved);
        CHECK_EQ(rows[i].name, end - NOW, rows[i].want);
        CHECK_EQ(rows[i].name, limit, rows[i].limit);
        CHECK_EQ(rows[i].name, starved, rows[i].starved);
    }
    CHECK_TEXT("words", expiry_limit_words[LIMITED_BY_REQUEST], "request");
    CHECK_TEXT("words", expiry_limit_words[LIMITED_BY_PROFILE], "profile");
    CHECK_TEXT("words", expiry_limit_words[LIMITED_BY_TOKEN], "token");
    CHECK_TEXT("words", expiry_limit_words[LIMITED_BY_CREDENTIALS], "credentials");
}

/* ---- the order of faults ---- */

/* A wish with every fault at once; they are mended one by one, in the order they must show. */
static void test_order(void **state)
{
    (void)state;
    struct jr_pair pair = { STR("nope"), STR("x") };
    struct wish w = { .profile = STR("nope"),
                      .content_type = STR("a,b"),
                      .content_length = 5000,
                      .has_filename = true,
                      .filename = STR(".."),
                      .checksum_kind = CHECK_MD5,
                      .checksum = STR("x"),
                      .metadata = { &pair, 1 },
                      .has_expires = true };
    static const enum status want[] = {
        ST_INVALID_REQUEST,
        ST_PROFILE_NOT_ALLOWED,
        ST_INVALID_REQUEST,
        ST_EXPIRY_NOT_ALLOWED,
        ST_CONTENT_TYPE_NOT_ALLOWED,
        ST_FILE_TOO_LARGE,
        ST_FILENAME_INVALID,
        ST_EXTENSION_MISMATCH,
        ST_CHECKSUM_INVALID,
        ST_METADATA_NOT_ALLOWED,
        ST_OK,
    };
    for (size_t i = 0; i < ROWS(want); i++) {
        AUTO(run) r;
        run(&r, &w);
        CHECK_EQ(status_name(want[i]), r.st, want[i]);
        CHECK_EQ("the fault says the same", r.f.status, want[i]);
        switch (i) {
        case 0: w.content_type = STR("text/html"); break;
        case 1: w.profile = STR("ext"); break;
        case 2: w.has_length = true; break;
        case 3: w.expires_in = 60; break;
        case 4: w.content_type = STR("image/png"); break;
        case 5: w.content_length = 1000; break;
        case 6: w.filename = STR("a.gif"); break;
        case 7: w.filename = STR("a.png"); break;
        case 8: w.checksum = STR(MD5); break;
        case 9: w.metadata.n = 0; break;
        default: break;
        }
    }
    struct wish strict = wish_for("strict");
    strict.metadata = (struct jr_pairs){ &pair, 1 };
    AUTO(run) missing;
    run(&missing, &strict);
    CHECK_EQ("checksum before metadata", missing.st, ST_CHECKSUM_REQUIRED);
    struct wish unsummed = wish_for("unsummed");
    unsummed.checksum_kind = CHECK_MD5;
    unsummed.checksum = STR(MD5);
    AUTO(run) unwanted;
    run(&unwanted, &unsummed);
    CHECK_EQ("no checksum taken", unwanted.st, ST_CHECKSUM_INVALID);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct jr_pair pair = { STR("album"), STR("x") };
    struct wish w = wish_for("all");
    w.content_type = STR("Image/PNG");
    w.has_filename = true;
    w.filename = STR("\xc3\xbc.png");
    w.metadata = (struct jr_pairs){ &pair, 1 };
    for (int put = 0; put < 2; put++) {
        enum status st = ST_NO_MEMORY;
        w.method = put ? METHOD_PUT : METHOD_POST;
        for (size_t limit = 0; st == ST_NO_MEMORY && limit < 65536; limit += 16) {
            AUTO(arena) a = ARENA_INIT(limit);
            struct decision d;
            struct fault f = { .status = ST_OK };
            st = decide(&rules, &who, &w, NOW, &ids, &a, &d, &f);
            CHECK("no memory or done", st == ST_NO_MEMORY || st == ST_OK);
            CHECK_EQ("the fault says the same", f.status, st);
        }
        CHECK_EQ("done in the end", st, ST_OK);
    }
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, new_principal, end_principal)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_form),        CASE(test_headers),     CASE(test_checksums),
        CASE(test_sizes),       CASE(test_allow),       CASE(test_words),
        CASE(test_no_plans),    CASE(test_types),       CASE(test_names),
        CASE(test_longest_key), CASE(test_metadata),    CASE(test_too_many_metadata),
        CASE(test_expiry),      CASE(test_credentials), CASE(test_order),
        CASE(test_no_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
