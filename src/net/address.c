/*
 * address - see the header. URLs are read by libcurl's own parser, so that what is judged here is
 * what will be connected to.
 */
#include "presignd/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include <curl/curl.h>

enum { URL_MAX = 16384 };

static bool ipv4_allowed(uint32_t address, enum call_hosts hosts)
{
    const bool loopback = address >> 24 == 127;
    const bool container = address == 0xa9feaa02 /* 169.254.170.2, ECS */
                           || address == 0xa9feaa17 /* 169.254.170.23, EKS */;
    return loopback || (hosts == CALL_HOSTS_CONTAINER && container);
}

static bool ipv6_allowed(const struct in6_addr *a, enum call_hosts hosts)
{
    static const struct in6_addr eks = { .s6_addr = { 0xfd, 0x00, 0x0e, 0xc2, [15] = 0x23 } };
    if (IN6_IS_ADDR_V4MAPPED(a)) {
        const unsigned char *b = a->s6_addr + 12;
        return ipv4_allowed(
            (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3], hosts);
    }
    return IN6_IS_ADDR_LOOPBACK(a) ||
           (hosts == CALL_HOSTS_CONTAINER && IN6_ARE_ADDR_EQUAL(a, &eks));
}

static bool has_rule(enum call_hosts hosts)
{
    return hosts == CALL_HOSTS_CONTAINER || hosts == CALL_HOSTS_LOOPBACK;
}

bool address_allowed(const struct sockaddr *a, enum call_hosts hosts)
{
    if (!has_rule(hosts))
        return true;
    if (a->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, a, sizeof(in));
        return ipv4_allowed(ntohl(in.sin_addr.s_addr), hosts);
    }
    if (a->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, a, sizeof(in6));
        return ipv6_allowed(&in6.sin6_addr, hosts);
    }
    return false;
}

/* The host of a URL as curl reads it: names of any kind, addresses in their plain form. */
static bool literal_allowed(const char *host, enum call_hosts hosts)
{
    char bare[INET6_ADDRSTRLEN + 2] = "";
    const size_t len = strlen(host);
    if (host[0] == '[' && len - 2 < sizeof(bare))
        memcpy(bare, host + 1, len - 2);

    struct in_addr in;
    struct in6_addr in6;
    if (inet_pton(AF_INET6, bare, &in6) == 1)
        return !has_rule(hosts) || ipv6_allowed(&in6, hosts);
    if (inet_pton(AF_INET, host, &in) == 1)
        return !has_rule(hosts) || ipv4_allowed(ntohl(in.s_addr), hosts);
    return host[0] != '[';
}

static enum status judge_url(CURLU *u, const char *url, enum call_hosts hosts, struct buf *why)
{
    const CURLUcode bad = curl_url_set(u, CURLUPART_URL, url, CURLU_DISALLOW_USER);
    if (bad == CURLUE_OUT_OF_MEMORY)
        return ST_NO_MEMORY;
    char *scheme = NULL;
    char *host = NULL;
    const bool read = !bad && !curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) &&
                      !curl_url_get(u, CURLUPART_HOST, &host, 0);
    enum status st = ST_INVALID;
    if (!read)
        buf_lit(why, "is not a URL with a scheme and a host and without a user name");
    else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
        buf_lit(why, "is neither http nor https");
    else if (!literal_allowed(host, hosts))
        buf_lit(why, "points to an address that is not allowed here");
    else
        st = ST_OK;
    curl_free(scheme);
    curl_free(host);
    return st;
}

enum status address_url_check(struct str url, enum call_hosts hosts, struct buf *why)
{
    if (!str_printable_ascii(url) || str_find(url, ' ', 0) < url.len) {
        buf_lit(why, "holds a blank, a control or a byte that is not ASCII");
        return ST_INVALID;
    }
    AUTO(buf) text = BUF_INIT(URL_MAX);
    buf_str(&text, url);
    const char *cstr = buf_cstr(&text);
    TRY(buf_check(&text));
    CURLU *u = curl_url();
    if (!cstr || !u) {
        curl_url_cleanup(u);
        return ST_NO_MEMORY;
    }
    const enum status st = judge_url(u, cstr, hosts, why);
    curl_url_cleanup(u);
    return st;
}
