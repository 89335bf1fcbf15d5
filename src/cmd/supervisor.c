/*
 * supervisor - what serve has to do with the service manager, which it knows by variables alone.
 *
 * They are taken out of the environment: they say something of this process and of no other.
 */
#include "presignd/supervisor.h"

#include <stdlib.h>
#include <unistd.h>

#include "presignd/config.h"
#include "presignd/log.h"

enum { AGAIN_MS = 50 };

/* ---- the environment ---------------------------------------------------------------------------- */

/* A form of address that only newer managers know is no reason to serve nobody. */
static enum status open_notify(struct supervisor *s, struct str name, struct buf *why)
{
    const enum status st = notify_open(&s->notify, name, why);
    if (st != ST_INVALID)
        return st;
    log_say(LOG_LEVEL_WARN, "manager_not_told", buf_view(why), loop_clock_wall_us());
    buf_reset(why);
    return ST_OK;
}

static enum status take_variables(struct supervisor *s, char **environment, struct buf *why)
{
    const struct inherited_ask ask = {
        .pid = config_env_get(environment, "LISTEN_PID"),
        .fds = config_env_get(environment, "LISTEN_FDS"),
        .names = config_env_get(environment, "LISTEN_FDNAMES"),
        .own_pid = getpid(),
        .first_fd = INHERITED_FIRST_FD,
    };
    TRY(inherited_take(&s->sockets, &ask, why));
    TRY(notify_interval(config_env_get(environment, "WATCHDOG_USEC"),
                        config_env_get(environment, "WATCHDOG_PID"), getpid(), &s->every_ms, why));
    return open_notify(s, config_env_get(environment, "NOTIFY_SOCKET"), why);
}

enum status supervisor_take(struct supervisor *s, char **environment, struct buf *why)
{
    static const char *const variables[] = { "LISTEN_PID",    "LISTEN_FDS",    "LISTEN_FDNAMES",
                                             "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID" };
    *s = SUPERVISOR_NONE;
    TRY(take_variables(s, environment, why));
    for (size_t i = 0; i < ARRAY_LEN(variables); i++)
        unsetenv(variables[i]); /* allowed: no thread is there; NOLINT(concurrency-mt-unsafe) */
    return ST_OK;
}

/* ---- signs of life ------------------------------------------------------------------------------ */

static void set_timer(struct supervisor *s, struct timer *t, int64_t in_ms)
{
    struct loop *l = s->lanes->list[0].worker.loop;
    if (loop_timer_at(l, t, loop_now_ms(l) + in_ms) != ST_OK)
        log_say(LOG_LEVEL_ERROR, "out_of_memory", STR("the service manager hears no more"),
                loop_wall_us(l));
}

/* The number of a loop whose turn has not ended since the sign before, or n. The first one turns:
 * it asks. */
static size_t find_stuck(const struct supervisor *s)
{
    size_t i = 1;
    while (i < s->lanes->n && loop_stuck_ms(s->lanes->list[i].worker.loop) < s->every_ms)
        i++;
    return i;
}

static void say_stuck(const struct supervisor *s, size_t which)
{
    struct log_line l;
    log_begin(&l, LOG_LEVEL_ERROR, "loop_stuck", loop_clock_wall_us());
    jw_str(&l.j, "message", STR("the service manager gets no sign of life until it turns"));
    jw_int(&l.j, "loop", (int64_t)which);
    jw_int(&l.j, "ms", loop_stuck_ms(s->lanes->list[which].worker.loop));
    log_end(&l);
}

static void pulse(struct timer *t)
{
    struct supervisor *s = container_of(t, struct supervisor, pulse);
    const size_t which = find_stuck(s);
    const bool stuck = which < s->lanes->n;
    if (!stuck)
        notify_alive(&s->notify);
    else if (!s->stuck)
        say_stuck(s, which);
    s->stuck = stuck;
    set_timer(s, t, s->every_ms);
}

static void tell_again(struct timer *t)
{
    struct supervisor *s = container_of(t, struct supervisor, again);
    if (notify_again(&s->notify))
        set_timer(s, t, AGAIN_MS);
}

enum status supervisor_watch(struct supervisor *s, struct lanes *lanes)
{
    struct loop *l = lanes->list[0].worker.loop;
    s->lanes = lanes;
    s->pulse.due = pulse;
    s->again.due = tell_again;
    if (s->notify.fd < 0 || s->every_ms == 0)
        return ST_OK;
    return loop_timer_at(l, &s->pulse, loop_now_ms(l));
}

/* ---- news --------------------------------------------------------------------------------------- */

static void told(struct supervisor *s)
{
    if (s->lanes && notify_again(&s->notify))
        set_timer(s, &s->again, AGAIN_MS);
}

void supervisor_ready(struct supervisor *s, struct str words)
{
    if (s->stopping)
        return;
    notify_ready(&s->notify, words);
    told(s);
}

void supervisor_reloading(struct supervisor *s)
{
    if (s->stopping)
        return;
    notify_reloading(&s->notify, loop_clock_us(), STR("reads the configuration anew"));
    told(s);
}

void supervisor_stopping(struct supervisor *s)
{
    s->stopping = true;
    notify_stopping(&s->notify, STR("finishes what is under way"));
    told(s);
}

void supervisor_release(struct supervisor *s)
{
    if (s->lanes && s->lanes->n) {
        loop_timer_stop(s->lanes->list[0].worker.loop, &s->pulse);
        loop_timer_stop(s->lanes->list[0].worker.loop, &s->again);
    }
    notify_close(&s->notify);
    inherited_close(&s->sockets);
}
