"""kill -9 under load: what a client was granted is in the ledger, and nothing else but what was on
its way at that moment."""
import os
import random
import sqlite3
from collections import Counter

from load import Load
from service import Service, base_config

ROUNDS, CLIENTS, USERS = 50, 8, 3
BYTES = 10485
PLAN = {"limits": [{"name": "requests", "kind": "rate", "max": 10000000, "window_s": 10000},
                   {"name": "uploads", "kind": "count", "max": 10000000},
                   {"name": "volume", "kind": "bytes", "max": 10 ** 15, "window": "month"},
                   {"name": "at_once", "kind": "open", "max": 10000000}]}


def config(path):
    return base_config(ledger={"backend": "sqlite", "path": str(path)}, default_plan="free",
                       plans={"free": PLAN}, log={"access": False})


def remembered(path):
    """{id: user} of the file, as any other program reads it, after SQLite found it whole."""
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = dict(db.execute("SELECT id, user FROM uploads"))
        tallies = {user: {line.split()[0]: line.split() for line in text.splitlines()}
                   for user, text in db.execute("SELECT user, tallies FROM users")}
    db.close()
    return rows, tallies


def test_kill_9_under_load(tmp_path):
    seed = int(os.environ.get("CRASH_SEED", random.randrange(2 ** 32)))
    print("CRASH_SEED =", seed)
    chance, path = random.Random(seed), tmp_path / "ledger.db"
    granted, unknown = set(), 0
    for _ in range(ROUNDS):
        s = Service(config(path))
        try:
            load = Load(s.port, [s.token(f"user{i % USERS}") for i in range(CLIENTS)])
            load.more(chance.randrange(5, 150))
            s.process.kill()
            load.end()
        finally:
            s.kill()
        assert not s.strays, s.strays
        granted |= load.ids
        rows, tallies = remembered(path)
        assert granted <= rows.keys(), f"{len(granted - rows.keys())} grants are lost"
        # a kill catches at most one request of each client between the ledger and its answer
        assert len(rows) - len(granted) - unknown <= CLIENTS
        unknown = len(rows) - len(granted)
        for user, n in Counter(rows.values()).items():
            mine = tallies[user]
            assert int(mine["uploads"][4]) == n
            assert int(mine["volume"][4]) == n * BYTES
    assert len(granted) > ROUNDS * 5
    with Service(config(path)) as s:
        for upload in chance.sample(sorted(granted), 20):
            answers = [s.get(f"/v1/uploads/{upload}", token=s.token(f"user{i}"))
                       for i in range(USERS)]
            assert sorted(a.status for a in answers) == [200, 404, 404]
