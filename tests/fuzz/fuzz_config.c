/*
 * fuzz_config - any file under any variables: what stands before the first NUL are PRESIGND__
 * variables, one a line, the rest is the file.
 *
 * What must hold: a refusal says why, in whole lines; what is accepted has issuers, buckets,
 * profiles and a default among them, prints itself, and is accepted again as it was printed.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "presignd/config_raw.h"

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

static void must_be_whole(const struct config *c)
{
    const struct rules *r = &c->rules;
    must(c->n_issuers > 0 && r->n_buckets > 0 && r->n_profiles > 0 && r->default_profile);
    must(c->threads >= 1 && c->threads <= CONFIG_THREADS_MAX && c->ledger == LEDGER_NONE);
    must(c->server.connections > 0 && c->server.body_bytes >= 1024);
    must((r->n_plans > 0) == (r->default_plan != NULL));
    for (size_t i = 0; i < r->n_profiles; i++) {
        const struct profile *p = &r->profiles[i];
        must(rules_profile(r, p->name) == p && p->words[0] == &p->key && p->key.has_uuid);
        must(p->min_bytes >= 0 && p->min_bytes <= p->max_bytes);
    }
    for (size_t i = 0; i < r->n_plans; i++)
        must(r->plans[i].n_limits == 0);
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
