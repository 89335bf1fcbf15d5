"""presignd ledger: what operators see and correct, beside a running server and without one."""
import hashlib
import json
import re
import sqlite3
import stat
import subprocess
import threading

import pytest
import redis_server
import tokens
from redis_server import RedisServer
from service import (BIN, TOP, Service, base_config, clean_environment, run_command,
                     wait_until)

FILE = {"content_type": "image/png", "content_length": 1000}
PLANS = {"profiles": {"default": {"key": "{user_hash}/{uuid}"}}, "default_plan": "free", "plans": {
    "free": {"limits": [
        {"name": "requests", "kind": "rate", "max": 600, "window_s": 60},
        {"name": "uploads_a_day", "kind": "count", "max": 5, "window_s": 86400},
        {"name": "stored_bytes", "kind": "bytes", "max": 20000},
        {"name": "open_uploads", "kind": "open", "max": 50}]},
    "pro": {"limits": [{"name": "stored_bytes", "kind": "bytes", "max": 10 ** 9}]},
    "boundless": {"limits": []}}}
SECOND = {"issuer": "https://second.test/", "audience": [tokens.AUDIENCE], "algorithms": ["HS256"],
          "secret_file": "{dir}/secret"}


def user_hash(user, issuer=tokens.ISSUER):
    return hashlib.sha256(f"{issuer}\n{user}".encode()).hexdigest()[:32]


def ledger(service, *args, **more):
    return run_command("ledger", *args, "--config", service.config_path, **more)


def shown(service, user="alice", *args):
    """{limit: what the command says of it}"""
    status, out, err = ledger(service, "show", user, "--json", *args)
    assert (status, err) == (0, ""), err
    answer = json.loads(out)
    return {limit.pop("name"): limit for limit in answer["limits"]}


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def served(request):
    """A server with each engine."""
    if request.param == "sqlite":
        with Service(base_config(**PLANS)) as s:
            yield s
        return
    if not redis_server.PROGRAM:
        pytest.skip("redis-server is not installed")
    redis = RedisServer()
    try:
        url = f"redis://127.0.0.1:{redis.port}/3"
        with Service(base_config(**PLANS, ledger={"backend": "redis", "url": url,
                                                    "timeout_ms": 2000})) as s:
            wait_until(lambda: s.ask(FILE, token=s.token("early")).status == 201)
            yield s
    finally:
        redis.close()


@pytest.fixture(scope="module")
def embedded():
    with Service(base_config(**PLANS)) as s:
        yield s


def grant(service, user, n=1, **more):
    token = service.token(user, **more)
    answers = [service.ask(FILE, token=token) for _ in range(n)]
    assert [a.status for a in answers] == [201] * n, answers
    return [a.json["id"] for a in answers]


# ---- one user ------------------------------------------------------------------------------------

def test_show_for_programs(served):
    grant(served, "ann", 3)
    limits = shown(served, "ann")
    assert set(limits) == {"requests", "uploads_a_day", "stored_bytes", "open_uploads"}
    assert limits["uploads_a_day"].items() >= {"kind": "count", "used": 0, "reserved": 3}.items()
    assert limits["stored_bytes"] == {"kind": "bytes", "used": 0, "reserved": 3000,
                                      "window_start": None, "full_at": None}
    assert limits["open_uploads"]["reserved"] == 3
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT00:00:00Z", limits["uploads_a_day"]["window_start"])
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", limits["requests"]["full_at"])


def test_show_for_people(served):
    grant(served, "tim", 2)
    status, out, err = ledger(served, "show", "tim")
    assert (status, err) == (0, "")
    first, head, *rows = out.splitlines()
    assert first == f"user_hash {user_hash('tim')}"
    assert head.split() == ["LIMIT", "KIND", "USED", "RESERVED", "SINCE", "ALLOWED"]
    by_name = {row.split()[0]: row for row in rows}
    assert set(by_name) == {"requests", "uploads_a_day", "stored_bytes", "open_uploads"}
    row = by_name["stored_bytes"]
    assert row[head.index("USED"):].split()[0] == "0"
    assert row[head.index("RESERVED"):].startswith("2000 (1.9 KiB) ")
    assert row[head.index("ALLOWED"):] == \
        "20000 (19.5 KiB) in free, 1000000000 (953.6 MiB) in pro"
    assert by_name["requests"][head.index("USED"):].split()[0] == "-"
    assert by_name["requests"][head.index("SINCE"):].startswith("burst full")


