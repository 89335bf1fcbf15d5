#include "test.h"

#include <jansson.h>

#include "oom.h"
#include "presignd/json_write.h"

enum { TEXT_MAX = 1 << 16 };

static void test_document(void **state)
{
    (void)state;
    AUTO(buf) b = BUF_INIT(TEXT_MAX);
    struct jw j = { .out = &b };
    jw_open(&j, '{');
    jw_str(&j, "url", STR("https://a/"));
    jw_int(&j, "expires_in", 900);
    jw_bool(&j, "ok", true);
    jw_bool(&j, "not_ok", false);
    jw_null(&j, "size");
    jw_open_key(&j, "fields", '{');
    jw_pair(&j, STR("x-amz-meta-\"q\""), STR("v"));
    jw_pair_int(&j, STR("n"), -5);
    jw_open_pair(&j, STR("deep"), '[');
    jw_close(&j);
    jw_close(&j);
    jw_open_key(&j, "list", '[');
    jw_item_str(&j, STR("a"));
    jw_item_int(&j, 2);
    jw_open(&j, '{');
    jw_close(&j);
    jw_open(&j, '[');
    jw_item_str(&j, STR(""));
    jw_close(&j);
    jw_close(&j);
    jw_raw(&j, "raw", STR("[1,2]"));
    jw_micros_as_s(&j, "took", 12345);
    jw_close(&j);
    assert_int_equal(jw_end(&j), ST_OK);
    CHECK_TEXT("document", b,
               "{\"url\":\"https://a/\",\"expires_in\":900,\"ok\":true,\"not_ok\":false,"
               "\"size\":null,\"fields\":{\"x-amz-meta-\\\"q\\\"\":\"v\",\"n\":-5,\"deep\":[]},"
               "\"list\":[\"a\",2,{},[\"\"]],\"raw\":[1,2],\"took\":0.012}");
}

static void test_pretty(void **state)
{
    (void)state;
    AUTO(buf) b = BUF_INIT(TEXT_MAX);
    struct jw j = { .out = &b, .pretty = true };
    jw_open(&j, '{');
    jw_str(&j, "a", STR("b"));
    jw_open_key(&j, "empty", '{');
    jw_close(&j);
    jw_open_key(&j, "list", '[');
    jw_item_int(&j, 1);
    jw_open(&j, '{');
    jw_pair(&j, STR("k"), STR("v"));
    jw_close(&j);
    jw_close(&j);
    jw_close(&j);
    assert_int_equal(jw_end(&j), ST_OK);
    CHECK_TEXT("pretty", b,
               "{\n  \"a\": \"b\",\n  \"empty\": {},\n  \"list\": [\n    1,\n    {\n"
               "      \"k\": \"v\"\n    }\n  ]\n}");
}

