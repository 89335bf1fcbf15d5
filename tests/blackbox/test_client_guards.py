"""The client, src/web/presignd.js, on its guard: what it refuses to begin with, what it refuses to
believe, what it gives back, and how long it waits. The rest of what goes wrong is in
test_client_faults.py.
"""
import re

import pytest
from client_page import CUT, page, page_server, problem, refusal, scripted  # noqa: F401
from service import TOP, wait_until

pytestmark = pytest.mark.without_presignd

GO = """
    hurry(50)
    const asked = [], real = fetch
    self.fetch = (request, ...more) => { asked.push(request.method); return real(request, ...more) }
    const out = await go(file(1000), { endpoint: args[0], token: "t", ...args[1] })
    return { ...out, asked }"""
REFUSED = refusal(403, "AccessDenied")


# ---- what a failed upload leaves -----------------------------------------------------------------

@pytest.mark.parametrize("faults, options, counts", [
    ({"store": [REFUSED]}, {}, (1, 1, 0, 1)),
    ({"store": [CUT]}, {"retries": 1}, (1, 2, 0, 1)),
    ({"store": [REFUSED]}, {"idempotencyKey": "a.B_9-"}, (1, 1, 0, 0)),
    ({"store": [CUT]}, {"retries": 1, "idempotencyKey": "k"}, (1, 2, 0, 0)),
    ({"grant": [problem(403, "quota_exceeded")]}, {}, (1, 0, 0, 0)),
    ({"complete": [problem(404, "not_found")]}, {}, (1, 1, 1, 0)),
], ids=["refused", "cut", "refused, key", "cut, key", "no packet", "stored"])
def test_a_failed_upload_gives_its_grant_back(page, scripted, faults, options, counts):
    """Once, after all attempts; not what is to be asked for again, nor what the store took."""
    scripted.will(**faults)
    out = page(GO, scripted.url, options)
    assert out["asked"].count("DELETE") == counts[3]
    wait_until(lambda: scripted.counts()[3] >= counts[3])
    assert scripted.counts() == counts
    for cancelled in scripted.asked("cancel"):
        assert cancelled.path == f"/v1/uploads/{scripted.packet()['id']}"
        assert cancelled.headers["Authorization"] == "Bearer t"


def test_giving_back_is_not_waited_for(page, scripted):
    scripted.will(store=[REFUSED], cancel=[scripted.hold()])
    assert page(GO, scripted.url, {})["error"]["code"] == "storage_refused"
    wait_until(lambda: scripted.counts() == (1, 1, 0, 1))


@pytest.mark.parametrize("answer", [CUT, problem(409, "upload_state"), problem(401, "x")],
                         ids=["cut", "409", "401"])
def test_giving_back_changes_nothing(page, scripted, answer):
    scripted.will(store=[REFUSED], cancel=[answer])
    out = page("""
        const heard = []
        addEventListener("unhandledrejection", ({ reason }) => heard.push(String(reason)))
        const { error } = await go(file(1), { endpoint: args[0] })
        await new Promise((resolve) => setTimeout(resolve))
        return { error, heard }""", scripted.url)
    assert out["error"]["code"] == "storage_refused" and out["heard"] == []


def test_its_own_key(page, scripted):
    """It stands in all that is asked, so that the second upload() is the first one again; and an
    aborted one is cancelled."""
    key = "a.B_9-" + "x" * 58
    scripted.will(store=[REFUSED, (204,)])
    first, second = page("""
        const options = { endpoint: args[0], idempotencyKey: args[1] }
        return [await go(file(1), options), await go(file(1), options)]""", scripted.url, key)
    assert "error" in first and "value" in second
    assert [a.headers["Idempotency-Key"] for a in scripted.asked("grant")] == [key, key]
    assert len({a.body for a in scripted.asked("grant")}) == 1
    scripted.will(store=[scripted.hold()])
    out = page("""
        const controller = new AbortController()
        return await go(file(1), { endpoint: args[0], idempotencyKey: args[1],
          signal: controller.signal, onPacket: () => controller.abort("enough") })""",
               scripted.url, key)
    assert out["error"] == "enough"
    wait_until(lambda: scripted.asked("cancel"))


@pytest.mark.parametrize("key", ["''", "'a b'", "'ä'", "'k\\n'", "'x'.repeat(65)", "5", "null",
                                 "['k']"])
def test_a_key_that_cannot_be(page, scripted, key):
    call = f"upload(file(1), {{ endpoint: args[0], idempotencyKey: {key} }})"
    assert page(f"return (await settled({call})).error.name", scripted.url) == "TypeError"
    assert scripted.counts() == (0, 0, 0, 0)


def test_one_key_cannot_be_that_of_many_files(page, scripted):
    call = "uploadAll([file(1), file(1)], { endpoint: args[0], idempotencyKey: 'k' })"
    assert page(f"return (await settled({call})).error.name", scripted.url) == "TypeError"
    assert scripted.counts() == (0, 0, 0, 0)


