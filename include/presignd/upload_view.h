/*
 * upload_view - a request about one upload that was granted before: view, cancel, complete.
 */
#ifndef PRESIGND_UPLOAD_VIEW_H
#define PRESIGND_UPLOAD_VIEW_H

#include "presignd/grant.h"
#include "presignd/ledger_call.h"
#include "presignd/object_look.h"

/* HEADs under way for complete, on one loop: a store that hangs keeps each for OBJECT_LOOK_MS. What
 * comes beyond them, or for an upload that is being looked at, is 503 overloaded. */
enum { LOOKS_AT_ONCE = 64 };

struct upload_call {
    struct grant_call g;       /* first: who asks, and with which credentials we look */
    struct ledger_call view;   /* found; somebody else's is not */
    struct ledger_call change; /* cancelled or completed */
    struct upload found;       /* as the answer shows it; texts in the arena */
    struct object_look look;
    bool asked_store;
    struct upload_call *next_look, **look_link; /* in worker.looks; look_link NULL: not in it */
    struct object_seen seen;                    /* its etag lies below, its why in the arena */
    char etag[UPLOAD_ETAG_MAX];
};

/* route->end and route->log. */
void upload_view_end(struct request *r, bool answer_was_sent);
void upload_view_log(const struct request *r, struct jw *line);

#endif
