/*
 * gate - the header gate: one pass over a request's header lines that refuses what proxies and
 * servers might read differently (RFC 9112 sections 2.2, 5, 6.1-6.3), and picks out the few
 * headers that we read.
 */
#ifndef PRESIGND_GATE_H
#define PRESIGND_GATE_H

#include <microhttpd.h>

#include "presignd/status.h"

enum header_id { /* the headers we read; anything else is only gated */
    HEADER_AUTHORIZATION, HEADER_COOKIE, HEADER_ORIGIN, HEADER_CONTENT_TYPE, HEADER_CONTENT_LENGTH,
    HEADER_TRANSFER_ENCODING, HEADER_HOST, HEADER_EXPECT, HEADER_IDEMPOTENCY_KEY,
    HEADER_X_REQUEST_ID, HEADER_X_FORWARDED_FOR, HEADER_ACR_METHOD, HEADER_IF_NONE_MATCH,
    HEADER_COUNT
};

struct headers {
    struct str values[HEADER_COUNT]; /* ptr NULL: not sent; of repeatable ones the last line */
    unsigned char seen[HEADER_COUNT];
    size_t lines;
    size_t bytes; /* sum of names, values and 4 per line */
    bool has_body;       /* Content-Length > 0 or chunked */
    bool chunked;
    int64_t content_length; /* -1: none */
};

struct gate_rules {
    size_t header_bytes; /* over it: ST_HEADERS_TOO_LARGE */
    size_t target_bytes; /* 2048; over it: ST_URI_TOO_LONG */
};

/*
 * ST_OK; ST_MALFORMED_HTTP (*reason: a literal for the log): bad name or value bytes, NUL, folded
 * line (libmicrohttpd < 1.0), repeated Content-Length / Host / Authorization / Content-Type /
 * Transfer-Encoding, TE with CL, TE other than chunked or on HTTP/1.0, more than 64 lines, a target
 * that is not origin-form, no Host on 1.1; ST_HEADERS_TOO_LARGE; ST_URI_TOO_LONG.
 */
MUST_CHECK enum status gate_check(struct MHD_Connection *conn, struct str target,
                                  const char *version, const struct gate_rules *rules,
                                  struct headers *out, const char **reason);

/* The parts of the gate that need no connection, for tests and fuzzing. */
MUST_CHECK enum status gate_line(struct headers *h, struct str name, struct str value,
                                 const char **reason);
MUST_CHECK enum status gate_end(struct headers *h, const char *method, const char *version,
                                const struct gate_rules *rules, const char **reason);

#endif
