/*
 * jw - writes JSON: keys are literals, values are escaped, commas and depth are the writer's.
 *
 * Compact by default; `pretty` indents by two blanks for people (check, error output).
 * Escapes (RFC 8259 section 7) only what must be: quote, backslash, controls below 0x20 and DEL, and
 * what a terminal would act on (str_hidden_at). Other non-ASCII goes out as raw UTF-8; a byte that is
 * no UTF-8 becomes U+FFFD.
 */
#ifndef PRESIGND_JSON_WRITE_H
#define PRESIGND_JSON_WRITE_H

#include "presignd/buf.h"

enum { JW_DEPTH_MAX = 32 };

struct jw {
    struct buf *out;
    bool pretty;
    int depth;
    bool comma; /* a value stands before */
    char closers[JW_DEPTH_MAX];
    bool broken; /* our own mistake: unbalanced or too deep */
};

/* `bracket` is '{' or '['. jw_open at the top or inside an array; jw_open_key inside an object. */
void jw_open(struct jw *j, char bracket);
void jw_open_key(struct jw *j, const char *key, char bracket);
void jw_close(struct jw *j);

/* Members of an object. */
void jw_str(struct jw *j, const char *key, struct str value);
void jw_int(struct jw *j, const char *key, int64_t value);
void jw_bool(struct jw *j, const char *key, bool value);
void jw_null(struct jw *j, const char *key);

/* A member whose name is data (a form field): escaped like a value. */
void jw_pair(struct jw *j, struct str key, struct str value);
void jw_pair_int(struct jw *j, struct str key, int64_t value);
void jw_open_pair(struct jw *j, struct str key, char bracket);

/* A member whose value is JSON text made by jw earlier. */
void jw_raw(struct jw *j, const char *key, struct str json);

/* Seconds with `decimals` 3 from microseconds: for durations in logs ("0.012"). */
void jw_micros_as_s(struct jw *j, const char *key, int64_t micros);

/* Elements of an array. */
void jw_item_str(struct jw *j, struct str value);
void jw_item_int(struct jw *j, int64_t value);

/* Only the escaped text between quotes, without them; for text glued by a caller's own writer. */
void jw_escape(struct buf *out, struct str value);

/* ST_OK when everything is closed and fitted; else the buffer's status or ST_INTERNAL. */
MUST_CHECK enum status jw_end(const struct jw *j);

#endif
