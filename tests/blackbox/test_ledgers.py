"""Which ledger a server starts with: what it refuses to start without, and what a restart keeps."""
import json
import os
import sqlite3
from pathlib import Path

import pytest
import tokens
from service import Service, base_config, run_command, wait_until

LIMITS = [{"name": "stored", "kind": "bytes", "max": 1000}]
ASK = {"content_type": "text/plain", "content_length": 100}


def limited(**ledger):
    """With a plan of 1,000 bytes."""
    more = {"ledger": ledger} if ledger else {}
    return base_config(plans={"free": {"limits": LIMITS}}, default_plan="free", **more)


def used(service, user="alice"):
    """(used, reserved)"""
    answer = service.get("/v1/quota", token=service.token(user))
    assert answer.status == 200, answer
    limit = answer.json["limits"][0]
    return limit["used"], limit["reserved"]


# ---- what it does not start with -----------------------------------------------------------------

def refused(folder, **ledger):
    """The sentence it ends with."""
    config = json.dumps(limited(**ledger)).replace("{dir}", str(folder))
    (folder / "presignd.json").write_text(config)
    (folder / "secret").write_bytes(tokens.SECRET)
    status, out, err = run_command("serve", "--config", folder / "presignd.json")
    assert status == 1 and not out
    line = err.strip().split("\n")[-1]
    assert line.startswith("presignd: cannot start: "), err
    return line.removeprefix("presignd: cannot start: ")


def no_database(path):
    path.write_text("this is a text of more than sixteen bytes\n" * 200)


def a_database(path):
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE things (a)")
    db.close()


@pytest.mark.parametrize("make, says", [
    pytest.param(lambda p: p.mkdir(), "it is a folder", id="a folder"),
    pytest.param(os.mkfifo, "it is a FIFO", id="a FIFO"),
    pytest.param(no_database, "", id="a text"),
    pytest.param(a_database, "no ledger of presignd", id="another's database")])
def test_a_file_that_is_no_ledger(tmp_path, make, says):
    path = tmp_path / "ledger.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    sentence = refused(tmp_path, backend="sqlite", path="{dir}/ledger.db")
    assert str(path) in sentence and says in sentence
    assert before is None or path.read_bytes() == before


def test_a_folder_that_is_not_there(tmp_path):
    sentence = refused(tmp_path, backend="sqlite", path="{dir}/nowhere/ledger.db")
    assert f"{tmp_path}/nowhere/ledger.db" in sentence
    assert not (tmp_path / "nowhere").exists()


def test_a_newer_ledger(tmp_path):
    path = tmp_path / "ledger.db"
    with Service(limited(backend="sqlite", path=str(path))):
        pass
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 1000")
    db.close()
    assert "newer" in refused(tmp_path, backend="sqlite", path=str(path))


def test_a_ledger_in_use(tmp_path):
    path = tmp_path / "ledger.db"
    with Service(limited(backend="sqlite", path=str(path))) as s:
        assert "another presignd" in refused(tmp_path, backend="sqlite", path=str(path))
        assert s.ask(ASK).status == 201
    with Service(limited(backend="sqlite", path=str(path))) as s:
        assert used(s) == (0, 100)


@pytest.mark.parametrize("content, says", [(None, "No such file"), (b"", "is empty"),
                                           (b"x" * 5000, "is too large")])
def test_a_password_that_cannot_be_read(tmp_path, content, says):
    if content is not None:
        (tmp_path / "password").write_bytes(content)
    sentence = refused(tmp_path, backend="redis", url="redis://127.0.0.1:1",
                       password_file="{dir}/password")
    assert sentence.startswith("ledger.password_file: ") and says in sentence


# ---- what stays ----------------------------------------------------------------------------------

@pytest.mark.parametrize("threads", [1, 4])
def test_a_restart_keeps_all(tmp_path, threads):
    config = limited(backend="sqlite", path=str(tmp_path / "ledger.db")) | {"threads": threads}
    with Service(config) as s:
        ids = [s.ask(ASK).json["id"] for _ in range(10)]
        assert s.ask(ASK).status == 403
    with Service(config) as s:
        assert used(s) == (0, 1000)
        assert s.ask(ASK).code == "quota_exceeded"
        for upload in ids:
            view = s.get(f"/v1/uploads/{upload}", token=s.token("alice"))
            assert view.json["state"] == "granted"
    assert not list(tmp_path.glob("ledger.db-*")), "a clean end leaves one file and its lock"


def test_ready(presignd):
    s = presignd(limited())
    checks = s.get("/readyz?verbose").json["checks"]
    assert next(c for c in checks if c["name"] == "ledger")["ok"]


# ---- reload --------------------------------------------------------------------------------------

def test_another_ledger_needs_a_restart(presignd):
    s = presignd(limited())
    assert s.ask(ASK).status == 201
    s.reload(limited(backend="sqlite", path="{dir}/other.db"))
    assert "ledger" in s.wait_log("reload_needs_restart")["message"]
    assert used(s) == (0, 100)
    assert not (s.dir / "other.db").exists()


def test_limits_come_and_go(presignd):
    s = presignd(base_config())
    assert s.ask(ASK).status == 201
    s.reload(limited())
    assert s.ask(ASK).status == 201 and used(s)[1] == 100
    s.reload(base_config())
    assert s.ask(ASK | {"content_length": 5000}).status == 201
    s.reload(limited())
    assert used(s)[1] == 100


def test_no_limits_without_a_ledger(presignd):
    """A reload may bring limits and a ledger at once: the ledger needs a restart, so they do."""
    s = presignd(base_config(ledger={"backend": "none"}))
    assert s.ask(ASK).status == 201
    line = s.reload(limited(), good=False)
    assert "restart" in line["reason"] and "plans.free" in line["reason"]
    assert s.ask(ASK).status == 201
    assert s.get("/v1/quota", token=s.token("alice")).status == 404
    assert not (s.dir / "ledger.db").exists()


# ---- --dev ---------------------------------------------------------------------------------------

def test_a_throw_away_ledger(presignd):
    before = set(Path("/tmp").glob("presignd-dev-*"))
    s = presignd(args=["--dev"], env={"PRESIGND__LISTEN": "127.0.0.1:0",
                                      "PRESIGND__ADMIN_LISTEN": "127.0.0.1:0"}, credentials=None)
    opened = {os.readlink(f) for f in Path(f"/proc/{s.pid}/fd").iterdir()}
    mine = [Path(f) for f in opened if f.startswith("/tmp/presignd-dev-") and
            f.endswith("/ledger.db")]
    assert len(mine) == 1 and mine[0].parent not in before
    assert mine[0].parent.stat().st_mode & 0o777 == 0o700
    wait_until(lambda: "curl" in s.stdout())
    token = next(line for line in s.stdout().splitlines() if line.startswith("ey"))
    assert s.get("/v1/quota", token=token).status == 200
    s.stop()
    assert not mine[0].parent.exists()
