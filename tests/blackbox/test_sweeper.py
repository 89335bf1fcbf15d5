"""What the sweeper makes of packets whose clients were never heard of again, against a real S3.

A packet is dead 60 s after its end. Most tests move that moment in the ledger's file, which the
server reads anew at every look; those at the end wait for it, and began before all others: for one
server with its own file, and for two that share a Redis.
"""
import calendar
import sqlite3
import time

import pytest
from redis_server import RedisServer
from service import WAIT_LIMIT_S, Service, base_config, wait_until
from store import post

MAX = 2000
DATA = b"x" * 300
LIMITS = [{"name": "stored", "kind": "bytes", "max": MAX},
          {"name": "files", "kind": "count", "max": 100, "window_s": 31536000}]
EXACT = {"content_type": "text/plain", "content_length": len(DATA)}
RANGE = {"content_type": "text/plain", "profile": "range"}
GRACE_S = 60


def sweeper_config(bucket):
    plain = {"bucket": "main", "key": "{user}/{uuid}", "content_types": ["text/plain"],
             "max_bytes": 500}
    return base_config(
        buckets={"main": bucket}, default_plan="keeping",
        profiles={"default": plain, "range": plain | {"size": "range"}},
        plans={"keeping": {"limits": LIMITS},
               "trusting": {"limits": LIMITS, "unsettled": "release"},
               "free": {"limits": []}})


class Sweeping:
    """A service with its store, and what a test asks of one user."""

    def __init__(self, service, ledger=None):
        self.service = service
        self.ledger = ledger or service.dir / "ledger.db"

    def grant(self, user, ask, plan=None, **more):
        token = self.service.token(user, **({"plan": plan} if plan else {}))
        answer = self.service.ask(ask | more, token=token)
        assert answer.status == 201, answer
        return answer.json

    def request(self, method, path, user):
        return self.service.request(method, path, token=self.service.token(user))

    def view(self, user, packet):
        answer = self.request("GET", f"/v1/uploads/{packet['id']}", user)
        assert answer.status == 200, answer
        return answer.json

    def quota(self, user):
        """{limit: (used, reserved)}"""
        limits = self.request("GET", "/v1/quota", user).json["limits"]
        return {limit["name"]: (limit["used"], limit["reserved"]) for limit in limits}

    def dies(self, packet, ago_s=GRACE_S + 1):
        """As if it had ended that long ago."""
        end_s = int(time.time()) - ago_s
        with sqlite3.connect(self.ledger, timeout=10) as db:
            done = db.execute("UPDATE uploads SET expires_s = ?, due_s = ? WHERE id = ?",
                              (end_s, end_s + GRACE_S, packet["id"]))
            assert done.rowcount == 1
        db.close()

    def settled(self, user):
        """Waits until nothing is reserved; what is used."""
        def nothing_reserved():
            quota = self.quota(user)
            return quota if all(reserved == 0 for _, reserved in quota.values()) else None
        return {name: used for name, (used, _) in wait_until(nothing_reserved).items()}


@pytest.fixture(scope="module")
def sweeping(rgw):
    with Service(sweeper_config(rgw.bucket_config()), credentials=rgw.credentials) as s:
        yield Sweeping(s)


@pytest.fixture(scope="module")
def fleet(rgw):
    """Two of them that share a Redis."""
    redis = RedisServer()
    config = sweeper_config(rgw.bucket_config())
    config["ledger"] = {"backend": "redis", "url": f"redis://127.0.0.1:{redis.port}/0",
                        "timeout_ms": 2000}
    try:
        with Service(config, credentials=rgw.credentials) as one, \
                Service(config, credentials=rgw.credentials) as other:
            for s in (one, other):
                wait_until(lambda s=s: s.get("/readyz").status == 200)
            yield Sweeping(one), Sweeping(other)
    finally:
        redis.close()


def granted_early(*servers):
    """Packets of a few seconds, granted before all tests; every second one is never used."""
    packets = []
    for s in servers:
        used, unused = (s.grant("early", EXACT, expires_in=3) for _ in range(2))
        upload(used, DATA)
        packets += [used, unused]
    return packets


