"""Limits as clients meet them (API version 1, section 2), with the embedded ledger: each kind, all
files of a batch or none, races, repeated requests, what the headers and metrics say.

Windows here are the longest there are, or never end, so that hardly a test ever crosses one.
"""
import calendar
import datetime
import json
import re
import socket
import sqlite3
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from contract import UUID, check_form, check_problem, seconds
from service import Service, base_config, merge, read_raw, wait_until

AGE_S = 366 * 86400
FILE = {"content_type": "image/png", "content_length": 10}
KEY = "Idempotency-Key"
CLIENTS = 64


def count(maximum, name="files", **more):
    return {"name": name, "kind": "count", "max": maximum} | more


def stored(maximum, **more):
    return {"name": "stored", "kind": "bytes", "max": maximum} | more


def rate(maximum, burst, window_s=3600):
    return {"name": "asks", "kind": "rate", "max": maximum, "window_s": window_s, "burst": burst}


def opened(maximum):
    return {"name": "open", "kind": "open", "max": maximum}


PLANS = {
    "free": [],
    "rate": [rate(60, 3)],
    "window": [count(2, name="files_of_age", window_s=AGE_S)],
    "month": [count(2, name="files_a_month", window="month")],
    "ever": [count(2)],
    "bytes": [stored(100)],
    "window-bytes": [stored(100, name="stored_of_age", window_s=AGE_S)],
    "open": [opened(2)],
    "ten": [count(10), stored(10**6), opened(10)],
    "hundred": [count(100), stored(10**9)],
    "both": [count(5, name="files_of_age", window_s=AGE_S), stored(45)],
    "wide": [rate(3600, 1000), count(1000), stored(10**9), opened(1000)],
    "tight": [count(1000, name="wide"), stored(10**6)],
    "asked-often": [rate(60, 4), count(1)],
}


def config(**more):
    return merge(base_config(
        profiles={"range": {"bucket": "main", "key": "{user}/{uuid}", "size": "range",
                            "content_types": ["image/*"], "max_bytes": 60},
                  "dated": {"bucket": "main", "key": "{yyyy}/{mm}/{dd}/{epoch_ms}/{uuid7}/{uuid}",
                            "content_types": ["image/*"], "max_bytes": 60}},
        plans={name: {"limits": limits} for name, limits in PLANS.items()}, default_plan="free",
        ledger={"backend": "sqlite", "path": "{dir}/ledger.db"}), more)


@pytest.fixture(scope="module")
def api():
    with Service(config()) as s:
        yield s


@pytest.fixture
def ask(api, request):
    """Asks as a user of this test alone, whose token says a plan."""
    def call(plan, body=FILE, path="/v1/uploads", user=None, **more):
        user = user or f"{request.node.name}-{plan}"
        return api.ask(body, path, token=api.token(user, plan=plan), **more)
    return call


@pytest.fixture
def quota(api, request):
    def call(plan, user=None):
        token = api.token(user or f"{request.node.name}-{plan}", plan=plan)
        answer = api.get("/v1/quota", token=token)
        assert answer.status == 200, answer
        return {limit["name"]: limit for limit in answer.json["limits"]}
    return call


def taken(limit):
    return limit["used"] + limit["reserved"]


def retry_after(answer):
    return int(answer.headers["Retry-After"])


def fields(answer, name):
    """One item of a structured field: its name and parameters."""
    lines = answer.headers.get_all(name)
    assert len(lines) == 1, lines
    found = re.fullmatch(r'"([a-z][a-z0-9_-]*)"((?:;[a-z]+=(?:\d{1,15}|"[a-z-]+"))+)', lines[0])
    assert found, lines[0]
    pairs = (p.split("=") for p in found[2][1:].split(";"))
    return found[1], {k: v.strip('"') if v[0] == '"' else int(v) for k, v in pairs}


# ---- each kind -----------------------------------------------------------------------------------

