"""service - starts the real program for a test and talks to it.

    with Service(base_config(log={"level": "debug"})) as s:
        answer = s.ask({"content_type": "image/png", "content_length": 7})
        assert answer.status == 201 and answer.json["method"] == "POST"

Ports are always 0; the environment is clean; "{dir}" in any text of the configuration is a folder
that belongs to this service. Leaving the block sends SIGTERM and wants exit status 0, no sanitizer
report, and nothing but JSON lines on stderr.
"""
import copy
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import tokens

TOP = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("PRESIGND_BIN", TOP / "build" / "presignd"))
START_LIMIT_S = 10
WAIT_LIMIT_S = 20
SETTLE_LIMIT_S = 5
PROBES = ("/livez", "/readyz", "/healthz")
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE0000TESTS",
               "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
REPORTS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "UndefinedBehaviorSanitizer",
           "runtime error:")
UNSET = object()


def sanitizer_options():
    """What the caller set, and that a report ends the program with a status of its own."""
    out = {}
    for name, ours in (("ASAN", "exitcode=99:detect_leaks=1"), ("LSAN", "exitcode=99"),
                       ("UBSAN", "halt_on_error=1:exitcode=99:print_stacktrace=1"),
                       ("TSAN", "exitcode=99:halt_on_error=0")):
        theirs = os.environ.get(f"{name}_OPTIONS", "")
        out[f"{name}_OPTIONS"] = ":".join(filter(None, [theirs, ours]))
    return out


def clean_environment(env=None, credentials=CREDENTIALS):
    """Nothing inherited but a path; `env` wins over the test's credentials, None takes one away."""
    out = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"} | sanitizer_options()
    out |= (credentials or {}) | (env or {})
    return {k: v for k, v in out.items() if v is not None}


def run_command(*args, env=None, credentials=CREDENTIALS, limit_s=30, stdin=None):
    """One run of the program to its end: (status, stdout, stderr)."""
    done = subprocess.run([BIN, *map(str, args)], env=clean_environment(env, credentials),
                          input=stdin, capture_output=True, timeout=limit_s, check=False)
    out, err = done.stdout.decode(), done.stderr.decode()
    assert not any(r in err for r in REPORTS), err
    return done.returncode, out, err


# ---- configurations ------------------------------------------------------------------------------

def merge(under, over):
    """`over` laid on `under`: objects member by member, everything else whole; so is a ledger,
    where the members of one backend are faults beside another."""
    if not isinstance(under, dict) or not isinstance(over, dict):
        return copy.deepcopy(over)
    out = dict(under)
    for name, value in over.items():
        inside = name in under and name != "ledger"
        out[name] = merge(under[name], value) if inside else copy.deepcopy(value)
    return out


def base_config(**overrides):
    """A small good configuration; overrides are laid on it member by member."""
    return merge({
        "listen": "127.0.0.1:0",
        "admin_listen": "127.0.0.1:0",
        "threads": 2,
        "cors": {"origins": ["https://app.test"]},
        "auth": {"issuers": [{"issuer": tokens.ISSUER, "audience": [tokens.AUDIENCE],
                              "algorithms": ["HS256"], "secret_file": "{dir}/secret"}]},
        "credentials": {"provider": "env"},
        "buckets": {"main": {"bucket": "test-bucket", "region": "eu-west-1"}},
        "profiles": {"default": {"bucket": "main", "key": "{user}/{uuid}",
                                 "content_types": ["image/*", "text/plain", "application/pdf"],
                                 "max_bytes": 1048576}},
        "ledger": {"backend": "sqlite", "path": "{dir}/ledger.db"},
        "drain": {"delay_s": 0, "timeout_s": 10},
    }, overrides)


# ---- HTTP ----------------------------------------------------------------------------------------

class Answer:
    """status, headers (case-insensitive, .get_all for repeated ones), body."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The problem's code, or None."""
        if self.headers.get("Content-Type") != "application/problem+json":
            return None
        return self.json["code"]

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


