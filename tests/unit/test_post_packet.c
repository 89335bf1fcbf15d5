#include "test.h"

#include <jansson.h>

#include "oom.h"

#include "presignd/encode.h"
#include "presignd/post_packet.h"

/* 2026-11-21T20:30:00Z */
static const int64_t now_s = 1795293000;

static const struct sign_creds creds = {
    .access_key_id = STR_INIT("AKIDEXAMPLE"),
    .secret_key = STR_INIT("secret"),
    .session_token = STR_INIT("tok/en+=="),
};

static const struct post_field fields[] = {
    { STR_INIT("success_action_status"), STR_INIT("201") },
    { STR_INIT("Cache-Control"), STR_INIT("private, max-age=31536000") },
    { STR_INIT("Content-Type"), STR_INIT("image/png") },
    { STR_INIT("x-amz-meta-album"), STR_INIT("a \"b\" \xc3\xa4") },
};

static struct post_ask an_ask(void)
{
    return (struct post_ask){
        .bucket = STR("my-bucket"),
        .key = STR("u/1/\xc3\xbc.png"),
        .fields = fields,
        .n_fields = ROWS(fields),
        .n_shared = 2,
        .min_bytes = 10,
        .max_bytes = 20,
        .expires_at_s = now_s + 900,
    };
}

static struct signing_key a_key(void)
{
    struct signing_key k;
    CHECK_EQ("derive", signing_key_derive(&k, &creds, STR("eu-west-1"), now_s), ST_OK);
    return k;
}

/* ---- what a good packet looks like -------------------------------------------------------------- */

static void test_policy(void **state)
{
    (void)state;
    struct signing_key k = a_key();
    const struct post_ask ask = an_ask();
    struct buf out = BUF_INIT(4096);
    CHECK_EQ("policy", post_policy(&out, &ask, &creds, &k, now_s), ST_OK);
    CHECK_TEXT("policy", out,
               "{\"conditions\":[{\"bucket\":\"my-bucket\"},"
               "{\"success_action_status\":\"201\"},"
               "{\"Cache-Control\":\"private, max-age=31536000\"},"
               "{\"x-amz-algorithm\":\"AWS4-HMAC-SHA256\"},"
               "{\"x-amz-credential\":\"AKIDEXAMPLE/20261121/eu-west-1/s3/aws4_request\"},"
               "{\"x-amz-security-token\":\"tok/en+==\"},"
               "{\"x-amz-date\":\"20261121T203000Z\"},"
               "[\"content-length-range\",10,20],"
               "{\"key\":\"u/1/\xc3\xbc.png\"},"
               "{\"Content-Type\":\"image/png\"},"
               "{\"x-amz-meta-album\":\"a \\\"b\\\" \xc3\xa4\"}],"
               "\"expiration\":\"2026-11-21T20:45:00Z\"}");
    buf_release(&out);
    signing_key_release(&k);
}

static void test_conditions(void **state)
{
    (void)state;
    const struct post_ask ask = an_ask();
    struct buf out = BUF_INIT(4096);
    CHECK_EQ("conditions", post_conditions(&out, &ask), ST_OK);
    CHECK_TEXT("conditions", out,
               "[{\"bucket\":\"my-bucket\"},{\"success_action_status\":\"201\"},"
               "{\"Cache-Control\":\"private, max-age=31536000\"},[\"content-length-range\",10,20],"
               "{\"key\":\"u/1/\xc3\xbc.png\"},{\"Content-Type\":\"image/png\"},"
               "{\"x-amz-meta-album\":\"a \\\"b\\\" \xc3\xa4\"}]");
    buf_release(&out);
}

static struct str field(const struct post_packet *p, const char *name)
{
    for (size_t i = 0; i < p->n_fields; i++)
        if (str_equal(p->fields[i].name, str_from(name)))
            return p->fields[i].value;
    fail_msg("no field %s", name);
    return STR_NONE;
}

/* The exact condition that a policy holds for a field; NULL when there is none. */
static const char *condition(json_t *policy, struct str name)
{
    char key[128];
    const size_t n = name.len < sizeof(key) - 1 ? name.len : sizeof(key) - 1;
    memcpy(key, name.ptr, n);
    key[n] = '\0';
    json_t *one = NULL;
    size_t i = 0;
    json_array_foreach(json_object_get(policy, "conditions"), i, one)
    {
        if (json_object_size(one) == 1 && json_object_get(one, key))
            return json_string_value(json_object_get(one, key));
    }
    return NULL;
}

