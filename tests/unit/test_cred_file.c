/* A profile of the credentials file: what is taken, and the sentences for what is not. */
#include "cred_talk.h"

#include "oom.h"

#define PATH "/srv/aws/credentials"
#define KEYS "aws_access_key_id = AKIAFILE\naws_secret_access_key = the/secret+key\n"

static const struct cred_env uploads = { .file = STR_INIT(PATH), .profile = STR_INIT("uploads") };

static struct cred_source *source(const struct cred_env *env)
{
    AUTO(buf) why = BUF_INIT(512);
    return cred_source_new(CRED_FILE, env, &why);
}

static struct reply file(struct str body)
{
    return (struct reply){ .kind = REPLY_HTTP, .http = 200, .body = body };
}

/* clang-format off */
static const struct { const char *name; struct str text; const char *id, *token; int64_t end_s; } good[] = {
    { "long-lived",      STR_INIT("[uploads]\n" KEYS),                            "AKIAFILE", "", CREDS_NEVER },
    { "temporary",       STR_INIT("[uploads]\n" KEYS "aws_session_token=t=="),    "AKIAFILE", "t==", CREDS_NEVER },
    { "empty token",     STR_INIT("[uploads]\n" KEYS "aws_session_token=\n"),     "AKIAFILE", "", CREDS_NEVER },
    { "expiration",      STR_INIT("[uploads]\n" KEYS "expiration=2026-11-22T04:26:40Z"), "AKIAFILE", "", GOOD_END_S },
    { "aws_expiration",  STR_INIT("[uploads]\r\n" KEYS "aws_expiration=2026-11-22T06:26:40+02:00\r\n"), "AKIAFILE", "", GOOD_END_S },
    { "capitals",        STR_INIT("[uploads]\nAWS_ACCESS_KEY_ID=A\nAws_Secret_Access_Key=the/secret+key"), "A", "", CREDS_NEVER },
    { "last one wins",   STR_INIT("[uploads]\naws_access_key_id=old key\n" KEYS), "AKIAFILE", "", CREDS_NEVER },
    { "among others",    STR_INIT("[default]\naws_access_key_id=X\n[uploads]\n" KEYS "[z]\naws_access_key_id=Z\naws_session_token=z"), "AKIAFILE", "", CREDS_NEVER },
    { "in two places",   STR_INIT("[uploads]\naws_access_key_id=A\n[z]\n[uploads]\naws_secret_access_key=the/secret+key"), "A", "", CREDS_NEVER },
    { "other settings",  STR_INIT("[uploads]\nregion=eu\ns3 =\n  aws_access_key_id = N\n" KEYS), "AKIAFILE", "", CREDS_NEVER },
    { "keys, a program", STR_INIT("[uploads]\ncredential_process=x\n" KEYS),     "AKIAFILE", "", CREDS_NEVER },
};
/* clang-format on */

static void test_good(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, source(&uploads));
    assert_int_equal(t.source->reread_s, 300);
    for (size_t i = 0; i < ROWS(good); i++) {
        const struct reply answer = file(good[i].text);
        CHECK_EQ(good[i].name, talk_start(&t), NEXT_CALL); /* read anew each time */
        CHECK_CALL(good[i].name, &t, "FILE", PATH);
        CHECK_EQ(good[i].name, t.call.max_bytes, 65536);
        if (talk(&t, &answer) != NEXT_DONE)
            fail_msg("%s: \"%.*s\"", good[i].name, (int)t.why.len, t.why.ptr);
        CHECK_TEXT(good[i].name, t.creds->access_key_id, good[i].id);
        CHECK_TEXT(good[i].name, t.creds->secret_key, "the/secret+key");
        CHECK_TEXT(good[i].name, t.creds->session_token, good[i].token);
        CHECK(good[i].name, t.creds->expires_at_s == good[i].end_s);
        CHECK_TEXT(good[i].name, str_from(t.creds->source), "file");
    }
    talk_end(&t);
}

