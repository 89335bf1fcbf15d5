"""The client, src/web/presignd.js, when things go wrong: in headless Chromium against a server that
does as it is told. What a real presignd and a real store say is in test_client.py.
"""
import base64
import gzip
import hashlib
import os
import re

import pytest
from client_page import (CUT, MODULE, page, page_server, parts, pattern, problem,  # noqa: F401
                         refusal, scripted)
from service import TOP, wait_until

pytestmark = pytest.mark.without_presignd

BYTES_MAX = 6144
HTML = "<!doctype html><title>502 Bad Gateway</title>"
GO = "hurry(50); return await go(file(1000), { endpoint: args[0], token: 't', ...args[1] })"
SHA256_FIELD = "x-amz-checksum-sha256"


def states(out):
    """The states, each run of the same one once."""
    all_states = [p["state"] for p in out["progress"]]
    return [s for i, s in enumerate(all_states) if i == 0 or all_states[i - 1] != s]


def check_progress(out, size):
    """Never outside, never backwards within an attempt, and at the end all of it."""
    before = None
    for p in out["progress"]:
        assert p["total"] == size and 0 <= p["loaded"] <= size and p["rate"] >= 0
        assert (p["remaining"] is None) == (p["rate"] == 0)
        if before and (before["state"], before["attempt"]) == (p["state"], p["attempt"]):
            assert p["loaded"] >= before["loaded"]
        before = p
    assert before["state"] == "done" and before["loaded"] == size


# ---- the module ----------------------------------------------------------------------------------

def test_its_size():
    assert len(gzip.compress(MODULE.read_bytes(), 9)) <= BYTES_MAX


def test_it_depends_on_nothing():
    text = MODULE.read_text()
    assert not re.search(r"\bimport\b\s*[({*\"']|\bimport\b.*\bfrom\b|https?://", text)
    assert not re.search(r"\beval\b|\binnerHTML\b|\bnew Function\b", text)


def test_the_types_name_what_it_exports(page):
    types = (TOP / "src/web/presignd.d.ts").read_text()
    wanted = sorted(re.findall(r"^export (?:function|class|const) (\w+)", types, re.M))
    assert page("return Object.keys(await import('/presignd.js')).sort()") == wanted
    assert wanted == ["UploadError", "upload", "uploadAll"]


# ---- a good day ----------------------------------------------------------------------------------

def test_what_is_asked_and_sent(page, scripted):
    scripted.will(store=[(204, b"", {"ETag": '"abc"'})])
    out = page("""
        return await go(new File(["12345"], 'a"b.txt', { type: "text/plain" }), {
          endpoint: args[0] + "/prefix//", token: "t", profile: "p", metadata: { album: "42" },
          method: "POST", expiresIn: 60 })""", scripted.url)
    assert out["value"] == {"id": scripted.packet()["id"], "key": "a/b c", "etag": "abc",
                            "url": scripted.url + "/bucket/a/b%20c"}
    (asked,) = scripted.asked("grant")
    assert asked.path == "/prefix/v1/uploads"
    assert asked.headers["Authorization"] == "Bearer t"
    assert re.fullmatch("[A-Za-z0-9._-]{16,64}", asked.headers["Idempotency-Key"])
    assert asked.json == {"profile": "p", "content_type": "text/plain", "content_length": 5,
                          "filename": 'a"b.txt', "metadata": {"album": "42"}, "method": "POST",
                          "expires_in": 60}
    assert scripted.asked("complete")[0].path == f"/prefix/v1/uploads/{out['value']['id']}/complete"
    (sent,) = scripted.asked("store")
    assert "Authorization" not in sent.headers and "Idempotency-Key" not in sent.headers
    fields = parts(sent)
    assert [(n, c) for n, _, c in fields] == [("key", b"a/b c"), ("policy", b"p"),
                                              ("file", b"12345")]
    assert 'filename="file"' in fields[-1][1]
    assert out["packets"] == [scripted.packet()]
    assert states(out) == ["asking", "uploading", "completing", "done"]
    check_progress(out, 5)


def test_little_is_asked_where_little_is_said(page, scripted):
    out = page("return await go(new Blob(['x']), { endpoint: new URL(args[0]) })", scripted.url)
    assert out["value"]["key"] == "a/b c" and "etag" not in out["value"]
    (asked,) = scripted.asked("grant")
    assert asked.json == {"content_type": "", "content_length": 1}
    assert "Authorization" not in asked.headers and "Cookie" not in asked.headers


