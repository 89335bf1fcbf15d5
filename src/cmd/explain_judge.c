/*
 * explain_judge - lays the refusal, the packet and what was sent beside each other.
 *
 * Values of others stand in sentences as JSON writes them, between quotes: a terminal sees no control
 * of theirs. What packet_hides() names is compared and never shown.
 */
#include "presignd/date.h"
#include "presignd/encode.h"
#include "presignd/explain.h"
#include "presignd/json_write.h"

enum { SENTENCE_MAX = 8192, SHOWN_MAX = 1024, SKEW_S = 300, DATE_SLACK_S = 2, NUMBER_TEXT = 24 };

/* ---- sentences ---------------------------------------------------------------------------------- */

static void put_quoted(struct buf *out, struct str value)
{
    size_t n = 0;
    while (n < value.len && n < SHOWN_MAX)
        n += MAX_OF(str_utf8_at(value, n), (size_t)1);
    buf_lit(out, "\"");
    jw_escape(out, str_slice(value, 0, n));
    buf_str(out, n < value.len ? STR("…\"") : STR("\""));
}

/* Each "@" of the pattern is the next value, quoted; "#" the next one bare: a number, a time. */
static void tell(struct buf *out, struct str pattern, const struct str *values)
{
    for (size_t i = 0; i < pattern.len; i++) {
        if (pattern.ptr[i] == '@')
            put_quoted(out, *values++);
        else if (pattern.ptr[i] == '#')
            buf_str(out, *values++);
        else
            buf_char(out, pattern.ptr[i]);
    }
}

#define TELL(out, pattern, ...) tell((out), STR(pattern), (const struct str[]){ __VA_ARGS__ })

static bool found(const struct explain *e, const char *cause, struct str field)
{
    for (size_t i = 0; i < e->n; i++)
        if ((field.len && str_equal_nocase(e->findings[i].field, field)) ||
            (!field.len && str_equal(str_from(e->findings[i].cause), str_from(cause))))
            return true;
    return false;
}

/* Takes what the two sentences hold. */
static void add(struct explain *e, const char *cause, struct str field, struct buf *says,
                struct buf *todo)
{
    if (e->st == ST_OK && e->n < FINDINGS_MAX && !found(e, cause, field)) {
        struct finding *f = &e->findings[e->n];
        f->cause = cause;
        f->field = arena_copy(e->arena, field);
        e->st = f->field.ptr ? arena_keep(e->arena, says, &f->says) : ST_NO_MEMORY;
        if (e->st == ST_OK)
            e->st = arena_keep(e->arena, todo, &f->todo);
        if (e->st == ST_OK)
            e->n++;
    }
    buf_release(says);
    buf_release(todo);
}

static struct str decimal(struct buf *space, int64_t n)
{
    buf_reset(space);
    buf_int(space, n);
    return buf_view(space);
}

/* ---- fields ------------------------------------------------------------------------------------- */

static const struct str *sent_value(const struct explain *e, struct str field)
{
    return e->sent ? pairs_find(e->sent, field) : NULL;
}

/* What the packet has for a field: its own value, else what its policy wants. */
static const struct str *wanted_value(const struct explain *e, struct str field)
{
    if (!e->packet)
        return NULL;
    const struct str *own = pairs_find(&e->packet->fields, field);
    const struct condition *c = packet_view_condition(e->packet, field);
    return own ? own : c ? &c->value : NULL;
}

static const char *kind_of(const struct explain *e)
{
    return e->packet && !e->packet->post ? "header" : "field";
}

static void send_as_packet(struct explain *e, struct buf *todo, struct str field)
{
    const struct str *want = wanted_value(e, field);
    if (want && !packet_hides(field))
        TELL(todo, "Send it as the packet has it: @.", *want);
    else
        buf_lit(todo, "Send it byte for byte as the packet has it.");
    if (!e->packet || e->packet->post)
        buf_lit(todo, " In a form it must stand before the file: what follows is ignored.");
}

static void add_missing(struct explain *e, struct str field)
{
    struct buf says = BUF_INIT(SENTENCE_MAX), todo = BUF_INIT(SENTENCE_MAX);
    TELL(&says, "The # @ was not sent.", str_from(kind_of(e)), field);
    send_as_packet(e, &todo, field);
    add(e, "missing_field", field, &says, &todo);
}

