"""The signer against another implementation: botocore signs the same random inputs.

POST signatures must be equal over the same policy text, presigned URLs as a whole, and what stands
in the Authorization header of requests to other services. The seed of a
failing run is in its message; PRESIGND_SEED=N repeats it.
"""
import base64
import calendar
import json
import os
import random
import subprocess
import time
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import boto3
import pytest
from botocore.auth import S3SigV4PostAuth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.utils import percent_encode

TOP = Path(__file__).resolve().parents[2]
DRIVER = Path(os.environ.get("PRESIGND_BUILD", TOP / "build")) / "tests" / "sign_driver"
SEED = int(os.environ.get("PRESIGND_SEED", random.SystemRandom().randrange(1 << 32)))
POSTS = 1500
URLS = 1500
HEADERS = 1000

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
ODD = [" ", "  ", "+", "%", "%2F", "//", "/", "~", "*", "'", "(", ")", "!", "&", "=", "?", "#", ";",
       ":", "@", ",", '"', "<", ">", "[", "]", "{", "}", "|", "^", "`", "-", "_", ".", "..", "./",
       "ä", "é", "ü", "€", "日本", "😀", "\u00a0", "\uff0f", "\ufffd", "\U0010ffff"]
NEVER_IN_FIELDS = ["$", "\\", "\t", "\n", "\x7f", "\u0085", "\u202e"]


@pytest.fixture(scope="module")
def rng():
    print(f"seed {SEED}")
    return random.Random(SEED)


def driver(asks):
    """The signer's answers to these, in their order."""
    text = "".join(json.dumps(a, ensure_ascii=False) + "\n" for a in asks)
    done = subprocess.run([DRIVER], input=text.encode(), stdout=subprocess.PIPE, timeout=120,
                          check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(asks)
    return answers


# ---- random inputs -------------------------------------------------------------------------------

def word(rng, low, high, alphabet=LETTERS):
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(low, high)))


def odd_text(rng, pieces, extra=()):
    some = ODD + list(extra)
    return "".join(rng.choice(some) if rng.random() < 0.5 else word(rng, 1, 6)
                   for _ in range(rng.randint(1, pieces)))


def credential(rng):
    token = base64.b64encode(rng.randbytes(rng.choice([16, 300, 1100]))).decode()
    return {"access_key_id": word(rng, 3, 30).upper(),
            "secret_key": word(rng, 1, 60, LETTERS + "/+=-_ "),
            "session_token": token if rng.random() < 0.5 else "",
            "region": rng.choice(["us-east-1", "eu-west-1", "cn-north-1", "us-gov-west-1", "auto",
                                  word(rng, 1, 31, LETTERS.lower() + "-")]),
            "now": rng.randrange(0, 4102444800)}


def random_post(rng):
    names = ["Content-Type", "Content-Disposition", "Cache-Control", "success_action_status", "acl",
             "tagging", "x-amz-storage-class", "x-amz-checksum-sha256", "Content-MD5"]
    names += [f"x-amz-meta-{word(rng, 1, 12).lower()}{i}" for i in range(5)]
    chosen = rng.sample(names, rng.randint(0, 9))
    low = rng.choice([0, 1, rng.randrange(1 << 33)])
    ask = credential(rng)
    return ask | {"op": "post", "bucket": word(rng, 3, 60, LETTERS.lower() + "-."),
                  "key": odd_text(rng, 40), "min_bytes": low,
                  "max_bytes": low + rng.choice([0, 1, 5 << 30]),
                  "expires_at": ask["now"] + rng.randint(1, 604800),
                  "fields": [[n, odd_text(rng, 6) if rng.random() < 0.9 else ""] for n in chosen],
                  "n_shared": rng.randint(0, len(chosen))}