/* clang-format off */
#define HTTP(text) { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT(text) }
static const struct { const char *name; struct reply reply; const char *says; } refused[] = {
    { "missing",         { .kind = REPLY_HTTP, .http = 404, .body = STR_INIT("") }, PATH ": profile \"uploads\" cannot be read: there is no such file" },
    { "unreadable",      { .kind = REPLY_UNREACHABLE, .why = STR_INIT("Permission denied") }, "cannot be read: Permission denied" },
    { "too large",       { .kind = REPLY_TOO_LARGE, .why = STR_INIT("the file is larger than allowed") }, "larger than allowed" },
    { "hangs",           { .kind = REPLY_TIMEOUT, .why = STR_INIT("2000 ms") },    "cannot be read: 2000 ms" },
    { "empty",           HTTP(""),                                                 PATH ": profile \"uploads\" is not in it" },
    { "another profile", HTTP("[default]\n" KEYS),                                 "\"uploads\" is not in it" },
    { "capital",         HTTP("[Uploads]\n" KEYS),                                 "\"uploads\" is not in it" },
    { "config's form",   HTTP("[profile uploads]\n" KEYS),                         "\"uploads\" is not in it" },
    { "no keys",         HTTP("[uploads]\nregion=eu-west-1\n"),                    "has no aws_access_key_id and no aws_secret_access_key" },
    { "only a token",    HTTP("[uploads]\naws_session_token=t\n"),                 "has no aws_access_key_id and no" },
    { "no secret",       HTTP("[uploads]\naws_access_key_id=A\n"),                 PATH ": profile \"uploads\" has aws_access_key_id but no aws_secret_access_key" },
    { "no id",           HTTP("[uploads]\naws_secret_access_key=s3cr3t\n"),        "has aws_secret_access_key but no aws_access_key_id" },
    { "emptied secret",  HTTP("[uploads]\n" KEYS "aws_secret_access_key=\n"),      "has aws_access_key_id but no aws_secret_access_key" },
    { "nested keys",     HTTP("[uploads]\ns3=\n aws_access_key_id=A\n aws_secret_access_key=s3cr3t"), "has no aws_access_key_id" },
    { "half and a role", HTTP("[uploads]\naws_access_key_id=A\nrole_arn=r\n"),     "has a setting \"role_arn\", which is not followed" },
    { "keys and a role", HTTP("[uploads]\nrole_arn=arn:aws:iam::1:role/x\n" KEYS), "has a setting \"role_arn\", which is not followed: set credentials.assume_role" },
    { "role comes last", HTTP("[uploads]\nsource_profile=a\n" KEYS "Role_ARN=r\n"), "has a setting \"role_arn\"" },
    { "slash in the id", HTTP("[uploads]\naws_access_key_id=A/B\naws_secret_access_key=s3cr3t"), "unusable aws_access_key_id" },
    { "blank in secret", HTTP("[uploads]\naws_access_key_id=A\naws_secret_access_key=s3cr3t b"), "unusable aws_secret_access_key" },
    { "NUL in secret",   HTTP("[uploads]\naws_access_key_id=A\naws_secret_access_key=s3cr3t\0b"), "unusable aws_secret_access_key" },
    { "token",           HTTP("[uploads]\n" KEYS "aws_session_token=s3cr3t\x01"),  "unusable aws_session_token" },
    { "no time",         HTTP("[uploads]\n" KEYS "expiration=soon"),               "no RFC 3339 time" },
    { "ended",           HTTP("[uploads]\n" KEYS "aws_expiration=2026-11-21T22:26:40Z"), "ended at 2026-11-21T22:26:40Z" },
    { "role",            HTTP("[uploads]\nrole_arn=arn:aws:iam::1:role/x\nsource_profile=a"), "has a setting \"role_arn\", which is not followed: set credentials.assume_role" },
    { "source",          HTTP("[uploads]\nsource_profile=a\n"),                    "credentials.assume_role" },
    { "instance",        HTTP("[uploads]\ncredential_source=Ec2InstanceMetadata"), "credentials.assume_role" },
    { "program",         HTTP("[uploads]\nCredential_Process=/bin/s3cr3t\n"),      "no program is run" },
    { "sign-on",         HTTP("[uploads]\nsso_start_url=https://s3cr3t/\n"),       "setting \"sso_...\"" },
    { "sign-on session", HTTP("[uploads]\nsso_session=s3cr3t\n"),                  "nobody signs on here" },
    { "no form",         HTTP("[uploads]\naws_access_key_id: s3cr3t\n"),           PATH ": line 2 is no" },
    { "outside",         HTTP(KEYS),                                               "line 1 is no" },
    { "fault elsewhere", HTTP("[uploads]\n" KEYS "[z\ns3cr3t"),                    "line 4 is no" },
};
/* clang-format on */

