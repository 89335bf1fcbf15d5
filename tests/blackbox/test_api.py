"""Uploads (API version 1, sections 2 and 3): what is asked, judged and handed out."""
import base64
import datetime
import json
import time
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
import tokens
from contract import (FILE, FILES, MD5, SHA256, UUID, check_form, check_problem, config, profile,
                      rows, seconds)
from service import CREDENTIALS, Service, base_config


@pytest.fixture(scope="module")
def api():
    with Service(config(), files=FILES) as s:
        yield s


# ---- refusals ------------------------------------------------------------------------------------

# What is changed in a good request, and the refusal.
REFUSED = {
    "no type": ({"content_type": None}, 400, "invalid_request", {"member": "content_type"}),
    "type, a number": ({"content_type": 1}, 400, "invalid_request", {"member": "content_type"}),
    "type, no slash": ({"content_type": "image"}, 400, "invalid_request",
                       {"member": "content_type"}),
    "type, a comma": ({"content_type": "image/png,image/gif"}, 400, "invalid_request",
                      {"member": "content_type"}),
    "type, a star": ({"content_type": "image/*"}, 400, "invalid_request",
                     {"member": "content_type"}),
    "type, a dollar": ({"content_type": "image/$x"}, 400, "invalid_request",
                       {"member": "content_type"}),
    "type, a control": ({"content_type": "image/png\n"}, 400, "invalid_request",
                        {"member": "content_type"}),
    "type, not ASCII": ({"content_type": "image/pñg"}, 400, "invalid_request",
                        {"member": "content_type"}),
    "type, 256 bytes": ({"content_type": "image/" + "x" * 250}, 400, "invalid_request",
                        {"member": "content_type"}),
    "no length": ({"content_length": None}, 400, "invalid_request", {"member": "content_length"}),
    "negative": ({"content_length": -1}, 400, "invalid_request", {"member": "content_length"}),
    "length, a text": ({"content_length": "1"}, 400, "invalid_request",
                       {"member": "content_length"}),
    "length, true": ({"content_length": True}, 400, "invalid_request",
                     {"member": "content_length"}),
    "unknown": ({"size": 1}, 400, "invalid_request", {"member": "size"}),
    "filename, a list": ({"filename": ["a"]}, 400, "invalid_request", {"member": "filename"}),
    "checksum, a text": ({"checksum": MD5}, 400, "invalid_request", {"member": "checksum"}),
    "checksum, unknown": ({"checksum": {"algorithm": "sha512", "value": SHA256}}, 400,
                          "invalid_request", {"member": "checksum.algorithm"}),
    "checksum, no value": ({"checksum": {"algorithm": "md5"}}, 400, "invalid_request",
                           {"member": "checksum.value"}),
    "metadata, a number": ({"profile": "meta", "metadata": {"album": 1}}, 400, "invalid_request",
                           {"member": "metadata.album"}),
    "method": ({"method": "GET"}, 400, "invalid_request", {"member": "method"}),
    "method, small": ({"method": "post"}, 400, "invalid_request", {"member": "method"}),
    "expires_in, a text": ({"expires_in": "60"}, 400, "invalid_request",
                           {"member": "expires_in"}),
    "PUT without size": ({"profile": "range", "content_length": None, "method": "PUT"}, 400,
                         "invalid_request", {"member": "content_length"}),
    "any, POST without size": ({"profile": "any", "content_length": None, "method": "POST"}, 400,
                               "invalid_request", {"member": "content_length"}),

    "profile, unknown": ({"profile": "nope"}, 403, "profile_not_allowed", {}),
    "profile of another plan": ({"profile": "gold"}, 403, "profile_not_allowed", {}),
    "profile of another role": ({"profile": "editors"}, 403, "profile_not_allowed", {}),
    "a word without value": ({"profile": "tenants"}, 403, "profile_not_allowed", {}),
    "POST where there is none": ({"profile": "putonly", "method": "POST"}, 403,
                                 "profile_not_allowed", {}),

    "type": ({"content_type": "video/mp4"}, 422, "content_type_not_allowed",
             {"allowed": ["image/*", "text/plain"]}),
    "type that runs": ({"content_type": "image/svg+xml"}, 422, "content_type_not_allowed", {}),
    "too large": ({"content_length": 1048577}, 422, "file_too_large", {"max_bytes": 1048576}),
    "too small": ({"content_length": 0}, 422, "file_too_small", {"min_bytes": 1}),
    "extension": ({"profile": "ext", "filename": "a.gif"}, 422, "extension_mismatch", {}),
    "no extension": ({"profile": "ext", "filename": "a"}, 422, "extension_mismatch", {}),
    "file name, nothing left": ({"filename": "..."}, 422, "filename_invalid", {}),
    "file name, a folder": ({"filename": "a/"}, 422, "filename_invalid", {}),
    "checksum wanted": ({"profile": "sums"}, 422, "checksum_required", {}),
    "checksum not taken": ({"profile": "nosums", "checksum": {"algorithm": "md5", "value": MD5}},
                           422, "checksum_invalid", {}),
    "checksum of another": ({"checksum": {"algorithm": "sha256", "value": MD5}}, 422,
                            "checksum_invalid", {}),
    "checksum, no base64": ({"checksum": {"algorithm": "md5", "value": "x" * 24}}, 422,
                            "checksum_invalid", {}),
    "metadata": ({"metadata": {"album": "1"}}, 422, "metadata_not_allowed", {}),
    "metadata, set": ({"profile": "meta", "metadata": {"by": "me"}}, 422, "metadata_not_allowed",
                      {}),
    "metadata, long": ({"profile": "meta", "metadata": {"album": "x" * 2048}}, 422,
                       "metadata_not_allowed", {}),
    "expires_in 0": ({"expires_in": 0}, 422, "expiry_not_allowed", {}),
    "expires_in, negative": ({"expires_in": -5}, 422, "expiry_not_allowed", {}),
    "expires_in over a week": ({"expires_in": 604801}, 422, "expiry_not_allowed", {}),
}


