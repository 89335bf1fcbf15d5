/* floor: http
 *
 * The input is a message's header: a request line, then "name:value" lines, parted by LF; values may
 * hold what they like. What the gate lets through must be free of every ambiguity, judged here by
 * means of its own.
 */
#include <stdlib.h>
#include <string.h>

#include "presignd/gate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADER_BYTES = 4096, LINES_MAX = 64 };

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void must_be_text(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        const unsigned char c = (unsigned char)s.ptr[i];
        must(c == '\t' || (c >= 0x20 && c != 0x7f));
    }
}

static size_t lines_named(const struct str *names, size_t n, const char *wanted)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        found += str_equal_nocase(names[i], str_from(wanted));
    return found;
}

static void check_passed(const struct headers *h, const struct str *names, size_t n,
                         const char *method)
{
    static const char *const once[] = { "content-length", "transfer-encoding", "host",
                                        "authorization",  "content-type",      "origin" };
    for (size_t i = 0; i < ARRAY_LEN(once); i++)
        must(lines_named(names, n, once[i]) <= 1);
    const size_t length = lines_named(names, n, "content-length");
    const size_t chunked = lines_named(names, n, "transfer-encoding");
    must(length + chunked <= 1);
    must(h->chunked == (chunked == 1));
    must((h->content_length >= 0) == (length == 1));
    must(h->has_body == (h->chunked || h->content_length > 0));
    must(!h->has_body || (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0));
    must(h->lines == n && n <= LINES_MAX && h->bytes <= HEADER_BYTES);
    for (int id = 0; id < HEADER_COUNT; id++) {
        must((h->seen[id] > 0) == (h->values[id].ptr != NULL));
        must_be_text(h->values[id]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* a copy of the exact size, so that reading past the end is noticed */
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    struct str rest = { text, size }, line, names[LINES_MAX + 1];
    const char *reason = NULL;

    (void)str_cut(&rest, '\n', &line);
    if (gate_target(line, &reason) == ST_OK)
        must(line.len > 0 && line.ptr[0] == '/' && str_printable_ascii(line));

    char method[16] = "", version[9] = "HTTP/1.1";
    const size_t m = MIN_OF(str_find(line, '/', 0), sizeof(method) - 1);
    memcpy(method, line.ptr, m);
    version[7] = line.len & 1 ? '1' : '0';

    struct headers h = HEADERS_INIT;
    size_t n = 0;
    enum status st = ST_OK;
    while (st == ST_OK && str_cut(&rest, '\n', &line)) {
        const size_t colon = str_find(line, ':', 0);
        const struct str name = str_slice(line, 0, colon);
        st = gate_line(&h, name, str_slice(line, colon + 1, line.len), &reason);
        if (st == ST_OK)
            names[n++] = name;
    }
    const struct gate_rules rules = { .header_bytes = HEADER_BYTES, .target_bytes = 2048 };
    if (st == ST_OK)
        st = gate_end(&h, method, version, &rules, &reason);
    if (st == ST_OK)
        check_passed(&h, names, n, method);
    else
        must(st == ST_MALFORMED_HTTP || st == ST_HEADERS_TOO_LARGE);
    free(text);
    return 0;
}
