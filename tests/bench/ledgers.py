"""ledgers - the figures of requests that a ledger decides."""
import sqlite3
import time

import figures

ACTIVE, KNOWN = 1000, (1000, 100000, 1000000)
PLAN = {"limits": [
    {"name": "requests", "kind": "rate", "max": 600000, "window_s": 60, "burst": 600000},
    {"name": "uploads_a_day", "kind": "count", "max": 10 ** 9, "window_s": 86400},
    {"name": "bytes_a_day", "kind": "bytes", "max": 10 ** 15, "window_s": 86400},
    {"name": "stored_bytes", "kind": "bytes", "max": 10 ** 15}]}


class Ledgers:
    """Takes its figures on a figures.Bench."""

    def __init__(self, bench):
        self.b = bench
        self.users = self.tokens("u", ACTIVE)

    def tokens(self, prefix, n):
        now = int(time.time())
        return [figures.hs256({"iss": "bench", "aud": "presignd", "sub": f"{prefix}{i}",
                               "iat": now, "exp": now + 7200}) for i in range(n)]

    def presignd(self, name, ledger):
        more = {"ledger": ledger}
        if ledger["backend"] != "none":
            more |= {"plans": {"free": PLAN}, "default_plan": "free"}
        return self.b.presignd(name, more=more)

    def sqlite(self, name):
        return {"backend": "sqlite", "path": str(self.b.folder / f"{name}.db")}

    def redis(self):
        port = figures.free_port()
        server = figures.Server(
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "yes", "--appendfsync", "everysec", "--dir", str(self.b.folder)])
        self.b.servers.append(server)
        figures.wait_port(port)
        # three busy programs on two processors: 50 ms are no sign of trouble here
        return server, {"backend": "redis", "url": f"redis://127.0.0.1:{port}/0",
                        "timeout_ms": 2000}

    def throughput(self):
        """1,000 active users, four limits each; the yardstick answers the same bytes."""
        b, script = self.b, self.b.script(self.users)
        store, where = self.redis()
        ours = {"none": self.presignd("none", {"backend": "none"}),
                "sqlite": self.presignd("sqlite", self.sqlite("throughput")),
                "redis": self.presignd("redis", where)}
        body = figures.ask_once(ours["none"].port, self.users[0])
        self.wait_granted(ours["redis"])
        cases = {name: (server, script) for name, server in ours.items()}
        cases["nginx"] = (b.nginx(body), script)
        before = store.cpu_s()
        m = b.rounds_of(cases)
        print("ledgers: %d users in turn, %d limits" % (ACTIVE, len(PLAN["limits"])))
        for name, (rate, cpu, p99) in m.items():
            print("  %-9s %9.0f requests/s  %7.2f us CPU each  p99 %6.2f ms" %
                  (name, rate, cpu * 1e6, p99 / 1000))
        asked = m["redis"][0] * b.seconds * (b.rounds + 1)
        print("  redis-server itself: about %.1f us CPU each" %
              ((store.cpu_s() - before) / asked * 1e6))
        to_nginx = {name: m[name][0] / m["nginx"][0] for name in ours}
        b.row("requests/s beside nginx's, SQLite ledger, 1,000 users",
              "%.2f" % to_nginx["sqlite"], ">= 0.45 (wish 0.60)", to_nginx["sqlite"] >= 0.45)
        b.row("the same with Redis on loopback", "%.2f" % to_nginx["redis"], "(no target)", True)
        b.row("the same without a ledger", "%.2f" % to_nginx["none"], "(no target)", True)
        b.stop_all()

    def wait_granted(self, server):
        """The connections to Redis come up in the background, one for each loop."""
        end = time.monotonic() + 10
        good = 0
        while good < 20:
            try:
                figures.ask_once(server.port, self.users[0])
                good += 1
            except SystemExit:
                good = 0
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def filled(self, name, known):
        """A ledger that knows so many users, made by the program and then by copying its rows."""
        ledger = self.sqlite(name)
        server = self.presignd(name + "-fill", ledger)
        for token in self.users[:50]:
            figures.ask_once(server.port, token)
        self.b.stop_all()
        db = sqlite3.connect(ledger["path"], isolation_level=None)
        names = [r[1] for r in db.execute("PRAGMA table_info(users)")]
        rest = ", ".join(n for n in names if n != "user")
        db.execute("BEGIN")
        db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
                   "INSERT INTO users (user, %s) SELECT lower(hex(randomblob(16))), %s "
                   "FROM n, (SELECT * FROM users LIMIT 1)" % (known, rest, rest))
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        return ledger

    def growth(self):
        """CPU per request of the same 1,000 active users among more and more known ones."""
        script = self.b.script(self.users)
        ledgers = {str(n): self.filled("known-%d" % n, n) for n in KNOWN}
        m = self.b.rounds_of({n: (self.presignd("grown-" + n, ledger), script)
                              for n, ledger in ledgers.items()})
        self.b.stop_all()
        worst = max(m[n][1] for n in m) / m[str(KNOWN[0])][1]
        best = min(m[n][1] for n in m) / m[str(KNOWN[0])][1]
        self.b.row("CPU per request among 1,000,000 known users beside 1,000",
                   "%.2f" % (m[str(KNOWN[-1])][1] / m[str(KNOWN[0])][1]), "0.90-1.10",
                   worst <= 1.10 and best >= 0.90)

    def million(self):
        """A million users equally active, beside a thousand; both with a full ledger."""
        many = self.tokens("m", KNOWN[-1])
        ledger = self.filled("million", KNOWN[-1])
        few = self.presignd("million-few", ledger)
        m = self.b.rounds_of({"few": (few, self.b.script(self.users))})
        self.b.stop_all()
        m |= self.b.rounds_of({"many": (self.presignd("million-many", ledger),
                                        self.b.script(many))})
        self.b.stop_all()
        ratio = m["many"][1] / m["few"][1]
        self.b.row("CPU per request with a million equally active users beside 1,000",
                   "%.2f" % ratio, "<= 2", ratio <= 2)

    def trouble(self):
        """p99 of what needs no Redis while Redis hangs."""
        store, where = self.redis()
        script = self.b.script(self.users)
        ours = self.presignd_unlimited(where)
        self.wait_granted(ours)
        # in turn: well, hanging, well, ... on the same server
        taken = {"well": [], "hanging": []}
        self.b.load(ours, script)
        for _ in range(self.b.rounds):
            taken["well"].append(self.b.load(ours, script)[2])
            store.process.send_signal(figures.signal.SIGSTOP)
            taken["hanging"].append(self.b.load(ours, script)[2])
            store.process.send_signal(figures.signal.SIGCONT)
        well, hanging = (sorted(taken[n])[self.b.rounds // 2] for n in ("well", "hanging"))
        self.b.row("p99 of plans without limits while Redis hangs, beside none hanging",
                   "%.2f" % (hanging / well), "<= 1.2", hanging / well <= 1.2)
        self.b.stop_all()

    def presignd_unlimited(self, where):
        plans = {"free": {"limits": []}, "paid": PLAN}
        return self.b.presignd("trouble", more={"ledger": where, "plans": plans,
                                                "default_plan": "free"})
