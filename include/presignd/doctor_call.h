/*
 * doctor_call - one bounded HTTP call of a command, which may block. Other than fetch it keeps every
 * header of the answer and says at which step a connection failed.
 */
#ifndef PRESIGND_DOCTOR_CALL_H
#define PRESIGND_DOCTOR_CALL_H

#include "presignd/buf.h"

enum {
    DOCTOR_CALL_MS = 5000,
    DOCTOR_CONNECT_MS = 3000,
    DOCTOR_PROBE_MAX = 1024 * 1024,
    DOCTOR_BODY_MAX = DOCTOR_PROBE_MAX + 256 * 1024
};

enum reach {
    REACH_ANSWERED,
    REACH_NAME,    /* the name leads nowhere */
    REACH_CONNECT, /* nobody answers at the address */
    REACH_TLS,     /* no handshake */
    REACH_TRUST,   /* the certificate is not believed */
    REACH_ANSWER,  /* connected, and no answer that can be read, or none in time */
    REACH_BUILT,   /* could not be asked: too large, or no memory */
};

struct doctor_call {
    /* asked */
    const char *method;
    struct buf url, headers /* lines */, body;
    int64_t total_ms;
    /* answered */
    enum reach reach;
    int http;
    struct buf answer; /* head and body, as `curl -i` prints them */
    size_t head_len;
    struct str why; /* a sentence of libcurl where reach is no REACH_ANSWERED */
    int64_t date_s; /* its Date header; -1 none */
    int64_t wall_s; /* our clock when it came */
    char why_space[512];
    char address[64]; /* who answered; "" unknown */
};

/* GET of nothing. Texts are wiped at the end: they may hold tokens. */
void doctor_call_init(struct doctor_call *c, const char *method);
void doctor_call_release(struct doctor_call *c);

/* A request header; a CR, LF or NUL in it breaks the call. */
void doctor_call_header(struct doctor_call *c, struct str name, struct str value);

/* Asks, waits for the answer, and fills the second half. Follows no redirect. */
void doctor_call_run(struct doctor_call *c);

/* The first header line of that name, trimmed; "" none. */
struct str doctor_call_find(const struct doctor_call *c, struct str name);

/* Is `word`, or "*", among the comma-separated words of all lines of that header? In any case. */
bool doctor_call_lists(const struct doctor_call *c, struct str name, struct str word);

struct str doctor_call_body(const struct doctor_call *c);

#endif
