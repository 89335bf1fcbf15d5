"""The upload page in headless Chromium, against presignd and a real store on another origin.

What a person does is done as a person does it (keys, clicks, drops), and what is looked at is what
a person sees or hears. Where presignd or the store must misbehave, `Stage` plays both.
"""
import re

import pytest
import tokens
from service import TOP, Service, base_config
from upload_page import EVIL, PACKET, Page, Stage, picture, problem, xml

CODES = sorted(set(re.findall(r'X\(ST_\w+,\s*[4-5]\d\d, "(\w+)"',
                              (TOP / "include/presignd/status.h").read_text())))
MB = 1000 * 1000


def limits(*rows):
    return {"limits": list(rows)}


PLANS = {
    "free": limits({"name": "bytes_a_month", "kind": "bytes", "max": 1000 * MB, "window": "month"},
                   {"name": "files_a_day", "kind": "count", "max": 100, "window_s": 86400}),
    "tight": limits({"name": "bytes_a_month", "kind": "bytes", "max": 50000, "window": "month"}),
    "ever": limits({"name": "stored", "kind": "bytes", "max": 2000}),
    "few": limits({"name": "files_a_day", "kind": "count", "max": 2, "window_s": 86400}),
    "slow": limits({"name": "requests", "kind": "rate", "max": 40, "window_s": 60, "burst": 2}),
}


@pytest.fixture(scope="module")
def api(rgw, store_url):
    config = base_config(
        ui=True, plans=PLANS, default_plan="free",
        buckets={"main": rgw.bucket_config() | {"public_endpoint": store_url}},
        profiles={"default": {"key": "{user}/{uuid}/{filename}", "max_bytes": 10 * MB},
                  "notes": {"bucket": "main", "key": "{user}/notes/{uuid}", "max_bytes": 1000,
                            "content_types": ["text/plain"], "checksum": "optional"}})
    with Service(config, credentials=rgw.session_credentials()) as s:
        yield s


@pytest.fixture
def page(browser):
    """After every test: the policy was kept, and the console is clean."""
    page = Page(browser)
    yield page
    faults = page.look("window.violations ?? []") + page.console()
    page.throttle(-1)
    page.close()
    assert faults == []


def stored(rgw, key):
    return rgw.client().get_object(Bucket=rgw.bucket, Key=key)["Body"].read()


TEXT = ("notes.txt", "text/plain", b"a few words")


# ---- uploads -------------------------------------------------------------------------------------

def test_chosen_files_land_in_the_bucket(page, api, rgw, store_url, tmp_path):
    """Byte for byte; nobody else is spoken to, and the console stays empty, but for who is asked for."""
    contents = {"Größe ☃.txt": "Grüße ☃".encode() * 999, "cat.png": picture(),
                "noise.pdf": bytes(i * 7 & 255 for i in range(300000))}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    page.open(api.url, api.token("chooser"))
    page.choose(*(tmp_path / name for name in contents))
    rows = page.wait_states("done", "done", "done")
    assert page.total() == "3 of 3 uploaded"
    assert [r["name"] for r in rows] == list(contents)
    assert all(r["says"].startswith("Uploaded · ") for r in rows)
    for index, content in enumerate(contents.values()):
        assert stored(rgw, page.packet(index)["key"]) == content
    assert [r["picture"] for r in page.rows()] == [False, True, False]
    asked = page.look("performance.getEntriesByType('resource').map(e => new URL(e.name).origin)")
    assert set(asked) == {api.url, store_url}
    assert page.console() == []


def test_a_drop_anywhere(page, api):
    """Twenty files; each has its row, and all arrive."""
    page.open(api.url, api.token("dropper"))
    assert "Drop files anywhere" in page.body()
    page.drop(*((f"{i}.txt", "text/plain", 1000 + i) for i in range(20)))
    page.wait_states(*["done"] * 20)
    assert page.total() == "20 of 20 uploaded"
    # what is heard is a few sentences, not twenty
    page.wait(lambda: "20 of 20 uploaded" in page.said())
    page.click("#clear")
    assert page.rows() == [] and "Drop files anywhere" in page.body()
    assert page.focused() == "Choose files"


def test_a_paste(page, api):
    page.open(api.url, api.token())
    page.drop(("image.png", "image/png", picture()), how="paste")
    page.wait_states("done")


