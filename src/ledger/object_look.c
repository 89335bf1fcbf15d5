/*
 * object_look - one HEAD.
 *
 * The URL carries a signature: it goes to the store and nowhere else, no log has it. What the store
 * answers is taken as it stands only where it is a plain yes (200 with a length) or no (404).
 */
#include "presignd/object_look.h"

#include "presignd/url_packet.h"

enum { URL_LIFE_S = 60, WHY_MAX = 512 };

static enum status sign_head(struct buf *out, const struct object_ask *ask)
{
    const struct sign_creds c = creds_for_signing(ask->creds);
    const struct url_ask url = {
        .method = STR("HEAD"),
        .place = ask->bucket->own_place,
        .key = ask->key,
        .expires_s = URL_LIFE_S,
    };
    const struct signing_key *key;
    TRY(signing_keys_get(ask->signing, &c, ask->creds->generation, ask->bucket->where.region,
                         ask->now_s, &key));
    return url_packet_sign(out, &url, &c, key, ask->now_s);
}

static void explain(struct buf *why, const struct reply *r)
{
    if (r->kind != REPLY_HTTP) {
        buf_str(why, r->why);
    } else if (r->http == 200) {
        buf_lit(why, "the store did not say how large the object is");
    } else {
        buf_lit(why, "the store answered ");
        buf_int(why, r->http);
    }
}

static void answered(struct fetch *f, const struct reply *r)
{
    struct object_look *k = container_of(f, struct object_look, fetch);
    struct object_seen seen = {
        .presence = OBJECT_UNKNOWN,
        .size = -1,
        .etag = STR(""),
        .http = r->kind == REPLY_HTTP ? r->http : 0,
        .why = STR(""),
    };
    char space[WHY_MAX];
    struct buf why = BUF_FIXED(space);
    if (seen.http == 200 && r->content_length >= 0) {
        seen.presence = OBJECT_THERE;
        seen.size = r->content_length;
        if (r->etag.len <= UPLOAD_ETAG_MAX)
            seen.etag = r->etag;
    } else if (seen.http == 404) {
        seen.presence = OBJECT_MISSING;
    } else {
        explain(&why, r);
        seen.why = buf_view(&why);
    }
    k->done(k, &seen);
}

enum status object_look_start(struct object_look *k, struct fetcher *fr,
                              const struct object_ask *ask)
{
    struct call call = CALL_INIT;
    call.method = "HEAD";
    call.hosts = CALL_HOSTS_ANY;
    call.connect_ms = OBJECT_LOOK_MS;
    call.total_ms = OBJECT_LOOK_MS;
    k->fetch.done = answered;
    enum status st = sign_head(&call.url, ask);
    if (st == ST_OK)
        st = fetch_start(fr, &k->fetch, &call);
    call_release(&call);
    return st;
}

void object_look_cancel(struct object_look *k)
{
    fetch_cancel(&k->fetch);
}
