#include "test.h"

#include "presignd/str.h"

static void test_from(void **state)
{
    (void)state;
    CHECK_TEXT("a text", str_from("abc"), "abc");
    CHECK_EQ("the empty text has a pointer", str_from("").ptr != NULL, 1);
    CHECK_EQ("NULL", str_from(NULL).len, 0);
    CHECK("NULL", str_from(NULL).ptr == NULL);
}

static void test_equal(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct str a, b;
        bool same, same_nocase;
    } cases[] = {
        { "the same", STR_INIT("Host"), STR_INIT("Host"), true, true },
        { "other case", STR_INIT("Host"), STR_INIT("hOST"), false, true },
        { "both empty", STR_INIT(""), { NULL, 0 }, true, true },
        { "one empty", STR_INIT("a"), { NULL, 0 }, false, false },
        { "prefix", STR_INIT("abc"), STR_INIT("ab"), false, false },
        { "differs behind a NUL", STR_INIT("a\0b"), STR_INIT("a\0c"), false, false },
        { "[ and { are no case pair", STR_INIT("["), STR_INIT("{"), false, false },
        { "@ and ` are no case pair", STR_INIT("@"), STR_INIT("`"), false, false },
        { "no case outside ASCII", STR_INIT("\xc3\x84"), STR_INIT("\xc3\xa4"), false, false },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        CHECK_EQ(cases[i].name, str_equal(cases[i].a, cases[i].b), cases[i].same);
        CHECK_EQ(cases[i].name, str_equal(cases[i].b, cases[i].a), cases[i].same);
        CHECK_EQ(cases[i].name, str_equal_nocase(cases[i].a, cases[i].b), cases[i].same_nocase);
        CHECK_EQ(cases[i].name, str_compare(cases[i].a, cases[i].b) == 0, cases[i].same);
    }
}

static int sign_of(int v)
{
    return (v > 0) - (v < 0);
}

static void test_compare(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct str low, high;
    } cases[] = {
        { "letters", STR_INIT("a"), STR_INIT("b") },
        { "the shorter first", STR_INIT("ab"), STR_INIT("abc") },
        { "the empty first", { NULL, 0 }, STR_INIT("\0") },
        { "bytes are unsigned", STR_INIT("z"), STR_INIT("\xc3\xa4") },
        { "length does not beat bytes", STR_INIT("aaa"), STR_INIT("b") },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        CHECK_EQ(cases[i].name, sign_of(str_compare(cases[i].low, cases[i].high)), -1);
        CHECK_EQ(cases[i].name, sign_of(str_compare(cases[i].high, cases[i].low)), 1);
    }
}

static void test_starts_ends(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct str s, part;
        bool starts, ends;
    } cases[] = {
        { "whole", STR_INIT("abc"), STR_INIT("abc"), true, true },
        { "front", STR_INIT("abc"), STR_INIT("ab"), true, false },
        { "back", STR_INIT("abc"), STR_INIT("bc"), false, true },
        { "empty part", STR_INIT("abc"), { NULL, 0 }, true, true },
        { "longer part", STR_INIT("abc"), STR_INIT("abcd"), false, false },
        { "longer part of nothing", { NULL, 0 }, STR_INIT("a"), false, false },
        { "other case", STR_INIT("abc"), STR_INIT("A"), false, false },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        CHECK_EQ(cases[i].name, str_starts(cases[i].s, cases[i].part), cases[i].starts);
        CHECK_EQ(cases[i].name, str_ends(cases[i].s, cases[i].part), cases[i].ends);
    }
}

static void test_find_slice(void **state)
{
    (void)state;
    struct str s = STR("a.b.c");
    CHECK_EQ("first", str_find(s, '.', 0), 1);
    CHECK_EQ("at from", str_find(s, '.', 3), 3);
    CHECK_EQ("none left", str_find(s, '.', 4), 5);
    CHECK_EQ("from past the end", str_find(s, 'a', 99), 5);
    CHECK_EQ("empty", str_find(STR_NONE, 'a', 0), 0);
    CHECK_EQ("text", str_find_text(STR("a.b.c"), STR(".b")), 1);
    CHECK_EQ("the first text", str_find_text(STR("abab"), STR("ab")), 0);
    CHECK_EQ("text at the end", str_find_text(STR("abc"), STR("bc")), 1);
    CHECK_EQ("text that is cut off", str_find_text(STR("abc"), STR("bcd")), 3);
    CHECK_EQ("no text", str_find_text(STR("abc"), STR("x")), 3);
    CHECK_EQ("text in nothing", str_find_text(STR_NONE, STR("x")), 0);
    CHECK_EQ("NUL is a byte", str_find(STR("ab\0c"), '\0', 0), 2);

    CHECK_TEXT("inside", str_slice(s, 2, 3), "b");
    CHECK_TEXT("to past the end", str_slice(s, 2, 99), "b.c");
    CHECK_TEXT("from past the end", str_slice(s, 99, 100), "");
    CHECK_TEXT("backwards", str_slice(s, 3, 1), "");
    CHECK("nothing of nothing", str_slice(STR_NONE, 1, 2).ptr == NULL);
}

