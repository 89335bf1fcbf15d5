/*
 * content_type - reads media types strictly and compares them with the operator's patterns.
 *
 * What S3 would take for a list or a variable is refused before anything else: a comma makes
 * S3 judge each element of a list by itself, '$' and '*' mean something in policies and patterns.
 * RFC 9110 section 8.3.1 is the grammar; quoted pairs and empty parameters are left out on purpose.
 */
#include "presignd/content_type.h"

#include <string.h>

static bool token_char(char c)
{
    return ascii_alnum(c) || (c != '\0' && strchr("!#%&'+-.^_`|~", c));
}

static size_t token_at(struct str s, size_t at)
{
    size_t end = at;
    while (end < s.len && token_char(s.ptr[end]))
        end++;
    return end - at;
}

static bool bytes_ok(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (strchr(",$*\\", s.ptr[i]))
            return false;
    }
    return str_printable_ascii(s);
}

/* Length of type/subtype at the front; 0 when it is not there. */
static size_t essence_length(struct str s)
{
    size_t type = token_at(s, 0);
    if (type == 0 || type == s.len || s.ptr[type] != '/')
        return 0;
    size_t subtype = token_at(s, type + 1);
    return subtype > 0 ? type + 1 + subtype : 0;
}

/* Length of a token or a quoted string; 0 when neither is there. */
static size_t value_at(struct str s, size_t at)
{
    if (at == s.len || s.ptr[at] != '"')
        return token_at(s, at);
    size_t close = str_find(s, '"', at + 1);
    return close < s.len ? close + 1 - at : 0;
}

static size_t skip_blanks(struct str s, size_t at)
{
    while (at < s.len && s.ptr[at] == ' ')
        at++;
    return at;
}

/* *( OWS ";" OWS name "=" value ) up to the end. */
static bool parameters_ok(struct str s, size_t at)
{
    while (at < s.len) {
        at = skip_blanks(s, at);
        if (at == s.len || s.ptr[at] != ';')
            return false;
        at = skip_blanks(s, at + 1);
        size_t name = token_at(s, at);
        at += name;
        if (name == 0 || at == s.len || s.ptr[at] != '=')
            return false;
        size_t value = value_at(s, at + 1);
        if (value == 0)
            return false;
        at += 1 + value;
    }
    return true;
}

/* The text itself where it is lower case already, which it nearly always is. */
static enum status lowered(struct str text, struct arena *a, struct str *out)
{
    size_t first = 0;
    while (first < text.len && ascii_lower(text.ptr[first]) == text.ptr[first])
        first++;
    if (first == text.len) {
        *out = text;
        return ST_OK;
    }
    char *copy = arena_alloc(a, text.len);
    if (!copy)
        return ST_NO_MEMORY;
    for (size_t i = 0; i < text.len; i++)
        copy[i] = ascii_lower(text.ptr[i]);
    *out = (struct str){ copy, text.len };
    return ST_OK;
}

enum status content_type_parse(struct str text, struct arena *a, struct content_type *out)
{
    struct str whole = str_trim(text);
    if (whole.len == 0)
        whole = STR("application/octet-stream");
    if (whole.len > CONTENT_TYPE_MAX || !bytes_ok(whole))
        return ST_INVALID_REQUEST;
    size_t n = essence_length(whole);
    if (n == 0 || !parameters_ok(whole, n))
        return ST_INVALID_REQUEST;
    struct str essence;
    TRY(lowered(str_slice(whole, 0, n), a, &essence));
    *out = (struct content_type){ .whole = whole, .essence = essence };
    return ST_OK;
}

/*
 * A browser that opens such an object from the bucket's address runs what is in it. Every XML type
 * counts: a script in the XHTML namespace runs whatever the document calls itself.
 */
