/*
 * resp_kit.h - a link with its loop, and commands that remember their answers.
 */
#ifndef PRESIGND_RESP_KIT_H
#define PRESIGND_RESP_KIT_H

#include "test.h"

#include "witness.h"

#include <stdio.h>

#include "presignd/resp_link.h"

enum { PATIENCE_MS = 20000, TURN_MAX_MS = 1000, KEPT_ROWS = 8, KEPT_TEXT = 256 };

/* one link, and what it said */

struct rig {
    struct loop *loop;
    struct resp_link *link;
    struct resp_config config;
    struct resp_listener listener;
    struct secret password;
    int ups, downs;
    char why[KEPT_TEXT];
    void (*before_turn)(struct rig *r); /* NULL: nothing */
};

static inline void changed(struct resp_listener *h, bool up, struct str why)
{
    struct rig *r = container_of(h, struct rig, listener);
    *(up ? &r->ups : &r->downs) += 1;
    snprintf(r->why, sizeof(r->why), "%.*s", STR_ARGS(why));
}

static inline void rig_init(struct rig *r, int port)
{
    *r = (struct rig){
        .config = { .host = STR("127.0.0.1"), .port = (uint16_t)port, .timeout_ms = 1000 },
        .listener = { .changed = changed }
    };
    r->loop = loop_new();
    assert_non_null(r->loop);
}

static inline void rig_start(struct rig *r)
{
    AUTO(buf) why = BUF_INIT(256);
    assert_int_equal(resp_link_new(&r->link, r->loop, &r->config, &r->listener, &why), ST_OK);
}

static inline void rig_end(struct rig *r)
{
    resp_link_free(r->link);
    loop_free(r->loop);
    secret_release(&r->password);
}

static inline bool is_up(const struct rig *r)
{
    struct str why;
    return resp_link_up(r->link, &why);
}

static inline const char *reason(const struct rig *r)
{
    static char text[KEPT_TEXT];
    struct str why;
    resp_link_up(r->link, &why);
    snprintf(text, sizeof(text), "%.*s", STR_ARGS(why));
    return text;
}

static inline bool reason_has(const struct rig *r, const char *part)
{
    return strstr(reason(r), part);
}

/* One turn; none may be a long one, whatever the server does. */
static inline void turn(struct rig *r)
{
    const int64_t from_ms = witness_ms();
    if (r->before_turn)
        r->before_turn(r);
    loop_turn(r->loop, 5);
    const int64_t ms = witness_ms() - from_ms;
    if (ms > TURN_MAX_MS)
        fail_msg("a turn of %" PRId64 " ms", ms);
}

/* Turns the loop until `cond` holds; the test fails with `name` when it never does. */
#define UNTIL(r, name, cond)                                            \
    do {                                                                \
        const int64_t end_us_ = loop_clock_us() + PATIENCE_MS * 1000LL; \
        while (!(cond)) {                                               \
            if (loop_clock_us() > end_us_)                              \
                fail_msg("%s: never: %s", (name), #cond);               \
            turn(r);                                                    \
        }                                                               \
    } while (0)

/* one command, and its answer */

struct asked {
    struct resp_command command;
    int done;
    enum resp_kind kind;
    char text[KEPT_TEXT];
    struct resp_row rows[KEPT_ROWS];
    char row_texts[KEPT_ROWS][KEPT_TEXT];
    size_t n_rows;
};

static inline void answered(struct resp_command *c, const struct resp_reply *r)
{
    struct asked *a = container_of(c, struct asked, command);
    a->done++;
    a->kind = r->kind;
    a->n_rows = r->n_rows;
    snprintf(a->text, sizeof(a->text), "%.*s", STR_ARGS(r->text));
    for (size_t i = 0; i < r->n_rows && i < KEPT_ROWS; i++) {
        a->rows[i] = r->rows[i];
        snprintf(a->row_texts[i], KEPT_TEXT, "%.*s", STR_ARGS(r->rows[i].text));
    }
}

static inline void send_words(struct rig *r, struct asked *a, const char *line)
{
    char copy[KEPT_TEXT];
    struct str words[32];
    size_t n = 0;
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *save, *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
        words[n++] = str_from(w);
    *a = (struct asked){ .command = { .done = answered } };
    resp_link_send(r->link, &a->command, NULL, 0, words, n);
    assert_int_equal(a->done, 0);
}

static inline struct asked ask(struct rig *r, const char *line)
{
    struct asked a;
    send_words(r, &a, line);
    UNTIL(r, line, a.done);
    assert_null(a.command.slot);
    return a;
}

#endif
