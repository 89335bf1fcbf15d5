/*
 * fetch - libcurl's multi interface, driven by the loop: a socket or the timer becomes ready, curl
 * is told, and what has finished is collected afterwards.
 *
 * Keep in mind:
 * - Curl's socket and timer callbacks come from inside curl: they arm, they never drive.
 * - An easy handle is removed before its owner hears of the end, so that the owner may ask again.
 * - Names are looked up by curl's own threads; QUICK_EXIT lets a call end while such a thread still
 *   hangs, otherwise a slow name server would stop the loop.
 * - The address rule is applied where the socket is made, to the address that it will connect to.
 *   Calls with a rule share no connection with others: a reused one would not be looked at again.
 * - The deadline is a timer of ours, the same for HTTP and files.
 */
#include "presignd/fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <curl/curl.h>

#include "presignd/address.h"
#include "presignd/date.h"
#include "presignd/file_want.h"

enum {
    ETAG_MAX = 256,
    REPLY_HEADERS_MAX = 65536,
    WHY_MAX = 512,
    IDLE_CONNECTIONS_MAX = 4,
    AGE_MAX_S = INT32_MAX, /* RFC 9111 section 1.2.2: what is larger counts as this */
};

struct fetcher {
    struct loop *loop;
    CURLM *multi;
    struct timer timer; /* curl's wish */
    struct fetch_job *jobs;
};

/* A socket of curl's that the loop watches. */
struct fetch_socket {
    struct source source;
    struct fetcher *fetcher;
};

struct fetch_job {
    struct fetcher *fetcher;
    struct fetch *fetch;
    struct fetch_job *next;
    struct timer deadline;
    int64_t total_ms;
    enum call_hosts hosts;

    CURL *easy;
    struct curl_slist *headers;
    struct buf request_body;
    struct file_want file;

    struct buf body;
    struct buf etag;
    size_t header_bytes;
    bool headers_done;
    bool forbidden;
    int64_t max_age_s;
    int64_t date_s;
    struct buf why;
    char etag_space[ETAG_MAX];
    char why_space[WHY_MAX];
    char curl_error[CURL_ERROR_SIZE];
};

/* the call */

void call_release(struct call *c)
{
    buf_wipe(&c->url);
    buf_wipe(&c->headers);
    buf_wipe(&c->body);
}

void call_reset(struct call *c)
{
    call_release(c);
    *c = CALL_INIT;
}

void call_header(struct call *c, const char *name, struct str value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] == '\r' || value.ptr[i] == '\n' || value.ptr[i] == '\0') {
            c->headers.st = ST_INVALID;
            return;
        }
    buf_str(&c->headers, str_from(name));
    /* This is how libcurl is told of an empty value; with a colon it would drop the header. */
    buf_str(&c->headers, value.len ? STR(": ") : STR(";"));
    buf_str(&c->headers, value);
    buf_lit(&c->headers, "\n");
}

static enum status call_check(const struct call *c)
{
    TRY(buf_check(&c->url));
    TRY(buf_check(&c->headers));
    TRY(buf_check(&c->body));
    const bool cut = c->url.len == 0 || memchr(c->url.ptr, '\0', c->url.len);
    return cut || c->total_ms <= 0 ? ST_INVALID : ST_OK;
}

/* the end of a job */

/* Headers may hold tokens, and curl frees its list as it is. */
static void free_headers(struct curl_slist *list)
{
    for (struct curl_slist *h = list; h; h = h->next)
        explicit_bzero(h->data, strlen(h->data));
    curl_slist_free_all(list);
}

/* From here on the job is nobody's: neither curl, the loop nor the fetch know it. */
static void job_detach(struct fetch_job *j)
{
    for (struct fetch_job **at = &j->fetcher->jobs; *at; at = &(*at)->next)
        if (*at == j) {
            *at = j->next;
            break;
        }
    loop_timer_stop(j->fetcher->loop, &j->deadline);
    if (j->easy) {
        curl_multi_remove_handle(j->fetcher->multi, j->easy);
        curl_easy_cleanup(j->easy);
        j->easy = NULL;
    }
    file_want_cancel(&j->file);
    if (j->fetch)
        j->fetch->job = NULL;
    j->fetch = NULL;
}

