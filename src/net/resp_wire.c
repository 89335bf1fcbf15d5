/*
 * resp_wire - hiredis' asynchronous context on the loop.
 *
 * Keep in mind:
 * - Handling an event may free the context; its cleanup hook then sets w->context to NULL. Nothing of
 *   hiredis is touched after such a call. Freed inside a callback, it goes when that returns.
 * - hiredis aborts the program when a reply comes that nobody asked for, allocates what an array's
 *   header announces, and buffers a reply of any length. So the functions that make its reply
 *   objects are wrapped: a reply must have been asked for, and its rows and bytes are counted.
 * - Writes wait for resp_wire_flush(); EPOLLOUT is watched only while connecting and while the
 *   kernel takes no more.
 * - The password of an AUTH is for a moment in hiredis' output buffer, which is not wiped: the
 *   process holds the secret anyway, for the next reconnect.
 */
#include "presignd/resp_wire.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include <async.h>
#include <hiredis.h>

#ifdef PRESIGND_HIREDIS_SSL
#    include <hiredis_ssl.h>
#    include <openssl/err.h>
#    include <openssl/ssl.h>
#    include <openssl/x509v3.h>
#endif

enum { OUTPUT_MAX = 16 << 20, NESTING_MAX = 8 };

#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

/* TLS */

#ifdef PRESIGND_HIREDIS_SSL

struct resp_tls {
    SSL_CTX *ctx;
};

struct resp_tls *resp_tls_new(struct buf *why)
{
    struct resp_tls *t = calloc(1, sizeof(*t));
    if (t)
        t->ctx = SSL_CTX_new(TLS_client_method());
    if (!t || !t->ctx || SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_default_verify_paths(t->ctx) != 1) {
        buf_lit(why, "no memory for TLS");
        resp_tls_free(t);
        return NULL;
    }
    SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
    return t;
}

void resp_tls_free(struct resp_tls *t)
{
    if (!t)
        return;
    SSL_CTX_free(t->ctx);
    free(t);
}

/* The certificate must be for the host as it is configured; hiredis itself would not look. */
static bool set_peer(SSL *ssl, struct str name)
{
    char space[256];
    struct buf text = BUF_FIXED(space);
    buf_str(&text, name);
    const char *cstr = buf_cstr(&text);
    if (!cstr)
        return false;
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), cstr) == 1)
        return true;
    ERR_clear_error();
    return SSL_set1_host(ssl, cstr) == 1 && SSL_set_tlsext_host_name(ssl, cstr) == 1;
}

static bool start_tls(struct resp_wire *w, struct str name)
{
    SSL *ssl = SSL_new(w->tls->ctx);
    if (ssl && set_peer(ssl, name) && redisInitiateSSL(&w->context->c, ssl) == REDIS_OK) {
        w->session = ssl;
        return true;
    }
    SSL_free(ssl);
    return false;
}

/* hiredis would say "Success". The session lives as long as the context. */
static bool tls_why(struct resp_wire *w)
{
    if (!w->session)
        return false;
    const long verdict = SSL_get_verify_result(w->session);
    if (verdict == X509_V_OK)
        return false;
    buf_lit(&w->why, "the server's certificate: ");
    buf_str(&w->why, str_from(X509_verify_cert_error_string(verdict)));
    return true;
}

#else

struct resp_tls *resp_tls_new(struct buf *why)
{
    buf_lit(why,
            "TLS to Redis needs a hiredis that was built with it (libhiredis-dev 1.0 or later)");
    return NULL;
}

void resp_tls_free(struct resp_tls *t)
{
    assert(!t);
}

static bool start_tls(struct resp_wire *w, struct str name)
{
    (void)w;
    (void)name;
    return false;
}

static bool tls_why(struct resp_wire *w)
{
    (void)w;
    return false;
}

#endif

/* reply objects: hiredis' own, made only while the reply is one that we accept */

static struct resp_wire *wire_of(const redisReadTask *task)
{
    return task->privdata;
}

/* A reply begins with an object without parent. Nobody asked for it: only an error may come, the
 * server's last word before it closes. */
static bool take_object(const redisReadTask *task, size_t rows, size_t bytes)
{
    struct resp_wire *w = wire_of(task);
    if (!task->parent) {
        w->reply_rows = 0;
        w->reply_bytes = 0;
        if (w->unanswered == 0 && task->type != REDIS_REPLY_ERROR)
            return false;
    }
    if (rows > RESP_ROWS_MAX - w->reply_rows || bytes > RESP_REPLY_BYTES_MAX - w->reply_bytes)
        return false;
    w->reply_rows += rows;
    w->reply_bytes += bytes;
    return true;
}

static void *make_string(const redisReadTask *task, char *text, size_t len)
{
    const bool known = task->type == REDIS_REPLY_STRING || task->type == REDIS_REPLY_STATUS ||
                       task->type == REDIS_REPLY_ERROR;
    return known && take_object(task, 0, len) ? wire_of(task)->plain->createString(task, text, len)
                                              : NULL;
}

