/*
 * status - every outcome a function can have, with the HTTP status and the word the client sees.
 *
 * The table is API.md section 1 ("Codes"); a row is added here and nowhere else. Statuses that
 * never reach a client (ST_NOT_FOUND_YET and the like do not exist on purpose) map to 500.
 */
#ifndef PRESIGND_STATUS_H
#define PRESIGND_STATUS_H

#include "presignd/str.h"

/*       name                        http  code                        title                       */
/* clang-format off */
#define STATUS_TABLE(X)                                                                             \
    X(ST_OK,                         200, "ok",                       "OK")                         \
    X(ST_INVALID_REQUEST,            400, "invalid_request",          "Invalid request")            \
    X(ST_MALFORMED_HTTP,             400, "malformed_http",           "Malformed HTTP request")     \
    X(ST_MISSING_TOKEN,              401, "missing_token",            "Missing token")              \
    X(ST_INVALID_TOKEN,              401, "invalid_token",            "Invalid token")              \
    X(ST_INSUFFICIENT_SCOPE,         403, "insufficient_scope",       "Insufficient scope")         \
    X(ST_PROFILE_NOT_ALLOWED,        403, "profile_not_allowed",      "Profile not allowed")        \
    X(ST_ORIGIN_NOT_ALLOWED,         403, "origin_not_allowed",       "Origin not allowed")         \
    X(ST_QUOTA_NEVER,                403, "quota_exceeded",           "Quota exceeded")             \
    X(ST_NOT_FOUND,                  404, "not_found",                "Not found")                  \
    X(ST_METHOD_NOT_ALLOWED,         405, "method_not_allowed",       "Method not allowed")         \
    X(ST_IDEMPOTENCY_CONFLICT,       409, "idempotency_conflict",     "Idempotency conflict")       \
    X(ST_UPLOAD_STATE,               409, "upload_state",             "Upload state conflict")      \
    X(ST_LENGTH_REQUIRED,            411, "length_required",          "Length required")            \
    X(ST_BODY_TOO_LARGE,             413, "body_too_large",           "Body too large")             \
    X(ST_URI_TOO_LONG,               414, "uri_too_long",             "URI too long")               \
    X(ST_UNSUPPORTED_MEDIA_TYPE,     415, "unsupported_media_type",   "Unsupported media type")     \
    X(ST_CONTENT_TYPE_NOT_ALLOWED,   422, "content_type_not_allowed", "Content type not allowed")   \
    X(ST_FILE_TOO_LARGE,             422, "file_too_large",           "File too large")             \
    X(ST_FILE_TOO_SMALL,             422, "file_too_small",           "File too small")             \
    X(ST_EXTENSION_MISMATCH,         422, "extension_mismatch",       "Extension mismatch")         \
    X(ST_FILENAME_INVALID,           422, "filename_invalid",         "Invalid file name")          \
    X(ST_CHECKSUM_REQUIRED,          422, "checksum_required",        "Checksum required")          \
    X(ST_CHECKSUM_INVALID,           422, "checksum_invalid",         "Invalid checksum")           \
    X(ST_METADATA_NOT_ALLOWED,       422, "metadata_not_allowed",     "Metadata not allowed")       \
    X(ST_TOO_MANY_FILES,             422, "too_many_files",           "Too many files")             \
    X(ST_EXPIRY_NOT_ALLOWED,         422, "expiry_not_allowed",       "Expiry not allowed")         \
    X(ST_RATE_LIMITED,               429, "rate_limited",             "Rate limited")               \
    X(ST_QUOTA_EXCEEDED,             429, "quota_exceeded",           "Quota exceeded")             \
    X(ST_HEADERS_TOO_LARGE,          431, "headers_too_large",        "Headers too large")          \
    X(ST_STORAGE_FAILED,             502, "storage_failed",           "Storage failed")             \
    X(ST_CREDENTIALS_UNAVAILABLE,    503, "credentials_unavailable",  "Credentials unavailable")    \
    X(ST_CREDENTIALS_EXPIRING,       503, "credentials_expiring",     "Credentials expiring")       \
    X(ST_KEYS_UNAVAILABLE,           503, "keys_unavailable",         "Keys unavailable")           \
    X(ST_LEDGER_UNAVAILABLE,         503, "ledger_unavailable",       "Ledger unavailable")         \
    X(ST_OVERLOADED,                 503, "overloaded",               "Overloaded")                 \
    /* never shown as they are: a caller below http turns them into one of the above */             \
    X(ST_TOO_LARGE,                  500, "internal_error",           "Internal error")             \
    X(ST_NO_MEMORY,                  500, "internal_error",           "Internal error")             \
    X(ST_INVALID,                    500, "internal_error",           "Internal error")             \
    X(ST_UNREACHABLE,                500, "internal_error",           "Internal error")             \
    X(ST_INTERNAL,                   500, "internal_error",           "Internal error")
/* clang-format on */

enum status {
#define STATUS_ENUM(name, http, code, title) name,
    STATUS_TABLE(STATUS_ENUM)
#undef STATUS_ENUM
        STATUS_COUNT
};

/* The HTTP status code, 200-503. */
int status_http(enum status s);

/* The word in the answer's `code` member, also the label in metrics and the log. */
struct str status_code(enum status s);

/* The answer's `title`. */
struct str status_title(enum status s);

/* The name of the enumerator, for the log and for tests: "ST_OK". */
const char *status_name(enum status s);

#endif