static json_t *parsed_policy(struct str base64)
{
    struct buf text = BUF_INIT(65536);
    CHECK_EQ("base64", decode_base64(&text, base64), ST_OK);
    json_t *policy = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    CHECK("policy is JSON", policy);
    buf_release(&text);
    return policy;
}

/* Every field has its exact condition, every condition its field, and policy and signature fit. */
static void check_pinned(const struct post_packet *p, const struct signing_key *k)
{
    json_t *policy = parsed_policy(field(p, "policy"));
    CHECK_TEXT("key is first", p->fields[0].name, "key");
    CHECK_TEXT("policy is last but one", p->fields[p->n_fields - 2].name, "policy");
    CHECK_TEXT("signature is last", p->fields[p->n_fields - 1].name, "x-amz-signature");
    for (size_t i = 0; i + 2 < p->n_fields; i++) {
        const char *want = condition(policy, p->fields[i].name);
        CHECK("has a condition", want);
        CHECK_TEXT(want, p->fields[i].value, want);
    }
    const size_t extra = 2; /* bucket and content-length-range */
    CHECK_EQ("conditions", json_array_size(json_object_get(policy, "conditions")),
             p->n_fields - 2 + extra);
    json_decref(policy);

    struct buf signature = BUF_INIT(64);
    sigv4_sign(&signature, k, field(p, "policy"));
    CHECK_STR("signature", field(p, "x-amz-signature"), signature);
    buf_release(&signature);
}

static void test_packet(void **state)
{
    (void)state;
    struct signing_key k = a_key();
    const struct post_ask ask = an_ask();
    struct post_packet p = POST_PACKET_INIT;
    CHECK_EQ("sign", post_packet_sign(&p, &ask, &creds, &k, now_s), ST_OK);
    check_pinned(&p, &k);
    CHECK_EQ("fields", p.n_fields, ROWS(fields) + 7);
    CHECK_TEXT("token", field(&p, "x-amz-security-token"), "tok/en+==");

    struct buf policy = BUF_INIT(4096);
    struct buf base64 = BUF_INIT(8192);
    CHECK_EQ("policy", post_policy(&policy, &ask, &creds, &k, now_s), ST_OK);
    encode_base64(&base64, buf_view(&policy));
    CHECK_STR("the same policy", field(&p, "policy"), base64);
    buf_release(&policy);
    buf_release(&base64);
    post_packet_release(&p);
    signing_key_release(&k);
}

static void test_without_token(void **state)
{
    (void)state;
    struct signing_key k = a_key();
    struct sign_creds plain = creds;
    plain.session_token = STR("");
    const struct post_ask ask = an_ask();
    struct post_packet p = POST_PACKET_INIT;
    CHECK_EQ("sign", post_packet_sign(&p, &ask, &plain, &k, now_s), ST_OK);
    check_pinned(&p, &k);
    for (size_t i = 0; i < p.n_fields; i++)
        CHECK("no token", !str_equal(p.fields[i].name, STR("x-amz-security-token")));
    post_packet_release(&p);
    signing_key_release(&k);
}

static void test_reuse(void **state)
{
    (void)state;
    struct signing_key k = a_key();
    struct post_ask ask = an_ask();
    struct post_packet p = POST_PACKET_INIT;
    for (int round = 0; round < 3; round++) {
        ask.key = STR("k");
        CHECK_EQ("sign", post_packet_sign(&p, &ask, &creds, &k, now_s), ST_OK);
        check_pinned(&p, &k);
        ask.key = STR("a$b");
        CHECK_EQ("refuse", post_packet_sign(&p, &ask, &creds, &k, now_s), ST_INVALID);
    }
    post_packet_release(&p);
    signing_key_release(&k);
}

/* ---- what is refused ---------------------------------------------------------------------------- */

