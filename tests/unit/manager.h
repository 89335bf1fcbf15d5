/*
 * manager - a service manager's side of $NOTIFY_SOCKET, for tests.
 */
#ifndef PRESIGND_TESTS_MANAGER_H
#define PRESIGND_TESTS_MANAGER_H

#include "test.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "presignd/notify.h"

struct manager {
    int fd;
    char name[64]; /* as $NOTIFY_SOCKET has it */
    char text[4 * NOTIFY_MAX];
};

static inline void manager_open(struct manager *m)
{
    static int number;
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    const int len =
        snprintf(m->name, sizeof(m->name), "@presignd-test-%d-%d", (int)getpid(), ++number);
    memcpy(at.sun_path, m->name, (size_t)len);
    at.sun_path[0] = '\0';
    m->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(m->fd, (struct sockaddr *)&at,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len)),
                     0);
}

/* The next datagram; empty: there is none. */
static inline struct str manager_hears(struct manager *m)
{
    const ssize_t n = recv(m->fd, m->text, sizeof(m->text), 0);
    return (struct str){ m->text, n > 0 ? (size_t)n : 0 };
}

#endif
