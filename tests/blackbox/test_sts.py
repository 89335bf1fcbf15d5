"""Roles by STS, against Ceph's own: presignd signs AssumeRole, the gateway checks the signature, and
takes the packet that the session's credentials sign.

A session lasts at least 15 minutes, so a relay in front of the gateway says that it ends sooner than
it does: then a refresh is a matter of seconds. What AWS answers and the gateway does not is a fake's.
"""
import base64
import datetime
import hashlib
import json
import time

import boto3
import fake as fake_base
import pytest
import tokens
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from service import base_config, merge, run_command, wait_until
from sts import Sts, refusal
from store import post, put

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


PUT = ASK | {"method": "PUT"}  # Ceph 16 drops the file of a form in a session with a policy, with 204


@pytest.mark.parametrize("allowed", ["alice/*", "bob/*"])
@pytest.mark.parametrize("as_text", [False, True])
def test_a_session_policy_narrows(presignd, rgw, allowed, as_text):
    policy = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["s3:PutObject", "s3:GetObject"],
         "Resource": f"arn:aws:s3:::{rgw.bucket}/{allowed}"}]}
    s = presignd(in_store(rgw, **assuming(
        rgw.sts_endpoint, rgw.role_arn, policy=json.dumps(policy, indent=2) if as_text else policy)),
        credentials=rgw.credentials)
    packet = s.ask(PUT).json
    assert packet["key"].startswith("alice/")
    answer = put(packet, DATA)
    if allowed == "alice/*":
        assert answer.status == 200, answer
        assert s.ask({}, f"/v1/uploads/{packet['id']}/complete").status == 200
    else:
        assert answer.verdict == (403, "AccessDenied")


def test_a_policy_of_the_profiles(presignd, rgw):
    """The session may what packets need; another folder, after a reload, is another session's."""
    config = in_store(rgw, **assuming(rgw.sts_endpoint, rgw.role_arn, policy="prefix"))
    config["profiles"]["default"]["key"] = "up/{user}/{uuid}"
    s = presignd(config, credentials=rgw.credentials)
    packet = s.ask(PUT).json
    complete = f"/v1/uploads/{packet['id']}/complete"
    assert s.ask({}, complete).status == 409  # a missing object is not a forbidden one
    assert put(packet, DATA).status == 200
    assert s.ask({}, complete).status == 200
    config["profiles"]["default"]["key"] = "elsewhere/{user}/{uuid}"
    s.reload(config)
    wait_until(lambda: put(s.ask(PUT).json, DATA).status == 200)


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


# ---- the real one, by web identity -----------------------------------------------------------------