@pytest.mark.parametrize("name, sent", [
    ("a\ud800.txt", "a�.txt"), ("\udc00\ud800", "��"), ("a\0b", "a�b"),
    ("😀.png", "😀.png"), ("../../etc/passwd", "../../etc/passwd"),
    ('"><img src=x>\r\nX: y', '"><img src=x>\r\nX: y'), ("‮gpj.exe", "‮gpj.exe"),
], ids=["half", "halves", "nul", "pair", "path", "markup", "rtl"])
def test_names(page, scripted, name, sent):
    """What JSON cannot say is replaced; all else is presignd's to judge."""
    units = [int.from_bytes(name.encode("utf-16-le", "surrogatepass")[i:i + 2], "little")
             for i in range(0, len(name.encode("utf-16-le", "surrogatepass")), 2)]
    out = page("""
        const name = String.fromCharCode(...args[1])
        return await go(file(1), { endpoint: args[0], filename: name, metadata: { n: name } })""",
               scripted.url, units)
    assert "value" in out
    asked = scripted.asked("grant")[0].json
    assert asked["filename"] == asked["metadata"]["n"] == sent
    assert 'filename="file"' in parts(scripted.asked("store")[0])[-1][1]


def test_put(browser, page, scripted):
    """The headers of the packet but those that a browser sets itself, and complains of; the address
    without query."""
    browser.get_log("browser")
    scripted.will(
        grant=[(201, scripted.packet(
            method="PUT", url=scripted.url + "/bucket/a/b%20c?X-Amz-Signature=s", fields=None,
            headers={"content-type": "image/png", "content-length": "3", "Host": "x"}))],
        store=[(200, b"", {"ETag": '"abc"'})])
    out = page("return await go(file(3, 'x', 'text/plain'), { endpoint: args[0] })", scripted.url)
    (sent,) = scripted.asked("store")
    assert sent.method == "PUT" and sent.body == pattern(3)
    assert sent.headers["Content-Type"] == "image/png" and sent.headers["Content-Length"] == "3"
    assert not [e for e in browser.get_log("browser") if "unsafe header" in e["message"]]
    assert out["value"]["url"] == scripted.url + "/bucket/a/b%20c"
    assert out["value"]["etag"] == "abc"


def test_the_stores_own_address(page, scripted):
    scripted.will(store=[(201, b"", {"Location": "https://b.s3.test/a%2Fb?versionId=1"})],
                  complete=[(200, {"etag": "seen"})])
    out = page(GO, scripted.url, {})
    assert out["value"]["url"] == "https://b.s3.test/a%2Fb" and out["value"]["etag"] == "seen"


# ---- SHA-256 -------------------------------------------------------------------------------------

MIB = 1 << 20
SIZES = [0, 1, 3, 55, 56, 57, 63, 64, 65, 119, 120, 128, 1000,
         MIB - 9, MIB - 8, MIB - 1, MIB, MIB + 1, 2 * MIB - 8, 2 * MIB, 2 * MIB + 3]


def sha256(data):
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


@pytest.mark.parametrize("secure", [True, False])
def test_sha256(page, scripted, secure):
    """As Python computes it, with Web Crypto and where there is none, for every kind of end."""
    scripted.will(grant=[problem(403, "insufficient_scope")])
    progress = page("""
        if (!args[2]) Object.defineProperty(crypto, "subtle", { value: undefined })
        const texts = ["abc", "a".repeat(1e6)].map((text) => new Blob([text]))
        const all = []
        for (const one of [...args[1].map((size) => file(size)), ...texts])
          all.push((await go(one, { endpoint: args[0], checksum: "sha256" })).progress)
        return all""", scripted.url, SIZES, secure)
    wanted = [*map(pattern, SIZES), b"abc", b"a" * 10**6]
    asked = [a.json["checksum"] for a in scripted.asked("grant")]
    assert asked == [{"algorithm": "sha256", "value": sha256(data)} for data in wanted]
    for said, data in zip(progress, wanted, strict=True):
        hashed = [p["loaded"] for p in said if p["state"] == "hashing"]
        assert hashed[0] == 0 and hashed == sorted(hashed)
        assert secure or hashed[-1] == len(data)
        assert said[-1]["state"] == "asking" and said[-1]["loaded"] == 0


def test_a_large_file_is_hashed_in_slices(page, scripted):
    """Never as a whole, which Web Crypto would want."""
    scripted.will(grant=[problem(403, "insufficient_scope")])
    largest = page("""
        let largest = 0
        const read = Blob.prototype.arrayBuffer
        Blob.prototype.arrayBuffer = function () {
          largest = Math.max(largest, this.size)
          return read.call(this)
        }
        await go(file(9 << 20), { endpoint: args[0], checksum: "sha256" })
        return largest""", scripted.url)
    assert 0 < largest <= 4 * MIB
    assert scripted.asked("grant")[0].json["checksum"]["value"] == sha256(pattern(9 * MIB))


@pytest.mark.parametrize("checksum, asked, code", [
    (None, [False, True], None), ("auto", [False, True], None), ("sha256", [True], None),
    (False, [False], "checksum_required")])
