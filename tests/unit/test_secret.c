/*
 * secret: what goes in comes out, files are read strictly, and the bytes are gone afterwards.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "oom.h"
#include "presignd/secret.h"

static void test_set(void **state)
{
    (void)state;
    static char big[SECRET_MAX + 1];
    AUTO(secret) s = SECRET_INIT;
    CHECK_EQ("first", secret_set(&s, STR("first")), ST_OK);
    CHECK_TEXT("first", secret_view(&s), "first");
    CHECK_EQ("its NUL", s.ptr[5], 0);
    CHECK_EQ("a part of itself", secret_set(&s, str_slice(secret_view(&s), 1, 3)), ST_OK);
    CHECK_TEXT("a part of itself", secret_view(&s), "ir");
    CHECK_EQ("too large", secret_set(&s, (struct str){ big, sizeof(big) }), ST_TOO_LARGE);
    CHECK_TEXT("left as it was", secret_view(&s), "ir");
    CHECK_EQ("as large as may be", secret_set(&s, (struct str){ big, SECRET_MAX }), ST_OK);
    CHECK_EQ("its length", secret_view(&s).len, SECRET_MAX);
    CHECK_EQ("empty", secret_set(&s, STR_NONE), ST_OK);
    CHECK_EQ("empty", secret_view(&s).len, 0);

    secret_release(&s);
    CHECK("released", !s.ptr && s.len == 0);
    secret_release(&s);
}

static void test_wipe(void **state)
{
    (void)state;
    char bytes[64];
    memset(bytes, 'x', sizeof(bytes));
    crypto_wipe(bytes, 32);
    for (size_t i = 0; i < sizeof(bytes); i++)
        CHECK_EQ("the first half", bytes[i], i < 32 ? 0 : 'x');
    crypto_wipe(NULL, 0);
}

static const struct {
    const char *name;
    struct str a, b;
    bool want;
} pairs[] = {
    { "same", STR_INIT("abc"), STR_INIT("abc"), true },
    { "both empty", STR_INIT(""), { NULL, 0 }, true },
    { "zeros count", STR_INIT("a\0b"), STR_INIT("a\0b"), true },
    { "first differs", STR_INIT("abc"), STR_INIT("xbc"), false },
    { "last differs", STR_INIT("abc"), STR_INIT("abx"), false },
    { "after a zero", STR_INIT("a\0b"), STR_INIT("a\0c"), false },
    { "prefix", STR_INIT("abc"), STR_INIT("ab"), false },
    { "one bit", STR_INIT("\x80"), STR_INIT("\x00"), false },
    { "case", STR_INIT("abc"), STR_INIT("abC"), false },
    { "against nothing", STR_INIT("abc"), { NULL, 0 }, false },
};

static void test_equal(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(pairs); i++) {
        CHECK_EQ(pairs[i].name, crypto_equal(pairs[i].a, pairs[i].b), pairs[i].want);
        CHECK_EQ(pairs[i].name, crypto_equal(pairs[i].b, pairs[i].a), pairs[i].want);
    }
}

/* files */

static char folder[] = "/tmp/presignd-secret-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static const char *write_file(struct str bytes, size_t times)
{
    const char *path = path_of("secret");
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    for (size_t i = 0; i < times; i++)
        assert_int_equal(write(fd, bytes.ptr, bytes.len), bytes.len);
    close(fd);
    return path;
}

static const struct {
    const char *name;
    struct str bytes;
    enum status want;
    struct str secret;
} files[] = {
    { "plain", STR_INIT("hello"), ST_OK, STR_INIT("hello") },
    { "newline", STR_INIT("hello\n"), ST_OK, STR_INIT("hello") },
    { "CR LF", STR_INIT("hello\r\n"), ST_OK, STR_INIT("hello") },
    { "one of two newlines", STR_INIT("hello\n\n"), ST_OK, STR_INIT("hello\n") },
    { "CR alone stays", STR_INIT("hello\r"), ST_OK, STR_INIT("hello\r") },
    { "blanks stay", STR_INIT(" hello \n"), ST_OK, STR_INIT(" hello ") },
    { "zeros stay", STR_INIT("a\0b\n"), ST_OK, STR_INIT("a\0b") },
    { "empty", STR_INIT(""), ST_INVALID, { NULL, 0 } },
    { "newline only", STR_INIT("\n"), ST_INVALID, { NULL, 0 } },
    { "CR LF only", STR_INIT("\r\n"), ST_INVALID, { NULL, 0 } },
};

