/*
 * serve - the composition root: builds everything, runs the loops, drains, reloads.
 *
 * The main thread runs the first loop, which also holds the admin listener, the credential store, the
 * key source and the signals; every other loop has a thread. All loops are built before any thread
 * starts. What changes later travels as posts.
 */
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "presignd/api.h"
#include "presignd/cmd.h"
#include "presignd/dev.h"
#include "presignd/reload.h"

enum { IDLE_CHECK_MS = 20, WHY_MAX = 16384, HINTS_MAX = 16384 };

struct service;

/* One loop of ours and what it is told when the service stops. */
struct lane {
    struct worker worker;
    struct service *service;
    pthread_t thread;
    bool threaded;
    struct post drain, quiesce, stop;
    bool told_to_stop; /* for the first lane's thread alone, like all that posts */
    struct timer idle_check;
};

struct service {
    struct fleet fleet;
    struct lane *lanes;
    struct worker **workers;
    size_t n;
    struct config *config;
    struct fetcher *fetcher;
    struct cred_listener cred_listener;
    struct key_listener key_listener;
    struct source signals;
    struct timer drain_over, patience_over;
    bool draining;
    atomic_size_t lanes_left; /* still serving */
    struct reload reload;
    bool reload_again;
    struct dev_folder dev;
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
    worker_use_creds(&s->lanes[0].worker, held);
    for (size_t i = 1; i < s->n; i++)
        if (worker_post_creds(&s->lanes[i].worker, held) != ST_OK)
            no_memory(STR("credentials did not reach a loop"));
}

static void keys_changed(struct key_listener *l, struct keyring *kr)
{
    struct service *s = container_of(l, struct service, key_listener);
    worker_use_keyring(&s->lanes[0].worker, kr);
    for (size_t i = 1; i < s->n; i++)
        if (worker_post_keyring(&s->lanes[i].worker, kr) != ST_OK)
            no_memory(STR("keys did not reach a loop"));
}

/* ---- stopping ----------------------------------------------------------------------------------- */

/* On the lane's own loop: ends its listener, and its loop unless it is the first. */
static void lane_stop(struct lane *lane)
{
    struct service *s = lane->service;
    if (!lane->worker.server.daemon)
        return;
    loop_timer_stop(lane->worker.loop, &lane->idle_check);
    server_stop(&lane->worker.server);
    if (atomic_fetch_sub(&s->lanes_left, 1) == 1)
        loop_stop(s->lanes[0].worker.loop);
    if (lane->threaded)
        loop_stop(lane->worker.loop);
}

static void lane_idle_check(struct timer *t)
{
    struct lane *lane = container_of(t, struct lane, idle_check);
    struct loop *l = lane->worker.loop;
    if (lane->worker.server.in_flight == 0 ||
        loop_timer_at(l, t, loop_now_ms(l) + IDLE_CHECK_MS) != ST_OK)
        lane_stop(lane);
}

static void lane_drain_posted(struct post *p, struct loop *l)
{
    (void)l;
    server_drain(&container_of(p, struct lane, drain)->worker.server);
}

static void lane_quiesce_posted(struct post *p, struct loop *l)
{
    struct lane *lane = container_of(p, struct lane, quiesce);
    if (!lane->worker.server.daemon)
        return;
    server_quiesce(&lane->worker.server);
    lane->idle_check.due = lane_idle_check;
    if (loop_timer_at(l, &lane->idle_check, loop_now_ms(l) + IDLE_CHECK_MS) != ST_OK)
        lane_stop(lane);
}

static void lane_stop_posted(struct post *p, struct loop *l)
{
    (void)l;
    lane_stop(container_of(p, struct lane, stop));
}

/* A post may not be posted again while it waits, and in a loop that has ended it waits for ever. */
static void tell_to_stop(struct lane *lane)
{
    if (lane->told_to_stop)
        return;
    lane->told_to_stop = true;
    loop_post(lane->worker.loop, &lane->stop);
}

static void stop_all(struct service *s)
{
    for (size_t i = 0; i < s->n; i++)
        tell_to_stop(&s->lanes[i]);
}

static void drain_over(struct timer *t)
{
    struct service *s = container_of(t, struct service, drain_over);
    for (size_t i = 0; i < s->n; i++)
        loop_post(s->lanes[i].worker.loop, &s->lanes[i].quiesce);
}

static void patience_over(struct timer *t)
{
    struct service *s = container_of(t, struct service, patience_over);
    log_say(LOG_LEVEL_WARN, "drain_timeout", STR("stopping although requests are under way"),
            loop_clock_wall_us());
    stop_all(s);
}

