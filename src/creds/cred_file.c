/*
 * cred_file - a profile of the shared credentials file: keys that a person or a tool wrote there, or
 * in the config file beside it where the first has none of the profile.
 *
 * Source: AWS SDKs and Tools Reference Guide, "Shared config and credentials files". Only keys are
 * taken, both of a pair from one file. A profile that names a program or a sign-on instead of keys
 * asks for something that is not done here, and is told so: to pass over it would be to sign with
 * other rights than somebody meant. A role goes before keys in all of the SDKs, whichever of the two
 * files names it; so the config file is read even where the first has keys.
 *
 * A file is opened anew each time (secret volumes swap it by rename), and read again every REREAD_S:
 * whoever rotates keys need not tell us. Values never reach the log, only the names of keys.
 */
#include <stdlib.h>

#include "presignd/cred_source.h"
#include "presignd/date.h"
#include "presignd/ini.h"

enum { REREAD_S = 300, FILE_BYTES_MAX = 65536, PATH_MAX_BYTES = 4096, SAID_MAX_BYTES = 8192 };

struct file_source {
    struct cred_source base;
    struct buf path, config_path, profile; /* config_path "": there is none */
    bool in_config;                        /* which of the two `last` answers */
    struct creds *held; /* of the credentials file, until the other has named no role; or NULL */
    struct buf said;    /* of the credentials file, should the other have no keys */
};

/* How a section may name the profile. A later form passes over the earlier ones as a whole. */
enum form { FORM_OTHER, FORM_BARE, FORM_SPELT /* [profile NAME] */ };

/* What a profile may say of itself; the last of a repeated key wins. */
struct profile_keys {
    enum form form; /* of what follows; FORM_OTHER: the profile is not there */
    struct str access_key_id, secret_key, session_token, expiration;
    struct str elsewhere; /* a key that sends for credentials somewhere else; "" none */
    bool is_role;         /* that key is role_arn */
};

/* clang-format off */
static const struct { struct str key; size_t offset; } taken[] = {
    { STR_INIT("aws_access_key_id"),     offsetof(struct profile_keys, access_key_id) },
    { STR_INIT("aws_secret_access_key"), offsetof(struct profile_keys, secret_key) },
    { STR_INIT("aws_session_token"),     offsetof(struct profile_keys, session_token) },
    { STR_INIT("expiration"),            offsetof(struct profile_keys, expiration) },
    { STR_INIT("aws_expiration"),        offsetof(struct profile_keys, expiration) },
};
/* In the words of the reader: what sends elsewhere, and what to do instead. */
enum { ROLE_ARN };
static const struct { struct str key; struct str advice; } elsewhere[] = {
    { STR_INIT("role_arn"),           STR_INIT("set credentials.assume_role for a role") },
    { STR_INIT("source_profile"),     STR_INIT("set credentials.assume_role for a role") },
    { STR_INIT("credential_source"),  STR_INIT("set credentials.assume_role for a role") },
    { STR_INIT("credential_process"), STR_INIT("no program is run for credentials: have it write the file, or use another provider") },
    { STR_INIT("sso_"),               STR_INIT("nobody signs on here: use a role (credentials.assume_role) or another provider") },
};
/* clang-format on */

static size_t find_elsewhere(struct str key)
{
    size_t i = 0;
    while (i < ARRAY_LEN(elsewhere) &&
           !str_equal_nocase(str_slice(key, 0, elsewhere[i].key.len), elsewhere[i].key))
        i++;
    return i;
}

static void take_pair(struct profile_keys *p, struct str key, struct str value)
{
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        if (str_equal_nocase(key, taken[i].key))
            *(struct str *)((char *)p + taken[i].offset) = value;
    const size_t i = find_elsewhere(key);
    p->is_role = p->is_role || i == ROLE_ARN;
    if (i == ROLE_ARN || (!p->elsewhere.len && i < ARRAY_LEN(elsewhere)))
        p->elsewhere = key;
}

static struct str asked_path(const struct file_source *fs)
{
    return buf_view(fs->in_config ? &fs->config_path : &fs->path);
}

/* "PATH: profile "NAME" ", what sentences start with. */
static void name_profile(const struct file_source *fs, struct buf *why)
{
    buf_str(why, asked_path(fs));
    buf_lit(why, ": profile \"");
    buf_str(why, buf_view(&fs->profile));
    buf_lit(why, "\" ");
}

/* In the config file all sections but [default] say what they are: [profile NAME]. */
static enum form form_of(const struct file_source *fs, struct str section)
{
    const struct str word = STR("profile"), wanted = buf_view(&fs->profile);
    if (!fs->in_config || str_equal(section, STR("default")))
        return str_equal(section, wanted) ? FORM_BARE : FORM_OTHER;
    const struct str name = str_trim(str_slice(section, word.len, section.len));
    const bool spelt = str_starts(section, word) && name.len + word.len < section.len;
    return spelt && str_equal(name, wanted) ? FORM_SPELT : FORM_OTHER;
}

