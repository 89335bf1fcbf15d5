/*
 * main - finds the subcommand. What each does is in src/cmd/.
 */
#include <stdio.h>
#include <string.h>

#include "presignd/cmd.h"

/* clang-format off */
static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *does;
} commands[] = {
    { "serve",   cmd_serve,   "answers \"may this user upload this file, and how?\" over HTTP" },
    { "check",   cmd_check,   "checks the configuration and prints it as it is in force" },
    { "token",   cmd_token,   "makes a token, for development and tests" },
    { "ledger",  cmd_ledger,  "shows and corrects what users have used, copies the ledger" },
    { "health",  cmd_health,  "asks a running presignd whether it lives" },
    { "explain", cmd_explain, "says in words why a store refused an upload" },
    { "doctor",  cmd_doctor,  "looks at everything that uploads need, and says what to mend" },
    { "version", cmd_version, "prints versions" },
};
/* clang-format on */

static void print_help(FILE *to)
{
    fputs("usage: presignd <command> [options]\n\n", to);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].does);
    fputs("\npresignd <command> --help says more.\n", to);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0)
        return cmd_version(1, argv + 1);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "presignd: there is no command \"%s\"\n\n", argv[1]);
    print_help(stderr);
    return 2;
}
