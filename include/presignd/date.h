/*
 * date - UTC dates in the forms the protocols want. Pure: seconds since 1970 in, text out.
 * Years 1970-9999: writers and date_of clamp to them, readers refuse what lies outside.
 */
#ifndef PRESIGND_DATE_H
#define PRESIGND_DATE_H

#include "presignd/buf.h"

struct date {
    int year, month, day, hour, minute, second; /* month and day from 1 */
    int weekday;                                /* 0 = Sunday */
};

struct date date_of(int64_t unix_s);
int64_t date_unix(const struct date *d); /* of a valid date; weekday is not looked at */

void date_iso(struct buf *out, int64_t unix_s);     /* 2026-11-21T20:45:00Z (RFC 3339) */
void date_iso_ms(struct buf *out, int64_t unix_ms); /* 2026-11-21T20:45:00.000Z */
void date_amz(struct buf *out, int64_t unix_s);     /* 20261121T204500Z */
void date_day(struct buf *out, int64_t unix_s);     /* 20261121 */

/* A length of time for people, cut to its unit: 42 s, 12 min, 3 h, 5 days */
void date_span(struct buf *out, int64_t seconds);

/* RFC 3339 with offset or Z, fraction allowed and cut; no leap second. ST_INVALID otherwise. */
MUST_CHECK enum status date_parse_rfc3339(struct str s, int64_t *out_unix_s);

/* IMF-fixdate of RFC 9110 section 5.6.7 (a Date header). ST_INVALID otherwise. */
MUST_CHECK enum status date_parse_http(struct str s, int64_t *out_unix_s);

#endif
