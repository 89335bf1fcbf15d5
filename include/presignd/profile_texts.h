/*
 * profile_texts - what a profile adds to each packet: fields, tags, metadata (CONFIG.md,
 * profiles.*.fields and .metadata). A part of profile_prepare.
 *
 * The configuration's spelling is AWS's: names as "Creating an HTML Form" prints them for POST; the
 * same in lower case, acl and tagging with x-amz- before them, for PUT ("PutObject"). Tags are XML
 * in a form ("POST Object") and a query in a header.
 */
#ifndef PRESIGND_PROFILE_TEXTS_H
#define PRESIGND_PROFILE_TEXTS_H

#include "presignd/json_read.h"
#include "presignd/post_packet.h"
#include "presignd/template.h"

enum text_form {
    TEXT_PLAIN,      /* the value as it expands */
    TEXT_METADATA,   /* percent-encoded after expanding */
    TEXT_ATTACHMENT, /* Content-Disposition, with the file name where one was sent */
};

struct profile_text { /* a field or a metadatum that is always sent and differs by request */
    struct str name;
    struct template value;
    enum text_form form;
};

/* What the operator adds to each packet: fields of a POST, or headers (lower case) of a PUT. */
struct profile_side {
    const struct post_field *shared; /* the same in every packet */
    size_t n_shared;
    const struct profile_text *varying;
    size_t n_varying;
    size_t metadata_bytes; /* names and values of the shared metadata, prefix counted */
};

/* PROFILE_ADDED_MAX: fields and set metadata together. The bytes are counted with x-amz-meta-. */
enum { PROFILE_ADDED_MAX = 36, PROFILE_METADATA_BYTES_MAX = 2048 };

/*
 * `fields`: an object, or NULL; values are texts, for "tagging" an object of texts. Both sides hold
 * the same texts in the same order, but for success_action_status, which PUT has not. ST_OK;
 * ST_INVALID: *member is the path below the profile ("fields.acl", "metadata.set.Album"), *why a
 * sentence; ST_NO_MEMORY.
 */
MUST_CHECK enum status profile_texts_prepare(json_t *fields, const struct jr_pairs *set,
                                             struct arena *a, struct profile_side *out_post,
                                             struct profile_side *out_put, struct str *member,
                                             struct buf *why);

/* 1 to 64 of a-z, 0-9 and -. */
bool profile_metadata_name_ok(struct str name);

/* "fields" and "acl" make "fields.acl" (in the arena; the parent alone without memory). */
struct str profile_member(struct arena *a, struct str parent, struct str name);

#endif
