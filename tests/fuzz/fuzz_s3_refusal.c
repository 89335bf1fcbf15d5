/*
 * fuzz_s3_refusal - any bytes as a store's answer, and what is made of it without a packet.
 *
 * What must hold: a refusal to read explains itself; what was read has bounded texts; every answer
 * is explained by at least one sentence, and no sentence has a control or bytes that are no UTF-8.
 */
#include <stdint.h>
#include <stdlib.h>

#include "presignd/explain.h"

enum { ARENA_MAX = 4 << 20, WHY_MAX = 8192 };

static void must(bool held)
{
    if (!held)
        abort();
}

static void must_be_shown(struct str s)
{
    must(s.len > 0 && str_valid_utf8(s));
    for (size_t i = 0; i < s.len; i++)
        must((unsigned char)s.ptr[i] >= 0x20 && s.ptr[i] != 0x7f);
}

static void judge(const struct s3_refusal *r, struct arena *a)
{
    static struct explain e;
    e = (struct explain){ .refusal = r, .sent_bytes = -1, .now_s = 1795334400, .arena = a };
    must(explain_judge(&e) == ST_OK && e.n > 0 && e.n <= FINDINGS_MAX);
    for (size_t i = 0; i < e.n; i++) {
        must_be_shown(e.findings[i].says);
        must_be_shown(e.findings[i].todo);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(arena) a = ARENA_INIT(ARENA_MAX);
    AUTO(buf) why = BUF_INIT(WHY_MAX);
    struct s3_refusal r;
    const enum status st = s3_refusal_read(&r, (struct str){ (const char *)data, size }, &a, &why);
    must(st == ST_OK || st == ST_INVALID || st == ST_TOO_LARGE);
    must((st == ST_INVALID) == (why.len > 0));
    if (st != ST_OK)
        return 0;
    must(r.http >= 0 && r.http <= 999 && r.code.len <= 65536 && r.message.len <= 65536);
    judge(&r, &a);
    return 0;
}
