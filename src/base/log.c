/*
 * log - a queue of whole lines per thread, one sink per process.
 *
 * The sink never blocks and never tears a line. How, depends on what it is:
 *   file, /dev/null   a whole queue with one write(2): it does not wait for a reader
 *   socket            send(2), told not to wait
 *   pipe, terminal    opened a second time through /proc, so that O_NONBLOCK is ours alone and not
 *                     also that of whoever shares our standard error
 *   one of these that we may not open (a container whose user did not make the pipe)
 *                     asked by poll(2) first: one free page takes PIPE_BUF bytes without waiting
 * All but files get whole lines of at most PIPE_BUF bytes together, which a pipe takes all or
 * nothing. Where a write was short all the same, the end of its line goes out before anything else.
 *
 * A write that fails, for whatever reason, is one that may work later: lines stay queued, and those
 * that find no place are counted and reported once there is room.
 */
#include "presignd/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "presignd/civil.h"

enum {
    LINE_MAX_BYTES = sizeof(((struct log_line *)NULL)->space),
    QUEUE_BYTES = 64 * 1024,
    QUEUE_FLUSH = 32 * 1024,
    MESSAGE_MAX = 3 * 1024, /* of log_say, escaped */
};

static const char CUT[] = ",\"cut\":true}";

static_assert(LINE_MAX_BYTES <= PIPE_BUF, "a line must fit one atomic write");

struct queue {
    size_t len;
    int64_t lost;    /* lines since the last report */
    int64_t wall_us; /* of the latest line */
    char bytes[QUEUE_BYTES];
};

enum sink_kind { SINK_FILE, SINK_SOCKET, SINK_NONBLOCKING, SINK_ASK };

static struct {
    pthread_mutex_t lock;
    enum sink_kind kind;
    int fd;     /* borrowed */
    int own_fd; /* the same, opened by us; -1: none */
    size_t rest_len;
    char rest[LINE_MAX_BYTES]; /* end of a line whose beginning is out */
} sink = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = STDERR_FILENO, .own_fd = -1, .kind = SINK_ASK };

static atomic_int least_level = LOG_LEVEL_INFO;
static atomic_uint_least64_t lost_total;
static atomic_bool line_torn; /* sink.rest_len, for those who do not hold the lock */

static _Thread_local struct queue *mine;
static pthread_key_t queue_key;
static pthread_once_t queue_once = PTHREAD_ONCE_INIT;

/* the sink */

static enum sink_kind sink_open(int fd)
{
    struct stat st;
    if (fstat(fd, &st))
        return SINK_ASK;
    if (S_ISREG(st.st_mode) || (S_ISCHR(st.st_mode) && !isatty(fd)))
        return SINK_FILE;
    if (S_ISSOCK(st.st_mode))
        return SINK_SOCKET;

    char text[32];
    struct buf path = BUF_FIXED(text);
    buf_lit(&path, "/proc/self/fd/");
    buf_int(&path, fd);
    const char *name = buf_cstr(&path);
    sink.own_fd = name ? open(name, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY) : -1;
    return sink.own_fd >= 0 ? SINK_NONBLOCKING : SINK_ASK;
}

void log_setup(int fd, enum log_level least)
{
    atomic_store_explicit(&least_level, (int)least, memory_order_relaxed);
    pthread_mutex_lock(&sink.lock);
    if (sink.own_fd >= 0)
        close(sink.own_fd);
    sink.own_fd = -1;
    if (fd != sink.fd)
        sink.rest_len = 0;
    sink.fd = fd;
    sink.kind = sink_open(fd);
    pthread_mutex_unlock(&sink.lock);
}

