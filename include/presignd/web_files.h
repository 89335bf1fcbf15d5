/*
 * web_files - the files of src/web that the program carries, under the paths that they are served at.
 */
#ifndef PRESIGND_WEB_FILES_H
#define PRESIGND_WEB_FILES_H

#include "presignd/web.h"

extern const struct web_source web_files[];
extern const size_t web_files_n;

#endif
