"""Packets against a real S3 (Ceph RADOS Gateway): what a packet allows arrives, nothing else does.

Each refusal is one change to a good packet: the store must refuse it and hold no object, and must
then take the same packet unchanged, so that nothing but the change was the cause.

Not proven here, since this store is laxer than AWS: the region in the scope, checksums in
`x-amz-checksum-*`, and unsigned `x-amz-*` headers on PUT (which AWS refuses).
"""
import base64
import calendar
import hashlib
import json
import os
import time
import zlib
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from botocore.exceptions import ClientError
from service import CREDENTIALS, Service, base_config, wait_until
from store import call, post, put

DATA = bytes(range(256)) * 5 + b"\r\n--the end"
SHA256 = base64.b64encode(hashlib.sha256(DATA).digest()).decode()
MD5 = base64.b64encode(hashlib.md5(DATA).digest()).decode()
OTHER_MD5 = base64.b64encode(hashlib.md5(b"other").digest()).decode()
OTHER_BUCKET = "elsewhere"

RICH = {"bucket": "main", "key": "{user}/{yyyy}/{uuid}/{filename}", "content_types": ["text/plain"],
        "max_bytes": 100000,
        "fields": {"success_action_status": "201", "Cache-Control": "private, max-age=60",
                   "Content-Disposition": "attachment", "acl": "private",
                   "tagging": {"team": "a b", "kind": "upload"}, "x-amz-storage-class": "STANDARD"},
        "metadata": {"allow": ["album", "note"], "set": {"uploaded-by": "{user}"}}}
RICH_ASK = {"profile": "rich", "content_type": "text/plain", "content_length": len(DATA),
            "filename": "Größe ☃.txt",
            "metadata": {"album": "für 5 € & \"mehr\"", "note": "100%"},
            "checksum": {"algorithm": "sha256", "value": SHA256}}
PLAIN = {"content_type": "text/plain", "content_length": len(DATA)}


def store_config(rgw):
    plain = {"bucket": "main", "key": "{user}/{uuid}", "content_types": ["image/*", "text/plain"],
             "max_bytes": 100000}
    return base_config(
        buckets={"main": rgw.bucket_config(), "put-only": rgw.bucket_config() | {"post": False}},
        profiles={"default": plain, "rich": RICH,
                  "range": plain | {"size": "range", "min_bytes": 10, "max_bytes": 1000},
                  "any": plain | {"size": "any", "min_bytes": 0},
                  "empty": plain | {"min_bytes": 0},
                  "summed": plain | {"checksum": "required"},
                  "put-only": plain | {"bucket": "put-only"},
                  "long": plain | {"expires_s": 86400}})


class Bucket:
    """What is in the store, asked with the store's own credentials."""

    def __init__(self, rgw):
        self.s3, self.name = rgw.client(), rgw.bucket

    def has(self, key):
        try:
            self.s3.head_object(Bucket=self.name, Key=key)
        except ClientError as e:
            assert e.response["ResponseMetadata"]["HTTPStatusCode"] == 404
            return False
        return True

    def head(self, key):
        return self.s3.head_object(Bucket=self.name, Key=key)

    def read(self, key):
        return self.s3.get_object(Bucket=self.name, Key=key)["Body"].read()

    def tags(self, key):
        pairs = self.s3.get_object_tagging(Bucket=self.name, Key=key)["TagSet"]
        return {t["Key"]: t["Value"] for t in pairs}

    def remove(self, key):
        self.s3.delete_object(Bucket=self.name, Key=key)


@pytest.fixture(scope="module")
def bucket(rgw):
    return Bucket(rgw)


@pytest.fixture(scope="module", params=["static", "temporary"])
def signer(request, rgw):
    """A service that signs with these credentials."""
    credentials = rgw.credentials if request.param == "static" else rgw.session_credentials()
    with Service(store_config(rgw), credentials=credentials) as s:
        s.temporary = request.param == "temporary"
        yield s


def granted(service, ask, **more):
    answer = service.ask(ask, **more)
    assert answer.status == 201, answer
    return answer.json


@pytest.fixture(scope="module")
def form_packet(signer):
    return granted(signer, RICH_ASK | {"method": "POST"})


