/*
 * HEAD of one object against a server on the same loop: what each answer means, and that the URL is
 * the signer's own.
 */
#include "test.h"

#include "head_store.h"

#include "presignd/object_look.h"
#include "presignd/url_packet.h"

/* 2026-11-22T00:00:00Z */
static const int64_t now_s = 1795305600;

/* UPLOAD_ETAG_MAX bytes */
#define TAG_32  "01234567890123456789012345678901"
#define TAG_MAX TAG_32 TAG_32 TAG_32 TAG_32

/* clang-format off */
static const struct {
    struct store_page page;
    enum object_presence presence;
    int64_t size;
    int http;
    const char *etag, *why;
} cases[] = {
    { { "/box/there",      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"abc\"\r\n\r\n" }, OBJECT_THERE, 5, 200, "\"abc\"", "" },
    { { "/box/empty",      "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" }, OBJECT_THERE, 0, 200, "", "" },
    { { "/box/large",      "HTTP/1.1 200 OK\r\nContent-Length: 5368709120\r\nETag: x\r\n\r\n" }, OBJECT_THERE, 5368709120, 200, "x", "" },
    { { "/box/tag-max",    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nETag: " TAG_MAX "\r\n\r\n" }, OBJECT_THERE, 1, 200, TAG_MAX, "" },
    { { "/box/tag-long",   "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nETag: " TAG_MAX "x\r\n\r\n" }, OBJECT_THERE, 1, 200, "", "" },
    { { "/box/unlisted",   NULL }, OBJECT_MISSING, -1, 404, "", "" },
    { { "/box/forbidden",  "HTTP/1.1 403 Forbidden\r\n\r\n" }, OBJECT_UNKNOWN, -1, 403, "", "the store answered 403" },
    { { "/box/no-length",  "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" }, OBJECT_UNKNOWN, -1, 200, "", "the store did not say how large the object is" },
    { { "/box/minus",      "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n" }, OBJECT_UNKNOWN, -1, 0, "", NULL },
    { { "/box/no-content", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n" }, OBJECT_UNKNOWN, -1, 204, "", "the store answered 204" },
    { { "/box/part",       "HTTP/1.1 206 Partial\r\nContent-Length: 3\r\n\r\n" }, OBJECT_UNKNOWN, -1, 206, "", "the store answered 206" },
    { { "/box/moved",      "HTTP/1.1 301 Moved\r\nLocation: /b/there\r\nContent-Length: 0\r\n\r\n" }, OBJECT_UNKNOWN, -1, 301, "", "the store answered 301" },
    { { "/box/same",       "HTTP/1.1 304 Not Modified\r\nETag: \"abc\"\r\n\r\n" }, OBJECT_UNKNOWN, -1, 304, "", "the store answered 304" },
    { { "/box/bad",        "HTTP/1.1 400 Bad Request\r\n\r\n" }, OBJECT_UNKNOWN, -1, 400, "", "the store answered 400" },
    { { "/box/gone",       "HTTP/1.1 410 Gone\r\n\r\n" }, OBJECT_UNKNOWN, -1, 410, "", "the store answered 410" },
    { { "/box/broken",     "HTTP/1.1 500 Oops\r\nContent-Length: 9\r\n\r\n" }, OBJECT_UNKNOWN, -1, 500, "", "the store answered 500" },
    { { "/box/busy",       "HTTP/1.1 503 Slow Down\r\n\r\n" }, OBJECT_UNKNOWN, -1, 503, "", "the store answered 503" },
    { { "/box/closed",     "" }, OBJECT_UNKNOWN, -1, 0, "", NULL },
    { { "/box/garbage",    "SSH-2.0-OpenSSH_9.2\r\n\r\n" }, OBJECT_UNKNOWN, -1, 0, "", NULL },
    { { "/box/a%20b%2Bc/%C3%A4%24", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n" }, OBJECT_THERE, 7, 200, "", "" },
};
/* clang-format on */

struct trial {
    struct loop *loop;
    struct fetcher *fetcher;
    struct head_store store;
    struct arena arena;
    struct bucket bucket;
    struct creds *creds;
    struct signing_keys signing;
    struct object_look look;
    int done;
    struct object_seen seen; /* texts are in the copies */
    char etag[256], why[512];
};

static void keep(char *to, size_t size, struct str text)
{
    assert_true(text.len < size);
    memcpy(to, text.len ? text.ptr : "", text.len);
    to[text.len] = '\0';
}

static void on_done(struct object_look *k, const struct object_seen *seen)
{
    struct trial *t = container_of(k, struct trial, look);
    t->done++;
    t->seen = *seen;
    keep(t->etag, sizeof(t->etag), seen->etag);
    keep(t->why, sizeof(t->why), seen->why);
}

static struct trial *begin(void)
{
    static struct store_page pages[ROWS(cases)];
    size_t n = 0;
    for (size_t i = 0; i < ROWS(cases); i++)
        if (cases[i].page.answer)
            pages[n++] = cases[i].page;
    struct trial *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    assert_int_equal(fetch_global_start(), ST_OK);
    t->arena = ARENA_INIT(1 << 16);
    t->loop = loop_new();
    assert_non_null(t->loop);
    t->fetcher = fetcher_new(t->loop);
    assert_non_null(t->fetcher);
    store_start(&t->store, t->loop, pages, n);
    store_bucket(&t->bucket, &t->arena, "main", "box", t->store.port);
    t->creds =
        creds_new(STR("AKIDEXAMPLE"), STR("secret"), STR("session+/="), CREDS_NEVER, 0, "test");
    assert_non_null(t->creds);
    t->look.done = on_done;
    return t;
}

static void end(struct trial *t)
{
    fetcher_free(t->fetcher);
    store_stop(&t->store);
    loop_free(t->loop);
    fetch_global_end();
    creds_unref(t->creds);
    signing_keys_release(&t->signing);
    arena_release(&t->arena);
    free(t);
}

static struct object_ask ask_for(struct trial *t, struct str key)
{
    return (struct object_ask){
        .bucket = &t->bucket,
        .key = key,
        .creds = t->creds,
        .signing = &t->signing,
        .now_s = now_s,
    };
}

static struct str key_of(const char *path)
{
    if (strcmp(path, "/box/a%20b%2Bc/%C3%A4%24") == 0)
        return STR("a b+c/\xc3\xa4$");
    return str_from(path + strlen("/box/"));
}

static void test_answers(void **state)
{
    (void)state;
    struct trial *t = begin();
    for (size_t i = 0; i < ROWS(cases); i++) {
        const char *name = cases[i].page.path;
        const struct object_ask ask = ask_for(t, key_of(name));
        t->done = 0;
        CHECK_EQ(name, object_look_start(&t->look, t->fetcher, &ask), ST_OK);
        CHECK_EQ(name, t->done, 0);
        STORE_UNTIL(t->loop, name, t->done);
        CHECK_EQ(name, t->done, 1);
        CHECK(name, strncmp(t->store.asked, "HEAD ", 5) == 0);
        CHECK_EQ(name, t->seen.presence, cases[i].presence);
        CHECK_EQ(name, t->seen.size, cases[i].size);
        CHECK_EQ(name, t->seen.http, cases[i].http);
        CHECK_TEXT(name, str_from(t->etag), cases[i].etag);
        if (cases[i].why)
            CHECK_TEXT(name, str_from(t->why), cases[i].why);
        else
            CHECK(name, t->why[0] && !strstr(t->why, "X-Amz"));
    }
    end(t);
}

/* The request line is the URL that the signer makes of the same moment; the host is the store's own,
 * not the browser's. */
static void test_url(void **state)
{
    (void)state;
    struct trial *t = begin();
    const struct object_ask ask = ask_for(t, STR("a/b c"));
    CHECK_EQ("start", object_look_start(&t->look, t->fetcher, &ask), ST_OK);
    STORE_UNTIL(t->loop, "done", t->done);

    const struct sign_creds c = creds_for_signing(t->creds);
    const struct url_ask url = {
        .method = STR("HEAD"),
        .place = t->bucket.own_place,
        .key = ask.key,
        .expires_s = 60,
    };
    struct signing_key k;
    CHECK_EQ("key", signing_key_derive(&k, &c, STR("eu-west-1"), now_s), ST_OK);
    struct buf want = BUF_INIT(URL_BYTES_MAX);
    CHECK_EQ("sign", url_packet_sign(&want, &url, &c, &k, now_s), ST_OK);
    const char *target = strstr(buf_cstr(&want), "/box/a/b%20c?");
    assert_non_null(target);
    char line[STORE_BYTES];
    snprintf(line, sizeof(line), "HEAD %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n", target,
             t->store.port);
    CHECK("request", strncmp(t->store.asked, line, strlen(line)) == 0);
    CHECK("session", strstr(t->store.asked, "X-Amz-Security-Token=session%2B%2F%3D"));
    buf_release(&want);
    signing_key_release(&k);
    end(t);
}

static void test_not_started(void **state)
{
    (void)state;
    char key[1100];
    memset(key, 'k', sizeof(key));
    /* clang-format off */
    static const struct { const char *name; size_t key; bool no_region; enum status want; } rows[] = {
        { "a key that fits",  1024, false, ST_OK },
        { "one byte more",    1025, false, ST_TOO_LARGE },
        { "no region",        5,    true,  ST_INVALID },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct trial *t = begin();
        if (rows[i].no_region)
            t->bucket.where.region = STR("");
        const struct object_ask ask = ask_for(t, (struct str){ key, rows[i].key });
        CHECK_EQ(rows[i].name, object_look_start(&t->look, t->fetcher, &ask), rows[i].want);
        if (rows[i].want == ST_OK)
            STORE_UNTIL(t->loop, rows[i].name, t->done);
        else
            for (int turns = 0; turns < 5; turns++)
                loop_turn(t->loop, 1);
        CHECK_EQ(rows[i].name, t->done, rows[i].want == ST_OK);
        CHECK_EQ(rows[i].name, t->store.requests, rows[i].want == ST_OK);
        end(t);
    }
}

static void test_deadline(void **state)
{
    (void)state;
    struct trial *t = begin();
    t->store.hold = true;
    const struct object_ask ask = ask_for(t, STR("there"));
    const int64_t from_us = loop_clock_us();
    CHECK_EQ("start", object_look_start(&t->look, t->fetcher, &ask), ST_OK);
    STORE_UNTIL(t->loop, "done", t->done);
    CHECK("not early", loop_clock_us() - from_us > (OBJECT_LOOK_MS - 50) * INT64_C(1000));
    CHECK_EQ("presence", t->seen.presence, OBJECT_UNKNOWN);
    CHECK_EQ("http", t->seen.http, 0);
    CHECK_TEXT("why", str_from(t->why), "no answer within 2000 ms");
    end(t);
}

static void test_nobody_there(void **state)
{
    (void)state;
    struct trial *t = begin();
    struct bucket gone;
    store_bucket(&gone, &t->arena, "main", "box", 1);
    struct object_ask ask = ask_for(t, STR("there"));
    ask.bucket = &gone;
    CHECK_EQ("start", object_look_start(&t->look, t->fetcher, &ask), ST_OK);
    STORE_UNTIL(t->loop, "done", t->done);
    CHECK_EQ("presence", t->seen.presence, OBJECT_UNKNOWN);
    CHECK_EQ("http", t->seen.http, 0);
    CHECK("why", t->why[0] != '\0');
    end(t);
}

static void test_cancel(void **state)
{
    (void)state;
    struct trial *t = begin();
    object_look_cancel(&t->look);
    t->store.hold = true;
    const struct object_ask ask = ask_for(t, STR("there"));
    CHECK_EQ("start", object_look_start(&t->look, t->fetcher, &ask), ST_OK);
    STORE_UNTIL(t->loop, "asked", t->store.waiting == 1);
    object_look_cancel(&t->look);
    object_look_cancel(&t->look);
    store_let_go(&t->store);
    for (int turns = 0; turns < 5; turns++)
        loop_turn(t->loop, 1);
    CHECK_EQ("done", t->done, 0);
    CHECK_EQ("again", object_look_start(&t->look, t->fetcher, &ask), ST_OK);
    STORE_UNTIL(t->loop, "done", t->done);
    CHECK_EQ("presence", t->seen.presence, OBJECT_THERE);
    end(t);
}

TEST_MAIN(cmocka_unit_test(test_answers), cmocka_unit_test(test_url),
          cmocka_unit_test(test_not_started), cmocka_unit_test(test_deadline),
          cmocka_unit_test(test_nobody_there), cmocka_unit_test(test_cancel))
