/*
 * worker - the worlds of one loop, and the door through which new ones come in.
 *
 * A snapshot that arrives replaces one part of the world; the rest is shared with the world before.
 * Requests under way keep the world they started with.
 */
#include "presignd/worker.h"

#include <stdlib.h>

#include "presignd/api.h"
#include "presignd/log.h"
#include "presignd/url_packet.h"

enum {
    TOKENS_MAX = 8192,
    TOKENS_BYTES_MAX = 8 << 20,
    URL_LIMIT = 2 * URL_BYTES_MAX,
    LOG_RETRY_MS = 100
};

/* ---- worlds ------------------------------------------------------------------------------------- */

struct world *world_ref(struct world *w)
{
    w->refs++;
    return w;
}

void world_unref(struct world *w)
{
    if (!w || --w->refs > 0)
        return;
    keyring_unref(w->keyring);
    creds_unref(w->creds);
    if (w->settings.owner)
        w->settings.owner_unref(w->settings.owner);
    free(w);
}

/* The next world, with what the one before had; its parts are counted anew. */
static struct world *world_after(const struct world *was)
{
    struct world *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->refs = 1;
    if (!was)
        return w;
    w->settings = was->settings;
    if (w->settings.owner)
        w->settings.owner_ref(w->settings.owner);
    w->keyring = was->keyring ? keyring_ref(was->keyring) : NULL;
    w->creds = was->creds ? creds_ref(was->creds) : NULL;
    return w;
}

static void become(struct worker *w, struct world *next)
{
    world_unref(w->world);
    w->world = next;
}

/* ---- waiting ------------------------------------------------------------------------------------ */

void waiter_join(struct waiter **list, struct waiter *w, struct request *r)
{
    waiter_leave(w);
    w->request = r;
    w->next = *list;
    w->link = list;
    if (w->next)
        w->next->link = &w->next;
    *list = w;
}

void waiter_leave(struct waiter *w)
{
    if (!w->request)
        return;
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    *w = (struct waiter){ .request = NULL };
}

static void wake_all(struct waiter **list)
{
    while (*list) {
        struct request *r = (*list)->request;
        waiter_leave(*list);
        request_wake(r);
    }
}

/* ---- what a worker is told ---------------------------------------------------------------------- */

/* The world before goes on. Keys and credentials are told again at the end of the next attempt. */
static void lost(struct str what)
{
    log_say(LOG_LEVEL_ERROR, "out_of_memory", what, loop_clock_wall_us());
}

void worker_use_settings(struct worker *w, const struct api_settings *s)
{
    struct world *next = world_after(w->world);
    if (!next) {
        lost(STR("a loop keeps the settings it had: reload again"));
        return;
    }
    if (next->settings.owner)
        next->settings.owner_unref(next->settings.owner);
    next->settings = *s;
    s->owner_ref(s->owner);
    become(w, next);
    post_kept_free(w->kept);
    w->kept = post_kept_new(s->rules->n_profiles); /* NULL: packets are made without */
    w->server.n_routes = s->web ? api_routes_all_n : api_routes_n;
    if (w->server.daemon)
        server_use(&w->server, s->server);
    if (w->admin.daemon)
        server_use(&w->admin, s->server);
}

void worker_use_keyring(struct worker *w, struct keyring *kr)
{
    struct world *next = world_after(w->world);
    if (next) {
        keyring_unref(next->keyring);
        next->keyring = keyring_ref(kr);
        become(w, next);
    } else {
        lost(STR("a loop keeps the keys it had"));
    }
    wake_all(&w->key_waiters);
}

void worker_use_creds(struct worker *w, struct creds *c)
{
    if (!w->world || w->world->creds != c) {
        struct world *next = world_after(w->world);
        if (next) {
            creds_unref(next->creds);
            next->creds = c ? creds_ref(c) : NULL;
            become(w, next);
        } else {
            lost(STR("a loop keeps the credentials it had"));
        }
    }
    wake_all(&w->creds_waiters);
}