def test_what_is_dragged_but_no_file(page, api):
    """A text stays what the browser makes of it."""
    page.open(api.url, api.token())
    taken = page.look("""(() => { const transfer = new DataTransfer();
        transfer.setData('text/plain', 'words');
        const drop = new DragEvent('drop', { dataTransfer: transfer, cancelable: true });
        dispatchEvent(drop); return drop.defaultPrevented })()""")
    assert taken is False and page.rows() == []


def test_progress_cancel_retry(page, api, rgw):
    page.open(api.url, api.token("patient"))
    page.throttle(400000)
    page.drop(("film.png", "image/png", 2 * MB))
    row = page.wait(lambda: 5 < page.row()["percent"] < 100 and "left" in page.row()["says"] and
                    page.row())
    assert row["state"] == "working" and re.search(
        r"^[\d.]+.(kB|MB) of 2 MB · \d.*/s · \d+.s left$", row["says"])
    assert 0 < page.look("document.querySelector('#total-bar').value") < 1
    assert re.match(r"\d+% · Upload files", page.look("document.title"))
    asks = """(() => { const event = new Event('beforeunload', { cancelable: true });
        dispatchEvent(event); return event.defaultPrevented })()"""
    assert page.look(asks) is True

    page.click(".stop")
    assert page.row()["state"] == "cancelled" and page.row()["says"] == "Cancelled · 2 MB"
    assert page.focused() == "Remove film.png"
    api.wait_log("request", method="DELETE", status=204)
    assert page.look(asks) is False

    page.throttle(-1)
    page.click(".again")
    page.wait_states("done")
    assert len(stored(rgw, page.packet()["key"])) == 2 * MB


def test_four_at_a_time_and_cancel_all(page, api):
    page.open(api.url, api.token("hurried"))
    page.throttle(100000)
    page.drop(*((f"{i}.png", "image/png", MB) for i in range(6)))
    page.wait_states(*["working"] * 4, "queued", "queued")
    page.click("#cancel-all")
    page.wait_states(*["cancelled"] * 6)
    assert page.total() == "0 of 0 uploaded"


def test_the_server_restarts(page, api, rgw, store_url):
    """A file that began before goes on after."""
    config = base_config(ui=True, buckets={
        "main": rgw.bucket_config() | {"public_endpoint": store_url}})
    with Service(config, credentials=rgw.session_credentials()) as first:
        page.on_load("Math.random = () => 0.3")  # tries again for 12 s, the first after 0.8
        page.open(first.url, first.token())
        port = first.port
        first.stop()
        page.drop(TEXT)
        page.wait(lambda: "Trying again" in page.row()["says"])
        config["listen"] = f"127.0.0.1:{port}"
        with Service(config, credentials=rgw.session_credentials()):
            page.wait_states("done")


def test_options(page, api):
    """A profile of the address, and a checksum for whoever wants one."""
    page.open(api.url, api.token(), "?profile=notes")
    assert page.find("#profile").get_attribute("value") == "notes"
    page.click("#verify")
    page.drop(TEXT)
    assert page.wait_states("done")[0]["says"].startswith("Uploaded and verified")
    packet = page.packet()
    assert packet["key"].startswith("alice/notes/") and packet["x-amz-checksum-sha256"]

    page.drop(("cat.png", "image/png", 10))
    page.wait(lambda: page.row(1)["state"] == "failed")
    assert page.row(1)["again"] == ""
    page.find("#profile").clear()
    page.find("#profile").send_keys("default\n")
    assert page.look("location.search") == "?profile=default"
    assert page.row(1)["again"] == "Retry"  # other rules: it may help now
    page.click("#verify")
    page.click(".row:nth-child(2) .again")
    page.wait_states("done", "done")


def test_the_packet_for_the_curious(page, api, store_url):
    page.open(api.url, api.token("curious"))
    page.drop(TEXT)
    page.wait_states("done")
    assert "x-amz-signature" not in page.body()
    packet = page.packet()
    assert packet["POST"].startswith(store_url) and packet["Content-Type"] == "text/plain"
    assert packet["key"].endswith("/notes.txt") and len(packet["x-amz-signature"]) == 64
    assert re.match(r"\d{4}-\d\d-\d\dT.*Z \(in \d+\Wmin\)", packet["Ends"])
    assert "x-amz-signature" in page.body()
    page.click(".disclose")
    assert "x-amz-signature" not in page.body()


