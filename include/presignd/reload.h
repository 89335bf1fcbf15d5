/*
 * reload - reads configuration, keys and secrets anew on a thread of its own (loops touch no file),
 * and hands the checked result to a loop.
 */
#ifndef PRESIGND_RELOAD_H
#define PRESIGND_RELOAD_H

#include <pthread.h>

#include "presignd/config.h"
#include "presignd/key_source.h"
#include "presignd/loop.h"

struct reload {
    struct config_ask ask;
    struct loop *loop; /* where done is called */
    /* status says how it went. Takes what it wants and releases the rest; then, not before, it may
       start another */
    void (*done)(struct reload *r);
    enum status status;
    struct config *config; /* results; released by reload_release unless taken */
    struct keyring *keyring;
    struct cred_source *source;
    struct buf why; /* lines: the faults; when all is good, what the keys' files warn of */
    struct post post;
    bool running;
    pthread_t thread;
    bool joinable;
};

#define RELOAD_WHY_MAX 16384

/* The same on the calling thread, for the start: status is ST_OK with the three results, else why. */
void reload_now(struct reload *r);

/* Starts the thread; does nothing while one runs. ST_INTERNAL: no thread to be had. */
MUST_CHECK enum status reload_start(struct reload *r);

/* Before the loop goes: waits for a thread under way; what it brings is dropped. */
void reload_stop(struct reload *r);

void reload_release(struct reload *r);

#endif
