/*
 * packet_view - JSON, base64 and the query of a presigned URL, each read strictly and within bounds:
 * a packet may have been pasted, cut or edited before it comes here.
 */
#include "presignd/packet_view.h"

#include "presignd/date.h"
#include "presignd/encode.h"
#include "presignd/json_write.h"

enum { DEPTH_MAX = 16, POLICY_MAX = 64 * 1024, NUMBER_TEXT = 32, AMZ_DATE_LEN = 16 };

static const int64_t EXPIRES_MAX_S = INT64_C(604800);

/* ---- pairs -------------------------------------------------------------------------------------- */

const struct str *pairs_find(const struct jr_pairs *pairs, struct str name)
{
    for (size_t i = 0; i < pairs->n; i++)
        if (str_equal_nocase(pairs->items[i].name, name))
            return &pairs->items[i].value;
    return NULL;
}

static struct str text_of(const json_t *string)
{
    return (struct str){ json_string_value(string), json_string_length(string) };
}

static enum status pair_value(struct str *out, const json_t *value, struct arena *a)
{
    char space[NUMBER_TEXT];
    struct buf number = BUF_FIXED(space);
    struct str text;
    if (json_is_string(value))
        text = text_of(value);
    else if (json_is_integer(value)) {
        buf_int(&number, json_integer_value(value));
        text = buf_view(&number);
    } else
        return ST_INVALID;
    *out = arena_copy(a, text);
    return out->ptr ? ST_OK : ST_NO_MEMORY;
}

enum status pairs_read(struct jr_pairs *out, json_t *object, struct arena *a)
{
    if (!json_is_object(object))
        return ST_INVALID;
    struct jr_pair *items = arena_array(a, json_object_size(object), sizeof(*items));
    if (!items)
        return ST_NO_MEMORY;
    size_t n = 0;
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        items[n].name = arena_copy(a, str_from(name));
        if (!items[n].name.ptr)
            return ST_NO_MEMORY;
        TRY(pair_value(&items[n].value, value, a));
        n++;
    }
    *out = (struct jr_pairs){ items, n };
    return ST_OK;
}

bool packet_hides(struct str field)
{
    static const struct str words[] = { STR_INIT("x-amz-security-token"),
                                        STR_INIT("x-amz-signature"),
                                        STR_INIT("policy"),
                                        STR_INIT("authorization"),
                                        STR_INIT("cookie"),
                                        STR_INIT("x-amz-server-side-encryption-customer-key"),
                                        STR_INIT("x-amz-server-side-encryption-context") };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_equal_nocase(field, words[i]))
            return true;
    return false;
}

/* ---- conditions --------------------------------------------------------------------------------- */

const struct condition *packet_view_condition(const struct packet_view *p, struct str field)
{
    for (size_t i = 0; i < p->n_conditions; i++)
        if (str_equal_nocase(p->conditions[i].field, field))
            return &p->conditions[i];
    return NULL;
}

static enum status add_condition(struct packet_view *p, enum condition_kind kind, struct str field,
                                 struct str value, struct arena *a)
{
    if (p->n_conditions == PACKET_CONDITIONS_MAX)
        return ST_INVALID;
    struct condition *c = &p->conditions[p->n_conditions];
    c->kind = kind;
    c->field = arena_copy(a, field);
    c->value = arena_copy(a, packet_hides(field) ? STR("") : value);
    if (!c->field.ptr || !c->value.ptr)
        return ST_NO_MEMORY;
    p->n_conditions++;
    if (str_equal_nocase(field, STR("x-amz-security-token")))
        p->temporary = true;
    if (str_equal_nocase(field, STR("bucket")))
        p->bucket = c->value;
    return ST_OK;
}