@pytest.mark.parametrize("changes,status,code,members", rows(REFUSED))
def test_refused(api, changes, status, code, members):
    body = {k: v for k, v in (FILE | changes).items() if v is not None}
    check_problem(api.ask(body), status, code, **members)


def test_unknown_and_forbidden_profiles_look_alike(api):
    alike = []
    for name in ("nope", "gold", "editors", "tenants"):
        p = api.ask(FILE | {"profile": name}).json
        alike.append({k: v for k, v in p.items() if k != "request_id"})
    assert all(p == alike[0] for p in alike)
    reasons = [e["reason"] for e in api.logs("request", code="profile_not_allowed")]
    assert any("{tenant}" in r and "{user_hash}" in r for r in reasons), reasons


ALLOWED = {
    "plan": ("gold", {"plan": "gold"}),
    "claim": ("editors", {"role": "editor"}),
    "claim in a list": ("editors", {"role": ["reader", "editor"]}),
    "tenant": ("tenants", {"org": "acme-1.eu"}),
    "unknown plan": ("default", {"plan": "platinum"}),
}


@pytest.mark.parametrize("name,claims", rows(ALLOWED))
def test_allowed_by_the_token(api, name, claims):
    assert api.ask(FILE | {"profile": name}, token=tokens.token(**claims)).status == 201


NOT_A_WORD = ["", ".", "..", "a/b", "a b", "ä", "x" * 129, 7, None]


@pytest.mark.parametrize("tenant", NOT_A_WORD)
def test_words_of_the_token(api, tenant):
    token = tokens.sign({"iss": tokens.ISSUER, "aud": "presignd", "sub": "alice",
                         "exp": int(time.time()) + 60, "org": tenant})
    check_problem(api.ask(FILE | {"profile": "tenants"}, token=token), 403, "profile_not_allowed")


# ---- the body as JSON ----------------------------------------------------------------------------

