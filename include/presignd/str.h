/*
 * str - a view: borrowed bytes with a length. May lack a NUL, may hold one.
 *
 * Whoever makes a view answers for its bytes living longer than the view.
 */
#ifndef PRESIGND_STR_H
#define PRESIGND_STR_H

#include "presignd/base.h"

struct str {
    const char *ptr;
    size_t len;
};

/* A literal as a view: STR in expressions, STR_INIT in static tables. */
#define STR(lit) ((struct str){ "" lit, sizeof(lit) - 1 })
/* clang-format off */
#define STR_INIT(lit) { "" lit, sizeof(lit) - 1 }
/* clang-format on */
#define STR_NONE ((struct str){ NULL, 0 })

/* printf("%.*s", STR_ARGS(s)), for messages of commands and tests only. */
#define STR_ARGS(s) (int)(s).len, (s).ptr ? (s).ptr : ""

/* The view of a C string; NULL gives the empty view. */
struct str str_from(const char *cstr);

bool str_equal(struct str a, struct str b);

/* ASCII letters compare equal in either case; other bytes exactly. */
bool str_equal_nocase(struct str a, struct str b);

bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);

/* <0, 0, >0 as memcmp does, the shorter first on a tie; not for secrets. */
int str_compare(struct str a, struct str b);

/* Index of the first `c` at or after `from`; s.len if there is none. */
size_t str_find(struct str s, char c, size_t from);

/* Index of the first `part`, which is not empty; s.len if there is none. */
size_t str_find_text(struct str s, struct str part);

/* The bytes [from, to); both are clamped to the length. */
struct str str_slice(struct str s, size_t from, size_t to);

/* Without leading and trailing SP and HT. */
struct str str_trim(struct str s);

/*
 * Takes the part before the next `sep` off the front of *rest into *out_part. False when *rest was
 * exhausted; a trailing separator gives one empty last part. Start with the whole text in *rest;
 * an exhausted rest has ptr NULL.
 */
bool str_cut(struct str *rest, char sep, struct str *out_part);

/* Decimal digits only, no sign, no blanks, within [0, max]. False otherwise. */
bool str_to_int(struct str s, int64_t max, int64_t *out_value);

/* True when every byte is ASCII and neither a control nor DEL. */
bool str_printable_ascii(struct str s);

/* True when the bytes are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool str_valid_utf8(struct str s);

/* Bytes of the well-formed UTF-8 sequence (RFC 3629) that starts at `at`; 0 when there is none. */
size_t str_utf8_at(struct str s, size_t at);

/* Is the character of n bytes at `at` (str_utf8_at) a C1 control or one that turns the direction of
 * the text: U+061C, U+200E, U+200F, U+202A-202E, U+2066-2069? */
bool str_hidden_at(struct str s, size_t at, size_t n);

static inline char ascii_lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static inline bool ascii_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool ascii_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool ascii_alnum(char c)
{
    return ascii_alpha(c) || ascii_digit(c);
}

#endif
