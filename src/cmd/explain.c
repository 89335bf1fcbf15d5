/*
 * explain - why did the store refuse this upload? Reads its answer, the packet and what was sent, and
 * says it in words, or as JSON. Secrets are never printed: no token, signature or policy text, and
 * those of the packet not even where the store repeats them.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "presignd/cmd.h"
#include "presignd/date.h"
#include "presignd/explain.h"
#include "presignd/json_write.h"
#include "presignd/loop.h"

enum {
    WHY_MAX = 8192,
    OUT_MAX = 1 << 20,
    ARENA_MAX = 4 << 20,
    CHUNK = 16384,
    TIME_TEXT = 32,
    SENT_DEPTH = 4
};

static const char usage[] = "usage: presignd explain [options] [FILE|-]\n"
                            "  FILE            what the store answered: its XML, or all that curl "
                            "-i printed (standard input)\n"
                            "  --packet FILE   the packet, as presignd answered\n"
                            "  --sent FILE     the form's fields, or the headers, that were sent: "
                            "a JSON object of strings\n"
                            "  --size BYTES    how large the file was that was sent\n"
                            "  --now TIME      RFC 3339; judges as if it were this time\n"
                            "  --json          the answer for programs\n";

struct explain_options {
    const char *answer, *packet, *sent;
    int64_t sent_bytes, now_s;
    bool json;
};

/* ---- reading ------------------------------------------------------------------------------------ */

static int complain(const char *what, const char *file, struct str why)
{
    fprintf(stderr, "presignd explain: %s %s: %.*s\n", what, file, STR_ARGS(why));
    return 1;
}

static enum status read_all(int fd, struct buf *out)
{
    for (;;) {
        char *to = buf_room(out, CHUNK);
        if (!to)
            return buf_check(out);
        const ssize_t n = read(fd, to, CHUNK);
        if (n == 0)
            return ST_OK;
        if (n < 0 && errno != EINTR)
            return ST_UNREACHABLE;
        buf_advance(out, n > 0 ? (size_t)n : 0);
    }
}

/* False: it was said why not. */
static bool load(struct buf *out, const char *what, const char *file)
{
    const bool standard = strcmp(file, "-") == 0;
    const int fd = standard ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
    const enum status st = fd >= 0 ? read_all(fd, out) : ST_UNREACHABLE;
    if (st == ST_UNREACHABLE)
        complain(what, file, str_from(strerrordesc_np(errno)));
    else if (st != ST_OK)
        complain(what, file, st == ST_TOO_LARGE ? STR("it is too large") : STR("no memory"));
    if (fd >= 0 && !standard)
        close(fd);
    return st == ST_OK;
}

static bool is_good(enum status st, const char *what, const char *file, const struct buf *why)
{
    if (st == ST_OK)
        return true;
    complain(what, file,
             st == ST_NO_MEMORY   ? STR("no memory")
             : st == ST_TOO_LARGE ? STR("it is too large")
                                  : buf_view(why));
    return false;
}

static enum status parse_sent(struct jr_pairs *out, struct str text, struct arena *a,
                              struct buf *why)
{
    struct jr_error err = { STR(""), STR("") };
    json_t *doc = NULL;
    enum status st = jr_parse(text, SENT_DEPTH, a, &doc, &err);
    if (st == ST_OK)
        st = pairs_read(out, doc, a);
    json_decref(doc);
    if (st == ST_INVALID || st == ST_INVALID_REQUEST)
        buf_lit(why, "it is no JSON object of strings");
    return st;
}

/* ---- words -------------------------------------------------------------------------------------- */

static void put_quoted(struct buf *out, struct str s)
{
    buf_lit(out, "\"");
    jw_escape(out, s);
    buf_lit(out, "\"");
}

