"""`presignd doctor`: a healthy store has nothing failed, and each planted fault is found and named
once, with what to do about it, in words and as JSON.

The store is a real one (Ceph's gateway); what it never says (another clock, a region) a relay in
front of it says.
"""
import datetime
import ipaddress
import json
import os
import pty
import re
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3
import nginx
import pytest
import readme
import redis_server
import tokens
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from imds import Imds
from jwks import Jwks
from service import BIN, base_config, clean_environment, run_command
from store_relay import StoreRelay
from sts import Sts

ORIGIN = "https://app.test"
PUBLIC = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:ListBucket"],
     "Resource": ["arn:aws:s3:::{bucket}", "arn:aws:s3:::{bucket}/*"]}]}
PROFILE = {"bucket": "main", "key": "uploads/{user}/{uuid}", "content_types": ["image/*"],
           "max_bytes": 1048576}


class Report:
    """What doctor said: `of("clock")` are the findings of one check."""

    def __init__(self, status, out, err):
        self.status, self.err = status, err
        assert not err, err
        self.text = out
        self.json = json.loads(out)
        self.findings = self.json["findings"]

    def of(self, check, status=None):
        return [f for f in self.findings if f["check"] == check and status in (None, f["status"])]

    @property
    def failed(self):
        return [f for f in self.findings if f["status"] == "failed"]

    def only_failed(self, check):
        """The one thing that failed, with something to do about it."""
        assert {f["check"] for f in self.failed} == {check}, self.failed
        assert self.status == 1 and not self.json["healthy"]
        assert all(f["todo"] for f in self.failed)
        return self.failed[0]


@pytest.fixture
def examine(tmp_path, rgw):
    """examine(changes of the configuration, ...): one run, as JSON."""
    (tmp_path / "secret").write_bytes(
        tokens.SECRET if isinstance(tokens.SECRET, bytes) else tokens.SECRET.encode())

    def run(*args, env=None, credentials=None, bucket=None, report=True, credentials_=None,
            more_buckets=None, **config):
        config.setdefault("profiles", {"default": PROFILE})
        if credentials_:
            config["credentials"] = credentials_
        buckets = {"main": rgw.bucket_config() | (bucket or {})} | (more_buckets or {})
        whole = base_config(**config) | {"buckets": buckets}
        path = tmp_path / "presignd.json"
        path.write_text(json.dumps(whole).replace("{dir}", str(tmp_path)))
        credentials = rgw.credentials if credentials is None else credentials
        if not report:
            return run_command("doctor", "--config", path, *args, env=env, credentials=credentials)
        status, out, err = run_command("doctor", "--config", path, "--json", *args, env=env,
                                       credentials=credentials)
        for name, value in credentials.items():
            if name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
                assert value not in out
            if name == "AWS_ACCESS_KEY_ID" and len(value) > 8:
                assert value not in out
        return Report(status, out, err)

    return run


@pytest.fixture
def relay(rgw):
    with StoreRelay(rgw.endpoint) as one:
        yield one


@pytest.fixture
def bucket(rgw, request):
    """A bucket of this test's own, without any CORS rule."""
    name = "doctor-" + re.sub("[^a-z0-9]+", "-", request.node.name.lower())[:40].strip("-")
    rgw.client().create_bucket(Bucket=name)
    return name


def keys_of(rgw, bucket):
    listed = rgw.client().list_objects_v2(Bucket=bucket)
    return [o["Key"] for o in listed.get("Contents", [])]


# ---- all is well ---------------------------------------------------------------------------------

def test_healthy(examine, rgw):
    before = keys_of(rgw, rgw.bucket)
    r = examine()
    assert (r.status, r.failed) == (0, []), r.text
    assert r.json["healthy"] and r.json["warnings"] == 0 and r.json["not_tried"] == 0
    assert {f["check"] for f in r.findings} == {
        "configuration", "descriptors", "credentials", "ledger", "keys", "endpoint", "clock",
        "bucket", "signature", "cors", "upload", "refusals", "exposed", "head", "public-list",
        "public-read", "public-block", "clean-up"}
    assert "uploads/presignd-doctor-probe-" in r.of("upload")[0]["says"]
    assert keys_of(rgw, rgw.bucket) == before


