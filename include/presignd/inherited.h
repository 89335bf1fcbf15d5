/*
 * inherited - listening sockets that a service manager opened before us: the protocol of
 * sd_listen_fds(3). They outlive the process, so what arrives between two of them waits in their
 * queue and is not refused.
 *
 * Values are arguments: who reads the environment passes on what it found.
 */
#ifndef PRESIGND_INHERITED_H
#define PRESIGND_INHERITED_H

#include "presignd/buf.h"

enum { INHERITED_FIRST_FD = 3 };

/* A descriptor, or -1. Both are closed by inherited_close. */
struct inherited {
    int public_fd, admin_fd;
};
#define INHERITED_NONE ((struct inherited){ .public_fd = -1, .admin_fd = -1 })

struct inherited_ask {
    struct str pid, fds, names; /* $LISTEN_PID, $LISTEN_FDS, $LISTEN_FDNAMES; empty: not set */
    int64_t own_pid;
    int first_fd; /* INHERITED_FIRST_FD, but in tests */
};

/*
 * The descriptors that are meant for this process: those named "public" and "admin"; a single one
 * without a name is the public one. From then on they close on exec, never block, and what they
 * accept sends without delay. None, for another process or not set: ST_OK. ST_INVALID with why: a
 * count, a name or a descriptor that makes no sense, or both at one address; *out is then
 * INHERITED_NONE and nothing is closed.
 */
MUST_CHECK enum status inherited_take(struct inherited *out, const struct inherited_ask *ask,
                                      struct buf *why);
void inherited_close(struct inherited *in);

/* One more descriptor of the same socket, for one loop; -1 with errno. Both share one queue. */
int inherited_share(int fd);

/* "127.0.0.1:8080", "[::]:8080": where it listens. False: it is no internet socket. */
bool inherited_address(int fd, struct buf *out, uint16_t *out_port);

#endif
