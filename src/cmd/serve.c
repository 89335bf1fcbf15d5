/*
 * serve - the composition root: builds everything, runs the loops, reloads, takes all down.
 *
 * The main thread runs the first loop, which also holds the admin listener, the credential store, the
 * key source, the sweeper and the signals. What changes later travels as posts.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/epoll.h>
#include <sysexits.h>
#include <unistd.h>

#include "presignd/api.h"
#include "presignd/cmd.h"
#include "presignd/dev.h"
#include "presignd/lanes.h"
#include "presignd/ledgers.h"
#include "presignd/reload.h"
#include "presignd/supervisor.h"

enum {
    WHY_MAX = 16384,
    HINTS_MAX = 16384,
    ADDRESS_MAX = 512,
    WORDS_MAX = 512,
    OTHER_DESCRIPTORS = 64, /* beside connections: listeners, loops, the ledger, calls to others */
};

struct service {
    struct lanes lanes;
    struct config *config;
    struct ledgers ledgers;
    struct cred_listener cred_listener;
    struct key_listener key_listener;
    struct source signals;
    struct reload reload;
    bool reload_again;
    struct dev_folder dev;
    struct supervisor supervisor;
    struct buf address; /* where it answers */
    uint16_t port, admin_port;
};

/* ---- settings ----------------------------------------------------------------------------------- */

static void settings_ref(void *owner)
{
    config_ref(owner);
}

static void settings_unref(void *owner)
{
    config_unref(owner);
}

static struct api_settings settings_of(struct config *c)
{
    return (struct api_settings){
        .rules = &c->rules,
        .creds_min_ttl_s = c->creds_min_ttl_s,
        .cookie = c->server.cookie_auth ? c->server.cookie_name : STR(""),
        .server = &c->server,
        .web = c->web,
        .owner = c,
        .owner_ref = settings_ref,
        .owner_unref = settings_unref,
    };
}

static void no_memory(struct str what)
{
    log_say(LOG_LEVEL_ERROR, "out_of_memory", what, loop_clock_wall_us());
}

/* ---- news from the credential store and the key source ------------------------------------------ */

static void creds_attempted(struct cred_listener *l, struct creds *held, bool fresh, struct str why)
{
    (void)fresh, (void)why;
    struct service *s = container_of(l, struct service, cred_listener);
    worker_use_creds(&s->lanes.list[0].worker, held);
    for (size_t i = 1; i < s->lanes.n; i++)
        if (worker_post_creds(&s->lanes.list[i].worker, held) != ST_OK)
            no_memory(STR("credentials did not reach a loop"));
}

static void keys_changed(struct key_listener *l, struct keyring *kr)
{
    struct service *s = container_of(l, struct service, key_listener);
    worker_use_keyring(&s->lanes.list[0].worker, kr);
    for (size_t i = 1; i < s->lanes.n; i++)
        if (worker_post_keyring(&s->lanes.list[i].worker, kr) != ST_OK)
            no_memory(STR("keys did not reach a loop"));
}

/* ---- reload ------------------------------------------------------------------------------------- */

static void log_lines(struct str rest)
{
    struct str line;
    while (str_cut(&rest, '\n', &line))
        if (line.len)
            log_say(LOG_LEVEL_WARN, "config_warning", line, loop_clock_wall_us());
}

static void log_warnings(const struct config *c, const struct reload *r)
{
    log_lines(c->warnings);
    log_lines(buf_view(&r->why));
}

static void use_reloaded(struct service *s, struct reload *r)
{
    AUTO(buf) restart = BUF_INIT(1024);
    config_needs_restart(&restart, s->config, r->config);
    if (restart.len)
        log_say(LOG_LEVEL_WARN, "reload_needs_restart", buf_view(&restart), loop_clock_wall_us());
    log_setup(STDERR_FILENO, r->config->log_level);
    log_warnings(r->config, r);

    const struct api_settings settings = settings_of(r->config);
    worker_use_settings(&s->lanes.list[0].worker, &settings);
    for (size_t i = 1; i < s->lanes.n; i++)
        if (worker_post_settings(&s->lanes.list[i].worker, &settings) != ST_OK)
            no_memory(STR("settings did not reach a loop"));
    if (key_source_use(s->lanes.fleet.key_source, r->keyring) != ST_OK)
        no_memory(STR("keys were not reloaded"));
    cred_store_replace(s->lanes.fleet.cred_store, TAKE(r->source));
    config_unref(s->config);
    s->config = TAKE(r->config);
    log_say(LOG_LEVEL_INFO, "reloaded", STR("the configuration was read anew"),
            loop_clock_wall_us());
}

