"""presignd explain: real refusals of a real store, AWS's own words for what that store does not say,
and texts that are none."""
import base64
import email.utils
import json
import time
from datetime import datetime
from urllib.parse import quote

import pytest
from service import Service, run_command, wait_until
from store import call, changed, post, put
from test_store import DATA, MD5, PLAIN, RICH_ASK, granted, store_config

NOW = "2026-11-22T08:00:00Z"
SECRET_TOKEN = "THESESSIONTOKEN+/="


def answer_text(reply, head=True):
    """What curl -i prints of a reply."""
    lines = [f"HTTP/1.1 {reply.status} No"] + [f"{k}: {v}" for k, v in reply.headers.items()]
    return ("\r\n".join(lines).encode() + b"\r\n\r\n" if head else b"") + reply.body


def explain(folder, answer, packet=None, sent=None, *more):
    """(what it says in words, what it says as JSON): neither has a secret of the packet."""
    args = list(more)
    for name, value in (("packet", packet), ("sent", sent)):
        if value is not None:
            (folder / f"{name}.json").write_text(json.dumps(value))
            args += [f"--{name}", folder / f"{name}.json"]
    status, words, err = run_command("explain", *args, stdin=answer)
    assert (status, err) == (0, "")
    status, out, err = run_command("explain", "--json", *args, "-", stdin=answer)
    assert (status, err) == (0, "")
    fields = (packet or {}).get("fields", {})
    for name in ("policy", "x-amz-signature", "x-amz-security-token"):
        assert name not in fields or fields[name] not in words + out
    assert "X-Amz-Signature" not in words + out and SECRET_TOKEN not in words + out
    return words, json.loads(out)


def causes(told):
    return [(f["cause"], f["field"]) for f in told["findings"]]


# ---- a real store --------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def signer(rgw):
    with Service(store_config(rgw), credentials=rgw.session_credentials()) as s:
        yield s


@pytest.fixture(scope="module")
def form(signer):
    return granted(signer, RICH_ASK | {"method": "POST"})


@pytest.fixture(scope="module")
def url(signer):
    return granted(signer, RICH_ASK | {"method": "PUT"})


FORMS = {
    "another type": ({"Content-Type": "text/html"}, ("condition_failed", "Content-Type"),
                     '"text/plain", sent was "text/html"'),
    "another key": ({"key": "x"}, ("condition_failed", "key"), 'sent was "x"'),
    "no key": ({"key": None}, ("missing_field", "key"), "was not sent"),
    "no type": ({"Content-Type": None}, ("missing_field", "Content-Type"), "was not sent"),
    "no header field": ({"Cache-Control": None}, ("missing_field", "Cache-Control"),
                        'as the packet has it: "private, max-age=60"'),
    "one more": ({"x-amz-meta-z": "1"}, ("extra_field", "x-amz-meta-z"), "Leave it out"),
    "a control in it": ({"x-amz-meta-note": "\x1b[2J"}, ("condition_failed", "x-amz-meta-note"),
                        "\\u001b[2J"),
    "another signature": ({"x-amz-signature": "0" * 64}, ("condition_failed", "x-amz-signature"),
                          "byte for byte"),
    "no signature": ({"x-amz-signature": None}, ("missing_field", "x-amz-signature"), "not sent"),
    "no policy": ({"policy": None}, ("missing_field", "policy"), "was not sent"),
    "no policy, but some": ({"policy": "!!!"}, ("condition_failed", "policy"), "byte for byte"),
    "no token": ({"x-amz-security-token": None}, ("missing_field", "x-amz-security-token"),
                 "byte for byte"),
    "another token": ({"x-amz-security-token": "x"}, ("condition_failed", "x-amz-security-token"),
                      "byte for byte"),
}


