/* Lines that a terminal can hold, whatever others wrote into them. */
#include "test.h"

#include "presignd/doctor_report.h"

#define ROW_LIMIT 65536

static const struct {
    const char *name;
    struct diagnosis given;
    const char *want;
} rows[] = {
    { "plain",
      { .check = "clock", .verdict = VERDICT_OK, .says = STR_INIT("Fine.") },
      "  ok    clock           Fine.\n" },
    { "about something",
      { .check = "cors",
        .about = STR_INIT("https://app.test"),
        .verdict = VERDICT_NOTE,
        .says = STR_INIT("Not tried.") },
      "  note  cors            https://app.test: Not tried.\n" },
    { "with a remedy",
      { .check = "bucket",
        .verdict = VERDICT_FAILED,
        .says = STR_INIT("It is not there."),
        .todo = STR_INIT("Make it.") },
      "  FAIL  bucket          It is not there.\n"
      "                        -> Make it.\n" },
    { "wrapped, the remedy below itself",
      { .check = "bucket",
        .verdict = VERDICT_WARNING,
        .says = STR_INIT("aaaaaaaaa bbbbbbbbb ccccccccc ddddddddd eeeeeeeee ffffff gg"),
        .todo = STR_INIT("aaaaaaaaa bbbbbbbbb ccccccccc ddddddddd eeeeeeeee fff gg") },
      "  warn  bucket          aaaaaaaaa bbbbbbbbb ccccccccc ddddddddd eeeeeeeee ffffff\n"
      "                        gg\n"
      "                        -> aaaaaaaaa bbbbbbbbb ccccccccc ddddddddd eeeeeeeee fff\n"
      "                           gg\n" },
    { "a word that is too long stands alone",
      { .check = "upload",
        .verdict = VERDICT_OK,
        .says =
            STR_INIT("at aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa b") },
      "  ok    upload          at\n"
      "                        "
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
      "                        b\n" },
    { "controls, direction, bad bytes",
      { .check = "keys",
        .verdict = VERDICT_FAILED,
        .says = STR_INIT("a\033[31m\nb\xe2\x80\xae \xff \x7f") },
      "  FAIL  keys            a?[31m?b? ? ?\n" },
    { "letters of several bytes are one column",
      { .check = "keys",
        .verdict = VERDICT_OK,
        .says = STR_INIT("ääääääääää ääääääääää ääääääääää ääääääääää ääääääääää b") },
      "  ok    keys            ääääääääää ääääääääää ääääääääää ääääääääää ääääääääää b\n" },
    { "a long name",
      { .check = "a-name-that-is-too-long", .verdict = VERDICT_SKIPPED, .says = STR_INIT("x") },
      "  -     a-name-that-is-too-long x\n" },
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        AUTO(buf) out = BUF_INIT(ROW_LIMIT);
        report_row(&out, &rows[i].given, false);
        CHECK_TEXT(rows[i].name, out, rows[i].want);
    }
}

static void test_colour(void **state)
{
    (void)state;
    AUTO(buf) out = BUF_INIT(ROW_LIMIT);
    report_row(&out, &rows[2].given, true);
    CHECK_TEXT("colour", out,
               "  \033[31mFAIL\033[0m  bucket          It is not there.\n"
               "                        \033[1m-> \033[0mMake it.\n");
}

static const struct {
    const char *name;
    size_t counts[VERDICT_COUNT];
    const char *want;
} summaries[] = {
    { "nothing", { 0 }, "\n0 ok, 0 warnings, 0 failed\n" },
    { "one warning", { [VERDICT_OK] = 3, [VERDICT_WARNING] = 1 }, "\n3 ok, 1 warning, 0 failed\n" },
    { "notes are not counted", { [VERDICT_NOTE] = 3 }, "\n0 ok, 0 warnings, 0 failed\n" },
    { "not tried",
      { [VERDICT_OK] = 1, [VERDICT_FAILED] = 1, [VERDICT_SKIPPED] = 4 },
      "\n1 ok, 0 warnings, 1 failed, 4 not tried\n" },
};

static void test_summary(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(summaries); i++) {
        struct report r = { .n = 0 };
        memcpy(r.counts, summaries[i].counts, sizeof(r.counts));
        AUTO(buf) out = BUF_INIT(ROW_LIMIT);
        report_summary(&out, &r, false);
        CHECK_TEXT(summaries[i].name, out, summaries[i].want);
    }
}

static void test_json(void **state)
{
    (void)state;
    struct diagnosis list[] = { { .check = "cors",
                                  .bucket = STR("main"),
                                  .about = STR("https://app.test"),
                                  .verdict = VERDICT_FAILED,
                                  .says = STR("a \"b\""),
                                  .todo = STR("c") },
                                { .check = "head",
                                  .bucket = STR("main"),
                                  .about = STR(""),
                                  .verdict = VERDICT_SKIPPED,
                                  .says = STR("d"),
                                  .todo = STR("") } };
    const struct report r = {
        .list = list,
        .n = 2,
        .counts = { [VERDICT_NOTE] = 3, [VERDICT_FAILED] = 1, [VERDICT_SKIPPED] = 1 }
    };
    AUTO(buf) out = BUF_INIT(ROW_LIMIT);
    CHECK_EQ("json", report_json(&out, &r), ST_OK);
    CHECK_TEXT("json", out,
               "{\"healthy\":false,\"ok\":0,\"warnings\":0,\"failed\":1,\"not_tried\":1,"
               "\"left_out\":3,\"findings\":["
               "{\"check\":\"cors\",\"bucket\":\"main\",\"about\":\"https://app.test\","
               "\"status\":\"failed\",\"says\":\"a \\\"b\\\"\",\"todo\":\"c\"},"
               "{\"check\":\"head\",\"bucket\":\"main\",\"about\":\"\",\"status\":\"not_tried\","
               "\"says\":\"d\",\"todo\":\"\"}]}\n");

    struct buf small = BUF_INIT(40);
    CHECK("too small", report_json(&small, &r) != ST_OK);
    buf_release(&small);
}

TEST_MAIN(cmocka_unit_test(test_rows), cmocka_unit_test(test_colour),
          cmocka_unit_test(test_summary), cmocka_unit_test(test_json))
