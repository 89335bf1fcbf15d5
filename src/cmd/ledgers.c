/*
 * ledgers - from the configuration to one door per worker.
 *
 * The order of the end: servers stop (what they asked is released), the
 * engine's thread answers what is left and is joined, the sweeper goes, each
 * worker frees its door before its loop, and the file or the fleet goes last.
 */
#include "presignd/ledgers.h"

#include <errno.h>

enum { PATH_MAX_BYTES = 4096 };

/* ---- the engines
 * --------------------------------------------------------------------------------
 */

static enum status open_sqlite(struct ledgers *ls, struct fleet *f, struct buf *why)
{
    TRY(ledger_db_open(&ls->db, ls->config->ledger.path, LEDGER_DB_SERVE, why));
    for (size_t i = 0; i < f->n_workers; i++) {
        struct ledger *door = ledger_sqlite_new(ls->db, f->workers[i]->loop);
        if (!door)
            return ST_NO_MEMORY;
        worker_use_ledger(f->workers[i], door);
    }
    return ST_OK;
}

static enum status read_password(struct ledgers *ls, struct buf *why)
{
    AUTO(buf) path = BUF_INIT(PATH_MAX_BYTES);
    buf_str(&path, ls->config->ledger.password_file);
    const char *cpath = buf_cstr(&path);
    if (!cpath)
        return buf_check(&path) == ST_OK ? ST_TOO_LARGE : buf_check(&path);
    const enum status st = secret_read_file(&ls->password, cpath);
    if (st == ST_OK || st == ST_NO_MEMORY)
        return st;
    const int saved = errno;
    buf_lit(why, "ledger.password_file: ");
    buf_str(why, buf_view(&path));
    buf_lit(why, ": ");
    buf_str(why, st == ST_UNREACHABLE ? str_from(strerrordesc_np(saved))
                 : st == ST_INVALID   ? STR("is empty")
                                      : STR("is too large"));
    return st;
}

static enum status open_redis(struct ledgers *ls, struct fleet *f, struct buf *why)
{
    struct ledger_redis_config c = ls->config->ledger.redis;
    if (ls->config->ledger.password_file.len) {
        TRY(read_password(ls, why));
        c.server.password = &ls->password;
    }
    ls->fleet = ledger_fleet_new(&c);
    if (!ls->fleet)
        return ST_NO_MEMORY;
    for (size_t i = 0; i < f->n_workers; i++) {
        struct ledger *door = NULL;
        TRY(ledger_redis_new(&door, ls->fleet, f->workers[i]->loop, why));
        worker_use_ledger(f->workers[i], door);
    }
    return ST_OK;
}

/* ---- the sweeper
 * --------------------------------------------------------------------------------
 */

static void world_now(struct sweep_host *h, struct sweep_world *out)
{
    struct worker *w = container_of(h, struct ledgers, host)->first;
    struct creds *c = w->world->creds;
    const bool alive = c && creds_left_s(c, loop_wall_us(w->loop) / 1000000) > 0;
    *out = (struct sweep_world){
        .rules = w->world->settings.rules,
        .creds = alive ? c : NULL,
        .signing = &w->signing,
    };
}

static enum status start_sweeper(struct ledgers *ls, struct fleet *f)
{
    ls->first = f->workers[0];
    ls->host.world = world_now;
    struct fetcher *fr = worker_fetcher(ls->first);
    if (fr)
        ls->sweeper = sweeper_new(ls->first->loop, ls->first->ledger, fr, &ls->host, &ls->counts);
    if (!ls->sweeper)
        return ST_NO_MEMORY;
    f->sweeps = &ls->counts;
    return ST_OK;
}

/* ---- life
 * ---------------------------------------------------------------------------------------
 */

enum status ledgers_open(struct ledgers *ls, struct config *c, struct fleet *f, struct buf *why)
{
    ls->config = config_ref(c);
    switch (c->ledger.backend) {
    case LEDGER_NONE: return ST_OK; /* a worker's first ledger */
    case LEDGER_SQLITE: TRY(open_sqlite(ls, f, why)); break;
    case LEDGER_REDIS: TRY(open_redis(ls, f, why)); break;
    }
    return start_sweeper(ls, f);
}

bool ledgers_carry(const struct ledgers *ls, const struct rules *r, struct buf *why)
{
    if (ls->config->ledger.backend != LEDGER_NONE)
        return true;
    for (size_t i = 0; i < r->n_plans; i++)
        if (r->plans[i].n_limits > 0) {
            buf_lit(why, "plans.");
            buf_str(why, r->plans[i].name);
            buf_lit(why, ".limits: the server runs without a ledger, and another one needs a"
                         " restart");
            return false;
        }
    return true;
}

void ledgers_stop(struct ledgers *ls)
{
    ledger_db_stop(ls->db);
    sweeper_free(TAKE(ls->sweeper));
}

void ledgers_release(struct ledgers *ls)
{
    ledger_db_free(TAKE(ls->db));
    ledger_fleet_free(TAKE(ls->fleet));
    secret_release(&ls->password);
    config_unref(TAKE(ls->config));
}