/* The first signal drains; the second stops now. */
static void on_terminate(struct service *s)
{
    struct loop *l = s->lanes[0].worker.loop;
    if (s->draining) {
        stop_all(s);
        return;
    }
    s->draining = true;
    atomic_store(&s->fleet.draining, true);
    log_say(LOG_LEVEL_INFO, "draining", STR("not ready any more; finishing what is under way"),
            loop_wall_us(l));
    for (size_t i = 0; i < s->n; i++)
        loop_post(s->lanes[i].worker.loop, &s->lanes[i].drain);
    const int64_t now_ms = loop_now_ms(l);
    if (loop_timer_at(l, &s->drain_over, now_ms + s->config->drain_delay_ms) != ST_OK ||
        loop_timer_at(l, &s->patience_over, now_ms + s->config->drain_timeout_ms) != ST_OK)
        stop_all(s);
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
    worker_use_settings(&s->lanes[0].worker, &settings);
    for (size_t i = 1; i < s->n; i++)
        if (worker_post_settings(&s->lanes[i].worker, &settings) != ST_OK)
            no_memory(STR("settings did not reach a loop"));
    if (key_source_use(s->fleet.key_source, r->keyring) != ST_OK)
        no_memory(STR("keys were not reloaded"));
    cred_store_replace(s->fleet.cred_store, TAKE(r->source));
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

static void begin_reload(struct service *s)
{
    if (s->reload.running)
        s->reload_again = true;
    else if (reload_start(&s->reload) != ST_OK)
        log_say(LOG_LEVEL_ERROR, "reload_failed", STR("no thread to be had"), loop_clock_wall_us());
}

static void reload_done(struct reload *r)
{
    struct service *s = container_of(r, struct service, reload);
    if (r->status == ST_OK)
        use_reloaded(s, r);
    else
        reload_failed(r);
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
        if (info.ssi_signo == SIGHUP)
            begin_reload(s);
        else
            on_terminate(s);
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
    return loop_watch(s->lanes[0].worker.loop, &s->signals, EPOLLIN);
}

/* As many descriptors as we may have: connections are limited by our own number. */
static void raise_descriptors(void)
{
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) != 0)
        return;
    lim.rlim_cur = lim.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &lim);
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

static enum status build_lane(struct service *s, size_t i)
{
    struct lane *lane = &s->lanes[i];
    lane->service = s;
    lane->drain.run = lane_drain_posted;
    lane->quiesce.run = lane_quiesce_posted;
    lane->stop.run = lane_stop_posted;
    s->workers[i] = &lane->worker;
    TRY(worker_init(&lane->worker, &s->fleet));
    prepare_server(&lane->worker, &lane->worker.server, false, s->config);
    const struct api_settings settings = settings_of(s->config);
    worker_use_settings(&lane->worker, &settings);
    return ST_OK;
}

static enum status build_lanes(struct service *s)
{
    s->n = (size_t)s->config->threads;
    s->lanes = calloc(s->n, sizeof(*s->lanes));
    s->workers = calloc(s->n, sizeof(struct worker *));
    if (!s->lanes || !s->workers)
        return ST_NO_MEMORY;
    s->fleet.workers = s->workers;
    s->fleet.n_workers = s->n;
    atomic_store(&s->lanes_left, s->n);
    for (size_t i = 0; i < s->n; i++)
        TRY(build_lane(s, i));
    return ST_OK;
}

static enum status build_suppliers(struct service *s)
{
    struct loop *l = s->lanes[0].worker.loop;
    s->cred_listener.attempted = creds_attempted;
    s->key_listener.changed = keys_changed;
    s->fetcher = fetcher_new(l);
    if (!s->fetcher)
        return ST_NO_MEMORY;
    s->fleet.cred_store = cred_store_new(l, s->fetcher, TAKE(s->reload.source), &s->cred_listener);
    s->fleet.key_source = key_source_new(l, s->fetcher, &s->key_listener);
    if (!s->fleet.cred_store || !s->fleet.key_source)
        return ST_NO_MEMORY;
    TRY(key_source_use(s->fleet.key_source, s->reload.keyring));
    cred_store_start(s->fleet.cred_store);
    s->reload.loop = l;
    reload_release(&s->reload);
    return ST_OK;
}

