/*
 * ledger_admin - adjusts, then shows what is stored now.
 *
 * A user is named by its hash, which the log and the ledger show. Where one issuer is configured
 * its user claim names the user just as well; with several that would be a guess.
 */
#include "presignd/ledger_admin.h"

#include <string.h>

#include "presignd/api.h"
#include "presignd/date.h"
#include "presignd/json_read.h"

enum { BODY_DEPTH_MAX = 16, USER_MAX = 255, LIMIT_NAME_MAX = 64, RETRY_AFTER_S = 5 };

#define DELTA_MAX ((INT64_C(1) << 53) - 1) /* what every engine counts exactly */

static struct adjust_call *adjust_call_of(struct request *r)
{
    return container_of(r, struct adjust_call, r);
}

/* ---- read --------------------------------------------------------------------------------------- */

/* clang-format off */
static const struct jr_field adjust_fields[] = {
    { .name = "user",       .type = JR_STR, .offset = offsetof(struct adjust_call, user),       .flags = JR_REQUIRED | JR_NOT_EMPTY, .max = USER_MAX },
    { .name = "limit_name", .type = JR_STR, .offset = offsetof(struct adjust_call, limit_name), .flags = JR_REQUIRED | JR_NOT_EMPTY, .max = LIMIT_NAME_MAX },
    { .name = "delta",      .type = JR_INT, .offset = offsetof(struct adjust_call, delta),      .flags = JR_REQUIRED, .min = -DELTA_MAX, .max = DELTA_MAX },
};
/* clang-format on */

static const struct jr_table adjust_table = {
    .fields = adjust_fields,
    .n_fields = ARRAY_LEN(adjust_fields),
    .struct_bytes = sizeof(struct adjust_call),
};

static enum step bad_member(struct request *r, struct str member, struct str detail)
{
    fault_set(&r->fault, ST_INVALID_REQUEST, detail);
    fault_str(&r->fault, "member", member);
    return request_refuse(r, ST_INVALID_REQUEST);
}

static enum step read_adjust(struct request *r)
{
    struct jr_error err = { .member = STR("") };
    json_t *doc = NULL;
    enum status st = jr_parse(r->body, BODY_DEPTH_MAX, &r->arena, &doc, &err);
    if (st == ST_OK)
        st = jr_fill(doc, &adjust_table, STR(""), &r->arena, adjust_call_of(r), &err);
    json_decref(doc);
    if (st == ST_INVALID_REQUEST)
        return bad_member(r, err.member, err.detail);
    return st == ST_OK ? STEP_ON : request_refuse(r, ST_OVERLOADED);
}

/* ---- who ---------------------------------------------------------------------------------------- */

static bool is_user_hash(struct str s)
{
    bool hex = s.len == sizeof(((struct adjust_call *)NULL)->user_hash) - 1;
    for (size_t i = 0; hex && i < s.len; i++)
        hex = ascii_digit(s.ptr[i]) || (s.ptr[i] >= 'a' && s.ptr[i] <= 'f');
    return hex;
}

static enum step name_user(struct request *r)
{
    struct adjust_call *a = adjust_call_of(r);
    const struct keyring *kr = worker_of(r)->world->keyring;
    if (is_user_hash(a->user)) {
        memcpy(a->user_hash, a->user.ptr, a->user.len);
        return STEP_ON;
    }
    if (!kr) {
        r->fault.retry_after_s = RETRY_AFTER_S;
        return request_refuse(r, ST_KEYS_UNAVAILABLE);
    }
    if (kr->n != 1)
        return bad_member(r, STR("user"),
                          STR("With several issuers the user is named by the 32 hex digits of "
                              "user_hash."));
    principal_hash_user(kr->issuers[0].config->issuer, a->user, a->user_hash);
    return STEP_ON;
}

/* ---- adjust and show ---------------------------------------------------------------------------- */

static enum step adjust(struct request *r)
{
    struct adjust_call *a = adjust_call_of(r);
    a->adjust.op.verb = LEDGER_ADJUST;
    a->adjust.op.user_hash = str_from(a->user_hash);
    a->adjust.op.limit_name = a->limit_name;
    a->adjust.op.amount = a->delta;
    return ledger_call_ask(&a->adjust, r);
}

static enum step show(struct request *r)
{
    struct adjust_call *a = adjust_call_of(r);
    a->show.op.verb = LEDGER_SHOW;
    a->show.op.user_hash = str_from(a->user_hash);
    return ledger_call_ask(&a->show, r);
}

static const struct tally *find_tally(const struct ledger_op *op, struct str name)
{
    for (size_t i = 0; i < op->n_tallies; i++)
        if (str_equal(op->tallies[i].name, name))
            return &op->tallies[i];
    return NULL;
}

static void write_start(struct jw *j, int64_t start_s)
{
    char space[32];
    struct buf text = BUF_FIXED(space);
    if (start_s == 0) {
        jw_null(j, "window_start");
        return;
    }
    date_iso(&text, start_s);
    jw_str(j, "window_start", buf_view(&text));
}

static enum step write_tally(struct request *r)
{
    struct adjust_call *a = adjust_call_of(r);
    const struct tally *t = find_tally(&a->show.op, a->limit_name);
    if (!t)
        return request_refuse(r, ST_NOT_FOUND);
    struct jw j = { .out = &r->out };
    jw_open(&j, '{');
    jw_str(&j, "user_hash", str_from(a->user_hash));
    jw_str(&j, "limit_name", t->name);
    jw_int(&j, "used", t->used);
    jw_int(&j, "reserved", t->reserved);
    write_start(&j, t->start_s);
    jw_close(&j);
    return jw_end(&j) == ST_OK ? request_answer(r, 200) : request_refuse(r, ST_OVERLOADED);
}

/* ---- the route ---------------------------------------------------------------------------------- */

void ledger_admin_end(struct request *r, bool answer_was_sent)
{
    (void)answer_was_sent;
    struct adjust_call *a = adjust_call_of(r);
    ledger_call_end(&a->adjust);
    ledger_call_end(&a->show);
}

void ledger_admin_log(const struct request *r, struct jw *line)
{
    /* r is the first member: container_of would drop the const */
    const struct adjust_call *a = (const struct adjust_call *)(const void *)r;
    if (a->user_hash[0] == '\0')
        return;
    jw_str(line, "user_hash", str_from(a->user_hash));
    jw_str(line, "limit_name", a->limit_name);
    jw_int(line, "delta", a->delta);
}

step_fn *const ledger_adjust_steps[] = {
    ledger_call_remembers,
    request_wants_json,
    request_read_body,
    read_adjust,
    name_user,
    adjust,
    show,
    write_tally,
    NULL,
};
