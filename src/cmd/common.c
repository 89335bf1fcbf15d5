/*
 * common - what the subcommands share.
 */
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "presignd/cmd.h"

enum { WHY_MAX = 65536 };

struct config *cmd_config(const char *path, bool dev, const char *dev_secret_file)
{
    const struct config_ask ask = {
        .path = path,
        .dev = dev,
        .dev_secret_file = dev_secret_file,
        .environment = environ,
    };
    struct config *c = NULL;
    AUTO(buf) why = BUF_INIT(WHY_MAX);
    const enum status st = config_load(&ask, &c, &why);
    if (st == ST_OK)
        return c;
    if (why.len)
        fprintf(stderr, "%.*s", STR_ARGS(buf_view(&why)));
    else
        fprintf(stderr, "presignd: no memory for the configuration\n");
    return NULL;
}

void cmd_address(struct buf *out, struct str listen, uint16_t port)
{
    size_t colon = listen.len;
    while (colon > 0 && listen.ptr[colon - 1] != ':')
        colon--;
    buf_str(out, str_slice(listen, 0, colon));
    buf_int(out, port);
}

int cmd_usage(const char *usage, const char *wrong)
{
    fprintf(stderr, "presignd: unexpected \"%s\"\n%s", wrong, usage);
    return 2;
}

int cmd_option(int argc, char **argv, const char *letters, const struct option *options)
{
    opterr = 0;
    return getopt_long(argc, argv, letters, options, NULL); /* NOLINT(concurrency-mt-unsafe) */
}
