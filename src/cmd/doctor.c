/*
 * doctor - looks at everything that uploads need, from the configuration to the object in the store,
 * and says in words what to mend.
 *
 * The table is the visit: in its order, each part with those it stands on. A part whose ground is
 * gone is not tried, but for the clean-up of what was sent. Everything asked has a deadline, and all
 * of it together one more.
 */
#include "presignd/doctor.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "presignd/cmd.h"
#include "presignd/config_make.h"
#include "presignd/date.h"

enum { ALL_MS = 120000, ARENA_MAX = 64 << 20, ROW_MAX = 1 << 20, OUT_MAX = 16 << 20 };

#define NEEDS(part) (1u << PART_##part)

/* clang-format off */
static const struct visit {
    const char *name;
    void (*look)(struct doctor *d);
    unsigned needs;
    bool of_bucket;
} visits[PART_COUNT] = {
    [PART_CONFIG]       = { "configuration", doctor_config,       0,                                   false },
    [PART_DESCRIPTORS]  = { "descriptors",   doctor_descriptors,  NEEDS(CONFIG),                       false },
    [PART_CREDENTIALS]  = { "credentials",   doctor_credentials,  NEEDS(CONFIG),                       false },
    [PART_LEDGER]       = { "ledger",        doctor_ledger,       NEEDS(CONFIG),                       false },
    [PART_KEYS]         = { "keys",          doctor_keys,         NEEDS(CONFIG),                       false },
    [PART_ENDPOINT]     = { "endpoint",      doctor_endpoint,     NEEDS(CONFIG),                       true  },
    [PART_CLOCK]        = { "clock",         doctor_clock,        NEEDS(ENDPOINT),                     true  },
    [PART_BUCKET]       = { "bucket",        doctor_bucket,       NEEDS(ENDPOINT),                     true  },
    [PART_SIGNATURE]    = { "signature",     doctor_signature,    NEEDS(CLOCK) | NEEDS(BUCKET) | NEEDS(CREDENTIALS), true  },
    [PART_CORS]         = { "cors",          doctor_cors,         NEEDS(BUCKET),                       true  },
    [PART_UPLOAD]       = { "upload",        doctor_upload,       NEEDS(SIGNATURE),                    true  },
    [PART_REFUSALS]     = { "refusals",      doctor_refusals,     NEEDS(UPLOAD),                       true  },
    [PART_EXPOSED]      = { "exposed",       doctor_exposed,      NEEDS(CORS),                         true  },
    [PART_HEAD]         = { "head",          doctor_head,         NEEDS(UPLOAD),                       true  },
    [PART_PUBLIC_LIST]  = { "public-list",   doctor_public_list,  NEEDS(BUCKET),                       true  },
    [PART_PUBLIC_READ]  = { "public-read",   doctor_public_read,  NEEDS(UPLOAD),                       true  },
    [PART_PUBLIC_BLOCK] = { "public-block",  doctor_public_block, NEEDS(SIGNATURE),                    true  },
    [PART_CLEAN_UP]     = { "clean-up",      doctor_clean_up,     NEEDS(UPLOAD),                       true  },
};
/* clang-format on */

/* ---- saying ------------------------------------------------------------------------------------- */

int64_t doctor_now_s(void)
{
    return loop_clock_wall_us() / 1000000;
}

static struct str keep(struct doctor *d, const struct buf *text)
{
    struct str kept;
    return arena_keep(&d->arena, text, &kept) == ST_OK ? kept : STR("(no memory to say it)");
}

struct str doctor_number(struct doctor *d, int64_t n)
{
    char space[24];
    struct buf text = BUF_FIXED(space);
    buf_int(&text, n);
    return keep(d, &text);
}

struct str doctor_span(struct doctor *d, int64_t seconds)
{
    char space[32];
    struct buf text = BUF_FIXED(space);
    date_span(&text, seconds);
    return keep(d, &text);
}

static void fill(struct buf *out, struct str pattern, const struct str **values)
{
    for (size_t i = 0; i < pattern.len; i++) {
        if (pattern.ptr[i] == '#')
            buf_str(out, *(*values)++);
        else
            buf_char(out, pattern.ptr[i]);
    }
}

/* Programs read all of it at the end, people while it is found; what one cause skips, in one line. */
static void show(const struct doctor *d, const struct diagnosis *g)
{
    AUTO(buf) row = BUF_INIT(ROW_MAX);
    if (d->json || (g->verdict == VERDICT_SKIPPED && d->cause[d->part]))
        return;
    report_row(&row, g, d->colour);
    (void)fwrite(row.ptr, 1, row.len, stdout);
    (void)fflush(stdout);
}