def test_a_checksum_that_is_wanted(page, scripted, checksum, asked, code):
    """It is computed when presignd says so, and the asking is still the same one."""
    scripted.will(grant=[problem(422, "checksum_required")] * (not asked[0] or code is not None) +
                  [(201, scripted.packet())] * (code is None))
    out = page(GO, scripted.url, {} if checksum is None else {"checksum": checksum})
    requests = scripted.asked("grant")
    assert ["checksum" in r.json for r in requests] == asked
    assert out.get("error", {}).get("code") == code
    assert len({r.headers["Idempotency-Key"] for r in requests}) == 1


def test_a_checksum_is_computed_once(page, scripted):
    scripted.will(grant=[problem(422, "checksum_required")])
    assert page(GO, scripted.url, {})["error"]["code"] == "checksum_required"
    assert len(scripted.asked("grant")) == 2


# ---- what may pass is tried again ----------------------------------------------------------------

TROUBLE = [CUT, (502, HTML), (504, HTML), (503, "")]


@pytest.mark.parametrize("faults", [[t] for t in TROUBLE] + [
    [problem(503, "overloaded")], [problem(503, "ledger_unavailable"), CUT, (502, HTML)]],
    ids=["cut", "502", "504", "empty", "overloaded", "three"])
def test_presignd_comes_back(page, scripted, faults):
    scripted.will(grant=[*faults, (201, scripted.packet())])
    out = page(GO, scripted.url, {})
    assert out["value"]["id"] == scripted.packet()["id"]
    asked = scripted.asked("grant")
    assert len(asked) == len(faults) + 1
    assert len({(a.headers["Idempotency-Key"], a.body) for a in asked}) == 1
    assert states(out) == ["asking", "waiting"] * len(faults) + [
        "asking", "uploading", "completing", "done"]
    assert [p["attempt"] for p in out["progress"] if p["state"] == "asking"] == [
        *range(1, len(faults) + 2)]
    check_progress(out, 1000)


@pytest.mark.parametrize("fault", [CUT, (500, HTML), refusal(503, "SlowDown"),
                                   refusal(429, "TooManyRequests"), refusal(400, "RequestTimeout")],
                         ids=["cut", "500", "503", "429", "timeout"])
def test_the_store_comes_back(page, scripted, fault):
    scripted.will(store=[fault, fault, (204,)])
    out = page(GO, scripted.url, {})
    assert out["value"]["id"] and scripted.counts() == (1, 3, 1, 0)
    assert states(out) == ["asking"] + ["uploading", "waiting"] * 2 + [
        "uploading", "completing", "done"]
    check_progress(out, 1000)


@pytest.mark.parametrize("faults, stage, status, code, counts", [
    ({"grant": [CUT]}, "grant", 0, "network_error", (6, 0, 0)),
    ({"grant": [(502, HTML)]}, "grant", 502, "network_error", (6, 0, 0)),
    ({"grant": [problem(503, "overloaded")]}, "grant", 503, "overloaded", (6, 0, 0)),
    ({"store": [CUT]}, "store", 0, "network_error", (1, 6, 0)),
    ({"store": [refusal(503, "SlowDown")]}, "store", 503, "storage_refused", (1, 6, 0)),
], ids=["no presignd", "proxy", "overloaded", "no store", "slow"])
def test_it_gives_up(page, scripted, faults, stage, status, code, counts):
    scripted.will(**faults)
    error = page(GO, scripted.url, {})["error"]
    assert (error["name"], error["stage"], error["status"], error["code"]) == (
        "UploadError", stage, status, code)
    assert error["retryable"] and scripted.counts()[:3] == counts


def test_nothing_is_tried_again_where_nothing_shall_be(page, scripted):
    scripted.will(grant=[CUT])
    assert page(GO, scripted.url, {"retries": 0})["error"]["code"] == "network_error"
    assert scripted.counts() == (1, 0, 0, 0)


def test_it_waits_as_long_as_presignd_says(page, scripted):
    """Longer than its own back-off, but not for ever."""
    scripted.will(grant=[problem(503, "overloaded", {"Retry-After": s}) for s in ("7", "86400")] +
                  [problem(503, "overloaded", {"Retry-After": "Sun, 22 Nov 2026 00:00:00 GMT"}),
                   (201, scripted.packet())])
    waits = page("""
        hurry(100, 0)
        const waits = [], faster = self.setTimeout
        self.setTimeout = (f, ms) => { waits.push(ms); return faster(f, ms) }
        await go(file(1), { endpoint: args[0] })
        return waits.filter((ms) => ms % 60000)""", scripted.url)
    assert waits == [7500, 60500, 500]


def test_the_back_off_grows(page, scripted):
    scripted.will(grant=[CUT])
    waits = page("""
        hurry(1000)
        const waits = [], faster = self.setTimeout
        Math.random = () => 1
        self.setTimeout = (f, ms) => { waits.push(ms); return faster(f, ms) }
        await go(file(1), { endpoint: args[0], retries: 7 })
        return waits.filter((ms) => ms % 60000)""", scripted.url)
    assert waits == [1500, 2500, 4500, 8500, 15000, 15000, 15000]