static bool is_deep(const redisReadTask *task)
{
    int depth = 0;
    for (const redisReadTask *t = task; t; t = t->parent)
        depth++;
    return depth > NESTING_MAX;
}

/* Its elements are counted here, once for all of them; a negative number is a huge one. */
static void *make_array(const redisReadTask *task, element_count n)
{
    const bool known = task->type == REDIS_REPLY_ARRAY && !is_deep(task);
    return known && take_object(task, (size_t)n, 0) ? wire_of(task)->plain->createArray(task, n)
                                                    : NULL;
}

static void *make_integer(const redisReadTask *task, long long n)
{
    return take_object(task, 0, 0) ? wire_of(task)->plain->createInteger(task, n) : NULL;
}

static void *make_nil(const redisReadTask *task)
{
    return take_object(task, 0, 0) ? wire_of(task)->plain->createNil(task) : NULL;
}

/* RESP3, which is never asked for. */
#if HIREDIS_MAJOR >= 1
static void *make_double(const redisReadTask *task, double n, char *text, size_t len)
{
    (void)task;
    (void)n;
    (void)text;
    (void)len;
    return NULL;
}

static void *make_bool(const redisReadTask *task, int n)
{
    (void)task;
    (void)n;
    return NULL;
}
#endif

static void bound_replies(struct resp_wire *w)
{
    static redisReplyObjectFunctions bounded = {
        .createString = make_string,
        .createArray = make_array,
        .createInteger = make_integer,
        .createNil = make_nil,
#if HIREDIS_MAJOR >= 1
        .createDouble = make_double,
        .createBool = make_bool,
#endif
        .freeObject = freeReplyObject,
    };
    redisReader *reader = w->context->c.reader;
    w->plain = reader->fn;
    reader->fn = &bounded;
    reader->privdata = w;
}

/* Depth and rows were limited while reading. */
static void flatten(struct resp_wire *w, const redisReply *o, size_t *n)
{
    if (o->type == REDIS_REPLY_ARRAY) {
        for (size_t i = 0; i < o->elements; i++)
            flatten(w, o->element[i], n);
        return;
    }
    assert(*n < RESP_ROWS_MAX);
    w->rows[(*n)++] = (struct resp_row){
        .null = o->type == REDIS_REPLY_NIL,
        .is_int = o->type == REDIS_REPLY_INTEGER,
        .num = o->type == REDIS_REPLY_INTEGER ? o->integer : 0,
        .text = o->str ? (struct str){ o->str, o->len } : STR(""),
    };
}

/* answers */

static void keep_why(struct resp_wire *w, const redisContext *c)
{
    if (w->why.len || !c->err || tls_why(w))
        return;
    if (c->reader->err == REDIS_ERR_OOM)
        buf_lit(&w->why, "a reply that was not asked for, or larger than any can be");
    else if (c->err == REDIS_ERR_OOM)
        buf_lit(&w->why, "no memory for the connection");
    else if (c->err == REDIS_ERR_EOF)
        buf_lit(&w->why, "the server closed the connection");
    else
        buf_str(&w->why, str_from(c->errstr));
}

static void on_reply(redisAsyncContext *context, void *object, void *arg)
{
    struct resp_wire *w = context->data;
    struct resp_ask *a = arg;
    const redisReply *o = object;
    struct resp_reply r = { .kind = RESP_LOST, .text = STR("") };
    w->unanswered--;
    if (!o) {
        keep_why(w, &context->c);
        const bool garbage = context->c.err == REDIS_ERR_PROTOCOL || context->c.reader->err;
        r.kind = garbage ? RESP_GARBAGE : RESP_LOST;
        r.text = buf_view(&w->why);
    } else if (o->type == REDIS_REPLY_ERROR) {
        r.kind = RESP_ERROR;
        r.text = (struct str){ o->str, o->len };
    } else {
        r.kind = RESP_OK;
        flatten(w, o, &r.n_rows);
        r.rows = w->rows;
    }
    a->answered(a, &r);
}

/* hiredis' hooks: they arm, they never drive */

static void watch(struct resp_wire *w, uint32_t events)
{
    if (!w->context)
        return;
    if (loop_watch(w->loop, &w->source, events) != ST_OK) {
        w->broken = true;
        w->wants_flush(w);
    }
}

static void add_read(void *arg)
{
    struct resp_wire *w = arg;
    watch(w, w->source.events | EPOLLIN);
}

static void del_read(void *arg)
{
    struct resp_wire *w = arg;
    watch(w, w->source.events & ~(uint32_t)EPOLLIN);
}

static void add_write(void *arg)
{
    struct resp_wire *w = arg;
    if (w->flushing || !resp_wire_connected(w)) {
        watch(w, w->source.events | EPOLLOUT);
    } else if (!w->flush_wanted) {
        w->flush_wanted = true;
        w->wants_flush(w);
    }
}

