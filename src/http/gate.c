/*
 * gate - the library is lenient where two parties may read one message in two ways; the gate is not.
 *
 * Everything is judged on the bytes as they were sent. With libmicrohttpd 0.9.75 that needs one
 * more look: it cuts names and values at a NUL, takes a bare LF for a line's end, and moves a folded
 * line elsewhere, glueing its second half to the *name*. All of that leaves a hole in the memory
 * the header was read into: it parses in place, so the pointers it hands out must follow each other
 * with nothing but their separators between them, from the method to the empty line. From 1.0 on
 * the library refuses these by itself when told to be strict, and lays its memory out differently.
 *
 * The first fault decides, but a limit that is passed (431, 414) gives way to ambiguity (400).
 */
#include "presignd/gate.h"

#include <string.h>

/* Chunks pass the gate by. libmicrohttpd < 1.0 lets a bare LF end a chunk's line, even within an
   extension, where others read on: so what follows the message must never be a request. */
enum { LENIENT_CHUNKS = MHD_VERSION < 0x01000000 };

enum { LINES_MAX = 64, PER_LINE_BYTES = 4, SEEN_MAX = 255 };

/* clang-format off */
static const struct {
    struct str name;
    bool once;       /* a second line of it could be read in two ways */
} known[HEADER_COUNT] = {
    [HEADER_AUTHORIZATION]     = { STR_INIT("Authorization"),                 true  },
    [HEADER_COOKIE]            = { STR_INIT("Cookie"),                        false },
    [HEADER_ORIGIN]            = { STR_INIT("Origin"),                        true  },
    [HEADER_CONTENT_TYPE]      = { STR_INIT("Content-Type"),                  true  },
    [HEADER_CONTENT_LENGTH]    = { STR_INIT("Content-Length"),                true  },
    [HEADER_TRANSFER_ENCODING] = { STR_INIT("Transfer-Encoding"),             true  },
    [HEADER_HOST]              = { STR_INIT("Host"),                          true  },
    [HEADER_EXPECT]            = { STR_INIT("Expect"),                        false },
    [HEADER_IDEMPOTENCY_KEY]   = { STR_INIT("Idempotency-Key"),               false },
    [HEADER_X_REQUEST_ID]      = { STR_INIT("X-Request-Id"),                  false },
    [HEADER_X_FORWARDED_FOR]   = { STR_INIT("X-Forwarded-For"),               false },
    [HEADER_ACR_METHOD]        = { STR_INIT("Access-Control-Request-Method"), false },
    [HEADER_IF_NONE_MATCH]     = { STR_INIT("If-None-Match"),                 false },
};

/* Bit 1: a token's byte (RFC 9110 section 5.6.2). Bit 2: a byte of a Host (RFC 3986 section 3.2.2
   and a port). Bit 4: a byte of a target (visible ASCII without '#', which starts a fragment). */
enum { TOKEN = 1, HOST = 2, TARGET = 4 };
#define T TARGET
#define A (TOKEN | HOST | TARGET)  /* letters, digits and what all three take */
#define K (TOKEN | TARGET)
#define O (HOST | TARGET)
static const unsigned char classes[256] = {
    [' '] = 0,
    ['!'] = A, ['"'] = T, ['#'] = TOKEN, ['$'] = A, ['%'] = A, ['&'] = A, ['\''] = A,
    ['('] = O, [')'] = O, ['*'] = A, ['+'] = A, [','] = O, ['-'] = A, ['.'] = A, ['/'] = T,
    ['0'] = A, ['1'] = A, ['2'] = A, ['3'] = A, ['4'] = A, ['5'] = A, ['6'] = A, ['7'] = A,
    ['8'] = A, ['9'] = A, [':'] = O, [';'] = O, ['<'] = T, ['='] = O, ['>'] = T, ['?'] = T,
    ['@'] = T,
    ['A'] = A, ['B'] = A, ['C'] = A, ['D'] = A, ['E'] = A, ['F'] = A, ['G'] = A, ['H'] = A,
    ['I'] = A, ['J'] = A, ['K'] = A, ['L'] = A, ['M'] = A, ['N'] = A, ['O'] = A, ['P'] = A,
    ['Q'] = A, ['R'] = A, ['S'] = A, ['T'] = A, ['U'] = A, ['V'] = A, ['W'] = A, ['X'] = A,
    ['Y'] = A, ['Z'] = A,
    ['['] = O, ['\\'] = T, [']'] = O, ['^'] = K, ['_'] = A, ['`'] = K,
    ['a'] = A, ['b'] = A, ['c'] = A, ['d'] = A, ['e'] = A, ['f'] = A, ['g'] = A, ['h'] = A,
    ['i'] = A, ['j'] = A, ['k'] = A, ['l'] = A, ['m'] = A, ['n'] = A, ['o'] = A, ['p'] = A,
    ['q'] = A, ['r'] = A, ['s'] = A, ['t'] = A, ['u'] = A, ['v'] = A, ['w'] = A, ['x'] = A,
    ['y'] = A, ['z'] = A,
    ['{'] = T, ['|'] = K, ['}'] = T, ['~'] = A,
};
#undef T
#undef A
#undef K
#undef O
/* clang-format on */

