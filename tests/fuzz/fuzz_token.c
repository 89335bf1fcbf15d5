/*
 * The gate and the judgement. The first byte chooses: the rest is a token as it comes; or it is
 * header LF payload, put into base64url so that the fuzzer gets to the JSON, with a signature that
 * is junk, or right. Nobody gets in without a right signature; who gets in has a clean name.
 */
#include <stdlib.h>
#include <string.h>

#include "presignd/encode.h"
#include "presignd/keyring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1800000000, ARENA_MAX = 65536, TEXT_MAX = 16384 };
enum mode { RAW, JUNK_SIGNATURE, SIGNED, MODES };

static const char secret[] = "0123456789abcdef0123456789abcdef";
static const struct str audience = STR_INIT("a");
static const struct issuer_config config = {
    .issuer = STR_INIT("i"),
    .audiences = &audience,
    .n_audiences = 1,
    .algorithms = JWA_HS256,
    .user_claim = STR_INIT("sub"),
    .plan_claim = STR_INIT("plan"),
    .tenant_claim = STR_INIT("org"),
    .leeway_s = 30,
    .max_lifetime_s = 86400,
};

static void must(bool promise)
{
    if (!promise)
        abort();
}

static struct keyring *ring(void)
{
    static struct keyring *kr;
    if (kr)
        return kr;
    char space[256];
    struct buf why = BUF_FIXED(space);
    kr = keyring_new(1);
    must(kr != NULL);
    kr->issuers[0].config = &config;
    kr->issuers[0].keys = keyset_from_secret(str_from(secret), JWA_HS256, &why);
    must(kr->issuers[0].keys != NULL);
    return kr;
}

static void sign(struct buf *text)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    size_t len = 0;
    must(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, secret, strlen(secret),
                   (const unsigned char *)text->ptr, text->len, mac, sizeof(mac), &len) != NULL);
    buf_lit(text, ".");
    encode_base64url(text, (struct str){ (const char *)mac, len });
}

static void build(struct buf *token, enum mode mode, struct str in)
{
    if (mode == RAW) {
        buf_str(token, in);
        return;
    }
    const size_t line = str_find(in, '\n', 0);
    encode_base64url(token, str_slice(in, 0, line));
    buf_lit(token, ".");
    encode_base64url(token, str_slice(in, line + 1, in.len));
    if (mode == SIGNED)
        sign(token);
    else
        buf_lit(token, ".QUJD");
}

static void check_parts(struct str token)
{
    AUTO(arena) a = ARENA_INIT(ARENA_MAX);
    struct token t;
    const char *reason = NULL;
    const enum status st = token_parse(&t, token, &a, &reason);
    must(st == ST_OK || reason != NULL);
    if (st != ST_OK)
        return;
    must(jwa_from_name(str_from(jwa_name(t.alg))) == t.alg && t.alg != 0);
    must(t.has_kid == (t.kid.len > 0) && t.kid.len <= KID_MAX);
    must(t.signature.len > 0 && json_is_object(t.claims));
    must(token.len <= TOKEN_BYTES_MAX && str_starts(token, t.signed_text));

    AUTO(buf) again = BUF_INIT(TEXT_MAX);
    buf_str(&again, t.signed_text);
    buf_lit(&again, ".");
    encode_base64url(&again, t.signature);
    must(str_equal(buf_view(&again), token));
    token_release(&t);
}

static void check_judgement(struct str token, enum mode mode)
{
    AUTO(arena) a = ARENA_INIT(ARENA_MAX);
    struct principal *p = NULL;
    const char *reason = NULL;
    int need = 0;
    const enum status st = keyring_judge(ring(), token, NOW, &a, &p, &need, &reason);
    must((st == ST_OK) == (p != NULL) && need == KEYRING_NO_NEED);
    must(st == ST_OK || (st == ST_INVALID_TOKEN && reason));
    if (!p)
        return;
    must(mode != JUNK_SIGNATURE);
    must(p->user.len > 0 && p->user.len <= 255 && str_valid_utf8(p->user));
    for (size_t i = 0; i < p->user.len; i++)
        must((unsigned char)p->user.ptr[i] >= 0x20 && p->user.ptr[i] != 0x7f);
    must(claims_still_good(p, NOW) && p->expires_at_s <= NOW + 86400 + 60);
    principal_unref(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > TEXT_MAX / 2)
        return 0;
    const enum mode mode = data[0] % MODES;
    AUTO(buf) token = BUF_INIT(TEXT_MAX);
    build(&token, mode, (struct str){ (const char *)data + 1, size - 1 });
    if (buf_check(&token) != ST_OK)
        return 0;
    check_parts(buf_view(&token));
    check_judgement(buf_view(&token), mode);
    return 0;
}