static void reload_failed(const struct reload *r)
{
    struct log_line l;
    log_begin(&l, LOG_LEVEL_ERROR, "reload_failed", loop_clock_wall_us());
    jw_str(&l.j, "message", STR("the configuration is not good; the one before stays"));
    jw_str(&l.j, "reason", buf_view(&r->why));
    log_end(&l);
}

/* After the start, and after a reload whatever came of it. */
static void say_ready(struct service *s, struct str fault)
{
    AUTO(buf) words = BUF_INIT(RELOAD_WHY_MAX + WORDS_MAX);
    buf_lit(&words, "answers on ");
    buf_str(&words, buf_view(&s->address));
    if (fault.len)
        buf_lit(&words, "; the reload failed, the configuration before stays: ");
    buf_str(&words, fault);
    supervisor_ready(&s->supervisor, buf_view(&words));
}

static void begin_reload(struct service *s)
{
    if (s->reload.running) {
        s->reload_again = true;
        return;
    }
    supervisor_reloading(&s->supervisor);
    if (reload_start(&s->reload) == ST_OK)
        return;
    log_say(LOG_LEVEL_ERROR, "reload_failed", STR("no thread to be had"), loop_clock_wall_us());
    say_ready(s, STR("no thread to be had"));
}

static void reload_done(struct reload *r)
{
    struct service *s = container_of(r, struct service, reload);
    const bool good = r->status == ST_OK && ledgers_carry(&s->ledgers, &r->config->rules, &r->why);
    if (good)
        use_reloaded(s, r);
    else
        reload_failed(r);
    say_ready(s, good ? STR("") : buf_view(&r->why));
    reload_release(r);
    if (s->reload_again) {
        s->reload_again = false;
        begin_reload(s);
    }
}

/* ---- signals ------------------------------------------------------------------------------------ */

static void signal_arrived(struct source *src, uint32_t events)
{
    (void)events;
    struct service *s = container_of(src, struct service, signals);
    struct signalfd_siginfo info;
    while (read(src->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP) {
            begin_reload(s);
            continue;
        }
        supervisor_stopping(&s->supervisor);
        lanes_terminate(&s->lanes, s->config->drain_delay_ms, s->config->drain_timeout_ms);
    }
}

static enum status watch_signals(struct service *s)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return ST_INTERNAL;
    signal(SIGPIPE, SIG_IGN);
    s->signals.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    s->signals.ready = signal_arrived;
    if (s->signals.fd < 0)
        return ST_INTERNAL;
    return loop_watch(s->lanes.list[0].worker.loop, &s->signals, EPOLLIN);
}

/* As many descriptors as we may have: connections are limited by our own number. */
static void raise_descriptors(const struct config *c)
{
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) != 0)
        return;
    const rlim_t before = lim.rlim_cur;
    lim.rlim_cur = lim.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &lim) != 0)
        lim.rlim_cur = before;
    const rlim_t wanted = (rlim_t)c->server.connections * (rlim_t)c->threads + OTHER_DESCRIPTORS;
    if (lim.rlim_cur >= wanted) /* RLIM_INFINITY is the largest number */
        return;
    struct log_line l;
    log_begin(&l, LOG_LEVEL_WARN, "descriptors", loop_clock_wall_us());
    jw_str(&l.j, "message", STR("fewer descriptors are allowed than limits.connections may take"));
    jw_int(&l.j, "allowed", (int64_t)lim.rlim_cur);
    jw_int(&l.j, "wanted", (int64_t)wanted);
    log_end(&l);
}

/* ---- building ----------------------------------------------------------------------------------- */

static void prepare_server(struct worker *w, struct server *srv, bool admin, const struct config *c)
{
    *srv = (struct server){
        .loop = w->loop,
        .config = &c->server,
        .routes = api_routes,
        .n_routes = api_routes_n,
        .metrics = &w->metrics,
        .random = &w->random,
        .admin = admin,
    };
}

static enum status build_lanes(struct service *s)
{
    TRY(lanes_build(&s->lanes, (size_t)s->config->threads));
    const struct api_settings settings = settings_of(s->config);
    for (size_t i = 0; i < s->lanes.n; i++) {
        struct worker *w = &s->lanes.list[i].worker;
        prepare_server(w, &w->server, false, s->config);
        worker_use_settings(w, &settings);
    }
    return ST_OK;
}