static void add(struct doctor *d, const struct diagnosis *g)
{
    struct report *r = &d->report;
    r->counts[g->verdict]++;
    if (g->verdict == VERDICT_FAILED || g->verdict == VERDICT_SKIPPED)
        d->lost |= 1u << d->part;
    if (r->list && r->n < DOCTOR_DIAGNOSES_MAX)
        r->list[r->n++] = *g;
    show(d, g);
}

void doctor_say(struct doctor *d, enum verdict v, struct str about, const struct str *texts)
{
    AUTO(buf) says = BUF_INIT(ROW_MAX);
    AUTO(buf) todo = BUF_INIT(ROW_MAX);
    const struct str *values = texts + 2;
    fill(&says, texts[0], &values);
    fill(&todo, texts[1], &values);
    const struct bucket *b = d->patient.bucket;
    const struct diagnosis g = {
        .check = visits[d->part].name,
        .bucket = b ? b->name : STR(""),
        .about = arena_copy(&d->arena, about),
        .verdict = v,
        .says = keep(d, &says),
        .todo = keep(d, &todo),
    };
    add(d, &g);
}

/* ---- the visit ---------------------------------------------------------------------------------- */

/* The first cause, where what is lost was itself not tried. Told at the end of the section. */
static void skip(struct doctor *d, enum part lost)
{
    const enum part cause = d->cause[lost] ? (enum part)(d->cause[lost] - 1) : lost;
    d->cause[d->part] = (int)cause + 1;
    SAY(d, VERDICT_SKIPPED, STR(""), STR("Not tried: mend \"#\" first."), STR(""),
        str_from(visits[cause].name));
}

/* One line for all that one cause kept from being tried. */
static void show_skipped(const struct doctor *d, enum part cause)
{
    AUTO(buf) says = BUF_INIT(ROW_MAX);
    AUTO(buf) row = BUF_INIT(ROW_MAX);
    for (enum part p = 0; p < PART_COUNT; p++)
        if (d->cause[p] == (int)cause + 1) {
            buf_str(&says, says.len ? STR(", ") : STR(""));
            buf_str(&says, str_from(visits[p].name));
        }
    if (says.len == 0)
        return;
    buf_lit(&says, ": mend \"");
    buf_str(&says, str_from(visits[cause].name));
    buf_lit(&says, "\" first.");
    const struct diagnosis g = { .check = "not tried",
                                 .verdict = VERDICT_SKIPPED,
                                 .says = buf_view(&says) };
    report_row(&row, &g, d->colour);
    (void)fwrite(row.ptr, 1, row.len, stdout);
}

/* Told once for each bucket, as a warning: what nobody looked at must not pass for healthy. */
static void tell_late(struct doctor *d)
{
    const enum verdict v = d->patient.late ? VERDICT_SKIPPED : VERDICT_WARNING;
    d->patient.late = true;
    SAY(d, v, STR(""), STR("Not tried: what was asked before took too long."),
        v == VERDICT_WARNING
            ? STR("Look why that is slow; of several buckets look at one at a time: --bucket NAME.")
            : STR(""));
    d->lost |= 1u << d->part;
}

static void look(struct doctor *d, enum part p)
{
    d->part = p;
    /* what was sent is removed, whatever failed meanwhile and however late it is */
    const bool always = p == PART_CLEAN_UP && d->patient.sent;
    for (enum part need = 0; need < p && !always; need++)
        if (visits[p].needs & d->lost & (1u << need)) {
            skip(d, need);
            return;
        }
    if (always || loop_clock_us() < d->ends_us)
        visits[p].look(d);
    else
        tell_late(d);
}

static void look_all(struct doctor *d, bool of_bucket)
{
    for (enum part p = PART_CONFIG + 1; p < PART_COUNT; p++)
        if (visits[p].of_bucket == of_bucket)
            look(d, p);
    for (enum part p = 0; p < PART_COUNT && !d->json; p++)
        show_skipped(d, p);
    memset(d->cause, 0, sizeof(d->cause));
}

static void visit_bucket(struct doctor *d, const struct bucket *b)
{
    d->patient = (struct patient){ .bucket = b, .region = STR(""), .origin = STR("") };
    for (enum part p = 0; p < PART_COUNT; p++)
        if (visits[p].of_bucket)
            d->lost &= ~(1u << p);
    AUTO(buf) head = BUF_INIT(ROW_MAX);
    report_bucket(&head, b, d->colour);
    if (!d->json)
        (void)fwrite(head.ptr, 1, head.len, stdout);
    look_all(d, true);
}

static bool is_wanted(const struct doctor *d, const struct bucket *b)
{
    return !d->only_bucket || str_equal(b->name, str_from(d->only_bucket));
}

static bool knows_bucket(const struct doctor *d)
{
    const struct rules *r = &d->config->rules;
    for (size_t i = 0; i < r->n_buckets; i++)
        if (is_wanted(d, &r->buckets[i]))
            return true;
    return false;
}

