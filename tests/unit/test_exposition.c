#include "test.h"

#include <math.h>

#include "presignd/exposition.h"

/* clang-format off */
static const struct route routes[] = {
    { .methods = HTTP_POST, .path = STR_INIT("/a"), .label = "a"      },
    { .methods = HTTP_GET,  .path = STR_INIT("/b"), .label = "b\"\\\n" },
    { .methods = HTTP_GET,  .path = STR_INIT("/c"), .label = "a"      },
};
/* clang-format on */

static struct buf written(const struct metrics *const *loops, size_t n, const struct gauge *gauges,
                          size_t n_gauges, const struct sweep_counts *sweeps)
{
    struct buf out = BUF_INIT(1 << 20);
    const struct exposition e = { .loops = loops,
                                  .n_loops = n,
                                  .routes = routes,
                                  .n_routes = ROWS(routes),
                                  .sweeps = sweeps,
                                  .gauges = gauges,
                                  .n_gauges = n_gauges };
    exposition_write(&out, &e);
    assert_int_equal(buf_check(&out), ST_OK);
    buf_cstr(&out);
    return out;
}

static void check_line(const struct buf *out, const char *line)
{
    char whole[256];
    const size_t n = strlen(line);
    assert_true(n + 2 < sizeof(whole));
    whole[0] = '\n';
    memcpy(whole + 1, line, n);
    whole[n + 1] = '\n';
    CHECK(line, memmem(out->ptr, out->len, whole, n + 2) != NULL);
}

static size_t count(const struct buf *out, const char *what)
{
    size_t n = 0;
    const char *at = out->ptr;
    const char *end = out->ptr + out->len;
    while ((at = memmem(at, (size_t)(end - at), what, strlen(what)))) {
        n++;
        at++;
    }
    return n;
}

static void test_sums(void **state)
{
    (void)state;
    static struct metrics one, two;
    const struct metrics *const loops[] = { &one, &two };
    metric_add(&one.requests[0][201], 5);
    metric_add(&two.requests[0][201], 7);
    metric_add(&two.requests[2][201], 100);
    metric_add(&one.requests[1][404], 1);
    metric_add(&one.requests[METRIC_ROUTES - 1][404], 9);
    metric_add(&one.refusals[ST_QUOTA_NEVER], 2);
    metric_add(&one.refusals[ST_QUOTA_EXCEEDED], 3);
    metric_add(&two.refusals[ST_NOT_FOUND], 4);
    metric_add(&one.grants_post, 1);
    metric_add(&two.grants_put, 2);
    metric_add(&one.connections_opened, 10);
    metric_add(&one.connections_closed, 4);
    metric_observe(&one.latency, 60);
    metric_observe(&two.latency, 60);
    metric_observe(&two.latency, 1000000000);

    AUTO(buf) out = written(loops, 2, NULL, 0, NULL);
    check_line(&out, "presignd_requests_total{route=\"a\",status=\"201\"} 112");
    check_line(&out, "presignd_requests_total{route=\"b\\\"\\\\\\n\",status=\"404\"} 1");
    check_line(&out, "presignd_requests_total{route=\"none\",status=\"404\"} 9");
    assert_int_equal(count(&out, "presignd_requests_total{"), 3);
    check_line(&out, "presignd_refusals_total{code=\"quota_exceeded\"} 5");
    check_line(&out, "presignd_refusals_total{code=\"not_found\"} 4");
    assert_int_equal(count(&out, "presignd_refusals_total{"), 2);
    check_line(&out, "presignd_grants_total{method=\"POST\"} 1");
    check_line(&out, "presignd_grants_total{method=\"PUT\"} 2");
    check_line(&out, "presignd_connections_open 6");
    check_line(&out, "presignd_request_duration_seconds_bucket{le=\"0.00005\"} 0");
    check_line(&out, "presignd_request_duration_seconds_bucket{le=\"0.0001\"} 2");
    check_line(&out, "presignd_request_duration_seconds_bucket{le=\"5\"} 2");
    check_line(&out, "presignd_request_duration_seconds_bucket{le=\"+Inf\"} 3");
    check_line(&out, "presignd_request_duration_seconds_sum 1000.00012");
    check_line(&out, "presignd_request_duration_seconds_count 3");
}

static void test_gauges(void **state)
{
    (void)state;
    /* clang-format off */
    const struct gauge gauges[] = {
        { "presignd_keys_age_seconds", "Age.", "issuer", STR("https://a/"), 12.5 },
        { "presignd_keys_age_seconds", "Age.", "issuer", STR("b"), 3 },
        { "presignd_x", "X.", NULL, STR_NONE, -0.25 },
        { "presignd_nan", "N.", NULL, STR_NONE, NAN },
        { "presignd_inf", "I.", NULL, STR_NONE, INFINITY },
        { "presignd_minus", "M.", NULL, STR_NONE, -INFINITY },
        { "presignd_tiny", "T.", NULL, STR_NONE, -0.0001 },
        { "presignd_huge", "H.", NULL, STR_NONE, 1e300 },
    };
    /* clang-format on */
    static struct metrics none;
    const struct metrics *const loops[] = { &none };
    AUTO(buf) out = written(loops, 1, gauges, ROWS(gauges), NULL);
    check_line(&out, "presignd_keys_age_seconds{issuer=\"https://a/\"} 12.500");
    check_line(&out, "presignd_keys_age_seconds{issuer=\"b\"} 3");
    assert_int_equal(count(&out, "# TYPE presignd_keys_age_seconds gauge"), 1);
    check_line(&out, "presignd_x -0.250");
    check_line(&out, "presignd_nan NaN");
    check_line(&out, "presignd_inf +Inf");
    check_line(&out, "presignd_minus -Inf");
    check_line(&out, "presignd_tiny 0");
    check_line(&out, "presignd_huge 1000000000000000");
}

