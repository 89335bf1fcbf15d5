/*
 * inherited - what was said about the descriptors is held against what they are: a wrong one would
 * else show as a service that starts and never answers.
 */
#include "presignd/inherited.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- one descriptor ----------------------------------------------------------------------------- */

bool inherited_address(int fd, struct buf *out, uint16_t *out_port)
{
    struct sockaddr_storage at = { .ss_family = AF_UNSPEC };
    socklen_t len = sizeof(at);
    char text[INET6_ADDRSTRLEN];
    if (getsockname(fd, (struct sockaddr *)&at, &len))
        return false;
    const bool six = at.ss_family == AF_INET6;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    memcpy(&in, &at, sizeof(in));
    memcpy(&in6, &at, sizeof(in6));
    if (!six && at.ss_family != AF_INET)
        return false;
    const void *bytes = six ? (const void *)&in6.sin6_addr : (const void *)&in.sin_addr;
    if (!inet_ntop(at.ss_family, bytes, text, sizeof(text)))
        return false;
    *out_port = ntohs(six ? in6.sin6_port : in.sin_port);
    buf_str(out, six ? STR("[") : STR(""));
    buf_str(out, str_from(text));
    buf_str(out, six ? STR("]:") : STR(":"));
    buf_int(out, *out_port);
    return buf_check(out) == ST_OK;
}

static int socket_option(int fd, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, name, &value, &len) ? -1 : value;
}

/* NULL when it is one that can be served. */
static const char *fault_of(int fd)
{
    const int family = socket_option(fd, SO_DOMAIN);
    if (fcntl(fd, F_GETFD) < 0)
        return "is not open";
    if (family < 0)
        return "is no socket";
    if (family != AF_INET && family != AF_INET6)
        return "is no internet socket";
    if (socket_option(fd, SO_TYPE) != SOCK_STREAM)
        return "is no TCP socket";
    return socket_option(fd, SO_ACCEPTCONN) == 1 ? NULL : "does not listen";
}

/* Several loops accept from one queue: who comes too late must not wait there. */
static bool prepare(int fd)
{
    const int flags = fcntl(fd, F_GETFL), on = 1;
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 &&
           setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0;
}

int inherited_share(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, INHERITED_FIRST_FD);
}

void inherited_close(struct inherited *in)
{
    if (in->public_fd >= 0)
        close(in->public_fd);
    if (in->admin_fd >= 0)
        close(in->admin_fd);
    *in = INHERITED_NONE;
}

/* ---- all of them -------------------------------------------------------------------------------- */

static enum status complain(struct buf *why, int fd, struct str name, const char *fault)
{
    buf_lit(why, "inherited descriptor ");
    buf_int(why, fd);
    buf_lit(why, " (\"");
    buf_str(why, name);
    buf_lit(why, "\") ");
    buf_str(why, str_from(fault));
    return ST_INVALID;
}

static enum status take_one(struct inherited *in, int fd, struct str name, struct buf *why)
{
    int *place = NULL;
    if (str_equal(name, STR("public")))
        place = &in->public_fd;
    else if (str_equal(name, STR("admin")))
        place = &in->admin_fd;
    if (!place)
        return complain(why, fd, name,
                        "has a name that says nothing: FileDescriptorName= is public or admin");
    if (*place >= 0)
        return complain(why, fd, name, "is the second of its name: one socket is served");
    const char *fault = fault_of(fd);
    if (fault)
        return complain(why, fd, name, fault);
    if (!prepare(fd))
        return complain(why, fd, name, strerrordesc_np(errno));
    *place = fd;
    return ST_OK;
}

/* Who connects would reach the one or the other by chance. */
static bool same_address(int a, int b)
{
    char space_a[INET6_ADDRSTRLEN + 16], space_b[INET6_ADDRSTRLEN + 16];
    struct buf at_a = BUF_FIXED(space_a), at_b = BUF_FIXED(space_b);
    uint16_t port;
    return inherited_address(a, &at_a, &port) && inherited_address(b, &at_b, &port) &&
           str_equal(buf_view(&at_a), buf_view(&at_b));
}

static enum status no_number(struct str name, struct buf *why)
{
    buf_str(why, name);
    buf_lit(why, " is no number that makes sense");
    return ST_INVALID;
}

enum status inherited_take(struct inherited *out, const struct inherited_ask *ask, struct buf *why)
{
    int64_t pid, n;
    *out = INHERITED_NONE;
    if (ask->pid.len == 0 || ask->fds.len == 0)
        return ST_OK;
    if (!str_to_int(ask->pid, INT32_MAX, &pid))
        return no_number(STR("LISTEN_PID"), why);
    if (pid != ask->own_pid)
        return ST_OK;
    if (!str_to_int(ask->fds, INT32_MAX - INHERITED_FIRST_FD, &n))
        return no_number(STR("LISTEN_FDS"), why);

    struct inherited found = INHERITED_NONE;
    struct str names = ask->names.len ? ask->names : STR_NONE, name;
    const bool nameless = ask->names.len == 0 && n == 1;
    for (int64_t i = 0; i < n; i++) {
        if (!str_cut(&names, ':', &name))
            name = nameless ? STR("public") : STR("");
        TRY(take_one(&found, ask->first_fd + (int)i, name, why));
    }
    if (same_address(found.public_fd, found.admin_fd))
        return complain(why, found.admin_fd, STR("admin"), "listens where the public one does");
    *out = found;
    return ST_OK;
}