def test_limits_as_bars(page, api):
    def bars():
        return page.look("""[...document.querySelectorAll('.limit')].map(bar =>
            [bar.innerText.replaceAll('\u00a0', ' ').replaceAll('\\n\\n', '\\n'),
             +bar.querySelector('[role=meter]').ariaValueNow])""")
    page.open(api.url, api.token("saver"))
    (data, share), (files, _) = bars()
    assert data.startswith("Data this month\n0 bytes of 1 GB · resets ") and share == 0
    assert files.startswith("Files today\n0 of 100 · resets ")
    page.drop(*((f"{i}.png", "image/png", 9 * MB) for i in range(2)))
    page.wait_states("done", "done")
    page.wait(lambda: "18 MB of 1 GB" in bars()[0][0])
    assert bars()[0][1] == 2 and "2 of 100" in bars()[1][0]


# ---- refusals in words ---------------------------------------------------------------------------

@pytest.mark.parametrize("plan, file, wanted", [
    ("free", ("film.png", "image/png", 12 * MB + 300000),
     "Too large. This file is 12.3 MB. At most 10 MB may be uploaded here."),
    ("free", ("film.png", "image/png", 10 * MB + 1),
     "Too large. This file is 10,000,001 bytes. At most 10,000,000 bytes may be uploaded here."),
    ("free", ("empty.txt", "text/plain", 0), "Empty file. There is nothing in this file to upload."),
    ("free", ("page.html", "text/html", 10),
     "Type not accepted. Files of this type (HTML) may not be uploaded here. Accepted: images, "
     "plain text, and PDF."),
    ("free", ("mystery", "", 10), "Type not accepted. What kind of file this is could not be told"),
    ("tight", ("big.png", "image/png", 60000),
     "Limit reached. This file is 60 kB. You may upload 50 kB this month altogether."),
    ("ever", ("big.png", "image/png", 3000),
     "Limit reached. This file is 3 kB. You may upload 2 kB altogether."),
], ids=["size", "size-close", "empty", "type", "type-unknown", "quota-month", "quota-ever"])
def test_a_refusal(page, api, plan, file, wanted):
    page.open(api.url, api.token(f"refused-{plan}", plan=plan))
    page.drop(file)
    row = page.wait_states("failed")[0]
    assert row["says"].startswith(wanted) and row["again"] == ""
    assert "etwork" not in page.body()
    page.wait(lambda: wanted in page.said())
    page.click(".stop")
    assert page.rows() == [] and page.focused() == "Choose files"


def test_a_quota_half_way_through_a_batch(page, api):
    page.open(api.url, api.token("half", plan="few"))
    page.drop(*((f"{i}.txt", "text/plain", 10) for i in range(5)))
    page.wait(lambda: {r["state"] for r in page.rows()} == {"done", "failed"})
    failed = [r for r in page.rows() if r["state"] == "failed"]
    assert len(failed) == 3 and page.total() == "2 of 5 uploaded"
    assert all(re.match(r"Limit reached\. You have uploaded 2 of 2 files today\. There is room again "
                        r"(at|in) \d", r["says"]) for r in failed)
    page.wait(lambda: "Full" in page.find("#limits").text)


def test_a_rate_counts_down_and_goes_on(page, api):
    """Nobody has to press anything: what was too much at once goes on by itself, and so does what
    waited behind it."""
    page.open(api.url, api.token("quick", plan="slow"))
    page.drop(*((f"{i}.txt", "text/plain", 10) for i in range(6)))
    page.wait(lambda: [r["state"] for r in page.rows()].count("held") == 2)
    for row in page.rows():
        if row["state"] == "held":
            assert re.match(r"Too many requests\. It goes on by itself in \d.s\.", row["says"])
            assert re.match(r"Retry in \d.s", row["again"])
            page.click(f".stop[aria-label='Cancel {row['name']}']")
    page.wait(lambda: sorted(r["state"] for r in page.rows()) == ["cancelled"] * 2 + ["done"] * 4)


# ---- who is there --------------------------------------------------------------------------------

