#include "test.h"

#include "oom.h"
#include "token_kit.h"

#include "presignd/keyring.h"

enum { NOW = 1800000000, NOT_HS = ((1 << JWA_KINDS) - 1) & ~JWA_HS_ALL, HOSTILE_MAX = 400 };
enum issuer { URL_KEYS, SECRET, PEM, ONLY_ES, NO_KEYS, ISSUERS };

static const struct str audience = STR_INIT("presignd");

#define COMMON                                                                       \
    .audiences = &audience, .n_audiences = 1, .user_claim = STR_INIT("sub"),         \
    .plan_claim = STR_INIT("plan"), .tenant_claim = STR_INIT("org"), .leeway_s = 30, \
    .max_lifetime_s = 86400

static const struct issuer_config configs[ISSUERS] = {
    [URL_KEYS] = { .issuer = STR_INIT("https://url/"), .algorithms = NOT_HS, COMMON },
    [SECRET] = { .issuer = STR_INIT("https://secret/"), .algorithms = JWA_HS256, COMMON },
    [PEM] = { .issuer = STR_INIT("https://pem/"), .algorithms = JWA_RS256, COMMON },
    [ONLY_ES] = { .issuer = STR_INIT("https://es/"), .algorithms = JWA_ES256, COMMON },
    [NO_KEYS] = { .issuer = STR_INIT("https://none/"), .algorithms = JWA_RS256, COMMON },
};

static struct keyring *ring;
static struct arena scratch = { .limit_bytes = 65536 };

static char *url_jwks(void)
{
    return kit_text("{\"keys\":[{%s,\"kid\":\"rsa\"},{%s,\"kid\":\"p256\"},{%s,\"kid\":\"p384\"},"
                    "{%s,\"kid\":\"p521\"},{%s,\"kid\":\"ed\"},"
                    "{%s,\"kid\":\"rs256\",\"alg\":\"RS256\"}]}",
                    kit_jwk_members(kit.rsa), kit_jwk_members(kit.p256), kit_jwk_members(kit.p384),
                    kit_jwk_members(kit.p521), kit_jwk_members(kit.ed),
                    kit_jwk_members(kit.rsa_other));
}

static struct keyring *ring_new(void)
{
    char space[1024];
    struct buf why = BUF_FIXED(space);
    struct keyring *kr = keyring_new(ISSUERS);
    assert_non_null(kr);
    for (size_t i = 0; i < ISSUERS; i++)
        kr->issuers[i].config = &configs[i];
    kr->issuers[URL_KEYS].can_refetch = kr->issuers[NO_KEYS].can_refetch = true;
    kr->issuers[URL_KEYS].keys = keyset_from_jwks(str_from(url_jwks()), NOT_HS, &why);
    kr->issuers[SECRET].keys = keyset_from_secret(str_from(kit_secret), JWA_HS256, &why);
    kr->issuers[PEM].keys = keyset_from_pem(str_from(kit_pem(kit.rsa)), JWA_RS256, &why);
    kr->issuers[ONLY_ES].keys = keyset_from_pem(str_from(kit_pem(kit.p256)), JWA_ES256, &why);
    for (size_t i = 0; i < NO_KEYS; i++)
        assert_non_null(kr->issuers[i].keys);
    return kr;
}

static int start(void **state)
{
    if (kit_start(state) != 0)
        return -1;
    ring = ring_new();
    return 0;
}

static int end(void **state)
{
    keyring_unref(ring);
    arena_release(&scratch);
    return kit_end(state);
}

static const char *payload_for(enum issuer i)
{
    return kit_text("{\"iss\":\"%.*s\",\"aud\":\"presignd\",\"sub\":\"ann\",\"iat\":%d,\"exp\":%d}",
                    STR_ARGS(configs[i].issuer), NOW - 5, NOW + 300);
}

static const char *header_for(unsigned alg, const char *kid)
{
    return kid ? kit_text("{\"alg\":\"%s\",\"kid\":\"%s\",\"typ\":\"JWT\"}", jwa_name(alg), kid)
               : kit_text("{\"alg\":\"%s\"}", jwa_name(alg));
}

