/*
 * encode: RFC 4648's vectors, AWS's percent-encoding byte by byte, strict decoders, and OpenSSL's
 * base64 as the judge of random bytes.
 */
#include "test.h"

#include <openssl/evp.h>

#include "presignd/encode.h"

typedef void emitter(struct buf *out, struct str bytes);
typedef enum status decoder(struct buf *out, struct str text);

/* clang-format off */
static const struct {
    const char *name;
    emitter *emit;
    struct str in;
    const char *want;
} emitted[] = {
    { "hex: empty",              encode_hex,       STR_INIT(""),                     "" },
    { "hex",                     encode_hex,       STR_INIT("\x00\x09\xab\xff"),     "0009abff" },
    { "base64: empty",           encode_base64,    STR_INIT(""),                     "" },
    { "base64: f",               encode_base64,    STR_INIT("f"),                    "Zg==" },
    { "base64: fo",              encode_base64,    STR_INIT("fo"),                   "Zm8=" },
    { "base64: foo",             encode_base64,    STR_INIT("foo"),                  "Zm9v" },
    { "base64: foob",            encode_base64,    STR_INIT("foob"),                 "Zm9vYg==" },
    { "base64: fooba",           encode_base64,    STR_INIT("fooba"),                "Zm9vYmE=" },
    { "base64: foobar",          encode_base64,    STR_INIT("foobar"),               "Zm9vYmFy" },
    { "base64: last letters",    encode_base64,    STR_INIT("\xff\xef\xbe"),         "/+++" },
    { "base64url: empty",        encode_base64url, STR_INIT(""),                     "" },
    { "base64url: f",            encode_base64url, STR_INIT("f"),                    "Zg" },
    { "base64url: fo",           encode_base64url, STR_INIT("fo"),                   "Zm8" },
    { "base64url: foo",          encode_base64url, STR_INIT("foo"),                  "Zm9v" },
    { "base64url: last letters", encode_base64url, STR_INIT("\xff\xef\xbe"),         "_---" },
    { "uri: empty",              encode_uri,       STR_INIT(""),                     "" },
    { "uri: what stays",         encode_uri,       STR_INIT("AZaz09-._~"),           "AZaz09-._~" },
    { "uri: slash",              encode_uri,       STR_INIT("a/b"),                  "a%2Fb" },
    { "uri: blank is no plus",   encode_uri,       STR_INIT("a b+c"),                "a%20b%2Bc" },
    { "uri: neighbours",         encode_uri,       STR_INIT("@[`{/:,^"),             "%40%5B%60%7B%2F%3A%2C%5E" },
    { "uri: percent itself",     encode_uri,       STR_INIT("%41"),                  "%2541" },
    { "uri: NUL",                encode_uri,       STR_INIT("\0"),                   "%00" },
    { "uri: UTF-8",              encode_uri,       STR_INIT("\xc3\xa4\xff"),         "%C3%A4%FF" },
    { "path: slash stays",       encode_uri_path,  STR_INIT("/a//b c/"),             "/a//b%20c/" },
    { "path: dots stay",         encode_uri_path,  STR_INIT("/../a"),                "/../a" },
    { "path: question mark",     encode_uri_path,  STR_INIT("a?b=c&d#e"),            "a%3Fb%3Dc%26d%23e" },
};