static void add_extra(struct explain *e, struct str field)
{
    struct buf says = BUF_INIT(SENTENCE_MAX), todo = BUF_INIT(SENTENCE_MAX);
    TELL(&says, "The # @ was sent, but the packet does not have it.", str_from(kind_of(e)), field);
    buf_lit(&todo,
            "Leave it out, or let the profile set it: a packet allows what it names, and nothing "
            "else.");
    add(e, "extra_field", field, &says, &todo);
}

static void add_different(struct explain *e, struct str field)
{
    struct buf says = BUF_INIT(SENTENCE_MAX), todo = BUF_INIT(SENTENCE_MAX);
    const struct str *want = wanted_value(e, field), *got = sent_value(e, field);
    const struct condition *c = e->packet ? packet_view_condition(e->packet, field) : NULL;
    TELL(&says, "The # @ was not sent as it was signed", str_from(kind_of(e)), field);
    if (want && !packet_hides(field)) {
        TELL(&says, ": signed is @", *want);
        if (c && c->kind == CONDITION_STARTS)
            buf_lit(&says, " as its beginning");
        if (got)
            TELL(&says, ", sent was @", *got);
    }
    buf_lit(&says, ".");
    send_as_packet(e, &todo, field);
    add(e, "condition_failed", field, &says, &todo);
}

/* Does the value fit what was signed? Hidden ones are compared with the packet's own. */
static bool fits(const struct explain *e, const struct condition *c, struct str got)
{
    const struct str *own = pairs_find(&e->packet->fields, c->field);
    if (packet_hides(c->field))
        return !own || str_equal(*own, got);
    return c->kind == CONDITION_STARTS ? str_starts(got, c->value) : str_equal(got, c->value);
}

/* The user agent's own affair: it sets the length, and nobody sends the bucket. */
static bool is_needed(const struct explain *e, struct str field)
{
    return !str_equal_nocase(field, STR("bucket")) &&
           (e->packet->post || !str_equal_nocase(field, STR("content-length")));
}

static void judge_condition(struct explain *e, const struct condition *c)
{
    const struct str *got = sent_value(e, c->field);
    if (!got && is_needed(e, c->field))
        add_missing(e, c->field);
    else if (got && !fits(e, c, *got))
        add_different(e, c->field);
}

/* AWS: every field but these needs a condition. Of a PUT only x-amz-* headers must be signed. */
static bool needs_condition(const struct explain *e, struct str field)
{
    static const struct str free_fields[] = { STR_INIT("policy"), STR_INIT("x-amz-signature"),
                                              STR_INIT("file") };
    if (!e->packet->post)
        return field.len > 6 && str_equal_nocase(str_slice(field, 0, 6), STR("x-amz-"));
    for (size_t i = 0; i < ARRAY_LEN(free_fields); i++)
        if (str_equal_nocase(field, free_fields[i]))
            return false;
    return !str_equal_nocase(str_slice(field, 0, 9), STR("x-ignore-"));
}

/* policy and signature have no condition, but must be the packet's. */
static void judge_signed_text(struct explain *e)
{
    static const struct str names[] = { STR_INIT("policy"), STR_INIT("x-amz-signature") };
    for (size_t i = 0; i < ARRAY_LEN(names) && e->packet->post; i++) {
        const struct str *own = pairs_find(&e->packet->fields, names[i]);
        const struct str *got = sent_value(e, names[i]);
        if (own && !got)
            add_missing(e, names[i]);
        else if (own && !str_equal(*own, *got))
            add_different(e, names[i]);
    }
}

static bool can_compare(const struct explain *e)
{
    return e->packet && e->sent && (e->packet->has_policy || !e->packet->post);
}

static void judge_sent(struct explain *e)
{
    if (!can_compare(e))
        return;
    judge_signed_text(e);
    for (size_t i = 0; i < e->packet->n_conditions; i++)
        judge_condition(e, &e->packet->conditions[i]);
    for (size_t i = 0; i < e->sent->n; i++) {
        const struct str field = e->sent->items[i].name;
        if (!packet_view_condition(e->packet, field) && needs_condition(e, field))
            add_extra(e, field);
    }
}

/* ---- what the message names --------------------------------------------------------------------- */

