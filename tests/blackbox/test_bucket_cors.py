"""The bucket's CORS rule as the README gives it, and why each member of it is there.

Chromium uploads from a page on an origin of its own: with the whole rule everything works; with one
member taken away exactly the thing fails that the README names.
"""
import base64
import hashlib

import pytest
import readme
from browser import PageServer, open_page
from service import Service, base_config

PAGES = {"/": (b"<!doctype html><meta charset=utf-8><title>upload</title>",
               "text/html; charset=utf-8")}
DATA = "a file"
ASK = {"content_type": "image/png", "content_length": len(DATA), "filename": "a.txt"}
# What a PUT packet can hold that no page may send without leave: a wish or field for each.
MD5 = {"checksum": {"algorithm": "md5",
                    "value": base64.b64encode(hashlib.md5(DATA.encode()).digest()).decode()}}
FIELDS = {"Cache-Control": "private", "Content-Disposition": "attachment",
          "Content-Encoding": "identity"}
NEEDED_BY = {"content-type": {}, "content-md5": MD5, "cache-control": {},
             "content-disposition": {}, "content-encoding": {},
             "x-amz-*": {"metadata": {"album": "42"}}}


FAILED = "network error"  # all that a page learns of what the browser held back


def without(rule, member, value):
    """The rule less one value of a list."""
    return rule | {member: [v for v in rule[member] if v != value]}


def variants(rule):
    """{name of a bucket: its rule}."""
    out = {"whole": rule, "bare": {k: v for k, v in rule.items()
                                   if k in ("AllowedOrigins", "AllowedMethods")}}
    for member in ("AllowedMethods", "AllowedHeaders", "ExposeHeaders"):
        for number, value in enumerate(rule[member]):
            out[f"no-{member.lower()}-{number}"] = without(rule, member, value)
    return out


@pytest.fixture(scope="module")
def page_server():
    with PageServer(PAGES) as server:
        yield server


@pytest.fixture(scope="module")
def rule(page_server):
    return readme.bucket_cors([page_server.origin])["CORSRules"][0]


@pytest.fixture(scope="module")
def api(rgw, store_url, rule):
    """presignd with a bucket, and a profile, for each variant of the rule."""
    buckets, profiles = {}, {}
    for name, variant in variants(rule).items():
        rgw.client().create_bucket(Bucket=name)
        rgw.client().put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [variant]})
        buckets[name] = rgw.bucket_config() | {"bucket": name, "public_endpoint": store_url}
        common = {"bucket": name, "key": "{uuid}", "content_types": ["image/png"],
                  "max_bytes": 1024, "metadata": {"allow": ["album"]}}
        profiles[name] = common
        profiles[f"{name}-fields"] = common | {"fields": FIELDS}
    config = base_config() | {"buckets": buckets, "profiles": profiles, "default_profile": "whole"}
    with Service(config, credentials=rgw.credentials) as s:
        yield s


@pytest.fixture
def page(browser, page_server):
    return open_page(browser, page_server.origin)


SEND = """
    const [packet, data, listen] = args
    return await new Promise(resolve => {
      const request = new XMLHttpRequest()
      if (listen) request.upload.onprogress = () => {}
      request.open(packet.method, packet.url)
      let body = new Blob([data], { type: 'image/png' })
      if (packet.fields) {
        const form = new FormData()
        for (const [name, value] of Object.entries(packet.fields)) form.append(name, value)
        form.append('file', body)
        body = form
      }
      for (const [name, value] of Object.entries(packet.headers ?? {})) {
        if (name !== 'content-length') request.setRequestHeader(name, value)
      }
      request.onload = () => resolve({ status: request.status,
        etag: request.getResponseHeader('ETag') })
      request.onerror = () => resolve(args[3])
      request.send(body)
    })"""


def upload(api, page, profile, method, listen=True, **wish):
    answer = api.ask(ASK | {"profile": profile, "method": method} | wish)
    assert answer.status == 201, answer
    return answer.json, page(SEND, answer.json, DATA, listen, FAILED)


def stored(rgw, packet):
    return rgw.client().list_objects_v2(Bucket=packet["bucket"], Prefix=packet["key"])["KeyCount"]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("profile, wish", [
    ("whole", {}), ("whole", MD5), ("whole", NEEDED_BY["x-amz-*"]), ("whole-fields", {})])
def test_with_the_whole_rule(api, page, method, profile, wish):
    _, sent = upload(api, page, profile, method, **wish)
    assert sent != FAILED and sent["status"] in (200, 204), sent
    # what Ceph answers to a POST has no ETag
    assert sent["etag"] or method == "POST"


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_without_the_method(api, page, rule, rgw, method):
    bucket = f"no-allowedmethods-{rule['AllowedMethods'].index(method)}"
    packet, sent = upload(api, page, bucket, method)
    assert sent == FAILED and stored(rgw, packet) == 0
    other = "PUT" if method == "POST" else "POST"
    assert upload(api, page, bucket, other)[1] != FAILED


def test_a_post_without_progress_arrives_unseen(api, page, rule, rgw):
    """It needs no leave to be sent: without the rule the file is stored, and the page told nothing."""
    bucket = f"no-allowedmethods-{rule['AllowedMethods'].index('POST')}"
    packet, sent = upload(api, page, bucket, "POST", listen=False)
    assert sent == FAILED and stored(rgw, packet) == 1


def test_a_post_needs_no_header(api, page):
    """Its form says everything; only its answer's headers stay hidden."""
    for profile, wish in (("bare", MD5 | NEEDED_BY["x-amz-*"]), ("bare-fields", {})):
        assert upload(api, page, profile, "POST", **wish)[1] != FAILED


def test_every_header_is_needed(api, page, rule, rgw):
    assert set(rule["AllowedHeaders"]) == set(NEEDED_BY)
    for number, header in enumerate(rule["AllowedHeaders"]):
        profile = f"no-allowedheaders-{number}"
        of_fields = header.title() in FIELDS
        packet, sent = upload(api, page, profile + "-fields" * of_fields, "PUT", **NEEDED_BY[header])
        assert any(h.startswith(header.rstrip("*")) for h in packet["headers"]), header
        assert sent == FAILED and stored(rgw, packet) == 0, header


def test_an_etag_that_is_not_exposed(api, page, rule):
    number = rule["ExposeHeaders"].index("ETag")
    assert upload(api, page, f"no-exposeheaders-{number}", "PUT")[1] == {"status": 200, "etag": None}


def test_another_origin(api, browser, rgw):
    with PageServer(PAGES) as stranger:
        page = open_page(browser, stranger.origin)
        for method in ("POST", "PUT"):
            packet, sent = upload(api, page, "whole", method)
            assert sent == FAILED and stored(rgw, packet) == 0