static const struct {
    const char *name;
    decoder *decode;
    struct str in;
    enum status want;
    struct str out;
} decoded[] = {
    { "hex: empty",                  decode_hex,       STR_INIT(""),          ST_OK, STR_INIT("") },
    { "hex: both cases",             decode_hex,       STR_INIT("0aFf"),      ST_OK, STR_INIT("\x0a\xff") },
    { "hex: odd",                    decode_hex,       STR_INIT("abc"),       ST_INVALID, STR_INIT("") },
    { "hex: g",                      decode_hex,       STR_INIT("0g"),        ST_INVALID, STR_INIT("") },
    { "hex: before a",               decode_hex,       STR_INIT("0`"),        ST_INVALID, STR_INIT("") },
    { "hex: before A",               decode_hex,       STR_INIT("@0"),        ST_INVALID, STR_INIT("") },
    { "hex: after 9",                decode_hex,       STR_INIT(":0"),        ST_INVALID, STR_INIT("") },
    { "hex: prefix",                 decode_hex,       STR_INIT("0x00"),      ST_INVALID, STR_INIT("") },
    { "hex: NUL",                    decode_hex,       STR_INIT("0\0"),       ST_INVALID, STR_INIT("") },
    { "hex: high byte",              decode_hex,       STR_INIT("0\xb0"),     ST_INVALID, STR_INIT("") },
    { "base64: empty",               decode_base64,    STR_INIT(""),          ST_OK, STR_INIT("") },
    { "base64: one",                 decode_base64,    STR_INIT("Zg=="),      ST_OK, STR_INIT("f") },
    { "base64: two",                 decode_base64,    STR_INIT("Zm8="),      ST_OK, STR_INIT("fo") },
    { "base64: three",               decode_base64,    STR_INIT("Zm9v"),      ST_OK, STR_INIT("foo") },
    { "base64: last letters",        decode_base64,    STR_INIT("/+++"),      ST_OK, STR_INIT("\xff\xef\xbe") },
    { "base64: no padding",          decode_base64,    STR_INIT("Zg"),        ST_INVALID, STR_INIT("") },
    { "base64: half a padding",      decode_base64,    STR_INIT("Zg="),       ST_INVALID, STR_INIT("") },
    { "base64: too much padding",    decode_base64,    STR_INIT("Zm9v===="),  ST_INVALID, STR_INIT("") },
    { "base64: three signs",         decode_base64,    STR_INIT("Z==="),      ST_INVALID, STR_INIT("") },
    { "base64: padding only",        decode_base64,    STR_INIT("===="),      ST_INVALID, STR_INIT("") },
    { "base64: one padding only",    decode_base64,    STR_INIT("="),         ST_INVALID, STR_INIT("") },
    { "base64: padding within",      decode_base64,    STR_INIT("Zg==Zg=="),  ST_INVALID, STR_INIT("") },
    { "base64: spare bits of one",   decode_base64,    STR_INIT("Zh=="),      ST_INVALID, STR_INIT("") },
    { "base64: spare bits of two",   decode_base64,    STR_INIT("Zm9="),      ST_INVALID, STR_INIT("") },
    { "base64: highest spare bit",   decode_base64,    STR_INIT("Zo=="),      ST_INVALID, STR_INIT("") },
    { "base64: url letters",         decode_base64,    STR_INIT("_---"),      ST_INVALID, STR_INIT("") },
    { "base64: newline",             decode_base64,    STR_INIT("Zm9\n"),     ST_INVALID, STR_INIT("") },
    { "base64: newline behind",      decode_base64,    STR_INIT("Zm9v\n"),    ST_INVALID, STR_INIT("") },
    { "base64: blank",               decode_base64,    STR_INIT("Zm 9"),      ST_INVALID, STR_INIT("") },
    { "base64: NUL",                 decode_base64,    STR_INIT("Zm9\0"),     ST_INVALID, STR_INIT("") },
    { "base64: high byte",           decode_base64,    STR_INIT("Zm9\xc1"),   ST_INVALID, STR_INIT("") },
    { "base64url: empty",            decode_base64url, STR_INIT(""),          ST_OK, STR_INIT("") },
    { "base64url: one",              decode_base64url, STR_INIT("Zg"),        ST_OK, STR_INIT("f") },
    { "base64url: two",              decode_base64url, STR_INIT("Zm8"),       ST_OK, STR_INIT("fo") },
    { "base64url: last letters",     decode_base64url, STR_INIT("_---"),      ST_OK, STR_INIT("\xff\xef\xbe") },
    { "base64url: a lone letter",    decode_base64url, STR_INIT("Z"),         ST_INVALID, STR_INIT("") },
    { "base64url: five letters",     decode_base64url, STR_INIT("Zm9vZ"),     ST_INVALID, STR_INIT("") },
    { "base64url: padding",          decode_base64url, STR_INIT("Zg=="),      ST_INVALID, STR_INIT("") },
    { "base64url: spare bits of 1",  decode_base64url, STR_INIT("Zh"),        ST_INVALID, STR_INIT("") },
    { "base64url: spare bits of 2",  decode_base64url, STR_INIT("Zm9"),       ST_INVALID, STR_INIT("") },
    { "base64url: plus",             decode_base64url, STR_INIT("+---"),      ST_INVALID, STR_INIT("") },
    { "base64url: slash",            decode_base64url, STR_INIT("/---"),      ST_INVALID, STR_INIT("") },
    { "base64url: a dot",            decode_base64url, STR_INIT("Zm9.Zm9v"),  ST_INVALID, STR_INIT("") },
    { "base64url: newline",          decode_base64url, STR_INIT("Zm8\n"),     ST_INVALID, STR_INIT("") },
};
/* clang-format on */

