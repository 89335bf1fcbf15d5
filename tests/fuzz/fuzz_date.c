/*
 * What a reader accepts lies in the range and comes back the same through the writer.
 */
#include <stdlib.h>

#include "presignd/date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool promise)
{
    if (!promise)
        abort();
}

static void check_moment(int64_t unix_s)
{
    AUTO(buf) text = BUF_INIT(64);
    int64_t back = -1;
    must(unix_s >= 0 && unix_s <= INT64_C(253402300799));
    date_iso(&text, unix_s);
    must(date_parse_rfc3339(buf_view(&text), &back) == ST_OK && back == unix_s);
    const struct date d = date_of(unix_s);
    must(date_unix(&d) == unix_s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str in = { (const char *)data, size };
    int64_t unix_s = -1;
    if (date_parse_rfc3339(in, &unix_s) == ST_OK)
        check_moment(unix_s);
    unix_s = -1;
    if (date_parse_http(in, &unix_s) == ST_OK)
        check_moment(unix_s);
    return 0;
}
