/*
 * cmd - the subcommands. Each gets the arguments after its name and returns the exit status:
 * 0 good, 1 the answer is no or something failed, 2 wrong usage; serve has 78 (EX_CONFIG) for a
 * configuration that it cannot start with. Answers on stdout, complaints on stderr.
 */
#ifndef PRESIGND_CMD_H
#define PRESIGND_CMD_H

#include "presignd/config.h"

int cmd_serve(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_token(int argc, char **argv);
int cmd_ledger(int argc, char **argv);
int cmd_health(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_version(int argc, char **argv);

/* Shared by the commands: --config F / --dev, loads, prints faults to stderr. NULL: already said. */
struct config *cmd_config(const char *path, bool dev, const char *dev_secret_file);

/* The next option (getopt_long), '?' for an unknown one, -1 at the end. Before any thread. */
struct option;
int cmd_option(int argc, char **argv, const char *letters, const struct option *options);

/* A listen address ("127.0.0.1:0") with the port that it got in the place of its own. */
void cmd_address(struct buf *out, struct str listen, uint16_t port);

/* "presignd: <words>" on stderr; returns 2. For wrong usage. */
int cmd_usage(const char *usage, const char *wrong);

#endif
