/*
 * token_kit - makes keys, JWKs and tokens, good and hostile, with OpenSSL itself; nothing of the
 * code under test signs here. Include after test.h. Texts are malloc'ed; kit_free_all() ends them.
 */
#ifndef PRESIGND_TOKEN_KIT_H
#define PRESIGND_TOKEN_KIT_H

#include <stdio.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "presignd/jwk.h"

enum { KIT_KEPT_MAX = 8192, KIT_SIG_MAX = 1024 };

static const char kit_secret[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

struct kit_keys {
    EVP_PKEY *rsa, *rsa_other, *p256, *p384, *p521, *ed;
};
static struct kit_keys kit;

static void *kit_kept[KIT_KEPT_MAX];
static size_t kit_n_kept;

static inline void *kit_keep(void *p)
{
    assert_non_null(p);
    assert_true(kit_n_kept < KIT_KEPT_MAX);
    kit_kept[kit_n_kept++] = p;
    return p;
}

static inline void kit_free_texts(void)
{
    while (kit_n_kept > 0)
        free(kit_kept[--kit_n_kept]);
}

static inline int kit_start(void **state)
{
    (void)state;
    kit.rsa = EVP_RSA_gen(2048);
    kit.rsa_other = EVP_RSA_gen(2048);
    kit.p256 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    kit.p384 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
    kit.p521 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-521");
    kit.ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    return kit.rsa && kit.rsa_other && kit.p256 && kit.p384 && kit.p521 && kit.ed ? 0 : -1;
}

static inline int kit_end(void **state)
{
    (void)state;
    EVP_PKEY_free(kit.rsa);
    EVP_PKEY_free(kit.rsa_other);
    EVP_PKEY_free(kit.p256);
    EVP_PKEY_free(kit.p384);
    EVP_PKEY_free(kit.p521);
    EVP_PKEY_free(kit.ed);
    kit_free_texts();
    return 0;
}

#define KIT_MAIN(...)                                              \
    int main(void)                                                 \
    {                                                              \
        const struct CMUnitTest tests_[] = { __VA_ARGS__ };        \
        return cmocka_run_group_tests(tests_, kit_start, kit_end); \
    }

/* ---- text --------------------------------------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) static inline char *kit_text(const char *format, ...)
{
    char *out = NULL;
    va_list args;
    va_start(args, format);
    assert_true(vasprintf(&out, format, args) >= 0);
    va_end(args);
    return kit_keep(out);
}

static inline char *kit_b64(const void *bytes, size_t n)
{
    static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const unsigned char *in = bytes;
    char *out = kit_keep(calloc(1, n / 3 * 4 + 5));
    size_t at = 0;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t w = (uint32_t)in[i] << 16;
        w |= i + 1 < n ? (uint32_t)in[i + 1] << 8 : 0;
        w |= i + 2 < n ? in[i + 2] : 0;
        const size_t chars = n - i >= 3 ? 4 : n - i + 1;
        for (size_t c = 0; c < chars; c++)
            out[at++] = abc[w >> (18 - 6 * c) & 63];
    }
    return out;
}

static inline char *kit_b64_text(const char *text)
{
    return kit_b64(text, strlen(text));
}

static inline char *kit_pem(EVP_PKEY *pkey)
{
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PUBKEY(bio, pkey), 1);
    char *data = NULL;
    const long n = BIO_get_mem_data(bio, &data);
    char *out = kit_text("%.*s", (int)n, data);
    BIO_free(bio);
    return out;
}

static inline char *kit_private_pem(EVP_PKEY *pkey)
{
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL), 1);
    char *data = NULL;
    const long n = BIO_get_mem_data(bio, &data);
    char *out = kit_text("%.*s", (int)n, data);
    BIO_free(bio);
    return out;
}

/* ---- JWKs --------------------------------------------------------------------------------------- */

static inline char *kit_bn(EVP_PKEY *pkey, const char *name, int pad)
{
    BIGNUM *bn = NULL;
    unsigned char bytes[2048];
    assert_int_equal(EVP_PKEY_get_bn_param(pkey, name, &bn), 1);
    const int n = pad > 0 ? pad : BN_num_bytes(bn);
    assert_int_equal(BN_bn2binpad(bn, bytes, n), n);
    BN_free(bn);
    return kit_b64(bytes, (size_t)n);
}

/* The members of a public JWK without the braces: "kty":...,... */
static inline char *kit_jwk_members(EVP_PKEY *pkey)
{
    unsigned char raw[32];
    size_t n = sizeof(raw);
    if (EVP_PKEY_is_a(pkey, "RSA"))
        return kit_text("\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"",
                        kit_bn(pkey, OSSL_PKEY_PARAM_RSA_N, 0),
                        kit_bn(pkey, OSSL_PKEY_PARAM_RSA_E, 0));
    if (EVP_PKEY_is_a(pkey, "EC")) {
        const int bits = EVP_PKEY_get_bits(pkey);
        const int bytes = (bits + 7) / 8;
        return kit_text("\"kty\":\"EC\",\"crv\":\"P-%d\",\"x\":\"%s\",\"y\":\"%s\"", bits,
                        kit_bn(pkey, OSSL_PKEY_PARAM_EC_PUB_X, bytes),
                        kit_bn(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, bytes));
    }
    assert_int_equal(EVP_PKEY_get_raw_public_key(pkey, raw, &n), 1);
    return kit_text("\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"", kit_b64(raw, n));
}

/* ---- signatures --------------------------------------------------------------------------------- */

struct kit_sig {
    unsigned char bytes[KIT_SIG_MAX];
    size_t len;
};

/* What a signature is made with; the zero values are what the algorithm asks for. */
struct kit_how {
    int salt_len; /* PSS: 0 the digest's length, else as given (RSA_PSS_SALTLEN_MAX, 8, ...) */
    const EVP_MD *mgf1; /* PSS */
    bool der;           /* ECDSA: leave it as DER */
};

static inline const EVP_MD *kit_digest(unsigned alg)
{
    if (alg & (JWA_HS256 | JWA_RS256 | JWA_PS256 | JWA_ES256))
        return EVP_sha256();
    if (alg & (JWA_HS384 | JWA_RS384 | JWA_PS384 | JWA_ES384))
        return EVP_sha384();
    return alg & JWA_EDDSA ? NULL : EVP_sha512();
}

static inline EVP_PKEY *kit_key_for(unsigned alg)
{
    return alg & JWA_ES256   ? kit.p256
           : alg & JWA_ES384 ? kit.p384
           : alg & JWA_ES512 ? kit.p521
           : alg & JWA_EDDSA ? kit.ed
                             : kit.rsa;
}

static inline void kit_raw_ecdsa(struct kit_sig *sig, int half)
{
    const unsigned char *p = sig->bytes;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &p, (long)sig->len);
    assert_non_null(pair);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(pair), sig->bytes, half), half);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(pair), sig->bytes + half, half), half);
    sig->len = 2 * (size_t)half;
    ECDSA_SIG_free(pair);
}