GOOD_JSON = {
    "plain": (b'{"content_type":"image/png","content_length":1}',),
    "white space": (b' \r\n\t{ "content_type" : "image/png" , "content_length" : 1 }\n',),
    "escapes": (b'{"content\\u005ftype":"image\\/png","content_length":1}',),
    "null is absent": (b'{"content_type":"image/png","content_length":1,"filename":null,'
                       b'"profile":null,"checksum":null,"metadata":null,"method":null,'
                       b'"expires_in":null,"files":null}',),
    "large": (b'{"content_type":"image/png","content_length":1' + b" " * 16000 + b"}",),
}
BAD_JSON = {
    "nothing": (b"",),
    "a list": (b"[]",),
    "a text": (b'"x"',),
    "null": (b"null",),
    "cut": (b'{"content_type":"image/png"',),
    "two": (b'{"content_type":"image/png","content_length":1}{}',),
    "comma": (b'{"content_type":"image/png","content_length":1,}',),
    "single quotes": (b"{'content_type':'image/png','content_length':1}",),
    "twice": (b'{"content_type":"image/png","content_length":1,"content_length":1}',
              "content_length"),
    "twice, spelt differently": (
        b'{"content_type":"image/png","content_length":1,"content\\u005flength":1}',),
    "twice inside": (b'{"content_type":"image/png","content_length":1,'
                     b'"metadata":{"a":"1","a":"2"}}', "metadata.a"),
    "fraction": (b'{"content_type":"image/png","content_length":1.0}', "content_length"),
    "exponent": (b'{"content_type":"image/png","content_length":1e3}', "content_length"),
    "over 64 bits": (b'{"content_type":"image/png","content_length":9223372036854775808}',),
    "leading zero": (b'{"content_type":"image/png","content_length":01}',),
    "NaN": (b'{"content_type":"image/png","content_length":NaN}',),
    "NUL": (b'{"content_type":"image/png","content_length":1,"filename":"a\\u0000b"}',),
    "NUL byte": (b'{"content_type":"image/png","content_length":1}\0',),
    "NUL in a name": (b'{"content_type":"image/png","content_length":1,"a\\u0000":1}',),
    "bad UTF-8": (b'{"content_type":"image/png","content_length":1,"filename":"\xff"}',),
    "overlong UTF-8": (b'{"content_type":"image/png","content_length":1,"filename":"\xc0\xaf"}',),
    "surrogate": (b'{"content_type":"image/png","content_length":1,"filename":"\\ud800"}',),
    "BOM": (b'\xef\xbb\xbf{"content_type":"image/png","content_length":1}',),
    "17 levels": (b'{"a":' * 17 + b"1" + b"}" * 17,),
    "a thousand levels": (b"[" * 8000,),
}


@pytest.mark.parametrize("body", rows(GOOD_JSON))
def test_good_json(api, body):
    assert api.ask(body).status == 201


@pytest.mark.parametrize("body,member", [
    pytest.param(row[0], row[1] if len(row) > 1 else None, id=name)
    for name, row in BAD_JSON.items()])
def test_bad_json(api, body, member):
    p = check_problem(api.ask(body), 400, "invalid_request")
    assert "member" in p
    if member:
        assert p["member"] == member


TYPES = {
    "plain": ("application/json", 201),
    "capitals": ("Application/JSON", 201),
    "utf-8": ("application/json; charset=utf-8", 201),
    "UTF-8, quoted": ('application/json;charset="UTF-8"', 201),
    "latin1": ("application/json; charset=iso-8859-1", 415),
    "text": ("text/plain", 415),
    "form": ("application/x-www-form-urlencoded", 415),
    "longer": ("application/jsonp", 415),
    "problem": ("application/problem+json", 415),
    "empty": ("", 415),
    "none": (None, 415),
}


@pytest.mark.parametrize("value,status", rows(TYPES))
def test_content_type_of_the_request(api, value, status):
    headers = {"Authorization": f"Bearer {api.token()}"}
    if value is not None:
        headers["Content-Type"] = value
    answer = api.request("POST", "/v1/uploads", json.dumps(FILE), headers)
    assert answer.status == status
    if status == 415:
        check_problem(answer, 415, "unsupported_media_type")


# ---- the packet ----------------------------------------------------------------------------------

