"""figures - how each figure of the benchmark is taken."""
import base64
import hashlib
import hmac
import json
import os
import re
import select
import signal
import socket
import subprocess
import time

SECRET = "0123456789abcdef0123456789abcdef"
ASK = '{"content_type":"image/png","content_length":10485,"filename":"photo.png"}'
CONNECTIONS = 64
PROCESSORS = len(os.sched_getaffinity(0))
# What one installs today; the second for Debian 12's Node 18, which today's no longer support.
NODE_PACKAGES = {"jose": "6.2.17", "@aws-sdk/client-s3": "3.1162.0",
                 "@aws-sdk/s3-presigned-post": "3.1162.0"}
NODE_18_PACKAGES = {"jose": "5.9.6", "@aws-sdk/client-s3": "3.726.1",
                    "@aws-sdk/s3-presigned-post": "3.726.1"}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def hs256(claims):
    text = b64(b'{"alg":"HS256","typ":"JWT"}') + "." + b64(json.dumps(claims).encode())
    return text + "." + b64(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest())


class Server:
    """A process under measurement: its port, its CPU time, its memory."""

    def __init__(self, argv, env=None, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL):
        self.process = subprocess.Popen(argv, env=env, stdout=stdout, stderr=stderr)
        self.port = None

    def wait_line(self, stream, pattern, seconds=20):
        end, text = time.monotonic() + seconds, ""
        while time.monotonic() < end:
            if select.select([stream], [], [], 0.2)[0]:
                line = os.read(stream.fileno(), 65536).decode(errors="replace")
                if not line:
                    break
                text += line
                found = re.search(pattern, text)
                if found:
                    return int(found.group(1))
        raise SystemExit("bench: a server did not start:\n" + text)

    def pids(self):
        own = self.process.pid
        children = pathlib_children(own)
        return [own] + children

    def cpu_s(self):
        ticks = 0
        for pid in self.pids():
            with open("/proc/%d/stat" % pid) as f:
                fields = f.read().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_kib(self):
        with open("/proc/%d/status" % self.process.pid) as f:
            found = dict(re.findall(r"^(VmRSS|RssAnon):\s+(\d+) kB", f.read(), re.M))
        return int(found["VmRSS"]), int(found["RssAnon"])

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def pathlib_children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            return [int(p) for p in f.read().split()]
    except OSError:
        return []


