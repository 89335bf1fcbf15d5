"""The service manager's protocols, with the manager played by the test: news (sd_notify(3)) and
inherited sockets (sd_listen_fds(3)). Then the unit files, as systemd-analyze sees them."""
import concurrent.futures
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
import tokens
from contract import FILE
from service import BIN, TOP, WAIT_LIMIT_S, base_config, clean_environment

# Puts the sockets where a manager does, and says so as it does: to this process alone.
HAND_DOWN = """
import fcntl, os, sys
pid, names, fds, command = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
fds = [fcntl.fcntl(int(n), fcntl.F_DUPFD, 50) for n in fds.split(",") if n]
for i, fd in enumerate(fds):
    os.dup2(fd, 3 + i)
    os.close(fd)
os.environ |= {"LISTEN_PID": pid or str(os.getpid()), "LISTEN_FDS": str(len(fds))}
if names:
    os.environ["LISTEN_FDNAMES"] = names
if "WATCHDOG_USEC" in os.environ:
    os.environ["WATCHDOG_PID"] = os.environ.get("WATCHDOG_PID", str(os.getpid()))
os.execv(command[0], command)
"""


def handing_down(sockets=(), names="", pid=""):
    """What Service wants to start with these sockets."""
    fds = [s.fileno() for s in sockets]
    return {"launcher": [sys.executable, "-c", HAND_DOWN, pid, names, ",".join(map(str, fds))],
            "pass_fds": fds}


class Manager:
    """A notification socket: its messages in order, each a dict."""

    def __init__(self, name):
        self.name = str(name)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.name[1:] if self.name[0] == "@" else self.name)
        self.seen = []

    def hear(self, limit_s=WAIT_LIMIT_S):
        self.socket.settimeout(limit_s)
        text = self.socket.recv(65536).decode()
        message = dict(line.split("=", 1) for line in text.split("\n"))
        self.seen.append(message)
        return message

    def wait(self, name):
        """The next message with this member; signs of life may stand before it, nothing else."""
        while name not in (message := self.hear()):
            assert message == {"WATCHDOG": "1"}
        return message

    def rest(self):
        """What came and was not heard."""
        out = []
        with contextlib.suppress(BlockingIOError):
            while True:
                out.append(self.hear(0))
        return out


@pytest.fixture
def manager(tmp_path):
    m = Manager(tmp_path / "notify")
    yield m
    m.socket.close()


@pytest.fixture
def listener():
    """A listening socket that outlives services."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as s:
        yield s


# ---- news ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_readiness(presignd, tmp_path, kind):
    m = Manager(tmp_path / "notify" if kind == "path" else f"@presignd-{tmp_path}"[:100])
    s = presignd(env={"NOTIFY_SOCKET": m.name})
    message = m.wait("READY")
    assert message == {"READY": "1", "STATUS": f"answers on 127.0.0.1:{s.port}"}
    assert s.get("/livez").status == 200
    s.stop()
    assert m.wait("STOPPING")["STOPPING"] == "1"
    assert m.rest() == []
    m.socket.close()


def test_not_ready_when_it_cannot_start(presignd, manager):
    """Readiness is said once everything listens, not before."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(AssertionError):
        presignd(base_config(admin_listen=f"127.0.0.1:{taken.getsockname()[1]}"),
                 env={"NOTIFY_SOCKET": manager.name})
    assert manager.rest() == []


def test_a_manager_that_left(presignd, manager, tmp_path):
    s = presignd(env={"NOTIFY_SOCKET": manager.name})
    manager.wait("READY")
    manager.socket.close()
    (tmp_path / "notify").unlink()
    s.reload()
    assert s.get("/livez").status == 200