/* AWS: ["eq", "$Content-Type", "image/png"]; both: what stands behind the last ": ". */
static struct str named_field(struct str message)
{
    const size_t dollar = str_find_text(message, STR("\"$"));
    if (dollar < message.len)
        return str_slice(message, dollar + 2, str_find(message, '"', dollar + 2));
    size_t colon = message.len;
    for (size_t i = 0; i + 1 < message.len; i++)
        if (message.ptr[i] == ':' && message.ptr[i + 1] == ' ')
            colon = i;
    const struct str rest = str_slice(message, colon + 2, message.len);
    return str_trim(str_slice(rest, 0, str_find(rest, ',', 0)));
}

void explain_condition(struct explain *e)
{
    const struct explain_code *row = explain_code_of(e->refusal);
    struct str field = named_field(e->refusal->message);
    if (str_equal(str_from(row->cause), STR("missing_field")) && field.len == 0)
        field = STR("key");
    if (str_equal_nocase(field, STR("content-length-range")) || field.len == 0)
        return;
    if (str_equal(str_from(row->cause), STR("missing_field")))
        add_missing(e, field);
    else if (str_equal(str_from(row->cause), STR("extra_field")))
        add_extra(e, field);
    else
        add_different(e, field);
}

void explain_unsigned(struct explain *e)
{
    struct str rest = e->refusal->unsigned_headers, name;
    while (rest.len > 0 && str_cut(&rest, ',', &name))
        if (str_trim(name).len > 0)
            add_extra(e, str_trim(name));
}

/* ---- size --------------------------------------------------------------------------------------- */

static int64_t known_size(const struct explain *e)
{
    int64_t bytes = e->sent_bytes;
    if (bytes < 0 && !str_to_int(e->refusal->proposed_size, INT64_MAX, &bytes))
        return -1;
    return bytes;
}

static void put_range(struct buf *says, int64_t from, int64_t to)
{
    char space[NUMBER_TEXT];
    struct buf number = BUF_FIXED(space);
    if (from == to)
        TELL(says, "exactly # bytes", decimal(&number, from));
    else {
        TELL(says, "# to ", decimal(&number, from));
        TELL(says, "# bytes", decimal(&number, to));
    }
}

static void add_size(struct explain *e, bool too_large)
{
    char space[NUMBER_TEXT];
    struct buf number = BUF_FIXED(space);
    struct buf says = BUF_INIT(SENTENCE_MAX), todo = BUF_INIT(SENTENCE_MAX);
    const int64_t bytes = known_size(e);
    buf_lit(&says, "The packet takes a file of ");
    put_range(&says, e->packet->min_bytes, e->packet->max_bytes);
    if (bytes >= 0)
        TELL(&says, "; # were sent", decimal(&number, bytes));
    else
        buf_str(&says, too_large ? STR("; more were sent") : STR("; fewer were sent"));
    buf_lit(&says, ".");
    buf_lit(&todo,
            "Send the file that the packet was asked for, or ask for a packet with this file's "
            "size as content_length.");
    add(e, too_large ? "file_too_large" : "file_too_small", STR(""), &says, &todo);
}

void explain_size(struct explain *e)
{
    if (e->packet && e->packet->has_range)
        add_size(e, str_equal(e->refusal->code, STR("EntityTooLarge")));
}

/* Without a word of the store's: the size may be the cause of a signature that does not fit. */
static void judge_size(struct explain *e)
{
    if (!e->packet || !e->packet->has_range || e->sent_bytes < 0)
        return;
    if (e->sent_bytes > e->packet->max_bytes)
        add_size(e, true);
    if (e->sent_bytes < e->packet->min_bytes)
        add_size(e, false);
}

/* ---- time --------------------------------------------------------------------------------------- */

int64_t explain_at_s(const struct explain *e)
{
    return e->refusal->at_s > 0 ? e->refusal->at_s : e->now_s;
}

/* A store may have taken the time of its Date header a moment before it judged. */
static int64_t date_slack_s(const struct explain *e)
{
    const struct str cause = str_from(explain_code_of(e->refusal)->cause);
    return e->refusal->at_s > 0 && str_equal(cause, STR("packet_ended")) ? DATE_SLACK_S : 0;
}