static void job_free(struct fetch_job *j)
{
    job_detach(j);
    free_headers(j->headers);
    buf_wipe(&j->request_body);
    buf_wipe(&j->body);
    free(j);
}

static void job_done(struct fetch_job *j, const struct reply *r)
{
    struct fetch *f = j->fetch;
    job_detach(j);
    f->done(f, r);
    job_free(j);
}

static struct reply reply_of(const struct fetch_job *j, enum reply_kind kind)
{
    return (struct reply){
        .kind = kind,
        .max_age_s = -1,
        .date_s = -1,
        .content_length = -1,
        .body = STR(""),
        .etag = STR(""),
        .why = kind == REPLY_HTTP ? STR("") : buf_view(&j->why),
    };
}

static void deadline_passed(struct timer *t)
{
    struct fetch_job *j = container_of(t, struct fetch_job, deadline);
    buf_lit(&j->why, "no answer within ");
    buf_int(&j->why, j->total_ms);
    buf_lit(&j->why, " ms");
    const struct reply r = reply_of(j, REPLY_TIMEOUT);
    job_done(j, &r);
}

static enum reply_kind kind_of(const struct fetch_job *j, CURLcode code)
{
    if (buf_check(&j->body) == ST_TOO_LARGE || j->header_bytes > REPLY_HEADERS_MAX)
        return REPLY_TOO_LARGE;
    if (code == CURLE_OK)
        return REPLY_HTTP;
    if (code == CURLE_OPERATION_TIMEDOUT)
        return REPLY_TIMEOUT;
    return j->forbidden ? REPLY_FORBIDDEN : REPLY_UNREACHABLE;
}

static void explain(struct fetch_job *j, enum reply_kind kind, CURLcode code)
{
    if (kind == REPLY_TOO_LARGE)
        buf_lit(&j->why, "the answer is larger than allowed");
    else if (kind == REPLY_FORBIDDEN)
        buf_lit(&j->why, "the name leads to an address that is not allowed here");
    else if (kind == REPLY_TIMEOUT)
        buf_lit(&j->why, "no connection in time");
    else
        buf_str(&j->why, str_from(j->curl_error[0] ? j->curl_error : curl_easy_strerror(code)));
}

static void http_done(struct fetch_job *j, CURLcode code)
{
    const enum reply_kind kind = kind_of(j, code);
    if (kind != REPLY_HTTP)
        explain(j, kind, code);
    struct reply r = reply_of(j, kind);
    if (kind == REPLY_HTTP) {
        long http = 0;
        curl_off_t length = -1;
        curl_easy_getinfo(j->easy, CURLINFO_RESPONSE_CODE, &http);
        curl_easy_getinfo(j->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        r.http = (int)http;
        r.content_length = length;
        r.body = buf_view(&j->body);
        r.etag = buf_check(&j->etag) == ST_OK ? buf_view(&j->etag) : STR("");
        r.max_age_s = j->max_age_s;
        r.date_s = j->date_s;
    }
    job_done(j, &r);
}

/* curl's callbacks */

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct fetch_job *j = arg;
    buf_str(&j->body, (struct str){ bytes, size * n });
    return buf_check(&j->body) == ST_OK ? size * n : 0;
}

/* RFC 9111 section 5.2.2; several lines or directives: the shortest life counts. */
static void read_cache_control(struct fetch_job *j, struct str value)
{
    for (struct str part; str_cut(&value, ',', &part);) {
        part = str_trim(part);
        const size_t eq = str_find(part, '=', 0);
        const struct str name = str_slice(part, 0, eq);
        struct str number = str_slice(part, eq + 1, part.len);
        if (number.len > 1 && number.ptr[0] == '"')
            number = str_slice(number, 1, number.len - 1);
        int64_t age_s = -1;
        if (str_equal_nocase(name, STR("no-store")) || str_equal_nocase(name, STR("no-cache")))
            age_s = 0;
        else if (str_equal_nocase(name, STR("max-age")) && !str_to_int(number, AGE_MAX_S, &age_s))
            age_s = number.len > 9 && ascii_digit(number.ptr[0]) ? AGE_MAX_S : 0;
        if (age_s >= 0 && (j->max_age_s < 0 || age_s < j->max_age_s))
            j->max_age_s = age_s;
    }
}

