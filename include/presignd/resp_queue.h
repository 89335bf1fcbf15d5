/*
 * resp_queue - the commands of one link: those on the wire with their deadlines, and those that
 * could not be sent and are told so from the loop.
 *
 * A command that passed its deadline stays on the wire until its reply is dropped; so a hung server
 * fills the wire up to RESP_WAITING_MAX and no further.
 */
#ifndef PRESIGND_RESP_QUEUE_H
#define PRESIGND_RESP_QUEUE_H

#include "presignd/resp.h"
#include "presignd/resp_wire.h"

struct resp_slot;

struct resp_queue { /* zeroed; then the members of this part are set by the owner */
    struct resp_wire *wire;
    int64_t timeout_ms;
    bool no_more; /* nothing is sent again: a script that is not known stays RESP_UNSENT */
    /* Before an answer is handed out: a reply in time (RESP_OK, RESP_ERROR), or RESP_TIMEOUT. */
    void (*heard)(struct resp_queue *q, enum resp_kind kind, struct str error);

    struct resp_slot *first, *last; /* by deadline */
    struct resp_command *unsent_first,
        *unsent_last; /* by their slots, that of the last: the queue */
    size_t n_unsent;
};

/* False: it is not under way, resp_queue_refuse() is for it. */
MUST_CHECK bool resp_queue_send(struct resp_queue *q, struct resp_command *c,
                                const struct resp_script *s, size_t n_keys, const struct str *argv,
                                size_t argc);

/* RESP_UNSENT, from resp_queue_answer_unsent(). */
void resp_queue_refuse(struct resp_queue *q, struct resp_command *c);

void resp_queue_forget(struct resp_queue *q, struct resp_command *c);
void resp_queue_forget_all(struct resp_queue *q);

/* Those refused before this call; who is refused again waits for the next one. */
void resp_queue_answer_unsent(struct resp_queue *q, struct str why);

/* Answers RESP_TIMEOUT where the time is over. */
void resp_queue_expire(struct resp_queue *q, int64_t now_ms);

/* The next deadline, INT64_MAX without any. */
int64_t resp_queue_due_ms(const struct resp_queue *q);

#endif
