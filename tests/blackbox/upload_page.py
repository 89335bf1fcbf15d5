"""upload_page - the upload page in a tab of its own, and servers that it has to cope with.

    page = Page(browser)                       # Selenium's driver
    page.open(service.url, service.token())
    page.drop(("a.txt", "text/plain", b"..."))
    page.wait_states("done")

`Stage` plays presignd and the store: `grant` and `store` are what they answer, each (status, body,
headers).
"""
import http.server
import json
import struct
import threading
import zlib

import pytest
from browser import runner
from service import TOP, wait_until

WEB = TOP / "src/web"
AXE = TOP / "build/web-tools/node_modules/axe-core/axe.min.js"

# ---- the page, as a person has it ----------------------------------------------------------------

WATCH = """
    window.violations = [];
    document.addEventListener('securitypolicyviolation', event =>
        violations.push(event.violatedDirective + ' ' + event.blockedURI + ' ' + event.sample));
    window.alert = text => violations.push('alert ' + text);
"""
ROWS = """
    const seen = element => element && element.checkVisibility() ? element.innerText : '';
    return [...document.querySelectorAll('.row')].map(row => ({
        name: row.querySelector('.name').innerText.replace(/\\n/g, ''), state: row.dataset.state,
        says: row.querySelector('.meta > span').innerText.replace(/\\s+/g, ' ').trim(),
        percent: parseInt(row.querySelector('.percent').innerText || '-1'),
        again: seen(row.querySelector('.again')), picture: !!row.querySelector('canvas') }));
"""
DROP = """
    const transfer = new DataTransfer();
    for (const [name, type, content] of arguments[0]) {
        const bytes = typeof content === 'number' ? new Uint8Array(content)
            : Uint8Array.from(content, sign => sign.charCodeAt());
        transfer.items.add(new File([bytes], name, { type }));
    }
    const init = { bubbles: true, cancelable: true };
    const target = document.querySelector('main');
    if (arguments[1] === 'paste')
        target.dispatchEvent(new ClipboardEvent('paste', { ...init, clipboardData: transfer }));
    else for (const kind of ['dragover', 'drop'])
        target.dispatchEvent(new DragEvent(kind, { ...init, dataTransfer: transfer }));
"""


class Page:
    """A tab of its own, empty storage included."""

    def __init__(self, driver):
        self.driver, self.run = driver, runner(driver)
        self.before = driver.current_window_handle
        driver.switch_to.new_window("tab")
        self.on_load(WATCH)
        self.emulate(reduced_motion="reduce")  # a click must not miss what is still moving
        driver.get_log("browser")

    def on_load(self, script):
        self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})

    def load_axe(self):
        if not AXE.exists():
            pytest.skip("axe-core is not installed (tests/web-tools axe-core)")
        self.on_load(AXE.read_text())

    def broken_rules(self):
        """What axe-core finds on the page as it stands."""
        return self.run("return (await axe.run()).violations.map(v => [v.impact, v.id, "
                        "v.nodes.map(n => n.target + ' ' + n.failureSummary).join('; ')])")

    def close(self):
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.driver.close()
        self.driver.switch_to.window(self.before)

    def open(self, url, jwt=None, query=""):
        self.driver.get(f"{url}/{query}" + (f"#token={jwt}" if jwt else ""))
        self.wait(lambda: self.look("!document.querySelector('[data-starting]')"))

    def look(self, expression):
        return self.driver.execute_script(f"return {expression}")

    def wait(self, condition, limit_s=15):
        try:
            return wait_until(condition, limit_s, every_s=0.05)
        except AssertionError:
            raise AssertionError(f"{self.rows()} {self.body()}") from None

    # acts

    def find(self, selector):
        return self.driver.find_element("css selector", selector)

    def click(self, selector):
        self.find(selector).click()

    def choose(self, *paths):
        self.find("#files").send_keys("\n".join(map(str, paths)))

    def drop(self, *files, how="drop"):
        """Each (name, type, bytes or a number of zeros)."""
        rows = [(n, t, c if isinstance(c, int) else c.decode("latin-1")) for n, t, c in files]
        self.driver.execute_script(DROP, rows, how)

    def press(self, key, shift=False):
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.keys import Keys
        chain = ActionChains(self.driver)
        chain = chain.key_down(Keys.SHIFT).send_keys(key).key_up(Keys.SHIFT) if shift else \
            chain.send_keys(key)
        chain.perform()

    def throttle(self, bytes_s):
        """How fast it may send; -1: as fast as it can."""
        self.driver.set_network_conditions(latency=0, download_throughput=-1,
                                           upload_throughput=bytes_s)

    def emulate(self, **features):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": f"prefers-{k.replace('_', '-')}", "value": v} for k, v in features.items()]})

    def width(self, pixels, height=800):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": pixels, "height": height, "deviceScaleFactor": 1, "mobile": False})

    # sights

    def rows(self):
        return self.driver.execute_script(ROWS)

    def row(self, index=0):
        rows = self.rows()
        return rows[index] if index < len(rows) else {"state": None, "says": "", "percent": -1}

    def body(self):
        return self.text("document.body.innerText")

    def text(self, expression):
        """With every blank of it the same, lines apart."""
        return self.look(expression).replace("\u00a0", " ")

    def said(self):
        """The latest that a screen reader has read out."""
        return self.text("document.getElementById('said').textContent")

    def total(self):
        return self.look("document.getElementById('total-title').innerText")

    def wait_states(self, *states, limit_s=15):
        self.wait(lambda: [r["state"] for r in self.rows()] == list(states), limit_s)
        return self.rows()

    def focused(self):
        return self.look("document.activeElement.getAttribute('aria-label') || "
                         "document.activeElement.innerText || document.activeElement.id")

    def packet(self, index=0):
        """The packet behind the row's triangle."""
        row = f".row:nth-child({index + 1})"
        if self.look(f"document.querySelector('{row} .packet').hidden"):
            self.click(f"{row} .disclose")
        return dict(self.look(f"[...document.querySelectorAll('{row} .packet div')].map(line => "
                              "[...line.children].map(cell => cell.textContent))"))

    def console(self):
        """What the console shows beside refused requests, which browsers log by themselves."""
        return [e["message"] for e in self.driver.get_log("browser")
                if "Failed to load resource" not in e["message"]
                and "'beforeunload' confirmation" not in e["message"]]