def test_a_window_that_is_over(presignd):
    """What is stored of it is shown, and that it counts no more."""
    s = presignd(base_config(**PLANS | {"plans": {"free": {"limits": [
        {"name": "a_second", "kind": "count", "max": 9, "window_s": 1},
        {"name": "a_year", "kind": "count", "max": 9, "window_s": 31622400}]}}}))
    grant(s, "ann")

    def rows():
        return {row.split()[0]: row for row in ledger(s, "show", "ann")[1].splitlines()}

    assert "(over)" in wait_until(lambda: "(over)" in rows()["a_second"] and rows()["a_second"])
    assert "(over)" not in rows()["a_year"]
    grant(s, "ann")
    assert shown(s, "ann")["a_second"]["reserved"] == 1
    assert shown(s, "ann")["a_year"]["reserved"] == 2


def test_names_of_a_user(served):
    grant(served, "zoë/1")
    assert shown(served, "zoë/1") == shown(served, user_hash("zoë/1"))
    assert shown(served, "zoë/1", "--issuer", tokens.ISSUER) == shown(served, "zoë/1")
    status, out, err = ledger(served, "show", "zoë/1", "--issuer", "https://other.test/")
    assert (status, out) == (1, "") and "no such issuer" in err


def test_a_claim_that_looks_like_a_hash(served):
    claim = user_hash("somebody")
    grant(served, claim)
    status, _, err = ledger(served, "show", claim)
    assert status == 1 and "--issuer" in err
    assert "stored_bytes" in shown(served, claim, "--issuer", tokens.ISSUER)


UNKNOWN = {"show": ("nobody",), "set": ("nobody", "stored_bytes", "1"), "reset": ("nobody",),
           "release": ("nobody", "1")}


@pytest.mark.parametrize("verb", UNKNOWN)
def test_unknown_user(served, verb):
    status, out, err = ledger(served, verb, *UNKNOWN[verb])
    assert (status, out) == (1, "")
    assert err.startswith(f"presignd ledger {verb}: ") and len(err.splitlines()) == 1


def test_set_counts_at_once(served):
    token = served.token("bob")
    grant(served, "bob")
    assert ledger(served, "set", "bob", "uploads_a_day", 5)[0] == 0
    assert shown(served, "bob")["uploads_a_day"].items() >= {"used": 5, "reserved": 1}.items()
    refused = served.ask(FILE, token=token)
    assert (refused.status, refused.code) == (429, "quota_exceeded")
    assert refused.json["used"] == 6
    status, out, _ = ledger(served, "set", "bob", "uploads_a_day", 0, "--json")
    assert status == 0
    now = {limit["name"]: limit for limit in json.loads(out)["limits"]}
    assert now["uploads_a_day"].items() >= {"used": 0, "reserved": 1}.items()
    assert served.ask(FILE, token=token).status == 201


def test_reset_leaves_reservations(served):
    grant(served, "cid", 2)
    ledger(served, "set", "cid", "uploads_a_day", 5)
    ledger(served, "set", "cid", "stored_bytes", 15000)
    assert served.ask(FILE, token=served.token("cid")).status == 429
    assert ledger(served, "reset", "cid")[0] == 0
    limits = shown(served, "cid")
    assert limits["uploads_a_day"].items() >= {"used": 0, "reserved": 2}.items()
    assert limits["stored_bytes"].items() >= {"used": 0, "reserved": 2000}.items()
    assert limits["open_uploads"]["reserved"] == 2
    grant(served, "cid", 3)


