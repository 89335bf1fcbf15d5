"""contract - one configuration with a profile for each rule of the API, and what every refusal and
every form must be like."""
import base64
import datetime
import hashlib
import hmac
import json
import re

import pytest
import tokens
from service import CREDENTIALS, base_config, merge

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
APP = "https://app.test"
SCOPED = "https://scoped.test/"
SCOPED_SECRET = b"another secret, also longer than thirty-two bytes"
FILE = {"content_type": "image/png", "content_length": 1000}
MD5 = base64.b64encode(hashlib.md5(b"x").digest()).decode()
SHA256 = base64.b64encode(hashlib.sha256(b"x").digest()).decode()


def profile(**more):
    return {"bucket": "main", "key": "{user}/{uuid}", "content_types": ["image/*", "text/plain"],
            "max_bytes": 1048576} | more


def config(**more):
    return merge(base_config(
        cors={"origins": [APP, "https://*.preview.test"]},
        auth={"issuers": base_config()["auth"]["issuers"] + [
            {"issuer": SCOPED, "audience": ["presignd"], "algorithms": ["HS256"],
             "secret_file": "{dir}/scoped", "scope": "upload"}]},
        buckets={"noform": {"bucket": "no-form", "region": "eu-west-1", "post": False},
                 "own": {"bucket": "own", "region": "here", "endpoint": "http://127.0.0.1:9",
                         "public_endpoint": "https://files.test"}},
        profiles={
            "default": profile(key="{user}/{uuid7}"),
            "range": profile(size="range", min_bytes=10),
            "any": profile(size="any"),
            "sums": profile(checksum="required"),
            "nosums": profile(checksum="none"),
            "short": profile(expires_s=60, max_expires_s=120),
            "bound": profile(token_bound=True),
            "ext": profile(extensions={"image/png": ["png"]}),
            "meta": profile(metadata={"allow": ["album", "title"], "set": {"by": "{user}"}}),
            "fields": profile(key="f/{uuid}/{filename}", fields={
                "success_action_status": "201", "acl": "private", "Cache-Control": "private",
                "Content-Disposition": "attachment", "tagging": {"plan": "{plan}"}}),
            "tenants": profile(key="{tenant}/{uuid}"),
            "gold": profile(allow={"plans": ["gold"]}),
            "editors": profile(allow={"claims": {"role": ["editor"]}}),
            "putonly": profile(bucket="noform"),
            "own": profile(bucket="own"),
            "html": profile(content_types=["text/*", "text/html"])},
        plans={"free": {}, "gold": {}}, default_plan="free",
        limits={"body_bytes": 16384}), more)


FILES = {"scoped": SCOPED_SECRET}


def rows(table):
    return [pytest.param(*row, id=name) for name, row in table.items()]


def check_problem(answer, status, code, **members):
    assert (answer.status, answer.code) == (status, code), answer
    p = answer.json
    assert p["type"] == f"https://presignd.dev/errors/{code}"
    assert p["status"] == status and p["title"] and p["detail"]
    assert p["message"] == p["detail"]
    assert p["request_id"] == answer.headers["X-Request-Id"]
    for name, value in members.items():
        assert p[name] == value, p
    if status == 503:
        assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    return p


def check_form(upload, secret=CREDENTIALS["AWS_SECRET_ACCESS_KEY"]):
    """Fields and conditions say the same, and the signature is right. Returns the policy."""
    fields = upload["fields"]
    names = list(fields)
    assert names[0] == "key" and names[-2:] == ["policy", "x-amz-signature"]
    policy = json.loads(base64.b64decode(fields["policy"]))
    exact = {k: v for c in policy["conditions"] if isinstance(c, dict) for k, v in c.items()}
    bucket = exact.pop("bucket")
    assert bucket == upload["bucket"]
    assert exact == {k: v for k, v in fields.items() if k not in ("policy", "x-amz-signature")}
    lists = [c for c in policy["conditions"] if isinstance(c, list)]
    assert [c[0] for c in lists] == ["content-length-range"]
    date, region = fields["x-amz-credential"].split("/")[1:3]
    key = ("AWS4" + secret).encode()
    for part in (date, region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    assert fields["x-amz-signature"] == hmac.new(
        key, fields["policy"].encode(), hashlib.sha256).hexdigest()
    assert policy["expiration"].replace(".000Z", "Z") == upload["expires_at"]
    assert "$" not in base64.b64decode(fields["policy"]).decode()
    return policy


def seconds(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").timestamp()
