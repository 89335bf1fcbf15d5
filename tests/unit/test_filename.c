#include "test.h"

#include <utf8proc.h>

#include "presignd/filename.h"
#include "presignd/post_packet.h"

/* clang-format off */
static const struct { const char *name; struct str in; const char *want; } cleaned[] = {
    { "plain",                 STR_INIT("cat.jpg"),                 "cat.jpg" },
    { "blanks stay",           STR_INIT("Ein Bild.png"),            "Ein Bild.png" },
    { "path",                  STR_INIT("a/b/cat.jpg"),             "cat.jpg" },
    { "windows path",          STR_INIT("C:\\fakepath\\cat.jpg"),   "cat.jpg" },
    { "both separators",       STR_INIT("a\\b/c\\cat.jpg"),         "cat.jpg" },
    { "climbing",              STR_INIT("../../etc/passwd"),        "passwd" },
    { "leading dots",          STR_INIT("...cat.jpg"),              "cat.jpg" },
    { "hidden",                STR_INIT(".htaccess"),               "htaccess" },
    { "dots inside",           STR_INIT("a..b.tar.gz"),             "a..b.tar.gz" },
    { "dollar",                STR_INIT("${filename}.png"),         "{filename}.png" },
    { "controls",              STR_INIT("a\r\nb\tc\x01.png"),       "abc.png" },
    { "NUL",                   STR_INIT("a\0b.png"),                "ab.png" },
    { "DEL",                   STR_INIT("a\x7f.png"),               "a.png" },
    { "C1 control",            STR_INIT("a\xc2\x85" "b.png"),       "ab.png" },
    { "right-to-left override", STR_INIT("a\xe2\x80\xaegnp.exe"),   "agnp.exe" },
    { "isolates",              STR_INIT("\xe2\x81\xa6" "a\xe2\x81\xa9.png"), "a.png" },
    { "left-to-right mark",    STR_INIT("a\xe2\x80\x8e.png"),       "a.png" },
    { "arabic letter mark",    STR_INIT("a\xd8\x9c.png"),           "a.png" },
    { "line separator",        STR_INIT("a\xe2\x80\xa8" "b.png"),   "ab.png" },
    { "byte order mark",       STR_INIT("\xef\xbb\xbf" "a.png"),    "a.png" },
    { "noncharacter",          STR_INIT("a\xef\xbf\xbf.png"),       "a.png" },
    { "dots behind a mark",    STR_INIT("\xe2\x80\xae..a.png"),     "a.png" },
    { "dots around a dollar",  STR_INIT(".$.a.png"),                "a.png" },
    { "umlaut composed",       STR_INIT("\xc3\xbc.png"),            "\xc3\xbc.png" },
    { "umlaut decomposed",     STR_INIT("u\xcc\x88.png"),           "\xc3\xbc.png" },
    { "mark between",          STR_INIT("u\xe2\x80\xae\xcc\x88.png"), "\xc3\xbc.png" },
    { "hangul",                STR_INIT("\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab.png"), "\xed\x95\x9c.png" },
    { "kelvin",                STR_INIT("\xe2\x84\xaa.png"),        "K.png" },
    { "emoji with joiner",     STR_INIT("\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb.png"),
      "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb.png" },
    { "persian joiner",        STR_INIT("\xd9\x85\xe2\x80\x8c\xdb\x8c.png"), "\xd9\x85\xe2\x80\x8c\xdb\x8c.png" },
    { "quote stays",           STR_INIT("a\"b'c.png"),              "a\"b'c.png" },
    { "blanks at the ends",    STR_INIT("  cat.jpg "),              "cat.jpg" },
    { "blanks and dots",       STR_INIT(" . ..cat.jpg"),            "cat.jpg" },
    { "blank behind a mark",   STR_INIT("cat.jpg \xe2\x80\xae"),    "cat.jpg" },
    { "trailing dot",          STR_INIT("a."),                      "a." },
};

