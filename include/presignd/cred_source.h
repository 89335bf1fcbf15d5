/*
 * cred_source - where credentials come from, without any I/O: a source says what to ask next and
 * reads the answer. The store (cred_store.h) does the asking. So tests and fuzzers need no socket.
 *
 * Sources: env, file (a profile of the shared credentials file), web_identity (IRSA), container (ECS,
 * EKS Pod Identity), imds (IMDSv2), and auto, which tries env, web_identity, container and imds in
 * this order; assume_role stands on top of any of them.
 */
#ifndef PRESIGND_CRED_SOURCE_H
#define PRESIGND_CRED_SOURCE_H

#include "presignd/creds.h"
#include "presignd/fetch.h"

enum cred_provider { /* words of CONFIG.md, in this order */
                     CRED_AUTO,
                     CRED_ENV,
                     CRED_FILE,
                     CRED_WEB_IDENTITY,
                     CRED_CONTAINER,
                     CRED_IMDS,
                     CRED_STATIC /* --dev: dummies or the environment's, given as texts */
};

/* A role to assume; role_arn "" = none. */
struct cred_role {
    struct str role_arn, session_name, external_id;
    struct str policy;  /* of the session, JSON; "" = all that the role may */
    int64_t duration_s; /* 900-43200 */
};

/* The AWS environment and the members of `credentials`, put together by config.c. "" = not set. */
struct cred_env {
    struct str access_key_id, secret_key, session_token, expiration; /* AWS_CREDENTIAL_EXPIRATION */
    struct str relative_uri, full_uri, auth_token, auth_token_file;  /* AWS_CONTAINER_* */
    struct str imds_endpoint, imds_endpoint_mode; /* AWS_EC2_METADATA_SERVICE_* */
    bool imds_disabled;                           /* AWS_EC2_METADATA_DISABLED */
    struct str role_arn, web_identity_token_file, role_session_name;
    struct str file, profile; /* of the file provider; profile "" = default */
    struct str config_file;   /* read after it: keys that it lacks, a role before any; "" = not */
    struct str region;        /* of STS: credentials.region, else AWS_REGION */
    struct str sts_endpoint;  /* scheme://host[:port]; "" = AWS's of the region */
    struct cred_role role;
    struct str ecs_endpoint; /* tests only: stands for http://169.254.170.2; "" = the real one */
};

enum { CRED_PROFILE_MAX = 128 };

enum next {
    NEXT_CALL,   /* out_call is what to ask */
    NEXT_DONE,   /* out_creds is a new generation */
    NEXT_FAIL,   /* asked and got nothing: why says what and what to do; try again later */
    NEXT_ABSENT, /* not configured here: auto goes on to the next; alone it is a failure */
};

struct cred_source;
struct cred_source_kind {
    const char *name;
    /* last->kind is REPLY_NONE on the first call of an attempt. *out_creds: one reference. */
    enum next (*next)(struct cred_source *s, const struct reply *last, int64_t now_s,
                      struct call *out_call, struct creds **out_creds, struct buf *why);
    void (*free)(struct cred_source *s);
};
struct cred_source {
    const struct cred_source_kind *kind;
    /* 0: what it gave stands until its end nears. Else the store asks again this often, and takes
     * whatever differs, even if it ends earlier: somebody wrote it there. */
    int64_t reread_s;
};

/* With env->role on top, where it names one (CRED_STATIC: never). Copies what it needs of env. NULL:
 * *why says what is wrong (a refused FULL_URI, a bad endpoint, ...), or is empty for no memory. */
struct cred_source *cred_source_new(enum cred_provider p, const struct cred_env *env,
                                    struct buf *why);
void cred_source_free(struct cred_source *s);

/* One constructor per file; cred_source_new picks. `name` is "env" or "static", a literal. */
struct cred_source *cred_env_new(const struct cred_env *env, const char *name, struct buf *why);
struct cred_source *cred_file_new(const struct cred_env *env, struct buf *why);
struct cred_source *cred_container_new(const struct cred_env *env, struct buf *why);
struct cred_source *cred_imds_new(const struct cred_env *env, struct buf *why);
struct cred_source *cred_web_identity_new(const struct cred_env *env, struct buf *why);
struct cred_source *cred_auto_new(const struct cred_env *env, struct buf *why);
struct cred_source *cred_assume_new(struct cred_source *inner, const struct cred_env *env,
                                    struct buf *why); /* takes inner, NULL too */

/* Fills `out` with the reading of a small file: NEXT_CALL. */
enum next cred_ask_file(struct call *out, struct str path, size_t max_bytes);

/* A sentence about a reply that brought nothing, for why: "answered 503", "cannot be reached: ...";
 * of a file: "cannot be read: there is no such file". */
void cred_reply_explain(struct buf *why, const struct reply *r);
void cred_file_explain(struct buf *why, const struct reply *r);

/*
 * Reads the document that IMDS and container endpoints answer with. ST_OK with a new generation;
 * ST_INVALID with why: no JSON, Code other than Success, a field missing, an unreadable or past
 * Expiration ("expired at arrival"). ST_NO_MEMORY. Members it does not know are skipped.
 */
MUST_CHECK enum status cred_json_read(struct str text, const char *source, int64_t now_s,
                                      struct creds **out, struct buf *why);

#endif
