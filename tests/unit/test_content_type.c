#include "test.h"

#include "presignd/content_type.h"

/* clang-format off */
static const struct { const char *name; struct str in, whole, essence; } taken[] = {
    { "plain",         STR_INIT("image/png"),   STR_INIT("image/png"),   STR_INIT("image/png") },
    { "empty",         STR_INIT(""),
      STR_INIT("application/octet-stream"),     STR_INIT("application/octet-stream") },
    { "blanks only",   STR_INIT(" \t "),
      STR_INIT("application/octet-stream"),     STR_INIT("application/octet-stream") },
    { "trimmed",       STR_INIT("\t image/png "), STR_INIT("image/png"), STR_INIT("image/png") },
    { "capitals stay in the whole", STR_INIT("Image/PNG"), STR_INIT("Image/PNG"), STR_INIT("image/png") },
    { "parameter",     STR_INIT("text/plain;charset=UTF-8"),
      STR_INIT("text/plain;charset=UTF-8"),     STR_INIT("text/plain") },
    { "blanks around", STR_INIT("text/plain ; charset=utf-8"),
      STR_INIT("text/plain ; charset=utf-8"),   STR_INIT("text/plain") },
    { "quoted",        STR_INIT("text/plain; a=\"b; c=d\""),
      STR_INIT("text/plain; a=\"b; c=d\""),     STR_INIT("text/plain") },
    { "empty quoted",  STR_INIT("text/plain; a=\"\"; b=c"),
      STR_INIT("text/plain; a=\"\"; b=c"),      STR_INIT("text/plain") },
    { "odd tokens",    STR_INIT("a!#%&'+-.^_`|~9/z"), STR_INIT("a!#%&'+-.^_`|~9/z"),
      STR_INIT("a!#%&'+-.^_`|~9/z") },
};

static const struct { const char *name; struct str in; } refused[] = {
    { "comma",                   STR_INIT("image/png,text/html") },
    { "comma in quotes",         STR_INIT("text/plain; a=\"b,c\"") },
    { "dollar",                  STR_INIT("image/$png") },
    { "variable",                STR_INIT("image/png; a=${filename}") },
    { "star",                    STR_INIT("image/*") },
    { "two stars",               STR_INIT("*/*") },
    { "line feed",               STR_INIT("image/png\ntext/html") },
    { "carriage return at end",  STR_INIT("image/png\r") },
    { "NUL",                     STR_INIT("image/png\0") },
    { "tab inside",              STR_INIT("text/plain;\ta=b") },
    { "DEL",                     STR_INIT("image/png\x7f") },
    { "non-ASCII",               STR_INIT("image/pn\xc3\xa9") },
    { "non-ASCII in quotes",     STR_INIT("text/plain; a=\"\xc3\xa9\"") },
    { "backslash in quotes",     STR_INIT("text/plain; a=\"\\\"\"") },
    { "no slash",                STR_INIT("image") },
    { "no subtype",              STR_INIT("image/") },
    { "no type",                 STR_INIT("/png") },
    { "two slashes",             STR_INIT("image/png/x") },
    { "blank inside",            STR_INIT("image /png") },
    { "semicolon only",          STR_INIT("image/png;") },
    { "semicolon and blank",     STR_INIT("image/png; ") },
    { "two semicolons",          STR_INIT("image/png;;a=b") },
    { "parameter without value", STR_INIT("image/png;a") },
    { "parameter, empty value",  STR_INIT("image/png;a=") },
    { "parameter without name",  STR_INIT("image/png;=a") },
    { "blank around =",          STR_INIT("image/png;a =b") },
    { "open quote",              STR_INIT("image/png;a=\"b") },
    { "text behind a quote",     STR_INIT("image/png;a=\"b\"c") },
    { "no semicolon",            STR_INIT("image/png a=b") },
    { "not jpegz;",              STR_INIT("image/jpegz;text/html") },
};

static const struct { const char *name; struct str type, pattern; bool want; } matches[] = {
    { "exact",                 STR_INIT("image/png"),     STR_INIT("image/png"),     true },
    { "exact, capitals",       STR_INIT("IMAGE/Png"),     STR_INIT("image/png"),     true },
    { "with parameter",        STR_INIT("image/png;a=b"), STR_INIT("image/png"),     true },
    { "any image",             STR_INIT("image/png"),     STR_INIT("image/*"),       true },
    { "any text",              STR_INIT("text/plain"),    STR_INIT("text/*"),        true },
    { "html named",            STR_INIT("text/html"),     STR_INIT("text/html"),     true },
    { "svg named",             STR_INIT("image/svg+xml"), STR_INIT("image/svg+xml"), true },
    { "other type",            STR_INIT("image/png"),     STR_INIT("image/jpeg"),    false },
    { "longer subtype",        STR_INIT("image/pngx"),    STR_INIT("image/png"),     false },
    { "longer type",           STR_INIT("imagex/png"),    STR_INIT("image/*"),       false },
    { "shorter type",          STR_INIT("imag/png"),      STR_INIT("image/*"),       false },
    { "html by text/*",        STR_INIT("text/html"),     STR_INIT("text/*"),        false },
    { "HTML by text/*",        STR_INIT("TEXT/HTML"),     STR_INIT("text/*"),        false },
    { "html with parameter",   STR_INIT("text/html; charset=utf-8"), STR_INIT("text/*"), false },
    { "svg by image/*",        STR_INIT("image/svg+xml"), STR_INIT("image/*"),       false },
    { "xhtml",                 STR_INIT("application/xhtml+xml"), STR_INIT("application/*"), false },
    { "text/xml",              STR_INIT("text/xml"),      STR_INIT("text/*"),        false },
    { "application/xml",       STR_INIT("application/xml"), STR_INIT("application/*"), false },
    { "any +xml",              STR_INIT("application/atom+xml"), STR_INIT("application/*"), false },
    { "text/javascript",       STR_INIT("text/javascript"), STR_INIT("text/*"),      false },
    { "application/javascript", STR_INIT("application/javascript"), STR_INIT("application/*"), false },
    { "x-javascript",          STR_INIT("application/x-javascript"), STR_INIT("application/*"), false },
    { "javascript1.5",         STR_INIT("text/javascript1.5"), STR_INIT("text/*"),   false },
    { "ecmascript",            STR_INIT("text/x-ecmascript"), STR_INIT("text/*"),    false },
};

