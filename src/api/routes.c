/*
 * routes - every path of presignd. What is not here is 404.
 */
#include "presignd/api.h"
#include "presignd/grant.h"

#define GRANT sizeof(struct grant_call)
#define PLAIN sizeof(struct request)

/* clang-format off */
const struct route api_routes[] = {
    { HTTP_POST, STR_INIT("/v1/uploads"), uploads_steps, GRANT, 0,             "uploads", grant_end, grant_log },
    { HTTP_POST, STR_INIT("/presign"),    presign_steps, GRANT, ROUTE_DIALECT, "presign", grant_end, grant_log },
    { HTTP_POST, STR_INIT("/upload"),     upload_steps,  GRANT, ROUTE_DIALECT, "upload",  grant_end, grant_log },
    { HTTP_GET,  STR_INIT("/livez"),      livez_steps,   PLAIN, ROUTE_PROBE,   "livez",   NULL,      NULL },
    { HTTP_GET,  STR_INIT("/readyz"),     readyz_steps,  PLAIN, ROUTE_PROBE,   "readyz",  NULL,      NULL },
    { HTTP_GET,  STR_INIT("/healthz"),    readyz_steps,  PLAIN, ROUTE_PROBE,   "healthz", NULL,      NULL },
    { HTTP_GET,  STR_INIT("/metrics"),    metrics_steps, PLAIN, ROUTE_ADMIN,   "metrics", NULL,      NULL },
};
/* clang-format on */

const size_t api_routes_n = ARRAY_LEN(api_routes);
