"""What becomes of a grant (API version 1, section 2): its view, complete and DELETE, quotas, and
the ways of cheating them, against a real S3 (Ceph RADOS Gateway), with both ledgers.

Time is not waited for: the times of an upload are moved back where the ledger keeps them, while the
service runs (it remembers nothing itself), and the next look, or the sweeper, sees a dead packet.
"""
import datetime
import hashlib
import json
import socket
import sqlite3
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import tokens
from contract import UUID, check_problem, seconds
from redis_server import PROGRAM, RedisServer
from service import CREDENTIALS, Service, base_config, read_raw, wait_until
from store import post, put

TWIN = "https://twin.test/"
TWIN_SECRET = b"the secret of another issuer, it has more than 32 bytes"
KB = {"content_type": "text/plain", "content_length": 1000}
DATA = bytes(range(250)) * 4
MARGIN_S = 61  # what a packet may be late: 60 s, and one for the second that is under way
VIEW = ["id", "state", "profile", "method", "bucket", "key", "content_type", "content_length",
        "created_at", "expires_at", "size", "etag"]


def profile(**more):
    return {"bucket": "main", "key": "{user_hash}/{uuid}", "content_types": ["text/plain"],
            "max_bytes": 100000, "min_bytes": 1} | more


def stored(maximum):
    return {"name": "stored", "kind": "bytes", "max": maximum}


def lab_config(bucket, **more):
    """A plan for each trick: a user belongs to it by the word in the token."""
    one = base_config()["auth"]["issuers"][0]
    plans = {
        "wide": {"limits": [stored(10**9), {"name": "files", "kind": "count", "max": 10**6}]},
        "open2": {"limits": [{"name": "open", "kind": "open", "max": 2}, stored(10**9)]},
        "bytes1500": {"limits": [stored(1500)]},
        "bytes2500": {"limits": [stored(2500)]},
        "two": {"limits": [{"name": "files", "kind": "count", "max": 2}, stored(2000)]},
        "rates": {"limits": [{"name": "asks", "kind": "rate", "max": 60, "window_s": 3600,
                              "burst": 5},
                             {"name": "day", "kind": "bytes", "max": 5000, "window_s": 86400}]},
        "free": {"limits": []},
    }
    return base_config(
        auth={"issuers": [one, one | {"issuer": TWIN, "secret_file": "{dir}/twin"}]},
        buckets={"main": bucket},
        profiles={"default": profile(),
                  "range": profile(size="range", max_bytes=1000),
                  "any": profile(size="any", min_bytes=0, max_bytes=1000)},
        plans=plans, default_plan="wide", **more)


class Lab(Service):
    """A service with the embedded ledger, and users that no other test has."""

    def __init__(self, bucket, credentials=CREDENTIALS, **more):
        super().__init__(lab_config(bucket, **more), credentials=credentials,
                         files={"twin": TWIN_SECRET})

    def user(self, plan="wide", name=None, **more):
        return User(self, plan, name or f"u-{uuid.uuid4()}", **more)

    def age(self, user_hash, by_s):
        """All uploads of a user become older by so many seconds."""
        db = sqlite3.connect(self.dir / "ledger.db", timeout=20)
        try:
            with db:
                db.execute("UPDATE uploads SET created_s = created_s - ?1,"
                           " expires_s = expires_s - ?1, due_s = due_s - ?1 WHERE user = ?2",
                           (by_s, user_hash))
        finally:
            db.close()


