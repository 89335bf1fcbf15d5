/*
 * resp_name with lookups of our own instead of libc's: they find nothing, many, or hang until they
 * are told to go on.
 */
#include "test.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>

#include "presignd/resp_name.h"

enum { PATIENCE_MS = 20000, MANY = 20 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool hang;
static int lookups, running;

static struct addrinfo *address(const char *text, struct addrinfo *next)
{
    struct addrinfo *a = calloc(1, sizeof(*a) + sizeof(struct sockaddr_in));
    assert_non_null(a);
    struct sockaddr_in in = { .sin_family = AF_INET };
    inet_pton(AF_INET, text, &in.sin_addr);
    memcpy(a + 1, &in, sizeof(in));
    a->ai_addr = (struct sockaddr *)(void *)(a + 1);
    a->ai_addrlen = sizeof(in);
    a->ai_next = next;
    return a;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    (void)service;
    (void)hints;
    pthread_mutex_lock(&lock);
    lookups++;
    running++;
    pthread_cond_broadcast(&changed);
    while (hang)
        pthread_cond_wait(&changed, &lock);
    running--;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    *out = NULL;
    if (strcmp(name, "none.test") == 0)
        return EAI_NONAME;
    if (strcmp(name, "later.test") == 0)
        return EAI_AGAIN;
    if (strcmp(name, "many.test") == 0)
        for (int i = 0; i < MANY; i++)
            *out = address("192.0.2.1", *out);
    else if (strcmp(name, "empty.test") != 0)
        *out = address("127.0.0.1", address("192.0.2.2", NULL));
    return 0;
}

void freeaddrinfo(struct addrinfo *a)
{
    while (a) {
        struct addrinfo *next = a->ai_next;
        free(a);
        a = next;
    }
}

static int count(const int *n)
{
    pthread_mutex_lock(&lock);
    const int value = *n;
    pthread_mutex_unlock(&lock);
    return value;
}

static void set_hang(bool on)
{
    pthread_mutex_lock(&lock);
    hang = on;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void wait_running(int want)
{
    pthread_mutex_lock(&lock);
    while (running != want)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

struct trial {
    struct resp_name name;
    struct loop *loop;
    int done;
    struct resp_addresses found;
    char why[192];
    const char *again; /* asked from within done */
};

static void done(struct resp_name *n, const struct resp_addresses *a, struct str why)
{
    struct trial *t = container_of(n, struct trial, name);
    t->done++;
    t->found = *a;
    snprintf(t->why, sizeof(t->why), "%.*s", STR_ARGS(why));
    if (t->again)
        assert_int_equal(resp_name_start(n, t->loop, str_from(TAKE(t->again))), ST_OK);
}

static void turns_until(struct trial *t, int want)
{
    const int64_t end_us = loop_clock_us() + PATIENCE_MS * 1000LL;
    while (t->done < want && loop_clock_us() < end_us)
        loop_turn(t->loop, 20);
    assert_int_equal(t->done, want);
}

static void trial_init(struct trial *t)
{
    *t = (struct trial){ .name.done = done, .loop = loop_new() };
    assert_non_null(t->loop);
}

/* clang-format off */
static const struct {
    const char *host;
    size_t n;
    const char *first;
    int asks;         /* lookups */
    bool why;
} cases[] = {
    { "one.test",   2, "127.0.0.1",   1, false },
    { "many.test",  RESP_ADDRESSES_MAX, "192.0.2.1", 1, false },
    { "none.test",  0, "",            1, true  },
    { "later.test", 0, "",            1, true  },
    { "empty.test", 0, "",            1, true  },
    { "127.0.0.1",  1, "127.0.0.1",   0, false },
    { "::1",        1, "::1",         0, false },
    { "2001:db8::ffff:ffff:ffff:ffff", 1, "2001:db8::ffff:ffff:ffff:ffff", 0, false },
    { "127.0.0.1.", 2, "127.0.0.1",   1, false },
};
/* clang-format on */

static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct trial t;
        trial_init(&t);
        const int before = count(&lookups);
        assert_int_equal(resp_name_start(&t.name, t.loop, str_from(cases[i].host)), ST_OK);
        CHECK_EQ(cases[i].host, t.done, 0);
        turns_until(&t, 1);
        CHECK_EQ(cases[i].host, count(&lookups) - before, cases[i].asks);
        CHECK_EQ(cases[i].host, t.found.n, cases[i].n);
        CHECK_STR(cases[i].host, str_from(t.found.text[0]), str_from(cases[i].first));
        CHECK_EQ(cases[i].host, t.why[0] != '\0', cases[i].why);
        CHECK(cases[i].host, !t.name.job);
        loop_free(t.loop);
    }
}

static void test_no_names(void **state)
{
    (void)state;
    char long_name[300];
    memset(long_name, 'a', sizeof(long_name));
    const struct str names[] = { STR(""), { long_name, sizeof(long_name) }, STR("a\0b") };
    struct trial t;
    trial_init(&t);
    for (size_t i = 0; i < ROWS(names); i++)
        assert_int_equal(resp_name_start(&t.name, t.loop, names[i]), ST_INVALID);
    loop_turn(t.loop, 0);
    assert_int_equal(t.done, 0);
    loop_free(t.loop);
}

static void test_again_from_done(void **state)
{
    (void)state;
    struct trial t;
    trial_init(&t);
    t.again = "one.test";
    assert_int_equal(resp_name_start(&t.name, t.loop, STR("none.test")), ST_OK);
    turns_until(&t, 2);
    assert_int_equal(t.found.n, 2);
    loop_free(t.loop);
}

/* The loop goes on turning, and the one who asked may leave with its loop, while libc hangs. */
static void test_hanging(void **state)
{
    (void)state;
    struct trial t;
    trial_init(&t);
    set_hang(true);
    assert_int_equal(resp_name_start(&t.name, t.loop, STR("one.test")), ST_OK);
    wait_running(1);
    for (int i = 0; i < 10; i++)
        loop_turn(t.loop, 1);
    assert_int_equal(t.done, 0);
    resp_name_cancel(&t.name);
    resp_name_cancel(&t.name);
    /* Asked anew at once, and given up with the loop. */
    assert_int_equal(resp_name_start(&t.name, t.loop, STR("one.test")), ST_OK);
    wait_running(2);
    resp_name_cancel(&t.name);
    loop_free(t.loop);
    set_hang(false);
    wait_running(0);
    assert_int_equal(t.done, 0);
}

/* The answer is there, but nobody has turned the loop since. */
static void test_cancelled_late(void **state)
{
    (void)state;
    struct trial t;
    trial_init(&t);
    assert_int_equal(resp_name_start(&t.name, t.loop, STR("127.0.0.1")), ST_OK);
    resp_name_cancel(&t.name);
    loop_turn(t.loop, 0);
    assert_int_equal(t.done, 0);
    loop_free(t.loop);
}

TEST_MAIN(cmocka_unit_test(test_answers), cmocka_unit_test(test_no_names),
          cmocka_unit_test(test_again_from_done), cmocka_unit_test(test_hanging),
          cmocka_unit_test(test_cancelled_late))
