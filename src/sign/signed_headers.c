/*
 * signed_headers - what every signer of headers does with them.
 */
#include "presignd/signed_headers.h"

#include <stdlib.h>

bool signed_header_ok(const struct url_param *h)
{
    for (size_t i = 0; i < h->name.len; i++) {
        const char c = h->name.ptr[i];
        if (!(c >= 'a' && c <= 'z') && !ascii_digit(c) && c != '-')
            return false;
    }
    return h->name.len > 0 && str_printable_ascii(h->value);
}

static int by_name(const void *a, const void *b)
{
    return str_compare(((const struct url_param *)a)->name, ((const struct url_param *)b)->name);
}

enum status signed_headers_sort(struct url_param *list, size_t n)
{
    qsort(list, n, sizeof(list[0]), by_name);
    for (size_t i = 1; i < n; i++)
        if (str_equal(list[i].name, list[i - 1].name))
            return ST_INVALID;
    return ST_OK;
}

/* Trimmed, each inner run of blanks as one. */
static void write_value(struct buf *out, struct str value)
{
    value = str_trim(value);
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] != ' ' || value.ptr[i - 1] != ' ')
            buf_char(out, value.ptr[i]);
}

void signed_headers_names(struct buf *out, const struct url_param *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_lit(out, ";");
        buf_str(out, list[i].name);
    }
}

void signed_headers_write(struct buf *out, const struct url_param *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_str(out, list[i].name);
        buf_lit(out, ":");
        write_value(out, list[i].value);
        buf_lit(out, "\n");
    }
    buf_lit(out, "\n");
    signed_headers_names(out, list, n);
}