def test_form(api):
    answer = api.ask(FILE)
    assert answer.status == 201
    assert answer.headers["Content-Type"] == "application/json"
    u = answer.json
    assert list(u) == ["id", "method", "url", "fields", "bucket", "key", "expires_at", "expires_in",
                       "expires_limited_by", "metadata"]
    assert UUID.fullmatch(u["id"]) and u["id"][14] == "7"
    assert answer.headers["Location"] == f"/v1/uploads/{u['id']}"
    assert u["method"] == "POST"
    assert u["url"] == "https://test-bucket.s3.eu-west-1.amazonaws.com/"
    assert u["bucket"] == "test-bucket"
    assert u["key"] == u["fields"]["key"] == f"alice/{u['id']}"
    assert (u["expires_in"], u["expires_limited_by"]) == (900, "profile")
    assert u["metadata"] == {"path": u["key"], "content_length": 1000, "content_type": "image/png"}
    policy = check_form(u)
    assert ["content-length-range", 1000, 1000] in policy["conditions"]
    date = u["fields"]["x-amz-date"]
    signed = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(
        tzinfo=datetime.timezone.utc).timestamp()
    assert seconds(u["expires_at"]) == signed + 900
    assert abs(signed - time.time()) < 10


def test_keys_never_repeat(api):
    keys = {api.ask(FILE | {"profile": "range"}).json["key"] for _ in range(50)}
    assert len(keys) == 50
    assert all(UUID.search(k) and UUID.search(k).group()[14] == "4" for k in keys)


def test_url(api):
    answer = api.ask(FILE | {"method": "PUT", "content_type": " image/png ",
                             "checksum": {"algorithm": "sha256", "value": SHA256}})
    u = answer.json
    assert answer.status == 201 and u["method"] == "PUT" and "fields" not in u
    assert u["headers"] == {"content-type": "image/png", "content-length": "1000",
                            "x-amz-checksum-sha256": SHA256}
    parts = urlsplit(u["url"])
    query = dict(parse_qsl(parts.query))
    assert parts.netloc == "test-bucket.s3.eu-west-1.amazonaws.com"
    assert unquote(parts.path) == "/" + u["key"]
    assert set(query["X-Amz-SignedHeaders"].split(";")) == set(u["headers"]) | {"host"}
    assert query["X-Amz-Expires"] == str(u["expires_in"]) == "900"
    assert u["metadata"]["content_type"] == "image/png"


def test_sizes(api):
    ask = lambda **more: api.ask({k: v for k, v in (FILE | more).items() if v is not None}).json
    bounds = lambda u: next(c[1:] for c in check_form(u)["conditions"] if isinstance(c, list))
    u = ask(profile="range", content_length=None)
    assert bounds(u) == [10, 1048576] and u["metadata"]["content_length"] is None
    assert bounds(ask(profile="range", content_length=10)) == [10, 10]
    u = ask(profile="any", content_length=None, method="PUT")
    assert "content-length" not in u["headers"] and u["metadata"]["content_length"] is None
    assert ask(profile="any", method="PUT")["headers"]["content-length"] == "1000"


SUMS = {
    "md5": ("md5", 16, {"Content-MD5"}, {"content-md5"}),
    "sha1": ("sha1", 20, {"x-amz-checksum-algorithm", "x-amz-checksum-sha1"},
             {"x-amz-checksum-sha1"}),
    "sha256": ("sha256", 32, {"x-amz-checksum-algorithm", "x-amz-checksum-sha256"},
               {"x-amz-checksum-sha256"}),
    "crc32": ("crc32", 4, {"x-amz-checksum-algorithm", "x-amz-checksum-crc32"},
              {"x-amz-checksum-crc32"}),
    "crc32c": ("crc32c", 4, {"x-amz-checksum-algorithm", "x-amz-checksum-crc32c"},
               {"x-amz-checksum-crc32c"}),
}


@pytest.mark.parametrize("algorithm,size,fields,headers", rows(SUMS))
def test_checksums(api, algorithm, size, fields, headers):
    value = base64.b64encode(b"\x01" * size).decode()
    body = FILE | {"profile": "sums", "checksum": {"algorithm": algorithm, "value": value}}
    u = api.ask(body).json
    check_form(u)
    assert {f for f in u["fields"] if "checksum" in f or "MD5" in f} == fields
    assert u["fields"].get("x-amz-checksum-algorithm", algorithm.upper()) == algorithm.upper()
    assert value in u["fields"].values()
    put = api.ask(body | {"method": "PUT"}).json["headers"]
    assert set(put) - {"content-type", "content-length"} == headers
    for wrong in (size - 1, size + 1):
        body["checksum"]["value"] = base64.b64encode(b"\x01" * wrong).decode()
        check_problem(api.ask(body), 422, "checksum_invalid")


