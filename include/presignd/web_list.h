/*
 * web_list - the page and the client module, file by file: each(path, type, name), where name is the
 * file's below src/web, all but letters and digits as "_". Its routes and its bytes come of this one
 * list; the Makefile's WEB says what is embedded.
 */
#ifndef PRESIGND_WEB_LIST_H
#define PRESIGND_WEB_LIST_H

#define WEB_HTML   "text/html; charset=utf-8"
#define WEB_SCRIPT "text/javascript; charset=utf-8"
#define WEB_STYLE  "text/css; charset=utf-8"
#define WEB_SVG    "image/svg+xml"
#define WEB_PLAIN  "text/plain; charset=utf-8"

/* clang-format off */
#define WEB_LIST(each) \
    each("/",              WEB_HTML,   index_html) \
    each("/presignd.js",   WEB_SCRIPT, presignd_js) \
    each("/presignd.d.ts", WEB_PLAIN,  presignd_d_ts) \
    each("/page.js",       WEB_SCRIPT, page_js) \
    each("/words.js",      WEB_SCRIPT, words_js) \
    each("/session.js",    WEB_SCRIPT, session_js) \
    each("/row.js",        WEB_SCRIPT, row_js) \
    each("/total.js",      WEB_SCRIPT, total_js) \
    each("/files.js",      WEB_SCRIPT, files_js) \
    each("/panel.js",      WEB_SCRIPT, panel_js) \
    each("/thumbnail.js",  WEB_SCRIPT, thumbnail_js) \
    each("/quota.js",      WEB_SCRIPT, quota_js) \
    each("/page.css",      WEB_STYLE,  page_css) \
    each("/favicon.svg",   WEB_SVG,    favicon_svg)
/* clang-format on */

#endif