static void put_answer(struct buf *out, const struct explain *e)
{
    const struct s3_refusal *r = e->refusal;
    buf_lit(out, "The store answered ");
    if (r->http > 0)
        buf_int(out, r->http);
    if (r->http > 0 && r->code.len)
        buf_char(out, ' ');
    jw_escape(out, r->code);
    if (r->message.len) {
        buf_lit(out, ": ");
        put_quoted(out, r->message);
    }
    if (r->access_key_id.len) {
        buf_lit(out, " of access key id ");
        jw_escape(out, r->access_key_id);
    }
    if (r->request_id.len) {
        buf_lit(out, " (request ");
        jw_escape(out, r->request_id);
        buf_lit(out, ")");
    }
    buf_lit(out, ".\n");
}

static void put_findings(struct buf *out, const struct explain *e)
{
    for (size_t i = 0; i < e->n; i++) {
        buf_str(out, i == 0 ? STR("\nWhat happened: ") : STR("\nAlso:          "));
        buf_str(out, e->findings[i].says);
        buf_lit(out, "\nWhat to do:    ");
        buf_str(out, e->findings[i].todo);
        buf_lit(out, "\n");
    }
}

static void put_line(struct buf *out, struct str name)
{
    buf_lit(out, "  ");
    buf_str(out, name);
    for (size_t i = name.len; i < 12; i++)
        buf_char(out, ' ');
}

static void put_life(struct buf *out, const struct explain *e)
{
    const struct packet_view *p = e->packet;
    if (p->signed_at_s > 0) {
        put_line(out, STR("signed"));
        date_iso(out, p->signed_at_s);
        buf_lit(out, "\n");
    }
    if (p->ends_at_s == 0)
        return;
    const int64_t left_s = p->ends_at_s - e->now_s;
    put_line(out, left_s > 0 ? STR("ends") : STR("ended"));
    date_iso(out, p->ends_at_s);
    buf_str(out, left_s > 0 ? STR(", in ") : STR(", "));
    buf_int(out, left_s > 0 ? left_s : -left_s);
    buf_str(out, left_s > 0 ? STR(" s\n") : STR(" s ago\n"));
}

static void put_signer(struct buf *out, const struct packet_view *p)
{
    if (p->access_key_id.len == 0)
        return;
    put_line(out, STR("by"));
    jw_escape(out, p->access_key_id);
    buf_str(out, p->temporary ? STR(" (temporary), day ") : STR(", day "));
    jw_escape(out, p->day);
    buf_lit(out, ", region ");
    jw_escape(out, p->region);
    buf_lit(out, "\n");
}

static void put_text(struct buf *out, struct str name, struct str value)
{
    if (value.len == 0)
        return;
    put_line(out, name);
    put_quoted(out, value);
    buf_lit(out, "\n");
}

static void put_wants(struct buf *out, const struct packet_view *p)
{
    if (p->post && !p->has_policy) {
        buf_lit(out, "\nIts policy cannot be read: ");
        buf_str(out, str_from(p->policy_fault));
        buf_lit(out, ".\n");
        return;
    }
    buf_str(out, p->post ? STR("\nWhat its policy wants\n") : STR("\nThe headers that it signs\n"));
    if (p->has_range) {
        buf_lit(out, "  the file: ");
        buf_int(out, p->min_bytes);
        buf_lit(out, " to ");
        buf_int(out, p->max_bytes);
        buf_lit(out, " bytes\n");
    }
    for (size_t i = 0; i < p->n_conditions; i++) {
        const struct condition *c = &p->conditions[i];
        buf_lit(out, "  ");
        jw_escape(out, c->field);
        buf_str(out, c->kind == CONDITION_EXACT ? STR(": ") : STR(" begins with "));
        if (packet_hides(c->field))
            buf_lit(out, "(as the packet has it, not shown)");
        else
            put_quoted(out, c->value);
        buf_lit(out, "\n");
    }
}

