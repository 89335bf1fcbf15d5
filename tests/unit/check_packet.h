/*
 * check_packet.h - verifies a packet in an answer as a store would, with OpenSSL alone: the policy's
 * HMAC, or the canonical request of a presigned URL. For credentials of creds_named(): the secret is
 * the access key id. Answers true or false and keeps nothing.
 */
#ifndef PRESIGND_CHECK_PACKET_H
#define PRESIGND_CHECK_PACKET_H

#include "test.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>

enum { CHECK_TEXT_MAX = 32768, CHECK_HEX = 2 * SHA256_DIGEST_LENGTH };

static inline void check_hex(const unsigned char *bytes, char out[CHECK_HEX + 1])
{
    for (int i = 0; i < SHA256_DIGEST_LENGTH; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static inline void check_hmac(unsigned char key[SHA256_DIGEST_LENGTH], size_t key_len,
                              const char *text, unsigned char *out)
{
    unsigned n = 0;
    assert_non_null(
        HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text, strlen(text), out, &n));
}

/* `credential` is AKID/DAY/REGION/s3/aws4_request, as the packet has it. */
static inline bool check_signature(const char *credential, const char *text, const char *signature)
{
    char part[4][64];
    if (sscanf(credential, "%63[^/]/%63[^/]/%63[^/]/%63[^/]/aws4_request", part[0], part[1],
               part[2], part[3]) != 4)
        return false;
    unsigned char key[SHA256_DIGEST_LENGTH];
    char first[72], hex[CHECK_HEX + 1];
    snprintf(first, sizeof(first), "AWS4%s", part[0]);
    check_hmac((unsigned char *)first, strlen(first), part[1], key);
    check_hmac(key, sizeof(key), part[2], key);
    check_hmac(key, sizeof(key), part[3], key);
    check_hmac(key, sizeof(key), "aws4_request", key);
    check_hmac(key, sizeof(key), text, key);
    check_hex(key, hex);
    return strcmp(hex, signature) == 0;
}

static inline const char *check_text(const json_t *doc, const char *name)
{
    const char *text = json_string_value(json_object_get(doc, name));
    return text ? text : "";
}

/* ---- POST --------------------------------------------------------------------------------------- */

/* The policy as JSON, or NULL; the caller drops it. */
static inline json_t *check_policy(const json_t *fields)
{
    const char *base64 = check_text(fields, "policy");
    static unsigned char text[CHECK_TEXT_MAX];
    const size_t len = strlen(base64);
    if (len == 0 || len > sizeof(text))
        return NULL;
    int n = EVP_DecodeBlock(text, (const unsigned char *)base64, (int)len);
    for (size_t i = len; n > 0 && base64[i - 1] == '='; i--)
        n--;
    return n > 0 ? json_loadb((const char *)text, (size_t)n, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

static inline bool check_has_condition(const json_t *conditions, const char *name,
                                       const json_t *value)
{
    size_t i;
    json_t *row;
    json_array_foreach(conditions, i, row)
    {
        if (json_is_object(row) && json_equal(json_object_get(row, name), value))
            return true;
    }
    return false;
}

/* Signed, and every field has its exact condition. */
static inline bool check_post(const json_t *fields)
{
    json_t *policy = check_policy(fields), *value;
    const json_t *conditions = json_object_get(policy, "conditions");
    bool good =
        policy && json_object_get(policy, "expiration") &&
        check_signature(check_text(fields, "x-amz-credential"), check_text(fields, "policy"),
                        check_text(fields, "x-amz-signature"));
    const char *name;
    json_object_foreach((json_t *)(uintptr_t)fields, name, value)
    {
        if (strcmp(name, "policy") != 0 && strcmp(name, "x-amz-signature") != 0)
            good = good && check_has_condition(conditions, name, value);
    }
    json_decref(policy);
    return good;
}

/* ---- PUT ---------------------------------------------------------------------------------------- */

/* The decoded value of a query parameter; "" without it. */
static inline const char *check_param(const char *url, const char *name, char out[512])
{
    const char *at = strstr(url, name);
    size_t n = 0;
    for (at = at ? at + strlen(name) : ""; *at && *at != '&' && n < 511; n++) {
        unsigned byte = 0;
        if (*at == '%' && sscanf(at + 1, "%2x", &byte) == 1) {
            out[n] = (char)byte;
            at += 3;
        } else {
            out[n] = *at++;
        }
    }
    out[n] = '\0';
    return out;
}

/* The canonical headers and their list; false when a signed header is not among `headers`. */
static inline bool check_headers(char *out, size_t room, const char *url, const json_t *headers)
{
    char signed_names[512], host[256], names[512];
    check_param(url, "X-Amz-SignedHeaders=", signed_names);
    if (sscanf(url, "https://%255[^/]", host) != 1)
        return false;
    snprintf(names, sizeof(names), "%s", signed_names);
    size_t at = 0, count = 0;
    for (char *name = names, *end; name; name = end) {
        end = strchr(name, ';');
        if (end)
            *end++ = '\0';
        const bool is_host = strcmp(name, "host") == 0;
        const char *value = is_host ? host : check_text(headers, name);
        if (!*value)
            return false;
        count += !is_host;
        at += (size_t)snprintf(out + at, room - at, "%s:%s\n", name, value);
    }
    snprintf(out + at, room - at, "\n%s\nUNSIGNED-PAYLOAD", signed_names);
    return count == json_object_size(headers);
}

static inline int check_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The parameters before the signature, sorted. */
static inline void check_query(char *out, size_t room, const char *query, size_t len)
{
    char copy[8192], *list[32], *rest = copy;
    size_t n = 0, at = 0;
    snprintf(copy, sizeof(copy), "%.*s", (int)len, query);
    for (char *end; rest && n < ROWS(list); rest = end) {
        end = strchr(rest, '&');
        if (end)
            *end++ = '\0';
        list[n++] = rest;
    }
    qsort(list, n, sizeof(*list), check_compare);
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(out + at, room - at, "%s%s", i ? "&" : "", list[i]);
}

/* A URL that the named headers must go with. */
static inline bool check_put(const char *url, const json_t *headers)
{
    static char request[CHECK_TEXT_MAX];
    char sorted[8192], tail[4096], text[1024], credential[512], date[512], signature[512],
        hex[CHECK_HEX + 1];
    const char *path = strncmp(url, "https://", 8) == 0 ? strchr(url + 8, '/') : NULL;
    const char *query = path ? strchr(path, '?') : NULL;
    const char *end = query ? strstr(query, "&X-Amz-Signature=") : NULL;
    if (!end || !check_headers(tail, sizeof(tail), url, headers))
        return false;
    check_query(sorted, sizeof(sorted), query + 1, (size_t)(end - query - 1));
    snprintf(request, sizeof(request), "PUT\n%.*s\n%s\n%s", (int)(query - path), path, sorted,
             tail);

    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)request, strlen(request), digest);
    check_hex(digest, hex);
    check_param(url, "X-Amz-Credential=", credential);
    check_param(url, "X-Amz-Date=", date);
    const char *scope = strchr(credential, '/');
    snprintf(text, sizeof(text), "AWS4-HMAC-SHA256\n%s\n%s\n%s", date, scope ? scope + 1 : "", hex);
    return check_signature(credential, text, check_param(url, "X-Amz-Signature=", signature));
}

/* What stands in an answer of /v1/uploads, for one file. */
static inline bool check_upload(const json_t *upload)
{
    const char *url = check_text(upload, "url");
    if (strcmp(check_text(upload, "method"), "POST") == 0)
        return strncmp(url, "https://", 8) == 0 && check_post(json_object_get(upload, "fields"));
    return check_put(url, json_object_get(upload, "headers"));
}

#endif
