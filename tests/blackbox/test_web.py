"""The upload page and the client module as presignd serves them: which paths, headers, policy and
conditional answers; off unless asked for; changed by a reload."""
import json
import re
import signal
import socket
import subprocess

import pytest
import tokens
from browser import PageServer, open_page
from contract import APP, FILE, check_problem, rows
from service import (CREDENTIALS, TOP, WAIT_LIMIT_S, Service, base_config, read_raw, run_command,
                     wait_until)

FOLDER = TOP / "src/web"
TYPES = {"html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8",
         "css": "text/css; charset=utf-8", "svg": "image/svg+xml",
         "ts": "text/plain; charset=utf-8"}
CLIENT_BYTES_MAX = 6144


def path_of(file):
    return "/" if file.name == "index.html" else f"/{file.name}"


FILES = {path_of(f): f for f in sorted(FOLDER.iterdir())}
DEV = {"PRESIGND__LISTEN": "127.0.0.1:0", "PRESIGND__ADMIN_LISTEN": "127.0.0.1:0"}


@pytest.fixture(scope="module")
def web():
    with Service(base_config(ui=True)) as s:
        yield s


def policy(answer):
    """{directive: [source, …]} of the one policy that an answer has."""
    values = answer.headers.get_all("Content-Security-Policy")
    assert len(values) == 1 and "," not in values[0]
    out = {}
    for directive in values[0].split(";"):
        name, *sources = directive.split()
        assert name not in out, values
        out[name] = sources
    return out


def targets(service):
    """What the page may call beside its own origin."""
    sources = policy(service.get("/"))["connect-src"]
    assert sources[0] == "'self'" and len(set(sources)) == len(sources)
    return sources[1:]


# ---- what is served ------------------------------------------------------------------------------

def test_there_is_something_to_serve():
    assert {"/", "/presignd.js", "/presignd.d.ts", "/page.js", "/page.css", "/words.js",
            "/favicon.svg"} <= set(FILES)


@pytest.mark.parametrize("path", FILES)
def test_every_file_as_it_is(web, path):
    answer = web.get(path)
    assert answer.status == 200
    assert answer.body == FILES[path].read_bytes()
    headers = answer.headers
    assert headers["Content-Type"] == TYPES[FILES[path].suffix[1:]]
    assert headers["Content-Length"] == str(len(answer.body))
    assert headers["Cache-Control"] == "no-cache"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Vary"] == "Origin"
    assert re.fullmatch(r'"[0-9a-f]{32}"', headers["ETag"])
    for name in ("Set-Cookie", "Content-Encoding", "Access-Control-Allow-Origin"):
        assert name not in headers
    head = web.request("HEAD", path)
    assert head.status == 200 and head.body == b""
    apart = {"X-Request-Id", "Date"}
    assert {k: v for k, v in head.headers.items() if k not in apart} == \
        {k: v for k, v in headers.items() if k not in apart}


def test_tags_differ(web):
    assert len({web.get(path).headers["ETag"] for path in FILES}) == len(FILES)


def test_queries_mean_nothing_here(web):
    for path in ("/?profile=photos", "/?", "/page.js?v=1", "/?dry_run=1&x"):
        assert web.get(path).body == FILES[path.partition("?")[0]].read_bytes()


NOWHERE = ("/index.html", "/index", "//", "/page.js/", "//page.js", "/./page.js", "/../page.js",
           "/%70age.js", "/page%2ejs", "/page.js%20", "/PAGE.JS", "/Page.js", "/page", "/.js",
           "/page.js.map", "/page.js;v=1", "/web/page.js", "/src/web/page.js", "/favicon.ico",
           "/robots.txt", "/presignd", "/presignd.ts", "/page.js%00", "/\\page.js")


@pytest.mark.parametrize("path", NOWHERE)
def test_one_address_each(web, path):
    for method in ("GET", "POST"):
        status, headers, body = read_raw(web.raw(
            f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()))
        assert status == (400 if "%00" in path else 404), path
        assert ("cache-control", "no-store") in headers
        assert json.loads(body)["status"] == status
        assert not [k for k, _ in headers if k in ("etag", "content-security-policy")]


def test_methods(web):
    for path in FILES:
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            answer = web.request(method, path)
            check_problem(answer, 405, "method_not_allowed")
            assert answer.headers["Allow"] == "GET, HEAD"
            assert "ETag" not in answer.headers


def test_no_token_is_asked_for_and_none_is_looked_at(web):
    for value in ("Bearer nonsense", f"Bearer {web.token()}"):
        assert web.get("/", headers={"Authorization": value}).status == 200
    check_problem(web.get("/v1/quota"), 401, "missing_token")


