/*
 * resp_hello - a list of steps; each says what it asks, if anything, and what it makes of the reply.
 *
 * INFO may be forbidden to the user (ACL): then the checks are left out with a warning, and what
 * they would have found shows in the first command's error (resp_hello_ends).
 */
#include "presignd/resp_hello.h"

enum { VERSION_LEAST = 6, QUOTED_MAX = 120, VERSION_MAX = 24 };

/* error replies */

/* The error as the server worded it, for people. */
static void quote(struct buf *out, struct str error)
{
    buf_lit(out, ": \"");
    buf_str(out, str_slice(error, 0, QUOTED_MAX));
    buf_lit(out, "\"");
}

#define ONE_SHARD                                                                                \
    "the server is in cluster mode with more than one shard; a server without cluster mode, or " \
    "a cluster of one shard, is needed"

/* clang-format off */
static const struct { struct str word; struct str sentence; } endings[] = {
    { STR_INIT("READONLY"),    STR_INIT("the server is a read-only replica")         },
    { STR_INIT("MASTERDOWN"),  STR_INIT("the server is a replica without its primary") },
    { STR_INIT("LOADING"),     STR_INIT("the server is loading its data")            },
    { STR_INIT("MOVED"),       STR_INIT(ONE_SHARD)                                   },
    { STR_INIT("ASK"),         STR_INIT(ONE_SHARD)                                   },
    { STR_INIT("CROSSSLOT"),   STR_INIT(ONE_SHARD)                                   },
    { STR_INIT("CLUSTERDOWN"), STR_INIT("the server is in cluster mode, and its cluster is down") },
    { STR_INIT("NOAUTH"),      STR_INIT("the server wants a password")               },
    { STR_INIT("WRONGPASS"),   STR_INIT("the server refused the user or the password") },
};
/* clang-format on */

bool resp_hello_ends(struct str error, struct buf *why)
{
    const struct str word = str_slice(error, 0, str_find(error, ' ', 0));
    for (size_t i = 0; i < ARRAY_LEN(endings); i++)
        if (str_equal(word, endings[i].word)) {
            buf_str(why, endings[i].sentence);
            return true;
        }
    return false;
}

static void refuse(struct buf *why, struct str what, struct str error)
{
    if (resp_hello_ends(error, why))
        return;
    buf_str(why, what);
    quote(why, error);
}

/* INFO: lines "name:value" */