void explain_end(struct explain *e)
{
    char space[NUMBER_TEXT];
    struct buf time = BUF_FIXED(space);
    struct buf says = BUF_INIT(SENTENCE_MAX), todo = BUF_INIT(SENTENCE_MAX);
    if (!e->packet || e->packet->ends_at_s == 0 ||
        explain_at_s(e) + date_slack_s(e) < e->packet->ends_at_s)
        return;
    date_iso(&time, e->packet->ends_at_s);
    TELL(&says, "The packet ended at #, ", buf_view(&time));
    date_span(&says, MAX_OF(explain_at_s(e) - e->packet->ends_at_s, 0));
    buf_str(&says, e->refusal->at_s > 0 ? STR(" before the store answered.") : STR(" ago."));
    buf_lit(
        &todo,
        "Ask presignd for a new packet (with the same Idempotency-Key it has the same key), and "
        "begin the upload within its life. Packets that live longer: the profile's "
        "expires_s.");
    add(e, "packet_ended", STR(""), &says, &todo);
}

void explain_clock(struct explain *e)
{
    struct buf says = BUF_INIT(SENTENCE_MAX), todo = BUF_INIT(SENTENCE_MAX);
    if (!e->packet || e->packet->signed_at_s == 0 || e->refusal->at_s == 0)
        return;
    const int64_t ahead_s = e->packet->signed_at_s - e->refusal->at_s;
    if (ahead_s >= 0) {
        buf_lit(&says, "The packet was signed ");
        date_span(&says, ahead_s);
        buf_lit(&says, " after the store answered, by the two clocks: presignd's is ahead.");
    } else {
        buf_lit(&says, "The packet was signed ");
        date_span(&says, -ahead_s);
        buf_lit(&says,
                " before the store answered: either so much time passed, or presignd's clock is "
                "behind.");
    }
    buf_lit(&todo, "Set the clock of presignd's host (chrony, systemd-timesyncd).");
    add(e, "clock_skew", STR(""), &says, &todo);
}

static void judge_clock(struct explain *e)
{
    if (e->packet && e->refusal->at_s > 0 && e->packet->signed_at_s > e->refusal->at_s + SKEW_S)
        explain_clock(e);
}

/* ---- signature ---------------------------------------------------------------------------------- */

/* The header lines of what the store says it saw, beside the packet's headers. */
static void judge_canonical(struct explain *e)
{
    struct str rest = e->refusal->canonical_request, line;
    for (int i = 0; i < 3; i++) /* method, path, query */
        if (!str_cut(&rest, '\n', &line))
            return;
    while (e->packet && !e->packet->post && str_cut(&rest, '\n', &line) && line.len > 0) {
        const size_t colon = str_find(line, ':', 0);
        const struct str name = str_slice(line, 0, colon);
        const struct condition *c = packet_view_condition(e->packet, name);
        const struct str saw = str_slice(line, colon + 1, line.len);
        if (c && colon < line.len && !packet_hides(name) && !str_equal(c->value, saw)) {
            struct buf says = BUF_INIT(SENTENCE_MAX), todo = BUF_INIT(SENTENCE_MAX);
            TELL(&says, "The header @ was signed as @, and reached the store as @.", name, c->value,
                 saw);
            send_as_packet(e, &todo, name);
            add(e, "condition_failed", name, &says, &todo);
        }
    }
}

void explain_signature(struct explain *e)
{
    struct buf says = BUF_INIT(SENTENCE_MAX), todo = BUF_INIT(SENTENCE_MAX);
    judge_canonical(e);
    judge_size(e);
    judge_sent(e);
    if (e->n == 0 && e->packet && e->packet->post && !e->packet->has_policy) {
        TELL(&says, "The packet's policy cannot be read: #.", str_from(e->packet->policy_fault));
        buf_lit(&todo, "Send the packet as presignd gave it.");
        add(e, "policy_changed", STR("policy"), &says, &todo);
    }
}

void explain_denied(struct explain *e)
{
    explain_end(e);
    explain_signature(e);
}

/* ---- the bucket --------------------------------------------------------------------------------- */

static struct str expected_region(const struct s3_refusal *r)
{
    if (r->region.len)
        return r->region;
    const size_t at = str_find_text(r->message, STR("expecting '"));
    const size_t from = at + STR("expecting '").len;
    return str_slice(r->message, from, str_find(r->message, '\'', from));
}

