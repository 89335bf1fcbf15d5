/*
 * jwk - verification keys by OpenSSL, parsed once.
 *
 * What a key may verify is decided here, at load, from its type and curve; jwk_verify() only looks
 * the answer up. So a token cannot choose: no HMAC over a public key's text, no PSS where PKCS#1 was
 * meant, no P-384 key for ES256.
 */
#include "presignd/jwk.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include "jwa.h"
#include "presignd/encode.h"

enum {
    RSA_BITS_MIN = 2048,
    RSA_BITS_MAX = 8192,
    EXPONENT_BITS_MAX = 32,
    ED25519_BYTES = 32,
    SECRET_MIN = 32,
    PROBE_BYTES = 65536,
};

/* clang-format off */
static const struct alg algs[JWA_KINDS] = { /* in the order of enum jwa */
    { "HS256", HMAC_SHA2, EVP_sha256, 32, NULL,    NULL         },
    { "HS384", HMAC_SHA2, EVP_sha384, 48, NULL,    NULL         },
    { "HS512", HMAC_SHA2, EVP_sha512, 64, NULL,    NULL         },
    { "RS256", RSA_PKCS1, EVP_sha256, 0,  NULL,    NULL         },
    { "RS384", RSA_PKCS1, EVP_sha384, 0,  NULL,    NULL         },
    { "RS512", RSA_PKCS1, EVP_sha512, 0,  NULL,    NULL         },
    { "PS256", RSA_PSS,   EVP_sha256, 0,  NULL,    NULL         },
    { "PS384", RSA_PSS,   EVP_sha384, 0,  NULL,    NULL         },
    { "PS512", RSA_PSS,   EVP_sha512, 0,  NULL,    NULL         },
    { "ES256", ECDSA,     EVP_sha256, 32, "P-256", "prime256v1" },
    { "ES384", ECDSA,     EVP_sha384, 48, "P-384", "secp384r1"  },
    { "ES512", ECDSA,     EVP_sha512, 66, "P-521", "secp521r1"  },
    { "EdDSA", ED25519,   NULL,       0,  NULL,    NULL         },
};
/* clang-format on */

const struct alg *jwa_of(unsigned one_alg)
{
    for (size_t i = 0; i < JWA_KINDS; i++) {
        if (one_alg == 1U << i)
            return &algs[i];
    }
    return NULL;
}

unsigned jwa_from_name(struct str name)
{
    for (size_t i = 0; i < JWA_KINDS; i++) {
        if (str_equal(name, str_from(algs[i].name)))
            return 1U << i;
    }
    return 0;
}

const char *jwa_name(unsigned one_alg)
{
    const struct alg *a = jwa_of(one_alg);
    return a ? a->name : "none";
}

/* Every algorithm of a family, for ECDSA of one group only. */
static unsigned family_set(enum family family, const char *group)
{
    unsigned set = 0;
    for (size_t i = 0; i < JWA_KINDS; i++) {
        if (algs[i].family == family && (!group || strcmp(group, algs[i].group) == 0))
            set |= 1U << i;
    }
    return set;
}

void jwk_release(struct jwk *k)
{
    EVP_PKEY_free(k->pkey);
    k->pkey = NULL;
    secret_release(&k->secret);
    k->algs = 0;
}

static enum status refuse(struct buf *why, struct str sentence)
{
    buf_str(why, sentence);
    return ST_INVALID;
}

/* For want of memory, or because the key is bad: OpenSSL seldom says which. See settled(). */
static enum status openssl_refused(struct buf *why, struct str sentence)
{
    ERR_clear_error();
    return refuse(why, sentence);
}

/* ---- binding a parsed public key to algorithms -------------------------------------------------- */

static bool rsa_numbers_ok(const BIGNUM *n, const BIGNUM *e)
{
    const int bits = BN_num_bits(n);
    return bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX && BN_is_odd(n) && BN_is_odd(e) &&
           !BN_is_one(e) && BN_num_bits(e) <= EXPONENT_BITS_MAX;
}

