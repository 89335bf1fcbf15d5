/* The credentials file's form: what is a pair, what is passed over, what is refused and where. */
#include "test.h"

#include "presignd/buf.h"
#include "presignd/ini.h"

/* What a text holds, as "section/key=value;" for each pair, "[section];", and "!line" at a fault. */
static void spell(struct str text, struct buf *out)
{
    struct ini r;
    ini_begin(&r, text);
    enum ini_line line;
    while ((line = ini_next(&r)) == INI_SECTION || line == INI_PAIR) {
        buf_str(out, line == INI_PAIR ? r.section : STR("["));
        buf_str(out, line == INI_PAIR ? STR("/") : r.section);
        buf_str(out, line == INI_PAIR ? r.key : STR("]"));
        if (line == INI_PAIR) {
            buf_lit(out, "=");
            buf_str(out, r.value);
        }
        buf_lit(out, ";");
    }
    if (line == INI_BAD) {
        buf_lit(out, "!");
        buf_int(out, (int64_t)r.line);
    } else {
        assert_int_equal(ini_next(&r), INI_END);
    }
}

/* clang-format off */
static const struct { const char *name; struct str text; const char *want; } cases[] = {
    { "empty",               STR_INIT(""),                             "" },
    { "nothing in it",       STR_INIT("\n\n \t\r\n"),                  "" },
    { "a pair",              STR_INIT("[a]\nk = v\n"),                 "[a];a/k=v;" },
    { "no newline",          STR_INIT("[a]\nk=v"),                     "[a];a/k=v;" },
    { "CR LF",               STR_INIT("[a]\r\nk = v\r\n"),             "[a];a/k=v;" },
    { "byte order mark",     STR_INIT("\xef\xbb\xbf[a]\nk=v"),         "[a];a/k=v;" },
    { "blanks everywhere",   STR_INIT("[ a ]\t\nk \t=  v w \t\n"),     "[a];a/k=v w;" },
    { "= in the value",      STR_INIT("[a]\nk=v==\n"),                 "[a];a/k=v==;" },
    { "no value",            STR_INIT("[a]\nk=\nl = \n"),              "[a];a/k=;a/l=;" },
    { "comments",            STR_INIT("# x\n; [b]\n[a]\n #k=v\nk=v"),  "[a];a/k=v;" },
    { "comment behind",      STR_INIT("[a] # x\nk=v ; x\nl=v\t#x"),    "[a];a/k=v;a/l=v;" },
    { "close behind ]",      STR_INIT("[a]#x\nk=v"),                   "[a];a/k=v;" },
    { "# within a value",    STR_INIT("[a]\nk=v#w;x\n"),               "[a];a/k=v#w;x;" },
    { "only a comment",      STR_INIT("[a]\nk= # v\n"),                "[a];a/k=;" },
    { "repeated key",        STR_INIT("[a]\nk=1\nk=2\n"),              "[a];a/k=1;a/k=2;" },
    { "section goes on",     STR_INIT("[a]\nk=1\n[b]\n[a]\nl=2"),      "[a];a/k=1;[b];[a];a/l=2;" },
    { "nested settings",     STR_INIT("[a]\ns3 =\n  k = v\n\n\tx\nl=w"), "[a];a/s3=;a/l=w;" },
    { "nested header",       STR_INIT("[a]\nk=v\n [b]\nl=w"),          "[a];a/k=v;a/l=w;" },
    { "all of it indented",  STR_INIT("[a]\n  k=v\n  l=w\n   x\n [b]"), "[a];a/k=v;a/l=w;[b];" },
    { "name with blanks",    STR_INIT("[profile a]\nk=v"),             "[profile a];profile a/k=v;" },
    { "not ASCII",           STR_INIT("[\xc3\xa4]\nk=\xff"),           "[\xc3\xa4];\xc3\xa4/k=\xff;" },
    { "NUL",                 STR_INIT("[a]\nk=v\0w"),                  "[a];a/k=v\0w;" },
    { "key before a section", STR_INIT("\n# x\nk=v\n[a]\n"),           "!3" },
    { "no equals sign",      STR_INIT("[a]\nk=v\nword\n"),             "[a];a/k=v;!3" },
    { "colon",               STR_INIT("[a]\nk: v\n"),                  "[a];!2" },
    { "no key",              STR_INIT("[a]\n= v\n"),                   "[a];!2" },
    { "open section",        STR_INIT("[a\nk=v\n"),                    "!1" },
    { "no name",             STR_INIT("[]\n"),                         "!1" },
    { "blank name",          STR_INIT("[ \t]\n"),                      "!1" },
    { "text behind ]",       STR_INIT("[a] b\n"),                      "!1" },
    { "pair behind ]",       STR_INIT("[a]k=v\n"),                     "!1" },
    { "JSON",                STR_INIT("{\n\"a\": 1\n}\n"),             "!1" },
    { "half a mark",         STR_INIT("\xef\xbb[a]\n"),                "!1" },
    { "second mark",         STR_INIT("\xef\xbb\xbf\xef\xbb\xbf[a]"),  "!1" },
};
/* clang-format on */

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        AUTO(buf) got = BUF_INIT(1024);
        spell(cases[i].text, &got);
        const size_t len = strcmp(cases[i].name, "NUL") == 0 ? got.len : strlen(cases[i].want);
        CHECK_BYTES(cases[i].name, got.ptr, got.len, cases[i].want, len);
    }
}

/* Each start of a good text is read to an end, too. */
static void test_cut_anywhere(void **state)
{
    (void)state;
    const struct str whole = STR("\xef\xbb\xbf[a] ; x\r\n k = v # y\n  more\n[b]\nl=w\n");
    for (size_t n = 0; n <= whole.len; n++) {
        AUTO(buf) got = BUF_INIT(1024);
        spell(str_slice(whole, 0, n), &got);
        assert_int_equal(buf_check(&got), ST_OK);
    }
}

TEST_MAIN(cmocka_unit_test(test_cases), cmocka_unit_test(test_cut_anywhere))
