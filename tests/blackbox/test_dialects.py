"""The contracts of the two published patterns (API version 1, section 4)."""
import base64
import binascii
from urllib.parse import parse_qs, urlsplit

import pytest
from contract import FILES, MD5, SHA256, check_form, check_problem, config, profile, rows
from service import Service


@pytest.fixture(scope="module")
def api():
    with Service(config(), files=FILES) as s:
        yield s


# ---- dialects ------------------------------------------------------------------------------------

SNAKE = {
    "plain": ({}, "file"), "filename": ({"filename": "a.png"}, "a.png"),
    "name": ({"name": "a.png"}, "a.png"), "original_name": ({"original_name": "a.png"}, "a.png"),
}


@pytest.mark.parametrize("more,name", rows(SNAKE))
@pytest.mark.parametrize("size", ["content_length", "size"])
def test_presign_form(api, more, name, size):
    body = {"content_type": "image/png", size: 5, "profile": "fields"} | more
    answer = api.ask(body, path="/presign")
    assert answer.status == 200 and "Location" not in answer.headers
    a = answer.json
    assert set(a) == {"id", "metadata", "presigned_post", "expires_at"}
    assert set(a["presigned_post"]) == {"url", "fields"}
    key = a["presigned_post"]["fields"]["key"]
    assert a["metadata"] == {"path": key, "content_length": 5, "content_type": "image/png"}
    assert key.endswith("/" + name)
    check_form(a["presigned_post"] | {"bucket": "test-bucket", "expires_at": a["expires_at"]})


def test_presign_url(api):
    answer = api.ask({"fileName": "a.png", "contentType": "image/png", "fileSize": 5},
                     path="/presign")
    a = answer.json
    assert answer.status == 200
    assert set(a) == {"id", "uploadUrl", "key", "headers", "expires_at"}
    assert a["headers"] == {"content-type": "image/png", "content-length": "5"}
    query = parse_qs(urlsplit(a["uploadUrl"]).query)
    assert query["X-Amz-Expires"] == ["300"]
    a = api.ask({"fileName": "a.png", "contentType": "image/png", "fileSize": 5,
                 "profile": "short"}, path="/presign").json
    assert parse_qs(urlsplit(a["uploadUrl"]).query)["X-Amz-Expires"] == ["120"]
    a = api.ask({"fileName": "a.png", "contentType": "image/png", "profile": "any"},
                path="/presign").json
    assert a["headers"] == {"content-type": "image/png"}


NETWORKS = {
    "slow-2g": ("slow-2g", 500000, 80), "2g": ("2g", 1000000, 80), "3g": ("3g", 1000000, 60),
    "3g, long": ("3g", 1 << 20, 60), "2g, rounded up": ("2g", 1012501, 82),
    "too long": ("slow-2g", 1 << 20, 168), "slow, cut": ("slow-2g", 1048576, 168),
    "4g": ("4g", 1000000, 60), "wifi": ("wifi", 1000000, 60), "ethernet": ("ethernet", 1, 60),
    "other": ("5g", 1000000, 60), "none": (None, 1000000, 60),
}


@pytest.mark.parametrize("network,size,life", rows(NETWORKS))
def test_upload(api, network, size, life):
    body = {"filename": "a.png", "filesize": size, "filetype": "image/png"}
    body |= {"clientnetwork": network} if network else {}
    answer = api.ask(body, path="/upload")
    assert answer.status == 200
    a = answer.json
    assert set(a) == {"id", "presignedUrl", "key", "headers", "expires_at"}
    assert parse_qs(urlsplit(a["presignedUrl"]).query)["X-Amz-Expires"] == [str(life)]


def test_upload_is_never_longer_than_five_minutes(api):
    for profile_name in ("default", "bound"):
        a = api.ask({"filename": "a", "filesize": 1048576, "filetype": "image/png",
                     "clientnetwork": "slow-2g", "profile": profile_name}, path="/upload").json
        life = int(parse_qs(urlsplit(a["presignedUrl"]).query)["X-Amz-Expires"][0])
        assert 60 <= life <= 300