@pytest.fixture(scope="module", autouse=True)
def early(sweeping, fleet):
    return {"file": granted_early(sweeping), "fleet": granted_early(*fleet)}


def upload(packet, data):
    reply = post(packet, data)
    assert reply.status in (200, 201, 204), reply


def test_uploaded(sweeping):
    packet = sweeping.grant("ann", EXACT)
    upload(packet, DATA)
    assert sweeping.quota("ann")["stored"] == (0, len(DATA))
    sweeping.dies(packet)
    assert sweeping.settled("ann") == {"stored": len(DATA), "files": 1}
    view = sweeping.view("ann", packet)
    assert (view["state"], view["size"]) == ("completed", len(DATA)) and view["etag"]


def test_never_uploaded(sweeping):
    packet = sweeping.grant("ben", EXACT)
    sweeping.dies(packet)
    assert sweeping.settled("ben") == {"stored": 0, "files": 0}
    view = sweeping.view("ben", packet)
    assert (view["state"], view["size"], view["etag"]) == ("expired", None, None)


@pytest.mark.parametrize("data, used", [pytest.param(DATA, len(DATA), id="and uploaded"),
                                        pytest.param(None, 0, id="and not uploaded")])
def test_cancelled(sweeping, data, used):
    user = f"cid-{used}"
    packet = sweeping.grant(user, EXACT)
    assert sweeping.request("DELETE", f"/v1/uploads/{packet['id']}", user).status == 204
    assert sweeping.quota(user)["stored"] == (0, len(DATA))
    if data:
        upload(packet, data)
    sweeping.dies(packet)
    assert sweeping.settled(user)["stored"] == used
    assert sweeping.view(user, packet)["state"] == "cancelled"


def test_completed_small_and_uploaded_again(sweeping):
    packet = sweeping.grant("dan", RANGE)
    upload(packet, b"1")
    answer = sweeping.request("POST", f"/v1/uploads/{packet['id']}/complete", "dan")
    assert (answer.status, answer.json["size"]) == (200, 1)
    assert sweeping.quota("dan")["stored"] == (0, 500)
    upload(packet, b"2" * 500)
    sweeping.dies(packet)
    assert sweeping.settled("dan")["stored"] == 500


def test_a_range_smaller_than_reserved(sweeping):
    packet = sweeping.grant("eve", RANGE)
    upload(packet, b"12345")
    sweeping.dies(packet)
    assert sweeping.settled("eve")["stored"] == 5


