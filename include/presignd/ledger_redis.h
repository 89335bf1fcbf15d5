/*
 * ledger_redis - the fleet's engine: replicas behind a load balancer share one truth in Redis >= 6 or
 * Valkey. One Lua script per question, the server's clock, one hash-tagged key per user (and more
 * with the same tag); every key has a TTL but a user's that holds a limit without window.
 *
 * Redis down: rate limits fall back to a local share (max / replicas), quotas are refused (both by
 * configuration). Plans without limits never wait for it.
 */
#ifndef PRESIGND_LEDGER_REDIS_H
#define PRESIGND_LEDGER_REDIS_H

#include "presignd/ledger.h"
#include "presignd/resp_link.h"

enum ledger_on_rate { ON_RATE_LOCAL, ON_RATE_DENY, ON_RATE_ALLOW };
enum ledger_on_quota { ON_QUOTA_DENY, ON_QUOTA_ALLOW };

struct ledger_redis_config {
    struct resp_config server;
    struct str prefix;
    int64_t replicas; /* >= 1 */
    enum ledger_on_rate on_rate;
    enum ledger_on_quota on_quota;
    bool own_clock; /* tests: op->now_us instead of the server's TIME */
};

/* What the ledgers of one process share: the local rate limits (a lock, taken while Redis is down
 * only). NULL without memory. Freed after all its ledgers. */
struct ledger_fleet *ledger_fleet_new(const struct ledger_redis_config *c);
void ledger_fleet_free(struct ledger_fleet *f);

/* One loop's connection; it comes up in the background. ST_INVALID with why, ST_NO_MEMORY. */
MUST_CHECK enum status ledger_redis_new(struct ledger **out, struct ledger_fleet *f, struct loop *l,
                                        struct buf *why);

#endif
