"""browser - headless Chromium, and pages on origins of their own.

    @pytest.fixture(scope="module")
    def page_server():
        with PageServer({"/": (b"<!doctype html>...", "text/html; charset=utf-8")}) as server:
            yield server

    def test_x(browser, page_server):
        run = open_page(browser, page_server.origin)
        assert run("return args[0] + 1", 1) == 2

The fixtures `browser` and `store_url` are in conftest.py. Each PageServer has a port, and so an
origin, of its own: what its pages ask of presignd and of the store is cross-origin.
"""
import http.server
import os
import shutil
import tempfile
import threading
from pathlib import Path

import nginx

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
LIMIT_S = 30


class PageHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body, content_type, *more = self.server.pages.get(self.path.partition("?")[0], (None, None))
        self.send_response(200 if body is not None else 404)
        if body is not None:
            self.send_header("Content-Type", content_type)
        for name, value in (more[0] if more else {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *args):
        pass


class PageServer:
    """Serves pages, a dictionary of path to (bytes, content type) and perhaps further headers, on a
    port of its own. Chromium finds it under every name below .localhost too."""

    def __init__(self, pages):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), PageHandler)
        self.server.pages = pages
        self.port = self.server.server_address[1]
        self.origin = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Browser:
    """A Chromium of its own, with an empty profile. `driver` is Selenium's."""

    def __init__(self):
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service as Driver
        self.folder = tempfile.mkdtemp(prefix="presignd-chromium-")
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu",
                         "--disable-dev-shm-usage", "--no-first-run",
                         "--disable-background-networking", "--disable-sync",
                         "--disable-component-update", "--no-proxy-server",
                         f"--user-data-dir={self.folder}/profile"):
            options.add_argument(argument)
        # what stops a forged request must not be the browser alone
        options.add_experimental_option("prefs", {"profile.cookie_controls_mode": 0})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(
            service=Driver(DRIVER, env=os.environ | {"HOME": self.folder}), options=options)
        self.driver.set_script_timeout(LIMIT_S)
        self.driver.set_page_load_timeout(LIMIT_S)

    def close(self):
        self.driver.quit()
        shutil.rmtree(self.folder, ignore_errors=True)


def missing():
    """Why no browser can be started, or None."""
    if not Path(CHROMIUM).exists() or not Path(DRIVER).exists():
        return "chromium or chromium-driver is not installed"
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "python3-selenium is not installed"
    return None


def runner(driver):
    """run(script, ...): what the async function with this body returns, or its error's name."""
    def run(script, *args):
        answer = driver.execute_async_script(
            "const args = [...arguments]; const done = args.pop();"
            f"(async (...args) => {{ {script} }})(...args).then("
            "value => done({ value }), error => done({ error: error.name }))", *args)
        return answer["value"] if "error" not in answer else answer["error"]
    return run


def open_page(driver, origin):
    """run() on the first page of an origin."""
    driver.get(origin + "/")
    return runner(driver)


# Ceph 16 (Debian 12) wants a preflight for a presigned URL to be signed like the request itself,
# with its signed headers, which no browser can do (ceph pull request 55458). Without the query it
# looks at the bucket's CORS rules alone, as AWS does.
STORE_FRONT = """
    server {{
        listen 127.0.0.1:{port} reuseport;
        client_max_body_size 0;
        proxy_request_buffering off;
        location / {{
            if ($request_method = OPTIONS) {{ set $args ""; }}
            proxy_pass {endpoint};
            proxy_set_header Host $http_host;
        }}
    }}
"""


class StoreFront:
    """A store, as browsers see it: `url`."""

    def __init__(self, endpoint):
        self.ports = nginx.Ports(1)
        port = self.ports.numbers[0]
        self.url = f"http://127.0.0.1:{port}"
        self.nginx = nginx.Nginx(port, STORE_FRONT.format(port=port, endpoint=endpoint))

    def close(self):
        self.nginx.stop()
        self.ports.close()
