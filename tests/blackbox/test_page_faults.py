"""The upload page, where presignd, the store or the browser do what they should not.

`Stage` plays presignd and the store. What went wrong once must cost that file, and nothing else: no
row may stay "working", and no file may wait behind one.
"""
import re

import pytest
from service import Service, base_config
from upload_page import PACKET, Page, Stage, problem, xml

POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
          "connect-src 'self'; require-trusted-types-for 'script'")
SIX = [(f"{i}.txt", "text/plain", 5) for i in range(6)]
GRANTED = (201, PACKET, {})
TAKEN = (204, "", {})
# what the browsers that the README names do not have yet
TOO_NEW = """
    for (const [holder, ...names] of [[URL, 'parse', 'canParse'], [Promise, 'withResolvers', 'try'],
        [Intl, 'Segmenter', 'DurationFormat'], [AbortSignal, 'any'], [Array, 'fromAsync'],
        [RegExp, 'escape'], [Object, 'groupBy'], [Map, 'groupBy'], [globalThis, 'Iterator'],
        [Math, 'sumPrecise'], [Uint8Array, 'fromBase64'], [Uint8Array.prototype, 'toBase64'],
        [Set.prototype, 'union', 'difference', 'intersection'],
        [Blob.prototype, 'bytes'], [Response.prototype, 'bytes']])
        for (const name of names) delete holder[name];
"""


@pytest.fixture
def stage():
    stage = Stage(POLICY)
    stage.grant, stage.store = GRANTED, TAKEN
    yield stage
    stage.close()


@pytest.fixture
def page(browser):
    """After every test: the policy was kept, and the console is clean."""
    page = Page(browser)
    yield page
    faults = page.look("window.violations ?? []") + page.console()
    page.close()
    assert faults == []


# ---- whatever is answered ------------------------------------------------------------------------

@pytest.mark.parametrize("code", ["constructor", "__proto__", "toString", "hasOwnProperty"])
def test_a_word_that_every_object_knows(page, stage, code):
    """As the store's code, presignd's code, and the kind of a limit."""
    stage.quota = {"user": "u", "limits": [None, 5, {
        "name": code, "kind": code, "limit": 9, "used": 1, "remaining": 8, "window_s": 60}]}
    stage.store = xml(400, code)
    page.open(stage.origin, "a.b.c")
    page.drop(*SIX)
    rows = page.wait_states(*["failed"] * 6)
    assert all(r["says"] == "Storage refused. The storage did not take the file "
               f"({code})." for r in rows)
    stage.grant = problem(400, code, detail="Because.")
    page.click("#retry-all")
    page.wait(lambda: all(r["says"] == "Not uploaded. Because." for r in page.rows()))


def test_a_refusal_without_words(page, stage):
    """A browser that cannot join words: each file has failed, and the next one is begun."""
    page.on_load("Intl.ListFormat = undefined")
    page.open(stage.origin, "a.b.c")
    stage.grant = problem(422, "content_type_not_allowed", allowed=["image/*", "text/csv"])
    page.drop(*SIX)
    rows = page.wait_states(*["failed"] * 6)
    assert {r["says"] for r in rows} == {"Not uploaded. Something went wrong."}


def test_an_older_browser(page, stage):
    """Uploads, refusals and long names without what came after it."""
    page.on_load(TOO_NEW)
    page.open(stage.origin, "a.b.c")
    page.drop(("x" * 90 + ".txt", "text/plain", 5))
    page.wait_states("done")
    stage.store = xml(403, "AccessDenied")
    page.drop(*SIX)
    rows = page.wait_states("done", *["failed"] * 6)
    assert "AccessDenied" in rows[1]["says"]


# ---- what was reserved ---------------------------------------------------------------------------

class Asked:
    """What the page asked of the stage, since the last look."""

    def __init__(self, stage):
        self.stage = stage

    def keys(self):
        return [key for method, path, _, key in self.stage.asked
                if (method, path) == ("POST", "/v1/uploads")]

    def deleted(self):
        return [(path, who) for method, path, who, _ in self.stage.asked if method == "DELETE"]


@pytest.fixture
def asked(stage):
    return Asked(stage)


GONE = [("/v1/uploads/1", "Bearer a.b.c")]


def refuse_one(page, stage):
    stage.store = xml(403, "AccessDenied")
    page.open(stage.origin, "a.b.c")
    page.drop(("a.txt", "text/plain", 5))
    page.wait_states("failed")


