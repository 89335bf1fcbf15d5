/*
 * sign_driver - lets another program ask our signer: a JSON object a line in (sign_ask.h), one a line
 * out, {"status", "fields": [[name, value], ...]} for a POST packet, {"status", "url"} for a URL,
 * {"status", "authorization"} for a request of our own.
 * The tests hold the answers against another implementation's.
 */
#include <stdio.h>
#include <stdlib.h>

#include "presignd/json_write.h"

#include "sign_ask.h"

enum { ANSWER_MAX = 1 << 20 };

/* Once into an empty slot, once out of a full one: the second is what most clients get. */
static enum status sign_post(const struct sign_ask *a, const struct signing_key *k,
                             struct post_packet *p)
{
    AUTO_PTR(post_kept) *kept = post_kept_new(1);
    if (!kept)
        return ST_NO_MEMORY;
    TRY(post_packet_sign_kept(p, &a->post, &a->creds, k, a->now_s, kept));
    return post_packet_sign_kept(p, &a->post, &a->creds, k, a->now_s, kept);
}

static enum status answer_post(struct jw *j, const struct sign_ask *a, const struct signing_key *k)
{
    struct post_packet p = POST_PACKET_INIT;
    const enum status st = sign_post(a, k, &p);
    jw_open_key(j, "fields", '[');
    for (size_t i = 0; st == ST_OK && i < p.n_fields; i++) {
        jw_open(j, '[');
        jw_item_str(j, p.fields[i].name);
        jw_item_str(j, p.fields[i].value);
        jw_close(j);
    }
    jw_close(j);
    post_packet_release(&p);
    return st;
}

static enum status answer_url(struct jw *j, struct sign_ask *a, const struct signing_key *k)
{
    AUTO(buf) place = BUF_INIT(1024);
    AUTO(buf) why = BUF_INIT(512);
    AUTO(buf) url = BUF_INIT(URL_BYTES_MAX);
    enum status st = endpoint_resolve(&a->where, true, &place, &a->url.place, &why);
    if (st == ST_OK)
        st = url_packet_sign(&url, &a->url, &a->creds, k, a->now_s);
    jw_str(j, "url", buf_view(&url));
    return st;
}

static enum status answer_header(struct jw *j, const struct sign_ask *a,
                                 const struct signing_key *k)
{
    AUTO(buf) text = BUF_INIT(ANSWER_MAX);
    const enum status st = header_sign(&text, &a->header, &a->creds, k, a->now_s);
    jw_str(j, "authorization", buf_view(&text));
    return st;
}

static enum status answer_one(struct jw *j, struct sign_ask *a, const struct signing_key *k)
{
    if (a->is_header)
        return answer_header(j, a, k);
    return a->is_post ? answer_post(j, a, k) : answer_url(j, a, k);
}

static void answer(struct buf *out, const json_t *in)
{
    struct signing_key k = { .credential_len = 0 };
    struct sign_ask a;
    sign_ask_read(&a, in);
    struct jw j = { .out = out };
    jw_open(&j, '{');
    enum status st = signing_key_derive_for(&k, &a.creds, a.service, a.region, a.now_s);
    if (st == ST_OK)
        st = answer_one(&j, &a, &k);
    jw_str(&j, "status", str_from(status_name(st)));
    jw_close(&j);
    assert(jw_end(&j) == ST_OK);
    signing_key_release(&k);
}

int main(void)
{
    AUTO(buf) out = BUF_INIT(ANSWER_MAX);
    char *line = NULL;
    size_t cap = 0;
    ssize_t n = 0;
    int rc = EXIT_SUCCESS;
    while (rc == EXIT_SUCCESS && (n = getline(&line, &cap, stdin)) > 0) {
        json_error_t error;
        json_t *in = json_loadb(line, (size_t)n, JSON_REJECT_DUPLICATES, &error);
        if (in) {
            buf_reset(&out);
            answer(&out, in);
            buf_lit(&out, "\n");
            (void)fwrite(out.ptr, 1, out.len, stdout);
        } else {
            (void)fprintf(stderr, "sign_driver: %s\n", error.text);
            rc = EXIT_FAILURE;
        }
        json_decref(in);
    }
    free(line);
    return rc;
}