def certificate(key):
    """Self-signed, DER; what the gateway knows an issuer's key by."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    return (x509.CertificateBuilder().subject_name(name).issuer_name(name)
            .public_key(key.public_key()).serial_number(1).not_valid_before(now - day)
            .not_valid_after(now + day).sign(key, hashes.SHA256())
            .public_bytes(serialization.Encoding.DER))


class Issuer(fake_base.Fake):
    """An OpenID provider as the gateway asks one: discovery, and keys with their certificates."""

    stages = ("discovery", "keys")

    def __init__(self):
        self.key = tokens.make_key("RS256")
        self.der = certificate(self.key)
        super().__init__()

    def stage_of(self, handler):
        return "keys" if handler.path == "/keys" else "discovery"

    def reply(self, handler, stage, body, headers):
        keys = {"keys": [tokens.jwk(self.key, "one") |
                         {"x5c": [base64.b64encode(self.der).decode()]}]}
        discovery = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        handler.answer(200, json.dumps(keys if stage == "keys" else discovery), headers)

    def token(self, **claims):
        now = int(time.time())
        claims = {"iss": self.url, "sub": "pod", "aud": "presignd", "iat": now,
                  "exp": now + 600} | claims
        return tokens.sign(claims, "RS256", self.key, kid="one")


@pytest.fixture
def issuer(rgw):
    with Issuer() as one:
        iam = boto3.client("iam", endpoint_url=rgw.endpoint, region_name=rgw.region,
                           aws_access_key_id=rgw.credentials["AWS_ACCESS_KEY_ID"],
                           aws_secret_access_key=rgw.credentials["AWS_SECRET_ACCESS_KEY"])
        iam.create_open_id_connect_provider(
            Url=one.url, ClientIDList=["presignd"],
            ThumbprintList=[hashlib.sha1(one.der).hexdigest().upper()])
        place = one.url.removeprefix("http://")
        trust = {"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Action": ["sts:AssumeRoleWithWebIdentity"],
            "Principal": {"Federated": [f"arn:aws:iam:::oidc-provider/{place}"]},
            "Condition": {"StringEquals": {f"{place}:app_id": "presignd"}}}]}
        one.role = f"pod-{one.port}"
        iam.create_role(RoleName=one.role, AssumeRolePolicyDocument=json.dumps(
            trust, separators=(",", ":")))
        allow = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["s3:*"], "Resource": "arn:aws:s3:::*"}]}
        iam.put_role_policy(RoleName=one.role, PolicyName="uploads",
                            PolicyDocument=json.dumps(allow, separators=(",", ":")))
        yield one


def identity_env(folder, issuer, token):
    (folder / "token").write_text(token)
    return {"AWS_ROLE_ARN": f"arn:aws:iam:::role/{issuer.role}",
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(folder / "token")}


def test_an_identity_signs(presignd, rgw, issuer, tmp_path):
    s = presignd(in_store(rgw, credentials={"provider": "web_identity",
                                            "sts_endpoint": rgw.sts_endpoint}),
                 env=identity_env(tmp_path, issuer, issuer.token()), credentials=None)
    assert uploaded(s)
    assert issuer.counts["keys"] > 0
    assert "web_identity" in s.wait_log("credentials_available")["message"]


def test_an_identity_is_refused(presignd, rgw, issuer, tmp_path):
    other = tokens.sign({"iss": issuer.url, "sub": "pod", "aud": "presignd",
                         "exp": int(time.time()) + 600}, "RS256", tokens.make_key("RS256"),
                        kid="one")
    s = presignd(in_store(rgw, credentials={"provider": "web_identity",
                                            "sts_endpoint": rgw.sts_endpoint}),
                 env=identity_env(tmp_path, issuer, other), credentials=None)
    assert " answered 4" in s.wait_log("credentials_unavailable")["message"]
    assert s.ask(ASK).code == "credentials_unavailable"


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


def allow(actions, resources, **more):
    return {"Effect": "Allow", "Action": actions, "Resource": resources} | more


def looks(prefixes, *buckets):
    return allow("s3:ListBucket", [f"arn:aws:s3:::{b}" for b in buckets],
                 Condition={"StringLike": {"s3:prefix": prefixes}})


KMS = allow(["kms:GenerateDataKey", "kms:Decrypt"], "*")
UPLOADS_ONLY = allow(["kms:GenerateDataKey"], "*")
PNG = {"bucket": "main", "content_types": ["image/png"], "max_bytes": 9}
POLICIES = {
    # name: (what is laid on the configuration, the role, the statements)
    "one folder": (
        {"profiles": {"default": {"key": "up/{user}/{uuid}"}}}, ROLE,
        [allow(["s3:PutObject", "s3:GetObject"], ["arn:aws:s3:::test-bucket/up/*"]),
         looks(["up/*"], "test-bucket"), KMS]),
    "nothing is looked at": (
        {"profiles": {"default": {"key": "up-{uuid}"}}, "ledger": {"backend": "none"}},
        ROLE.replace("aws", "aws-cn"),
        [allow(["s3:PutObject"], ["arn:aws-cn:s3:::test-bucket/up-*"]), UPLOADS_ONLY]),
    "more is sent": (
        {"profiles": {"default": {"key": "ü/{uuid}", "fields": {"acl": "private"}},
                      "other": PNG | {"key": "v/{uuid}", "fields": {"tagging": {"a": "{user}"}}},
                      "same": PNG | {"key": "v/{user}/{uuid}"}}}, ROLE,
        [allow(["s3:PutObject", "s3:PutObjectAcl", "s3:PutObjectTagging", "s3:GetObject"],
               ["arn:aws:s3:::test-bucket/ü/*", "arn:aws:s3:::test-bucket/v/*"]),
         looks(["ü/*", "v/*"], "test-bucket"), KMS]),
    "two buckets": (
        {"buckets": {n: {"bucket": n, "region": "us-east-1"} for n in ("other", "third")},
         "profiles": {"default": {"key": "up/{uuid}"},
                      "other": PNG | {"bucket": "other", "key": "secret/{uuid}"},
                      "third": PNG | {"bucket": "third", "key": "up/{uuid}"}}}, ROLE,
        [allow(["s3:PutObject", "s3:GetObject"],
               [f"arn:aws:s3:::{x}/*" for x in ("test-bucket/up", "other/secret", "third/up")]),
         looks(["up/*"], "test-bucket", "third"), looks(["secret/*"], "other"), KMS]),
    "a store of one's own": (
        {"buckets": {"main": {"endpoint": "https://s3.test"}}, "ledger": {"backend": "none"},
         "profiles": {"default": {"key": "up/{uuid}"}}}, ROLE,
        [allow(["s3:PutObject"], ["arn:aws:s3:::test-bucket/up/*"])]),
}


@pytest.mark.parametrize("name", POLICIES)
def test_what_a_policy_of_the_profiles_says(presignd, fake, name):
    over, role, statements = POLICIES[name]
    s = presignd(merge(base_config(**assuming(fake.url, role, policy="prefix")), over))
    s.wait_log("credentials_available")
    sent = fake.forms[0]["Policy"]
    assert sent.isascii()
    assert json.loads(sent) == {"Version": "2012-10-17", "Statement": statements}


UNLIMITED = {
    # name: (profiles, what `check` says)
    "no fixed folder": ({"default": {"key": "{user}/{uuid}"}}, "profiles.default.key: begins with"),
    "one without": ({"default": {"key": "up/{uuid}"}, "b": PNG | {"key": "{uuid}"}},
                    "profiles.b.key: begins with a word"),
    "a wildcard": ({"default": {"key": "a*/{uuid}"}}, "profiles.default.key: has a *"),
    "a question": ({"default": {"key": "a?/{uuid}"}}, "profiles.default.key: has a *"),
    "too much": ({"default": {"key": "a/{uuid}"}} | {
        f"p{i}": PNG | {"key": f"folder-{i}/{{uuid}}"} for i in range(40)}, "2048 bytes"),
}


@pytest.mark.parametrize("name", UNLIMITED)
def test_no_policy_of_the_profiles(tmp_path, name):
    profiles, says = UNLIMITED[name]
    config = merge(base_config(**assuming("", policy="prefix")), {"profiles": profiles})
    (tmp_path / "presignd.json").write_text(json.dumps(config))
    status, _, err = run_command("check", "--config", tmp_path / "presignd.json")
    assert (status, says in err) == (1, True), err


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


# ---- web identity: AWS's answers -------------------------------------------------------------------

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl"


def irsa(folder, fake, **more):
    (folder / "token").write_text(TOKEN + "\n")
    return {"env": {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(folder / "token"),
                    "AWS_ROLE_SESSION_NAME": "pod", **more},
            "credentials": None}


def by_identity(fake, provider="web_identity", **more):
    return base_config(credentials={"provider": provider, "min_ttl_s": 1, "sts_endpoint": fake.url},
                       **more)


@pytest.mark.parametrize("provider", ["web_identity", "auto"])
def test_identity(presignd, fake, tmp_path, provider):
    s = presignd(by_identity(fake, provider), **irsa(tmp_path, fake))
    assert s.ask(ASK).status == 201
    assert fake.forms == [{
        "Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": ROLE,
        "RoleSessionName": "pod", "WebIdentityToken": TOKEN}]
    assert "authorization" not in fake.seen[0]["headers"]
    assert "web_identity" in s.wait_log("credentials_available")["message"]
    nothing_leaked(s, TOKEN, "secret+", "session-token-")


def test_token_is_read_anew(presignd, fake, tmp_path):
    fake.set(life_s=62)  # a packet ends 60 s before its credentials
    s = presignd(by_identity(fake), **irsa(tmp_path, fake))
    first = signed_by(s.ask(ASK))
    (tmp_path / "next").write_text("another.token.here")
    (tmp_path / "next").rename(tmp_path / "token")
    fake.set(life_s=3600)
    wait_until(lambda: signed_by(s.ask(ASK)) != first)
    assert [f["WebIdentityToken"] for f in fake.forms] == [TOKEN, "another.token.here"]


@pytest.mark.parametrize("code", ["IDPCommunicationError", "InvalidIdentityToken"])
def test_tried_again_at_once(presignd, fake, tmp_path, code):
    fake.set({"call": {"status": 400, "body": refusal(code, "try again"), "times": 2}})
    s = presignd(by_identity(fake), **irsa(tmp_path, fake))
    assert s.ask(ASK).status == 201
    assert fake.counts["call"] == 3
    assert s.logs("credentials_unavailable") == []


def test_identity_refused(presignd, fake, tmp_path):
    fake.set({"call": {"status": 400, "body": refusal("ExpiredTokenException", "Token expired")}})
    s = presignd(by_identity(fake), **irsa(tmp_path, fake))
    assert "400 ExpiredTokenException: Token expired" in \
        s.wait_log("credentials_unavailable")["message"]
    assert s.ask(ASK).code == "credentials_unavailable"


def test_no_token_file(presignd, fake, tmp_path):
    s = presignd(by_identity(fake), **irsa(tmp_path, fake, AWS_WEB_IDENTITY_TOKEN_FILE="/nowhere"))
    assert "there is no such file" in s.wait_log("credentials_unavailable")["message"]
    assert fake.counts["call"] == 0


def test_a_role_on_top_of_an_identity(presignd, fake, tmp_path):
    """The second call is signed by what the first one gave."""
    s = presignd(base_config(**assuming(fake.url, provider="web_identity")),
                 **irsa(tmp_path, fake))
    assert s.ask(ASK).status == 201
    assert [f["Action"] for f in fake.forms] == ["AssumeRoleWithWebIdentity", "AssumeRole"]
    assert "Credential=ASIA000000000001/" in fake.seen[1]["headers"]["authorization"]
    assert signed_by(s.ask(ASK)) == "ASIA000000000002"


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
