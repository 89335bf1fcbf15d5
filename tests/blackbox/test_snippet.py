"""The README's examples for a page, run as they stand there: only the address is another."""
import pytest
import readme
from browser import PageServer, open_page, runner
from service import Service, base_config

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
    config = base_config(cors={"origins": [page_server.origin]},
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