@pytest.mark.parametrize("kind", ["grant", "store", "complete"])
def test_a_connection_that_stands_still(page, scripted, kind):
    """After a minute without any movement it is given up, and tried again."""
    good = {"grant": (201, scripted.packet()), "store": (204,), "complete": (200, {})}[kind]
    scripted.will(**{kind: [scripted.hold(), good]})
    out = page("hurry(200, 0); return await go(file(1000), { endpoint: args[0] })", scripted.url)
    assert out["value"]["id"] and len(scripted.asked(kind)) == 2


def test_a_connection_that_is_slow(page, scripted):
    """It takes longer than one that stands still would be given, but it moves."""
    scripted.server.pace_s = 0.03
    out = page("""
        hurry(40, 0)
        const began = performance.now()
        const out = await go(file(90 << 20), { endpoint: args[0] })
        return { ...out, s: (performance.now() - began) / 1000 }""", scripted.url)
    assert out["value"]["id"] and scripted.counts() == (1, 1, 1, 0)
    assert out["s"] > 2
    check_progress(out, 90 * MIB)
    rates = [p["rate"] for p in out["progress"] if p["rate"]]
    assert rates and max(rates) < 1e9


def test_an_answer_that_was_lost(page, scripted):
    """The store took the file, but nobody heard it: by the time of the next attempt the packet has
    ended, and presignd knows."""
    scripted.will(grant=[(201, scripted.packet(expires_in=1)),
                         problem(409, "upload_state", state="completed")], store=[CUT])
    out = page(GO, scripted.url, {})
    assert out["value"] == {"id": scripted.packet()["id"], "key": "a/b c",
                            "url": scripted.url + "/bucket/a/b%20c"}
    assert scripted.counts() == (2, 1, 1, 0)
    check_progress(out, 1000)


def test_an_upload_that_was_cancelled_elsewhere(page, scripted):
    scripted.will(grant=[(201, scripted.packet(expires_in=1)),
                         problem(409, "upload_state", state="cancelled")], store=[CUT])
    error = page(GO, scripted.url, {})["error"]
    assert error["code"] == "upload_state" and error["problem"]["state"] == "cancelled"


@pytest.mark.parametrize("fault", [CUT, refusal(403, "AccessDenied"), refusal(503, "SlowDown")],
                         ids=["cut", "403", "503"])
def test_a_packet_that_ended(page, scripted, fault):
    """A fresh one, by the same key; and not for ever."""
    scripted.will(grant=[(201, scripted.packet(expires_in=2))], store=[fault])
    error = page(GO, scripted.url, {})["error"]
    assert error["stage"] == "store"
    assert scripted.counts()[:3] == (6, 6, 0)
    assert len({a.headers["Idempotency-Key"] for a in scripted.asked("grant")}) == 1
    scripted.will(store=[fault, (204,)])
    assert "value" in page(GO, scripted.url, {})
    assert len({a.headers["Idempotency-Key"] for a in scripted.asked("grant")}) == 2


@pytest.mark.parametrize("clock, asked", [
    ("Date.now = () => now() + 3600e3", 2), ("Date.now = () => now() - 3600e3", 1),
    ("performance.now = () => 3600e3", 2)], ids=["forward", "back", "slept"])
def test_a_clock_that_is_set(page, scripted, clock, asked):
    """A packet that may have ended is not used; setting the clock back gives it no longer life."""
    scripted.will(store=[CUT, (204,)])
    out = page(f"""
        hurry(50)
        const now = Date.now
        return await go(file(1), {{ endpoint: args[0], onPacket: () => {{ {clock} }} }})""",
               scripted.url)
    assert "value" in out and scripted.counts() == (asked, 2, 1, 0)


def test_a_clock_that_was_set_back_and_a_packet_that_ended(page, scripted):
    scripted.will(grant=[(201, scripted.packet(expires_in=1))], store=[CUT, (204,)])
    page("""
        hurry(50)
        const now = Date.now
        const onPacket = () => { Date.now = () => now() - 3600e3 }
        await go(file(1), { endpoint: args[0], onPacket })""", scripted.url)
    assert scripted.counts() == (2, 2, 1, 0)


# ---- refusals are not ----------------------------------------------------------------------------