static const struct {
    const char *name;
    struct str value;
    bool want;
} value_rows[] = {
    /* clang-format off */
    { "empty",              STR_INIT(""),                  true  },
    { "ASCII",              STR_INIT(" !\"#%&'()~"),       true  },
    { "two bytes",          STR_INIT("\xc2\xa0\xd8\x9b"),  true  },
    { "three bytes",        STR_INIT("\xe2\x82\xac\xe2\x80\x90\xe2\x81\xaa"), true },
    { "four bytes",         STR_INIT("\xf0\x9f\x98\x80"),  true  },
    { "next to bidi",       STR_INIT("\xe2\x80\x8d\xe2\x80\xaf\xe2\x81\xa5"), true },
    { "dollar",             STR_INIT("a$b"),               false },
    { "backslash",          STR_INIT("a\\b"),              false },
    { "NUL",                STR_INIT("a\0b"),              false },
    { "line feed",          STR_INIT("a\nb"),              false },
    { "carriage return",    STR_INIT("a\rb"),              false },
    { "tab",                STR_INIT("a\tb"),              false },
    { "unit separator",     STR_INIT("a\x1f"),             false },
    { "DEL",                STR_INIT("a\x7f"),             false },
    { "C1 first",           STR_INIT("\xc2\x80"),          false },
    { "C1 last",            STR_INIT("\xc2\x9f"),          false },
    { "U+061C",             STR_INIT("\xd8\x9c"),          false },
    { "U+200E",             STR_INIT("\xe2\x80\x8e"),      false },
    { "U+200F",             STR_INIT("\xe2\x80\x8f"),      false },
    { "U+202A",             STR_INIT("\xe2\x80\xaa"),      false },
    { "U+202E",             STR_INIT("a\xe2\x80\xae" "b"), false },
    { "U+2066",             STR_INIT("\xe2\x81\xa6"),      false },
    { "U+2069",             STR_INIT("\xe2\x81\xa9"),      false },
    { "lone byte",          STR_INIT("a\x80"),             false },
    { "cut short",          STR_INIT("a\xe2\x82"),         false },
    { "overlong",           STR_INIT("\xc0\xaf"),          false },
    { "surrogate",          STR_INIT("\xed\xa0\x80"),      false },
    { "past U+10FFFF",      STR_INIT("\xf4\x90\x80\x80"),  false },
    /* clang-format on */
};

static void test_values(void **state)
{
    (void)state;
    struct signing_key k = a_key();
    for (size_t i = 0; i < ROWS(value_rows); i++) {
        const char *name = value_rows[i].name;
        CHECK_EQ(name, post_value_ok(value_rows[i].value), value_rows[i].want);
        const struct post_field one = { STR("Content-Disposition"), value_rows[i].value };
        struct post_ask ask = an_ask();
        ask.fields = &one;
        ask.n_fields = ask.n_shared = 1;
        struct post_packet p = POST_PACKET_INIT;
        CHECK_EQ(name, post_packet_sign(&p, &ask, &creds, &k, now_s),
                 value_rows[i].want ? ST_OK : ST_INVALID);
        post_packet_release(&p);
    }
    signing_key_release(&k);
}

static const struct {
    const char *name;
    struct str field;
    enum status want;
} name_rows[] = {
    /* clang-format off */
    { "plain",           STR_INIT("Content-Disposition"),  ST_OK      },
    { "with underscore", STR_INIT("success_action_redirect"), ST_OK   },
    { "empty",           STR_INIT(""),                     ST_INVALID },
    { "blank",           STR_INIT("a b"),                  ST_INVALID },
    { "quote",           STR_INIT("a\"b"),                 ST_INVALID },
    { "dollar",          STR_INIT("$key"),                 ST_INVALID },
    { "line end",        STR_INIT("a\r\nb"),               ST_INVALID },
    { "NUL",             STR_INIT("a\0b"),                 ST_INVALID },
    { "not ASCII",       STR_INIT("\xc3\xa4"),             ST_INVALID },
    { "key",             STR_INIT("Key"),                  ST_INVALID },
    { "bucket",          STR_INIT("bucket"),               ST_INVALID },
    { "file",            STR_INIT("file"),                 ST_INVALID },
    { "policy",          STR_INIT("Policy"),               ST_INVALID },
    { "signature",       STR_INIT("X-Amz-Signature"),      ST_INVALID },
    { "algorithm",       STR_INIT("x-amz-algorithm"),      ST_INVALID },
    { "credential",      STR_INIT("X-AMZ-Credential"),     ST_INVALID },
    { "date",            STR_INIT("x-amz-date"),           ST_INVALID },
    { "token",           STR_INIT("x-amz-security-token"), ST_INVALID },
    { "repeated",        STR_INIT("content-TYPE"),         ST_INVALID },
    /* clang-format on */
};

