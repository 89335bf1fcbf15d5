/*
 * explain - from a store's refusal, the packet and what was sent to the cause in words.
 *
 * Pure: what it is given, it judges; the clock is an argument. The codes and what they mean are one
 * table (src/cmd/explain_codes.c), after AWS "List of error codes" and what Ceph's gateway and MinIO
 * say instead.
 */
#ifndef PRESIGND_EXPLAIN_H
#define PRESIGND_EXPLAIN_H

#include "presignd/packet_view.h"
#include "presignd/s3_refusal.h"

enum { FINDINGS_MAX = 32 };

struct finding {
    const char *cause; /* a word for programs: "packet_ended" */
    struct str field;  /* of the form, or the header; may be empty */
    struct str says;   /* what happened */
    struct str todo;   /* what to do about it */
};

struct explain {
    /* given */
    const struct s3_refusal *refusal;
    const struct packet_view *packet; /* NULL: not given */
    const struct jr_pairs *sent;      /* fields or headers that were sent; NULL: not given */
    int64_t sent_bytes;               /* of the file; -1: not told */
    int64_t now_s;
    struct arena *arena;
    /* found, the likeliest first */
    struct finding findings[FINDINGS_MAX];
    size_t n;
    enum status st;
};

/* Fills the findings; at least one when the answer was a refusal. ST_OK, ST_TOO_LARGE, ST_NO_MEMORY. */
MUST_CHECK enum status explain_judge(struct explain *e);

/* What nobody should see of the packet (its view, and the text it was read from) and of what was
 * sent; each may be missing (NULL, ""). Texts are borrowed, or in the arena. */
void explain_secrets(struct known_secrets *k, const struct packet_view *p, struct str packet,
                     const struct jr_pairs *sent, struct arena *a);

/* When the store answered, by its own clock where it told. */
int64_t explain_at_s(const struct explain *e);

/* ---- for the table of codes --------------------------------------------------------------------- */

struct explain_code {
    struct str code;    /* "": any */
    struct str message; /* what the message holds, in any case; "": any */
    const char *cause;
    const char *says, *todo;         /* where `look` finds nothing more exact */
    void (*look)(struct explain *e); /* may be NULL */
};

/* The first row that fits; the last row fits all. */
const struct explain_code *explain_code_of(const struct s3_refusal *r);

void explain_condition(struct explain *e); /* the message names a field */
void explain_size(struct explain *e);      /* larger or smaller than the packet takes */
void explain_denied(struct explain *e);    /* no reason was given */
void explain_signature(struct explain *e); /* what was sent is not what was signed */
void explain_region(struct explain *e);    /* the bucket is elsewhere */
void explain_end(struct explain *e);       /* the packet, or its credentials, ended */
void explain_clock(struct explain *e);     /* presignd's clock and the store's differ */
void explain_unsigned(struct explain *e);  /* headers that were sent and not signed */
void explain_bucket(struct explain *e);    /* which bucket it was */

#endif
