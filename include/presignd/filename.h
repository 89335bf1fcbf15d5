/*
 * filename - makes a client's file name harmless: the part after the last '/' or '\', NFC (by
 * utf8proc), without controls, bidi marks, '$' and leading dots, at most 255 bytes keeping the
 * extension (CONFIG.md, {filename}).
 */
#ifndef PRESIGND_FILENAME_H
#define PRESIGND_FILENAME_H

#include "presignd/arena.h"

enum { FILENAME_MAX_BYTES = 255, FILENAME_EXT_MAX = 16 };

/* ST_OK; ST_FILENAME_INVALID: nothing is left, or bad UTF-8; ST_NO_MEMORY. */
MUST_CHECK enum status filename_clean(struct str raw, struct arena *a, struct str *out);

/* The extension lower-cased without the dot when it is [a-z0-9]{1,16}; else "". Needs a cleaned name. */
struct str filename_extension(struct str clean, struct arena *a);

/* Content-Disposition: `attachment; filename="..."; filename*=UTF-8''...` (RFC 6266, RFC 8187). The
 * second form only where the name is not plain ASCII; quotes and backslashes become '_' in the first. */
void filename_disposition(struct buf *out, struct str clean);

#endif