def test_reload(presignd, manager):
    s = presignd(env={"NOTIFY_SOCKET": manager.name})
    words = manager.wait("READY")["STATUS"]
    before = time.monotonic_ns() // 1000
    s.reload()
    message = manager.hear()
    assert message["RELOADING"] == "1"
    assert before <= int(message["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    assert manager.hear() == {"READY": "1", "STATUS": words}

    s.reload(base_config(nonsense=1), good=False)
    assert manager.hear()["RELOADING"] == "1"
    message = manager.hear()
    assert message["READY"] == "1"
    assert message["STATUS"].startswith(words) and "nonsense: unknown member" in message["STATUS"]
    assert s.ask(FILE).status == 201

    s.reload(base_config())
    assert manager.hear()["RELOADING"] == "1"
    assert manager.hear() == {"READY": "1", "STATUS": words}
    assert manager.rest() == []


def test_stopping_is_the_last_word(presignd, manager):
    s = presignd(base_config(drain={"delay_s": 20, "timeout_s": 25}),
                 env={"NOTIFY_SOCKET": manager.name})
    manager.wait("READY")
    s.signal(signal.SIGTERM)
    assert manager.hear()["STOPPING"] == "1"
    s.reload()
    assert s.get("/livez").status == 200
    assert manager.rest() == []
    s.signal(signal.SIGTERM)
    s.stop()


def test_signs_of_life(presignd, manager):
    s = presignd(env={"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "100000"}, **handing_down())
    manager.wait("READY")
    begin = time.monotonic()
    signs = 0
    while signs < 10:
        assert manager.hear() == {"WATCHDOG": "1"}
        signs += 1
    assert time.monotonic() - begin > 0.3, "twice in each period, not more"
    s.reload()
    assert manager.wait("RELOADING") and manager.wait("READY")


def test_no_signs_for_another(presignd, manager):
    s = presignd(env={"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "2000", "WATCHDOG_PID": "1"},
                 **handing_down())
    assert "READY" in manager.hear()
    for _ in range(3):
        s.reload()
        assert "RELOADING" in manager.hear() and "READY" in manager.hear()


# ---- inherited sockets ---------------------------------------------------------------------------

def test_inherited(presignd, listener):
    """One socket for all loops: each loop may have 20 connections, and 40 are served at once."""
    config = base_config(threads=2, limits={"connections": 40},
                         listen="127.0.0.1:1")  # which does not count
    s = presignd(config, **handing_down([listener], "public"))
    port = listener.getsockname()[1]
    entry = s.logs("listening")[0]
    assert (entry["address"], entry["port"], entry["inherited"]) == ("127.0.0.1", port, True)
    assert s.admin_port and s.get("/livez", admin=True).status == 200
    connections = [s.connection() for _ in range(40)]
    for _ in range(2):
        for c in connections:
            assert s.ask(FILE, connection=c).status == 201
    for c in connections:
        c.close()


def test_both_inherited(presignd, listener):
    with socket.create_server(("127.0.0.1", 0)) as admin:
        s = presignd(base_config(admin_listen=""), **handing_down([admin, listener], "admin:public"))
        assert s.port == listener.getsockname()[1]
        assert s.admin_port == admin.getsockname()[1]
        assert s.get("/metrics", admin=True).status == 200
        assert s.get("/metrics").status == 404


def test_another_process_s_sockets(presignd, listener):
    s = presignd(**handing_down([listener], "public", pid="1"))
    assert s.port != listener.getsockname()[1]
    assert "inherited" not in s.logs("listening")[0]


def start_fault(sockets, names, *args):
    how = handing_down(sockets, names)
    done = subprocess.run([*how["launcher"], BIN, "serve", *args], pass_fds=how["pass_fds"],
                          env=clean_environment(), capture_output=True, timeout=30, check=False)
    assert done.returncode == os.EX_CONFIG and not done.stdout
    return done.stderr.decode()


@pytest.fixture
def config_args(tmp_path):
    (tmp_path / "secret").write_bytes(tokens.SECRET)
    text = json.dumps(base_config()).replace("{dir}", str(tmp_path))
    (tmp_path / "c.json").write_text(text)
    return "--config", tmp_path / "c.json"


def test_wrong_descriptors(listener, config_args, tmp_path):
    silent = socket.socket()
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    local = socket.socket(socket.AF_UNIX)
    local.bind(str(tmp_path / "local"))
    local.listen()
    a_file = open(tmp_path / "file", "wb")
    with silent, datagrams, local, a_file:
        for sockets, names, words in (
                ([silent], "public", "does not listen"), ([datagrams], "public", "no TCP socket"),
                ([local], "public", "no internet socket"), ([a_file], "public", "no socket"),
                ([listener], "presignd.socket", "FileDescriptorName= is public or admin"),
                ([listener, listener], "", "FileDescriptorName= is public or admin"),
                ([listener, listener], "public:public", "second of its name"),
                ([listener, listener], "public:admin", "where the public one does")):
            err = start_fault(sockets, names, *config_args)
            assert "cannot start: inherited descriptor 3" in err or \
                   "cannot start: inherited descriptor 4" in err, err
            assert words in err, err


def test_dev_takes_no_socket(listener):
    assert "--dev opens sockets of its own" in start_fault([listener], "public", "--dev")


def test_wrong_manager(config_args):
    done = subprocess.run([BIN, "serve", *config_args],
                          env=clean_environment({"WATCHDOG_USEC": "soon"}),
                          capture_output=True, timeout=30, check=False)
    assert done.returncode == os.EX_CONFIG
    assert "cannot start: WATCHDOG_USEC" in done.stderr.decode()


@pytest.mark.parametrize("name", ["vsock:2:1234", "somewhere"])
def test_a_manager_at_an_address_of_another_kind(presignd, name):
    s = presignd(env={"NOTIFY_SOCKET": name})
    assert f'"{name}"' in s.logs("manager_not_told")[0]["message"]
    assert s.get("/livez").status == 200


def test_a_fault_that_no_restart_mends_has_a_status_of_its_own(tmp_path, config_args):
    """Not so what may pass, as a port that somebody else has."""
    def status(path):
        return subprocess.run([BIN, "serve", "--config", path], env=clean_environment(),
                              capture_output=True, timeout=30, check=False).returncode

    good = json.loads(config_args[1].read_text())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for name, config, want in (
                ("unknown member", good | {"nonsense": 1}, os.EX_CONFIG),
                ("no secret", good | {"auth": {"issuers": [
                    good["auth"]["issuers"][0] | {"secret_file": "/nowhere"}]}}, os.EX_CONFIG),
                ("taken port", good | {"listen": f"127.0.0.1:{port}"}, 1)):
            (tmp_path / "other.json").write_text(json.dumps(config))
            assert status(tmp_path / "other.json") == want, name
    assert status(tmp_path / "none.json") == 1


# ---- restarts ------------------------------------------------------------------------------------

def test_who_connects_between_two_services_waits(presignd, listener):
    port = listener.getsockname()[1]
    presignd(**handing_down([listener], "public")).stop()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        early = [socket.create_connection(("127.0.0.1", port), timeout=WAIT_LIMIT_S)
                 for _ in range(8)]
        for c in early:
            c.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        presignd(**handing_down([listener], "public"))
        answers = list(pool.map(lambda c: c.makefile("rb").read(), early))
    assert all(a.startswith(b"HTTP/1.1 200 ") for a in answers)
    for c in early:
        c.close()


def test_who_stands_in_the_queue_at_the_end_is_served(presignd, listener):
    """Frozen, the first one accepts nobody: on waking it finds the signal and the queue at once."""
    s = presignd(**handing_down([listener], "public"))
    s.signal(signal.SIGSTOP)
    waiting = [socket.create_connection((s.host, s.port), timeout=WAIT_LIMIT_S) for _ in range(50)]
    for c in waiting:
        c.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    s.signal(signal.SIGTERM)
    s.signal(signal.SIGCONT)
    s.stop()
    presignd(**handing_down([listener], "public"))
    for c in waiting:
        assert c.makefile("rb").read().startswith(b"HTTP/1.1 200 ")
        c.close()


def test_no_connection_is_lost_over_restarts(presignd, listener):
    """Clients that open one connection after the other, while three services follow each other."""
    config = base_config(ledger={"backend": "none"})
    s = presignd(config, **handing_down([listener], "public"))
    token, end, lock = s.token(), threading.Event(), threading.Lock()
    statuses = {}

    def client():
        while not end.is_set():
            try:
                status = s.ask(FILE, token=token).status
            except OSError as e:
                status = repr(e)
            with lock:
                statuses[status] = statuses.get(status, 0) + 1

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(client) for _ in range(4)]
        try:
            for _ in range(3):
                s.stop()
                s = presignd(config, **handing_down([listener], "public"))
                seen = statuses.get(201, 0)
                while statuses.get(201, 0) < seen + 50:
                    assert set(statuses) <= {201}, statuses
                    end.wait(0.01)
        finally:
            end.set()
        for c in clients:
            c.result()
    assert set(statuses) == {201}, statuses


# ---- the units -----------------------------------------------------------------------------------

def analyze(*args):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    done = subprocess.run(["systemd-analyze", *map(str, args)], capture_output=True, timeout=60,
                          check=False, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"})
    return done.returncode, (done.stdout + done.stderr).decode()


@pytest.fixture
def units(tmp_path):
    """As installed, but for the program's place."""
    for name in ("presignd.service", "presignd.socket"):
        text = (TOP / "systemd" / name).read_text()
        (tmp_path / name).write_text(text.replace("/usr/bin/presignd", str(BIN.resolve())))
    return tmp_path


@pytest.mark.without_presignd
def test_units_are_good(units):
    status, out = analyze("verify", "--man=no", "--recursive-errors=no", units / "presignd.service",
                          units / "presignd.socket")
    ours = [line for line in out.splitlines() if "presignd" in line]
    assert (status, ours) == (0, []), out


@pytest.mark.without_presignd
def test_a_fault_in_a_unit_shows(units):
    """What the test above would say of a unit that is not good."""
    path = units / "presignd.service"
    path.write_text(path.read_text().replace("ProtectSystem=", "ProtectSystems="))
    assert "ProtectSystems" in analyze("verify", "--man=no", "--recursive-errors=no", path)[1]


@pytest.mark.without_presignd
def test_exposure(units):
    _, out = analyze("security", "--offline=true", "--no-pager", units / "presignd.service")
    found = re.search(r"Overall exposure level for presignd.service: ([0-9.]+)", out)
    assert found and float(found[1]) <= 1.0, out


@pytest.mark.without_presignd
def test_unit_and_program_agree():
    service = (TOP / "systemd/presignd.service").read_text()
    assert re.search(r"^Type=notify$", service, re.M)
    assert re.search(r"^ExecStart=/usr/bin/presignd serve$", service, re.M)
    # One that gives up takes the socket along.
    assert re.findall(r"^(StartLimit\w*|Restart(?!Sec)\w*)=(.*)$", service, re.M) == [
        ("StartLimitIntervalSec", "0"), ("Restart", "on-failure")]
    names = re.findall(r"^FileDescriptorName=(.*)$", (TOP / "systemd/presignd.socket").read_text(),
                       re.M)
    assert names == ["public"]