void explain_region(struct explain *e)
{
    const struct str want = expected_region(e->refusal);
    struct buf says = BUF_INIT(SENTENCE_MAX), todo = BUF_INIT(SENTENCE_MAX);
    if (want.len == 0 && e->refusal->endpoint.len == 0)
        return;
    if (want.len) {
        TELL(&says, "The bucket is in region @", want);
        TELL(&todo, "Set \"region\": @ of this bucket in presignd's configuration, and reload it.",
             want);
    } else {
        TELL(&says, "The bucket is reached by @", e->refusal->endpoint);
        buf_lit(&todo,
                "Set \"region\" of this bucket in presignd's configuration to the one in that "
                "address, and reload it.");
    }
    if (e->packet && e->packet->region.len)
        TELL(&says, "; the packet was signed for @", e->packet->region);
    buf_lit(&says, ".");
    add(e, "wrong_region", STR(""), &says, &todo);
}

void explain_bucket(struct explain *e)
{
    struct buf says = BUF_INIT(SENTENCE_MAX), todo = BUF_INIT(SENTENCE_MAX);
    if (!e->packet || !str_equal(e->refusal->code, STR("NoSuchBucket")))
        return;
    TELL(&says, "The store at @ has no bucket @", e->packet->url,
         e->refusal->bucket.len ? e->refusal->bucket : e->packet->bucket);
    if (e->refusal->bucket.len && e->packet->bucket.len &&
        !str_equal(e->refusal->bucket, e->packet->bucket))
        TELL(&says, "; the packet is for @: it was sent to another address", e->packet->bucket);
    buf_lit(&says, ".");
    buf_lit(&todo, "Send it to the packet's own url. If it was, check \"bucket\", \"region\", "
                   "\"endpoint\" and "
                   "\"path_style\" in presignd's configuration.");
    add(e, "no_such_bucket", STR(""), &says, &todo);
}

/* ---- all of it ---------------------------------------------------------------------------------- */

static void add_row(struct explain *e, const struct explain_code *row)
{
    struct buf says = BUF_INIT(SENTENCE_MAX), todo = BUF_INIT(SENTENCE_MAX);
    buf_str(&says, str_from(row->says));
    buf_str(&todo, str_from(row->todo));
    add(e, row->cause, STR(""), &says, &todo);
}

enum status explain_judge(struct explain *e)
{
    e->n = 0;
    e->st = ST_OK;
    const struct explain_code *row = explain_code_of(e->refusal);
    if (row->look)
        row->look(e);
    if (e->n == 0)
        add_row(e, row);
    explain_end(e);
    judge_clock(e);
    judge_size(e);
    judge_sent(e);
    return e->st;
}

/* ---- what is not to be shown -------------------------------------------------------------------- */

static void know_pairs(struct known_secrets *k, const struct jr_pairs *pairs, struct arena *a)
{
    for (size_t i = 0; i < pairs->n; i++)
        if (packet_hides(pairs->items[i].name))
            known_secrets_add(k, pairs->items[i].value, a);
}

static struct str decoded(struct str text, struct arena *a)
{
    char *out = arena_alloc(a, text.len + 1);
    size_t n = 0;
    for (size_t i = 0; out && i < text.len; i++) {
        char space[1];
        struct buf byte = BUF_FIXED(space);
        const bool escaped = text.ptr[i] == '%' && i + 2 < text.len &&
                             decode_hex(&byte, str_slice(text, i + 1, i + 3)) == ST_OK;
        out[n++] = escaped ? space[0] : text.ptr[i];
        i += escaped ? 2 : 0;
    }
    return (struct str){ out, out ? n : 0 };
}

/* The parameters of signed URLs, as they stand there. */
static void know_parameters(struct known_secrets *k, struct str text, struct str name,
                            struct arena *a)
{
    for (size_t at; (at = str_find_text(text, name)) < text.len;) {
        text = str_slice(text, at + name.len, text.len);
        size_t n = 0;
        while (n < text.len && (ascii_alnum(text.ptr[n]) || memchr("%_.~-", text.ptr[n], 5)))
            n++;
        const struct str secret = decoded(str_slice(text, 0, n), a);
        if (!secret.ptr)
            k->st = ST_NO_MEMORY;
        known_secrets_add(k, secret, a);
    }
}

void explain_secrets(struct known_secrets *k, const struct packet_view *p, struct str packet,
                     const struct jr_pairs *sent, struct arena *a)
{
    if (p)
        know_pairs(k, &p->fields, a);
    if (p)
        known_secrets_add(k, p->policy, a);
    if (sent)
        know_pairs(k, sent, a);
    know_parameters(k, packet, STR("X-Amz-Signature="), a);
    know_parameters(k, packet, STR("X-Amz-Security-Token="), a);
}