static inline struct kit_sig kit_sign_with(unsigned alg, EVP_PKEY *pkey, const char *text,
                                           const struct kit_how *how)
{
    struct kit_sig sig = { .len = KIT_SIG_MAX };
    EVP_PKEY_CTX *params = NULL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const EVP_MD *digest = kit_digest(alg);
    assert_int_equal(EVP_DigestSignInit(ctx, &params, digest, NULL, pkey), 1);
    if (alg & (JWA_PS256 | JWA_PS384 | JWA_PS512)) {
        const int salt = how->salt_len ? how->salt_len : RSA_PSS_SALTLEN_DIGEST;
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(params, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(params, salt), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(params, how->mgf1 ? how->mgf1 : digest), 1);
    }
    assert_int_equal(
        EVP_DigestSign(ctx, sig.bytes, &sig.len, (const unsigned char *)text, strlen(text)), 1);
    EVP_MD_CTX_free(ctx);
    if (EVP_PKEY_is_a(pkey, "EC") && !how->der)
        kit_raw_ecdsa(&sig, (EVP_PKEY_get_bits(pkey) + 7) / 8);
    return sig;
}

static inline struct kit_sig kit_hmac(unsigned alg, const char *secret, size_t n, const char *text)
{
    struct kit_sig sig = { 0 };
    unsigned len = 0;
    assert_non_null(HMAC(kit_digest(alg), secret, (int)n, (const unsigned char *)text, strlen(text),
                         sig.bytes, &len));
    sig.len = len;
    return sig;
}

static inline struct kit_sig kit_sign(unsigned alg, const char *text)
{
    static const struct kit_how plain = { 0 };
    if (alg & JWA_HS_ALL)
        return kit_hmac(alg, kit_secret, strlen(kit_secret), text);
    return kit_sign_with(alg, kit_key_for(alg), text, &plain);
}

/* ---- tokens ------------------------------------------------------------------------------------- */

static inline char *kit_signed_text(const char *header, const char *payload)
{
    return kit_text("%s.%s", kit_b64_text(header), kit_b64_text(payload));
}

static inline char *kit_with_sig(const char *text, const struct kit_sig *sig)
{
    return kit_text("%s.%s", text, kit_b64(sig->bytes, sig->len));
}

/* Signed with the right key of that algorithm, whatever header and payload say. */
static inline char *kit_token(unsigned alg, const char *header, const char *payload)
{
    const char *text = kit_signed_text(header, payload);
    const struct kit_sig sig = kit_sign(alg, text);
    return kit_with_sig(text, &sig);
}

#endif