static ssize_t sink_try(const char *bytes, size_t len)
{
    struct pollfd room = { .fd = sink.fd, .events = POLLOUT };
    switch (sink.kind) {
    case SINK_SOCKET: return send(sink.fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    case SINK_NONBLOCKING: return write(sink.own_fd, bytes, len);
    case SINK_ASK:
        if (poll(&room, 1, 0) != 1)
            return 0;
        return write(sink.fd, bytes, len);
    case SINK_FILE: break;
    }
    return write(sink.fd, bytes, len);
}

/* How many bytes went out, 0 when none can now. */
static size_t sink_write(const char *bytes, size_t len)
{
    ssize_t n;
    do
        n = sink_try(bytes, len);
    while (n < 0 && errno == EINTR);
    return n > 0 ? (size_t)n : 0;
}

static bool sink_finish_line(void)
{
    const size_t n = sink.rest_len ? sink_write(sink.rest, sink.rest_len) : 0;
    sink.rest_len -= n;
    memmove(sink.rest, sink.rest + n, sink.rest_len);
    return sink.rest_len == 0;
}

/* As many whole lines as may go out together. */
static size_t portion(const char *bytes, size_t len)
{
    if (sink.kind == SINK_FILE || len <= PIPE_BUF)
        return len;
    size_t n = PIPE_BUF;
    while (bytes[n - 1] != '\n')
        n--;
    return n;
}

/* Returns the bytes that are dealt with: always whole lines. */
static size_t sink_lines(const char *bytes, size_t len)
{
    size_t done = 0;
    while (done < len && sink_finish_line()) {
        const size_t n = sink_write(bytes + done, portion(bytes + done, len - done));
        if (n == 0)
            break;
        done += n;
        while (bytes[done - 1] != '\n')
            sink.rest[sink.rest_len++] = bytes[done++];
    }
    return done;
}

/* the queue of a thread */

static void queue_flush(struct queue *q)
{
    pthread_mutex_lock(&sink.lock);
    const size_t done = sink_lines(q->bytes, q->len);
    const bool torn = done == q->len && !sink_finish_line();
    atomic_store_explicit(&line_torn, torn, memory_order_relaxed);
    pthread_mutex_unlock(&sink.lock);
    q->len -= done;
    memmove(q->bytes, q->bytes + done, q->len);
}

static void queue_free(void *arg)
{
    mine = NULL;
    queue_flush(arg);
    free(arg);
}

static void queue_key_make(void)
{
    const int failed = pthread_key_create(&queue_key, queue_free);
    assert(!failed);
}

static struct queue *queue_mine(void)
{
    if (mine)
        return mine;
    pthread_once(&queue_once, queue_key_make);
    struct queue *q = malloc(sizeof(*q));
    if (!q || pthread_setspecific(queue_key, q)) {
        free(q);
        return NULL;
    }
    q->len = 0;
    q->lost = 0;
    q->wall_us = 0;
    mine = q;
    return q;
}

static bool queue_put(struct queue *q, const char *line, size_t len)
{
    if (len > sizeof(q->bytes) - q->len)
        return false;
    memcpy(q->bytes + q->len, line, len);
    q->len += len;
    return true;
}

/* lines */

/* Members up to the last comma of the outer object are whole. */
static size_t line_cut(char *text, size_t len)
{
    size_t keep = 0;
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < len; i++) {
        const char c = text[i];
        if (quoted)
            i += c == '\\';
        else
            depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        if (c == '"')
            quoted = !quoted;
        if (c == ',' && !quoted && depth == 1)
            keep = i;
    }
    assert(keep); /* time, level and event always fit */
    memcpy(text + keep, CUT, sizeof(CUT) - 1);
    return keep + sizeof(CUT) - 1;
}

/* Closes the object and ends the line; returns its length. */
static size_t line_finish(struct log_line *l)
{
    jw_close(&l->j);
    size_t len = l->text.len;
    if (jw_end(&l->j) != ST_OK)
        len = line_cut(l->space, len);
    l->space[len++] = '\n';
    return len;
}