@pytest.mark.parametrize("changes, cause, words", [pytest.param(*r, id=n) for n, r in FORMS.items()])
def test_a_wrong_form(tmp_path, form, changes, cause, words):
    reply = post(form, DATA, changes)
    assert reply.status >= 400
    sent = changed(form["fields"], changes)
    text, told = explain(tmp_path, answer_text(reply), form, sent)
    assert causes(told) == [cause], told
    assert words in text and "\x1b" not in text
    assert told["status"] == reply.status and told["code"] == reply.code
    assert told["packet"]["ended"] is False
    if cause[1] in reply.body.decode():
        assert causes(explain(tmp_path, answer_text(reply, False), form)[1]) == [cause]


@pytest.mark.parametrize("data, cause, words", [
    (DATA + b"x", "file_too_large", f"exactly {len(DATA)} bytes; {len(DATA) + 1} were sent"),
    (DATA[1:], "file_too_small", f"exactly {len(DATA)} bytes; {len(DATA) - 1} were sent")],
    ids=["larger", "smaller"])
def test_a_wrong_size(tmp_path, form, data, cause, words):
    reply = post(form, data)
    text, told = explain(tmp_path, answer_text(reply), form, form["fields"], "--size", len(data))
    assert causes(told) == [(cause, "")] and words in text
    text, told = explain(tmp_path, answer_text(reply), form)
    assert causes(told) == [(cause, "")] and f"exactly {len(DATA)} bytes" in text


@pytest.mark.parametrize("send", [post, put])
def test_an_ended_packet(tmp_path, signer, send):
    packet = granted(signer, PLAIN | {"expires_in": 1, "method": send.__name__.upper()})

    def refused():
        """The store's reply, once it is dated after the end: it may be a second behind itself."""
        reply = send(packet, DATA)
        if reply.status < 400:
            return None
        answered = email.utils.parsedate_to_datetime(reply.headers["date"])
        return answered >= datetime.fromisoformat(packet["expires_at"]) and reply

    reply = wait_until(refused)
    text, told = explain(tmp_path, answer_text(reply), packet)
    assert causes(told) == [("packet_ended", "")] and packet["expires_at"] in text
    assert "before the store answered" in text and "Idempotency-Key" in text
    assert told["packet"]["ended"] is True and told["packet"]["ends_at"] == packet["expires_at"]


HEADERS = {
    "another type": ({"content-type": "text/html"}, ("condition_failed", "content-type")),
    "one less": ({"x-amz-meta-note": None}, ("missing_field", "x-amz-meta-note")),
}


@pytest.mark.parametrize("changes, cause", [pytest.param(*r, id=n) for n, r in HEADERS.items()])
def test_wrong_headers(tmp_path, url, changes, cause):
    reply = put(url, DATA, changes)
    assert reply.status == 403
    told = explain(tmp_path, answer_text(reply), url, changed(url["headers"], changes))[1]
    assert causes(told) == [cause]
    assert told["packet"]["key"] == url["key"] and told["packet"]["method"] == "PUT"


def test_a_put_of_another_size(tmp_path, url):
    reply = put(url, DATA + b"x")
    told = explain(tmp_path, answer_text(reply), url, None, "--size", len(DATA) + 1)[1]
    assert causes(told) == [("file_too_large", "")]


def test_another_file(tmp_path, signer):
    packet = granted(signer, PLAIN | {"profile": "summed", "method": "PUT",
                                      "checksum": {"algorithm": "md5", "value": MD5}})
    reply = put(packet, b"X" + DATA[1:])
    assert causes(explain(tmp_path, answer_text(reply), packet)[1]) == [("checksum_failed", "")]


def test_another_bucket(tmp_path, form):
    reply = post(form, DATA, url=form["url"].replace(form["bucket"], "elsewhere-x"))
    text, told = explain(tmp_path, answer_text(reply), form)
    assert causes(told) == [("no_such_bucket", "")] and '"elsewhere-x"' in text
    assert f'the packet is for "{form["bucket"]}"' in text


def test_no_form(tmp_path, form):
    reply = call("POST", form["url"], b"{}", {"Content-Length": "2",
                                              "Content-Type": "application/json"})
    assert causes(explain(tmp_path, answer_text(reply), form)[1]) == [("malformed_form", "")]