static void test_read_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(files); i++) {
        AUTO(secret) s = SECRET_INIT;
        const char *path = write_file(files[i].bytes, 1);
        CHECK_EQ(files[i].name, secret_read_file(&s, path), files[i].want);
        CHECK_STR(files[i].name, secret_view(&s), files[i].secret);
        unlink(path);
    }
}

static const struct {
    const char *name;
    size_t len;
    struct str end;
    enum status want;
} sizes[] = {
    { "largest", SECRET_MAX, STR_INIT(""), ST_OK },
    { "largest and a newline", SECRET_MAX, STR_INIT("\n"), ST_OK },
    { "largest and CR LF", SECRET_MAX, STR_INIT("\r\n"), ST_OK },
    { "one more", SECRET_MAX + 1, STR_INIT(""), ST_TOO_LARGE },
    { "one more and a newline", SECRET_MAX + 1, STR_INIT("\n"), ST_TOO_LARGE },
    { "one more and CR LF", SECRET_MAX + 1, STR_INIT("\r\n"), ST_TOO_LARGE },
    { "two newlines", SECRET_MAX, STR_INIT("\n\n"), ST_TOO_LARGE },
    { "more behind the newline", SECRET_MAX, STR_INIT("\nx"), ST_TOO_LARGE },
    { "more behind CR LF", SECRET_MAX, STR_INIT("\r\nx"), ST_TOO_LARGE },
    { "CR LF twice", SECRET_MAX, STR_INIT("\r\n\r\n"), ST_TOO_LARGE },
    { "three more", SECRET_MAX + 3, STR_INIT(""), ST_TOO_LARGE },
    { "huge", 1000000, STR_INIT("\n"), ST_TOO_LARGE },
};

static void test_file_sizes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(sizes); i++) {
        AUTO(secret) s = SECRET_INIT;
        const char *path = write_file(STR("x"), sizes[i].len);
        const int fd = open(path, O_WRONLY | O_APPEND);
        assert_int_equal(write(fd, sizes[i].end.ptr, sizes[i].end.len), sizes[i].end.len);
        close(fd);
        CHECK_EQ(sizes[i].name, secret_read_file(&s, path), sizes[i].want);
        CHECK_EQ(sizes[i].name, s.len, sizes[i].want == ST_OK ? SECRET_MAX : 0);
        unlink(path);
    }
}

static void test_unreadable(void **state)
{
    (void)state;
    AUTO(secret) s = SECRET_INIT;
    CHECK_EQ("set", secret_set(&s, STR("before")), ST_OK);
    errno = 0;
    CHECK_EQ("no file", secret_read_file(&s, path_of("none")), ST_UNREACHABLE);
    CHECK_EQ("no file: errno", errno, ENOENT);
    CHECK_EQ("a folder", secret_read_file(&s, folder), ST_UNREACHABLE);
    CHECK_EQ("a folder: errno", errno, EISDIR);
    CHECK_EQ("below a file", secret_read_file(&s, "/proc/self/exe/x"), ST_UNREACHABLE);
    CHECK_EQ("below a file: errno", errno, ENOTDIR);
    CHECK_TEXT("what was there stays", secret_view(&s), "before");
}

static bool set_keeps_promises(void)
{
    struct secret s = SECRET_INIT;
    const enum status first = secret_set(&s, STR("one"));
    const enum status second = secret_set(&s, STR("two"));
    const bool kept = second == ST_OK || first != ST_OK || str_equal(secret_view(&s), STR("one"));
    secret_release(&s);
    return kept && ((first == ST_OK && second == ST_OK) || oom_struck());
}

static void test_no_memory(void **state)
{
    (void)state;
    oom_torture(set_keeps_promises);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set),        cmocka_unit_test(test_wipe),
        cmocka_unit_test(test_equal),      cmocka_unit_test(test_read_file),
        cmocka_unit_test(test_file_sizes), cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
