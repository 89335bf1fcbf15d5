/*
 * ledger_suite.h - what every engine of the ledger must answer, as tables of steps with names; then
 * odd texts, many questions at once, questions given up, and random questions against the model.
 *
 *     static const struct suite_engine engine = { .name = "sqlite", .open = open_door };
 *     static void test_suite(void **state) { (void)state; ledger_suite_run(&engine); }
 *
 * Times come from op->now_us: an engine with a clock of its own must be told to go by it. All that
 * failed is printed before the test fails, each with the names of scenario and step.
 */
#ifndef PRESIGND_LEDGER_SUITE_H
#define PRESIGND_LEDGER_SUITE_H

#include "ledger_scenarios.h"

#include "ledger_storm.h"

static inline void ledger_suite_run(const struct suite_engine *e)
{
    struct suite s = { .engine = e };
    for (size_t i = 0; i < ROWS(suite_scenarios); i++)
        suite_scenario(&s, &suite_scenarios[i]);
    suite_texts(&s);
    suite_crowds(&s);
    suite_given_up(&s);
    for (uint64_t seed = 1; seed <= SUITE_ROUNDS; seed++)
        suite_random_round(&s, seed);
    if (s.failures > 0)
        fail_msg("%s: %d of the suite's parts failed", e->name, s.failures);
}

#endif
