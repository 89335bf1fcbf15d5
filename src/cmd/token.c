/*
 * token - mints a token with the configured HMAC secret or a PEM private key (libjwt), for
 * development and tests. The token is all that goes to stdout.
 */
#include <getopt.h>
#include <stdio.h>

#include "presignd/cmd.h"
#include "presignd/json_guard.h"
#include "presignd/loop.h"
#include "presignd/mint.h"

enum { CLAIMS_MAX = 32, TOKEN_LIMIT = 16384, PATH_LIMIT = 4096 };

static const char usage[] =
    "usage: presignd token --user U [options]\n"
    "  --user U        whom the token is for\n"
    "  --plan P        the user's plan\n"
    "  --claim K=V     a further claim; V as JSON, else as text (repeatable)\n"
    "  --ttl S         seconds it is good for (3600)\n"
    "  --config FILE   the configuration whose issuer makes it\n"
    "  --issuer I      which of its issuers (the first with a secret_file)\n"
    "  --key FILE      a PEM private key, or an HMAC secret, instead of the configured secret\n"
    "  --alg A         the algorithm (the issuer's first)\n"
    "  --audience A    the audience (the issuer's first)\n"
    "  --kid K         the key's id for the header\n";

struct token_options {
    const char *config, *issuer, *key, *alg, *audience, *kid, *user, *plan;
    int64_t ttl_s;
    const char *claims[CLAIMS_MAX];
    size_t n_claims;
};

static int complain(const char *what)
{
    fprintf(stderr, "presignd token: %s\n", what);
    return 1;
}

/* The issuer asked for, else the first that has a secret (or, with --key, the first). */
static const struct issuer_config *find_issuer(const struct config *c,
                                               const struct token_options *o)
{
    for (size_t i = 0; i < c->n_issuers; i++) {
        const struct issuer_config *ic = &c->issuers[i];
        if (o->issuer ? str_equal(ic->issuer, str_from(o->issuer)) : o->key || ic->secret_file.len)
            return ic;
    }
    return NULL;
}

static unsigned find_algorithm(const struct issuer_config *ic, const char *name)
{
    if (name)
        return jwa_from_name(str_from(name));
    for (unsigned bit = 0; bit < JWA_KINDS; bit++)
        if (ic->algorithms & (1u << bit))
            return 1u << bit;
    return 0;
}

/* "k=v" into a claim: v stays if it is JSON, else it becomes a JSON text in `text`. */
static enum status take_claim(const char *arg, struct buf *text, struct mint_claim *out)
{
    const struct str whole = str_from(arg);
    const size_t eq = str_find(whole, '=', 0);
    if (eq == 0 || eq == whole.len)
        return ST_INVALID;
    const struct str value = str_slice(whole, eq + 1, whole.len);
    out->name = str_slice(whole, 0, eq);
    json_t *parsed = NULL;
    json_error_t unused;
    const enum status st = json_guard_load(value, JSON_DECODE_ANY, &parsed, &unused);
    if (st == ST_NO_MEMORY)
        return st;
    if (st == ST_OK) {
        json_decref(parsed);
        out->json = value;
        return ST_OK;
    }
    buf_lit(text, "\"");
    jw_escape(text, value);
    buf_lit(text, "\"");
    out->json = buf_view(text);
    return buf_check(text);
}

static enum status read_key(struct secret *out, const struct token_options *o,
                            const struct issuer_config *ic)
{
    if (o->key)
        return secret_read_file(out, o->key);
    AUTO(buf) path = BUF_INIT(PATH_LIMIT);
    buf_str(&path, ic->secret_file);
    const char *cpath = buf_cstr(&path);
    return cpath ? secret_read_file(out, cpath) : ST_NO_MEMORY;
}

static int print_token(const struct mint_ask *ask)
{
    AUTO(buf) token = BUF_INIT(TOKEN_LIMIT);
    AUTO(buf) why = BUF_INIT(1024);
    if (mint_token(&token, ask, &why) != ST_OK) {
        fprintf(stderr, "presignd token: %.*s\n", STR_ARGS(buf_view(&why)));
        return 1;
    }
    buf_lit(&token, "\n");
    return fwrite(token.ptr, 1, token.len, stdout) == token.len && fflush(stdout) == 0 ? 0 : 1;
}

