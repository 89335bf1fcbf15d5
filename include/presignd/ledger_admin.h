/*
 * ledger_admin - POST /ledger/adjust of the admin listener: an operator's correction of what a user
 * has used, for objects that were deleted elsewhere (API.md section 5).
 */
#ifndef PRESIGND_LEDGER_ADMIN_H
#define PRESIGND_LEDGER_ADMIN_H

#include "presignd/ledger_call.h"
#include "presignd/keyring.h"

struct adjust_call {
    struct request r; /* first: container_of */
    struct str user, limit_name;
    int64_t delta;
    char user_hash[33];
    struct ledger_call adjust, show;
};

/* route->end and route->log */
void ledger_admin_end(struct request *r, bool answer_was_sent);
void ledger_admin_log(const struct request *r, struct jw *line);

#endif
