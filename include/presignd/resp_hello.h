/*
 * resp_hello - what is said on a fresh connection to Redis, and whether its server will do: AUTH,
 * SELECT, then the checks that INFO allows. Pure: says what to ask next and reads the answer.
 *
 * Refused: a version before 6, a replica, a server that still loads, Sentinel, a cluster of more
 * than one shard, wrong credentials. A warning only: eviction that may forget what was promised, and
 * a user who may not ask INFO. Source: redis.io/docs, commands AUTH, SELECT, INFO, CLUSTER INFO.
 */
#ifndef PRESIGND_RESP_HELLO_H
#define PRESIGND_RESP_HELLO_H

#include "presignd/buf.h"
#include "presignd/resp.h"

enum { RESP_HELLO_ARGS = 3 };

enum hello_verdict {
    HELLO_ASK,  /* ask argv, hand the reply in */
    HELLO_FINE, /* commands may be sent; warning may say something */
    HELLO_NO,   /* not this server, not now: why says it */
};

struct resp_hello {
    const struct resp_config *config; /* borrowed */
    int step;
    bool is_cluster;
    struct str argv[RESP_HELLO_ARGS]; /* the password's is a view of the secret */
    size_t argc;
    struct buf warning; /* fixed, in the space below: do not move the struct */
    struct buf version;
    char number[24];
    char warning_space[256];
    char version_space[32];
};

void resp_hello_start(struct resp_hello *h, const struct resp_config *c);

/* `last` answers what was asked before; NULL the first time. RESP_OK or RESP_ERROR only. */
enum hello_verdict resp_hello_next(struct resp_hello *h, const struct resp_reply *last,
                                   struct buf *why);

/*
 * Does this error reply say that the server is of no use as it is (READONLY, LOADING, MOVED, NOAUTH
 * and the like)? Then *why gets a sentence, and another connection is to be made.
 */
bool resp_hello_ends(struct str error, struct buf *why);

#endif