static const char *good_token(unsigned alg, const char *kid, enum issuer i)
{
    return kit_token(alg, header_for(alg, kid), payload_for(i));
}

static enum status judge_text(struct str token, struct principal **out, int *need)
{
    const char *reason = NULL;
    *out = NULL;
    arena_reset(&scratch);
    return keyring_judge(ring, token, NOW, &scratch, out, need, &reason);
}

static enum status judge(const char *token)
{
    struct principal *p;
    int need;
    const enum status st = judge_text(str_from(token), &p, &need);
    assert_true((st == ST_OK) == (p != NULL));
    principal_unref(p);
    return st;
}

static void test_accepted(void **state)
{
    (void)state;
    const struct {
        unsigned alg;
        const char *kid;
        enum issuer issuer;
    } cases[] = {
        { JWA_RS256, "rsa", URL_KEYS },  { JWA_RS384, "rsa", URL_KEYS },
        { JWA_RS512, "rsa", URL_KEYS },  { JWA_PS256, "rsa", URL_KEYS },
        { JWA_PS384, "rsa", URL_KEYS },  { JWA_PS512, "rsa", URL_KEYS },
        { JWA_ES256, "p256", URL_KEYS }, { JWA_ES384, "p384", URL_KEYS },
        { JWA_ES512, "p521", URL_KEYS }, { JWA_EDDSA, "ed", URL_KEYS },
        { JWA_ES256, NULL, URL_KEYS },   { JWA_PS256, NULL, URL_KEYS },
        { JWA_HS256, NULL, SECRET },     { JWA_HS256, "any", SECRET },
        { JWA_RS256, NULL, PEM },        { JWA_RS256, "any", PEM },
        { JWA_ES256, NULL, ONLY_ES },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        const char *name = kit_text("%s kid %s issuer %d", jwa_name(cases[i].alg),
                                    cases[i].kid ? cases[i].kid : "-", cases[i].issuer);
        struct principal *p;
        int need = 5;
        const char *token = good_token(cases[i].alg, cases[i].kid, cases[i].issuer);
        CHECK_EQ(name, judge_text(str_from(token), &p, &need), ST_OK);
        CHECK_EQ(name, need, KEYRING_NO_NEED);
        CHECK_EQ(name, p->issuer_index, cases[i].issuer);
        CHECK_STR(name, p->issuer, configs[cases[i].issuer].issuer);
        principal_unref(p);
    }
}

/* ---- the hostile table -------------------------------------------------------------------------- */

static struct {
    const char *name;
    struct str token;
} hostile[HOSTILE_MAX];
static size_t n_hostile;

static void add(const char *name, const char *token)
{
    assert_true(n_hostile < HOSTILE_MAX);
    hostile[n_hostile].name = name;
    hostile[n_hostile++].token = str_from(token);
}

static void add_sig(const char *name, const char *text, const struct kit_sig *sig)
{
    add(name, kit_with_sig(text, sig));
}

/* A header that says one thing, over a signature that is another. */
static void add_mixed(const char *name, unsigned signed_with, const char *header, enum issuer i)
{
    add(name, kit_token(signed_with, header, payload_for(i)));
}

