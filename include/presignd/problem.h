/*
 * problem - a fault as application/problem+json (RFC 9457) with the members of API.md section 1.
 */
#ifndef PRESIGND_PROBLEM_H
#define PRESIGND_PROBLEM_H

#include "presignd/fault.h"
#include "presignd/json_write.h"

/* Appends the whole document. */
void problem_write(struct buf *out, const struct fault *f, struct str request_id);

#endif
