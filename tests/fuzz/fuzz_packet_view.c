/*
 * fuzz_packet_view - any text as a packet, any text as its policy, and what explain makes of them.
 *
 * What must hold: a refusal explains itself; a policy that was read has bounded conditions and holds
 * no token; what was sent as the packet has it differs in nothing; sentences can be printed.
 */
#include <stdint.h>
#include <stdlib.h>

#include "presignd/encode.h"
#include "presignd/explain.h"

enum { ARENA_MAX = 4 << 20, WHY_MAX = 8192, BASE64_MAX = 1 << 20 };

static void must(bool held)
{
    if (!held)
        abort();
}

static void must_be_shown(struct str s)
{
    must(str_valid_utf8(s));
    for (size_t i = 0; i < s.len; i++)
        must((unsigned char)s.ptr[i] >= 0x20 && s.ptr[i] != 0x7f);
}

static void must_be_whole(const struct packet_view *p)
{
    must(p->n_conditions <= PACKET_CONDITIONS_MAX);
    must(!p->has_range || p->min_bytes >= 0);
    must(p->has_policy == !p->policy_fault || !p->post);
    for (size_t i = 0; i < p->n_conditions; i++)
        must(!packet_hides(p->conditions[i].field) || p->conditions[i].value.len == 0);
}

static void judge(const struct packet_view *p, struct str code, struct arena *a)
{
    static struct explain e;
    const struct s3_refusal r = { .http = 403, .has_xml = true, .code = code };
    e = (struct explain){ .refusal = &r,
                          .packet = p,
                          .sent = &p->fields,
                          .sent_bytes = 7,
                          .now_s = 1795334400,
                          .arena = a };
    const enum status st = explain_judge(&e);
    must(st == ST_OK || st == ST_TOO_LARGE || st == ST_NO_MEMORY);
    must(st != ST_OK || e.n > 0);
    for (size_t i = 0; i < e.n; i++) {
        must_be_shown(e.findings[i].says);
        must_be_shown(e.findings[i].todo);
    }
}

static void read_as_policy(struct str text, struct arena *a)
{
    static struct packet_view p;
    AUTO(buf) base64 = BUF_INIT(BASE64_MAX);
    encode_base64(&base64, text);
    p = (struct packet_view){ .post = true };
    const enum status st = packet_view_policy(&p, buf_view(&base64), a);
    must(st == ST_OK || st == ST_TOO_LARGE);
    if (st == ST_OK) {
        must_be_whole(&p);
        judge(&p, STR("AccessDenied"), a);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct packet_view p;
    AUTO(arena) a = ARENA_INIT(ARENA_MAX);
    AUTO(buf) why = BUF_INIT(WHY_MAX);
    const struct str text = { (const char *)data, size };
    const enum status st = packet_view_read(&p, text, &a, &why);
    must(st == ST_OK || st == ST_INVALID || st == ST_TOO_LARGE);
    must((st == ST_INVALID) == (why.len > 0));
    if (st == ST_OK) {
        must_be_whole(&p);
        judge(&p, STR("AccessDenied"), &a);
        judge(&p, STR("SignatureDoesNotMatch"), &a);
    }
    read_as_policy(text, &a);
    return 0;
}