@pytest.mark.parametrize("answer, code, message", [
    (problem(422, "file_too_large", max_bytes=10), "file_too_large", "no: file_too_large"),
    (problem(429, "rate_limited", {"Retry-After": "7"}), "rate_limited", "no: rate_limited"),
    (problem(403, "quota_exceeded", used=1), "quota_exceeded", "no: quota_exceeded"),
    (problem(401, "missing_token"), "missing_token", "no: missing_token"),
    (problem(401, "invalid_token"), "invalid_token", "no: invalid_token"),
    (problem(409, "upload_state", state="completed"), "upload_state", "no: upload_state"),
    ((404, HTML), "invalid_answer", "404"), ((200, HTML), "invalid_answer", "no packet"),
    ((200, {"hello": 1}), "invalid_answer", "no packet"), ((201, b"null"), "invalid_answer", "no "),
    ((413, HTML), "invalid_answer", "413"),
], ids=lambda v: v if isinstance(v, str) else "")
def test_presignd_refuses(page, scripted, answer, code, message):
    scripted.will(grant=[answer])
    error = page(GO, scripted.url, {})["error"]
    assert error["code"] == code and message in error["message"] and error["stage"] == "grant"
    assert not error.get("retryable") and scripted.counts() == (1, 0, 0, 0)
    if isinstance(answer[1], dict) and answer[0] >= 400:
        assert error["problem"] == answer[1] and error["requestId"] == "r-1"
        assert error["status"] == answer[0]
    assert error.get("retryAfter") == (7 if code == "rate_limited" else None)


@pytest.mark.parametrize("answer, code, message", [
    (refusal(403, "AccessDenied", "[&quot;eq&quot;, &quot;$key&quot;]"), "AccessDenied",
     '["eq", "$key"]'),
    (refusal(400, "EntityTooLarge", "too large"), "EntityTooLarge", "too large"),
    ((403, HTML), None, "403"), ((412, b""), None, "412")], ids=["403", "400", "html", "empty"])
def test_the_store_refuses(page, scripted, answer, code, message):
    scripted.will(store=[answer])
    error = page(GO, scripted.url, {})["error"]
    assert error["code"] == "storage_refused" and error["stage"] == "store"
    assert error["status"] == answer[0] and error.get("storageCode") == code
    assert message in error["message"] and not error["retryable"]
    assert error.get("requestId") == ("s-1" if code else None)
    assert scripted.counts()[:3] == (1, 1, 0)


def test_a_store_that_does_not_know_the_page(page, page_server, scripted):
    """No CORS rule: the browser says nothing but that it failed, and the error says what to look
    for. With presignd's own answers hidden it is presignd that did not answer."""
    other = type(scripted)()
    try:
        other.server.cors = False
        scripted.will(grant=[(201, scripted.packet(url=other.url + "/bucket/"))])
        error = page(GO, scripted.url, {"retries": 1})["error"]
        assert error["code"] == "network_error" and error["stage"] == "store"
        assert "CORS" in error["message"] and page_server.origin in error["message"]
        assert other.url in error["message"]
        error = page(GO, other.url, {"retries": 1})["error"]
        assert error["code"] == "network_error" and error["stage"] == "grant"
        assert other.url in error["message"]
    finally:
        other.close()


def test_a_store_that_was_reached_is_not_blamed_for_its_cors(page, scripted):
    scripted.will(store=[CUT])
    assert "CORS" not in page(GO, scripted.url, {"retries": 1})["error"]["message"]


@pytest.mark.parametrize("answer", [
    problem(404, "not_found"), problem(409, "upload_state", state="granted"), (404, HTML),
    (200, HTML), problem(502, "storage_failed"), problem(401, "invalid_token")],
    ids=["no ledger", "missing", "html", "odd", "no right", "token"])
def test_completing_changes_nothing(page, scripted, answer):
    scripted.will(complete=[answer])
    out = page(GO, scripted.url, {})
    assert out["value"]["key"] == "a/b c" and scripted.counts() == (1, 1, 1, 0)
    check_progress(out, 1000)


def test_completing_is_tried_again(page, scripted):
    scripted.will(complete=[CUT, (502, HTML), (200, {"etag": "e"})])
    assert page(GO, scripted.url, {})["value"]["etag"] == "e"
    assert scripted.counts() == (1, 1, 3, 0)
    scripted.will(complete=[CUT])
    out = page(GO, scripted.url, {"retries": 1})
    assert "value" in out
    check_progress(out, 1000)


def test_completing_is_left_out(page, scripted):
    out = page(GO, scripted.url, {"complete": False})
    assert scripted.counts() == (1, 1, 0, 0) and states(out) == ["asking", "uploading", "done"]


# ---- tokens --------------------------------------------------------------------------------------

TOKENS = """
    const reasons = []
    const getToken = async ({ refresh }) => { reasons.push(refresh); return refresh ? "b" : "a" }
    const out = await go(file(1), { endpoint: args[0], getToken, retries: 0 })
    return { ...out, reasons }"""


def test_a_token_that_ended(page, scripted):
    scripted.will(grant=[problem(401, "invalid_token"), (201, scripted.packet())])
    out = page(TOKENS, scripted.url)
    assert out["value"]["id"] and out["reasons"] == [False, True, False]
    assert [a.headers["Authorization"] for a in scripted.asked("grant")] == ["Bearer a", "Bearer b"]
    assert len({a.headers["Idempotency-Key"] for a in scripted.asked("grant")}) == 1


