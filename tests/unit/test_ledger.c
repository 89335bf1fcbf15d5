/*
 * ledger: the engine `none`, the table of functions, and the suite on its own model: rows and model
 * were written apart and must agree before either judges an engine.
 */
#include "ledger_suite.h"

static void never_called(struct ledger_op *op)
{
    (void)op;
    fail_msg("done was called though the answer was there at once");
}

static void test_none(void **state)
{
    (void)state;
    struct ledger *l = ledger_none_new();
    assert_non_null(l);
    assert_string_equal(l->kind->name, "none");
    assert_false(l->kind->remembers);

    struct str why = STR("not asked");
    assert_true(ledger_ready(l, &why));
    CHECK_TEXT("ready without a reason", why, "");

    static const struct {
        const char *name;
        enum ledger_verb verb;
        enum status want;
    } asked[] = {
        { "a grant", LEDGER_RESERVE, ST_OK },          { "a look ahead", LEDGER_PEEK, ST_OK },
        { "an upload", LEDGER_VIEW, ST_NOT_FOUND },    { "cancel", LEDGER_CANCEL, ST_NOT_FOUND },
        { "complete", LEDGER_COMPLETE, ST_NOT_FOUND }, { "settle", LEDGER_SETTLE, ST_NOT_FOUND },
        { "a user", LEDGER_SHOW, ST_NOT_FOUND },       { "adjust", LEDGER_ADJUST, ST_NOT_FOUND },
        { "set", LEDGER_SET, ST_NOT_FOUND },
    };
    const struct plan unlimited = { .name = STR("pro") };
    const struct ledger_file file = { .id = STR("x"), .reserve_bytes = INT64_MAX };
    const struct plan *const plans[] = { NULL, &unlimited };
    for (size_t i = 0; i < ROWS(asked) * ROWS(plans); i++) {
        struct ledger_op op = { .done = never_called,
                                .verb = asked[i / 2].verb,
                                .plan = plans[i % 2],
                                .files = &file,
                                .n_files = 1,
                                .status = ST_INTERNAL };
        CHECK_EQ(asked[i / 2].name, ledger_ask(l, &op), LEDGER_DONE);
        CHECK_EQ(asked[i / 2].name, op.status, asked[i / 2].want);
        CHECK_EQ(asked[i / 2].name, op.n_uploads, 0);
        CHECK(asked[i / 2].name, !op.replayed);
        ledger_handed(l, &op);
        ledger_release(l, &op);
        ledger_cancel(l, &op);
        CHECK_EQ(asked[i / 2].name, op.status, asked[i / 2].want);
    }
    ledger_free(l);
    ledger_free(NULL);
}

/* An engine that notes what reached it: each call must arrive at its own function. */
struct noting {
    struct ledger ledger;
    struct ledger_op *op; /* the last one that came */
    int asked, released, handed, cancelled, freed;
};

static struct noting *noting_of(struct ledger *l)
{
    return container_of(l, struct noting, ledger);
}

static enum ledger_progress note_ask(struct ledger *l, struct ledger_op *op)
{
    noting_of(l)->asked++;
    noting_of(l)->op = op;
    op->status = ST_QUOTA_EXCEEDED;
    return LEDGER_PENDING;
}

static void note_release(struct ledger *l, struct ledger_op *op)
{
    noting_of(l)->released += op == noting_of(l)->op;
}

static void note_handed(struct ledger *l, const struct ledger_op *op)
{
    noting_of(l)->handed += op == noting_of(l)->op;
}

static void note_cancel(struct ledger *l, struct ledger_op *op)
{
    noting_of(l)->cancelled += op == noting_of(l)->op;
}

static bool note_ready(struct ledger *l, struct str *why)
{
    (void)l;
    *why = STR("noting");
    return false;
}

static void note_free(struct ledger *l)
{
    noting_of(l)->freed++;
}

static void test_dispatch(void **state)
{
    (void)state;
    static const struct ledger_kind kind = { .name = "noting",
                                             .ask = note_ask,
                                             .release = note_release,
                                             .handed = note_handed,
                                             .cancel = note_cancel,
                                             .ready = note_ready,
                                             .free = note_free };
    struct noting n = { .ledger = { &kind } };
    struct ledger_op op = { .status = ST_OK };
    struct str why;
    assert_int_equal(ledger_ask(&n.ledger, &op), LEDGER_PENDING);
    assert_int_equal(op.status, ST_QUOTA_EXCEEDED);
    ledger_handed(&n.ledger, &op);
    ledger_handed(&n.ledger, &op);
    ledger_release(&n.ledger, &op);
    for (int i = 0; i < 3; i++)
        ledger_cancel(&n.ledger, &op);
    assert_false(ledger_ready(&n.ledger, &why));
    CHECK_TEXT("the engine's reason", why, "noting");
    ledger_free(&n.ledger);
    assert_int_equal(n.asked, 1);
    assert_int_equal(n.handed, 2);
    assert_int_equal(n.released, 1);
    assert_int_equal(n.cancelled, 3);
    assert_int_equal(n.freed, 1);
}

static void test_words(void **state)
{
    (void)state;
    CHECK_TEXT("granted", upload_state_words[UPLOAD_GRANTED], "granted");
    CHECK_TEXT("completed", upload_state_words[UPLOAD_COMPLETED], "completed");
    CHECK_TEXT("cancelled", upload_state_words[UPLOAD_CANCELLED], "cancelled");
    CHECK_TEXT("expired", upload_state_words[UPLOAD_EXPIRED], "expired");
}

static struct ledger *open_model(struct loop *l)
{
    (void)l;
    return model_new();
}

static void test_model(void **state)
{
    (void)state;
    static const struct suite_engine engine = { .name = "model", .open = open_model };
    ledger_suite_run(&engine);
}

TEST_MAIN(cmocka_unit_test(test_none), cmocka_unit_test(test_dispatch),
          cmocka_unit_test(test_words), cmocka_unit_test(test_model))