def test_rate(ask, quota):
    start = time.time()
    for left in (2, 1, 0):
        answer = ask("rate")
        assert answer.status == 201
        assert fields(answer, "RateLimit-Policy") == ("asks", {"q": 60, "w": 3600})
        name, said = fields(answer, "RateLimit")
        assert name == "asks" and said["r"] == left and 55 <= said["t"] <= 60
    refused = ask("rate")
    p = check_problem(refused, 429, "rate_limited", limit_name="asks", limit=60, window_s=3600)
    assert "resets_at" not in p and "used" not in p
    assert 60 - (time.time() - start) - 1 <= retry_after(refused) <= 60
    assert fields(refused, "RateLimit") == ("asks", {"r": 0, "t": retry_after(refused)})
    assert quota("rate")["asks"]["remaining"] == 0


def test_a_batch_is_one_request(ask, quota):
    assert ask("rate", {"files": [FILE] * 50}).status == 201
    assert quota("rate")["asks"]["remaining"] == 2


def test_count_in_a_window(ask):
    for left in (1, 0):
        answer = ask("window")
        assert answer.status == 201
        assert fields(answer, "RateLimit-Policy") == ("files_of_age", {"q": 2, "w": AGE_S})
        assert fields(answer, "RateLimit")[1]["r"] == left
    refused = ask("window")
    end = (int(time.time()) // AGE_S + 1) * AGE_S
    p = check_problem(refused, 429, "quota_exceeded", limit_name="files_of_age", limit=2, used=2,
                      requested=1)
    assert seconds(p["resets_at"]) == end
    assert abs(retry_after(refused) - (end - time.time())) <= 2
    assert fields(refused, "RateLimit") == ("files_of_age", {"r": 0, "t": retry_after(refused)})


def test_count_in_a_month(ask):
    assert ask("month", {"files": [FILE] * 2}).status == 201
    now = datetime.datetime.now(datetime.timezone.utc)
    refused = ask("month")
    p = check_problem(refused, 429, "quota_exceeded")
    end = datetime.datetime.fromtimestamp(seconds(p["resets_at"]), datetime.timezone.utc)
    assert (end.day, end.hour, end.minute, end.second) == (1, 0, 0, 0)
    assert 0 < (end - now).total_seconds() <= 31 * 86400
    days = calendar.monthrange(now.year, now.month)[1]
    assert fields(refused, "RateLimit-Policy") == ("files_a_month", {"q": 2, "w": days * 86400})


def test_count_for_ever(ask):
    answer = ask("ever")
    assert fields(answer, "RateLimit-Policy") == ("files", {"q": 2})
    assert fields(answer, "RateLimit") == ("files", {"r": 1})
    assert ask("ever").status == 201
    refused = ask("ever")
    p = check_problem(refused, 403, "quota_exceeded", limit_name="files", limit=2, used=2,
                      requested=1)
    assert "resets_at" not in p
    for name in ("Retry-After", "RateLimit", "RateLimit-Policy"):
        assert refused.headers[name] is None


def test_bytes(ask, quota):
    assert ask("bytes", FILE | {"content_length": 60}).status == 201
    assert fields(ask("bytes", FILE | {"content_length": 1}), "RateLimit-Policy") == (
        "stored", {"q": 100, "qu": "content-bytes"})
    check_problem(ask("bytes", FILE | {"content_length": 40}), 403, "quota_exceeded",
                  limit_name="stored", limit=100, used=61, requested=40)
    assert ask("bytes", FILE | {"content_length": 39}).status == 201
    assert quota("bytes")["stored"]["remaining"] == 0


def test_the_maximum_is_reserved_where_no_size_is_sent(ask, quota):
    body = {"content_type": "image/png", "profile": "range"}
    assert ask("bytes", body).status == 201
    assert quota("bytes")["stored"]["reserved"] == 60
    check_problem(ask("bytes", body), 403, "quota_exceeded", used=60, requested=60)


def test_more_than_a_limit_ever_gives(ask):
    """One request above the maximum is 403, whether or not the limit renews."""
    check_problem(ask("window-bytes", FILE | {"content_length": 101}), 403, "quota_exceeded",
                  limit=100, used=0, requested=101)
    check_problem(ask("window", {"files": [FILE] * 3}), 403, "quota_exceeded", requested=3)
    check_problem(ask("open", {"files": [FILE] * 3}), 403, "quota_exceeded", requested=3)


def test_open(ask, quota, api, request):
    first = ask("open", FILE | {"expires_in": 100})
    assert fields(first, "RateLimit-Policy") == ("open", {"q": 2, "qu": "concurrent-requests"})
    ask("open")
    refused = ask("open")
    p = check_problem(refused, 429, "quota_exceeded", limit_name="open", limit=2, used=2,
                      requested=1)
    assert p["resets_at"] == first.json["expires_at"]
    assert 95 <= retry_after(refused) <= 100
    gone = api.request("DELETE", f"/v1/uploads/{first.json['id']}",
                       token=api.token(f"{request.node.name}-open", plan="open"))
    assert gone.status == 204
    assert ask("open").status == 201


def test_all_limits_hold_together(ask, quota):
    """What one limit refuses takes nothing of the others."""
    big = FILE | {"content_length": 20}
    assert [ask("both", big).status for _ in range(3)] == [201, 201, 403]
    assert {n: taken(v) for n, v in quota("both").items()} == {"files_of_age": 2, "stored": 40}
    check_problem(ask("both", {"files": [FILE, FILE, FILE, FILE]}), 403, "quota_exceeded",
                  limit_name="stored")
    assert {n: taken(v) for n, v in quota("both").items()} == {"files_of_age": 2, "stored": 40}


def test_a_rate_is_not_taken_by_the_refused(ask, quota):
    statuses = [ask("asked-often").status for _ in range(6)]
    assert statuses == [201, 403, 403, 403, 403, 403]
    assert quota("asked-often")["asks"]["remaining"] == 3


def test_headers_tell_of_the_tightest(ask):
    small = ask("tight", FILE | {"content_length": 1})
    assert fields(small, "RateLimit") == ("wide", {"r": 999})
    large = ask("tight", FILE | {"content_length": 10000})
    assert fields(large, "RateLimit") == ("stored", {"r": 10**6 - 10001})


def test_no_limits_no_headers(ask, quota):
    for path in ("/v1/uploads", "/presign"):
        answer = ask("free", path=path)
        assert answer.status in (200, 201)
        assert answer.headers["RateLimit"] is None and answer.headers["RateLimit-Policy"] is None
    assert quota("free") == {}


def test_browsers_may_read_the_headers(ask):
    answer = ask("wide", headers={"Origin": "https://app.test"})
    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"RateLimit", "RateLimit-Policy", "Retry-After", "Location"} <= set(exposed)