/* {"field": "value"} */
static enum status read_pair(struct packet_view *p, json_t *object, struct arena *a)
{
    const char *name;
    json_t *value;
    if (json_object_size(object) != 1)
        return ST_INVALID;
    json_object_foreach(object, name, value)
    {
        if (!json_is_string(value))
            return ST_INVALID;
        return add_condition(p, CONDITION_EXACT, str_from(name), text_of(value), a);
    }
    return ST_INVALID;
}

static enum status read_range(struct packet_view *p, json_t *from, json_t *to)
{
    if (!json_is_integer(from) || !json_is_integer(to) || json_integer_value(from) < 0)
        return ST_INVALID;
    p->has_range = true;
    p->min_bytes = json_integer_value(from);
    p->max_bytes = json_integer_value(to);
    return ST_OK;
}

/* ["eq", "$field", "value"], ["starts-with", …], ["content-length-range", from, to] */
static enum status read_triple(struct packet_view *p, json_t *list, struct arena *a)
{
    json_t *word = json_array_get(list, 0);
    json_t *first = json_array_get(list, 1), *second = json_array_get(list, 2);
    if (json_array_size(list) != 3 || !json_is_string(word))
        return ST_INVALID;
    if (str_equal_nocase(text_of(word), STR("content-length-range")))
        return read_range(p, first, second);
    const bool exact = str_equal_nocase(text_of(word), STR("eq"));
    if (!exact && !str_equal_nocase(text_of(word), STR("starts-with")))
        return ST_INVALID;
    if (!json_is_string(first) || !json_is_string(second) || !str_starts(text_of(first), STR("$")))
        return ST_INVALID;
    return add_condition(p, exact ? CONDITION_EXACT : CONDITION_STARTS,
                         str_slice(text_of(first), 1, text_of(first).len), text_of(second), a);
}

static enum status read_conditions(struct packet_view *p, json_t *list, struct arena *a)
{
    size_t i;
    json_t *item;
    if (!json_is_array(list))
        return ST_INVALID;
    json_array_foreach(list, i, item)
        TRY(json_is_object(item) ? read_pair(p, item, a) : read_triple(p, item, a));
    return ST_OK;
}

/* "20261121T204500Z" */
static bool amz_date(struct str s, int64_t *out_s)
{
    char space[NUMBER_TEXT];
    struct buf text = BUF_FIXED(space);
    if (s.len != AMZ_DATE_LEN)
        return false;
    static const struct {
        size_t from, to;
        const char *then;
    } parts[] = { { 0, 4, "-" },  { 4, 6, "-" },   { 6, 8, "" },  { 8, 9, "" },
                  { 9, 11, ":" }, { 11, 13, ":" }, { 13, 16, "" } };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        buf_str(&text, str_slice(s, parts[i].from, parts[i].to));
        buf_str(&text, str_from(parts[i].then));
    }
    return date_parse_rfc3339(buf_view(&text), out_s) == ST_OK;
}

/* AKID/20261121/eu-west-1/s3/aws4_request */
static void take_credential(struct packet_view *p, struct str credential, struct arena *a)
{
    struct str rest = arena_copy(a, credential);
    struct str *const parts[] = { &p->access_key_id, &p->day, &p->region, &p->service };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (!str_cut(&rest, '/', parts[i]))
            *parts[i] = STR("");
}

static enum status take_policy(struct packet_view *p, json_t *doc, struct arena *a)
{
    const json_t *expiration = json_object_get(doc, "expiration");
    if (!json_is_string(expiration) ||
        date_parse_rfc3339(text_of(expiration), &p->ends_at_s) != ST_OK) {
        p->policy_fault = "it has no expiration that can be read";
        return ST_OK;
    }
    const enum status st = read_conditions(p, json_object_get(doc, "conditions"), a);
    if (st == ST_INVALID)
        p->policy_fault = "it has a condition that no store understands";
    p->has_policy = st == ST_OK;
    return st == ST_INVALID ? ST_OK : st;
}