def test_upload_md5(api):
    body = {"filename": "a.png", "filesize": 5, "filetype": "image/png"}
    hexed = binascii.hexlify(base64.b64decode(MD5)).decode()
    for sent in (MD5, hexed, hexed.upper()):
        a = api.ask(body | {"filemd5": sent}, path="/upload").json
        assert a["headers"]["content-md5"] == MD5
    for wrong in ("", "x" * 32, MD5[:-4], hexed[:-2], SHA256):
        check_problem(api.ask(body | {"filemd5": wrong}, path="/upload"), 422, "checksum_invalid")
        check_problem(api.ask(body | {"filemd5": wrong, "profile": "nobody"}, path="/upload"), 403,
                      "profile_not_allowed")  # the first fault wins


BAD_DIALECT = {
    "mixed": ("/presign", {"content_type": "image/png", "contentType": "image/png"}, 400),
    "mixed names": ("/presign", {"content_type": "image/png", "content_length": 1,
                                 "fileName": "a"}, 400),
    "mixed sizes": ("/presign", {"fileName": "a", "contentType": "image/png", "size": 1}, 400),
    "two sizes": ("/presign", {"content_type": "image/png", "content_length": 1, "size": 1}, 400),
    "two names": ("/presign", {"content_type": "image/png", "size": 1, "name": "a",
                               "filename": "a"}, 400),
    "two more names": ("/presign", {"content_type": "image/png", "size": 1, "name": "a",
                                    "original_name": "a"}, 400),
    "no type": ("/presign", {"content_length": 1}, 400),
    "no camel type": ("/presign", {"fileName": "a"}, 400),
    "no camel name": ("/presign", {"contentType": "image/png"}, 400),
    "no size": ("/presign", {"content_type": "image/png"}, 400),
    "no camel size": ("/presign", {"fileName": "a", "contentType": "image/png"}, 400),
    "unknown": ("/presign", {"content_type": "image/png", "size": 1, "metadata": {}}, 400),
    "method": ("/presign", {"content_type": "image/png", "size": 1, "method": "PUT"}, 400),
    "batch": ("/presign", {"files": []}, 400),
    "upload, no name": ("/upload", {"filesize": 1, "filetype": "image/png"}, 400),
    "upload, no type": ("/upload", {"filesize": 1, "filename": "a"}, 400),
    "upload, no size": ("/upload", {"filename": "a", "filetype": "image/png"}, 400),
    "upload, other words": ("/upload", {"content_type": "image/png", "size": 1}, 400),
    "form without forms": ("/presign", {"content_type": "image/png", "size": 1,
                                        "profile": "putonly"}, 403),
    "type": ("/presign", {"content_type": "video/mp4", "size": 1}, 422),
    "camel size": ("/presign", {"fileName": "a", "contentType": "image/png", "fileSize": 1 << 30},
                   422),
    "upload, name": ("/upload", {"filename": "..", "filesize": 1, "filetype": "image/png"}, 422),
}


@pytest.mark.parametrize("path,body,status", rows(BAD_DIALECT))
def test_bad_dialect(api, path, body, status):
    answer = api.ask(body, path=path)
    code = {400: "invalid_request", 403: "profile_not_allowed", 422: answer.code}[status]
    p = check_problem(answer, status, code)
    if status == 400:
        assert p["member"]


def test_missing_sizes_are_named_as_the_dialect_does(api):
    for path, body, member in (
            ("/presign", {"content_type": "image/png"}, "content_length"),
            ("/presign", {"fileName": "a", "contentType": "image/png"}, "fileSize"),
            ("/upload", {"filename": "a", "filetype": "image/png"}, "filesize")):
        check_problem(api.ask(body, path=path), 400, "invalid_request", member=member)


def test_dialects_need_a_token(api):
    for path in ("/presign", "/upload"):
        check_problem(api.ask({}, path=path, token=None), 401, "missing_token")
        check_problem(api.ask({}, path=path, token="x"), 401, "invalid_token")
