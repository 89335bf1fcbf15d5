/*
 * ledger_kit.h - what the suite of the ledger stands on: an engine to ask, questions that own their
 * texts, failures that say where they happened and let the rest go on.
 */
#ifndef PRESIGND_LEDGER_KIT_H
#define PRESIGND_LEDGER_KIT_H

#include <stdio.h>

#include "ledger_model.h"

struct suite_engine {
    const char *name;
    struct ledger *(*open)(struct loop *l); /* the door of a fresh, empty ledger */
    void (*turn)(struct loop *l);           /* NULL: one turn of the loop */
    void (*close)(struct ledger *door);     /* before loop_free; NULL: ledger_free */
    void (*closed)(void);                   /* after loop_free; may be NULL */
};

#define SUITE_T0_S INT64_C(1795334400) /* 2026-11-22T08:00:00Z, a Sunday */
enum {
    SUITE_FILES = 100,
    SUITE_SLOTS = 20,
    SUITE_BYTES = 10,
    SUITE_LIFE_S = 900,
    SUITE_DEADLINE_S = 20, /* for one answer */
    SUITE_DEC_1_S = 748800,
    SUITE_ROUNDS = 12, /* of random questions, each with a ledger of its own */
    SUITE_ROUND_STEPS = 250,
};
#define SUITE_HUGE LIMITS_NUMBER_MAX

/* One question with all that it points to. */
struct suite_slot {
    char label[16];
    struct ledger_op op;
    struct arena arena;
    struct ledger_file files[SUITE_FILES];
    char ids[SUITE_FILES][UUID_TEXT + 1], uuids[SUITE_FILES][UUID_TEXT + 1];
    char keys[SUITE_FILES][48];
    char user[33];
    char id[UUID_TEXT + 1];
    bool done;
};

struct suite {
    const struct suite_engine *engine;
    struct loop *loop;
    struct ledger *ledger;
    struct suite_slot *slots; /* those of scenarios keep their labels */
    size_t n_slots;
    const char *scenario;
    size_t step;
    bool bad; /* this scenario failed: the rest of it says nothing */
    int failures;
};

/* ---- failures ------------------------------------------------------------------------------------- */

static inline void suite_fail(struct suite *s, const char *what)
{
    if (!s->bad)
        print_error("%s: %s, step %zu: %s\n", s->engine->name, s->scenario, s->step, what);
    s->failures += !s->bad;
    s->bad = true;
}

static inline void suite_eq(struct suite *s, const char *what, int64_t got, int64_t want)
{
    char text[160];
    if (got == want)
        return;
    snprintf(text, sizeof(text), "%s is %" PRId64 ", not %" PRId64, what, got, want);
    suite_fail(s, text);
}

static inline void suite_str(struct suite *s, const char *what, struct str got, struct str want)
{
    enum { SHOWN = 100 };
    char text[320];
    if (str_equal(got, want))
        return;
    const struct str a = str_slice(got, 0, SHOWN), b = str_slice(want, 0, SHOWN);
    snprintf(text, sizeof(text), "%s is \"%.*s\" (%zu bytes), not \"%.*s\" (%zu)", what,
             STR_ARGS(a), got.len, STR_ARGS(b), want.len);
    suite_fail(s, text);
}

static inline void suite_status(struct suite *s, const char *what, enum status got,
                                enum status want)
{
    char text[160];
    if (got == want)
        return;
    snprintf(text, sizeof(text), "%s is %s, not %s", what, status_name(got), status_name(want));
    suite_fail(s, text);
}

/* ---- questions ------------------------------------------------------------------------------------- */

static inline uint64_t suite_mix(const char *text, size_t salt)
{
    uint64_t h = UINT64_C(14695981039346656037) ^ salt;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return h ^ (h >> 29);
}

static inline void suite_id(char out[UUID_TEXT + 1], const char *label, size_t i, bool many)
{
    const uint64_t h = suite_mix(label, many ? i + 1 : 0);
    snprintf(out, UUID_TEXT + 1, "019ab000-0000-7000-%04x-%012" PRIx64,
             (unsigned)(0x8000 + (many ? i : 0)), h & UINT64_C(0xffffffffffff));
}

/* "b2" may be the third file of the batch "b", or the label of a file of its own. */
static inline void suite_find_id(struct suite *s, const char *label, char out[UUID_TEXT + 1])
{
    char batch[16];
    snprintf(batch, sizeof(batch), "%s", label);
    const size_t len = strlen(batch);
    const size_t i = len > 1 ? (size_t)(batch[len - 1] - '0') : 10;
    suite_id(out, label, 0, false);
    if (i > 9)
        return;
    batch[len - 1] = '\0';
    for (size_t k = 0; k < s->n_slots; k++)
        if (strcmp(s->slots[k].label, batch) == 0 && s->slots[k].op.n_files > 1)
            suite_id(out, batch, i, true);
}

static inline void suite_done(struct ledger_op *op)
{
    container_of(op, struct suite_slot, op)->done = true;
}