static void add_confusions(void)
{
    const char *text = kit_signed_text("{\"alg\":\"HS256\"}", payload_for(PEM));
    const char *kid_text =
        kit_signed_text("{\"alg\":\"HS256\",\"kid\":\"rsa\"}", payload_for(URL_KEYS));
    const char *pem = kit_pem(kit.rsa);
    const char *jwk = kit_text("{%s}", kit_jwk_members(kit.rsa));
    struct kit_sig sig = kit_hmac(JWA_HS256, pem, strlen(pem), text);
    add_sig("HS256 over the public PEM", text, &sig);
    sig = kit_hmac(JWA_HS256, pem, strlen(pem) - 1, text);
    add_sig("HS256 over the public PEM without newline", text, &sig);
    sig = kit_hmac(JWA_HS256, pem, strlen(pem), kid_text);
    add_sig("HS256 over the public PEM, by kid", kid_text, &sig);
    sig = kit_hmac(JWA_HS256, jwk, strlen(jwk), kid_text);
    add_sig("HS256 over the JWK", kid_text, &sig);
    sig = kit_hmac(JWA_HS256, "", 0, text);
    add_sig("HS256 over nothing", text, &sig);
    const char *secret_text = kit_signed_text("{\"alg\":\"HS256\"}", payload_for(SECRET));
    sig = kit_hmac(JWA_HS256, "", 0, secret_text);
    add_sig("empty secret", secret_text, &sig);
    sig = kit_hmac(JWA_HS256, "secret", 6, secret_text);
    add_sig("another secret", secret_text, &sig);
    sig = kit_hmac(JWA_HS256, kit_secret, 32, secret_text);
    add_sig("half of the secret", secret_text, &sig);
    sig = kit_hmac(JWA_HS512, kit_secret, 64, secret_text);
    add_sig("HS256 says the header, HS512 is the signature", secret_text, &sig);
    add_mixed("HS384 at an HS256 issuer", JWA_HS384, "{\"alg\":\"HS384\"}", SECRET);
    add_mixed("HS512 at an HS256 issuer", JWA_HS512, "{\"alg\":\"HS512\"}", SECRET);
    add_mixed("RS256 at a secret's issuer", JWA_RS256, "{\"alg\":\"RS256\"}", SECRET);
    add_mixed("HS256 at a PEM's issuer", JWA_HS256, "{\"alg\":\"HS256\"}", PEM);
    add_mixed("RS384 at an RS256 issuer", JWA_RS384, "{\"alg\":\"RS384\"}", PEM);
    add_mixed("PS256 at an RS256 issuer", JWA_PS256, "{\"alg\":\"PS256\"}", PEM);
    add_mixed("PS256 signature under RS256", JWA_PS256, "{\"alg\":\"RS256\"}", PEM);
    add_mixed("RS256 signature under PS256", JWA_RS256, "{\"alg\":\"PS256\",\"kid\":\"rsa\"}",
              URL_KEYS);
    add_mixed("RS256 signature under RS384", JWA_RS256, "{\"alg\":\"RS384\",\"kid\":\"rsa\"}",
              URL_KEYS);
    add_mixed("kid bound to RS256, used for PS256", JWA_PS256,
              "{\"alg\":\"PS256\",\"kid\":\"rs256\"}", URL_KEYS);
    add_mixed("kid of another key", JWA_RS256, "{\"alg\":\"RS256\",\"kid\":\"rs256\"}", URL_KEYS);
    add_mixed("kid of another type", JWA_RS256, "{\"alg\":\"RS256\",\"kid\":\"p256\"}", URL_KEYS);
    add_mixed("ES256 with the P-384 key", JWA_ES384, "{\"alg\":\"ES256\",\"kid\":\"p384\"}",
              URL_KEYS);
    add_mixed("ES384 with the P-256 key", JWA_ES256, "{\"alg\":\"ES384\",\"kid\":\"p256\"}",
              URL_KEYS);
    add_mixed("EdDSA with the P-256 key", JWA_ES256, "{\"alg\":\"EdDSA\",\"kid\":\"p256\"}",
              URL_KEYS);
    add_mixed("ES256 with the Ed25519 key", JWA_EDDSA, "{\"alg\":\"ES256\",\"kid\":\"ed\"}",
              URL_KEYS);
    add_mixed("ES384 at an ES256 issuer", JWA_ES384, "{\"alg\":\"ES384\"}", ONLY_ES);
    add_mixed("no kid where two keys fit", JWA_RS256, "{\"alg\":\"RS256\"}", URL_KEYS);
    add_mixed("unknown kid", JWA_RS256, "{\"alg\":\"RS256\",\"kid\":\"nobody\"}", URL_KEYS);
    add_mixed("kid with a path", JWA_RS256, "{\"alg\":\"RS256\",\"kid\":\"../../dev/null\"}",
              URL_KEYS);
    add_mixed("kid with SQL", JWA_RS256, "{\"alg\":\"RS256\",\"kid\":\"' or 1=1 --\"}", URL_KEYS);
    add_mixed("another issuer's keys", JWA_HS256, "{\"alg\":\"HS256\"}", URL_KEYS);
    add_mixed("one issuer's token under another's name", JWA_RS256,
              "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", ONLY_ES);
}

