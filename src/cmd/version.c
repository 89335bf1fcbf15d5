/*
 * version - of presignd and of the libraries that it runs with.
 */
#include <curl/curl.h>
#include <hiredis/hiredis.h>
#include <jansson.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <sqlite3.h>
#include <stdio.h>
#include <utf8proc.h>

#include "presignd/cmd.h"

#ifndef PRESIGND_VERSION
#    define PRESIGND_VERSION "unknown"
#endif
#ifndef PRESIGND_BUILD
#    define PRESIGND_BUILD "unknown"
#endif

int cmd_version(int argc, char **argv)
{
    static const char usage[] = "usage: presignd version\n";
    if (argc > 1 && str_equal(str_from(argv[1]), STR("--help"))) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc > 1)
        return cmd_usage(usage, argv[1]);
    printf("presignd %s (%s)\n", PRESIGND_VERSION, PRESIGND_BUILD);
    printf("libmicrohttpd %s\n", MHD_get_version());
    printf("%s\n", OpenSSL_version(OPENSSL_VERSION));
    printf("%s\n", curl_version());
    printf("jansson %s\n", jansson_version_str());
    printf("SQLite %s\n", sqlite3_libversion());
    printf("hiredis %d.%d.%d\n", HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
    printf("utf8proc %s\n", utf8proc_version());
    return fflush(stdout) == 0 ? 0 : 1;
}