def test_credentials_of_nobody(tmp_path, rgw):
    with Service(store_config(rgw)) as s:
        packet = granted(s, PLAIN | {"method": "PUT"})
        reply = put(packet, DATA)
        text, told = explain(tmp_path, answer_text(reply), packet, packet["headers"])
    assert causes(told) == [("access_key_unknown", "")]
    assert told["packet"]["access_key_id"] in text and told["packet"]["temporary"] is False
    assert told["packet"]["scope_date"] == time.strftime("%Y%m%d", time.gmtime()) \
        and told["packet"]["region"] == rgw.region


# ---- AWS's words ---------------------------------------------------------------------------------

def policy(*conditions, expiration="2026-11-22T08:15:00Z"):
    text = json.dumps({"expiration": expiration, "conditions": list(conditions)})
    return base64.b64encode(text.encode()).decode()


def made_packet(**fields):
    return {"url": "https://b.s3.eu-west-1.amazonaws.com/", "bucket": "b", "key": "k", "fields": {
        "key": "k", "Content-Type": "image/png",
        "x-amz-credential": "AKIDEXAMPLE/20261122/eu-west-1/s3/aws4_request",
        "x-amz-date": "20261122T075900Z", "x-amz-security-token": SECRET_TOKEN,
        "policy": policy({"bucket": "b"}, ["eq", "$key", "k"],
                         ["starts-with", "$Content-Type", "image/"],
                         ["content-length-range", 1, 100],
                         {"x-amz-security-token": SECRET_TOKEN}),
        "x-amz-signature": "5" * 64} | fields}


PUT_PACKET = {
    "url": "https://b.s3.eu-west-1.amazonaws.com/k?X-Amz-Algorithm=AWS4-HMAC-SHA256"
           "&X-Amz-Credential=AKIDEXAMPLE%2F20261122%2Feu-west-1%2Fs3%2Faws4_request"
           "&X-Amz-Date=20261122T075900Z&X-Amz-Expires=900&X-Amz-SignedHeaders=content-type%3Bhost"
           "&X-Amz-Signature=" + "5" * 64,
    "headers": {"content-type": "image/png", "content-length": "5"}}


def xml(code, message="", more=""):
    return (f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>'
            f"<Message>{message}</Message>{more}<RequestId>R1</RequestId></Error>").encode()