@pytest.fixture(scope="module")
def put_packet(signer):
    return granted(signer, RICH_ASK | {"method": "PUT"})


# ---- what is allowed arrives ---------------------------------------------------------------------

@pytest.mark.parametrize("method, send, status", [("POST", post, 201), ("PUT", put, 200)])
def test_everything_of_a_packet_arrives(signer, bucket, method, send, status):
    packet = granted(signer, RICH_ASK | {"method": method})
    assert packet["key"].endswith("/Größe ☃.txt") and packet["bucket"] == bucket.name
    reply = send(packet, DATA)
    assert reply.status == status, reply

    assert bucket.read(packet["key"]) == DATA
    head = bucket.head(packet["key"])
    assert head["ContentType"] == "text/plain" and head["ContentLength"] == len(DATA)
    assert head["ETag"] == f'"{hashlib.md5(DATA).hexdigest()}"'
    assert {k: unquote(v) for k, v in head["Metadata"].items()} == (
        RICH_ASK["metadata"] | {"uploaded-by": "alice"})
    assert bucket.tags(packet["key"]) == RICH["fields"]["tagging"]
    if method == "PUT":  # of a form the store checks these, but does not keep them
        assert head["CacheControl"] == "private, max-age=60"
        assert unquote(head["ContentDisposition"]).endswith("filename*=UTF-8''Größe ☃.txt")


def test_the_credentials_are_those_of_the_signer(signer, form_packet, put_packet):
    assert ("x-amz-security-token" in form_packet["fields"]) == signer.temporary
    query = parse_qs(urlsplit(put_packet["url"]).query)
    assert ("X-Amz-Security-Token" in query) == signer.temporary


@pytest.mark.parametrize("name", ["photo.png", "Ein Bild.png", "日本語.txt", "a+b&c=d;e,f.txt",
                                  "'(1)*!~.txt", "q?uery#frag%20.txt", "emoji 😀.txt",
                                  "ÅÄÖ.txt", "\"quoted\".txt", "a" * 251 + ".txt"])
@pytest.mark.parametrize("send", [post, put])
def test_file_names(signer, bucket, send, name):
    packet = granted(signer, RICH_ASK | {"filename": name, "method": send.__name__.upper()})
    assert packet["key"].endswith("/" + name)
    assert send(packet, DATA).status == (201 if send is post else 200)
    assert bucket.read(packet["key"]) == DATA


@pytest.mark.parametrize("size", [0, 1, 65536])
@pytest.mark.parametrize("send", [post, put])
def test_sizes(signer, bucket, send, size):
    data = os.urandom(size)
    packet = granted(signer, {"profile": "empty", "content_type": "image/png",
                              "content_length": size, "method": send.__name__.upper()})
    assert send(packet, data).status in (200, 204)
    assert bucket.read(packet["key"]) == data


def test_a_batch(signer, bucket):
    files = [PLAIN | {"content_length": n} for n in (1, 20, 300)]
    answer = signer.ask({"files": files})
    assert answer.status == 201, answer
    packets = answer.json["uploads"]
    assert len({p["key"] for p in packets}) == 3
    for packet, n in zip(packets, (1, 20, 300)):
        assert post(packet, DATA[:n + 1]).verdict == (400, "EntityTooLarge")
        assert post(packet, DATA[:n]).status == 204
        assert bucket.read(packet["key"]) == DATA[:n]


def test_a_bucket_without_post(signer, bucket):
    packet = granted(signer, PLAIN | {"profile": "put-only"})
    assert packet["method"] == "PUT" and "fields" not in packet
    assert put(packet, DATA).status == 200
    assert bucket.read(packet["key"]) == DATA


def test_virtual_host_style(rgw, bucket):
    port = urlsplit(rgw.endpoint).port
    config = store_config(rgw)
    config["buckets"]["main"] |= {"endpoint": f"http://s3.localhost:{port}", "path_style": False}
    with Service(config, credentials=rgw.credentials) as s:
        for send in (post, put):
            packet = granted(s, PLAIN | {"method": send.__name__.upper()})
            assert urlsplit(packet["url"]).netloc == f"{bucket.name}.s3.localhost:{port}"
            assert send(packet, DATA).status in (200, 204)
            assert bucket.read(packet["key"]) == DATA