def test_release_gives_back_what_is_stored(served):
    grant(served, "dan")
    ledger(served, "set", "dan", "stored_bytes", 19500)
    refused = served.ask(FILE, token=served.token("dan"))
    assert (refused.status, refused.json["limit_name"]) == (403, "stored_bytes")
    assert ledger(served, "release", "dan", 1500)[0] == 0
    assert shown(served, "dan")["stored_bytes"].items() >= {"used": 18000, "reserved": 1000}.items()
    grant(served, "dan")
    assert ledger(served, "release", "dan", 9007199254740991)[0] == 0
    assert shown(served, "dan")["stored_bytes"].items() >= {"used": 0, "reserved": 2000}.items()


@pytest.mark.parametrize("limit", ["requests", "open_uploads", "nope"])
def test_what_cannot_be_set(served, limit):
    grant(served, "eve")
    before = shown(served, "eve")
    status, out, err = ledger(served, "set", "eve", limit, 0)
    assert (status, out) == (1, "") and "limit" in err
    assert shown(served, "eve") == before


BAD_AMOUNTS = ["", "1.5", "one", "9007199254740992", "+1", "0x10", " 1", "99999999999999999999"]


@pytest.mark.parametrize("amount", BAD_AMOUNTS)
def test_bad_amounts(served, amount):
    for args in (("set", "early", "stored_bytes", amount), ("release", "early", amount)):
        status, out, err = ledger(served, *args)
        assert (status, out) == (1, "") and "whole number" in err


# ---- who may be meant ----------------------------------------------------------------------------

def test_several_issuers(presignd):
    issuers = base_config()["auth"]["issuers"] + [SECOND]
    s = presignd(base_config(**PLANS, auth={"issuers": issuers}))
    assert s.ask(FILE, token=tokens.token("ann", iss=SECOND["issuer"])).status == 201
    status, _, err = ledger(s, "show", "ann")
    assert status == 1 and "--issuer" in err
    assert "stored_bytes" in shown(s, "ann", "--issuer", SECOND["issuer"])
    assert "stored_bytes" in shown(s, user_hash("ann", SECOND["issuer"]))
    status, _, err = ledger(s, "show", "ann", "--issuer", tokens.ISSUER)
    assert status == 1 and "no such user" in err


# ---- the whole -----------------------------------------------------------------------------------

def test_export(embedded):
    ids = grant(embedded, "xena", 2)
    status, out, err = ledger(embedded, "export")
    assert (status, err) == (0, "")
    text = out.splitlines()
    lines = [json.loads(line) for line in text]
    assert all(isinstance(line, dict) for line in lines)
    for id in ids:
        assert sum(id in line for line in text) >= 1
    assert any(user_hash("xena") in line and "stored_bytes" in line for line in text)


def ids_in(path):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {row[0] for row in db.execute("SELECT id FROM uploads")}


def test_backup(embedded, tmp_path):
    ids = grant(embedded, "yves", 2)
    copy = tmp_path / "copy.db"
    assert ledger(embedded, "backup", copy) == (0, "", "")
    assert set(ids) <= ids_in(copy)
    assert stat.S_IMODE(copy.stat().st_mode) & 0o077 == 0
    # a server starts from it
    config = base_config(**PLANS, ledger={"backend": "sqlite", "path": str(copy)})
    with Service(config) as other:
        assert other.get(f"/v1/uploads/{ids[0]}", token=other.token("yves")).status == 200


def test_backup_while_it_is_written(embedded, tmp_path):
    """Grants of which the client knows before the backup begins are in it, whatever happens on."""
    done, known = threading.Event(), []

    def ask():
        while not done.is_set():
            answer = embedded.ask(FILE, token=embedded.token(f"w{len(known)}", plan="boundless"))
            known.append(answer.json["id"])

    writer = threading.Thread(target=ask)
    writer.start()
    try:
        for i in range(5):
            wait_until(lambda: len(known) > 20 * i)
            before = set(known)
            copy = tmp_path / f"copy{i}.db"
            assert ledger(embedded, "backup", copy) == (0, "", "")
            assert before <= ids_in(copy)
    finally:
        done.set()
        writer.join()


