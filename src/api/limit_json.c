/*
 * limit_json - one object per limit.
 */
#include "presignd/limit_json.h"

#include "presignd/date.h"

/* clang-format off */
static const struct str kind_words[] = {
    [LIMIT_RATE]  = STR_INIT("rate"),
    [LIMIT_COUNT] = STR_INIT("count"),
    [LIMIT_BYTES] = STR_INIT("bytes"),
    [LIMIT_OPEN]  = STR_INIT("open"),
};
/* clang-format on */

/* A month has no length of its own: that of the one under way is not told, its end is. */
static void write_window(struct jw *j, const struct limit *l)
{
    if (l->window_s > 0 && l->kind != LIMIT_OPEN)
        jw_int(j, "window_s", l->window_s);
    else
        jw_null(j, "window_s");
}

static void write_reset(struct jw *j, int64_t resets_at_s)
{
    char space[32];
    struct buf text = BUF_FIXED(space);
    if (resets_at_s <= 0) {
        jw_null(j, "resets_at");
        return;
    }
    date_iso(&text, resets_at_s);
    jw_str(j, "resets_at", buf_view(&text));
}

void limit_json_write(struct jw *j, const struct plan *p, const struct limit_state *states)
{
    for (size_t i = 0; p && states && i < p->n_limits; i++) {
        const struct limit *l = &p->limits[i];
        jw_open(j, '{');
        jw_str(j, "name", l->name);
        jw_str(j, "kind", kind_words[l->kind]);
        jw_int(j, "limit", l->max);
        jw_int(j, "used", states[i].used);
        jw_int(j, "reserved", states[i].reserved);
        jw_int(j, "remaining", states[i].remaining);
        write_window(j, l);
        write_reset(j, states[i].resets_at_s);
        jw_close(j);
    }
}