class FleetLab(Lab):
    """The same with a ledger that is kept in Redis."""

    AGE = """
        local user, by = 'presignd:{' .. ARGV[1] .. '}', tonumber(ARGV[2])
        for _, key in ipairs(redis.call('KEYS', user .. ':u:*')) do
            local text = redis.call('GET', key)
            local u = cjson.decode(string.sub(text, 2))
            u.created = string.format('%.0f', u.created - by)
            u.expires = string.format('%.0f', u.expires - by)
            redis.call('SET', key, string.sub(text, 1, 1) .. cjson.encode(u), 'KEEPTTL')
            local member = ARGV[1] .. ':' .. string.sub(key, #user + 4)
            redis.call('ZINCRBY', 'presignd:due', -by, member)
        end
        return 'aged'"""

    def __init__(self, bucket, credentials=CREDENTIALS):
        self.redis = RedisServer()
        try:
            # one loop: its connection to the server is up when readiness says so
            super().__init__(bucket, credentials, threads=1, ledger={
                "backend": "redis", "url": f"redis://127.0.0.1:{self.redis.port}/0",
                "timeout_ms": 2000})
        except BaseException:
            self.redis.close()
            raise

    def age(self, user_hash, by_s):
        assert "aged" in self.redis.command("EVAL", self.AGE, "0", user_hash, str(by_s))

    def kill(self):
        super().kill()
        self.redis.close()


class User:
    def __init__(self, lab, plan, name, issuer=tokens.ISSUER):
        self.lab, self.plan, self.name, self.issuer = lab, plan, name, issuer
        self.hash = hashlib.sha256(f"{issuer}\n{name}".encode()).hexdigest()[:32]
        key = tokens.SECRET if issuer == tokens.ISSUER else TWIN_SECRET
        self.token = tokens.token(name, key=key, iss=issuer, plan=plan)

    def ask(self, body=None, **more):
        return self.lab.ask(body or KB, token=self.token, **more)

    def granted(self, body=None, **more):
        answer = self.ask(body, **more)
        assert answer.status == 201, answer
        return answer.json

    def view(self, upload):
        answer = self.lab.get(f"/v1/uploads/{upload['id']}", token=self.token)
        assert answer.status == 200, answer
        return answer.json

    def complete(self, upload):
        return self.lab.request("POST", f"/v1/uploads/{upload['id']}/complete", token=self.token)

    def cancel(self, upload):
        return self.lab.request("DELETE", f"/v1/uploads/{upload['id']}", token=self.token)

    def quota(self, name="stored"):
        """(used, reserved) of one limit."""
        answer = self.lab.get("/v1/quota", token=self.token)
        assert answer.status == 200, answer
        limit = next(q for q in answer.json["limits"] if q["name"] == name)
        return limit["used"], limit["reserved"]

    def age(self, by_s):
        self.lab.age(self.hash, by_s)

    def settled(self):
        """All packets of this user die, and the sweeper has been there."""
        self.age(900 + MARGIN_S)
        wait_until(lambda: self.quota()[1] == 0)
        return self.quota()[0]


@pytest.fixture(scope="module", params=[Lab, FleetLab], ids=["sqlite", "redis"])
def lab(request, rgw):
    if request.param is FleetLab and not PROGRAM:
        pytest.skip("redis-server is not installed")
    with request.param(rgw.bucket_config(), rgw.credentials) as s:
        wait_until(lambda: s.get("/readyz").status == 200)
        yield s


@pytest.fixture(scope="module")
def shelf(rgw):
    return Shelf(rgw)


class Shelf:
    """What the store really holds."""

    def __init__(self, rgw):
        self.s3, self.name = rgw.client(), rgw.bucket

    def lay(self, upload, data):
        self.s3.put_object(Bucket=self.name, Key=upload["key"], Body=data)

    def take(self, upload):
        self.s3.delete_object(Bucket=self.name, Key=upload["key"])

    def bytes_of(self, user):
        listed = self.s3.list_objects_v2(Bucket=self.name, Prefix=user.hash + "/")
        assert not listed["IsTruncated"]
        return sum(o["Size"] for o in listed.get("Contents", []))


# ---- the view ------------------------------------------------------------------------------------