static int mint_with(const struct token_options *o, const struct issuer_config *ic)
{
    AUTO(secret) key = SECRET_INIT;
    if (read_key(&key, o, ic) != ST_OK)
        return complain("the key cannot be read (--key FILE, or the issuer's secret_file)");
    const unsigned alg = find_algorithm(ic, o->alg);
    if (alg == 0)
        return complain("--alg: known are HS, RS and ES with 256, 384 and 512");

    struct buf texts[CLAIMS_MAX];
    struct mint_claim claims[CLAIMS_MAX + 1];
    size_t n = 0;
    AUTO(buf) plan = BUF_INIT(1024);
    if (o->plan) {
        buf_lit(&plan, "\"");
        jw_escape(&plan, str_from(o->plan));
        buf_lit(&plan, "\"");
        claims[n++] = (struct mint_claim){ ic->plan_claim, buf_view(&plan) };
    }
    enum status st = buf_check(&plan);
    for (size_t i = 0; i < o->n_claims; i++) {
        texts[i] = BUF_INIT(TOKEN_LIMIT);
        if (st == ST_OK)
            st = take_claim(o->claims[i], &texts[i], &claims[n]);
        n++;
    }
    const struct mint_ask ask = {
        .alg = alg,
        .key = secret_view(&key),
        .kid = str_from(o->kid),
        .issuer = ic->issuer,
        .audience = o->audience ? str_from(o->audience) : ic->audiences[0],
        .user_claim = ic->user_claim,
        .user = str_from(o->user),
        .issued_at_s = loop_clock_wall_us() / 1000000,
        .ttl_s = o->ttl_s,
        .claims = claims,
        .n_claims = n,
    };
    const int code = st == ST_OK ? print_token(&ask) : complain("--claim wants NAME=VALUE");
    for (size_t i = 0; i < o->n_claims; i++)
        buf_release(&texts[i]);
    return code;
}

static int mint(const struct token_options *o)
{
    AUTO_PTR(config) *config = cmd_config(o->config, false, NULL);
    if (!config)
        return 1;
    const struct issuer_config *ic = find_issuer(config, o);
    if (!ic)
        return complain(o->issuer ? "--issuer: the configuration has no such issuer"
                                  : "no issuer of the configuration has a secret_file: use --key");
    return mint_with(o, ic);
}

static const char **option_text(struct token_options *o, int c)
{
    switch (c) {
    case 'c': return &o->config;
    case 'i': return &o->issuer;
    case 'k': return &o->key;
    case 'a': return &o->alg;
    case 'A': return &o->audience;
    case 'K': return &o->kid;
    case 'u': return &o->user;
    case 'p': return &o->plan;
    default: return NULL;
    }
}

/* False: the option or its value is wrong. */
static bool take_option(struct token_options *o, int c, const char *value)
{
    if (c == 't')
        return str_to_int(str_from(value), 366 * 86400, &o->ttl_s) && o->ttl_s > 0;
    if (c == 'C') {
        if (o->n_claims == CLAIMS_MAX)
            return false;
        o->claims[o->n_claims++] = value;
        return true;
    }
    const char **place = option_text(o, c);
    if (!place)
        return false;
    *place = value;
    return true;
}

int cmd_token(int argc, char **argv)
{
    static const struct option options[] = {
        { "user", required_argument, NULL, 'u' },     { "plan", required_argument, NULL, 'p' },
        { "claim", required_argument, NULL, 'C' },    { "ttl", required_argument, NULL, 't' },
        { "config", required_argument, NULL, 'c' },   { "issuer", required_argument, NULL, 'i' },
        { "key", required_argument, NULL, 'k' },      { "alg", required_argument, NULL, 'a' },
        { "audience", required_argument, NULL, 'A' }, { "kid", required_argument, NULL, 'K' },
        { "help", no_argument, NULL, 'h' },           { NULL, 0, NULL, 0 },
    };
    struct token_options o = { .ttl_s = 3600 };
    int c;
    while ((c = cmd_option(argc, argv, "c:h", options)) != -1) {
        if (c == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (c == '?' || !take_option(&o, c, optarg))
            return cmd_usage(usage, argv[optind - 1]);
    }
    if (optind < argc)
        return cmd_usage(usage, argv[optind]);
    if (!o.user)
        return cmd_usage(usage, "no --user");
    return mint(&o);
}
