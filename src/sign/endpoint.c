/*
 * endpoint - the host and path of a bucket, as a browser will write them.
 *
 * The host is signed, and what a browser sends as Host is what its URL parser made of ours: lower
 * case, no default port, numbers only as a whole IPv4 address, IPv6 in its shortest form. So every
 * host is written that way here, and what a URL parser would turn into something else is refused.
 */
#include "presignd/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

enum { HOST_BYTES_MAX = 253, LABEL_BYTES_MAX = 63, REGION_BYTES_MAX = 31, PORT_MAX = 65535 };

/* AWS partitions: the start of a region's name says which, the first row that fits counts. */
struct partition {
    struct str region_prefix;
    struct str arn;
    struct str suffix;
    bool dualstack, fips, accelerate;
};

/* clang-format off */
static const struct partition partitions[] = {
    { STR_INIT("cn-"),       STR_INIT("aws-cn"),     STR_INIT("amazonaws.com.cn"),   true,  false, false },
    { STR_INIT("us-gov-"),   STR_INIT("aws-us-gov"), STR_INIT("amazonaws.com"),      true,  true,  false },
    { STR_INIT("us-iso-"),   STR_INIT("aws-iso"),    STR_INIT("c2s.ic.gov"),         false, true,  false },
    { STR_INIT("us-isob-"),  STR_INIT("aws-iso-b"),  STR_INIT("sc2s.sgov.gov"),      false, true,  false },
    { STR_INIT("us-isof-"),  STR_INIT("aws-iso-f"),  STR_INIT("csp.hci.ic.gov"),     false, true,  false },
    { STR_INIT("eu-isoe-"),  STR_INIT("aws-iso-e"),  STR_INIT("cloud.adc-e.uk"),     false, true,  false },
    { STR_INIT("eusc-"),     STR_INIT("aws-eusc"),   STR_INIT("amazonaws.eu"),       false, true,  false },
    { STR_INIT(""),          STR_INIT("aws"),        STR_INIT("amazonaws.com"),      true,  true,  true  },
};
/* clang-format on */

/* An endpoint setting taken apart. */
struct origin {
    struct str scheme; /* a literal */
    struct str host;   /* without port; an IPv6 address without its brackets */
    struct str port;   /* "" for the scheme's own */
    bool ipv6, ipv4;
};

static enum status refuse(struct buf *why, struct str sentence)
{
    buf_str(why, sentence);
    return ST_INVALID;
}

static const struct partition *partition_of(struct str region)
{
    const struct partition *p = partitions;
    while (!str_starts(region, p->region_prefix))
        p++;
    return p;
}

struct str endpoint_arn_partition(struct str region)
{
    return partition_of(region)->arn;
}

/* With a NUL after it, as inet_pton wants; one inside would hide what follows. */
static bool to_cstr(struct str s, char *out, size_t cap)
{
    if (s.len == 0 || s.len >= cap || str_find(s, '\0', 0) < s.len)
        return false;
    memcpy(out, s.ptr, s.len);
    out[s.len] = '\0';
    return true;
}

static bool is_ipv4(struct str s)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr address;
    return to_cstr(s, text, sizeof(text)) && inet_pton(AF_INET, text, &address) == 1;
}

static bool all_digits(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!ascii_digit(s.ptr[i]))
            return false;
    return s.len > 0;
}

bool endpoint_bucket_name_ok(struct str name)
{
    if (name.len < 3 || name.len > 63 || is_ipv4(name))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || ascii_digit(c);
        bool inside = i > 0 && i + 1 < name.len;
        if (!letter && !(inside && (c == '-' || c == '.')))
            return false;
        if (c == '.' && name.ptr[i - 1] == '.')
            return false;
    }
    return true;
}

bool endpoint_wants_path_style(struct str bucket, bool custom)
{
    return custom || str_find(bucket, '.', 0) < bucket.len;
}

static bool region_ok(struct str region)
{
    if (region.len == 0 || region.len > REGION_BYTES_MAX)
        return false;
    for (size_t i = 0; i < region.len; i++) {
        char c = region.ptr[i];
        if (!(c >= 'a' && c <= 'z') && !ascii_digit(c) && c != '-')
            return false;
    }
    return true;
}

/* The DNS name as browsers keep it; a last label of digits is theirs to read as an IPv4 address. */
static bool dns_name_ok(struct str name)
{
    if (name.len == 0 || name.len > HOST_BYTES_MAX)
        return false;
    struct str rest = name;
    struct str label = STR_NONE;
    while (str_cut(&rest, '.', &label)) {
        if (label.len == 0 || label.len > LABEL_BYTES_MAX)
            return false;
        for (size_t i = 0; i < label.len; i++) {
            char c = label.ptr[i];
            if (!ascii_alnum(c) && c != '-' && c != '_')
                return false;
        }
    }
    return !all_digits(label) && !str_starts(label, STR("0x")) && !str_starts(label, STR("0X"));
}

