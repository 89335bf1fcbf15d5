/*
 * cors - an Origin (RFC 6454 section 6.2) is compared as browsers write it: lower case, no default
 * port, no path. So is the list: an entry that no browser can ever match is refused when the
 * configuration is read.
 */
#include "presignd/cors.h"

static const struct str any = STR_INIT("*");

enum { PORT_MAX = 65535 };

static bool label_byte(char c)
{
    return (c >= 'a' && c <= 'z') || ascii_digit(c) || c == '-' || c == '_';
}

/* One or more labels with dots between them. */
static bool labels(struct str host)
{
    struct str label;
    if (host.len == 0)
        return false;
    while (str_cut(&host, '.', &label)) {
        if (label.len == 0)
            return false;
        for (size_t i = 0; i < label.len; i++)
            if (!label_byte(label.ptr[i]))
                return false;
    }
    return true;
}

static bool ipv6_literal(struct str host)
{
    if (host.len < 4 || host.ptr[0] != '[' || host.ptr[host.len - 1] != ']')
        return false;
    for (size_t i = 1; i < host.len - 1; i++) {
        const char c = host.ptr[i];
        if (!ascii_digit(c) && !(c >= 'a' && c <= 'f') && c != ':' && c != '.')
            return false;
    }
    return true;
}

/* Takes the scheme with "://" off the front; the default port of the scheme. 0: neither of ours. */
static int64_t cut_scheme(struct str *s)
{
    static const struct {
        struct str scheme;
        int64_t port;
    } schemes[] = { { STR_INIT("https://"), 443 }, { STR_INIT("http://"), 80 } };
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (str_starts(*s, schemes[i].scheme)) {
            *s = str_slice(*s, schemes[i].scheme.len, s->len);
            return schemes[i].port;
        }
    }
    return 0;
}

/* Takes ":port" off the end; false when it is no port that a browser would write. */
static bool cut_port(struct str *s, int64_t default_port)
{
    size_t colon = s->len;
    while (colon > 0 && ascii_digit(s->ptr[colon - 1]))
        colon--;
    if (colon == 0 || s->ptr[colon - 1] != ':')
        return true;
    const struct str digits = str_slice(*s, colon, s->len);
    int64_t port;
    if (!str_to_int(digits, PORT_MAX, &port) || port == default_port || digits.ptr[0] == '0')
        return false;
    *s = str_slice(*s, 0, colon - 1);
    return true;
}

bool cors_origin_pattern_ok(struct str pattern)
{
    static const struct str wild = STR_INIT("*.");
    if (str_equal(pattern, any))
        return true;
    if (pattern.len > CORS_ORIGIN_MAX)
        return false;
    struct str host = pattern;
    const int64_t default_port = cut_scheme(&host);
    if (!default_port || !cut_port(&host, default_port))
        return false;
    if (str_starts(host, wild))
        return labels(str_slice(host, wild.len, host.len));
    return labels(host) || ipv6_literal(host);
}

/* The star of "*.example.com" stands for one or more whole labels. */
static bool wildcard_fits(struct str pattern, struct str origin)
{
    const size_t star = str_find(pattern, '*', 0);
    if (star == pattern.len)
        return false;
    const struct str before = str_slice(pattern, 0, star);
    const struct str after = str_slice(pattern, star + 1, pattern.len);
    if (origin.len <= before.len + after.len || !str_starts(origin, before) ||
        !str_ends(origin, after))
        return false;
    return labels(str_slice(origin, before.len, origin.len - after.len));
}

/* The entry that lets this origin in; NULL when none does. */
static const struct str *entry_for(const struct cors_config *c, struct str origin)
{
    if (origin.len == 0 || origin.len > CORS_ORIGIN_MAX || str_equal(origin, STR("null")))
        return NULL;
    for (size_t i = 0; i < c->n_origins; i++) {
        const struct str *entry = &c->origins[i];
        const bool fits = str_equal(*entry, any)
                              ? !c->credentials
                              : str_equal(*entry, origin) || wildcard_fits(*entry, origin);
        if (fits)
            return entry;
    }
    return NULL;
}

bool cors_allows(const struct cors_config *c, struct str origin)
{
    return entry_for(c, origin) != NULL;
}

struct str cors_allow_origin(const struct cors_config *c, struct str origin)
{
    const struct str *entry = entry_for(c, origin);
    return entry && str_equal(*entry, any) ? any : origin;
}