static void line_start(struct log_line *l, enum log_level level, const char *event, int64_t wall_us)
{
    static const char *const names[] = { "debug", "info", "warn", "error" };
    char text[32];
    struct buf time = BUF_FIXED(text);
    log_time(&time, wall_us);

    l->level = level;
    l->text = BUF_FIXED(l->space);
    l->text.cap = l->text.limit = sizeof(l->space) - sizeof(CUT); /* room for it and a newline */
    l->j = (struct jw){ .out = &l->text };
    jw_open(&l->j, '{');
    jw_str(&l->j, "time", buf_view(&time));
    jw_str(&l->j, "level", str_from(names[level]));
    jw_str(&l->j, "event", str_from(event));
}

static void report_lost(struct queue *q)
{
    struct log_line l;
    line_start(&l, LOG_LEVEL_WARN, "log_lines_lost", q->wall_us);
    jw_int(&l.j, "count", q->lost);
    if (queue_put(q, l.space, line_finish(&l)))
        q->lost = 0;
}

static void lose(struct queue *q)
{
    if (q)
        q->lost++;
    atomic_fetch_add_explicit(&lost_total, 1, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&least_level, memory_order_relaxed);
}

void log_begin(struct log_line *l, enum log_level level, const char *event, int64_t wall_us)
{
    line_start(l, level, event, wall_us);
    struct queue *q = queue_mine();
    if (q)
        q->wall_us = wall_us;
}

void log_end(struct log_line *l)
{
    if (!log_enabled(l->level))
        return;
    struct queue *q = queue_mine();
    const size_t len = line_finish(l);
    if (q && len > sizeof(q->bytes) - q->len)
        queue_flush(q);
    if (q && q->lost)
        report_lost(q);
    if (!q || q->lost || !queue_put(q, l->space, len)) {
        lose(q);
        return;
    }
    if (l->level == LOG_LEVEL_ERROR || q->len >= QUEUE_FLUSH)
        queue_flush(q);
}

/* The longest beginning, of whole UTF-8 characters, whose escaped form stays within MESSAGE_MAX. */
static struct str message_cut(struct str s)
{
    size_t cost = 0;
    size_t i = 0;
    for (; i < s.len; i++) {
        const unsigned char c = (unsigned char)s.ptr[i];
        cost += c < 0x20 || c == 0x7f ? 6 : c >= 0x80 ? 3 : c == '"' || c == '\\' ? 2 : 1;
        if (cost > MESSAGE_MAX)
            break;
    }
    for (int back = 0; back < 3 && i && i < s.len && ((unsigned char)s.ptr[i] & 0xc0) == 0x80;
         back++)
        i--;
    return str_slice(s, 0, i);
}

void log_say(enum log_level level, const char *event, struct str message, int64_t wall_us)
{
    if (!log_enabled(level))
        return;
    const struct str fits = message_cut(message);
    struct log_line l;
    log_begin(&l, level, event, wall_us);
    jw_str(&l.j, "message", fits);
    if (fits.len < message.len)
        jw_bool(&l.j, "cut", true);
    log_end(&l);
}

void log_flush(void)
{
    struct queue *q = mine;
    if (!log_pending())
        return;
    queue_flush(q);
    if (!q->lost)
        return;
    report_lost(q);
    queue_flush(q);
}

bool log_pending(void)
{
    return mine &&
           (mine->len || mine->lost || atomic_load_explicit(&line_torn, memory_order_relaxed));
}

uint64_t log_lost(void)
{
    return atomic_load_explicit(&lost_total, memory_order_relaxed);
}

void log_time(struct buf *out, int64_t wall_us)
{
    static const int64_t last_us = INT64_C(253402300799999999); /* the end of 9999 */
    const int64_t us = wall_us < 0 ? 0 : MIN_OF(wall_us, last_us);
    const int ms = (int)(us / 1000 % 1000);
    char text[24];
    civil_write(text, us / 1000000);
    text[19] = '.';
    text[20] = (char)('0' + ms / 100);
    civil_two_digits(text + 21, ms % 100);
    text[23] = 'Z';
    buf_str(out, (struct str){ text, sizeof(text) });
}