static void add_foreign_keys(void)
{
    static const struct kit_how plain = { 0 }, as_der = { .der = true }, salt8 = { .salt_len = 8 };
    const struct kit_how max_salt = { .salt_len = RSA_PSS_SALTLEN_MAX };
    const char *jwk = kit_text("{%s}", kit_jwk_members(kit.rsa_other));
    const char *embedded = kit_text("{\"alg\":\"RS256\",\"kid\":\"rsa\",\"jwk\":%s}", jwk);
    const char *text = kit_signed_text(embedded, payload_for(URL_KEYS));
    struct kit_sig sig = kit_sign_with(JWA_RS256, kit.rsa_other, text, &plain);
    add_sig("key in the header (jwk)", text, &sig);
    text = kit_signed_text("{\"alg\":\"RS256\",\"kid\":\"rsa\",\"jku\":\"http://evil/\"}",
                           payload_for(URL_KEYS));
    sig = kit_sign_with(JWA_RS256, kit.rsa_other, text, &plain);
    add_sig("key by URL (jku)", text, &sig);
    text = kit_signed_text("{\"alg\":\"RS256\"}", payload_for(PEM));
    sig = kit_sign_with(JWA_RS256, kit.rsa_other, text, &plain);
    add_sig("signed by another RSA key", text, &sig);

    text = kit_signed_text("{\"alg\":\"ES256\",\"kid\":\"p256\"}", payload_for(URL_KEYS));
    sig = kit_sign_with(JWA_ES256, kit.p256, text, &as_der);
    add_sig("ECDSA as DER", text, &sig);
    sig = kit_sign(JWA_ES256, text);
    memset(sig.bytes, 0, 64);
    add_sig("ECDSA of zeros (CVE-2022-21449)", text, &sig);
    sig = kit_sign(JWA_ES256, text);
    memset(sig.bytes, 0, 32);
    add_sig("ECDSA r zero", text, &sig);
    sig = kit_sign(JWA_ES256, text);
    memset(sig.bytes + 32, 0, 32);
    add_sig("ECDSA s zero", text, &sig);
    sig = kit_sign(JWA_ES256, text);
    sig.len = 63;
    add_sig("ECDSA cut", text, &sig);
    sig.len = 32;
    add_sig("ECDSA only r", text, &sig);
    sig.len = 65;
    add_sig("ECDSA one byte more", text, &sig);
    sig.len = 1;
    add_sig("ECDSA one byte", text, &sig);

    text = kit_signed_text("{\"alg\":\"PS256\",\"kid\":\"rsa\"}", payload_for(URL_KEYS));
    sig = kit_sign_with(JWA_PS256, kit.rsa, text, &salt8);
    add_sig("PSS with a short salt", text, &sig);
    sig = kit_sign_with(JWA_PS256, kit.rsa, text, &max_salt);
    add_sig("PSS with the longest salt", text, &sig);
}