static bool runs_in_browser(struct str essence)
{
    /* clang-format off */
    static const struct str active[] = {
        STR_INIT("text/html"),             STR_INIT("text/xml"),
        STR_INIT("text/xsl"),              STR_INIT("application/xml"),
        STR_INIT("application/xml-dtd"),   STR_INIT("multipart/x-mixed-replace"),
    };
    static const struct str script[] = {
        STR_INIT("javascript"), STR_INIT("ecmascript"), STR_INIT("jscript"), STR_INIT("livescript"),
    };
    /* clang-format on */
    for (size_t i = 0; i < ARRAY_LEN(active); i++) {
        if (str_equal(essence, active[i]))
            return true;
    }
    struct str subtype = str_slice(essence, str_find(essence, '/', 0) + 1, essence.len);
    if (str_starts(subtype, STR("x-")))
        subtype = str_slice(subtype, 2, subtype.len);
    for (size_t i = 0; i < ARRAY_LEN(script); i++) {
        if (str_starts(subtype, script[i])) /* also javascript1.5 */
            return true;
    }
    return str_ends(subtype, STR("+xml"));
}

bool content_type_matches(const struct content_type *ct, struct str pattern)
{
    if (!str_ends(pattern, STR("/*")))
        return str_equal(ct->essence, pattern);
    return str_starts(ct->essence, str_slice(pattern, 0, pattern.len - 1)) &&
           !runs_in_browser(ct->essence);
}

bool content_type_pattern_ok(struct str pattern)
{
    for (size_t i = 0; i < pattern.len; i++) {
        if (ascii_lower(pattern.ptr[i]) != pattern.ptr[i])
            return false;
    }
    if (pattern.len > CONTENT_TYPE_MAX)
        return false;
    if (!str_ends(pattern, STR("/*")))
        return pattern.len > 0 && essence_length(pattern) == pattern.len;
    return pattern.len > 2 && token_at(pattern, 0) == pattern.len - 2;
}

