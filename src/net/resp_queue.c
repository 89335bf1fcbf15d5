/*
 * resp_queue - commands on the wire, and those that never got there.
 *
 * Keep in mind:
 * - The list of deadlines is in the order of sending, because all commands have the same time. An
 *   EVAL that follows a NOSCRIPT keeps its command's place in it.
 * - A slot belongs to the wire from resp_wire_ask() until it is answered, also when its command has
 *   long been told something. The command is known to the slot only while it waits.
 * - done() may ask again, forget others, or end everything with resp_queue_forget_all().
 */
#include "presignd/resp_queue.h"

#include <stdlib.h>

#include <openssl/evp.h>

#include "presignd/encode.h"

enum { SCRIPT_WORDS = 3, SHA1_HEX = 40 };

struct resp_slot {
    struct resp_ask ask;
    struct resp_queue *queue;
    struct resp_command *command; /* NULL: nobody wants the answer */
    const struct resp_script *script;
    struct resp_slot *next, *prev; /* by deadline, while `timed` */
    int64_t deadline_ms;
    bool timed;
    bool whole; /* sent with the text of the script */
    size_t argc;
    const char **argv; /* argc of them in the same block, then their lengths and bytes */
    size_t *lens;
    char n_keys[24];
};

/* by deadline */

static void timed_add(struct resp_slot *s)
{
    struct resp_queue *q = s->queue;
    s->timed = true;
    s->prev = q->last;
    *(q->last ? &q->last->next : &q->first) = s;
    q->last = s;
}

static void timed_remove(struct resp_slot *s)
{
    struct resp_queue *q = s->queue;
    if (!s->timed)
        return;
    *(s->prev ? &s->prev->next : &q->first) = s->next;
    *(s->next ? &s->next->prev : &q->last) = s->prev;
    s->next = s->prev = NULL;
    s->timed = false;
}

int64_t resp_queue_due_ms(const struct resp_queue *q)
{
    return q->first ? q->first->deadline_ms : INT64_MAX;
}

/* Takes the command off the slot; NULL: nobody wants the answer. */
static struct resp_command *take_command(struct resp_slot *s)
{
    struct resp_command *c = s->command;
    s->command = NULL;
    if (c)
        c->slot = NULL;
    return c;
}

void resp_queue_expire(struct resp_queue *q, int64_t now_ms)
{
    const struct resp_reply r = { .kind = RESP_TIMEOUT, .text = STR("no answer in time") };
    while (q->first && q->first->deadline_ms <= now_ms) {
        struct resp_slot *s = q->first;
        timed_remove(s);
        struct resp_command *c = take_command(s);
        q->heard(q, RESP_TIMEOUT, r.text);
        if (c)
            c->done(c, &r);
    }
}

/* answers */

static bool send_slot(struct resp_slot *s)
{
    return resp_wire_ask(s->queue->wire, &s->ask, s->argc, s->argv, s->lens);
}

/* The server does not know the script: the same once more with its text. */
static bool send_whole(struct resp_slot *s)
{
    s->whole = true;
    s->argv[0] = "EVAL";
    s->lens[0] = 4;
    s->argv[1] = s->script->text.ptr;
    s->lens[1] = s->script->text.len;
    return !s->queue->no_more && send_slot(s);
}

static void slot_answered(struct resp_ask *a, const struct resp_reply *r)
{
    struct resp_slot *s = container_of(a, struct resp_slot, ask);
    struct resp_queue *q = s->queue;
    struct resp_reply answer = *r;
    const bool is_reply = r->kind == RESP_OK || r->kind == RESP_ERROR;
    const bool unknown = s->command && s->script && !s->whole && r->kind == RESP_ERROR &&
                         str_starts(r->text, STR("NOSCRIPT"));
    if (unknown && send_whole(s))
        return;
    if (unknown)
        answer = (struct resp_reply){ .kind = RESP_UNSENT,
                                      .text = STR("the script could not be sent again") };
    const bool in_time = s->timed;
    timed_remove(s);
    struct resp_command *c = take_command(s);
    free(s);
    if (is_reply && in_time)
        q->heard(q, r->kind, r->text);
    if (c)
        c->done(c, &answer);
}

/* sending */

static struct resp_slot *slot_new(size_t argc, size_t bytes)
{
    const size_t words = argc * (sizeof(const char *) + sizeof(size_t));
    struct resp_slot *s = malloc(sizeof(*s) + words + bytes);
    if (!s)
        return NULL;
    *s = (struct resp_slot){ .ask = { .answered = slot_answered }, .argc = argc };
    s->argv = (const char **)(void *)(s + 1);
    s->lens = (size_t *)(void *)(s->argv + argc);
    return s;
}

