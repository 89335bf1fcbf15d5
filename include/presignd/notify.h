/*
 * notify - tells a service manager how the service is: the protocol of sd_notify(3), of which that
 * page says that a program may speak it itself. One datagram of NAME=value lines per news.
 *
 * Values are arguments: who reads the environment passes on what it found. Nothing here waits: what
 * the socket does not take at once is kept and sent again by notify_again(); of two pieces of news
 * only the later one is of interest.
 */
#ifndef PRESIGND_NOTIFY_H
#define PRESIGND_NOTIFY_H

#include <sys/socket.h>
#include <sys/un.h>

#include "presignd/buf.h"

enum { NOTIFY_MAX = 1024 }; /* bytes of one piece of news; words are cut to fit */

struct notify {
    int fd; /* -1: nobody is told, and all below does nothing */
    struct sockaddr_un to;
    socklen_t to_len;
    struct buf kept; /* not yet taken by the socket */
    char space[NOTIFY_MAX];
};

/*
 * name: what $NOTIFY_SOCKET said, "/path" or "@abstract"; empty: there is no manager. Fills *n
 * whatever comes of it. ST_INVALID: no such name, why says so; ST_INTERNAL: no descriptor.
 */
MUST_CHECK enum status notify_open(struct notify *n, struct str name, struct buf *why);
void notify_close(struct notify *n);

/* Each comes with a line of words for people (STATUS=), of which controls are taken out. */
void notify_ready(struct notify *n, struct str words); /* after the start, and after every reload */
void notify_reloading(struct notify *n, int64_t monotonic_us, struct str words);
void notify_stopping(struct notify *n, struct str words);

/* One sign of life; lost when the socket is full, for another follows. */
void notify_alive(const struct notify *n);

/* True when something was kept and still is: ask again soon. */
bool notify_again(struct notify *n);

/*
 * How often to give a sign of life, in milliseconds: half of $WATCHDOG_USEC, if $WATCHDOG_PID is
 * absent or `pid`. 0: no sign is wanted of this process. ST_INVALID with why: no such numbers.
 */
MUST_CHECK enum status notify_interval(struct str usec, struct str watchdog_pid, int64_t pid,
                                       int64_t *out_ms, struct buf *why);

#endif
