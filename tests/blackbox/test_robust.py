"""What an attacker sends, byte by byte, to the running program.

After every test the program must still answer, hold no descriptor more than before, and have grown
by no more than a bounded amount. Deadlines are set short by configuration.
"""
import json
import os
import random
import select
import socket
import struct
import time
from pathlib import Path

import pytest
from service import BIN, Service, base_config, read_raw, wait_until

HEADER_S, BODY_S, IDLE_S = 1, 1, 2
EARLY_S = 0.1  # two clocks, and deadlines in whole milliseconds, may disagree by this
LATE_S = 6  # a deadline that has not come by then was missed, even on a busy machine
BODY_BYTES, HEADER_BYTES = 4096, 8192
CONNECTIONS = 1500
GROWTH_KIB = 48 * 1024
SEED = int(os.environ.get("PRESIGND_SEED", random.SystemRandom().randrange(1 << 32)))
MUTANTS, AT_ONCE = 1000, 200

ASK = json.dumps({"content_type": "image/png", "content_length": 1}).encode()
SMUGGLED = b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Request-Id: smuggled\r\n\r\n"


def sanitized():
    program = BIN.read_bytes()
    return any(name in program for name in (b"__asan_init", b"__tsan_init"))


def robust_config(**more):
    limits = {"header_timeout_s": HEADER_S, "body_timeout_s": BODY_S, "idle_timeout_s": IDLE_S,
              "body_bytes": BODY_BYTES, "header_bytes": HEADER_BYTES, "connections": CONNECTIONS}
    return base_config(limits=limits | more, log={"access": False}, ledger={"backend": "none"})


def descriptors(service):
    return len(os.listdir(f"/proc/{service.pid}/fd"))