# ---- options that cannot be ----------------------------------------------------------------------

@pytest.mark.parametrize("option", [
    "endpoint: 'ftp://127.0.0.1/'", "endpoint: 'blob:http://127.0.0.1/x'", "endpoint: 'file:///x'",
    "endpoint: 'javascript:alert(1)'", "endpoint: null", "checksum: true", "checksum: 'SHA-256'",
    "checksum: 'md5'", "checksum: null", "retries: NaN", "retries: -1", "retries: Infinity",
    "retries: '3'", "retries: null"])
def test_options_that_cannot_be(page, scripted, option):
    """At once, with the option's name; with many files for each of them."""
    out = page(f"""
        hurry(50)
        const options = {{ endpoint: args[0], {option} }}
        return [(await settled(upload(file(1), options))).error,
                outcomes(await uploadAll([file(1)], options))[0].reason]""", scripted.url)
    for error in out:
        assert error["name"] == "TypeError" and option.partition(":")[0] in error["message"]
    assert scripted.counts() == (0, 0, 0, 0)


@pytest.mark.parametrize("value", ["NaN", "'x'", "'2'", "0", "-1", "Infinity", "null"])
def test_a_concurrency_that_cannot_be(page, scripted, value):
    error = page(f"""
        return (await settled(uploadAll([file(1)], {{
          endpoint: args[0], concurrency: {value} }}))).error""", scripted.url)
    assert error["name"] == "TypeError" and "concurrency" in error["message"]
    assert scripted.counts() == (0, 0, 0, 0)


@pytest.mark.parametrize("option", ["retries: 0", "retries: undefined", "checksum: undefined",
                                    "idempotencyKey: undefined", "concurrency: undefined"])
def test_options_that_can_be(page, scripted, option):
    out = page(f"""
        const options = {{ endpoint: args[0], {option} }}
        return [...await uploadAll([file(1)], options), await settled(upload(file(1), options))]""",
               scripted.url)
    assert all("value" in one for one in out)


# ---- what is not believed ------------------------------------------------------------------------

USELESS = [{"url": None}, {"url": 5}, {"url": ""}, {"url": "/evil"}, {"url": "http://["},
           {"url": "data:text/html,x"}, {"url": "javascript:alert(1)"}, {"url": "ftp://127.0.0.1/"},
           {"url": ["http://127.0.0.1/"]}, {"id": None}, {"id": 5}, {"key": None}, {"key": 5},
           {"method": None}, {"method": "TRACE"}, {"method": "__proto__"}, {"fields": None},
           {"fields": "abc"}, {"fields": 5}, {"method": "PUT"},
           {"method": "PUT", "headers": "x: y", "fields": None},
           {"fields": None, "headers": {"x": "y"}}]


@pytest.mark.parametrize("change", USELESS, ids=str)
def test_a_packet_that_cannot_be_used(page, page_server, scripted, change):
    """The file goes nowhere, nor is it asked again."""
    packet = {k: v for k, v in scripted.packet(**change).items() if v is not None}
    scripted.will(grant=[(201, packet)])
    out = page("""
        const opened = [], real = XMLHttpRequest.prototype.open
        XMLHttpRequest.prototype.open = function (...what) {
          opened.push(what.join(" "))
          return real.apply(this, what)
        }
        hurry(50)
        const out = await go(file(1), { endpoint: args[0] })
        return { ...out, opened }""", scripted.url)
    error = out["error"]
    assert (error["name"], error["code"], error["stage"], error["retryable"]) == (
        "UploadError", "invalid_answer", "grant", False)
    assert "no packet" in error["message"] and out["packets"] == out["opened"] == []
    assert scripted.counts() == (1, 0, 0, 0)


@pytest.mark.parametrize("status, body, code, message", [
    (422, {"code": {"a": 1}, "detail": ["x"]}, "invalid_answer", " answered 422"),
    (422, {"code": "file_too_large", "detail": 5}, "file_too_large", " answered 422"),
    (422, {"code": 7, "detail": "no"}, "invalid_answer", "no"),
    (503, {"code": [], "detail": {}}, "network_error", " answered 503"),
], ids=["both", "detail", "code", "503"])
def test_a_problem_in_odd_types(page, scripted, status, body, code, message):
    """What stands in the error is what the types say, whatever was answered."""
    scripted.will(grant=[(status, body)])
    error = page(GO, scripted.url, {"retries": 0})["error"]
    assert error["code"] == code and error["message"].endswith(message)
    assert error["problem"] == body and error["retryable"] is (status >= 500)


