/*
 * config_document - the configuration's document, completed: from a file (or built in, or from nowhere),
 * the environment laid over it, defaults put under it.
 */
#include "presignd/config_make.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "presignd/json_guard.h"

#define DEFAULT_PATH "/etc/presignd/presignd.json"

enum { FILE_BYTES_MAX = 4 << 20, DEPTH_MAX = 16 };

/* ---- the document ------------------------------------------------------------------------------- */

/* Members that dst lacks come from src, at every depth of objects. */
static int fill_missing(json_t *dst, json_t *src)
{
    const char *key;
    json_t *value;
    json_object_foreach(src, key, value)
    {
        json_t *have = json_object_get(dst, key);
        if (!have && json_object_set_new(dst, key, json_deep_copy(value)) != 0)
            return -1;
        if (json_is_object(have) && json_is_object(value) && fill_missing(have, value) != 0)
            return -1;
    }
    return 0;
}

/* NULL without memory: our own texts are good JSON. */
static json_t *parse_own(const char *text)
{
    json_t *doc = NULL;
    json_error_t unused;
    const enum status st = json_guard_load(str_from(text), 0, &doc, &unused);
    assert(st != ST_INVALID_REQUEST);
    return st == ST_OK ? doc : NULL;
}

static int fill_text(json_t *dst, const char *defaults)
{
    json_t *src = parse_own(defaults);
    if (!src)
        return -1;
    const int rc = json_is_object(dst) ? fill_missing(dst, src) : 0;
    json_decref(src);
    return rc;
}

/* Plans and what holds them go together: a file that says something of them says all. */
static void drop_plans(json_t *src, json_t *dst)
{
    static const char *const names[] = { "plans", "default_plan", "ledger" };
    bool said = false;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        said = said || json_object_get(dst, names[i]);
    for (size_t i = 0; said && i < ARRAY_LEN(names); i++)
        json_object_del(src, names[i]);
}

/* Only what is missing whole: nothing is mixed into what the file says, but for the drain's delay. */
static int fill_sections(json_t *dst, const char *defaults)
{
    json_t *src = parse_own(defaults);
    if (!src)
        return -1;
    drop_plans(src, dst);
    int rc = json_is_object(dst) ? json_object_update_missing(dst, src) : 0;
    json_t *drain = json_object_get(dst, "drain");
    if (rc == 0 && json_is_object(drain))
        rc = fill_missing(drain, json_object_get(src, "drain"));
    json_decref(src);
    return rc;
}

static int fill_each(json_t *map, const char *defaults)
{
    const char *key;
    json_t *value;
    json_object_foreach(map, key, value)
    {
        if (fill_text(value, defaults) != 0)
            return -1;
    }
    return 0;
}

static int fill_regions(json_t *buckets, struct str region)
{
    const char *key;
    json_t *bucket;
    json_object_foreach(buckets, key, bucket)
    {
        if (region.len && json_is_object(bucket) && !json_object_get(bucket, "region") &&
            json_object_set_new(bucket, "region", json_stringn(region.ptr, region.len)) != 0)
            return -1;
    }
    return 0;
}

/* The larger of 3600 and expires_s, where the profile does not say. */
static int fill_max_expires(json_t *profiles)
{
    const char *key;
    json_t *p;
    json_object_foreach(profiles, key, p)
    {
        if (!json_is_object(p) || json_object_get(p, "max_expires_s"))
            continue;
        const json_int_t s = json_integer_value(json_object_get(p, "expires_s"));
        if (json_object_set_new(p, "max_expires_s", json_integer(MAX_OF(s, 3600))) != 0)
            return -1;
    }
    return 0;
}

static int fill_issuers(json_t *doc, const struct config_ask *ask)
{
    json_t *list = json_object_get(json_object_get(doc, "auth"), "issuers");
    size_t i;
    json_t *issuer;
    json_array_foreach(list, i, issuer)
    {
        if (fill_text(issuer, raw_issuer_defaults) != 0)
            return -1;
        const char *name = json_string_value(json_object_get(issuer, "issuer"));
        if (ask->dev && ask->dev_secret_file && name && strcmp(name, "presignd-dev") == 0 &&
            !json_object_get(issuer, "secret_file") &&
            json_object_set_new(issuer, "secret_file", json_string(ask->dev_secret_file)) != 0)
            return -1;
    }
    return 0;
}

/* A rate may take all of it at one instant, where its limit does not say. */
static int fill_bursts(json_t *plans)
{
    const char *key;
    json_t *plan, *limit;
    size_t i;
    json_object_foreach(plans, key, plan)
    {
        json_array_foreach(json_object_get(plan, "limits"), i, limit)
        {
            const char *kind = json_string_value(json_object_get(limit, "kind"));
            json_t *max = json_object_get(limit, "max");
            if (kind && strcmp(kind, "rate") == 0 && json_is_integer(max) &&
                !json_object_get(limit, "burst") && json_object_set(limit, "burst", max) != 0)
                return -1;
        }
    }
    return 0;
}