@pytest.mark.parametrize("code, reasons", [("invalid_token", [False, True]),
                                           ("missing_token", [False]),
                                           ("insufficient_scope", [False])])
def test_no_token_will_do(page, scripted, code, reasons):
    scripted.will(grant=[problem(401, code)])
    out = page(TOKENS, scripted.url)
    assert out["error"]["code"] == code and out["reasons"] == reasons
    assert len(scripted.asked("grant")) == len(reasons)


@pytest.mark.parametrize("source, wanted", [
    ("() => { throw new RangeError('no') }", {"name": "RangeError", "message": "no"}),
    ("() => Promise.reject('nobody')", "nobody"), ("() => Promise.reject()", None),
    ("async () => 'a\\nb'", "TypeError"), ("async () => '☃'", "TypeError")],
    ids=["throws", "rejects", "rejects with nothing", "line", "snowman"])
def test_no_token_comes(page, scripted, source, wanted):
    """The page's own error, at once."""
    error = page(f"return (await go(file(1), {{ endpoint: args[0], getToken: {source} }})).error",
                 scripted.url)
    assert error == wanted or error["name"] == wanted
    assert scripted.counts() == (0, 0, 0, 0)


def test_a_token_that_is_long_in_coming(page, scripted):
    page.begin("""
        return await go(file(1), { endpoint: args[0], getToken: () => new Promise((resolve) => {
          self.signIn = resolve }) })""", scripted.url)
    page("self.signIn('late')")
    wait_until(lambda: scripted.asked("store"))
    page("self.signIn('later')")
    assert "value" in page.end()
    assert scripted.asked("grant")[0].headers["Authorization"] == "Bearer late"
    assert scripted.asked("complete")[0].headers["Authorization"] == "Bearer later"


# ---- aborting ------------------------------------------------------------------------------------

ABORT = """
    const controller = new AbortController(), { seen, until } = watch(), states = []
    const options = { endpoint: args[0], token: "t", signal: controller.signal, ...args[2] }
    if (args[3]) options.getToken = () => new Promise(() => {})
    const reached = until(({ state, loaded }) => state === args[1] && loaded >= args[4])
    const onProgress = (progress) => { states.push(progress.state); seen(progress) }
    const ended = settled(upload(file(3 << 20), { ...options, onProgress }))
    await reached
    await self.may
    controller.abort(new RangeError("enough"))
    const after = states.length, began = performance.now()
    const out = await ended
    return { ...out, after: states.slice(after), ms: performance.now() - began }"""


@pytest.mark.parametrize("state, hold, options, waits, loaded, counts", [
    ("hashing", None, {"checksum": "sha256"}, False, 0, (0, 0, 0, 0)),
    ("asking", None, {}, True, 0, (0, 0, 0, 0)),
    ("asking", "grant", {}, False, 0, (1, 0, 0, 0)),
    ("waiting", "grant-cut", {}, False, 0, (1, 0, 0, 0)),
    ("uploading", "store", {}, False, 1, (1, 1, 0, 1)),
    ("waiting", "store-cut", {}, False, 0, (1, 1, 0, 1)),
    ("completing", "complete", {}, False, 0, (1, 1, 1, 0)),
    ("waiting", "complete-cut", {}, False, 0, (1, 1, 1, 0)),
], ids=["hashing", "token", "asking", "asking again", "uploading", "sending again", "completing",
        "completing again"])
def test_aborting(page, scripted, state, hold, options, waits, loaded, counts):
    """It ends at once with the signal's reason. presignd hears of it when a packet was given and
    the store has not taken the file."""
    kind, _, cut = (hold or "").partition("-")
    if kind:
        scripted.will(**{kind: [CUT if cut else scripted.hold()]})
    page("Math.random = () => 1")  # the longest back-off
    if state == "hashing":
        page("Blob.prototype.arrayBuffer = () => new Promise(() => {})")
    page.begin("self.may = new Promise((resolve) => { self.now = resolve })\n" + ABORT,
               scripted.url, state, options, waits, loaded)
    if kind:
        wait_until(lambda: scripted.asked(kind))
    page("self.now()")
    out = page.end()
    assert out["error"] == {"name": "RangeError", "message": "enough"}
    assert out["after"] == [] and out["ms"] < 1000
    wait_until(lambda: len(scripted.asked("cancel")) >= counts[3])
    assert scripted.counts() == counts
    for cancelled in scripted.asked("cancel"):
        assert cancelled.path == f"/v1/uploads/{scripted.packet()['id']}"
        assert cancelled.headers["Authorization"] == "Bearer t"


