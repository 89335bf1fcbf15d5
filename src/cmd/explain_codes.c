/*
 * explain_codes - the store's words, and what they mean for an upload with a packet of presignd.
 *
 * The first row that fits is taken, so what is more exact stands first.
 */
#include "presignd/explain.h"

#define ROW(code, message, cause, look, says, todo)                \
    {                                                              \
        STR_INIT(code), STR_INIT(message), cause, says, todo, look \
    }

#define NEW_PACKET                                                                            \
    "Ask presignd for a new packet (with the same Idempotency-Key it has the same key), and " \
    "begin "                                                                                  \
    "the upload within its life. Packets that live longer: the profile's expires_s."
#define AS_PACKET                                                                               \
    "Send every field of the packet unchanged, then the file, and nothing else. With --packet " \
    "and "                                                                                      \
    "--sent this command says which field it is."
#define AGAIN \
    "Send it again after a moment, with growing pauses; the packet stays good until its end."
#define TELL_STORE \
    "Nothing in the packet is at fault: who runs the store must look. Give them the request id."

/* clang-format off */
static const struct explain_code codes[] = {
    /* the policy of a form; AWS, then Ceph */
    ROW("AccessDenied", "policy expired", "packet_ended", explain_end,
        "The packet has ended.", NEW_PACKET),
    ROW("AccessDenied", "request has expired", "packet_ended", explain_end,
        "The presigned URL has ended.", NEW_PACKET),
    ROW("AccessDenied", "policy condition failed", "condition_failed", explain_condition,
        "A field was not sent as the policy wants it.", AS_PACKET),
    ROW("AccessDenied", "variable not met condition", "condition_failed", explain_condition,
        "A field was not sent as the policy wants it.", AS_PACKET),
    ROW("AccessDenied", "variable not found", "missing_field", explain_condition,
        "A field that the policy wants was not sent.", AS_PACKET),
    ROW("AccessDenied", "extra input fields", "extra_field", explain_condition,
        "A field was sent that the policy does not name.", AS_PACKET),
    ROW("AccessDenied", "policy missing condition", "extra_field", explain_condition,
        "A field was sent that the policy does not name.", AS_PACKET),
    ROW("AccessDenied", "according to policy", "condition_failed", explain_condition,
        "The form does not fit its policy.", AS_PACKET),
    ROW("AccessDenied", "headers present in the request which were not signed", "unsigned_header", explain_unsigned,
        "The client sent headers that the packet does not sign.",
        "Send the packet's headers and no other x-amz-* header."),
    /* permissions */
    ROW("AccessDenied", "explicit deny", "not_permitted", NULL,
        "A policy of the bucket, the role or the organisation forbids what the packet's credentials were to do.",
        "Look for a Deny that fits: aws:SecureTransport, s3:signatureAge (milliseconds), required encryption headers, "
        "a VPC endpoint's or an organisation's policy."),
    ROW("AccessDenied", "not authorized to perform", "not_permitted", NULL,
        "The credentials that signed the packet may not put this object.",
        "Give presignd's role s3:PutObject on the prefix of the keys, s3:PutObjectTagging and s3:PutObjectAcl where the "
        "packet sets these, and kms:GenerateDataKey where the bucket's key is one of KMS."),
    ROW("AccessDenied", "", "denied", explain_denied,
        "The store refused and gives no reason. It means one of: the signature does not fit (Ceph says no more than "
        "this), the credentials that signed may not put this object, or a policy of the bucket forbids it.",
        "Check that the form or the headers arrive unchanged (--sent), that presignd's secret key is the one of this "
        "access key id, and that its role has s3:PutObject on the prefix of the keys."),
    ROW("AllAccessDisabled", "", "not_permitted", NULL,
        "The bucket's owner, or the provider, has disabled all access to it.", TELL_STORE),
    ROW("AccountProblem", "", "not_permitted", NULL, "The account of the bucket has a problem.", TELL_STORE),
    ROW("UserSuspended", "", "not_permitted", NULL, "The user whose credentials signed the packet is suspended.", TELL_STORE),
    ROW("AccessControlListNotSupported", "", "acl_not_supported", NULL,
        "The bucket takes no ACLs (its owner owns every object), and the packet sets one.",
        "Take \"acl\" out of the profile's fields."),
    /* size and content */
    ROW("EntityTooLarge", "", "file_too_large", explain_size,
        "The file is larger than the packet, or the store, takes.",
        "Ask for a packet with the true content_length. A single upload has at most 5 GiB."),
    ROW("EntityTooSmall", "", "file_too_small", explain_size,
        "The file is smaller than the packet takes.", "Ask for a packet with the true content_length."),
    ROW("BadDigest", "", "checksum_failed", NULL,
        "The bytes that arrived do not have the checksum that was signed: the file changed, or was damaged on the way.",
        "Compute the checksum over the bytes that are sent, and ask for a new packet with it."),
    ROW("XAmzContentChecksumMismatch", "", "checksum_failed", NULL,
        "The bytes that arrived do not have the checksum that was signed: the file changed, or was damaged on the way.",
        "Compute the checksum over the bytes that are sent, and ask for a new packet with it."),
    ROW("XAmzContentSHA256Mismatch", "", "checksum_failed", NULL,
        "The bytes that arrived do not have the SHA-256 of the header x-amz-content-sha256.",
        "Do not send that header: packets of presignd do not sign the body."),
    ROW("InvalidDigest", "", "checksum_invalid", NULL, "The Content-MD5 is no base64 of 16 bytes.",
        "Send it as the packet has it."),
    ROW("InvalidRequest", "checksum", "checksum_invalid", explain_signature,
        "A checksum field has a value that is none, or two of them do not go together.",
        "Send the checksum fields as the packet has them."),
    ROW("MissingContentLength", "", "length_missing", NULL,
        "The request has no Content-Length (it was sent in chunks).",
        "Send a body whose length is known: a Blob or a file, no stream."),
    ROW("IncompleteBody", "", "cut_off", NULL,
        "Fewer bytes arrived than Content-Length said: the connection broke, or the file shrank.", AGAIN),
    ROW("RequestTimeout", "", "too_slow", NULL,
        "Nothing arrived for too long: the client stalled, or announced more bytes than it sent.", AGAIN),
    /* the form */
    ROW("MalformedPOSTRequest", "", "malformed_form", NULL,
        "The body is no well-formed multipart/form-data.",
        "Let FormData write body and Content-Type (set no Content-Type of your own: the boundary is in it)."),
    ROW("InvalidArgument", "multipart/form-data", "malformed_form", NULL,
        "The request is no form: its Content-Type is not multipart/form-data.",
        "Post the fields and the file as FormData, and set no Content-Type of your own."),
    ROW("PreconditionFailed", "multipart/form-data", "malformed_form", NULL,
        "The request is no form: its Content-Type is not multipart/form-data.",
        "Post the fields and the file as FormData, and set no Content-Type of your own."),
    ROW("InvalidArgument", "key", "missing_field", explain_condition,
        "The form has no field \"key\" before the file.",
        "Append the packet's fields first and the file last: the store ignores what follows the file."),
    ROW("UserKeyMustBeSpecified", "", "missing_field", explain_condition,
        "The form has no field \"key\" before the file.",
        "Append the packet's fields first and the file last: the store ignores what follows the file."),
    ROW("InvalidArgument", "signature", "missing_field", explain_signature,
        "The form has no field \"x-amz-signature\" before the file.",
        "Append the packet's fields first and the file last: the store ignores what follows the file."),
    ROW("InvalidArgument", "bucket post must contain", "missing_field", explain_signature,
        "The form lacks a field before the file.",
        "Append the packet's fields first and the file last: the store ignores what follows the file."),
    ROW("IncorrectNumberOfFilesInPostRequest", "", "malformed_form", NULL,
        "The form has no file, or more than one.",
        "Append exactly one part named \"file\", the last of the form."),
    ROW("MaxPostPreDataLengthExceededError", "", "fields_too_long", NULL,
        "What stands before the file is over 20 KB.", "Shorten metadata and the fields of the profile."),
    ROW("MaxPostPreDataLengthExceeded", "", "fields_too_long", NULL,
        "What stands before the file is over 20 KB.", "Shorten metadata and the fields of the profile."),
    ROW("InvalidPolicyDocument", "", "policy_changed", explain_signature,
        "The store cannot read the policy: it was cut or changed on its way.",
        "Send the field policy byte for byte as the packet has it."),
    ROW("MetadataTooLarge", "", "fields_too_long", NULL, "User metadata is over 2 KB.", "Send less metadata."),
    ROW("KeyTooLongError", "", "key_too_long", NULL, "The key is over 1,024 bytes.",
        "Shorten the profile's key, or the file name in it."),
    ROW("MalformedXML", "", "fields_invalid", NULL, "The tags of the profile are no XML that the store takes.",
        "Look at \"tagging\" in the profile's fields."),
    ROW("InvalidTag", "", "fields_invalid", NULL, "A tag has a name or value that the store does not take.",
        "Look at \"tagging\" in the profile's fields."),
    ROW("InvalidStorageClass", "", "fields_invalid", NULL, "The store has no such storage class.",
        "Look at \"x-amz-storage-class\" in the profile's fields."),
    ROW("MethodNotAllowed", "", "wrong_method", explain_bucket,
        "The request's method is not the packet's: a form goes to its url by POST, a signed URL takes PUT, and a store "
        "without POST (R2, B2) takes signed URLs alone.",
        "Send it by the packet's method; for a store without POST set \"post\": false of the bucket in presignd's "
        "configuration."),
    ROW("NotImplemented", "", "wrong_method", NULL,
        "The store does not know what was asked of it: no forms (R2, B2), a header, or a body in chunks.",
        "For a store without POST set \"post\": false of the bucket in presignd's configuration; send a body whose "
        "length is known."),
    /* who signed */
    ROW("ExpiredToken", "", "credentials_ended", explain_end,
        "The temporary credentials that signed the packet have ended, and the packet with them.",
        "Ask presignd for a new packet. If new packets fail too, look at its credentials: /readyz?verbose."),
    ROW("InvalidToken", "", "token_invalid", explain_signature,
        "The session token is not the one of these credentials, or was changed on its way.",
        "Send x-amz-security-token as the packet has it. From the environment: AWS_SESSION_TOKEN must belong to "
        "AWS_ACCESS_KEY_ID."),
    ROW("TokenRefreshRequired", "", "credentials_ended", explain_end,
        "The temporary credentials that signed the packet must be refreshed.", NEW_PACKET),
    ROW("InvalidAccessKeyId", "", "access_key_unknown", explain_denied,
        "The store does not know the access key id that signed: removed, of another store, or temporary credentials "
        "without their session token (Ceph says the same when the signature of temporary ones does not fit).",
        "Check presignd's credentials and the bucket's endpoint, and that the form or the headers arrive unchanged."),
    ROW("SignatureDoesNotMatch", "", "signature_mismatch", explain_signature,
        "What arrived is not what was signed, or the secret key is not the one of this access key id.",
        "Send url, fields and headers exactly as the packet has them, by its method, and through no proxy that changes "
        "the Host; with --sent this command compares. If nothing differs, presignd's secret key is wrong."),
    ROW("RequestTimeTooSkewed", "", "clock_skew", explain_clock,
        "The clock of presignd's host and that of the store differ by more than 15 minutes.",
        "Set the clock of presignd's host (chrony, systemd-timesyncd)."),
    ROW("AccessDenied", "not valid yet", "clock_skew", explain_clock,
        "The clock of presignd's host is ahead of the store's.",
        "Set the clock of presignd's host (chrony, systemd-timesyncd)."),
    ROW("AuthorizationHeaderMalformed", "", "wrong_region", explain_region,
        "The packet was signed for another region than the bucket's.",
        "Set the bucket's \"region\" in presignd's configuration."),
    ROW("AuthorizationQueryParametersError", "region", "wrong_region", explain_region,
        "The packet was signed for another region than the bucket's.",
        "Set the bucket's \"region\" in presignd's configuration."),
    ROW("AuthorizationQueryParametersError", "", "url_changed", explain_signature,
        "The query of the signed URL is not whole.", "Use the URL byte for byte; add and drop no parameter."),
    ROW("IllegalLocationConstraintException", "", "wrong_region", explain_region,
        "The packet goes to another region than the bucket's.",
        "Set the bucket's \"region\" in presignd's configuration."),
    ROW("PermanentRedirect", "", "wrong_region", explain_region,
        "The bucket is in another region, and is reached by another address.",
        "Set the bucket's \"region\" in presignd's configuration (and \"endpoint\", if one is set)."),
    ROW("TemporaryRedirect", "", "wrong_region", explain_region,
        "The bucket is so new that its name does not lead to its region everywhere.",
        "Set the bucket's \"region\" in presignd's configuration: the regional address needs no redirect."),
    ROW("InvalidRequest", "authorization mechanism", "wrong_region", explain_region,
        "The store takes Signature Version 4 alone, and did not see one.",
        "Send every field of the packet; packets of presignd are Version 4."),
    /* the bucket and the store */
    ROW("NoSuchBucket", "", "no_such_bucket", explain_bucket, "There is no such bucket at this address.",
        "Check \"bucket\", \"region\", \"endpoint\" and \"path_style\" in presignd's configuration."),
    ROW("InvalidBucketName", "", "no_such_bucket", explain_bucket, "The store found no bucket in the address.",
        "Check \"bucket\", \"endpoint\" and \"path_style\" in presignd's configuration."),
    ROW("QuotaExceeded", "", "store_full", NULL, "The store's own quota of the bucket or its user is used up.", TELL_STORE),
    ROW("KMS", "", "encryption_key", NULL, "The key of KMS that encrypts the object cannot be used.",
        "Check that it is enabled, in the bucket's region, and that presignd's role has kms:GenerateDataKey on it."),
    ROW("SlowDown", "", "store_busy", NULL, "The store has too many requests for this prefix at the moment.", AGAIN),
    ROW("ServiceUnavailable", "", "store_busy", NULL, "The store is overloaded.", AGAIN),
    ROW("TooManyRequests", "", "store_busy", NULL, "The store has too many requests at the moment.", AGAIN),
    ROW("Throttling", "", "store_busy", NULL, "The store has too many requests at the moment.", AGAIN),
    ROW("InternalError", "", "store_fault", NULL, "The store failed.", AGAIN),
    ROW("OperationAborted", "", "store_busy", NULL, "Something else changes the bucket or the key just now.", AGAIN),
    ROW("PreconditionFailed", "", "precondition", NULL,
        "A condition of the request's headers (If-Match, If-None-Match) does not hold.",
        "Send the packet's headers alone."),
    ROW("InvalidArgument", "", "argument_invalid", explain_signature, "The store does not take one of the values.",
        AS_PACKET),
    ROW("InvalidRequest", "", "argument_invalid", explain_signature, "The store does not take the request.", AS_PACKET),
    ROW("", "", "unknown", explain_denied, "The store refused with a code that this command does not know.",
        "Read the store's own message, and give its request id to who runs it."),
};
/* clang-format on */

/* Where `part` begins in `s`, letters in any case. */
static bool holds(struct str s, struct str part)
{
    for (size_t i = 0; i + part.len <= s.len; i++)
        if (str_equal_nocase(str_slice(s, i, i + part.len), part))
            return true;
    return false;
}

/* "KMS.DisabledException" is of the family "KMS". */
static bool is_code(struct str told, struct str row)
{
    return row.len == 0 || str_equal(told, row) ||
           (str_starts(told, row) && told.ptr[row.len] == '.');
}

const struct explain_code *explain_code_of(const struct s3_refusal *r)
{
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(codes) &&
           !(is_code(r->code, codes[i].code) && holds(r->message, codes[i].message)))
        i++;
    return &codes[i];
}