def resident_kib(service):
    lines = Path(f"/proc/{service.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


@pytest.fixture(scope="module")
def strong():
    with Service(robust_config()) as s:
        assert s.ask({"content_type": "image/png", "content_length": 1}).status == 201
        # the connection that asks for this is the only one
        wait_until(lambda: s.metrics()["presignd_connections_open"] == 1)
        s.first_kib, s.first_fds = resident_kib(s), descriptors(s)
        yield s


@pytest.fixture(autouse=True)
def unharmed(strong):
    yield
    assert strong.get("/livez").status == 200
    wait_until(lambda: descriptors(strong) <= strong.first_fds)
    assert strong.process.poll() is None
    if not sanitized():
        assert resident_kib(strong) <= strong.first_kib + GROWTH_KIB


def connect(service):
    return socket.create_connection(("127.0.0.1", service.port), timeout=20)


def head(service, *lines, request=b"POST /v1/uploads HTTP/1.1", host=b"Host: x",
         kind=b"Content-Type: application/json", token=True):
    """A request's head whose lines, but for the ones given, are good."""
    auth = b"Authorization: Bearer " + service.token().encode() if token else b""
    every = [request, host, auth, kind, *lines]
    return b"\r\n".join(line for line in every if line) + b"\r\n\r\n"


def length(body):
    return b"Content-Length: %d" % len(body)


def good(service):
    return head(service, length(ASK)) + ASK


def statuses(data):
    """The statuses of all answers in these bytes, told by their lengths."""
    out = []
    while data:
        status, headers, rest = read_raw(data)
        out.append(status)
        size = int(dict(headers).get("content-length", 0))
        assert len(rest) >= size
        data = rest[size:]
    return out


def refused(got, *more):
    """400, or one of these, and nothing else was answered. The library refuses some by itself, and
    closes then: with an answer, with its head sent twice (0.9.75), or with none."""
    assert not got or got.startswith(b"HTTP/1.1 "), got
    assert not got or int(got.split()[1]) in (400, *more), got
    assert b"HTTP/1.1 2" not in got and b"smuggled" not in got, got
    return True


def test_the_good_request_is_good(strong):
    """What the tests below change one thing in."""
    assert statuses(strong.raw(good(strong))) == [201]
    assert statuses(strong.raw(good(strong) + SMUGGLED)) == [201, 200]


# ---- one message, two readings -------------------------------------------------------------------

CHUNKED = b"Transfer-Encoding: chunked"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(ASK), ASK)
LENGTH = b"Content-Length: %d" % len(ASK)
TWO_WAYS = {
    "length and chunked": ([LENGTH, CHUNKED], ASK),
    "chunked and length": ([CHUNKED, LENGTH], CHUNKS),
    "chunked and no length at all": ([CHUNKED, b"Content-Length: 0"], CHUNKS),
    "length twice, the same": ([LENGTH, LENGTH], ASK),
    "length twice": ([LENGTH, b"Content-Length: 0"], ASK),
    "length as a list": ([LENGTH + b", %d" % len(ASK)], ASK),
    "length with a sign": ([b"Content-Length: +%d" % len(ASK)], ASK),
    "negative length": ([b"Content-Length: -1"], ASK),
    "hexadecimal length": ([b"Content-Length: 0x%x" % len(ASK)], ASK),
    "length with a blank": ([b"Content-Length: 4 8"], ASK),
    "length with a fraction": ([LENGTH + b".0"], ASK),
    "empty length": ([b"Content-Length:"], ASK),
    "length beyond 64 bits": ([b"Content-Length: 18446744073709551664"], ASK),
    "length name in two cases": ([LENGTH, LENGTH.lower()], ASK),
    "identity": ([b"Transfer-Encoding: identity", LENGTH], ASK),
    "gzip, chunked": ([b"Transfer-Encoding: gzip, chunked"], CHUNKS),
    "chunked, chunked": ([b"Transfer-Encoding: chunked, chunked"], CHUNKS),
    "chunked twice": ([CHUNKED, CHUNKED], CHUNKS),
    "xchunked": ([b"Transfer-Encoding: xchunked"], CHUNKS),
    "quoted chunked": ([b'Transfer-Encoding: "chunked"'], CHUNKS),
    "chunked after a vertical tab": ([b"Transfer-Encoding: \x0bchunked"], CHUNKS),
    "chunked before a blank": ([b"Transfer-Encoding: chunked ", LENGTH], ASK),
    "name before a blank": ([b"Transfer-Encoding : chunked", LENGTH], ASK),
    "length name before a blank": ([b"Content-Length : 0", LENGTH], ASK),
    "name before a tab": ([b"Transfer-Encoding\t: chunked", LENGTH], ASK),
    "folded chunked": ([b"Transfer-Encoding:\r\n chunked", LENGTH], ASK),
    "folded line": ([b"X-A: b\r\n c", LENGTH], ASK),
    "folded into a name": ([b"Author: b\r\n ization", LENGTH], ASK),
    "bare LF": ([b"X-A: b\nX-C: d", LENGTH], ASK),
    "chunked behind a bare LF": ([b"X-A: b\nTransfer-Encoding: chunked", LENGTH], ASK),
    "chunked behind a bare CR": ([b"X-A: b\rTransfer-Encoding: chunked", LENGTH], ASK),
    "NUL in a value": ([b"X-A: b\0c", LENGTH], ASK),
    "NUL in a name": ([b"X-A\0B: c", LENGTH], ASK),
    "NUL in a length": ([LENGTH + b"\0"], ASK),
    "no colon": ([b"X-A", LENGTH], ASK),
    "no name": ([b": x", LENGTH], ASK),
    "blank in a name": ([b"X A: b", LENGTH], ASK),
    "name outside ASCII": ([b"X-\xc3\xa4: b", LENGTH], ASK),
    "control in a value": ([b"X-A: \x01", LENGTH], ASK),
    "Host twice": ([b"Host: y", LENGTH], ASK),
    "Authorization twice": ([b"Authorization: Bearer x", LENGTH], ASK),
    "Content-Type twice": ([b"Content-Type: text/plain", LENGTH], ASK),
    "Origin twice": ([b"Origin: https://a.test", b"Origin: https://app.test", LENGTH], ASK),
    "65 more lines": ([b"X-%d: a" % i for i in range(65)] + [LENGTH], ASK),
}


@pytest.mark.parametrize("name", TWO_WAYS)
def test_a_message_that_two_parties_may_read_differently(strong, name):
    lines, body = TWO_WAYS[name]
    assert refused(strong.raw(head(strong, *lines) + body + SMUGGLED), 413)


