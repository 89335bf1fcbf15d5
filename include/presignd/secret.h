/*
 * secret - bytes that wipe themselves. No printer, no copy but secret_set.
 *
 * Fixed place, never reallocated: a moved secret leaves its old bytes behind.
 */
#ifndef PRESIGND_SECRET_H
#define PRESIGND_SECRET_H

#include "presignd/str.h"
#include "presignd/status.h"

enum { SECRET_MAX = 4096 };

struct secret {
    char *ptr; /* heap, of exactly len bytes (+ NUL) */
    size_t len;
};

#define SECRET_INIT ((struct secret){ NULL, 0 })

/* Wipes and frees; the secret is empty afterwards. */
void secret_release(struct secret *s);

/* Copies bytes in (they may be a view of the secret itself), wiping what was there. After
 * ST_TOO_LARGE (over SECRET_MAX) or ST_NO_MEMORY the secret is as before. */
MUST_CHECK enum status secret_set(struct secret *s, struct str bytes);

/* Reads a file (at most SECRET_MAX bytes); one trailing newline (LF or CR LF) is dropped.
 * ST_UNREACHABLE: not readable; ST_INVALID: empty; ST_TOO_LARGE; ST_NO_MEMORY. errno is kept. */
MUST_CHECK enum status secret_read_file(struct secret *s, const char *path);

/* For handing to a signer; valid while the secret is. */
struct str secret_view(const struct secret *s);

/* Overwrites memory in a way the compiler keeps. */
void crypto_wipe(void *p, size_t n);

/* Equal lengths and bytes, in time that depends on the lengths only. */
bool crypto_equal(struct str a, struct str b);

#endif