def test_aborted_before_it_began(page, scripted):
    out = page("""
        const signal = AbortSignal.abort()
        return [await go(file(1), { endpoint: args[0], signal }),
                outcomes(await uploadAll([file(1), file(2)], { endpoint: args[0], signal }))]""",
               scripted.url)
    assert out[0]["error"]["name"] == "AbortError" and out[0]["progress"] == []
    assert [o["reason"]["name"] for o in out[1]] == ["AbortError"] * 2
    assert scripted.counts() == (0, 0, 0, 0)


@pytest.mark.parametrize("state, counts", [("asking", (0, 0, 0, 0)), ("uploading", (1, 0, 0, 1)),
                                           ("completing", (1, 1, 0, 0)), ("done", (1, 1, 1, 0))])
def test_aborted_by_its_own_progress(page, scripted, state, counts):
    """Nothing more is begun; what is done stays done."""
    out = page("""
        const controller = new AbortController()
        const onProgress = ({ state }) => { if (state === args[1]) controller.abort() }
        return await settled(upload(file(10), {
          endpoint: args[0], onProgress, signal: controller.signal }))""", scripted.url, state)
    wait_until(lambda: len(scripted.asked("cancel")) >= counts[3])
    assert ("value" in out) == (state == "done") and scripted.counts() == counts


def test_a_signal_that_lives_longer(page, scripted):
    """One for all the uploads of a page: it keeps nothing of those that have ended."""
    scripted.will(grant=[(201, scripted.packet()), problem(403, "quota_exceeded")])
    assert page("""
        const { signal } = new AbortController()
        let listening = 0
        const { addEventListener, removeEventListener } = EventTarget.prototype
        signal.addEventListener = (...what) => {
          listening++
          addEventListener.apply(signal, what)
        }
        signal.removeEventListener = (...what) => {
          listening--
          removeEventListener.apply(signal, what)
        }
        await settled(upload(file(1), { endpoint: args[0], signal }))
        await settled(upload(file(1), { endpoint: args[0], signal }))
        return listening""", scripted.url) == 0
    assert scripted.counts() == (2, 1, 1, 0)


def test_aborted_between_two_slices(page, scripted):
    out = page("""
        const controller = new AbortController(), seen = []
        const onProgress = ({ state, loaded }) => {
          seen.push([state, loaded])
          if (loaded) controller.abort()
        }
        const ended = await settled(upload(file(9 << 20), {
          endpoint: args[0], checksum: "sha256", onProgress, signal: controller.signal }))
        return { ...ended, seen }""", scripted.url)
    assert out["error"]["name"] == "AbortError"
    assert [state for state, _ in out["seen"]] == ["hashing"] * 2 and out["seen"][1][1] < 9 * MIB
    assert scripted.counts() == (0, 0, 0, 0)


def test_aborting_does_not_wait_for_the_cancelling(page, scripted):
    scripted.will(cancel=[scripted.hold()])
    out = page("""
        const controller = new AbortController()
        return await go(file(1), { endpoint: args[0], signal: controller.signal,
          onPacket: () => controller.abort("why not") })""", scripted.url)
    assert out["error"] == "why not"
    wait_until(lambda: scripted.counts() == (1, 0, 0, 1))


# ---- files, options, callbacks -------------------------------------------------------------------

@pytest.mark.parametrize("size", [3, 9 * MIB], ids=["small", "large"])
@pytest.mark.parametrize("change, checksum, grants", [
    ("touch", "sha256", 0), ("write", "sha256", 0), ("unlink", "sha256", 0), ("unlink", False, 1)])
def test_a_file_that_changed(browser, page, scripted, tmp_path, change, checksum, grants, size):
    """After it was chosen. That is no network error, though browsers say so."""
    path = tmp_path / "chosen.bin"
    path.write_bytes(bytes(size))
    browser.find_element("css selector", "input").send_keys(str(path))
    # A browser notes which file it was in its own time, but before it reads.
    page("await document.querySelector('input').files[0].slice(0, 1).arrayBuffer()")
    {"touch": lambda: os.utime(path, (1, 1)), "write": lambda: path.write_bytes(bytes(size + 1)),
     "unlink": path.unlink}[change]()
    error = page("""
        return (await go(document.querySelector("input").files[0],
          { endpoint: args[0], checksum: args[1] })).error""", scripted.url, checksum)
    assert error["code"] == "file_unreadable" and not error.get("retryable"), error
    assert (scripted.counts()[0], scripted.counts()[2]) == (grants, 0)


@pytest.mark.parametrize("call", [
    "upload()", "upload(file(1))", "upload(file(1), {})", "upload('text', { endpoint: args[0] })",
    "upload({ size: 1, type: '' }, { endpoint: args[0] })",
    "upload(file(1), { endpoint: '/here' })",
    "upload(file(1), { endpoint: 'localhost:8080' })", "upload(file(1), { endpoint: 'data:,x' })",
    "uploadAll()", "uploadAll(7, { endpoint: args[0] })"])