enum status packet_view_policy(struct packet_view *out, struct str base64, struct arena *a)
{
    AUTO(buf) json = BUF_INIT(POLICY_MAX);
    struct jr_error err = { STR(""), STR("") };
    json_t *doc = NULL;
    enum status st = decode_base64(&json, base64);
    if (st == ST_NO_MEMORY)
        return st;
    if (st != ST_OK) {
        out->policy_fault = "it is no base64: cut, or broken into lines";
        return ST_OK;
    }
    st = jr_parse(buf_view(&json), DEPTH_MAX, a, &doc, &err);
    if (st == ST_INVALID_REQUEST)
        out->policy_fault = "it is no JSON: changed, or cut";
    if (st == ST_OK)
        st = take_policy(out, doc, a);
    json_decref(doc);
    return st == ST_INVALID_REQUEST ? ST_OK : st;
}

/* ---- POST --------------------------------------------------------------------------------------- */

static enum status read_post(struct packet_view *p, struct arena *a)
{
    const struct str *found = pairs_find(&p->fields, STR("x-amz-credential"));
    p->post = true;
    if (found)
        take_credential(p, *found, a);
    found = pairs_find(&p->fields, STR("x-amz-date"));
    if (found && !amz_date(*found, &p->signed_at_s))
        p->signed_at_s = 0;
    p->temporary = pairs_find(&p->fields, STR("x-amz-security-token")) != NULL;
    found = pairs_find(&p->fields, STR("key"));
    if (found)
        p->key = *found;
    found = pairs_find(&p->fields, STR("policy"));
    if (!found) {
        p->policy_fault = "the packet has none";
        return ST_OK;
    }
    p->policy = *found;
    return packet_view_policy(p, *found, a);
}

/* ---- PUT ---------------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (ascii_digit(c))
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum status unescape(struct str *out, struct str s, struct arena *a)
{
    AUTO(buf) text = BUF_INIT(POLICY_MAX);
    for (size_t i = 0; i < s.len; i++) {
        const int high = i + 2 < s.len ? hex_digit(s.ptr[i + 1]) : -1;
        const int low = i + 2 < s.len ? hex_digit(s.ptr[i + 2]) : -1;
        const bool escaped = s.ptr[i] == '%' && high >= 0 && low >= 0;
        buf_char(&text, escaped ? (char)(high * 16 + low) : s.ptr[i]);
        i += escaped ? 2 : 0;
    }
    return arena_keep(a, &text, out);
}

static enum status take_parameter(struct packet_view *p, struct str name, struct str value,
                                  int64_t *life_s, struct arena *a)
{
    struct str plain;
    if (str_equal_nocase(name, STR("X-Amz-Security-Token"))) {
        p->temporary = true;
        return ST_OK;
    }
    TRY(unescape(&plain, value, a));
    if (str_equal_nocase(name, STR("X-Amz-Credential")))
        take_credential(p, plain, a);
    if (str_equal_nocase(name, STR("X-Amz-Date")) && !amz_date(plain, &p->signed_at_s))
        p->signed_at_s = 0;
    if (str_equal_nocase(name, STR("X-Amz-Expires")) && !str_to_int(plain, EXPIRES_MAX_S, life_s))
        *life_s = 0;
    if (str_equal_nocase(name, STR("X-Amz-SignedHeaders")))
        p->signed_headers = plain;
    return ST_OK;
}

static enum status read_query(struct packet_view *p, struct str query, struct arena *a)
{
    struct str parameter;
    int64_t life_s = 0;
    while (str_cut(&query, '&', &parameter)) {
        const size_t eq = str_find(parameter, '=', 0);
        TRY(take_parameter(p, str_slice(parameter, 0, eq),
                           str_slice(parameter, eq + 1, parameter.len), &life_s, a));
    }
    if (p->signed_at_s > 0 && life_s > 0)
        p->ends_at_s = p->signed_at_s + life_s;
    return ST_OK;
}

static enum status read_put(struct packet_view *p, struct str query, struct arena *a)
{
    int64_t bytes = 0;
    TRY(read_query(p, query, a));
    for (size_t i = 0; i < p->fields.n && p->n_conditions < PACKET_CONDITIONS_MAX; i++)
        TRY(add_condition(p, CONDITION_EXACT, p->fields.items[i].name, p->fields.items[i].value,
                          a));
    const struct str *length = pairs_find(&p->fields, STR("content-length"));
    if (length && str_to_int(*length, INT64_MAX, &bytes)) {
        p->has_range = true;
        p->min_bytes = p->max_bytes = bytes;
    }
    return ST_OK;
}

/* ---- the answer --------------------------------------------------------------------------------- */

