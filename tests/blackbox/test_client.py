"""The client, src/web/presignd.js, in headless Chromium against presignd and Ceph's gateway: page,
presignd and store are three origins. What cannot be had from a real store when it is wanted is in
test_client_faults.py.
"""
import hashlib

import nginx
import pytest
from browser import STORE_FRONT, StoreFront
from client_page import page, page_server, pattern, scripted  # noqa: F401
from service import Service, base_config, merge, wait_until
from tokens import token

MIB = 1 << 20
OPTIONS = "{ endpoint: args[0], token: args[1], ...args[2] }"
GO = f"return await go(file(...args[3]), {OPTIONS})"
PROFILE = {"content_types": ["text/*", "image/*", "application/*"], "max_bytes": 1 << 30,
           "min_bytes": 0}


@pytest.fixture(scope="module")
def config(rgw, store_url, page_server):
    """config(...): presignd for the store, with the page's origin allowed."""
    def make(**more):
        bucket = rgw.bucket_config() | {"public_endpoint": store_url}
        profile = PROFILE | {"bucket": "main", "key": "{user}/{uuid}/{filename}"}
        wide = {"limits": [{"name": "files", "kind": "count", "max": 10**6}]}
        return merge(base_config(
            cors={"origins": [page_server.origin]},
            buckets={"main": bucket, "put": bucket | {"post": False}},
            profiles={"default": profile,
                      "put": profile | {"bucket": "put"},
                      "tiny": profile | {"max_bytes": 10, "content_types": ["text/plain"]},
                      "albums": profile | {"metadata": {"allow": ["album"]}},
                      "checked": profile | {"checksum": "required"},
                      "unchecked": profile | {"checksum": "none"}},
            plans={"wide": wide,
                   "three": {"limits": [{"name": "files", "kind": "count", "max": 3}]},
                   "slow": {"limits": [{"name": "asks", "kind": "rate", "max": 2,
                                        "window_s": 3600}]}},
            default_plan="wide"), more)
    return make


@pytest.fixture(scope="module")
def credentials(rgw):
    return rgw.session_credentials()


@pytest.fixture(scope="module")
def api(config, credentials):
    with Service(config(), credentials=credentials) as s:
        yield s


def stored(rgw, key):
    return rgw.client().get_object(Bucket=rgw.bucket, Key=key)


def sha256_of(body):
    """Of what boto3 calls a body, which is never in memory as a whole."""
    digest = hashlib.sha256()
    for chunk in body.iter_chunks(MIB):
        digest.update(chunk)
    return digest.hexdigest()


def is_there(rgw, key):
    return rgw.client().list_objects_v2(Bucket=rgw.bucket, Prefix=key)["KeyCount"] > 0


def view(api, upload_id, user="alice"):
    return api.get(f"/v1/uploads/{upload_id}", token=api.token(user)).json


def asked(service, **members):
    """The log lines of requests for a packet."""
    return service.logs("request", method="POST", path="/v1/uploads", **members)


# ---- uploads -------------------------------------------------------------------------------------

@pytest.mark.parametrize("size", [0, 1, 10**7])
@pytest.mark.parametrize("more", [{}, {"method": "PUT"}, {"profile": "put"},
                                  {"checksum": "sha256"}, {"checksum": "sha256", "method": "PUT"}],
                         ids=["post", "put", "bucket", "sha256", "put sha256"])
def test_a_file_gets_there(api, page, rgw, store_url, size, more):
    out = page(GO, api.url, api.token(), more, [size, "Größe ☃.pdf"])
    result = out["value"]
    got = stored(rgw, result["key"])
    assert got["Body"].read() == pattern(size) and got["ContentType"] == "application/pdf"
    assert result["key"].endswith("/Größe ☃.pdf")
    assert result["url"].startswith(store_url) and "?" not in result["url"]
    assert result["etag"] == got["ETag"].strip('"') == hashlib.md5(pattern(size)).hexdigest()
    seen = view(api, result["id"])
    assert (seen["state"], seen["size"], seen["key"]) == ("completed", size, result["key"])
    method = "PUT" if "put" in more.values() or "PUT" in more.values() else "POST"
    assert seen["method"] == method
    loaded = [p["loaded"] for p in out["progress"] if p["state"] == "uploading"]
    assert loaded == sorted(loaded) and loaded[0] == 0 and loaded[-1] == size
    assert (out["progress"][-1]["state"], out["progress"][-1]["loaded"]) == ("done", size)