def test_the_public_endpoint_is_the_one_signed(rgw, bucket):
    config = store_config(rgw)
    config["buckets"]["main"] |= {"endpoint": "http://store.invalid:9",
                                  "public_endpoint": rgw.endpoint}
    with Service(config, credentials=rgw.credentials) as s:
        for send in (post, put):
            packet = granted(s, PLAIN | {"method": send.__name__.upper()})
            assert packet["url"].startswith(rgw.endpoint + "/")
            assert send(packet, DATA).status in (200, 204)
            assert bucket.read(packet["key"]) == DATA


# ---- POST: every change is refused ---------------------------------------------------------------

# Every field of the packet above, and a value it must not have.
FORM_FIELDS = {
    "key": "alice/other", "success_action_status": "200", "Cache-Control": "public",
    "acl": "public-read",
    "tagging": "<Tagging><TagSet><Tag><Key>team</Key><Value>other</Value></Tag></TagSet></Tagging>",
    "x-amz-storage-class": "", "x-amz-algorithm": "AWS4-HMAC-SHA1",
    "x-amz-credential": "DEMOACCESSKEY0000001/20260101/us-east-1/s3/aws4_request",
    "x-amz-date": "20260101T000000Z", "Content-Type": "text/html",
    "x-amz-checksum-algorithm": "CRC32",
    "x-amz-checksum-sha256": base64.b64encode(bytes(32)).decode(), "Content-Disposition": "inline",
    "x-amz-meta-uploaded-by": "bob", "x-amz-meta-album": "43", "x-amz-meta-note": "",
    "policy": base64.b64encode(b'{"expiration":"2099-01-01T00:00:00Z","conditions":[]}').decode(),
    "x-amz-signature": "0" * 64}
# What the store says where it is not 403 AccessDenied: it misses what the signature itself needs.
FORM_VERDICTS = {("key", None): (400, "InvalidArgument"),
                 ("x-amz-signature", None): (400, "InvalidArgument"),
                 ("x-amz-algorithm", None): (400, "InvalidArgument"),
                 ("x-amz-credential", None): (400, "InvalidArgument"),
                 ("x-amz-date", None): (400, "InvalidArgument"),
                 ("x-amz-algorithm", "AWS4-HMAC-SHA1"): (400, "InvalidArgument")}
ADDED_FIELDS = {
    "x-amz-meta-foo": "1", "x-amz-meta-uploaded": "1",
    "success_action_redirect": "http://evil.test/", "redirect": "http://evil.test/",
    "Content-Encoding": "gzip", "Expires": "0", "Content-MD5": MD5,
    "x-amz-server-side-encryption": "AES256",
    "x-amz-website-redirect-location": "http://evil.test/",
    "x-amz-grant-read": 'uri="http://acs.amazonaws.com/groups/global/AllUsers"', "foo": "1"}


def refused(bucket, packet, reply, verdict, send, accepted):
    assert reply.verdict == verdict, reply
    assert not bucket.has(packet["key"])
    assert send(packet, DATA).status == accepted
    assert bucket.read(packet["key"]) == DATA
    bucket.remove(packet["key"])


def form_refused(bucket, packet, reply, verdict=(403, "AccessDenied")):
    refused(bucket, packet, reply, verdict, post, 201)


def test_the_table_names_every_field(signer, form_packet):
    assert set(form_packet["fields"]) - {"x-amz-security-token"} == set(FORM_FIELDS)


@pytest.mark.parametrize("data, verdict", [
    pytest.param(DATA + b"x", (400, "EntityTooLarge"), id="one byte too many"),
    pytest.param(DATA[:-1], (400, "EntityTooSmall"), id="one byte too few"),
    pytest.param(b"", (400, "EntityTooSmall"), id="no bytes"),
    pytest.param(DATA * 70, (400, "EntityTooLarge"), id="70 times")])
def test_form_with_another_size(bucket, form_packet, data, verdict):
    form_refused(bucket, form_packet, post(form_packet, data), verdict)