/* Splits "host[:port]" or "[v6][:port]"; the port still unread. */
static enum status split_authority(struct str text, struct origin *out, struct buf *why)
{
    struct str port = STR_NONE;
    if (text.len > 0 && text.ptr[0] == '[') {
        size_t end = str_find(text, ']', 0);
        out->host = str_slice(text, 1, end);
        out->ipv6 = true;
        port = str_slice(text, end + 1, text.len);
        if (end == text.len || (port.len > 0 && port.ptr[0] != ':'))
            return refuse(why, STR("the endpoint's IPv6 address is not closed by ']'"));
    }
    if (!out->ipv6) {
        size_t end = str_find(text, ':', 0);
        out->host = str_slice(text, 0, end);
        port = str_slice(text, end, text.len);
    }
    out->port = str_slice(port, 1, port.len);
    if (port.len == 1)
        return refuse(why, STR("the endpoint has a colon without a port"));
    return ST_OK;
}

static enum status check_port(struct origin *o, struct buf *why)
{
    if (o->port.len == 0)
        return ST_OK;
    int64_t port = 0;
    if (o->port.ptr[0] == '0' || !str_to_int(o->port, PORT_MAX, &port))
        return refuse(why, STR("the endpoint's port is not a number from 1 to 65535"));
    if (port == (str_equal(o->scheme, STR("https")) ? 443 : 80))
        o->port = STR("");
    return ST_OK;
}

static enum status parse_origin(struct str url, struct origin *out, struct buf *why)
{
    *out = (struct origin){ .scheme = STR("https") };
    size_t colon = str_find(url, ':', 0);
    struct str scheme = str_slice(url, 0, colon);
    struct str rest = str_slice(url, colon, url.len);
    if (str_equal_nocase(scheme, STR("http")))
        out->scheme = STR("http");
    else if (!str_equal_nocase(scheme, STR("https")))
        return refuse(why, STR("the endpoint does not start with https:// or http://"));
    if (!str_starts(rest, STR("://")))
        return refuse(why, STR("the endpoint does not start with https:// or http://"));

    struct str authority = str_slice(rest, 3, rest.len);
    if (str_ends(authority, STR("/")))
        authority.len--;
    for (size_t i = 0; i < authority.len; i++)
        if (memchr("/?#@\\%", authority.ptr[i], 6))
            return refuse(
                why,
                STR("the endpoint may hold scheme, host and port only: no user, path or query"));
    TRY(split_authority(authority, out, why));
    TRY(check_port(out, why));
    out->ipv4 = !out->ipv6 && is_ipv4(out->host);
    if (!out->ipv6 && !out->ipv4 && !dns_name_ok(out->host))
        return refuse(why, STR("the endpoint's host is no DNS name or IP address"));
    return ST_OK;
}

static void push_lower(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        buf_char(out, ascii_lower(s.ptr[i]));
}

static enum status push_ipv6(struct buf *out, struct str host, struct buf *why)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    /* Mapped addresses have two shortest forms, and browsers do not take inet_ntop's. */
    if (!to_cstr(host, text, sizeof(text)) || inet_pton(AF_INET6, text, &address) != 1 ||
        IN6_IS_ADDR_V4MAPPED(&address) || IN6_IS_ADDR_V4COMPAT(&address) ||
        !inet_ntop(AF_INET6, &address, text, (socklen_t)sizeof(text)))
        return refuse(why, STR("the endpoint's IPv6 address is not valid"));
    buf_char(out, '[');
    buf_str(out, str_from(text));
    buf_char(out, ']');
    return ST_OK;
}

static enum status push_host(struct buf *text, const struct origin *o, struct buf *why)
{
    if (o->ipv6)
        TRY(push_ipv6(text, o->host, why));
    else
        push_lower(text, o->host);
    if (o->port.len > 0) {
        buf_char(text, ':');
        buf_str(text, o->port);
    }
    return ST_OK;
}

static enum status push_custom_host(struct buf *text, const struct endpoint_config *c,
                                    const struct origin *o, struct buf *why)
{
    if (!c->path_style) {
        if (o->ipv4 || o->ipv6)
            return refuse(why, STR("an endpoint that is an IP address needs path_style"));
        if (c->bucket.len + 1 + o->host.len > HOST_BYTES_MAX)
            return refuse(why, STR("bucket and endpoint are too long for one host name"));
        buf_str(text, c->bucket);
        buf_char(text, '.');
    }
    return push_host(text, o, why);
}

