/*
 * What is taken can be signed: it stands in a field as it is, names one type, and matches no
 * pattern but its own and, where no browser runs it, that of its kind. Reading it again changes
 * nothing.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "presignd/content_type.h"
#include "presignd/post_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void check_essence(struct str essence)
{
    size_t slash = str_find(essence, '/', 0);
    check(slash > 0 && slash + 1 < essence.len);
    check(str_find(essence, '/', slash + 1) == essence.len);
    for (size_t i = 0; i < essence.len; i++)
        check(essence.ptr[i] == ascii_lower(essence.ptr[i]) && !strchr(" ;\"", essence.ptr[i]));
    check(content_type_pattern_ok(essence));
    struct str extension = content_type_extension(essence);
    for (size_t i = 0; i < extension.len; i++)
        check(ascii_alnum(extension.ptr[i]));
}

static void check_taken(const struct content_type *ct, struct arena *a)
{
    struct content_type again;
    check(ct->whole.len > 0 && ct->whole.len <= CONTENT_TYPE_MAX);
    check(post_value_ok(ct->whole) && str_printable_ascii(ct->whole));
    for (size_t i = 0; i < ct->whole.len; i++)
        check(!strchr(",*$", ct->whole.ptr[i]));
    check(str_equal_nocase(str_slice(ct->whole, 0, ct->essence.len), ct->essence));
    check_essence(ct->essence);
    check(content_type_matches(ct, ct->essence));
    check(!content_type_matches(ct, STR("nothing/*")) || str_starts(ct->essence, STR("nothing/")));
    check(content_type_parse(ct->whole, a, &again) == ST_OK);
    check(str_equal(again.whole, ct->whole) && str_equal(again.essence, ct->essence));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(arena) a = ARENA_INIT(1 << 20);
    struct str text = { (const char *)data, size };
    struct content_type ct;
    enum status st = content_type_parse(text, &a, &ct);
    check(st == ST_OK || st == ST_INVALID_REQUEST);
    if (st == ST_OK)
        check_taken(&ct, &a);
    if (content_type_pattern_ok(text))
        check(text.len <= CONTENT_TYPE_MAX && str_printable_ascii(text));
    return 0;
}
