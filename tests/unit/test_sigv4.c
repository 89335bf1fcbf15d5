#include "test.h"

#include "presignd/sigv4.h"

enum { DAY_S = 86400 };

/* 2013-05-24T00:00:00Z, the day of AWS's examples. */
static const int64_t now_s = 1369353600;

#define EXAMPLE_SECRET STR_INIT("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
static const struct sign_creds example = {
    .access_key_id = STR_INIT("AKIAIOSFODNN7EXAMPLE"),
    .secret_key = EXAMPLE_SECRET,
};

/* AWS "Authenticating Requests: Using the Authorization Header", GET Object: string to sign and
   signature as published. */
#define EXAMPLE_STRING_TO_SIGN             \
    "AWS4-HMAC-SHA256\n20130524T000000Z\n" \
    "20130524/us-east-1/s3/aws4_request\n" \
    "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972"
#define EXAMPLE_SIGNATURE "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"

static void check_signs_example(const char *name, const struct signing_key *k)
{
    struct buf out = BUF_INIT(64);
    sigv4_sign(&out, k, STR(EXAMPLE_STRING_TO_SIGN));
    CHECK_TEXT(name, out, EXAMPLE_SIGNATURE);
    buf_release(&out);
}

static void test_published(void **state)
{
    (void)state;
    struct signing_key k;
    CHECK_EQ("derive", signing_key_derive(&k, &example, STR("us-east-1"), now_s), ST_OK);
    CHECK_TEXT("credential", signing_key_credential(&k),
               "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request");
    CHECK_TEXT("scope", signing_key_scope(&k), "20130524/us-east-1/s3/aws4_request");
    check_signs_example("signature", &k);
    signing_key_release(&k);
    CHECK("released key fits nothing", !signing_key_fits(&k, &example, now_s));
}

#define LONG_64 "0123456789012345678901234567890123456789012345678901234567890123"

static const struct {
    const char *name;
    struct sign_creds creds;
    struct str region;
    int64_t at_s;
    enum status want;
} derive_rows[] = {
    /* clang-format off */
    { "plain",             { STR_INIT("AK"), STR_INIT("s"), STR_INIT("") },     STR_INIT("auto"), 0, ST_OK },
    { "session token",     { STR_INIT("AK"), STR_INIT("s"), STR_INIT("a/+=") }, STR_INIT("auto"), 0, ST_OK },
    { "longest id",        { STR_INIT(LONG_64 LONG_64), STR_INIT("s"), STR_INIT("") },
      STR_INIT("0123456789012345678901234567890"), 253402300799, ST_OK },
    { "longest secret",    { STR_INIT("AK"), STR_INIT(LONG_64 LONG_64 LONG_64 LONG_64), STR_INIT("") },
      STR_INIT("auto"), 0, ST_OK },
    { "id too long",       { STR_INIT(LONG_64 LONG_64 "x"), STR_INIT("s"), STR_INIT("") }, STR_INIT("auto"), 0, ST_INVALID },
    { "secret too long",   { STR_INIT("AK"), STR_INIT(LONG_64 LONG_64 LONG_64 LONG_64 "x"), STR_INIT("") },
      STR_INIT("auto"), 0, ST_INVALID },
    { "region too long",   { STR_INIT("AK"), STR_INIT("s"), STR_INIT("") }, STR_INIT("01234567890123456789012345678901"), 0, ST_INVALID },
    { "no id",             { STR_INIT(""), STR_INIT("s"), STR_INIT("") },       STR_INIT("auto"), 0, ST_INVALID },
    { "no secret",         { STR_INIT("AK"), STR_INIT(""), STR_INIT("") },      STR_INIT("auto"), 0, ST_INVALID },
    { "no region",         { STR_INIT("AK"), STR_INIT("s"), STR_INIT("") },     STR_INIT(""),     0, ST_INVALID },
    { "slash in id",       { STR_INIT("A/K"), STR_INIT("s"), STR_INIT("") },    STR_INIT("auto"), 0, ST_INVALID },
    { "blank in id",       { STR_INIT("A K"), STR_INIT("s"), STR_INIT("") },    STR_INIT("auto"), 0, ST_INVALID },
    { "quote in id",       { STR_INIT("A\"K"), STR_INIT("s"), STR_INIT("") },   STR_INIT("auto"), 0, ST_INVALID },
    { "line end in id",    { STR_INIT("AK\n"), STR_INIT("s"), STR_INIT("") },   STR_INIT("auto"), 0, ST_INVALID },
    { "NUL in id",         { STR_INIT("A\0K"), STR_INIT("s"), STR_INIT("") },   STR_INIT("auto"), 0, ST_INVALID },
    { "id not ASCII",      { STR_INIT("A\xc3\xa4"), STR_INIT("s"), STR_INIT("") }, STR_INIT("auto"), 0, ST_INVALID },
    { "slash in region",   { STR_INIT("AK"), STR_INIT("s"), STR_INIT("") },     STR_INIT("eu/1"), 0, ST_INVALID },
    { "quote in region",   { STR_INIT("AK"), STR_INIT("s"), STR_INIT("") },     STR_INIT("eu\""), 0, ST_INVALID },
    { "NUL in region",     { STR_INIT("AK"), STR_INIT("s"), STR_INIT("") },     STR_INIT("e\0u"), 0, ST_INVALID },
    { "line end in token", { STR_INIT("AK"), STR_INIT("s"), STR_INIT("a\nb") }, STR_INIT("auto"), 0, ST_INVALID },
    { "dollar in token",   { STR_INIT("AK"), STR_INIT("s"), STR_INIT("a$b") },  STR_INIT("auto"), 0, ST_INVALID },
    { "before 1970",       { STR_INIT("AK"), STR_INIT("s"), STR_INIT("") },     STR_INIT("auto"), -1, ST_INVALID },
    { "after 9999",        { STR_INIT("AK"), STR_INIT("s"), STR_INIT("") },     STR_INIT("auto"), 253402300800, ST_INVALID },
    /* clang-format on */
};