/* clang-format off */
static const struct {
    const char *name;
    struct str in;
    const char *want;
} escape_cases[] = {
    { "nothing",                { NULL, 0 },                       ""                         },
    { "plain",                  STR_INIT("abcDEF0123456789 /~"),   "abcDEF0123456789 /~"      },
    { "quote",                  STR_INIT("a\"b"),                  "a\\\"b"                   },
    { "backslash",              STR_INIT("a\\b"),                  "a\\\\b"                   },
    { "short forms",            STR_INIT("\b\f\n\r\t"),            "\\b\\f\\n\\r\\t"          },
    { "NUL",                    STR_INIT("a\0b"),                  "a\\u0000b"                },
    { "escape",                 STR_INIT("\x1b"),                  "\\u001b"                  },
    { "the last control",       STR_INIT("\x1f"),                  "\\u001f"                  },
    { "DEL",                    STR_INIT("\x7f"),                  "\\u007f"                  },
    { "slash stays",            STR_INIT("</script>"),             "</script>"                },
    { "UTF-8 stays",            STR_INIT("\xc3\xa4\xf0\x9f\x98\x80"), "\xc3\xa4\xf0\x9f\x98\x80" },
    { "C1 control",             STR_INIT("a\xc2\x9b" "31m"),         "a\\u009b" "31m"            },
    { "first after C1 stays",   STR_INIT("\xc2\xa0"),              "\xc2\xa0"                 },
    { "right-to-left override", STR_INIT("a\xe2\x80\xae" "b"),      "a\\u202e" "b"             },
    { "isolate",                STR_INIT("\xe2\x81\xa6"),          "\\u2066"                  },
    { "arabic letter mark",     STR_INIT("\xd8\x9c"),              "\\u061c"                  },
    { "joiner stays",           STR_INIT("\xe2\x80\x8d"),          "\xe2\x80\x8d"             },
    { "only special",           STR_INIT("\"\"\"\"\"\"\"\"\""),    "\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"" },
    { "byte alone",             STR_INIT("a\xff" "b"),             "a\xef\xbf\xbd" "b"        },
    { "continuation alone",     STR_INIT("\x80"),                  "\xef\xbf\xbd"             },
    { "cut at the end",         STR_INIT("abc\xe2\x82"),           "abc\xef\xbf\xbd\xef\xbf\xbd" },
    { "surrogate",              STR_INIT("\xed\xa0\x80"),          "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
    { "overlong quote",         STR_INIT("\xc0\xa2"),              "\xef\xbf\xbd\xef\xbf\xbd" },
    { "a lead eats no quote",   STR_INIT("\xc3\""),                "\xef\xbf\xbd\\\""         },
};
/* clang-format on */

static void test_escape(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(escape_cases); i++) {
        AUTO(buf) b = BUF_INIT(TEXT_MAX);
        jw_escape(&b, escape_cases[i].in);
        CHECK_EQ(escape_cases[i].name, buf_check(&b), ST_OK);
        CHECK_TEXT(escape_cases[i].name, b, escape_cases[i].want);
    }
}

/* The fast look goes by eights: every byte at every place among every kind of neighbour. */
static void test_each_byte_at_each_place(void **state)
{
    (void)state;
    static const char neighbours[] = {
        'a', ' ', '!', '#', '[', ']', '~', '"', '\\', '\x1f', '\x01'
    };
    for (size_t n = 0; n < ROWS(neighbours); n++) {
        for (int c = 0; c < 256; c++) {
            for (size_t at = 0; at < 90; at++) {
                char text[90];
                memset(text, neighbours[n], sizeof(text));
                text[at] = (char)c;
                AUTO(buf) whole = BUF_INIT(TEXT_MAX);
                AUTO(buf) single = BUF_INIT(TEXT_MAX);
                jw_escape(&whole, (struct str){ text, sizeof(text) });
                for (size_t i = 0; i < sizeof(text); i++)
                    jw_escape(&single, (struct str){ text + i, 1 });
                CHECK_STR("in eights as one by one", whole, single);
            }
        }
    }
}

static bool must_escape(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\' || c == 0x7f;
}

static void test_single_bytes(void **state)
{
    (void)state;
    for (int c = 0; c < 0x80; c++) {
        char text = (char)c;
        AUTO(buf) b = BUF_INIT(TEXT_MAX);
        jw_escape(&b, (struct str){ &text, 1 });
        if (must_escape((unsigned char)c))
            assert_true(b.len == 2 || b.len == 6);
        else
            CHECK_BYTES("itself", b.ptr, b.len, &text, 1);
    }
}

/* jansson as the judge: what was written reads back as what went in. */
static void test_reads_back(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (int round = 0; round < 2000; round++) {
        char text[64];
        size_t n = (size_t)round % sizeof(text);
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1664525 + 1013904223;
            text[i] = (char)(seed >> 24 & 0x7f);
        }
        AUTO(buf) b = BUF_INIT(TEXT_MAX);
        struct jw j = { .out = &b };
        jw_open(&j, '[');
        jw_item_str(&j, (struct str){ text, n });
        jw_close(&j);
        assert_int_equal(jw_end(&j), ST_OK);
        json_t *doc = json_loadb(b.ptr, b.len, JSON_ALLOW_NUL, NULL);
        assert_non_null(doc);
        json_t *back = json_array_get(doc, 0);
        CHECK_BYTES("read back", json_string_value(back), json_string_length(back), text, n);
        json_decref(doc);
    }
}

static void test_micros(void **state)
{
    (void)state;
    static const struct {
        const char *want;
        int64_t micros;
    } cases[] = {
        { "{\"t\":0.000}", 0 },
        { "{\"t\":0.000}", 999 },
        { "{\"t\":0.001}", 1000 },
        { "{\"t\":1.000}", 1000000 },
        { "{\"t\":61.234}", 61234999 },
        { "{\"t\":0.000}", -5 },
        { "{\"t\":9223372036854.775}", INT64_MAX },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        AUTO(buf) b = BUF_INIT(TEXT_MAX);
        struct jw j = { .out = &b };
        jw_open(&j, '{');
        jw_micros_as_s(&j, "t", cases[i].micros);
        jw_close(&j);
        assert_int_equal(jw_end(&j), ST_OK);
        CHECK_TEXT(cases[i].want, b, cases[i].want);
    }
}

static void nothing(struct jw *j)
{
    (void)j;
}