static void add_bytes_changed(void)
{
    static const struct {
        const char *name;
        unsigned alg;
        const char *kid;
    } makes[] = {
        { "RS256", JWA_RS256, "rsa" },  { "PS256", JWA_PS256, "rsa" },
        { "ES256", JWA_ES256, "p256" }, { "ES512", JWA_ES512, "p521" },
        { "EdDSA", JWA_EDDSA, "ed" },
    };
    for (size_t i = 0; i < ROWS(makes); i++) {
        const char *name = makes[i].name;
        char *good = kit_text("%s", good_token(makes[i].alg, makes[i].kid, URL_KEYS));
        CHECK_EQ(name, judge(good), ST_OK);
        char *dot = strchr(good, '.'), *last = strrchr(good, '.');
        char *flipped = kit_text("%s", good);
        flipped[last - good + 5] ^= 1;
        add(kit_text("%s, signature bit", name), flipped);
        char *payload = kit_text("%s", good);
        payload[dot - good + 12] = payload[dot - good + 12] == 'A' ? 'B' : 'A';
        add(kit_text("%s, payload changed", name), payload);
        add(kit_text("%s, signature cut", name), kit_text("%.*s", (int)strlen(good) - 4, good));
        add(kit_text("%s, signature gone", name), kit_text("%.*s", (int)(last - good) + 1, good));
        add(kit_text("%s, last dot gone", name), kit_text("%.*s", (int)(last - good), good));
        add(kit_text("%s, signature longer", name), kit_text("%sAAAA", good));
        add(kit_text("%s, signature twice", name), kit_text("%s%s", good, last + 1));
        add(kit_text("%s, padded", name), kit_text("%s==", good));
        add(kit_text("%s, a dot more", name), kit_text("%s.", good));
        add(kit_text("%s, a blank more", name), kit_text("%s ", good));
        add(kit_text("%s, a newline more", name), kit_text("%s\n", good));
        add(kit_text("%s, a blank before", name), kit_text(" %s", good));
        add(kit_text("%s, payload swapped", name),
            kit_text("%.*s.%s%s", (int)(dot - good), good,
                     kit_b64_text("{\"iss\":\"https://url/"
                                  "\",\"aud\":\"presignd\",\"sub\":\"root\",\"exp\":1800000300}"),
                     last));
    }
}

static void add_spare_bits(void)
{
    char *hs = kit_text("%s", good_token(JWA_HS256, NULL, SECRET));
    char *last_char = hs + strlen(hs) - 1; /* 32 bytes: 43 chars, the last has two spare bits */
    static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const size_t at = (size_t)(strchr(abc, *last_char) - abc);
    assert_int_equal(at & 3, 0);
    for (size_t bits = 1; bits < 4; bits++) {
        *last_char = abc[at | bits];
        add(kit_text("HS256, spare bits %zu", bits), kit_text("%s", hs));
    }
    add("plain JSON", "{\"alg\":\"none\"}");
    add("empty", "");
    add("two dots", "..");
}

static void add_headers(void)
{
    static const char *const headers[] = {
        "{}",
        "[]",
        "{\"alg\":\"none\"}",
        "{\"alg\":\"None\"}",
        "{\"alg\":\"NONE\"}",
        "{\"alg\":\"\"}",
        "{\"alg\":null}",
        "{\"alg\":true}",
        "{\"alg\":\"rs256\"}",
        "{\"alg\":\"RS256\\u0000\"}",
        "{\"alg\":[\"RS256\"]}",
        "{\"alg\":\"RS256\",\"alg\":\"RS256\"}",
        "{\"alg\":\"RS256\",\"crit\":[\"b64\"],\"b64\":false}",
        "{\"alg\":\"RS256\",\"crit\":[]}",
        "{\"alg\":\"RS256\",\"b64\":true}",
        "{\"alg\":\"RS256\",\"zip\":\"DEF\"}",
        "{\"alg\":\"RS256\",\"cty\":\"JWT\"}",
        "{\"alg\":\"RS256\",\"typ\":\"JWE\"}",
        "{\"alg\":\"RS256\",\"typ\":\"dpop+jwt\"}",
        "{\"alg\":\"RS256\",\"kid\":\"\"}",
        "{\"alg\":\"RS256\",\"kid\":0}",
        "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"kid\":\"rsa\"}",
        "{\"alg\":\"RS256\"} x",
        "{\"alg\":\"RS256\",\"a\":1e999}",
        "{\"alg\":\"RS256\",\"a\":[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]}",
    };
    for (size_t i = 0; i < ROWS(headers); i++)
        add(headers[i], kit_token(JWA_RS256, headers[i], payload_for(PEM)));
    add("none without a signature",
        kit_text("%s.", kit_signed_text("{\"alg\":\"none\"}", payload_for(PEM))));
}

