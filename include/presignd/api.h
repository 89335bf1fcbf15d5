/*
 * api - the route table: every path that presignd answers, with its steps.
 */
#ifndef PRESIGND_API_H
#define PRESIGND_API_H

#include "presignd/worker.h"

/* Those of the page stand last: with it there are api_routes_all_n, without it api_routes_n. */
extern const struct route api_routes[];
extern const size_t api_routes_n, api_routes_all_n;

/* Steps of the route families; each array lives in its family's file. */
extern step_fn *const uploads_steps[];         /* POST /v1/uploads */
extern step_fn *const upload_view_steps[];     /* GET /v1/uploads/{id} */
extern step_fn *const upload_cancel_steps[];   /* DELETE /v1/uploads/{id} */
extern step_fn *const upload_complete_steps[]; /* POST /v1/uploads/{id}/complete */
extern step_fn *const quota_steps[];           /* GET /v1/quota */
extern step_fn *const presign_steps[];         /* POST /presign */
extern step_fn *const upload_steps[];          /* POST /upload */
extern step_fn *const livez_steps[];
extern step_fn *const readyz_steps[];
extern step_fn *const metrics_steps[];
extern step_fn *const ledger_adjust_steps[]; /* POST /ledger/adjust */
extern step_fn *const web_steps[];           /* GET / and the files of the page */

#endif
