/*
 * notify - datagrams to $NOTIFY_SOCKET, sent to its address each time: a manager that was started
 * anew listens at the same name.
 */
#include "presignd/notify.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum { US_PER_MS = 1000, SIGNS_PER_PERIOD = 2 };

static enum status bad_name(struct str name, struct buf *why)
{
    buf_lit(why, "NOTIFY_SOCKET is \"");
    buf_str(why, name);
    buf_lit(why, "\": neither a path nor an abstract name (@...) that fits a socket");
    return ST_INVALID;
}

enum status notify_open(struct notify *n, struct str name, struct buf *why)
{
    *n = (struct notify){ .fd = -1, .to = { .sun_family = AF_UNIX } };
    if (name.len == 0)
        return ST_OK;
    const bool abstract = name.ptr[0] == '@';
    /* a path keeps room for its NUL, an abstract name has none */
    const size_t most = sizeof(n->to.sun_path) - (abstract ? 0 : 1);
    if ((!abstract && name.ptr[0] != '/') || name.len < 2 || name.len > most)
        return bad_name(name, why);
    memcpy(n->to.sun_path, name.ptr, name.len);
    if (abstract)
        n->to.sun_path[0] = '\0';
    n->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name.len + (abstract ? 0 : 1));
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (n->fd >= 0)
        return ST_OK;
    buf_lit(why, "no socket to tell the service manager: ");
    buf_str(why, str_from(strerrordesc_np(errno)));
    return ST_INTERNAL;
}

void notify_close(struct notify *n)
{
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
}

/* False: the socket is full, and may take it later. What cannot be told at all is nobody's loss. */
static bool tell(const struct notify *n, struct str text)
{
    ssize_t sent;
    do
        sent = sendto(n->fd, text.ptr, text.len, MSG_NOSIGNAL, (const struct sockaddr *)&n->to,
                      n->to_len);
    while (sent < 0 && errno == EINTR);
    return sent >= 0 || (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM);
}

/* As much as has room, on one line, cut between characters. */
static void put_words(struct buf *out, struct str words)
{
    buf_lit(out, "STATUS=");
    size_t end = MIN_OF(words.len, out->limit - out->len);
    while (end < words.len && end > 0 && ((unsigned char)words.ptr[end] & 0xC0) == 0x80)
        end--;
    for (size_t i = 0; i < end; i++)
        buf_char(out,
                 (unsigned char)words.ptr[i] < ' ' || words.ptr[i] == 0x7F ? ' ' : words.ptr[i]);
}

static void say(struct notify *n, struct str state, struct str words)
{
    if (n->fd < 0)
        return;
    n->kept = BUF_FIXED(n->space);
    buf_str(&n->kept, state);
    put_words(&n->kept, words);
    notify_again(n);
}

bool notify_again(struct notify *n)
{
    if (n->fd >= 0 && n->kept.len > 0 && tell(n, buf_view(&n->kept)))
        buf_reset(&n->kept);
    return n->kept.len > 0;
}

void notify_ready(struct notify *n, struct str words)
{
    say(n, STR("READY=1\n"), words);
}

void notify_reloading(struct notify *n, int64_t monotonic_us, struct str words)
{
    char space[64];
    struct buf state = BUF_FIXED(space);
    buf_lit(&state, "RELOADING=1\nMONOTONIC_USEC=");
    buf_int(&state, monotonic_us);
    buf_lit(&state, "\n");
    say(n, buf_view(&state), words);
}

void notify_stopping(struct notify *n, struct str words)
{
    say(n, STR("STOPPING=1\n"), words);
}

void notify_alive(const struct notify *n)
{
    if (n->fd >= 0)
        (void)tell(n, STR("WATCHDOG=1"));
}

enum status notify_interval(struct str usec, struct str watchdog_pid, int64_t pid, int64_t *out_ms,
                            struct buf *why)
{
    int64_t period_us = 0, whose = pid;
    *out_ms = 0;
    if (usec.len == 0)
        return ST_OK;
    if (!str_to_int(usec, INT64_MAX, &period_us) || period_us == 0) {
        buf_lit(why, "WATCHDOG_USEC is no number of microseconds");
        return ST_INVALID;
    }
    if (watchdog_pid.len && !str_to_int(watchdog_pid, INT32_MAX, &whose)) {
        buf_lit(why, "WATCHDOG_PID is no process");
        return ST_INVALID;
    }
    if (whose == pid)
        *out_ms = MAX_OF(period_us / SIGNS_PER_PERIOD / US_PER_MS, 1);
    return ST_OK;
}