@pytest.mark.parametrize("location", [
    "javascript:alert(1)//", "data:text/html,x", "/bucket/key", "ftp://x/y", "http://[", ""],
    ids=["javascript", "data", "path", "ftp", "broken", "empty"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_an_address_that_is_none(page, scripted, location, method):
    """Then it is that of the packet."""
    if method == "PUT":
        scripted.will(grant=[(201, scripted.packet(
            method="PUT", url=scripted.url + "/bucket/a/b%20c?X=y", fields=None, headers={}))])
    scripted.will(store=[(200, b"", {"Location": location})])
    assert page(GO, scripted.url, {})["value"]["url"] == scripted.url + "/bucket/a/b%20c"


@pytest.mark.parametrize("faults, retryable", [
    ({"grant": [CUT]}, True), ({"grant": [problem(503, "overloaded")]}, True),
    ({"store": [CUT]}, True), ({"store": [refusal(503, "SlowDown")]}, True),
    ({"grant": [(200, {})]}, False), ({"grant": [(404, "<p>")]}, False),
    ({"grant": [problem(429, "rate_limited")]}, False), ({"store": [REFUSED]}, False),
], ids=["no presignd", "503", "no store", "slow", "no packet", "404", "429", "refused"])
def test_every_error_is_whole(page, scripted, faults, retryable):
    scripted.will(**faults)
    error = page(GO, scripted.url, {"retries": 0})["error"]
    assert error["retryable"] is retryable
    assert isinstance(error["status"], int) and isinstance(error["problem"], dict)
    assert error["stage"] == ("store" if "store" in faults else "grant")


def test_an_error_of_the_pages_own(page):
    error = page("return told(new UploadError('code', 'message'))")
    assert error == {"name": "UploadError", "code": "code", "message": "message", "status": 0,
                     "stage": "grant", "problem": {}, "retryable": False}


# ---- how long it waits ---------------------------------------------------------------------------

MINUTE_MS = 60_000

# The bounds that stand while the file goes out, and when it has gone: [loaded, ms] in turn.
BOUNDS = """
    const bounds = [], real = setTimeout
    let bound
    self.setTimeout = (f, ms) => { bound = ms; return real(f, ms) }
    const out = await go(file(args[1]), { endpoint: args[0],
      onProgress: ({ state, loaded }) => state === "uploading" && bounds.push([loaded, bound]) })
    return { ...out, bounds }"""


def test_it_waits_longer_when_all_is_sent(page, scripted):
    """A minute without movement; but where all bytes were handed over, they may still be on their
    way, and the store has five minutes for its answer."""
    scripted.server.pace_s = 0.01
    size = 60 << 20
    out = page(BOUNDS, scripted.url, size)
    assert "value" in out
    under_way = [ms for loaded, ms in out["bounds"] if loaded < size]
    assert len(under_way) > 2 and set(under_way) == {MINUTE_MS}
    assert {ms for loaded, ms in out["bounds"] if loaded == size} >= {5 * MINUTE_MS}
    assert out["bounds"][-1] == [size, 5 * MINUTE_MS]


def test_an_empty_file_waits_as_long(page, scripted):
    assert page(BOUNDS, scripted.url, 0)["bounds"][-1] == [0, 5 * MINUTE_MS]


@pytest.mark.parametrize("minutes, counts", [(1, (1, 1, 1, 0)), (5, (1, 2, 1, 0))])
def test_a_store_that_thinks(page, scripted, minutes, counts):
    """Its answer comes after a minute, and is heard; after five it is asked again."""
    scripted.will(store=[scripted.hold((204,)), (204,)])
    page.begin("""
        const real = setTimeout
        Math.random = () => 0
        // time passes when the test says so, for what waits so long and no longer
        self.pass = (minutes) => waiting.filter(({ ms }) => ms <= minutes * 60_000)
          .forEach(({ f }) => f())
        const waiting = []
        self.sent = false
        self.setTimeout = (f, ms) => {
          if (ms < 60_000) return real(f, 0)
          return waiting.push({ f, ms })
        }
        self.clearTimeout = (id) => { if (id) waiting[id - 1] = { ms: Infinity } }
        return await go(file(1000), { endpoint: args[0],
          onProgress: ({ loaded }) => { if (loaded) self.sent = true } })""", scripted.url)
    wait_until(lambda: scripted.asked("store"))
    wait_until(lambda: page("return self.sent"))
    page("pass(args[0])", minutes)
    if minutes == 1:
        scripted.held[0].set()
    assert "value" in page.end() and scripted.counts() == counts


# ---- what its reference shows --------------------------------------------------------------------

def test_the_example_and_an_empty_file(page, scripted):
    """The example's onProgress, as it stands there, with nothing to send."""
    types = (TOP / "src/web/presignd.d.ts").read_text()
    shown = re.search(r"^ \*   onProgress: (.*),$", types, re.M)[1]
    out = page("""
        const bar = document.createElement("progress"), heard = []
        addEventListener("error", ({ message }) => heard.push(message))
        const onProgress = eval(args[1])
        const out = await settled(upload(new Blob(), { endpoint: args[0], onProgress }))
        return { ...out, heard, at: bar.value }""", scripted.url, shown)
    assert "value" in out and out["heard"] == [] and out["at"] == 1
