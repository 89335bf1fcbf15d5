/* A store's answer read, the row of its code, and every allocation of the whole refused in turn. */
#include "test.h"

#include "oom.h"
#include "presignd/explain.h"

enum { ARENA_MAX = 4 << 20, WHY_MAX = 8192 };

#define ERROR(inside) "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>" inside "</Error>"

/* ---- the answer --------------------------------------------------------------------------------- */

/* clang-format off */
static const struct {
    const char *name;
    struct str text;
    enum status want;
    const char *code, *message;
    int http;
} answers[] = {
    { "plain",            STR_INIT(ERROR("<Code>A</Code><Message>m &amp; n</Message>")), ST_OK, "A", "m & n", 0 },
    { "no declaration",   STR_INIT("<Error><Code>A</Code></Error>"),                     ST_OK, "A", "", 0 },
    { "blanks before",    STR_INIT("\r\n \t" ERROR("<Code>A</Code>") "\n"),              ST_OK, "A", "", 0 },
    { "behind a head",    STR_INIT("HTTP/1.1 403 Forbidden\r\nA: b\r\n\r\n" ERROR("<Code>A</Code>")), ST_OK, "A", "", 403 },
    { "two heads",        STR_INIT("HTTP/1.1 100 Continue\n\nHTTP/2 400\n\n" ERROR("<Code>A</Code>")), ST_OK, "A", "", 400 },
    { "in a response",    STR_INIT("<ErrorResponse><Error><Code>A</Code></Error></ErrorResponse>"), ST_OK, "A", "", 0 },
    { "first code only",  STR_INIT(ERROR("<Code>A</Code><Code>B</Code>")),               ST_OK, "A", "", 0 },
    { "second error",     STR_INIT("<r><Error><Code>A</Code></Error><Error><Message>m</Message></Error></r>"), ST_OK, "A", "", 0 },
    { "code too deep",    STR_INIT(ERROR("<x><Code>A</Code></x>")),                      ST_OK, "", "", 0 },
    { "other root",       STR_INIT("<a><b><Error><Code>A</Code></Error></b></a>"),       ST_OK, "", "", 0 },
    { "head alone",       STR_INIT("HTTP/1.1 405 \r\n\r\n"),                             ST_OK, "", "", 405 },
    { "head, no end",     STR_INIT("HTTP/1.1 405 x"),                                    ST_OK, "", "", 405 },
    { "odd status",       STR_INIT("HTTP/1.1 4x5 \r\n\r\n"),                             ST_OK, "", "", 0 },
    { "page of a proxy",  STR_INIT("HTTP/1.1 502 x\r\n\r\n<html><br></html>"),           ST_OK, "", "", 502 },
    { "nothing",          STR_INIT(""),                                                  ST_INVALID, NULL, NULL, 0 },
    { "blanks",           STR_INIT(" \n"),                                               ST_INVALID, NULL, NULL, 0 },
    { "words",            STR_INIT("AccessDenied"),                                      ST_INVALID, NULL, NULL, 0 },
    { "JSON",             STR_INIT("{\"code\":\"A\"}"),                                  ST_INVALID, NULL, NULL, 0 },
    { "cut",              STR_INIT("<Error><Code>A</Code>"),                             ST_INVALID, NULL, NULL, 0 },
    { "two roots",        STR_INIT("<Error/><Error/>"),                                  ST_INVALID, NULL, NULL, 0 },
    { "NUL",              STR_INIT("<Error>\0</Error>"),                                 ST_INVALID, NULL, NULL, 0 },
    { "no UTF-8",         STR_INIT("<Error><Code>\xff</Code></Error>"),                  ST_INVALID, NULL, NULL, 0 },
    { "DTD",              STR_INIT("<!DOCTYPE Error><Error><Code>A</Code></Error>"),     ST_INVALID, NULL, NULL, 0 },
    { "entity",           STR_INIT("<!DOCTYPE E [<!ENTITY a \"A\">]><Error><Code>&a;</Code></Error>"), ST_INVALID, NULL, NULL, 0 },
    { "unknown entity",   STR_INIT("<Error><Code>&a;</Code></Error>"),                   ST_INVALID, NULL, NULL, 0 },
    { "cut behind a head", STR_INIT("HTTP/1.1 403 x\r\n\r\n<Error><Code>A</Code>"),      ST_INVALID, NULL, NULL, 0 },
};
/* clang-format on */

static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(answers); i++) {
        AUTO(arena) a = ARENA_INIT(ARENA_MAX);
        AUTO(buf) why = BUF_INIT(WHY_MAX);
        struct s3_refusal r;
        const enum status st = s3_refusal_read(&r, answers[i].text, &a, &why);
        CHECK_EQ(answers[i].name, st, answers[i].want);
        CHECK_EQ(answers[i].name, why.len > 0, st != ST_OK);
        if (st != ST_OK)
            continue;
        CHECK_TEXT(answers[i].name, r.code, answers[i].code);
        CHECK_TEXT(answers[i].name, r.message, answers[i].message);
        CHECK_EQ(answers[i].name, r.http, answers[i].http);
    }
}