static enum status rsa_check(const EVP_PKEY *pkey, struct buf *why)
{
    BIGNUM *n = NULL, *e = NULL;
    const bool had = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
                     EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1;
    const bool ok = had && rsa_numbers_ok(n, e);
    BN_free(n);
    BN_free(e);
    if (!had)
        return openssl_refused(why, STR("its RSA numbers cannot be read"));
    return ok ? ST_OK : refuse(why, STR("RSA needs 2048 to 8192 bits and an odd exponent from 3"));
}

static enum status ec_check(EVP_PKEY *pkey, unsigned *out_fits, struct buf *why)
{
    char group[64];
    size_t len = 0;
    if (EVP_PKEY_get_group_name(pkey, group, sizeof(group), &len) != 1)
        return openssl_refused(why, STR("its curve has no name"));
    *out_fits = family_set(ECDSA, group);
    if (*out_fits == 0)
        return refuse(why, STR("its curve is none of P-256, P-384, P-521"));

    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    const bool on_curve = ctx && EVP_PKEY_public_check_quick(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    return on_curve ? ST_OK : openssl_refused(why, STR("its point is not on the curve"));
}

/* The algorithms that the key's type, size and curve admit. */
static enum status fitting(EVP_PKEY *pkey, unsigned *out_fits, struct buf *why)
{
    if (EVP_PKEY_is_a(pkey, "RSA")) {
        *out_fits = family_set(RSA_PKCS1, NULL) | family_set(RSA_PSS, NULL);
        return rsa_check(pkey, why);
    }
    if (EVP_PKEY_is_a(pkey, "EC"))
        return ec_check(pkey, out_fits, why);
    *out_fits = JWA_EDDSA;
    return EVP_PKEY_is_a(pkey, "ED25519") ? ST_OK
                                          : refuse(why, STR("it is not RSA, EC or Ed25519"));
}

/* Takes pkey, on failure too. */
static enum status bind(struct jwk *out, EVP_PKEY *pkey, unsigned allowed, struct buf *why)
{
    unsigned fits = 0;
    enum status st = fitting(pkey, &fits, why);
    if (st == ST_OK && (fits & allowed) == 0)
        st = refuse(why, STR("it fits none of the configured algorithms"));
    if (st != ST_OK) {
        EVP_PKEY_free(pkey);
        return st;
    }
    out->pkey = pkey;
    out->algs = fits & allowed;
    return ST_OK;
}

/* ---- JWK ---------------------------------------------------------------------------------------- */

static struct str member_text(json_t *jwk, const char *name)
{
    json_t *v = json_object_get(jwk, name);
    return json_is_string(v) ? (struct str){ json_string_value(v), json_string_length(v) }
                             : STR_NONE;
}

/* RFC 7517 section 4.3: operations are distinct; we only want to know of "verify". */
static bool ops_allow_verify(json_t *ops)
{
    if (!ops)
        return true;
    size_t i;
    json_t *op;
    json_array_foreach(ops, i, op)
    {
        if (json_is_string(op) && strcmp(json_string_value(op), "verify") == 0)
            return true;
    }
    return false;
}

static bool holds_private(json_t *jwk)
{
    static const char *const members[] = { "d", "p", "q", "dp", "dq", "qi", "oth", "k" };
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        if (json_object_get(jwk, members[i]))
            return true;
    }
    return false;
}

static enum status check_purpose(json_t *jwk, struct buf *why)
{
    if (!json_is_object(jwk))
        return refuse(why, STR("it is no JSON object"));
    if (holds_private(jwk))
        return refuse(why, STR("it holds private members"));
    if (json_object_get(jwk, "use") && !str_equal(member_text(jwk, "use"), STR("sig")))
        return refuse(why, STR("its use is not sig"));
    if (!ops_allow_verify(json_object_get(jwk, "key_ops")))
        return refuse(why, STR("its key_ops lack verify"));
    return ST_OK;
}

static enum status read_kid(struct jwk *out, json_t *jwk, struct buf *why)
{
    if (!json_object_get(jwk, "kid"))
        return ST_OK;
    const struct str kid = member_text(jwk, "kid");
    if (kid.len == 0 || kid.len > KID_MAX)
        return refuse(why, STR("its kid is no text of 1 to 255 bytes"));
    memcpy(out->kid_text, kid.ptr, kid.len);
    out->kid.len = kid.len;
    return ST_OK;
}