@pytest.mark.parametrize("request_line, host", [
    (b"POST /v1/uploads HTTP/1.1", b""), (b"POST /v1/uploads HTTP/1.1", b"Host: a b"),
    (b"POST /v1/uploads HTTP/1.1", b"Host: x/y"), (b"POST /v1/uploads HTTP/1.1", b"Host: u@x"),
    (b"POST /v1/uploads HTTP/2.0", b"Host: x"), (b"POST /v1/uploads HTTP/1.2", b"Host: x"),
    (b"POST /v1/uploads http/1.1", b"Host: x"), (b"POST /v1/uploads", b"Host: x"),
    (b"POST  /v1/uploads HTTP/1.1", b"Host: x"), (b"POST /v1/uploads x HTTP/1.1", b"Host: x"),
    (b"POST\t/v1/uploads\tHTTP/1.1", b"Host: x"), (b" POST /v1/uploads HTTP/1.1", b"Host: x"),
    (b"POST /v1/uploads\0 HTTP/1.1", b"Host: x"), (b"POST /v1/uploads%00 HTTP/1.1", b"Host: x"),
    (b"POST http://x/v1/uploads HTTP/1.1", b"Host: x"), (b"OPTIONS * HTTP/1.1", b"Host: x"),
    (b"CONNECT x:80 HTTP/1.1", b"Host: x"), (b"POST v1/uploads HTTP/1.1", b"Host: x"),
    (b"POST /v1/uploads#a HTTP/1.1", b"Host: x"), (b"POST /v1/\xc3\xa4 HTTP/1.1", b"Host: x"),
    (b"P(ST /v1/uploads HTTP/1.1", b"Host: x")])
def test_request_lines_and_hosts(strong, request_line, host):
    assert refused(strong.raw(head(strong, LENGTH, request=request_line, host=host) + ASK), 505)


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("lines, body", [([LENGTH], ASK), ([CHUNKED], CHUNKS)])
def test_a_body_where_none_belongs(strong, method, lines, body):
    """Else the body would be read as the next request by whoever ignores it."""
    got = strong.raw(head(strong, *lines, request=method + b" /livez HTTP/1.1") + body + SMUGGLED)
    assert got.startswith(b"HTTP/1.1 400 ") and got.count(b"HTTP/1.1 ") == 1


def test_chunked_on_the_old_version(strong):
    assert refused(strong.raw(head(strong, CHUNKED, request=b"POST /v1/uploads HTTP/1.0") + CHUNKS))


@pytest.mark.parametrize("chunks", [
    b"x\r\n", b"-1\r\nab\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", b"ffffffffffffffffff\r\na",
    b"fffffffffffffff0\r\na", b"5\r\nhelloworld\r\n0\r\n\r\n", b"\r\n\r\n", b"5 5\r\nhello\r\n",
    b";a=b\r\n", b"\x00\r\n", b"5\r\nhello0\r\n\r\n"])
def test_broken_chunks(strong, chunks):
    assert refused(strong.raw(head(strong, CHUNKED) + chunks + SMUGGLED), 413)


@pytest.mark.parametrize("line", [b"%x\n", b"%x;a\n", b"%x;a=b\n", b"%x;a=\"\n"])
def test_no_request_behind_lenient_chunks(strong, line):
    """Who takes the LF for a part of the extension sees another end of this message."""
    chunks = line % len(ASK) + ASK + b"\r\n0\r\n\r\n"
    got = strong.raw(head(strong, CHUNKED) + chunks + SMUGGLED)
    assert got.count(b"HTTP/1.1 ") <= 2 and b"smuggled" not in got and b"not_found" not in got
    assert not got or b"connection: close\r\n" in got.lower()


@pytest.mark.parametrize("data", [
    pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
    pytest.param(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + SMUGGLED, id="PROXY 1"),
    pytest.param(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12) + SMUGGLED, id="PROXY 2"),
    pytest.param(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(512), id="TLS"),
    pytest.param(bytes(4096), id="NULs"), pytest.param(b"\r\n" * 4096, id="empty lines"),
    pytest.param(b"\xff" * 4096, id="bytes"), pytest.param(b"GET / HTTP/0.9\r\n\r\n", id="0.9"),
    pytest.param(b"GET /livez\r\n\r\n", id="no version"), pytest.param(b" " * 9000, id="blanks"),
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", id="an answer"),
    pytest.param(b"*1\r\n$4\r\nPING\r\n", id="Redis"),
    pytest.param(b"EHLO a\r\nMAIL FROM:<a>\r\n", id="SMTP")])
def test_other_protocols(strong, data):
    got = strong.raw(data)
    assert b" 200 " not in got and b" 201 " not in got


# ---- too much ------------------------------------------------------------------------------------

