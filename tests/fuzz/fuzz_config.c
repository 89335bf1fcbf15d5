/*
 * fuzz_config - any file under any variables: what stands before the first NUL are PRESIGND__
 * variables, one a line, the rest is the file.
 *
 * What must hold: a refusal says why, in whole lines; what is accepted has issuers, buckets,
 * profiles and a default among them, limits that a ledger holds and sums that stay exact, prints
 * itself, and is accepted again as it was printed.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "presignd/config_make.h"

enum { WHY_MAX = 1 << 20, TEXT_MAX = 16 << 20, LINES_MAX = 16, SPACE = 8192 };

static void must(bool held)
{
    if (!held)
        abort();
}

/* One file for all runs; each opens it anew by its descriptor's name. */
static int keep(struct str text)
{
    static int fd = -1;
    if (fd < 0)
        fd = memfd_create("config", MFD_CLOEXEC);
    must(fd >= 0 && ftruncate(fd, 0) == 0);
    must(pwrite(fd, text.ptr, text.len, 0) == (ssize_t)text.len);
    return fd;
}

static enum status load(struct str text, char **environment, struct config **out, struct buf *why)
{
    char path[64];
    const int fd = keep(text);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    const struct config_ask ask = { .path = path, .environment = environment };
    return config_load(&ask, out, why);
}

static void must_explain(const struct buf *why)
{
    must(why->len > 0 && str_ends(buf_view(why), STR("\n")));
    must(str_valid_utf8(buf_view(why)));
}

/* now + a whole burst and a step more stays below 2^53 microseconds for a century. */
static void must_be_limit(const struct limit *l)
{
    must(l->name.len > 0 && l->name.len <= 64 && l->max >= 1 && l->max < INT64_C(1) << 53);
    must(l->window_s >= WINDOW_MONTH && (l->kind != LIMIT_OPEN || l->window_s == WINDOW_FOREVER));
    if (l->kind != LIMIT_RATE)
        return;
    must(l->window_s > 0 && l->burst >= 1 && l->max <= 10000 * l->window_s);
    const double burst_s = (double)l->burst * (double)l->window_s / (double)l->max;
    must((burst_s + (double)l->window_s) * 1e6 < 9007199254740991.0 / 2);
}

static void must_be_ledger(const struct ledger_config *l)
{
    const struct resp_config *server = &l->redis.server;
    must(l->backend != LEDGER_SQLITE || l->path.len > 0);
    if (l->backend != LEDGER_REDIS)
        return;
    must(server->host.len > 0 && server->port > 0 && server->timeout_ms > 0 && !server->password);
    must(l->redis.prefix.len > 0 && l->redis.replicas >= 1);
}

static void must_be_whole(const struct config *c)
{
    const struct rules *r = &c->rules;
    must(c->n_issuers > 0 && r->n_buckets > 0 && r->n_profiles > 0 && r->default_profile);
    must(c->threads >= 1 && c->threads <= CONFIG_THREADS_MAX);
    must_be_ledger(&c->ledger);
    must(c->server.connections > 0 && c->server.body_bytes >= 1024);
    must((r->n_plans > 0) == (r->default_plan != NULL));
    for (size_t i = 0; i < r->n_profiles; i++) {
        const struct profile *p = &r->profiles[i];
        must(rules_profile(r, p->name) == p && p->words[0] == &p->key && p->key.has_uuid);
        must(p->min_bytes >= 0 && p->min_bytes <= p->max_bytes);
    }
    for (size_t i = 0; i < r->n_plans; i++) {
        must(r->plans[i].n_limits <= LEDGER_LIMITS_MAX);
        must(r->plans[i].n_limits == 0 || c->ledger.backend != LEDGER_NONE);
        for (size_t k = 0; k < r->plans[i].n_limits; k++)
            must_be_limit(&r->plans[i].limits[k]);
    }
}

/* What is printed is complete: without variables and defaults it means the same. */
static void must_print(const struct config *c)
{
    AUTO(buf) first = BUF_INIT(TEXT_MAX);
    AUTO(buf) second = BUF_INIT(TEXT_MAX);
    AUTO(buf) why = BUF_INIT(WHY_MAX);
    struct config *again = NULL;
    must(config_print(&first, c) == ST_OK);
    must(load(buf_view(&first), NULL, &again, &why) == ST_OK);
    must(config_print(&second, again) == ST_OK);
    must(str_equal(buf_view(&first), buf_view(&second)));
    config_unref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char space[SPACE], region[] = "AWS_REGION=eu-west-1";
    char *environment[LINES_MAX + 2] = { region, NULL };
    struct str text = { (const char *)data, size };
    const size_t nul = str_find(text, '\0', 0);
    if (nul < size) {
        struct str rest = str_slice(text, 0, MIN_OF(nul, sizeof(space) - 1)), line;
        size_t n = 1, at = 0;
        while (n <= LINES_MAX && str_cut(&rest, '\n', &line)) {
            environment[n++] = space + at;
            memcpy(space + at, line.len ? line.ptr : "", line.len);
            at += line.len;
            space[at++] = '\0';
        }
        text = str_slice(text, nul + 1, size);
    }

    AUTO(buf) why = BUF_INIT(WHY_MAX);
    struct config *c = NULL;
    const enum status st = load(text, environment, &c, &why);
    must(st == ST_OK || st == ST_INVALID);
    must((c != NULL) == (st == ST_OK));
    if (c) {
        must_be_whole(c);
        must_print(c);
    } else
        must_explain(&why);
    config_unref(c);
    return 0;
}
