"""A page on another origin: it gets its packet with `fetch` and uploads to the store.

Headless Chromium loads the page from a server of its own, so that every request to presignd and to
the store is a cross-origin one; what the page may see is what the browser lets it see.
"""
import time

import pytest
from browser import PageServer, open_page
from service import Service, base_config
from tokens import token

TEXT = "Grüße ☃ " * 100
DATA = TEXT.encode()

PAGE = b"""<!doctype html>
<meta charset="utf-8">
<title>upload</title>
<script>
'use strict'

// The packet for this file, or the problem; with the headers that the page can see.
async function ask (api, token, body, more = {}) {
  const response = await fetch(api + '/v1/uploads', {
    method: 'POST',
    headers: { Authorization: 'Bearer ' + token, 'Content-Type': 'application/json', ...more },
    body: JSON.stringify(body)
  })
  return { status: response.status, type: response.type,
           headers: Object.fromEntries(response.headers), body: await response.json() }
}

function describe (file) {
  return { content_type: file.type, content_length: file.size, filename: file.name }
}

async function post (packet, file) {
  const form = new FormData()
  for (const [name, value] of Object.entries(packet.fields)) form.append(name, value)
  form.append('file', file)
  const response = await fetch(packet.url, { method: 'POST', body: form })
  return { status: response.status, text: await response.text() }
}

async function put (packet, file) {
  const response = await fetch(packet.url, { method: 'PUT', headers: packet.headers, body: file })
  return { status: response.status, etag: response.headers.get('ETag') }
}

// As progress bars need it; a listener for progress makes the browser ask the store first.
function postWithProgress (packet, file) {
  return new Promise((resolve, reject) => {
    const form = new FormData()
    for (const [name, value] of Object.entries(packet.fields)) form.append(name, value)
    form.append('file', file)
    const xhr = new XMLHttpRequest()
    let sent = 0
    xhr.upload.onprogress = event => { sent = event.loaded }
    xhr.onload = () => resolve({ status: xhr.status, sent })
    xhr.onerror = () => reject(new TypeError('network error'))
    xhr.open('POST', packet.url)
    xhr.send(form)
  })
}

// Runs a script in a frame whose origin is "null".
function inSandbox (script) {
  return new Promise(resolve => {
    addEventListener('message', event => resolve(event.data), { once: true })
    const frame = document.createElement('iframe')
    frame.sandbox = 'allow-scripts'
    frame.srcdoc = '<script>' + script + '<' + '/script>'
    document.body.append(frame)
  })
}
</script>
<body></body>
"""
PAGES = {"/": (PAGE, "text/html; charset=utf-8")}


@pytest.fixture(scope="module")
def page_server():
    with PageServer(PAGES) as server:
        yield server


@pytest.fixture(scope="module")
def stranger():
    """A page on an origin that is not allowed."""
    with PageServer(PAGES) as server:
        yield server


@pytest.fixture(scope="module")
def api(rgw, store_url, page_server):
    """presignd for the store, with the page's origin allowed."""
    config = base_config(
        cors={"origins": [page_server.origin, "https://*.app.test"]},
        buckets={"main": rgw.bucket_config() | {"public_endpoint": store_url}},
        profiles={"default": {"key": "{user}/{uuid}/{filename}",
                              "fields": {"success_action_status": "201"}}})
    with Service(config, credentials=rgw.session_credentials()) as s:
        yield s


@pytest.fixture
def page(browser, page_server):
    """run(script, ...) on the allowed page: what the async function of this body returns."""
    return open_page(browser, page_server.origin)


IMAGE = {"content_type": "image/png", "content_length": 1}
ASK = "return await ask(...args)"
FILE = "const file = new File([args[2]], args[3], { type: args[4] });"


def stored(rgw, key):
    return rgw.client().get_object(Bucket=rgw.bucket, Key=key)["Body"].read()


# ---- uploads -------------------------------------------------------------------------------------

@pytest.mark.parametrize("send, method, wanted", [
    ("post", "POST", {"status": 201}), ("postWithProgress", "POST", {"status": 201}),
    ("put", "PUT", {"status": 200})])
