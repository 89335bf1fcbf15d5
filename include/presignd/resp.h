/*
 * resp - the words that all of the Redis floor shares: where the server is, what a reply looks like.
 * Source: Redis serialization protocol, RESP2 (redis.io/docs, "Redis serialization protocol").
 */
#ifndef PRESIGND_RESP_H
#define PRESIGND_RESP_H

#include "presignd/secret.h"

struct resp_config { /* texts are borrowed: they outlive the link */
    struct str host; /* a name or an address; IPv6 without brackets */
    uint16_t port;
    int database;
    bool tls; /* ST_INVALID at resp_link_new where hiredis was built without */
    struct str username;
    const struct secret *password; /* NULL: none */
    int64_t timeout_ms;            /* of one command */
};

enum resp_kind {
    RESP_OK,      /* a reply that is no error: rows[] has it, flattened */
    RESP_ERROR,   /* an error reply, text has it ("NOSCRIPT ...", "READONLY ...") */
    RESP_TIMEOUT, /* sent, no reply in time: it may have happened or may yet happen */
    RESP_UNSENT,  /* not connected, breaker open, or too many waiting: it did not happen */
    RESP_LOST,    /* sent, then the connection broke: it may have happened or may yet happen */
    RESP_GARBAGE, /* no reply that can be understood: the connection was closed */
};

/* Rows of one reply (nested arrays included), its bytes, and commands that wait on one link. A reply
 * beyond that is RESP_GARBAGE. */
enum { RESP_ROWS_MAX = 2048, RESP_REPLY_BYTES_MAX = 1 << 20, RESP_WAITING_MAX = 8192 };

struct resp_row { /* one element: integer, text or nothing */
    bool null, is_int;
    int64_t num;
    struct str text;
};

struct resp_reply { /* valid during the callback only */
    enum resp_kind kind;
    struct str text; /* of all but RESP_OK: the error, or a sentence that says why */
    const struct resp_row *rows;
    size_t n_rows;
};

#endif
