"""Roles by STS, against Ceph's own: presignd signs AssumeRole, the gateway checks the signature, and
takes the packet that the session's credentials sign.

A session lasts at least 15 minutes, so a relay in front of the gateway says that it ends sooner than
it does: then a refresh is a matter of seconds. What AWS answers and the gateway does not is a fake's.
"""
import json

import pytest
from service import base_config, run_command, wait_until
from sts import Sts, refusal
from store import post

DATA = b"by a role"
ASK = {"content_type": "text/plain", "content_length": len(DATA)}
ROLE = "arn:aws:iam::123456789012:role/uploader"


@pytest.fixture
def fake():
    with Sts() as one:
        yield one


@pytest.fixture
def relay(rgw):
    with Sts(upstream=rgw.sts_endpoint) as one:
        yield one


def assuming(endpoint, role=ROLE, provider="env", region="us-east-1", **members):
    return {"credentials": {"provider": provider, "min_ttl_s": 1, "region": region,
                            "sts_endpoint": endpoint, "assume_role": {"role_arn": role, **members}}}


def in_store(rgw, **more):
    return base_config(buckets={"main": rgw.bucket_config()}, **more)


def signed_by(packet):
    assert packet.status == 201, packet
    return packet.json["fields"]["x-amz-credential"].split("/")[0]


def uploaded(service):
    """A packet that the store took: the access key that signed it."""
    packet = service.ask(ASK)
    key = signed_by(packet)
    answer = post(packet.json, DATA)
    assert answer.status in (200, 201, 204), answer
    return key


def nothing_leaked(service, *secrets):
    text = "\n".join(json.dumps(line) for line in service.logs())
    for secret in secrets:
        assert secret not in text


# ---- the real one --------------------------------------------------------------------------------

def test_a_role_signs(presignd, rgw):
    s = presignd(in_store(rgw, **assuming(rgw.sts_endpoint, rgw.role_arn)),
                 credentials=rgw.credentials)
    assert uploaded(s) != rgw.credentials["AWS_ACCESS_KEY_ID"]
    assert "assume_role" in s.wait_log("credentials_available")["message"]
    nothing_leaked(s, rgw.credentials["AWS_SECRET_ACCESS_KEY"])


def test_packets_end_with_the_session(presignd, rgw):
    s = presignd(in_store(rgw, **assuming(rgw.sts_endpoint, rgw.role_arn, duration_s=900)),
                 credentials=rgw.credentials)
    life = s.ask(ASK | {"expires_in": 3600}).json
    assert life["expires_limited_by"] == "credentials"
    assert 900 - 60 - 20 < life["expires_in"] <= 900 - 60


@pytest.mark.parametrize("allowed", ["alice/*", "bob/*"])
@pytest.mark.parametrize("as_text", [False, True])
def test_a_session_policy_narrows(presignd, rgw, allowed, as_text):
    policy = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:PutObject",
         "Resource": f"arn:aws:s3:::{rgw.bucket}/{allowed}"}]}
    s = presignd(in_store(rgw, **assuming(
        rgw.sts_endpoint, rgw.role_arn, policy=json.dumps(policy, indent=2) if as_text else policy)),
        credentials=rgw.credentials)
    packet = s.ask(ASK).json
    assert packet["key"].startswith("alice/")
    answer = post(packet, DATA)
    if allowed == "alice/*":
        assert answer.status in (200, 201, 204), answer
    else:
        assert answer.verdict == (403, "AccessDenied")


def test_refreshed(presignd, rgw, relay):
    relay.set(life_s=62)  # a packet ends 60 s before its credentials
    s = presignd(in_store(rgw, **assuming(relay.url, rgw.role_arn)), credentials=rgw.credentials)
    first = signed_by(s.ask(ASK))
    relay.set(life_s=None)
    wait_until(lambda: signed_by(s.ask(ASK)) != first)
    assert uploaded(s) != first
    assert relay.counts["call"] == 2
    assert s.logs("credentials_refresh_failing") == []


def test_outage_then_recovery(presignd, rgw, relay):
    relay.set({"call": {"status": 503, "body": "busy"}})
    s = presignd(in_store(rgw, **assuming(relay.url, rgw.role_arn)), credentials=rgw.credentials)
    assert "answered 503" in s.wait_log("credentials_unavailable")["message"]
    assert s.ask(ASK).code == "credentials_unavailable"
    relay.set({"call": None})
    s.wait_log("credentials_recovered")
    uploaded(s)


def test_refused_by_the_real_one(presignd, rgw):
    s = presignd(in_store(rgw, **assuming(rgw.sts_endpoint, "arn:aws:iam:::role/nobody")),
                 credentials=rgw.credentials)
    line = s.wait_log("credentials_unavailable")["message"]
    assert "STS at 127.0.0.1" in line and " answered 4" in line


def test_wrong_secret(presignd, rgw):
    s = presignd(in_store(rgw, **assuming(rgw.sts_endpoint, rgw.role_arn)),
                 credentials=rgw.credentials | {"AWS_SECRET_ACCESS_KEY": "wrong"})
    line = s.wait_log("credentials_unavailable")["message"]
    assert "SignatureDoesNotMatch" in line or "AccessDenied" in line


# ---- AWS's answers -------------------------------------------------------------------------------

