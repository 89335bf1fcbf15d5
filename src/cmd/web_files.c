/*
 * web_files - what is embedded, by path. A file of the page has a line here, one in the Makefile's WEB
 * and one among the routes (src/api/routes.c).
 */
#include "presignd/web_files.h"

#define HTML   "text/html; charset=utf-8"
#define SCRIPT "text/javascript; charset=utf-8"
#define STYLE  "text/css; charset=utf-8"
#define SVG    "image/svg+xml"
#define PLAIN  "text/plain; charset=utf-8"

extern const struct str data_web_index_html, data_web_presignd_js, data_web_presignd_d_ts,
    data_web_page_js, data_web_words_js, data_web_session_js, data_web_row_js, data_web_files_js,
    data_web_panel_js, data_web_thumbnail_js, data_web_quota_js, data_web_page_css,
    data_web_favicon_svg;

/* clang-format off */
const struct web_source web_files[] = {
    { STR_INIT("/"),               HTML,   &data_web_index_html    },
    { STR_INIT("/presignd.js"),    SCRIPT, &data_web_presignd_js   },
    { STR_INIT("/presignd.d.ts"),  PLAIN,  &data_web_presignd_d_ts },
    { STR_INIT("/page.js"),        SCRIPT, &data_web_page_js       },
    { STR_INIT("/words.js"),       SCRIPT, &data_web_words_js      },
    { STR_INIT("/session.js"),     SCRIPT, &data_web_session_js    },
    { STR_INIT("/row.js"),         SCRIPT, &data_web_row_js        },
    { STR_INIT("/files.js"),       SCRIPT, &data_web_files_js      },
    { STR_INIT("/panel.js"),       SCRIPT, &data_web_panel_js      },
    { STR_INIT("/thumbnail.js"),   SCRIPT, &data_web_thumbnail_js  },
    { STR_INIT("/quota.js"),       SCRIPT, &data_web_quota_js      },
    { STR_INIT("/page.css"),       STYLE,  &data_web_page_css      },
    { STR_INIT("/favicon.svg"),    SVG,    &data_web_favicon_svg   },
};
/* clang-format on */

const size_t web_files_n = ARRAY_LEN(web_files);