def test_a_view_from_its_grant_to_its_end(lab):
    user = lab.user()
    upload = user.granted()
    view = user.view(upload)
    assert list(view) == VIEW
    assert UUID.fullmatch(view["id"]) and view["id"] == upload["id"]
    assert {n: view[n] for n in ("key", "bucket", "method", "expires_at")} == {
        n: upload[n] for n in ("key", "bucket", "method", "expires_at")}
    assert (view["state"], view["profile"], view["content_type"]) == (
        "granted", "default", "text/plain")
    assert view["content_length"] == 1000 and view["size"] is None and view["etag"] is None
    assert seconds(view["expires_at"]) - seconds(view["created_at"]) == upload["expires_in"] == 900

    assert post(upload, DATA).status in (200, 201, 204)
    answer = user.complete(upload)
    assert answer.status == 200, answer
    etag = f'"{hashlib.md5(DATA).hexdigest()}"'
    assert answer.json == view | {"state": "completed", "size": 1000, "etag": etag}
    assert user.complete(upload).json == answer.json == user.view(upload)


def test_a_put_without_a_size_is_shown_so(lab):
    user = lab.user()
    upload = user.granted({"content_type": "text/plain", "profile": "any", "method": "PUT"})
    view = user.view(upload)
    assert (view["method"], view["content_length"]) == ("PUT", None)
    assert put(upload, DATA[:7]).status == 200
    view = user.complete(upload).json
    assert (view["state"], view["size"], view["content_length"]) == ("completed", 7, None)


def test_the_location_leads_there(lab):
    user = lab.user()
    answer = user.ask()
    assert lab.get(answer.headers["Location"], token=user.token).json["id"] == answer.json["id"]
    head = lab.request("HEAD", answer.headers["Location"], token=user.token)
    assert (head.status, head.body) == (200, b"") and int(head.headers["Content-Length"]) > 100


def test_each_of_a_batch_is_an_upload(lab):
    user = lab.user()
    batch = user.granted({"files": [KB, KB, KB]})["uploads"]
    assert user.quota() == (0, 3000)
    assert post(batch[1], DATA).status in (200, 201, 204)
    assert [user.complete(u).status for u in batch] == [409, 200, 409]
    assert [user.view(u)["state"] for u in batch] == ["granted", "completed", "granted"]


ALL = [("GET", ""), ("DELETE", ""), ("POST", "/complete")]


@pytest.mark.parametrize("method, end", ALL)
def test_nobody_elses(lab, shelf, method, end):
    owner = lab.user()
    upload = owner.granted()
    shelf.lay(upload, DATA)
    path = f"/v1/uploads/{upload['id']}{end}"
    others = {"another user": lab.user().token,
              "the same name elsewhere": lab.user(name=owner.name, issuer=TWIN).token}
    for who, token in others.items():
        theirs = check_problem(lab.request(method, path, token=token), 404, "not_found")
        nobodys = check_problem(lab.request(
            method, f"/v1/uploads/01910000-0000-7000-8000-000000000000{end}", token=token),
            404, "not_found")
        assert theirs | {"request_id": 0} == nobodys | {"request_id": 0}, who
    assert owner.view(upload)["state"] == "granted"


@pytest.mark.parametrize("method, end", ALL)
@pytest.mark.parametrize("upload_id", ["x", "..", "'%20OR%201=1%20--", "0" * 36, "-" * 36,
                                       "019100000000-7000-8000-0000-00000000",
                                       "{01910000-0000-7000-8000-000000000000}"])
def test_no_uuid(lab, method, end, upload_id):
    answer = lab.request(method, f"/v1/uploads/{upload_id}{end}", token=lab.user().token)
    check_problem(answer, 404, "not_found")


def test_a_token_comes_first(lab):
    for method, end in ALL:
        check_problem(lab.request(method, f"/v1/uploads/x{end}"), 401, "missing_token")
        check_problem(lab.request(method, f"/v1/uploads/x{end}", token="x"), 401, "invalid_token")
    check_problem(lab.get("/v1/quota"), 401, "missing_token")


