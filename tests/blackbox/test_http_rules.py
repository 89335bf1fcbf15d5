"""The rules for every route (API version 1, section 1): tokens, paths, CORS, limits, order of faults."""
import hashlib
import json

import pytest
import tokens
from contract import (APP, FILE, FILES, MD5, SCOPED, SCOPED_SECRET, check_problem, config,
                      profile, rows)
from service import Service, base_config, read_raw


@pytest.fixture(scope="module")
def api():
    with Service(config(), files=FILES) as s:
        yield s


# ---- who -----------------------------------------------------------------------------------------

def test_tokens(api):
    good = api.token()
    wait = 'Bearer realm="presignd"'
    for value in (None, "Basic YTpi", good, ""):
        headers = {"Authorization": value} if value is not None else {}
        answer = api.ask(FILE, token=None, headers=headers)
        check_problem(answer, 401, "missing_token")
        assert answer.headers["WWW-Authenticate"] == wait
    for value in (f"bearer {good}", f"BEARER {good}"):
        assert api.ask(FILE, token=None, headers={"Authorization": value}).status == 201
    bodies = set()
    for value in ("Bearer x", f"Bearer  {good}", f"Bearer {good}x", f"Bearer {good} x", "Bearer "):
        answer = api.ask(FILE, token=None, headers={"Authorization": value})
        p = check_problem(answer, 401, "invalid_token")
        assert answer.headers["WWW-Authenticate"] == wait + ', error="invalid_token"'
        bodies.add(json.dumps({k: v for k, v in p.items() if k != "request_id"}))
    assert len(bodies) == 1
    check_problem(api.ask(FILE, token=None, path=f"/v1/uploads?access_token={good}"), 401,
                  "missing_token")


def test_scope(api):
    token = lambda scope: tokens.token(iss=SCOPED, key=SCOPED_SECRET, scope=scope)
    for scope in (None, "uploads", "read", "Upload"):
        check_problem(api.ask(FILE, token=token(scope)), 403, "insufficient_scope",
                      required="upload")
    assert api.ask(FILE, token=token("read upload")).status == 201


def test_users_of_two_issuers_differ(api):
    one = api.ask(FILE)
    two = api.ask(FILE, token=tokens.token(iss=SCOPED, key=SCOPED_SECRET, scope="upload"))
    lines = [api.wait_log("grant", upload_id=a.json["id"]) for a in (one, two)]
    assert lines[0]["user"] == lines[1]["user"] == "alice"
    assert lines[0]["user_hash"] != lines[1]["user_hash"]
    assert lines[0]["user_hash"] == hashlib.sha256(
        f"{tokens.ISSUER}\nalice".encode()).hexdigest()[:32]


# ---- paths, methods, answers ---------------------------------------------------------------------

def test_paths(api):
    for path in ("/", "/v1/uploads/", "/V1/uploads", "/v1/uploads/x/y", "/v1//uploads", "/nope",
                 "/v1/upload%73", "/metrics", "/presign/", "/./livez"):
        check_problem(api.request("GET", path), 404, "not_found")
        check_problem(api.request("POST", path), 404, "not_found")
    assert api.ask(FILE, path="/v1/uploads?").status == 201
    assert api.ask(FILE, path="/v1/uploads?a=b&c").status == 201


def allowed(answer):
    return {m.strip() for m in answer.headers["Allow"].split(",")}


def test_methods(api):
    for path in ("/v1/uploads", "/presign", "/upload"):
        for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH"):
            answer = api.request(method, path)
            assert answer.status == 405 and "POST" in allowed(answer)
            assert "GET" not in allowed(answer)
            if method != "HEAD":
                check_problem(answer, 405, "method_not_allowed")
    answer = api.request("POST", "/livez")
    check_problem(answer, 405, "method_not_allowed")
    assert {"GET", "HEAD"} <= allowed(answer)