def test_the_grace_is_kept(sweeping):
    """Dead for half of it: nothing happens while one that is due is settled."""
    young, old = sweeping.grant("fay", EXACT), sweeping.grant("gus", EXACT)
    sweeping.dies(young, ago_s=GRACE_S // 2)
    sweeping.dies(old)
    sweeping.settled("gus")
    assert sweeping.quota("fay")["stored"] == (0, len(DATA))


def test_without_limits(sweeping):
    packet = sweeping.grant("hal", EXACT, plan="free")
    sweeping.dies(packet)

    def in_file():
        with sqlite3.connect(sweeping.ledger, timeout=10) as db:
            row = db.execute("SELECT state FROM uploads WHERE id = ?", (packet["id"],)).fetchone()
        db.close()
        return row[0]
    wait_until(lambda: in_file() == "expired")


def test_no_right_to_look(rgw):
    """Credentials that the store does not know: 403, as without s3:GetObject."""
    with Service(sweeper_config(rgw.bucket_config())) as s:
        sweeping = Sweeping(s)
        kept = [sweeping.grant("ida", EXACT) for _ in range(2)]
        released = sweeping.grant("jim", EXACT, plan="trusting")
        for packet in [*kept, released]:
            sweeping.dies(packet)
        assert sweeping.settled("ida") == {"stored": 2 * len(DATA), "files": 2}
        assert sweeping.settled("jim") == {"stored": 0, "files": 0}
        assert sweeping.view("ida", kept[0])["state"] == "expired"
        lines = s.logs("sweep_forbidden")
        assert len(lines) == 1 and lines[0]["bucket"] == "main"
        assert lines[0]["storage_status"] == 403
        assert "s3:GetObject" in lines[0]["message"] and "s3:ListBucket" in lines[0]["message"]


def test_no_store(rgw):
    """Nobody answers where the store should be."""
    nowhere = rgw.bucket_config() | {"endpoint": "http://127.0.0.1:1"}
    with Service(sweeper_config(nowhere)) as s:
        sweeping = Sweeping(s)
        packet = sweeping.grant("kim", EXACT)
        sweeping.dies(packet)
        assert sweeping.settled("kim")["stored"] == len(DATA)
        line = s.wait_log("sweep_store_failed")
        assert line["reason"] and "X-Amz" not in line["reason"]


def test_a_bucket_that_is_gone(rgw):
    with Service(sweeper_config(rgw.bucket_config()), credentials=rgw.credentials) as s:
        sweeping = Sweeping(s)
        packet = sweeping.grant("lea", EXACT)
        upload(packet, DATA)
        s.reload(sweeper_config(rgw.bucket_config() | {"bucket": "another"}))
        sweeping.dies(packet)
        assert sweeping.settled("lea")["stored"] == len(DATA)
        assert s.wait_log("sweep_bucket_gone")["bucket"] == "main"


def test_a_stop_in_the_middle(rgw, tmp_path):
    """Many are due when the server stops; another one ends the work, and nothing counts twice."""
    config = sweeper_config(rgw.bucket_config())
    ledger = tmp_path / "ledger.db"
    config["ledger"] = {"backend": "sqlite", "path": str(ledger)}
    for limit in config["plans"]["keeping"]["limits"]:
        limit["max"] = 100000
    with Service(config, credentials=rgw.credentials) as s:
        sweeping = Sweeping(s, ledger)
        packets = [sweeping.grant("mia", EXACT) for _ in range(60)]
        for packet in packets[:30]:
            upload(packet, DATA)
        for packet in packets:
            sweeping.dies(packet)
        wait_until(lambda: sweeping.quota("mia")["stored"][0] > 0)
    with Service(config, credentials=rgw.credentials) as s:
        sweeping = Sweeping(s, ledger)
        with sqlite3.connect(ledger, timeout=10) as db:  # ends the leases of the one that stopped
            db.execute("UPDATE uploads SET due_s = expires_s + 60 WHERE charge = 'reserved'")
        db.close()
        assert sweeping.settled("mia") == {"stored": 30 * len(DATA), "files": 30}


def ended(packet):
    """Unix seconds."""
    return calendar.timegm(time.strptime(packet["expires_at"], "%Y-%m-%dT%H:%M:%SZ"))


@pytest.mark.parametrize("ledger", ["file", "fleet"])
def test_in_real_time(sweeping, fleet, early, ledger):
    """The packets of the beginning: nothing is given back before the grace is over."""
    s, packets = sweeping if ledger == "file" else fleet[0], early[ledger]
    last_s, reserved = max(map(ended, packets)), len(packets) * len(DATA)
    wait_until(lambda: time.time() > last_s)
    before = s.quota("early")["stored"]
    if time.time() < min(map(ended, packets)) + GRACE_S:
        assert before == (0, reserved)
        assert [s.view("early", p)["state"] for p in packets] == ["expired"] * len(packets)
    wait_until(lambda: s.quota("early")["stored"] == (reserved // 2, 0),
               limit_s=max(last_s + GRACE_S - time.time(), 0) + WAIT_LIMIT_S, every_s=0.2)
    assert time.time() >= last_s + GRACE_S
    assert [s.view("early", p)["state"] for p in packets] == \
        ["completed", "expired"] * (len(packets) // 2)


def test_two_share_the_work(fleet, early):
    """After the wait: each upload was settled by one of them, once."""
    def settled(s, outcome):
        return s.service.metrics()[f'presignd_sweeps_total{{outcome="{outcome}"}}']
    for outcome in ("there", "missing"):
        wait_until(lambda o=outcome: sum(settled(s, o) for s in fleet) >= 2)
        assert sum(settled(s, outcome) for s in fleet) == 2
    assert sum(settled(s, "failed") for s in fleet) == 0