def test_preflight(lab):
    headers = {"Origin": "https://app.test", "Access-Control-Request-Method": "DELETE"}
    answer = lab.request("OPTIONS", f"/v1/uploads/{uuid.uuid4()}", headers=headers)
    assert answer.status == 204
    assert "DELETE" in answer.headers["Access-Control-Allow-Methods"].split(", ")


# ---- complete ------------------------------------------------------------------------------------

def test_complete_without_the_object(lab, shelf):
    user = lab.user()
    upload = user.granted()
    check_problem(user.complete(upload), 409, "upload_state", state="granted")
    assert user.view(upload)["state"] == "granted"
    shelf.lay(upload, DATA)
    assert user.complete(upload).json["state"] == "completed"


@pytest.mark.parametrize("size", [0, 1, 999, 1001, 100000])
def test_complete_with_another_size(lab, shelf, size):
    user = lab.user()
    upload = user.granted()
    shelf.lay(upload, b"x" * size)
    check_problem(user.complete(upload), 409, "upload_state", state="granted",
                  expected_bytes=1000, actual_bytes=size)
    assert user.quota() == (0, 1000)
    shelf.lay(upload, DATA)
    assert user.complete(upload).status == 200


def test_complete_with_more_than_was_reserved(lab, shelf):
    user = lab.user()
    upload = user.granted({"content_type": "text/plain", "profile": "any", "method": "PUT"})
    assert put(upload, b"x" * 1001).status == 200  # no size is signed: only this proves it
    check_problem(user.complete(upload), 409, "upload_state", expected_bytes=1000,
                  actual_bytes=1001)
    assert user.settled() == 1001 == shelf.bytes_of(user)


def test_complete_is_final(lab, shelf):
    user = lab.user()
    upload = user.granted()
    shelf.lay(upload, DATA)
    assert user.complete(upload).status == 200
    shelf.take(upload)
    assert user.complete(upload).status == 200
    check_problem(user.cancel(upload), 409, "upload_state", state="completed")
    assert user.view(upload)["state"] == "completed"


def test_complete_with_a_body_that_nobody_reads(lab, shelf):
    user = lab.user()
    upload = user.granted()
    shelf.lay(upload, DATA)
    answer = lab.request("POST", f"/v1/uploads/{upload['id']}/complete", "{not json",
                         {"Content-Type": "application/json"}, token=user.token)
    assert answer.status == 200, answer


def test_after_its_time_and_before_the_sweeper(lab, shelf):
    user = lab.user()
    upload = user.granted()
    user.age(901)
    assert user.view(upload)["state"] == "expired"
    check_problem(user.complete(upload), 409, "upload_state", state="expired")
    shelf.lay(upload, DATA)
    assert user.complete(upload).json["state"] == "completed"
    assert user.quota() == (0, 1000)  # an upload that began in time may still replace it


def test_after_the_sweeper(lab, shelf):
    """The object was not there; then it is all the same, and counts."""
    user = lab.user("bytes1500")
    upload = user.granted()
    assert user.settled() == 0
    assert user.view(upload)["state"] == "expired"
    shelf.lay(upload, DATA)
    assert user.complete(upload).json["state"] == "completed"
    assert user.quota() == (1000, 0)
    assert user.complete(upload).status == 200 and user.quota() == (1000, 0)
    check_problem(user.ask(), 403, "quota_exceeded", limit_name="stored", limit=1500, used=1000,
                  requested=1000)


def test_a_store_that_does_not_let_us_look(rgw, shelf):
    may_put = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}]}
    credentials = rgw.session_credentials(Policy=json.dumps(may_put, separators=(",", ":")))
    with Lab(rgw.bucket_config(), credentials) as lab:
        user = lab.user()
        upload = user.granted()
        shelf.lay(upload, DATA)
        answer = user.complete(upload)
        check_problem(answer, 502, "storage_failed", storage_status=403)
        line = lab.wait_log("request", request_id=answer.headers["X-Request-Id"])
        assert "s3:GetObject" in line["reason"] and "s3:ListBucket" in line["reason"]
        assert user.view(upload)["state"] == "granted"
        assert user.settled() == 1000  # `unsettled` is keep: what could not be seen counts


