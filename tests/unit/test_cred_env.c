/* Credentials from the environment, as config.c hands it over. */
#include "cred_talk.h"

#include "oom.h"

/* clang-format off */
static const struct {
    const char *name; struct str access, secret, token, end; enum next next; const char *why;
} cases[] = {
    { "long-lived",        STR_INIT("AKIA"), STR_INIT("s"), STR_INIT(""),  STR_INIT(""), NEXT_DONE, NULL },
    { "temporary",         STR_INIT("ASIA"), STR_INIT("s"), STR_INIT("t"), STR_INIT(""), NEXT_DONE, NULL },
    { "with an end",       STR_INIT("ASIA"), STR_INIT("s"), STR_INIT("t"), STR_INIT("2026-11-22T04:26:40Z"), NEXT_DONE, NULL },
    { "nothing set",       STR_INIT(""),     STR_INIT(""),  STR_INIT(""),  STR_INIT(""), NEXT_ABSENT, "AWS_ACCESS_KEY_ID" },
    { "ended",             STR_INIT("ASIA"), STR_INIT("s"), STR_INIT("t"), STR_INIT("2026-11-21T22:26:40Z"), NEXT_FAIL, "2026-11-21T22:26:40Z" },
    { "no secret",         STR_INIT("ASIA"), STR_INIT(""),  STR_INIT(""),  STR_INIT(""), NEXT_CALL, "AWS_SECRET_ACCESS_KEY is not set" },
    { "no access key",     STR_INIT(""),     STR_INIT("s"), STR_INIT(""),  STR_INIT(""), NEXT_CALL, "AWS_ACCESS_KEY_ID is not set" },
    { "token alone",       STR_INIT(""),     STR_INIT(""),  STR_INIT("t"), STR_INIT(""), NEXT_CALL, "AWS_ACCESS_KEY_ID is not set" },
    { "blank at the end",  STR_INIT("AKIA "), STR_INIT("s"), STR_INIT(""), STR_INIT(""), NEXT_CALL, "AWS_ACCESS_KEY_ID is too long or holds" },
    { "slash in the id",   STR_INIT("AK/ID"), STR_INIT("s"), STR_INIT(""), STR_INIT(""), NEXT_CALL, "AWS_ACCESS_KEY_ID is too long or holds other" },
    { "line feed",         STR_INIT("AKIA"), STR_INIT("s\n"), STR_INIT(""), STR_INIT(""), NEXT_CALL, "AWS_SECRET_ACCESS_KEY is too long or holds" },
    { "line feed in token", STR_INIT("AKIA"), STR_INIT("s"), STR_INIT("t\n"), STR_INIT(""), NEXT_CALL, "AWS_SESSION_TOKEN is too long or holds" },
    { "end is no time",    STR_INIT("ASIA"), STR_INIT("s"), STR_INIT("t"), STR_INIT("soon"), NEXT_CALL, "AWS_CREDENTIAL_EXPIRATION" },
};
/* clang-format on */

/* NEXT_CALL stands for: refused at start. */
static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        const struct cred_env env = { .access_key_id = cases[i].access,
                                      .secret_key = cases[i].secret,
                                      .session_token = cases[i].token,
                                      .expiration = cases[i].end };
        AUTO(buf) why = BUF_INIT(512);
        struct cred_source *s = cred_source_new(CRED_ENV, &env, &why);
        CHECK_EQ(cases[i].name, s != NULL, cases[i].next != NEXT_CALL);
        if (!s) {
            CHECK(cases[i].name, holds(&why, cases[i].why));
            continue;
        }
        struct talk t;
        talk_begin(&t, s);
        CHECK_EQ(cases[i].name, talk_start(&t), cases[i].next);
        if (cases[i].why)
            CHECK(cases[i].name, holds(&t.why, cases[i].why));
        if (t.creds) {
            CHECK_STR(cases[i].name, t.creds->access_key_id, cases[i].access);
            CHECK_STR(cases[i].name, t.creds->secret_key, cases[i].secret);
            CHECK_STR(cases[i].name, t.creds->session_token, cases[i].token);
            CHECK_EQ(cases[i].name, t.creds->obtained_at_s, NOW_S);
            CHECK(cases[i].name,
                  t.creds->expires_at_s == (cases[i].end.len ? GOOD_END_S : CREDS_NEVER));
        }
        talk_end(&t);
    }
}

static void test_it_ends_while_we_run(void **state)
{
    (void)state;
    const struct cred_env env = { .access_key_id = STR("A"),
                                  .secret_key = STR("B"),
                                  .expiration = STR("2026-11-22T04:26:40Z") };
    AUTO(buf) why = BUF_INIT(512);
    struct talk t;
    talk_begin(&t, cred_source_new(CRED_ENV, &env, &why));
    const struct reply none = { .kind = REPLY_NONE };
    assert_int_equal(talk_at(&t, &none, GOOD_END_S - 1), NEXT_DONE);
    assert_int_equal(talk_at(&t, &none, GOOD_END_S), NEXT_FAIL);
    talk_end(&t);
}

static void test_names(void **state)
{
    (void)state;
    const struct cred_env env = { .access_key_id = STR("A"), .secret_key = STR("B") };
    AUTO(buf) why = BUF_INIT(512);
    struct talk t;
    talk_begin(&t, cred_source_new(CRED_ENV, &env, &why));
    assert_int_equal(talk_start(&t), NEXT_DONE);
    assert_string_equal(t.creds->source, "env");
    talk_end(&t);
    talk_begin(&t, cred_source_new(CRED_STATIC, &env, &why));
    assert_int_equal(talk_start(&t), NEXT_DONE);
    assert_string_equal(t.creds->source, "static");
    talk_end(&t);
}

static bool made_or_not(void)
{
    const struct cred_env env = { .access_key_id = STR("A"), .secret_key = STR("B") };
    char space[128];
    struct buf why = BUF_FIXED(space);
    struct cred_source *s = cred_source_new(CRED_ENV, &env, &why);
    const bool promised = why.len == 0 && (s || oom_struck());
    cred_source_free(s);
    return promised;
}

static void test_no_memory(void **state)
{
    (void)state;
    oom_torture(made_or_not);
}

TEST_MAIN(cmocka_unit_test(test_cases), cmocka_unit_test(test_it_ends_while_we_run),
          cmocka_unit_test(test_names), cmocka_unit_test(test_no_memory))
