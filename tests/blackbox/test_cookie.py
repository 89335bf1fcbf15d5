"""The token in a cookie, in a real browser: who may use it, and who may not.

A log-in server sets it, HttpOnly, so that no script reads it; the browser brings it along by itself,
also to requests that a stranger's page makes. Names below .localhost are this machine, and what ends
in the same last two labels is one site, so that SameSite has something to tell apart:

    app.example.localhost      the page of the people       allowed origin
    upload.example.localhost   presignd, and its own page   allowed origin
    blog.example.localhost     a neighbour on the site      not allowed
    stranger.localhost         another site                 not allowed
"""
import json

import pytest
from browser import PageServer, runner
from service import Service, base_config, wait_until
from tokens import token

HTML = "text/html; charset=utf-8"
BLANK = b"<!doctype html><meta charset=utf-8><title>page</title>"
SITE = "example.localhost"
LAX = "HttpOnly; Secure; SameSite=Lax"
NONE = "HttpOnly; Secure; SameSite=None"
DATA = "a file"


class World:
    """The servers, the browser, and the cookie between them."""

    def __init__(self, driver, pages, service):
        self.driver, self.pages, self.service = driver, pages, service
        self.api = f"http://upload.{SITE}:{service.port}"
        self.app, self.neighbour, self.stranger = (
            f"http://{name}:{pages.port}"
            for name in (f"app.{SITE}", f"blog.{SITE}", "stranger.localhost"))
        service.reload(service.config | {"cors": {"origins": [self.app, self.api],
                                                  "credentials": True, "max_age_s": 0}})

    def log_in(self, jwt, attributes=LAX):
        """The answer of a log-in server of the site."""
        cookie = f"session={jwt}; Domain={SITE}; Path=/; {attributes}"
        self.pages.server.pages["/login"] = (BLANK, HTML, {"Set-Cookie": cookie})
        self.driver.get(self.app + "/login")

    def on(self, origin, path="/"):
        """run() on a page of this origin."""
        self.driver.get(origin + path)
        return runner(self.driver)

    def grants(self):
        return sum(v for k, v in self.service.metrics().items()
                   if k.startswith("presignd_grants_total"))

    def refusals(self):
        return len(self.service.logs("request", status=403, code="origin_not_allowed"))


@pytest.fixture(scope="module")
def pages():
    frame = BLANK + b"<meta name=referrer content=no-referrer>"
    with PageServer({"/": (BLANK, HTML), "/quiet": (frame, HTML)}) as server:
        yield server


@pytest.fixture(scope="module")
def service(rgw):
    limits = [{"name": "files", "kind": "count", "max": 1000}]
    config = base_config(auth={"cookie": "session"}, ui=True,
                         buckets={"main": rgw.bucket_config()},
                         default_plan="free", plans={"free": {"limits": limits}})
    with Service(config, credentials=rgw.session_credentials()) as s:
        yield s


@pytest.fixture(scope="module")
def servers(browser, pages, service):
    return World(browser, pages, service)


@pytest.fixture
def world(servers):
    """With no cookie left of the test before."""
    servers.log_in("", LAX + "; Max-Age=0")
    return servers


UPLOAD = f"""
    const {{ upload }} = await import(args[0] + "/presignd.js");
    const file = new File(["{DATA}"], "a.txt", {{ type: "text/plain" }});
    const stop = new AbortController();
    const options = {{ endpoint: args[0], signal: stop.signal, ...args[1] }};
    if (args[2]) options.onPacket = () => stop.abort();
    try {{ return await upload(file, options); }}
    catch (error) {{ return {{ name: error.name, code: error.code, message: error.message }}; }}"""
INCLUDE = {"credentials": "include"}
ASK = {"content_type": "text/plain", "content_length": 6}


# ---- the people's page ---------------------------------------------------------------------------