static enum status put_words(struct buf *out, const struct explain *e)
{
    put_answer(out, e);
    put_findings(out, e);
    if (e->packet) {
        buf_lit(out, "\nThe packet\n");
        put_text(out, e->packet->post ? STR("POST to") : STR("PUT to"), e->packet->url);
        put_text(out, STR("bucket"), e->packet->bucket);
        put_text(out, STR("key"), e->packet->key);
        put_signer(out, e->packet);
        put_life(out, e);
        put_wants(out, e->packet);
    }
    return buf_check(out);
}

/* ---- JSON --------------------------------------------------------------------------------------- */

static void write_time(struct jw *j, const char *key, int64_t unix_s)
{
    char space[TIME_TEXT];
    struct buf text = BUF_FIXED(space);
    if (unix_s == 0) {
        jw_null(j, key);
        return;
    }
    date_iso(&text, unix_s);
    jw_str(j, key, buf_view(&text));
}

static void write_packet(struct jw *j, const struct explain *e)
{
    const struct packet_view *p = e->packet;
    jw_open_key(j, "packet", '{');
    jw_str(j, "method", p->post ? STR("POST") : STR("PUT"));
    jw_str(j, "url", p->url);
    jw_str(j, "bucket", p->bucket);
    jw_str(j, "key", p->key);
    jw_str(j, "access_key_id", p->access_key_id);
    jw_bool(j, "temporary", p->temporary);
    jw_str(j, "scope_date", p->day);
    jw_str(j, "region", p->region);
    write_time(j, "signed_at", p->signed_at_s);
    write_time(j, "ends_at", p->ends_at_s);
    jw_bool(j, "ended", p->ends_at_s > 0 && e->now_s >= p->ends_at_s);
    if (p->has_range) {
        jw_int(j, "min_bytes", p->min_bytes);
        jw_int(j, "max_bytes", p->max_bytes);
    }
    jw_open_key(j, "conditions", '[');
    for (size_t i = 0; i < p->n_conditions; i++) {
        const struct condition *c = &p->conditions[i];
        jw_open(j, '{');
        jw_str(j, "field", c->field);
        if (!packet_hides(c->field))
            jw_str(j, c->kind == CONDITION_EXACT ? "value" : "starts_with", c->value);
        jw_close(j);
    }
    jw_close(j);
    jw_close(j);
}

static enum status put_json(struct buf *out, const struct explain *e)
{
    const struct s3_refusal *r = e->refusal;
    struct jw j = { .out = out };
    jw_open(&j, '{');
    jw_int(&j, "status", r->http);
    jw_str(&j, "code", r->code);
    jw_str(&j, "message", r->message);
    jw_str(&j, "request_id", r->request_id);
    jw_str(&j, "access_key_id", r->access_key_id);
    write_time(&j, "answered_at", r->at_s);
    jw_open_key(&j, "findings", '[');
    for (size_t i = 0; i < e->n; i++) {
        const struct finding *f = &e->findings[i];
        jw_open(&j, '{');
        jw_str(&j, "cause", str_from(f->cause));
        jw_str(&j, "field", f->field);
        jw_str(&j, "says", f->says);
        jw_str(&j, "todo", f->todo);
        jw_close(&j);
    }
    jw_close(&j);
    if (e->packet)
        write_packet(&j, e);
    jw_close(&j);
    buf_lit(out, "\n");
    return jw_end(&j);
}

/* ---- the command -------------------------------------------------------------------------------- */

static int print(const struct explain_options *o, struct explain *e)
{
    AUTO(buf) out = BUF_INIT(OUT_MAX);
    enum status st = explain_judge(e);
    if (st == ST_OK)
        st = o->json ? put_json(&out, e) : put_words(&out, e);
    if (st != ST_OK)
        return complain("the answer", o->answer, STR("no memory to explain it"));
    return fwrite(out.ptr, 1, out.len, stdout) == out.len && fflush(stdout) == 0 ? 0 : 1;
}

struct texts {
    struct buf answer, packet, sent, why;
    struct arena arena;
};

