/*
 * supervisor - the service manager above us, systemd or what speaks its protocols: the sockets that
 * it hands down, the news it wants (notify.h), and its watchdog, which gets a sign of life only
 * while every loop turns.
 *
 * All of it belongs to the first lane's thread. Without a manager everything here does nothing.
 */
#ifndef PRESIGND_SUPERVISOR_H
#define PRESIGND_SUPERVISOR_H

#include "presignd/inherited.h"
#include "presignd/lanes.h"
#include "presignd/notify.h"

struct supervisor {
    struct notify notify;
    struct inherited sockets;
    int64_t every_ms; /* between signs of life; 0: none is wanted */
    struct lanes *lanes;
    struct timer pulse, again;
    bool stuck, stopping;
};
#define SUPERVISOR_NONE ((struct supervisor){ .notify = { .fd = -1 }, .sockets = INHERITED_NONE })

/*
 * Takes what the environment says of a manager out of it; before any thread is there. A manager that
 * cannot be told anything is a warning in the log. ST_INVALID or ST_INTERNAL with why.
 */
MUST_CHECK enum status supervisor_take(struct supervisor *s, char **environment, struct buf *why);

/* Built lanes, before they run: signs of life are given from then on. ST_NO_MEMORY. */
MUST_CHECK enum status supervisor_watch(struct supervisor *s, struct lanes *lanes);

/* News, with words for people. After supervisor_stopping the others say nothing. */
void supervisor_ready(struct supervisor *s, struct str words);
void supervisor_reloading(struct supervisor *s);
void supervisor_stopping(struct supervisor *s);

/* Before the lanes' loops go. */
void supervisor_release(struct supervisor *s);

#endif