static json_t *first_of(json_t *object, const char *const *names)
{
    for (; *names; names++) {
        json_t *found = json_object_get(object, *names);
        if (found && !json_is_null(found))
            return found;
    }
    return NULL;
}

static enum status no_packet(struct buf *why, json_t *doc)
{
    const json_t *detail = json_object_get(doc, "detail");
    if (json_is_array(json_object_get(doc, "uploads")))
        buf_lit(why, "it is the answer to a batch: give one of its \"uploads\"");
    else if (json_object_get(doc, "code") && json_is_string(detail)) {
        buf_lit(why, "it is a refusal of presignd, there is no packet: \"");
        jw_escape(why, text_of(detail));
        buf_lit(why, "\"");
    } else
        buf_lit(why, "it is no packet: it has no \"url\" with \"fields\" or a signed query");
    return ST_INVALID;
}

static enum status keep_text(struct str *out, const json_t *value, struct arena *a)
{
    if (!json_is_string(value))
        return ST_OK;
    *out = arena_copy(a, text_of(value));
    return out->ptr ? ST_OK : ST_NO_MEMORY;
}

static enum status read_answer(struct packet_view *p, json_t *doc, struct arena *a, struct buf *why)
{
    static const char *const urls[] = { "url", "uploadUrl", "presignedUrl", NULL };
    json_t *inner = json_object_get(doc, "presigned_post");
    json_t *packet = json_is_object(inner) ? inner : doc;
    json_t *url = first_of(packet, urls), *fields = json_object_get(packet, "fields");
    json_t *headers = json_object_get(packet, "headers");
    if (!json_is_string(url))
        return no_packet(why, doc);
    TRY(keep_text(&p->bucket, json_object_get(packet, "bucket"), a));
    TRY(keep_text(&p->key, json_object_get(packet, "key"), a));
    TRY(keep_text(&p->url, url, a));
    const size_t mark = str_find(p->url, '?', 0);
    const struct str query = str_slice(p->url, mark + 1, p->url.len);
    p->url = str_slice(p->url, 0, mark);
    if (!fields && query.len == 0)
        return no_packet(why, doc);
    json_t *values = fields ? fields : headers;
    if (values) {
        const enum status st = pairs_read(&p->fields, values, a);
        if (st == ST_INVALID)
            buf_lit(why, "its fields or headers are no object of strings");
        TRY(st);
    }
    return fields ? read_post(p, a) : read_put(p, query, a);
}

enum status packet_view_read(struct packet_view *out, struct str text, struct arena *a,
                             struct buf *why)
{
    *out = (struct packet_view){ .post = false };
    struct jr_error err = { STR(""), STR("") };
    json_t *doc = NULL;
    if (text.len > PACKET_VIEW_BYTES_MAX)
        return ST_TOO_LARGE;
    enum status st = jr_parse(text, DEPTH_MAX, a, &doc, &err);
    if (st == ST_INVALID_REQUEST) {
        buf_lit(why, "it is no JSON object: ");
        buf_str(why, err.detail);
        return ST_INVALID;
    }
    if (st == ST_OK)
        st = json_is_object(doc) ? read_answer(out, doc, a, why) : no_packet(why, NULL);
    json_decref(doc);
    return st;
}
