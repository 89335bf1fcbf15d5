/*
 * What a decoder accepts is what the encoder writes, and percent-encoding can be undone.
 */
#include <stdlib.h>

#include "presignd/encode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 64 * 1024 };

static void must(bool promise)
{
    if (!promise)
        abort();
}

static void canonical(struct str in, enum status (*decode)(struct buf *, struct str),
                      void (*encode)(struct buf *, struct str), bool any_case)
{
    AUTO(buf) bytes = BUF_INIT(INPUT_MAX);
    AUTO(buf) text = BUF_INIT(2 * INPUT_MAX);
    const enum status st = decode(&bytes, in);
    must(st == ST_OK || st == ST_INVALID);
    if (st != ST_OK)
        return;
    encode(&text, buf_view(&bytes));
    must(any_case ? str_equal_nocase(buf_view(&text), in) : str_equal(buf_view(&text), in));
}

static int hex(char c)
{
    return ascii_digit(c) ? c - '0' : c - 'A' + 10;
}

static void undone(struct str in, void (*encode)(struct buf *, struct str))
{
    AUTO(buf) text = BUF_INIT(3 * INPUT_MAX);
    encode(&text, in);
    must(buf_check(&text) == ST_OK);
    must(str_printable_ascii(buf_view(&text)));
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++, n++) {
        char c = text.ptr[i];
        if (c == '%') {
            must(i + 2 < text.len);
            c = (char)(hex(text.ptr[i + 1]) << 4 | hex(text.ptr[i + 2]));
            i += 2;
        }
        must(n < in.len && c == in.ptr[n]);
    }
    must(n == in.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > INPUT_MAX)
        return 0;
    const struct str in = { (const char *)data, size };
    canonical(in, decode_hex, encode_hex, true);
    canonical(in, decode_base64, encode_base64, false);
    canonical(in, decode_base64url, encode_base64url, false);
    undone(in, encode_uri);
    undone(in, encode_uri_path);
    return 0;
}
