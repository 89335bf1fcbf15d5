/*
 * ledger_operator - what people ask of the ledger: what a user has, and corrections.
 */
#include "ledger_job.h"

static enum status load_known(struct ledger_db *db, const struct ledger_job *j)
{
    TRY(user_get(db, j->user, ledger_seconds(j->now_us), &db->user));
    return db->user.rowid ? ST_OK : ST_NOT_FOUND;
}

static bool countable(const struct tally *t)
{
    return t->kind == LIMIT_COUNT || t->kind == LIMIT_BYTES;
}

static int64_t sum_within(int64_t a, int64_t b)
{
    int64_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return b < 0 ? 0 : LIMITS_NUMBER_MAX;
    return MIN_OF(MAX_OF(sum, 0), LIMITS_NUMBER_MAX);
}

enum status ledger_do_show(struct ledger_db *db, struct ledger_job *j)
{
    TRY(load_known(db, j));
    const struct user_row *u = &db->user;
    j->tallies = arena_array(&j->answer, u->n_tallies, sizeof(*j->tallies));
    if (!j->tallies)
        return ST_NO_MEMORY;
    for (size_t i = 0; i < u->n_tallies; i++) {
        j->tallies[i] = u->tallies[i];
        j->tallies[i].name = arena_copy(&j->answer, u->tallies[i].name);
        if (!j->tallies[i].name.ptr)
            return ST_NO_MEMORY;
    }
    j->n_tallies = u->n_tallies;
    return ST_OK;
}

enum status ledger_do_adjust(struct ledger_db *db, struct ledger_job *j)
{
    TRY(load_known(db, j));
    struct tally *t = user_tally(&db->user, j->limit_name);
    if (!t || !countable(t))
        return ST_NOT_FOUND;
    t->used = sum_within(j->verb == LEDGER_SET ? 0 : t->used, j->amount);
    return user_put(db, &db->user);
}

enum status ledger_do_reset(struct ledger_db *db, struct ledger_job *j)
{
    TRY(load_known(db, j));
    for (size_t i = 0; i < db->user.n_tallies; i++)
        db->user.tallies[i].used = db->user.tallies[i].tat_us = 0;
    return user_put(db, &db->user);
}

enum status ledger_do_give_back(struct ledger_db *db, struct ledger_job *j)
{
    TRY(load_known(db, j));
    for (size_t i = 0; i < db->user.n_tallies; i++) {
        struct tally *t = &db->user.tallies[i];
        if (t->kind == LIMIT_BYTES && t->start_s == 0)
            t->used = MAX_OF(t->used - MIN_OF(MAX_OF(j->amount, 0), t->used), 0);
    }
    return user_put(db, &db->user);
}
