/*
 * civil - days since 1970-01-01 to and from the proleptic Gregorian calendar, in plain arithmetic.
 *
 * Stands apart from date.h because the log, one floor lower, prints times too. The year is counted
 * from March, so that the leap day is its last; 400 years ("an era") are always 146,097 days.
 */
#ifndef PRESIGND_CIVIL_H
#define PRESIGND_CIVIL_H

#include "presignd/base.h"

struct civil {
    int year, month, day; /* month and day from 1 */
};

enum { CIVIL_ERA_DAYS = 146097, CIVIL_EPOCH_DAYS = 719468 /* 0000-03-01 to 1970-01-01 */ };

/* `days` >= 0, at most 9999-12-31. */
static inline struct civil civil_of_days(uint32_t days)
{
    const uint32_t shifted = days + CIVIL_EPOCH_DAYS;
    const uint32_t era = shifted / CIVIL_ERA_DAYS;
    const uint32_t of_era = shifted % CIVIL_ERA_DAYS;
    const uint32_t year =
        (of_era - of_era / 1460 + of_era / 36524 - of_era / (CIVIL_ERA_DAYS - 1)) / 365;
    const uint32_t of_year = of_era - (365 * year + year / 4 - year / 100);
    const uint32_t march_month = (5 * of_year + 2) / 153;
    const bool next_year = march_month >= 10; /* January and February */

    return (struct civil){
        .year = (int)(year + era * 400 + next_year),
        .month = (int)(next_year ? march_month - 9 : march_month + 3),
        .day = (int)(of_year - (153 * march_month + 2) / 5 + 1),
    };
}

/* A valid date of the years 1-9999; negative before 1970. */
static inline int32_t civil_to_days(struct civil c)
{
    const int32_t year = c.month <= 2 ? c.year - 1 : c.year;
    const int32_t march_month = c.month <= 2 ? c.month + 9 : c.month - 3;
    const int32_t of_year = (153 * march_month + 2) / 5 + c.day - 1;
    return year * 365 + year / 4 - year / 100 + year / 400 + of_year - CIVIL_EPOCH_DAYS;
}

/* Days of a month, 1-12, of a year. */
static inline int civil_month_days(int year, int month)
{
    static const int8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

/* Two decimal digits of 0-99. */
static inline void civil_two_digits(char *out, int value)
{
    out[0] = (char)('0' + value / 10);
    out[1] = (char)('0' + value % 10);
}

/* "2026-11-21T20:45:00" (19 bytes, no NUL) of 0 <= unix_s <= 253402300799. */
static inline void civil_write(char out[19], int64_t unix_s)
{
    const struct civil c = civil_of_days((uint32_t)(unix_s / 86400));
    const int rest = (int)(unix_s % 86400);

    civil_two_digits(out, c.year / 100);
    civil_two_digits(out + 2, c.year % 100);
    civil_two_digits(out + 5, c.month);
    civil_two_digits(out + 8, c.day);
    civil_two_digits(out + 11, rest / 3600);
    civil_two_digits(out + 14, rest / 60 % 60);
    civil_two_digits(out + 17, rest % 60);
    out[4] = out[7] = '-';
    out[10] = 'T';
    out[13] = out[16] = ':';
}

#endif