# ---- batches -------------------------------------------------------------------------------------

def test_a_batch_across_the_boundary(ask, quota):
    four = {"files": [FILE] * 4}
    assert [ask("ten", four).status for _ in range(3)] == [201, 201, 403]
    assert taken(quota("ten")["files"]) == 8 and taken(quota("ten")["open"]) == 8
    assert ask("ten", {"files": [FILE] * 2}).status == 201
    p = check_problem(ask("ten", {"files": [FILE]}), 403, "quota_exceeded", used=10, requested=1)
    assert "index" not in p


def test_a_batch_with_a_bad_file_takes_nothing(ask, quota):
    bad = {"files": [FILE, FILE | {"content_type": "text/html"}]}
    check_problem(ask("ten", bad), 422, "content_type_not_allowed", index=1)
    assert taken(quota("ten")["files"]) == 0


# ---- dialects ------------------------------------------------------------------------------------

DIALECTS = [
    ("/v1/uploads", FILE),
    ("/presign", {"content_type": "image/png", "content_length": 10}),
    ("/presign", {"fileName": "a.png", "contentType": "image/png", "fileSize": 10}),
    ("/upload", {"filename": "a.png", "filesize": 10, "filetype": "image/png"}),
]


def test_dialects_share_the_limits(ask, quota):
    for i, (path, body) in enumerate(DIALECTS):
        answer = ask("ten", body, path)
        assert answer.status in (200, 201)
        assert fields(answer, "RateLimit") == ("files", {"r": 9 - i})
    assert taken(quota("ten")["files"]) == len(DIALECTS)
    assert taken(quota("ten")["stored"]) == 10 * len(DIALECTS)