def random_url(rng):
    names = ["content-type", "content-length", "content-md5", "x-amz-acl", "range",
             "x-amz-server-side-encryption", "x-amz-tagging", "cache-control"]
    names += [f"x-amz-meta-{word(rng, 1, 9, LETTERS.lower())}{i}" for i in range(4)]
    blanks = [" ", "  ", "    ", ";", ",", ":", "=", '"', "/", "+", "%20", "~"]
    value = lambda: "".join(rng.choice(blanks) if rng.random() < 0.4 else word(rng, 1, 5)
                            for _ in range(rng.randint(0, 8)))
    query = {odd_text(rng, 3) if rng.random() < 0.4 else word(rng, 1, 9): odd_text(rng, 5)
             for _ in range(rng.choice([0, 0, 1, 2, 5, 9]))}
    if rng.random() < 0.2:
        query |= {"a": "1", "a-b": "2", "A": "3", "uploads": ""}
    return credential(rng) | {
        "op": "url", "method": rng.choice(["GET", "PUT", "HEAD", "DELETE", "POST"]),
        "bucket": word(rng, 3, 20, LETTERS.lower()),
        "endpoint": rng.choice(["https", "http"]) + "://" + rng.choice(
            ["s3.example.com", "storage.example.com:8443", "minio:9000"]),
        "path_style": rng.random() < 0.5, "key": odd_text(rng, 30, ["\t", "\n", "\x7f", "$", "\\"]),
        "headers": [[n, value()] for n in rng.sample(names, rng.randint(0, 8))],
        "query": list(query.items()), "expires": rng.randint(1, 604800)}


def botocore_credentials(ask):
    return Credentials(ask["access_key_id"], ask["secret_key"], ask["session_token"] or None)


def amz_date(unix_s):
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(unix_s))


# ---- POST ----------------------------------------------------------------------------------------

def expected_conditions(ask, fields):
    """What the policy must hold: every field but the last two, and the two that are no fields."""
    exact = [{name: value} for name, value in fields[:-2]]
    return exact + [{"bucket": ask["bucket"]},
                    ["content-length-range", ask["min_bytes"], ask["max_bytes"]]]


def check_post(ask, answer):
    assert answer["status"] == "ST_OK"
    fields = answer["fields"]
    names = [name for name, _ in fields]
    assert names[0] == "key" and names[-2:] == ["policy", "x-amz-signature"]
    assert len(set(names)) == len(names)
    form = dict(fields)
    text = base64.b64decode(form["policy"], validate=True).decode()
    policy = json.loads(text)
    assert text == json.dumps(policy, ensure_ascii=False, separators=(",", ":"))
    order = lambda conditions: sorted(conditions, key=json.dumps)
    assert order(policy["conditions"]) == order(expected_conditions(ask, fields))
    assert policy["expiration"] == time.strftime("%Y-%m-%dT%H:%M:%SZ",
                                                 time.gmtime(ask["expires_at"]))
    assert [form[n] for n, _ in ask["fields"]] == [v for _, v in ask["fields"]]
    assert form["key"] == ask["key"]
    assert form.get("x-amz-security-token", "") == ask["session_token"]

    auth = S3SigV4PostAuth(botocore_credentials(ask), "s3", ask["region"])
    request = AWSRequest(method="POST", url="https://example.com/")
    request.context["timestamp"] = form["x-amz-date"]
    assert form["x-amz-date"] == amz_date(ask["now"])
    assert form["x-amz-algorithm"] == "AWS4-HMAC-SHA256"
    assert form["x-amz-credential"] == auth.scope(request)
    assert form["x-amz-signature"] == auth.signature(form["policy"], request)


def test_posts(rng):
    asks = [random_post(rng) for _ in range(POSTS)]
    for i, (ask, answer) in enumerate(zip(asks, driver(asks))):
        try:
            check_post(ask, answer)
        except AssertionError as e:
            raise AssertionError(f"seed {SEED}, case {i}: {ask}\n-> {answer}\n{e}") from e


def test_posts_refused(rng):
    asks = []
    for bad in NEVER_IN_FIELDS:
        key, value = random_post(rng), random_post(rng)
        key["key"] += bad
        value["fields"] = [["Content-Disposition", "a" + bad]]
        value["n_shared"] = 0
        asks += [key, value]
    for answer in driver(asks):
        assert answer == {"fields": [], "status": "ST_INVALID"}


# ---- URLs ----------------------------------------------------------------------------------------