static const struct { const char *name; struct str in; bool want; } patterns[] = {
    { "exact",         STR_INIT("image/png"),      true },
    { "any of a type", STR_INIT("image/*"),        true },
    { "svg",           STR_INIT("image/svg+xml"),  true },
    { "empty",         STR_INIT(""),               false },
    { "star",          STR_INIT("*"),              false },
    { "all",           STR_INIT("*/*"),            false },
    { "only slash star", STR_INIT("/*"),           false },
    { "part of a subtype", STR_INIT("image/p*"),   false },
    { "capital",       STR_INIT("image/PNG"),      false },
    { "capital type",  STR_INIT("Image/*"),        false },
    { "parameter",     STR_INIT("text/plain;charset=utf-8"), false },
    { "blank",         STR_INIT("image/png "),     false },
    { "two types",     STR_INIT("image/png,image/gif"), false },
    { "no subtype",    STR_INIT("image/"),         false },
    { "star in the middle", STR_INIT("image/*/x"), false },
};
/* clang-format on */

static void test_parse(void **state)
{
    (void)state;
    AUTO(arena) a = ARENA_INIT(65536);
    struct content_type ct;
    for (size_t i = 0; i < ROWS(taken); i++) {
        CHECK_EQ(taken[i].name, content_type_parse(taken[i].in, &a, &ct), ST_OK);
        CHECK_STR(taken[i].name, ct.whole, taken[i].whole);
        CHECK_STR(taken[i].name, ct.essence, taken[i].essence);
    }
    for (size_t i = 0; i < ROWS(refused); i++)
        CHECK_EQ(refused[i].name, content_type_parse(refused[i].in, &a, &ct), ST_INVALID_REQUEST);
}

static void test_length(void **state)
{
    (void)state;
    AUTO(arena) a = ARENA_INIT(65536);
    struct content_type ct;
    char text[CONTENT_TYPE_MAX + 1];
    memset(text, 'a', sizeof(text));
    text[1] = '/';
    CHECK_EQ("255 bytes", content_type_parse((struct str){ text, 255 }, &a, &ct), ST_OK);
    CHECK_EQ("256 bytes", content_type_parse((struct str){ text, 256 }, &a, &ct),
             ST_INVALID_REQUEST);
}

static void test_matches(void **state)
{
    (void)state;
    AUTO(arena) a = ARENA_INIT(65536);
    for (size_t i = 0; i < ROWS(matches); i++) {
        struct content_type ct;
        CHECK_EQ(matches[i].name, content_type_parse(matches[i].type, &a, &ct), ST_OK);
        CHECK_EQ(matches[i].name, content_type_matches(&ct, matches[i].pattern), matches[i].want);
    }
}

static void test_patterns(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(patterns); i++)
        CHECK_EQ(patterns[i].name, content_type_pattern_ok(patterns[i].in), patterns[i].want);
}

static void test_extension(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct { struct str type; const char *want; } rows[] = {
        { STR_INIT("application/epub+zip"), "epub" }, { STR_INIT("video/x-msvideo"), "avi" },
        { STR_INIT("image/jpeg"), "jpg" },            { STR_INIT("image/svg+xml"), "svg" },
        { STR_INIT("text/plain"), "txt" },            { STR_INIT("application/pdf"), "pdf" },
        { STR_INIT("application/vnd.openxmlformats-officedocument.wordprocessingml.document"), "docx" },
        { STR_INIT("application/x-7z-compressed"), "7z" },
        { STR_INIT("application/x-unheard-of"), "" }, { STR_INIT(""), "" }, { STR_INIT("zzz/zzz"), "" },
        { STR_INIT("image/pn"), "" },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(rows); i++)
        CHECK_TEXT(rows[i].type.ptr, content_type_extension(rows[i].type), rows[i].want);
}

TEST_MAIN(cmocka_unit_test(test_parse), cmocka_unit_test(test_length),
          cmocka_unit_test(test_matches), cmocka_unit_test(test_patterns),
          cmocka_unit_test(test_extension))