static enum status build_suppliers(struct service *s)
{
    struct loop *l = s->lanes.list[0].worker.loop;
    s->cred_listener.attempted = creds_attempted;
    s->key_listener.changed = keys_changed;
    struct fetcher *fr = worker_fetcher(&s->lanes.list[0].worker);
    if (!fr)
        return ST_NO_MEMORY;
    s->lanes.fleet.cred_store = cred_store_new(l, fr, TAKE(s->reload.source), &s->cred_listener);
    s->lanes.fleet.key_source = key_source_new(l, fr, &s->key_listener);
    if (!s->lanes.fleet.cred_store || !s->lanes.fleet.key_source)
        return ST_NO_MEMORY;
    TRY(key_source_use(s->lanes.fleet.key_source, s->reload.keyring));
    cred_store_start(s->lanes.fleet.cred_store);
    s->reload.loop = l;
    reload_release(&s->reload);
    return ST_OK;
}

/* One more descriptor of a socket that the service manager keeps. */
static enum status start_inherited(struct server *srv, int given, struct buf *why)
{
    const int fd = inherited_share(given);
    if (fd < 0) {
        buf_lit(why, "no descriptor for an inherited socket");
        return ST_INTERNAL;
    }
    srv->lasting = true;
    return server_start(srv, fd);
}

static enum status open_own(struct service *s, struct buf *why)
{
    buf_str(&s->address, s->config->listen);
    for (size_t i = 0; i < s->lanes.n; i++) {
        int fd;
        uint16_t port;
        TRY(server_listen(buf_view(&s->address), s->lanes.n > 1, &fd, &port, why));
        TRY(server_start(&s->lanes.list[i].worker.server, fd));
        if (i == 0) {
            s->port = port;
            buf_reset(&s->address); /* those that follow share the port */
            cmd_address(&s->address, s->config->listen, port);
            TRY(buf_check(&s->address));
        }
    }
    return ST_OK;
}

static enum status open_public(struct service *s, struct buf *why)
{
    const int given = s->supervisor.sockets.public_fd;
    s->address = BUF_INIT(ADDRESS_MAX);
    if (given < 0)
        return open_own(s, why);
    if (!inherited_address(given, &s->address, &s->port))
        return ST_INTERNAL;
    for (size_t i = 0; i < s->lanes.n; i++)
        TRY(start_inherited(&s->lanes.list[i].worker.server, given, why));
    return ST_OK;
}

static enum status open_admin(struct service *s, struct buf *why)
{
    struct worker *w = &s->lanes.list[0].worker;
    const int given = s->supervisor.sockets.admin_fd;
    AUTO(buf) address = BUF_INIT(ADDRESS_MAX);
    if (given < 0 && s->config->admin_listen.len == 0)
        return ST_OK;
    prepare_server(w, &w->admin, true, s->config);
    if (given >= 0 && inherited_address(given, &address, &s->admin_port))
        return start_inherited(&w->admin, given, why);
    int fd;
    TRY(server_listen(s->config->admin_listen, false, &fd, &s->admin_port, why));
    return server_start(&w->admin, fd);
}

static enum status build(struct service *s, struct buf *why)
{
    raise_descriptors(s->config);
    TRY(fetch_global_start());
    TRY(build_lanes(s));
    TRY(watch_signals(s));
    TRY(build_suppliers(s));
    TRY(ledgers_open(&s->ledgers, s->config, &s->lanes.fleet, why));
    TRY(open_public(s, why));
    TRY(open_admin(s, why));
    return supervisor_watch(&s->supervisor, &s->lanes);
}

/* ---- running ------------------------------------------------------------------------------------ */

static void say_listening(const struct service *s)
{
    struct str host = buf_view(&s->address);
    while (host.len > 0 && host.ptr[host.len - 1] != ':')
        host.len--;
    struct log_line l;
    log_begin(&l, LOG_LEVEL_INFO, "listening", loop_clock_wall_us());
    jw_str(&l.j, "address", str_slice(host, 0, host.len ? host.len - 1 : 0));
    jw_int(&l.j, "port", s->port);
    if (s->admin_port)
        jw_int(&l.j, "admin_port", s->admin_port);
    if (s->supervisor.sockets.public_fd >= 0)
        jw_bool(&l.j, "inherited", true);
    jw_int(&l.j, "threads", (int64_t)s->lanes.n);
    jw_int(&l.j, "pid", getpid());
    log_end(&l);
    log_flush();
}

static void print_hints(const struct service *s)
{
    AUTO(buf) text = BUF_INIT(HINTS_MAX);
    if (dev_hints(&text, s->config, s->port, loop_clock_wall_us() / 1000000) != ST_OK)
        return;
    (void)fwrite(text.ptr, 1, text.len, stdout);
    (void)fflush(stdout);
}