def test_300_mb(api, page, rgw):
    """With a rate and a time that make sense, and without 300 MB of memory in the page."""
    size = 300_000_000
    out = page(GO, api.url, api.token(), {}, [size, "large.bin"])
    key = out["value"]["key"]
    try:
        got = stored(rgw, key)
        wanted, chunk = hashlib.sha256(), pattern(MIB)
        for at in range(0, size, MIB):
            wanted.update(chunk[:size - at])
        assert got["ContentLength"] == size and sha256_of(got["Body"]) == wanted.hexdigest()
    finally:
        rgw.client().delete_object(Bucket=rgw.bucket, Key=key)
    moving = [p for p in out["progress"] if p["state"] == "uploading"]
    loaded = [p["loaded"] for p in moving]
    assert len(moving) > 3 and loaded == sorted(loaded) and loaded[-1] == size
    rated = [p for p in moving if p["rate"] > 0]
    assert rated and all(p["remaining"] == pytest.approx((size - p["loaded"]) / p["rate"])
                         for p in rated)


@pytest.mark.parametrize("make", ["new File(['abc'], 'notes')", "new Blob(['abc'])",
                                  "new File(['abc'], '')"], ids=["file", "blob", "nameless"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_without_type_or_name(api, page, rgw, make, method):
    out = page(f"return await go({make}, {OPTIONS})", api.url, api.token(), {"method": method})
    got = stored(rgw, out["value"]["key"])
    assert got["Body"].read() == b"abc" and got["ContentType"] == "application/octet-stream"


# nothing is left of the first three
NAMES = ["..", " ", "\u202e", 'quo"te\'s.txt', "a\r\nX-Evil: 1.txt", "\u202egpj.exe",
         "../../etc/passwd", "C:\\x\\y.txt",
         "\0nul.txt", "%2e%2e%2f.txt", "${filename}", "a;b=c&d+e f#g?h.txt", "<img src=x>.txt",
         "日本語 ☃ é.txt", "👩‍👩‍👧‍👦.png", "a" * 600 + ".txt",
         ".hidden", "name.", "CON"]


def test_hostile_names(api, page, rgw):
    """Each gets there, under a key that presignd made, or is refused in words; nothing of a name
    reaches another place."""
    out = page("""
        const files = args[2].map((name) => new File([name], name, { type: "text/plain" }))
        files.push(new File(["half"], "\\ud800.txt", { type: "text/plain" }))
        return outcomes(await uploadAll(files, { endpoint: args[0], token: args[1] }))""",
               api.url, api.token("mallory"), NAMES)
    for one, name in zip(out, [*NAMES, "half"], strict=True):
        if name in NAMES[:3]:
            assert one["reason"]["code"] == "filename_invalid", name
            continue
        assert one["status"] == "fulfilled", (name, one)
        key = one["value"]["key"]
        user, _, last = key.split("/")
        assert user == "mallory" and last not in ("..", ".", "")
        assert stored(rgw, key)["Body"].read() == name.encode()


def test_20_files_at_once(api, page, rgw):
    """Four are under way at a time; the totals are those of all."""
    out = page("""
        const files = Array.from({ length: 20 }, (_, i) => file(100000 + i, `f${i}.bin`))
        const running = new Set(), totals = []
        let most = 0
        const result = await uploadAll(files, {
          endpoint: args[0], token: args[1],
          onProgress: (all, { index }) => {
            totals.push(all)
            most = Math.max(most, running.add(index).size)
          },
          onSettled: (index) => running.delete(index),
        })
        return { outcomes: outcomes(result), totals, most }""", api.url, api.token())
    assert out["most"] == 4
    keys = [o["value"]["key"] for o in out["outcomes"]]
    assert len(set(keys)) == 20
    for i, key in enumerate(keys):
        assert key.endswith(f"/f{i}.bin") and stored(rgw, key)["Body"].read() == pattern(100000 + i)
    loaded = [t["loaded"] for t in out["totals"]]
    assert loaded == sorted(loaded)
    last, total = out["totals"][-1], 20 * 100000 + 190
    assert (last["loaded"], last["total"], last["done"], last["failed"]) == (total, total, 20, 0)


def test_metadata(api, page, rgw):
    out = page(GO, api.url, api.token(),
               {"profile": "albums", "metadata": {"album": "Größe 42"}}, [3])
    got = stored(rgw, out["value"]["key"])
    assert got["Metadata"] == {"album": "Gr%C3%B6%C3%9Fe%2042"}


def test_in_a_worker(api, page, rgw):
    out = page("""
        const worker = new Worker("/worker.js", { type: "module" })
        const said = new Promise((resolve, reject) => {
          worker.onmessage = ({ data }) => resolve(data)
          worker.onerror = reject
        })
        worker.postMessage({ file: file(9 << 20, "w.bin"), options: { endpoint: args[0],
          token: args[1], checksum: "sha256" } })
        return await said""", api.url, api.token())
    assert out["window"] is False
    assert stored(rgw, out["value"]["key"])["Body"].read() == pattern(9 * MIB)
    assert list(dict.fromkeys(out["states"])) == ["hashing", "asking", "uploading", "completing",
                                                  "done"]


@pytest.mark.parametrize("complete, state", [(True, "completed"), (False, "granted")])
def test_presignd_is_told(api, page, complete, state):
    out = page(GO, api.url, api.token(), {"complete": complete}, [5])
    assert view(api, out["value"]["id"])["state"] == state


def test_without_a_ledger(config, credentials, page, rgw):
    """There is nothing to complete or to cancel."""
    plain = config(ledger={"backend": "none"})
    del plain["plans"], plain["default_plan"]
    with Service(plain, credentials=credentials) as s:
        out = page(GO, s.url, s.token(), {}, [5])
        assert stored(rgw, out["value"]["key"])["Body"].read() == pattern(5)
        s.wait_log("request", method="POST", status=404)


# ---- checksums -----------------------------------------------------------------------------------

@pytest.mark.parametrize("secure", [True, False])
@pytest.mark.parametrize("size", [0, 1000, 8 * MIB + 1])
def test_a_checksum_that_the_profile_wants(api, page, rgw, secure, size):
    """The store compares; in slices above 8 MiB, and where the page has no Web Crypto."""
    out = page(f"""
        if (!args[4]) Object.defineProperty(crypto, "subtle", {{ value: undefined }})
        return await go(file(...args[3]), {OPTIONS})""",
               api.url, api.token(), {"profile": "checked"}, [size], secure)
    assert "x-amz-checksum-sha256" in out["packets"][0]["fields"]
    assert stored(rgw, out["value"]["key"])["Body"].read() == pattern(size)


@pytest.mark.parametrize("profile, checksum, code", [
    ("checked", False, "checksum_required"), ("unchecked", "sha256", "checksum_invalid"),
    ("unchecked", "auto", None), ("checked", "sha256", None), ("default", "sha256", None)])
def test_checksums_and_profiles(api, page, profile, checksum, code):
    out = page(GO, api.url, api.token(), {"profile": profile, "checksum": checksum}, [10])
    assert out.get("error", {}).get("code") == code


# ---- aborting ------------------------------------------------------------------------------------

def test_cancelled_in_the_middle(api, page, rgw):
    """The connection stops, presignd hears of it, and nothing is in the bucket."""
    out = page("""
        const controller = new AbortController(), packets = []
        let at = 0
        const ended = await settled(upload(file(200e6), {
          endpoint: args[0], token: args[1], signal: controller.signal,
          onPacket: (packet) => packets.push(packet),
          onProgress: ({ loaded }) => { if (loaded) { at ||= loaded; controller.abort() } } }))
        return { ...ended, at, packets }""", api.url, api.token("quitter"))
    assert out["error"]["name"] == "AbortError" and 0 < out["at"] < 200_000_000
    (packet,) = out["packets"]
    api.wait_log("request", method="DELETE", status=204)
    assert view(api, packet["id"], "quitter")["state"] == "cancelled"
    assert not is_there(rgw, packet["key"])


# ---- things that come back -----------------------------------------------------------------------

@pytest.fixture
def port():
    """One that stays ours while presignd is away."""
    if not nginx.PROGRAM:
        pytest.skip("nginx is not installed")
    held = nginx.Ports(1)
    yield held.numbers[0]
    held.close()


class Watched(StoreFront):
    """A front of the store that can go away and come back at the same place."""

    def __init__(self, endpoint):
        super().__init__(endpoint)
        self.text = STORE_FRONT.format(port=self.ports.numbers[0], endpoint=endpoint)

    def away(self):
        self.nginx.stop()

    def back(self):
        self.nginx = nginx.Nginx(self.ports.numbers[0], self.text)


SEEN = """
    self.progress = []
    return await go(file(...args[3]), { endpoint: args[0], token: args[1], ...args[2],
      onProgress: (one) => progress.push(one) })"""


def wait_state(page, state):
    wait_until(lambda: page(f"return progress.some(({{ state }}) => state === '{state}')"))


def test_presignd_is_started_while_it_is_asked(presignd, config, credentials, page, rgw, port):
    listen = f"127.0.0.1:{port}"
    page.begin(SEEN, f"http://{listen}", token(), {}, [1000])
    wait_state(page, "waiting")
    api = presignd(config(listen=listen), credentials=credentials)
    assert stored(rgw, page.end()["value"]["key"])["Body"].read() == pattern(1000)
    assert len(asked(api, status=201)) == 1


def test_presignd_is_restarted_during_the_upload(presignd, config, credentials, page, rgw, port,
                                                 tmp_path):
    """The file goes on to the store; that it is there is said to the next one."""
    settings = config(listen=f"127.0.0.1:{port}",
                      ledger={"backend": "sqlite", "path": str(tmp_path / "ledger.db")})
    first = presignd(settings, credentials=credentials)
    page.begin(SEEN, first.url, first.token(), {}, [200_000_000])
    wait_state(page, "uploading")
    first.stop()
    wait_state(page, "completing")
    second = presignd(settings, credentials=credentials)
    result = page.end()["value"]
    assert view(second, result["id"])["state"] == "completed"
    assert not asked(second)
    rgw.client().delete_object(Bucket=rgw.bucket, Key=result["key"])


def test_the_store_is_restarted_during_the_upload(presignd, config, credentials, page, rgw):
    """What was sent is lost; it begins again with the same packet."""
    front = Watched(rgw.endpoint)
    try:
        api = presignd(config(buckets={"main": {"public_endpoint": front.url}}),
                       credentials=credentials)
        page.begin(SEEN, api.url, api.token(), {}, [200_000_000])
        wait_until(lambda: page("return progress.some(({ loaded }) => loaded > 0)"))
        front.away()
        wait_state(page, "waiting")
        front.back()
        result = page.end()["value"]
        assert rgw.client().head_object(Bucket=rgw.bucket, Key=result["key"])["ContentLength"] == (
            200_000_000)
        assert len(asked(api, status=201)) == 1
        attempts = page("return progress.filter((p) => p.state === 'uploading')")
        assert attempts[-1]["attempt"] > 1 and attempts[-1]["loaded"] == 200_000_000
        rgw.client().delete_object(Bucket=rgw.bucket, Key=result["key"])
    finally:
        front.close()


def test_a_packet_that_ended_before_it_was_used(api, page, rgw):
    """A slow start: the store refuses the packet of one second, a fresh one for the same upload is
    asked for, and the file gets there."""
    out = page("""
        const send = XMLHttpRequest.prototype.send
        let slow = true
        XMLHttpRequest.prototype.send = function (...what) {
          setTimeout(() => send.apply(this, what), slow ? 2100 : 0)
          slow = false
        }
        return await go(file(1000), { endpoint: args[0], token: args[1], expiresIn: 1 })""",
               api.url, api.token("slow"))
    packets = out["packets"]
    assert len(packets) >= 2 and {p["id"] for p in packets} == {out["value"]["id"]}
    assert len({p["fields"]["policy"] for p in packets}) == len(packets)
    assert stored(rgw, out["value"]["key"])["Body"].read() == pattern(1000)


def test_a_token_that_ended(api, page):
    """getToken is asked for another one."""
    out = page("""
        const reasons = []
        const getToken = ({ refresh }) => { reasons.push(refresh); return args[refresh ? 2 : 1] }
        return { ...await go(file(10), { endpoint: args[0], getToken }), reasons }""",
               api.url, api.token(ttl_s=-3600), api.token())
    assert out["value"]["id"] and out["reasons"] == [False, True, False, True]
    assert view(api, out["value"]["id"])["state"] == "completed"


# ---- refusals ------------------------------------------------------------------------------------

@pytest.mark.parametrize("more, size, code, member", [
    ({"profile": "tiny", "contentType": "text/plain"}, 11, "file_too_large", ("max_bytes", 10)),
    ({"profile": "tiny"}, 5, "content_type_not_allowed", ("allowed", ["text/plain"])),
    ({"profile": "none"}, 5, "profile_not_allowed", None),
    ({"token": ""}, 5, "missing_token", None), ({"token": "x"}, 5, "invalid_token", None),
    ({"metadata": {"no": "1"}}, 5, "metadata_not_allowed", None),
    ({"expiresIn": 0}, 5, "expiry_not_allowed", None),
    ({"method": "HEAD"}, 5, "invalid_request", ("member", "method"))], ids=lambda v: str(v)[:20])
def test_refusals(api, page, more, size, code, member):
    """In presignd's words, and asked once."""
    before = len(asked(api))
    out = page(GO, api.url, api.token(), more, [size])
    error = out["error"]
    assert error["name"] == "UploadError" and error["code"] == code and error["stage"] == "grant"
    assert error["message"] == error["problem"]["detail"]
    assert error["status"] == error["problem"]["status"]
    assert error["requestId"] == error["problem"]["request_id"]
    assert member is None or error["problem"][member[0]] == member[1]
    api.wait_log("request", request_id=error["requestId"])
    assert len(asked(api)) == before + 1


def test_the_quota_ends_half_way(api, page, rgw):
    out = page("""
        return outcomes(await uploadAll(Array.from({ length: 6 }, () => file(10)), {
          endpoint: args[0], token: args[1], concurrency: 1 }))""",
               api.url, api.token("half", plan="three"))
    assert [o["status"] for o in out] == ["fulfilled"] * 3 + ["rejected"] * 3
    for one in out[:3]:
        assert stored(rgw, one["value"]["key"])["Body"].read() == pattern(10)
    for one in out[3:]:
        assert one["reason"]["code"] == "quota_exceeded"
        problem = one["reason"]["problem"]
        assert (problem["limit_name"], problem["limit"], problem["used"]) == ("files", 3, 3)
        api.wait_log("request", request_id=one["reason"]["requestId"])
    assert len(asked(api, user="half")) == 6


def test_too_fast(api, page):
    out = page("""
        return outcomes(await uploadAll([file(1), file(2), file(3)], {
          endpoint: args[0], token: args[1], concurrency: 1 }))""",
               api.url, api.token("hasty", plan="slow"))
    assert [o["status"] for o in out] == ["fulfilled", "fulfilled", "rejected"]
    error = out[2]["reason"]
    assert error["code"] == "rate_limited" and error["status"] == 429
    assert 1 <= error["retryAfter"] <= 1800 and not error["retryable"]
    api.wait_log("request", request_id=error["requestId"])
    assert len(asked(api, status=429)) == 1


def test_the_store_refuses(api, page, rgw):
    """Another size than the packet's: the store's own words, and once."""
    out = page(f"""
        const short = file(10)
        const options = {OPTIONS}
        options.onPacket = (packet) => {{ packet.fields.key += "x" }}
        return await go(short, options)""", api.url, api.token(), {})
    error = out["error"]
    assert error["code"] == "storage_refused" and error["stage"] == "store"
    assert error["status"] == 403 and error["storageCode"] == "AccessDenied" and error["requestId"]


def test_an_origin_that_is_not_allowed(presignd, config, page):
    """The browser hides what presignd says."""
    api = presignd(config(cors={"origins": ["https://app.test"]}))
    out = page(GO, api.url, api.token(), {"retries": 0}, [1])
    assert out["error"]["code"] == "network_error" and out["error"]["stage"] == "grant"
    assert api.url in out["error"]["message"]
