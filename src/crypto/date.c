/*
 * date - plain arithmetic over civil.h: no time zone data, no locale, no library state.
 *
 * Outside the years 1970-9999 the forms have no room for the result: printing clamps, reading
 * refuses.
 */
#include "presignd/date.h"

#include <string.h>

#include "presignd/civil.h"

enum { DAY_S = 86400, CIVIL_TEXT = 19 };
static const int64_t LAST_S = INT64_C(253402300799); /* 9999-12-31T23:59:59Z */

static int64_t in_range(int64_t unix_s)
{
    return unix_s < 0 ? 0 : MIN_OF(unix_s, LAST_S);
}

struct date date_of(int64_t unix_s)
{
    const int64_t s = in_range(unix_s);
    const int32_t days = (int32_t)(s / DAY_S);
    const int rest = (int)(s % DAY_S);
    const struct civil c = civil_of_days((uint32_t)days);
    return (struct date){
        .year = c.year,
        .month = c.month,
        .day = c.day,
        .hour = rest / 3600,
        .minute = rest / 60 % 60,
        .second = rest % 60,
        .weekday = (days + 4) % 7, /* 1970-01-01 was a Thursday */
    };
}

int64_t date_unix(const struct date *d)
{
    const int64_t days = civil_to_days((struct civil){ d->year, d->month, d->day });
    return days * DAY_S + d->hour * 3600 + d->minute * 60 + d->second;
}

void date_iso(struct buf *out, int64_t unix_s)
{
    char text[CIVIL_TEXT + 1];
    civil_write(text, in_range(unix_s));
    text[CIVIL_TEXT] = 'Z';
    buf_str(out, (struct str){ text, sizeof(text) });
}

void date_iso_ms(struct buf *out, int64_t unix_ms)
{
    char text[CIVIL_TEXT + 5];
    const int64_t ms = unix_ms < 0 ? 0 : MIN_OF(unix_ms, LAST_S * 1000 + 999);
    civil_write(text, ms / 1000);
    text[CIVIL_TEXT] = '.';
    text[CIVIL_TEXT + 1] = (char)('0' + ms % 1000 / 100);
    civil_two_digits(text + CIVIL_TEXT + 2, (int)(ms % 100));
    text[CIVIL_TEXT + 4] = 'Z';
    buf_str(out, (struct str){ text, sizeof(text) });
}

/* Without the separators of 2026-11-21T20:45:00: the first 8 bytes are the day. */
static void write_basic(char out[15], int64_t unix_s)
{
    char text[CIVIL_TEXT];
    civil_write(text, in_range(unix_s));
    memcpy(out, text, 4);
    memcpy(out + 4, text + 5, 2);
    memcpy(out + 6, text + 8, 5);
    memcpy(out + 11, text + 14, 2);
    memcpy(out + 13, text + 17, 2);
}

void date_amz(struct buf *out, int64_t unix_s)
{
    char text[16];
    write_basic(text, unix_s);
    text[15] = 'Z';
    buf_str(out, (struct str){ text, sizeof(text) });
}

void date_day(struct buf *out, int64_t unix_s)
{
    char text[15];
    write_basic(text, unix_s);
    buf_str(out, (struct str){ text, 8 });
}

void date_span(struct buf *out, int64_t seconds)
{
    static const struct {
        int64_t above, unit;
        struct str word;
    } units[] = { { 172800, 86400, STR_INIT(" days") },
                  { 7200, 3600, STR_INIT(" h") },
                  { 120, 60, STR_INIT(" min") },
                  { 0, 1, STR_INIT(" s") } };
    size_t i = 0;
    while (units[i].above > 0 && seconds < units[i].above)
        i++;
    buf_int(out, seconds / units[i].unit);
    buf_str(out, units[i].word);
}

/* A number of exactly `width` digits at `at`, within [low, high]; -1 otherwise. */
static int field(struct str s, size_t at, size_t width, int low, int high)
{
    int value = 0;
    if (at + width > s.len)
        return -1;
    for (size_t i = at; i < at + width; i++) {
        if (!ascii_digit(s.ptr[i]))
            return -1;
        value = value * 10 + (s.ptr[i] - '0');
    }
    return value >= low && value <= high ? value : -1;
}

