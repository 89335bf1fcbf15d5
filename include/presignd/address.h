/*
 * address - to whom a call of ours may go. The rules are applied to the address that is connected
 * to, so that a name which changes its mind between check and use gains nothing.
 */
#ifndef PRESIGND_ADDRESS_H
#define PRESIGND_ADDRESS_H

#include "presignd/buf.h"

struct sockaddr;

enum call_hosts {
    CALL_HOSTS_ANY,
    CALL_HOSTS_METADATA,  /* any address; but no proxy, whatever the environment says */
    CALL_HOSTS_CONTAINER, /* loopback, 169.254.170.2, 169.254.170.23, fd00:ec2::23; no proxy */
    CALL_HOSTS_LOOPBACK,  /* 127.0.0.0/8 and ::1 only; no proxy */
};

/* Whether a socket may be connected to this address. An IPv4 address mapped into IPv6 counts as
 * what it stands for. */
bool address_allowed(const struct sockaddr *a, enum call_hosts hosts);

/*
 * Judges a URL before anything is asked: http or https, a host, no user name, no control or blank,
 * and a host that is an IP address must be one that `hosts` admits. A name is judged by the address
 * it leads to, at every call. ST_OK; ST_INVALID with *why, which goes on after the URL's name
 * ("... is neither http nor https"); ST_NO_MEMORY.
 */
MUST_CHECK enum status address_url_check(struct str url, enum call_hosts hosts, struct buf *why);

#endif