static struct str value_of(struct str text, struct str name)
{
    for (struct str line; str_cut(&text, '\n', &line);) {
        if (line.len && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (line.len > name.len && line.ptr[name.len] == ':' && str_starts(line, name))
            return str_slice(line, name.len + 1, line.len);
    }
    return STR_NONE;
}

static bool has(struct str info, struct str name, struct str value)
{
    return str_equal(value_of(info, name), value);
}

/* A version is digits and dots first, whatever a fork appends. */
static bool version_will_do(struct resp_hello *h, struct str version, struct buf *why)
{
    int64_t major = 0;
    const bool known =
        str_to_int(str_slice(version, 0, str_find(version, '.', 0)), INT32_MAX, &major);
    if (!known) {
        buf_lit(why, "the answer to INFO names no version: this is no Redis or Valkey server");
        return false;
    }
    const struct str shown = str_slice(version, 0, VERSION_MAX);
    if (major < VERSION_LEAST) {
        buf_lit(why, "the server's version is ");
        buf_str(why, shown);
        buf_lit(why, "; 6 or later is needed");
        return false;
    }
    buf_reset(&h->version);
    buf_str(&h->version, shown);
    return true;
}

/* Without maxmemory nothing is evicted, whatever the policy says. */
static void look_at_eviction(struct resp_hello *h, struct str info)
{
    const struct str policy = value_of(info, STR("maxmemory_policy"));
    const struct str most = value_of(info, STR("maxmemory"));
    if (!most.len || str_equal(most, STR("0")) || str_equal(policy, STR("noeviction")))
        return;
    buf_lit(&h->warning, "the server may evict what was promised: its maxmemory-policy is ");
    buf_str(&h->warning, policy.len ? str_slice(policy, 0, 32) : STR("unknown"));
    buf_lit(&h->warning, ", not noeviction");
}

static enum hello_verdict read_info(struct resp_hello *h, struct str info, struct buf *why)
{
    if (has(info, STR("redis_mode"), STR("sentinel"))) {
        buf_lit(why, "this is a Sentinel, not a server that holds data");
        return HELLO_NO;
    }
    if (!version_will_do(h, value_of(info, STR("redis_version")), why))
        return HELLO_NO;
    if (has(info, STR("loading"), STR("1"))) {
        buf_lit(why, "the server is loading its data");
        return HELLO_NO;
    }
    if (has(info, STR("role"), STR("slave"))) {
        buf_lit(why, "the server is a read-only replica");
        return HELLO_NO;
    }
    h->is_cluster = has(info, STR("cluster_enabled"), STR("1"));
    look_at_eviction(h, info);
    return HELLO_FINE;
}

/* steps */

static void ask(struct resp_hello *h, struct str word)
{
    h->argv[h->argc++] = word;
}

static void ask_auth(struct resp_hello *h)
{
    const struct resp_config *c = h->config;
    const bool has_password = c->password && c->password->len;
    if (!has_password && !c->username.len)
        return;
    ask(h, STR("AUTH"));
    if (c->username.len)
        ask(h, c->username);
    ask(h, has_password ? secret_view(c->password) : STR(""));
}

static enum hello_verdict read_auth(struct resp_hello *h, const struct resp_reply *r,
                                    struct buf *why)
{
    (void)h;
    if (r->kind == RESP_OK)
        return HELLO_FINE;
    refuse(why, STR("AUTH failed"), r->text);
    return HELLO_NO;
}

static void ask_select(struct resp_hello *h)
{
    if (h->config->database == 0)
        return;
    struct buf number = BUF_FIXED(h->number);
    buf_int(&number, h->config->database);
    ask(h, STR("SELECT"));
    ask(h, buf_view(&number));
}

static enum hello_verdict read_select(struct resp_hello *h, const struct resp_reply *r,
                                      struct buf *why)
{
    (void)h;
    if (r->kind == RESP_OK)
        return HELLO_FINE;
    refuse(why, STR("SELECT failed"), r->text);
    return HELLO_NO;
}

static void ask_info(struct resp_hello *h)
{
    ask(h, STR("INFO"));
}

static enum hello_verdict read_checks(struct resp_hello *h, const struct resp_reply *r,
                                      struct buf *why)
{
    if (r->kind == RESP_OK)
        return read_info(h, r->n_rows ? r->rows[0].text : STR(""), why);
    if (!str_starts(r->text, STR("NOPERM"))) {
        refuse(why, STR("INFO failed"), r->text);
        return HELLO_NO;
    }
    buf_lit(&h->warning, "the user may not ask INFO: the server's version, role and "
                         "maxmemory-policy are not known");
    return HELLO_FINE;
}

static void ask_shards(struct resp_hello *h)
{
    if (!h->is_cluster)
        return;
    ask(h, STR("CLUSTER"));
    ask(h, STR("INFO"));
}

/* Who may not ask learns it from MOVED. */
static enum hello_verdict read_shards(struct resp_hello *h, const struct resp_reply *r,
                                      struct buf *why)
{
    (void)h;
    int64_t shards = 0;
    const struct str text = r->kind == RESP_OK && r->n_rows ? r->rows[0].text : STR("");
    if (!str_to_int(value_of(text, STR("cluster_size")), INT32_MAX, &shards) || shards <= 1)
        return HELLO_FINE;
    buf_lit(why, ONE_SHARD);
    return HELLO_NO;
}

/* clang-format off */
static const struct {
    void (*ask)(struct resp_hello *h); /* sets argv, or leaves it empty: nothing to ask */
    enum hello_verdict (*read)(struct resp_hello *h, const struct resp_reply *r, struct buf *why);
} steps[] = {
    { ask_auth,   read_auth   },
    { ask_select, read_select },
    { ask_info,   read_checks },
    { ask_shards, read_shards },
};
/* clang-format on */

void resp_hello_start(struct resp_hello *h, const struct resp_config *c)
{
    *h = (struct resp_hello){ .config = c, .step = -1 };
    h->warning = BUF_FIXED(h->warning_space);
    h->version = BUF_FIXED(h->version_space);
}

enum hello_verdict resp_hello_next(struct resp_hello *h, const struct resp_reply *last,
                                   struct buf *why)
{
    assert(!last == (h->step < 0));
    if (last && steps[h->step].read(h, last, why) == HELLO_NO)
        return HELLO_NO;
    h->argc = 0;
    while (h->argc == 0) {
        if (++h->step == (int)ARRAY_LEN(steps))
            return HELLO_FINE;
        steps[h->step].ask(h);
    }
    return HELLO_ASK;
}
