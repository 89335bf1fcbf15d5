/*
 * quota - a request for what is left of the caller's limits.
 */
#ifndef PRESIGND_QUOTA_H
#define PRESIGND_QUOTA_H

#include "presignd/grant.h"
#include "presignd/ledger_call.h"

struct quota_call {
    struct grant_call g; /* first: who asks */
    struct ledger_call peek;
};

/* route->end */
void quota_end(struct request *r, bool answer_was_sent);

#endif