def test_temporary_credentials(examine, rgw):
    r = examine(credentials=rgw.session_credentials())
    assert (r.status, r.failed) == (0, []), r.text
    assert "are left" in r.of("credentials")[0]["says"]
    assert "no session token" in r.of("refusals")[0]["says"]


@pytest.mark.parametrize("name, profile, bucket", [
    ("put", {}, {"post": False}),
    ("strict", {"content_types": ["model/*"], "min_bytes": 5000, "checksum": "required",
                "fields": {"Content-Disposition": "attachment", "acl": "private",
                           "tagging": {"team": "a b"}},
                "metadata": {"set": {"by": "{user}", "of": "{claim:dept}"}},
                "extensions": {"model/gltf": ["gltf"]},
                "allow": {"scope": "upload", "claims": {"role": ["editor"]}}}, {}),
    ("strict put", {"checksum": "required", "fields": {"acl": "private"}, "size": "any",
                    "min_bytes": 0}, {"post": False}),
])
def test_profiles(examine, name, profile, bucket):
    r = examine(profiles={"default": PROFILE | profile}, bucket=bucket)
    assert (r.status, r.failed) == (0, []), r.text
    assert r.of("upload", "ok") and r.of("refusals", "ok") and r.of("clean-up", "ok")


def test_for_people(examine):
    status, out, err = examine("--origin", ORIGIN, report=False)
    assert (status, err) == (0, "")
    assert re.search(r"^  ok    cors            https://app\.test: Pages may POST and PUT\.$", out,
                     re.M)
    assert re.search(r"\n\d+ ok, 0 warnings, 0 failed\n$", out)
    assert "\033" not in out
    # a path or a key is one word, however long
    assert all(len(line) <= 80 or len(line[24:].split()) == 1 for line in out.splitlines()), out


@pytest.mark.parametrize("env, coloured", [({}, True), ({"NO_COLOR": "1"}, False),
                                           ({"TERM": "dumb"}, False)])
def test_colour(tmp_path, env, coloured):
    ours, theirs = pty.openpty()
    try:
        subprocess.run([BIN, "doctor", "--config", tmp_path / "none"], stdout=theirs,
                       stdin=subprocess.DEVNULL, env=clean_environment(env), timeout=20,
                       check=False)
        assert (b"\033[31mFAIL\033[0m" in os.read(ours, 65536)) == coloured
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("args", [["--nonsense"], ["more"], ["--origin", "app.test"]])
def test_wrong_usage(args):
    status, out, err = run_command("doctor", *args)
    assert (status, out) == (2, "") and "usage: presignd doctor" in err


def test_one_of_two_buckets(examine, rgw):
    two = {"other": rgw.bucket_config() | {"bucket": "nobody-has-this"}}
    assert examine(more_buckets=two).only_failed("bucket")["bucket"] == "other"
    r = examine("--bucket", "main", more_buckets=two)
    assert r.status == 0 and {f["bucket"] for f in r.findings} == {"", "main"}


def test_a_bucket_without_profiles(examine, rgw):
    r = examine("--bucket", "spare", more_buckets={"spare": rgw.bucket_config()})
    assert r.status == 0 and r.of("signature", "ok")
    assert "no profile" in r.of("upload", "not_tried")[0]["says"]


def test_unknown_bucket(examine):
    status, _, err = examine("--bucket", "photos", report=False)
    assert status == 2 and '"photos"' in err


# ---- planted faults: this side -------------------------------------------------------------------

def test_configuration(tmp_path):
    path = tmp_path / "presignd.json"
    path.write_text(json.dumps(base_config() | {"default_profile": "photos"}))
    status, out, err = run_command("doctor", "--config", path, "--json")
    f = Report(status, out, err).only_failed("configuration")
    assert "default_profile" in f["says"] and "presignd check" in f["todo"]