static const struct { const char *name; struct str in; } refused[] = {
    { "empty",            STR_INIT("") },
    { "a folder",         STR_INIT("a/b/") },
    { "dot",              STR_INIT(".") },
    { "dots",             STR_INIT("...") },
    { "climbing only",    STR_INIT("../..") },
    { "backslash",        STR_INIT("\\") },
    { "controls only",    STR_INIT("\r\n\x01") },
    { "NUL only",         STR_INIT("\0") },
    { "dollars only",     STR_INIT("$$$") },
    { "bidi only",        STR_INIT("\xe2\x80\xae\xe2\x80\x8f") },
    { "bidi and dots",    STR_INIT(".\xe2\x80\xae.") },
    { "blanks only",      STR_INIT("   ") },
    { "bad UTF-8",        STR_INIT("a\xff.png") },
    { "cut UTF-8",        STR_INIT("a\xc3") },
    { "overlong slash",   STR_INIT("a\xc0\xaf" "b") },
    { "surrogate",        STR_INIT("a\xed\xa0\x80") },
    { "bad UTF-8 in the folder", STR_INIT("\xff/a.png") },
};

static const struct { const char *name; struct str in; const char *want; } extensions[] = {
    { "usual",        STR_INIT("a.png"),               "png" },
    { "capitals",     STR_INIT("a.JPeG"),              "jpeg" },
    { "the last",     STR_INIT("a.tar.gz"),            "gz" },
    { "sixteen",      STR_INIT("a.abcdefghij012345"),  "abcdefghij012345" },
    { "none",         STR_INIT("a"),                   "" },
    { "seventeen",    STR_INIT("a.abcdefghij0123456"), "" },
    { "ends in a dot", STR_INIT("a."),                 "" },
    { "blank",        STR_INIT("a.p g"),               "" },
    { "dash",         STR_INIT("a.p-g"),               "" },
    { "non-ASCII",    STR_INIT("a.p\xc3\xbc"),         "" },
    { "empty",        STR_INIT(""),                    "" },
};

static const struct { const char *name; struct str in; const char *want; } dispositions[] = {
    { "plain",   STR_INIT("a b.png"),      "attachment; filename=\"a b.png\"" },
    { "quote",   STR_INIT("a\"b.png"),     "attachment; filename=\"a_b.png\"" },
    { "umlaut",  STR_INIT("\xc3\xbc b.png"),
      "attachment; filename=\"_ b.png\"; filename*=UTF-8''%C3%BC%20b.png" },
    { "quote and umlaut", STR_INIT("\"\xc3\xbc';.png"),
      "attachment; filename=\"__';.png\"; filename*=UTF-8''%22%C3%BC%27%3B.png" },
    { "emoji",   STR_INIT("\xf0\x9f\x92\xbb"),
      "attachment; filename=\"_\"; filename*=UTF-8''%F0%9F%92%BB" },
};
/* clang-format on */

static void test_clean(void **state)
{
    (void)state;
    AUTO(arena) a = ARENA_INIT(1 << 20);
    struct str out;
    for (size_t i = 0; i < ROWS(cleaned); i++) {
        CHECK_EQ(cleaned[i].name, filename_clean(cleaned[i].in, &a, &out), ST_OK);
        CHECK_TEXT(cleaned[i].name, out, cleaned[i].want);
    }
    for (size_t i = 0; i < ROWS(refused); i++)
        CHECK_EQ(refused[i].name, filename_clean(refused[i].in, &a, &out), ST_FILENAME_INVALID);
}

static struct str repeated(struct arena *a, const char *text, size_t n, const char *end)
{
    AUTO(buf) b = BUF_INIT(1 << 20);
    struct str out = STR_NONE;
    for (size_t i = 0; i < n; i++)
        buf_str(&b, str_from(text));
    buf_str(&b, str_from(end));
    assert_int_equal(arena_keep(a, &b, &out), ST_OK);
    return out;
}

static void test_length(void **state)
{
    (void)state;
    AUTO(arena) a = ARENA_INIT(1 << 22);
    /* clang-format off */
    static const struct { const char *name, *text; size_t n; const char *end; size_t want; } rows[] = {
        { "255 bytes",             "a",        251, ".png", 255 },
        { "256 bytes",             "a",        252, ".png", 255 },
        { "5000 bytes",            "a",        4996, ".png", 255 },
        { "60000 bytes",           "a",        60000, ".png", 255 },
        { "two bytes each, even",  "\xc3\xa9", 300, ".png", 254 }, /* 4 + 2 * 125 */
        { "three bytes each",      "\xe3\x81\x82", 300, ".png", 253 }, /* 4 + 3 * 83 */
        { "four bytes each",       "\xf0\x9f\x92\xbb", 20000, ".jpeg", 253 }, /* 5 + 4 * 62 */
        { "many marks on one letter", "\xcc\x81", 30000, ".png", 254 }, /* 4 + 2 * 125 */
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct str out;
        struct str in = repeated(&a, rows[i].text, rows[i].n, rows[i].end);
        CHECK_EQ(rows[i].name, filename_clean(in, &a, &out), ST_OK);
        CHECK_EQ(rows[i].name, out.len, rows[i].want);
        CHECK(rows[i].name, str_ends(out, str_from(rows[i].end)));
        CHECK(rows[i].name, str_valid_utf8(out));
    }
    struct str out, in = repeated(&a, "a.", 1, repeated(&a, "b", 300, "").ptr);
    CHECK_EQ("what is no extension is not kept", filename_clean(in, &a, &out), ST_OK);
    CHECK_EQ("what is no extension is not kept", out.len, 255);
    CHECK("what is no extension is not kept", str_starts(out, STR("a.bbb")));
}