def raw_exchange(port, data, limit_s=WAIT_LIMIT_S, finish=True):
    """Sends bytes as they are; everything that comes until the server closes. With finish the
    sending side is shut down, so that a server which keeps the connection closes it too."""
    with socket.create_connection(("127.0.0.1", port), timeout=limit_s) as s:
        got = b""
        try:
            s.sendall(data)
            if finish:
                s.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it did not want to hear the rest
        try:
            while more := s.recv(65536):
                got += more
        except ConnectionResetError:
            pass
        return got


def read_raw(data):
    """(status, headers as a list of pairs with lower-case names, rest) of one raw answer."""
    head, _, rest = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    pairs = [line.split(":", 1) for line in lines[1:]]
    return int(lines[0].split()[1]), [(n.lower(), v.strip()) for n, v in pairs], rest


# ---- the program ---------------------------------------------------------------------------------

class Service:
    """A running `presignd serve`. Use it as a context manager."""

    def __init__(self, config=None, *, args=(), env=None, credentials=CREDENTIALS, files=None,
                 start_limit_s=START_LIMIT_S, launcher=(), pass_fds=()):
        self.dir = Path(tempfile.mkdtemp(prefix="presignd-test-"))
        self.config_path = self.dir / "presignd.json"
        self.write("secret", tokens.SECRET)
        for name, content in (files or {}).items():
            self.write(name, content)
        self.config = None
        argv = [*launcher, BIN, "serve", *args]
        if config is not None:
            self.write_config(config)
            argv += ["--config", self.config_path]
        self.lines, self.strays, self.news = [], [], threading.Condition()
        self.answered = set()
        self.ended = False
        with open(self.dir / "stdout", "wb") as out:
            self.process = subprocess.Popen(
                argv, env=clean_environment(env, credentials), stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.PIPE, pass_fds=pass_fds)
        self.reader = threading.Thread(target=self.read_log, daemon=True)
        self.reader.start()
        try:
            ready = self.wait_log("listening", start_limit_s)
        except BaseException:
            self.kill()
            raise
        self.pid = self.process.pid
        self.host, self.port, self.admin_port = "127.0.0.1", ready["port"], ready.get("admin_port")
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin_url = f"http://127.0.0.1:{self.admin_port}" if self.admin_port else None

    # files

    def write(self, name, content):
        path = self.dir / name
        data = content if isinstance(content, bytes) else content.encode()
        temporary = self.dir / (name + ".next")
        temporary.write_bytes(data)
        temporary.rename(path)
        return path

    def write_config(self, config):
        self.config = config
        text = config if isinstance(config, str) else json.dumps(config, indent=1)
        return self.write("presignd.json", text.replace("{dir}", str(self.dir)))

    def stdout(self):
        return (self.dir / "stdout").read_text()

    # log

    def read_log(self):
        for line in self.process.stderr:
            try:
                entry = json.loads(line)
            except ValueError:
                entry = None
            with self.news:
                if isinstance(entry, dict):
                    self.lines.append(entry)
                else:
                    self.strays.append(line.decode(errors="replace"))
                self.news.notify_all()
        with self.news:
            self.ended = True
            self.news.notify_all()

    def note_answer(self, path, status, request_id):
        """What is answered is counted and logged a moment later."""
        log = self.config.get("log", {}) if isinstance(self.config, dict) else {}
        quiet = not log.get("access", True) or (path.split("?")[0] in PROBES and status < 400)
        if request_id and not quiet:
            with self.news:
                self.answered.add(request_id)

    def settle(self):
        """Until each request() that was answered is in the log, and so in the metrics."""
        def settled():
            return self.ended or self.answered <= {
                e["request_id"] for e in self.find_lines("request", {})}
        with self.news:
            self.news.wait_for(settled, SETTLE_LIMIT_S)
            self.answered.clear()

    def find_lines(self, event, members):
        with self.news:
            return [e for e in self.lines if (event is None or e.get("event") == event) and
                    all(e.get(k) == v for k, v in members.items())]

    def logs(self, event=None, **members):
        """The log lines so far: of this event, with these members."""
        self.settle()
        return self.find_lines(event, members)

    def wait_log(self, event, limit_s=WAIT_LIMIT_S, *, after=0, **members):
        """The first such line among those after the first `after` of that event and members."""
        def found():
            lines = self.find_lines(event, members)
            return lines[after] if len(lines) > after else None
        with self.news:
            self.news.wait_for(lambda: found() or self.ended, limit_s)
            entry = found()
            if entry is None:
                tail = "\n".join(map(json.dumps, self.lines[-20:])) + "".join(self.strays)
                raise AssertionError(f"no log line {event} {members} in {limit_s} s "
                                     f"(ended: {self.ended})\n{tail}")
            return entry

    # requests

    def token(self, user="alice", **more):
        return tokens.token(user, **more)

    def connection(self, admin=False, limit_s=WAIT_LIMIT_S):
        port = self.admin_port if admin else self.port
        return http.client.HTTPConnection(self.host, port, timeout=limit_s)

    def request(self, method, path, body=None, headers=None, *, token=None, admin=False,
                connection=None, limit_s=WAIT_LIMIT_S):
        """One request; `body` may be bytes, text, or something to write as JSON."""
        headers = dict(headers or {})
        if token is not None:
            headers.setdefault("Authorization", f"Bearer {token}")
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        if isinstance(body, str):
            body = body.encode()
        own = connection is None
        c = self.connection(admin, limit_s) if own else connection
        try:
            c.request(method, path, body=body, headers=headers)
            r = c.getresponse()
            answer = Answer(r.status, r.headers, r.read())
        finally:
            if own:
                c.close()
        if not admin:
            self.note_answer(path, r.status, r.headers["X-Request-Id"])
        return answer

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def ask(self, body, path="/v1/uploads", token=UNSET, **more):
        """POST of a JSON body with a good token, unless another (or None) is given."""
        token = self.token() if token is UNSET else token
        headers = {"Content-Type": "application/json"} | more.pop("headers", {})
        return self.request("POST", path, body, headers, token=token, **more)

    def raw(self, data, **more):
        return raw_exchange(self.port, data, **more)

    def metrics(self):
        """{'name{labels}': value} from the admin listener."""
        self.settle()
        lines = self.get("/metrics", admin=True).body.decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    # life

    def signal(self, number):
        self.process.send_signal(number)

    def reload(self, config=None, *, good=True):
        """SIGHUP, and the line that says how it went."""
        event = "reloaded" if good else "reload_failed"
        seen = len(self.logs(event))
        if config is not None:
            self.write_config(config)
        self.signal(signal.SIGHUP)
        return self.wait_log(event, after=seen)

    def wait_exit(self, limit_s=WAIT_LIMIT_S):
        status = self.process.wait(limit_s)
        self.reader.join(limit_s)
        return status

    def stop(self, status=0, limit_s=WAIT_LIMIT_S):
        """SIGTERM if it still runs, and what a good end must be like."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            got = self.wait_exit(limit_s)
        finally:
            self.kill()
        text = "".join(self.strays)
        assert not any(r in text for r in REPORTS), text
        assert got == status, f"exit status {got}, wanted {status}\n{text}\n{self.lines[-10:]}"
        assert not text, f"no JSON on stderr: {text}"

    def kill(self):
        """Ends it at once, whatever it does, and removes its folder; fine to repeat."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.reader.join(WAIT_LIMIT_S)
        self.process.stderr.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        if kind is None:
            self.stop()
            return
        self.kill()


def wait_until(condition, limit_s=WAIT_LIMIT_S, every_s=0.02):
    """For what announces itself nowhere: asks again until it holds. Returns its value."""
    end = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < end, f"did not hold within {limit_s} s"
        time.sleep(every_s)
    return value
