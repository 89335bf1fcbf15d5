/*
 * A cleaned name holds nothing that a key or a header must not hold, fits, is in NFC, and is not
 * changed by cleaning it again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "presignd/filename.h"
#include "presignd/post_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void check_nfc(struct str s)
{
    utf8proc_uint8_t *nfc;
    utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)s.ptr, (utf8proc_ssize_t)s.len,
                                      &nfc, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    check(n >= 0);
    check(str_equal(s, (struct str){ (const char *)nfc, (size_t)n }));
    free(nfc);
}

static void check_extension(struct str extension)
{
    check(extension.len <= FILENAME_EXT_MAX);
    for (size_t i = 0; i < extension.len; i++)
        check(ascii_alnum(extension.ptr[i]) && ascii_lower(extension.ptr[i]) == extension.ptr[i]);
}

/* One quoted string and, for what is not ASCII, one extended value. */
static void check_disposition(struct str name)
{
    AUTO(buf) out = BUF_INIT(4096);
    filename_disposition(&out, name);
    check(buf_check(&out) == ST_OK);
    struct str text = buf_view(&out);
    check(str_printable_ascii(text) && post_value_ok(text));
    struct str start = STR("attachment; filename=\"");
    check(str_starts(text, start));
    size_t close = str_find(text, '"', start.len);
    struct str rest = str_slice(text, close + 1, text.len);
    check(close < text.len && str_printable_ascii(name) == (rest.len == 0));
    check(rest.len == 0 || str_starts(rest, STR("; filename*=UTF-8''")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(arena) a = ARENA_INIT(8 << 20);
    struct str raw = { (const char *)data, size };
    struct str name, again;
    if (size > 1 << 20)
        return 0;
    enum status st = filename_clean(raw, &a, &name);
    check(st == ST_OK || st == ST_FILENAME_INVALID);
    if (st != ST_OK)
        return 0;
    check(name.len > 0 && name.len <= FILENAME_MAX_BYTES);
    check(post_value_ok(name) && name.ptr[0] != '.');
    check(str_find(name, '/', 0) == name.len && str_find(name, '\\', 0) == name.len);
    check_nfc(name);
    check(filename_clean(name, &a, &again) == ST_OK && str_equal(name, again));
    check_extension(filename_extension(name, &a));
    check_disposition(name);
    return 0;
}
