/* floor: net */
/*
 * Bytes of a server that may be anybody: the first byte says how many questions wait, the rest is
 * what it sends before it resets the connection. Whatever that is, each question gets exactly one
 * answer, rows are whole, and the wire ends closed.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "presignd/resp_hello.h"
#include "presignd/resp_wire.h"

enum { ASKS_MAX = 4, TURNS_MAX = 10000, INPUT_MAX = 4096 };

static struct loop *loop;
static struct resp_wire wire;
static int listener = -1;
static uint16_t port;
static struct asked {
    struct resp_ask ask;
    int answers;
} asked[ASKS_MAX];

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void ready(struct source *s, uint32_t events)
{
    (void)s;
    resp_wire_ready(&wire, events);
}

static void wants_flush(struct resp_wire *w)
{
    (void)w;
}

/* Every byte of a reply is read, so that the sanitizers see a view that is none. */
static void answered(struct resp_ask *a, const struct resp_reply *r)
{
    static volatile unsigned sum __attribute__((unused));
    struct asked *q = container_of(a, struct asked, ask);
    q->answers++;
    must(q->answers == 1 && r->n_rows <= RESP_ROWS_MAX);
    for (size_t i = 0; i < r->n_rows; i++)
        for (size_t n = 0; n < r->rows[i].text.len; n++)
            sum += (unsigned char)r->rows[i].text.ptr[n];
    for (size_t n = 0; n < r->text.len; n++)
        sum += (unsigned char)r->text.ptr[n];
}

static void start(void)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(in);
    signal(SIGPIPE, SIG_IGN);
    loop = loop_new();
    wire.loop = loop;
    wire.ready = ready;
    wire.wants_flush = wants_flush;
    must(loop && resp_wire_init(&wire) == ST_OK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(listener >= 0 && bind(listener, (const struct sockaddr *)&in, sizeof(in)) == 0 &&
         listen(listener, 4) == 0 && getsockname(listener, (struct sockaddr *)&in, &len) == 0);
    port = ntohs(in.sin_port);
}

static int connect_both(void)
{
    resp_wire_open(&wire, "127.0.0.1", port, STR("localhost"));
    const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    must(fd >= 0);
    for (int i = 0; i < TURNS_MAX && !resp_wire_connected(&wire); i++)
        loop_turn(loop, 100);
    must(resp_wire_connected(&wire));
    return fd;
}

static void hello_reads(struct str text)
{
    const struct resp_config config = { .database = 0 };
    const struct resp_row row = { .text = text };
    const struct resp_reply r = { .kind = RESP_OK, .rows = &row, .n_rows = 1 };
    char space[320];
    struct buf why = BUF_FIXED(space);
    struct resp_hello h;
    resp_hello_start(&h, &config);
    must(resp_hello_next(&h, NULL, &why) == HELLO_ASK);
    const enum hello_verdict v = resp_hello_next(&h, &r, &why);
    must((v == HELLO_NO) == (why.len > 0) && buf_check(&why) == ST_OK &&
         buf_check(&h.warning) == ST_OK && buf_check(&h.version) == ST_OK);
    (void)resp_hello_ends(text, &why);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len < 2 || len > INPUT_MAX)
        return 0;
    if (!loop)
        start();
    hello_reads((struct str){ (const char *)bytes + 1, len - 1 });
    const int fd = connect_both();
    const size_t n = bytes[0] % (ASKS_MAX + 1);
    const char *ping = "PING";
    const size_t four = 4;
    for (size_t i = 0; i < n; i++) {
        asked[i] = (struct asked){ .ask.answered = answered };
        must(resp_wire_ask(&wire, &asked[i].ask, 1, &ping, &four));
    }
    resp_wire_flush(&wire);
    must(send(fd, bytes + 1, len - 1, MSG_NOSIGNAL) == (ssize_t)(len - 1));
    /* A reset comes after what was sent, and leaves no connection waiting for its end. */
    const struct linger now = { .l_onoff = 1, .l_linger = 0 };
    must(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) == 0 && close(fd) == 0);
    for (int i = 0; i < TURNS_MAX && resp_wire_is_open(&wire); i++)
        loop_turn(loop, 100);
    must(!resp_wire_is_open(&wire) && wire.unanswered == 0);
    for (size_t i = 0; i < n; i++)
        must(asked[i].answers == 1);
    return 0;
}
