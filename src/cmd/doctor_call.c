/*
 * doctor_call - libcurl's easy interface, once per call: a command may wait.
 *
 * The rules are those of fetch: no redirect, TLS 1.2 at least, no user name in a URL, HTTP/1.1. What
 * is kept of an answer is its last head: a proxy's and "100 Continue" go.
 */
#include "presignd/doctor_call.h"

#include <curl/curl.h>
#include <string.h>

#include "presignd/date.h"
#include "presignd/loop.h"

enum { URL_MAX = 16384, HEADERS_MAX = 32768, ANSWER_MAX = 128 * 1024 };

void doctor_call_init(struct doctor_call *c, const char *method)
{
    *c = (struct doctor_call){
        .method = method,
        .url = BUF_INIT(URL_MAX),
        .headers = BUF_INIT(HEADERS_MAX),
        .body = BUF_INIT(DOCTOR_BODY_MAX),
        .answer = BUF_INIT(ANSWER_MAX),
        .total_ms = DOCTOR_CALL_MS,
        .reach = REACH_BUILT,
        .date_s = -1,
    };
}

void doctor_call_release(struct doctor_call *c)
{
    buf_wipe(&c->url);
    buf_wipe(&c->headers);
    buf_wipe(&c->body);
    buf_wipe(&c->answer);
}

void doctor_call_header(struct doctor_call *c, struct str name, struct str value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] == '\r' || value.ptr[i] == '\n' || value.ptr[i] == '\0') {
            c->headers.st = ST_INVALID;
            return;
        }
    buf_str(&c->headers, name);
    buf_str(&c->headers, value.len ? STR(": ") : STR(";"));
    buf_str(&c->headers, value);
    buf_lit(&c->headers, "\n");
}

/* ---- the answer --------------------------------------------------------------------------------- */

static size_t on_header(char *bytes, size_t size, size_t n, void *arg)
{
    struct doctor_call *c = arg;
    const struct str line = { bytes, size * n };
    if (str_starts(line, STR("HTTP/")))
        buf_reset(&c->answer);
    buf_str(&c->answer, line);
    c->head_len = c->answer.len;
    return buf_check(&c->answer) == ST_OK ? line.len : 0;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct doctor_call *c = arg;
    buf_str(&c->answer, (struct str){ bytes, size * n });
    return buf_check(&c->answer) == ST_OK ? size * n : 0;
}

struct str doctor_call_body(const struct doctor_call *c)
{
    const struct str all = buf_view(&c->answer);
    return str_slice(all, c->head_len, all.len);
}

/* The next header line of that name off the front of *rest. */
static bool next_value(struct str *rest, struct str name, struct str *out)
{
    struct str line;
    while (str_cut(rest, '\n', &line)) {
        const size_t colon = str_find(line, ':', 0);
        if (colon == line.len || !str_equal_nocase(str_slice(line, 0, colon), name))
            continue;
        *out = str_slice(line, colon + 1, line.len);
        if (str_ends(*out, STR("\r")))
            out->len--;
        *out = str_trim(*out);
        return true;
    }
    return false;
}

struct str doctor_call_find(const struct doctor_call *c, struct str name)
{
    struct str rest = str_slice(buf_view(&c->answer), 0, c->head_len), value;
    return next_value(&rest, name, &value) ? value : STR("");
}

bool doctor_call_lists(const struct doctor_call *c, struct str name, struct str word)
{
    struct str rest = str_slice(buf_view(&c->answer), 0, c->head_len), value, one;
    while (next_value(&rest, name, &value))
        while (str_cut(&value, ',', &one)) {
            one = str_trim(one);
            if (str_equal_nocase(one, word) || str_equal(one, STR("*")))
                return true;
        }
    return false;
}

/* ---- how far it came ---------------------------------------------------------------------------- */

static bool came_to(CURL *easy, CURLINFO step)
{
    curl_off_t us = 0;
    return curl_easy_getinfo(easy, step, &us) == CURLE_OK && us > 0;
}

static enum reach reach_of(CURL *easy, const struct doctor_call *c, CURLcode code)
{
    switch (code) {
    case CURLE_OK: return REACH_ANSWERED;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: return REACH_NAME;
    case CURLE_COULDNT_CONNECT: return REACH_CONNECT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE: return REACH_TRUST;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ENGINE_INITFAILED: return REACH_TLS;
    case CURLE_OPERATION_TIMEDOUT: break;
    default: return REACH_ANSWER;
    }
    if (!came_to(easy, CURLINFO_NAMELOOKUP_TIME_T))
        return REACH_NAME;
    if (!came_to(easy, CURLINFO_CONNECT_TIME_T))
        return REACH_CONNECT;
    const bool tls = str_starts(buf_view(&c->url), STR("https:"));
    return tls && !came_to(easy, CURLINFO_APPCONNECT_TIME_T) ? REACH_TLS : REACH_ANSWER;
}