/* Well signed; what they say is what is wrong. */
static void add_payloads(void)
{
#define ISS "\"iss\":\"https://pem/\","
#define AUD "\"aud\":\"presignd\","
#define SUB "\"sub\":\"ann\","
#define EXP "\"exp\":1800000300"
    static const char *const payloads[] = {
        "{}",
        "[]",
        "{" ISS AUD SUB "\"exp\":1}",
        "{" ISS AUD SUB "\"exp\":1799999970}",
        "{" ISS AUD SUB "\"exp\":1799999970.99}",
        "{" ISS AUD SUB "\"exp\":\"1800000300\"}",
        "{" ISS AUD SUB "\"exp\":null}",
        "{" ISS AUD "\"sub\":\"ann\"}",
        "{" ISS AUD SUB "\"exp\":1e18}",
        "{" ISS AUD SUB "\"exp\":1e400}",
        "{" ISS AUD SUB "\"exp\":99999999999999999999}",
        "{" ISS AUD SUB "\"exp\":1800086431}",
        "{" ISS AUD SUB "\"exp\":1800000300000}",
        "{" ISS AUD SUB EXP ",\"nbf\":1800000031}",
        "{" ISS AUD SUB EXP ",\"nbf\":\"0\"}",
        "{" ISS AUD SUB EXP ",\"iat\":1800000031}",
        "{" ISS AUD SUB EXP ",\"iat\":0}",
        "{" ISS AUD SUB EXP ",\"iat\":[]}",
        "{" ISS SUB EXP "}",
        "{" ISS SUB "\"aud\":\"other\"," EXP "}",
        "{" ISS SUB "\"aud\":[]," EXP "}",
        "{" ISS SUB "\"aud\":[\"presignd\",{}]," EXP "}",
        "{" ISS SUB "\"aud\":\"presignd \"," EXP "}",
        "{" ISS AUD EXP "}",
        "{" ISS AUD "\"sub\":\"\"," EXP "}",
        "{" ISS AUD "\"sub\":7," EXP "}",
        "{" ISS AUD "\"sub\":\"a\\u0000b\"," EXP "}",
        "{" ISS AUD "\"sub\":\"a\\nb\"," EXP "}",
        "{" ISS AUD SUB "\"sub\":\"root\"," EXP "}",
        "{" ISS AUD SUB "\"s\\u0075b\":\"root\"," EXP "}",
        "{" AUD SUB EXP "}",
        "{\"iss\":\"https://pem\"," AUD SUB EXP "}",
        "{\"iss\":\"https://unknown/\"," AUD SUB EXP "}",
        "{\"iss\":[\"https://pem/\"]," AUD SUB EXP "}",
        "{\"iss\":\"\"," AUD SUB EXP "}",
        "{\"iss\":null," AUD SUB EXP "}",
        "{" ISS AUD SUB EXP ",\"a\":[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]}",
        "{" ISS AUD SUB EXP "}}",
        "{" ISS AUD SUB EXP ",\"a\":\"\xff\"}",
    };
    for (size_t i = 0; i < ROWS(payloads); i++)
        add(payloads[i], kit_token(JWA_RS256, "{\"alg\":\"RS256\"}", payloads[i]));
    char *huge = kit_keep(malloc(9001));
    memset(huge, 'x', 9000);
    huge[9000] = '\0';
    add("over 8 KiB", kit_token(JWA_RS256, "{\"alg\":\"RS256\"}",
                                kit_text("{" ISS AUD SUB EXP ",\"a\":\"%s\"}", huge)));
    CHECK_EQ("the same, plain",
             judge(kit_token(JWA_RS256, "{\"alg\":\"RS256\"}", "{" ISS AUD SUB EXP "}")), ST_OK);
}

static void test_hostile(void **state)
{
    (void)state;
    add_confusions();
    add_foreign_keys();
    add_bytes_changed();
    add_spare_bits();
    add_headers();
    add_payloads();
    assert_true(n_hostile >= 100);
    for (size_t i = 0; i < n_hostile; i++) {
        struct principal *p;
        int need;
        CHECK_EQ(hostile[i].name, judge_text(hostile[i].token, &p, &need), ST_INVALID_TOKEN);
        CHECK(hostile[i].name, !p);
    }
}

