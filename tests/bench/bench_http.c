/*
 * bench_http - the http floor alone: one route that reads a small JSON body and answers 1.6 kB.
 *
 * Prints the port and serves until standard input ends. Compare with nginx answering the same bytes
 * with `return 200`: what is left to the rest of the service is the room above the target.
 */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "presignd/server.h"

enum { ANSWER_BYTES = 1600, HEADER_BYTES = 8192, BODY_BYTES = 65536, CONNECTIONS = 1000 };

static char answer[ANSWER_BYTES];

static enum step write_answer(struct request *r)
{
    buf_str(&r->out, (struct str){ answer, sizeof(answer) });
    request_header(r, "Location", STR("/v1/uploads/01939a5e-1111-7222-8333-444455556666"));
    return request_answer(r, 201);
}

static enum step write_plain(struct request *r)
{
    buf_str(&r->out, (struct str){ answer, sizeof(answer) });
    return request_answer(r, 200);
}

static step_fn *const post_steps[] = { request_wants_json, request_read_body, write_answer, NULL };
static step_fn *const get_steps[] = { write_plain, NULL };

/* clang-format off */
static const struct route routes[] = {
    { HTTP_POST, STR_INIT("/v1/uploads"), post_steps, sizeof(struct request), 0, "uploads", NULL, NULL },
    { HTTP_GET,  STR_INIT("/plain"),      get_steps,  sizeof(struct request), 0, "plain",   NULL, NULL },
};
/* clang-format on */

static struct metrics metrics;
static struct random_pool random_pool;
static struct loop *loop;

static void input_ended(struct source *s, uint32_t events)
{
    (void)s, (void)events;
    loop_stop(loop);
}

int main(int argc, char **argv)
{
    const bool log = argc > 1 && str_equal(str_from(argv[1]), STR("--log"));
    const struct server_config config = {
        .body_bytes = BODY_BYTES,
        .header_bytes = HEADER_BYTES,
        .connections = CONNECTIONS,
        .header_timeout_ms = 15000,
        .body_timeout_ms = 15000,
        .idle_timeout_ms = 75000,
        .access_log = log,
    };
    char space[256];
    struct buf why = BUF_FIXED(space);
    int fd;
    uint16_t port;
    memset(answer, 'x', sizeof(answer));
    if (server_listen(STR("127.0.0.1:0"), false, &fd, &port, &why) != ST_OK) {
        fprintf(stderr, "%.*s\n", STR_ARGS(buf_view(&why)));
        return 1;
    }
    loop = loop_new();
    struct server server = {
        .loop = loop,
        .config = &config,
        .routes = routes,
        .n_routes = ARRAY_LEN(routes),
        .metrics = &metrics,
        .random = &random_pool,
    };
    struct source input = { .ready = input_ended, .fd = STDIN_FILENO };
    if (server_start(&server, fd) != ST_OK || loop_watch(loop, &input, EPOLLIN) != ST_OK)
        return 1;
    printf("%u\n", (unsigned)port);
    fflush(stdout);
    loop_run(loop);
    server_stop(&server);
    loop_free(loop);
    return 0;
}