def test_a_retry_has_what_was_reserved(page, stage, asked):
    """The same key after a failure, another one for another wish or when it was cancelled."""
    refuse_one(page, stage)
    page.click(".again")
    page.wait(lambda: len(asked.keys()) == 2 and page.row()["state"] == "failed")
    first, second = asked.keys()
    assert first == second and asked.deleted() == []

    page.click("#options summary")
    page.click("#verify")
    page.click(".again")
    page.wait(lambda: len(asked.keys()) == 3 and page.row()["state"] == "failed")
    third = asked.keys()[2]
    assert third != first
    page.wait(lambda: asked.deleted() == GONE)

    stage.store = TAKEN
    page.click(".again")
    page.wait_states("done")
    assert asked.keys()[3] == third
    page.drop(("a.txt", "text/plain", 5))
    page.wait_states("done", "done")
    assert asked.keys()[4] not in (first, third)
    page.click("#clear")
    assert asked.deleted() == GONE  # what is done is not taken back


def test_a_checksum_that_is_required(page, stage, asked):
    """The retry wishes for the same from the beginning."""
    stage.grant, stage.store = problem(422, "checksum_required"), xml(403, "AccessDenied")
    page.open(stage.origin, "a.b.c")
    page.drop(("a.txt", "text/plain", 5))
    page.wait(lambda: "Verification needed" in page.row()["says"])
    assert len(asked.keys()) == 2
    stage.grant = GRANTED
    page.click(".again")
    page.wait(lambda: "Storage refused" in page.row()["says"])
    assert len(asked.keys()) == 3 and set(stage.wishes[1:]) == {stage.wishes[1]}
    assert "sha256" in stage.wishes[2] and "sha256" not in stage.wishes[0]


@pytest.mark.parametrize("act", [
    lambda page: page.click(".stop"), lambda page: page.click("#clear"),
    lambda page: page.click("#sign-out")], ids=["removed", "cleared", "signed-out"])
def test_a_failed_file_that_is_removed(page, stage, asked, act):
    refuse_one(page, stage)
    assert asked.deleted() == []
    act(page)
    page.wait(lambda: asked.deleted() == GONE)


def test_what_cannot_go_on_begins_anew(page, stage, asked):
    refuse_one(page, stage)
    stage.grant = problem(409, "upload_state", state="cancelled")
    page.click(".again")
    page.wait(lambda: "Not finished" in page.row()["says"])
    page.wait(lambda: asked.deleted() == GONE)
    stage.grant, stage.store = GRANTED, TAKEN
    page.click(".again")
    page.wait_states("done")
    first, second, third = asked.keys()
    assert first == second != third


def test_what_got_through_after_all(page, stage, asked):
    """The store has the file, and its answer was lost: presignd knows."""
    refuse_one(page, stage)
    stage.grant = problem(409, "upload_state", state="completed")
    page.click(".again")
    page.wait_states("done")
    assert asked.deleted() == []


def test_limits_are_charged_once(page, stage):
    """By a real presignd, with a store that refuses at first."""
    plans = {"free": {"limits": [
        {"name": "bytes_a_day", "kind": "bytes", "max": 1000, "window_s": 86400},
        {"name": "open", "kind": "open", "max": 1}]}}
    config = base_config(ui=True, plans=plans, default_plan="free", buckets={"main": {
        "bucket": "bucket", "endpoint": stage.origin, "path_style": True}})
    stage.store = xml(403, "AccessDenied")
    with Service(config) as s:
        page.open(s.url, s.token())
        page.drop(("a.txt", "text/plain", 600))
        page.wait_states("failed")
        page.drop(("b.txt", "text/plain", 6))
        row = page.wait_states("failed", "failed")[1]
        assert row["says"].endswith(
            "at most 1 are allowed at once. Those that failed count: retry or remove them.")
        page.click(".row:nth-child(1) .again")
        page.wait(lambda: page.row()["says"].startswith("Storage refused"))
        page.click(".row:nth-child(1) .stop")
        s.wait_log("request", method="DELETE", status=204)
        stage.store = TAKEN
        page.click(".again")
        page.wait_states("done")


# ---- the packet's end ----------------------------------------------------------------------------

def test_a_packet_that_has_ended(page, stage):
    """Says so when it is opened, and when it ends while it is open."""
    page.on_load("const real = Date.now; window.later = 0; Date.now = () => real() + window.later")
    page.open(stage.origin, "a.b.c")
    page.drop(("a.txt", "text/plain", 5))
    page.wait_states("done")
    assert page.packet()["Ends"] == "2026-01-01T00:00:00Z (in 15\xa0min)"
    page.click(".disclose")
    page.driver.execute_script("later = 7200e3")
    assert page.packet()["Ends"] == "2026-01-01T00:00:00Z (ended)"
    page.click("#clear")

    stage.grant = (201, PACKET | {"expires_in": 4, "url": f"{stage.origin}/bucket"}, {})
    page.drop(("b.txt", "text/plain", 5))
    page.wait_states("done")
    assert re.search(r"\(in [1-4]\Ws\)$", page.packet()["Ends"])
    page.wait(lambda: page.packet()["Ends"].endswith("(ended)"))
