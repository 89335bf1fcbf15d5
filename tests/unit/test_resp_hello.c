/* What is said on a fresh connection to Redis, and which servers will do. */
#include "test.h"

#include <stdio.h>

#include "presignd/resp_hello.h"

#define GOOD                                                                       \
    "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n# Memory\r\n"    \
    "maxmemory:0\r\nmaxmemory_policy:noeviction\r\n# Persistence\r\nloading:0\r\n" \
    "# Replication\r\nrole:master\r\n# Cluster\r\ncluster_enabled:0\r\n"
#define CLUSTER "redis_version:7.0.15\r\nrole:master\r\ncluster_enabled:1\r\n"

/* Plays a whole greeting: one reply a question; "-" begins an error. */
static enum hello_verdict play(const struct resp_config *c, const char *const *replies,
                               struct buf *asked, struct buf *warning, struct buf *why)
{
    struct resp_hello h;
    resp_hello_start(&h, c);
    enum hello_verdict v = resp_hello_next(&h, NULL, why);
    for (size_t i = 0; v == HELLO_ASK; i++) {
        for (size_t w = 0; w < h.argc; w++) {
            buf_str(asked, h.argv[w]);
            buf_lit(asked, " ");
        }
        if (!replies[i])
            fail_msg("asked more than expected: %s", buf_cstr(asked));
        const bool bad = replies[i][0] == '-';
        const struct resp_row row = { .text = str_from(replies[i]) };
        const struct resp_reply r = { .kind = bad ? RESP_ERROR : RESP_OK,
                                      .text = str_from(replies[i] + (bad ? 1 : 0)),
                                      .rows = &row,
                                      .n_rows = bad ? 0 : 1 };
        v = resp_hello_next(&h, &r, why);
    }
    buf_str(warning, buf_view(&h.warning));
    return v;
}

