"""Behind a load balancer: instances come and go under load and no client sees an error.

nginx stands in front with connections kept alive on both sides, as the README recommends it. The
drain itself is looked at directly.
"""
import signal
import socket
from collections import Counter

import nginx
import pytest
from load import ASK, Load
from service import base_config, read_raw, wait_until

CLIENTS = 6
LIMIT_S = 20

# A server that failed is asked again at once (max_fails): by default nginx would leave it out for
# 10 s, and with every one left out in turn it has nobody to ask.
SERVER = "        server 127.0.0.1:{port} max_fails=0;"
HTTP = """
    upstream presignd {{
{servers}
        keepalive 16;
    }}
    server {{
        listen 127.0.0.1:{port} reuseport;
        location / {{
            proxy_pass http://presignd;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_next_upstream error timeout http_503 non_idempotent;
        }}
    }}
"""


def balancer(port, upstream_ports):
    servers = "\n".join(SERVER.format(port=p) for p in upstream_ports)
    return nginx.Nginx(port, HTTP.format(servers=servers, port=port))


def instance_config(port, delay_s):
    return base_config(listen=f"127.0.0.1:{port}", log={"access": False},
                       drain={"delay_s": delay_s, "timeout_s": 10})


@pytest.fixture
def ports():
    if not nginx.PROGRAM:
        pytest.skip("nginx is not installed")
    held = nginx.Ports(4)
    yield held.numbers
    held.close()


@pytest.mark.parametrize("delay_s, rounds", [(0, 5), (1, 1)])
def test_restarts_lose_no_request(presignd, ports, delay_s, rounds):
    front, *backs = ports
    configs = [instance_config(p, delay_s) for p in backs]
    running = [presignd(c) for c in configs]
    front_server = balancer(front, backs)
    try:
        load = Load(front, [running[0].token()] * CLIENTS)
        try:
            load.more(100)
            for i in list(range(len(backs))) * rounds:
                running[i].stop()
                running[i] = presignd(configs[i])
                load.more(200)
        finally:
            load.end()
        assert not load.faults, (Counter(map(str, load.faults)), front_server.errors()[-2000:])
        assert len(load.ids) == load.done > 600 * rounds
        for s in running:
            grants = [v for k, v in s.metrics().items() if k.startswith("presignd_grants_total")]
            assert sum(grants) > 0
            s.signal(signal.SIGTERM)  # together: the fixture's signal is then the second
    finally:
        front_server.stop()


# ---- the drain, looked at directly ---------------------------------------------------------------

def connect(service):
    return socket.create_connection(("127.0.0.1", service.port), timeout=LIMIT_S)


def under_way(service):
    """A connection whose request the server has begun with: it has asked for the body."""
    c = connect(service)
    c.sendall(f"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
              f"Authorization: Bearer {service.token()}\r\nContent-Length: {len(ASK)}\r\n"
              f"Expect: 100-continue\r\n\r\n".encode())
    got = c.recv(65536)
    assert got == b"HTTP/1.1 100 Continue\r\n\r\n", got
    return c


def read_to_end(c):
    got = b""
    while more := c.recv(65536):
        got += more
    return got


def test_requests_under_way_are_finished(presignd):
    s = presignd()
    clients = [under_way(s) for _ in range(8)]
    s.signal(signal.SIGTERM)
    wait_until(lambda: not nginx.answers(s.port))
    assert s.process.poll() is None
    for c in clients:
        c.sendall(ASK)
        status, headers, _ = read_raw(read_to_end(c))
        assert status == 201 and ("connection", "close") in [(n, v.lower()) for n, v in headers]
        c.close()
    assert s.wait_exit() == 0


def test_while_it_drains(presignd):
    s = presignd(base_config(drain={"delay_s": 2, "timeout_s": 10}))
    kept = s.connection()
    assert s.get("/readyz", connection=kept).status == 200
    s.signal(signal.SIGTERM)
    s.wait_log("draining")
    ready = wait_until(lambda: (r := s.get("/readyz")).status == 503 and r)
    assert ready.json == {"status": "not_ready", "failing": ["draining"]}
    assert s.get("/livez").status == 200
    # on a connection kept alive, and on one that is new
    for c in (kept, None):
        answer = s.request("POST", "/v1/uploads", ASK, {"Content-Type": "application/json"},
                           token=s.token(), connection=c)
        assert answer.status == 201 and answer.headers["Connection"].lower() == "close"
    assert s.wait_exit() == 0
    assert not nginx.answers(s.port)


def test_idle_connections_do_not_hold_it(presignd):
    s = presignd(base_config(drain={"delay_s": 0, "timeout_s": 60}))
    idle = [connect(s) for _ in range(20)]
    for c in idle[:10]:
        c.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_raw(c.recv(65536))[0] == 200
    s.signal(signal.SIGTERM)
    assert s.wait_exit(10) == 0
    for c in idle:
        assert c.recv(1) == b""
        c.close()


def test_patience_ends(presignd):
    """One loop has a request that never ends; the others have ended long before."""
    s = presignd(base_config(threads=4, drain={"delay_s": 0, "timeout_s": 1}))
    stuck = under_way(s)
    s.signal(signal.SIGTERM)
    s.wait_log("drain_timeout")
    assert s.wait_exit() == 0
    stuck.close()


def test_the_second_signal_stops_now(presignd):
    s = presignd(base_config(drain={"delay_s": 60, "timeout_s": 120}))
    s.signal(signal.SIGTERM)
    s.wait_log("draining")
    s.signal(signal.SIGTERM)
    assert s.wait_exit(10) == 0
