"""client_page - a page with the client, src/web/presignd.js, and a server that does as it is told.

    from client_page import page, page_server, scripted  # fixtures

    def test_x(page, scripted):
        run("return (await go(file(3), { endpoint: args[0] })).error.code", scripted.url)

In `run` stand the module's exports and what HELPERS below defines.
"""
import functools
import http.server
import json
import re
import threading
import time

import pytest
from browser import PageServer, runner
from service import TOP, wait_until

MODULE = TOP / "src/web/presignd.js"
PIECE = 1 << 20
HOLD_S = 60  # longer than the browser waits for a script
CUT = "cut"  # instead of an answer: its beginning, and the connection ends

HELPERS = """
import * as client from "/presignd.js";

Object.assign(self, client);

// A file whose bytes follow a pattern (Python: pattern()), of at most 1 MiB in memory.
self.bytes = (size) => new Uint8Array(size).map((_, i) => i * 7 + (i >> 8));
self.file = (size, name = "file.bin", type = "application/pdf") => {
  const chunk = bytes(Math.min(size, 1 << 20));
  const whole = Array.from({ length: Math.floor(size / (1 << 20)) }, () => chunk);
  return new File([...whole, chunk.subarray(0, size % (1 << 20) || (whole.length ? 0 : size))],
    name, { type });
};

// What became of an upload, as data, with all its progress and packets.
self.go = async (file, options) => {
  const progress = [], packets = [];
  const own = {
    onProgress: (one) => progress.push(one),
    onPacket: (packet) => packets.push(packet),
  };
  return { ...(await settled(upload(file, { ...own, ...options }))), progress, packets };
};
self.settled = (promise) =>
  promise.then((value) => ({ value }), (error) => ({ error: told(error) }));
self.told = (error) =>
  error instanceof Error || error instanceof DOMException
    ? { ...error, name: error.name, message: error.message }
    : error;
self.outcomes = (list) =>
  list.map(({ status, value, reason }) => ({ status, value, reason: told(reason) }));

// No jitter, and timers that run so many times faster; a minute and more, which is how long the
// client bears with others, is not less than `least` (a busy machine is not a dead one).
self.hurry = (factor, least = 15000) => {
  const real = setTimeout;
  Math.random = () => 0;
  self.setTimeout = (f, ms) => real(f, ms < 60000 ? ms / factor : Math.max(ms / factor, least));
};

// Resolves when an upload says this state; `seen` is an onProgress.
self.watch = () => {
  const waiting = [];
  const seen = (progress) => {
    for (const one of waiting) if (one.wanted(progress)) one.resolve(progress);
  };
  const until = (wanted) => new Promise((resolve) => waiting.push({ wanted, resolve }));
  return { seen, until };
};
self.ready = true;
"""
PAGE = b"""<!doctype html>
<meta charset="utf-8">
<title>client</title>
<script type="module" src="/helpers.js"></script>
<input type="file">
"""
WORKER = b"""
import { upload } from "/presignd.js";

onmessage = async ({ data: { file, options } }) => {
  const states = [];
  const onProgress = ({ state }) => states.push(state);
  const said = await upload(file, { ...options, onProgress }).then(
    (value) => ({ value }),
    ({ code, storageCode }) => ({ code, storageCode }),
  );
  postMessage({ ...said, states, window: "window" in self });
};
"""
SCRIPT = "text/javascript; charset=utf-8"


def pages():
    return {"/": (PAGE, "text/html; charset=utf-8"), "/helpers.js": (HELPERS.encode(), SCRIPT),
            "/worker.js": (WORKER, SCRIPT), "/presignd.js": (MODULE.read_bytes(), SCRIPT)}