def test_a_store_that_is_not_there(rgw):
    with Lab(rgw.bucket_config() | {"endpoint": "http://127.0.0.1:1"}, rgw.credentials) as lab:
        user = lab.user()
        p = check_problem(user.complete(user.granted()), 502, "storage_failed")
        assert "storage_status" not in p


def test_a_store_that_hangs(rgw):
    """Only so many are looked at; the others are told at once, and nobody else notices."""
    at_once, more = 64, 40
    with socket.create_server(("127.0.0.1", 0), backlog=512) as hanging:
        bucket = rgw.bucket_config() | {"endpoint": f"http://127.0.0.1:{hanging.getsockname()[1]}"}
        with Lab(bucket, rgw.credentials, threads=1) as lab:
            user, other = lab.user(), lab.user()
            uploads = [user.granted() for _ in range(at_once + more)]

            def complete_all():
                ends = [socket.create_connection((lab.host, lab.port), 30) for _ in uploads]
                for end, upload in zip(ends, uploads):
                    end.sendall(f"POST /v1/uploads/{upload['id']}/complete HTTP/1.1\r\nHost: x\r\n"
                                f"Authorization: Bearer {user.token}\r\nConnection: close\r\n"
                                "Content-Length: 0\r\n\r\n".encode())
                return ends

            ends = complete_all()
            theirs = other.granted()
            assert other.view(theirs)["state"] == "granted" and other.quota() == (0, 1000)
            statuses = []
            for end in ends:
                with end, end.makefile("rb") as answer:
                    status, headers, body = read_raw(answer.read())
                statuses.append(status)
                assert (status, json.loads(body)["code"]) in (
                    (502, "storage_failed"), (503, "overloaded"))
                assert dict(headers).get("retry-after") == {502: None, 503: "1"}[status]
            assert statuses.count(502) >= at_once and statuses.count(503) > 0
            check_problem(user.complete(uploads[0]), 502, "storage_failed")

            for end in complete_all():  # who goes away leaves no place taken
                end.close()
            assert other.view(theirs)["state"] == "granted"
            wait_until(lambda: other.complete(theirs).code == "storage_failed")
            assert [user.view(u)["state"] for u in uploads] == ["granted"] * len(uploads)


# ---- DELETE --------------------------------------------------------------------------------------

def test_cancel(lab, shelf):
    user = lab.user()
    upload = user.granted()
    for _ in range(2):
        answer = user.cancel(upload)
        assert (answer.status, answer.body) == (204, b"")
    assert user.view(upload)["state"] == "cancelled"
    shelf.lay(upload, DATA)
    check_problem(user.complete(upload), 409, "upload_state", state="cancelled")
    assert user.quota() == (0, 1000)


def test_an_open_place_is_free_at_once(lab, shelf):
    user = lab.user("open2")
    first, second = user.granted(), user.granted()
    p = check_problem(user.ask(), 429, "quota_exceeded", limit_name="open", limit=2, used=2,
                      requested=1)
    assert 0 < seconds(p["resets_at"]) - seconds(first["expires_at"]) + 901 < 910
    assert user.cancel(first).status == 204
    third = user.granted()
    assert user.ask().status == 429
    shelf.lay(second, DATA)
    assert user.complete(second).status == 200
    user.granted()
    assert user.ask().status == 429
    assert user.quota("open")[1] == 2 and user.quota() == (0, 4000)
    assert user.view(third)["state"] == "granted"


# ---- quotas --------------------------------------------------------------------------------------