def test_fields(api):
    u = api.ask(FILE | {"profile": "fields", "filename": "Ein Bild (ä).png"}).json
    check_form(u)
    f = u["fields"]
    assert (f["success_action_status"], f["acl"], f["Cache-Control"]) == ("201", "private",
                                                                          "private")
    assert f["tagging"] == ("<Tagging><TagSet><Tag><Key>plan</Key><Value>free</Value></Tag>"
                            "</TagSet></Tagging>")
    disposition = f["Content-Disposition"]
    assert disposition.startswith("attachment; filename=")
    assert "filename*=UTF-8''Ein%20Bild%20%28%C3%A4%29.png" in disposition
    assert u["key"].endswith("/Ein Bild (ä).png")
    h = api.ask(FILE | {"profile": "fields", "filename": "a.png", "method": "PUT"}).json["headers"]
    assert h["x-amz-acl"] == "private" and h["x-amz-tagging"] == "plan=free"
    assert "success_action_status" not in h


FILENAMES = {
    "path": ("/etc/passwd", "passwd"), "windows": ("C:\\a\\b.png", "b.png"),
    "dots": ("..a.png", "a.png"), "dollar": ("a$b.png", "ab.png"),
    "controls": ("a\nb\x7f.png", "ab.png"), "bidi": ("a\u202eb.png", "ab.png"),
    "NFC": ("u\u0308.png", "ü.png"), "none": (None, "file"),
}


@pytest.mark.parametrize("sent,kept", rows(FILENAMES))
def test_filenames(api, sent, kept):
    body = FILE | {"profile": "fields"} | ({"filename": sent} if sent else {})
    assert api.ask(body).json["key"].split("/", 2)[2] == kept


def test_long_filename_keeps_its_extension(api):
    u = api.ask(FILE | {"profile": "fields", "filename": "ä" * 300 + ".png"}).json
    name = u["key"].split("/", 2)[2]
    assert name.endswith("ä.png") and 250 <= len(name.encode()) <= 255


def test_metadata(api):
    u = api.ask(FILE | {"profile": "meta", "metadata": {"album": "4 2/ä~"}}).json
    check_form(u)
    assert u["fields"]["x-amz-meta-album"] == "4%202%2F%C3%A4~"
    assert u["fields"]["x-amz-meta-by"] == "alice"
    assert "x-amz-meta-title" not in u["fields"]


def test_types(api):
    for sent in ("IMAGE/PNG", "image/png; q=1", "text/plain; charset=utf-8"):
        u = api.ask(FILE | {"content_type": sent}).json
        assert u["fields"]["Content-Type"] == sent
    assert api.ask(FILE | {"profile": "html", "content_type": "text/html"}).status == 201
    check_problem(api.ask(FILE | {"profile": "html", "content_type": "text/xml"}), 422,
                  "content_type_not_allowed")
    p = check_problem(api.ask(FILE | {"content_type": ""}), 422, "content_type_not_allowed")
    assert p["allowed"] == ["image/*", "text/plain"]


def test_places(api):
    u = api.ask(FILE | {"profile": "own"}).json
    assert u["url"] == "https://files.test/own/" and u["bucket"] == "own"
    check_form(u)
    u = api.ask(FILE | {"profile": "putonly"}).json
    assert u["method"] == "PUT"


# ---- expiry --------------------------------------------------------------------------------------

EXPIRY = {
    "no wish": ({}, 900, "profile"),
    "a wish": ({"expires_in": 300}, 300, "request"),
    "the profile's own": ({"expires_in": 900}, 900, "request"),
    "a longer one": ({"expires_in": 3600}, 3600, "request"),
    "too long is shortened": ({"expires_in": 3601}, 3600, "profile"),
    "a week is shortened": ({"expires_in": 604800}, 3600, "profile"),
    "short profile": ({"profile": "short"}, 60, "profile"),
    "short profile, a wish": ({"profile": "short", "expires_in": 120}, 120, "request"),
    "short profile, shortened": ({"profile": "short", "expires_in": 121}, 120, "profile"),
    "one second": ({"expires_in": 1}, 1, "request"),
}


