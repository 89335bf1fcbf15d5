/*
 * worker - one loop with everything it owns, and the world its requests see.
 *
 * A world is what one moment of configuration, keys and credentials looks like: requests take a
 * reference at their start and see one consistent whole. Worlds belong to their loop's thread, so
 * their count is plain; what they hold is counted across threads.
 */
#ifndef PRESIGND_WORKER_H
#define PRESIGND_WORKER_H

#include "presignd/cred_store.h"
#include "presignd/fetch.h"
#include "presignd/key_source.h"
#include "presignd/ledger.h"
#include "presignd/post_packet.h"
#include "presignd/profile.h"
#include "presignd/server.h"
#include "presignd/sigv4.h"
#include "presignd/sweeper.h"
#include "presignd/token_cache.h"

struct web;

/* What the configuration says to this floor; the texts live in `owner`. */
struct api_settings {
    const struct rules *rules;
    int64_t creds_min_ttl_s;
    struct str cookie; /* "" = none */
    const struct server_config *server;
    const struct web *web; /* NULL: no page is served (web.h) */
    void *owner;
    void (*owner_ref)(void *owner);
    void (*owner_unref)(void *owner);
};

struct world {
    int refs;
    struct api_settings settings;
    struct keyring *keyring;
    struct creds *creds; /* NULL: none now */
};
struct world *world_ref(struct world *w);
void world_unref(struct world *w);

/* A request that waits for the end of an attempt (credentials or keys). */
struct waiter {
    struct request *request; /* NULL: not in a list */
    struct waiter *next, **link;
};
void waiter_join(struct waiter **list, struct waiter *w, struct request *r);
void waiter_leave(struct waiter *w); /* fine when in no list */

/* What all workers share: read-only after start, or atomic, or safe from any thread. */
struct fleet {
    struct worker *const *workers;
    size_t n_workers;
    struct cred_store *cred_store;
    struct key_source *key_source;
    const struct sweep_counts *sweeps; /* NULL: nothing is swept here */
    atomic_bool draining;
};

struct upload_call;
struct worker {
    struct loop *loop;
    struct fleet *fleet;
    struct metrics metrics;
    struct random_pool random;
    struct server server; /* the public listener */
    struct server admin;  /* on the first worker only; daemon NULL elsewhere */
    struct world *world;
    struct token_cache *tokens;
    struct signing_keys signing;
    struct post_packet packet; /* scratch: one packet at a time is made */
    struct post_kept *kept;    /* what the packets of each profile share */
    struct buf url;
    struct ledger *ledger;   /* never NULL after worker_init */
    struct fetcher *fetcher; /* asked for by worker_fetcher */
    struct waiter *creds_waiters, *key_waiters;
    struct upload_call *looks; /* whose object is being looked at (upload_view.h) */
    struct turn log_turn;      /* what a turn logged is written at its end */
};

/* The worker that serves a request, on whichever listener. */
struct worker *worker_of(const struct request *r);

/* ST_OK, or ST_NO_MEMORY; the world is empty until worker_use_* were called. */
MUST_CHECK enum status worker_init(struct worker *w, struct fleet *f);
/* Servers stopped already, and threads of the ledger's engine joined. */
void worker_release(struct worker *w);

/* The ledger that its requests ask, instead of the one before (at first: `none`). Takes. Before the
 * worker serves. */
void worker_use_ledger(struct worker *w, struct ledger *l);

/* The loop's, made when first asked for; the worker's own. NULL without memory. */
struct fetcher *worker_fetcher(struct worker *w);

/* Each makes the next world and wakes who waited for it; on the worker's loop (or before it runs).
 * References are taken. */
void worker_use_settings(struct worker *w, const struct api_settings *s);
void worker_use_keyring(struct worker *w, struct keyring *kr);
void worker_use_creds(struct worker *w, struct creds *c);

/* The same from any thread: posted to the worker's loop. ST_NO_MEMORY: nothing happens. */
MUST_CHECK enum status worker_post_settings(struct worker *w, const struct api_settings *s);
MUST_CHECK enum status worker_post_keyring(struct worker *w, struct keyring *kr);
MUST_CHECK enum status worker_post_creds(struct worker *w, struct creds *c);

#endif
