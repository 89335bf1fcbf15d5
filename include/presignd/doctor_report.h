/*
 * doctor_report - what `presignd doctor` found, in lines for people and as JSON for programs.
 */
#ifndef PRESIGND_DOCTOR_REPORT_H
#define PRESIGND_DOCTOR_REPORT_H

#include "presignd/profile.h"

enum verdict {
    VERDICT_OK,
    VERDICT_NOTE,    /* said without judging */
    VERDICT_SKIPPED, /* not tried */
    VERDICT_WARNING,
    VERDICT_FAILED,
    VERDICT_COUNT
};

struct diagnosis { /* one line of the report */
    const char *check;
    struct str bucket; /* its alias; "" where it is about no bucket */
    struct str about;  /* an origin, an issuer, ...; may be empty */
    enum verdict verdict;
    struct str says, todo; /* a sentence each; todo may be empty */
};

enum { DOCTOR_DIAGNOSES_MAX = 2000, DOCTOR_COLUMNS = 80 };
struct report {
    struct diagnosis *list; /* DOCTOR_DIAGNOSES_MAX of them; later ones are counted alone */
    size_t n;
    size_t counts[VERDICT_COUNT];
};

/* Lines of DOCTOR_COLUMNS where words allow; controls of others become '?'. */
void report_row(struct buf *out, const struct diagnosis *g, bool colour);
void report_bucket(struct buf *out, const struct bucket *b, bool colour);
void report_summary(struct buf *out, const struct report *r, bool colour);
MUST_CHECK enum status report_json(struct buf *out, const struct report *r);

#endif