def test_no_credentials(examine):
    r = examine(credentials={"AWS_REGION": "us-east-1"})
    f = r.only_failed("credentials")
    assert "AWS_ACCESS_KEY_ID" in f["todo"]
    # what needs none is looked at all the same
    assert r.of("cors", "ok") and r.of("public-list", "ok") and r.of("signature", "not_tried")


def test_ended_credentials(examine, rgw):
    r = examine(credentials=rgw.session_credentials() |
                {"AWS_CREDENTIAL_EXPIRATION": "2026-01-01T00:00:00Z"})
    assert "AWS_CREDENTIAL_EXPIRATION" in r.only_failed("credentials")["says"]


def test_end_unknown(examine, rgw):
    credentials = rgw.session_credentials()
    del credentials["AWS_CREDENTIAL_EXPIRATION"]
    r = examine(credentials=credentials)
    assert r.status == 0
    assert "AWS_CREDENTIAL_EXPIRATION" in r.of("credentials", "warning")[0]["todo"]


def test_metadata_service_down(examine):
    with Imds() as imds:
        url = imds.url
    r = examine(env={"AWS_EC2_METADATA_SERVICE_ENDPOINT": url}, credentials={},
                credentials_={"provider": "imds"})
    assert "cannot be reached" in r.only_failed("credentials")["says"]


