/*
 * encode - text forms of bytes: hex, base64, base64url, percent-encoding.
 *
 * Percent-encoding follows AWS Signature Version 4 ("UriEncode": every byte but A-Z a-z 0-9 - . _ ~
 * as %XX with capital digits; '/' kept in paths only).
 */
#ifndef PRESIGND_ENCODE_H
#define PRESIGND_ENCODE_H

#include "presignd/buf.h"

void encode_hex(struct buf *out, struct str bytes);       /* lower case */
void encode_base64(struct buf *out, struct str bytes);    /* RFC 4648 section 4, padded */
void encode_base64url(struct buf *out, struct str bytes); /* RFC 4648 section 5, unpadded */
void encode_uri(struct buf *out, struct str bytes);       /* query names and values, metadata */
void encode_uri_path(struct buf *out, struct str bytes);  /* '/' stays */

/*
 * Strict decoders: only the alphabet, canonical (spare bits zero, exact padding for base64, none for
 * base64url). ST_INVALID otherwise, with nothing useful in out; out's own failure too.
 */
MUST_CHECK enum status decode_hex(struct buf *out, struct str text);
MUST_CHECK enum status decode_base64(struct buf *out, struct str text);
MUST_CHECK enum status decode_base64url(struct buf *out, struct str text);

#endif