def test_head(api):
    for path in ("/livez", "/readyz", "/healthz"):
        get, head = api.get(path), api.request("HEAD", path)
        assert head.status == get.status == 200 and head.body == b""
        assert head.headers["Content-Length"] == str(len(get.body))
        assert head.headers["Content-Type"] == get.headers["Content-Type"]


def test_request_ids(api):
    ids = {api.get("/livez").headers["X-Request-Id"] for _ in range(5)}
    assert len(ids) == 5
    for good in ("a", "A-b_c.9", "x" * 64):
        answer = api.ask(FILE, headers={"X-Request-Id": good})
        assert answer.headers["X-Correlation-Id"] == good
        assert answer.headers["X-Request-Id"] != good
        line = api.wait_log("request", request_id=answer.headers["X-Request-Id"])
        assert line["correlation_id"] == good
    for bad in ("", "x" * 65, "a b", "a/b", "ü".encode().decode("latin-1")):
        answer = api.ask(FILE, headers={"X-Request-Id": bad})
        assert answer.status == 201 and "X-Correlation-Id" not in answer.headers


# ---- CORS ----------------------------------------------------------------------------------------

def cors_headers(answer):
    return {k.lower() for k in answer.headers if k.lower().startswith("access-control-")}


ORIGINS = {
    "exact": (APP, True), "wildcard": ("https://a.preview.test", True),
    "two labels": ("https://a.b.preview.test", True), "no label": ("https://preview.test", False),
    "null": ("null", False), "http": ("http://app.test", False),
    "port": ("https://app.test:8443", False), "longer": ("https://app.test.evil.test", False),
    "before": ("https://evilapp.test", False), "capitals": ("https://APP.test", False),
    "wildcard's port": ("https://a.preview.test:1", False),
    "wildcard, no dot": ("https://apreview.test", False),
    "wildcard, a user": ("https://x@a.preview.test", False), "empty": ("", False),
}


@pytest.mark.parametrize("origin,good", rows(ORIGINS))
def test_cors(api, origin, good):
    for body in (FILE, FILE | {"profile": "nope"}):
        answer = api.ask(body, headers={"Origin": origin})
        assert answer.status in (201, 403)
        assert "Origin" in answer.headers["Vary"]
        assert answer.headers.get("Access-Control-Allow-Origin") == (origin if good else None)
        assert "Access-Control-Allow-Credentials" not in answer.headers
        if good:
            exposed = answer.headers["Access-Control-Expose-Headers"]
            assert {h.strip() for h in exposed.split(",")} == {
                "X-Request-Id", "X-Correlation-Id", "Retry-After", "RateLimit",
                "RateLimit-Policy", "Location"}
        else:
            assert not cors_headers(answer)
    answer = api.request("OPTIONS", "/v1/uploads", headers={
        "Origin": origin, "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type"})
    assert answer.status == 204 and answer.body == b"" and "Origin" in answer.headers["Vary"]
    if not good:
        assert not cors_headers(answer)
        return
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert answer.headers["Access-Control-Max-Age"] == "600"
    names = answer.headers["Access-Control-Allow-Headers"]
    assert {n.strip() for n in names.split(",")} == {
        "Authorization", "Content-Type", "Idempotency-Key", "X-Request-Id"}
    methods = answer.headers["Access-Control-Allow-Methods"]
    assert {m.strip() for m in methods.split(",")} - {"OPTIONS"} == {"POST"}


def test_cors_on_every_kind_of_answer(api):
    headers = {"Origin": APP}
    answers = [api.request("GET", "/nope", headers=headers),
               api.request("GET", "/v1/uploads", headers=headers),
               api.ask(FILE, token=None, headers=headers),
               api.ask(FILE, headers=headers | {"Content-Type": "text/plain"}),
               api.ask(b"x" * 20000, headers=headers),
               api.request("GET", "/nope?" + "x" * 3000, headers=headers),
               api.request("GET", "/livez", headers=headers | {"X": "x" * 8200})]
    assert [a.status for a in answers] == [404, 405, 401, 415, 413, 414, 431]
    for a in answers[:6]:
        assert a.headers["Access-Control-Allow-Origin"] == APP, a
    for path in ("/livez", "/readyz", "/healthz"):
        assert not cors_headers(api.get(path, headers=headers))


