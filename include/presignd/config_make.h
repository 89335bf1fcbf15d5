/*
 * config_make - what the config modules share while a configuration is made: its document, its
 * shape, and the compilation, section by section. Internal to them.
 */
#ifndef PRESIGND_CONFIG_MAKE_H
#define PRESIGND_CONFIG_MAKE_H

#include "presignd/config_raw.h"

/* One compilation: where it puts things and what it has to say. */
struct making {
    struct config *c;
    const struct config_ask *ask;
    struct raw_config raw;
    struct buf *why;
    struct buf warn;
    bool bad;
    bool no_memory;
};

/* "<section>.<name>.<member>: <sentence>"; empty parts are left out. */
void making_complain(struct making *m, struct str section, struct str name, struct str member,
                     struct str sentence);

#define COMPLAIN(m, section, name, member, sentence) \
    making_complain(m, STR(section), name, STR(member), STR(sentence))

/* n elements of the configuration's own memory; NULL is remembered. */
void *making_rows(struct making *m, size_t n, size_t size);

/* Complains of a name of an operator's choice that is not [a-z][a-z0-9-]*. */
void making_check_name(struct making *m, struct str section, struct str name);

/* Sections. config_take_ledger looks at the plans that config_take_plans made. */
void config_take_credentials(struct making *m);
void config_take_session_policy(
    struct making *m); /* assume_role.policy "prefix": of the profiles */
void config_take_plans(struct making *m);
void config_take_ledger(struct making *m);

/*
 * Lays PRESIGND__ variables over the document, each where its name points to and in the type the
 * tables want; a member's own variable beats one that sets what it stands in. ST_INVALID: faults
 * are appended to why, a line each, and the rest is applied all the same. ST_NO_MEMORY.
 */
MUST_CHECK enum status config_env_apply(json_t *doc, char **environment, struct buf *why);

/*
 * The completed document: what `check` prints. *out is owned by the caller whenever it is not NULL.
 * ST_INVALID with why: with a document where only variables were at fault, so that more can be
 * said. ST_UNREACHABLE with why; ST_NO_MEMORY.
 */
MUST_CHECK enum status config_document(const struct config_ask *ask, struct arena *a, json_t **out,
                                       struct buf *why);

/* Holds the document against raw_config_table. ST_INVALID: why has every fault, one a line. */
MUST_CHECK enum status config_shape(json_t *doc, struct arena *a, struct buf *why);

/* A name from outside, fit to stand in a line of complaint: controls and bad bytes become '?'. */
void config_put_name(struct buf *out, struct str name);

enum { CONFIG_THREADS_MAX = 64 };

/* Processors that affinity and control groups allow, 1 to CONFIG_THREADS_MAX. */
int config_processors(void);

/* The control groups' part alone; the files are looked for under root ("" = the system's). */
int64_t config_cgroup_processors(const char *root);

/* AWS_REGION, else AWS_DEFAULT_REGION; with --dev there is always one. */
struct str config_region(const struct config_ask *ask);

#endif
