/*
 * dev - what `serve --dev` adds: a throw-away secret, a place for a throw-away ledger, and the hints
 * that let a newcomer go on.
 */
#ifndef PRESIGND_DEV_H
#define PRESIGND_DEV_H

#include "presignd/config.h"

struct dev_folder {
    char path[64];        /* "" = not made */
    char secret_path[96]; /* 64 hex digits of randomness */
    char ledger_path[96]; /* whoever opens it makes it */
};

/* Makes a folder that only this user can enter, with a fresh secret in it. ST_UNREACHABLE with why. */
MUST_CHECK enum status dev_folder_make(struct dev_folder *d, struct buf *why);

/* Removes the folder and every file in it; fine when nothing was made. */
void dev_folder_remove(struct dev_folder *d);

/* Appends what is printed on stdout once the server accepts: a token, the address of the
 * upload page with it, and a curl line that work. */
MUST_CHECK enum status dev_hints(struct buf *out, const struct config *c, uint16_t port,
                                 int64_t now_s);

#endif