def test_hop_limit(examine):
    with Imds() as imds:
        imds.set({"token": {"hang": True}})
        r = examine(env={"AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url}, credentials={},
                    credentials_={"provider": "imds"})
        f = r.only_failed("credentials")
        assert "hop" in f["says"] and "--http-put-response-hop-limit 2" in f["todo"]


def test_sts_refuses(examine, rgw):
    with Sts() as sts:
        sts.set({"call": {"status": 403, "body": "<ErrorResponse><Error><Code>AccessDenied</Code>"
                          "<Message>no trust</Message></Error></ErrorResponse>"}})
        r = examine(credentials_={"assume_role": {"role_arn": "arn:aws:iam::123456789012:role/up"},
                                  "region": "us-east-1", "sts_endpoint": sts.url})
    f = r.only_failed("credentials")
    assert "AccessDenied" in f["says"] and "trust policy" in f["todo"]


def test_ledger_folder(examine, tmp_path):
    r = examine(ledger={"backend": "sqlite", "path": str(tmp_path / "missing" / "ledger.db")})
    assert "missing" in r.only_failed("ledger")["says"]


def test_ledger_is_something_else(examine, tmp_path):
    (tmp_path / "ledger.db").write_text("no database at all" * 100)
    assert "ledger.db" in examine().only_failed("ledger")["says"]


def test_ledger_beside_a_server(examine, presignd, rgw, tmp_path):
    s = presignd(base_config(buckets={"main": rgw.bucket_config()}), credentials=rgw.credentials)
    r = examine(ledger={"backend": "sqlite", "path": str(s.dir / "ledger.db")})
    assert r.status == 0 and "can be written" in r.of("ledger")[0]["says"]


needs_redis = pytest.mark.skipif(not redis_server.PROGRAM, reason="redis-server is not installed")


@pytest.fixture(scope="module")
def redis():
    server = redis_server.RedisServer("--requirepass", "open sesame")
    yield server
    server.close()


def on_redis(port, **more):
    return {"backend": "redis", "url": f"redis://127.0.0.1:{port}/0"} | more


@needs_redis
def test_redis(examine, redis, tmp_path):
    (tmp_path / "password").write_text("open sesame\n")
    r = examine(ledger=on_redis(redis.port, password_file=str(tmp_path / "password")))
    assert r.status == 0 and r.of("ledger", "ok"), r.of("ledger")


@needs_redis
def test_redis_wants_a_password(examine, redis):
    f = examine(ledger=on_redis(redis.port)).only_failed("ledger")
    assert "wants a password" in f["says"] and "password_file" in f["todo"]


def test_redis_is_down(examine):
    ports = nginx.Ports(1)
    f = examine(ledger=on_redis(ports.numbers[0])).only_failed("ledger")
    ports.close()
    assert "refused" in f["says"] and "ledger.url" in f["todo"]


def by_url(url):
    return {"issuers": [{"issuer": tokens.ISSUER, "audience": [tokens.AUDIENCE],
                         "algorithms": ["RS256"], "jwks_url": url}]}


def test_keys(examine):
    with Jwks() as jwks:
        key = tokens.make_key("RS256")
        jwks.publish("login", tokens.jwk(key, "one"))
        r = examine(auth=by_url(jwks.jwks_url("login")))
        assert r.status == 0 and "1 usable key" in r.of("keys")[0]["says"]
        jwks.set({"keys": {"status": 503}})
        f = examine(auth=by_url(jwks.jwks_url("login"))).only_failed("keys")
        assert "503" in f["says"] and f["about"] == tokens.ISSUER
        jwks.set({"keys": {"body": '{"keys":[]}'}})
        examine(auth=by_url(jwks.jwks_url("login"))).only_failed("keys")
    assert "onnect" in examine(auth=by_url(jwks.jwks_url("login"))).only_failed("keys")["says"]


def test_key_file(examine, tmp_path):
    (tmp_path / "key.pem").write_text("no key")
    f = examine(auth={"issuers": [{"issuer": tokens.ISSUER, "audience": [tokens.AUDIENCE],
                                   "algorithms": ["RS256"],
                                   "public_key_file": "{dir}/key.pem"}]}).only_failed("keys")
    assert "key.pem" in f["todo"]


# ---- planted faults: the way there ---------------------------------------------------------------

def test_dead_endpoint(examine):
    ports = nginx.Ports(1)
    f = examine(bucket={"endpoint": f"http://127.0.0.1:{ports.numbers[0]}"}).only_failed("endpoint")
    ports.close()
    assert f["says"].startswith("TCP: nobody answers") and "firewalls" in f["todo"]


def test_no_such_name(examine):
    f = examine(bucket={"endpoint": "http://store.invalid"}).only_failed("endpoint")
    assert f["says"].startswith("DNS: the name store.invalid leads nowhere")


def test_silent_endpoint(examine, relay):
    relay.set({"HEAD": {"drop": True}})
    f = examine(bucket={"endpoint": relay.url}).only_failed("endpoint")
    assert f["says"].startswith("HTTP: ")


def test_every_call_ends(examine, relay):
    relay.set({"HEAD": {"hang": True}})
    began = time.monotonic()
    f = examine(bucket={"endpoint": relay.url}).only_failed("endpoint")
    assert "gave no answer" in f["says"] and time.monotonic() - began < 15


def self_signed(path):
    """A key and a certificate for 127.0.0.1 that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
                   .public_key(key.public_key()).serial_number(1).not_valid_before(now - day)
                   .not_valid_after(now + day)
                   .add_extension(x509.SubjectAlternativeName([address]), False)
                   .sign(key, hashes.SHA256()))
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM,
                                       serialization.PrivateFormat.PKCS8,
                                       serialization.NoEncryption()) +
                     certificate.public_bytes(serialization.Encoding.PEM))
    return path


class Tls(HTTPServer):
    """Somebody with such a certificate."""

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), BaseHTTPRequestHandler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self_signed(folder / "tls.pem"))
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def handle_error(self, request, client_address):
        pass


def test_certificate(examine, tmp_path):
    server = Tls(tmp_path)
    try:
        endpoint = f"https://127.0.0.1:{server.server_address[1]}"
        f = examine(bucket={"endpoint": endpoint}).only_failed("endpoint")
    finally:
        server.shutdown()
        server.server_close()
    assert "certificate" in f["says"] and "update-ca-certificates" in f["todo"]


def test_not_tls(examine, rgw):
    endpoint = rgw.endpoint.replace("http:", "https:")
    f = examine(bucket={"endpoint": endpoint}).only_failed("endpoint")
    assert f["says"].startswith("TLS: no handshake") and "http://" in f["todo"]


def test_public_endpoint_not_reached(examine):
    """It may be another network's: what browsers do is tried on the endpoint that is reached."""
    r = examine(bucket={"public_endpoint": "https://files.invalid"})
    assert r.status == 0, r.failed
    assert "files.invalid" in r.of("endpoint", "warning")[0]["says"]
    assert r.of("upload", "ok") and r.of("cors", "ok")


@pytest.mark.parametrize("ahead_s, status", [(-600, "warning"), (600, "warning"), (-7200, "failed"),
                                             (7200, "failed"), (20, "ok")])
def test_clock(examine, relay, ahead_s, status):
    relay.set(clock_ahead_s=ahead_s)
    r = examine(bucket={"endpoint": relay.url})
    found = r.of("clock", status)
    assert found, r.of("clock")
    assert r.status == (1 if status == "failed" else 0)
    # what is signed by such a clock is refused for it
    assert bool(r.of("signature", "not_tried")) == (status == "failed")
    if status != "ok":
        assert ("ahead of" in found[0]["says"]) == (ahead_s < 0)
        assert "NTP" in found[0]["todo"]


def test_clock_behind_a_short_packet(examine, relay):
    """Ten minutes behind, and packets live five: they are dead when they are made."""
    relay.set(clock_ahead_s=600)
    r = examine(bucket={"endpoint": relay.url}, profiles={"default": PROFILE | {"expires_s": 300}})
    assert "end before they are made" in r.only_failed("clock")["says"]


# ---- planted faults: the bucket ------------------------------------------------------------------

def test_wrong_region(examine, relay):
    relay.set(region="eu-central-1")
    f = examine(bucket={"endpoint": relay.url}).only_failed("bucket")
    assert "eu-central-1" in f["says"] and 'buckets.main.region to "eu-central-1"' in f["todo"]


REGION_ERROR = ("<Error><Code>{}</Code><Message>the region is wrong</Message>"
                "<Region>ap-south-1</Region></Error>")


@pytest.mark.parametrize("code", ["AuthorizationHeaderMalformed",
                                  "AuthorizationQueryParametersError"])
def test_wrong_region_by_the_signature(examine, relay, code):
    relay.set({"GET": {"status": 400, "body": REGION_ERROR.format(code), "times": 1}})
    f = examine(bucket={"endpoint": relay.url}).only_failed("signature")
    assert "ap-south-1" in f["says"] and 'region to "ap-south-1"' in f["todo"]


def test_redirected(examine, relay):
    relay.set({"HEAD": {"status": 301}})
    assert "region" in examine(bucket={"endpoint": relay.url}).only_failed("bucket")["todo"]


def test_wrong_bucket(examine):
    f = examine(bucket={"bucket": "nobody-has-this"}).only_failed("bucket")
    assert '"nobody-has-this"' in f["says"] and "buckets.main.bucket" in f["todo"]


def test_wrong_secret(examine, rgw):
    r = examine(credentials=rgw.credentials | {"AWS_SECRET_ACCESS_KEY": "wrong-and-long-enough"})
    f = r.only_failed("signature")
    assert "secret key" in f["says"] and r.of("upload", "not_tried")


def test_unknown_key(examine, rgw):
    r = examine(credentials=rgw.credentials | {"AWS_ACCESS_KEY_ID": "AKIDOFNOBODY00000001"})
    assert "does not know this access key id" in r.only_failed("signature")["says"]


def test_expired_token(examine, relay):
    relay.set({"GET": {"status": 400, "times": 1,
                       "body": "<Error><Code>ExpiredToken</Code><Message>The provided token has "
                               "expired.</Message></Error>"}})
    f = examine(bucket={"endpoint": relay.url}).only_failed("signature")
    assert "have ended" in f["says"]


@pytest.fixture(scope="module")
def stranger(rgw):
    """A role that may look, and may not put."""
    iam = boto3.client("iam", endpoint_url=rgw.endpoint, region_name=rgw.region,
                       aws_access_key_id=rgw.credentials["AWS_ACCESS_KEY_ID"],
                       aws_secret_access_key=rgw.credentials["AWS_SECRET_ACCESS_KEY"])
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/demo"]},
         "Action": ["sts:AssumeRole"]}]}
    compact = {"separators": (",", ":")}
    roles = {}

    def make(name, *actions, resource="arn:aws:s3:::*"):
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust, **compact))
        allow = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": list(actions), "Resource": resource}]}
        iam.put_role_policy(RoleName=name, PolicyName="some",
                            PolicyDocument=json.dumps(allow, **compact))
        roles[name] = role["Role"]["Arn"]
        return roles[name]

    make("looker", "s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation")
    make("putter", "s3:PutObject")
    made = {name: assumed(rgw, arn) for name, arn in roles.items()}
    made["make"] = lambda name, resource, *actions: assumed(
        rgw, make(name, *actions, resource=resource))
    return made