@pytest.mark.parametrize("changes,life,limit", rows(EXPIRY))
def test_expiry(api, changes, life, limit):
    for method in ("POST", "PUT"):
        u = api.ask(FILE | changes | {"method": method}).json
        assert (u["expires_in"], u["expires_limited_by"]) == (life, limit)


def test_expiry_by_the_token(api):
    token = tokens.token(exp=int(time.time()) + 100)
    u = api.ask(FILE | {"profile": "bound"}, token=token).json
    assert 90 <= u["expires_in"] <= 100 and u["expires_limited_by"] == "token"
    u = api.ask(FILE | {"profile": "bound", "expires_in": 50}, token=token).json
    assert (u["expires_in"], u["expires_limited_by"]) == (50, "request")
    u = api.ask(FILE, token=token).json
    assert (u["expires_in"], u["expires_limited_by"]) == (900, "profile")


def ending(in_s):
    return CREDENTIALS | {"AWS_SESSION_TOKEN": "session", "AWS_CREDENTIAL_EXPIRATION":
                          time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + in_s))}


def test_expiry_by_the_credentials(presignd):
    s = presignd(config(), files=FILES, credentials=ending(400))
    u = s.ask(FILE).json
    assert 330 <= u["expires_in"] <= 340 and u["expires_limited_by"] == "credentials"
    assert u["fields"]["x-amz-security-token"] == "session"
    check_form(u)
    u = s.ask(FILE | {"expires_in": 100}).json
    assert (u["expires_in"], u["expires_limited_by"]) == (100, "request")
    assert 330 <= s.ask(FILE | {"expires_in": 3600, "method": "PUT"}).json["expires_in"] <= 340


def test_credentials_that_end_soon(presignd):
    s = presignd(config(), files=FILES, credentials=ending(100))
    check_problem(s.ask(FILE), 503, "credentials_expiring")
    u = s.ask(FILE | {"expires_in": 10}).json
    assert (u["expires_in"], u["expires_limited_by"]) == (10, "request")


def test_no_credentials(presignd):
    s = presignd(config(credentials={"provider": "imds"}), files=FILES, credentials=None,
                 env={"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"})
    check_problem(s.ask(FILE), 503, "credentials_unavailable")
    check_problem(s.ask(FILE | {"profile": "nope"}), 403, "profile_not_allowed")
    answer = s.get("/readyz?verbose")
    assert answer.status == 503 and answer.json["failing"] == ["credentials"]
    assert s.get("/livez").status == 200


def test_no_keys(presignd):
    issuer = {"issuer": tokens.ISSUER, "audience": ["presignd"], "algorithms": ["RS256"],
              "jwks_url": "http://127.0.0.1:1/jwks"}
    s = presignd(base_config(auth={"issuers": [issuer]}))
    token = tokens.token(alg="RS256", key=tokens.make_key())
    check_problem(s.ask(FILE, token=token), 503, "keys_unavailable")
    assert s.get("/readyz").json["failing"] == ["keys"]
    check_problem(s.ask(FILE, token="nonsense"), 401, "invalid_token")


# ---- batch ---------------------------------------------------------------------------------------

def test_batch(api):
    files = [FILE, FILE | {"content_type": "text/plain"}, FILE | {"content_length": 7}]
    answer = api.ask({"profile": "meta", "method": "POST", "expires_in": 77, "files": files})
    assert answer.status == 201 and "Location" not in answer.headers
    uploads = answer.json["uploads"]
    assert list(answer.json) == ["uploads"] and len(uploads) == 3
    for file, u in zip(files, uploads):
        check_form(u)
        assert u["metadata"]["content_type"] == file["content_type"]
        assert u["metadata"]["content_length"] == file["content_length"]
        assert u["expires_in"] == 77 and u["fields"]["x-amz-meta-by"] == "alice"
    assert len({u["id"] for u in uploads}) == len({u["key"] for u in uploads}) == 3
    assert len({u["expires_at"] for u in uploads}) == 1


