#include "test.h"

#include "presignd/template.h"

/* clang-format off */
static const struct { const char *name; struct str in; enum template_use use; const char *why; } refused[] = {
    { "unknown word",        STR_INIT("{uuid}/{usr}"),      TEMPLATE_KEY,   "{usr} is no word" },
    { "capitals",            STR_INIT("{UUID}"),            TEMPLATE_KEY,   "{UUID} is no word" },
    { "blank in a word",     STR_INIT("{ user }"),          TEMPLATE_VALUE, "{ user } is no word" },
    { "empty word",          STR_INIT("{}"),                TEMPLATE_VALUE, "{} is no word" },
    { "claim without name",  STR_INIT("{claim:}"),          TEMPLATE_VALUE, "{claim:} is no word" },
    { "brace in a word",     STR_INIT("{us{er}}"),          TEMPLATE_VALUE, "{us{er} is no word" },
    { "open brace",          STR_INIT("{uuid}/{user"),      TEMPLATE_KEY,   "never closed" },
    { "closing brace",       STR_INIT("{uuid}}"),           TEMPLATE_KEY,   "without its '{'" },
    { "dollar",              STR_INIT("{uuid}/${filename}"), TEMPLATE_KEY,  "cannot stand" },
    { "backslash",           STR_INIT("a\\b"),              TEMPLATE_VALUE, "cannot stand" },
    { "line feed",           STR_INIT("a\nb"),              TEMPLATE_VALUE, "cannot stand" },
    { "NUL",                 STR_INIT("a\0b"),              TEMPLATE_VALUE, "cannot stand" },
    { "bidi",                STR_INIT("a\xe2\x80\xae"),     TEMPLATE_VALUE, "cannot stand" },
    { "bad UTF-8",           STR_INIT("a\xff"),             TEMPLATE_VALUE, "cannot stand" },
    { "key without uuid",    STR_INIT("{user}/{filename}"), TEMPLATE_KEY,   "{uuid} or {uuid7}" },
    { "empty key",           STR_INIT(""),                  TEMPLATE_KEY,   "{uuid} or {uuid7}" },
    { "key starts with /",   STR_INIT("/{uuid}"),           TEMPLATE_KEY,   "start with '/'" },
    { "two slashes",         STR_INIT("a//{uuid}"),         TEMPLATE_KEY,   "\"//\"" },
    { "dot",                 STR_INIT("a/./{uuid}"),        TEMPLATE_KEY,   "\"..\"" },
    { "dots",                STR_INIT("a/../{uuid}"),       TEMPLATE_KEY,   "\"..\"" },
    { "dots at the start",   STR_INIT("../{uuid}"),         TEMPLATE_KEY,   "\"..\"" },
    { "dots at the end",     STR_INIT("{uuid}/.."),         TEMPLATE_KEY,   "\"..\"" },
};

static const struct { const char *name; struct str in; enum template_use use; const char *want; } expanded[] = {
    { "default",     STR_INIT("{user}/{uuid}"),   TEMPLATE_KEY,
      "u-1/00000000-0000-4000-8000-000000000000" },
    { "uuid7",       STR_INIT("{uuid7}"),         TEMPLATE_KEY,   "01900000-0000-7000-8000-000000000000" },
    { "hash",        STR_INIT("{user_hash}"),     TEMPLATE_VALUE, "0123456789abcdef0123456789abcdef" },
    { "names",       STR_INIT("{tenant}.{plan}.{profile}"), TEMPLATE_VALUE, "acme.free.photos" },
    { "dates",       STR_INIT("{yyyy}/{mm}/{dd}/{hh}"), TEMPLATE_VALUE, "2026/03/05/07" },
    { "epoch",       STR_INIT("{epoch_ms}"),      TEMPLATE_VALUE, "1772696045000" },
    { "file",        STR_INIT("{filename}.{ext}"), TEMPLATE_VALUE, "Ein Bild.png.png" },
    { "claim",       STR_INIT("<{claim:role}>"),  TEMPLATE_VALUE, "<editor>" },
    { "number",      STR_INIT("{claim:n}"),       TEMPLATE_VALUE, "-42" },
    { "name with slashes", STR_INIT("{uuid}/{claim:https://x.example/role}"), TEMPLATE_KEY,
      "00000000-0000-4000-8000-000000000000/admin" },
    { "no word",     STR_INIT("private, max-age=1"), TEMPLATE_VALUE, "private, max-age=1" },
    { "empty",       STR_INIT(""),                TEMPLATE_VALUE, "" },
    { "non-ASCII",   STR_INIT("\xc3\xbc/{hh}"),   TEMPLATE_VALUE, "\xc3\xbc/07" },
    { "dots in names", STR_INIT("a..b/.x/{uuid}"), TEMPLATE_KEY,
      "a..b/.x/00000000-0000-4000-8000-000000000000" },
};

