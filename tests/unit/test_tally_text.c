#include "test.h"

#include "presignd/tally_text.h"

/* ---- tallies ------------------------------------------------------------------------------------- */

static const char *const tallies_good[] = {
    "",
    "a rate 0 0 0 0",
    "requests rate 0 0 0 1795316221828473\nuploads_a_day count 1795305600 3 19 0",
    "a-1_z open 0 0 9007199254740991 2305843009213693951",
};

/* clang-format off */
static const struct { const char *name; struct str text; } tallies_bad[] = {
    { "one word",             STR_INIT("a") },
    { "a word short",         STR_INIT("a rate 0 0 0") },
    { "a word too many",      STR_INIT("a rate 0 0 0 0 0") },
    { "two blanks",           STR_INIT("a rate 0 0  0 0") },
    { "blank in front",       STR_INIT(" a rate 0 0 0 0") },
    { "blank behind",         STR_INIT("a rate 0 0 0 0 ") },
    { "line feed behind",     STR_INIT("a rate 0 0 0 0\n") },
    { "empty line between",   STR_INIT("a rate 0 0 0 0\n\nb rate 0 0 0 0") },
    { "one name twice",       STR_INIT("a rate 0 0 0 0\na count 0 0 0 0") },
    { "no name",              STR_INIT(" rate 0 0 0 0") },
    { "capital",              STR_INIT("A rate 0 0 0 0") },
    { "digit first",          STR_INIT("1 rate 0 0 0 0") },
    { "NUL in the name",      STR_INIT("a\0 rate 0 0 0 0") },
    { "65 letters", STR_INIT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa rate 0 0 0 0") },
    { "unknown kind",         STR_INIT("a speed 0 0 0 0") },
    { "kind in capitals",     STR_INIT("a RATE 0 0 0 0") },
    { "below zero",           STR_INIT("a count 0 -1 0 0") },
    { "plus",                 STR_INIT("a count 0 +1 0 0") },
    { "fraction",             STR_INIT("a count 0 1.0 0 0") },
    { "leading zero",         STR_INIT("a count 0 01 0 0") },
    { "hexadecimal",          STR_INIT("a count 0 0x1 0 0") },
    { "used 2^53",            STR_INIT("a count 0 9007199254740992 0 0") },
    { "reserved 2^53",        STR_INIT("a count 0 0 9007199254740992 0") },
    { "start 2^53",           STR_INIT("a count 9007199254740992 0 0 0") },
    { "tat 2^61",             STR_INIT("a rate 0 0 0 2305843009213693952") },
    { "20 digits",            STR_INIT("a rate 0 0 0 99999999999999999999") },
    { "carriage return",      STR_INIT("a rate 0 0 0 0\r\nb rate 0 0 0 0") },
};
/* clang-format on */

static void test_tallies(void **state)
{
    (void)state;
    struct tally t[TALLIES_MAX];
    size_t n;
    for (size_t i = 0; i < ROWS(tallies_good); i++) {
        const char *text = tallies_good[i];
        CHECK_EQ(text, tallies_read(str_from(text), t, TALLIES_MAX, &n), ST_OK);
        AUTO(buf) b = BUF_INIT(4096);
        tallies_write(&b, t, n);
        CHECK_TEXT("written again", b, text);
    }
    for (size_t i = 0; i < ROWS(tallies_bad); i++)
        CHECK_EQ(tallies_bad[i].name, tallies_read(tallies_bad[i].text, t, TALLIES_MAX, &n),
                 ST_INVALID);
}

static void test_tallies_bounds(void **state)
{
    (void)state;
    struct tally t[2];
    size_t n;
    const struct str three = STR("a rate 0 0 0 0\nb rate 0 0 0 0\nc rate 0 0 0 0");
    assert_int_equal(tallies_read(three, t, 2, &n), ST_INVALID);
    assert_int_equal(tallies_read(str_slice(three, 0, 29), t, 2, &n), ST_OK);
    assert_int_equal(n, 2);

    /* What is out of bounds is brought into them: what was written can be read. */
    const struct tally odd = { .name = STR("a"),
                               .kind = LIMIT_BYTES,
                               .start_s = -5,
                               .used = INT64_MAX,
                               .reserved = INT64_MIN,
                               .tat_us = INT64_MAX };
    AUTO(buf) b = BUF_INIT(4096);
    tallies_write(&b, &odd, 1);
    CHECK_TEXT("clamped", b, "a bytes 0 9007199254740991 0 2305843009213693951");
    assert_int_equal(tallies_read(buf_view(&b), t, 2, &n), ST_OK);
}

/* ---- charges, ids -------------------------------------------------------------------------------- */

/* clang-format off */
static const struct { const char *name; struct str text; enum status want; } charge_rows[] = {
    { "none",             STR_INIT(""),                               ST_OK      },
    { "one",              STR_INIT("a count 5"),                      ST_OK      },
    { "two",              STR_INIT("a count 5\nb bytes 0"),           ST_OK      },
    { "of a rate",        STR_INIT("a rate 0"),                       ST_INVALID },
    { "of open",          STR_INIT("a open 0"),                       ST_INVALID },
    { "a word short",     STR_INIT("a count"),                        ST_INVALID },
    { "a word too many",  STR_INIT("a count 5 5"),                    ST_INVALID },
    { "below zero",       STR_INIT("a count -5"),                     ST_INVALID },
    { "line feed behind", STR_INIT("a count 5\n"),                    ST_INVALID },
    { "three",            STR_INIT("a count 5\nb bytes 0\nc bytes 1"), ST_INVALID },
};
static const struct { const char *name; struct str text; enum status want; } id_rows[] = {
    { "none",           STR_INIT(""),           ST_OK      },
    { "two",            STR_INIT("a b\nc d"),   ST_OK      },
    { "without uuid",   STR_INIT("a "),         ST_OK      },
    { "one word",       STR_INIT("a"),          ST_INVALID },
    { "three words",    STR_INIT("a b c"),      ST_INVALID },
    { "no id",          STR_INIT(" b"),         ST_INVALID },
    { "three",          STR_INIT("a b\nc d\ne f"), ST_INVALID },
    { "65 letters", STR_INIT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa b"), ST_INVALID },
};
/* clang-format on */

static void test_charges_and_ids(void **state)
{
    (void)state;
    struct charge c[2];
    struct id_pair p[2];
    size_t n;
    for (size_t i = 0; i < ROWS(charge_rows); i++) {
        CHECK_EQ(charge_rows[i].name, charges_read(charge_rows[i].text, c, 2, &n),
                 charge_rows[i].want);
        if (charge_rows[i].want != ST_OK)
            continue;
        AUTO(buf) b = BUF_INIT(4096);
        charges_write(&b, c, n);
        CHECK_STR(charge_rows[i].name, b, charge_rows[i].text);
    }
    for (size_t i = 0; i < ROWS(id_rows); i++) {
        CHECK_EQ(id_rows[i].name, ids_read(id_rows[i].text, p, 2, &n), id_rows[i].want);
        if (id_rows[i].want != ST_OK)
            continue;
        AUTO(buf) b = BUF_INIT(4096);
        ids_write(&b, p, n);
        CHECK_STR(id_rows[i].name, b, id_rows[i].text);
    }
}

/* ---- open ends ----------------------------------------------------------------------------------- */

/* clang-format off */
static const struct { const char *name; struct str text; enum status want; } end_rows[] = {
    { "none",           STR_INIT(""),            ST_OK      },
    { "one",            STR_INIT("10:1"),        ST_OK      },
    { "two",            STR_INIT("10:1 11:5"),   ST_OK      },
    { "descending",     STR_INIT("11:1 10:5"),   ST_INVALID },
    { "the same twice", STR_INIT("10:1 10:5"),   ST_INVALID },
    { "zero of them",   STR_INIT("10:0"),        ST_INVALID },
    { "below zero",     STR_INIT("10:-1"),       ST_INVALID },
    { "no colon",       STR_INIT("10"),          ST_INVALID },
    { "no count",       STR_INIT("10:"),         ST_INVALID },
    { "no end",         STR_INIT(":1"),          ST_INVALID },
    { "two colons",     STR_INIT("10:1:1"),      ST_INVALID },
    { "blank behind",   STR_INIT("10:1 "),       ST_INVALID },
};

/* What stands there, what is added, what stands there then. */
static const struct { const char *name, *before; int64_t end_s, n; const char *after; } add_rows[] = {
    { "first",              "",           10,  1, "10:1"           },
    { "in front",           "10:1",        9,  2, "9:2 10:1"       },
    { "behind",             "10:1",       11,  2, "10:1 11:2"      },
    { "between",            "10:1 12:1",  11,  2, "10:1 11:2 12:1" },
    { "the same",           "10:1 12:1",  12,  2, "10:1 12:3"      },
    { "one less",           "10:2 12:1",  10, -1, "10:1 12:1"      },
    { "the last of them",   "10:1 12:1",  10, -1, "12:1"           },
    { "from the next",      "10:1 12:2",  11, -1, "10:1 12:1"      },
    { "on to the next",     "10:1 12:2",  10, -2, "12:1"           },
    { "more than are",      "10:1 12:2",  10, -9, ""               },
    { "later than any",     "10:1",       11, -1, "10:1"           },
    { "none",               "10:1",       11,  0, "10:1"           },
};
/* clang-format on */

static void test_open_ends(void **state)
{
    (void)state;
    struct open_end e[OPEN_ENDS_MAX];
    size_t n;
    for (size_t i = 0; i < ROWS(end_rows); i++)
        CHECK_EQ(end_rows[i].name, open_ends_read(end_rows[i].text, e, 2, &n), end_rows[i].want);
    for (size_t i = 0; i < ROWS(add_rows); i++) {
        CHECK_EQ(add_rows[i].name,
                 open_ends_read(str_from(add_rows[i].before), e, OPEN_ENDS_MAX, &n), ST_OK);
        open_ends_add(e, &n, add_rows[i].end_s, add_rows[i].n);
        AUTO(buf) b = BUF_INIT(4096);
        open_ends_write(&b, e, n);
        CHECK_TEXT(add_rows[i].name, b, add_rows[i].after);
    }

    assert_int_equal(open_ends_read(STR("10:1 12:2 14:4"), e, OPEN_ENDS_MAX, &n), ST_OK);
    assert_int_equal(open_ends_sum(e, n), 7);
    open_ends_expire(e, &n, 9);
    assert_int_equal(open_ends_sum(e, n), 7);
    open_ends_expire(e, &n, 10);
    assert_int_equal(open_ends_sum(e, n), 6);
    open_ends_expire(e, &n, 100);
    assert_int_equal(n, 0);
}

/* More ends than there is room for: none is lost, and none becomes free early. */
static void test_open_ends_full(void **state)
{
    (void)state;
    struct open_end e[OPEN_ENDS_MAX];
    size_t n = 0;
    const int64_t made = 4 * OPEN_ENDS_MAX;
    for (int64_t i = 0; i < made; i++)
        open_ends_add(e, &n, 1000 + i * 7919 % made, 1);
    assert_true(n <= OPEN_ENDS_MAX);
    for (int64_t now_s = 999; now_s < 1000 + made; now_s++) {
        open_ends_expire(e, &n, now_s);
        const int64_t open = 1000 + made - 1 - now_s;
        assert_true(open_ends_sum(e, n) >= MIN_OF(open, made));
    }
    assert_int_equal(n, 0);
}

TEST_MAIN(cmocka_unit_test(test_tallies), cmocka_unit_test(test_tallies_bounds),
          cmocka_unit_test(test_charges_and_ids), cmocka_unit_test(test_open_ends),
          cmocka_unit_test(test_open_ends_full))