static void visit_buckets(struct doctor *d)
{
    const struct rules *r = &d->config->rules;
    for (size_t i = 0; i < r->n_buckets; i++)
        if (is_wanted(d, &r->buckets[i]))
            visit_bucket(d, &r->buckets[i]);
}

/* ---- the end ------------------------------------------------------------------------------------ */

static int conclude(const struct doctor *d)
{
    AUTO(buf) out = BUF_INIT(OUT_MAX);
    if (!d->json)
        report_summary(&out, &d->report, d->colour);
    else if (report_json(&out, &d->report) != ST_OK) {
        fprintf(stderr, "presignd doctor: no memory for the report\n");
        return 1;
    }
    const bool written = fwrite(out.ptr, 1, out.len, stdout) == out.len && fflush(stdout) == 0;
    return written && d->report.counts[VERDICT_FAILED] == 0 ? 0 : 1;
}

static void discharge(struct doctor *d)
{
    fetcher_free(d->fetcher);
    if (d->loop)
        loop_free(d->loop);
    creds_unref(d->creds);
    config_unref(d->config);
    signing_keys_release(&d->signing);
    random_pool_release(&d->random);
    arena_release(&d->arena);
}

static bool admit(struct doctor *d)
{
    signal(SIGPIPE, SIG_IGN);
    log_setup(STDERR_FILENO, LOG_LEVEL_ERROR);
    d->arena = ARENA_INIT(ARENA_MAX);
    d->ends_us = loop_clock_us() + ALL_MS * INT64_C(1000);
    d->report.list = arena_array(&d->arena, DOCTOR_DIAGNOSES_MAX, sizeof(*d->report.list));
    d->loop = loop_new();
    d->fetcher = d->loop ? fetcher_new(d->loop) : NULL;
    return d->report.list && d->fetcher;
}

static int visit(struct doctor *d)
{
    look(d, PART_CONFIG);
    if (d->config && !knows_bucket(d)) {
        fprintf(stderr, "presignd doctor: --bucket: the configuration has no bucket \"%s\"\n",
                d->only_bucket);
        return 2;
    }
    look_all(d, false);
    if (d->config)
        visit_buckets(d);
    return conclude(d);
}

/* ---- the command -------------------------------------------------------------------------------- */

static const char usage[] =
    "usage: presignd doctor [--config FILE] [--bucket NAME] [--origin ORIGIN] [--json]\n"
    "  looks at configuration, credentials, ledger, keys and each bucket, uploads a small\n"
    "  probe and removes it, and says what to mend; exit status 0: nothing failed, 1: something\n"
    "  --config FILE    the configuration (else $PRESIGND_CONFIG, else\n"
    "                   /etc/presignd/presignd.json)\n"
    "  --bucket NAME    only this bucket, by its name in the configuration\n"
    "  --origin ORIGIN  pages of this origin (https://app.example.com), instead of cors.origins\n"
    "  --json           the report for programs (not after a wrong usage: exit status 2)\n";

static bool is_plain(void)
{
    const struct str term = config_env_get(environ, "TERM");
    return config_env_get(environ, "NO_COLOR").len > 0 || !isatty(STDOUT_FILENO) ||
           str_equal(term, STR("dumb"));
}

/* False: the value is wrong. */
static bool take_option(struct doctor *d, int c, const char *value)
{
    switch (c) {
    case 'c': d->config_path = value; return true;
    case 'b': d->only_bucket = value; return true;
    case 'j': d->json = true; return true;
    case 'o':
        d->only_origin = value;
        return str_find_text(str_from(value), STR("://")) < strlen(value) &&
               str_printable_ascii(str_from(value)) && strlen(value) <= CORS_ORIGIN_MAX;
    default: return false;
    }
}

int cmd_doctor(int argc, char **argv)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' }, { "bucket", required_argument, NULL, 'b' },
        { "origin", required_argument, NULL, 'o' }, { "json", no_argument, NULL, 'j' },
        { "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 },
    };
    static struct doctor d;
    int c;
    while ((c = cmd_option(argc, argv, "c:jh", options)) != -1) {
        if (c == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (!take_option(&d, c, optarg))
            return cmd_usage(usage, argv[optind - 1]);
    }
    if (optind < argc)
        return cmd_usage(usage, argv[optind]);
    d.colour = !d.json && !is_plain();
    if (fetch_global_start() != ST_OK) {
        fprintf(stderr, "presignd doctor: libcurl does not start\n");
        return 1;
    }
    const bool ready = admit(&d);
    if (!ready)
        fprintf(stderr, "presignd doctor: no memory\n");
    const int code = ready ? visit(&d) : 1;
    discharge(&d);
    fetch_global_end();
    return code;
}