@pytest.mark.parametrize("path, body", DIALECTS)
def test_dialects_are_refused_alike(ask, path, body):
    user = f"refused-{DIALECTS.index((path, body))}"
    assert ask("window", {"files": [FILE] * 2}, user=user).status == 201
    refused = ask("window", body, path, user=user)
    check_problem(refused, 429, "quota_exceeded", limit_name="files_of_age", limit=2, used=2,
                  requested=1)
    assert fields(refused, "RateLimit") == ("files_of_age", {"r": 0, "t": retry_after(refused)})


# ---- races ---------------------------------------------------------------------------------------

def race(service, plan, user, body, rounds):
    """What 64 clients get who ask at the same time, each over its own connection."""
    token = service.token(user, plan=plan)

    def client(_):
        connection = service.connection()
        answers = [service.ask(body, token=token, connection=connection) for _ in range(rounds)]
        connection.close()
        return answers

    with ThreadPoolExecutor(CLIENTS) as pool:
        return [a for answers in pool.map(client, range(CLIENTS)) for a in answers]


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("files, granted", [(1, 100), (3, 33), (7, 14)])
def test_a_race_for_a_limit_of_a_hundred(presignd, threads, files, granted):
    s = presignd(config(threads=threads))
    body = {"files": [FILE] * files} if files > 1 else FILE
    answers = race(s, "hundred", "racer", body, rounds=3)
    assert sum(a.status == 201 for a in answers) == granted
    assert {a.status for a in answers} == {201, 403}
    ids = [u["id"] for a in answers if a.status == 201 for u in a.json.get("uploads", [a.json])]
    assert len(set(ids)) == granted * files
    limits = {limit["name"]: limit for limit in
              s.get("/v1/quota", token=s.token("racer", plan="hundred")).json["limits"]}
    assert limits["files"]["reserved"] == granted * files and limits["files"]["used"] == 0
    assert limits["stored"]["reserved"] == granted * files * FILE["content_length"]
    m = s.metrics()
    assert m['presignd_reservations_total{outcome="taken"}'] == granted
    assert m['presignd_reservations_total{outcome="refused"}'] == 3 * CLIENTS - granted
    assert m['presignd_limit_refusals_total{limit="files"}'] == 3 * CLIENTS - granted


# ---- dry run -------------------------------------------------------------------------------------

def test_a_dry_run_takes_nothing(ask, quota):
    ask("ten")
    for body in (FILE, {"files": [FILE] * 3}):
        answer = ask("ten", body, "/v1/uploads?dry_run=1")
        assert answer.status == 200, answer
        for decision in answer.json.get("files", [answer.json]):
            assert decision["allowed"] is True
            assert {q["name"]: taken(q) for q in decision["quota"]} == {
                "files": 1, "stored": 10, "open": 1}
            assert decision["quota"] == list(quota("ten").values())


def test_a_dry_run_is_refused_as_the_request_would_be(ask, quota):
    check_problem(ask("ever", {"files": [FILE] * 3}, "/v1/uploads?dry_run=1"), 403,
                  "quota_exceeded", requested=3)
    for _ in range(2):
        ask("window")
    dry, real = ask("window", path="/v1/uploads?dry_run=1"), ask("window")
    assert dry.status == real.status == 429
    own = ("request_id",)
    assert {k: v for k, v in dry.json.items() if k not in own} == {
        k: v for k, v in real.json.items() if k not in own}
    for _ in range(3):
        assert ask("rate", path="/v1/uploads?dry_run=1").status == 200
    assert quota("rate")["asks"]["remaining"] == 3


def test_a_dry_run_without_limits(ask):
    assert ask("free", path="/v1/uploads?dry_run=1").json["quota"] == []


# ---- Idempotency-Key -----------------------------------------------------------------------------

def again(ask, plan, key, body=FILE, **more):
    return ask(plan, body, headers={KEY: key}, **more)


