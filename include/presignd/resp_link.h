/*
 * resp_link - one bounded Redis command (RESP): one connection of a loop to Redis or
 * Valkey (hiredis async), kept up without ever blocking the loop.
 *
 * Names are resolved on a helper thread, anew at each reconnect (full jitter, 50 ms to 5 s). Each
 * command has our deadline; one that passes it is answered RESP_TIMEOUT at once, and its late
 * reply is dropped. After RESP_BREAKER_FAILURES in a row the breaker opens: commands fail at once
 * until a probe (PING) got through; a probe without answer is the end of the connection. Source:
 * Redis protocol and command pages (redis.io/docs), hiredis 0.14 and 1.x headers.
 */
#ifndef PRESIGND_RESP_LINK_H
#define PRESIGND_RESP_LINK_H

#include "presignd/buf.h"
#include "presignd/loop.h"
#include "presignd/resp.h"

/* Failures in a row (no answer in time) that open the breaker; all commands that one stall of the
 * server makes wait are one failure in timeout_ms. */
enum { RESP_BREAKER_FAILURES = 5 };

struct resp_link;

/* What the owner hears: after each connect (hello done: AUTH, SELECT, the checks), after each loss. */
struct resp_listener {
    void (*changed)(struct resp_listener *h, bool up, struct str why);
};

/* Connects in the background. ST_INVALID with why (TLS wanted, not built in), ST_NO_MEMORY. */
MUST_CHECK enum status resp_link_new(struct resp_link **out, struct loop *l,
                                     const struct resp_config *c, struct resp_listener *h,
                                     struct buf *why);
void resp_link_free(struct resp_link *k); /* commands under way: done is not called */

/* True while commands are sent; the reason otherwise (or a warning, such as an evicting server). */
bool resp_link_up(const struct resp_link *k, struct str *why);

/*
 * Starts; texts are copied into the output buffer. done comes later from the loop, never from inside
 * this call, within timeout_ms. Commands reach the server in order, as long as the connection is the
 * same: what RESP_LOST or RESP_TIMEOUT left on an old one may happen after what was sent on the next.
 * `s` NULL: argv is a whole command; else KEYS and ARGV of the script: n_keys of argv, then arguments.
 */
void resp_link_send(struct resp_link *k, struct resp_command *c, const struct resp_script *s,
                    size_t n_keys, const struct str *argv, size_t argc);

/* Nobody wants the answer; the command itself may still happen. Fine when not under way. */
void resp_link_forget(struct resp_link *k, struct resp_command *c);

#endif