/* The address with the port that the first listener got, for those that share it. */
static enum status same_port(struct buf *out, struct str address, uint16_t port)
{
    size_t colon = address.len;
    while (colon > 0 && address.ptr[colon - 1] != ':')
        colon--;
    buf_str(out, str_slice(address, 0, colon));
    buf_int(out, port);
    return buf_check(out);
}

static enum status open_public(struct service *s, struct buf *why)
{
    AUTO(buf) address = BUF_INIT(512);
    buf_str(&address, s->config->listen);
    for (size_t i = 0; i < s->n; i++) {
        int fd;
        uint16_t port;
        TRY(server_listen(buf_view(&address), s->n > 1, &fd, &port, why));
        TRY(server_start(&s->lanes[i].worker.server, fd));
        if (i == 0) {
            s->port = port;
            buf_reset(&address);
            TRY(same_port(&address, s->config->listen, port));
        }
    }
    return ST_OK;
}

static enum status open_admin(struct service *s, struct buf *why)
{
    struct worker *w = &s->lanes[0].worker;
    if (s->config->admin_listen.len == 0)
        return ST_OK;
    prepare_server(w, &w->admin, true, s->config);
    int fd;
    TRY(server_listen(s->config->admin_listen, false, &fd, &s->admin_port, why));
    return server_start(&w->admin, fd);
}

static enum status build(struct service *s, struct buf *why)
{
    raise_descriptors();
    TRY(fetch_global_start());
    TRY(build_lanes(s));
    TRY(watch_signals(s));
    TRY(build_suppliers(s));
    TRY(open_public(s, why));
    return open_admin(s, why);
}

/* ---- running ------------------------------------------------------------------------------------ */

static void *lane_main(void *arg)
{
    struct lane *lane = arg;
    loop_run(lane->worker.loop);
    log_flush();
    return NULL;
}

static enum status start_threads(struct service *s)
{
    for (size_t i = 1; i < s->n; i++) {
        if (pthread_create(&s->lanes[i].thread, NULL, lane_main, &s->lanes[i]) != 0)
            return ST_INTERNAL;
        s->lanes[i].threaded = true;
    }
    return ST_OK;
}

static void say_listening(const struct service *s)
{
    struct str host = s->config->listen;
    while (host.len > 0 && host.ptr[host.len - 1] != ':')
        host.len--;
    struct log_line l;
    log_begin(&l, LOG_LEVEL_INFO, "listening", loop_clock_wall_us());
    jw_str(&l.j, "address", str_slice(host, 0, host.len ? host.len - 1 : 0));
    jw_int(&l.j, "port", s->port);
    if (s->admin_port)
        jw_int(&l.j, "admin_port", s->admin_port);
    jw_int(&l.j, "threads", (int64_t)s->n);
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
    for (size_t i = 1; i < s->n; i++)
        if (s->lanes && s->lanes[i].threaded) {
            tell_to_stop(&s->lanes[i]);
            pthread_join(s->lanes[i].thread, NULL);
        }
    for (size_t i = 0; s->lanes && i < s->n; i++) {
        server_stop(&s->lanes[i].worker.server);
        server_stop(&s->lanes[i].worker.admin);
    }
    key_source_free(s->fleet.key_source);
    cred_store_free(s->fleet.cred_store);
    fetcher_free(s->fetcher);
    if (s->signals.fd > 0)
        close(s->signals.fd);
    for (size_t i = 0; s->lanes && i < s->n; i++)
        worker_release(&s->lanes[i].worker);
    reload_release(&s->reload);
    free(s->lanes);
    free(s->workers);
    config_unref(s->config);
    fetch_global_end();
    dev_folder_remove(&s->dev);
}

static int run(struct service *s)
{
    AUTO(buf) why = BUF_INIT(WHY_MAX);
    enum status st = build(s, &why);
    if (st == ST_OK)
        st = start_threads(s);
    if (st != ST_OK) {
        fprintf(stderr, "presignd: cannot start: %.*s\n",
                STR_ARGS(why.len ? buf_view(&why) : str_from(status_name(st))));
        return 1;
    }
    say_listening(s);
    if (s->config->dev)
        print_hints(s);
    loop_run(s->lanes[0].worker.loop);
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
    "  --dev          loopback only, a throw-away secret, no configuration\n";

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
        .drain_over.due = drain_over,
        .patience_over.due = patience_over,
        .reload = { .ask = { .path = path, .dev = dev, .environment = environ },
                    .done = reload_done },
    };
    int code = 1;
    if (load_first(&s, &s.reload) == ST_OK) {
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