static void test_names(void **state)
{
    (void)state;
    struct signing_key k = a_key();
    for (size_t i = 0; i < ROWS(name_rows); i++) {
        const struct post_field two[] = {
            { STR("Content-Type"), STR("image/png") },
            { name_rows[i].field, STR("v") },
        };
        struct post_ask ask = an_ask();
        ask.fields = two;
        ask.n_fields = 2;
        ask.n_shared = 0;
        struct buf out = BUF_INIT(8192);
        struct post_packet p = POST_PACKET_INIT;
        CHECK_EQ(name_rows[i].name, post_packet_sign(&p, &ask, &creds, &k, now_s),
                 name_rows[i].want);
        CHECK_EQ(name_rows[i].name, post_policy(&out, &ask, &creds, &k, now_s), name_rows[i].want);
        buf_reset(&out);
        CHECK_EQ(name_rows[i].name, post_conditions(&out, &ask), name_rows[i].want);
        buf_release(&out);
        post_packet_release(&p);
    }
    signing_key_release(&k);
}

static char many_a[POST_FORM_BYTES_MAX + 1];

static struct str a_times(size_t n)
{
    memset(many_a, 'a', sizeof(many_a));
    return (struct str){ many_a, n };
}

enum bend { KEY, BUCKET, RANGE, EXPIRY, META, FORM, N_FIELDS, N_SHARED, DAY, CREDENTIAL };

static const struct {
    const char *name;
    enum bend what;
    int64_t a, b;
    enum status want;
} bend_rows[] = {
    /* clang-format off */
    { "empty key",             KEY, 0, 0, ST_INVALID },
    { "longest key",           KEY, 1024, 0, ST_OK },
    { "key too long",          KEY, 1025, 0, ST_TOO_LARGE },
    { "empty bucket",          BUCKET, 0, 0, ST_INVALID },
    { "empty file",            RANGE, 0, 0, ST_OK },
    { "5 GiB",                 RANGE, 1, 5368709120, ST_OK },
    { "negative size",         RANGE, -1, 5, ST_INVALID },
    { "range upside down",     RANGE, 5, 4, ST_INVALID },
    { "one second",            EXPIRY, 1, 0, ST_OK },
    { "expires now",           EXPIRY, 0, 0, ST_INVALID },
    { "expired",               EXPIRY, -1, 0, ST_INVALID },
    { "most metadata",         META, 2048, 0, ST_OK },
    { "metadata too long",     META, 2049, 0, ST_TOO_LARGE },
    { "a large form",          FORM, 4000, 0, ST_OK },
    { "form too long",         FORM, 8000, 0, ST_TOO_LARGE },
    { "policy too long",       FORM, 20000, 0, ST_TOO_LARGE },
    { "most fields",           N_FIELDS, POST_FIELDS_MAX - 7, 0, ST_OK },
    { "too many fields",       N_FIELDS, POST_FIELDS_MAX - 6, 0, ST_INVALID },
    { "more shared than all",  N_SHARED, 5, 0, ST_INVALID },
    { "key of the day before", DAY, 86400, 0, ST_INVALID },
    { "key of the day after",  DAY, -86400, 0, ST_INVALID },
    { "another's key",         CREDENTIAL, 0, 0, ST_INVALID },
    /* clang-format on */
};

static void bend_fields(struct post_ask *ask, enum bend what, int64_t a)
{
    static struct post_field list[POST_FIELDS_MAX];
    static char names[POST_FIELDS_MAX][8];
    const size_t prefix = strlen("x-amz-meta-a");
    ask->fields = list;
    ask->n_shared = 0;
    ask->n_fields = what == N_FIELDS ? (size_t)a : 1;
    if (what == META)
        list[0] = (struct post_field){ STR("x-amz-meta-a"), a_times((size_t)a - prefix) };
    if (what == FORM)
        list[0] = (struct post_field){ STR("Content-Disposition"), a_times((size_t)a) };
    for (size_t i = 0; what == N_FIELDS && i < ask->n_fields; i++) {
        memcpy(names[i], "f00", 4);
        names[i][1] = (char)('0' + i / 10);
        names[i][2] = (char)('0' + i % 10);
        list[i] = (struct post_field){ str_from(names[i]), STR("v") };
    }
}