def picture():
    """A small PNG."""
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data +
                struct.pack(">I", zlib.crc32(kind + data)))
    rows = b"".join(b"\0" + bytes(c for x in range(64) for c in (x * 4, y * 8, 128))
                    for y in range(32))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 32, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


# ---- a presignd and a store that misbehave ---------------------------------------------------------

EVIL = "</span><img src=x onerror=alert(1)><script>alert(2)</script>"
PACKET = {"id": "1", "method": "POST", "fields": {"key": EVIL, "policy": "p"}, "key": EVIL,
          "bucket": "b", "expires_at": "2026-01-01T00:00:00Z", "expires_in": 900}


def problem(status, code, headers=None, **members):
    return status, {"status": status, "code": code, "detail": EVIL} | members, headers or {}


def xml(status, code, message=""):
    return status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>", {}


class StageHandler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body, kind, headers=None):
        data = body if isinstance(body, bytes) else body.encode()
        self.send_response(status)
        for name, value in ({"Content-Type": kind, "Content-Length": str(len(data)),
                             "Access-Control-Allow-Origin": "*"} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path == "/v1/quota" and not self.headers["Authorization"]:
            self.answer(401, '{"code": "missing_token"}', "application/problem+json")
            return
        if path == "/v1/quota":
            self.answer(200, json.dumps(self.server.stage.quota), "application/json")
            return
        file = WEB / ("index.html" if path == "/" else path[1:])
        kinds = {".html": "text/html", ".js": "text/javascript", ".css": "text/css",
                 ".svg": "image/svg+xml"}
        self.answer(200, file.read_bytes(), kinds[file.suffix],
                    {"Content-Security-Policy": self.server.stage.policy})

    def do_OPTIONS(self):
        self.answer(204, b"", "text/plain", {"Access-Control-Allow-Headers": "*"})

    def do_POST(self):
        self.note()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/uploads":
            self.server.stage.wishes.append(body.decode())
        answer = self.server.stage.store if self.path.startswith("/bucket") else self.server.stage.grant
        status, body, headers = answer
        if body is PACKET:
            body = PACKET | {"url": f"{self.server.stage.origin}/bucket"}
        kind = "application/xml" if isinstance(body, str) else "application/problem+json"
        self.answer(status, body if isinstance(body, str) else json.dumps(body), kind, headers)

    def note(self):
        self.server.stage.asked.append((self.command, self.path, self.headers["Authorization"],
                                        self.headers["Idempotency-Key"]))

    def do_DELETE(self):
        self.note()
        self.answer(204, b"", "text/plain")

    def log_message(self, *args):
        pass


class Stage:
    """Serves the page, with this policy, on an origin of its own."""

    def __init__(self, policy):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), StageHandler)
        self.origin = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.server.stage = self
        self.policy, self.grant, self.store = policy, None, None
        self.wishes = []  # the bodies of what is asked of presignd
        self.asked = []  # (method, path, Authorization, Idempotency-Key) of all that changes things
        self.quota = {"user": EVIL, "plan": EVIL, "limits": []}
        threading.Thread(target=self.server.serve_forever, args=[0.02], daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