@pytest.mark.parametrize("lines, body, status", [
    pytest.param([b"X-A: " + b"a" * HEADER_BYTES], b"", 431, id="one long header"),
    pytest.param([b"X-%d: " % i + b"a" * 200 for i in range(40)], b"", 431, id="40 headers"),
    pytest.param([b"Content-Length: 9223372036854775807"], b"", 413, id="a very large one"),
    pytest.param([b"Content-Length: %d" % (BODY_BYTES + 1)], bytes(BODY_BYTES + 1), 413,
                 id="a body sent"),
    pytest.param([CHUNKED], b"%x\r\n%s\r\n0\r\n\r\n" % (BODY_BYTES + 1, b" " * (BODY_BYTES + 1)),
                 413, id="a chunk"),
    pytest.param([CHUNKED], b"1\r\n \r\n" * (BODY_BYTES + 1) + b"0\r\n\r\n", 413,
                 id="many chunks"),
    pytest.param([], b"", 411, id="no length")])
def test_too_much(strong, lines, body, status):
    got = strong.raw(head(strong, *lines) + body)
    assert statuses(got)[:1] == [status], got[:300]


def test_a_long_target(strong):
    for size, status in ((2048, 404), (2049, 414), (6000, 414)):
        target = b"/" + b"a" * (size - 1)
        got = strong.raw(head(strong, LENGTH, request=b"POST " + target + b" HTTP/1.1") + ASK)
        assert statuses(got)[:1] == [status], (size, got[:200])


@pytest.mark.parametrize("first, piece", [
    (b"", b"A" * 4096), (b"GET /", b"a" * 4096), (b"GET / HTTP/1.1\r\nX: ", b"a" * 4096),
    (b"GET / HTTP/1.1\r\n", b"X: a\r\n" * 700), (b"", b"\r\n" * 2048),
    (b"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
     b"1\r\na\r\n" * 700),
    (b"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n", bytes(4096))],
    ids=["line", "target", "value", "lines", "nothing", "chunks", "body"])
def test_a_stream_without_end(strong, first, piece):
    """The server ends it long before 64 MiB have passed."""
    with connect(strong) as c:
        c.sendall(first)
        with pytest.raises(OSError):
            for _ in range(64 * 256):
                c.sendall(piece)


# ---- too slow ------------------------------------------------------------------------------------

def trickle(service, first, drip):
    """The seconds until the server ends a connection on which a byte comes now and then."""
    with connect(service) as c:
        start = time.monotonic()
        c.sendall(first)
        while time.monotonic() < start + LATE_S:
            try:
                if select.select([c], [], [], 0.1)[0] and not c.recv(65536):
                    return time.monotonic() - start
                c.sendall(drip)
            except (ConnectionResetError, BrokenPipeError):
                return time.monotonic() - start
    raise AssertionError("it was never ended")


def test_slow_header(strong):
    assert trickle(strong, b"GET /livez HTTP/1.1\r\nHost: x\r\n", b"X: a\r\n") >= HEADER_S - EARLY_S
    assert trickle(strong, b"", b"a") >= HEADER_S - EARLY_S


def test_slow_body(strong):
    assert trickle(strong, head(strong, b"Content-Length: 4000"), b" ") >= BODY_S - EARLY_S
    assert trickle(strong, head(strong, CHUNKED), b"1\r\n \r\n") >= BODY_S - EARLY_S


def test_slow_second_request(strong):
    first = head(strong, request=b"GET /livez HTTP/1.1")
    assert trickle(strong, first + b"GET /livez", b"a") >= HEADER_S - EARLY_S


