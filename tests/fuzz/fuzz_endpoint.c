/*
 * An endpoint setting that is taken names a host that a browser leaves as it is: lower case, no user,
 * no path, and resolving what came out gives the same again.
 */
#include <stdlib.h>
#include <string.h>

#include "presignd/endpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 4096 };

static void must(bool promise)
{
    if (!promise)
        abort();
}

static void check_host(struct str host)
{
    for (size_t i = 0; i < host.len; i++) {
        const char c = host.ptr[i];
        must((c >= 'a' && c <= 'z') || ascii_digit(c) || memchr("-._:[]", c, 6));
    }
    must(host.len > 0);
}

/* The base URL of bucket b-1 at this endpoint; empty when it was refused. */
static void resolve(struct str endpoint, bool path_style, struct buf *out)
{
    AUTO(buf) text = BUF_INIT(TEXT_MAX);
    AUTO(buf) why = BUF_INIT(TEXT_MAX);
    const struct endpoint_config c = {
        .bucket = STR("b-1"),
        .endpoint = endpoint,
        .region = STR("eu-west-1"),
        .path_style = path_style,
    };
    struct endpoint place;
    const enum status st = endpoint_resolve(&c, true, &text, &place, &why);
    must(st == ST_OK || (st == ST_INVALID && why.len > 0));
    if (st != ST_OK)
        return;
    check_host(place.host);
    must(str_equal(place.path, path_style ? STR("/b-1/") : STR("/")));
    endpoint_base_url(out, &place);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > TEXT_MAX / 4)
        return 0;
    const struct str in = { (const char *)data, size };
    AUTO(buf) once = BUF_INIT(TEXT_MAX);
    AUTO(buf) twice = BUF_INIT(TEXT_MAX);
    resolve(in, false, &once);
    buf_reset(&once);
    resolve(in, true, &once);
    const struct str url = buf_view(&once);
    if (url.len > 0 && size > 0) {
        resolve(str_slice(url, 0, url.len - strlen("/b-1/")), true, &twice);
        must(str_equal(url, buf_view(&twice)));
    }
    return 0;
}
