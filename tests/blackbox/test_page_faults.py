"""The upload page, where presignd, the store or the browser do what they should not.

`Stage` plays presignd and the store. What went wrong once must cost that file, and nothing else: no
row may stay "working", and no file may wait behind one.
"""
import pytest
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