static void test_ledger(void **state)
{
    (void)state;
    static struct metrics one, two, three;
    const struct metrics *const loops[] = { &one, &two, &three };
    static struct sweep_counts sweeps;
    metric_add(&one.reservations_taken, 3);
    metric_add(&two.reservations_taken, 4);
    metric_add(&two.reservations_replayed, 1);
    metric_add(&one.reservations_refused, 5);
    metric_add(&one.reservations_unavailable, 6);
    metric_add(&three.reservations_released, 7);
    metric_observe(&one.ledger_latency, 75);
    metric_observe(&three.ledger_latency, 75);
    /* in different orders, and one that only the last has met */
    metric_add_named(&one.limit_refusals, STR("daily"));
    metric_add_named(&two.limit_refusals, STR("requests"));
    metric_add_named(&two.limit_refusals, STR("daily"));
    metric_add_named(&three.limit_refusals, STR("open"));
    metric_add_named(&three.limit_refusals, STR("requests"));
    metric_add_named(&three.limit_refusals, STR("requests"));
    metric_add(&two.limit_refusals.others, 2);
    metric_add(&sweeps.there, 1);
    metric_add(&sweeps.missing, 2);
    metric_add(&sweeps.unknown, 3);
    metric_add(&sweeps.unasked, 4);
    metric_add(&sweeps.failed, 5);
    metric_add(&sweeps.heads, 6);
    metric_add(&sweeps.backlog, 7);

    AUTO(buf) out = written(loops, 3, NULL, 0, &sweeps);
    check_line(&out, "presignd_reservations_total{outcome=\"taken\"} 7");
    check_line(&out, "presignd_reservations_total{outcome=\"replayed\"} 1");
    check_line(&out, "presignd_reservations_total{outcome=\"refused\"} 5");
    check_line(&out, "presignd_reservations_total{outcome=\"unavailable\"} 6");
    check_line(&out, "presignd_reservations_total{outcome=\"released\"} 7");
    check_line(&out, "presignd_limit_refusals_total{limit=\"daily\"} 2");
    check_line(&out, "presignd_limit_refusals_total{limit=\"requests\"} 3");
    check_line(&out, "presignd_limit_refusals_total{limit=\"open\"} 1");
    check_line(&out, "presignd_limit_refusals_total{limit=\"\"} 2");
    assert_int_equal(count(&out, "presignd_limit_refusals_total{"), 4);
    check_line(&out, "presignd_ledger_duration_seconds_bucket{le=\"0.00005\"} 0");
    check_line(&out, "presignd_ledger_duration_seconds_bucket{le=\"0.0001\"} 2");
    check_line(&out, "presignd_ledger_duration_seconds_sum 0.00015");
    check_line(&out, "presignd_ledger_duration_seconds_count 2");
    check_line(&out, "presignd_request_duration_seconds_count 0");
    check_line(&out, "presignd_sweeps_total{outcome=\"there\"} 1");
    check_line(&out, "presignd_sweeps_total{outcome=\"missing\"} 2");
    check_line(&out, "presignd_sweeps_total{outcome=\"unknown\"} 3");
    check_line(&out, "presignd_sweeps_total{outcome=\"unasked\"} 4");
    check_line(&out, "presignd_sweeps_total{outcome=\"failed\"} 5");
    check_line(&out, "presignd_sweep_heads_total 6");
    check_line(&out, "presignd_sweep_backlog 7");

    AUTO(buf) without = written(loops, 3, NULL, 0, NULL);
    assert_int_equal(count(&without, "presignd_sweep"), 0);
}

/* Every series stands in its own family, each family once, each line of a known form. */
static void test_form(void **state)
{
    (void)state;
    static struct metrics none;
    static const struct sweep_counts nothing_swept;
    const struct metrics *const loops[] = { &none };
    AUTO(buf) out = written(loops, 1, NULL, 0, &nothing_swept);
    assert_int_equal(out.ptr[out.len - 1], '\n');
    struct str rest = buf_view(&out), line, family = STR_NONE;
    while (str_cut(&rest, '\n', &line)) {
        if (str_starts(line, STR("# TYPE "))) {
            struct str word = str_slice(line, 7, line.len);
            family = str_slice(word, 0, str_find(word, ' ', 0));
        } else if (line.len > 0 && line.ptr[0] != '#') {
            CHECK("series in its family", str_starts(line, family));
            CHECK("a value", str_find(line, ' ', 0) < line.len);
        }
    }
}

TEST_MAIN(cmocka_unit_test(test_sums), cmocka_unit_test(test_gauges), cmocka_unit_test(test_ledger),
          cmocka_unit_test(test_form))
