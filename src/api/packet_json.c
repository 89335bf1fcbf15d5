/*
 * packet_json - from a decision to a signed packet and its JSON.
 */
#include "presignd/packet_json.h"

#include "presignd/date.h"
#include "presignd/ratelimit.h"

/* ---- signing ------------------------------------------------------------------------------------ */

struct post_ask packet_post_ask(const struct grant_call *g, const struct grant *it)
{
    struct post_ask ask = decide_post_ask(&it->decision, it->expires_at_s);
    ask.shared_slot = (size_t)(it->decision.profile - g->world->settings.rules->profiles);
    return ask;
}

static enum status sign_post(struct grant_call *g, const struct grant *it,
                             const struct sign_creds *c, const struct signing_key *k)
{
    struct worker *w = worker_of(&g->r);
    const struct post_ask ask = packet_post_ask(g, it);
    endpoint_base_url(&w->url, &it->decision.bucket->public_place);
    TRY(buf_check(&w->url));
    return w->kept ? post_packet_sign_kept(&w->packet, &ask, c, k, g->r.now_s, w->kept)
                   : post_packet_sign(&w->packet, &ask, c, k, g->r.now_s);
}

static enum status sign_put(struct grant_call *g, const struct grant *it,
                            const struct sign_creds *c, const struct signing_key *k)
{
    const struct decision *d = &it->decision;
    return decide_sign_put(&worker_of(&g->r)->url, d, d->bucket->public_place, it->expires_in_s, c,
                           k, g->r.now_s);
}

enum status packet_sign(struct grant_call *g, size_t i)
{
    struct worker *w = worker_of(&g->r);
    const struct grant *it = &g->grants[i];
    const struct creds *creds = g->signing->creds;
    const struct sign_creds c = creds_for_signing(creds);
    const struct signing_key *k;
    TRY(signing_keys_get(&w->signing, &c, creds->generation, it->decision.bucket->where.region,
                         g->r.now_s, &k));
    buf_reset(&w->url);
    const enum status st = it->decision.post ? sign_post(g, it, &c, k) : sign_put(g, it, &c, k);
    if (st != ST_TOO_LARGE && st != ST_INVALID)
        return st;
    fault_set(&g->r.fault, ST_PROFILE_NOT_ALLOWED, STR("This profile cannot serve this request."));
    g->r.fault.log_reason = st == ST_TOO_LARGE ? STR("the packet is larger than S3 takes")
                                               : STR("a value that no packet may carry");
    return ST_PROFILE_NOT_ALLOWED;
}

/* ---- writing ------------------------------------------------------------------------------------ */

void packet_write_fields(struct jw *j, struct grant_call *g)
{
    const struct post_packet *p = &worker_of(&g->r)->packet;
    jw_open_key(j, "fields", '{');
    for (size_t i = 0; i < p->n_fields; i++)
        jw_pair(j, p->fields[i].name, p->fields[i].value);
    jw_close(j);
}

void packet_write_headers(struct jw *j, struct grant_call *g, size_t i)
{
    const struct decision *d = &g->grants[i].decision;
    jw_open_key(j, "headers", '{');
    for (size_t k = 0; k < d->n_fields; k++)
        jw_pair(j, d->fields[k].name, d->fields[k].value);
    jw_close(j);
}

void packet_write(struct jw *j, struct grant_call *g, size_t i)
{
    jw_str(j, "url", buf_view(&worker_of(&g->r)->url));
    if (g->grants[i].decision.post)
        packet_write_fields(j, g);
    else
        packet_write_headers(j, g, i);
}

void packet_write_metadata(struct jw *j, const struct decision *d)
{
    jw_open_key(j, "metadata", '{');
    jw_str(j, "path", d->key);
    if (d->has_length)
        jw_int(j, "content_length", d->content_length);
    else
        jw_null(j, "content_length");
    jw_str(j, "content_type", d->type.whole);
    jw_close(j);
}

void packet_write_expires_at(struct jw *j, int64_t expires_at_s)
{
    char space[32];
    struct buf text = BUF_FIXED(space);
    date_iso(&text, expires_at_s);
    jw_str(j, "expires_at", buf_view(&text));
}

/* ---- the grant's line --------------------------------------------------------------------------- */

static void log_grant(const struct grant_call *g, const struct grant *it)
{
    const struct decision *d = &it->decision;
    struct log_line l;
    log_begin(&l, LOG_LEVEL_INFO, "grant", g->r.wall_us);
    jw_str(&l.j, "request_id", str_from(g->r.id));
    jw_str(&l.j, "upload_id", str_from(d->ids.id));
    jw_str(&l.j, "user", g->who->user);
    jw_str(&l.j, "user_hash", str_from(g->who->user_hash));
    jw_str(&l.j, "plan", d->plan ? d->plan->name : STR(""));
    jw_str(&l.j, "profile", d->profile->name);
    jw_str(&l.j, "method", d->post ? STR("POST") : STR("PUT"));
    jw_str(&l.j, "bucket", d->bucket->where.bucket);
    jw_str(&l.j, "key", d->key);
    jw_int(&l.j, "bytes", d->reserve_bytes);
    jw_int(&l.j, "expires_in", it->expires_in_s);
    if (g->op.replayed)
        jw_bool(&l.j, "replayed", true);
    log_end(&l);
}

void packet_granted(struct grant_call *g)
{
    struct metrics *m = &worker_of(&g->r)->metrics;
    g->granted = true;
    ratelimit_add(&g->r, g->op.plan, g->op.states, STR(""));
    const bool wanted = log_enabled(LOG_LEVEL_INFO);
    for (size_t i = 0; i < g->n; i++) {
        metric_add(g->grants[i].decision.post ? &m->grants_post : &m->grants_put, 1);
        if (wanted)
            log_grant(g, &g->grants[i]);
    }
}
