/*
 * reload - one pass over everything that lies in files. All of it is checked before any of it is
 * used, and all that is wrong with it is said: on a fault the server goes on with what it had.
 */
#include "presignd/reload.h"

#include <pthread.h>

#include "presignd/web_files.h"

static void *config_owner(struct config *c)
{
    return config_ref(c);
}

static void config_disown(void *owner)
{
    config_unref(owner);
}

/* Nobody else has the configuration yet. */
static enum status make_page(struct config *c)
{
    if (!c->ui)
        return ST_OK;
    return web_make(&c->arena, web_files, web_files_n, &c->rules, &c->web);
}

static enum status load(struct reload *r)
{
    TRY(config_load(&r->ask, &r->config, &r->why));
    TRY(make_page(r->config));
    r->keyring = key_source_load(r->config->issuers, r->config->n_issuers, config_owner(r->config),
                                 config_disown, &r->why);
    if (r->why.len)
        buf_lit(&r->why, "\n");
    r->source = cred_source_new(r->config->provider, &r->config->env, &r->why);
    return r->keyring && r->source ? ST_OK : ST_INVALID;
}

void reload_now(struct reload *r)
{
    r->why = BUF_INIT(RELOAD_WHY_MAX);
    r->status = load(r);
}

void reload_release(struct reload *r)
{
    config_unref(TAKE(r->config));
    keyring_unref(TAKE(r->keyring));
    cred_source_free(TAKE(r->source));
    buf_release(&r->why);
}

static void join(struct reload *r)
{
    if (!r->joinable)
        return;
    pthread_join(r->thread, NULL);
    r->joinable = false;
}

static void deliver(struct post *p, struct loop *l)
{
    (void)l;
    struct reload *r = container_of(p, struct reload, post);
    join(r);
    r->running = false;
    r->done(r);
}

static void *thread_main(void *arg)
{
    struct reload *r = arg;
    reload_now(r);
    r->post.run = deliver;
    loop_post(r->loop, &r->post);
    return NULL;
}

enum status reload_start(struct reload *r)
{
    if (r->running)
        return ST_OK;
    r->running = true;
    r->joinable = pthread_create(&r->thread, NULL, thread_main, r) == 0;
    r->running = r->joinable;
    return r->running ? ST_OK : ST_INTERNAL;
}

static void drop(struct reload *r)
{
    (void)r;
}

void reload_stop(struct reload *r)
{
    r->done = drop;
    join(r);
}
