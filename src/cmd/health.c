/*
 * health - asks /livez of a running presignd. Liveness, not readiness: an outage of the metadata
 * service must not restart containers.
 */
#include <curl/curl.h>
#include <getopt.h>
#include <stdio.h>

#include "presignd/cmd.h"

enum { URL_MAX = 4096, TIMEOUT_MS = 2000 };

static const char usage[] =
    "usage: presignd health [--url URL] [--config FILE]\n"
    "  asks URL, without a path its /livez (else that of the configured listener);\n"
    "  exit status 0: alive, 1: not\n";

/* Where a listener on every address is asked: on loopback. */
static void url_of_listener(struct buf *out, struct str listen)
{
    buf_lit(out, "http://");
    if (str_starts(listen, STR("0.0.0.0:")) || str_starts(listen, STR(":"))) {
        buf_lit(out, "127.0.0.1");
        buf_str(out, str_slice(listen, str_find(listen, ':', 0), listen.len));
    } else if (str_starts(listen, STR("[::]:"))) {
        buf_lit(out, "[::1]");
        buf_str(out, str_slice(listen, 4, listen.len));
    } else
        buf_str(out, listen);
    buf_lit(out, "/livez");
}

static size_t drop_body(char *bytes, size_t size, size_t n, void *unused)
{
    (void)bytes, (void)unused;
    return size * n;
}

static int ask(const char *url)
{
    CURL *c = curl_easy_init();
    if (!c)
        return 1;
    long http = 0;
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
    curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, drop_body);
    const CURLcode rc = curl_easy_perform(c);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &http);
    curl_easy_cleanup(c);
    if (rc != CURLE_OK) {
        fprintf(stderr, "not alive: %s: %s\n", url, curl_easy_strerror(rc));
        return 1;
    }
    if (http != 200) {
        fprintf(stderr, "not alive: %s answered %ld\n", url, http);
        return 1;
    }
    puts("alive");
    return 0;
}

static int ask_listener(const char *config_path)
{
    AUTO_PTR(config) *config = cmd_config(config_path, false, NULL);
    if (!config)
        return 1;
    AUTO(buf) url = BUF_INIT(URL_MAX);
    url_of_listener(&url, config->listen);
    const char *text = buf_cstr(&url);
    return text ? ask(text) : 1;
}

/* "http://127.0.0.1:8080" names the server, not a page of it. */
static int ask_url(const char *url)
{
    const struct str given = str_from(url);
    const size_t scheme = str_find(given, '/', 0) + 2;
    AUTO(buf) whole = BUF_INIT(URL_MAX);
    buf_str(&whole, given);
    if (str_find(given, '/', scheme) >= given.len)
        buf_lit(&whole, "/livez");
    const char *text = buf_cstr(&whole);
    if (text)
        return ask(text);
    fprintf(stderr, "not alive: the URL is too long\n");
    return 1;
}

int cmd_health(int argc, char **argv)
{
    static const struct option options[] = {
        { "url", required_argument, NULL, 'u' },
        { "config", required_argument, NULL, 'c' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    const char *url = NULL, *path = NULL;
    int c;
    while ((c = cmd_option(argc, argv, "u:c:h", options)) != -1) {
        if (c == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (c == '?')
            return cmd_usage(usage, argv[optind - 1]);
        if (c == 'u')
            url = optarg;
        if (c == 'c')
            path = optarg;
    }
    if (optind < argc)
        return cmd_usage(usage, argv[optind]);
    return url ? ask_url(url) : ask_listener(path);
}