def test_cors_for_everybody(presignd):
    s = presignd(base_config(cors={"origins": ["*"], "max_age_s": 5}))
    for origin in ("https://any.test", "http://localhost:3000"):
        answer = s.ask(FILE, headers={"Origin": origin})
        assert answer.headers["Access-Control-Allow-Origin"] in ("*", origin)
        assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Access-Control-Allow-Origin" not in s.ask(FILE, headers={"Origin": "null"}).headers


# ---- cookies -------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def with_cookie():
    with Service(config(auth={"cookie": "session"}, cors={"credentials": True}),
                 files=FILES) as s:
        yield s


def test_cookie(with_cookie):
    s, good = with_cookie, with_cookie.token()
    cookie = lambda value, **more: s.ask(FILE, token=None, headers={"Cookie": value} | more)
    answer = cookie(f"a=b; session={good}; c=d", Origin=APP)
    assert answer.status == 201
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    check_problem(cookie(f"session={good}"), 403, "origin_not_allowed")
    check_problem(cookie(f"session={good}", Origin="https://evil.test"), 403, "origin_not_allowed")
    check_problem(cookie(f"session={good}", Origin="null"), 403, "origin_not_allowed")
    check_problem(cookie("session=x", Origin=APP), 401, "invalid_token")
    check_problem(cookie("sessions=x", Origin=APP), 401, "missing_token")
    check_problem(cookie(f"session={good}", Origin=APP, Authorization="Bearer x"), 401,
                  "invalid_token")
    assert cookie("session=x", Authorization=f"Bearer {good}").status == 201
    assert s.ask(FILE).status == 201


# ---- framing and limits --------------------------------------------------------------------------

def raw(service, head, body=b"", **more):
    text = "\r\n".join(head) + "\r\n\r\n"
    status, headers, rest = read_raw(service.raw(text.encode("latin-1") + body, **more))
    return status, dict(headers), rest


def post_head(service, *lines, path="/v1/uploads"):
    return [f"POST {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {service.token()}",
            "Content-Type: application/json", *lines]


GOOD_BODY = json.dumps(FILE).encode()

MALFORMED = {
    "two lengths": (["Content-Length: 5", "Content-Length: 5"],),
    "two tokens": (["Content-Length: 2", "Authorization: Bearer x"],),
    "two types": (["Content-Length: 2", "Content-Type: application/json"],),
    "two hosts": (["Content-Length: 2", "Host: y"],),
    "length and chunked": (["Content-Length: 2", "Transfer-Encoding: chunked"],),
    "a coding": (["Transfer-Encoding: gzip, chunked"],),
    "a blank in a name": (["Content-Length: 2", "X y: 1"],),
}


@pytest.mark.parametrize("lines", rows(MALFORMED))
def test_malformed(api, lines):
    status, headers, rest = raw(api, post_head(api, *lines), b"{}")
    assert status in (400, 501), rest
    assert headers.get("connection", "").lower() == "close"


def test_malformed_is_a_problem(api):
    status, headers, rest = raw(api, post_head(api, "Content-Length: 2", "Authorization: Bearer x"),
                                b"{}")
    assert status == 400 and json.loads(rest)["code"] == "malformed_http"
    assert headers["content-type"] == "application/problem+json"


def test_lengths(api):
    status, _, rest = raw(api, post_head(api))
    assert status == 411 and json.loads(rest)["code"] == "length_required"
    chunked = post_head(api, "Transfer-Encoding: chunked")
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD_BODY), GOOD_BODY)
    assert raw(api, chunked, body)[0] == 201
    pieces = b"".join(b"1\r\n%c\r\n" % c for c in GOOD_BODY) + b"0\r\n\r\n"
    assert raw(api, chunked, pieces)[0] == 201
    status, _, rest = raw(api, post_head(api, "Content-Length: 16385"), b"x" * 16385)
    assert status == 413 and json.loads(rest)["code"] == "body_too_large"
    status, _, rest = raw(api, chunked, b"4001\r\n" + b"x" * 16385 + b"\r\n0\r\n\r\n")
    assert status == 413 and json.loads(rest)["code"] == "body_too_large"


