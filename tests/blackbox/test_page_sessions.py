"""Who the upload page takes somebody for: links that sign in, and cookies that end and come back.

Whoever can make somebody follow a link must not get their files; and whoever signs in again finds
the files where they were.
"""
import pytest
import tokens
from service import Service, base_config
from upload_page import Page, Stage

ISOLATES = str.maketrans("", "", "\u2066\u2067\u2068\u2069")


@pytest.fixture(scope="module")
def store():
    """Takes everything."""
    stage = Stage("default-src 'none'")
    stage.store = (204, "", {})
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def api(store):
    plans = {"free": {"limits": [
        {"name": "files_a_day", "kind": "count", "max": 1000, "window_s": 86400}]}}
    config = base_config(ui=True, plans=plans, default_plan="free", auth={"cookie": "session"},
                         cors={"credentials": True}, buckets={"main": {
                             "bucket": "bucket", "endpoint": store.origin, "path_style": True}})
    with Service(config) as s:
        s.config["cors"]["origins"] = [s.url]
        s.reload(s.config)
        yield s


@pytest.fixture
def page(browser, api):
    """After every test: the policy was kept, and the console is clean."""
    page = Page(browser)
    yield page
    faults = page.look("window.violations ?? []") + page.console()
    page.throttle(-1)
    page.driver.delete_all_cookies()
    page.close()
    assert faults == []


def cookie(page, api, jwt):
    page.driver.execute_cdp_cmd("Network.setCookie", {
        "name": "session", "value": jwt, "url": api.url, "httpOnly": True})


def follow(page, jwt):
    """In the same tab, as a link of a mail does where the page is open."""
    page.driver.execute_script("location.hash = 'token=' + arguments[0]", jwt)


def who(page):
    return page.find("#who").text


def offer(page):
    section = page.find("#switch")
    return section.is_displayed() and page.find("#switch-text").text.translate(ISOLATES)


def keys(page, count):
    return [page.packet(index)["key"].split("/")[0] for index in range(count)]


SMALL = ("a.txt", "text/plain", 5)


# ---- links ---------------------------------------------------------------------------------------

def test_a_link_asks_who_is_signed_in(page, api):
    page.open(api.url, api.token("alice"))
    follow(page, api.token("mallory"))
    page.wait(lambda: offer(page) ==
              "This link signs you in as mallory. You are signed in as alice.")
    assert page.focused() == "Stay" and who(page) == "alice"
    assert page.look("location.href") == f"{api.url}/"
    page.wait(lambda: "mallory" in page.said())
    page.drop(SMALL)
    page.wait_states("done")
    page.click("#stay")
    assert not offer(page) and who(page) == "alice"
    page.driver.refresh()
    page.wait(lambda: who(page) == "alice")

    page.open(api.url, api.token("mallory"))  # a page opened anew has the same tab
    page.driver.refresh()
    page.wait(lambda: who(page) == "alice")


def test_switching(page, api):
    """What alice added waits for a Retry; what she finished stays."""
    page.open(api.url, api.token("alice"))
    page.drop(SMALL)
    page.wait_states("done")
    page.throttle(50000)
    page.drop(*((f"{i}.png", "image/png", 600000) for i in range(6)))
    page.wait(lambda: page.row(4)["percent"] > 0 and page.row(6)["state"] == "queued")
    follow(page, api.token("mallory"))
    page.wait(lambda: offer(page))
    assert offer(page).endswith("If you switch, 6 files will not go on without your Retry.")
    assert page.row(4)["state"] == "working"
    page.click("#switch-over")
    page.throttle(-1)
    assert who(page) == "mallory" and not offer(page)
    page.wait_states("done", *["cancelled"] * 6)
    assert "signed in as mallory" in page.find("#notice").text.translate(ISOLATES)
    assert {log["user"] for log in api.logs("grant")} & {"mallory"} == set()
    page.click(".row:nth-child(2) .again")
    page.wait_states("done", "done", *["cancelled"] * 5)
    assert keys(page, 2) == ["alice", "mallory"]
    page.driver.refresh()
    page.wait(lambda: who(page) == "mallory")


@pytest.mark.parametrize("link", ["garbage", "", "%3Cscript%3E", "a.b", "a.b.c", "ended"])
def test_a_link_that_is_none(page, api, link):
    """Costs nobody their sign-in."""
    page.open(api.url, api.token("alice"))
    follow(page, api.token("bob", ttl_s=-3600) if link == "ended" else link)
    page.wait(lambda: page.find("#notice").is_displayed())
    assert page.find("#notice").text.translate(ISOLATES) == (
        "This sign-in link has ended, or is not accepted here. You are signed in as alice.")
    assert not page.find("#sign-in").is_displayed()
    page.drop(SMALL)
    page.wait_states("done")
    page.driver.refresh()
    page.wait(lambda: who(page) == "alice")


def test_a_link_of_the_same_user(page, api):
    """Is how a sign-in is renewed: nothing is asked, and what waited goes on."""
    page.open(api.url, api.token("alice"))
    ending(page, api)
    renewed = api.token("alice", ttl_s=1000)
    follow(page, renewed)
    page.wait_states("done")
    assert not offer(page) and who(page) == "alice"
    assert page.look("sessionStorage.getItem('presignd.token')") == renewed