static void read_header(struct fetch_job *j, struct str name, struct str value)
{
    if (str_equal_nocase(name, STR("Cache-Control"))) {
        read_cache_control(j, value);
    } else if (str_equal_nocase(name, STR("Date"))) {
        if (date_parse_http(value, &j->date_s) != ST_OK)
            j->date_s = -1;
    } else if (str_equal_nocase(name, STR("ETag"))) {
        buf_reset(&j->etag);
        buf_str(&j->etag, value);
    }
}

/* One line a call. An interim answer (1xx) is forgotten when the next status line comes; trailers
 * are not read. */
static size_t on_header(char *bytes, size_t size, size_t n, void *arg)
{
    struct fetch_job *j = arg;
    struct str line = { bytes, size * n };
    j->header_bytes += line.len;
    if (j->header_bytes > REPLY_HEADERS_MAX)
        return 0;
    if (str_starts(line, STR("HTTP/"))) {
        j->headers_done = false;
        j->max_age_s = -1;
        j->date_s = -1;
        buf_reset(&j->etag);
        return size * n;
    }
    while (line.len && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r'))
        line.len--;
    j->headers_done = j->headers_done || !line.len;
    const size_t colon = str_find(line, ':', 0);
    if (!j->headers_done && colon < line.len)
        read_header(j, str_slice(line, 0, colon), str_trim(str_slice(line, colon + 1, line.len)));
    return size * n;
}

static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct fetch_job *j = arg;
    if (purpose != CURLSOCKTYPE_IPCXN || !address_allowed(&a->addr, j->hosts)) {
        j->forbidden = true;
        return CURL_SOCKET_BAD;
    }
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* driving */

static void collect(struct fetcher *fr)
{
    int left;
    for (CURLMsg *m = curl_multi_info_read(fr->multi, &left); m;
         m = curl_multi_info_read(fr->multi, &left)) {
        if (m->msg != CURLMSG_DONE)
            continue;
        const CURLcode code = m->data.result; /* the message dies with the handle's removal */
        struct fetch_job *j = NULL;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &j);
        http_done(j, code);
    }
}

static void drive(struct fetcher *fr, curl_socket_t fd, int events)
{
    int running;
    curl_multi_socket_action(fr->multi, fd, events, &running);
    collect(fr);
}

static void socket_ready(struct source *s, uint32_t events)
{
    const struct fetch_socket *fs = container_of(s, struct fetch_socket, source);
    /* A hang-up may have data before it: curl finds out by reading or writing. */
    const uint32_t ready = events & (EPOLLERR | EPOLLHUP) ? s->events : events;
    const int bits =
        (ready & EPOLLIN ? CURL_CSELECT_IN : 0) | (ready & EPOLLOUT ? CURL_CSELECT_OUT : 0);
    drive(fs->fetcher, s->fd, bits);
}

static void timer_due(struct timer *t)
{
    drive(container_of(t, struct fetcher, timer), CURL_SOCKET_TIMEOUT, 0);
}

static int arm_timer(CURLM *multi, long timeout_ms, void *arg)
{
    (void)multi;
    struct fetcher *fr = arg;
    loop_timer_stop(fr->loop, &fr->timer);
    if (timeout_ms < 0)
        return 0;
    /* From a fresh reading: curl counts from its own. */
    const enum status st = loop_timer_at(fr->loop, &fr->timer, loop_clock_us() / 1000 + timeout_ms);
    (void)st; /* without it calls run into their deadlines; -1 would end all of them */
    return 0;
}

static int arm_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    (void)easy;
    struct fetcher *fr = arg;
    struct fetch_socket *fs = known;
    if (what == CURL_POLL_REMOVE) {
        if (fs && loop_watch(fr->loop, &fs->source, 0) == ST_OK)
            free(fs);
        return 0;
    }
    if (!fs) {
        fs = calloc(1, sizeof(*fs));
        if (!fs)
            return 0;
        fs->source = (struct source){ .ready = socket_ready, .fd = fd };
        fs->fetcher = fr;
        curl_multi_assign(fr->multi, fd, fs);
    }
    const uint32_t events =
        (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U);
    const enum status st = loop_watch(fr->loop, &fs->source, events);
    (void)st; /* as above */
    return 0;
}