static void test_refused(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, source(&uploads));
    for (size_t i = 0; i < ROWS(refused); i++) {
        CHECK_EQ(refused[i].name, talk_start(&t), NEXT_CALL);
        CHECK_EQ(refused[i].name, talk(&t, &refused[i].reply), NEXT_FAIL);
        if (!holds(&t.why, refused[i].says) || holds(&t.why, "s3cr3t"))
            fail_msg("%s: \"%.*s\"", refused[i].name, (int)t.why.len, t.why.ptr);
    }
    talk_end(&t);
}

static void test_default_profile(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, source(&(struct cred_env){ .file = STR(PATH) }));
    assert_int_equal(talk_start(&t), NEXT_CALL);
    assert_int_equal(talk_http(&t, 200, "[uploads]\nx=y\n[default]\n" KEYS), NEXT_DONE);
    talk_end(&t);
}

/* ---- the config file beside it ------------------------------------------------------------------ */

#define CONFIG "/srv/aws/config"

static const struct cred_env both = { .file = STR_INIT(PATH),
                                      .config_file = STR_INIT(CONFIG),
                                      .profile = STR_INIT("uploads") };
#define MISSING                                               \
    {                                                         \
        .kind = REPLY_HTTP, .http = 404, .body = STR_INIT("") \
    }

/* clang-format off */
static const struct {
    const char *name; struct reply first; bool asks; struct reply second; const char *id, *says;
} pairs[] = {
    { "the first has them",     HTTP("[uploads]\n" KEYS), true, MISSING, "AKIAFILE", NULL },
    { "both have them",         HTTP("[uploads]\n" KEYS), true, HTTP("[profile uploads]\naws_access_key_id=B\naws_secret_access_key=b"), "AKIAFILE", NULL },
    { "half a pair beside it",  HTTP("[uploads]\n" KEYS), true, HTTP("[profile uploads]\naws_access_key_id=B/"), "AKIAFILE", NULL },
    { "a sign-on beside it",    HTTP("[uploads]\n" KEYS), true, HTTP("[profile uploads]\nsso_session=s"), "AKIAFILE", NULL },
    { "another's role",         HTTP("[uploads]\n" KEYS), true, HTTP("[profile z]\nrole_arn=r\n[uploads]\nrole_arn=r"), "AKIAFILE", NULL },
    { "a role beside it",       HTTP("[uploads]\n" KEYS), true, HTTP("[profile uploads]\nrole_arn=r\nsource_profile=uploads"), NULL, CONFIG ": profile \"uploads\" has a setting \"role_arn\", which is not followed: set credentials.assume_role" },
    { "no form beside it",      HTTP("[uploads]\n" KEYS), true, HTTP("[profile uploads]\nx"), NULL, CONFIG ": line 2 is no" },
    { "forbidden beside it",    HTTP("[uploads]\n" KEYS), true, { .kind = REPLY_UNREACHABLE, .why = STR_INIT("Permission denied") }, NULL, CONFIG ": profile \"uploads\" cannot be read: Permission denied; it may name a role" },
    { "keys and a role second", MISSING, true, HTTP("[profile uploads]\nrole_arn=r\n" KEYS), NULL, CONFIG ": profile \"uploads\" has a setting \"role_arn\"" },
    { "no credentials file",    MISSING, true, HTTP("[profile uploads]\nregion=eu\n" KEYS), "AKIAFILE", NULL },
    { "another profile first",  HTTP("[default]\n" KEYS), true, HTTP("[profile\t uploads ]\n" KEYS), "AKIAFILE", NULL },
    { "region only first",      HTTP("[uploads]\nregion=eu"), true, HTTP("[profile uploads]\n" KEYS), "AKIAFILE", NULL },
    { "among others",           MISSING, true, HTTP("[sso-session uploads]\naws_access_key_id=X\n[profile uploads]\n" KEYS "[profile z]\naws_access_key_id=Z"), "AKIAFILE", NULL },
    { "both missing",           MISSING, true, MISSING, NULL, PATH ": profile \"uploads\" cannot be read: there is no such file; nor are its keys in " CONFIG },
    { "in neither",             HTTP(""), true, HTTP("[profile z]\n" KEYS), NULL, PATH ": profile \"uploads\" is not in it (AWS_PROFILE and credentials.profile name another); nor are its keys in " CONFIG },
    { "bare name",              MISSING, true, HTTP("[uploads]\n" KEYS), NULL, "nor are its keys in " CONFIG },
    { "glued name",             MISSING, true, HTTP("[profileuploads]\n" KEYS), NULL, "nor are its keys in " CONFIG },
    { "default is another",     MISSING, true, HTTP("[default]\n" KEYS), NULL, "nor are its keys in " CONFIG },
    { "a pair from two files",  HTTP("[uploads]\naws_access_key_id=A"), false, MISSING, NULL, PATH ": profile \"uploads\" has aws_access_key_id but no aws_secret" },
    { "half a pair second",     MISSING, true, HTTP("[profile uploads]\naws_access_key_id=A"), NULL, CONFIG ": profile \"uploads\" has aws_access_key_id but no aws_secret" },
    { "a role first",           HTTP("[uploads]\nrole_arn=r"), false, MISSING, NULL, PATH ": profile \"uploads\" has a setting \"role_arn\"" },
    { "a role second",          MISSING, true, HTTP("[profile uploads]\nrole_arn=r"), NULL, CONFIG ": profile \"uploads\" has a setting \"role_arn\"" },
    { "no form first",          HTTP("[uploads]\nx"), false, MISSING, NULL, PATH ": line 2 is no" },
    { "no form second",         MISSING, true, HTTP("[profile uploads]\nx"), NULL, CONFIG ": line 2 is no" },
    { "forbidden first",        { .kind = REPLY_UNREACHABLE, .why = STR_INIT("Permission denied") }, false, MISSING, NULL, PATH ": profile \"uploads\" cannot be read: Permission denied" },
    { "forbidden second",       MISSING, true, { .kind = REPLY_UNREACHABLE, .why = STR_INIT("Permission denied") }, NULL, CONFIG ": profile \"uploads\" cannot be read: Permission denied" },
};
/* clang-format on */

