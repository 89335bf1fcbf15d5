/*
 * file_want - reads a small file on a thread of its own and hands it to a loop. A file system that
 * hangs holds that thread and nothing else.
 */
#ifndef PRESIGND_FILE_WANT_H
#define PRESIGND_FILE_WANT_H

#include "presignd/loop.h"

/* ST_OK; ST_TOO_LARGE; ST_UNREACHABLE with an errno (EINVAL: no regular file); ST_NO_MEMORY. */
struct file_read {
    enum status st;
    int error;
    struct str body; /* valid during the callback, wiped after it */
};

struct file_job;
struct file_want {
    void (*done)(struct file_want *w, const struct file_read *read); /* may free the want */
    struct file_job *job;                                            /* NULL: idle */
};

/* done comes later, from the loop. ST_NO_MEMORY: also when too many threads hang already. */
MUST_CHECK enum status file_want_start(struct loop *l, struct file_want *w, struct str path,
                                       size_t max_bytes);

/* Ends it without done; fine when idle. The thread may go on, and then throws away what it read. */
void file_want_cancel(struct file_want *w);

#endif