def test_the_token_leaves_the_address(page, api):
    jwt = api.token("hidden")
    page.open(api.url, jwt, "?profile=notes")
    assert page.look("location.href") == f"{api.url}/?profile=notes"
    assert jwt not in page.body() and page.find("#who").text == "hidden"
    page.driver.refresh()  # it is kept for this tab
    page.wait(lambda: page.look("document.getElementById('who').innerText") == "hidden")
    page.click("#sign-out")
    assert page.find("#sign-in-title").text == "You are signed out"
    assert page.look("sessionStorage.length") == 0


def test_signing_in(page, api, rgw):
    page.open(api.url)
    assert page.find("#sign-in-title").text == "Sign in to upload" and page.focused() == "token"
    page.drop(TEXT)  # it waits
    assert page.row()["says"] == "Waiting for sign-in · 11 bytes"
    assert page.find("#sign-in-text").text == "Paste a token, and 1 file will go on."
    for text, wanted in [("", "Paste a token first."), ("Grüße", "does not look like a token"),
                         ("not.a.token", "not accepted"),
                         (api.token(ttl_s=-3600), "It may have ended")]:
        page.find("#token").send_keys(text + "\n")
        page.wait(lambda: wanted in page.find("#token-trouble").text)
        page.find("#token").clear()
    page.find("#token").send_keys(f"Bearer {api.token('late')} \n")
    page.wait_states("done")
    assert stored(rgw, page.packet()["key"]) == TEXT[2]


def test_a_token_that_ends_half_way(page, api):
    """The files wait for another one, and then go on."""
    page.open(api.url, api.token())
    page.drop(TEXT)
    page.wait_states("done")
    api.write("secret", b"another secret of the tests that is long enough for every algorithm there")
    try:
        api.reload()
        page.drop(("b.txt", "text/plain", 5), ("c.txt", "text/plain", 5))
        page.wait(lambda: page.find("#sign-in").is_displayed())
        assert page.find("#sign-in-title").text == "Your sign-in has ended"
        page.wait(lambda: page.row(2)["says"].startswith("Waiting for sign-in"))
        page.find("#token").send_keys(tokens.token(key=(api.dir / "secret").read_bytes()) + "\n")
        page.wait_states("done", "done", "done")
        assert not page.find("#sign-in").is_displayed()
    finally:
        api.write("secret", tokens.SECRET)
        api.reload()


def test_signed_in_by_a_cookie(page, rgw, store_url):
    """Nothing to paste and nothing to sign out of; the page's own origin must be allowed too."""
    config = base_config(
        ui=True, auth={"cookie": "session"}, cors={"credentials": True},
        buckets={"main": rgw.bucket_config() | {"public_endpoint": store_url}})
    with Service(config, credentials=rgw.session_credentials()) as s:
        page.driver.get(f"{s.url}/favicon.svg")
        page.driver.add_cookie({"name": "session", "value": s.token(), "httpOnly": True})
        try:
            page.open(s.url)
            assert not page.find("#sign-in").is_displayed()
            assert not page.find("#sign-out").is_displayed()
            page.drop(TEXT)
            assert page.wait_states("failed")[0]["says"].startswith(
                f"Page not permitted. The server does not accept uploads from this page ({s.url}).")
            config["cors"]["origins"] = [s.url]
            s.reload(config)
            page.drop(TEXT)
            page.wait_states("failed", "done")
        finally:
            page.driver.delete_all_cookies()
        page.drop(TEXT)
        page.wait(lambda: page.find("#sign-in").is_displayed())
        page.click("#use-token")
        page.find("#token").send_keys(s.token(ttl_s=99) + "\n")
        page.wait_states("failed", "done", "done")
        assert page.find("#sign-out").is_displayed()


# ---- a presignd and a store that misbehave -------------------------------------------------------

@pytest.fixture
def stage(api):
    """With presignd's own policy."""
    stage = Stage(api.get("/").headers["Content-Security-Policy"])
    yield stage
    stage.close()


