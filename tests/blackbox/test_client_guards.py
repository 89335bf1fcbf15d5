"""The client, src/web/presignd.js, on its guard: what it refuses to begin with, what it refuses to
believe, what it gives back, and how long it waits. The rest of what goes wrong is in
test_client_faults.py.
"""
import pytest
from client_page import CUT, page, page_server, problem, refusal, scripted  # noqa: F401
from service import wait_until

pytestmark = pytest.mark.without_presignd

GO = """
    hurry(50)
    const asked = [], real = fetch
    self.fetch = (request, ...more) => { asked.push(request.method); return real(request, ...more) }
    const out = await go(file(1000), { endpoint: args[0], token: "t", ...args[1] })
    return { ...out, asked }"""
REFUSED = refusal(403, "AccessDenied")


# ---- what a failed upload leaves -----------------------------------------------------------------

@pytest.mark.parametrize("faults, options, counts", [
    ({"store": [REFUSED]}, {}, (1, 1, 0, 1)),
    ({"store": [CUT]}, {"retries": 1}, (1, 2, 0, 1)),
    ({"store": [REFUSED]}, {"idempotencyKey": "a.B_9-"}, (1, 1, 0, 0)),
    ({"store": [CUT]}, {"retries": 1, "idempotencyKey": "k"}, (1, 2, 0, 0)),
    ({"grant": [problem(403, "quota_exceeded")]}, {}, (1, 0, 0, 0)),
    ({"complete": [problem(404, "not_found")]}, {}, (1, 1, 1, 0)),
], ids=["refused", "cut", "refused, key", "cut, key", "no packet", "stored"])
def test_a_failed_upload_gives_its_grant_back(page, scripted, faults, options, counts):
    """Once, after all attempts; not what is to be asked for again, nor what the store took."""
    scripted.will(**faults)
    out = page(GO, scripted.url, options)
    assert out["asked"].count("DELETE") == counts[3]
    wait_until(lambda: scripted.counts()[3] >= counts[3])
    assert scripted.counts() == counts
    for cancelled in scripted.asked("cancel"):
        assert cancelled.path == f"/v1/uploads/{scripted.packet()['id']}"
        assert cancelled.headers["Authorization"] == "Bearer t"


def test_giving_back_is_not_waited_for(page, scripted):
    scripted.will(store=[REFUSED], cancel=[scripted.hold()])
    assert page(GO, scripted.url, {})["error"]["code"] == "storage_refused"
    wait_until(lambda: scripted.counts() == (1, 1, 0, 1))


@pytest.mark.parametrize("answer", [CUT, problem(409, "upload_state"), problem(401, "x")],
                         ids=["cut", "409", "401"])
def test_giving_back_changes_nothing(page, scripted, answer):
    scripted.will(store=[REFUSED], cancel=[answer])
    out = page("""
        const heard = []
        addEventListener("unhandledrejection", ({ reason }) => heard.push(String(reason)))
        const { error } = await go(file(1), { endpoint: args[0] })
        await new Promise((resolve) => setTimeout(resolve))
        return { error, heard }""", scripted.url)
    assert out["error"]["code"] == "storage_refused" and out["heard"] == []


def test_its_own_key(page, scripted):
    """It stands in all that is asked, so that the second upload() is the first one again; and an
    aborted one is cancelled."""
    key = "a.B_9-" + "x" * 58
    scripted.will(store=[REFUSED, (204,)])
    first, second = page("""
        const options = { endpoint: args[0], idempotencyKey: args[1] }
        return [await go(file(1), options), await go(file(1), options)]""", scripted.url, key)
    assert "error" in first and "value" in second
    assert [a.headers["Idempotency-Key"] for a in scripted.asked("grant")] == [key, key]
    assert len({a.body for a in scripted.asked("grant")}) == 1
    scripted.will(store=[scripted.hold()])
    out = page("""
        const controller = new AbortController()
        return await go(file(1), { endpoint: args[0], idempotencyKey: args[1],
          signal: controller.signal, onPacket: () => controller.abort("enough") })""",
               scripted.url, key)
    assert out["error"] == "enough"
    wait_until(lambda: scripted.asked("cancel"))


@pytest.mark.parametrize("key", ["''", "'a b'", "'ä'", "'k\\n'", "'x'.repeat(65)", "5", "null",
                                 "['k']"])
def test_a_key_that_cannot_be(page, scripted, key):
    call = f"upload(file(1), {{ endpoint: args[0], idempotencyKey: {key} }})"
    assert page(f"return (await settled({call})).error.name", scripted.url) == "TypeError"
    assert scripted.counts() == (0, 0, 0, 0)


def test_one_key_cannot_be_that_of_many_files(page, scripted):
    call = "uploadAll([file(1), file(1)], { endpoint: args[0], idempotencyKey: 'k' })"
    assert page(f"return (await settled({call})).error.name", scripted.url) == "TypeError"
    assert scripted.counts() == (0, 0, 0, 0)