def test_long_targets_and_headers(api):
    assert api.get("/livez?" + "x" * (2048 - len("/livez?"))).status == 200
    check_problem(api.get("/livez?" + "x" * (2049 - len("/livez?"))), 414, "uri_too_long")
    check_problem(api.get("/livez", headers={"X": "x" * 8200}), 431, "headers_too_large")


# ---- the first fault wins ------------------------------------------------------------------------

def test_order(presignd):
    """A request with every fault there is; each step takes away the one that was told."""
    s = presignd(config(auth={"cookie": "session"}, limits={"body_bytes": 2000},
                        credentials={"provider": "imds"},
                        profiles={"ordered": profile(
                            checksum="required", extensions={"image/png": ["png"]})}),
                 files=FILES, credentials=None,
                 env={"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"})
    scoped = tokens.token(iss=SCOPED, key=SCOPED_SECRET)
    r = {"method": "PATCH", "path": "/nope", "query": "?" + "x" * 3000, "twice": True,
         "headers": {"Cookie": "session=x", "Content-Type": "text/plain"}, "length": False}
    body = {"content_type": "video/mp4", "content_length": 1 << 30, "filename": "...",
            "expires_in": 0, "profile": "nope", "metadata": {"x": "1"}, "nope": 1,
            "padding": "x" * 2000}

    def ask():
        data = json.dumps(body).encode()
        lines = [f"{r['method']} {r['path']}{r['query']} HTTP/1.1", "Host: x", "Connection: close"]
        lines += ["Host: y"] * r["twice"]
        lines += [f"{k}: {v}" for k, v in r["headers"].items()]
        lines += [f"Content-Length: {len(data)}"] * r["length"]
        status, _, rest = raw(s, lines, data if r["length"] else b"")
        return status, json.loads(rest).get("code")

    auth = lambda token: r["headers"].update(Authorization=f"Bearer {token}")
    steps = [
        ((400, "malformed_http"), lambda: r.update(twice=False)),
        ((414, "uri_too_long"), lambda: r.update(query="")),
        ((404, "not_found"), lambda: r.update(path="/v1/uploads")),
        ((405, "method_not_allowed"), lambda: r.update(method="POST")),
        ((403, "origin_not_allowed"), lambda: r["headers"].update(Origin=APP)),
        ((401, "invalid_token"), lambda: auth(scoped)),
        ((403, "insufficient_scope"), lambda: auth(s.token())),
        ((415, "unsupported_media_type"),
         lambda: r["headers"].update({"Content-Type": "application/json"})),
        ((411, "length_required"), lambda: r.update(length=True)),
        ((413, "body_too_large"), lambda: body.pop("padding")),
        ((400, "invalid_request"), lambda: body.pop("nope")),
        ((403, "profile_not_allowed"), lambda: body.update(profile="ordered")),
        ((422, "expiry_not_allowed"), lambda: body.pop("expires_in")),
        ((422, "content_type_not_allowed"), lambda: body.update(content_type="image/png")),
        ((422, "file_too_large"), lambda: body.update(content_length=1)),
        ((422, "filename_invalid"), lambda: body.update(filename="a.gif")),
        ((422, "extension_mismatch"), lambda: body.update(filename="a.png")),
        ((422, "checksum_required"),
         lambda: body.update(checksum={"algorithm": "md5", "value": "x"})),
        ((422, "checksum_invalid"),
         lambda: body.update(checksum={"algorithm": "md5", "value": MD5})),
        ((422, "metadata_not_allowed"), lambda: body.pop("metadata")),
        ((503, "credentials_unavailable"), lambda: None),
    ]
    for want, mend in steps:
        assert ask() == want
        mend()