@pytest.mark.parametrize("grant, store, wanted", [
    (problem(418, "tea_pot"), None, EVIL),
    (problem(422, "content_type_not_allowed", allowed=[EVIL, "image/*"]), None, "alert(1)"),
    (problem(422, "file_too_large", max_bytes=EVIL), None, "larger than may be uploaded"),
    (problem(429, "quota_exceeded", limit_name=EVIL, limit={}, used=[], resets_at=EVIL), None,
     "You have used up what you may upload here."),
    (problem(403, "insufficient_scope", required=EVIL), None, "does not include uploading"),
    (problem(503, "overloaded", {"Retry-After": "1"}, title=EVIL), "never", "Trying again"),
    ((201, PACKET, {}), xml(403, "AccessDenied", EVIL), "did not take the file (AccessDenied)"),
    ((201, PACKET, {}), xml(403, "&lt;img src=x onerror=alert(1)&gt;"), "did not take the file"),
    ((201, PACKET, {}), xml(400, "EntityTooLarge"), "more bytes than were announced"),
    ((200, {}, {}), None, "not the upload server"),
    ((404, "<html><script>alert(3)</script>", {}), None, "not the upload server"),
], ids=lambda value: value if isinstance(value, str) else None)
def test_hostile_answers(page, stage, grant, store, wanted):
    stage.grant, stage.store = grant, store
    page.open(stage.origin, "a.b.c")
    assert page.find("#who").text == EVIL
    page.drop((f"{EVIL}.txt", "text/plain", 5))
    page.wait(lambda: wanted in page.row()["says"])
    assert page.row()["name"] == f"{EVIL}.txt"
    assert "etwork" not in page.row()["says"]
    if grant[0] == 201:
        assert page.packet()["key"] == EVIL
    assert page.look("document.querySelectorAll('main script, main img').length") == 0


def test_nobody_answers(page, stage):
    """Neither presignd nor the store: who it is, in words."""
    page.on_load("Math.random = () => 0")  # backs off as little as may be
    page.open(stage.origin, "a.b.c")
    stage.grant, gone = (201, PACKET | {"url": "http://127.0.0.1:9/bucket"}, {}), None
    page.drop(TEXT)
    gone = page.wait_states("failed")[0]
    assert gone["says"].startswith("Storage not reached. The storage (127.0.0.1:9) does not answer.")
    assert gone["again"] == "Retry"
    # the page's own policy is what kept it from going there
    assert page.look("violations.splice(0).every(line => line.startsWith('connect-src '))")
    page.driver.get_log("browser")


def test_names(page, stage):
    """Nothing of a name turns around what stands beside it, or widens the page."""
    names = {"photo\u202egnp.exe": "photognp.exe", "a\nb\x00c.txt": "abc.txt", " ": "Unnamed file",
             "תמונה של החתול שלי מהחופשה בקיץ שעבר.png": None, "x" * 250 + ".txt": None}
    stage.grant = problem(422, "file_too_small", min_bytes=9)
    page.open(stage.origin, "a.b.c")
    page.drop(*((name, "text/plain", 5) for name in names))
    rows = page.wait_states(*["failed"] * len(names))
    assert [r["name"] for r in rows] == [shown or name for name, shown in names.items()]
    assert page.look("document.documentElement.scrollWidth <= innerWidth")


# ---- words ---------------------------------------------------------------------------------------

def test_every_code_has_words(page, stage):
    """Those of presignd and of its client; with no members, and with members of wrong types."""
    page.open(stage.origin, "a.b.c")
    codes = CODES + ["network_error", "storage_refused", "file_unreadable", "invalid_answer"]
    assert len(codes) > 35
    said = page.run("""
        const { refusalWords } = await import('/words.js');
        const wrong = { max_bytes: 'x', min_bytes: null, allowed: 7, limit: [], used: {}, limit_name: 1,
                        requested: 'x', resets_at: 5, detail: {}, required: {}, expected_bytes: 'x' };
        const file = new File(['abc'], 'a.txt');
        return args[0].flatMap(code => [{}, wrong, undefined].flatMap(problem => [403, 429].map(status =>
            [code, refusalWords({ code, status, problem, stage: 'store' }, { file })])))""", codes)
    for code, words in said:
        text = f"{words['title']}. {words['text']}"
        assert words["title"] and words["text"].endswith("."), (code, text)
        assert not re.search(r"undefined|null|NaN|\[object|\(\)|  ", text), (code, text)
        assert isinstance(words["again"], bool)
    own = {code for code, words in said if words["title"] != "Not uploaded"}
    assert own == set(codes)  # none is left to "Something went wrong"


