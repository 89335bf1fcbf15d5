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

enum {
    RESP_ROWS_MAX = 2048,             /* of one reply, nested arrays included, and */
    RESP_REPLY_BYTES_MAX = 1 << 20,   /* its bytes: what is larger is RESP_GARBAGE */
    RESP_WAITING_MAX = 8192,          /* commands on one link */
    RESP_ARGS_MAX = 8192,             /* words of one command, and */
    RESP_COMMAND_BYTES_MAX = 1 << 20, /* their bytes: what is larger is RESP_UNSENT */
};

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

struct resp_command {
    void (*done)(struct resp_command *c, const struct resp_reply *r); /* may ask again */
    void *slot; /* the link's; NULL: not under way */
};

/* A Lua script: sent as EVALSHA, as EVAL after NOSCRIPT. It outlives what is under way. */
struct resp_script {
    struct str text;
    char sha1[41]; /* filled by resp_script_prepare; empty: always sent as EVAL */
};
void resp_script_prepare(struct resp_script *s);

#endif