static void test_config_beside_it(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, source(&both));
    for (size_t i = 0; i < ROWS(pairs); i++) {
        CHECK_EQ(pairs[i].name, talk_start(&t), NEXT_CALL);
        CHECK_CALL(pairs[i].name, &t, "FILE", PATH); /* always first */
        enum next n = talk(&t, &pairs[i].first);
        CHECK_EQ(pairs[i].name, n == NEXT_CALL, pairs[i].asks);
        if (n == NEXT_CALL) {
            CHECK_CALL(pairs[i].name, &t, "FILE", CONFIG);
            CHECK_EQ(pairs[i].name, t.call.max_bytes, 65536);
            n = talk(&t, &pairs[i].second);
        }
        CHECK_EQ(pairs[i].name, n, pairs[i].id ? NEXT_DONE : NEXT_FAIL);
        if (pairs[i].id)
            CHECK_TEXT(pairs[i].name, t.creds->access_key_id, pairs[i].id);
        else if (!holds(&t.why, pairs[i].says))
            fail_msg("%s: \"%.*s\"", pairs[i].name, (int)t.why.len, t.why.ptr);
    }
    talk_end(&t);
}

#define OTHERS "aws_access_key_id=B\naws_secret_access_key=b\naws_session_token=b\n"

/* clang-format off */
static const struct { const char *name, *text, *says; } defaults[] = {
    { "bare",              "[default]\n" KEYS, NULL },
    { "spelt",             "[profile default]\n" KEYS, NULL },
    { "spelt wins, last",  "[default]\n" OTHERS "[profile default]\n" KEYS, NULL },
    { "spelt wins, first", "[profile default]\n" KEYS "[default]\n" OTHERS, NULL },
    { "spelt twice",       "[profile default]\naws_access_key_id=AKIAFILE\n[default]\n" OTHERS "[profile default]\naws_secret_access_key=s", NULL },
    { "a pair from two",   "[profile default]\naws_access_key_id=A\n[default]\naws_secret_access_key=b\n", "has aws_access_key_id but no aws_secret" },
    { "the other way",     "[default]\naws_secret_access_key=b\n[profile default]\naws_access_key_id=A\n", "has aws_access_key_id but no aws_secret" },
    { "spelt, no keys",    "[default]\n" KEYS "[profile default]\nregion=eu\n", "nor are its keys in" },
    { "role in the other", "[profile default]\n" KEYS "[default]\nrole_arn=r\n", NULL },
    { "role in this",      "[default]\n" KEYS "[profile default]\nrole_arn=r\n", "has a setting \"role_arn\"" },
};
/* clang-format on */

