#include "test.h"

#include <pthread.h>

#include "oom.h"
#include "presignd/buf.h"
#include "presignd/json_guard.h"

enum { TEXT_MAX = 1 << 20, THREADS = 4, ROUNDS = 200 };

static void test_statuses(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct str text;
        enum status want;
    } cases[] = {
        { "object", STR_INIT("{\"a\":[1,2.5,true,null,\"x\"]}"), ST_OK },
        { "nothing", { NULL, 0 }, ST_INVALID_REQUEST },
        { "cut", STR_INIT("{\"a\":[1,"), ST_INVALID_REQUEST },
        { "twice", STR_INIT("{\"a\":1,\"a\":1}"), ST_INVALID_REQUEST },
        { "no value", STR_INIT("[,]"), ST_INVALID_REQUEST },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        json_t *doc = NULL;
        json_error_t e = { 0 };
        enum status st = json_guard_load(cases[i].text, JSON_REJECT_DUPLICATES, &doc, &e);
        CHECK_EQ(cases[i].name, st, cases[i].want);
        CHECK_EQ(cases[i].name, doc != NULL, st == ST_OK);
        CHECK_EQ(cases[i].name, e.text[0] != '\0', st == ST_INVALID_REQUEST);
        json_decref(doc);
    }
}

/* Libraries free with free() what jansson gave them. */
static void test_blocks_stay_plain(void **state)
{
    (void)state;
    json_t *doc = NULL;
    json_error_t e;
    assert_int_equal(json_guard_load(STR("{\"a\":\"b\"}"), 0, &doc, &e), ST_OK);
    char *text = json_dumps(doc, JSON_COMPACT);
    json_decref(doc);
    assert_string_equal(text, "{\"a\":\"b\"}");
    free(text);
}

/* Long tokens make jansson's buffer grow, many values make the list of blocks grow. */
static void big_text(struct buf *out)
{
    buf_lit(out, "{\"long name, long name, long name, long name, long name\":[");
    for (int i = 0; i < 60; i++)
        buf_lit(out, "\"a token that does not fit into sixteen bytes\",{\"k\":\"\\u00e4\"},");
    buf_lit(out, "1]}");
}

static char big_space[16384];
static struct buf big;

static bool loads_or_says_no_memory(void)
{
    json_t *doc = NULL;
    json_error_t e;
    enum status st = json_guard_load(buf_view(&big), 0, &doc, &e);
    bool held = oom_struck() ? st == ST_NO_MEMORY && !doc : st == ST_OK && doc;
    json_decref(doc);
    return held;
}

static void test_no_memory(void **state)
{
    (void)state;
    big = BUF_FIXED(big_space);
    big_text(&big);
    assert_int_equal(buf_check(&big), ST_OK);
    oom_torture(loads_or_says_no_memory);
}

/* The guard belongs to one thread: others allocate undisturbed. */
static void *load_often(void *wrong)
{
    int *n = wrong;
    for (int i = 0; i < ROUNDS; i++) {
        json_t *doc = NULL;
        json_error_t e;
        if (json_guard_load(STR("{\"a\":[1,{\"b\":\"c\"}]}"), 0, &doc, &e) != ST_OK)
            ++*n;
        json_decref(doc);
        if (json_guard_load(STR("{\"a\":[1,{\"b\":\"c\"}]"), 0, &doc, &e) != ST_INVALID_REQUEST)
            ++*n;
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    int wrong[THREADS] = { 0 };
    for (size_t i = 0; i < ROWS(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, load_often, &wrong[i]), 0);
    for (size_t i = 0; i < ROWS(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(wrong[i], 0);
    }
}

TEST_MAIN(cmocka_unit_test(test_statuses), cmocka_unit_test(test_blocks_stay_plain),
          cmocka_unit_test(test_no_memory), cmocka_unit_test(test_threads))