def test_parts_are_not_served(web):
    """A Range is a wish (RFC 9110 section 14.2): the whole file answers it."""
    answer = web.get("/page.js", headers={"Range": "bytes=0-9"})
    assert answer.status == 200 and answer.body == FILES["/page.js"].read_bytes()


def test_a_body_is_no_part_of_it(web):
    status, _, _ = read_raw(web.raw(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"))
    assert status == 400


# ---- conditional requests ------------------------------------------------------------------------

CONDITIONS = {
    "the same": ("{tag}", 304), "weak": ("W/{tag}", 304), "any": ("*", 304),
    "a list": ('"a", {tag}', 304), "a list of weak ones": ('W/"a",W/{tag},W/"b"', 304),
    "commas in tags": ('"a,b", {tag}', 304), "another": ('"a"', 200), "nothing": ("", 200),
    "no quotes": ("{bare}", 200), "half a quote": ('"{bare}', 200), "inside": ('"x{bare}"', 200),
    "a star in a list": ('*, "a"', 200), "small w": ("w/{tag}", 200), "a date": (
        "Sun, 22 Nov 2026 05:51:05 GMT", 200), "commas": (",,,,", 200),
    "long": ('"' + "x" * 4000 + '"', 200), "many": ('"x", ' * 800 + "{tag}", 304),
}


@pytest.mark.parametrize("value,status", rows(CONDITIONS))
def test_if_none_match(web, value, status):
    tag = web.get("/page.js").headers["ETag"]
    value = value.replace("{tag}", tag).replace("{bare}", tag.strip('"'))
    for method in ("GET", "HEAD"):
        answer = web.request(method, "/page.js", headers={"If-None-Match": value})
        assert answer.status == status
        assert answer.headers["ETag"] == tag
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.headers["Vary"] == "Origin"
        whole = status == 200 and method == "GET"
        assert answer.body == (FILES["/page.js"].read_bytes() if whole else b"")
        # RFC 9110 section 8.6: a 304 has the length of what a 200 would bring, or none
        length = answer.headers.get("Content-Length")
        assert length == str(FILES["/page.js"].stat().st_size) or (status == 304 and not length)


def test_conditions_are_for_the_page_only(web):
    answer = web.get("/livez", headers={"If-None-Match": "*"})
    assert answer.status == 200 and "ETag" not in answer.headers


def test_one_connection_for_all(web):
    """Answers that share a connection share no body, type or header."""
    c = web.connection()
    tag = web.get("/").headers["ETag"]
    for _ in range(3):
        for path, file in FILES.items():
            answer = web.get(path, connection=c)
            assert answer.status == 200 and answer.body == file.read_bytes()
        assert web.get("/", headers={"If-None-Match": tag}, connection=c).status == 304
        grant = web.ask(FILE, connection=c)
        assert grant.status == 201 and grant.json["fields"]
        assert grant.headers["Cache-Control"] == "no-store"
        assert grant.headers["Content-Type"] == "application/json"
        assert "ETag" not in grant.headers and "Content-Security-Policy" not in grant.headers
        check_problem(web.get("/nope", connection=c), 404, "not_found")
        assert web.request("HEAD", "/page.js", connection=c).body == b""
    c.close()


# ---- other origins -------------------------------------------------------------------------------

def test_allowed_origins_may_import_the_client(web):
    answer = web.get("/presignd.js", headers={"Origin": APP})
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    same = web.get("/presignd.js", headers={
        "Origin": APP, "If-None-Match": answer.headers["ETag"]})
    assert same.status == 304 and same.headers["Access-Control-Allow-Origin"] == APP
    other = web.get("/presignd.js", headers={"Origin": "https://evil.test"})
    assert other.status == 200 and "Access-Control-Allow-Origin" not in other.headers
    preflight = web.request("OPTIONS", "/presignd.js", headers={
        "Origin": APP, "Access-Control-Request-Method": "GET"})
    assert preflight.status == 204
    assert preflight.headers["Access-Control-Allow-Methods"] == "GET, HEAD"


def test_cookies_do_not_stand_in_the_way(presignd):
    s = presignd(base_config(ui=True, auth={"cookie": "session"}, cors={"credentials": True}))
    cookie = {"Cookie": "session=x"}
    assert s.get("/", headers=cookie).status == 200
    assert s.get("/presignd.js", headers=cookie | {"Origin": APP}).status == 200
    evil = s.get("/presignd.js", headers=cookie | {"Origin": "https://evil.test"})
    assert evil.status == 200 and "Access-Control-Allow-Origin" not in evil.headers


# ---- the policy ----------------------------------------------------------------------------------

def test_policy(web):
    assert policy(web.get("/")) == {
        "default-src": ["'none'"], "script-src": ["'self'"], "style-src": ["'self'"],
        "img-src": ["'self'", "blob:"],
        "connect-src": ["'self'", "https://test-bucket.s3.eu-west-1.amazonaws.com"],
        "base-uri": ["'none'"], "form-action": ["'none'"], "frame-ancestors": ["'none'"],
        "require-trusted-types-for": ["'script'"]}
    assert {web.get(path).headers["Content-Security-Policy"] for path in FILES} == \
        {web.get("/").headers["Content-Security-Policy"]}


def bucket(**more):
    return {"bucket": "a-bucket", "region": "eu-west-1"} | more


BUCKETS = {
    "endpoint": ({"a": bucket(endpoint="http://127.0.0.1:7480")}, ["http://127.0.0.1:7480"]),
    "public endpoint": ({"a": bucket(endpoint="http://minio:9000",
                                     public_endpoint="https://Files.test:443")},
                        ["https://files.test"]),
    "host style": ({"a": bucket(endpoint="https://files.test:8443", path_style=False)},
                   ["https://a-bucket.files.test:8443"]),
    "IPv6": ({"a": bucket(endpoint="http://[::1]:9000")}, ["http:"]),
    "accelerate": ({"a": bucket(accelerate=True)}, ["https://a-bucket.s3-accelerate.amazonaws.com"]),
    "dualstack": ({"a": bucket(dualstack=True)},
                  ["https://a-bucket.s3.dualstack.eu-west-1.amazonaws.com"]),
    "dots": ({"a": bucket(bucket="a.b.c")}, ["https://s3.eu-west-1.amazonaws.com"]),
    "once": ({"a": bucket(endpoint="https://files.test"),
              "b": bucket(bucket="other", endpoint="https://files.test/")}, ["https://files.test"]),
    "two": ({"a": bucket(), "b": bucket(region="us-east-2")},
            ["https://a-bucket.s3.eu-west-1.amazonaws.com",
             "https://a-bucket.s3.us-east-2.amazonaws.com"]),
    "many": ({f"b-{i}": bucket(bucket=f"a-bucket-{i}") for i in range(100)}, ["https:"]),
    "many, one plain": ({f"b-{i}": bucket(bucket=f"a-bucket-{i}") for i in range(100)} | {
        "z": bucket(endpoint="http://127.0.0.1:1")}, ["https:", "http:"]),
}
MAIN = "https://test-bucket.s3.eu-west-1.amazonaws.com"


def test_buckets_and_reload(web):
    """Each configuration's own policy from the reload on, and another tag with it."""
    tags = {web.get("/").headers["ETag"]}
    for name, (buckets, want) in BUCKETS.items():
        web.reload(base_config(ui=True, buckets=buckets))
        got = wait_until(lambda: (t := targets(web)) != [MAIN] and t)
        # all loops have it when each of many connections gets it
        wait_until(lambda: all(targets(web) == got for _ in range(20)))
        extra = [] if set(want) <= {"https:", "http:"} and len(buckets) > 50 else [MAIN]
        assert sorted(got) == sorted(extra + want), name
        tags.add(web.get("/").headers["ETag"])
        web.reload(base_config(ui=True))
        wait_until(lambda: all(targets(web) == [MAIN] for _ in range(20)))
    assert len(tags) == len({tuple(sorted(want)) for _, want in BUCKETS.values()}) + 1


def test_a_signed_url_is_allowed(presignd):
    """What a packet says is what the policy lets through."""
    for more in (bucket(), bucket(endpoint="http://127.0.0.1:7480"),
                 bucket(public_endpoint="https://files.test:8443", path_style=False)):
        s = presignd(base_config(ui=True, buckets={"main": more}))
        origin = re.match(r"https?://[^/]+", s.ask(FILE).json["url"]).group()
        assert targets(s) == [origin]


def test_the_longest_policy_beside_a_long_request(presignd):
    """The answer's header finds room in the connection's memory, whatever the request's took."""
    long = {f"b-{i}": bucket(bucket=f"a-bucket-of-a-customer-{i:03}") for i in range(19)}
    s = presignd(base_config(ui=True, buckets=long))
    for size in (0, 1000, 4000, 7000, 7800):
        answer = s.get("/page.js", headers={"Origin": APP, "X-Request-Id": "x" * 64,
                                            "X-Padding": "x" * size})
        assert answer.status == 200 and answer.body == FILES["/page.js"].read_bytes()
        assert len(answer.headers["Content-Security-Policy"]) > 1400
    short = presignd(base_config(ui=True, buckets=long, limits={"header_bytes": 1024}))
    answer = short.get("/page.js", headers={"Origin": APP, "X-Padding": "x" * 700})
    assert answer.status == 200 and answer.body == FILES["/page.js"].read_bytes()


# ---- in a browser --------------------------------------------------------------------------------

FETCH = """
    const blocked = [];
    document.addEventListener("securitypolicyviolation", event => blocked.push(event.blockedURI));
    const text = await fetch(args[0]).then(answer => answer.text(), error => error.name);
    await new Promise(resolve => setTimeout(resolve));
    return [text, blocked.map(uri => new URL(uri).origin)];
"""
INLINE = """
    const script = document.createElement("script");
    try { script.textContent = "globalThis.ran = true"; } catch { return "TypeError"; }
    document.head.append(script);
    return globalThis.ran ?? "blocked";
"""


def test_a_browser_obeys(browser, presignd):
    """Buckets may be called, nothing else; and no cache keeps the policy that was before."""
    page = (b"here", "text/plain", {"Access-Control-Allow-Origin": "*"})
    with PageServer({"/": page}) as ours, PageServer({"/": page}) as other:
        s = presignd(base_config(ui=True, threads=1, buckets={"main": bucket(endpoint=ours.origin)}))
        run = open_page(browser, s.url)
        assert run(FETCH, f"{ours.origin}/") == ["here", []]
        assert run(FETCH, f"{other.origin}/") == ["TypeError", [other.origin]]
        assert run(INLINE) in ("blocked", "TypeError")
        tag = s.get("/").headers["ETag"]
        s.reload(base_config(ui=True, threads=1, buckets={"main": bucket(endpoint=other.origin)}))
        wait_until(lambda: s.get("/").headers["ETag"] != tag)
        run = open_page(browser, s.url)
        assert run(FETCH, f"{other.origin}/") == ["here", []]
        assert run(FETCH, f"{ours.origin}/") == ["TypeError", [ours.origin]]


# ---- on and off ----------------------------------------------------------------------------------

def check_off(service, **more):
    for path in FILES:
        for method in ("GET", "POST"):
            check_problem(service.request(method, path, **more), 404, "not_found")
        assert service.request("HEAD", path, **more).status == 404


def test_off_unless_asked_for(server):
    check_off(server)


def test_never_on_the_admin_listener(web):
    check_off(web, admin=True)


def test_reload_switches(presignd):
    s = presignd(base_config())
    c = s.connection()
    for _ in range(2):
        check_problem(s.get("/", connection=c), 404, "not_found")
        s.reload(base_config(ui=True))
        wait_until(lambda: all(s.get("/").status == 200 for _ in range(20)))
        assert s.get("/", connection=c).body == FILES["/"].read_bytes()
        s.reload(base_config())
        wait_until(lambda: all(s.get("/").status == 404 for _ in range(20)))
        check_off(s)
    assert not s.logs("reload_needs_restart")
    assert s.metrics()['presignd_requests_total{route="web",status="200"}'] >= 22
    c.close()


def read_answer(stream):
    """(status, body) of the next answer on a connection that stays open."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        assert line, head
        head += line
    status, headers, _ = read_raw(head)
    return status, stream.read(int(dict(headers)["content-length"]))


def test_a_reload_does_not_tear_what_is_under_way(presignd):
    """Answers wait in full socket buffers while the page is switched off."""
    s, asked = presignd(base_config(ui=True, threads=1)), 1000
    whole = FILES["/words.js"].read_bytes()
    with socket.socket() as c:
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.settimeout(WAIT_LIMIT_S)
        c.connect((s.host, s.port))
        c.sendall(b"GET /words.js HTTP/1.1\r\nHost: x\r\n\r\n" * asked)
        s.wait_log("request", path="/words.js")
        s.reload(base_config(threads=1))
        wait_until(lambda: s.get("/").status == 404)
        with c.makefile("rb") as stream:
            answers = [read_answer(stream) for _ in range(asked)]
    statuses = [status for status, _ in answers]
    assert set(statuses) == {200, 404} and statuses == sorted(statuses)
    assert all(body == whole for status, body in answers if status == 200)


def test_draining_still_serves(presignd):
    s = presignd(base_config(ui=True, drain={"delay_s": 2, "timeout_s": 10}))
    s.signal(signal.SIGTERM)
    wait_until(lambda: s.get("/readyz").status == 503)
    answer = s.get("/")
    assert answer.status == 200 and answer.body == FILES["/"].read_bytes()
    assert answer.headers["Connection"].lower() == "close"


@pytest.mark.parametrize("value", ["yes", 1, None, [], {}])
def test_not_a_yes(value, tmp_path):
    path = tmp_path / "presignd.json"
    config = json.dumps(base_config(ui=value)).replace("{dir}", str(tmp_path))
    path.write_text(config)
    for args in (("--config", path), ("--dev", "--config", path)):
        status, _, err = run_command("check", *args)
        assert status == 1 and re.search(r"^ui: ", err, re.M), err


# ---- what is seen of it --------------------------------------------------------------------------

def test_log_and_metrics(presignd):
    s = presignd(base_config(ui=True))
    for path in FILES:
        s.get(path)
    tag = s.get("/").headers["ETag"]
    s.get("/", headers={"If-None-Match": tag})
    s.request("HEAD", "/")
    lines = [s.wait_log("request", path=path, route="web", status=200) for path in FILES]
    assert [line["bytes"] for line in lines] == [f.stat().st_size for f in FILES.values()]
    assert s.wait_log("request", route="web", status=304)["bytes"] == 0
    assert s.wait_log("request", route="web", method="HEAD")["bytes"] == 0
    series = {k: v for k, v in s.metrics().items() if 'route="web"' in k}
    assert series == {'presignd_requests_total{route="web",status="200"}': len(FILES) + 2,
                      'presignd_requests_total{route="web",status="304"}': 1}
    names = [k for k in s.metrics() if k.startswith("presignd_requests_total")]
    assert len(names) == len(set(names))


# ---- serve --dev ---------------------------------------------------------------------------------

def page_address(service):
    hints = wait_until(lambda: "curl" in service.stdout() and service.stdout())
    found = [ln for ln in hints.splitlines() if ln.startswith("http://") and "#" in ln]
    assert len(found) == 1, hints
    return found[0]


@pytest.mark.parametrize("said", [{}, {"PRESIGND__UI": "false"}, {"PRESIGND__UI": "true"}])
def test_dev_shows_the_page(presignd, said):
    s = presignd(args=["--dev"], env=DEV | said, credentials=None)
    address = page_address(s)
    base, _, token = address.partition("/#token=")
    assert base == s.url and re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", token)
    assert s.get("/").body == FILES["/"].read_bytes()
    assert s.ask(FILE, token=token).status == 201
    assert not [e for e in s.logs() if token in json.dumps(e)]
    s.reload()
    assert s.get("/").status == 200


def test_dev_on_another_address_of_loopback(presignd):
    s = presignd(args=["--dev"], env=DEV | {"PRESIGND__LISTEN": "127.0.0.2:0"}, credentials=None)
    assert page_address(s).startswith(f"http://127.0.0.2:{s.port}/#token=")


def test_dev_with_a_file_that_says_no(presignd):
    s = presignd(base_config(ui=False), args=["--dev"])
    assert s.get("/").status == 200


def test_dev_without_a_token_of_ours(presignd):
    s = presignd(args=["--dev"], credentials=CREDENTIALS, env=DEV | {
        "PRESIGND__AUTH__ISSUERS": json.dumps([{
            "issuer": "https://login.test/", "audience": ["a"], "algorithms": ["RS256"],
            "jwks_url": "http://127.0.0.1:1/jwks"}])})
    hints = wait_until(lambda: "page" in s.stdout() and s.stdout())
    assert f"{s.url}/\n" in hints and "#token" not in hints


def test_check_says_what_is_in_force(tmp_path):
    for args, env, ui in ((("--dev",), {}, True), (("--dev",), {"PRESIGND__UI": "false"}, True)):
        status, out, err = run_command("check", *args, env=env)
        assert status == 0 and json.loads(out)["ui"] is ui, err
    path = tmp_path / "presignd.json"
    (tmp_path / "secret").write_bytes(tokens.SECRET)
    for ui in (True, False):
        config = json.dumps(base_config(ui=ui)).replace("{dir}", str(tmp_path))
        path.write_text(config)
        status, out, err = run_command("check", "--config", path)
        assert status == 0 and json.loads(out)["ui"] is ui, err


# ---- size ----------------------------------------------------------------------------------------

def test_client_is_small():
    packed = subprocess.run(["gzip", "-9n"], input=FILES["/presignd.js"].read_bytes(),
                            capture_output=True, check=True).stdout
    assert len(packed) <= CLIENT_BYTES_MAX
