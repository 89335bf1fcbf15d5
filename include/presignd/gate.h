/*
 * gate - the header gate: one pass over a request's header lines that refuses what proxies and
 * servers might read differently (RFC 9112 sections 2.2, 3, 5, 6.1-6.3), and picks out the few
 * headers that we read.
 */
#ifndef PRESIGND_GATE_H
#define PRESIGND_GATE_H

#include <microhttpd.h>

#include "presignd/status.h"

enum header_id { /* the headers we read; anything else is only gated */
                 HEADER_AUTHORIZATION,
                 HEADER_COOKIE,
                 HEADER_ORIGIN,
                 HEADER_CONTENT_TYPE,
                 HEADER_CONTENT_LENGTH,
                 HEADER_TRANSFER_ENCODING,
                 HEADER_HOST,
                 HEADER_EXPECT,
                 HEADER_IDEMPOTENCY_KEY,
                 HEADER_X_REQUEST_ID,
                 HEADER_X_FORWARDED_FOR,
                 HEADER_ACR_METHOD,
                 HEADER_IF_NONE_MATCH,
                 HEADER_COUNT
};

struct headers {
    struct str values[HEADER_COUNT];  /* trimmed; ptr NULL: not sent; of repeated ones the last */
    unsigned char seen[HEADER_COUNT]; /* lines of that name, at most 255 counted */
    size_t lines;
    size_t bytes;  /* sum of names, values and 4 per line */
    bool has_body; /* Content-Length > 0 or chunked */
    bool chunked;
    bool last;              /* nothing may be read from the connection after this message */
    int64_t content_length; /* -1: none */
};

/* The request line as the library split it: its pointers into the connection's memory. */
struct request_line {
    const char *method, *url, *version;
    struct str
        target;    /* raw, as sent (a copy); len is the true length even where the copy is cut */
    size_t copied; /* bytes that target.ptr really holds */
};

struct gate_rules {
    size_t header_bytes; /* over it: ST_HEADERS_TOO_LARGE */
    size_t target_bytes; /* 2048; over it: ST_URI_TOO_LONG */
};

/*
 * ST_OK; ST_MALFORMED_HTTP (*reason: a literal for the log): bad name or value bytes, NUL, folded
 * or LF-ended line (libmicrohttpd < 1.0), repeated Content-Length / Host / Authorization /
 * Content-Type / Transfer-Encoding / Origin, TE with CL, TE other than chunked or on HTTP/1.0, a
 * body on GET or HEAD, more than 64 lines, a version other than 1.0 and 1.1, a method that is no
 * token, a target that is not origin-form, no Host on 1.1; ST_HEADERS_TOO_LARGE; ST_URI_TOO_LONG.
 * *out borrows the connection's memory and is filled as far as the gate came.
 */
MUST_CHECK enum status gate_check(struct MHD_Connection *conn, const struct request_line *line,
                                  const struct gate_rules *rules, struct headers *out,
                                  const char **reason);

/* The parts of the gate that need no connection, for tests and fuzzing. A struct headers begins
 * as HEADERS_INIT; gate_line takes one line, gate_end judges what only the whole shows. */
#define HEADERS_INIT ((struct headers){ .content_length = -1 })
MUST_CHECK enum status gate_line(struct headers *h, struct str name, struct str value,
                                 const char **reason);
MUST_CHECK enum status gate_target(struct str target, const char **reason);
MUST_CHECK enum status gate_end(struct headers *h, const char *method, const char *version,
                                const struct gate_rules *rules, const char **reason);

#endif