/* Sorted by type: looked up by bisection. */
/* clang-format off */
static const struct { struct str type, extension; } extensions[] = {
    { STR_INIT("application/epub+zip"),                STR_INIT("epub") },
    { STR_INIT("application/gzip"),                    STR_INIT("gz") },
    { STR_INIT("application/javascript"),              STR_INIT("js") },
    { STR_INIT("application/json"),                    STR_INIT("json") },
    { STR_INIT("application/msword"),                  STR_INIT("doc") },
    { STR_INIT("application/octet-stream"),            STR_INIT("bin") },
    { STR_INIT("application/ogg"),                     STR_INIT("ogx") },
    { STR_INIT("application/pdf"),                     STR_INIT("pdf") },
    { STR_INIT("application/postscript"),              STR_INIT("ps") },
    { STR_INIT("application/rtf"),                     STR_INIT("rtf") },
    { STR_INIT("application/vnd.ms-excel"),            STR_INIT("xls") },
    { STR_INIT("application/vnd.ms-powerpoint"),       STR_INIT("ppt") },
    { STR_INIT("application/vnd.oasis.opendocument.presentation"), STR_INIT("odp") },
    { STR_INIT("application/vnd.oasis.opendocument.spreadsheet"),  STR_INIT("ods") },
    { STR_INIT("application/vnd.oasis.opendocument.text"),         STR_INIT("odt") },
    { STR_INIT("application/vnd.openxmlformats-officedocument.presentationml.presentation"),
                                                       STR_INIT("pptx") },
    { STR_INIT("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
                                                       STR_INIT("xlsx") },
    { STR_INIT("application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
                                                       STR_INIT("docx") },
    { STR_INIT("application/vnd.rar"),                 STR_INIT("rar") },
    { STR_INIT("application/wasm"),                    STR_INIT("wasm") },
    { STR_INIT("application/x-7z-compressed"),         STR_INIT("7z") },
    { STR_INIT("application/x-bzip2"),                 STR_INIT("bz2") },
    { STR_INIT("application/x-ndjson"),                STR_INIT("ndjson") },
    { STR_INIT("application/x-tar"),                   STR_INIT("tar") },
    { STR_INIT("application/x-xz"),                    STR_INIT("xz") },
    { STR_INIT("application/xhtml+xml"),               STR_INIT("xhtml") },
    { STR_INIT("application/xml"),                     STR_INIT("xml") },
    { STR_INIT("application/yaml"),                    STR_INIT("yaml") },
    { STR_INIT("application/zip"),                     STR_INIT("zip") },
    { STR_INIT("application/zstd"),                    STR_INIT("zst") },
    { STR_INIT("audio/aac"),                           STR_INIT("aac") },
    { STR_INIT("audio/flac"),                          STR_INIT("flac") },
    { STR_INIT("audio/midi"),                          STR_INIT("mid") },
    { STR_INIT("audio/mp4"),                           STR_INIT("m4a") },
    { STR_INIT("audio/mpeg"),                          STR_INIT("mp3") },
    { STR_INIT("audio/ogg"),                           STR_INIT("oga") },
    { STR_INIT("audio/opus"),                          STR_INIT("opus") },
    { STR_INIT("audio/wav"),                           STR_INIT("wav") },
    { STR_INIT("audio/webm"),                          STR_INIT("weba") },
    { STR_INIT("audio/x-wav"),                         STR_INIT("wav") },
    { STR_INIT("font/otf"),                            STR_INIT("otf") },
    { STR_INIT("font/ttf"),                            STR_INIT("ttf") },
    { STR_INIT("font/woff"),                           STR_INIT("woff") },
    { STR_INIT("font/woff2"),                          STR_INIT("woff2") },
    { STR_INIT("image/apng"),                          STR_INIT("apng") },
    { STR_INIT("image/avif"),                          STR_INIT("avif") },
    { STR_INIT("image/bmp"),                           STR_INIT("bmp") },
    { STR_INIT("image/gif"),                           STR_INIT("gif") },
    { STR_INIT("image/heic"),                          STR_INIT("heic") },
    { STR_INIT("image/heif"),                          STR_INIT("heif") },
    { STR_INIT("image/jpeg"),                          STR_INIT("jpg") },
    { STR_INIT("image/jxl"),                           STR_INIT("jxl") },
    { STR_INIT("image/png"),                           STR_INIT("png") },
    { STR_INIT("image/svg+xml"),                       STR_INIT("svg") },
    { STR_INIT("image/tiff"),                          STR_INIT("tiff") },
    { STR_INIT("image/vnd.microsoft.icon"),            STR_INIT("ico") },
    { STR_INIT("image/webp"),                          STR_INIT("webp") },
    { STR_INIT("image/x-icon"),                        STR_INIT("ico") },
    { STR_INIT("message/rfc822"),                      STR_INIT("eml") },
    { STR_INIT("model/gltf+json"),                     STR_INIT("gltf") },
    { STR_INIT("model/gltf-binary"),                   STR_INIT("glb") },
    { STR_INIT("text/calendar"),                       STR_INIT("ics") },
    { STR_INIT("text/css"),                            STR_INIT("css") },
    { STR_INIT("text/csv"),                            STR_INIT("csv") },
    { STR_INIT("text/html"),                           STR_INIT("html") },
    { STR_INIT("text/javascript"),                     STR_INIT("js") },
    { STR_INIT("text/markdown"),                       STR_INIT("md") },
    { STR_INIT("text/plain"),                          STR_INIT("txt") },
    { STR_INIT("text/tab-separated-values"),           STR_INIT("tsv") },
    { STR_INIT("text/vcard"),                          STR_INIT("vcf") },
    { STR_INIT("text/vtt"),                            STR_INIT("vtt") },
    { STR_INIT("text/xml"),                            STR_INIT("xml") },
    { STR_INIT("video/3gpp"),                          STR_INIT("3gp") },
    { STR_INIT("video/mp2t"),                          STR_INIT("ts") },
    { STR_INIT("video/mp4"),                           STR_INIT("mp4") },
    { STR_INIT("video/mpeg"),                          STR_INIT("mpeg") },
    { STR_INIT("video/ogg"),                           STR_INIT("ogv") },
    { STR_INIT("video/quicktime"),                     STR_INIT("mov") },
    { STR_INIT("video/webm"),                          STR_INIT("webm") },
    { STR_INIT("video/x-matroska"),                    STR_INIT("mkv") },
    { STR_INIT("video/x-msvideo"),                     STR_INIT("avi") },
};
/* clang-format on */

struct str content_type_extension(struct str essence)
{
    size_t from = 0, to = ARRAY_LEN(extensions);
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        int order = str_compare(essence, extensions[mid].type);
        if (order == 0)
            return extensions[mid].extension;
        if (order < 0)
            to = mid;
        else
            from = mid + 1;
    }
    return STR("");
}
