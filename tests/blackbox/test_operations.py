"""Probes, metrics, logs, reload and drain (API version 1, section 5)."""
import concurrent.futures
import json
import signal
import socket
import threading
import time

import pytest
import tokens
from contract import APP, FILE, FILES, check_problem, config, profile, rows
from service import CREDENTIALS, Service, base_config, merge, read_raw, wait_until


@pytest.fixture(scope="module")
def api():
    with Service(config(), files=FILES) as s:
        yield s


# ---- probes and metrics --------------------------------------------------------------------------

def test_probes(api):
    for admin in (False, True):
        assert api.get("/livez", admin=admin).status == 200
        for path in ("/readyz", "/healthz"):
            answer = api.get(path, admin=admin)
            assert answer.status == 200
            assert answer.json == {"status": "ready", "failing": []}
            checks = api.get(path + "?verbose", admin=admin).json["checks"]
            assert {c["name"] for c in checks} == {"credentials", "keys", "ledger", "draining"}
            assert all(c["ok"] is True and isinstance(c["reason"], str) for c in checks)
    for name in ("livez", "readyz", "healthz"):
        assert not api.logs("request", route=name, status=200)


def test_failing_probes_are_logged(presignd):
    s = presignd(config(credentials={"provider": "imds"}), files=FILES, credentials=None,
                 env={"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"})
    assert s.get("/readyz").status == 503
    assert s.wait_log("request", route="readyz")["status"] == 503


def test_metrics(api):
    check_problem(api.get("/metrics"), 404, "not_found")
    before = api.metrics()
    api.ask(FILE)
    api.ask(FILE | {"method": "PUT"})
    api.ask({"files": [FILE, FILE]})
    api.ask(FILE | {"profile": "nope"})
    api.ask(FILE, path="/upload")
    after = api.metrics()
    grown = {k: v - before.get(k, 0) for k, v in after.items() if v != before.get(k, 0)}
    assert grown['presignd_requests_total{route="uploads",status="201"}'] == 3
    assert grown['presignd_requests_total{route="uploads",status="403"}'] == 1
    assert grown['presignd_requests_total{route="upload",status="400"}'] == 1
    assert grown['presignd_grants_total{method="POST"}'] == 3
    assert grown['presignd_grants_total{method="PUT"}'] == 1
    refused = [k for k in grown if "refusals" in k]
    assert any("profile_not_allowed" in k for k in refused), grown
    assert grown["presignd_request_duration_seconds_count"] >= 5
    assert after["presignd_credentials_available"] == 1
    text = api.get("/metrics", admin=True)
    assert text.headers["Content-Type"].startswith("text/plain")
    assert 'le="+Inf"' in text.body.decode()


def test_access_log(api):
    answer = api.ask(FILE)
    line = api.wait_log("request", request_id=answer.headers["X-Request-Id"])
    assert (line["method"], line["path"], line["status"]) == ("POST", "/v1/uploads", 201)
    assert line["duration_ms"] >= 0 and line["user"] == "alice"
    text = json.dumps(api.logs())
    assert answer.json["fields"]["x-amz-signature"] not in text
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in text
    assert api.token().split(".")[1] not in text


def test_silence(presignd):
    s = presignd(base_config(log={"access": False}))
    assert s.ask(FILE).status == 201
    s.stop()
    assert not s.logs("request") and len(s.logs("grant")) == 1


def test_the_client_in_the_log(presignd):
    """X-Forwarded-For counts from the right, and only from a proxy that is trusted."""
    s = presignd(config(trusted_proxies=["127.0.0.0/8", "192.0.2.0/24"]), files=FILES)
    other = presignd(config(trusted_proxies=["192.0.2.0/24"]), files=FILES)
    for sent, client in (("198.51.100.7", "198.51.100.7"),
                         ("203.0.113.1, 198.51.100.7", "198.51.100.7"),
                         ("198.51.100.7, 192.0.2.9", "198.51.100.7"),
                         ("2001:db8::1", "2001:db8::1"), (None, "127.0.0.1"),
                         ("nonsense", "127.0.0.1")):
        headers = {"X-Forwarded-For": sent} if sent else {}
        for service, want in ((s, client), (other, "127.0.0.1")):
            answer = service.ask(FILE, headers=headers)
            line = service.wait_log("request", request_id=answer.headers["X-Request-Id"])
            assert line["client"] == want, sent


# ---- reload --------------------------------------------------------------------------------------

def test_reload(presignd):
    s = presignd(config(), files=FILES)
    check_problem(s.ask(FILE | {"profile": "fresh"}), 403, "profile_not_allowed")
    connection = s.connection()
    assert s.ask(FILE, connection=connection).status == 201
    s.reload(config(profiles={"fresh": profile(max_bytes=1000)}, cors={"origins": ["https://b.test"]},
                    limits={"body_bytes": 2000}))
    for c in (connection, None):
        assert s.ask(FILE | {"profile": "fresh"}, connection=c).status == 201
        answer = s.ask(FILE, headers={"Origin": "https://b.test"}, connection=c)
        assert answer.headers["Access-Control-Allow-Origin"] == "https://b.test"
        answer = s.ask(FILE, headers={"Origin": APP}, connection=c)
        assert "Access-Control-Allow-Origin" not in answer.headers
        check_problem(s.ask(b"x" * 2001, connection=c), 413, "body_too_large")
    connection.close()