static enum status narrow_to_alg(json_t *jwk, unsigned *allowed, struct buf *why)
{
    if (json_object_get(jwk, "alg"))
        *allowed &= jwa_from_name(member_text(jwk, "alg"));
    return *allowed ? ST_OK : refuse(why, STR("its alg is not among the configured ones"));
}

static EVP_PKEY *pkey_from(const char *type, OSSL_PARAM *params)
{
    EVP_PKEY *pkey = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    return pkey;
}

/* NULL: no canonical base64url, too long, or no memory. */
static BIGNUM *member_number(json_t *jwk, const char *name)
{
    char bytes[RSA_BITS_MAX / 8 + 1]; /* one zero octet in front is a common slip: harmless */
    struct buf b = BUF_FIXED(bytes);
    const struct str text = member_text(jwk, name);
    if (text.len == 0 || decode_base64url(&b, text) != ST_OK)
        return NULL;
    return BN_bin2bn((const unsigned char *)b.ptr, (int)b.len, NULL);
}

static EVP_PKEY *rsa_from_numbers(const BIGNUM *n, const BIGNUM *e)
{
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM *params = NULL;
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    if (bld && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e) == 1)
        params = OSSL_PARAM_BLD_to_param(bld);
    if (params)
        pkey = pkey_from("RSA", params);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);
    return pkey;
}

static EVP_PKEY *rsa_from_json(json_t *jwk)
{
    BIGNUM *n = member_number(jwk, "n");
    BIGNUM *e = member_number(jwk, "e");
    EVP_PKEY *pkey = n && e && rsa_numbers_ok(n, e) ? rsa_from_numbers(n, e) : NULL;
    BN_free(n);
    BN_free(e);
    return pkey;
}

static bool member_exact(json_t *jwk, const char *name, unsigned char *out, size_t n)
{
    char bytes[COORDINATE_MAX] = { 0 };
    struct buf b = BUF_FIXED(bytes);
    if (decode_base64url(&b, member_text(jwk, name)) != ST_OK || b.len != n)
        return false;
    memcpy(out, bytes, n);
    return true;
}

static EVP_PKEY *ec_from_json(json_t *jwk)
{
    const struct str curve = member_text(jwk, "crv");
    for (size_t i = 0; i < JWA_KINDS; i++) {
        const struct alg *a = &algs[i];
        if (a->family != ECDSA || !str_equal(curve, str_from(a->curve)))
            continue;
        unsigned char point[1 + 2 * COORDINATE_MAX] = { POINT_CONVERSION_UNCOMPRESSED };
        char group[16];
        memcpy(group, a->group, strlen(a->group) + 1);
        if (!member_exact(jwk, "x", point + 1, a->bytes) ||
            !member_exact(jwk, "y", point + 1 + a->bytes, a->bytes))
            return NULL;
        OSSL_PARAM params[] = {
            OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
            OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * a->bytes),
            OSSL_PARAM_construct_end(),
        };
        return pkey_from("EC", params);
    }
    return NULL;
}

static EVP_PKEY *okp_from_json(json_t *jwk)
{
    unsigned char x[ED25519_BYTES];
    if (!str_equal(member_text(jwk, "crv"), STR("Ed25519")) ||
        !member_exact(jwk, "x", x, sizeof(x)))
        return NULL;
    return EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, x, sizeof(x));
}

/* clang-format off */
static const struct {
    struct str kty;
    EVP_PKEY *(*from_json)(json_t *jwk);
    struct str fault;
} types[] = {
    { STR_INIT("RSA"), rsa_from_json,
      STR_INIT("its n and e are no RSA key of 2048 to 8192 bits") },
    { STR_INIT("EC"),  ec_from_json,
      STR_INIT("its crv, x and y are no point on P-256, P-384 or P-521") },
    { STR_INIT("OKP"), okp_from_json,
      STR_INIT("its crv and x are no Ed25519 key") },
};
/* clang-format on */