def test_a_link_for_files_that_wait(page, api):
    """They were added by somebody else, or nobody knows by whom."""
    page.open(api.url)
    page.drop(SMALL)
    follow(page, api.token("mallory"))
    page.wait(lambda: offer(page) == "This link signs you in as mallory. You are not signed in. "
              "If you switch, 1 file will not go on without your Retry.")
    assert page.row()["state"] == "queued"
    page.click("#switch-over")
    page.wait_states("cancelled")
    page.click(".again")
    page.wait_states("done")


def test_a_pasted_token_of_another_user(page, api):
    """Says whose files they would be, and waits for a Retry."""
    page.open(api.url, api.token("alice"))
    ending(page, api)
    page.find("#token").send_keys(api.token("bob") + "\n")
    page.wait_states("cancelled")
    assert who(page) == "bob"
    assert "signed in as bob" in page.find("#notice").text.translate(ISOLATES)


def ending(page, api):
    """The token ends, and a file waits."""
    api.write("secret", b"another secret of the tests that is long enough for every algorithm there")
    try:
        api.reload()
        page.drop(SMALL)
        page.wait(lambda: page.row()["says"].startswith("Waiting for sign-in"))
    finally:
        api.write("secret", tokens.SECRET)
        api.reload()


def test_a_link_and_a_cookie(page, api):
    """A working cookie is not beaten silently either."""
    cookie(page, api, api.token("carol"))
    page.open(api.url, api.token("mallory"))
    page.wait(lambda: offer(page) ==
              "This link signs you in as mallory. You are signed in as carol.")
    page.drop(SMALL)
    page.wait_states("done")
    assert keys(page, 1) == ["carol"]
    page.click("#stay")
    page.open(api.url, api.token("carol"))
    assert not offer(page) and not page.find("#sign-out").is_displayed()


# ---- cookies -------------------------------------------------------------------------------------

def test_a_cookie_that_ends(page, api):
    """The queue survives, and goes on when somebody signed in elsewhere and says so."""
    cookie(page, api, api.token("carol"))
    page.open(api.url)
    assert who(page) == "carol"
    cookie(page, api, "ended")
    page.drop(SMALL)
    page.wait(lambda: page.find("#sign-in").is_displayed())
    assert page.find("#sign-in-title").text == "Your sign-in has ended"
    assert page.find("#sign-in-text").text == "Sign in again, then continue. 1 file will go on."
    assert not page.find("#token").is_displayed()
    page.click("#look-again")
    page.wait(lambda: page.find("#look-trouble").text == "You are not signed in yet.")
    cookie(page, api, api.token("carol"))
    page.click("#look-again")
    page.wait_states("done")
    assert not page.find("#sign-in").is_displayed() and keys(page, 1) == ["carol"]


@pytest.mark.parametrize("event", ["window.dispatchEvent(new Event('focus'))",
                                   "document.dispatchEvent(new Event('visibilitychange'))"],
                         ids=["focus", "visible"])
@pytest.mark.parametrize("user, after", [("carol", "done"), ("dave", "cancelled")])
def test_a_cookie_that_comes_back(page, api, event, user, after):
    """Is seen when somebody comes back to the page; another one's files wait for a Retry."""
    cookie(page, api, api.token("carol"))
    page.open(api.url)
    cookie(page, api, "ended")
    page.drop(SMALL)
    page.wait(lambda: page.find("#look-again").is_displayed())
    cookie(page, api, api.token(user))
    page.driver.execute_script(event)
    page.wait_states(after)
    assert who(page) == user


def test_a_token_instead_of_the_cookie(page, api):
    cookie(page, api, "ended")
    page.open(api.url)
    assert page.find("#sign-in-title").text == "Your sign-in has ended"
    page.drop(SMALL)
    page.click("#use-token")
    assert page.focused() == "token" and not page.find("#use-token").is_displayed()
    page.find("#token").send_keys(api.token("late") + "\n")
    page.wait_states("done")
    assert who(page) == "late" and page.find("#sign-out").is_displayed()


def test_a_cookie_of_another_user(page, api):
    """Changed behind the page's back: its own files do not go on with it."""
    cookie(page, api, api.token("carol"))
    page.open(api.url)
    page.throttle(50000)
    page.drop(*((f"{i}.png", "image/png", 600000) for i in range(5)))
    page.wait(lambda: page.row(0)["percent"] > 0)
    cookie(page, api, api.token("dave"))
    page.click(".stop")
    page.wait(lambda: who(page) == "dave")
    page.wait_states(*["cancelled"] * 5)
    page.throttle(-1)


# ---- accessibility -------------------------------------------------------------------------------

@pytest.mark.parametrize("scheme, width", [("light", 1280), ("dark", 390)])
def test_axe(page, api, scheme, width):
    """No rule of axe-core is broken while a link is decided on, and while a cookie has ended."""
    page.load_axe()
    page.emulate(color_scheme=scheme, reduced_motion="reduce")
    page.width(width)
    cookie(page, api, api.token("carol"))
    page.open(api.url)
    follow(page, api.token("mallory"))
    page.wait(lambda: offer(page))
    assert page.broken_rules() == []
    page.click("#stay")
    cookie(page, api, "ended")
    page.drop(SMALL)
    page.wait(lambda: page.find("#look-again").is_displayed())
    assert page.broken_rules() == []
    page.click("#use-token")
    page.wait(lambda: page.find("#token").is_displayed())
    assert page.broken_rules() == []
