"""fake - what the fake endpoints have in common: an HTTP server on a free loopback port whose
behaviour is switched while it runs.

A request belongs to a stage ("token", "role", "document", ...). Each stage counts its requests and
may have a fault, an object with any of:

    {"status": 503}      answer with that status (and "body", if given)
    {"body": "..."}      answer with that body
    {"headers": {...}}   further headers
    {"delay_s": 0.5}     answer late
    {"hang": true}       never answer, until the fault is taken away
    {"drop": true}       close the connection without an answer
    {"times": 2}         only the next two requests of the stage

In the same process: fake.set({...}), fake.counts, fake.seen. From elsewhere: POST /_admin with the
same object; GET /_admin gives the state. As a program it prints {"port": N} and serves until its
standard input ends or it is told to stop.
"""
import datetime
import http.client
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HANG_LIMIT_S = 300


def iso(seconds):
    return datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc).strftime(
        "%Y-%m-%dT%H:%M:%SZ")


def relay(upstream, handler, body):
    """Asks the real one the same: (status, headers, bytes). Host too is the same: it is signed."""
    place = urlsplit(upstream)
    link = http.client.HTTPConnection(place.hostname, place.port, timeout=20)
    link.putrequest(handler.command, handler.path, skip_host=True, skip_accept_encoding=True)
    for name, value in handler.headers.items():
        link.putheader(name, value)
    link.endheaders(body)
    answer = link.getresponse()
    text = answer.read()
    link.close()
    return answer.status, answer.headers.items(), text


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", headers=()):
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def date_time_string(self, timestamp=None):
        shift = self.server.fake.values.get("clock_ahead_s", 0)
        if timestamp is None and shift:
            timestamp = datetime.datetime.now().timestamp() + shift
        return super().date_time_string(timestamp)

    def handle_any(self):
        fake = self.server.fake
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if self.path == "/_admin":
            if self.command == "POST":
                fake.set(json.loads(body))
            self.answer(200, json.dumps(fake.state()))
            return
        fake.serve(self, body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_OPTIONS = handle_any


class Fake:
    """Subclasses say what the stages are, and answer one."""

    stages = ()
    defaults = {}

    def __init__(self):
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.values = dict(self.defaults)
        self.faults = {}
        self.epochs = {stage: 0 for stage in self.stages}  # grows when a fault is set or taken away
        self.counts = {stage: 0 for stage in self.stages}
        self.seen = []
        self.closing = False
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.server.fake = self
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        with self.lock:
            self.closing = True
            self.changed.notify_all()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def set(self, changes=None, **more):
        """Stages take faults (None: none), other names values; unknown names are errors."""
        with self.lock:
            for name, value in {**(changes or {}), **more}.items():
                if name in self.stages:
                    self.faults[name] = dict(value) if value else None
                    self.epochs[name] += 1
                elif name in self.defaults:
                    self.values[name] = value
                else:
                    self.act(name, value)
            self.changed.notify_all()

    def act(self, name, value):
        raise KeyError(f"{type(self).__name__} knows no {name}")

    def state(self):
        with self.lock:
            return {"values": self.values, "faults": self.faults, "counts": self.counts,
                    "seen": self.seen[-100:]}

    def wait_for(self, condition, timeout_s=20):
        """Until condition(self) holds; looked at after every request and change."""
        with self.changed:
            if not self.changed.wait_for(lambda: condition(self), timeout_s):
                raise TimeoutError(f"{type(self).__name__}: {self.counts} {self.values}")

    def begin(self, stage, handler):
        """Counts a request; the fault it meets, or None."""
        with self.lock:
            self.counts[stage] += 1
            self.seen.append({"stage": stage, "method": handler.command, "path": handler.path,
                              "headers": {k.lower(): v for k, v in handler.headers.items()}})
            self.changed.notify_all()
            fault = self.faults.get(stage)
            if fault and "times" in fault:
                fault["times"] -= 1
                if fault["times"] <= 0:
                    self.faults[stage] = None
            return fault

    def suffer(self, handler, stage, fault):
        """Does what the fault says; True when the request is dealt with."""
        if fault.get("hang") or fault.get("delay_s"):
            limit = HANG_LIMIT_S if fault.get("hang") else fault["delay_s"]
            with self.changed:
                epoch = self.epochs[stage]
                self.changed.wait_for(
                    lambda: self.closing or self.epochs[stage] != epoch, limit)
        if fault.get("hang") or fault.get("drop"):
            handler.close_connection = True
            return True
        if "status" in fault or "body" in fault:
            handler.answer(fault.get("status", 200), fault.get("body", ""),
                           fault.get("headers", {}))
            return True
        return False

    def serve(self, handler, body):
        stage = self.stage_of(handler)
        fault = self.begin(stage, handler)
        if fault and self.suffer(handler, stage, fault):
            return
        try:
            self.reply(handler, stage, body, (fault or {}).get("headers", {}))
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True

    def stage_of(self, handler):
        raise NotImplementedError

    def reply(self, handler, stage, body, headers):
        raise NotImplementedError


class Generations:
    """One set of credentials after the other; `n` in every text of it."""

    def __init__(self):
        self.n = 0
        self.ends_at = 0

    def renew(self, life_s, now):
        self.n += 1
        self.ends_at = now + life_s

    def document(self):
        return {"AccessKeyId": f"ASIA{self.n:012d}",
                "SecretAccessKey": f"secret+{self.n:032d}",
                "Token": f"session-token-{self.n:06d}-" + "x" * 300,
                "Expiration": iso(self.ends_at)}


def main(kind):
    with kind() as fake:
        print(json.dumps({"port": fake.port}), flush=True)
        sys.stdin.read()
