/*
 * config_threads - how many loops "threads": 0 means: the processors that affinity and the control
 * group allow (Linux: cgroup-v2 "cpu.max", cgroup-v1 "cpu.cfs_quota_us"). A quota that ends within a
 * processor counts as a whole one. Every group up to the root may limit; in a container the root that
 * is seen is the container's own.
 */
#include "presignd/config_make.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

enum { PATH_LIMIT = 4096, LINE_LIMIT = 64, LINES_MAX = 64 };

#define CGROUPS "/sys/fs/cgroup"

/* ceil(quota / period), or THREADS_MAX where nothing limits. */
static int64_t processors_of(int64_t quota, int64_t period)
{
    return quota > 0 && period > 0 ? quota / period + (quota % period != 0) : CONFIG_THREADS_MAX;
}

static FILE *open_in(const char *root, struct str folder, struct str group, struct str file)
{
    AUTO(buf) path = BUF_INIT(PATH_LIMIT);
    buf_str(&path, str_from(root));
    buf_str(&path, folder);
    buf_str(&path, group);
    buf_char(&path, '/');
    buf_str(&path, file);
    const char *name = buf_cstr(&path);
    return name ? fopen(name, "re") : NULL;
}

/* How many of the two numbers a file begins with; "max" and -1 are none. */
static int read_numbers(FILE *f, int64_t *one, int64_t *two)
{
    char line[LINE_LIMIT];
    if (!f)
        return 0;
    const char *got = fgets(line, sizeof(line), f);
    fclose(f);
    if (!got)
        return 0;
    struct str rest = str_slice(str_from(line), 0, str_find(str_from(line), '\n', 0)), part;
    int n = 0;
    for (int64_t *out = one; out && str_cut(&rest, ' ', &part); out = out == one ? two : NULL) {
        if (!str_to_int(part, INT64_MAX, out))
            return n;
        n++;
    }
    return n;
}

static int64_t quota_v2(const char *root, struct str folder, struct str group)
{
    int64_t quota, period;
    const int n = read_numbers(open_in(root, folder, group, STR("cpu.max")), &quota, &period);
    return n == 2 ? processors_of(quota, period) : CONFIG_THREADS_MAX;
}

static int64_t quota_v1(const char *root, struct str folder, struct str group)
{
    int64_t quota, period, unused;
    FILE *q = open_in(root, folder, group, STR("cpu.cfs_quota_us"));
    FILE *p = open_in(root, folder, group, STR("cpu.cfs_period_us"));
    const bool both = read_numbers(q, &quota, &unused) >= 1;
    return read_numbers(p, &period, &unused) >= 1 && both ? processors_of(quota, period)
                                                          : CONFIG_THREADS_MAX;
}

/* The least of a group and of all above it. */
static int64_t least_up(const char *root, struct str folder, struct str group,
                        int64_t (*quota)(const char *, struct str, struct str))
{
    int64_t least = quota(root, folder, STR(""));
    while (group.len > 1) {
        least = MIN_OF(least, quota(root, folder, group));
        do
            group.len--;
        while (group.len > 0 && group.ptr[group.len] != '/');
    }
    return least;
}

static bool has_word(struct str list, struct str word)
{
    struct str part;
    while (str_cut(&list, ',', &part))
        if (str_equal(part, word))
            return true;
    return false;
}

/* A line of /proc/self/cgroup, cgroups(7): "0::/group" or "4:cpu,cpuacct:/group". */
static int64_t quota_of_line(const char *root, struct str line)
{
    struct str number, controllers;
    if (!str_cut(&line, ':', &number) || !str_cut(&line, ':', &controllers) || !line.ptr)
        return CONFIG_THREADS_MAX;
    if (controllers.len == 0)
        return least_up(root, STR(CGROUPS), line, quota_v2);
    if (!has_word(controllers, STR("cpu")))
        return CONFIG_THREADS_MAX;
    AUTO(buf) folder = BUF_INIT(PATH_LIMIT);
    buf_lit(&folder, CGROUPS "/");
    buf_str(&folder, controllers);
    return MIN_OF(least_up(root, buf_view(&folder), line, quota_v1),
                  least_up(root, STR(CGROUPS "/cpu"), line, quota_v1));
}

int64_t config_cgroup_processors(const char *root)
{
    char line[PATH_LIMIT];
    int64_t least = CONFIG_THREADS_MAX;
    FILE *f = open_in(root, STR("/proc/self"), STR(""), STR("cgroup"));
    for (int i = 0; f && i < LINES_MAX && fgets(line, sizeof(line), f); i++) {
        line[strcspn(line, "\n")] = '\0';
        least = MIN_OF(least, quota_of_line(root, str_from(line)));
    }
    if (f)
        fclose(f);
    return least;
}

int config_processors(void)
{
    cpu_set_t set;
    const int64_t mine = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return (int)MAX_OF(1, MIN_OF(mine, config_cgroup_processors("")));
}
