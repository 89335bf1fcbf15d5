/*
 * access_log - one JSON line per request (event "request"), and who the client was.
 */
#ifndef PRESIGND_ACCESS_LOG_H
#define PRESIGND_ACCESS_LOG_H

#include <sys/socket.h>

#include "presignd/request.h"

struct cidr {
    unsigned char bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
    int bits;                /* of 128 */
};

/* "10.0.0.0/8", "2001:db8::/32", a lone address. ST_INVALID otherwise, also with host bits set. */
MUST_CHECK enum status cidr_parse(struct str text, struct cidr *out);
bool cidr_has(const struct cidr *list, size_t n, const unsigned char address[16]);

/* Bytes that the text of an address needs at most. */
enum { CLIENT_TEXT = 48 };

/* The client's address as text: the peer, or, when the peer is trusted, the right-most untrusted
 * entry of X-Forwarded-For (a port is dropped; reading ends at an entry that is no address). For
 * the log only. "-" for a peer that is neither IPv4 nor IPv6. */
void access_client(struct buf *out, const struct sockaddr *peer, const struct cidr *trusted,
                   size_t n_trusted, struct str forwarded_for);

/* One line. `client` as access_client() wrote it; `http` as answered, 499 when the client went away
 * before an answer; sent_bytes counts the answer's body. */
void access_log_write(const struct request *r, struct str client, int http, int64_t took_us,
                      size_t sent_bytes);

#endif