def botocore_url(ask):
    scheme, host = ask["endpoint"].split("://")
    place = f"{host}/{ask['bucket']}" if ask["path_style"] else f"{ask['bucket']}.{host}"
    request = AWSRequest(method=ask["method"], headers=dict(ask["headers"]),
                         url=f"{scheme}://{place}/{percent_encode(ask['key'], safe='-._~/')}",
                         params=dict(ask["query"]))
    auth = S3SigV4QueryAuth(botocore_credentials(ask), "s3", ask["region"], expires=ask["expires"])
    # The steps of add_auth() with a time of our own.
    request.context["timestamp"] = amz_date(ask["now"])
    auth._modify_request_before_signing(request)
    text = auth.string_to_sign(request, auth.canonical_request(request))
    auth._inject_signature_to_request(request, auth.signature(text, request))
    return request.url


def test_urls(rng):
    asks = [random_url(rng) for _ in range(URLS)]
    for i, (ask, answer) in enumerate(zip(asks, driver(asks))):
        assert answer["status"] == "ST_OK", f"seed {SEED}, case {i}: {ask}"
        assert answer["url"] == botocore_url(ask), f"seed {SEED}, case {i}: {ask}"


# ---- requests of our own ---------------------------------------------------------------------------

def random_header(rng):
    names = ["content-type", "accept", "range"] + [f"x-amz-{word(rng, 1, 8, LETTERS.lower())}{i}"
                                                   for i in range(4)]
    value = lambda: " ".join(word(rng, 1, 9) for _ in range(rng.randint(1, 4)))
    return credential(rng) | {
        "op": "header", "service": rng.choice(["sts", "iam", "execute-api"]),
        "method": rng.choice(["POST", "GET"]), "path": "/",
        "host": rng.choice(["sts.eu-west-1.amazonaws.com", "sts.example.com:8443", "127.0.0.1:80"]),
        "headers": [[n, value()] for n in rng.sample(names, rng.randint(0, 6))],
        "body": odd_text(rng, 40) if rng.random() < 0.9 else ""}


def botocore_authorization(ask):
    request = AWSRequest(method=ask["method"], url=f"https://{ask['host']}{ask['path']}",
                         data=ask["body"].encode(),
                         headers=dict(ask["headers"]) | {"Host": ask["host"]})
    auth = SigV4Auth(botocore_credentials(ask), ask["service"], ask["region"])
    request.context["timestamp"] = amz_date(ask["now"])
    auth._modify_request_before_signing(request)
    text = auth.string_to_sign(request, auth.canonical_request(request))
    auth._inject_signature_to_request(request, auth.signature(text, request))
    return request.headers["Authorization"]


def test_headers(rng):
    asks = [random_header(rng) for _ in range(HEADERS)]
    for i, (ask, answer) in enumerate(zip(asks, driver(asks))):
        assert answer["status"] == "ST_OK", f"seed {SEED}, case {i}: {ask}"
        assert answer["authorization"] == botocore_authorization(ask), \
            f"seed {SEED}, case {i}: {ask}"


HEADERS_REFUSED = {
    "capital in a name": {"headers": [["X-Amz-Target", "a"]]},
    "no name": {"headers": [["", "a"]]},
    "twice": {"headers": [["accept", "a"], ["accept", "b"]]},
    "the signer's own": {"headers": [["host", "a"]]},
    "its date": {"headers": [["x-amz-date", "a"]]},
    "line break": {"headers": [["accept", "a\nb"]]},
    "no path": {"path": ""},
    "no slash": {"path": "a"},
    "no method": {"method": ""},
    "service in capitals": {"service": "STS"},
    "no service": {"service": ""},
    "a slash in the service": {"service": "sts/aws4"},
}


@pytest.mark.parametrize("name", HEADERS_REFUSED)
def test_headers_refused(rng, name):
    good = random_header(rng)
    assert [a["status"] for a in driver([good, good | HEADERS_REFUSED[name]])] == \
        ["ST_OK", "ST_INVALID"]


# ---- whole clients: where a bucket lives ---------------------------------------------------------