def test_a_file_goes_from_the_page_to_the_store(api, page, rgw, send, method, wanted):
    out = page(FILE + f"""
        const granted = await ask(args[0], args[1], {{ ...describe(file), method: '{method}' }})
        return {{ granted, uploaded: await {send}(granted.body, file) }}""",
               api.url, api.token(), TEXT, "Größe ☃.txt", "text/plain")
    granted, uploaded = out["granted"], out["uploaded"]
    assert granted["status"] == 201 and granted["type"] == "cors"
    assert granted["body"]["method"] == method
    assert granted["body"]["key"].endswith("/Größe ☃.txt")
    assert granted["body"]["metadata"]["content_length"] == len(DATA)
    assert uploaded | wanted == uploaded
    if send == "put":
        assert uploaded["etag"]
    if send == "postWithProgress":
        assert uploaded["sent"] > len(DATA)
    assert stored(rgw, granted["body"]["key"]) == DATA


def test_a_binary_file_that_the_page_made(api, page, rgw):
    """Every byte value, a type from the page, more than one packet on the wire."""
    out = page("""
        const bytes = new Uint8Array(300000).map((_, i) => i * 7)
        const file = new File([bytes], 'noise.png', { type: 'image/png' })
        const granted = await ask(args[0], args[1], describe(file))
        return { key: granted.body.key, uploaded: await post(granted.body, file) }""",
               api.url, api.token())
    assert out["uploaded"]["status"] == 201
    assert f"<Key>{out['key']}</Key>" in out["uploaded"]["text"]
    assert stored(rgw, out["key"]) == bytes(i * 7 & 255 for i in range(300000))


def test_the_browser_asks_first(page, page_server):
    """A preflight let the request pass, and its answer serves for the next request too."""
    with Service(base_config(cors={"origins": [page_server.origin]})) as s:
        for number in ("1", "2"):
            more = {"X-Request-Id": number, "Idempotency-Key": "k" + number}
            answer = page(ASK, s.url, s.token(), IMAGE, more)
            assert answer["status"] == 201
            assert answer["headers"]["x-correlation-id"] == number
        s.wait_log("request", method="POST", status=201, after=1)
        assert [e["status"] for e in s.logs("request", method="OPTIONS")] == [204]


def test_what_the_page_may_read(api, page):
    answer = page(ASK, api.url, api.token(), IMAGE, {"X-Request-Id": "n-1"})
    assert answer["status"] == 201
    seen = answer["headers"]
    assert seen["content-type"] == "application/json"
    assert seen["location"] == f"/v1/uploads/{answer['body']['id']}"
    assert seen["x-request-id"] and seen["x-correlation-id"] == "n-1"
    assert seen["cache-control"] == "no-store"


def test_a_larger_file_than_said(api, page, rgw):
    """The store refuses, and the page can read why."""
    out = page(FILE + """
        const wrong = { ...describe(file), content_length: file.size - 1 }
        const granted = await ask(args[0], args[1], wrong)
        return { key: granted.body.key, uploaded: await post(granted.body, file) }""",
               api.url, api.token(), TEXT, "a.txt", "text/plain")
    assert out["uploaded"]["status"] == 400 and "EntityTooLarge" in out["uploaded"]["text"]
    listed = rgw.client().list_objects_v2(Bucket=rgw.bucket, Prefix=out["key"])
    assert listed["KeyCount"] == 0


def test_another_type_than_said(api, page, rgw):
    """A PUT that the store refuses: the page learns at least that it failed."""
    out = page(FILE + """
        const granted = await ask(args[0], args[1], { ...describe(file), method: 'PUT' })
        granted.body.headers['content-type'] = 'text/html'
        let failed = false
        try { failed = (await put(granted.body, file)).status === 403 } catch { failed = true }
        return { key: granted.body.key, failed }""",
               api.url, api.token(), TEXT, "a.txt", "text/plain")
    assert out["failed"]
    listed = rgw.client().list_objects_v2(Bucket=rgw.bucket, Prefix=out["key"])
    assert listed["KeyCount"] == 0


# ---- refusals that a page can read ---------------------------------------------------------------

@pytest.mark.parametrize("body, code, member, value", [
    ({"content_type": "text/html", "content_length": 1}, "content_type_not_allowed", "allowed",
     ["image/*", "text/plain", "application/pdf"]),
    (IMAGE | {"content_length": 1048577}, "file_too_large", "max_bytes", 1048576),
    (IMAGE | {"content_length": 0}, "file_too_small", "min_bytes", 1)])