def test_quota(lab):
    user = lab.user("rates")
    user.granted()
    answer = lab.get("/v1/quota", token=user.token)
    assert answer.status == 200
    assert list(answer.json) == ["user", "plan", "limits"]
    assert (answer.json["user"], answer.json["plan"]) == (user.name, "rates")
    rate, day = answer.json["limits"]
    assert list(rate) == list(day) == ["name", "kind", "limit", "used", "reserved", "remaining",
                                       "window_s", "resets_at"]
    assert (rate["name"], rate["kind"], rate["remaining"]) == ("asks", "rate", 4)
    assert {n: day[n] for n in ("limit", "used", "reserved", "remaining", "window_s")} == {
        "limit": 5000, "used": 0, "reserved": 1000, "remaining": 4000, "window_s": 86400}
    midnight = datetime.datetime.fromtimestamp(seconds(day["resets_at"]), datetime.timezone.utc)
    assert midnight.time() == datetime.time(0)
    assert lab.get("/v1/quota", token=user.token).json["limits"][1] == day  # looking costs nothing


def test_quota_of_a_plan_without_limits(lab):
    user = lab.user("free")
    assert lab.get("/v1/quota", token=user.token).json == {
        "user": user.name, "plan": "free", "limits": []}


# ---- the operator's correction -------------------------------------------------------------------

def adjust(lab, **body):
    return lab.ask(body, "/ledger/adjust", token=None, admin=True)


def test_adjust(lab, shelf):
    """Objects were deleted elsewhere: the user has room again."""
    user = lab.user("bytes1500")
    upload = user.granted()
    shelf.lay(upload, DATA)
    assert user.settled() == 1000 and user.ask().status == 403
    shelf.take(upload)
    answer = adjust(lab, user=user.hash, limit_name="stored", delta=-400)
    assert answer.status == 200, answer
    assert answer.json == {"user_hash": user.hash, "limit_name": "stored", "used": 600,
                           "reserved": 0, "window_start": None}
    assert adjust(lab, user=user.hash, limit_name="stored", delta=-10**15).json["used"] == 0
    assert adjust(lab, user=user.hash, limit_name="stored", delta=500).json["used"] == 500
    user.granted()
    assert user.quota() == (500, 1000)


def test_adjust_what_is_not_there(lab):
    user = lab.user()
    user.granted()
    check_problem(adjust(lab, user="0" * 32, limit_name="stored", delta=1), 404, "not_found")
    check_problem(adjust(lab, user=user.hash, limit_name="nothing", delta=1), 404, "not_found")
    check_problem(adjust(lab, user=user.name, limit_name="stored", delta=1), 400,
                  "invalid_request", member="user")  # with two issuers a name says too little
    body = {"user": user.hash, "limit_name": "stored", "delta": 1}
    check_problem(lab.ask(body, "/ledger/adjust", token=user.token), 404, "not_found")
    assert user.quota() == (0, 1000)


def test_adjust_by_name(presignd):
    plans = {"one": {"limits": [stored(5000)]}}
    s = presignd(base_config(plans=plans, default_plan="one"))
    assert s.ask(KB).status == 201
    assert adjust(s, user="alice", limit_name="stored", delta=7).json["used"] == 7
    answer = s.get("/v1/quota", token=s.token()).json["limits"][0]
    assert (answer["used"], answer["reserved"]) == (7, 1000)


# ---- without a ledger, and beside it ------------------------------------------------------------

def test_ledger_none(presignd):
    s = presignd(base_config(ledger={"backend": "none"}))
    upload = s.ask(KB).json
    for method, end in ALL:
        for token in (None, s.token()):
            check_problem(s.request(method, f"/v1/uploads/{upload['id']}{end}", token=token),
                          404, "not_found")
    check_problem(s.get("/v1/quota", token=s.token()), 404, "not_found")
    check_problem(adjust(s, user="0" * 32, limit_name="stored", delta=1), 404, "not_found")


