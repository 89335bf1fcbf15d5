"""The fleet's ledger: replicas share one truth in a real redis-server, and its troubles stay its own."""
import signal
import threading
from collections import Counter

import nginx
import pytest
import redis_server
from redis_server import RedisServer, Wire
from service import base_config, raw_exchange, read_raw, wait_until
from test_balancer import balancer

ASK = {"content_type": "image/png", "content_length": 1000}
PLANS = {
    "quota": {"limits": [{"name": "uploads", "kind": "count", "max": 100},
                         {"name": "volume", "kind": "bytes", "max": 10 ** 12}]},
    "paced": {"limits": [{"name": "requests", "kind": "rate", "max": 20, "window_s": 3600}]},
    "free": {"limits": []},
}
CLIENTS = 64


def config(port, **ledger):
    """What must not be refused may take half a second: the machine may be busy."""
    return base_config(ledger={"backend": "redis", "url": f"redis://127.0.0.1:{port}/0",
                               "timeout_ms": 500} | ledger,
                       plans=PLANS, default_plan="quota")


PATIENT = {"timeout_ms": 5000}  # where 64 ask at once


def ready(service):
    """Waits for the connection of every loop: they come up in the background."""
    checks = {c["name"]: c for c in service.get("/readyz?verbose").json["checks"]}
    return checks["ledger"]["ok"] and not checks["ledger"].get("reason")


def asks(service, plan, user="alice", **more):
    return service.ask(ASK, token=service.token(user, plan=plan), **more)


@pytest.fixture
def redis():
    if not redis_server.PROGRAM:
        pytest.skip("redis-server is not installed")
    started = []

    def start(*options):
        started.append(RedisServer(*options))
        return started[-1]

    yield start
    for s in started:
        s.close()


@pytest.fixture
def wired(redis, presignd):
    """(service, wire, server)"""
    server = redis()
    wire = Wire(server.port)
    service = presignd(config(wire.port))
    wait_until(lambda: ready(service))
    yield service, wire, server
    wire.close()


# ---- exact ---------------------------------------------------------------------------------------

def race(port, token, ask, each):
    """Everybody asks at once; the statuses counted."""
    from load import LIMIT_S
    import http.client
    import json
    seen, gate = Counter(), threading.Barrier(CLIENTS)

    def client():
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
        gate.wait()
        for _ in range(each):
            c.request("POST", "/v1/uploads", json.dumps(ask),
                      {"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
            answer = c.getresponse()
            answer.read()
            seen[answer.status] += 1
        c.close()

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return seen


@pytest.mark.parametrize("files, granted", [(1, 100), (7, 14)])
def test_exact_behind_a_balancer(redis, presignd, files, granted):
    """A limit of 100 files, three replicas: single files, and batches across the boundary."""
    if not nginx.PROGRAM:
        pytest.skip("nginx is not installed")
    server = redis()
    replicas = [presignd(config(server.port, **PATIENT)) for _ in range(3)]
    for s in replicas:
        wait_until(lambda s=s: ready(s))
    held = nginx.Ports(1)
    front = balancer(held.numbers[0], [s.port for s in replicas])
    try:
        ask = ASK if files == 1 else {"files": [ASK] * files}
        seen = race(held.numbers[0], replicas[0].token(plan="quota"), ask, each=4)
    finally:
        front.stop()
        held.close()
    assert seen == {201: granted, 403: CLIENTS * 4 - granted}
    for s in replicas:
        used = s.get("/v1/quota", token=s.token(plan="quota")).json["limits"][0]
        assert (used["reserved"], used["used"]) == (granted * files, 0)


# ---- troubles ------------------------------------------------------------------------------------

def refused(service):
    a = asks(service, "quota")
    if a.status == 201:
        return None
    assert (a.status, a.code) == (503, "ledger_unavailable"), a
    assert int(a.headers["Retry-After"]) >= 1
    return a


def untouched(service):
    """What does not need Redis does not feel it."""
    assert asks(service, "free").status == 201
    assert service.get("/livez").status == 200


def recovers(service):
    wait_until(lambda: asks(service, "quota").status == 201)
    wait_until(lambda: ready(service))


@pytest.mark.parametrize("mode", ["hang", "garbage", "half", "reset"])
def test_a_bad_wire(wired, mode):
    service, wire, _ = wired
    assert asks(service, "quota").status == 201
    wire.become(mode)
    wait_until(lambda: refused(service))
    for _ in range(10):
        untouched(service)
        assert refused(service)
    checks = service.get("/readyz?verbose").json
    assert "ledger" in checks["failing"], checks
    wire.become("pass")
    recovers(service)


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGTERM, signal.SIGKILL],
                         ids=["hangs", "stops", "dies"])
def test_a_server_that_goes_away(redis, presignd, how):
    server = redis()
    service = presignd(config(server.port))
    wait_until(lambda: ready(service))
    assert asks(service, "quota").status == 201
    server.process.send_signal(how)
    if how != signal.SIGSTOP:
        server.process.wait(10)
    wait_until(lambda: refused(service))
    untouched(service)
    if how == signal.SIGSTOP:
        server.process.send_signal(signal.SIGCONT)
    else:
        server.start()
    recovers(service)
    # what it had said yes to is still counted, what it refused is given back
    held = wait_until(lambda: (n := reserved(service)) == granted(service) and n)
    assert held >= 2


