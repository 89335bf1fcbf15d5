/*
 * routes - every path of presignd. What is not here is 404.
 */
#include "presignd/api.h"
#include "presignd/grant.h"
#include "presignd/ledger_admin.h"
#include "presignd/quota.h"
#include "presignd/upload_view.h"
#include "presignd/web_list.h"

#define GRANT  sizeof(struct grant_call)
#define VIEW   sizeof(struct upload_call)
#define QUOTA  sizeof(struct quota_call)
#define ADJUST sizeof(struct adjust_call)
#define PLAIN  sizeof(struct request)

/* clang-format off */
#define PAGE_ROUTE(path, type, name) { HTTP_GET, STR_INIT(path), web_steps, PLAIN, ROUTE_OPEN, "web", NULL, NULL },
#define ONE_MORE(path, type, name)   + 1

const struct route api_routes[] = {
    { HTTP_POST,   STR_INIT("/v1/uploads"),               uploads_steps,         GRANT,  0,             "uploads",         grant_end,        grant_log },
    { HTTP_GET,    STR_INIT("/v1/uploads/{id}"),          upload_view_steps,     VIEW,   0,             "upload_view",     upload_view_end,  upload_view_log },
    { HTTP_DELETE, STR_INIT("/v1/uploads/{id}"),          upload_cancel_steps,   VIEW,   0,             "upload_cancel",   upload_view_end,  upload_view_log },
    { HTTP_POST,   STR_INIT("/v1/uploads/{id}/complete"), upload_complete_steps, VIEW,   0,             "upload_complete", upload_view_end,  upload_view_log },
    { HTTP_GET,    STR_INIT("/v1/quota"),                 quota_steps,           QUOTA,  0,             "quota",           quota_end,        grant_log },
    { HTTP_POST,   STR_INIT("/presign"),                  presign_steps,         GRANT,  ROUTE_DIALECT, "presign",         grant_end,        grant_log },
    { HTTP_POST,   STR_INIT("/upload"),                   upload_steps,          GRANT,  ROUTE_DIALECT, "upload",          grant_end,        grant_log },
    { HTTP_GET,    STR_INIT("/livez"),                    livez_steps,           PLAIN,  ROUTE_PROBE,   "livez",           NULL,             NULL },
    { HTTP_GET,    STR_INIT("/readyz"),                   readyz_steps,          PLAIN,  ROUTE_PROBE,   "readyz",          NULL,             NULL },
    { HTTP_GET,    STR_INIT("/healthz"),                  readyz_steps,          PLAIN,  ROUTE_PROBE,   "healthz",         NULL,             NULL },
    { HTTP_GET,    STR_INIT("/metrics"),                  metrics_steps,         PLAIN,  ROUTE_ADMIN,   "metrics",         NULL,             NULL },
    { HTTP_POST,   STR_INIT("/ledger/adjust"),            ledger_adjust_steps,   ADJUST, ROUTE_ADMIN,   "ledger_adjust",   ledger_admin_end, ledger_admin_log },
    WEB_LIST(PAGE_ROUTE)
};

enum { PAGE_N = 0 WEB_LIST(ONE_MORE) };
/* clang-format on */

const size_t api_routes_n = ARRAY_LEN(api_routes) - PAGE_N;
const size_t api_routes_all_n = ARRAY_LEN(api_routes);

static_assert(ARRAY_LEN(api_routes) < METRIC_ROUTES,
              "each has its counters, and no route the last");
