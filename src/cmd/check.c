/*
 * check - is this configuration good? Prints it as it would be in force, or each fault with its place.
 */
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "presignd/cmd.h"
#include "presignd/reload.h"

enum { TEXT_MAX = 8 << 20 };

static const char usage[] =
    "usage: presignd check [--config FILE] [--dev]\n"
    "  prints the configuration with defaults and environment applied; secrets are never in it\n";

static void print_warnings(struct str rest)
{
    struct str line;
    while (str_cut(&rest, '\n', &line))
        if (line.len)
            fprintf(stderr, "warning: %.*s\n", STR_ARGS(line));
}

static int report(struct reload *r)
{
    if (r->status != ST_OK || !r->config) {
        fprintf(stderr, "%.*s%s", STR_ARGS(buf_view(&r->why)),
                str_ends(buf_view(&r->why), STR("\n")) ? "" : "\n");
        return 1;
    }
    print_warnings(r->config->warnings);
    print_warnings(buf_view(&r->why));
    AUTO(buf) text = BUF_INIT(TEXT_MAX);
    if (config_print(&text, r->config) != ST_OK) {
        fprintf(stderr, "presignd: no memory to print the configuration\n");
        return 1;
    }
    return fwrite(text.ptr, 1, text.len, stdout) == text.len && fflush(stdout) == 0 ? 0 : 1;
}

/* --dev has no secret file before `serve` made one: the configuration alone is judged. */
static void judge(struct reload *r)
{
    if (!r->ask.dev) {
        reload_now(r);
        return;
    }
    r->why = BUF_INIT(RELOAD_WHY_MAX);
    r->status = config_load(&r->ask, &r->config, &r->why);
}

int cmd_check(int argc, char **argv)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' },
        { "dev", no_argument, NULL, 'd' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    struct reload r = { .ask = { .environment = environ } };
    int c;
    while ((c = cmd_option(argc, argv, "c:dh", options)) != -1) {
        if (c == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (c == '?')
            return cmd_usage(usage, argv[optind - 1]);
        if (c == 'c')
            r.ask.path = optarg;
        if (c == 'd') {
            r.ask.dev = true;
            r.ask.dev_secret_file = "(made by serve --dev)";
            r.ask.dev_ledger_path = "(made by serve --dev)";
        }
    }
    if (optind < argc)
        return cmd_usage(usage, argv[optind]);
    judge(&r);
    const int code = report(&r);
    reload_release(&r);
    return code;
}
