#include "presignd/status.h"

struct row {
    const char *name;
    int http;
    struct str code;
    struct str title;
};

static const struct row rows[STATUS_COUNT] = {
#define STATUS_ROW(name, http, code, title) \
    [name] = { #name, http, STR_INIT(code), STR_INIT(title) },
    STATUS_TABLE(STATUS_ROW)
#undef STATUS_ROW
};

static const struct row *row_of(enum status s)
{
    assert((unsigned)s < STATUS_COUNT);
    return &rows[s];
}

int status_http(enum status s)
{
    return row_of(s)->http;
}

struct str status_code(enum status s)
{
    return row_of(s)->code;
}

struct str status_title(enum status s)
{
    return row_of(s)->title;
}

const char *status_name(enum status s)
{
    return row_of(s)->name;
}
