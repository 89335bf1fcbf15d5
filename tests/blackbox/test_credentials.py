"""Where credentials come from, against fakes whose faults switch while the program runs.

A packet ends 60 s before the credentials that sign it. So credentials of 62 s are good for about
two seconds of packets, and the next request forces a refresh.
"""
import base64
import concurrent.futures
import hashlib
import hmac
import json
import os
import re
import resource
import socket
import subprocess
import threading
import time
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from container import Container
from imds import Imds
from service import BIN, base_config, clean_environment, read_raw, wait_until

ASK = {"content_type": "image/png", "content_length": 1000}
SPARE_S = 60  # a packet ends so long before its credentials
TOKEN_FAULT_LIMIT_S = 2


@pytest.fixture
def imds():
    with Imds() as fake:
        yield fake


@pytest.fixture
def container():
    with Container() as fake:
        yield fake


def imds_env(fake, **more):
    return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": fake.url, **more}


def config(provider="imds", **more):
    return base_config(credentials={"provider": provider, "min_ttl_s": 1}, **more)


def start(presignd, env, provider="imds"):
    return presignd(config(provider), env=env, credentials=None)


def generation(name, pattern):
    match = re.fullmatch(pattern, name)
    assert match, name
    return int(match.group(1))


def signing_secret(n):
    return f"secret+{n:032d}"