static void test_derive(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(derive_rows); i++) {
        struct signing_key k;
        CHECK_EQ(derive_rows[i].name,
                 signing_key_derive(&k, &derive_rows[i].creds, derive_rows[i].region,
                                    derive_rows[i].at_s),
                 derive_rows[i].want);
        signing_key_release(&k);
    }
}

static void test_fits(void **state)
{
    (void)state;
    const struct sign_creds other = { STR("AKIAIOSFODNN7EXAMPLF"), example.secret_key, STR("") };
    struct signing_key k;
    CHECK_EQ("derive", signing_key_derive(&k, &example, STR("us-east-1"), now_s + 5), ST_OK);
    CHECK("first second", signing_key_fits(&k, &example, now_s));
    CHECK("last second", signing_key_fits(&k, &example, now_s + DAY_S - 1));
    CHECK("day before", !signing_key_fits(&k, &example, now_s - 1));
    CHECK("day after", !signing_key_fits(&k, &example, now_s + DAY_S));
    CHECK("another credential", !signing_key_fits(&k, &other, now_s));
    signing_key_release(&k);
}

/* A key of the cache, copied, so that later calls cannot change it. */
static struct signing_key get(struct signing_keys *ks, const struct sign_creds *c,
                              uint64_t generation, const char *region, int64_t at_s,
                              const struct signing_key **out_where)
{
    *out_where = NULL;
    CHECK_EQ(region, signing_keys_get(ks, c, generation, str_from(region), at_s, out_where), ST_OK);
    return **out_where;
}

static void test_cache(void **state)
{
    (void)state;
    struct signing_keys ks = { 0 };
    const struct signing_key *first = NULL;
    const struct signing_key *again = NULL;
    const struct signing_key k = get(&ks, &example, 1, "us-east-1", now_s, &first);
    check_signs_example("miss", &k);
    (void)get(&ks, &example, 1, "us-east-1", now_s + 60, &again);
    CHECK("same minute later is a hit", first == again);

    struct sign_creds rotated = example;
    rotated.secret_key = STR("another secret");
    const struct signing_key r = get(&ks, &rotated, 2, "us-east-1", now_s, &again);
    CHECK("a rotated secret has its own key", again != first);
    CHECK("which differs", memcmp(&r.key, &k.key, sizeof(k.key)) != 0);
    (void)get(&ks, &example, 1, "eu-west-1", now_s, &again);
    CHECK("another region", again != first);
    CHECK_TEXT("its scope", signing_key_scope(again), "20130524/eu-west-1/s3/aws4_request");
    (void)get(&ks, &example, 1, "us-east-1", now_s + DAY_S, &again);
    CHECK("another day", again != first);
    CHECK_TEXT("its scope", signing_key_scope(again), "20130525/us-east-1/s3/aws4_request");
    (void)get(&ks, &example, 1, "us-east-1", now_s, &again);
    CHECK("the first is still there", again == first);
    signing_keys_release(&ks);
}

static void test_cache_replaces_oldest(void **state)
{
    (void)state;
    struct signing_keys ks = { 0 };
    const struct signing_key *at = NULL;
    for (uint64_t g = 1; g <= 3 * SIGNING_KEYS; g++) {
        const struct signing_key k = get(&ks, &example, g, "us-east-1", now_s, &at);
        CHECK_EQ("generation", k.generation, g);
        check_signs_example("signature", &k);
    }
    signing_keys_release(&ks);
    for (size_t i = 0; i < SIGNING_KEYS; i++)
        CHECK("wiped", !signing_key_fits(&ks.keys[i], &example, now_s));
}

static void test_cache_refuses(void **state)
{
    (void)state;
    struct signing_keys ks = { 0 };
    const struct signing_key *at = NULL;
    const struct sign_creds bad = { STR("A/K"), STR("s"), STR("") };
    CHECK_EQ("bad id", signing_keys_get(&ks, &bad, 1, STR("auto"), now_s, &at), ST_INVALID);
    CHECK_EQ("bad id again", signing_keys_get(&ks, &bad, 1, STR("auto"), now_s, &at), ST_INVALID);
    CHECK("nothing handed out", at == NULL);
    CHECK_EQ("no id", signing_keys_get(&ks, &(struct sign_creds){ 0 }, 0, STR(""), 0, &at),
             ST_INVALID);
    signing_keys_release(&ks);
}

TEST_MAIN(cmocka_unit_test(test_published), cmocka_unit_test(test_derive),
          cmocka_unit_test(test_fits), cmocka_unit_test(test_cache),
          cmocka_unit_test(test_cache_replaces_oldest), cmocka_unit_test(test_cache_refuses))
