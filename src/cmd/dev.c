/*
 * dev - the throw-away parts of `serve --dev`. Secret and ledger live in a folder of their own for as
 * long as the process does; nothing of the secret is ever printed but the tokens made with it.
 */
#include "presignd/dev.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "presignd/cmd.h"
#include "presignd/encode.h"
#include "presignd/mint.h"
#include "presignd/random.h"
#include "presignd/secret.h"

enum { SECRET_BYTES = 32, TOKEN_LIFE_S = 12 * 3600, TOKEN_LIMIT = 8192 };

static enum status draw_secret(struct buf *out)
{
    struct random_pool pool = { .left = 0 };
    unsigned char bytes[SECRET_BYTES];
    const enum status st = random_bytes(&pool, bytes, sizeof(bytes));
    encode_hex(out, (struct str){ (const char *)bytes, sizeof(bytes) });
    crypto_wipe(bytes, sizeof(bytes));
    random_pool_release(&pool);
    TRY(st);
    return buf_check(out);
}

static enum status write_file(const char *path, struct str text)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return ST_UNREACHABLE;
    const bool whole = write(fd, text.ptr, text.len) == (ssize_t)text.len;
    return close(fd) == 0 && whole ? ST_OK : ST_UNREACHABLE;
}

static enum status no_folder(const struct dev_folder *d, struct buf *why)
{
    buf_lit(why, "cannot keep a throw-away secret in ");
    buf_str(why, str_from(d->path));
    buf_lit(why, ": ");
    buf_str(why, str_from(strerrordesc_np(errno)));
    return ST_UNREACHABLE;
}

static enum status name_file(struct buf *out, const struct dev_folder *d, struct str name)
{
    buf_str(out, str_from(d->path));
    buf_str(out, name);
    buf_char(out, '\0');
    return buf_check(out);
}

enum status dev_folder_make(struct dev_folder *d, struct buf *why)
{
    memcpy(d->path, "/tmp/presignd-dev-XXXXXX", sizeof("/tmp/presignd-dev-XXXXXX"));
    if (!mkdtemp(d->path)) {
        const enum status st = no_folder(d, why);
        d->path[0] = '\0';
        return st;
    }
    TRY(name_file(&BUF_FIXED(d->secret_path), d, STR("/secret")));
    TRY(name_file(&BUF_FIXED(d->ledger_path), d, STR("/ledger.db")));

    struct buf text = BUF_INIT(2 * SECRET_BYTES);
    enum status st = draw_secret(&text);
    if (st == ST_OK)
        st = write_file(d->secret_path, buf_view(&text));
    buf_wipe(&text);
    if (st == ST_OK)
        return ST_OK;
    no_folder(d, why);
    dev_folder_remove(d);
    return ST_UNREACHABLE;
}

void dev_folder_remove(struct dev_folder *d)
{
    if (d->path[0] == '\0')
        return;
    struct dirent **files = NULL;
    const int n = scandir(d->path, &files, NULL, NULL);
    const int folder = open(d->path, O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < n; i++) {
        unlinkat(folder, files[i]->d_name, 0); /* of "." and ".." it fails */
        free(files[i]);
    }
    free(files);
    if (folder >= 0)
        close(folder);
    rmdir(d->path);
    d->path[0] = '\0';
}

/* ---- hints -------------------------------------------------------------------------------------- */

static enum status mint(struct buf *out, const struct issuer_config *ic, int64_t now_s)
{
    AUTO(secret) key = SECRET_INIT;
    AUTO(buf) path = BUF_INIT(4096);
    buf_str(&path, ic->secret_file);
    const char *cpath = buf_cstr(&path);
    if (!cpath)
        return ST_NO_MEMORY;
    TRY(secret_read_file(&key, cpath));
    const struct mint_ask ask = {
        .alg = JWA_HS256,
        .key = secret_view(&key),
        .issuer = ic->issuer,
        .audience = ic->n_audiences ? ic->audiences[0] : STR(""),
        .user_claim = ic->user_claim,
        .user = STR("dev"),
        .issued_at_s = now_s,
        .ttl_s = MIN_OF((int64_t)TOKEN_LIFE_S, ic->max_lifetime_s),
    };
    AUTO(buf) why = BUF_INIT(1024);
    return mint_token(out, &ask, &why);
}

/* The first issuer that has a secret of ours; NULL when the environment replaced it. */
static const struct issuer_config *own_issuer(const struct config *c)
{
    for (size_t i = 0; i < c->n_issuers; i++)
        if (c->issuers[i].secret_file.len)
            return &c->issuers[i];
    return NULL;
}

/* Some loopback address, as it was configured; its port may be any. */
static void put_address(struct buf *out, const struct config *c, uint16_t port)
{
    buf_lit(out, "http://");
    cmd_address(out, c->listen, port);
}

/* What follows a "#" stays in the browser: no log and no Referer has the token. */
static void put_page(struct buf *out, const struct config *c, uint16_t port, struct str token)
{
    buf_lit(out, "\nThe upload page:\n\n");
    put_address(out, c, port);
    buf_lit(out, "/");
    if (token.len)
        buf_lit(out, "#token=");
    buf_str(out, token);
    buf_lit(out, "\n");
}

enum status dev_hints(struct buf *out, const struct config *c, uint16_t port, int64_t now_s)
{
    buf_lit(out, "presignd (development mode) answers on ");
    put_address(out, c, port);
    buf_lit(out, "\n");
    if (c->provider == CRED_STATIC)
        buf_lit(out, "It signs with dummy credentials: packets look right, no store takes them.\n"
                     "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to sign with real ones.\n");
    const struct issuer_config *ic = own_issuer(c);
    if (!ic) {
        put_page(out, c, port, STR(""));
        return buf_check(out);
    }
    AUTO(buf) token = BUF_INIT(TOKEN_LIMIT);
    TRY(mint(&token, ic, now_s));
    buf_lit(out, "\nA token for the user \"dev\":\n\n");
    buf_str(out, buf_view(&token));
    buf_lit(out, "\n");
    put_page(out, c, port, buf_view(&token));
    buf_lit(out, "\nAsk for a packet:\n\ncurl -sS ");
    put_address(out, c, port);
    buf_lit(out, "/v1/uploads -H 'Content-Type: application/json' -H 'Authorization: Bearer ");
    buf_str(out, buf_view(&token));
    buf_lit(out, "' -d '{\"content_type\":\"text/plain\",\"content_length\":5,"
                 "\"filename\":\"hello.txt\"}'\n");
    return buf_check(out);
}