static void take_answer(CURL *easy, struct doctor_call *c)
{
    long http = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &http);
    c->http = (int)http;
    c->wall_s = loop_clock_wall_us() / 1000000;
    if (date_parse_http(doctor_call_find(c, STR("Date")), &c->date_s) != ST_OK)
        c->date_s = -1;
}

static void take_address(CURL *easy, struct doctor_call *c)
{
    const char *ip = NULL;
    struct buf out = BUF_FIXED(c->address);
    if (curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &ip) == CURLE_OK && ip)
        buf_str(&out, str_slice(str_from(ip), 0, sizeof(c->address) - 1));
    if (!buf_cstr(&out))
        c->address[0] = '\0';
}

/* ---- asking ------------------------------------------------------------------------------------- */

#define SET(option, value) (curl_easy_setopt(easy, (option), (value)) == CURLE_OK)

static bool set_rules(CURL *easy, struct doctor_call *c, char *error)
{
    return SET(CURLOPT_NOSIGNAL, 1L) && SET(CURLOPT_PROTOCOLS_STR, "http,https") &&
           SET(CURLOPT_FOLLOWLOCATION, 0L) && SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L) &&
           SET(CURLOPT_PATH_AS_IS, 1L) && SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
           SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
           SET(CURLOPT_USERAGENT, "presignd") &&
           SET(CURLOPT_CONNECTTIMEOUT_MS, (long)MIN_OF(DOCTOR_CONNECT_MS, c->total_ms)) &&
           SET(CURLOPT_TIMEOUT_MS, (long)c->total_ms) && SET(CURLOPT_ERRORBUFFER, error) &&
           SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) && SET(CURLOPT_WRITEFUNCTION, on_body) &&
           SET(CURLOPT_WRITEDATA, c) && SET(CURLOPT_HEADERFUNCTION, on_header) &&
           SET(CURLOPT_HEADERDATA, c);
}

static bool set_request(CURL *easy, struct doctor_call *c, struct curl_slist *headers)
{
    const char *url = buf_cstr(&c->url);
    if (!url || !SET(CURLOPT_URL, url) || !SET(CURLOPT_HTTPHEADER, headers))
        return false;
    if (strcmp(c->method, "HEAD") == 0)
        return SET(CURLOPT_NOBODY, 1L);
    if (strcmp(c->method, "POST") != 0 && strcmp(c->method, "PUT") != 0)
        return SET(CURLOPT_CUSTOMREQUEST, c->method);
    return SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body.len) &&
           SET(CURLOPT_POSTFIELDS, c->body.len ? c->body.ptr : "") &&
           SET(CURLOPT_CUSTOMREQUEST, c->method);
}

static bool add_line(struct curl_slist **list, struct str line)
{
    struct buf text = BUF_INIT(HEADERS_MAX + 1);
    buf_str(&text, line);
    const char *cstr = buf_cstr(&text);
    struct curl_slist *longer = cstr ? curl_slist_append(*list, cstr) : NULL;
    buf_wipe(&text);
    *list = longer ? longer : *list;
    return longer;
}

/* Without the first lines curl adds headers of its own to a body. */
static bool make_headers(struct curl_slist **list, const struct doctor_call *c)
{
    struct str rest = buf_view(&c->headers), line;
    bool typed = false, ok = add_line(list, STR("Expect:"));
    while (ok && str_cut(&rest, '\n', &line)) {
        typed = typed || str_equal_nocase(str_slice(line, 0, 13), STR("content-type:"));
        ok = !line.len || add_line(list, line);
    }
    return ok && (typed || add_line(list, STR("Content-Type:")));
}

static void free_headers(struct curl_slist *list)
{
    for (struct curl_slist *h = list; h; h = h->next)
        explicit_bzero(h->data, strlen(h->data));
    curl_slist_free_all(list);
}

static void perform(CURL *easy, struct doctor_call *c, const char *error)
{
    const CURLcode code = curl_easy_perform(easy);
    c->reach = reach_of(easy, c, code);
    take_address(easy, c);
    if (code == CURLE_OK) {
        take_answer(easy, c);
        return;
    }
    struct buf why = BUF_FIXED(c->why_space);
    buf_str(&why, str_from(error[0] ? error : curl_easy_strerror(code)));
    c->why = buf_view(&why);
}

static bool is_whole(const struct doctor_call *c)
{
    return buf_check(&c->url) == ST_OK && c->url.len > 0 && buf_check(&c->headers) == ST_OK &&
           buf_check(&c->body) == ST_OK;
}

void doctor_call_run(struct doctor_call *c)
{
    char error[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = NULL;
    buf_reset(&c->answer);
    c->head_len = 0;
    c->http = 0;
    c->date_s = -1;
    c->reach = REACH_BUILT;
    c->why = STR("the request is too large, or there is no memory for it");
    CURL *easy = is_whole(c) ? curl_easy_init() : NULL;
    if (easy && make_headers(&headers, c) && set_rules(easy, c, error) &&
        set_request(easy, c, headers))
        perform(easy, c, error);
    curl_easy_cleanup(easy);
    free_headers(headers);
}
