/*
 * access_log - a request in one line. What a client chose (path, correlation id) is escaped by the
 * writer and cut, so that a line is always one line and never long.
 */
#include "presignd/access_log.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "presignd/route.h"

enum {
    PATH_SHOWN = 256,
    ADDRESS_BYTES = 16,
    MAPPED_BITS = 96,
    PORT_MAX = 65535,
    MICROS_PER_MS = 1000
};

static const unsigned char mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

/* The address in 16 bytes; its bits, 32 or 128, or 0 when the text is no address. */
static int address_parse(struct str text, unsigned char out[ADDRESS_BYTES])
{
    char cstr[INET6_ADDRSTRLEN];
    if (text.len == 0 || text.len >= sizeof(cstr) || str_find(text, '\0', 0) < text.len)
        return 0;
    memcpy(cstr, text.ptr, text.len);
    cstr[text.len] = '\0';

    if (inet_pton(AF_INET, cstr, out + sizeof(mapped)) == 1) {
        memcpy(out, mapped, sizeof(mapped));
        return 32;
    }
    return inet_pton(AF_INET6, cstr, out) == 1 ? 128 : 0;
}

static bool bits_clear_from(const unsigned char bytes[ADDRESS_BYTES], int bits)
{
    for (int i = bits; i < 8 * ADDRESS_BYTES; i++)
        if (bytes[i / 8] & (0x80 >> i % 8))
            return false;
    return true;
}

enum status cidr_parse(struct str text, struct cidr *out)
{
    struct cidr c = { .bits = 0 };
    const size_t slash = str_find(text, '/', 0);
    const int width = address_parse(str_slice(text, 0, slash), c.bytes);
    if (!width)
        return ST_INVALID;

    int64_t bits = width;
    const struct str suffix = str_slice(text, slash + 1, text.len);
    if (slash < text.len &&
        (suffix.len == 0 || suffix.len > 3 || !str_to_int(suffix, width, &bits)))
        return ST_INVALID;
    c.bits = (int)bits + 128 - width;
    if (!bits_clear_from(c.bytes, c.bits))
        return ST_INVALID;
    *out = c;
    return ST_OK;
}

static bool cidr_fits(const struct cidr *c, const unsigned char address[ADDRESS_BYTES])
{
    for (int i = 0; 8 * i < c->bits; i++) {
        const int left = c->bits - 8 * i;
        const unsigned mask = left >= 8 ? 0xffu : 0xffu << (8 - left) & 0xffu;
        if ((c->bytes[i] ^ address[i]) & mask)
            return false;
    }
    return true;
}

bool cidr_has(const struct cidr *list, size_t n, const unsigned char address[ADDRESS_BYTES])
{
    for (size_t i = 0; i < n; i++)
        if (cidr_fits(&list[i], address))
            return true;
    return false;
}

static bool is_mapped(const unsigned char address[ADDRESS_BYTES])
{
    struct str front = { (const char *)address, sizeof(mapped) };
    return str_equal(front, (struct str){ (const char *)mapped, sizeof(mapped) });
}

/* The common case by hand: inet_ntop() formats it with printf's machinery. */
static void ipv4_write(struct buf *out, const unsigned char bytes[4])
{
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            buf_lit(out, ".");
        buf_int(out, bytes[i]);
    }
}

static void address_write(struct buf *out, const unsigned char address[ADDRESS_BYTES])
{
    char text[INET6_ADDRSTRLEN];
    if (is_mapped(address))
        ipv4_write(out, address + sizeof(mapped));
    else if (inet_ntop(AF_INET6, address, text, sizeof(text)))
        buf_str(out, str_from(text));
}

static bool address_of(const struct sockaddr *peer, unsigned char out[ADDRESS_BYTES])
{
    if (peer && peer->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, peer, sizeof(in));
        memcpy(out, mapped, sizeof(mapped));
        memcpy(out + sizeof(mapped), &in.sin_addr, sizeof(in.sin_addr));
        return true;
    }
    if (peer && peer->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, peer, sizeof(in6));
        memcpy(out, &in6.sin6_addr, ADDRESS_BYTES);
        return true;
    }
    return false;
}

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80". */
static bool entry_address(struct str entry, unsigned char out[ADDRESS_BYTES])
{
    struct str host = entry, port = STR_NONE;
    const size_t colon = str_find(entry, ':', 0);
    if (entry.len > 0 && entry.ptr[0] == '[') {
        const size_t end = str_find(entry, ']', 0);
        host = str_slice(entry, 1, end);
        port = str_slice(entry, end + 1, entry.len);
        if (end == entry.len || (port.len > 0 && port.ptr[0] != ':'))
            return false;
    } else if (str_find(entry, ':', colon + 1) >= entry.len) {
        host = str_slice(entry, 0, colon);
        port = str_slice(entry, colon, entry.len);
    }
    int64_t number;
    if (port.len > 0 &&
        (port.len == 1 || !str_to_int(str_slice(port, 1, port.len), PORT_MAX, &number)))
        return false;
    return address_parse(host, out) != 0;
}

/* Takes the last entry off the list. False at its end. */
static bool cut_last(struct str *list, struct str *out)
{
    if (!list->ptr)
        return false;
    size_t comma = list->len;
    while (comma > 0 && list->ptr[comma - 1] != ',')
        comma--;
    *out = str_trim(str_slice(*list, comma, list->len));
    *list = comma > 0 ? str_slice(*list, 0, comma - 1) : STR_NONE;
    return true;
}

void access_client(struct buf *out, const struct sockaddr *peer, const struct cidr *trusted,
                   size_t n_trusted, struct str forwarded_for)
{
    unsigned char client[ADDRESS_BYTES], entry[ADDRESS_BYTES];
    if (!address_of(peer, client)) {
        buf_lit(out, "-");
        return;
    }
    struct str list = forwarded_for.len > 0 ? forwarded_for : STR_NONE, text;
    while (cidr_has(trusted, n_trusted, client) && cut_last(&list, &text)) {
        if (!entry_address(text, entry))
            break;
        memcpy(client, entry, sizeof(client));
    }
    address_write(out, client);
}

void access_log_write(const struct request *r, struct str client, int http, int64_t took_us,
                      size_t sent_bytes)
{
    struct log_line l;
    log_begin(&l, LOG_LEVEL_INFO, "request", r->wall_us);
    jw_str(&l.j, "request_id", str_from(r->id));
    if (r->correlation.len > 0)
        jw_str(&l.j, "correlation_id", r->correlation);
    jw_str(&l.j, "client", client);
    jw_str(&l.j, "method", route_method_name(r->method));
    jw_str(&l.j, "path", str_slice(r->path, 0, PATH_SHOWN));
    if (r->route)
        jw_str(&l.j, "route", str_from(r->route->label));
    jw_int(&l.j, "status", http);
    if (r->fault.status != ST_OK) {
        jw_str(&l.j, "code", status_code(r->fault.status));
        if (r->fault.log_reason.len > 0)
            jw_str(&l.j, "reason", r->fault.log_reason);
    }
    jw_int(&l.j, "bytes", (int64_t)sent_bytes);
    /* the writer prints a thousandth of a thousandth: here of a microsecond times thousand, so ms */
    jw_micros_as_s(&l.j, "duration_ms", took_us * MICROS_PER_MS);
    if (r->route && r->route->log)
        r->route->log(r, &l.j);
    log_end(&l);
}