def test_the_same_request_again(ask, quota, api, request):
    first, second = again(ask, "wide", "k-1"), again(ask, "wide", '"k-1"')
    assert first.status == second.status == 201
    for name in ("id", "key", "bucket", "method"):
        assert first.json[name] == second.json[name]
    assert first.headers["Location"] == second.headers["Location"]
    assert seconds(second.json["expires_at"]) >= seconds(first.json["expires_at"])
    check_form(second.json)
    now = quota("wide")
    assert taken(now["files"]) == 1 and taken(now["open"]) == 1 and taken(now["stored"]) == 10
    assert now["asks"]["remaining"] <= 998
    lines = api.logs("grant", upload_id=first.json["id"])
    assert len(lines) == 2
    assert [line.get("replayed") for line in lines] == [None, True]


def test_dates_and_ids_in_the_key_are_those_of_the_first(ask):
    body = FILE | {"profile": "dated"}
    first = again(ask, "wide", "k", body)
    at = int(first.json["key"].split("/")[3])
    wait_until(lambda: time.time() * 1000 >= at + 1000)
    assert again(ask, "wide", "k", body).json["key"] == first.json["key"]


def test_a_batch_again(ask, quota):
    body = {"files": [FILE, FILE | {"content_length": 20}]}
    first, second = again(ask, "ten", "batch", body), again(ask, "ten", "batch", body)
    assert first.status == second.status == 201
    assert [(u["id"], u["key"]) for u in first.json["uploads"]] == [
        (u["id"], u["key"]) for u in second.json["uploads"]]
    assert taken(quota("ten")["files"]) == 2


def test_a_dialect_again(ask, quota):
    body = {"fileName": "a.png", "contentType": "image/png", "fileSize": 10}
    first, second = (again(ask, "ten", "d", body, path="/presign") for _ in range(2))
    assert first.json["id"] == second.json["id"] and first.json["key"] == second.json["key"]
    assert taken(quota("ten")["files"]) == 1


@pytest.mark.parametrize("change", [
    {"profiles": {"range": {"max_bytes": 1000}}},
    {"buckets": {"main": {"bucket": "another-bucket"}}},
], ids=["bytes", "bucket"])
def test_rules_that_changed_make_another_request(presignd, change):
    """What would be signed now is not what was reserved then."""
    service = presignd(config())

    def once():
        return service.ask({"content_type": "image/png", "profile": "range"}, headers={KEY: "k"},
                           token=service.token(plan="wide"))

    assert once().status == once().status == 201
    service.reload(config(**change))
    changed = once()
    assert (changed.status, changed.code) == (409, "idempotency_conflict")
    service.reload(config())
    assert once().status == 201


def test_rates_count_every_time(ask):
    statuses = [again(ask, "asked-often", "k").status for _ in range(5)]
    assert statuses == [201, 201, 201, 201, 429]


def test_repeated_when_the_quota_is_full(ask):
    """What it reserved is there already."""
    first = again(ask, "ever", "k")
    assert ask("ever").status == 201 and ask("ever").status == 403
    second = again(ask, "ever", "k")
    assert second.status == 201 and second.json["id"] == first.json["id"]
    assert again(ask, "ever", "k-2").status == 403


@pytest.mark.parametrize("more", [
    {"body": FILE | {"content_length": 11}}, {"body": json.dumps(FILE) + " "},
    {"path": "/v1/uploads?a=1"}, {"path": "/presign"}], ids=["size", "a blank", "query", "route"])
def test_another_request_with_the_same_key(ask, quota, more, request):
    user = f"conflict-{request.node.callspec.id.replace(' ', '-')}"
    again(ask, "ten", "k", json.dumps(FILE), user=user)
    refused = again(ask, "ten", "k", **({"body": json.dumps(FILE), "user": user} | more))
    check_problem(refused, 409, "idempotency_conflict")
    assert taken(quota("ten", user)["files"]) == 1


def test_keys_belong_to_their_user(ask):
    ids = {again(ask, "ten", "shared", user=user).json["id"] for user in ("ann", "ben")}
    assert len(ids) == 2


def test_a_refused_request_is_not_remembered(ask):
    check_problem(again(ask, "bytes", "k", FILE | {"content_length": 101}), 403, "quota_exceeded")
    assert again(ask, "bytes", "k").status == 201