static enum status read_file(const struct file_source *fs, struct str text,
                             struct profile_keys *out, struct buf *why)
{
    struct ini r;
    ini_begin(&r, text);
    enum ini_line line;
    while ((line = ini_next(&r)) == INI_SECTION || line == INI_PAIR) {
        const enum form form = form_of(fs, r.section);
        if (form == FORM_OTHER || form < out->form)
            continue;
        if (form > out->form)
            *out = (struct profile_keys){ .form = form };
        if (line == INI_PAIR)
            take_pair(out, r.key, r.value);
    }
    if (line == INI_END)
        return ST_OK;
    buf_str(why, asked_path(fs));
    buf_lit(why, ": line ");
    buf_int(why, (int64_t)r.line);
    buf_lit(why, " is no [profile], no key = value below one, and no comment");
    return ST_INVALID;
}

static enum status refuse_elsewhere(const struct file_source *fs, const struct profile_keys *p,
                                    struct buf *why)
{
    const size_t i = find_elsewhere(p->elsewhere);
    name_profile(fs, why);
    buf_str(why, p->is_role ? STR("has a setting \"") : STR("has no keys but a setting \""));
    buf_str(why, elsewhere[i].key);
    buf_str(why, i + 1 == ARRAY_LEN(elsewhere) ? STR("...\"") : STR("\""));
    buf_lit(why, ", which is not followed: ");
    buf_str(why, elsewhere[i].advice);
    return ST_INVALID;
}

static enum status refuse_missing(const struct file_source *fs, const struct profile_keys *p,
                                  struct buf *why)
{
    if (p->elsewhere.len && !p->access_key_id.len && !p->secret_key.len)
        return refuse_elsewhere(fs, p, why);
    name_profile(fs, why);
    if (p->form == FORM_OTHER) {
        buf_lit(why, "is not in it (AWS_PROFILE and credentials.profile name another)");
        return ST_INVALID;
    }
    if (!p->access_key_id.len && !p->secret_key.len) {
        buf_lit(why, "has no aws_access_key_id and no aws_secret_access_key");
        return ST_INVALID;
    }
    const struct str has = taken[p->access_key_id.len ? 0 : 1].key;
    const struct str lacks = taken[p->access_key_id.len ? 1 : 0].key;
    buf_lit(why, "has ");
    buf_str(why, has);
    buf_lit(why, " but no ");
    buf_str(why, lacks);
    return ST_INVALID;
}

static enum status check_texts(const struct file_source *fs, const struct profile_keys *p,
                               struct buf *why)
{
    const struct str texts[] = { p->access_key_id, p->secret_key, p->session_token };
    if (!texts[0].len || !texts[1].len)
        return refuse_missing(fs, p, why);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (i == 0 ? creds_key_id_ok(texts[i]) : !texts[i].len || creds_text_ok(texts[i]))
            continue;
        name_profile(fs, why);
        buf_lit(why, "has an unusable ");
        buf_str(why, taken[i].key);
        buf_str(why, i == 0 ? STR(": it is too long or holds other than letters, digits, '.', '-', "
                                  "'_'")
                            : STR(": it is too long or holds a blank, a control or a byte that is "
                                  "not ASCII"));
        return ST_INVALID;
    }
    return ST_OK;
}

static enum status read_end(const struct file_source *fs, struct str text, int64_t now_s,
                            int64_t *out_s, struct buf *why)
{
    int64_t end_s = CREDS_NEVER;
    const bool readable = !text.len || date_parse_rfc3339(text, &end_s) == ST_OK;
    *out_s = end_s;
    if (readable && end_s > now_s)
        return ST_OK;
    name_profile(fs, why);
    if (!readable) {
        buf_lit(why, "has an expiration that is no RFC 3339 time");
        return ST_INVALID;
    }
    buf_lit(why, "has credentials that ended at ");
    date_iso(why, end_s);
    return ST_INVALID;
}

/* *out_silent: the file was read and says nothing of the profile's credentials. */
static enum status use_file(const struct file_source *fs, struct str text, int64_t now_s,
                            struct creds **out, bool *out_silent, struct buf *why)
{
    struct profile_keys p = { 0 };
    int64_t end_s;
    TRY(read_file(fs, text, &p, why));
    *out_silent = !p.access_key_id.len && !p.secret_key.len && !p.elsewhere.len;
    if (p.is_role)
        return refuse_elsewhere(fs, &p, why);
    TRY(check_texts(fs, &p, why));
    TRY(read_end(fs, p.expiration, now_s, &end_s, why));
    *out = creds_new(p.access_key_id, p.secret_key, p.session_token, end_s, now_s, "file");
    if (*out)
        return ST_OK;
    buf_lit(why, "no memory for credentials");
    return ST_NO_MEMORY;
}