/* ---- from other threads ------------------------------------------------------------------------- */

struct delivery {
    struct post post;
    struct worker *to;
    struct api_settings settings;
    struct keyring *keyring;
    struct creds *creds;
};

static void deliver_settings(struct post *p, struct loop *l)
{
    (void)l;
    struct delivery *d = container_of(p, struct delivery, post);
    worker_use_settings(d->to, &d->settings);
    d->settings.owner_unref(d->settings.owner);
    free(d);
}

static void deliver_keyring(struct post *p, struct loop *l)
{
    (void)l;
    struct delivery *d = container_of(p, struct delivery, post);
    worker_use_keyring(d->to, d->keyring);
    keyring_unref(d->keyring);
    free(d);
}

static void deliver_creds(struct post *p, struct loop *l)
{
    (void)l;
    struct delivery *d = container_of(p, struct delivery, post);
    worker_use_creds(d->to, d->creds);
    creds_unref(d->creds);
    free(d);
}

static struct delivery *delivery_new(struct worker *to, void (*run)(struct post *, struct loop *))
{
    struct delivery *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->to = to;
    d->post.run = run;
    return d;
}

enum status worker_post_settings(struct worker *w, const struct api_settings *s)
{
    struct delivery *d = delivery_new(w, deliver_settings);
    if (!d)
        return ST_NO_MEMORY;
    d->settings = *s;
    s->owner_ref(s->owner);
    loop_post(w->loop, &d->post);
    return ST_OK;
}

enum status worker_post_keyring(struct worker *w, struct keyring *kr)
{
    struct delivery *d = delivery_new(w, deliver_keyring);
    if (!d)
        return ST_NO_MEMORY;
    d->keyring = keyring_ref(kr);
    loop_post(w->loop, &d->post);
    return ST_OK;
}

enum status worker_post_creds(struct worker *w, struct creds *c)
{
    struct delivery *d = delivery_new(w, deliver_creds);
    if (!d)
        return ST_NO_MEMORY;
    d->creds = c ? creds_ref(c) : NULL;
    loop_post(w->loop, &d->post);
    return ST_OK;
}

/* ---- life --------------------------------------------------------------------------------------- */

static int64_t write_log(struct turn *t)
{
    (void)t;
    log_flush();
    return log_pending() ? LOG_RETRY_MS : -1;
}

enum status worker_init(struct worker *w, struct fleet *f)
{
    w->fleet = f;
    w->packet = POST_PACKET_INIT;
    w->url = BUF_INIT(URL_LIMIT);
    w->world = world_after(NULL);
    w->tokens = token_cache_new(TOKENS_MAX, TOKENS_BYTES_MAX);
    w->ledger = ledger_none_new();
    w->loop = loop_new();
    if (!w->world || !w->tokens || !w->ledger || !w->loop)
        return ST_NO_MEMORY;
    w->log_turn.before_sleep = write_log;
    loop_turn_add(w->loop, &w->log_turn);
    return ST_OK;
}

void worker_release(struct worker *w)
{
    ledger_free(TAKE(w->ledger));
    fetcher_free(TAKE(w->fetcher));
    if (w->loop)
        loop_free(TAKE(w->loop));
    token_cache_free(TAKE(w->tokens));
    signing_keys_release(&w->signing);
    post_packet_release(&w->packet);
    post_kept_free(TAKE(w->kept));
    buf_wipe(&w->url);
    random_pool_release(&w->random);
    world_unref(TAKE(w->world));
}

void worker_use_ledger(struct worker *w, struct ledger *l)
{
    ledger_free(w->ledger);
    w->ledger = l;
}

struct fetcher *worker_fetcher(struct worker *w)
{
    if (!w->fetcher)
        w->fetcher = fetcher_new(w->loop);
    return w->fetcher;
}

struct worker *worker_of(const struct request *r)
{
    struct server *s = r->server;
    return s->admin ? container_of(s, struct worker, admin)
                    : container_of(s, struct worker, server);
}