def test_a_cancelled_upload_is_not_granted_again(ask, api, request):
    first = again(ask, "ten", "k")
    token = api.token(f"{request.node.name}-ten", plan="ten")
    assert api.request("DELETE", first.headers["Location"], token=token).status == 204
    check_problem(again(ask, "ten", "k"), 409, "upload_state", state="cancelled")
    assert again(ask, "ten", "k-2").status == 201


def kill_packet(service, upload_id):
    """Its packet is dead, as if all its time had passed."""
    with closing(sqlite3.connect(service.dir / "ledger.db", timeout=20)) as db, db:
        db.execute("UPDATE uploads SET expires_s = expires_s - 2000, due_s = due_s - 2000 "
                   "WHERE id = ?", (upload_id,))


@pytest.fixture
def forgiving(presignd):
    """Whose store cannot be asked, and whose plan gives back then."""
    return presignd(config(buckets={"main": {"endpoint": "http://127.0.0.1:9"}},
                           plans={"ever": {"unsettled": "release"}}))


def files_of(service, token):
    return taken(service.get("/v1/quota", token=token).json["limits"][0])


def test_what_was_settled_is_reserved_again(forgiving):
    token = forgiving.token("late", plan="ever")
    first = forgiving.ask(FILE, token=token, headers={KEY: "k"})
    kill_packet(forgiving, first.json["id"])
    wait_until(lambda: files_of(forgiving, token) == 0)
    for _ in range(2):
        repeated = forgiving.ask(FILE, token=token, headers={KEY: "k"})
        assert repeated.status == 201
        assert (repeated.json["id"], repeated.json["key"]) == (first.json["id"], first.json["key"])
        assert files_of(forgiving, token) == 1
    view = forgiving.get(first.headers["Location"], token=token).json
    assert view["state"] == "granted" and view["expires_at"] == repeated.json["expires_at"]


def test_what_was_settled_is_under_all_limits_again(forgiving):
    token = forgiving.token("later", plan="ever")
    first = forgiving.ask(FILE, token=token, headers={KEY: "k"})
    kill_packet(forgiving, first.json["id"])
    wait_until(lambda: files_of(forgiving, token) == 0)
    assert forgiving.ask({"files": [FILE] * 2}, token=token).status == 201
    check_problem(forgiving.ask(FILE, token=token, headers={KEY: "k"}), 403, "quota_exceeded",
                  used=2, requested=1)


@pytest.mark.parametrize("lines", [
    [(KEY, "")], [(KEY, '""')], [(KEY, "x" * 65)], [(KEY, "a b")], [(KEY, "a/b")], [(KEY, '"a')],
    [(KEY, "a"), (KEY, "a")]],
    ids=["empty", "empty quotes", "65", "blank", "slash", "one quote", "twice"])
