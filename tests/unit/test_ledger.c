#include "test.h"

#include "presignd/ledger.h"

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

    const struct plan unlimited = { .name = STR("pro") };
    const struct ledger_file file = { .id = STR("x"), .reserve_bytes = INT64_MAX };
    const struct plan *const plans[] = { NULL, &unlimited };
    for (size_t i = 0; i < ROWS(plans); i++) {
        struct ledger_op op = { .done = never_called,
                                .plan = plans[i],
                                .files = &file,
                                .n_files = 1,
                                .status = ST_INTERNAL };
        assert_int_equal(ledger_ask(l, &op), LEDGER_DONE);
        assert_int_equal(op.status, ST_OK);
        ledger_release(l, &op);
        assert_int_equal(op.status, ST_OK);
    }
    ledger_free(l);
    ledger_free(NULL);
}

/* An engine that notes what reached it: each call must arrive at its own function. */
struct noting {
    struct ledger ledger;
    int reserved, released, freed;
};

static enum ledger_progress note_reserve(struct ledger *l, struct ledger_op *op)
{
    container_of(l, struct noting, ledger)->reserved++;
    op->status = ST_QUOTA_EXCEEDED;
    return LEDGER_PENDING;
}

static void note_release(struct ledger *l, const struct ledger_op *op)
{
    (void)op;
    container_of(l, struct noting, ledger)->released++;
}

static bool note_ready(struct ledger *l, struct str *why)
{
    (void)l;
    *why = STR("noting");
    return false;
}

static void note_free(struct ledger *l)
{
    container_of(l, struct noting, ledger)->freed++;
}

static void test_dispatch(void **state)
{
    (void)state;
    static const struct ledger_kind kind = { .name = "noting",
                                             .reserve = note_reserve,
                                             .release = note_release,
                                             .ready = note_ready,
                                             .free = note_free };
    struct noting n = { .ledger = { &kind } };
    struct ledger_op op = { .status = ST_OK };
    struct str why;
    assert_int_equal(ledger_ask(&n.ledger, &op), LEDGER_PENDING);
    assert_int_equal(op.status, ST_QUOTA_EXCEEDED);
    ledger_release(&n.ledger, &op);
    assert_false(ledger_ready(&n.ledger, &why));
    CHECK_TEXT("the engine's reason", why, "noting");
    ledger_free(&n.ledger);
    assert_int_equal(n.reserved, 1);
    assert_int_equal(n.released, 1);
    assert_int_equal(n.freed, 1);
}

TEST_MAIN(cmocka_unit_test(test_none), cmocka_unit_test(test_dispatch))