def sign(secret, day, region, text):
    key = ("AWS4" + secret).encode()
    for part in (day, region, "s3", "aws4_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


def check_post(packet):
    """The generation that signed it, from three places that must agree."""
    fields = packet["fields"]
    akid, day, region, _, _ = fields["x-amz-credential"].split("/")
    n = generation(akid, r"ASIA(\d{12})")
    assert generation(fields["x-amz-security-token"], r"session-token-(\d{6})-x+") == n
    assert fields["x-amz-signature"] == sign(signing_secret(n), day, region, fields["policy"])
    conditions = json.loads(base64.b64decode(fields["policy"]))["conditions"]
    texts = {k: v for c in conditions if isinstance(c, dict) for k, v in c.items()}
    texts |= {c[1].lstrip("$"): c[2] for c in conditions if isinstance(c, list) and c[0] == "eq"}
    assert texts["x-amz-credential"] == fields["x-amz-credential"]
    assert texts["x-amz-security-token"] == fields["x-amz-security-token"]
    return n


def check_put(packet):
    query = parse_qs(urlsplit(packet["url"]).query)
    n = generation(query["X-Amz-Credential"][0].split("/")[0], r"ASIA(\d{12})")
    assert generation(query["X-Amz-Security-Token"][0], r"session-token-(\d{6})-x+") == n
    return n


def granted(service):
    answer = service.ask(ASK)
    assert answer.status == 201, answer
    return check_post(answer.json)


def refused(service, code="credentials_unavailable"):
    answer = service.ask(ASK)
    assert (answer.status, answer.code) == (503, code), answer
    assert int(answer.headers["Retry-After"]) >= 1
    return answer


def credential_check(service):
    answer = service.get("/readyz?verbose")
    check = next(c for c in answer.json["checks"] if c["name"] == "credentials")
    assert ("credentials" in answer.json["failing"]) == (not check["ok"])
    return check


def nothing_leaked(service):
    text = "\n".join(json.dumps(e) for e in service.logs())
    for secret in ("secret+", "session-token-", "AQAEA-fake", "pod-token"):
        assert secret not in text


def seconds(text):
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").timestamp()


# ---- IMDS ----------------------------------------------------------------------------------------

def test_conversation(presignd, imds):
    s = start(presignd, imds_env(imds))
    assert granted(s) == 1
    assert imds.counts == {"token": 1, "role": 1, "document": 1, "other": 0}
    token, role, document = imds.seen
    assert token["method"] == "PUT"
    assert token["headers"]["x-aws-ec2-metadata-token-ttl-seconds"] == "21600"
    assert document["path"].endswith("/upload-role")
    for call in imds.seen:
        assert "x-forwarded-for" not in call["headers"]
    assert credential_check(s)["ok"]
    s.wait_log("credentials_available")
    assert len(s.logs("credentials_available")) == 1
    nothing_leaked(s)


FAULTS = {
    # name: (stage, fault, what the log says)
    "403": ("token", {"status": 403}, "switched off or forbids"),
    "404 token": ("token", {"status": 404}, "answered 404"),
    "404 no role": ("role", {"status": 404}, "no role is attached"),
    "404 document": ("document", {"status": 404}, "no role is attached"),
    "503 token": ("token", {"status": 503}, "overloaded"),
    "503 role": ("role", {"status": 503}, "overloaded"),
    "503 document": ("document", {"status": 503}, "overloaded"),
    "401 for ever": ("role", {"status": 401}, "refuses the session token"),
    "timeout of the token": ("token", {"hang": True}, "hop limit"),
    "timeout of the role": ("role", {"hang": True}, "did not answer"),
    "timeout of the document": ("document", {"hang": True}, "did not answer"),
    "closed": ("token", {"drop": True}, "cannot be reached"),
    "redirect": ("role", {"status": 302, "headers": {"Location": "/latest/api/token"}},
                 "answered 302"),
    "wrong JSON": ("document", {"body": "<html>busy</html>"}, "no JSON"),
    "cut JSON": ("document", {"body": '{"Code":"Success","AccessKeyId":"AS'}, "no JSON"),
    "Code": ("document", {"body": '{"Code":"AssumeRoleUnauthorizedAccess","Message":"no trust"}'},
             "no trust"),
    "no secret": ("document", {"body": json.dumps({
        "Code": "Success", "AccessKeyId": "ASIA", "SecretAccessKey": "", "Token": "t",
        "Expiration": "2099-01-01T00:00:00Z"})}, "no SecretAccessKey"),
    "too large": ("document", {"body": "x" * 70000}, "larger than allowed"),
    "a role that climbs": ("role", {"body": "../../user-data"}, "no role name"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_at_start(presignd, imds, name):
    stage, fault, says = FAULTS[name]
    imds.set({stage: fault})
    s = start(presignd, imds_env(imds))
    line = s.wait_log("credentials_unavailable")
    assert says in line["message"]
    refused(s)
    check = credential_check(s)
    assert not check["ok"]
    assert s.get("/livez").status == 200

    imds.set({stage: None})
    s.wait_log("credentials_recovered")
    granted(s)
    assert credential_check(s)["ok"]
    assert len(s.logs("credentials_unavailable")) == 1  # told once, however often it failed
    nothing_leaked(s)


def test_expired_at_arrival(presignd, imds):
    imds.set(life_s=-10)
    s = start(presignd, imds_env(imds))
    assert "expired at arrival" in s.wait_log("credentials_unavailable")["message"]
    refused(s)
    imds.set(life_s=3600, fresh=True)
    s.wait_log("credentials_recovered")
    granted(s)


@pytest.mark.parametrize("stage", ["token", "role", "document"])
def test_slow_is_no_fault(presignd, imds, stage):
    imds.set({stage: {"delay_s": 0.4}})
    s = start(presignd, imds_env(imds))
    assert granted(s) == 1  # the request waited
    assert s.logs("credentials_unavailable") == []


def test_401_once(presignd, imds):
    imds.set({"role": {"status": 401, "times": 1}})
    s = start(presignd, imds_env(imds))
    assert granted(s) == 1
    assert (imds.counts["token"], imds.counts["role"]) == (2, 2)
    assert s.logs("credentials_unavailable") == []


def test_session_token_that_ended(presignd, imds):
    imds.set(life_s=62, fresh=True)
    s = start(presignd, imds_env(imds))
    assert granted(s) == 1
    imds.set(revoke=True)
    wait_until(lambda: granted(s) > 1)
    assert imds.counts["token"] == 2
    assert s.logs("credentials_refresh_failing") == []


def test_back_off_is_patient(presignd, imds):
    imds.set({"token": {"status": 503}})
    s = start(presignd, imds_env(imds))
    s.wait_log("credentials_unavailable")
    end = time.monotonic() + 3
    while time.monotonic() < end:
        refused(s)  # at once, and without a call of its own
    assert imds.counts["token"] <= 12


def test_a_thousand_requests_are_one_fetch(presignd, imds):
    imds.set({"document": {"delay_s": 1.2}})
    s = start(presignd, imds_env(imds))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    body = json.dumps(ASK)
    request = (f"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {s.token()}\r\n"
               f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
               f"Connection: close\r\n\r\n{body}").encode()
    sockets = []
    try:
        for _ in range(1000):
            sockets.append(socket.create_connection(("127.0.0.1", s.port), timeout=30))
            sockets[-1].sendall(request)
        for each in sockets:
            data = b""
            while more := each.recv(65536):
                data += more
            status, _, rest = read_raw(data)
            assert status == 201, data[:500]
            assert check_post(json.loads(rest)) == 1
    finally:
        for each in sockets:
            each.close()
    assert imds.counts == {"token": 1, "role": 1, "document": 1, "other": 0}


def test_rotation_under_load(presignd, imds):
    """Every second or so another generation; no packet holds two."""
    imds.set(life_s=62, fresh=True)
    s = start(presignd, imds_env(imds))
    token = s.token()
    end = time.monotonic() + 10

    def client(method):
        seen, statuses = set(), set()
        check = check_put if method == "PUT" else check_post
        connection = s.connection()
        while time.monotonic() < end:
            answer = s.ask({**ASK, "method": method}, token=token, connection=connection)
            statuses.add((answer.status, answer.code))
            if answer.status == 201:
                seen.add(check(answer.json))
        connection.close()
        return seen, statuses

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        results = list(pool.map(client, ["POST", "PUT", "POST", "PUT", "POST", "PUT"]))
    generations = set().union(*(seen for seen, _ in results))
    statuses = set().union(*(st for _, st in results))
    assert len(generations) >= 4
    assert statuses == {(201, None)}
    assert s.logs("credentials_refresh_failing") == []


def test_the_same_answer_again(presignd, imds):
    imds.set(life_s=64)
    s = start(presignd, imds_env(imds))
    assert granted(s) == 1
    wait_until(lambda: s.ask(ASK).code == "credentials_expiring")
    before, end = imds.counts["document"], time.monotonic() + 3
    while time.monotonic() < end:
        refused(s, "credentials_expiring")
    assert imds.counts["document"] - before <= 4  # forced, but at most once a second
    assert s.logs("credentials_refresh_failing") == []
    imds.set(life_s=3600)
    imds.set(rotate=True)
    assert wait_until(lambda: s.ask(ASK).status == 201)
    assert granted(s) == 2


def test_outage_within_the_life(presignd, imds):
    """What is held serves on, and never beyond its end."""
    imds.set(life_s=66)
    s = start(presignd, imds_env(imds))
    granted(s)
    ends_at = imds.generations.ends_at
    imds.set({stage: {"status": 503} for stage in ("token", "role", "document")})
    while (answer := s.ask(ASK)).status == 201:
        assert seconds(answer.json["expires_at"]) <= ends_at - SPARE_S
        assert answer.json["expires_limited_by"] == "credentials"
        check_post(answer.json)
    assert time.time() >= ends_at - SPARE_S - 3
    refused(s, "credentials_expiring")
    s.wait_log("credentials_refresh_failing")
    assert len(s.logs("credentials_refresh_failing")) == 1
    imds.set(life_s=3600, **{stage: None for stage in ("token", "role", "document")})
    imds.set(rotate=True)
    s.wait_log("credentials_recovered")
    assert granted(s) == 2


def test_outage_past_the_end(presignd, imds):
    imds.set(life_s=5)
    s = start(presignd, imds_env(imds))
    s.wait_log("credentials_available")
    refused(s, "credentials_expiring")
    ends_at = imds.generations.ends_at
    imds.set({stage: {"hang": True} for stage in ("token", "role", "document")})
    s.wait_log("credentials_expired")
    assert int(ends_at) <= time.time() < ends_at + 5
    refused(s)
    assert credential_check(s)["reason"] == "no credentials"
    assert s.get("/livez").status == 200
    imds.set(life_s=3600, **{stage: None for stage in ("token", "role", "document")})
    s.wait_log("credentials_recovered", 40)
    granted(s)
    assert credential_check(s)["ok"]
    assert len(s.logs("credentials_expired")) == 1
    nothing_leaked(s)


def test_advisory_refresh_without_requests(presignd, imds):
    imds.set(life_s=4, fresh=True)
    start(presignd, imds_env(imds))
    imds.wait_for(lambda fake: fake.counts["document"] >= 3)
    assert imds.counts["token"] == 1


def test_clock_skew_is_told_once(presignd, imds):
    imds.set(clock_ahead_s=-300, life_s=4, fresh=True)
    s = start(presignd, imds_env(imds))
    assert "behind ours" in s.wait_log("credentials_clock_skew")["message"]
    imds.wait_for(lambda fake: fake.counts["document"] >= 3)
    assert len(s.logs("credentials_clock_skew")) == 1


def test_no_proxy(presignd, imds):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        s = start(presignd, imds_env(imds, http_proxy=proxy, HTTP_PROXY=proxy, ALL_PROXY=proxy,
                                     all_proxy=proxy))
        assert granted(s) == 1


def test_hanging_imds_holds_nobody_up(presignd, imds):
    """Requests that need no credentials do not feel it, and those that do are let go in time."""
    imds.set({"token": {"hang": True}})
    s = start(presignd, imds_env(imds))
    times = []
    done = threading.Event()

    def ask_livez():
        connection = s.connection()
        while not done.is_set():
            begin = time.monotonic()
            assert s.get("/livez", connection=connection).status == 200
            times.append(time.monotonic() - begin)
        connection.close()

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        looking = pool.submit(ask_livez)
        begin = time.monotonic()
        refused(s)
        waited = time.monotonic() - begin
        done.set()
        looking.result()
    assert waited < TOKEN_FAULT_LIMIT_S + 3
    assert sorted(times)[len(times) * 99 // 100] < 0.5


def test_reload_keeps_serving(presignd, imds):
    s = start(presignd, imds_env(imds))
    assert granted(s) == 1
    imds.set({"token": {"status": 503}})
    s.reload()
    assert granted(s) == 1  # what is held stays until the other source delivers
    s.wait_log("credentials_refresh_failing")
    imds.set({"token": None, "life_s": 1800})
    imds.set(rotate=True)
    wait_until(lambda: granted(s) == 2)


# ---- containers ----------------------------------------------------------------------------------

def container_env(fake, **more):
    return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": fake.url + "/v1/credentials", **more}


def test_container(presignd, container):
    s = start(presignd, container_env(container), "container")
    assert granted(s) == 1
    assert container.seen[0]["path"] == "/v1/credentials"
    assert "authorization" not in container.seen[0]["headers"]


def test_container_beats_imds_in_auto(presignd, container, imds):
    s = start(presignd, container_env(container) | imds_env(imds), "auto")
    assert granted(s) == 1
    assert sum(imds.counts.values()) == 0
    container.set({"document": {"status": 500}}, rotate=True)
    s.reload()
    s.wait_log("credentials_refresh_failing")
    assert sum(imds.counts.values()) == 0  # a source that fails is not passed over


def test_container_token(presignd, container):
    container.set(authorization="Bearer pod-token")
    s = start(presignd, container_env(
        container, AWS_CONTAINER_AUTHORIZATION_TOKEN="Bearer pod-token"), "container")
    assert granted(s) == 1
    nothing_leaked(s)


def test_container_token_file_is_read_anew(presignd, container, tmp_path):
    path = tmp_path / "token"
    path.write_text("pod-token-1\n")
    container.set(authorization="pod-token-1", life_s=4, fresh=True)
    s = start(presignd, container_env(
        container, AWS_CONTAINER_AUTHORIZATION_TOKEN="loses",
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(path)), "container")
    s.wait_log("credentials_available")
    path.write_text("pod-token-2")
    container.set(authorization="pod-token-2", life_s=3600)
    wait_until(lambda: s.ask(ASK).status == 201)
    assert s.logs("credentials_unavailable") == []
    nothing_leaked(s)


def test_container_token_file_with_a_second_line(presignd, container, tmp_path):
    path = tmp_path / "token"
    path.write_text("pod-token\r\nX-Injected: yes\r\n")
    s = start(presignd, container_env(
        container, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(path)), "container")
    assert "line break" in s.wait_log("credentials_unavailable")["message"]
    assert container.counts["document"] == 0
    refused(s)
    path.write_text("pod-token")
    s.wait_log("credentials_recovered")
    granted(s)


def test_container_refuses_the_token(presignd, container):
    container.set(authorization="another")
    s = start(presignd, container_env(container), "container")
    assert "not accepted" in s.wait_log("credentials_unavailable")["message"]
    container.set(authorization=None)
    s.wait_log("credentials_recovered")
    granted(s)


# ---- the environment -----------------------------------------------------------------------------

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret+example"}


def at(seconds_from_now):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds_from_now))


@pytest.mark.parametrize("provider", ["env", "auto"])
def test_env(presignd, provider):
    s = start(presignd, KEYS, provider)
    answer = s.ask(ASK)
    assert answer.status == 201
    assert answer.json["fields"]["x-amz-credential"].startswith("AKIDEXAMPLE/")
    assert "x-amz-security-token" not in answer.json["fields"]
    nothing_leaked(s)


def test_env_with_an_end(presignd):
    end = at(300)
    s = start(presignd, {**KEYS, "AWS_SESSION_TOKEN": "t", "AWS_CREDENTIAL_EXPIRATION": end}, "env")
    answer = s.ask(ASK)
    assert answer.json["fields"]["x-amz-security-token"] == "t"
    assert seconds(answer.json["expires_at"]) == seconds(end) - SPARE_S
    assert answer.json["expires_limited_by"] == "credentials"


def test_env_that_ended(presignd):
    s = start(presignd, {**KEYS, "AWS_CREDENTIAL_EXPIRATION": at(-1)}, "env")
    assert "AWS_CREDENTIAL_EXPIRATION" in s.wait_log("credentials_unavailable")["message"]
    refused(s)


def test_session_token_without_an_end_warns(presignd):
    s = start(presignd, {**KEYS, "AWS_SESSION_TOKEN": "t"}, "env")
    s.wait_log("credentials_end_unknown")
    assert s.ask(ASK).status == 201


def test_nothing_configured(presignd):
    s = start(presignd, {"AWS_EC2_METADATA_DISABLED": "true"}, "auto")
    assert "no credentials are configured" in s.wait_log("credentials_unavailable")["message"]
    refused(s)


# ---- refused at start ----------------------------------------------------------------------------

REFUSED = {
    # name: (provider, environment, what stands on stderr)
    "half an env": ("env", {"AWS_ACCESS_KEY_ID": "AKID"}, "AWS_SECRET_ACCESS_KEY"),
    "half an env in auto": ("auto", {"AWS_SECRET_ACCESS_KEY": "s"}, "AWS_ACCESS_KEY_ID"),
    "bad expiration": ("env", {**KEYS, "AWS_CREDENTIAL_EXPIRATION": "soon"},
                       "AWS_CREDENTIAL_EXPIRATION"),
    "FULL_URI to anywhere": ("auto", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://203.0.113.9/"},
                             "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
    "FULL_URI to IMDS": ("container", {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.169.254/latest/"}, "not allowed"),
    "FULL_URI to a file": ("container", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "file:///etc/passwd"},
                           "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
    "FULL_URI with a user": ("container", {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1@203.0.113.9/"}, "user name"),
    "relative URI without a slash": ("container", {
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "@203.0.113.9/"}, "RELATIVE_URI"),
    "token with a line break": ("container", {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "a\r\nX: y"}, "AUTHORIZATION_TOKEN"),
    "endpoint mode": ("imds", {"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv5"}, "IPv6"),
    "endpoint without a scheme": ("imds", {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "127.0.0.1"},
                                  "AWS_EC2_METADATA_SERVICE_ENDPOINT"),
    "half a web identity": ("auto", {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token"}, "AWS_ROLE_ARN"),
    "web identity nowhere": ("web_identity", {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token",
                                              "AWS_ROLE_ARN": "arn"}, "credentials.region"),
    "a file nowhere": ("file", {}, "AWS_SHARED_CREDENTIALS_FILE"),
    "a profile in two lines": ("file", {"HOME": "/", "AWS_PROFILE": "a\nb"}, "AWS_PROFILE"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_at_start(tmp_path, name):
    provider, env, says = REFUSED[name]
    (tmp_path / "secret").write_bytes(b"x" * 64)
    path = tmp_path / "presignd.json"
    path.write_text(json.dumps(config(provider)).replace("{dir}", str(tmp_path)))
    done = subprocess.run([BIN, "serve", "--config", path], env=clean_environment(env, None),
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False)
    assert done.returncode == os.EX_CONFIG, done
    assert says in done.stderr.decode()
