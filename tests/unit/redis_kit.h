/*
 * redis_kit.h - a real redis-server of the test's own, and a blocking connection to look into it.
 */
#ifndef PRESIGND_REDIS_KIT_H
#define PRESIGND_REDIS_KIT_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define P_ALL IDTYPE_ALL /* a name that tests want */
#include <sys/wait.h>
#undef P_ALL

#include <hiredis/hiredis.h>

#include "test.h"

#include "presignd/loop.h"

extern char **environ;

enum { REDIS_START_MS = 20000, REDIS_TRIES = 5 };

struct redis_server {
    pid_t pid;
    int port;
    redisContext *eye; /* what the test itself asks by */
};

static inline bool redis_missing(void)
{
    const bool missing = access("/usr/bin/redis-server", X_OK) != 0;
    if (missing)
        print_message("redis-server is not installed: its tests are left out\n");
    return missing;
}

/* A port that was free a moment ago. */
static inline int redis_free_port(void)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(in);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    close(fd);
    return ntohs(in.sin_port);
}

static inline redisReply *redis_ask_v(struct redis_server *s, const char *format, va_list args)
{
    redisReply *r = redisvCommand(s->eye, format, args);
    if (!r)
        fail_msg("redis: %s: %s", format, s->eye->errstr);
    return r;
}

/* An integer reply, or the number of elements of a list; fails the test on an error reply. */
static inline int64_t redis_num(struct redis_server *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *r = redis_ask_v(s, format, args);
    va_end(args);
    if (r->type == REDIS_REPLY_ERROR)
        fail_msg("redis: %s: %s", format, r->str);
    const int64_t n = r->type == REDIS_REPLY_ARRAY ? (int64_t)r->elements : r->integer;
    freeReplyObject(r);
    return n;
}

static inline bool redis_say_hello(struct redis_server *s)
{
    s->eye = redisConnect("127.0.0.1", s->port);
    redisReply *r = s->eye && !s->eye->err ? redisCommand(s->eye, "PING") : NULL;
    const bool up = r && r->type == REDIS_REPLY_STATUS;
    if (r)
        freeReplyObject(r);
    if (!up && s->eye) {
        redisFree(s->eye);
        s->eye = NULL;
    }
    return up;
}

/* Silent, and gone with this test even if that one is killed. */
static inline void redis_spawn(struct redis_server *s, const char *options)
{
    char line[512], *argv[64];
    static char nothing[1];
    size_t n = 0;
    snprintf(line, sizeof(line),
             "setpriv --pdeathsig KILL redis-server --port %d --bind 127.0.0.1 --dir /tmp --save "
             "%%%% --appendonly no "
             "--logfile /dev/null %s",
             s->port, options);
    for (char *save, *w = strtok_r(line, " ", &save); w && n < ROWS(argv) - 1;
         w = strtok_r(NULL, " ", &save))
        argv[n++] = strcmp(w, "%%") == 0 ? nothing : w;
    argv[n] = NULL;
    posix_spawn_file_actions_t files;
    assert_int_equal(posix_spawn_file_actions_init(&files), 0);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
    assert_int_equal(posix_spawnp(&s->pid, argv[0], &files, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&files);
}

static inline void redis_kill(struct redis_server *s)
{
    if (s->eye)
        redisFree(s->eye);
    s->eye = NULL;
    kill(s->pid, SIGKILL);
    assert_int_equal(waitpid(s->pid, NULL, 0), s->pid);
    s->pid = 0;
}

/* False: the server ended by itself, because somebody took its port. */
static inline bool redis_comes_up(struct redis_server *s)
{
    const int64_t end_us = loop_clock_us() + REDIS_START_MS * INT64_C(1000);
    while (loop_clock_us() < end_us) {
        if (redis_say_hello(s))
            return true;
        if (waitpid(s->pid, NULL, WNOHANG) == s->pid)
            return false;
        poll(NULL, 0, 5); /* nothing tells when it listens */
    }
    fail_msg("redis-server does not answer on port %d", s->port);
    return false;
}

/* port 0: any that is free. */
static inline void redis_start(struct redis_server *s, int port, const char *options)
{
    for (int i = 0; i < REDIS_TRIES; i++) {
        s->port = port ? port : redis_free_port();
        redis_spawn(s, options);
        if (redis_comes_up(s))
            return;
    }
    fail_msg("redis-server does not start");
}

#endif