PLACES = [
    ("eu-west-1", {}), ("us-east-1", {}), ("cn-north-1", {}), ("us-gov-west-1", {}),
    ("us-iso-east-1", {}), ("us-isob-east-1", {}),
    ("eu-west-1", {"path_style": True}), ("cn-north-1", {"path_style": True}),
    ("eu-west-1", {"dualstack": True}), ("us-gov-east-1", {"dualstack": True}),
    ("cn-northwest-1", {"dualstack": True}), ("us-west-2", {"fips": True}),
    ("us-gov-west-1", {"fips": True}), ("us-west-2", {"fips": True, "dualstack": True}),
    ("eu-west-1", {"accelerate": True}), ("eu-west-1", {"accelerate": True, "dualstack": True}),
    ("eu-west-1", {"dualstack": True, "path_style": True}),
    ("us-east-1", {"endpoint": "http://localhost:7480", "path_style": True}),
    ("us-east-1", {"endpoint": "https://s3.example.com"}),
]


def client(region, place, cred):
    s3 = {"addressing_style": "path" if place.get("path_style") else "virtual",
          "use_accelerate_endpoint": place.get("accelerate", False),
          "us_east_1_regional_endpoint": "regional"}
    newer = {"request_checksum_calculation": "when_required"}
    known = newer if "request_checksum_calculation" in Config.OPTION_DEFAULTS else {}
    config = Config(signature_version="s3v4", s3=s3, use_fips_endpoint=place.get("fips", False),
                    use_dualstack_endpoint=place.get("dualstack", False), **known)
    session = boto3.session.Session(aws_access_key_id=cred["access_key_id"],
                                    aws_secret_access_key=cred["secret_key"],
                                    aws_session_token=cred["session_token"] or None)
    return session.client("s3", region_name=region, endpoint_url=place.get("endpoint"),
                          config=config)


def operations(rng):
    """(botocore's name, its parameters, method, headers, query)"""
    disposition = f'attachment; filename="{word(rng, 1, 9)}"'
    yield "put_object", {}, "PUT", {}, {}
    yield ("put_object", {"ContentType": "image/png", "ContentLength": 77, "ContentMD5": "eDoxCg==",
                          "CacheControl": "private,  max-age=1", "ContentDisposition": disposition,
                          "Metadata": {"album": "a%20b"}},
           "PUT", {"content-type": "image/png", "content-length": "77", "content-md5": "eDoxCg==",
                   "cache-control": "private,  max-age=1", "content-disposition": disposition,
                   "x-amz-meta-album": "a%20b"}, {})
    yield ("get_object", {"VersionId": "v+1", "ResponseContentDisposition": disposition}, "GET", {},
           {"response-content-disposition": disposition, "versionId": "v+1"})
    yield "head_object", {}, "HEAD", {}, {}
    yield "delete_object", {"VersionId": "x y"}, "DELETE", {}, {"versionId": "x y"}


def in_one_order(url):
    """Parameters sorted: their order in a client's URL is its model's."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc, parts.path, sorted(parts.query.split("&"))


def matching_ask(region, place, cred, url, request):
    """Our ask for what botocore signed just now: its clock is read from its URL."""
    name, _, method, headers, query = request
    date = dict(parse_qsl(urlsplit(url).query))["X-Amz-Date"]
    now = calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
    return cred | place | {"op": "url", "region": region, "now": now, "method": method,
                           "headers": list(headers.items()), "query": list(query.items()),
                           "about": name}


def test_clients(rng, monkeypatch):
    # Some versions presign for the global host name even where a region is configured.
    monkeypatch.setattr("botocore.signers._should_use_global_endpoint", lambda _: False)
    asks, urls = [], []
    for region, place in PLACES:
        cred = credential(rng)
        s3 = client(region, place, cred)
        for request in operations(rng):
            bucket, expires = word(rng, 3, 20, LETTERS.lower()), rng.randint(1, 604800)
            key = word(rng, 1, 3) + odd_text(rng, 20)
            url = s3.generate_presigned_url(
                request[0], Params=request[1] | {"Bucket": bucket, "Key": key}, ExpiresIn=expires)
            asks.append(matching_ask(region, place, cred, url, request) |
                        {"bucket": bucket, "key": key, "expires": expires})
            urls.append(url)
    for ask, url, answer in zip(asks, urls, driver(asks)):
        assert answer["status"] == "ST_OK", f"seed {SEED}: {ask}"
        assert in_one_order(answer["url"]) == in_one_order(url), f"seed {SEED}: {ask}"
