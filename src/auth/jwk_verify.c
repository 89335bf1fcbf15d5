/*
 * jwk_verify - judges one signature with a key that jwk.c has bound to its algorithms.
 *
 * A no must mean the signature: what OpenSSL could not do for want of memory is ST_NO_MEMORY, for
 * a client throws a refused token away.
 *
 * A fresh EVP_MD_CTX per call costs 2 us of RS256's 20 (OpenSSL 3.0); a kept one would have to be
 * one per key and thread.
 */
#include "presignd/jwk.h"

#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include "jwa.h"

enum { DER_MAX = 3 + 2 * (2 + 1 + COORDINATE_MAX) };

static enum status verdict(bool good)
{
    return good ? ST_OK : ST_INVALID;
}

static enum status judge_hmac(const struct jwk *k, const struct alg *a, struct str text,
                              struct str sig)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (!HMAC(a->digest(), k->secret.ptr, (int)k->secret.len, (const unsigned char *)text.ptr,
              text.len, mac, &len))
        return ST_NO_MEMORY;
    const bool good = crypto_equal(sig, (struct str){ (const char *)mac, len });
    crypto_wipe(mac, sizeof(mac));
    return verdict(good);
}

/* One DER INTEGER of an unsigned number; 0 bytes when the number is zero. */
static size_t der_integer(unsigned char *out, const unsigned char *number, size_t len)
{
    while (len > 0 && *number == 0) {
        number++;
        len--;
    }
    if (len == 0)
        return 0;
    const size_t pad = *number >> 7;
    out[0] = 0x02;
    out[1] = (unsigned char)(len + pad);
    out[2] = 0;
    memcpy(out + 2 + pad, number, len);
    return 2 + pad + len;
}

/* R||S (RFC 7518 section 3.4) as the SEQUENCE that OpenSSL reads; 0 when it is no such pair. */
static size_t der_signature(unsigned char out[DER_MAX], struct str sig, size_t half)
{
    unsigned char numbers[DER_MAX];
    if (sig.len != 2 * half)
        return 0;
    const unsigned char *raw = (const unsigned char *)sig.ptr;
    const size_t r = der_integer(numbers, raw, half);
    const size_t s = r > 0 ? der_integer(numbers + r, raw + half, half) : 0;
    if (s == 0)
        return 0;
    size_t at = 0;
    out[at++] = 0x30;
    if (r + s > 127)
        out[at++] = 0x81;
    out[at++] = (unsigned char)(r + s);
    memcpy(out + at, numbers, r + s);
    return at + r + s;
}

static bool use_pss(EVP_PKEY_CTX *ctx, const EVP_MD *digest)
{
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, digest) == 1;
}

/* Whether OpenSSL speaks of itself; 3.4 and later say one thing of every bad signature, too. */
static bool is_own_failure(unsigned long e)
{
#ifdef EVP_R_PROVIDER_SIGNATURE_FAILURE
    if (ERR_GET_LIB(e) == ERR_LIB_EVP && ERR_GET_REASON(e) == EVP_R_PROVIDER_SIGNATURE_FAILURE)
        return false;
#endif
    return ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE || ERR_GET_LIB(e) == ERR_LIB_EVP;
}

/*
 * After a 0 of OpenSSL, which means either: did it fail by itself? Then there is an error of its
 * allocator or of its inner digests; bad signatures leave none of these, or nothing at all. The
 * queue was emptied before: others on this thread (TLS) leave errors of their own behind.
 */
static bool failed_by_itself(void)
{
    bool found = false;
    for (unsigned long e = ERR_get_error(); e; e = ERR_get_error())
        found = found || is_own_failure(e);
    return found;
}

/* What cannot even begin, or fails below zero, says nothing about the signature. */
static enum status judge_pkey(const struct jwk *k, const struct alg *a, struct str text,
                              struct str sig)
{
    const EVP_MD *digest = a->digest ? a->digest() : NULL;
    EVP_PKEY_CTX *params = NULL; /* belongs to ctx */
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int result = -1;
    ERR_clear_error();
    if (ctx && EVP_DigestVerifyInit(ctx, &params, digest, NULL, k->pkey) == 1 &&
        (a->family != RSA_PSS || use_pss(params, digest))) {
        /* in place: the copies made otherwise cost time, and one that fails looks like a forgery */
        EVP_MD_CTX_set_flags(ctx, EVP_MD_CTX_FLAG_FINALISE);
        result = EVP_DigestVerify(ctx, (const unsigned char *)sig.ptr, sig.len,
                                  (const unsigned char *)text.ptr, text.len);
    }
    EVP_MD_CTX_free(ctx);
    if (result < 0 || (result == 0 && failed_by_itself()))
        return ST_NO_MEMORY;
    return verdict(result == 1);
}

static enum status judge_ecdsa(const struct jwk *k, const struct alg *a, struct str text,
                               struct str sig)
{
    unsigned char der[DER_MAX];
    const size_t len = der_signature(der, sig, a->bytes);
    return len > 0 ? judge_pkey(k, a, text, (struct str){ (const char *)der, len }) : ST_INVALID;
}

/* Without memory Ed25519 says no and leaves no error at all: a no counts when it is said twice. */
static enum status judge_ed25519(const struct jwk *k, const struct alg *a, struct str text,
                                 struct str sig)
{
    const enum status st = judge_pkey(k, a, text, sig);
    return st == ST_INVALID ? judge_pkey(k, a, text, sig) : st;
}

typedef enum status judge_fn(const struct jwk *k, const struct alg *a, struct str text,
                             struct str sig);

/* clang-format off */
static judge_fn *const judges[] = {
    [HMAC_SHA2] = judge_hmac,
    [RSA_PKCS1] = judge_pkey,
    [RSA_PSS]   = judge_pkey,
    [ECDSA]     = judge_ecdsa,
    [ED25519]   = judge_ed25519,
};
/* clang-format on */

enum status jwk_verify(const struct jwk *k, unsigned alg, struct str text, struct str signature)
{
    const struct alg *a = jwa_of(alg);
    if (!a || (k->algs & alg) == 0)
        return ST_INVALID;
    const enum status st = judges[a->family](k, a, text, signature);
    if (st != ST_OK)
        ERR_clear_error();
    return st;
}