def test_a_problem_of_the_file(api, page, body, code, member, value):
    answer = page(ASK, api.url, api.token(), body)
    problem = answer["body"]
    assert answer["status"] == problem["status"] == 422 and problem["code"] == code
    assert answer["headers"]["content-type"] == "application/problem+json"
    assert problem[member] == value and problem["message"] == problem["detail"]
    assert problem["request_id"] == answer["headers"]["x-request-id"]


@pytest.mark.parametrize("jwt", ["not.a.token", token(ttl_s=-3600), token(key=b"x" * 40)],
                         ids=["none", "old", "another's"])
def test_a_problem_of_the_token(api, page, jwt):
    answer = page(ASK, api.url, jwt, IMAGE)
    assert answer["status"] == 401 and answer["body"]["code"] == "invalid_token"


def test_no_token(api, page):
    answer = page("""
        const response = await fetch(args[0] + '/v1/uploads', { method: 'POST', body: '{}',
          headers: { 'Content-Type': 'application/json' } })
        return { status: response.status, body: await response.json() }""", api.url)
    assert answer["status"] == 401 and answer["body"]["code"] == "missing_token"


def test_the_time_to_try_again(page, page_server):
    """Credentials that are about to end: a 503 whose Retry-After the page can read."""
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 75))
    credentials = {"AWS_ACCESS_KEY_ID": "ASIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "x" * 40,
                   "AWS_SESSION_TOKEN": "t", "AWS_CREDENTIAL_EXPIRATION": end}
    with Service(base_config(cors={"origins": [page_server.origin]}), credentials=credentials) as s:
        answer = page(ASK, s.url, s.token(), IMAGE)
    assert answer["status"] == 503 and answer["body"]["code"] == "credentials_expiring"
    assert int(answer["headers"]["retry-after"]) >= 1


# ---- origins -------------------------------------------------------------------------------------

def grants(service):
    return sum(v for k, v in service.metrics().items() if k.startswith("presignd_grants_total"))


def test_another_origin_gets_nothing(api, browser, stranger):
    run = open_page(browser, stranger.origin)
    before = grants(api)
    assert run(ASK, api.url, api.token(), IMAGE) == "TypeError"
    assert grants(api) == before
    # nor can it read anything that needs no preflight
    for plain in ({}, {"method": "POST", "body": "{}"}):
        assert run("return (await fetch(args[0] + '/v1/uploads', args[1])).status",
                   api.url, plain) == "TypeError"
    assert grants(api) == before


def test_a_sandboxed_frame_gets_nothing(api, page):
    """Its origin is "null", which every sandbox and file shares."""
    before = grants(api)
    said = page("""
        return await inSandbox(`fetch('${args[0]}/v1/uploads', { method: 'POST', body: '{}',
            headers: { Authorization: 'Bearer ${args[1]}', 'Content-Type': 'application/json' } })
          .then(r => parent.postMessage(self.origin + ' ' + r.status, '*'),
                e => parent.postMessage(self.origin + ' ' + e.name, '*'))`)""",
                api.url, api.token())
    assert said == "null TypeError"
    assert grants(api) == before


def test_a_cookie_instead_of_a_header(page, page_server, browser, stranger):
    """With a cookie the browser sends the token by itself, so the origin must be known."""
    config = base_config(cors={"origins": [page_server.origin], "credentials": True},
                         auth={"cookie": "session"})
    ask = """
        const response = await fetch(args[0] + '/v1/uploads', {
          method: 'POST', credentials: 'include', headers: args[1], body: JSON.stringify(args[2]) })
        return { status: response.status, body: await response.json() }"""
    json_type = {"Content-Type": "application/json"}
    with Service(config) as s:
        page("document.cookie = 'session=' + args[0]", s.token())
        answer = page(ask, s.url, json_type, IMAGE)
        assert answer["status"] == 201, answer

        # cookies know no port: the stranger's requests carry it too
        run = open_page(browser, stranger.origin)
        assert run("return document.cookie.startsWith('session=')")
        assert run(ask, s.url, json_type, IMAGE) == "TypeError"
        assert run(ask, s.url, {"Content-Type": "text/plain"}, IMAGE) == "TypeError"
        s.wait_log("request", method="POST", status=403)
        assert grants(s) == 1
        run("document.cookie = 'session=; max-age=0'")