@functools.cache
def pattern(size):
    """The bytes of file(size)."""
    chunk = bytes((i * 7 + (i >> 8)) & 255 for i in range(min(size, 1 << 20)))
    return (chunk * (size // (1 << 20) + 1))[:size]


@pytest.fixture(scope="module")
def page_server():
    with PageServer(pages()) as server:
        yield server


@pytest.fixture
def page(browser, page_server):
    """run(script, ...) on a fresh page; run.begin(script, ...) does not wait for the end, which is
    run.end()."""
    browser.get(page_server.origin + "/")
    wait_until(lambda: browser.execute_script("return self.ready"))
    run = runner(browser)

    def begin(script, *args):
        run(f"self.task = (async (...args) => {{ {script} }})(...args);"
            "self.task.catch(() => {})", *args)

    run.begin, run.end = begin, lambda: run("return await self.task")
    return run


# ---- a server that does as it is told ------------------------------------------------------------

class Asked:
    """A request that came: method, path, headers, body."""

    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.method} {self.path}"


class ScriptedHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_OPTIONS(self):
        self.answer(204 if self.server.cors else 403)

    def do_POST(self):
        answer = self.server.take(self.asked())
        if callable(answer):
            answer = answer()
        if answer == CUT:
            # with nothing at all the browser would ask again by itself
            self.close_connection = True
            self.answer(200, b"{", {"Content-Length": "100"})
            return
        self.answer(*answer)

    do_PUT = do_DELETE = do_POST

    def asked(self):
        length = int(self.headers.get("Content-Length") or 0)
        pieces = []
        for left in range(length, 0, -PIECE):
            pieces.append(self.rfile.read(min(left, PIECE)))
            time.sleep(self.server.pace_s)  # as on a slow line
        return Asked(self.command, self.path, self.headers, b"".join(pieces))

    def answer(self, status, body=b"", headers=None):
        kind = "application/problem+json" if status >= 400 else "application/json"
        if isinstance(body, str):
            body, kind = body.encode(), "text/html"
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        all_headers = {"Content-Type": kind, "Content-Length": str(len(body))} | (headers or {})
        if self.server.cors:
            all_headers |= {
                "Access-Control-Allow-Origin": "*",
                "Access-Control-Allow-Methods": "POST, PUT, DELETE",
                "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key",
                "Access-Control-Expose-Headers": "ETag, Location, Retry-After, X-Request-Id"}
        try:
            self.send_response(status)
            for name, value in all_headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            pass  # it was cancelled

    def log_message(self, *args):
        pass


class Scripted:
    """presignd and a store in one, by a script: `answers` are given in turn to what is asked, the
    last one again and again; by default those of a day on which all goes well. An answer is
    (status, body, headers), CUT, or a function that gives one."""

    def __init__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), ScriptedHandler)
        self.server.daemon_threads = True
        self.server.take, self.server.cors, self.server.pace_s = self.take, True, 0
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.lock, self.all, self.held = threading.Lock(), [], []
        self.plan = {"grant": [(201, self.packet())], "store": [(204,)], "complete": [(200, {})],
                     "cancel": [(204,)]}
        threading.Thread(target=self.server.serve_forever, args=[0.05], daemon=True).start()

    def packet(self, **more):
        return {"id": "01a20000-0000-7000-8000-000000000001", "method": "POST",
                "url": self.url + "/bucket/", "fields": {"key": "a/b c", "policy": "p"},
                "bucket": "bucket", "key": "a/b c", "expires_at": "2030-01-01T00:00:00Z",
                "expires_in": 900, "expires_limited_by": "profile"} | more

    @staticmethod
    def kind(asked):
        if asked.path.startswith("/bucket"):
            return "store"
        if asked.method == "DELETE":
            return "cancel"
        return "complete" if asked.path.endswith("/complete") else "grant"

    def will(self, **answers):
        for kind, turns in answers.items():
            self.plan[kind] = turns

    def take(self, asked):
        kind = self.kind(asked)
        with self.lock:
            self.all.append(asked)
            turns = self.plan[kind]
            return turns.pop(0) if len(turns) > 1 else turns[0]

    def hold(self, then=CUT):
        """An answer that comes when the test is over, if anybody still wants it."""
        event = threading.Event()
        self.held.append(event)

        def wait():
            event.wait(HOLD_S)
            return then
        return wait

    def asked(self, kind):
        with self.lock:
            return [a for a in self.all if self.kind(a) == kind]

    def counts(self):
        """(packets asked for, files sent, completed, cancelled)"""
        return tuple(len(self.asked(k)) for k in ("grant", "store", "complete", "cancel"))

    def close(self):
        for event in self.held:
            event.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def scripted():
    server = Scripted()
    yield server
    server.close()


def problem(status, code, headers=None, **more):
    """An answer of presignd that refuses."""
    body = {"status": status, "code": code, "title": code, "detail": f"no: {code}",
            "request_id": "r-1"} | more
    return status, body, {"X-Request-Id": "r-1"} | (headers or {})


def refusal(status, code, message="no"):
    """An answer of a store that refuses."""
    body = f"<Code>{code}</Code><Message>{message}</Message><RequestId>s-1</RequestId>"
    return status, f"<Error>{body}</Error>".encode(), {"Content-Type": "application/xml"}


def parts(asked):
    """[(name, rest of the part's head, content)] of a form."""
    boundary = re.search("boundary=(.+)", asked.headers["Content-Type"])[1].encode()
    out = []
    for piece in asked.body.split(b"--" + boundary)[1:-1]:
        head, _, content = piece[2:-2].partition(b"\r\n\r\n")
        name = re.search(rb' name="([^"]*)"', head)[1].decode()
        out.append((name, head.decode(), content))
    return out