static void bend(struct post_ask *ask, struct sign_creds *c, int64_t *at_s, enum bend what,
                 int64_t a, int64_t b)
{
    if (what == KEY)
        ask->key = a_times((size_t)a);
    if (what == BUCKET)
        ask->bucket = STR("");
    if (what == RANGE) {
        ask->min_bytes = a;
        ask->max_bytes = b;
    }
    if (what == EXPIRY)
        ask->expires_at_s = *at_s + a;
    if (what == META || what == FORM || what == N_FIELDS)
        bend_fields(ask, what, a);
    if (what == N_SHARED)
        ask->n_shared = (size_t)a;
    if (what == DAY) {
        *at_s += a;
        ask->expires_at_s += 2 * 86400;
    }
    if (what == CREDENTIAL)
        c->access_key_id = STR("AKIDEXAMPLF");
}

static void test_limits(void **state)
{
    (void)state;
    struct signing_key k = a_key();
    for (size_t i = 0; i < ROWS(bend_rows); i++) {
        struct post_ask ask = an_ask();
        struct sign_creds c = creds;
        int64_t at_s = now_s;
        bend(&ask, &c, &at_s, bend_rows[i].what, bend_rows[i].a, bend_rows[i].b);
        struct post_packet p = POST_PACKET_INIT;
        CHECK_EQ(bend_rows[i].name, post_packet_sign(&p, &ask, &c, &k, at_s), bend_rows[i].want);
        if (bend_rows[i].want == ST_OK)
            check_pinned(&p, &k);
        post_packet_release(&p);
    }
    signing_key_release(&k);
}

static void test_small_buffers(void **state)
{
    (void)state;
    struct signing_key k = a_key();
    const struct post_ask ask = an_ask();
    struct post_packet p = { .text = BUF_INIT(100) };
    CHECK_EQ("packet", post_packet_sign(&p, &ask, &creds, &k, now_s), ST_TOO_LARGE);
    struct buf small = BUF_INIT(100);
    CHECK_EQ("policy", post_policy(&small, &ask, &creds, &k, now_s), ST_TOO_LARGE);
    buf_reset(&small);
    CHECK_EQ("conditions", post_conditions(&small, &ask), ST_TOO_LARGE);
    buf_release(&small);
    post_packet_release(&p);
    signing_key_release(&k);
}

/* ---- the kept part ------------------------------------------------------------------------------- */

/* The packet made with what is kept is the packet made without. */
static void check_same(const char *name, const struct post_ask *ask, const struct sign_creds *c,
                       const struct signing_key *k, int64_t at_s, struct post_kept *kept)
{
    struct post_packet plain = POST_PACKET_INIT;
    struct post_packet p = POST_PACKET_INIT;
    const enum status want = post_packet_sign(&plain, ask, c, k, at_s);
    CHECK_EQ(name, post_packet_sign_kept(&p, ask, c, k, at_s, kept), want);
    CHECK_EQ(name, p.n_fields, plain.n_fields);
    for (size_t i = 0; i < p.n_fields; i++) {
        CHECK_STR(name, p.fields[i].name, plain.fields[i].name);
        CHECK_STR(name, p.fields[i].value, plain.fields[i].value);
    }
    post_packet_release(&p);
    post_packet_release(&plain);
}

/* Every length modulo 3 of the shared part, each asked for twice. */
static void test_kept_lengths(void **state)
{
    (void)state;
    struct signing_key k = a_key();
    struct post_kept *kept = post_kept_new(2);
    CHECK("kept", kept);
    for (size_t i = 0; i < 12; i++) {
        struct post_ask ask = an_ask();
        ask.bucket = a_times(3 + i / 2);
        ask.key = str_slice(STR("abcdef"), 0, 1 + i % 5);
        check_same("length", &ask, &creds, &k, now_s + (int64_t)i, kept);
    }
    post_kept_free(kept);
    signing_key_release(&k);
}