static void del_write(void *arg)
{
    struct resp_wire *w = arg;
    w->flush_wanted = false;
    watch(w, w->source.events & ~(uint32_t)EPOLLOUT);
}

/* hiredis is about to free the context, or to answer what waits and then free it. */
static void cleaned_up(void *arg)
{
    struct resp_wire *w = arg;
    if (!w->context)
        return;
    keep_why(w, &w->context->c);
    watch(w, 0);
    w->context = NULL;
}

/* life */

enum status resp_wire_init(struct resp_wire *w)
{
    w->rows = calloc(RESP_ROWS_MAX, sizeof(*w->rows));
    w->why = BUF_FIXED(w->why_space);
    w->source = (struct source){ .ready = w->ready, .fd = -1 };
    return w->rows ? ST_OK : ST_NO_MEMORY;
}

void resp_wire_release(struct resp_wire *w)
{
    assert(!w->context);
    free(w->rows);
    w->rows = NULL;
}

static void attach(struct resp_wire *w)
{
    redisAsyncContext *context = w->context;
    context->data = w;
    context->ev.data = w;
    context->ev.addRead = add_read;
    context->ev.delRead = del_read;
    context->ev.addWrite = add_write;
    context->ev.delWrite = del_write;
    context->ev.cleanup = cleaned_up;
    w->source.fd = context->c.fd;
    bound_replies(w);
    add_write(w); /* the first one says that it is connected */
}

void resp_wire_open(struct resp_wire *w, const char *address, uint16_t port, struct str name)
{
    assert(!w->context);
    buf_reset(&w->why);
    w->flush_wanted = false;
    w->flushing = false;
    w->broken = false;
    w->session = NULL;
    /* A numeric address: nothing is looked up. */
    w->context = redisAsyncConnect(address, port);
    if (!w->context) {
        buf_lit(&w->why, "no memory for a connection");
        return;
    }
    if (w->context->err) {
        keep_why(w, &w->context->c);
        resp_wire_close(w);
        return;
    }
    /* Without these two it works as well, a little worse. */
    (void)fcntl(w->context->c.fd, F_SETFD, FD_CLOEXEC);
    (void)redisEnableKeepAlive(&w->context->c);
    attach(w);
    if (w->tls && !start_tls(w, name)) {
        keep_why(w, &w->context->c);
        if (!w->why.len)
            buf_lit(&w->why, "no TLS connection could be begun");
        resp_wire_close(w);
    }
}

void resp_wire_close(struct resp_wire *w)
{
    redisAsyncContext *context = w->context;
    if (!context)
        return;
    watch(w, 0);
    w->context = NULL;
    redisAsyncFree(context);
}

bool resp_wire_connected(const struct resp_wire *w)
{
    return w->context && w->context->c.flags & REDIS_CONNECTED;
}

bool resp_wire_ask(struct resp_wire *w, struct resp_ask *a, size_t argc, const char **argv,
                   const size_t *lens)
{
    if (!resp_wire_connected(w) || sdslen(w->context->c.obuf) > OUTPUT_MAX)
        return false;
    const int said = redisAsyncCommandArgv(w->context, on_reply, a, (int)argc, argv, lens);
    /* Without memory hiredis 1.x fails for good; 0.14 goes on without having remembered the question,
     * and every later answer would go to the wrong one. */
    const redisCallback *last = w->context->replies.tail;
    if (said == REDIS_OK && last && last->privdata == a) {
        w->unanswered++;
        return true;
    }
    w->broken = true;
    w->wants_flush(w);
    return false;
}

/* Nothing more is sent or read. */
static void close_broken(struct resp_wire *w)
{
    keep_why(w, &w->context->c);
    if (!w->why.len)
        buf_lit(&w->why, "no memory for the connection");
    resp_wire_close(w);
}

void resp_wire_flush(struct resp_wire *w)
{
    if (w->context && w->broken)
        close_broken(w);
    if (!w->flush_wanted || !w->context)
        return;
    w->flush_wanted = false;
    w->flushing = true;
    redisAsyncHandleWrite(w->context);
    w->flushing = false;
}

static void read_some(struct resp_wire *w)
{
    redisAsyncHandleRead(w->context);
    if (!w->context || w->context->c.reader->len <= RESP_REPLY_BYTES_MAX)
        return;
    buf_lit(&w->why, "a reply larger than any can be");
    w->context->c.err = REDIS_ERR_PROTOCOL;
    resp_wire_close(w);
}

/* One call of hiredis an event; what else is ready comes again in the next turn. */
void resp_wire_ready(struct resp_wire *w, uint32_t epoll_events)
{
    if (w->context && w->broken)
        close_broken(w);
    if (!w->context)
        return;
    if (resp_wire_connected(w) && epoll_events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
        read_some(w);
        return;
    }
    w->flushing = true;
    redisAsyncHandleWrite(w->context);
    w->flushing = false;
}
