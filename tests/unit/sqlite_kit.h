/*
 * sqlite_kit.h - for the tests of the embedded ledger: a folder of its own, questions that own their
 * texts, and the file seen with SQLite's own eyes.
 */
#ifndef PRESIGND_SQLITE_KIT_H
#define PRESIGND_SQLITE_KIT_H

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "presignd/ledger_sqlite.h"

#define KIT_NOW_S INT64_C(1795334400) /* 2026-11-22T08:00:00Z */
enum { KIT_FILES = 8, KIT_DEADLINE_S = 30, KIT_LIFE_S = 900 };

struct kit {
    char folder[64];
    char path[128];
    struct ledger_db *db;
    struct loop *loop;
    struct ledger *door;
};

/* One question with all its texts. */
struct kit_ask {
    struct ledger_op op;
    struct arena arena;
    struct ledger_file files[KIT_FILES];
    char user[33], ids[KIT_FILES][UUID_TEXT + 1];
    int done; /* how often */
};

/* ---- folder ---------------------------------------------------------------------------------------- */

static inline void kit_path(const struct kit *k, const char *name, char out[160])
{
    snprintf(out, 160, "%s/%s", k->folder, name);
}

static inline void kit_folder(struct kit *k)
{
    *k = (struct kit){ .folder = "/tmp/presignd-ledger-XXXXXX" };
    assert_non_null(mkdtemp(k->folder));
    snprintf(k->path, sizeof(k->path), "%s/ledger.db", k->folder);
}

static inline void kit_remove(const struct kit *k)
{
    DIR *d = opendir(k->folder);
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        char path[400];
        snprintf(path, sizeof(path), "%s/%s", k->folder, e->d_name);
        if (e->d_name[0] != '.')
            unlink(path);
    }
    closedir(d);
    assert_int_equal(rmdir(k->folder), 0);
}

static inline void kit_copy(const char *from, const char *to, long bytes)
{
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_true(in && out);
    for (int c; bytes != 0 && (c = getc(in)) != EOF; bytes -= bytes > 0)
        assert_int_equal(putc(c, out), c);
    assert_int_equal(fclose(in), 0);
    assert_int_equal(fclose(out), 0);
}

static inline long kit_size(const char *path)
{
    struct stat st;
    return stat(path, &st) ? -1 : (long)st.st_size;
}

/* ---- the ledger ------------------------------------------------------------------------------------ */

static inline enum status kit_try(struct kit *k, enum ledger_db_mode mode, struct buf *why)
{
    return ledger_db_open(&k->db, str_from(k->path), mode, why);
}

static inline void kit_open_as(struct kit *k, enum ledger_db_mode mode)
{
    AUTO(buf) why = BUF_INIT(1024);
    const enum status st = kit_try(k, mode, &why);
    if (st != ST_OK)
        fail_msg("%s: %.*s", status_name(st), STR_ARGS(buf_view(&why)));
    k->loop = loop_new();
    assert_non_null(k->loop);
    k->door = ledger_sqlite_new(k->db, k->loop);
    assert_non_null(k->door);
}

static inline void kit_open(struct kit *k)
{
    kit_open_as(k, LEDGER_DB_SERVE);
}

static inline void kit_close(struct kit *k)
{
    ledger_db_stop(k->db);
    ledger_free(k->door);
    loop_free(k->loop);
    ledger_db_free(k->db);
    k->db = NULL;
}

static inline void kit_setup(struct kit *k)
{
    kit_folder(k);
    kit_open(k);
}

static inline void kit_teardown(struct kit *k)
{
    if (k->db)
        kit_close(k);
    kit_remove(k);
}

/* ---- questions ------------------------------------------------------------------------------------- */

static inline void kit_done(struct ledger_op *op)
{
    container_of(op, struct kit_ask, op)->done++;
}