def test_batch_sizes(api):
    assert len(api.ask({"files": [FILE] * 100}).json["uploads"]) == 100
    check_problem(api.ask({"files": [FILE] * 101}), 422, "too_many_files")
    check_problem(api.ask({"files": []}), 400, "invalid_request", member="files")


BAD_BATCH = {
    "type": ({"content_type": "video/mp4"}, 422, "content_type_not_allowed"),
    "size": ({"content_length": 1 << 30}, 422, "file_too_large"),
    "shape": ({"content_length": "1"}, 400, "invalid_request"),
    "profile inside": ({"profile": "range"}, 400, "invalid_request"),
    "method inside": ({"method": "PUT"}, 400, "invalid_request"),
    "expires_in inside": ({"expires_in": 1}, 400, "invalid_request"),
    "name": ({"filename": "/"}, 422, "filename_invalid"),
}


@pytest.mark.parametrize("changes,status,code", rows(BAD_BATCH))
def test_one_bad_file_refuses_the_batch(api, changes, status, code):
    p = check_problem(api.ask({"files": [FILE, FILE, FILE | changes, FILE]}), status, code)
    assert p["index"] == 2
    if status == 400:
        assert p["member"] == f"files[2].{next(iter(changes))}"


def test_batch_without_mixing(api):
    check_problem(api.ask(FILE | {"files": [FILE]}), 400, "invalid_request")
    check_problem(api.ask({"files": {}}), 400, "invalid_request", member="files")
    check_problem(api.ask({"files": [1]}), 400, "invalid_request", member="files[0]")


# ---- dry run -------------------------------------------------------------------------------------

def test_dry_run(api):
    for query in ("dry_run=1", "dry_run=true", "x=y&dry_run=1"):
        answer = api.ask(FILE | {"expires_in": 30}, path=f"/v1/uploads?{query}")
        assert answer.status == 200 and "Location" not in answer.headers
        d = answer.json
        assert {k: d[k] for k in ("allowed", "profile", "method", "key_template", "expires_in",
                                  "expires_limited_by", "quota")} == {
            "allowed": True, "profile": "default", "method": "POST", "key_template":
            "{user}/{uuid7}", "expires_in": 30, "expires_limited_by": "request", "quota": []}
        assert ["content-length-range", 1000, 1000] in d["conditions"]
        assert "x-amz-signature" not in answer.body.decode()
    for query in ("dry_run=0", "dry_run=false", "dry_run", "dryrun=1"):
        assert api.ask(FILE, path=f"/v1/uploads?{query}").status == 201


def test_dry_run_refuses_the_same(api):
    check_problem(api.ask(FILE | {"profile": "nope"}, path="/v1/uploads?dry_run=1"), 403,
                  "profile_not_allowed")
    check_problem(api.ask(FILE, path="/v1/uploads?dry_run=1", token=None), 401, "missing_token")
    p = check_problem(api.ask({"files": [FILE, FILE | {"content_length": 0}]},
                              path="/v1/uploads?dry_run=1"), 422, "file_too_small")
    assert p["index"] == 1


def test_dry_run_of_a_batch(api):
    answer = api.ask({"method": "PUT", "files": [FILE, FILE]}, path="/v1/uploads?dry_run=1")
    assert answer.status == 200 and list(answer.json) == ["files"]
    assert [f["method"] for f in answer.json["files"]] == ["PUT", "PUT"]


# ---- without a ledger ----------------------------------------------------------------------------

def test_routes_of_the_ledger(presignd):
    api = presignd(config(ledger={"backend": "none"}), files=FILES)
    upload_id = api.ask(FILE).json["id"]
    token = api.token()
    for method, path in (("GET", f"/v1/uploads/{upload_id}"), ("DELETE", f"/v1/uploads/{upload_id}"),
                         ("POST", f"/v1/uploads/{upload_id}/complete"), ("GET", "/v1/quota")):
        check_problem(api.request(method, path, token=token), 404, "not_found")
    keys = [api.ask(FILE, headers={"Idempotency-Key": k}).json["id"] for k in ("a", "a", "a b")]
    assert len(set(keys)) == 3