@pytest.mark.parametrize("name", FORM_FIELDS)
@pytest.mark.parametrize("how", ["without", "another"])
def test_form_with_a_field_changed(bucket, form_packet, name, how):
    value = FORM_FIELDS[name] if how == "another" else None
    verdict = FORM_VERDICTS.get((name, value), (403, "AccessDenied"))
    form_refused(bucket, form_packet, post(form_packet, DATA, {name: value}), verdict)
    if name == "key":
        assert not bucket.has("alice/other")


@pytest.mark.parametrize("name, value", [
    ("key", "${filename}"), ("key", "../other"), ("Content-Type", "text/plain,text/html"),
    ("Content-Type", "text/plain; charset=utf-8"), ("Content-Type", ""),
    ("success_action_status", "204"), ("x-amz-meta-album", "f%C3%BCr"),
    ("Content-Disposition", "attachment")])
def test_form_with_a_near_miss(bucket, form_packet, name, value):
    form_refused(bucket, form_packet, post(form_packet, DATA, {name: value}))


@pytest.mark.parametrize("name", ADDED_FIELDS)
def test_form_with_a_field_added(bucket, form_packet, name):
    form_refused(bucket, form_packet, post(form_packet, DATA, {name: ADDED_FIELDS[name]}))


@pytest.mark.parametrize("value, verdict", [(None, (403, "AccessDenied")),
                                            ("another", (403, "AccessDenied")),
                                            ("", (400, "InvalidArgument"))])
def test_form_with_another_session(signer, bucket, form_packet, value, verdict):
    if not signer.temporary:
        value, verdict = "added", (403, "AccessDenied")
    reply = post(form_packet, DATA, {"x-amz-security-token": value})
    form_refused(bucket, form_packet, reply, verdict)


def rewritten(packet, change):
    """The policy with one condition changed, under the signature it had."""
    policy = json.loads(base64.b64decode(packet["fields"]["policy"]))
    change(policy)
    return {"policy": base64.b64encode(json.dumps(policy).encode()).decode()}


def allow_more(policy):
    for c in policy["conditions"]:
        if isinstance(c, list) and c[0] == "content-length-range":
            c[2] += 1000


@pytest.mark.parametrize("change", [
    pytest.param(allow_more, id="a larger size"),
    pytest.param(lambda p: p.update(expiration="2099-01-01T00:00:00Z"), id="a later end"),
    pytest.param(lambda p: p["conditions"].append(["starts-with", "$foo", ""]), id="one more"),
    pytest.param(lambda p: p["conditions"].pop(0), id="one less"),
    pytest.param(lambda p: None, id="other blanks")])
def test_form_with_another_policy(bucket, form_packet, change):
    form_refused(bucket, form_packet, post(form_packet, DATA, rewritten(form_packet, change)))


@pytest.mark.parametrize("at", [0, 31, 63])
def test_form_with_one_digit_of_the_signature_changed(bucket, form_packet, at):
    signature = form_packet["fields"]["x-amz-signature"]
    other = signature[:at] + ("0" if signature[at] != "0" else "1") + signature[at + 1:]
    form_refused(bucket, form_packet, post(form_packet, DATA, {"x-amz-signature": other}))


def test_form_to_another_bucket(bucket, form_packet):
    bucket.s3.create_bucket(Bucket=OTHER_BUCKET)
    url = form_packet["url"].replace(f"/{bucket.name}/", f"/{OTHER_BUCKET}/")
    reply = post(form_packet, DATA, url=url)
    form_refused(bucket, form_packet, reply)
    assert "Contents" not in bucket.s3.list_objects_v2(Bucket=OTHER_BUCKET)


def test_fields_of_two_packets_do_not_mix(signer, bucket, form_packet):
    larger_ask = RICH_ASK | {"method": "POST", "content_length": len(DATA) + 1}
    larger = granted(signer, larger_ask)["fields"]
    mixed = {name: larger[name] for name in ("policy", "x-amz-signature")}
    form_refused(bucket, form_packet, post(form_packet, DATA + b"x", mixed))


# ---- PUT: every change is refused ----------------------------------------------------------------

PUT_HEADERS = {
    "cache-control": "public", "x-amz-acl": "public-read", "x-amz-tagging": "team=other",
    "x-amz-storage-class": "STANDARD_IA", "content-type": "text/html",
    "content-disposition": "inline",
    "x-amz-checksum-sha256": base64.b64encode(bytes(32)).decode(), "x-amz-meta-uploaded-by": "bob",
    "x-amz-meta-album": "43", "x-amz-meta-note": ""}