def reserved(service):
    return service.get("/v1/quota", token=service.token(plan="quota")).json["limits"][0]["reserved"]


def granted(service):
    return len(service.logs("grant", plan="quota"))


def test_scripts_are_forgotten(wired):
    service, _, server = wired
    assert asks(service, "quota").status == 201
    assert server.command("SCRIPT", "FLUSH").startswith("+OK")
    for _ in range(8):
        assert asks(service, "quota").status == 201


def test_failover(redis, presignd):
    """The primary becomes a replica of the one that takes over: READONLY, connect again, go on."""
    first, second = redis(), redis()
    assert second.command("REPLICAOF", "127.0.0.1", str(first.port)).startswith("+OK")
    wire = Wire(first.port)
    try:
        service = presignd(config(wire.port))
        wait_until(lambda: ready(service))
        for _ in range(10):
            assert asks(service, "quota").status == 201
        wait_until(lambda: "master_link_status:up" in second.command("INFO", "replication"))
        # "+OK 3" would be the offset; the write below is acknowledged when it is there too
        assert first.command("WAIT", "1", "5000") == ":1\r\n"
        assert second.command("REPLICAOF", "NO", "ONE").startswith("+OK")
        assert first.command("REPLICAOF", "127.0.0.1", str(second.port)).startswith("+OK")
        wait_until(lambda: refused(service))
        untouched(service)
        wire.target = second.port  # what the name points to from now on; nobody is cut off
        recovers(service)
        assert wait_until(lambda: (n := reserved(service)) == granted(service) and n) > 10
    finally:
        wire.close()


def test_rates_go_on_with_a_local_share(redis, presignd):
    server = redis()
    service = presignd(config(server.port, replicas=2))
    wait_until(lambda: ready(service))
    server.stop()
    wait_until(lambda: refused(service))
    seen = Counter(asks(service, "paced").status for _ in range(20))
    assert seen == {201: 10, 429: 10}  # 20 an hour over two replicas


def test_what_the_operator_chose(redis, presignd):
    server = redis()
    strict = presignd(config(server.port, on_failure={"rate": "deny", "quota": "deny"}))
    lax = presignd(config(server.port, on_failure={"rate": "allow", "quota": "allow"}))
    for s in (strict, lax):
        wait_until(lambda s=s: ready(s))
    server.stop()
    wait_until(lambda: asks(strict, "paced").status == 503)
    wait_until(lambda: lax.get("/readyz?verbose").json["checks"] and
               not ready(lax))
    assert {asks(lax, "paced").status for _ in range(30)} == {201}
    assert asks(lax, "quota").status == 201
    assert lax.get("/readyz").status == 200
    assert strict.get("/readyz").status == 503


# ---- connecting ----------------------------------------------------------------------------------

def test_an_evicting_server_is_named(redis, presignd):
    server = redis("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    service = presignd(config(server.port))
    reason = wait_until(lambda: {c["name"]: c for c in service.get("/readyz?verbose").json["checks"]}
                        ["ledger"].get("reason"))
    wait_until(lambda: "noeviction" in str(service.get("/readyz?verbose").json))
    assert reason


@pytest.mark.parametrize("password, good", [("right", True), ("wrong", False)])
def test_a_user_with_a_password(redis, presignd, password, good):
    server = redis("--user", "presignd", "on", ">right", "~presignd:*", "+@all", "-@dangerous",
                   "+info", "--user", "default", "off")
    service = presignd(config(server.port, username="presignd", password_file="{dir}/password"),
                       files={"password": password + "\n"})
    if good:
        wait_until(lambda: ready(service))
        assert asks(service, "quota").status == 201
    else:
        assert wait_until(lambda: refused(service))
        wait_until(lambda: "password" in str(service.get("/readyz?verbose").json))
    assert password not in str(service.lines)


def test_every_key_has_an_end(wired):
    """But a user's that holds a limit without window."""
    service, _, server = wired
    for user in ("alice", "bob"):
        for plan in PLANS:
            assert asks(service, plan, user=user + plan,
                        headers={"Idempotency-Key": "once"}).status == 201
    wait_until(lambda: "presignd:" in server.command("RANDOMKEY"))
    keys = server.command("EVAL", "return table.concat(redis.call('KEYS','*'),' ')", "0")
    names = keys.split("\r\n")[1].split()
    assert len(names) > 6
    lasting = [k for k in names if server.command("TTL", k) == ":-1\r\n"]
    assert len(lasting) == 2, lasting  # the two users of the plan "quota"


def test_hostile_replies_are_no_grant(presignd):
    """A server of another kind behind the address."""
    service = presignd(base_config())
    other = presignd(config(service.port))
    wait_until(lambda: refused(other))
    untouched(other)
    status, _, _ = read_raw(raw_exchange(other.port, b"GET /livez HTTP/1.1\r\nHost: x\r\n"
                                                     b"Connection: close\r\n\r\n"))
    assert status == 200