/* clang-format off */
static const struct {
    const char *name;
    const char *username, *password;
    int database;
    const char *replies[5];
    const char *asked;
    enum hello_verdict want;
    const char *said; /* part of the warning or of the reason; "": nothing at all */
} cases[] = {
    { "plain",            "", "", 0, { GOOD },               "INFO ",  HELLO_FINE, "" },
    { "password",         "", "pw", 0, { "OK", GOOD },       "AUTH pw INFO ", HELLO_FINE, "" },
    { "user",             "u", "pw", 0, { "OK", GOOD },      "AUTH u pw INFO ", HELLO_FINE, "" },
    { "user, no password","u", "", 0, { "OK", GOOD },        "AUTH u  INFO ", HELLO_FINE, "" },
    { "database",         "", "", 5, { "OK", GOOD },         "SELECT 5 INFO ", HELLO_FINE, "" },
    { "all of it",        "u", "pw", 15, { "OK", "OK", GOOD }, "AUTH u pw SELECT 15 INFO ", HELLO_FINE, "" },
    { "Redis 6",          "", "", 0, { "redis_version:6.0.0\r\nrole:master\r\n" }, "INFO ", HELLO_FINE, "" },
    { "Valkey",           "", "", 0, { "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n" }, "INFO ", HELLO_FINE, "" },
    { "two digits",       "", "", 0, { "redis_version:10.0.0\r\n" }, "INFO ", HELLO_FINE, "" },
    { "lines end in LF",  "", "", 0, { "redis_version:7.0.0\nrole:master\n" }, "INFO ", HELLO_FINE, "" },
    { "one shard",        "", "", 0, { CLUSTER, "cluster_state:ok\r\ncluster_size:1\r\n" }, "INFO CLUSTER INFO ", HELLO_FINE, "" },
    { "no slot yet",      "", "", 0, { CLUSTER, "cluster_state:fail\r\ncluster_size:0\r\n" }, "INFO CLUSTER INFO ", HELLO_FINE, "" },
    { "shards unknown",   "", "", 0, { CLUSTER, "-NOPERM no" }, "INFO CLUSTER INFO ", HELLO_FINE, "" },

    { "evicts",           "", "", 0, { "redis_version:7.0.0\r\nmaxmemory:1000\r\nmaxmemory_policy:allkeys-lru\r\n" }, "INFO ", HELLO_FINE, "allkeys-lru" },
    { "evicts volatile",  "", "", 0, { "redis_version:7.0.0\r\nmaxmemory:1000\r\nmaxmemory_policy:volatile-ttl\r\n" }, "INFO ", HELLO_FINE, "volatile-ttl" },
    { "policy unknown",   "", "", 0, { "redis_version:7.0.0\r\nmaxmemory:1000\r\n" }, "INFO ", HELLO_FINE, "unknown" },
    { "policy, no limit", "", "", 0, { "redis_version:7.0.0\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n" }, "INFO ", HELLO_FINE, "" },
    { "limit, no eviction", "", "", 0, { "redis_version:7.0.0\r\nmaxmemory:1000\r\nmaxmemory_policy:noeviction\r\n" }, "INFO ", HELLO_FINE, "" },
    { "INFO forbidden",   "", "", 0, { "-NOPERM this user has no permissions to run the 'info' command" }, "INFO ", HELLO_FINE, "may not ask INFO" },

    { "wrong password",   "u", "no", 0, { "-WRONGPASS invalid username-password pair" }, "AUTH u no ", HELLO_NO, "refused the user or the password" },
    { "no password here", "", "pw", 0, { "-ERR AUTH <password> called without any password configured" }, "AUTH pw ", HELLO_NO, "without any password configured" },
    { "password wanted",  "", "", 0, { "-NOAUTH Authentication required." }, "INFO ", HELLO_NO, "wants a password" },
    { "no such database", "", "", 99, { "-ERR DB index is out of range" }, "SELECT 99 ", HELLO_NO, "SELECT failed: \"ERR DB index" },
    { "SELECT in a cluster", "", "", 1, { "-ERR SELECT is not allowed in cluster mode" }, "SELECT 1 ", HELLO_NO, "cluster mode" },
    { "database, NOAUTH", "", "", 1, { "-NOAUTH Authentication required." }, "SELECT 1 ", HELLO_NO, "wants a password" },
    { "Redis 5",          "", "", 0, { "redis_version:5.0.14\r\nrole:master\r\n" }, "INFO ", HELLO_NO, "version is 5.0.14; 6 or later" },
    { "Redis 2",          "", "", 0, { "redis_version:2.8\r\n" }, "INFO ", HELLO_NO, "6 or later" },
    { "no version",       "", "", 0, { "role:master\r\n" }, "INFO ", HELLO_NO, "names no version" },
    { "version in words", "", "", 0, { "redis_version:unstable\r\n" }, "INFO ", HELLO_NO, "names no version" },
    { "version negative", "", "", 0, { "redis_version:-7.0\r\n" }, "INFO ", HELLO_NO, "names no version" },
    { "version elsewhere","", "", 0, { "my_redis_version:7.0.0\r\n" }, "INFO ", HELLO_NO, "names no version" },
    { "empty INFO",       "", "", 0, { "" }, "INFO ", HELLO_NO, "names no version" },
    { "replica",          "", "", 0, { "redis_version:7.0.0\r\nrole:slave\r\nmaster_link_status:up\r\n" }, "INFO ", HELLO_NO, "read-only replica" },
    { "loads",            "", "", 0, { "redis_version:7.0.0\r\nrole:master\r\nloading:1\r\n" }, "INFO ", HELLO_NO, "loading" },
    { "LOADING",          "", "", 0, { "-LOADING Redis is loading the dataset in memory" }, "INFO ", HELLO_NO, "loading" },
    { "Sentinel",         "", "", 0, { "redis_version:7.0.0\r\nredis_mode:sentinel\r\n" }, "INFO ", HELLO_NO, "Sentinel" },
    { "three shards",     "", "", 0, { CLUSTER, "cluster_size:3\r\n" }, "INFO CLUSTER INFO ", HELLO_NO, "cluster mode" },
    { "INFO unknown",     "", "", 0, { "-ERR unknown command 'INFO'" }, "INFO ", HELLO_NO, "INFO failed: \"ERR unknown command" },
};
/* clang-format on */