def test_every_route_is_counted(lab):
    user = lab.user()
    upload = user.granted()
    user.view(upload), user.cancel(upload), user.complete(upload), user.quota()
    adjust(lab, user=user.hash, limit_name="stored", delta=0)
    for route, status in (("upload_view", 200), ("upload_cancel", 204), ("upload_complete", 409),
                          ("quota", 200), ("ledger_adjust", 200)):
        assert any(f'route="{route}"' in name and f'status="{status}"' in name and value >= 1
                   for name, value in lab.metrics().items()), route


def test_the_log_names_upload_and_user(lab):
    user = lab.user()
    upload = user.granted()
    answer = user.cancel(upload)
    line = lab.wait_log("request", request_id=answer.headers["X-Request-Id"])
    assert (line["upload_id"], line["user_hash"]) == (upload["id"], user.hash)


# ---- cheating ------------------------------------------------------------------------------------
# Each ends with the same proof: what lies in the store is what the ledger counts, and no more than
# the limit.

def prove(user, shelf, limit):
    counted = user.settled()
    assert counted == shelf.bytes_of(user) <= limit
    return counted


def test_cancel_and_upload_all_the_same(lab, shelf):
    user = lab.user("bytes1500")
    upload = user.granted()
    assert user.cancel(upload).status == 204
    check_problem(user.ask(), 403, "quota_exceeded", limit_name="stored", used=1000)
    assert post(upload, DATA).status in (200, 201, 204)  # the packet lives: nobody can stop it
    assert prove(user, shelf, 1500) == 1000
    assert user.view(upload)["state"] == "cancelled"
    check_problem(user.ask(), 403, "quota_exceeded", used=1000)
    user.granted(KB | {"content_length": 500})


def test_cancel_and_upload_before_that(lab, shelf):
    user = lab.user("bytes1500")
    upload = user.granted()
    assert post(upload, DATA).status in (200, 201, 204)
    assert user.cancel(upload).status == 204
    assert prove(user, shelf, 1500) == 1000


def test_cancelled_and_never_uploaded(lab, shelf):
    """The honest one has all of it back."""
    user = lab.user("bytes1500")
    assert user.cancel(user.granted()).status == 204
    assert prove(user, shelf, 1500) == 0
    user.granted()


def test_complete_small_then_upload_large(lab, shelf):
    user = lab.user("bytes1500")
    upload = user.granted({"content_type": "text/plain", "profile": "range"})
    assert user.quota() == (0, 1000)
    assert post(upload, b"x").status in (200, 201, 204)
    assert user.complete(upload).json["size"] == 1
    check_problem(user.ask({"content_type": "text/plain", "profile": "range"}), 403,
                  "quota_exceeded", used=1000)
    assert post(upload, DATA).status in (200, 201, 204)
    assert user.complete(upload).status == 200
    assert prove(user, shelf, 1500) == 1000
    assert user.view(upload)["size"] == 1000


def test_complete_at_the_end_and_upload_in_the_grace(lab, shelf):
    """Completed after its time, and then replaced by what was still on its way."""
    user = lab.user("bytes1500")
    upload = user.granted({"content_type": "text/plain", "profile": "range"})
    assert post(upload, b"x").status in (200, 201, 204)
    user.age(900 + 30)
    assert user.complete(upload).json["size"] == 1
    assert user.quota() == (0, 1000)
    shelf.lay(upload, DATA)
    assert prove(user, shelf, 1500) == 1000


def test_complete_small_then_copy_large(lab, shelf):
    """A PUT's signature covers what it names: this store heeds one more header that tells it to
    copy another object there, whatever length was signed."""
    user = lab.user()
    large = user.granted(KB | {"content_length": 20000})
    assert post(large, DATA * 20).status in (200, 201, 204)
    small = user.granted(KB | {"content_length": 1, "method": "PUT"})
    assert put(small, b"x").status == 200
    assert user.complete(small).json["size"] == 1
    copied = put(small, b"x", {"x-amz-copy-source": f"/{shelf.name}/{large['key']}"})
    assert copied.status == 200 and b"CopyObjectResult" in copied.body, copied
    assert shelf.bytes_of(user) == 40000
    assert prove(user, shelf, 10**9) == 40000
    assert user.view(small)["size"] == 20000