AWS = {
    "condition": (xml("AccessDenied", 'Invalid according to Policy: Policy Condition failed: '
                      '["starts-with", "$Content-Type", "image/"]'),
                  [("condition_failed", "Content-Type")], 'signed is "image/png" as its beginning'),
    "extra": (xml("AccessDenied", "Invalid according to Policy: Extra input fields: x-amz-meta-a"),
              [("extra_field", "x-amz-meta-a")], "Leave it out"),
    "ended": (xml("AccessDenied", "Invalid according to Policy: Policy expired."),
              [("packet_ended", "")], "has ended"),
    "size": (xml("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size",
                 "<ProposedSize>101</ProposedSize><MaxSizeAllowed>100</MaxSizeAllowed>"),
             [("file_too_large", "")], "1 to 100 bytes; 101 were sent"),
    "token": (xml("ExpiredToken", "The provided token has expired.",
                  f"<Token-0>{SECRET_TOKEN}</Token-0>"), [("credentials_ended", "")], "readyz"),
    "region": (xml("AuthorizationHeaderMalformed",
                   "the region 'eu-west-1' is wrong; expecting 'us-east-2'",
                   "<Region>us-east-2</Region>"),
               [("wrong_region", "")], '"us-east-2"; the packet was signed for "eu-west-1"'),
    "region by its message": (
        xml("AuthorizationQueryParametersError", "Error parsing the X-Amz-Credential parameter; the "
            "region 'eu-west-1' is wrong; expecting 'us-east-2'"), [("wrong_region", "")],
        'Set "region": "us-east-2"'),
    "region by a header": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 301 Moved Permanently\r\n"
        b"x-amz-bucket-region: us-east-2\r\n\r\n" + xml("PermanentRedirect"),
        [("wrong_region", "")], 'Set "region": "us-east-2"'),
    "region, address only": (
        xml("PermanentRedirect", "", "<Endpoint>b.s3.us-east-2.amazonaws.com</Endpoint>"),
        [("wrong_region", "")], '"b.s3.us-east-2.amazonaws.com"'),
    "clock": (xml("RequestTimeTooSkewed", "", "<ServerTime>2026-11-22T07:29:00Z</ServerTime>"),
              [("clock_skew", "")], "30 min after the store answered"),
    "permission": (xml("AccessDenied", "User: arn:aws:iam::1:user/x is not authorized to perform: "
                       "s3:PutObject on resource: y because no identity-based policy allows it"),
                   [("not_permitted", "")], "s3:PutObject on the prefix"),
    "deny": (xml("AccessDenied", "User: x is not authorized to perform: s3:PutObject on resource: y "
                 "with an explicit deny in a resource-based policy"),
             [("not_permitted", "")], "s3:signatureAge"),
    "no reason": (xml("AccessDenied", "Access Denied"), [("denied", "")], "secret key"),
    "key of KMS": (xml("KMS.DisabledException"), [("encryption_key", "")], "kms:GenerateDataKey"),
    "checksum": (xml("XAmzContentChecksumMismatch"), [("checksum_failed", "")], "new packet"),
    "busy": (xml("SlowDown"), [("store_busy", "")], "growing pauses"),
    "form": (xml("MalformedPOSTRequest"), [("malformed_form", "")], "FormData"),
    "method": (xml("MethodNotAllowed"), [("wrong_method", "")], '"post": false'),
    "ACL": (xml("AccessControlListNotSupported"), [("acl_not_supported", "")], '"acl"'),
    "unknown": (xml("SomethingElse", "Words."), [("unknown", "")], '"Words."'),
    "no XML": (b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html><p>oops<br></html>", [("unknown", "")], "502"),
    "no body": (b"HTTP/2 403 \r\nserver: x\r\n\r\n", [("unknown", "")], "403"),
}


@pytest.mark.parametrize("answer, want, words", [pytest.param(*r, id=n) for n, r in AWS.items()])
def test_words_of_aws(tmp_path, answer, want, words):
    text, told = explain(tmp_path, answer, made_packet(), None, "--now", NOW)
    assert causes(told) == want and words in text, text
    assert causes(explain(tmp_path, answer)[1])[0][0] == want[0][0]


def test_what_the_store_saw(tmp_path):
    seen = "PUT\n/k\nX-Amz-Algorithm=x\ncontent-length:5\ncontent-type:text/html\n\ncontent-type\nU"
    answer = xml("SignatureDoesNotMatch", "", "<AWSAccessKeyId>AKIDEXAMPLE</AWSAccessKeyId>"
                 f"<CanonicalRequest>{seen}</CanonicalRequest>")
    text, told = explain(tmp_path, answer, PUT_PACKET, None, "--now", NOW)
    assert causes(told) == [("condition_failed", "content-type")]
    assert 'was signed as "image/png", and reached the store as "text/html"' in text
    assert told["access_key_id"] == "AKIDEXAMPLE" and told["packet"]["ends_at"] == \
        "2026-11-22T08:14:00Z"


def test_headers_that_were_not_signed(tmp_path):
    answer = xml("AccessDenied", "There were headers present in the request which were not signed",
                 "<HeadersNotSigned>x-amz-acl, x-amz-meta-a</HeadersNotSigned>")
    told = explain(tmp_path, answer, PUT_PACKET, None, "--now", NOW)[1]
    assert causes(told) == [("extra_field", "x-amz-acl"), ("extra_field", "x-amz-meta-a")]


@pytest.mark.parametrize("message, second, says", [
    ("Policy expired", 58, "0 s before the store answered"), ("Policy expired", 57, "has ended"),
    ("", 59, "gives no reason")], ids=["a moment before", "long before", "not told"])
