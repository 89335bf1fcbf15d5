/*
 * tally_text - the texts in which the embedded ledger keeps what it counted: short lines that a
 * person reads with sqlite3 and that are taken apart strictly. Pure.
 *
 *     tallies     "name kind start used reserved tat", one line per limit
 *     charges     "name kind start", one line per limit that an upload is charged to
 *     open ends   "end:n end:n", ascending: how many open uploads end when
 *     ids         "id uuid", one line per upload of an Idempotency-Key
 *
 * What a reader does not know is ST_INVALID: a row that somebody spoilt must never become a grant.
 */
#ifndef PRESIGND_TALLY_TEXT_H
#define PRESIGND_TALLY_TEXT_H

#include "presignd/limits.h"

enum {
    TALLIES_MAX = 64,    /* of one user: the limits of the plan and of former plans */
    CHARGES_MAX = 16,    /* the limits of one plan */
    OPEN_ENDS_MAX = 256, /* more are put together, the earlier with the later */
    IDS_MAX = 100,       /* files of a batch */
    ID_TEXT_MAX = 64,
};

/* "rate", "count", "bytes", "open" */
extern const struct str limit_kind_words[4];

/* What one upload has in one tally. */
struct charge {
    struct str name;
    enum limit_kind kind;
    int64_t start_s; /* of the window it was made in */
};

struct open_end {
    int64_t end_s, n;
};

struct id_pair {
    struct str id, uuid;
};

/* Names are views into the text. At most max; ST_INVALID: not of this form, too many, one name
 * twice, a number below zero or above LIMITS_NUMBER_MAX (tat: INT64_MAX / 4). */
MUST_CHECK enum status tallies_read(struct str text, struct tally *out, size_t max, size_t *out_n);
void tallies_write(struct buf *b, const struct tally *t, size_t n);

MUST_CHECK enum status charges_read(struct str text, struct charge *out, size_t max, size_t *out_n);
void charges_write(struct buf *b, const struct charge *c, size_t n);

MUST_CHECK enum status open_ends_read(struct str text, struct open_end *out, size_t max,
                                      size_t *out_n);
void open_ends_write(struct buf *b, const struct open_end *e, size_t n);

/* n more that end at end_s, or n less (negative): of the first that end there or later. The array
 * has room for OPEN_ENDS_MAX; where that is not enough, two neighbours become the later one: a place
 * may then be free a little late, never early. */
void open_ends_add(struct open_end *e, size_t *n_ends, int64_t end_s, int64_t n);
/* Forgets what ends at now_s or before. */
void open_ends_expire(struct open_end *e, size_t *n_ends, int64_t now_s);
int64_t open_ends_sum(const struct open_end *e, size_t n_ends);

MUST_CHECK enum status ids_read(struct str text, struct id_pair *out, size_t max, size_t *out_n);
void ids_write(struct buf *b, const struct id_pair *p, size_t n);

#endif
