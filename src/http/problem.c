#include "presignd/problem.h"

static const char TYPE_BASE[] = "https://presignd.dev/errors/";

enum { TYPE_MAX = 128 };

static void write_type(struct jw *j, struct str code)
{
    char space[TYPE_MAX];
    struct buf type = BUF_FIXED(space);
    buf_str(&type, str_from(TYPE_BASE));
    buf_str(&type, code);
    jw_str(j, "type", buf_view(&type));
}

static void write_list(struct jw *j, const struct fault_member *m)
{
    jw_open_key(j, m->name, '[');
    for (int64_t i = 0; i < m->num; i++)
        jw_item_str(j, m->list[i]);
    jw_close(j);
}

static void write_member(struct jw *j, const struct fault_member *m)
{
    switch (m->kind) {
    case FAULT_STR: jw_str(j, m->name, m->str); break;
    case FAULT_INT: jw_int(j, m->name, m->num); break;
    case FAULT_NULL: jw_null(j, m->name); break;
    case FAULT_LIST: write_list(j, m); break;
    }
}

void problem_write(struct buf *out, const struct fault *f, struct str request_id)
{
    const struct str title = status_title(f->status);
    const struct str detail = f->detail.len > 0 ? f->detail : title;
    struct jw j = { .out = out };
    jw_open(&j, '{');
    write_type(&j, status_code(f->status));
    jw_str(&j, "title", title);
    jw_int(&j, "status", status_http(f->status));
    jw_str(&j, "detail", detail);
    jw_str(&j, "code", status_code(f->status));
    jw_str(&j, "request_id", request_id);
    jw_str(&j, "message", detail);
    for (size_t i = 0; i < f->n_members; i++)
        write_member(&j, &f->members[i]);
    jw_close(&j);
}