def test_the_same_packet_twice(lab, shelf):
    user = lab.user("bytes2500")
    upload = user.granted()
    for data in (DATA, DATA[::-1]):
        assert post(upload, data).status in (200, 201, 204)
    assert user.complete(upload).status == 200
    assert user.complete(upload).status == 200
    assert prove(user, shelf, 2500) == 1000


def test_cancel_as_often_as_one_likes(lab, shelf):
    user = lab.user("bytes2500")
    uploads = [user.granted(), user.granted()]
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda i: user.cancel(uploads[i % 2]).status, range(40)))
    assert statuses == [204] * 40 and user.quota() == (0, 2000)
    check_problem(user.ask(), 403, "quota_exceeded", used=2000)
    assert prove(user, shelf, 2500) == 0


def test_complete_and_cancel_race(lab, shelf):
    """One of both wins, and the limit counts the object once."""
    user = lab.user("bytes2500")
    for _ in range(2):
        upload = user.granted()
        shelf.lay(upload, DATA)
        with ThreadPoolExecutor(2) as pool:
            both = [pool.submit(user.complete, upload), pool.submit(user.cancel, upload)]
        assert sorted(f.result().status for f in both) in ([200, 409], [204, 409])
        assert user.view(upload)["state"] in ("completed", "cancelled")
    assert prove(user, shelf, 2500) == 2000


def test_a_repeated_request_cannot_be_stretched(lab, shelf):
    """The same Idempotency-Key gives the same upload, whatever is uploaded in between."""
    user = lab.user("bytes1500")
    ask = {"content_type": "text/plain", "profile": "range"}
    first = user.granted(ask, headers={"Idempotency-Key": "k"})
    assert post(first, b"x").status in (200, 201, 204)
    again = user.granted(ask, headers={"Idempotency-Key": "k"})
    assert (again["id"], again["key"]) == (first["id"], first["key"])
    assert user.quota() == (0, 1000)
    for packet in (again, first):
        assert post(packet, DATA).status in (200, 201, 204)
    assert prove(user, shelf, 1500) == 1000


def test_one_name_with_two_issuers(lab, shelf):
    """100 names, each known to both issuers: 200 users, each with a quota of its own."""
    names = [f"twin-{uuid.uuid4()}" for _ in range(100)]
    users = [lab.user("two", name=name, issuer=issuer)
             for name in names for issuer in (tokens.ISSUER, TWIN)]
    assert len({u.hash for u in users}) == 200

    def use_up(user):
        answers = [user.ask() for _ in range(3)]
        assert [a.status for a in answers] == [201, 201, 403], answers
        uploads = [a.json for a in answers[:2]]
        assert all(u["key"].startswith(user.hash + "/") for u in uploads)
        assert post(uploads[0], DATA).status in (200, 201, 204)
        assert user.complete(uploads[0]).status == 200
        assert user.cancel(uploads[1]).status == 204
        if user.issuer == TWIN:
            assert post(uploads[1], DATA).status in (200, 201, 204)
        return uploads

    with ThreadPoolExecutor(8) as pool:
        uploads = list(pool.map(use_up, users))
    for user, other in zip(users[::2], uploads[1::2]):
        check_problem(lab.get(f"/v1/uploads/{other[0]['id']}", token=user.token), 404, "not_found")
    for user in users:
        user.age(900 + MARGIN_S)
    for user in users:
        wait_until(lambda user=user: user.quota()[1] == 0, 60)
        one_or_two = 1 if user.issuer == tokens.ISSUER else 2
        assert user.quota("files") == (one_or_two, 0)
        assert user.quota()[0] == one_or_two * 1000 == shelf.bytes_of(user)