static enum next ask_config(struct file_source *fs, struct call *out_call, struct buf *why)
{
    buf_reset(&fs->said);
    buf_str(&fs->said, buf_view(why));
    buf_reset(why);
    fs->in_config = true;
    return cred_ask_file(out_call, buf_view(&fs->config_path), FILE_BYTES_MAX);
}

static enum next neither(const struct file_source *fs, struct buf *why)
{
    buf_reset(why);
    buf_str(why, buf_view(&fs->said));
    buf_lit(why, "; nor are its keys in ");
    buf_str(why, buf_view(&fs->config_path));
    return NEXT_FAIL;
}

/* The keys are found: only that the config file makes a role of the profile would forbid them. */
static enum next judge_config(struct file_source *fs, const struct reply *last,
                              struct creds **out_creds, struct buf *why)
{
    struct profile_keys p = { 0 };
    if (last->kind != REPLY_HTTP || (last->http != 200 && last->http != 404)) {
        name_profile(fs, why);
        cred_file_explain(why, last);
        buf_lit(why, "; it may name a role");
        return NEXT_FAIL;
    }
    if (last->http == 200 && read_file(fs, last->body, &p, why) != ST_OK)
        return NEXT_FAIL;
    if (p.is_role) {
        (void)refuse_elsewhere(fs, &p, why);
        return NEXT_FAIL;
    }
    *out_creds = TAKE(fs->held);
    return NEXT_DONE;
}

static void forget_held(struct file_source *fs)
{
    creds_unref(fs->held);
    fs->held = NULL;
}

static enum next file_next(struct cred_source *s, const struct reply *last, int64_t now_s,
                           struct call *out_call, struct creds **out_creds, struct buf *why)
{
    struct file_source *fs = container_of(s, struct file_source, base);
    if (last->kind == REPLY_NONE) {
        forget_held(fs);
        fs->in_config = false;
        return cred_ask_file(out_call, buf_view(&fs->path), FILE_BYTES_MAX);
    }
    if (fs->held)
        return judge_config(fs, last, out_creds, why);
    bool silent = last->kind == REPLY_HTTP && last->http == 404;
    if (last->kind == REPLY_HTTP && last->http == 200) {
        struct creds *found = NULL;
        if (use_file(fs, last->body, now_s, &found, &silent, why) == ST_OK) {
            if (fs->in_config || !fs->config_path.len) {
                *out_creds = found;
                return NEXT_DONE;
            }
            fs->held = found;
            return ask_config(fs, out_call, why);
        }
    } else {
        name_profile(fs, why);
        cred_file_explain(why, last);
    }
    if (!silent || !fs->config_path.len)
        return NEXT_FAIL;
    return fs->in_config ? neither(fs, why) : ask_config(fs, out_call, why);
}

static void file_free(struct cred_source *s)
{
    struct file_source *fs = container_of(s, struct file_source, base);
    forget_held(fs);
    buf_release(&fs->path);
    buf_release(&fs->config_path);
    buf_release(&fs->profile);
    buf_release(&fs->said);
    free(fs);
}

static const struct cred_source_kind file_kind = {
    .name = "file",
    .next = file_next,
    .free = file_free,
};

static enum status configure(struct file_source *fs, const struct cred_env *env, struct buf *why)
{
    if (!env->file.len) {
        buf_lit(why, "no credentials file is named: set credentials.file, "
                     "AWS_SHARED_CREDENTIALS_FILE or HOME");
        return ST_INVALID;
    }
    if (!str_printable_ascii(env->profile)) {
        buf_lit(why, "AWS_PROFILE holds a control or a byte that is not ASCII");
        return ST_INVALID;
    }
    buf_str(&fs->path, env->file);
    buf_str(&fs->config_path, env->config_file);
    buf_str(&fs->profile, env->profile.len ? env->profile : STR("default"));
    TRY(buf_check(&fs->path));
    TRY(buf_check(&fs->config_path));
    return buf_check(&fs->profile);
}

struct cred_source *cred_file_new(const struct cred_env *env, struct buf *why)
{
    struct file_source *fs = calloc(1, sizeof(*fs));
    if (!fs)
        return NULL;
    fs->base = (struct cred_source){ .kind = &file_kind, .reread_s = REREAD_S };
    fs->path = BUF_INIT(PATH_MAX_BYTES);
    fs->config_path = BUF_INIT(PATH_MAX_BYTES);
    fs->said = BUF_INIT(SAID_MAX_BYTES);
    fs->profile = BUF_INIT(CRED_PROFILE_MAX);
    const enum status st = configure(fs, env, why);
    if (st == ST_OK)
        return &fs->base;
    if (st == ST_TOO_LARGE)
        buf_lit(why,
                "the name of the credentials file, the config file or the profile is too long");
    file_free(&fs->base);
    return NULL;
}