def test_what_cannot_be(page, scripted, call):
    assert page(f"return (await settled({call})).error.name", scripted.url) == "TypeError"
    assert scripted.counts() == (0, 0, 0, 0)


def test_callbacks_that_throw(page, scripted):
    """The upload goes on, and the page's developer hears of it."""
    out = page("""
        const heard = []
        addEventListener("error", ({ error }) => heard.push(error.message))
        const fail = () => { throw new Error("mine") }
        const [one] = await uploadAll([file(1)], { endpoint: args[0], onProgress: fail,
          onPacket: fail, onSettled: fail })
        return { status: one.status, heard: [...new Set(heard)] }""", scripted.url)
    assert out == {"status": "fulfilled", "heard": ["mine"]}


# ---- many files ----------------------------------------------------------------------------------

ALL = """
    const list = args[1].map((size, i) => file(size, "f" + i))
    const totals = [], ones = [], settledAt = []
    let under = 0, most = 0
    const begun = new Set()
    const result = await uploadAll(list, { endpoint: args[0], ...args[2],
      onProgress: (all, one) => {
        if (!begun.has(one.index)) { begun.add(one.index); most = Math.max(most, ++under) }
        totals.push(all)
        ones.push({ ...one, same: one.file === list[one.index] })
      },
      onSettled: (index, { status }) => { under--; settledAt.push([index, status]) } })
    return { outcomes: outcomes(result), totals, ones, settledAt, most }"""


def test_many_files(page, scripted):
    """One is refused; the others are not touched by it, and the totals meet at the end."""
    def grant():
        large = scripted.asked("grant")[-1].json["content_length"] == 5
        return problem(422, "file_too_large", max_bytes=4) if large else (201, scripted.packet())
    scripted.will(grant=[grant])
    out = page(ALL, scripted.url, [1, 2, 5, 0, 3], {"concurrency": 1})
    assert [o["status"] for o in out["outcomes"]] == [
        "fulfilled", "fulfilled", "rejected", "fulfilled", "fulfilled"]
    assert out["outcomes"][2]["reason"]["code"] == "file_too_large"
    assert out["settledAt"] == [[i, o["status"]] for i, o in enumerate(out["outcomes"])]
    assert out["most"] == 1 and all(o.pop("same") for o in out["ones"])
    last = out["totals"][-1]
    assert (last["loaded"], last["total"], last["done"], last["failed"], last["count"]) == (
        6, 6, 4, 1, 5)
    assert len({a.headers["Idempotency-Key"] for a in scripted.asked("grant")}) == 5
    for before, after in zip(out["totals"], out["totals"][1:], strict=False):
        assert after["loaded"] >= before["loaded"]


@pytest.mark.parametrize("concurrency, most", [(None, 4), (2, 2), (7, 6), (1, 1)])
def test_a_few_at_a_time(page, scripted, concurrency, most):
    out = page(ALL, scripted.url, [10] * 6, {} if concurrency is None else
               {"concurrency": concurrency})
    assert out["most"] == most
    assert [o["status"] for o in out["outcomes"]] == ["fulfilled"] * 6
    assert out["totals"][-1] | {"loaded": 60, "total": 60, "done": 6} == out["totals"][-1]


def test_no_files(page, scripted):
    assert page(ALL, scripted.url, [], {})["outcomes"] == []


def test_what_is_no_file_among_files(page, scripted):
    out = page("""
        const files = new Set([file(1), "text", null])
        return outcomes(await uploadAll(files, { endpoint: args[0] }))""", scripted.url)
    assert [o["status"] for o in out] == ["fulfilled", "rejected", "rejected"]
    assert out[1]["reason"]["name"] == out[2]["reason"]["name"] == "TypeError"


def test_hashing_is_not_counted_as_sent(page, scripted):
    out = page(ALL, scripted.url, [MIB, 9 * MIB], {"checksum": "sha256", "concurrency": 1})
    for total, one in zip(out["totals"], out["ones"], strict=True):
        if one["state"] == "hashing":
            assert total["loaded"] == MIB * one["index"]
    assert out["totals"][-1]["loaded"] == 10 * MIB


def test_cancelling_all(page, scripted):
    scripted.will(store=[(204,), scripted.hold()])
    page.begin("""
        self.controller = new AbortController()
        return outcomes(await uploadAll([1, 2, 3, 4].map((size) => file(size)), {
          endpoint: args[0], concurrency: 2, signal: controller.signal }))""", scripted.url)
    wait_until(lambda: len(scripted.asked("store")) == 3)
    page("controller.abort('all')")
    out = page.end()
    assert sorted(o["status"] for o in out) == ["fulfilled"] + ["rejected"] * 3
    assert [o["reason"] for o in out if o["status"] == "rejected"] == ["all"] * 3
    wait_until(lambda: len(scripted.asked("cancel")) == 2)
    assert len(scripted.asked("grant")) == 3