def mismatch(signer):
    """How this store says that a query's signature does not fit."""
    return 403, "InvalidAccessKeyId" if signer.temporary else "SignatureDoesNotMatch"


def put_refused(signer, bucket, packet, reply):
    refused(bucket, packet, reply, mismatch(signer), put, 200)


def test_every_put_header_is_signed(signer, put_packet):
    query = parse_qs(urlsplit(put_packet["url"]).query)
    signed = query["X-Amz-SignedHeaders"][0].split(";")
    assert signed == sorted(signed) and set(signed) == set(put_packet["headers"]) | {"host"}
    assert set(put_packet["headers"]) - {"content-length"} == set(PUT_HEADERS)


@pytest.mark.parametrize("data", [pytest.param(DATA + b"x", id="one byte too many"),
                                  pytest.param(DATA[:-1], id="one byte too few"),
                                  pytest.param(b"", id="no bytes")])
def test_put_with_another_size(signer, bucket, put_packet, data):
    put_refused(signer, bucket, put_packet, put(put_packet, data))


def test_put_without_a_length(signer, bucket, put_packet):
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(DATA), DATA)
    put_refused(signer, bucket, put_packet,
                put(put_packet, chunks, {"content-length": None, "transfer-encoding": "chunked"}))


@pytest.mark.parametrize("name", PUT_HEADERS)
@pytest.mark.parametrize("how", ["without", "another"])
def test_put_with_a_header_changed(signer, bucket, put_packet, name, how):
    value = PUT_HEADERS[name] if how == "another" else None
    put_refused(signer, bucket, put_packet, put(put_packet, DATA, {name: value}))


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
def test_put_packet_with_another_method(signer, bucket, put_packet, method):
    put_refused(signer, bucket, put_packet, put(put_packet, DATA, method=method))


def bent(text, old, replacement):
    assert old in text
    return text.replace(old, replacement, 1)


@pytest.mark.parametrize("old, replacement", [
    ("/alice/", "/bob/"), (".txt?", ".txt.exe?"), ("/packets/", f"/{OTHER_BUCKET}/"),
    ("X-Amz-Expires=900", "X-Amz-Expires=86400"), ("X-Amz-Signature=", "X-Amz-Signature=0"),
    ("content-type%3B", ""), ("content-length%3B", ""), ("us-east-1", "eu-west-1"),
    ("?X-Amz", "?acl&X-Amz"), ("?X-Amz", "?partNumber=1&uploadId=x&X-Amz")],
    ids=["user", "name", "bucket", "life", "signature", "unsigned type", "unsigned length",
         "region", "query", "part"])
def test_put_to_another_url(signer, bucket, put_packet, old, replacement):
    assert f"/{bucket.name}/" == "/packets/"
    put_refused(signer, bucket, put_packet,
                put(put_packet, DATA, url=bent(put_packet["url"], old, replacement)))


def test_put_with_another_host(signer, bucket, put_packet):
    host = f"localhost:{urlsplit(put_packet['url']).port}"
    put_refused(signer, bucket, put_packet, put(put_packet, DATA, host=host))


def test_put_with_another_session(signer, bucket, put_packet):
    name = "X-Amz-Security-Token="
    if signer.temporary:
        url = bent(put_packet["url"], name, name + "A")
    else:
        url = put_packet["url"] + f"&{name}A"
    reply = put(put_packet, DATA, url=url)
    assert reply.status in (400, 403), reply
    refused(bucket, put_packet, reply, reply.verdict, put, 200)


# ---- sizes in a range, and none ------------------------------------------------------------------

@pytest.mark.parametrize("size, verdict", [(9, (400, "EntityTooSmall")), (10, None), (500, None),
                                           (1000, None), (1001, (400, "EntityTooLarge"))])
def test_range_without_a_size(signer, bucket, size, verdict):
    packet = granted(signer, {"profile": "range", "content_type": "text/plain"})
    assert packet["metadata"]["content_length"] is None
    reply = post(packet, DATA[:size])
    if verdict:
        assert reply.verdict == verdict and not bucket.has(packet["key"])
    else:
        assert reply.status == 204 and bucket.read(packet["key"]) == DATA[:size]


