/*
 * log - JSON lines on standard error, one object a line, written in batches.
 *
 * A line is built with jw and handed over whole. Each thread has its own buffer (log_flush at the
 * end of a turn writes it with one write(2)); lines of errors are flushed at once. A full pipe
 * never blocks a loop: what does not fit is counted and the count is logged when there is room.
 */
#ifndef PRESIGND_LOG_H
#define PRESIGND_LOG_H

#include "presignd/json_write.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/*
 * Process-wide; call before threads start and at reload. `fd` is borrowed. SIGPIPE must be ignored:
 * a reader that left is then a sink without room.
 */
void log_setup(int fd, enum log_level least);
bool log_enabled(enum log_level level);

/*
 * A line: log_begin writes {"time":...,"level":...,"event":<event>; the caller adds members;
 * log_end closes and queues it. `wall_us` is the time of the line in microseconds since 1970.
 *
 *     struct log_line l;
 *     log_begin(&l, LOG_LEVEL_INFO, "listening", wall_us);
 *     jw_int(&l.j, "port", port);
 *     log_end(&l);
 */
struct log_line {
    struct jw j;
    struct buf text;
    enum log_level level;
    char space[4096]; /* a line is cut here: it then ends with "cut":true */
};
void log_begin(struct log_line *l, enum log_level level, const char *event, int64_t wall_us);
void log_end(struct log_line *l);

/* A line with one member "message": for work without a request. */
void log_say(enum log_level level, const char *event, struct str message, int64_t wall_us);

/* Writes out what this thread has queued, as far as it goes without waiting. */
void log_flush(void);

/* True when lines of this thread wait: call log_flush again soon (100 ms), also when idle. */
bool log_pending(void);

/* Lines lost by all threads since the start. */
uint64_t log_lost(void);

/* RFC 3339 UTC with milliseconds, "2026-11-21T20:45:00.123Z", for a time in microseconds. */
void log_time(struct buf *out, int64_t wall_us);

#endif