/* starting an HTTP call */

#define SET(option, value) (curl_easy_setopt(easy, (option), (value)) == CURLE_OK)

static bool set_rules(CURL *easy, const struct call *c)
{
    const bool direct = c->hosts != CALL_HOSTS_ANY;
    return SET(CURLOPT_NOSIGNAL, 1L) && SET(CURLOPT_QUICK_EXIT, 1L) &&
           SET(CURLOPT_PROTOCOLS_STR, "http,https") && SET(CURLOPT_FOLLOWLOCATION, 0L) &&
           SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L) && SET(CURLOPT_PATH_AS_IS, 1L) &&
           SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
           SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
           SET(CURLOPT_USERAGENT, "presignd") &&
           SET(CURLOPT_CONNECTTIMEOUT_MS, (long)c->connect_ms) &&
           (!direct || (SET(CURLOPT_PROXY, "") && SET(CURLOPT_NOPROXY, "*") &&
                        SET(CURLOPT_FRESH_CONNECT, 1L) && SET(CURLOPT_FORBID_REUSE, 1L)));
}

static bool set_callbacks(CURL *easy, struct fetch_job *j)
{
    return SET(CURLOPT_PRIVATE, j) && SET(CURLOPT_ERRORBUFFER, j->curl_error) &&
           SET(CURLOPT_WRITEFUNCTION, on_body) && SET(CURLOPT_WRITEDATA, j) &&
           SET(CURLOPT_HEADERFUNCTION, on_header) && SET(CURLOPT_HEADERDATA, j) &&
           SET(CURLOPT_OPENSOCKETFUNCTION, on_open) && SET(CURLOPT_OPENSOCKETDATA, j);
}

static bool set_request(CURL *easy, struct fetch_job *j, const struct call *c, const char *url)
{
    const bool sends = strcmp(c->method, "POST") == 0 || strcmp(c->method, "PUT") == 0;
    if (!SET(CURLOPT_URL, url) || !SET(CURLOPT_HTTPHEADER, j->headers))
        return false;
    if (strcmp(c->method, "HEAD") == 0)
        return SET(CURLOPT_NOBODY, 1L);
    return !sends || (SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)j->request_body.len) &&
                      SET(CURLOPT_POSTFIELDS, j->request_body.len ? j->request_body.ptr : "") &&
                      SET(CURLOPT_CUSTOMREQUEST, c->method));
}

static bool add_line(struct curl_slist **list, struct str line)
{
    struct buf text = BUF_INIT(CALL_HEADERS_MAX + 1);
    buf_str(&text, line);
    const char *cstr = buf_cstr(&text);
    struct curl_slist *longer = cstr ? curl_slist_append(*list, cstr) : NULL;
    buf_wipe(&text);
    if (!longer)
        return false;
    *list = longer;
    return true;
}

/* Without these two lines curl adds headers of its own to a body. */
static bool add_headers(struct curl_slist **list, const struct call *c)
{
    bool typed = false;
    bool ok = add_line(list, STR("Expect:"));
    struct str rest = buf_view(&c->headers);
    for (struct str line; ok && str_cut(&rest, '\n', &line);) {
        typed = typed || str_equal_nocase(str_slice(line, 0, 13), STR("content-type:"));
        ok = !line.len || add_line(list, line);
    }
    return ok && (typed || add_line(list, STR("Content-Type:")));
}

static enum status http_start(struct fetch_job *j, const struct call *c)
{
    AUTO(buf) url = BUF_INIT(CALL_URL_MAX + 1);
    buf_str(&url, buf_view(&c->url));
    const char *cstr = buf_cstr(&url);
    buf_str(&j->request_body, buf_view(&c->body));
    TRY(buf_check(&j->request_body));
    j->easy = curl_easy_init();
    if (!cstr || !j->easy || !add_headers(&j->headers, c) || !set_rules(j->easy, c) ||
        !set_callbacks(j->easy, j) || !set_request(j->easy, j, c, cstr))
        return ST_NO_MEMORY;
    return curl_multi_add_handle(j->fetcher->multi, j->easy) == CURLM_OK ? ST_OK : ST_NO_MEMORY;
}