@pytest.mark.parametrize("size", [499, 501])
def test_range_with_a_size_is_exact(signer, bucket, size):
    packet = granted(signer, {"profile": "range", "content_type": "text/plain",
                              "content_length": 500})
    assert post(packet, DATA[:size]).status == 400 and not bucket.has(packet["key"])
    assert post(packet, DATA[:500]).status == 204


@pytest.mark.parametrize("size", [0, 1, 1290])
def test_any_size_by_put(signer, bucket, size):
    packet = granted(signer, {"profile": "any", "content_type": "text/plain", "method": "PUT"})
    assert "content-length" not in packet["headers"]
    assert put(packet, DATA[:size]).status == 200
    assert bucket.read(packet["key"]) == DATA[:size]
    bucket.remove(packet["key"])
    assert put(packet, DATA, {"content-type": "image/png"}).verdict == mismatch(signer)
    assert not bucket.has(packet["key"])


# ---- checksums -----------------------------------------------------------------------------------

def test_put_with_bytes_of_another_sum(signer, bucket):
    """Content-MD5 is the sum this store verifies."""
    ask = PLAIN | {"profile": "summed", "method": "PUT",
                   "checksum": {"algorithm": "md5", "value": MD5}}
    packet = granted(signer, ask)
    assert packet["headers"]["content-md5"] == MD5
    assert put(packet, b"X" + DATA[1:]).verdict == (400, "BadDigest")
    assert not bucket.has(packet["key"])
    assert put(packet, b"X" + DATA[1:], {"content-md5": OTHER_MD5}).verdict == mismatch(signer)
    assert put(packet, DATA, {"content-md5": None}).verdict == mismatch(signer)
    assert not bucket.has(packet["key"])
    assert put(packet, DATA).status == 200
    assert bucket.read(packet["key"]) == DATA


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return (crc ^ 0xffffffff).to_bytes(4, "big")


@pytest.mark.parametrize("algorithm, name, digest", [
    ("md5", "Content-MD5", hashlib.md5(DATA).digest()),
    ("sha1", "x-amz-checksum-sha1", hashlib.sha1(DATA).digest()),
    ("sha256", "x-amz-checksum-sha256", hashlib.sha256(DATA).digest()),
    ("crc32", "x-amz-checksum-crc32", zlib.crc32(DATA).to_bytes(4, "big")),
    ("crc32c", "x-amz-checksum-crc32c", crc32c(DATA))],
    ids=["md5", "sha1", "sha256", "crc32", "crc32c"])
def test_form_pins_the_sum(signer, bucket, algorithm, name, digest):
    checksum = {"algorithm": algorithm, "value": base64.b64encode(digest).decode()}
    packet = granted(signer, PLAIN | {"profile": "summed", "checksum": checksum})
    other = base64.b64encode(bytes(len(digest))).decode()
    for change in ({name: None}, {name: other}):
        assert post(packet, DATA, change).verdict == (403, "AccessDenied")
        assert not bucket.has(packet["key"])
    assert post(packet, DATA).status == 204
    assert bucket.read(packet["key"]) == DATA


def test_a_packet_without_its_sum_is_not_given(signer):
    answer = signer.ask(PLAIN | {"profile": "summed"})
    assert (answer.status, answer.code) == (422, "checksum_required")


# ---- time ----------------------------------------------------------------------------------------

TIME = "%Y-%m-%dT%H:%M:%SZ"


def seconds(text):
    return calendar.timegm(time.strptime(text, TIME))


def ends(bucket, packet):
    """Uploads until the store refuses; the packet's end must have come, and nothing may be left."""
    send = put if packet["method"] == "PUT" else post

    def over():
        reply = send(packet, DATA)
        if reply.status < 300:
            bucket.remove(packet["key"])
            return None
        return reply
    reply = wait_until(over, limit_s=10, every_s=0.1)
    assert reply.verdict == (403, "AccessDenied"), reply
    assert time.time() >= seconds(packet["expires_at"])
    assert not bucket.has(packet["key"])