/* A member of one backend is no member of another: only its own defaults are put under it. */
static int fill_ledger(json_t *ledger, const struct config_ask *ask)
{
    const char *backend = json_string_value(json_object_get(ledger, "backend"));
    if (backend && strcmp(backend, "redis") == 0)
        return fill_text(ledger, raw_redis_defaults);
    if (!backend || strcmp(backend, "sqlite") != 0)
        return 0;
    if (ask->dev && ask->dev_ledger_path && !json_object_get(ledger, "path") &&
        json_object_set_new(ledger, "path", json_string(ask->dev_ledger_path)) != 0)
        return -1;
    return fill_text(ledger, raw_sqlite_defaults);
}

static int fill_role(json_t *credentials)
{
    json_t *role = json_object_get(credentials, "assume_role");
    return json_is_object(role) ? fill_text(role, raw_role_defaults) : 0;
}

struct str config_region(const struct config_ask *ask)
{
    const struct str region = config_env_get(ask->environment, "AWS_REGION");
    if (region.len)
        return region;
    const struct str other = config_env_get(ask->environment, "AWS_DEFAULT_REGION");
    return other.len || !ask->dev ? other : STR("us-east-1");
}

/* --dev has the page, whatever is said; what is no answer at all stays, to be complained of. */
static int fill_page(json_t *doc, const struct config_ask *ask)
{
    const json_t *said = json_object_get(doc, "ui");
    if (!ask->dev || (said && !json_is_boolean(said)))
        return 0;
    return json_object_set_new(doc, "ui", json_true());
}

static enum status complete(json_t *doc, const struct config_ask *ask)
{
    const bool ok = fill_page(doc, ask) == 0 && fill_text(doc, raw_defaults) == 0 &&
                    fill_issuers(doc, ask) == 0 &&
                    fill_each(json_object_get(doc, "buckets"), raw_bucket_defaults) == 0 &&
                    fill_each(json_object_get(doc, "profiles"), raw_profile_defaults) == 0 &&
                    fill_each(json_object_get(doc, "plans"), raw_plan_defaults) == 0 &&
                    fill_bursts(json_object_get(doc, "plans")) == 0 &&
                    fill_ledger(json_object_get(doc, "ledger"), ask) == 0 &&
                    fill_role(json_object_get(doc, "credentials")) == 0 &&
                    fill_regions(json_object_get(doc, "buckets"), config_region(ask)) == 0 &&
                    fill_max_expires(json_object_get(doc, "profiles")) == 0;
    return ok ? ST_OK : ST_NO_MEMORY;
}

/* ---- the file ----------------------------------------------------------------------------------- */

static enum status read_file(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return ST_UNREACHABLE;
    char *room;
    while ((room = buf_room(out, 65536)) != NULL) {
        const size_t n = fread(room, 1, 65536, f);
        buf_advance(out, n);
        if (n == 0)
            break;
    }
    const bool failed = ferror(f) != 0;
    fclose(f);
    if (failed)
        return ST_UNREACHABLE;
    return buf_check(out);
}

static enum status parse_file(const char *path, struct arena *a, json_t **out, struct buf *why)
{
    AUTO(buf) text = BUF_INIT(FILE_BYTES_MAX);
    struct jr_error err = { .member = STR("") };
    enum status st = read_file(path, &text);
    const int saved = errno;
    if (st == ST_OK)
        st = jr_parse(buf_view(&text), DEPTH_MAX, a, out, &err);
    if (st == ST_OK)
        return ST_OK;
    config_put_name(why, str_from(path));
    buf_lit(why, ": ");
    if (st == ST_UNREACHABLE)
        buf_str(why, str_from(strerrordesc_np(saved)));
    else if (st == ST_TOO_LARGE)
        buf_lit(why, "larger than 4 MiB");
    else
        buf_str(why, err.detail);
    buf_lit(why, "\n");
    return st == ST_UNREACHABLE || st == ST_NO_MEMORY ? st : ST_INVALID;
}

static bool has_own_variables(char **environment)
{
    for (char **e = environment; e && *e; e++)
        if (strncmp(*e, "PRESIGND__", 10) == 0)
            return true;
    return false;
}

/* The document as it is written somewhere: in a file, built in (--dev looks for no file unless it is
 * told of one), or nowhere but in the environment. */
static enum status find_document(const struct config_ask *ask, struct arena *a, json_t **out,
                                 struct buf *why)
{
    const char *path = ask->path;
    const struct str named = config_env_get(ask->environment, "PRESIGND_CONFIG");
    if (!path && !ask->dev)
        path = named.len ? named.ptr : DEFAULT_PATH;
    const bool needed = ask->path || named.len || !has_own_variables(ask->environment);
    if (path && (needed || access(path, F_OK) == 0 || errno != ENOENT))
        TRY(parse_file(path, a, out, why));
    else
        *out = json_object();
    if (*out && ask->dev && fill_sections(*out, raw_dev) != 0)
        return ST_NO_MEMORY;
    return *out ? ST_OK : ST_NO_MEMORY;
}

/* ---- all of it ---------------------------------------------------------------------------------- */

enum status config_document(const struct config_ask *ask, struct arena *a, json_t **out,
                            struct buf *why)
{
    TRY(find_document(ask, a, out, why));
    if (!json_is_object(*out)) {
        buf_lit(why, "the configuration: must be a JSON object\n");
        json_decref(TAKE(*out));
        return ST_INVALID;
    }
    const enum status st = config_env_apply(*out, ask->environment, why);
    if (st == ST_NO_MEMORY)
        return st;
    TRY(complete(*out, ask));
    return st;
}
