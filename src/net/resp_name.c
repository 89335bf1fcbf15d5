/*
 * resp_name - one detached thread a lookup, one lookup at a time.
 *
 * The job is shared by the thread and the one who asked, and counted: whoever lets go last frees it.
 * The thread says that it is done through an eventfd of the job, not by loop_post(): the loop may
 * have ended by then.
 */
#include "presignd/resp_name.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "presignd/buf.h"

enum { HOST_MAX = 255, STACK = 512 * 1024 };

struct resp_name_job {
    atomic_int holders;
    int fd; /* eventfd: readable when the result is there */
    char host[HOST_MAX + 1];
    struct resp_addresses found;
    int error; /* of getaddrinfo */
};

static void job_unref(struct resp_name_job *j)
{
    if (atomic_fetch_sub(&j->holders, 1) != 1)
        return;
    if (j->fd >= 0)
        close(j->fd);
    free(j);
}

static void say_done(const struct resp_name_job *j)
{
    const uint64_t one = 1;
    const ssize_t n = write(j->fd, &one, sizeof(one));
    assert(n == sizeof(one)); /* an eventfd at 0 takes it */
}

/* on the thread */

static void keep_addresses(struct resp_addresses *to, const struct addrinfo *list)
{
    for (const struct addrinfo *a = list; a && to->n < RESP_ADDRESSES_MAX; a = a->ai_next)
        if (getnameinfo(a->ai_addr, a->ai_addrlen, to->text[to->n], RESP_ADDRESS_TEXT, NULL, 0,
                        NI_NUMERICHOST) == 0)
            to->n++;
}

static void *thread_main(void *arg)
{
    struct resp_name_job *j = arg;
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *list = NULL;
    j->error = getaddrinfo(j->host, NULL, &hints, &list);
    if (!j->error) {
        keep_addresses(&j->found, list);
        freeaddrinfo(list);
    }
    say_done(j);
    job_unref(j);
    return NULL;
}

static bool start_thread(struct resp_name_job *j)
{
    pthread_t thread;
    pthread_attr_t attr;
    if (pthread_attr_init(&attr))
        return false;
    atomic_fetch_add(&j->holders, 1);
    const bool started = pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0 &&
                         pthread_attr_setstacksize(&attr, STACK) == 0 &&
                         pthread_create(&thread, &attr, thread_main, j) == 0;
    pthread_attr_destroy(&attr);
    if (!started)
        atomic_fetch_sub(&j->holders, 1);
    return started;
}

/* on the loop */

/* The job is no longer the asker's; it still holds it. */
static struct resp_name_job *let_go(struct resp_name *n)
{
    struct resp_name_job *j = n->job;
    const enum status st = loop_watch(n->loop, &n->source, 0);
    assert(st == ST_OK); /* ending always succeeds */
    n->job = NULL;
    return j;
}

static void arrived(struct source *s, uint32_t epoll_events)
{
    (void)epoll_events;
    struct resp_name *n = container_of(s, struct resp_name, source);
    struct resp_name_job *j = let_go(n);
    /* Reading orders the thread's writes before what follows. */
    uint64_t count;
    const ssize_t got = read(j->fd, &count, sizeof(count));
    assert(got == sizeof(count));

    char space[192];
    struct buf why = BUF_FIXED(space);
    if (j->error)
        buf_str(&why, str_from(gai_strerror(j->error)));
    else if (j->found.n == 0)
        buf_lit(&why, "no address");
    const struct resp_addresses found = j->found;
    job_unref(j);
    n->done(n, &found, buf_view(&why));
}

static bool is_address(const char *text)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

/* An address needs no thread; RESP_ADDRESS_TEXT is more than any has. */
static bool answer_itself(struct resp_name_job *j)
{
    if (!is_address(j->host))
        return false;
    struct buf to = {
        .ptr = j->found.text[0], .cap = RESP_ADDRESS_TEXT, .limit = RESP_ADDRESS_TEXT, .fixed = true
    };
    buf_str(&to, str_from(j->host));
    j->found.n = buf_cstr(&to) ? 1 : 0;
    say_done(j);
    return true;
}

enum status resp_name_start(struct resp_name *n, struct loop *l, struct str host)
{
    assert(!n->job);
    if (host.len == 0 || host.len > HOST_MAX || memchr(host.ptr, '\0', host.len))
        return ST_INVALID;
    struct resp_name_job *j = calloc(1, sizeof(*j));
    if (!j)
        return ST_NO_MEMORY;
    atomic_init(&j->holders, 1);
    memcpy(j->host, host.ptr, host.len);
    j->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    n->loop = l;
    n->source = (struct source){ .ready = arrived, .fd = j->fd };
    if (j->fd < 0 || loop_watch(l, &n->source, EPOLLIN) != ST_OK) {
        job_unref(j);
        return ST_NO_MEMORY;
    }
    n->job = j;
    if (answer_itself(j) || start_thread(j))
        return ST_OK;
    job_unref(let_go(n));
    return ST_NO_MEMORY;
}

void resp_name_cancel(struct resp_name *n)
{
    if (n->job)
        job_unref(let_go(n));
}
