/*
 * file_want - one detached thread a file. Files are read rarely (a token, every few hours), so a
 * pool would only be more to get wrong.
 *
 * The job is shared by the thread and the loop. Whoever comes second frees it: the post that brings
 * the result, or the thread when nobody waits any more.
 */
#include "presignd/file_want.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "presignd/buf.h"

enum { THREADS_MAX = 16, CHUNK = 4096, STACK = 128 * 1024, PATH_BYTES_MAX = 4096 };

struct file_job {
    struct post post;
    struct file_want *want; /* the loop's thread only; NULL: cancelled */
    struct buf path;
    struct buf body;
    int error;

    pthread_mutex_t lock; /* guards what is below */
    struct loop *loop;    /* NULL: nobody waits any more */
};

static atomic_int threads;

static void job_free(struct file_job *j)
{
    buf_release(&j->path);
    buf_wipe(&j->body);
    pthread_mutex_destroy(&j->lock);
    free(j);
}

/* on the thread */

/* An errno, or 0 when all of it was read, or more than is allowed: the buffer knows. */
static int read_all(int fd, struct buf *out)
{
    char chunk[CHUNK];
    int error = 0;
    ssize_t n = 1;
    while (n != 0 && !error && buf_check(out) == ST_OK) {
        n = read(fd, chunk, sizeof(chunk));
        if (n > 0)
            buf_str(out, (struct str){ chunk, (size_t)n });
        else if (n < 0 && errno != EINTR)
            error = errno;
    }
    explicit_bzero(chunk, sizeof(chunk));
    return error;
}

static int read_path(const char *path, struct buf *out)
{
    /* NONBLOCK: opening a FIFO would wait for its writer. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return errno;
    struct stat what;
    int error = fstat(fd, &what) ? errno : 0;
    if (!error && !S_ISREG(what.st_mode))
        error = EINVAL;
    if (!error)
        error = read_all(fd, out);
    close(fd);
    return error;
}

static void *thread_main(void *arg)
{
    struct file_job *j = arg;
    j->error = read_path(j->path.ptr, &j->body);
    atomic_fetch_sub(&threads, 1);

    pthread_mutex_lock(&j->lock);
    const bool wanted = j->loop;
    if (wanted)
        loop_post(j->loop, &j->post);
    pthread_mutex_unlock(&j->lock);
    if (!wanted)
        job_free(j);
    return NULL;
}

/* on the loop */

static void arrived(struct post *p, struct loop *l)
{
    (void)l;
    struct file_job *j = container_of(p, struct file_job, post);
    /* The thread posted under the lock and may still hold it. */
    pthread_mutex_lock(&j->lock);
    pthread_mutex_unlock(&j->lock);

    struct file_read read = { .st = buf_check(&j->body), .error = j->error };
    if (j->error)
        read.st = ST_UNREACHABLE;
    read.body = read.st == ST_OK ? buf_view(&j->body) : STR("");
    struct file_want *w = j->want;
    if (w) {
        w->job = NULL;
        w->done(w, &read);
    }
    job_free(j);
}

static enum status thread_start(struct file_job *j)
{
    if (atomic_fetch_add(&threads, 1) >= THREADS_MAX) {
        atomic_fetch_sub(&threads, 1);
        return ST_NO_MEMORY;
    }
    pthread_t thread;
    pthread_attr_t attr;
    int failed = pthread_attr_init(&attr);
    if (!failed) {
        pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        pthread_attr_setstacksize(&attr, STACK);
        failed = pthread_create(&thread, &attr, thread_main, j);
        pthread_attr_destroy(&attr);
    }
    if (failed)
        atomic_fetch_sub(&threads, 1);
    return failed ? ST_NO_MEMORY : ST_OK;
}

enum status file_want_start(struct loop *l, struct file_want *w, struct str path, size_t max_bytes)
{
    assert(!w->job);
    struct file_job *j = calloc(1, sizeof(*j));
    if (!j)
        return ST_NO_MEMORY;
    j->post.run = arrived;
    j->want = w;
    j->loop = l;
    j->path = BUF_INIT(PATH_BYTES_MAX);
    j->body = BUF_INIT(max_bytes);
    pthread_mutex_init(&j->lock, NULL);

    buf_str(&j->path, path);
    const bool terminated = buf_cstr(&j->path);
    enum status st = buf_check(&j->path);
    if (st == ST_OK)
        st = terminated ? thread_start(j) : ST_TOO_LARGE;
    if (st != ST_OK) {
        job_free(j);
        return st;
    }
    w->job = j;
    return ST_OK;
}

void file_want_cancel(struct file_want *w)
{
    struct file_job *j = w->job;
    if (!j)
        return;
    w->job = NULL;
    j->want = NULL;
    pthread_mutex_lock(&j->lock);
    j->loop = NULL;
    pthread_mutex_unlock(&j->lock);
}
