/*
 * secret - see the header. Wiping and comparing are OpenSSL's: made to survive the optimiser.
 */
#include "presignd/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

void crypto_wipe(void *p, size_t n)
{
    if (p && n)
        OPENSSL_cleanse(p, n);
}

bool crypto_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0);
}

void secret_release(struct secret *s)
{
    crypto_wipe(s->ptr, s->len);
    free(s->ptr);
    s->ptr = NULL;
    s->len = 0;
}

enum status secret_set(struct secret *s, struct str bytes)
{
    if (bytes.len > SECRET_MAX)
        return ST_TOO_LARGE;
    char *copy = malloc(bytes.len + 1);
    if (!copy)
        return ST_NO_MEMORY;
    if (bytes.len)
        memcpy(copy, bytes.ptr, bytes.len);
    copy[bytes.len] = '\0';
    secret_release(s); /* after the copy: `bytes` may be a view of it */
    s->ptr = copy;
    s->len = bytes.len;
    return ST_OK;
}

struct str secret_view(const struct secret *s)
{
    return (struct str){ s->ptr, s->len };
}

/* Fills `space` as far as the file goes. ST_UNREACHABLE with errno. */
static enum status read_whole(const char *path, char *space, size_t size, size_t *out_len)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return ST_UNREACHABLE;
    size_t len = 0;
    ssize_t n = 1;
    while (len < size && n != 0) {
        n = read(fd, space + len, size - len);
        if (n < 0 && errno != EINTR)
            break;
        len += n > 0 ? (size_t)n : 0;
        n = n < 0 ? 1 : n;
    }
    const int why = errno;
    close(fd);
    errno = why;
    *out_len = len;
    return n < 0 ? ST_UNREACHABLE : ST_OK;
}

static size_t without_newline(const char *text, size_t len)
{
    if (len && text[len - 1] == '\n')
        return len > 1 && text[len - 2] == '\r' ? len - 2 : len - 1;
    return len;
}

enum status secret_read_file(struct secret *s, const char *path)
{
    char space[SECRET_MAX + sizeof("\r\n")]; /* one more than the longest that is accepted */
    size_t len = 0;
    enum status st = read_whole(path, space, sizeof(space), &len);
    if (st == ST_OK) {
        len = without_newline(space, len);
        st = len ? secret_set(s, (struct str){ space, len }) : ST_INVALID;
    }
    const int why = errno;
    crypto_wipe(space, sizeof(space));
    errno = why;
    return st;
}