static void texts_release(struct texts *t)
{
    buf_wipe(&t->answer);
    buf_wipe(&t->packet);
    buf_wipe(&t->sent);
    buf_release(&t->why);
    arena_release(&t->arena);
}

#define TEXTS_INIT                                                          \
    ((struct texts){ .answer = BUF_INIT(S3_REFUSAL_BYTES_MAX + 2 * CHUNK),  \
                     .packet = BUF_INIT(PACKET_VIEW_BYTES_MAX + 2 * CHUNK), \
                     .sent = BUF_INIT(PACKET_VIEW_BYTES_MAX + 2 * CHUNK),   \
                     .why = BUF_INIT(WHY_MAX),                              \
                     .arena = ARENA_INIT(ARENA_MAX) })

static bool is_refusal(const struct s3_refusal *r)
{
    return r->has_xml || r->http >= 300;
}

static int explain(const struct explain_options *o)
{
    AUTO(texts) t = TEXTS_INIT;
    struct s3_refusal refusal;
    static struct packet_view packet;
    struct known_secrets secrets = { .n = 0 };
    struct jr_pairs sent;
    if (!load(&t.answer, "the answer", o->answer) ||
        !is_good(s3_refusal_read(&refusal, buf_view(&t.answer), &t.arena, &t.why), "the answer",
                 o->answer, &t.why))
        return 1;
    if (!is_refusal(&refusal))
        return complain("the answer", o->answer, STR("it is no refusal: it has no <Error>"));
    if (o->packet && (!load(&t.packet, "--packet", o->packet) ||
                      !is_good(packet_view_read(&packet, buf_view(&t.packet), &t.arena, &t.why),
                               "--packet", o->packet, &t.why)))
        return 1;
    if (o->sent && (!load(&t.sent, "--sent", o->sent) ||
                    !is_good(parse_sent(&sent, buf_view(&t.sent), &t.arena, &t.why), "--sent",
                             o->sent, &t.why)))
        return 1;
    explain_secrets(&secrets, o->packet ? &packet : NULL, buf_view(&t.packet),
                    o->sent ? &sent : NULL, &t.arena);
    if (s3_refusal_blank(&refusal, &secrets, SIZE_MAX, &t.arena) != ST_OK)
        return complain("the answer", o->answer, STR("no memory to explain it"));
    struct explain e = {
        .refusal = &refusal,
        .packet = o->packet ? &packet : NULL,
        .sent = o->sent ? &sent : NULL,
        .sent_bytes = o->sent_bytes,
        .now_s = o->now_s,
        .arena = &t.arena,
    };
    return print(o, &e);
}

/* False: the value is wrong. */
static bool take_option(struct explain_options *o, int c, const char *value)
{
    switch (c) {
    case 'p': o->packet = value; return true;
    case 's': o->sent = value; return true;
    case 'j': o->json = true; return true;
    case 'b': return str_to_int(str_from(value), INT64_MAX, &o->sent_bytes);
    case 'n': return date_parse_rfc3339(str_from(value), &o->now_s) == ST_OK;
    default: return false;
    }
}

int cmd_explain(int argc, char **argv)
{
    static const struct option options[] = {
        { "packet", required_argument, NULL, 'p' },
        { "sent", required_argument, NULL, 's' },
        { "size", required_argument, NULL, 'b' },
        { "now", required_argument, NULL, 'n' },
        { "json", no_argument, NULL, 'j' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    struct explain_options o = {
        .answer = "-",
        .sent_bytes = -1,
        .now_s = loop_clock_wall_us() / 1000000,
    };
    int c;
    while ((c = cmd_option(argc, argv, "h", options)) != -1) {
        if (c == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (!take_option(&o, c, optarg))
            return cmd_usage(usage, argv[optind - 1]);
    }
    if (optind < argc)
        o.answer = argv[optind++];
    if (optind < argc)
        return cmd_usage(usage, argv[optind]);
    return explain(&o);
}