/* ---- what a fetch might mend -------------------------------------------------------------------- */

static void test_need(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *name;
        enum issuer issuer;
        const char *kid;
        bool failed;
        int64_t refetch_after_s;
        enum status want;
        int need;
    } cases[] = {
        { "known kid",                    URL_KEYS, "rsa",    false, 0,          ST_OK,               -1 },
        { "known kid in an outage",       URL_KEYS, "rsa",    true,  0,          ST_OK,               -1 },
        { "unknown kid",                  URL_KEYS, "nobody", false, 0,          ST_INVALID_TOKEN,    URL_KEYS },
        { "unknown kid, just allowed",    URL_KEYS, "nobody", false, NOW,        ST_INVALID_TOKEN,    URL_KEYS },
        { "unknown kid, cooling",         URL_KEYS, "nobody", false, NOW + 1,    ST_INVALID_TOKEN,    -1 },
        { "unknown kid, cooling longest", URL_KEYS, "nobody", false, NOW + 30,   ST_INVALID_TOKEN,    -1 },
        { "the request came before",      URL_KEYS, "nobody", false, NOW + 31,   ST_INVALID_TOKEN,    -1 },
        { "and waited long",              URL_KEYS, "nobody", false, NOW + 60,   ST_INVALID_TOKEN,    -1 },
        { "the clock was set back",       URL_KEYS, "nobody", false, NOW + 61,   ST_INVALID_TOKEN,    URL_KEYS },
        { "unknown kid in an outage",     URL_KEYS, "nobody", true,  0,          ST_KEYS_UNAVAILABLE, URL_KEYS },
        { "the same, cooling",            URL_KEYS, "nobody", true,  NOW + 9,    ST_KEYS_UNAVAILABLE, -1 },
        { "kid of another type",          URL_KEYS, "p256",   true,  0,          ST_INVALID_TOKEN,    -1 },
        { "no kid, two fit",              URL_KEYS, NULL,     true,  0,          ST_INVALID_TOKEN,    -1 },
        { "no keys yet",                  NO_KEYS,  "rsa",    false, 0,          ST_KEYS_UNAVAILABLE, NO_KEYS },
        { "no keys yet, cooling",         NO_KEYS,  "rsa",    true,  NOW + 9,    ST_KEYS_UNAVAILABLE, -1 },
        { "no keys yet, no kid",          NO_KEYS,  NULL,     true,  0,          ST_KEYS_UNAVAILABLE, NO_KEYS },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct key_state *s = &ring->issuers[cases[i].issuer];
        struct principal *p;
        int need = 99;
        s->last_fetch_failed = cases[i].failed;
        s->refetch_after_s = cases[i].refetch_after_s;
        const char *token = good_token(JWA_RS256, cases[i].kid, cases[i].issuer);
        CHECK_EQ(cases[i].name, judge_text(str_from(token), &p, &need), cases[i].want);
        CHECK_EQ(cases[i].name, need, cases[i].need);
        principal_unref(p);
        s->last_fetch_failed = false;
        s->refetch_after_s = 0;
    }
}

static void test_no_need_for_bad_tokens(void **state)
{
    (void)state;
    const char *header = "{\"alg\":\"RS256\",\"kid\":\"nobody\"}";
    const struct {
        const char *name, *token;
    } cases[] = {
        { "expired",
          kit_token(JWA_RS256, header, "{\"iss\":\"https://url/\",\"exp\":1799999000}") },
        { "unknown issuer", kit_token(JWA_RS256, header, "{\"iss\":\"https://x/\"}") },
        { "other algorithm",
          kit_token(JWA_HS256, "{\"alg\":\"HS256\",\"kid\":\"nobody\"}", payload_for(URL_KEYS)) },
        { "no keys and expired",
          kit_token(JWA_RS256, header, "{\"iss\":\"https://none/\",\"exp\":1799999000}") },
        { "static keys",
          kit_token(JWA_ES256, "{\"alg\":\"ES256\",\"kid\":\"nobody\"}", payload_for(PEM)) },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct principal *p;
        int need = 99;
        CHECK_EQ(cases[i].name, judge_text(str_from(cases[i].token), &p, &need), ST_INVALID_TOKEN);
        CHECK_EQ(cases[i].name, need, KEYRING_NO_NEED);
    }
}