/* A script may have to be sent twice: its arguments are kept until the answer. */
static struct resp_slot *script_slot(const struct resp_script *script, size_t n_keys,
                                     const struct str *argv, size_t argc, size_t bytes)
{
    struct resp_slot *s = slot_new(argc + SCRIPT_WORDS, bytes);
    if (!s)
        return NULL;
    s->script = script;
    struct buf number = BUF_FIXED(s->n_keys);
    buf_int(&number, (int64_t)n_keys);
    const struct str head[SCRIPT_WORDS] = { STR("EVALSHA"),
                                            { script->sha1, SHA1_HEX },
                                            buf_view(&number) };
    for (size_t i = 0; i < SCRIPT_WORDS; i++) {
        s->argv[i] = head[i].ptr;
        s->lens[i] = head[i].len;
    }
    char *at = (char *)(s->lens + s->argc);
    for (size_t i = 0; i < argc; i++) {
        if (argv[i].len)
            memcpy(at, argv[i].ptr, argv[i].len);
        s->argv[i + SCRIPT_WORDS] = at;
        s->lens[i + SCRIPT_WORDS] = argv[i].len;
        at += argv[i].len;
    }
    return s;
}

static struct resp_slot *plain_slot(const struct str *argv, size_t argc)
{
    struct resp_slot *s = slot_new(argc, 0);
    for (size_t i = 0; s && i < argc; i++) {
        s->argv[i] = argv[i].len ? argv[i].ptr : "";
        s->lens[i] = argv[i].len;
    }
    return s;
}

static struct resp_slot *make_slot(const struct resp_script *script, size_t n_keys,
                                   const struct str *argv, size_t argc)
{
    size_t bytes = 0;
    for (size_t i = 0; i < argc; i++) {
        if (argv[i].len > RESP_COMMAND_BYTES_MAX - bytes)
            return NULL;
        bytes += argv[i].len;
    }
    return script ? script_slot(script, n_keys, argv, argc, bytes) : plain_slot(argv, argc);
}

bool resp_queue_send(struct resp_queue *q, struct resp_command *c, const struct resp_script *script,
                     size_t n_keys, const struct str *argv, size_t argc)
{
    assert(!c->slot && argc <= RESP_ARGS_MAX && n_keys <= argc && (script || argc));
    if (q->wire->unanswered >= RESP_WAITING_MAX)
        return false;
    struct resp_slot *s = make_slot(script, n_keys, argv, argc);
    if (!s)
        return false;
    s->queue = q;
    if (!(script && !script->sha1[0] ? send_whole(s) : send_slot(s))) {
        free(s);
        return false;
    }
    s->command = c;
    c->slot = s;
    /* A fresh reading: what the turn did before must not count against the server. */
    s->deadline_ms = loop_clock_us() / 1000 + q->timeout_ms;
    timed_add(s);
    return true;
}

void resp_script_prepare(struct resp_script *s)
{
    unsigned char digest[SHA1_HEX / 2];
    struct buf hex = BUF_FIXED(s->sha1);
    /* Redis names scripts by SHA-1. Where OpenSSL does not offer it, the text is always sent. */
    if (EVP_Digest(s->text.ptr, s->text.len, digest, NULL, EVP_sha1(), NULL) == 1)
        encode_hex(&hex, (struct str){ (const char *)digest, sizeof(digest) });
    if (!buf_cstr(&hex))
        s->sha1[0] = '\0';
}

/* what could not be sent: a list through the slots, whose last one is the queue itself */

static struct resp_command *unsent_next(const struct resp_queue *q, const struct resp_command *c)
{
    return c->slot == q ? NULL : c->slot;
}

static struct resp_command *unsent_take(struct resp_queue *q)
{
    struct resp_command *c = q->unsent_first;
    q->unsent_first = unsent_next(q, c);
    if (!q->unsent_first)
        q->unsent_last = NULL;
    q->n_unsent--;
    c->slot = NULL;
    return c;
}

static bool unsent_remove(struct resp_queue *q, struct resp_command *c)
{
    if (q->unsent_first == c)
        return unsent_take(q);
    for (struct resp_command *before = q->unsent_first; before; before = unsent_next(q, before))
        if (unsent_next(q, before) == c) {
            before->slot = c->slot;
            if (q->unsent_last == c)
                q->unsent_last = before;
            q->n_unsent--;
            c->slot = NULL;
            return true;
        }
    return false;
}

void resp_queue_refuse(struct resp_queue *q, struct resp_command *c)
{
    c->slot = q;
    if (q->unsent_last)
        q->unsent_last->slot = c;
    else
        q->unsent_first = c;
    q->unsent_last = c;
    q->n_unsent++;
}

void resp_queue_answer_unsent(struct resp_queue *q, struct str why)
{
    for (size_t n = q->n_unsent; n && q->unsent_first; n--) {
        struct resp_command *c = unsent_take(q);
        const struct resp_reply r = { .kind = RESP_UNSENT, .text = why };
        c->done(c, &r);
    }
}

void resp_queue_forget(struct resp_queue *q, struct resp_command *c)
{
    if (c->slot && !unsent_remove(q, c))
        take_command(c->slot);
}

void resp_queue_forget_all(struct resp_queue *q)
{
    while (q->unsent_first)
        unsent_take(q);
    while (q->first) {
        struct resp_slot *s = q->first;
        timed_remove(s);
        take_command(s);
    }
}