static void test_kept_changes(void **state)
{
    (void)state;
    struct signing_key k = a_key();
    struct post_kept *kept = post_kept_new(1);
    CHECK("kept", kept);
    struct post_ask ask = an_ask();
    struct sign_creds c = creds;
    check_same("first", &ask, &c, &k, now_s, kept);
    check_same("the same", &ask, &c, &k, now_s, kept);
    ask.key = STR("another");
    ask.expires_at_s++;
    check_same("another key", &ask, &c, &k, now_s + 1, kept);
    ask.bucket = STR("other-bucket");
    check_same("another bucket", &ask, &c, &k, now_s, kept);
    c.session_token = STR("other");
    check_same("another token", &ask, &c, &k, now_s, kept);
    c.session_token = STR("");
    check_same("no token", &ask, &c, &k, now_s, kept);
    ask.n_shared = 1;
    check_same("fewer shared", &ask, &c, &k, now_s, kept);
    ask.n_shared = 4;
    check_same("more shared", &ask, &c, &k, now_s, kept);
    ask.shared_slot = SIZE_MAX;
    check_same("odd slot", &ask, &c, &k, now_s, kept);
    ask.key = STR("a\nb");
    check_same("refused", &ask, &c, &k, now_s, kept);
    ask.key = STR("k");
    check_same("after a refusal", &ask, &c, &k, now_s, kept);
    c.secret_key = STR("rotated");
    signing_key_release(&k);
    CHECK_EQ("derive", signing_key_derive(&k, &c, STR("eu-west-1"), now_s), ST_OK);
    k.generation++;
    check_same("another generation", &ask, &c, &k, now_s, kept);
    CHECK_EQ("derive", signing_key_derive(&k, &c, STR("eu-west-1"), now_s + 86400), ST_OK);
    ask.expires_at_s += 86400;
    check_same("another day", &ask, &c, &k, now_s + 86400, kept);
    post_kept_free(kept);
    signing_key_release(&k);
}

/* Inputs that run together to the same bytes are not the same inputs. */
static void test_kept_borders(void **state)
{
    (void)state;
    const struct post_field first[] = { { STR("ab"), STR("c") }, { STR("x"), STR("y") } };
    const struct post_field second[] = { { STR("a"), STR("bc") }, { STR("x"), STR("y") } };
    struct signing_key k = a_key();
    struct post_kept *kept = post_kept_new(0);
    CHECK("kept", kept);
    struct post_ask ask = an_ask();
    ask.n_fields = ask.n_shared = 2;
    ask.fields = first;
    check_same("first", &ask, &creds, &k, now_s, kept);
    ask.fields = second;
    check_same("second", &ask, &creds, &k, now_s, kept);
    post_kept_free(kept);
    post_kept_free(NULL);
    signing_key_release(&k);
}

static bool signs_kept_or_has_no_memory(void)
{
    struct signing_key k;
    const struct post_ask ask = an_ask();
    struct post_packet p = POST_PACKET_INIT;
    struct post_kept *kept = post_kept_new(3);
    enum status st = signing_key_derive(&k, &creds, STR("eu-west-1"), now_s);
    for (int i = 0; kept && st == ST_OK && i < 2; i++)
        st = post_packet_sign_kept(&p, &ask, &creds, &k, now_s, kept);
    const bool good = kept && st == ST_OK && p.n_fields == ROWS(fields) + 7;
    const bool refused = !kept || st == ST_NO_MEMORY;
    post_kept_free(kept);
    post_packet_release(&p);
    signing_key_release(&k);
    return good || (refused && oom_struck());
}

static bool signs_or_has_no_memory(void)
{
    struct signing_key k;
    const struct post_ask ask = an_ask();
    struct post_packet p = POST_PACKET_INIT;
    enum status st = signing_key_derive(&k, &creds, STR("eu-west-1"), now_s);
    if (st == ST_OK)
        st = post_packet_sign(&p, &ask, &creds, &k, now_s);
    const bool complete = p.n_fields == ROWS(fields) + 7;
    post_packet_release(&p);
    signing_key_release(&k);
    return st == ST_OK ? complete : st == ST_NO_MEMORY && oom_struck() && !complete;
}

static void test_no_memory(void **state)
{
    (void)state;
    oom_torture(signs_or_has_no_memory);
    oom_torture(signs_kept_or_has_no_memory);
}

TEST_MAIN(cmocka_unit_test(test_policy), cmocka_unit_test(test_conditions),
          cmocka_unit_test(test_packet), cmocka_unit_test(test_without_token),
          cmocka_unit_test(test_reuse), cmocka_unit_test(test_values), cmocka_unit_test(test_names),
          cmocka_unit_test(test_limits), cmocka_unit_test(test_small_buffers),
          cmocka_unit_test(test_kept_lengths), cmocka_unit_test(test_kept_changes),
          cmocka_unit_test(test_kept_borders), cmocka_unit_test(test_no_memory))