static void test_default_in_config(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, source(&(struct cred_env){ .file = STR(PATH), .config_file = STR(CONFIG) }));
    for (size_t i = 0; i < ROWS(defaults); i++) {
        CHECK_EQ(defaults[i].name, talk_start(&t), NEXT_CALL);
        CHECK_EQ(defaults[i].name, talk_http(&t, 404, ""), NEXT_CALL);
        const enum next n = talk_http(&t, 200, defaults[i].text);
        CHECK_EQ(defaults[i].name, n, defaults[i].says ? NEXT_FAIL : NEXT_DONE);
        if (!defaults[i].says)
            CHECK_TEXT(defaults[i].name, t.creds->access_key_id, "AKIAFILE");
        else if (!holds(&t.why, defaults[i].says))
            fail_msg("%s: \"%.*s\"", defaults[i].name, (int)t.why.len, t.why.ptr);
    }
    talk_end(&t);
}

static void test_refused_at_start(void **state)
{
    (void)state;
    char long_name[5000];
    memset(long_name, 'x', sizeof(long_name));
    const struct str longer = { long_name, sizeof(long_name) };
    const struct {
        const char *name;
        struct cred_env env;
        const char *why;
    } rows[] = {
        { "no file", { .profile = STR("a") }, "no credentials file is named" },
        { "control", { .file = STR("/f"), .profile = STR("a\nb") }, "AWS_PROFILE holds a control" },
        { "long path", { .file = longer }, "too long" },
        { "long config", { .file = STR("/f"), .config_file = longer }, "too long" },
        { "long profile", { .file = STR("/f"), .profile = longer }, "too long" },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        AUTO(buf) why = BUF_INIT(512);
        CHECK(rows[i].name, !cred_source_new(CRED_FILE, &rows[i].env, &why));
        CHECK(rows[i].name, holds(&why, rows[i].why));
    }
}

/* A role on top reads the file for each session: it may have been changed meanwhile. */
static void test_below_a_role(void **state)
{
    (void)state;
    struct cred_env env = uploads;
    env.region = STR("eu-west-1");
    env.role = (struct cred_role){ .role_arn = STR("arn:aws:iam::1:role/x"),
                                   .session_name = STR("s"),
                                   .duration_s = 3600 };
    struct talk t;
    talk_begin(&t, source(&env));
    assert_int_equal(t.source->reread_s, 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(talk_start(&t), NEXT_CALL);
        CHECK_CALL("file", &t, "FILE", PATH);
        assert_int_equal(
            talk_http(&t, 200, "[uploads]\n" KEYS "aws_expiration = 2026-11-22T04:26:40Z"),
            NEXT_CALL);
        CHECK_CALL("STS", &t, "POST", "https://sts.eu-west-1.amazonaws.com/");
        assert_true(holds(&t.call.headers, "Credential=AKIAFILE/"));
    }
    talk_end(&t);
}

static bool made_or_not(void)
{
    char space[256];
    struct buf why = BUF_FIXED(space);
    struct cred_source *s = cred_source_new(CRED_FILE, &both, &why);
    const bool promised = s || (oom_struck() && why.len == 0);
    cred_source_free(s);
    return promised;
}

static void test_no_memory(void **state)
{
    (void)state;
    oom_torture_ours(made_or_not);
}

TEST_MAIN(cmocka_unit_test(test_good), cmocka_unit_test(test_refused),
          cmocka_unit_test(test_default_profile), cmocka_unit_test(test_config_beside_it),
          cmocka_unit_test(test_default_in_config), cmocka_unit_test(test_refused_at_start),
          cmocka_unit_test(test_below_a_role), cmocka_unit_test(test_no_memory))