static int owners_freed;

static void owner_gone(void *owner)
{
    assert_ptr_equal(owner, &owners_freed);
    owners_freed++;
}

static void test_life(void **state)
{
    (void)state;
    assert_null(keyring_new(KEYRING_ISSUERS_MAX + 1));
    struct keyring *kr = keyring_new(0);
    assert_non_null(kr);
    kr->owner = &owners_freed;
    kr->owner_unref = owner_gone;
    assert_ptr_equal(keyring_ref(kr), kr);
    keyring_unref(kr);
    assert_int_equal(owners_freed, 0);
    keyring_unref(kr);
    assert_int_equal(owners_freed, 1);
    keyring_unref(NULL);
}

/* ---- memory that fails -------------------------------------------------------------------------- */

static const char *oom_token;
static enum status oom_want;

static bool judged_under_pressure(void)
{
    struct arena a = { .limit_bytes = 65536 };
    struct principal *p = NULL;
    const char *reason;
    int need;
    const enum status st = keyring_judge(ring, str_from(oom_token), NOW, &a, &p, &need, &reason);
    const bool accepted = p != NULL;
    principal_unref(p);
    arena_release(&a);
    if (accepted != (st == ST_OK) || (accepted && oom_want != ST_OK))
        return false;
    return st == oom_want || (oom_struck() && st != ST_OK);
}

static void torture(const char *token, enum status want)
{
    oom_token = token;
    oom_want = want;
    assert_int_equal(judge(token), want);
    oom_torture(judged_under_pressure);
}

static void test_oom_good(void **state)
{
    (void)state;
    torture(good_token(JWA_RS256, "rsa", URL_KEYS), ST_OK);
    torture(good_token(JWA_PS384, "rsa", URL_KEYS), ST_OK);
    torture(good_token(JWA_ES256, "p256", URL_KEYS), ST_OK);
    torture(good_token(JWA_EDDSA, "ed", URL_KEYS), ST_OK);
    torture(good_token(JWA_HS256, NULL, SECRET), ST_OK);
}

static void test_oom_bad(void **state)
{
    (void)state;
    static const struct kit_how plain = { 0 };
    const char *text = kit_signed_text("{\"alg\":\"RS256\"}", payload_for(PEM));
    struct kit_sig sig = kit_sign_with(JWA_RS256, kit.rsa_other, text, &plain);
    torture(kit_with_sig(text, &sig), ST_INVALID_TOKEN);
    text = kit_signed_text("{\"alg\":\"HS256\"}", payload_for(SECRET));
    sig = kit_hmac(JWA_HS256, "secret", 6, text);
    torture(kit_with_sig(text, &sig), ST_INVALID_TOKEN);
    text = kit_signed_text("{\"alg\":\"ES256\"}", payload_for(ONLY_ES));
    sig = kit_sign(JWA_ES256, text);
    sig.bytes[7] ^= 1;
    torture(kit_with_sig(text, &sig), ST_INVALID_TOKEN);
    torture(kit_token(JWA_RS256, "{\"alg\":\"none\"}", payload_for(PEM)), ST_INVALID_TOKEN);
    torture(kit_token(JWA_RS256, "{\"alg\":\"RS256\"}",
                      "{\"iss\":\"https://pem/\",\"aud\":\"presignd\",\"sub\":\"a\",\"exp\":1}"),
            ST_INVALID_TOKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted), cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_need),     cmocka_unit_test(test_no_need_for_bad_tokens),
        cmocka_unit_test(test_life),     cmocka_unit_test(test_oom_good),
        cmocka_unit_test(test_oom_bad),
    };
    return cmocka_run_group_tests(tests, start, end);
}