static enum status check_aws(const struct endpoint_config *c, const struct partition *p,
                             struct buf *why)
{
    if (!region_ok(c->region))
        return refuse(why, STR("the region is missing or is no region name"));
    if (str_ends(c->bucket, STR("--x-s3")))
        return refuse(why, STR("directory buckets (--x-s3) are not supported"));
    if (c->dualstack && !p->dualstack)
        return refuse(why, STR("this region has no dualstack endpoint"));
    if (c->fips && !p->fips)
        return refuse(why, STR("this region has no FIPS endpoint"));
    if (!c->accelerate)
        return ST_OK;
    if (!p->accelerate)
        return refuse(why, STR("this region has no accelerate endpoint"));
    if (c->fips)
        return refuse(why, STR("accelerate and fips exclude each other"));
    if (c->path_style || str_find(c->bucket, '.', 0) < c->bucket.len)
        return refuse(why, STR("accelerate takes neither path_style nor a bucket name with dots"));
    return ST_OK;
}

static enum status push_aws_host(struct buf *text, const struct endpoint_config *c, struct buf *why)
{
    const struct partition *p = partition_of(c->region);
    TRY(check_aws(c, p, why));
    if (!c->path_style) {
        buf_str(text, c->bucket);
        buf_char(text, '.');
    }
    buf_lit(text, "s3");
    if (c->accelerate)
        buf_lit(text, "-accelerate");
    if (c->fips)
        buf_lit(text, "-fips");
    if (c->dualstack)
        buf_lit(text, ".dualstack");
    if (!c->accelerate) {
        buf_char(text, '.');
        buf_str(text, c->region);
    }
    buf_char(text, '.');
    buf_str(text, p->suffix);
    return ST_OK;
}

/* The setting that counts; "" is AWS. */
static struct str origin_of(const struct endpoint_config *c, bool use_public)
{
    return use_public && c->public_endpoint.len > 0 ? c->public_endpoint : c->endpoint;
}

enum status endpoint_resolve(const struct endpoint_config *c, bool use_public, struct buf *text,
                             struct endpoint *out, struct buf *why)
{
    if (!endpoint_bucket_name_ok(c->bucket))
        return refuse(why,
                      STR("the bucket's name is not one S3 takes: 3-63 of a-z, 0-9, '-', '.'"));
    if (c->endpoint.len > 0 && (c->dualstack || c->fips || c->accelerate))
        return refuse(
            why,
            STR("dualstack, fips and accelerate are for AWS, not for an endpoint of your own"));

    const struct str url = origin_of(c, use_public);
    struct origin origin = { .scheme = STR("https") };
    const size_t host_at = text->len;
    if (url.len > 0) {
        TRY(parse_origin(url, &origin, why));
        TRY(push_custom_host(text, c, &origin, why));
    }
    if (url.len == 0)
        TRY(push_aws_host(text, c, why));

    const size_t path_at = text->len;
    buf_char(text, '/');
    if (c->path_style) {
        buf_str(text, c->bucket);
        buf_char(text, '/');
    }
    TRY(buf_check(text));
    const struct str all = buf_view(text);
    out->scheme = origin.scheme;
    out->host = str_slice(all, host_at, path_at);
    out->path = str_slice(all, path_at, all.len);
    return ST_OK;
}

/* What stands in `text` from `at` on is the host. */
static enum status place_at_root(struct buf *text, size_t at, struct str scheme,
                                 struct endpoint *out)
{
    TRY(buf_check(text));
    *out = (struct endpoint){ .scheme = scheme,
                              .host = str_slice(buf_view(text), at, text->len),
                              .path = STR("/") };
    return ST_OK;
}

enum status endpoint_origin(struct str url, struct buf *text, struct endpoint *out, struct buf *why)
{
    const size_t at = text->len;
    struct origin origin;
    TRY(parse_origin(url, &origin, why));
    TRY(push_host(text, &origin, why));
    return place_at_root(text, at, origin.scheme, out);
}

enum status endpoint_service(struct str service, struct str region, struct buf *text,
                             struct endpoint *out, struct buf *why)
{
    const size_t at = text->len;
    if (!region_ok(region))
        return refuse(why, STR("the region is missing or is no region name"));
    buf_str(text, service);
    buf_char(text, '.');
    buf_str(text, region);
    buf_char(text, '.');
    buf_str(text, partition_of(region)->suffix);
    return place_at_root(text, at, STR("https"), out);
}

void endpoint_base_url(struct buf *out, const struct endpoint *e)
{
    buf_str(out, e->scheme);
    buf_lit(out, "://");
    buf_str(out, e->host);
    buf_str(out, e->path);
}