class Bench:
    def __init__(self, folder, top, rounds, seconds):
        self.folder, self.top, self.rounds, self.seconds = folder, top, rounds, seconds
        self.binary = os.environ.get("PRESIGND_BIN", str(top / "build/presignd"))
        self.rows, self.servers, self.complete = [], [], True
        (folder / "secret").write_text(SECRET)
        now = int(time.time())
        self.token = hs256({"iss": "bench", "aud": "presignd", "sub": "alice", "iat": now,
                            "exp": now + 7200})

    # ---- servers -----------------------------------------------------------------------------

    def config(self, profiles=1, issuer=None, further=(), more=None):
        profile = {"bucket": "main", "key": "{user_hash}/{uuid}/{filename}",
                   "content_types": ["image/png", "image/jpeg", "application/pdf"],
                   "max_bytes": 100000000, "fields": {"success_action_status": "201"}}
        return {
            "listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "threads": 0,
            "auth": {"issuers": [issuer or {
                "issuer": "bench", "audience": ["presignd"], "algorithms": ["HS256"],
                "secret_file": str(self.folder / "secret")}, *further]},
            "buckets": {"main": {"bucket": "bench-bucket", "region": "eu-west-1"}},
            "profiles": dict({"p%d" % i: profile for i in range(profiles - 1)}, default=profile),
            "ledger": {"backend": "none"},
            "drain": {"delay_s": 0, "timeout_s": 5},
        } | (more or {})

    def presignd(self, name="presignd", **kwargs):
        path = self.folder / (name + ".json")
        path.write_text(json.dumps(self.config(**kwargs)))
        env = {"PATH": os.environ["PATH"], "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
               "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
        log = self.folder / (name + ".log")
        server = Server([self.binary, "serve", "--config", str(path)], env=env,
                        stderr=open(log, "wb"))
        self.servers.append(server)
        end = time.monotonic() + 10
        while server.port is None:
            if time.monotonic() > end or server.process.poll() is not None:
                raise SystemExit("bench: presignd did not start: " + log.read_text())
            found = re.search(r'"event":"listening".*?"port":(\d+)', log.read_text())
            if found:
                server.port = int(found.group(1))
            else:
                time.sleep(0.002)
        return server

    def nginx(self, body):
        port = free_port()
        text = body.replace("\\", "\\\\").replace("'", "\\'").replace("$", "${d}")
        conf = self.folder / "nginx.conf"
        conf.write_text(f"""
worker_processes auto; daemon off; pid {self.folder}/nginx.pid; error_log {self.folder}/nginx.err;
events {{ worker_connections 4096; }}
http {{ access_log {self.folder}/nginx.log combined buffer=64k flush=1s; keepalive_requests 1000000000;
  client_body_temp_path {self.folder}/body; proxy_temp_path {self.folder}/proxy;
  fastcgi_temp_path {self.folder}/fastcgi; uwsgi_temp_path {self.folder}/uwsgi;
  scgi_temp_path {self.folder}/scgi;
  server {{ listen 127.0.0.1:{port}; default_type application/json;
    location / {{ add_header Cache-Control no-store; add_header X-Content-Type-Options nosniff;
      return 200 '{text}'; }} }} }}""")
        server = Server(["nginx", "-c", str(conf), "-p", str(self.folder)],
                        stderr=subprocess.DEVNULL)
        self.servers.append(server)
        server.port = port
        wait_port(port)
        return server

    def node(self):
        major = int(subprocess.run(["node", "-p", "process.versions.node.split('.')[0]"],
                                   capture_output=True, text=True, check=True).stdout)
        packages = NODE_PACKAGES if major >= 20 else NODE_18_PACKAGES
        manifest = json.dumps({"private": True, "type": "module", "dependencies": packages})
        modules = self.top / "build/bench-node"
        modules.mkdir(parents=True, exist_ok=True)
        (modules / "service.mjs").write_text((self.top / "tests/bench/service.mjs").read_text())
        made = modules / "package.json"
        if not made.exists() or made.read_text() != manifest or \
                not (modules / "node_modules/jose").is_dir():
            made.write_text(manifest)
            subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock",
                            "--loglevel=error"], cwd=modules, check=True)
        print("node: version %d with %s" %
              (major, ", ".join("%s %s" % p for p in sorted(packages.items()))))
        env = dict(os.environ, JWT_SECRET=SECRET, BUCKET="bench-bucket", REGION="eu-west-1",
                   AWS_ACCESS_KEY_ID="AKIAIOSFODNN7EXAMPLE",
                   AWS_SECRET_ACCESS_KEY="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
        server = Server(["node", str(modules / "service.mjs")], env=env, stdout=subprocess.PIPE,
                        stderr=subprocess.DEVNULL)
        self.servers.append(server)
        server.port = server.wait_line(server.process.stdout, r'"port":(\d+)')
        return server

    def stop_all(self):
        for server in self.servers:
            server.stop()
        self.servers.clear()

    # ---- load --------------------------------------------------------------------------------

    def script(self, tokens, ask=ASK):
        """One token: wrk makes its request once, so that it is no bottleneck. Many: spread over all
        of them, from another start each time."""
        path = self.folder / ("load-%d.lua" % len(list(self.folder.glob("load-*.lua"))))
        if len(tokens) == 1:
            how = f"""
wrk.method, wrk.path, wrk.body = "POST", "/v1/uploads", '{ask}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer {tokens[0]}\""""
        else:
            listing = self.folder / (path.stem + ".tokens")
            listing.write_text("\n".join(tokens))
            how = f"""
local made, at, n = {{}}, 0, 0
function init()
  math.randomseed({len(tokens)} + os.time() + tonumber(tostring({{}}):match("0x(%x+)"), 16) % 99991)
  for token in io.lines("{listing}") do
    n = n + 1
    made[n] = wrk.format("POST", "/v1/uploads", {{ ["Content-Type"] = "application/json",
      ["Authorization"] = "Bearer " .. token }}, '{ask}')
  end
  at = math.random(0, n - 1)
end
function request() at = (at + 7919) % n; return made[at + 1] end"""
        path.write_text(how + """
function done(s, l, r)
  print(string.format("RESULT %d %d %d %d %.0f", s.requests, s.duration, s.errors.status,
    s.errors.connect + s.errors.read + s.errors.write + s.errors.timeout, l:percentile(99)))
end""")
        return path

    def load(self, server, script, connections=CONNECTIONS):
        """Requests/s, CPU seconds per request, p99 in microseconds."""
        before = server.cpu_s()
        out = subprocess.run(["wrk", "-t1", "-c%d" % connections, "-d%ds" % self.seconds,
                              "--latency", "-s", str(script),
                              "http://127.0.0.1:%d" % server.port],
                             capture_output=True, text=True)
        cpu = server.cpu_s() - before
        found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", out.stdout)
        if not found:
            raise SystemExit("bench: no result from wrk:\n" + out.stdout + out.stderr)
        n, micros, status, errors, p99 = map(int, found.groups())
        if status or errors > n / 100:
            raise SystemExit("bench: %d answers were no success, %d errors:\n%s" %
                             (status, errors, out.stdout))
        return n / (micros / 1e6), cpu / n, p99

    def rounds_of(self, cases):
        """cases: name -> (server, script); interleaved; name -> medians."""
        taken = {name: [] for name in cases}
        for server, script in cases.values():
            self.load(server, script)  # warm
        for _ in range(self.rounds):
            for name, (server, script) in cases.items():
                taken[name].append(self.load(server, script))
        return {name: tuple(sorted(x[i] for x in rows)[len(rows) // 2] for i in range(3))
                for name, rows in taken.items()}

    # ---- figures -----------------------------------------------------------------------------

    def row(self, name, value, target, met):
        self.rows.append((name, value, target, "met" if met else "MISSED"))

    def throughput(self):
        ours = self.presignd()
        body = ask_once(ours.port, self.token)
        warm = self.script([self.token])
        cases = {"presignd": (ours, warm), "nginx": (self.nginx(body), warm),
                 "node": (self.node(), warm)}
        m = self.rounds_of(cases)
        print("answer: %d bytes of body; %d rounds of %d s, %d connections, each server as it comes" %
              (len(body), self.rounds, self.seconds, CONNECTIONS))
        for name, (rate, cpu, p99) in m.items():
            print("  %-9s %9.0f requests/s  %7.2f us CPU each  p99 %6.2f ms" %
                  (name, rate, cpu * 1e6, p99 / 1000))
        to_nginx, to_node = m["presignd"][0] / m["nginx"][0], m["presignd"][0] / m["node"][0]
        self.row("requests/s beside nginx's static answer, limits off", "%.2f" % to_nginx,
                 ">= 0.60 (wish 0.75)", to_nginx >= 0.60)
        self.row("the same beside the Node service", "%.1f x" % to_node, ">= 15 x",
                 to_node >= 15)
        self.row("CPU per request of the Node service beside ours",
                 "%.1f x" % (m["node"][1] / m["presignd"][1]), "(no target)", True)
        self.row("CPU per request beside nginx's", "%.2f x" % (m["presignd"][1] / m["nginx"][1]),
                 "(no target)", True)
        self.stop_all()

    def fresh_tokens(self):
        """A new ES256 token with every request, beside what verifying alone allows."""
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec, utils
        key = ec.generate_private_key(ec.SECP256R1())
        pem = self.folder / "es256.pem"
        pem.write_bytes(key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
        now, tokens = int(time.time()), []
        for i in range(60000):
            text = b64(b'{"alg":"ES256","typ":"JWT"}') + "." + b64(json.dumps(
                {"iss": "bench", "aud": "presignd", "sub": "u%d" % i, "iat": now,
                 "exp": now + 7200}).encode())
            r, s = utils.decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
            tokens.append(text + "." + b64(r.to_bytes(32, "big") + s.to_bytes(32, "big")))
        ours = self.presignd("es256", issuer={
            "issuer": "bench", "audience": ["presignd"], "algorithms": ["ES256"],
            "public_key_file": str(pem)})
        m = self.rounds_of({"fresh": (ours, self.script(tokens)),
                            "warm": (ours, self.script(tokens[:1]))})
        # on all processors at once, as the server and the load generator keep them busy too
        speed = subprocess.run(["openssl", "speed", "-seconds", "2", "-multi", str(PROCESSORS),
                                "ecdsap256"], capture_output=True, text=True).stdout
        verify = float(speed.strip().splitlines()[-1].split()[-1]) / PROCESSORS
        # what a warm request and one verification more would take
        ratio = (m["warm"][1] + 1 / verify) / m["fresh"][1]
        self.row("fresh ES256 token per request, beside warm request + bare verification",
                 "%.2f" % ratio, ">= 0.80", ratio >= 0.80)
        self.stop_all()

    def growth(self):
        script = self.script([self.token])
        m = self.rounds_of({"1": (self.presignd("one"), script),
                            "500": (self.presignd("many", profiles=500), script)})
        ratio = m["500"][1] / m["1"][1]
        self.row("CPU per request with 500 profiles beside 1", "%.2f" % ratio, "0.90-1.10",
                 0.90 <= ratio <= 1.10)
        self.stop_all()

    def hanging(self):
        """An issuer whose key host takes connections and never answers."""
        with socket.create_server(("127.0.0.1", 0), backlog=64) as hole:
            url = "http://127.0.0.1:%d/jwks" % hole.getsockname()[1]
            lost = {"issuer": "lost", "audience": ["presignd"], "algorithms": ["RS256"],
                    "jwks_url": url}
            script = self.script([self.token])
            m = self.rounds_of({"well": (self.presignd("well"), script),
                                "hanging": (self.presignd("hanging", further=[lost]), script)})
        ratio = m["hanging"][2] / m["well"][2]
        self.row("p99 while a key host hangs, beside none hanging", "%.2f" % ratio, "<= 1.2",
                 ratio <= 1.2)
        self.stop_all()

    def memory(self):
        ours = self.presignd("memory")
        ask_once(ours.port, self.token)
        rss, anon = ours.memory_kib()
        self.row("memory idle (RSS)", "%.1f MiB" % (rss / 1024), "<= 16 MiB", rss <= 16 * 1024)
        self.row("memory idle (anonymous)", "%.1f MiB" % (anon / 1024), "<= 4 MiB",
                 anon <= 4 * 1024)
        crowd = [socket.create_connection(("127.0.0.1", ours.port)) for _ in range(5000)]
        for s in crowd:
            s.sendall(b"GET /livez HTTP/1.1\r\nHost: bench\r\n\r\n")
        for s in crowd:
            s.recv(4096)
        rss, _ = ours.memory_kib()
        for s in crowd:
            s.close()
        self.row("memory with 5,000 idle connections", "%.1f MiB" % (rss / 1024), "<= 80 MiB",
                 rss <= 80 * 1024)
        self.stop_all()

    def start(self):
        times = []
        for _ in range(9):
            began = time.monotonic()
            ours = self.presignd("start")
            ask_once(ours.port, self.token)
            times.append((time.monotonic() - began) * 1000)
            self.stop_all()
        median = sorted(times)[len(times) // 2]
        self.row("start to first answer", "%.0f ms" % median, "<= 50 ms", median <= 50)

    def print_table(self):
        width = max(len(r[0]) for r in self.rows)
        print()
        for name, value, target, verdict in self.rows:
            print("%-*s  %10s  %-20s %s" % (width, name, value, target, verdict))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def wait_port(port):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise SystemExit("bench: nothing listens on port %d" % port)


def ask_once(port, token):
    import http.client
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    c.request("POST", "/v1/uploads", ASK, {"Content-Type": "application/json",
                                           "Authorization": "Bearer " + token})
    r = c.getresponse()
    body = r.read().decode()
    if r.status != 201:
        raise SystemExit("bench: status %d: %s" % (r.status, body))
    return body