static void test_trim(void **state)
{
    (void)state;
    CHECK_TEXT("both ends", str_trim(STR(" \ta b\t ")), "a b");
    CHECK_TEXT("only blanks", str_trim(STR(" \t ")), "");
    CHECK_TEXT("no line breaks", str_trim(STR("\r\na\n")), "\r\na\n");
    CHECK_TEXT("nothing", str_trim(STR_NONE), "");
}

static void test_cut(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct str text;
        const char *parts[5];
    } cases[] = {
        { "three", STR_INIT("a,bc,d"), { "a", "bc", "d" } },
        { "no separator", STR_INIT("abc"), { "abc" } },
        { "trailing separator", STR_INIT("a,"), { "a", "" } },
        { "leading separator", STR_INIT(",a"), { "", "a" } },
        { "only separators", STR_INIT(",,"), { "", "", "" } },
        { "the empty text", STR_INIT(""), { "" } },
        { "nothing", { NULL, 0 }, { NULL } },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct str rest = cases[i].text, part;
        size_t n = 0;
        for (; str_cut(&rest, ',', &part); n++) {
            CHECK(cases[i].name, cases[i].parts[n] != NULL);
            CHECK_TEXT(cases[i].name, part, cases[i].parts[n]);
        }
        CHECK(cases[i].name, cases[i].parts[n] == NULL);
    }
}

static void test_to_int(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct str s;
        int64_t max;
        int64_t want; /* -1: refused */
    } cases[] = {
        { "zero", STR_INIT("0"), 0, 0 },
        { "leading zeros", STR_INIT("007"), 10, 7 },
        { "the maximum", STR_INIT("9223372036854775807"), INT64_MAX, INT64_MAX },
        { "one more", STR_INIT("9223372036854775808"), INT64_MAX, -1 },
        { "ten times the maximum", STR_INIT("92233720368547758070"), INT64_MAX, -1 },
        { "many zeros", STR_INIT("00000000000000000000000000001"), 1, 1 },
        { "above max", STR_INIT("11"), 10, -1 },
        { "empty", STR_INIT(""), 10, -1 },
        { "nothing", { NULL, 0 }, 10, -1 },
        { "plus", STR_INIT("+1"), 10, -1 },
        { "minus", STR_INIT("-1"), 10, -1 },
        { "blank before", STR_INIT(" 1"), 10, -1 },
        { "blank behind", STR_INIT("1 "), 10, -1 },
        { "hex", STR_INIT("0x1"), 10, -1 },
        { "fraction", STR_INIT("1.0"), 10, -1 },
        { "exponent", STR_INIT("1e0"), 10, -1 },
        { "NUL behind", STR_INIT("1\0"), 10, -1 },
        { "digit of another script", STR_INIT("\xd9\xa1"), 10, -1 },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        int64_t got = -1;
        bool ok = str_to_int(cases[i].s, cases[i].max, &got);
        CHECK_EQ(cases[i].name, ok, cases[i].want >= 0);
        CHECK_EQ(cases[i].name, got, cases[i].want);
    }
}

static void test_printable(void **state)
{
    (void)state;
    CHECK("all of it", str_printable_ascii(STR(" !09AZaz~")));
    CHECK("nothing", str_printable_ascii(STR_NONE));
    CHECK("tab", !str_printable_ascii(STR("a\tb")));
    CHECK("unit separator", !str_printable_ascii(STR("\x1f")));
    CHECK("DEL", !str_printable_ascii(STR("\x7f")));
    CHECK("NUL", !str_printable_ascii(STR("a\0")));
    CHECK("high byte", !str_printable_ascii(STR("a\x80")));
    CHECK("UTF-8", !str_printable_ascii(STR("\xc3\xa4")));
}