@pytest.mark.parametrize("attributes", [LAX, NONE, "HttpOnly; Secure; SameSite=Strict"])
def test_a_page_of_the_site_uploads(world, rgw, attributes):
    world.log_in(token("carol"), attributes)
    run = world.on(world.app)
    assert run("return document.cookie") == ""
    done = run(UPLOAD, world.api, INCLUDE)
    assert rgw.client().get_object(Bucket=rgw.bucket, Key=done["key"])["Body"].read() == DATA.encode()
    settled = world.service.wait_log("request", route="upload_complete", upload_id=done["id"])
    assert settled["status"] == 200 and settled["user"] == "carol"


def test_a_cancelled_upload_is_given_back(world):
    """DELETE goes with the cookie too, though the page does not wait for it."""
    world.log_in(token())
    assert world.on(world.app)(UPLOAD, world.api, INCLUDE, True)["name"] == "AbortError"
    assert world.service.wait_log("request", method="DELETE")["status"] == 204


def test_cookies_stay_at_home_unless_asked_for(world):
    world.log_in(token())
    refused = world.on(world.app)(UPLOAD, world.api, {})
    assert (refused["name"], refused["code"]) == ("UploadError", "missing_token")


def test_the_header_beats_the_cookie(world):
    world.log_in(token("alice"))
    run = world.on(world.app)
    done = run(UPLOAD, world.api, INCLUDE | {"token": token("bob")})
    assert world.service.wait_log("grant", upload_id=done["id"])["user"] == "bob"
    assert run(UPLOAD, world.api, INCLUDE | {"token": "x.y.z"})["code"] == "invalid_token"


@pytest.mark.parametrize("jwt, code", [
    (token(ttl_s=-3600), "invalid_token"), ("no.token.this", "invalid_token"),
    ("", "invalid_token"), (None, "missing_token")], ids=["ended", "none", "empty", "gone"])
def test_a_cookie_that_serves_no_more(world, jwt, code):
    world.log_in(jwt or "", LAX if jwt is not None else LAX + "; Max-Age=0")
    refused = world.on(world.app)(UPLOAD, world.api, INCLUDE)
    direct = world.service.ask(ASK, token=jwt and "x")
    assert refused == {"name": "UploadError", "code": code, "message": direct.json["detail"]}


def test_without_leave_for_credentials(world):
    """cors.credentials is what lets another origin's page send cookies: without it, not even ask."""
    world.log_in(token())
    before = world.grants()
    config = world.service.config
    world.service.reload(config | {"cors": config["cors"] | {"credentials": False}})
    try:
        refused = world.on(world.app)(UPLOAD, world.api, INCLUDE | {"retries": 0})
    finally:
        world.service.reload(config)
    assert refused["code"] == "network_error" and world.grants() == before


# ---- what others make the browser send -----------------------------------------------------------

FORM = """
    const frame = document.createElement("iframe");
    frame.name = "answer";
    const form = document.createElement("form");
    Object.assign(form, { method: "post", action: args[0], target: "answer", enctype: args[1] });
    const field = document.createElement("input");
    Object.assign(field, { name: args[2], value: args[3] });
    form.append(field);
    document.body.append(frame, form);
    form.submit();"""
NO_CORS = """await fetch(args[0], { method: "POST", mode: "no-cors", credentials: "include",
    headers: { "Content-Type": args[1] }, body: args[2] + args[3] }); return "sent";"""
CORS = """return (await fetch(args[0], { method: "POST", credentials: "include",
    headers: { "Content-Type": args[1] }, body: args[2] + args[3] })).status;"""
BEACON = """return navigator.sendBeacon(args[0], new Blob([args[2] + args[3]], { type: args[1] }));"""
# A form field whose "name=value" is JSON.
TEXT = json.dumps(ASK)[:-1] + ', "filename": "', '"}'


@pytest.mark.parametrize("script, kind", [
    (FORM, "text/plain"), (FORM, "application/x-www-form-urlencoded"),
    (FORM, "multipart/form-data"), (NO_CORS, "text/plain"), (CORS, "text/plain"),
    (BEACON, "text/plain")], ids=["form", "urlencoded", "multipart", "no-cors", "cors", "beacon"])
@pytest.mark.parametrize("who, attributes, path", [
    ("stranger", NONE, "/"), ("stranger", NONE, "/quiet"),
    ("neighbour", LAX, "/"), ("neighbour", LAX, "/quiet")],
    ids=["stranger", "stranger without a name", "neighbour", "neighbour without a name"])