static void test_extension(void **state)
{
    (void)state;
    AUTO(arena) a = ARENA_INIT(65536);
    for (size_t i = 0; i < ROWS(extensions); i++)
        CHECK_TEXT(extensions[i].name, filename_extension(extensions[i].in, &a),
                   extensions[i].want);
}

static void test_disposition(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(dispositions); i++) {
        AUTO(buf) b = BUF_INIT(4096);
        filename_disposition(&b, dispositions[i].in);
        CHECK_TEXT(dispositions[i].name, buf_view(&b), dispositions[i].want);
    }
}

/* Pieces that matter, glued at random; the generator is fixed so that a failure comes again. */
static struct str random_name(uint64_t *seed, struct buf *b)
{
    /* clang-format off */
    static const struct str pieces[] = {
        STR_INIT("a"), STR_INIT("."), STR_INIT(".."), STR_INIT("/"), STR_INIT("\\"), STR_INIT("$"),
        STR_INIT("\x01"), STR_INIT(" "), STR_INIT("u\xcc\x88"), STR_INIT("\xcc\x81"),
        STR_INIT("\xe2\x80\xae"), STR_INIT("\xe2\x81\xa6"), STR_INIT("\xd8\x9c"),
        STR_INIT("\xc2\x85"), STR_INIT("\xe1\x84\x92"), STR_INIT("\xe1\x85\xa1"),
        STR_INIT("\xe1\x86\xab"), STR_INIT("\xe2\x84\xab"), STR_INIT("\xcd\x84"),
        STR_INIT("\xf0\x9d\x85\xa0"), STR_INIT(".png"), STR_INIT("\xef\xbb\xbf"),
        STR_INIT("\xcd\xbe"), STR_INIT("\xff"), STR_INIT("long-long-long-long-long-long-long"),
    };
    /* clang-format on */
    buf_reset(b);
    for (size_t n = 0; n < 40; n++) {
        *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        buf_str(b, pieces[(*seed >> 33) % ROWS(pieces)]);
        if ((*seed >> 60) == 0)
            break;
    }
    return buf_view(b);
}

static bool is_nfc(struct str s)
{
    utf8proc_uint8_t *nfc;
    utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)s.ptr, (utf8proc_ssize_t)s.len,
                                      &nfc, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    assert_true(n >= 0);
    bool same = str_equal(s, (struct str){ (const char *)nfc, (size_t)n });
    free(nfc);
    return same;
}

static void test_properties(void **state)
{
    (void)state;
    uint64_t seed = 20261121;
    size_t clean = 0;
    AUTO(buf) b = BUF_INIT(65536);
    AUTO(arena) a = ARENA_INIT(1 << 20);
    for (int i = 0; i < 20000; i++) {
        struct str once, twice;
        arena_reset(&a);
        if (filename_clean(random_name(&seed, &b), &a, &once) != ST_OK)
            continue;
        clean++;
        CHECK("fit for a field", post_value_ok(once));
        CHECK("no separator", str_find(once, '/', 0) == once.len);
        CHECK("length", once.len > 0 && once.len <= FILENAME_MAX_BYTES);
        CHECK("no leading dot", once.ptr[0] != '.');
        CHECK("NFC", is_nfc(once));
        CHECK_EQ("cleaned again", filename_clean(once, &a, &twice), ST_OK);
        CHECK_STR("cleaned again", twice, once);
    }
    CHECK("enough names came through", clean > 2000);
}

TEST_MAIN(cmocka_unit_test(test_clean), cmocka_unit_test(test_length),
          cmocka_unit_test(test_extension), cmocka_unit_test(test_disposition),
          cmocka_unit_test(test_properties))