static void unclosed(struct jw *j)
{
    jw_open(j, '{');
}

static void closed_twice(struct jw *j)
{
    jw_open(j, '{');
    jw_close(j);
    jw_close(j);
}

static void closed_first(struct jw *j)
{
    jw_close(j);
}

static void two_documents(struct jw *j)
{
    jw_open(j, '[');
    jw_close(j);
    jw_open(j, '[');
    jw_close(j);
}

static void item_in_object(struct jw *j)
{
    jw_open(j, '{');
    jw_item_str(j, STR("a"));
    jw_close(j);
}

static void bracket_in_object(struct jw *j)
{
    jw_open(j, '{');
    jw_open(j, '[');
    jw_close(j);
    jw_close(j);
}

static void member_in_array(struct jw *j)
{
    jw_open(j, '[');
    jw_str(j, "a", STR("b"));
    jw_close(j);
}

static void pair_in_array(struct jw *j)
{
    jw_open(j, '[');
    jw_pair(j, STR("a"), STR("b"));
    jw_close(j);
}

static void member_at_the_top(struct jw *j)
{
    jw_int(j, "a", 1);
}

static void item_at_the_top(struct jw *j)
{
    jw_item_int(j, 1);
}

static void empty_raw(struct jw *j)
{
    jw_open(j, '{');
    jw_raw(j, "a", STR(""));
    jw_close(j);
}

static void too_deep(struct jw *j)
{
    for (int i = 0; i <= JW_DEPTH_MAX; i++)
        jw_open(j, '[');
    for (int i = 0; i <= JW_DEPTH_MAX; i++)
        jw_close(j);
}

static void test_our_own_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        void (*write)(struct jw *j);
    } cases[] = {
        { "nothing", nothing },
        { "unclosed", unclosed },
        { "closed twice", closed_twice },
        { "closed first", closed_first },
        { "two documents", two_documents },
        { "item in an object", item_in_object },
        { "bracket in an object", bracket_in_object },
        { "member in an array", member_in_array },
        { "pair in an array", pair_in_array },
        { "member at the top", member_at_the_top },
        { "item at the top", item_at_the_top },
        { "empty raw", empty_raw },
        { "too deep", too_deep },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        AUTO(buf) b = BUF_INIT(TEXT_MAX);
        struct jw j = { .out = &b };
        cases[i].write(&j);
        CHECK_EQ(cases[i].name, jw_end(&j), ST_INTERNAL);
    }
}

static void test_deepest(void **state)
{
    (void)state;
    AUTO(buf) b = BUF_INIT(TEXT_MAX);
    struct jw j = { .out = &b };
    for (int i = 0; i < JW_DEPTH_MAX; i++)
        jw_open(&j, '[');
    for (int i = 0; i < JW_DEPTH_MAX; i++)
        jw_close(&j);
    assert_int_equal(jw_end(&j), ST_OK);
    assert_int_equal(b.len, 2 * JW_DEPTH_MAX);
}

static enum status small_document(struct buf *b)
{
    struct jw j = { .out = b };
    jw_open(&j, '{');
    jw_str(&j, "a", STR("\"\xff"));
    jw_close(&j);
    return jw_end(&j);
}

static void test_does_not_fit(void **state)
{
    (void)state;
    AUTO(buf) enough = BUF_INIT(TEXT_MAX);
    assert_int_equal(small_document(&enough), ST_OK);
    for (size_t max = 0; max < enough.len; max++) {
        AUTO(buf) b = BUF_INIT(max);
        assert_int_equal(small_document(&b), ST_TOO_LARGE);
    }
}

static bool writes_or_says_no_memory(void)
{
    AUTO(buf) b = BUF_INIT(TEXT_MAX);
    struct jw j = { .out = &b };
    jw_open(&j, '[');
    for (int i = 0; i < 500; i++)
        jw_item_str(&j, STR("\"text\""));
    jw_close(&j);
    return jw_end(&j) == (oom_struck() ? ST_NO_MEMORY : ST_OK);
}

static void test_no_memory(void **state)
{
    (void)state;
    oom_torture(writes_or_says_no_memory);
}

TEST_MAIN(cmocka_unit_test(test_document), cmocka_unit_test(test_pretty),
          cmocka_unit_test(test_escape), cmocka_unit_test(test_each_byte_at_each_place),
          cmocka_unit_test(test_single_bytes), cmocka_unit_test(test_reads_back),
          cmocka_unit_test(test_micros), cmocka_unit_test(test_our_own_mistakes),
          cmocka_unit_test(test_deepest), cmocka_unit_test(test_does_not_fit),
          cmocka_unit_test(test_no_memory))