def test_an_answer_dated_before_the_end(tmp_path, message, second, says):
    head = f"HTTP/1.1 403 x\r\nDate: Sun, 22 Nov 2026 08:14:{second} GMT\r\n\r\n".encode()
    text, told = explain(tmp_path, head + xml("AccessDenied", message), made_packet(), None,
                         "--now", NOW)
    assert says in text and len(told["findings"]) == 1


def test_when_it_ends(tmp_path):
    packet, answer = made_packet(), xml("SlowDown")
    text, told = explain(tmp_path, answer, packet, None, "--now", "2026-11-22T08:14:59Z")
    assert "ends        2026-11-22T08:15:00Z, in 1 s" in text and not told["packet"]["ended"]
    text, told = explain(tmp_path, answer, packet, None, "--now", "2026-11-22T08:15:00Z")
    assert "ended       2026-11-22T08:15:00Z, 0 s ago" in text and told["packet"]["ended"]
    assert causes(told) == [("store_busy", ""), ("packet_ended", "")]


POLICIES = {
    "no base64": ("eyJ", "base64"), "no JSON": ("QUFB", "JSON"),
    "no expiration": (base64.b64encode(b'{"conditions":[]}').decode(), "expiration"),
    "odd condition": (policy(["gt", "$key", "a"]), "no store understands"),
    "two in one": (policy({"a": "b", "c": "d"}), "no store understands"),
    "range of texts": (policy(["content-length-range", "1", "2"]), "no store understands"),
    "no dollar": (policy(["eq", "key", "a"]), "no store understands"),
    "too many": (policy(*[{f"x{i}": "y"} for i in range(200)]), "no store understands"),
}


@pytest.mark.parametrize("text, why", [pytest.param(*r, id=n) for n, r in POLICIES.items()])
def test_a_broken_policy(tmp_path, text, why):
    words, told = explain(tmp_path, xml("InvalidPolicyDocument"), made_packet(policy=text), None,
                          "--now", NOW)
    assert causes(told) == [("policy_changed", "policy")] and why in words


def test_packets_of_the_published_patterns(tmp_path):
    dialects = [{"presigned_post": made_packet()}, {"uploadUrl": PUT_PACKET["url"], "key": "k"},
                {"presignedUrl": PUT_PACKET["url"], "headers": {}}]
    for packet in dialects:
        told = explain(tmp_path, xml("SlowDown"), packet, None, "--now", NOW)[1]
        assert told["packet"]["access_key_id"] == "AKIDEXAMPLE"
        assert told["packet"]["region"] == "eu-west-1"


# ---- what is none --------------------------------------------------------------------------------

ANSWERS = {
    "empty": (b"", "empty"), "words": (b"not found", "no XML"), "cut": (b"<Error><Code>A", "no XML"),
    "DTD": (b'<!DOCTYPE x [<!ENTITY a "b">]><Error><Code>&a;</Code></Error>', "document type"),
    "deep": (b"<a>" * 40, "too deeply"), "large": (b" " * 400000, "too large"),
    "long": (b"<Error><Code>" + b"x" * 100000 + b"</Code></Error>", "too large"),
    "good": (b"HTTP/1.1 204 No Content\r\n\r\n", "no refusal"),
    "created": (b"<PostResponse><Key>k</Key></PostResponse>", "no refusal"),
    "bytes": (bytes(range(256)), "no XML"),
}


@pytest.mark.parametrize("answer, why", [pytest.param(*r, id=n) for n, r in ANSWERS.items()])
def test_no_answer(answer, why):
    status, out, err = run_command("explain", stdin=answer)
    assert (status, out) == (1, "") and why in err, err


PACKETS = {
    "words": ("x", "no JSON"), "list": ("[]", "no packet"), "nothing": ("{}", "no packet"),
    "batch": ('{"uploads": []}', "batch"), "url alone": ('{"url": "https://b/"}', "no packet"),
    "refusal": ('{"code": "file_too_large", "detail": "At most 5 bytes."}', "At most 5 bytes."),
    "twice": ('{"url": "a", "url": "b"}', "no JSON"),
    "fields of lists": ('{"url": "a", "fields": {"a": []}}', "strings"),
    "large": ('{"url": "' + "x" * 300000 + '"}', "too large"),
}


