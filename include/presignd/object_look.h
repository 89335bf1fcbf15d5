/*
 * object_look - asks the store about one object: HEAD through a presigned URL of our own signer
 * (Amazon S3 API, HeadObject). 200: there; 404: missing; all else, 403 included (no s3:GetObject, or a
 * missing object without s3:ListBucket): unknown.
 */
#ifndef PRESIGND_OBJECT_LOOK_H
#define PRESIGND_OBJECT_LOOK_H

#include "presignd/creds.h"
#include "presignd/fetch.h"
#include "presignd/profile.h"
#include "presignd/upload.h"

enum { OBJECT_LOOK_MS = 2000 };

struct object_look {
    void (*done)(struct object_look *k,
                 const struct object_seen *seen); /* texts: during the call */
    struct fetch fetch;
};

struct object_ask {
    const struct bucket *bucket; /* asked at its own_place, not at the browser's */
    struct str key;
    const struct creds *creds;
    struct signing_keys *signing; /* of the loop */
    int64_t now_s;
};

/* done comes later from the loop, within OBJECT_LOOK_MS. Status of signing or of fetch_start: then
 * done never comes. */
MUST_CHECK enum status object_look_start(struct object_look *k, struct fetcher *fr,
                                         const struct object_ask *ask);
void object_look_cancel(struct object_look *k); /* fine when idle */

#endif
