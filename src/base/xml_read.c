/*
 * xml_read - expat, with bounds.
 */
#include "presignd/xml_read.h"

#include <stdlib.h>
#include <string.h>

#include <expat.h>

/* expat 2.9 has the line as 64 bits everywhere, and deprecates the other. */
#if XML_MAJOR_VERSION * 100 + XML_MINOR_VERSION >= 209
#    define line_of(parser) XML_GetCurrentLineNumber64(parser)
#else
#    define line_of(parser) XML_GetCurrentLineNumber(parser)
#endif

/* ---- memory that wipes itself ------------------------------------------------------------------- */

struct block {
    size_t n;
    max_align_t bytes[];
};

static void *wiping_malloc(size_t n)
{
    if (n > SIZE_MAX / 2)
        return NULL;
    struct block *b = malloc(sizeof(*b) + n);
    if (!b)
        return NULL;
    b->n = n;
    /* cppcheck-suppress memleak ; wiping_free finds the block by its bytes */
    return b->bytes;
}

static void wiping_free(void *p)
{
    if (!p)
        return;
    struct block *b = container_of(p, struct block, bytes);
    explicit_bzero(p, b->n);
    free(b);
}

static void *wiping_realloc(void *p, size_t n)
{
    void *other = wiping_malloc(n);
    if (!other || !p)
        return other;
    const struct block *b = container_of(p, struct block, bytes);
    memcpy(other, p, MIN_OF(n, b->n));
    wiping_free(p);
    return other;
}

static const XML_Memory_Handling_Suite wiping = { wiping_malloc, wiping_realloc, wiping_free };

/* ---- the walk ----------------------------------------------------------------------------------- */

static void stop(struct xml_reader *r, enum xml_outcome outcome)
{
    if (r->outcome == XML_OUTCOME_READ)
        r->outcome = outcome;
    (void)XML_StopParser(r->parser, XML_FALSE);
}

void xml_stop(struct xml_reader *r)
{
    stop(r, XML_OUTCOME_STOPPED);
}

/* expat may still call after it was stopped. */
static bool goes_on(const struct xml_reader *r)
{
    return r->outcome == XML_OUTCOME_READ;
}

static void XMLCALL on_start(void *data, const XML_Char *name, const XML_Char **attributes)
{
    struct xml_reader *r = data;
    (void)attributes;
    if (goes_on(r) && ++r->depth > r->depth_max)
        stop(r, XML_OUTCOME_TOO_DEEP);
    if (goes_on(r))
        r->start(r, str_from(name));
}

static void XMLCALL on_text(void *data, const XML_Char *bytes, int n)
{
    struct xml_reader *r = data;
    if (goes_on(r))
        r->text(r, (struct str){ bytes, (size_t)n });
}

static void XMLCALL on_end(void *data, const XML_Char *name)
{
    struct xml_reader *r = data;
    (void)name;
    if (!goes_on(r))
        return;
    r->end(r);
    r->depth--;
}

static void XMLCALL on_doctype(void *data, const XML_Char *name, const XML_Char *system,
                               const XML_Char *public, int internal)
{
    (void)name, (void)system, (void)public, (void)internal;
    stop(data, XML_OUTCOME_DOCTYPE);
}

static void walk(struct xml_reader *r, struct str text)
{
    XML_SetUserData(r->parser, r);
    XML_SetElementHandler(r->parser, on_start, on_end);
    XML_SetCharacterDataHandler(r->parser, on_text);
    XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
    const char *bytes = text.len ? text.ptr : "";
    if (XML_Parse(r->parser, bytes, (int)text.len, XML_TRUE) == XML_STATUS_OK || !goes_on(r))
        return;
    const bool no_memory = XML_GetErrorCode(r->parser) == XML_ERROR_NO_MEMORY;
    r->outcome = no_memory ? XML_OUTCOME_NO_MEMORY : XML_OUTCOME_BROKEN;
    r->line = (int64_t)line_of(r->parser);
}

enum xml_outcome xml_read(struct xml_reader *r, struct str text, int depth_max)
{
    r->depth = 0;
    r->line = 0;
    r->depth_max = depth_max;
    r->outcome = XML_OUTCOME_READ;
    if (text.len > INT32_MAX)
        return XML_OUTCOME_BROKEN;
    r->parser = XML_ParserCreate_MM("UTF-8", &wiping, NULL);
    if (!r->parser)
        return XML_OUTCOME_NO_MEMORY;
    walk(r, text);
    XML_ParserFree(r->parser);
    r->parser = NULL;
    return r->outcome;
}