static const struct { const char *name; struct str user; bool want; } users[] = {
    { "plain",          STR_INIT("u-1"),        true },
    { "all it may hold", STR_INIT("A.b_c-9"),   true },
    { "dots inside",    STR_INIT("a..b"),       true },
    { "three dots",     STR_INIT("..."),        true },
    { "empty",          STR_INIT(""),           false },
    { "dot",            STR_INIT("."),          false },
    { "dots",           STR_INIT(".."),         false },
    { "slash",          STR_INIT("a/b"),        false },
    { "climbing",       STR_INIT("../b"),       false },
    { "blank",          STR_INIT("a b"),        false },
    { "pipe",           STR_INIT("auth0|123"),  false },
    { "at",             STR_INIT("a@b.example"), false },
    { "dollar",         STR_INIT("${x}"),       false },
    { "brace",          STR_INIT("{uuid}"),     false },
    { "percent",        STR_INIT("%2e"),        false },
    { "NUL",            STR_INIT("a\0"),        false },
    { "line feed",      STR_INIT("a\n"),        false },
    { "non-ASCII",      STR_INIT("\xc3\xbc"),   false },
};

static const struct { const char *name; struct str in; } unfit[] = {
    { "no such claim",    STR_INIT("{claim:nope}") },
    { "a real",           STR_INIT("{claim:real}") },
    { "a truth",          STR_INIT("{claim:truth}") },
    { "a null",           STR_INIT("{claim:null}") },
    { "a list",           STR_INIT("{claim:list}") },
    { "an object",        STR_INIT("{claim:object}") },
    { "an empty text",    STR_INIT("{claim:empty}") },
    { "a path",           STR_INIT("{claim:path}") },
    { "dots",             STR_INIT("{claim:dots}") },
};
/* clang-format on */

static struct principal who;
static struct template_values values;

static int set_up(void **state)
{
    (void)state;
    who = (struct principal){ .user = STR("u-1"),
                              .user_hash = "0123456789abcdef0123456789abcdef",
                              .tenant = STR("acme") };
    who.claims = json_pack("{s:s,s:i,s:s,s:f,s:b,s:n,s:[s],s:{},s:s,s:s,s:s}", "role", "editor",
                           "n", -42, "https://x.example/role", "admin", "real", 1.5, "truth", 1,
                           "null", "list", "a", "object", "empty", "", "path", "a/b", "dots", "..");
    values = (struct template_values){ .who = &who,
                                       .plan = STR("free"),
                                       .profile = STR("photos"),
                                       .uuid = STR("00000000-0000-4000-8000-000000000000"),
                                       .uuid7 = STR("01900000-0000-7000-8000-000000000000"),
                                       .filename = STR("Ein Bild.png"),
                                       .ext = STR("png"),
                                       .now_ms = INT64_C(1772696045000) };
    return who.claims ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    json_decref(who.claims);
    return 0;
}

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(refused); i++) {
        AUTO(arena) a = ARENA_INIT(65536);
        AUTO(buf) why = BUF_INIT(4096);
        struct template t;
        CHECK_EQ(refused[i].name, template_compile(&t, refused[i].in, refused[i].use, &a, &why),
                 ST_INVALID);
        CHECK(refused[i].name, strstr(buf_cstr(&why), refused[i].why));
    }
}