/* a file */

static void file_done(struct file_want *w, const struct file_read *read)
{
    struct fetch_job *j = container_of(w, struct fetch_job, file);
    enum reply_kind kind = REPLY_HTTP;
    if (read->st == ST_TOO_LARGE) {
        kind = REPLY_TOO_LARGE;
        buf_lit(&j->why, "the file is larger than allowed");
    } else if (read->st != ST_OK && read->error != ENOENT) {
        kind = REPLY_UNREACHABLE;
        buf_str(&j->why, str_from(read->error ? strerrordesc_np(read->error) : "no memory"));
    }
    struct reply r = reply_of(j, kind);
    if (kind == REPLY_HTTP) {
        r.http = read->st == ST_OK ? 200 : 404;
        r.body = read->body;
        r.content_length = (int64_t)read->body.len;
    }
    job_done(j, &r);
}

static enum status file_start(struct fetch_job *j, const struct call *c)
{
    j->file.done = file_done;
    return file_want_start(j->fetcher->loop, &j->file, buf_view(&c->url), c->max_bytes);
}

/* life */

static struct fetch_job *job_new(struct fetcher *fr, struct fetch *f, const struct call *c)
{
    struct fetch_job *j = calloc(1, sizeof(*j));
    if (!j)
        return NULL;
    j->fetcher = fr;
    j->fetch = f;
    j->hosts = c->hosts;
    j->total_ms = c->total_ms;
    j->deadline.due = deadline_passed;
    j->request_body = BUF_INIT(CALL_BODY_MAX);
    j->body = BUF_INIT(c->max_bytes);
    j->etag = BUF_FIXED(j->etag_space);
    j->why = BUF_FIXED(j->why_space);
    j->max_age_s = -1;
    j->date_s = -1;
    j->next = fr->jobs;
    fr->jobs = j;
    f->job = j;
    return j;
}

enum status fetch_start(struct fetcher *fr, struct fetch *f, const struct call *c)
{
    assert(!f->job);
    TRY(call_check(c));
    struct fetch_job *j = job_new(fr, f, c);
    if (!j)
        return ST_NO_MEMORY;
    enum status st = loop_timer_at(fr->loop, &j->deadline, loop_clock_us() / 1000 + c->total_ms);
    if (st == ST_OK)
        st = strcmp(c->method, "FILE") == 0 ? file_start(j, c) : http_start(j, c);
    if (st != ST_OK)
        job_free(j);
    return st;
}

void fetch_cancel(struct fetch *f)
{
    if (f->job)
        job_free(f->job);
}

struct fetcher *fetcher_new(struct loop *l)
{
    struct fetcher *fr = calloc(1, sizeof(*fr));
    if (!fr)
        return NULL;
    fr->loop = l;
    fr->timer.due = timer_due;
    fr->multi = curl_multi_init();
    if (!fr->multi) {
        free(fr);
        return NULL;
    }
    curl_multi_setopt(fr->multi, CURLMOPT_SOCKETFUNCTION, arm_socket);
    curl_multi_setopt(fr->multi, CURLMOPT_SOCKETDATA, fr);
    curl_multi_setopt(fr->multi, CURLMOPT_TIMERFUNCTION, arm_timer);
    curl_multi_setopt(fr->multi, CURLMOPT_TIMERDATA, fr);
    curl_multi_setopt(fr->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS_MAX);
    return fr;
}

void fetcher_free(struct fetcher *fr)
{
    if (!fr)
        return;
    while (fr->jobs)
        job_free(fr->jobs);
    curl_multi_cleanup(fr->multi);
    loop_timer_stop(fr->loop, &fr->timer);
    free(fr);
}

enum status fetch_global_start(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return ST_INTERNAL;
    const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
    if (v->features & CURL_VERSION_ASYNCHDNS)
        return ST_OK;
    curl_global_cleanup();
    return ST_INTERNAL;
}

void fetch_global_end(void)
{
    curl_global_cleanup();
}