/* ---- the code ----------------------------------------------------------------------------------- */

/* clang-format off */
static const struct { const char *code, *message, *cause; } codes[] = {
    { "AccessDenied",      "Policy expired",                              "packet_ended" },
    { "AccessDenied",      "Invalid according to Policy: Policy expired.", "packet_ended" },
    { "AccessDenied",      "Request has expired",                         "packet_ended" },
    { "AccessDenied",      "Policy missing condition: x",                 "extra_field" },
    { "AccessDenied",      "",                                            "denied" },
    { "InvalidArgument",   "Key not specified",                           "missing_field" },
    { "InvalidArgument",   "Missing aws4 signature",                      "missing_field" },
    { "InvalidArgument",   "",                                            "argument_invalid" },
    { "KMS.NotFoundException", "",                                        "encryption_key" },
    { "KMSish",            "",                                            "unknown" },
    { "accessdenied",      "",                                            "unknown" },
    { "AccessDeniedX",     "",                                            "unknown" },
    { "",                  "Policy expired",                              "unknown" },
};
/* clang-format on */

static void test_codes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(codes); i++) {
        const struct s3_refusal r = { .code = str_from(codes[i].code),
                                      .message = str_from(codes[i].message) };
        CHECK_TEXT(codes[i].code, str_from(explain_code_of(&r)->cause), codes[i].cause);
    }
}

/* ---- without memory ----------------------------------------------------------------------------- */

/* {"expiration":"2026-11-22T08:15:00Z","conditions":[{"key":"k"},["content-length-range",1,5]]} */
#define POLICY                                                                                     \
    "eyJleHBpcmF0aW9uIjoiMjAyNi0xMS0yMlQwODoxNTowMFoiLCJjb25kaXRpb25zIjpbeyJrZXkiOiJrIn0sWyJjb250" \
    "ZW50LWxlbmd0aC1yYW5nZSIsMSw1XV19"

#define ECHO \
    "ä of " POLICY " (abc+defgh, abc%2Bdefgh, abc%2bdefgh, abcdefgh) and a tail that is cut"

static const char packet_text[] =
    "{\"url\":\"https://b.test/\",\"fields\":{\"key\":\"k\",\"policy\":\"" POLICY "\"}}";

static enum status tell_all(struct explain *e, struct s3_refusal *r, struct packet_view *p,
                            struct arena *a, struct buf *why)
{
    static const struct jr_pair wrong[] = { { STR_INIT("key"), STR_INIT("x") },
                                            { STR_INIT("acl"), STR_INIT("private") } };
    static struct jr_pair items[ROWS(wrong)];
    static struct jr_pairs sent = { items, ROWS(wrong) };
    memcpy(items, wrong, sizeof(wrong));
    struct known_secrets secrets = { .n = 0 };
    TRY(s3_refusal_read(r, STR(ERROR("<Code>AccessDenied</Code><Message>" ECHO "</Message>")), a,
                        why));
    TRY(packet_view_read(p, str_from(packet_text), a, why));
    explain_secrets(&secrets, p, STR("?X-Amz-Signature=abc%2Bdefgh&"), &sent, a);
    TRY(s3_refusal_blank(r, &secrets, 64, a));
    *e = (struct explain){ .refusal = r,
                           .packet = p,
                           .sent = &sent,
                           .sent_bytes = 6,
                           .now_s = INT64_C(1795338900),
                           .arena = a };
    return explain_judge(e);
}

/* All five faults, or no memory; never some of them. */
static bool whole_or_nothing(void)
{
    static struct explain e;
    static struct packet_view p;
    struct s3_refusal r;
    AUTO(arena) a = ARENA_INIT(ARENA_MAX);
    AUTO(buf) why = BUF_INIT(WHY_MAX);
    const enum status st = tell_all(&e, &r, &p, &a, &why);
    if (st != ST_OK)
        return st == ST_NO_MEMORY && oom_struck();
    return str_equal(r.message, STR("ä of (not shown) ((not shown), (not shown), abc%2bdefgh, "
                                    "abcdef…")) &&
           e.n == 5 && p.has_policy && p.max_bytes == 5 &&
           str_equal(str_from(e.findings[0].cause), STR("packet_ended"));
}

static void test_oom(void **state)
{
    (void)state;
    oom_torture(whole_or_nothing);
}

TEST_MAIN(cmocka_unit_test(test_answers), cmocka_unit_test(test_codes), cmocka_unit_test(test_oom))