static void take_down(struct service *s)
{
    reload_stop(&s->reload);
    lanes_join(&s->lanes);
    ledgers_stop(&s->ledgers);
    key_source_free(s->lanes.fleet.key_source);
    cred_store_free(s->lanes.fleet.cred_store);
    if (s->signals.fd > 0)
        close(s->signals.fd);
    supervisor_release(&s->supervisor);
    lanes_release(&s->lanes);
    ledgers_release(&s->ledgers);
    reload_release(&s->reload);
    config_unref(s->config);
    buf_release(&s->address);
    fetch_global_end();
    dev_folder_remove(&s->dev);
}

/* A throw-away secret and its token stay on this machine, whoever hands sockets down. */
static enum status take_from_manager(struct service *s, struct buf *why)
{
    TRY(supervisor_take(&s->supervisor, environ, why));
    const struct inherited *in = &s->supervisor.sockets;
    if (!s->config->dev || (in->public_fd < 0 && in->admin_fd < 0))
        return ST_OK;
    buf_lit(why, "--dev opens sockets of its own, on loopback, and takes none");
    return ST_INVALID;
}

/* Who is told what to mend: starting anew does not help there. */
static int code_of(enum status st)
{
    return st == ST_INVALID ? EX_CONFIG : 1;
}

static int run(struct service *s)
{
    AUTO(buf) why = BUF_INIT(WHY_MAX);
    enum status st = take_from_manager(s, &why);
    const int code = code_of(st);
    if (st == ST_OK)
        st = build(s, &why);
    if (st == ST_OK)
        st = lanes_start(&s->lanes);
    if (st != ST_OK) {
        fprintf(stderr, "presignd: cannot start: %.*s\n",
                STR_ARGS(why.len ? buf_view(&why) : str_from(status_name(st))));
        return code;
    }
    say_listening(s);
    say_ready(s, STR(""));
    if (s->config->dev)
        print_hints(s);
    loop_run(s->lanes.list[0].worker.loop);
    log_say(LOG_LEVEL_INFO, "stopped", STR("everything under way was finished or ended"),
            loop_clock_wall_us());
    log_flush();
    return 0;
}

/* ---- the command -------------------------------------------------------------------------------- */

static const char usage[] =
    "usage: presignd serve [--config FILE] [--dev]\n"
    "  --config FILE  the configuration (else $PRESIGND_CONFIG, else\n"
    "                 /etc/presignd/presignd.json)\n"
    "  --dev          loopback only, a throw-away secret, no configuration; with the\n"
    "                 upload page\n";

static enum status load_first(struct service *s, struct reload *r)
{
    AUTO(buf) why = BUF_INIT(WHY_MAX);
    if (r->ask.dev) {
        const enum status st = dev_folder_make(&s->dev, &why);
        if (st != ST_OK) {
            fprintf(stderr, "presignd: %.*s\n", STR_ARGS(buf_view(&why)));
            return st;
        }
        r->ask.dev_secret_file = s->dev.secret_path;
        r->ask.dev_ledger_path = s->dev.ledger_path;
    }
    reload_now(r);
    if (r->status != ST_OK)
        fprintf(stderr, "%.*s%s", STR_ARGS(buf_view(&r->why)),
                str_ends(buf_view(&r->why), STR("\n")) ? "" : "\n");
    return r->status;
}

static int serve(const char *path, bool dev)
{
    struct service s = {
        .signals.fd = -1,
        .supervisor = SUPERVISOR_NONE,
        .reload = { .ask = { .path = path, .dev = dev, .environment = environ },
                    .done = reload_done },
    };
    const enum status st = load_first(&s, &s.reload);
    int code = code_of(st);
    if (st == ST_OK) {
        s.config = TAKE(s.reload.config);
        log_setup(STDERR_FILENO, s.config->log_level);
        log_warnings(s.config, &s.reload);
        code = run(&s);
    }
    take_down(&s);
    return code;
}

int cmd_serve(int argc, char **argv)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' },
        { "dev", no_argument, NULL, 'd' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    const char *path = NULL;
    bool dev = false;
    int c;
    while ((c = cmd_option(argc, argv, "c:dh", options)) != -1) {
        if (c == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (c == '?')
            return cmd_usage(usage, argv[optind - 1]);
        if (c == 'c')
            path = optarg;
        if (c == 'd')
            dev = true;
    }
    if (optind < argc)
        return cmd_usage(usage, argv[optind]);
    return serve(path, dev);
}
