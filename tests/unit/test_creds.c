/* One generation: copied, counted, never half made. */
#include "test.h"

#include "oom.h"

#include "presignd/creds.h"

static char long_text[CREDS_TEXT_MAX + 1];

/* clang-format off */
static const struct { const char *name; struct str access, secret, token; bool good; } cases[] = {
    { "long-lived",        STR_INIT("AKIA"),    STR_INIT("s"),      STR_INIT(""),     true  },
    { "temporary",         STR_INIT("ASIA"),    STR_INIT("s/+="),   STR_INIT("t=="),  true  },
    { "longest token",     STR_INIT("ASIA"),    STR_INIT("s"),      { long_text, CREDS_TEXT_MAX }, true },
    { "token too long",    STR_INIT("ASIA"),    STR_INIT("s"),      { long_text, CREDS_TEXT_MAX + 1 }, false },
    { "no access key",     STR_INIT(""),        STR_INIT("s"),      STR_INIT("t"),    false },
    { "no secret",         STR_INIT("ASIA"),    STR_INIT(""),       STR_INIT("t"),    false },
    { "NULL secret",       STR_INIT("ASIA"),    { NULL, 0 },        STR_INIT("t"),    false },
    { "line feed",         STR_INIT("ASIA\n"),  STR_INIT("s"),      STR_INIT("t"),    false },
    { "blank in secret",   STR_INIT("ASIA"),    STR_INIT("s s"),    STR_INIT("t"),    false },
    { "blank in token",    STR_INIT("ASIA"),    STR_INIT("s"),      STR_INIT(" t"),   false },
    { "carriage return",   STR_INIT("ASIA"),    STR_INIT("s"),      STR_INIT("t\r"),  false },
    { "NUL",               STR_INIT("AS\0IA"),  STR_INIT("s"),      STR_INIT("t"),    false },
    { "not ASCII",         STR_INIT("ASIA"),    STR_INIT("s\xc3\xa4"), STR_INIT("t"), false },
};
/* clang-format on */

static int fill(void **state)
{
    (void)state;
    memset(long_text, 'x', sizeof(long_text));
    return 0;
}

static void test_new(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct creds *c =
            creds_new(cases[i].access, cases[i].secret, cases[i].token, 50, 10, "env");
        CHECK_EQ(cases[i].name, c != NULL, cases[i].good);
        if (!c)
            continue;
        CHECK_STR(cases[i].name, c->access_key_id, cases[i].access);
        CHECK_STR(cases[i].name, c->secret_key, cases[i].secret);
        CHECK_STR(cases[i].name, c->session_token, cases[i].token);
        CHECK(cases[i].name, cases[i].secret.ptr != c->secret_key.ptr);
        CHECK_EQ(cases[i].name, c->expires_at_s, 50);
        CHECK_EQ(cases[i].name, c->obtained_at_s, 10);
        creds_unref(c);
    }
}

static void test_generations_grow(void **state)
{
    (void)state;
    struct creds *a = creds_new(STR("A"), STR("B"), STR(""), CREDS_NEVER, 0, "env");
    struct creds *b = creds_new(STR("A"), STR("B"), STR(""), CREDS_NEVER, 0, "env");
    assert_true(a->generation > 0);
    assert_int_equal(b->generation, a->generation + 1);
    creds_unref(a);
    creds_unref(b);
}

static void test_references(void **state)
{
    (void)state;
    struct creds *c = creds_new(STR("A"), STR("B"), STR("C"), 100, 0, "env");
    struct creds *same = creds_ref(c);
    assert_ptr_equal(c, same);
    creds_unref(c);
    const struct sign_creds s = creds_for_signing(same);
    CHECK_TEXT("access key", s.access_key_id, "A");
    CHECK_TEXT("secret", s.secret_key, "B");
    CHECK_TEXT("token", s.session_token, "C");
    creds_unref(same);
    creds_unref(NULL);
}

static void test_left(void **state)
{
    (void)state;
    struct creds *c = creds_new(STR("A"), STR("B"), STR(""), 100, 0, "env");
    assert_int_equal(creds_left_s(c, 40), 60);
    assert_int_equal(creds_left_s(c, 100), 0);
    assert_int_equal(creds_left_s(c, 101), -1);
    creds_unref(c);
    c = creds_new(STR("A"), STR("B"), STR(""), CREDS_NEVER, 0, "env");
    assert_true(creds_left_s(c, INT64_C(4000000000)) == CREDS_NEVER);
    creds_unref(c);
}

/* clang-format off */
static const struct { const char *name; struct str id, secret, token; int64_t end_s; const char *source; bool same; } twins[] = {
    { "the same",       STR_INIT("AB"),  STR_INIT("CD"),  STR_INIT("EF"), 100, "file", true  },
    { "id",             STR_INIT("AX"),  STR_INIT("CD"),  STR_INIT("EF"), 100, "file", false },
    { "secret",         STR_INIT("AB"),  STR_INIT("CX"),  STR_INIT("EF"), 100, "file", false },
    { "token",          STR_INIT("AB"),  STR_INIT("CD"),  STR_INIT("EX"), 100, "file", false },
    { "no token",       STR_INIT("AB"),  STR_INIT("CD"),  STR_INIT(""),   100, "file", false },
    { "other borders",  STR_INIT("ABC"), STR_INIT("D"),   STR_INIT("EF"), 100, "file", false },
    { "other border",   STR_INIT("AB"),  STR_INIT("CDE"), STR_INIT("F"),  100, "file", false },
    { "end",            STR_INIT("AB"),  STR_INIT("CD"),  STR_INIT("EF"), 101, "file", false },
    { "source",         STR_INIT("AB"),  STR_INIT("CD"),  STR_INIT("EF"), 100, "env",  false },
};
/* clang-format on */

static void test_same(void **state)
{
    (void)state;
    struct creds *a = creds_new(STR("AB"), STR("CD"), STR("EF"), 100, 1, "file");
    for (size_t i = 0; i < ROWS(twins); i++) {
        struct creds *b = creds_new(twins[i].id, twins[i].secret, twins[i].token, twins[i].end_s, 2,
                                    twins[i].source);
        CHECK_EQ(twins[i].name, creds_same(a, b), twins[i].same);
        creds_unref(b);
    }
    creds_unref(a);
}

static bool made_or_not(void)
{
    struct creds *c = creds_new(STR("A"), STR("B"), STR("C"), 100, 0, "env");
    const bool whole = c && c->session_token.len == 1;
    const bool promised = whole || (!c && oom_struck());
    creds_unref(c);
    return promised;
}

static void test_no_memory(void **state)
{
    (void)state;
    oom_torture(made_or_not);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_new),        cmocka_unit_test(test_generations_grow),
    cmocka_unit_test(test_references), cmocka_unit_test(test_left),
    cmocka_unit_test(test_same),       cmocka_unit_test(test_no_memory),
};

int main(void)
{
    return cmocka_run_group_tests(tests, fill, NULL);
}