def test_reload_reads_secrets_anew(presignd):
    s = presignd(config(), files=FILES)
    old, fresh = s.token(), b"a fresh secret that is long enough for HS256"
    assert s.ask(FILE, token=old).status == 201
    s.write("secret", fresh + b"\n")
    s.reload()
    check_problem(s.ask(FILE, token=old), 401, "invalid_token")
    assert s.ask(FILE, token=tokens.token(key=fresh)).status == 201


BAD_RELOADS = {
    "no JSON": ("{",), "unknown member": (config(nope=1),),
    "a limit": (config(plans={"free": {"limits": [{"name": "a", "kind": "open", "max": 0}]}}),),
    "a limit without a ledger": (config(ledger={"backend": "none"}, plans={
        "free": {"limits": [{"name": "a", "kind": "open", "max": 1}]}}),),
    "no secret": (config(auth={"issuers": [merge(base_config()["auth"]["issuers"][0], {
        "secret_file": "{dir}/none"})]}),),
}


@pytest.mark.parametrize("bad", rows(BAD_RELOADS))
def test_a_bad_reload_changes_nothing(presignd, bad):
    s = presignd(config(), files=FILES)
    line = s.reload(bad, good=False)
    assert line["level"] == "error" and line["reason"]
    assert s.ask(FILE).status == 201 and s.get("/readyz").status == 200
    s.reload(config())
    assert s.ask(FILE).status == 201


def test_reload_says_what_needs_a_restart(presignd):
    s = presignd(config(), files=FILES)
    s.reload(config(listen="127.0.0.1:1", threads=1))
    line = s.wait_log("reload_needs_restart")
    assert line["level"] == "warn" and "listen" in line["message"] and "threads" in line["message"]
    assert s.ask(FILE).status == 201


def test_reload_under_load(presignd):
    """No request is lost while the configuration changes fifty times."""
    s = presignd(config(), files=FILES)
    stop, answers = threading.Event(), []

    def load():
        connection = s.connection()
        while not stop.is_set():
            answers.append(s.ask(FILE, connection=connection).status)
        connection.close()

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        loads = [pool.submit(load) for _ in range(3)]
        try:
            for n in range(50):
                s.reload(config(profiles={f"p{n}": profile()}))
        finally:
            stop.set()
        for each in loads:
            each.result()
    assert len(answers) > 50 and set(answers) == {201}


# ---- stopping ------------------------------------------------------------------------------------

def test_drain(presignd):
    s = presignd(config(drain={"delay_s": 2, "timeout_s": 10}), files=FILES)
    kept = s.connection()
    assert s.ask(FILE, connection=kept).headers.get("Connection", "") != "close"
    s.signal(signal.SIGTERM)
    s.wait_log("draining")
    answer = s.get("/readyz?verbose", admin=True)
    assert answer.status == 503 and answer.json["failing"] == ["draining"]
    assert s.get("/livez", admin=True).status == 200
    answer = s.ask(FILE, connection=kept)
    assert answer.status == 201 and answer.headers["Connection"].lower() == "close"
    answer = s.ask(FILE)
    assert answer.status == 201 and answer.headers["Connection"].lower() == "close"
    assert s.get("/healthz").status == 503
    s.stop()
    assert s.logs("stopped")


def slow_request(service, body):
    """A connection on which all but the last byte of a request was sent."""
    c = socket.create_connection(("127.0.0.1", service.port), timeout=20)
    head = (f"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.token()}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n")
    c.sendall(head.encode() + body[:-1])
    return c


def receive(c):
    got = b""
    while more := c.recv(65536):
        got += more
    return got


def in_flight(service):
    return service.metrics()["presignd_connections_open"]


def test_what_is_under_way_is_finished(presignd):
    s = presignd(config(), files=FILES)
    body = json.dumps(FILE).encode()
    c = slow_request(s, body)
    wait_until(lambda: in_flight(s) >= 2)  # its own, and that of the question
    s.signal(signal.SIGTERM)
    s.wait_log("draining")

    def refused():
        try:
            socket.create_connection(("127.0.0.1", s.port), timeout=1).close()
        except OSError:
            return True
        return False
    wait_until(refused)
    assert s.process.poll() is None
    c.sendall(body[-1:])
    status, headers, rest = read_raw(receive(c))
    assert status == 201 and json.loads(rest)["method"] == "POST"
    assert dict(headers)["connection"].lower() == "close"
    c.close()
    s.stop()


def test_the_drain_has_an_end(presignd):
    s = presignd(config(drain={"timeout_s": 1}), files=FILES)
    c = slow_request(s, json.dumps(FILE).encode())
    wait_until(lambda: in_flight(s) >= 2)
    s.stop()
    assert s.logs("drain_timeout")
    assert receive(c) == b""
    c.close()


def test_a_second_signal_stops_now(presignd):
    s = presignd(config(drain={"delay_s": 60, "timeout_s": 120}), files=FILES)
    c = slow_request(s, json.dumps(FILE).encode())
    s.signal(signal.SIGTERM)
    s.wait_log("draining")
    assert s.process.poll() is None
    begin = time.monotonic()
    s.signal(signal.SIGINT)
    s.stop()
    assert time.monotonic() - begin < 30
    c.close()


def test_a_burst_of_signals(presignd):
    s = presignd(config(), files=FILES)
    for _ in range(200):
        s.signal(signal.SIGHUP)
    s.wait_log("reloaded")
    assert s.ask(FILE).status == 201
    s.stop()