def test_bad_keys(api, lines):
    body = json.dumps(FILE).encode()
    head = "".join(f"{n}: {v}\r\n" for n, v in lines)
    status, _, rest = read_raw(api.raw(
        f"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}"
        f"Authorization: Bearer {api.token('bad', plan='ten')}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body))
    assert status == 400
    assert json.loads(rest)["code"] == "invalid_request" and json.loads(rest)["member"] == KEY


def test_keys_are_ignored_in_dry_runs(ask, quota):
    first = again(ask, "ten", "k")
    dry = again(ask, "ten", "k", FILE | {"content_length": 11}, path="/v1/uploads?dry_run=1")
    assert first.status == 201 and dry.status == 200
    assert again(ask, "ten", "not a key", path="/v1/uploads?dry_run=1").status == 200


def test_keys_are_ignored_without_a_ledger(presignd):
    s = presignd(base_config(ledger={"backend": "none"}))
    answers = [s.ask(FILE, headers={KEY: k}) for k in ("k", "k", "not a key")]
    assert [a.status for a in answers] == [201] * 3
    assert len({a.json["id"] for a in answers}) == 3


@pytest.mark.parametrize("threads", [1, 4])
def test_the_same_request_many_times_at_once(presignd, threads):
    s = presignd(config(threads=threads))
    token = s.token("twin", plan="wide")

    def client(_):
        return s.ask(FILE, token=token, headers={KEY: "once"})

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(client, range(CLIENTS)))
    assert {a.status for a in answers} == {201}
    assert len({(a.json["id"], a.json["key"]) for a in answers}) == 1
    limits = {limit["name"]: limit for limit in s.get("/v1/quota", token=token).json["limits"]}
    assert taken(limits["files"]) == 1 and taken(limits["open"]) == 1
    assert limits["asks"]["remaining"] < 1000 - CLIENTS / 2
    m = s.metrics()
    assert m['presignd_reservations_total{outcome="taken"}'] == 1
    assert m['presignd_reservations_total{outcome="replayed"}'] == CLIENTS - 1


# ---- broken connections --------------------------------------------------------------------------

def raw_ask(service, token, *lines, body=FILE):
    data = json.dumps(body)
    head = "".join(f"{line}\r\n" for line in lines)
    return (f"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{head}"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n{data}").encode()


def reset(sock):
    """Closes with a RST, whatever is unread."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_a_packet_is_not_free_because_the_connection_broke(api, quota):
    token = api.token("breaker", plan="ten")
    for i in range(10):
        with socket.create_connection((api.host, api.port), timeout=10) as s:
            s.sendall(raw_ask(api, token))
            assert s.recv(65536).startswith(b"HTTP/1.1 201 ")
            reset(s)
    assert taken(quota("ten", "breaker")["files"]) == 10
    check_problem(api.ask(FILE, token=token), 403, "quota_exceeded")


def test_the_answer_that_was_lost_can_be_had_again(api, quota):
    """The retry of a client whose connection broke before it saw an answer."""
    token = api.token("retrier", plan="ten")
    for i in range(30):
        with socket.create_connection((api.host, api.port), timeout=10) as s:
            s.sendall(raw_ask(api, token, f"{KEY}: lost"))
            reset(s)
    first = api.ask(FILE, token=token, headers={KEY: "lost"})
    assert first.status == 201 and UUID.fullmatch(first.json["id"])
    assert api.ask(FILE, token=token, headers={KEY: "lost"}).json["id"] == first.json["id"]
    wait_until(lambda: taken(quota("ten", "retrier")["files"]) == 1)


# ---- figures and lines ---------------------------------------------------------------------------

def test_metrics(presignd):
    s = presignd(config(threads=2))
    for plan, path, times in (("ever", "/v1/uploads", 4), ("rate", "/presign", 5),
                              ("free", "/v1/uploads", 3)):
        for _ in range(times):
            s.ask(FILE, path, token=s.token("u", plan=plan))
    m = s.metrics()
    assert m['presignd_reservations_total{outcome="taken"}'] == 2 + 3 + 3
    assert m['presignd_reservations_total{outcome="refused"}'] == 2 + 2
    assert m['presignd_limit_refusals_total{limit="files"}'] == 2
    assert m['presignd_limit_refusals_total{limit="asks"}'] == 2
    assert m['presignd_refusals_total{code="quota_exceeded"}'] == 2
    assert m['presignd_refusals_total{code="rate_limited"}'] == 2
    assert m['presignd_ledger_duration_seconds_count'] == 12
    assert m['presignd_ledger_duration_seconds_sum'] > 0
    assert m['presignd_sweep_backlog'] == 0
    assert {f'presignd_sweeps_total{{outcome="{o}"}}' for o in
            ("there", "missing", "unknown", "unasked", "failed")} <= set(m)


def test_readiness_names_the_ledger(api):
    checks = {c["name"]: c for c in api.get("/readyz?verbose").json["checks"]}
    assert checks["ledger"]["ok"] is True


def test_the_line_of_a_grant(ask, api, request):
    answer = ask("wide")
    line = api.wait_log("grant", upload_id=answer.json["id"])
    assert line["user"] == f"{request.node.name}-wide" and line["plan"] == "wide"
    assert line["bytes"] == 10 and line["key"] == answer.json["key"]
    assert line["request_id"] == answer.headers["X-Request-Id"]
    assert re.fullmatch("[0-9a-f]{32}", line["user_hash"])