def test_a_forged_request(world, who, attributes, path, script, kind):
    """The cookie comes along, and does not help; with no-referrer the Origin is "null"."""
    world.log_in(token(), attributes)
    grants, refusals = world.grants(), world.refusals()
    world.on(getattr(world, who), path)(script, world.api + "/v1/uploads", kind, *TEXT)
    wait_until(lambda: world.refusals() == refusals + 1)
    assert world.grants() == grants


def test_a_strangers_script_may_not_even_ask(world):
    """JSON needs leave, and there is none: nothing but the question arrives."""
    world.log_in(token(), NONE)
    grants, refusals = world.grants(), world.refusals()
    for who in (world.stranger, world.neighbour):
        run = world.on(who)
        assert run(CORS, world.api + "/v1/uploads", "application/json", json.dumps(ASK), "") == (
            "TypeError")
        assert run(UPLOAD, world.api, INCLUDE) == "TypeError"  # not even the module may be had
    assert (world.grants(), world.refusals()) == (grants, refusals)


def test_a_lax_cookie_stays_on_its_site(world):
    world.log_in(token(), LAX)
    before = len(world.service.logs("request", code="missing_token"))
    world.on(world.stranger)(NO_CORS, world.api + "/v1/uploads", "text/plain", *TEXT)
    world.service.wait_log("request", code="missing_token", after=before)


def test_a_frame_without_an_origin(world):
    """Sandboxed, its origin is "null", on whosever page it stands."""
    world.log_in(token(), NONE)
    refusals = world.refusals()
    world.on(world.app)("""
        const frame = document.createElement("iframe");
        frame.sandbox = "allow-scripts";
        frame.srcdoc = `<script>fetch("${args[0]}/v1/uploads",
          { method: "POST", mode: "no-cors", credentials: "include", body: "{}" })</script>`;
        document.body.append(frame);""", world.api)
    wait_until(lambda: world.refusals() == refusals + 1)


def test_looking_changes_nothing(world):
    """A GET that names no origin may pass: a stranger can have it sent, not read it, and all stays."""
    world.log_in(token("dave"), NONE)
    quota = lambda: world.service.get("/v1/quota", token=token("dave")).json["limits"]
    before, run = quota(), world.on(world.stranger)
    seen = len(world.service.logs("request", route="quota", status=200))
    run('await fetch(args[0], { mode: "no-cors", credentials: "include" })', world.api + "/v1/quota")
    world.service.wait_log("request", route="quota", status=200, after=seen)
    assert run('return (await fetch(args[0], { credentials: "include" })).status',
               world.api + "/v1/quota") == "TypeError"
    run('await fetch(args[0], { mode: "no-cors", credentials: "include" })',
        world.api + "/v1/uploads?dry_run=1")
    assert quota() == before


# ---- presignd's own page -------------------------------------------------------------------------

def choose(driver, tmp_path):
    (tmp_path / "page.txt").write_text(DATA)
    driver.find_element("css selector", "input[type=file]").send_keys(str(tmp_path / "page.txt"))


def test_the_page_needs_no_token_then(world, rgw, tmp_path):
    world.log_in(token("erin"))
    world.on(world.api)
    choose(world.driver, tmp_path)
    grant = world.service.wait_log("grant", user="erin")
    world.service.wait_log("request", route="upload_complete", upload_id=grant["upload_id"])
    body = rgw.client().get_object(Bucket=rgw.bucket, Key=grant["key"])["Body"].read()
    assert body == DATA.encode()


def test_the_page_says_when_its_origin_is_not_on_the_list(world, tmp_path):
    world.log_in(token("frank"))
    config = world.service.config
    world.service.reload(config | {"cors": config["cors"] | {"origins": [world.app]}})
    try:
        world.on(world.api)
        choose(world.driver, tmp_path)
        said = world.driver.find_element("tag name", "main")
        wait_until(lambda: f"does not accept uploads from this page ({world.api})" in said.text)
    finally:
        world.service.reload(config)
    assert not world.service.logs("grant", user="frank")