/* The years around the range are let in, because an offset can bring them back. */
static enum status read_date(const struct date *d, int64_t *out_unix_s)
{
    if (d->year < 0 || d->month < 0 || d->day < 0 || d->hour < 0 || d->minute < 0 || d->second < 0)
        return ST_INVALID;
    if (d->day > civil_month_days(d->year, d->month))
        return ST_INVALID;
    *out_unix_s = date_unix(d);
    return ST_OK;
}

static bool marks_at(struct str s, const char *form)
{
    for (size_t i = 0; form[i]; i++)
        if (form[i] != '#' && (i >= s.len || s.ptr[i] != form[i]))
            return false;
    return true;
}

/* "Z", "z" or "+01:30": seconds east of Greenwich. */
static enum status read_offset(struct str s, int64_t *out_s)
{
    if (s.len == 1 && (s.ptr[0] == 'Z' || s.ptr[0] == 'z')) {
        *out_s = 0;
        return ST_OK;
    }
    if (s.len != 6 || (s.ptr[0] != '+' && s.ptr[0] != '-') || s.ptr[3] != ':')
        return ST_INVALID;
    const int hours = field(s, 1, 2, 0, 23);
    const int minutes = field(s, 4, 2, 0, 59);
    if (hours < 0 || minutes < 0)
        return ST_INVALID;
    *out_s = (s.ptr[0] == '-' ? -60 : 60) * (hours * 60 + minutes);
    return ST_OK;
}

static enum status skip_fraction(struct str s, size_t *at)
{
    size_t i = *at;
    if (i == s.len || s.ptr[i] != '.')
        return ST_OK;
    const size_t first = ++i;
    while (i < s.len && ascii_digit(s.ptr[i]))
        i++;
    *at = i;
    return i > first ? ST_OK : ST_INVALID;
}

enum status date_parse_rfc3339(struct str s, int64_t *out_unix_s)
{
    if (s.len <= CIVIL_TEXT || !marks_at(s, "####-##-##") || !marks_at(s, "#############:##:##"))
        return ST_INVALID;
    if (s.ptr[10] != 'T' && s.ptr[10] != 't')
        return ST_INVALID;
    const struct date d = {
        .year = field(s, 0, 4, 1969, 9999),
        .month = field(s, 5, 2, 1, 12),
        .day = field(s, 8, 2, 1, 31),
        .hour = field(s, 11, 2, 0, 23),
        .minute = field(s, 14, 2, 0, 59),
        .second = field(s, 17, 2, 0, 59),
    };
    int64_t local_s = 0;
    int64_t offset_s = 0;
    size_t at = CIVIL_TEXT;
    TRY(read_date(&d, &local_s));
    TRY(skip_fraction(s, &at));
    TRY(read_offset(str_slice(s, at, s.len), &offset_s));

    const int64_t unix_s = local_s - offset_s;
    if (unix_s < 0 || unix_s > LAST_S)
        return ST_INVALID;
    *out_unix_s = unix_s;
    return ST_OK;
}

/* Index of the three letters at `at` in a list of such words; -1 if they are none of them. */
static int word(struct str s, size_t at, const char *list, int count)
{
    for (int i = 0; i < count; i++)
        if (str_equal(str_slice(s, at, at + 3), (struct str){ list + 3 * (size_t)i, 3 }))
            return i;
    return -1;
}

enum status date_parse_http(struct str s, int64_t *out_unix_s)
{
    /* Sun, 06 Nov 1994 08:49:37 GMT */
    if (s.len != 29 || !marks_at(s, "###, ## ### #### ##:##:## GMT"))
        return ST_INVALID;
    const int month = word(s, 8, "JanFebMarAprMayJunJulAugSepOctNovDec", 12);
    const struct date d = {
        .year = field(s, 12, 4, 1970, 9999),
        .month = month < 0 ? -1 : month + 1,
        .day = field(s, 5, 2, 1, 31),
        .hour = field(s, 17, 2, 0, 23),
        .minute = field(s, 20, 2, 0, 59),
        .second = field(s, 23, 2, 0, 59),
    };
    int64_t unix_s = 0;
    TRY(read_date(&d, &unix_s));
    if (date_of(unix_s).weekday != word(s, 0, "SunMonTueWedThuFriSat", 7))
        return ST_INVALID;
    *out_unix_s = unix_s;
    return ST_OK;
}