static inline void kit_question(struct kit_ask *a, enum ledger_verb verb, int user)
{
    *a = (struct kit_ask){ .arena = ARENA_INIT(1 << 20) };
    snprintf(a->user, sizeof(a->user), "%032x", (unsigned)user);
    a->op = (struct ledger_op){ .done = kit_done,
                                .verb = verb,
                                .user_hash = str_from(a->user),
                                .now_us = KIT_NOW_S * 1000000,
                                .arena = &a->arena,
                                .files = a->files };
}

/* n files of 10 bytes each; their ids count from `id`. */
static inline void kit_reserve(struct kit_ask *a, const struct plan *plan, int user, int id,
                               size_t n)
{
    kit_question(a, LEDGER_RESERVE, user);
    a->op.plan = plan;
    a->op.n_files = n;
    for (size_t i = 0; i < n; i++) {
        snprintf(a->ids[i], sizeof(a->ids[i]), "019ab000-0000-7000-8000-%012x",
                 (unsigned)id + (unsigned)i);
        a->files[i] = (struct ledger_file){ .id = str_from(a->ids[i]),
                                            .uuid = str_from(a->ids[i]),
                                            .profile = STR("photos"),
                                            .bucket = STR("main"),
                                            .bucket_name = STR("a-bucket"),
                                            .key = STR("up/cat.png"),
                                            .content_type = STR("image/png"),
                                            .content_length = 10,
                                            .reserve_bytes = 10,
                                            .expires_at_s = KIT_NOW_S + KIT_LIFE_S,
                                            .post = true,
                                            .exact = true };
    }
}

static inline void kit_start(struct kit *k, struct kit_ask *a)
{
    if (ledger_ask(k->door, &a->op) == LEDGER_DONE)
        a->done++;
}

static inline void kit_wait(struct kit *k, struct kit_ask *a)
{
    const int64_t give_up_us = loop_clock_us() + KIT_DEADLINE_S * INT64_C(1000000);
    while (!a->done) {
        if (loop_clock_us() > give_up_us)
            fail_msg("no answer");
        loop_turn(k->loop, 100);
    }
    assert_int_equal(a->done, 1);
}

/* Asks, waits; texts of the answer are gone afterwards unless the caller keeps `a`. */
static inline enum status kit_run(struct kit *k, struct kit_ask *a)
{
    kit_start(k, a);
    kit_wait(k, a);
    const enum status st = a->op.status;
    assert_int_equal(st == ST_OK ? ST_OK : a->op.fault.status, st);
    return st;
}

static inline enum status kit_reserve_one(struct kit *k, const struct plan *plan, int user, int id)
{
    struct kit_ask a;
    kit_reserve(&a, plan, user, id, 1);
    const enum status st = kit_run(k, &a);
    arena_release(&a.arena);
    return st;
}

/* Turns until ready() says `want`; true when it did. */
static inline bool kit_until_ready(struct kit *k, bool want)
{
    struct str why;
    const int64_t give_up_us = loop_clock_us() + KIT_DEADLINE_S * INT64_C(1000000);
    while (ledger_ready(k->door, &why) != want) {
        if (loop_clock_us() > give_up_us)
            return false;
        loop_turn(k->loop, 10);
    }
    return true;
}

/* ---- with SQLite's own eyes ------------------------------------------------------------------------ */

static inline sqlite3 *kit_sql(const char *path)
{
    sqlite3 *sql;
    assert_int_equal(sqlite3_open(path, &sql), SQLITE_OK);
    sqlite3_busy_timeout(sql, 5000);
    return sql;
}

static inline void kit_exec(const char *path, const char *text)
{
    sqlite3 *sql = kit_sql(path);
    char *error = NULL;
    if (sqlite3_exec(sql, text, NULL, NULL, &error) != SQLITE_OK)
        fail_msg("%s: %s", text, error);
    sqlite3_close(sql);
}

static inline int64_t kit_number(const char *path, const char *text)
{
    sqlite3 *sql = kit_sql(path);
    sqlite3_stmt *s = NULL;
    assert_int_equal(sqlite3_prepare_v2(sql, text, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    const int64_t v = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(sql);
    return v;
}

#endif
