#include "presignd/fault.h"

enum status fault_set(struct fault *f, enum status st, struct str detail)
{
    *f = (struct fault){ .status = st, .detail = detail };
    return st;
}

static void add(struct fault *f, struct fault_member member)
{
    assert(f->n_members < ARRAY_LEN(f->members));
    f->members[f->n_members++] = member;
}

void fault_str(struct fault *f, const char *name, struct str value)
{
    add(f, (struct fault_member){ .name = name, .kind = FAULT_STR, .str = value });
}

void fault_int(struct fault *f, const char *name, int64_t value)
{
    add(f, (struct fault_member){ .name = name, .kind = FAULT_INT, .num = value });
}

void fault_list(struct fault *f, const char *name, const struct str *values, size_t n)
{
    add(f, (struct fault_member){
               .name = name, .kind = FAULT_LIST, .list = values, .num = (int64_t)n });
}
