/*
 * Whatever key, field name and value come (a line each): a packet that is signed has a policy that a
 * strict reader takes, whose conditions are exactly the form's fields, and no byte that no field may
 * carry. With what is kept it is the same packet.
 */
#include <stdlib.h>

#include <jansson.h>

#include "presignd/encode.h"
#include "presignd/post_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 16 * 1024, POLICY_MAX = 64 * 1024, AUTH_FIELDS = 3, OTHERS = 2 };

static const int64_t now_s = 1795293000;
static const struct sign_creds creds = { STR_INIT("AK"), STR_INIT("s"), STR_INIT("") };

static void must(bool promise)
{
    if (!promise)
        abort();
}

static bool holds(json_t *condition, const struct post_field *f)
{
    if (json_object_size(condition) != 1)
        return false;
    void *only = json_object_iter(condition);
    const json_t *value = json_object_iter_value(only);
    const struct str text = { json_string_value(value), json_string_length(value) };
    return str_equal(str_from(json_object_iter_key(only)), f->name) && str_equal(text, f->value);
}

static void check_pinned(const json_t *conditions, const struct post_packet *p)
{
    must(json_array_size(conditions) == p->n_fields); /* two fields less, two conditions more */
    for (size_t i = 0; i + OTHERS < p->n_fields; i++) {
        size_t found = 0;
        for (size_t c = 0; c < json_array_size(conditions); c++)
            found += holds(json_array_get(conditions, c), &p->fields[i]);
        must(found == 1);
        must(post_value_ok(p->fields[i].value));
        must(str_find(p->fields[i].value, '$', 0) == p->fields[i].value.len);
    }
}

static void check_packet(const struct post_packet *p)
{
    AUTO(buf) policy = BUF_INIT(POLICY_MAX);
    must(decode_base64(&policy, p->fields[p->n_fields - 2].value) == ST_OK);
    json_t *parsed = json_loadb(policy.ptr, policy.len, JSON_REJECT_DUPLICATES, NULL);
    must(parsed);
    must(json_object_size(parsed) == 2);
    check_pinned(json_object_get(parsed, "conditions"), p);
    json_decref(parsed);
}

static void check_same(const struct post_packet *a, const struct post_packet *b)
{
    must(a->n_fields == b->n_fields);
    for (size_t i = 0; i < a->n_fields; i++)
        must(str_equal(a->fields[i].value, b->fields[i].value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct post_kept *kept;
    if (size > INPUT_MAX)
        return 0;
    if (!kept)
        kept = post_kept_new(1);
    struct str rest = { (const char *)data, size };
    struct str key = STR_NONE;
    struct post_field field = { STR_NONE, STR_NONE };
    (void)(str_cut(&rest, '\n', &key) && str_cut(&rest, '\n', &field.name));
    field.value = rest;
    const struct post_ask ask = {
        .bucket = STR("b-1"),
        .key = key,
        .fields = &field,
        .n_fields = 1,
        .n_shared = size % 2,
        .max_bytes = 5,
        .expires_at_s = now_s + 60,
    };
    struct signing_key k;
    must(signing_key_derive(&k, &creds, STR("auto"), now_s) == ST_OK);
    struct post_packet p = POST_PACKET_INIT;
    struct post_packet again = POST_PACKET_INIT;
    const enum status st = post_packet_sign(&p, &ask, &creds, &k, now_s);
    must(st == ST_OK || st == ST_INVALID || st == ST_TOO_LARGE);
    must(post_packet_sign_kept(&again, &ask, &creds, &k, now_s, kept) == st);
    if (st == ST_OK) {
        check_packet(&p);
        check_same(&p, &again);
    }
    post_packet_release(&p);
    post_packet_release(&again);
    signing_key_release(&k);
    return 0;
}
