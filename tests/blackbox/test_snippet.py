"""The README's examples for a page, run as they stand there: only the address is another."""
import pytest
import readme
from browser import PageServer, open_page, runner
from service import Service, base_config, wait_until

TEXT = "Grüße ☃ " * 100
ADDRESS = "https://upload.example.com"
HTML = "text/html; charset=utf-8"


def with_snippet(text):
    return f"<!doctype html><meta charset=utf-8><script>{text}</script>".encode()


@pytest.fixture(scope="module")
def snippet():
    return readme.block("js", "async function upload(")


@pytest.fixture(scope="module")
def page_server():
    """Its pages are put there when presignd's address is known."""
    with PageServer({}) as server:
        yield server


@pytest.fixture(scope="module")
def api(rgw, page_server, snippet):
    config = base_config(cors={"origins": [page_server.origin]}, ui=True,
                         buckets={"main": rgw.bucket_config()},
                         profiles={"default": {"key": "{uuid}/{filename}"}})
    with Service(config, credentials=rgw.session_credentials()) as s:
        page = with_snippet(snippet.replace(ADDRESS, s.url))
        page_server.server.pages["/"] = (page, HTML)
        yield s


@pytest.fixture
def page(api, browser, page_server):
    return open_page(browser, page_server.origin)


UPLOAD = """
    const file = new File([args[0]], args[1], { type: args[2] });
    if (args[4] !== null) Object.defineProperty(file, "size", { value: args[4] });
    try { return { key: await upload(file, args[3]) }; }
    catch (error) { return { error: error.message }; }"""


def run(page, token, name="Größe ☃.txt", kind="text/plain", size=None):
    return page(UPLOAD, TEXT, name, kind, token, size)


def test_it_is_short(snippet):
    assert len(snippet.splitlines()) <= 20 and ADDRESS in snippet


def test_a_file_arrives(api, page, rgw):
    key = run(page, api.token())["key"]
    assert key.endswith("/Größe ☃.txt")
    assert rgw.client().get_object(Bucket=rgw.bucket, Key=key)["Body"].read() == TEXT.encode()
    api.wait_log("request", method="POST", route="upload_complete", status=200)


@pytest.mark.parametrize("change, wish", [
    ({"kind": "text/html"}, {"content_type": "text/html"}),
    ({"size": 2 ** 21}, {"content_length": 2 ** 21}), ({"token": "not.a.token"}, {})])
def test_what_presignd_refuses_is_said_in_its_words(api, page, change, wish):
    said = run(page, **{"token": api.token()} | change)["error"]
    direct = api.ask({"content_type": "text/plain", "content_length": 1} | wish,
                     token=change.get("token", api.token()))
    assert direct.status >= 400 and said == direct.json["detail"]


def test_what_the_store_refuses(api, page):
    said = run(page, api.token(), size=3)["error"]
    assert said.startswith("the store answered 400: ") and "EntityTooLarge" in said


def test_an_answer_that_is_not_presignds(api, browser, page_server, snippet):
    """A load balancer's, say: here the page's own server, which knows no POST."""
    page = with_snippet(snippet.replace(ADDRESS, page_server.origin))
    page_server.server.pages["/other"] = (page, HTML)
    browser.get(page_server.origin + "/other")
    assert run(runner(browser), "t") == {"error": "presignd answered 501"}


# ---- with the client -----------------------------------------------------------------------------

# What the example finds on its page: elements by their ids, and who is signed in.
PAGE = """<!doctype html><meta charset=utf-8><input type=file id=input><progress id=bar></progress>
<button id=cancel>Cancel</button><p id=message></p>
<script>const session = { asked: [], token: refresh => (session.asked.push(refresh), jwt) }</script>
<script type=module>%s</script>"""


@pytest.fixture
def choose(api, browser, page_server, tmp_path):
    """choose(jwt, bytes): gives a file to the page of the example; element(id) then finds others."""
    example = readme.block("js", "import { upload }")
    assert example.count(ADDRESS) == 2
    text = PAGE % example.replace(ADDRESS, api.url)
    page_server.server.pages["/client"] = (text.encode(), HTML)
    browser.get(page_server.origin + "/client")
    element = lambda name: browser.find_element("id", name)
    wait_until(lambda: browser.execute_script("return !!input.onchange"))

    def choose(jwt, data):
        (tmp_path / "Größe.txt").write_bytes(data)
        browser.execute_script("window.jwt = arguments[0]", jwt)
        element("input").send_keys(str(tmp_path / "Größe.txt"))
        return element
    return choose


def test_the_client_uploads(api, browser, choose, rgw):
    element = choose(api.token(), TEXT.encode())
    said = wait_until(lambda: element("message").text)
    assert said.startswith("Uploaded as ") and said.endswith("/Größe.txt")
    body = rgw.client().get_object(Bucket=rgw.bucket, Key=said.removeprefix("Uploaded as "))["Body"]
    assert body.read() == TEXT.encode()
    assert float(element("bar").get_attribute("value")) == 1


def test_the_client_says_what_is_refused(api, browser, choose):
    element = choose("not.a.token", b"x")
    said = wait_until(lambda: element("message").text)
    assert said == api.ask({"content_type": "text/plain", "content_length": 1},
                           token="not.a.token").json["detail"]
    assert browser.execute_script("return session.asked") == [False, True]


def test_the_client_is_cancelled(api, browser, choose):
    browser.execute_script("session.token = () => { cancel.click(); return jwt }")
    element = choose(api.token(), TEXT.encode())
    assert wait_until(lambda: element("message").text) == "Cancelled"


def test_the_client_and_an_empty_file(api, browser, choose):
    """Nothing of nothing is no number a progress bar takes."""
    element = choose(api.token(), b"")
    assert wait_until(lambda: element("message").text) == api.ask(
        {"content_type": "text/plain", "content_length": 0}).json["detail"]
    assert not [e for e in browser.get_log("browser") if "Failed to load" not in e["message"]]