def test_sizes_and_times(page, stage):
    page.open(stage.origin, "a.b.c")
    tables = {
        "sizeText": [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1 kB"),
                     (999499, "999 kB"), (999500, "1 MB"), (12345678, "12.3 MB"),
                     (10485760, "10.5 MB"), (99949999, "99.9 MB"), (99950000, "100 MB"),
                     (5 * 10**9, "5 GB"), (2**60, "1,153 PB")],
        "durationText": [(0, "1 s"), (11.2, "12 s"), (59.5, "1 min"), (61, "2 min"), (3600, "1 h"),
                         (3901, "1 h 6 min"), (3600 * 20, "20 h"), (86400 * 3, "3 days")],
        "percentText": [(0, "0%"), (0.999, "99%"), (1, "100%")],
        "nameText": [("a.txt", "a.txt"), ("", "Unnamed file"), ("\u202ea", "a")],
    }
    for name, table in tables.items():
        got = page.run(f"const {{ {name} }} = await import('/words.js');"
                       f"return args[0].map(value => {name}(value, 'en'))", [v for v, _ in table])
        assert [text.replace("\u00a0", " ") for text in got] == [text for _, text in table]
    when = page.run("""
        const { whenText, limitWords } = await import('/words.js');
        const now = Date.parse('2026-11-22T06:00:00Z');
        const limit = { name: 'b', kind: 'bytes', limit: 1e10, used: 1.2e9, remaining: 8.8e9,
                        window_s: null, resets_at: '2026-12-01T12:00:00Z' };
        return [whenText('2026-11-22T06:12:00Z', now, 'en'), whenText('never', now, 'en'),
                whenText('2026-12-01T12:00:00Z', now, 'en-GB'),
                whenText('2027-12-01T12:00:00Z', now, 'de'), limitWords(limit, now, 'en-GB').text]""")
    assert [text.replace("\u00a0", " ") for text in when] == [
        "in 12 min", "later", "on 1 December", "on 1. Dezember 2027",
        "1.2 GB of 10 GB · resets on 1 December"]


def test_folders(page, stage):
    """Their files, however deep, without the litter of file managers; or why not."""
    page.open(stage.origin, "a.b.c")
    got = page.run("""
        const { filesOf } = await import('/files.js');
        const file = name => ({ isDirectory: false, name, file: done => done(new File(['x'], name)) });
        const folder = (name, ...inside) => ({ isDirectory: true, name, createReader: () => {
            const parts = [inside.slice(0, 2), inside.slice(2), []];
            return { readEntries: done => done(parts.shift()) } } });
        const broken = { isDirectory: true, name: 'bad', createReader: () => ({
            readEntries: (done, fail) => fail(new Error('no')) }) };
        const drop = async (...entries) => {
            const { files, notes } = await filesOf({ items: entries.map(entry => ({ kind: 'file',
                webkitGetAsEntry: () => entry, getAsFile: () => new File(['x'], entry.name) })) });
            return [files.length > 9 ? files.length : files.map(one => one.name), notes] };
        const many = Array.from({ length: 1200 }, (_, i) => file(String(i)));
        return [await drop(file('a'), folder('f', file('b'), folder('g', file('c')), file('d'))),
                await drop(folder('empty', file('.DS_Store'))), await drop(broken),
                await drop(folder('many', ...many))]""")
    assert got == [[["a", "b", "c", "d"], []], [[], ["The folder “empty” has no files."]],
                   [[], ["The folder “bad” could not be read completely."]],
                   [1000, ["Only the first 1000 files were added."]]]


# ---- for everybody -------------------------------------------------------------------------------