static enum status parse_type(json_t *jwk, EVP_PKEY **out, struct buf *why)
{
    const struct str kty = member_text(jwk, "kty");
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (!str_equal(kty, types[i].kty))
            continue;
        *out = types[i].from_json(jwk);
        return *out ? ST_OK : openssl_refused(why, types[i].fault);
    }
    return refuse(why, STR("its kty is none of RSA, EC, OKP"));
}

static void start(struct jwk *out)
{
    *out = (struct jwk){ .secret = SECRET_INIT };
    out->kid = (struct str){ out->kid_text, 0 };
}

static enum status parse_and_bind(struct jwk *out, json_t *jwk, unsigned allowed, struct buf *why)
{
    EVP_PKEY *pkey = NULL;
    TRY(parse_type(jwk, &pkey, why));
    return bind(out, pkey, allowed, why);
}

static bool memory_left(void)
{
    void *probe = OPENSSL_malloc(PROBE_BYTES);
    OPENSSL_free(probe);
    return probe != NULL;
}

/*
 * A key left out of its set for want of memory would be a key withdrawn. So it counts as bad only
 * when it fails twice while there is memory.
 */
static enum status settled(struct jwk *out, json_t *jwk, unsigned allowed, struct buf *why)
{
    const size_t before = why->len;
    enum status st = parse_and_bind(out, jwk, allowed, why);
    if (st == ST_INVALID) {
        buf_truncate(why, before);
        st = parse_and_bind(out, jwk, allowed, why);
    }
    return st == ST_INVALID && !memory_left() ? ST_NO_MEMORY : st;
}

enum status jwk_from_json(struct jwk *out, json_t *jwk, unsigned allowed, struct buf *why)
{
    start(out);
    TRY(check_purpose(jwk, why));
    TRY(narrow_to_alg(jwk, &allowed, why));
    TRY(read_kid(out, jwk, why));
    return settled(out, jwk, allowed, why);
}

/* ---- PEM and secrets ---------------------------------------------------------------------------- */

/* Answers for an encrypted PEM instead of asking the terminal. */
static int no_password(char *to, int size, int writing, void *nothing)
{
    (void)to, (void)size, (void)writing, (void)nothing;
    return -1;
}

enum status jwk_from_pem(struct jwk *out, struct str pem, unsigned allowed, struct buf *why)
{
    start(out);
    if (str_find_text(pem, STR("PRIVATE KEY-----")) < pem.len)
        return refuse(why, STR("it holds a private key; only the public one belongs here"));
    if (pem.len == 0 || pem.len > INT_MAX)
        return refuse(why, STR("it is no PEM public key"));
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, no_password, NULL) : NULL;
    BIO_free(bio);
    if (!pkey)
        return openssl_refused(why, STR("it is no PEM public key"));
    return bind(out, pkey, allowed, why);
}

/* RFC 7518 section 3.2: the key is at least as long as the hash. */
static unsigned secret_set_of(size_t len, unsigned allowed, struct buf *why)
{
    unsigned fits = allowed & JWA_HS_ALL;
    for (size_t i = 0; i < JWA_KINDS; i++) {
        if ((fits & 1U << i) == 0 || len >= algs[i].bytes)
            continue;
        fits &= ~(1U << i);
        buf_str(why, str_from(algs[i].name));
        buf_lit(why, " needs a secret of ");
        buf_int(why, (int64_t)algs[i].bytes);
        buf_lit(why, " bytes and is left out; ");
    }
    return fits;
}

enum status jwk_from_secret(struct jwk *out, struct str secret, unsigned allowed, struct buf *why)
{
    start(out);
    if (secret.len < SECRET_MIN)
        return refuse(why, STR("the secret has less than 32 bytes"));
    if (str_find_text(secret, STR("-----BEGIN ")) < secret.len)
        return refuse(why, STR("the secret is a PEM text; a public key is no secret"));
    out->algs = secret_set_of(secret.len, allowed, why);
    if (out->algs == 0)
        return refuse(why, STR("the secret fits none of the configured algorithms"));
    return secret_set(&out->secret, secret);
}