static inline void suite_turn(struct suite *s)
{
    if (s->engine->turn)
        s->engine->turn(s->loop);
    else
        loop_turn(s->loop, 100);
}

static inline void suite_wait(struct suite *s, const bool *done)
{
    const int64_t give_up_us = loop_clock_us() + SUITE_DEADLINE_S * INT64_C(1000000);
    while (!*done) {
        if (loop_clock_us() > give_up_us)
            fail_msg("%s: %s, step %zu: no answer", s->engine->name, s->scenario, s->step);
        suite_turn(s);
    }
}

static inline void suite_slot_release(struct suite_slot *slot)
{
    arena_release(&slot->arena);
    *slot = (struct suite_slot){ .arena = ARENA_INIT((size_t)8 << 20) };
}

/* An empty question of `who`, the texts in the slot. */
static inline struct ledger_op *suite_begin(struct suite_slot *slot, const char *label,
                                            enum ledger_verb verb, const char *who, int64_t now_us)
{
    suite_slot_release(slot);
    snprintf(slot->label, sizeof(slot->label), "%s", label);
    snprintf(slot->user, sizeof(slot->user), "%016" PRIx64 "%016" PRIx64, suite_mix(who, 7),
             suite_mix(who, 8));
    slot->op = (struct ledger_op){ .done = suite_done,
                                   .verb = verb,
                                   .user_hash = str_from(slot->user),
                                   .now_us = now_us,
                                   .arena = &slot->arena,
                                   .files = slot->files,
                                   .idempotency_key = STR(""),
                                   .request_hash = STR(""),
                                   .id = STR(""),
                                   .seen = { .etag = STR(""), .why = STR("") },
                                   .limit_name = STR(""),
                                   .status = ST_INTERNAL };
    return &slot->op;
}

static inline void suite_add_file(struct suite_slot *slot, bool many, int64_t bytes, int64_t life_s)
{
    const size_t i = slot->op.n_files++;
    assert_true(i < SUITE_FILES);
    suite_id(slot->ids[i], slot->label, i, many);
    memcpy(slot->uuids[i], slot->ids[i], UUID_TEXT + 1);
    slot->uuids[i][14] = '4';
    memcpy(slot->keys[i], "up/", 3);
    memcpy(slot->keys[i] + 3, slot->ids[i], UUID_TEXT + 1);
    slot->files[i] = (struct ledger_file){ .id = str_from(slot->ids[i]),
                                           .uuid = str_from(slot->uuids[i]),
                                           .profile = STR("photos"),
                                           .bucket = STR("main"),
                                           .bucket_name = STR("a-bucket"),
                                           .key = str_from(slot->keys[i]),
                                           .content_type = STR("image/png"),
                                           .content_length = bytes,
                                           .reserve_bytes = bytes,
                                           .expires_at_s = slot->op.now_us / 1000000 + life_s,
                                           .post = true,
                                           .exact = true };
}

/* Asks and waits for the answer. */
static inline void suite_ask(struct suite *s, struct suite_slot *slot)
{
    slot->done = ledger_ask(s->ledger, &slot->op) == LEDGER_DONE;
    suite_wait(s, &slot->done);
    suite_status(s, "the fault's status", slot->op.status == ST_OK ? ST_OK : slot->op.fault.status,
                 slot->op.status);
}

static inline struct suite_slot *suite_slot_of(struct suite *s, const char *label)
{
    for (size_t i = 0; i < s->n_slots; i++)
        if (strcmp(s->slots[i].label, label) == 0)
            return &s->slots[i];
    fail_msg("%s: no question is called \"%s\"", s->scenario, label);
    return NULL;
}

static inline struct str suite_member(const struct fault *f, const char *name)
{
    for (size_t i = 0; i < f->n_members; i++)
        if (strcmp(f->members[i].name, name) == 0)
            return f->members[i].str;
    return STR("(missing)");
}

static inline int64_t suite_member_int(const struct fault *f, const char *name)
{
    for (size_t i = 0; i < f->n_members; i++)
        if (strcmp(f->members[i].name, name) == 0)
            return f->members[i].num;
    return -1;
}

/* ---- the ledger that all of it goes to ------------------------------------------------------------- */

static inline void suite_open(struct suite *s, const char *scenario)
{
    s->scenario = scenario;
    s->step = 0;
    s->bad = false;
    s->loop = loop_new();
    assert_non_null(s->loop);
    s->ledger = s->engine->open(s->loop);
    assert_non_null(s->ledger);
    s->slots = calloc(SUITE_SLOTS, sizeof(*s->slots));
    assert_non_null(s->slots);
    s->n_slots = 0;
}

static inline void suite_close(struct suite *s)
{
    if (s->engine->close)
        s->engine->close(s->ledger);
    else
        ledger_free(s->ledger);
    loop_free(s->loop);
    if (s->engine->closed)
        s->engine->closed();
    for (size_t i = 0; i < SUITE_SLOTS; i++)
        arena_release(&s->slots[i].arena);
    free(s->slots);
}

#endif