@pytest.fixture
def narrow(stranger, bucket):
    """A role that may put below sales/ alone."""
    return stranger["make"]("narrow", f"arn:aws:s3:::{bucket}/sales/*", "s3:PutObject",
                            "s3:GetObject", "s3:DeleteObject")


def assumed(rgw, arn):
    sts = boto3.client("sts", endpoint_url=rgw.sts_endpoint, region_name=rgw.region,
                       aws_access_key_id=rgw.credentials["AWS_ACCESS_KEY_ID"],
                       aws_secret_access_key=rgw.credentials["AWS_SECRET_ACCESS_KEY"])
    c = sts.assume_role(RoleArn=arn, RoleSessionName="doctor")["Credentials"]
    return {"AWS_ACCESS_KEY_ID": c["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": c["SecretAccessKey"],
            "AWS_SESSION_TOKEN": c["SessionToken"],
            "AWS_CREDENTIAL_EXPIRATION": c["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ")}


def test_may_not_put(examine, rgw, stranger):
    f = examine(credentials=stranger["looker"]).only_failed("upload")
    assert "may not put" in f["says"]
    assert f"s3:PutObject on arn:aws:s3:::{rgw.bucket}/uploads/*" in f["todo"]


def test_may_only_put(examine, rgw, stranger):
    """The least that presignd needs: what it cannot do besides is told, and nothing fails."""
    r = examine(credentials=stranger["putter"])
    assert (r.status, r.failed) == (0, []), r.failed
    assert "s3:GetObject" in r.of("head", "warning")[0]["todo"]
    left = r.of("clean-up", "note")[0]["todo"]
    key = re.search(r"uploads/presignd-doctor-probe-\S+?(?=\.$)", left).group()
    assert key in keys_of(rgw, rgw.bucket)
    rgw.client().delete_object(Bucket=rgw.bucket, Key=key)


def test_no_cors(examine, bucket):
    r = examine(bucket={"bucket": bucket})
    f = r.of("cors", "failed")[0]
    assert f["about"] == ORIGIN and "AllowedOrigins" in f["todo"]
    assert {x["check"] for x in r.failed} == {"cors"} and r.of("exposed", "not_tried")


def set_cors(rgw, bucket, **changes):
    rule = readme.bucket_cors([ORIGIN])["CORSRules"][0] | changes
    rgw.client().put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})