static bool all_of(struct str s, unsigned char class)
{
    unsigned char common = class;
    for (size_t i = 0; i < s.len; i++)
        common &= classes[(unsigned char)s.ptr[i]];
    return common == class;
}

static enum status refuse(const char **reason, const char *why)
{
    *reason = why;
    return ST_MALFORMED_HTTP;
}

#define EACH_BYTE(v) (UINT64_C(0x0101010101010101) * (v))

/* None of the eight bytes is a control or DEL; bytes outside ASCII are let through. */
static bool eight_clean(const char *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof(x));
    const uint64_t low = x & EACH_BYTE(0x7f); /* no borrow or carry crosses a byte */
    const uint64_t del = low + EACH_BYTE(0x01);
    const uint64_t visible = low + EACH_BYTE(0x60); /* high bit: 0x20 or more */
    return ((x | (visible & ~del)) & EACH_BYTE(0x80)) == EACH_BYTE(0x80);
}

/* A token of several hundred bytes comes with every request, so eight are looked at together. */
static bool value_clean(struct str v)
{
    size_t i = 0;
    while (i < v.len) {
        if (v.len - i >= sizeof(uint64_t) && eight_clean(v.ptr + i)) {
            i += sizeof(uint64_t);
            continue;
        }
        const unsigned char c = (unsigned char)v.ptr[i++];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static int header_of(struct str name)
{
    for (int id = 0; id < HEADER_COUNT; id++)
        if (known[id].name.len == name.len && str_equal_nocase(known[id].name, name))
            return id;
    return -1;
}

enum status gate_line(struct headers *h, struct str name, struct str value, const char **reason)
{
    if (++h->lines > LINES_MAX)
        return refuse(reason, "more than 64 header lines");
    h->bytes += name.len + value.len + PER_LINE_BYTES;
    if (name.len == 0 || !all_of(name, TOKEN))
        return refuse(reason, "a header name that is no token");
    if (!value_clean(value))
        return refuse(reason, "a control character in a header");

    const int id = header_of(name);
    if (id < 0)
        return ST_OK;
    if (h->seen[id] > 0 && known[id].once)
        return refuse(reason, "a header sent twice that may stand once");
    if (h->seen[id] < SEEN_MAX)
        h->seen[id]++;
    /* What the library compares byte by byte keeps its trailing blanks, to be refused for them. */
    h->values[id] = id == HEADER_TRANSFER_ENCODING ? value : str_trim(value);
    return ST_OK;
}

/* RFC 9112 section 6: exactly one way to find the end of the message. */
static enum status framing(struct headers *h, const char *version, const char **reason)
{
    const struct str te = h->values[HEADER_TRANSFER_ENCODING];
    const struct str cl = h->values[HEADER_CONTENT_LENGTH];
    if (te.ptr && cl.ptr)
        return refuse(reason, "Transfer-Encoding with Content-Length");
    if (te.ptr && str_equal(str_from(version), STR("HTTP/1.0")))
        return refuse(reason, "Transfer-Encoding on HTTP/1.0");
    if (te.ptr && !str_equal_nocase(te, STR("chunked")))
        return refuse(reason, "a Transfer-Encoding other than chunked");
    if (cl.ptr && (cl.len == 0 || !str_to_int(cl, INT64_MAX, &h->content_length)))
        return refuse(reason, "a Content-Length that is no number");
    h->chunked = te.ptr != NULL;
    h->last = h->chunked && LENIENT_CHUNKS;
    h->has_body = h->chunked || h->content_length > 0;
    return ST_OK;
}

static enum status host(const struct headers *h, const char *version, const char **reason)
{
    const struct str value = h->values[HEADER_HOST];
    if (!value.ptr && str_equal(str_from(version), STR("HTTP/1.1")))
        return refuse(reason, "no Host");
    if (!all_of(value, HOST))
        return refuse(reason, "a Host that is none");
    return ST_OK;
}

static bool bodyless(struct str method)
{
    return str_equal(method, STR("GET")) || str_equal(method, STR("HEAD"));
}

enum status gate_end(struct headers *h, const char *method, const char *version,
                     const struct gate_rules *rules, const char **reason)
{
    const struct str m = str_from(method), v = str_from(version);
    if (m.len == 0 || !all_of(m, TOKEN))
        return refuse(reason, "a method that is no token");
    if (!str_equal(v, STR("HTTP/1.1")) && !str_equal(v, STR("HTTP/1.0")))
        return refuse(reason, "an HTTP version other than 1.0 and 1.1");
    TRY(host(h, version, reason));
    TRY(framing(h, version, reason));
    if (h->has_body && bodyless(m))
        return refuse(reason, "a body on GET or HEAD");
    return h->bytes > rules->header_bytes ? ST_HEADERS_TOO_LARGE : ST_OK;
}

enum status gate_target(struct str target, const char **reason)
{
    if (target.len == 0 || target.ptr[0] != '/')
        return refuse(reason, "a target that is not in origin-form");
    if (!all_of(target, TARGET))
        return refuse(reason, "a byte that no target has");
    for (size_t at = str_find(target, '%', 0); at < target.len; at = str_find(target, '%', at + 1))
        if (str_equal(str_slice(target, at, at + 3), STR("%00")))
            return refuse(reason, "%00 in the target");
    return ST_OK;
}

struct walk {
    struct headers *headers;
    const char *next; /* where the next line must begin; libmicrohttpd < 1.0 */
    const char **reason;
    enum status status;
};

#if MHD_VERSION < 0x01000000

/* "GET /x HTTP/1.1\r\n" became "GET\0/x\0HTTP/1.1\0\0": one separator each, none inside. */
static bool line_whole(const struct request_line *l)
{
    return l->url == l->method + strlen(l->method) + 1 && l->version == l->url + l->target.len + 1;
}

/* "Name: value\r\n" became "Name\0 value\0\0": it begins where the last ended, in one piece. */
static bool field_whole(struct walk *w, struct str name, struct str value)
{
    if (name.ptr != w->next || value.ptr <= name.ptr + name.len)
        return false;
    for (const char *p = name.ptr + name.len + 1; p < value.ptr; p++)
        if (*p != ' ' && *p != '\t')
            return false;
    w->next = value.ptr + value.len + 2;
    return true;
}

static bool header_ends(struct MHD_Connection *conn, const struct request_line *l,
                        const struct walk *w)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info && w->next + 2 == l->method + info->header_size;
}

#else

static bool line_whole(const struct request_line *l)
{
    (void)l;
    return true;
}

static bool field_whole(struct walk *w, struct str name, struct str value)
{
    (void)w, (void)name, (void)value;
    return true;
}

static bool header_ends(struct MHD_Connection *conn, const struct request_line *l,
                        const struct walk *w)
{
    (void)conn, (void)l, (void)w;
    return true;
}

#endif

static enum MHD_Result take_field(void *cls, enum MHD_ValueKind kind, const char *key,
                                  size_t key_size, const char *value, size_t value_size)
{
    (void)kind;
    struct walk *w = cls;
    const struct str n = { key, key_size }, v = { value ? value : "", value_size };
    if (!field_whole(w, n, v))
        w->status = refuse(w->reason, "a header line that is folded, cut by a NUL or ended by LF");
    else
        w->status = gate_line(w->headers, n, v, w->reason);
    return w->status == ST_OK ? MHD_YES : MHD_NO;
}

enum status gate_check(struct MHD_Connection *conn, const struct request_line *line,
                       const struct gate_rules *rules, struct headers *out, const char **reason)
{
    *out = HEADERS_INIT;
    TRY(gate_target((struct str){ line->target.ptr, line->copied }, reason));
    if (!line_whole(line))
        return refuse(reason, "a request line with a NUL or more than two blanks");

    struct walk w = { .headers = out,
                      .next = line->version + strlen(line->version) + 2,
                      .reason = reason,
                      .status = ST_OK };
    MHD_get_connection_values_n(conn, MHD_HEADER_KIND, take_field, &w);
    TRY(w.status);
    if (!header_ends(conn, line, &w))
        return refuse(reason, "a header line that is folded, cut by a NUL or ended by LF");

    const enum status st = gate_end(out, line->method, line->version, rules, reason);
    if (st == ST_MALFORMED_HTTP)
        return st;
    return line->target.len > rules->target_bytes ? ST_URI_TOO_LONG : st;
}