/* clang-format off */
static const struct {
    const char *name;
    struct str s;
    bool valid;
} utf8_cases[] = {
    { "ASCII",                     STR_INIT("0123456789abcdef"),         true  },
    { "nothing",                   { NULL, 0 },                          true  },
    { "NUL",                       STR_INIT("\0"),                       true  },
    { "first of two bytes",        STR_INIT("\xc2\x80"),                 true  },
    { "last of two bytes",         STR_INIT("\xdf\xbf"),                 true  },
    { "first of three bytes",      STR_INIT("\xe0\xa0\x80"),             true  },
    { "before the surrogates",     STR_INIT("\xed\x9f\xbf"),             true  },
    { "after the surrogates",      STR_INIT("\xee\x80\x80"),             true  },
    { "last of three bytes",       STR_INIT("\xef\xbf\xbf"),             true  },
    { "first of four bytes",       STR_INIT("\xf0\x90\x80\x80"),         true  },
    { "the last code point",       STR_INIT("\xf4\x8f\xbf\xbf"),         true  },
    { "after eight bytes",         STR_INIT("01234567\xc3\xa4" "ab"),    true  },
    { "continuation alone",        STR_INIT("\x80"),                     false },
    { "high continuation alone",   STR_INIT("\xbf"),                     false },
    { "lead alone",                STR_INIT("\xc3"),                     false },
    { "lead before ASCII",         STR_INIT("\xc3" "a"),                 false },
    { "lead before lead",          STR_INIT("\xc3\xc3"),                 false },
    { "overlong slash C0",         STR_INIT("\xc0\xaf"),                 false },
    { "overlong C1",               STR_INIT("\xc1\xbf"),                 false },
    { "overlong slash E0",         STR_INIT("\xe0\x80\xaf"),             false },
    { "overlong E0 at its end",    STR_INIT("\xe0\x9f\xbf"),             false },
    { "overlong F0",               STR_INIT("\xf0\x8f\xbf\xbf"),         false },
    { "first surrogate",           STR_INIT("\xed\xa0\x80"),             false },
    { "last surrogate",            STR_INIT("\xed\xbf\xbf"),             false },
    { "surrogate pair (CESU)",     STR_INIT("\xed\xa0\xbd\xed\xb8\x80"), false },
    { "past the last code point",  STR_INIT("\xf4\x90\x80\x80"),         false },
    { "lead F5",                   STR_INIT("\xf5\x80\x80\x80"),         false },
    { "lead FF",                   STR_INIT("\xff"),                     false },
    { "three bytes cut to two",    STR_INIT("\xe2\x82"),                 false },
    { "four bytes cut to three",   STR_INIT("\xf0\x9f\x98"),             false },
    { "third byte is ASCII",       STR_INIT("\xe2\x82" "a"),             false },
    { "fourth byte is ASCII",      STR_INIT("\xf0\x9f\x98" "a"),         false },
    { "bad in the eighth byte",    STR_INIT("0123456\xff"),              false },
    { "bad after eight bytes",     STR_INIT("01234567\xff"),             false },
};
/* clang-format on */

static void test_utf8(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(utf8_cases); i++)
        CHECK_EQ(utf8_cases[i].name, str_valid_utf8(utf8_cases[i].s), utf8_cases[i].valid);
}

static void test_utf8_at(void **state)
{
    (void)state;
    struct str s = STR("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
    CHECK_EQ("ASCII", str_utf8_at(s, 0), 1);
    CHECK_EQ("two", str_utf8_at(s, 1), 2);
    CHECK_EQ("inside", str_utf8_at(s, 2), 0);
    CHECK_EQ("three", str_utf8_at(s, 3), 3);
    CHECK_EQ("four", str_utf8_at(s, 6), 4);
    CHECK_EQ("at the end", str_utf8_at(s, s.len), 0);
    CHECK_EQ("past the end", str_utf8_at(s, 99), 0);
    CHECK_EQ("of nothing", str_utf8_at(STR_NONE, 0), 0);
}

/* Every code point once, and nothing else, against the arithmetic of RFC 3629 section 3. */
static void test_utf8_all_three_bytes(void **state)
{
    (void)state;
    for (unsigned v = 0; v <= 0xffffff; v++) {
        char b[3] = { (char)(v >> 16), (char)(v >> 8), (char)v };
        unsigned code = (v >> 16 & 0x0f) << 12 | (v >> 8 & 0x3f) << 6 | (v & 0x3f);
        bool shape = (v & 0xf0c0c0) == 0xe08080;
        bool want = shape && code >= 0x800 && (code < 0xd800 || code > 0xdfff);
        if ((str_utf8_at((struct str){ b, 3 }, 0) == 3) != want)
            fail_msg("%06x", v);
    }
}

TEST_MAIN(cmocka_unit_test(test_from), cmocka_unit_test(test_equal), cmocka_unit_test(test_compare),
          cmocka_unit_test(test_starts_ends), cmocka_unit_test(test_find_slice),
          cmocka_unit_test(test_trim), cmocka_unit_test(test_cut), cmocka_unit_test(test_to_int),
          cmocka_unit_test(test_printable), cmocka_unit_test(test_utf8),
          cmocka_unit_test(test_utf8_at), cmocka_unit_test(test_utf8_all_three_bytes))