static void test_expanded(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(expanded); i++) {
        AUTO(arena) a = ARENA_INIT(65536);
        AUTO(buf) why = BUF_INIT(4096);
        AUTO(buf) out = BUF_INIT(4096);
        struct template t;
        struct str word;
        CHECK_EQ(expanded[i].name, template_compile(&t, expanded[i].in, expanded[i].use, &a, &why),
                 ST_OK);
        CHECK(expanded[i].name, template_fits(&t, &values, &word));
        CHECK_EQ(expanded[i].name, template_expand(&t, &values, &out, &word), ST_OK);
        CHECK_TEXT(expanded[i].name, buf_view(&out), expanded[i].want);
        CHECK(expanded[i].name, out.len <= t.max_bytes);
        CHECK_EQ(expanded[i].name, t.constant, !strchr(expanded[i].in.ptr, '{'));
    }
}

/* Both doors, expanding and asking beforehand, say the same. */
static void check_value(const char *name, struct str text, bool want)
{
    AUTO(arena) a = ARENA_INIT(65536);
    AUTO(buf) why = BUF_INIT(4096);
    AUTO(buf) out = BUF_INIT(4096);
    struct template t;
    struct str word = STR_NONE;
    CHECK_EQ(name, template_compile(&t, text, TEMPLATE_VALUE, &a, &why), ST_OK);
    CHECK_EQ(name, template_fits(&t, &values, &word), want);
    if (!want)
        CHECK_STR(name, word, text);
    word = STR_NONE;
    CHECK_EQ(name, template_expand(&t, &values, &out, &word),
             want ? ST_OK : ST_PROFILE_NOT_ALLOWED);
    if (!want)
        CHECK_STR(name, word, text);
}

static void test_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(unfit); i++)
        check_value(unfit[i].name, unfit[i].in, false);
    const struct str before = who.user;
    for (size_t i = 0; i < ROWS(users); i++) {
        who.user = users[i].user;
        check_value(users[i].name, STR("{user}"), users[i].want);
    }
    char longest[129];
    memset(longest, 'a', sizeof(longest));
    who.user = (struct str){ longest, 128 };
    check_value("128 bytes", STR("{user}"), true);
    who.user = (struct str){ longest, 129 };
    check_value("129 bytes", STR("{user}"), false);
    who.user = before;
    who.tenant = STR("");
    check_value("no tenant", STR("{tenant}"), false);
    who.tenant = STR("acme");
    values.plan = STR("");
    check_value("no plan", STR("{plan}"), false);
    values.plan = STR("free");
}

static void test_limit(void **state)
{
    (void)state;
    AUTO(arena) a = ARENA_INIT(65536);
    AUTO(buf) why = BUF_INIT(4096);
    char small[8];
    struct buf out = BUF_FIXED(small);
    struct template t;
    struct str word;
    CHECK_EQ("compiles", template_compile(&t, STR("{uuid}"), TEMPLATE_KEY, &a, &why), ST_OK);
    CHECK_EQ("too small", template_expand(&t, &values, &out, &word), ST_TOO_LARGE);

    AUTO(buf) many = BUF_INIT(4096);
    for (int i = 0; i < 65; i++)
        buf_lit(&many, "{hh}");
    CHECK_EQ("too many words", template_compile(&t, buf_view(&many), TEMPLATE_VALUE, &a, &why),
             ST_INVALID);
    struct arena none = ARENA_INIT(0);
    CHECK_EQ("no memory", template_compile(&t, STR("{uuid}"), TEMPLATE_KEY, &none, &why),
             ST_NO_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_expanded),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
