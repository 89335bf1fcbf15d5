/*
 * doctor_ledger - can the ledger be reached and written? Beside a running server: no lock is taken,
 * nothing is written.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "presignd/doctor.h"
#include "presignd/ledger_sqlite.h"

enum { WHY_MAX = 4096, PATH_LIMIT = 4096, REDIS_MS = 1500, TURN_MS = 100 };

/* ---- SQLite ------------------------------------------------------------------------------------- */

static void put_folder(struct buf *out, struct str path)
{
    size_t end = path.len;
    while (end > 0 && path.ptr[end - 1] != '/')
        end--;
    buf_str(out, end > 1 ? str_slice(path, 0, end - 1) : end == 1 ? STR("/") : STR("."));
}

static bool may_write(struct doctor *d, const char *path, int how)
{
    if (path && access(path, how) == 0)
        return true;
    SAY(d, VERDICT_FAILED, STR(""), STR("# cannot be written by user id #: #."),
        STR("Make the folder, and let it and the file belong to the user that presignd runs as "
            "(and doctor too: run it as that user); SQLite writes more files beside the file."),
        str_from(path), doctor_number(d, geteuid()),
        str_from(path ? strerrordesc_np(errno) : "no memory"));
    return false;
}

/* True when it is a ledger that a command can open. */
static bool opens(struct doctor *d, struct str path)
{
    AUTO(buf) why = BUF_INIT(WHY_MAX);
    struct ledger_db *db = NULL;
    const enum status st = ledger_db_open(&db, path, LEDGER_DB_COMMAND, &why);
    if (st == ST_OK) {
        ledger_db_stop(db);
        ledger_db_free(db);
        return true;
    }
    SAY(d, VERDICT_FAILED, STR(""), STR("#."),
        STR("Name another ledger.path, or put a good copy in its place (\"presignd ledger backup\" "
            "makes them)."),
        why.len ? buf_view(&why) : STR("There is no memory to open it"));
    return false;
}

static void look_at_file(struct doctor *d)
{
    const struct str path = d->config->ledger.path;
    AUTO(buf) file = BUF_INIT(PATH_LIMIT);
    AUTO(buf) folder = BUF_INIT(PATH_LIMIT);
    buf_str(&file, path);
    put_folder(&folder, path);
    const char *file_path = buf_cstr(&file);
    if (!may_write(d, buf_cstr(&folder), W_OK | X_OK))
        return;
    if (file_path && access(file_path, F_OK) != 0 && errno == ENOENT)
        SAY(d, VERDICT_OK, STR(""), STR("# is not there; its folder takes it at the start."),
            STR(""), path);
    else if (may_write(d, file_path, R_OK | W_OK) && opens(d, path))
        SAY(d, VERDICT_OK, STR(""), STR("#: a ledger, and it can be written."), STR(""), path);
}

/* ---- Redis -------------------------------------------------------------------------------------- */

static void heard(struct resp_listener *h, bool up, struct str why)
{
    (void)h, (void)up, (void)why; /* the link is asked */
}

static bool read_password(struct doctor *d, struct secret *out)
{
    const struct str file = d->config->ledger.password_file;
    AUTO(buf) path = BUF_INIT(PATH_LIMIT);
    buf_str(&path, file);
    const char *cpath = buf_cstr(&path);
    if (file.len == 0 || (cpath && secret_read_file(out, cpath) == ST_OK))
        return true;
    SAY(d, VERDICT_FAILED, STR(""), STR("ledger.password_file # cannot be read, or is empty."),
        STR("Put the password into it, and let the user that presignd runs as read it."), file);
    return false;
}

/* The link tries again by itself: a short while decides. */
static bool comes_up(struct doctor *d, const struct resp_link *k, struct str *why)
{
    const int64_t until_us = loop_clock_us() + REDIS_MS * INT64_C(1000);
    bool up = false;
    while (!up && loop_clock_us() < until_us) {
        loop_turn(d->loop, TURN_MS);
        up = resp_link_up(k, why);
    }
    return up;
}

static void tell_redis(struct doctor *d, bool up, struct str why)
{
    const struct resp_config *c = &d->config->ledger.redis.server;
    const struct str port = doctor_number(d, c->port);
    if (!up)
        SAY(d, VERDICT_FAILED, STR(""), STR("Redis at #:# cannot be used: #."),
            STR("Check ledger.url, username and password_file, that the server runs, and that this "
                "machine may reach it: until then plans with limits are refused."),
            c->host, port, why.len ? why : STR("no answer"));
    else if (why.len)
        SAY(d, VERDICT_WARNING, STR(""), STR("Redis at #:# answers, but: #."),
            STR("Set it as the README's \"The ledger\" has it: what is evicted is forgotten."),
            c->host, port, why);
    else
        SAY(d, VERDICT_OK, STR(""), STR("Redis at #:# answers and lets us in."), STR(""), c->host,
            port);
}

static void look_at_redis(struct doctor *d)
{
    AUTO(secret) password = SECRET_INIT;
    AUTO(buf) why = BUF_INIT(WHY_MAX);
    struct resp_config c = d->config->ledger.redis.server;
    struct resp_listener listener = { .changed = heard };
    struct resp_link *link = NULL;
    struct str reason = STR("");
    if (!read_password(d, &password))
        return;
    if (d->config->ledger.password_file.len)
        c.password = &password;
    loop_turn(d->loop, 0); /* its clock stood still meanwhile */
    if (resp_link_new(&link, d->loop, &c, &listener, &why) != ST_OK) {
        tell_redis(d, false, buf_view(&why));
        return;
    }
    const bool up = comes_up(d, link, &reason);
    tell_redis(d, up, reason);
    resp_link_free(link);
}

void doctor_ledger(struct doctor *d)
{
    switch (d->config->ledger.backend) {
    case LEDGER_NONE:
        SAY(d, VERDICT_OK, STR(""), STR("None is configured, and no plan has limits."), STR(""),
            STR(""));
        return;
    case LEDGER_SQLITE: look_at_file(d); return;
    case LEDGER_REDIS: look_at_redis(d); return;
    }
}
