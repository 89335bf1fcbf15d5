/*
 * config - one file, the environment over it, defaults under it: checked, compiled, immutable and
 * counted. The only place that reads the environment. The contract is the configuration page of the
 * project (README, "Configure") and config/presignd.schema.json.
 */
#ifndef PRESIGND_CONFIG_H
#define PRESIGND_CONFIG_H

#include <stdatomic.h>

#include "presignd/claims.h"
#include "presignd/cred_source.h"
#include "presignd/ledger_redis.h"
#include "presignd/log.h"
#include "presignd/profile.h"
#include "presignd/server.h"

enum ledger_backend { LEDGER_NONE, LEDGER_SQLITE, LEDGER_REDIS };

struct ledger_config {
    enum ledger_backend backend; /* LEDGER_NONE only where no plan has limits */
    struct str path;             /* LEDGER_SQLITE */
    /* LEDGER_REDIS; server.password is NULL: whoever opens the ledger reads password_file */
    struct ledger_redis_config redis;
    struct str password_file; /* "" = none */
};

struct web;

struct config {
    atomic_int refs;
    struct arena arena;              /* holds every text below */
    struct str listen, admin_listen; /* admin_listen "" = no admin listener */
    int threads;                     /* resolved: at least 1 */
    struct server_config server;     /* connections already divided by threads */
    struct issuer_config *issuers;
    size_t n_issuers;
    enum cred_provider provider;
    int64_t creds_min_ttl_s;
    struct cred_env env;
    struct rules rules;
    struct ledger_config ledger;
    int64_t drain_delay_ms, drain_timeout_ms;
    enum log_level log_level;
    bool ui;               /* always with dev */
    const struct web *web; /* NULL: off; made by whoever serves (reload.c) */
    bool dev;
    struct str warnings; /* one a line; may be empty */
    json_t *effective;   /* with defaults and environment applied; what `check` prints */
};

struct config *config_ref(struct config *c);
void config_unref(struct config *c);
DEFINE_AUTO_PTR_UNREF(config)

struct config_ask {
    const char *path; /* --config, or NULL: $PRESIGND_CONFIG, /etc/presignd/presignd.json */
    bool dev;         /* --dev: starts from the built-in development configuration */
    const char *dev_secret_file; /* --dev: where the throw-away HMAC secret was written */
    const char *dev_ledger_path; /* --dev: where the throw-away ledger lies */
    char **environment;          /* environ */
};

/*
 * ST_OK and *out with one reference. ST_INVALID: *why holds every fault found, one a line, each
 * a place (profiles.default.key, PRESIGND__UI, or file, line and column) and a sentence.
 * ST_UNREACHABLE: the file cannot be read, with why. ST_NO_MEMORY.
 * Files named by ..._file members are not read here but for being named (see key_source_load).
 */
MUST_CHECK enum status config_load(const struct config_ask *ask, struct config **out,
                                   struct buf *why);

/* The effective configuration as pretty JSON; secrets were never in it. */
MUST_CHECK enum status config_print(struct buf *out, const struct config *c);

/* What differs between two configurations that needs a restart ("listen", ...), or "". */
void config_needs_restart(struct buf *out, const struct config *was, const struct config *now);

/* The value of a variable, or the empty view. */
struct str config_env_get(char **environment, const char *name);

#endif
