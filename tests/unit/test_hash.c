/*
 * hash: FIPS 180-4 examples, RFC 4231, kept and copied states, and OpenSSL's other door (EVP) as
 * the judge of random texts.
 */
#include "test.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "presignd/hash.h"

static void check_digest(const char *name, const unsigned char got[HASH_BYTES], const char *hex)
{
    static const char digits[] = "0123456789abcdef";
    char text[2 * HASH_BYTES];
    for (size_t i = 0; i < HASH_BYTES; i++) {
        text[2 * i] = digits[got[i] >> 4];
        text[2 * i + 1] = digits[got[i] & 15];
    }
    CHECK_BYTES(name, text, sizeof(text), hex, strlen(hex));
}

/* clang-format off */
static const struct {
    const char *name;
    struct str in;
    const char *want;
} digests[] = {
    { "empty", STR_INIT(""),
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
    { "one block", STR_INIT("abc"),
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
    { "two blocks", STR_INIT("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
    { "four words more", STR_INIT("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
                                  "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu"),
      "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1" },
};

/* RFC 4231, section 4 (case 5 is a truncated one) */
#define TIMES_20(s)  s s s s s s s s s s s s s s s s s s s s
#define TIMES_50(s)  TIMES_20(s) TIMES_20(s) s s s s s s s s s s
#define TIMES_131(s) TIMES_50(s) TIMES_50(s) TIMES_20(s) s s s s s s s s s s s
static const struct {
    const char *name;
    struct str key, in;
    const char *want;
} macs[] = {
    { "case 1", STR_INIT(TIMES_20("\x0b")), STR_INIT("Hi There"),
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
    { "case 2", STR_INIT("Jefe"), STR_INIT("what do ya want for nothing?"),
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
    { "case 3", STR_INIT(TIMES_20("\xaa")), STR_INIT(TIMES_50("\xdd")),
      "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
    { "case 4",
      STR_INIT("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14"
               "\x15\x16\x17\x18\x19"),
      STR_INIT(TIMES_50("\xcd")),
      "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b" },
    { "case 6: a key over a block", STR_INIT(TIMES_131("\xaa")),
      STR_INIT("Test Using Larger Than Block-Size Key - Hash Key First"),
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
    { "case 7: and a long text", STR_INIT(TIMES_131("\xaa")),
      STR_INIT("This is a test using a larger than block-size key and a larger than block-size "
               "data. The key needs to be hashed before being used by the HMAC algorithm."),
      "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2" },
};
/* clang-format on */

static void test_known_digests(void **state)
{
    (void)state;
    unsigned char out[HASH_BYTES];
    for (size_t i = 0; i < ROWS(digests); i++) {
        hash_once(digests[i].in, out);
        check_digest(digests[i].name, out, digests[i].want);
    }
    hash_once(STR_NONE, out);
    check_digest("no pointer", out, digests[0].want);
}

static void test_a_million(void **state)
{
    (void)state;
    char part[1000];
    unsigned char out[HASH_BYTES];
    struct hash h;
    memset(part, 'a', sizeof(part));
    hash_start(&h);
    for (int i = 0; i < 1000; i++)
        hash_add(&h, (struct str){ part, sizeof(part) });
    hash_end(&h, out);
    check_digest("a million times a", out,
                 "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void test_known_macs(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(macs); i++) {
        unsigned char out[HASH_BYTES];
        struct hmac_key k;
        hmac_key_set(&k, macs[i].key);
        hmac_once(&k, macs[i].in, out);
        check_digest(macs[i].name, out, macs[i].want);
        hmac_once(&k, macs[i].in, out);
        check_digest("the key serves again", out, macs[i].want);
        hmac_key_release(&k);
    }
}

static uint64_t draw(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

static void fill(char *bytes, size_t n, uint64_t *seed)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)draw(seed);
}

/* In random parts, and by EVP. */
static void test_parts(void **state)
{
    (void)state;
    uint64_t seed = 1;
    char text[700];
    for (int round = 0; round < 3000; round++) {
        const size_t len = draw(&seed) % sizeof(text);
        fill(text, len, &seed);
        struct hash h;
        unsigned char got[HASH_BYTES], want[HASH_BYTES];
        hash_start(&h);
        for (size_t at = 0; at < len;) {
            const size_t n = 1 + draw(&seed) % (len - at);
            hash_add(&h, (struct str){ text + at, n });
            at += n;
        }
        hash_end(&h, got);
        assert_int_equal(EVP_Digest(text, len, want, NULL, EVP_sha256(), NULL), 1);
        assert_memory_equal(got, want, HASH_BYTES);
    }
}

/* A state kept after a common prefix serves any number of endings. */
static void test_kept_prefix(void **state)
{
    (void)state;
    uint64_t seed = 2;
    char key[200], text[700];
    for (int round = 0; round < 3000; round++) {
        const size_t key_len = draw(&seed) % sizeof(key);
        const size_t len = 1 + draw(&seed) % (sizeof(text) - 1);
        const size_t prefix = draw(&seed) % len;
        fill(key, key_len, &seed);
        fill(text, len, &seed);
        struct hmac_key k;
        struct hmac kept;
        hmac_key_set(&k, (struct str){ key, key_len });
        hmac_start(&kept, &k);
        hmac_add(&kept, (struct str){ text, prefix });
        for (int use = 0; use < 2; use++) {
            unsigned char got[HASH_BYTES], want[HASH_BYTES];
            struct hmac m = kept;
            text[len - 1] = (char)draw(&seed);
            hmac_add(&m, (struct str){ text + prefix, len - prefix });
            hmac_end(&m, got);
            assert_non_null(
                HMAC(EVP_sha256(), key, (int)key_len, (unsigned char *)text, len, want, NULL));
            assert_memory_equal(got, want, HASH_BYTES);
        }
        hmac_key_release(&k);
    }
}

static void test_key_is_wiped(void **state)
{
    (void)state;
    static const struct hmac_key nothing;
    struct hmac_key k;
    hmac_key_set(&k, STR("secret"));
    hmac_key_release(&k);
    assert_memory_equal(&k, &nothing, sizeof(k));
}

TEST_MAIN(cmocka_unit_test(test_known_digests), cmocka_unit_test(test_a_million),
          cmocka_unit_test(test_known_macs), cmocka_unit_test(test_parts),
          cmocka_unit_test(test_kept_prefix), cmocka_unit_test(test_key_is_wiped))
