/*
 * route - the table is short and most requests go to its plain paths, so those are compared first;
 * templates are looked at only when no plain path fits.
 */
#include "presignd/route.h"

/* clang-format off */
static const struct {
    unsigned method;
    struct str name;
} methods[] = {
    { HTTP_GET,     STR_INIT("GET")     },
    { HTTP_HEAD,    STR_INIT("HEAD")    },
    { HTTP_POST,    STR_INIT("POST")    },
    { HTTP_DELETE,  STR_INIT("DELETE")  },
    { HTTP_OPTIONS, STR_INIT("OPTIONS") },
};
/* clang-format on */

unsigned route_method(const char *name)
{
    const struct str s = str_from(name);
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (str_equal(methods[i].name, s))
            return methods[i].method;
    return 0;
}

struct str route_method_name(unsigned method)
{
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (methods[i].method == method)
            return methods[i].name;
    return STR("OTHER");
}

static unsigned with_head(unsigned m)
{
    return m & HTTP_GET ? m | HTTP_HEAD : m;
}

void route_methods(struct buf *out, unsigned wanted)
{
    const char *between = "";
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (!(with_head(wanted) & methods[i].method))
            continue;
        buf_str(out, str_from(between));
        buf_str(out, methods[i].name);
        between = ", ";
    }
}

/* "{id}" stands for one segment: not empty, no slash. */
static bool template_fits(struct str template, struct str path, struct str *out_id)
{
    static const struct str id = STR_INIT("{id}");
    const size_t at = str_find(template, '{', 0);
    if (!str_equal(str_slice(template, at, at + id.len), id))
        return false;

    const struct str before = str_slice(template, 0, at);
    const struct str after = str_slice(template, at + id.len, template.len);
    if (path.len <= before.len + after.len || !str_starts(path, before) || !str_ends(path, after))
        return false;
    const struct str segment = str_slice(path, before.len, path.len - after.len);
    if (str_find(segment, '/', 0) < segment.len)
        return false;
    *out_id = segment;
    return true;
}

static bool served(const struct route *r, bool admin_listener)
{
    if (r->flags & ROUTE_PROBE)
        return true;
    return admin_listener == ((r->flags & ROUTE_ADMIN) != 0);
}

static struct route_match find_kind(const struct route *routes, size_t n, bool admin_listener,
                                    struct str path, unsigned method, bool templates)
{
    struct route_match m = { .number = n };
    for (size_t i = 0; i < n; i++) {
        const struct route *r = &routes[i];
        struct str id = STR_NONE;
        if (!served(r, admin_listener))
            continue;
        if (templates ? !template_fits(r->path, path, &id) : !str_equal(r->path, path))
            continue;
        m.allowed |= with_head(r->methods);
        m.flags |= r->flags;
        if (!m.route && with_head(r->methods) & method) {
            m.route = r;
            m.number = i;
            m.path_id = id;
        }
    }
    return m;
}

struct route_match route_find(const struct route *routes, size_t n, bool admin_listener,
                              struct str path, unsigned method)
{
    const struct route_match plain = find_kind(routes, n, admin_listener, path, method, false);
    if (plain.allowed)
        return plain;
    return find_kind(routes, n, admin_listener, path, method, true);
}
