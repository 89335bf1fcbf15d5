/*
 * doctor - what `presignd doctor` looks at, and the report it makes of it.
 *
 * A part is one thing that can be good or bad; the table in doctor.c has their order, and which
 * others each needs: what a fault makes senseless is not tried, so that it is told once. Secrets,
 * tokens, signatures and policies are in no sentence.
 */
#ifndef PRESIGND_DOCTOR_H
#define PRESIGND_DOCTOR_H

#include "presignd/config.h"
#include "presignd/decide.h"
#include "presignd/doctor_call.h"
#include "presignd/doctor_report.h"

/* ---- the visit ---------------------------------------------------------------------------------- */

enum part { /* in the order of the table */
            PART_CONFIG,
            PART_DESCRIPTORS,
            PART_CREDENTIALS,
            PART_LEDGER,
            PART_KEYS,
            PART_ENDPOINT,
            PART_CLOCK,
            PART_BUCKET,
            PART_SIGNATURE,
            PART_CORS,
            PART_UPLOAD,
            PART_REFUSALS,
            PART_EXPOSED,
            PART_HEAD,
            PART_PUBLIC_LIST,
            PART_PUBLIC_READ,
            PART_PUBLIC_BLOCK,
            PART_CLEAN_UP,
            PART_COUNT
};

struct probe { /* the object that is uploaded */
    struct decision decision;
    bool guessed; /* where the key begins with a word whose values nobody configured */
    struct str body;
    struct str other_type; /* one that the packet does not allow */
};

struct patient { /* the bucket in hand */
    const struct bucket *bucket;
    struct endpoint
        browser;       /* where packets go; own_place where the public one cannot be reached */
    int http;          /* of an unsigned HEAD of the bucket */
    struct str region; /* as the store told; "" when it did not */
    bool has_date;     /* and by how much our clock is ahead of the store's */
    int64_t ahead_s;
    struct probe probe;
    bool sent;         /* the probe, by POST or PUT: its object may be there */
    bool stored;       /* the store said that it took it */
    bool unanswered;   /* it may come to be there later */
    bool late;         /* no time is left, and it was said */
    struct str origin; /* of the page that is played; "" none */
    bool exposes_etag, exposes_location;
};

struct doctor {
    const char *config_path, *only_bucket, *only_origin;
    bool json, colour;
    struct config *config;
    struct creds *creds;
    struct loop *loop;
    struct fetcher *fetcher;
    struct signing_keys signing;
    struct random_pool random;
    struct arena arena;
    struct str filling;    /* what bodies are slices of; empty until one is needed */
    int64_t ends_us;       /* on loop_clock_us(): nothing is asked after it */
    enum part part;        /* in hand */
    unsigned lost;         /* bits of parts that failed or were not tried */
    int cause[PART_COUNT]; /* why not tried: a part + 1 */
    struct patient patient;
    struct report report;
};

/* Adds a line about the part in hand. texts[0] says what was seen, texts[1] what to do; each '#' of
 * them is the next of the texts that follow. VERDICT_FAILED and _SKIPPED mark the part as lost. */
void doctor_say(struct doctor *d, enum verdict v, struct str about, const struct str *texts);
#define SAY(d, verdict, about, ...) \
    doctor_say((d), (verdict), (about), (const struct str[]){ __VA_ARGS__ })

struct str doctor_number(struct doctor *d, int64_t n);     /* decimal, in the arena */
struct str doctor_span(struct doctor *d, int64_t seconds); /* "42 s", "12 min", "3 h", "5 days" */
int64_t doctor_now_s(void);

/* "arn:aws:s3:::BUCKET" of the bucket in hand, for policies; in the arena. */
struct str doctor_arn(struct doctor *d);

/* What a store's refusal means, in the words of `presignd explain`. */
void doctor_refused(struct doctor *d, struct str about, const struct doctor_call *c,
                    struct str packet);

/* A presigned URL of ours to the bucket (key "") or an object. False: it was said why not. */
bool doctor_sign(struct doctor *d, struct buf *url, const char *method, struct str key,
                 struct str sub_resource);

/* What an upload to the bucket in hand is to be, by the first profile that can; without a body where
 * it is only about the headers. */
enum plan_outcome { /* the later ones are worth more to tell */
                    PLAN_NO_PROFILE,
                    PLAN_REFUSED,   /* the profile's rules take no probe */
                    PLAN_TOO_LARGE, /* min_bytes is over DOCTOR_PROBE_MAX */
                    PLAN_MADE
};
enum plan_outcome doctor_plan(struct doctor *d, enum method_wish method, bool with_body,
                              struct probe *out);

/* Says why there is no plan: as a warning, but for a bucket that nobody uploads to. */
void doctor_unplanned(struct doctor *d, enum plan_outcome why);

/* Each part. */
void doctor_config(struct doctor *d);
void doctor_descriptors(struct doctor *d);
void doctor_credentials(struct doctor *d);
void doctor_ledger(struct doctor *d);
void doctor_keys(struct doctor *d);
void doctor_endpoint(struct doctor *d);
void doctor_clock(struct doctor *d);
void doctor_bucket(struct doctor *d);
void doctor_signature(struct doctor *d);
void doctor_cors(struct doctor *d);
void doctor_upload(struct doctor *d);
void doctor_refusals(struct doctor *d);
void doctor_exposed(struct doctor *d);
void doctor_head(struct doctor *d);
void doctor_public_list(struct doctor *d);
void doctor_public_read(struct doctor *d);
void doctor_public_block(struct doctor *d);
void doctor_clean_up(struct doctor *d);

#endif