static void test_greetings(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        AUTO(buf) asked = BUF_INIT(4096);
        AUTO(buf) warning = BUF_INIT(4096);
        AUTO(buf) why = BUF_INIT(4096);
        struct secret password = SECRET_INIT;
        assert_int_equal(secret_set(&password, str_from(cases[i].password)), ST_OK);
        const struct resp_config c = { .username = str_from(cases[i].username),
                                       .password = cases[i].password[0] ? &password : NULL,
                                       .database = cases[i].database };
        CHECK_EQ(cases[i].name, play(&c, cases[i].replies, &asked, &warning, &why), cases[i].want);
        CHECK_TEXT(cases[i].name, asked, cases[i].asked);
        const struct buf *said = cases[i].want == HELLO_NO ? &why : &warning;
        const struct buf *silent = cases[i].want == HELLO_NO ? &warning : &why;
        CHECK_TEXT(cases[i].name, *silent, "");
        CHECK(cases[i].name,
              cases[i].said[0]
                  ? said->len && memmem(said->ptr, said->len, cases[i].said, strlen(cases[i].said))
                  : said->len == 0);
        CHECK(cases[i].name, buf_check(said) == ST_OK);
        secret_release(&password);
    }
}

/* However long the server's words are, the reason is a sentence. */
static void test_long_words(void **state)
{
    (void)state;
    static char reply[70000];
    memset(reply, 'x', sizeof(reply) - 1);
    reply[0] = '-';
    const char *const errors[] = { reply, NULL };
    const struct resp_config c = { .database = 1 };
    char space[320];
    struct buf why = BUF_FIXED(space);
    AUTO(buf) asked = BUF_INIT(4096);
    AUTO(buf) warning = BUF_INIT(4096);
    assert_int_equal(play(&c, errors, &asked, &warning, &why), HELLO_NO);
    assert_int_equal(buf_check(&why), ST_OK);

    snprintf(reply, sizeof(reply),
             "redis_version:7%060000d\r\nmaxmemory:1\r\nmaxmemory_policy:%05000d", 0, 0);
    const char *const infos[] = { "OK", reply, NULL };
    buf_reset(&why);
    assert_int_equal(play(&c, infos, &asked, &warning, &why), HELLO_NO);
    assert_int_equal(buf_check(&why), ST_OK);
    snprintf(reply, sizeof(reply),
             "redis_version:7.%060000d\r\nmaxmemory:1\r\nmaxmemory_policy:%05000d", 0, 0);
    assert_int_equal(play(&c, infos, &asked, &warning, &why), HELLO_FINE);
    assert_true(warning.len > 0 && warning.len < 256);
}

/* clang-format off */
static const struct { const char *error; bool ends; } errors[] = {
    { "READONLY You can't write against a read only replica.",  true },
    { "LOADING Redis is loading the dataset in memory",         true },
    { "MASTERDOWN Link with MASTER is down",                    true },
    { "MOVED 3999 127.0.0.1:6381",                              true },
    { "ASK 3999 127.0.0.1:6381",                                true },
    { "CLUSTERDOWN Hash slot not served",                       true },
    { "CROSSSLOT Keys in request don't hash to the same slot",  true },
    { "NOAUTH Authentication required.",                        true },
    { "WRONGPASS invalid username-password pair",               true },
    { "MOVED",                                                  true },
    { "ERR unknown command",                                    false },
    { "NOSCRIPT No matching script. Please use EVAL.",          false },
    { "OOM command not allowed when used memory > 'maxmemory'", false },
    { "BUSY Redis is busy running a script",                    false },
    { "NOPERM this user has no permissions",                    false },
    { "MOVEDX 1",                                               false },
    { "readonly",                                               false },
    { " READONLY",                                              false },
    { "ERR READONLY",                                           false },
    { "",                                                       false },
};
/* clang-format on */

static void test_errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(errors); i++) {
        AUTO(buf) why = BUF_INIT(320);
        CHECK_EQ(errors[i].error, resp_hello_ends(str_from(errors[i].error), &why), errors[i].ends);
        CHECK_EQ(errors[i].error, why.len > 0, errors[i].ends);
    }
}

TEST_MAIN(cmocka_unit_test(test_greetings), cmocka_unit_test(test_long_words),
          cmocka_unit_test(test_errors))