def test_an_old_packet(signer, bucket):
    packets = [granted(signer, PLAIN | {"expires_in": 1, "method": m}) for m in ("POST", "PUT")]
    for packet in packets:
        assert packet["expires_in"] == 1 and packet["expires_limited_by"] == "request"
        ends(bucket, packet)


@pytest.mark.parametrize("send", [post, put])
def test_a_packet_lives_no_longer_than_its_credentials(rgw, bucket, send):
    credentials = rgw.session_credentials(900)
    end = seconds(credentials["AWS_CREDENTIAL_EXPIRATION"])
    with Service(store_config(rgw), credentials=credentials) as s:
        packet = granted(s, PLAIN | {"profile": "long", "method": send.__name__.upper()})
        assert packet["expires_limited_by"] == "credentials"
        assert seconds(packet["expires_at"]) == end - 60
        assert send(packet, DATA).status in (200, 204)
        assert bucket.read(packet["key"]) == DATA


def test_the_end_of_the_credentials_is_in_the_packet(rgw, bucket):
    """Credentials that end in about 63 s allow packets of about 3 s: the store enforces that."""
    credentials = rgw.session_credentials()
    credentials["AWS_CREDENTIAL_EXPIRATION"] = time.strftime(TIME, time.gmtime(time.time() + 63))
    config = store_config(rgw)
    config["credentials"]["min_ttl_s"] = 1
    with Service(config, credentials=credentials) as s:
        packets = [granted(s, PLAIN | {"method": m}) for m in ("POST", "PUT")]
        for packet in packets:
            assert packet["expires_limited_by"] == "credentials" and packet["expires_in"] <= 3
            ends(bucket, packet)


def test_wrong_credentials_are_the_stores_to_refuse(rgw, bucket):
    with Service(store_config(rgw), credentials=CREDENTIALS) as s:
        packet = granted(s, PLAIN | {"method": "POST"})
        assert post(packet, DATA).status == 403 and not bucket.has(packet["key"])
        packet = granted(s, PLAIN | {"method": "PUT"})
        assert put(packet, DATA).status == 403 and not bucket.has(packet["key"])


def test_only_the_put_itself_is_signed(signer, bucket, put_packet):
    """With the object there, its packet cannot read or remove it."""
    assert put(put_packet, DATA).status == 200
    for method in ("GET", "HEAD", "DELETE"):
        assert put(put_packet, DATA, method=method).status == 403
        assert call(method, put_packet["url"]).status == 403
    assert bucket.read(put_packet["key"]) == DATA
    bucket.remove(put_packet["key"])


# ---- the two published patterns ------------------------------------------------------------------

def test_presign_as_a_form(signer, bucket):
    answer = signer.ask({"content_type": "text/plain", "size": len(DATA), "name": "a.txt"},
                        "/presign")
    assert answer.status == 200, answer
    packet = answer.json["presigned_post"]
    key = answer.json["metadata"]["path"]
    assert post(packet, DATA + b"x").verdict == (400, "EntityTooLarge") and not bucket.has(key)
    assert post(packet, DATA).status == 204
    assert bucket.read(key) == DATA


def test_presign_as_a_url(signer, bucket):
    answer = signer.ask({"fileName": "a.txt", "contentType": "text/plain",
                         "fileSize": len(DATA)}, "/presign")
    assert answer.status == 200, answer
    packet = {"url": answer.json["uploadUrl"], "headers": answer.json["headers"]}
    assert put(packet, DATA + b"x").verdict == mismatch(signer)
    assert not bucket.has(answer.json["key"])
    assert put(packet, DATA).status == 200
    assert bucket.read(answer.json["key"]) == DATA


def test_upload_with_its_md5(signer, bucket):
    answer = signer.ask({"filename": "a.txt", "filesize": len(DATA), "filetype": "text/plain",
                         "filemd5": hashlib.md5(DATA).hexdigest()}, "/upload")
    assert answer.status == 200, answer
    packet = {"url": answer.json["presignedUrl"], "headers": answer.json["headers"]}
    assert put(packet, b"X" + DATA[1:]).verdict == (400, "BadDigest")
    assert not bucket.has(answer.json["key"])
    assert put(packet, DATA).status == 200
    assert bucket.read(answer.json["key"]) == DATA