@pytest.mark.parametrize("packet, why", [pytest.param(*r, id=n) for n, r in PACKETS.items()])
def test_no_packet(tmp_path, packet, why):
    (tmp_path / "p").write_text(packet)
    status, out, err = run_command("explain", "--packet", tmp_path / "p", stdin=xml("SlowDown"))
    assert (status, out) == (1, "") and why in err, err


def test_no_sent(tmp_path):
    (tmp_path / "s").write_text('{"a": {}}')
    status, out, err = run_command("explain", "--sent", tmp_path / "s", stdin=xml("SlowDown"))
    assert (status, out) == (1, "") and "strings" in err
    status, out, err = run_command("explain", "--sent", "/nowhere", stdin=xml("SlowDown"))
    assert (status, out) == (1, "") and "/nowhere" in err


@pytest.mark.parametrize("args", [("--now", "soon"), ("--size", "-1"), ("a", "b"), ("--packet",),
                                  ("--nope",)])
def test_wrong_usage(args):
    status, out, err = run_command("explain", *args, stdin=b"")
    assert (status, out) == (2, "") and "usage: presignd explain" in err


# ---- a store that repeats what it was sent -------------------------------------------------------

LONG_TOKEN = SECRET_TOKEN + "and/more+of+it==" * 20
ECHOES = {
    "token": LONG_TOKEN,
    "token, cut": LONG_TOKEN[:40],
    "token in a URL": quote(LONG_TOKEN, safe=""),
    "token in a URL, lower case": quote(LONG_TOKEN, safe="").replace("%2F", "%2f"),
    "policy": made_packet()["fields"]["policy"],
    "signature": "5" * 64,
}
PLACES = {
    "message": xml("InvalidToken", "got ECHO."),
    "code": xml("InvalidToken ECHO", "got it."),
    "region": xml("PermanentRedirect", "", "<Region>ECHO</Region>"),
    "header": b"HTTP/1.1 301 Moved\r\nx-amz-bucket-region: ECHO\r\n\r\n" + xml("PermanentRedirect"),
    "unsigned header": xml("AccessDenied", "There were headers present in the request which were not"
                           " signed", "<HeadersNotSigned>x-ECHO</HeadersNotSigned>"),
    "bucket": xml("NoSuchBucket", "", "<BucketName>ECHO</BucketName>"),
}


@pytest.mark.parametrize("place", PLACES)
def test_an_echo_shows_no_secret(tmp_path, place):
    packet = made_packet(**{"x-amz-security-token": LONG_TOKEN})
    for name, echo in ECHOES.items():
        text, told = explain(tmp_path, PLACES[place].replace(b"ECHO", echo.encode()), packet)
        for shown in (text, json.dumps(told)):
            assert echo[:20] not in shown and echo[-12:] not in shown, name
            assert place == "code" or "(not shown)" in shown, name


def test_an_echo_of_a_signed_url(tmp_path):
    """The token is of the URL alone, and comes back decoded, or as it was."""
    token = quote(LONG_TOKEN, safe="")
    packet = PUT_PACKET | {"url": PUT_PACKET["url"] + "&X-Amz-Security-Token=" + token}
    for echo in (LONG_TOKEN, token, "5" * 64):
        text, told = explain(tmp_path, xml("InvalidToken", f"got {echo}."), packet)
        assert told["message"] == "got (not shown)" and '"got (not shown)"' in text


def test_an_echo_of_what_was_sent(tmp_path):
    """It is another's packet, perhaps: no less secret."""
    told = explain(tmp_path, xml("InvalidToken", f"got {LONG_TOKEN} here"), made_packet(),
                   {"X-Amz-Security-Token": LONG_TOKEN})[1]
    assert told["message"] == "got (not shown) here"