def test_cors_faults(examine, rgw, bucket):
    place = {"bucket": bucket}
    set_cors(rgw, bucket)
    assert examine(bucket=place).failed == []

    f = examine("--origin", "https://other.test", bucket=place).only_failed("cors")
    assert f["about"] == "https://other.test" and "AllowedOrigins" in f["todo"]

    set_cors(rgw, bucket, ExposeHeaders=["Location"])
    f = examine(bucket=place).only_failed("exposed")
    assert "ETag" in f["says"] and "ExposeHeaders" in f["todo"]

    set_cors(rgw, bucket, AllowedMethods=["PUT"])
    f = examine(bucket=place).only_failed("cors")
    assert "PUT, but not POST" in f["says"] and "POST under AllowedMethods" in f["todo"]

    set_cors(rgw, bucket, AllowedMethods=["POST"])
    r = examine(bucket=place)
    assert r.status == 0 and "PUT under AllowedMethods" in r.of("cors", "warning")[0]["todo"]

    set_cors(rgw, bucket, AllowedHeaders=["x-amz-*"])
    profiles = {"default": PROFILE | {"fields": {"acl": "private", "Cache-Control": "private"}}}
    f = examine(bucket=place | {"post": False}, profiles=profiles).only_failed("cors")
    assert "Put cache-control, content-type under AllowedHeaders" in f["todo"]