static void test_emitted(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(emitted); i++) {
        AUTO(buf) b = BUF_INIT(1000);
        buf_lit(&b, "|");
        emitted[i].emit(&b, emitted[i].in);
        CHECK_TEXT(emitted[i].name, str_slice(buf_view(&b), 1, b.len), emitted[i].want);
        CHECK_EQ(emitted[i].name, buf_check(&b), ST_OK);
    }
}

static void test_decoded(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(decoded); i++) {
        AUTO(buf) b = BUF_INIT(1000);
        CHECK_EQ(decoded[i].name, decoded[i].decode(&b, decoded[i].in), decoded[i].want);
        if (decoded[i].want == ST_OK)
            CHECK_STR(decoded[i].name, buf_view(&b), decoded[i].out);
    }
}

/* A buffer that has room for just the text is enough; one byte less is too little. */
static void test_exact_room(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(emitted); i++) {
        const size_t len = strlen(emitted[i].want);
        AUTO(buf) fits = BUF_INIT(len);
        emitted[i].emit(&fits, emitted[i].in);
        CHECK_EQ(emitted[i].name, buf_check(&fits), ST_OK);
        CHECK_TEXT(emitted[i].name, buf_view(&fits), emitted[i].want);
        if (len == 0)
            continue;
        AUTO(buf) tight = BUF_INIT(len - 1);
        emitted[i].emit(&tight, emitted[i].in);
        CHECK_EQ(emitted[i].name, buf_check(&tight), ST_TOO_LARGE);
    }
    for (size_t i = 0; i < ROWS(decoded); i++) {
        if (decoded[i].want != ST_OK || decoded[i].out.len == 0)
            continue;
        AUTO(buf) tight = BUF_INIT(decoded[i].out.len - 1);
        CHECK_EQ(decoded[i].name, decoded[i].decode(&tight, decoded[i].in), ST_TOO_LARGE);
    }
}

static uint64_t draw(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

static const struct {
    const char *name;
    emitter *emit;
    decoder *decode;
} pairs[] = {
    { "hex", encode_hex, decode_hex },
    { "base64", encode_base64, decode_base64 },
    { "base64url", encode_base64url, decode_base64url },
};

static void test_there_and_back(void **state)
{
    (void)state;
    uint64_t seed = 3;
    char bytes[200];
    for (size_t round = 0; round < 6000; round++) {
        const struct str in = { bytes, round < 200 ? round : draw(&seed) % sizeof(bytes) };
        for (size_t i = 0; i < in.len; i++)
            bytes[i] = (char)draw(&seed);
        for (size_t i = 0; i < ROWS(pairs); i++) {
            AUTO(buf) text = BUF_INIT(1000);
            AUTO(buf) back = BUF_INIT(1000);
            pairs[i].emit(&text, in);
            CHECK_EQ(pairs[i].name, pairs[i].decode(&back, buf_view(&text)), ST_OK);
            CHECK_STR(pairs[i].name, buf_view(&back), in);
        }
        char want[300];
        const int len = EVP_EncodeBlock((unsigned char *)want, (unsigned char *)bytes, (int)in.len);
        AUTO(buf) text = BUF_INIT(1000);
        encode_base64(&text, in);
        CHECK_BYTES("OpenSSL agrees", text.ptr, text.len, want, (size_t)len);
    }
}

/* Each byte value: kept, or three letters. */
static void test_every_byte(void **state)
{
    (void)state;
    static const char kept[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    static const char digits[] = "0123456789ABCDEF";
    for (int c = 0; c < 256; c++) {
        const char byte = (char)c;
        const struct str in = { &byte, 1 };
        const char escaped[] = { '%', digits[c >> 4], digits[c & 15] };
        const bool stays = c && strchr(kept, c);
        const struct str want = stays ? in : (struct str){ escaped, 3 };
        AUTO(buf) uri = BUF_INIT(3);
        AUTO(buf) path = BUF_INIT(3);
        encode_uri(&uri, in);
        encode_uri_path(&path, in);
        CHECK_STR("uri", buf_view(&uri), want);
        CHECK_STR("path", buf_view(&path), c == '/' ? in : want);
    }
}

TEST_MAIN(cmocka_unit_test(test_emitted), cmocka_unit_test(test_decoded),
          cmocka_unit_test(test_exact_room), cmocka_unit_test(test_there_and_back),
          cmocka_unit_test(test_every_byte))