def test_what_is_sent(presignd, fake):
    s = presignd(base_config(**assuming(
        fake.url, session_name="edge-1", duration_s=1800, external_id="a:b/c",
        policy={"Version": "2012-10-17", "Statement": []})))
    assert s.ask(ASK).status == 201
    assert fake.forms == [{
        "Action": "AssumeRole", "Version": "2011-06-15", "RoleArn": ROLE,
        "RoleSessionName": "edge-1", "DurationSeconds": "1800", "ExternalId": "a:b/c",
        "Policy": '{"Version":"2012-10-17","Statement":[]}'}]
    call = fake.seen[0]
    assert (call["method"], call["path"]) == ("POST", "/")
    authorization = call["headers"]["authorization"]
    assert "/us-east-1/sts/aws4_request, SignedHeaders=content-type;host;x-amz-date" in authorization
    nothing_leaked(s, "secret+", "session-token-")


FAULTS = {
    # name: (fault, what the log says)
    "no trust": ({"status": 403, "body": refusal("AccessDenied", "not authorized to perform")},
                 "answered 403 AccessDenied: not authorized to perform (request id 11111111"),
    "throttled": ({"status": 400, "body": refusal("Throttling", "Rate exceeded")}, "Throttling"),
    "a page": ({"status": 502, "body": "<html>bad gateway</html>"}, "answered 502"),
    "no XML": ({"body": "ok"}, "no XML"),
    "a document type": ({"body": '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'},
                        "document type declaration"),
    "a stranger's XML": ({"body": "<a><b/></a>"}, "no AccessKeyId"),
    "redirect": ({"status": 307, "headers": {"Location": "/elsewhere"}, "body": ""},
                 "answered 307"),
    "too large": ({"body": "<a>" + "x" * 70000 + "</a>"}, "larger than allowed"),
    "closed": ({"drop": True}, "cannot be reached"),
    "silent": ({"hang": True}, "did not answer"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_at_start(presignd, fake, name):
    fault, says = FAULTS[name]
    fake.set({"call": fault})
    s = presignd(base_config(**assuming(fake.url)))
    assert says in s.wait_log("credentials_unavailable")["message"]
    assert s.ask(ASK).code == "credentials_unavailable"
    fake.set({"call": None})
    s.wait_log("credentials_recovered")
    assert s.ask(ASK).status == 201
    assert len(s.logs("credentials_unavailable")) == 1
    nothing_leaked(s, "secret+", "session-token-")


def test_expired_at_arrival(presignd, fake):
    fake.set(life_s=-10)
    s = presignd(base_config(**assuming(fake.url)))
    assert "expired at arrival" in s.wait_log("credentials_unavailable")["message"]
    assert s.ask(ASK).status == 503


def test_clock_skew_is_told(presignd, fake):
    fake.set(clock_ahead_s=600)
    s = presignd(base_config(**assuming(fake.url)))
    assert "ahead of ours" in s.wait_log("credentials_clock_skew")["message"]


def test_a_session_assumes(presignd, fake):
    """Credentials with a session token send it, and sign it."""
    s = presignd(base_config(**assuming(fake.url)), env={"AWS_SESSION_TOKEN": "the-token=="})
    assert s.ask(ASK).status == 201
    headers = fake.seen[0]["headers"]
    assert headers["x-amz-security-token"] == "the-token=="
    assert "host;x-amz-date;x-amz-security-token" in headers["authorization"]
    nothing_leaked(s, "the-token")


# ---- refused before anything is asked ------------------------------------------------------------

REFUSED = {
    # name: (members of credentials, what stands beside the fault)
    "no region": ({"region": ""}, "credentials.region"),
    "a region in capitals": ({"region": "EU-west-1"}, "credentials.region"),
    "http to anywhere": ({"sts_endpoint": "http://203.0.113.9"}, "credentials.sts_endpoint"),
    "an endpoint with a path": ({"sts_endpoint": "https://sts.test/x"}, "credentials.sts_endpoint"),
    "an endpoint that is a name": ({"sts_endpoint": "sts.test"}, "credentials.sts_endpoint"),
    "a user's ARN": ({"assume_role": {"role_arn": "arn:aws:iam::1:user/x"}}, "assume_role.role_arn"),
    "no role": ({"assume_role": {"session_name": "me"}}, "assume_role.role_arn"),
    "a session's name": ({"assume_role": {"session_name": "a b"}}, "assume_role.session_name"),
    "a short session": ({"assume_role": {"duration_s": 899}}, "assume_role.duration_s"),
    "a long session": ({"assume_role": {"duration_s": 43201}}, "assume_role.duration_s"),
    "a policy that is a list": ({"assume_role": {"policy": []}}, "assume_role.policy"),
    "a policy that is no JSON": ({"assume_role": {"policy": "{"}}, "assume_role.policy"),
    "a policy without a statement": ({"assume_role": {"policy": {}}}, "assume_role.policy"),
    "a long policy": ({"assume_role": {"policy": {"Statement": "y" * 2048}}}, "assume_role.policy"),
    "an external id": ({"assume_role": {"external_id": "a b"}}, "assume_role.external_id"),
    "unknown": ({"assume_role": {"profile": "x"}}, "assume_role.profile"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_check(tmp_path, name):
    members, says = REFUSED[name]
    credentials = {"provider": "env", "region": "eu-west-1",
                   "assume_role": {"role_arn": ROLE}} | members
    if members.get("assume_role") and name != "no role":
        credentials["assume_role"] = {"role_arn": ROLE} | members["assume_role"]
    (tmp_path / "secret").write_bytes(b"x" * 64)
    path = tmp_path / "presignd.json"
    text = json.dumps(base_config(credentials=credentials)).replace("{dir}", str(tmp_path))
    path.write_text(text)
    status, _, err = run_command("check", "--config", path)
    assert status == 1 and says in err, err