def test_keys_alone(page, api):
    from selenium.webdriver.common.keys import Keys

    def tab_to(label, steps=12):
        for _ in range(steps):
            if page.focused() == label:
                return
            page.press(Keys.TAB)
        raise AssertionError(f"no way by tab to {label}, at {page.focused()}")

    page.open(api.url, api.token("keyboard"))
    page.driver.execute_script("""window.clicks = 0;
        document.getElementById('files').click = () => { window.clicks += 1 }""")
    tab_to("Choose files")
    ring = page.look("getComputedStyle(document.activeElement).outlineStyle")
    page.press(Keys.ENTER)
    assert ring == "solid" and page.look("clicks") == 1

    page.throttle(50000)
    page.drop(("a.png", "image/png", MB), ("b.png", "image/png", MB))
    page.wait_states("working", "working")
    tab_to("Cancel a.png")
    page.press(Keys.SPACE)
    page.wait_states("cancelled", "working")
    assert page.focused() == "Remove a.png"
    page.press(Keys.TAB, shift=True)
    assert page.focused() == "Retry a.png"
    page.throttle(-1)
    page.press(Keys.ENTER)
    page.wait(lambda: page.row()["state"] == "done")
    assert page.focused() == "Remove a.png"
    page.press(Keys.SPACE)
    assert [r["name"] for r in page.rows()] == ["b.png"]
    assert page.focused() in ("Cancel b.png", "Remove b.png")


def test_no_sideways_scroll(page, stage):
    """Also at 200 % zoom: 1280 pixels are then 640."""
    stage.grant, stage.store = (201, PACKET, {}), (204, "", {})
    stage.quota = {"user": "x" * 100, "limits": [
        {"name": "n", "kind": "bytes", "limit": 10**12, "used": 10**12, "reserved": 0,
         "remaining": 0, "window_s": 86400, "resets_at": "2099-01-01T00:00:00Z"}]}

    def check(where):
        for width in (320, 390, 640, 1280):
            page.width(width)
            assert page.look("document.documentElement.scrollWidth <= innerWidth"), (where, width)

    page.open(stage.origin, "a.b.c")
    check("empty")
    page.drop(("x" * 200, "text/plain", 5), ("a.txt", "text/plain", 5))
    page.wait_states("done", "done")
    page.packet()
    stage.grant = problem(429, "rate_limited", {"Retry-After": "100"})
    page.drop(TEXT)
    page.wait(lambda: page.row(2)["state"] == "held")
    check("with files")
    page.driver.execute_script("confirm = () => true")
    page.click("#sign-out")
    check("signed out")


def test_nothing_moves_for_who_wants_that(page, stage):
    stage.grant = problem(422, "file_too_small", min_bytes=9)
    page.open(stage.origin, "a.b.c")
    page.drop(TEXT)
    page.wait_states("failed")
    moves = """['.row', '.drop', '.target'].map(name => {
        const { animationName, transitionDuration } =
            getComputedStyle(document.querySelector(name));
        return animationName !== 'none' || parseFloat(transitionDuration) > 0 })"""
    assert page.look(moves) == [False, False, False]
    page.emulate(reduced_motion="no-preference")
    assert page.look(moves) == [True, True, True]


@pytest.mark.parametrize("scheme, width", [("light", 1280), ("dark", 1280), ("light", 390)])
def test_axe(page, stage, scheme, width):
    """No rule of axe-core is broken: empty, with files, refused, signed out."""
    page.load_axe()
    page.emulate(color_scheme=scheme, reduced_motion="reduce")
    page.width(width)

    def check(where):
        assert page.broken_rules() == [], where

    stage.quota = {"user": "alice", "limits": [
        {"name": str(i), "kind": "bytes", "limit": 100, "used": used, "reserved": 0,
         "remaining": 100 - used, "window_s": 86400, "resets_at": "2099-01-01T00:00:00Z"}
        for i, used in enumerate((10, 95, 100))]}
    page.open(stage.origin, "a.b.c", "?profile=photos")
    check("empty")
    stage.grant, stage.store = (201, PACKET, {}), (204, "", {})
    page.drop(TEXT, ("cat.png", "image/png", picture()))
    page.wait_states("done", "done")
    page.packet()
    stage.grant = problem(422, "file_too_small", min_bytes=9)
    page.drop(TEXT)
    page.wait(lambda: page.row(2)["state"] == "failed")
    stage.grant = problem(429, "rate_limited", {"Retry-After": "100"})
    page.drop(TEXT)
    page.wait(lambda: page.row(3)["state"] == "held")
    check("with files, refused")
    page.driver.execute_script("document.body.classList.add('dragging')")
    check("dragging")
    page.driver.execute_script("document.body.classList.remove('dragging')")
    page.driver.execute_script("confirm = () => true")
    page.click("#sign-out")
    page.find("#token").send_keys("\n")
    check("signed out")