def test_backup_overwrites_nothing(embedded, tmp_path):
    there = tmp_path / "there"
    there.write_text("mine")
    status, out, err = ledger(embedded, "backup", there)
    assert (status, out) == (1, "") and str(there) in err
    assert there.read_text() == "mine"
    status, _, err = ledger(embedded, "backup", tmp_path / "no" / "such" / "folder.db")
    assert status == 1 and err
    assert ledger(embedded, "backup", embedded.dir / "ledger.db")[0] == 1
    grant(embedded, "still-here")


def test_export_to_a_reader_that_leaves(embedded):
    grant(embedded, "pipe", 2)
    with subprocess.Popen([BIN, "ledger", "export", "--config", embedded.config_path],
                          env=clean_environment(), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as p:
        p.stdout.close()
        assert p.stderr.read().count(b"\n") <= 1
    assert p.returncode != 0


# ---- without a server ----------------------------------------------------------------------------

def test_after_the_server_ended(tmp_path):
    config = base_config(**PLANS, ledger={"backend": "sqlite", "path": str(tmp_path / "l.db")})
    with Service(config) as s:
        ids = grant(s, "ann", 2)
    (tmp_path / "secret").write_bytes(tokens.SECRET)
    path = tmp_path / "presignd.json"
    path.write_text(json.dumps(config).replace("{dir}", str(tmp_path)))
    status, out, err = run_command("ledger", "show", "ann", "--json", "--config", path)
    assert (status, err) == (0, "")
    assert {e["name"]: e["reserved"] for e in json.loads(out)["limits"]}["stored_bytes"] == 2000
    assert all(i in run_command("ledger", "export", "--config", path)[1] for i in ids)
    assert run_command("ledger", "set", "ann", "stored_bytes", 7, "--config", path)[0] == 0
    with Service(config) as s:
        assert shown(s, "ann")["stored_bytes"]["used"] == 7


NO_LEDGERS = {"missing": None, "a text": b"Dear ledger,\n" * 500, "empty": b"",
              "another database": "CREATE TABLE users (name TEXT)"}
ALL = [("show", "ann"), ("set", "ann", "a", "1"), ("reset", "ann"), ("release", "ann", "1"),
       ("export",), ("backup", "{dir}/copy.db")]


@pytest.mark.parametrize("name", NO_LEDGERS)
def test_no_ledger_there(tmp_path, name):
    file, content = tmp_path / "ledger.db", NO_LEDGERS[name]
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content:
        with sqlite3.connect(file) as db:
            db.execute(content)
    config = base_config(**PLANS)
    (tmp_path / "presignd.json").write_text(json.dumps(config).replace("{dir}", str(tmp_path)))
    before = file.read_bytes() if file.exists() else None
    for args in ALL:
        status, out, err = run_command("ledger", *(a.replace("{dir}", str(tmp_path)) for a in args),
                                       "--config", tmp_path / "presignd.json")
        assert (status, out) == (1, ""), args
        assert str(file) in err and len(err.splitlines()) == 1, err
    assert (file.read_bytes() if file.exists() else None) == before
    assert not (tmp_path / "copy.db").exists()


def test_the_backend_none(tmp_path):
    path = tmp_path / "presignd.json"
    path.write_text(json.dumps(base_config(ledger={"backend": "none"})))
    for args in ALL:
        status, out, err = run_command("ledger", *args, "--config", path)
        assert (status, out) == (1, "") and "no ledger" in err


def test_copies_of_redis_are_its_own_business(tmp_path):
    path = tmp_path / "presignd.json"
    path.write_text(json.dumps(base_config(**PLANS, ledger={"backend": "redis",
                                                            "url": "redis://127.0.0.1:1"})))
    for args in (("export",), ("backup", tmp_path / "copy.db")):
        status, out, err = run_command("ledger", *args, "--config", path)
        assert (status, out) == (1, "") and "redis-cli" in err
    status, out, err = run_command("ledger", "show", "ann", "--config", path)
    assert (status, out) == (1, "") and "Redis cannot be asked" in err


def test_password_of_redis(tmp_path):
    if not redis_server.PROGRAM:
        pytest.skip("redis-server is not installed")
    redis = RedisServer("--requirepass", "of the test")
    path, password = tmp_path / "presignd.json", tmp_path / "password"
    config = base_config(**PLANS, ledger={"backend": "redis", "password_file": str(password),
                                          "url": f"redis://127.0.0.1:{redis.port}"})
    path.write_text(json.dumps(config))
    try:
        for content, words in ((None, "password_file"), ("wrong", "password"),
                               ("of the test\n", "no such user")):
            if content:
                password.write_text(content)
            status, out, err = run_command("ledger", "show", "ann", "--config", path)
            assert (status, out) == (1, "") and words in err
            assert not content or content.strip() not in err.replace("wrong number", "")
    finally:
        redis.close()


def test_what_the_readme_gives_the_user_of_redis():
    """With these rights everything works, and nothing else does."""
    if not redis_server.PROGRAM:
        pytest.skip("redis-server is not installed")
    rule = re.search(r"^ACL SETUSER presignd .*$", (TOP / "README.md").read_text(), re.M)[0]
    scripts = "".join(f.read_text() for f in (TOP / "src/ledger").glob("*.lua"))
    called = {f"+{name.lower()}" for name in re.findall(r"redis\.call\('(\w+)'", scripts)}
    assert len(called) > 15 and called <= set(rule.split())
    redis = RedisServer()
    try:
        assert redis.command(*rule.replace(">PASSWORD", ">of-the-test").split()) == "+OK\r\n"
        settings = {"backend": "redis", "url": f"redis://127.0.0.1:{redis.port}/1",
                    "username": "presignd", "password_file": "{dir}/password", "timeout_ms": 5000}
        with Service(base_config(**PLANS, ledger=settings), files={"password": "of-the-test"}) as s:
            wait_until(lambda: s.ask(FILE, token=s.token("early")).status == 201)
            token, key = s.token("ann"), {"Idempotency-Key": "k"}
            first, second = (s.ask(FILE, token=token, headers=key) for _ in range(2))
            for reply in (first, second):
                assert reply.status in (200, 201), reply.body
            assert first.json["id"] == second.json["id"]
            path = f"/v1/uploads/{first.json['id']}"
            assert s.get(path, token=token).json["state"] == "granted"
            assert s.request("DELETE", path, token=token).status == 204
            assert s.get("/v1/quota", token=token).json["limits"][1]["reserved"] == 1
            for args in (("show", "ann"), ("set", "ann", "uploads_a_day", 2), ("reset", "ann"),
                         ("release", "ann", 1)):
                assert ledger(s, *args)[0] == 0
            ready = {c["name"]: c for c in s.get("/readyz?verbose").json["checks"]}
            assert ready["ledger"]["ok"] and not ready["ledger"].get("reason"), ready
            assert not s.logs("ledger_refuses")
    finally:
        redis.close()


# ---- usage ---------------------------------------------------------------------------------------

WRONG = {
    "nothing": (), "unknown": ("forget", "ann"), "show nobody": ("show",),
    "show two": ("show", "ann", "bob"), "set without a number": ("set", "ann", "a"),
    "set without a limit": ("set", "ann"), "set, more": ("set", "ann", "a", "1", "2"),
    "set below nothing": ("set", "ann", "a", "-1"), "reset all": ("reset",),
    "release nothing": ("release", "ann"), "export a file": ("export", "file"),
    "backup nowhere": ("backup",), "option": ("show", "ann", "--force"),
    "issuer of nothing": ("show", "ann", "--issuer"),
}


@pytest.mark.parametrize("args", [pytest.param(a, id=n) for n, a in WRONG.items()])
def test_wrong_usage(args):
    status, out, err = run_command("ledger", *args)
    assert status == 2 and out == ""
    assert "usage: presignd ledger" in err


def test_help():
    status, out, err = run_command("ledger", "show", "--help")
    assert status == 0 and err == "" and out.startswith("usage: presignd ledger")
    for word in ("show", "set", "reset", "release", "export", "backup", "--issuer", "--json"):
        assert word in out