def test_patterns_are_not_tried(examine):
    r = examine(cors={"origins": ["https://*.app.test"]})
    assert r.status == 0 and "--origin" in r.of("cors", "note")[0]["todo"]


def test_public_bucket(examine, rgw, bucket):
    set_cors(rgw, bucket)
    rgw.client().put_bucket_policy(Bucket=bucket,
                                   Policy=json.dumps(PUBLIC).replace("{bucket}", bucket))
    r = examine(bucket={"bucket": bucket})
    assert {f["check"] for f in r.failed} == {"public-list", "public-read"}, r.failed
    assert all("public access block" in f["todo"] for f in r.failed)
    assert keys_of(rgw, bucket) == []


def test_public_by_the_profile(examine, rgw, bucket):
    set_cors(rgw, bucket)
    r = examine(bucket={"bucket": bucket},
                profiles={"default": PROFILE | {"fields": {"acl": "public-read"}}})
    assert r.status == 0 and "acl" in r.of("public-read", "warning")[0]["todo"]


def test_block(examine, rgw, bucket):
    set_cors(rgw, bucket)
    rgw.client().put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={
        "BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True,
        "RestrictPublicBuckets": True})
    assert examine(bucket={"bucket": bucket}).of("public-block", "ok")


def test_careless_store(examine, relay):
    """One that takes everything: s3rver and its like."""
    relay.set({"POST": {"status": 204}})
    r = examine(bucket={"endpoint": relay.url})
    assert len(r.of("refusals", "failed")) == 4 and r.of("head", "failed")
    assert all("Do not use this store" in f["todo"] for f in r.of("refusals"))


def test_store_without_post(examine, relay):
    relay.set({"POST": {"status": 501, "body": "<Error><Code>NotImplemented</Code></Error>"}})
    assert '"post": false' in examine(bucket={"endpoint": relay.url}).only_failed("upload")["todo"]


def test_store_that_hangs_up(examine, relay):
    relay.set({"POST": {"drop": True}})
    r = examine(bucket={"endpoint": relay.url})
    assert "did not answer" in r.only_failed("upload")["says"]


@pytest.mark.parametrize("post, fault", [(True, {"status": 500}), (True, {"drop": True}),
                                         (False, {"status": 500}), (False, {"drop": True})])
def test_what_was_sent_is_removed(examine, relay, rgw, bucket, post, fault):
    """The store took the probe, and its answer was another, or none."""
    set_cors(rgw, bucket)
    relay.set(after={"POST": fault, "PUT": fault})
    r = examine(bucket={"endpoint": relay.url, "bucket": bucket, "post": post})
    r.only_failed("upload")
    assert relay.counts["DELETE"] == 1 and keys_of(rgw, bucket) == []
    end = r.of("clean-up")[0]
    # an upload that was not answered may come later: then it is named
    assert end["status"] == ("note" if "drop" in fault else "ok")
    assert ("uploads/presignd-doctor-probe-" in end["todo"]) == ("drop" in fault)


