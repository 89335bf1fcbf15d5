/*
 * web_files - what is embedded, by path.
 */
#include "presignd/web_files.h"

#include "presignd/web_list.h"

#define EMBEDDED(path, type, name) extern const struct str data_web_##name;
#define SOURCE(path, type, name)   { STR_INIT(path), type, &data_web_##name },

/* clang-format off */
WEB_LIST(EMBEDDED)

const struct web_source web_files[] = { WEB_LIST(SOURCE) };
/* clang-format on */

const size_t web_files_n = ARRAY_LEN(web_files);
