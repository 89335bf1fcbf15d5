/*
 * xml_read - a walk through a small XML document (expat), for what others answer.
 *
 * Bounded and suspicious: a document type declaration ends it, for entities are how small XML becomes
 * large, and so does nesting over a limit. expat copies what it is given, so its memory is wiped as it
 * is freed.
 */
#ifndef PRESIGND_XML_READ_H
#define PRESIGND_XML_READ_H

#include "presignd/str.h"

enum xml_outcome {
    XML_OUTCOME_READ,
    XML_OUTCOME_BROKEN, /* no XML */
    XML_OUTCOME_DOCTYPE,
    XML_OUTCOME_TOO_DEEP,
    XML_OUTCOME_STOPPED, /* by xml_stop */
    XML_OUTCOME_NO_MEMORY,
};

/* Embed it; who reads is found with container_of. Names are as they stand, with a prefix if any. */
struct xml_reader {
    void (*start)(struct xml_reader *r, struct str name);
    void (*text)(struct xml_reader *r, struct str bytes); /* a piece, of which there may be many */
    void (*end)(struct xml_reader *r);
    int depth;    /* of the element in hand, also in end(); 1 is the root */
    int64_t line; /* where a broken document broke */
    /* below: the walk's own */
    struct XML_ParserStruct *parser;
    int depth_max;
    enum xml_outcome outcome;
};

/* At most INT32_MAX bytes; more are broken. Nothing is called after the end of the walk. */
enum xml_outcome xml_read(struct xml_reader *r, struct str text, int depth_max);

/* From inside start, text or end: nothing more is called. */
void xml_stop(struct xml_reader *r);

#endif