def test_what_stays_is_named(examine, relay, rgw, bucket):
    set_cors(rgw, bucket)
    relay.set({"DELETE": {"status": 503}}, after={"POST": {"status": 500}})
    r = examine(bucket={"endpoint": relay.url, "bucket": bucket})
    r.only_failed("upload")
    assert keys_of(rgw, bucket)[0] in r.of("clean-up", "note")[0]["todo"]


LARGE = {"min_bytes": 100000, "max_bytes": 200000}


@pytest.mark.parametrize("post", [True, False])
def test_only_large_files(examine, rgw, post):
    r = examine(bucket={"post": post}, profiles={"default": PROFILE | LARGE})
    assert (r.status, r.failed) == (0, []), r.failed
    assert "100000 bytes" in r.of("upload", "ok")[0]["says"] and r.of("refusals", "ok")


def test_files_too_large_for_a_probe(examine):
    """What was not tried is no sign of health."""
    huge = PROFILE | {"min_bytes": 2 << 20, "max_bytes": 4 << 20}
    r = examine(profiles={"default": huge})
    assert r.status == 0 and r.json["warnings"] == 1
    assert "1 MiB" in r.of("upload", "warning")[0]["says"]
    assert r.of("cors", "ok") and r.of("clean-up", "not_tried")


def test_probe_goes_where_the_role_may(examine, rgw, bucket, narrow):
    """Its rights begin behind a claim: by a value that the profile lists, or not to be known."""
    set_cors(rgw, bucket)
    place = {"bucket": bucket}
    of_dept = PROFILE | {"key": "{claim:dept}/{user}/{uuid}"}
    listed = of_dept | {"allow": {"claims": {"dept": ["sales", "law"]}}}
    r = examine(credentials=narrow, bucket=place, profiles={"default": listed})
    assert (r.status, r.failed) == (0, []), r.failed
    assert " sales/presignd-doctor-probe-" in r.of("upload", "ok")[0]["says"]
    r = examine(credentials=narrow, bucket=place, profiles={"default": of_dept})
    assert (r.status, r.failed) == (0, []), r.failed
    assert "allow.claims" in r.of("upload", "warning")[0]["todo"]
    assert r.of("refusals", "not_tried")


AWS_DENIAL = ("<Error><Code>AccessDenied</Code><Message>User: arn:aws:sts::1:assumed-role/up/i is not"
              " authorized to perform: s3:PutObject on resource: \"x\" because no identity-based"
              " policy allows the s3:PutObject action</Message></Error>")


def test_denied_by_aws(examine, relay, rgw):
    relay.set({"POST": {"status": 403, "body": AWS_DENIAL}})
    f = examine(bucket={"endpoint": relay.url}).only_failed("upload")
    assert f"s3:PutObject on arn:aws:s3:::{rgw.bucket}/uploads/*" in f["todo"]


@pytest.mark.parametrize("name", ["policy", "x-amz-signature", "x-amz-security-token"])
def test_an_echo_shows_no_secret(examine, relay, rgw, name):
    """A store that repeats the form: nothing that is secret is shown, and of much only a little."""
    body = "<Error><Code>Odd</Code><Message>sent was {" + name + "} " + "x" * 5000
    relay.set(after={"POST": {"status": 400, "body": body + "</Message></Error>"}})
    r = examine(bucket={"endpoint": relay.url}, credentials=rgw.session_credentials())
    says = r.of("upload", "failed")[0]["says"]
    assert "sent was (not shown) xxx" in says and len(says) < 450 and "…" in says
    assert not re.search("[0-9a-f]{64}|eyJ[A-Za-z0-9+/]{20}", r.text), r.text


def test_words_of_others_reach_no_terminal(examine, relay):
    relay.set({"POST": {"status": 418, "body": "<Error><Code>Odd</Code><Message>red \u202e&#27;[31m"
                        "</Message></Error>"}})
    status, out, _ = examine(bucket={"endpoint": relay.url}, report=False)
    assert status == 1 and "\u202e" not in out and "\033" not in out