@pytest.mark.parametrize("first, at_least", [(b"", HEADER_S), (b"G", HEADER_S),
                                             (b"GET /livez HTTP/1.1\r\nHost: x\r\n", HEADER_S),
                                             (b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", IDLE_S)])
def test_silence(strong, first, at_least):
    with connect(strong) as c:
        c.settimeout(LATE_S)
        start = time.monotonic()
        c.sendall(first)
        while c.recv(65536):
            pass
        assert time.monotonic() - start >= at_least - EARLY_S


def test_many_slow_ones_delay_nobody(strong):
    """100 connections drip headers; others are answered meanwhile, and none of the 100 lives on."""
    start = time.monotonic()
    slow = [connect(strong) for _ in range(100)]
    left, asked, drips = set(slow), 0, 0
    for c in slow:
        c.sendall(b"POST /v1/uploads HTTP/1.1\r\nHost: x\r\n")
    while left and time.monotonic() < start + LATE_S:
        answer = strong.ask({"content_type": "image/png", "content_length": 1}, limit_s=2)
        assert answer.status == 201
        asked += 1
        if time.monotonic() - start < drips / 10:
            continue
        drips += 1
        for c in list(left):
            try:
                c.sendall(b"X: a\r\n")
            except OSError:
                left.discard(c)
    assert not left and asked > 3 and drips >= 10 * HEADER_S - 1
    for c in slow:
        c.close()


def test_answers_that_nobody_reads(strong):
    """Pipelined requests without end from one who never reads: the server stops taking them."""
    with connect(strong) as c:
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.settimeout(LATE_S)
        request, sent = good(strong), 0
        with pytest.raises(OSError):
            while sent < 256 << 20:
                sent += c.send(request * 16)


# ---- many, half and gone -------------------------------------------------------------------------

def test_a_thousand_idle_connections(strong):
    idle = [connect(strong) for _ in range(1000)]
    wait_until(lambda: descriptors(strong) >= len(idle))
    answer = strong.ask({"content_type": "image/png", "content_length": 1}, limit_s=2)
    assert answer.status == 201
    if not sanitized():
        assert resident_kib(strong) - strong.first_kib <= 1000 * 24
    for c in idle:
        c.settimeout(LATE_S)
        assert c.recv(1) == b""
        c.close()


def test_more_connections_than_allowed():
    """Who comes too late waits until another is gone, and is then served."""
    with Service(robust_config(connections=64)) as s:
        idle = [connect(s) for _ in range(200)]
        start = time.monotonic()
        assert s.ask({"content_type": "image/png", "content_length": 1}).status == 201
        assert descriptors(s) <= 64 + 40
        assert time.monotonic() - start <= 4 * LATE_S
        for c in idle:
            c.close()


def exchange_all(service, every):
    """What the server says to each of these, all at the same time; each then half-closed."""
    sockets = [connect(service) for _ in every]
    for c, data in zip(sockets, every):
        try:
            c.sendall(data)
            c.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # ended before all was said
    answers = []
    for c in sockets:
        got = b""
        try:
            while more := c.recv(65536):
                got += more
        except ConnectionResetError:
            pass
        answers.append(got)
        c.close()
    return answers


def test_half_closed(strong):
    """The other side says that nothing more comes: what was asked is answered, the rest is over."""
    cases = {b"": [], good(strong): [201], good(strong)[:-1]: [],
             b"GET /livez HTTP/1.1\r\nHost: x\r\n": [],
             b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n": [200]}
    every = list(cases) * 40
    for data, got in zip(every, exchange_all(strong, every)):
        assert statuses(got) == cases[data], (data, got)


def reset(c):
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.close()


def test_resets(strong):
    whole = good(strong)
    for cut in [0, 1, 10, 40, len(whole) - len(ASK), len(whole) - 1, len(whole)] * 40:
        c = connect(strong)
        c.sendall(whole[:cut])
        reset(c)


def test_resets_while_answers_come(strong):
    for _ in range(100):
        c = connect(strong)
        c.sendall(good(strong) * 20)
        assert c.recv(1)
        reset(c)


def test_pipelined(strong):
    """All are answered, in their order."""
    requests = b"".join(head(strong, b"X-Request-Id: n%d" % i, LENGTH) + ASK for i in range(100))
    got = strong.raw(requests)
    assert statuses(got) == [201] * 100
    order = [got.index(b"X-Correlation-Id: n%d\r\n" % i) for i in range(100)]
    assert order == sorted(order)


@pytest.mark.parametrize("garbage", [b"\0" * 100, b"garbage\r\n\r\n",
                                     b"\xff\xfe" * 50 + b"\r\n\r\n",
                                     b"POST /v1/uploads HTTP/1.1\r\nContent-Length: x\r\n\r\n"])
def test_garbage_behind_a_good_request(strong, garbage):
    got = strong.raw(good(strong) + garbage + SMUGGLED)
    status, headers, rest = read_raw(got)
    assert status == 201 and refused(rest[int(dict(headers)["content-length"]):])


# ---- well-formed, but nasty ----------------------------------------------------------------------

@pytest.mark.parametrize("body, status", [
    (b"", 400), (b"{", 400), (b"[" * 4000, 400), (b'{"a":' * 600, 400), (b"null", 400),
    (b"[]", 400),
    (b'"' + b"a" * 4000, 400), (b"\xff\xfe{\0}\0", 400), (b"\xef\xbb\xbf{}", 400), (b"{}", 400),
    (b'{"content_type":"image/png","content_length":1e400}', 400),
    (b'{"content_type":"image/png","content_length":99999999999999999999}', 400),
    (b'{"content_type":"image/png","content_length":-1}', 400),
    (b'{"content_type":"image/png","content_length":1,"content_length":2}', 400),
    (b'{"content_type":"image/png","content_length":1}{}', 400),
    (b'{"content_type":"image/png\\u0000","content_length":1}', 400),
    (b'{"content_type":"image/png","content_length":1,"filename":"\\ud800"}', 400),
    (b'{"content_type":"image/png","content_length":1,"filename":"..\\/..\\/etc\\/passwd"}', 201),
    (b'{"content_type":"image/png","content_length":1,"filename":"\\r\\nX-A: b"}', 201)],
    ids=lambda v: repr(v)[:60])
def test_bodies(strong, body, status):
    got = strong.raw(head(strong, length(body)) + body)
    assert statuses(got) == [status], got


@pytest.mark.parametrize("line, status", [
    (b"Authorization: Bearer " + b"a" * 7000, 401), (b"Authorization: Bearer ..", 401),
    (b"Authorization: Bearer \xff\xfe", 401), (b"Authorization: Bearer", 401),
    (b"Authorization: Basic YTpi", 401), (b"Authorization:", 401)])
def test_tokens(strong, line, status):
    got = strong.raw(head(strong, line, LENGTH, token=False) + ASK)
    assert statuses(got) == [status], got


@pytest.mark.parametrize("request_line, wanted", [
    (b"TRACE /v1/uploads HTTP/1.1", 405), (b"post /v1/uploads HTTP/1.1", 405),
    (b"FOO /v1/uploads HTTP/1.1", 405), (b"POST //v1/uploads HTTP/1.1", 404),
    (b"POST /v1/uploads/ HTTP/1.1", 404), (b"POST /v1/../v1/uploads HTTP/1.1", 404),
    (b"POST /v1/%75ploads HTTP/1.1", 404), (b"POST /v1%2fuploads HTTP/1.1", 404),
    (b"POST /V1/uploads HTTP/1.1", 404), (b"POST /metrics HTTP/1.1", 404),
    (b"POST /v1/uploads?a=%zz&&&==;dry_run HTTP/1.1", 201)])
def test_routes(strong, request_line, wanted):
    got = strong.raw(head(strong, LENGTH, request=request_line) + ASK)
    assert statuses(got) == [wanted], got


# ---- anything ------------------------------------------------------------------------------------

PIECES = [b"\r\n", b"\n", b"\r", b"\0", b":", b" ", b"\t", b"\r\n ", b"\r\n\r\n", b"chunked", b"0",
          b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: y\r\n", b"%00",
          b"\xff", b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"99999999",
          b"GET / HTTP/1.1\r\n",
          b"Upgrade: h2c\r\n", b"{", b"}", b'"', b"\\", b"A" * 3000, b"HTTP/1.0",
          b"Cookie: a=b\r\n"]


def mutant(rng, whole):
    data = bytearray(whole)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data))
        how = rng.randrange(5)
        if how == 0:
            data[at] = rng.randrange(256)
        elif how == 1:
            del data[at:at + rng.randint(1, 20)]
        elif how == 2:
            data[at:at] = rng.choice(PIECES)
        elif how == 3:
            data[at:at] = data[at:at + rng.randint(1, 100)]
        else:
            del data[at:]
        data = data or bytearray(b"G")
    return bytes(data)


def test_mutants(strong):
    """Good requests with a few things broken: never a fault of ours, whatever they are."""
    rng = random.Random(SEED)
    wholes = [good(strong), head(strong, CHUNKED) + CHUNKS,
              head(strong, request=b"GET /readyz?verbose HTTP/1.1"),
              head(strong, b"Origin: https://app.test", b"Access-Control-Request-Method: POST",
                   request=b"OPTIONS /v1/uploads HTTP/1.1", token=False)]
    seen = set()
    for _ in range(0, MUTANTS, AT_ONCE):
        every = [mutant(rng, rng.choice(wholes)) for _ in range(AT_ONCE)]
        for data, got in zip(every, exchange_all(strong, every)):
            assert not got or got.startswith(b"HTTP/1."), (SEED, data, got)
            status = read_raw(got)[0] if got else 0
            assert status < 500 or status in (501, 505), (SEED, data, got)
            seen.add(status)
    assert {200, 201, 400, 401} <= seen, seen
