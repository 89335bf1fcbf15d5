"""The image and the composed stack, as far as they can be tried without a container engine.

`docker/pack` makes the image's root, and the program runs in it with nothing else of this machine.
`docker/setup`, `nginx.conf` and `presignd.json` are run as they stand, but for names and ports,
with a real nginx, Redis and store. `compose.yaml` is read; `docker compose config` reads it too
where there is one.
"""
import hashlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import nginx
import pytest
import redis_server
import store
import yaml
from service import BIN, REPORTS, TOP, Service, clean_environment, run_command, wait_until
from tokens import SECRET
from upload_page import Page

DOCKER = TOP / "docker"
USER = 65532
LIMIT_S = 60
EPOCH = 1700000000
files_alone = pytest.mark.without_presignd


def text_of(name):
    return (DOCKER / name).read_text()


def run(*argv, limit_s=LIMIT_S, **more):
    done = subprocess.run([*map(str, argv)], cwd=TOP, stdin=subprocess.DEVNULL, timeout=limit_s,
                          capture_output=True, check=False, **more)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return done.stdout.decode()


def replaced(text, changes):
    """Every name must be there: what a test changes is what the file says."""
    for name, value in changes.items():
        assert name in text, name
        text = text.replace(name, str(value))
    return text


# ---- the Dockerfile ------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def stages():
    """{name of a stage: [(instruction, words)]}: "" is the last one, None what is before all."""
    text = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", text_of("Dockerfile"), flags=re.M))
    out, name = {None: []}, None
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            name = rest.partition(" AS ")[2]
            out[name] = []
        out[name].append((word, rest.strip()))
    return out


def of(stage, word):
    return [rest for w, rest in stage if w == word]


@files_alone
def test_packages_are_those_of_everybody(stages):
    installs = [r for s in stages.values() for r in of(s, "RUN") if "apt-get install" in r]
    assert any(r.endswith("--no-install-recommends make && tests/deps build") for r in installs)
    assert len(installs) == 2  # and the test stage's


@files_alone
def test_the_last_stage_is_bare(stages):
    last = stages[""]
    assert of(last, "FROM") == ["scratch"] and not of(last, "RUN")
    assert of(last, "COPY") == ["--from=pack /out/ /"]
    assert of(last, "USER") == [f"{USER}:{USER}"]
    assert of(last, "STOPSIGNAL") == ["SIGTERM"] and of(last, "EXPOSE") == ["8080 9090"]
    assert json.loads(of(last, "VOLUME")[0]) == ["/var/lib/presignd"]
    assert json.loads(of(last, "ENTRYPOINT")[0]) == ["/usr/bin/presignd"]
    assert json.loads(of(last, "CMD")[0]) == ["serve"]
    assert of(last, "HEALTHCHECK")[0].endswith('CMD ["/usr/bin/presignd", "health"]')


@files_alone
def test_one_version(stages):
    version = re.search(r"^VERSION := (\S+)$", (TOP / "Makefile").read_text(), re.M)[1]
    assert f"VERSION={version}" in of(stages[""], "ARG")
    images = re.findall(r"image: presignd\S*:(\S+)", text_of("compose.yaml"))
    assert images == [version, version]


@files_alone
def test_what_is_copied_is_let_in(stages):
    lines = [x for x in text_of("Dockerfile.dockerignore").splitlines() if not x.startswith("#")]
    assert lines[0] == "*"
    let_in = {x.removeprefix("!") for x in lines[1:]}
    copied = {source.rstrip("/") for s in stages.values() for r in of(s, "COPY")
              if not r.startswith("--from") for source in r.split()[:-1]}
    assert copied == let_in
    assert all((TOP / x).exists() for x in let_in)


# ---- the root of the image -----------------------------------------------------------------------

def entries(root):
    """Everything in it: (path, kind and mode, owner, group, time, content)."""
    for path in sorted(root.rglob("*")):
        s = path.lstat()
        content = os.readlink(path) if path.is_symlink() else \
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        yield str(path.relative_to(root)), s.st_mode, s.st_uid, s.st_gid, s.st_mtime_ns, content


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("to pack the image's root, and to run in it, needs root")
    folder = tmp_path_factory.mktemp("image")
    for name in ("one", "two"):
        run(DOCKER / "pack", BIN, folder / name, EPOCH)
    return folder / "one"


def inside(root, *argv, env=None):
    """The program in its image, as its user: (status, stdout, stderr)."""
    def enter():
        os.chroot(root)
        os.chdir("/")
        os.setgroups([])
        os.setgid(USER)
        os.setuid(USER)
    done = subprocess.run(["/usr/bin/presignd", *argv], env=clean_environment(env),
                          stdin=subprocess.DEVNULL, capture_output=True, preexec_fn=enter,
                          timeout=LIMIT_S, check=False)
    err = done.stderr.decode()
    assert not any(r in err for r in REPORTS), err
    return done.returncode, done.stdout.decode(), err


@files_alone
def test_two_are_one(root):
    one, two = list(entries(root)), list(entries(root.parent / "two"))
    assert one == two
    assert {e[4] for e in one} == {EPOCH * 10**9}


@files_alone
def test_nothing_to_climb_on(root):
    modes = {path: (mode, uid, gid) for path, mode, uid, gid, *_ in entries(root)}
    assert [p for p, (m, *_) in modes.items() if stat.S_ISREG(m) and m & 0o6000] == []
    open_to_all = {p: m for p, (m, *_) in modes.items() if not stat.S_ISLNK(m) and m & 0o002}
    assert open_to_all == {"tmp": stat.S_IFDIR | 0o1777}
    of_user = {p: m for p, (m, *owner) in modes.items() if owner != [0, 0]}
    assert of_user == {"var/lib/presignd": stat.S_IFDIR | 0o750}
    assert modes["var/lib/presignd"][1:] == (USER, USER)
    programs = {p for p, (m, *_) in modes.items()
                if stat.S_ISREG(m) and m & 0o111 and ".so" not in p}
    assert programs == {"usr/bin/presignd"}


@files_alone
def test_licences_of_all_that_is_in_it(root):
    listed = {p.name for p in (root / "var/lib/dpkg/status.d").iterdir()}
    assert {"libc6", "ca-certificates", "libjansson4", "libexpat1"} <= listed
    for package in listed:
        assert (root / f"usr/share/doc/{package}/copyright").stat().st_size > 100, package
        status = (root / f"var/lib/dpkg/status.d/{package}").read_text()
        assert status.startswith(f"Package: {package}\n") and "\nVersion: " in status
    assert (root / "usr/share/doc/presignd/LICENSE").read_bytes() == (TOP / "LICENSE").read_bytes()
    assert (root / "usr/share/common-licenses/GPL-3").stat().st_size > 10000
    assert "Debian" in (root / "etc/os-release").read_text()
    assert (root / "usr/lib/ssl/cert.pem").is_symlink()
    assert (root / "etc/ssl/certs/ca-certificates.crt").read_text().count("BEGIN CERT") > 100


@files_alone  # the leak checker needs /proc, which is not there
def test_it_runs_there_by_environment_alone(root):
    status, out, err = inside(root, "version")
    assert status == 0 and out.startswith("presignd "), err
    (root / "run/secrets/jwt").write_bytes(SECRET)
    try:
        status, out, err = inside(root, "check", env={
            "PRESIGND__AUTH__ISSUERS": json.dumps([{
                "issuer": "https://login.example.com/", "audience": ["presignd"],
                "algorithms": ["HS256"], "secret_file": "/run/secrets/jwt"}]),
            "PRESIGND__BUCKETS__MAIN__BUCKET": "my-upload-bucket",
            "PRESIGND__BUCKETS__MAIN__REGION": "eu-west-1",
            "PRESIGND__PROFILES__DEFAULT__BUCKET": "main",
            "PRESIGND__PROFILES__DEFAULT__KEY": "{user}/{uuid}",
            "PRESIGND__PROFILES__DEFAULT__CONTENT_TYPES": '["image/*"]',
            "PRESIGND__PROFILES__DEFAULT__MAX_BYTES": "1000000"})
        assert status == 0 and json.loads(out)["buckets"]["main"]["region"] == "eu-west-1", err
    finally:
        (root / "run/secrets/jwt").unlink()
    status, _, err = inside(root, "check")
    assert status == 1 and "/etc/presignd/presignd.json" in err


# ---- compose.yaml --------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load(text_of("compose.yaml"))


ONCE = {"setup", "bucket"}  # run to their end before the others start


@files_alone
def test_every_service_is_confined(compose):
    assert set(compose["services"]) == {"presignd", "front", "ledger", "store"} | ONCE
    for name, s in compose["services"].items():
        assert s["read_only"] is True and s["cap_drop"] == ["ALL"], name
        assert s["security_opt"] == ["no-new-privileges:true"] and s["pids_limit"] <= 256, name
        assert "privileged" not in s and "pid" not in s and s.get("network_mode") in (None, "none")
        if name == "setup":  # gives volumes to the others' user
            assert (s["user"], s["cap_add"], s["network_mode"]) == ("0:0", ["CHOWN"], "none")
        else:
            assert s["user"] == f"{USER}:{USER}" and "cap_add" not in s, name
        for port in s.get("ports", []):
            assert port.startswith("127.0.0.1:"), port


@files_alone
def test_every_image_is_of_a_version(compose):
    for name, s in compose["services"].items():
        image = s["image"].partition("@")[0]
        assert re.search(r":[A-Za-z.]*\d+[.-]\d+[.-]\d+\S*$", image), (name, image)


@files_alone
def test_who_waits_for_whom(compose):
    services = compose["services"]
    for name, s in services.items():
        assert ("healthcheck" in s) == (name not in ONCE), name
        assert (s.get("restart") == "unless-stopped") == (name not in ONCE), name
        assert (s.get("stop_grace_period") == "30s") == (name not in ONCE), name
        for other, how in s.get("depends_on", {}).items():
            end = "service_completed_successfully" if other in ONCE else "service_healthy"
            assert how == {"condition": end}, (name, other)
    assert set(services["presignd"]["depends_on"]) == {"setup", "bucket", "ledger"}
    assert services["presignd"]["deploy"]["replicas"] == 2
    assert services["presignd"]["healthcheck"]["test"] == ["CMD", "/usr/bin/presignd", "health"]
    assert compose["networks"]["ledger"]["internal"] is True
    drain_s = json.loads(text_of("presignd.json"))["drain"]["timeout_s"]
    assert drain_s < 30


@files_alone
def test_secrets_are_files_and_each_has_its_own(compose):
    text = text_of("compose.yaml")
    assert not re.search(r"(?i)(password|secret|token|key)\w*[:=] *[\"']?[A-Za-z0-9+]{8,}", text)
    readers = {}
    for name, s in compose["services"].items():
        for v in s.get("volumes", []):
            short = v.split(":") if isinstance(v, str) else (v["source"], v["target"])
            source, target, *mode = short
            if target == "/run/secrets":
                assert mode == ["ro"], name
                readers.setdefault(source, set()).add(name)
            if source.startswith("./"):
                assert mode == ["ro"] and (DOCKER / source).is_file(), (name, source)
            elif not source.startswith("/"):
                assert source in compose["volumes"], source
    assert readers == {"presignd-secrets": {"presignd", "setup"}, "ledger-secrets": {"ledger"},
                       "store-secrets": {"store", "bucket"}, "front-secrets": {"front"}}


@files_alone
def test_the_files_agree(compose):
    """Names and ports that stand in more than one file."""
    config = json.loads(text_of("presignd.json"))
    services = compose["services"]
    # it asks for no token, and nobody scrapes it here: not for the other containers
    assert config["admin_listen"] == "127.0.0.1:9090"
    assert "redis://ledger:6379/0" == config["ledger"]["url"]
    assert config["ledger"]["replicas"] == services["presignd"]["deploy"]["replicas"]
    bucket = config["buckets"]["main"]
    assert bucket["endpoint"] == "http://store:9000"
    assert bucket["public_endpoint"] == "http://localhost:9000"
    assert services["store"]["ports"] == ["127.0.0.1:9000:9000"]
    assert services["front"]["ports"] == ["127.0.0.1:8080:8080"]
    origins = services["store"]["environment"]["MINIO_API_CORS_ALLOW_ORIGIN"].split(",")
    assert origins == config["cors"]["origins"]
    policy = json.loads(text_of("policy.json"))["Statement"]
    assert [(s["Action"], s["Resource"]) for s in policy] == [
        (["s3:PutObject", "s3:GetObject"], [f"arn:aws:s3:::{bucket['bucket']}/*"]),
        (["s3:ListBucket"], [f"arn:aws:s3:::{bucket['bucket']}"])]
    assert f"mc mb --ignore-existing store/{bucket['bucket']}\n" in text_of("bucket")
    written = set(re.findall(r"\b(?:presignd|ledger|store|front)/[\w.-]+", text_of("setup")))
    secrets = re.findall(r"/run/secrets/\w+", json.dumps(config))
    named = {f"presignd/{Path(n).name}" for n in secrets}
    named |= {"ledger/users.acl", "front/cookie.conf"}
    named |= {f"store/{n}" for n in ("root-user", "root-password", "key", "secret")}
    assert written == named


def engine():
    """How Compose is called here, or None. Debian 12's docker-compose is too old to count."""
    for argv in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(argv[0]) is None:
            continue
        done = subprocess.run([*argv, "version", "--short"], capture_output=True, check=False)
        if done.returncode == 0 and int(done.stdout.decode().strip().lstrip("v").split(".")[0]) > 1:
            return argv
    return None


@files_alone
def test_compose_itself_reads_it():
    argv = engine()
    if argv is None:
        pytest.skip("there is no Docker Compose 2")
    out = run(*argv, "-f", DOCKER / "compose.yaml", "config", "--format", "json")
    services = json.loads(out)["services"]
    assert all(s["read_only"] and s["cap_drop"] == ["ALL"] for s in services.values())
    assert services["presignd"]["stop_grace_period"] == "30s"


# ---- the stack, by hand --------------------------------------------------------------------------

SECRETS = ("presignd", "ledger", "store", "front")


def secrets_in(folder):
    files = (p for name in SECRETS for p in (folder / name).iterdir())
    return {str(p.relative_to(folder)): p.read_text() for p in files}


class Stack:
    """What compose.yaml puts together, on ports of the kernel's choice."""

    def __init__(self, folder, rgw, store_url):
        self.folder, self.rgw = folder, rgw
        self.ports = nginx.Ports(3)
        self.port, *self.backs = self.ports.numbers
        self.url = f"http://127.0.0.1:{self.port}"
        for name in (*SECRETS, "ledger-data", "store-data", "tmp"):
            (folder / name).mkdir()
        # the store is there already, with a user of its own
        (folder / "store/key").write_text(rgw.credentials["AWS_ACCESS_KEY_ID"])
        (folder / "store/secret").write_text(rgw.credentials["AWS_SECRET_ACCESS_KEY"])
        self.ledger = self.front = None
        self.servers = []
        self.config_path = folder / "presignd.json"
        self.config_path.write_text(self.config("redis://none:1/0", store_url, 0))
        self.setup()
        options = yaml.safe_load(text_of("compose.yaml"))["services"]["ledger"]["entrypoint"][1:]
        changed = replaced(" ".join(options), {"/run/secrets": folder / "ledger",
                                               "/data": folder / "ledger-data"})
        self.ledger = redis_server.RedisServer(*changed.split())
        url = f"redis://127.0.0.1:{self.ledger.port}/0"
        self.configs = [self.config(url, store_url, port) for port in self.backs]
        self.servers = [Service(c, credentials=None) for c in self.configs]
        for s in self.servers:
            self.wait_ready(s)
        self.front = self.start_front()

    def config(self, ledger_url, store_url, port):
        changes = {"/run/secrets/": f"{self.folder}/presignd/", "0.0.0.0:8080": f"127.0.0.1:{port}",
                   "127.0.0.1:9090": "127.0.0.1:0", "http://127.0.0.1:8080": self.url,
                   "http://localhost:9000": store_url, "http://store:9000": self.rgw.endpoint,
                   '"uploads"': f'"{self.rgw.bucket}"', "redis://ledger:6379/0": ledger_url}
        # one loop could not share its port with the socket that holds it
        return replaced(text_of("presignd.json"), changes).replace("{", '{ "threads": 2,', 1)

    def setup(self):
        run(DOCKER / "setup", BIN, self.folder, os.getuid(),
            env=clean_environment({"PRESIGND_CONFIG": str(self.config_path)}))

    @staticmethod
    def wait_ready(server):
        wait_until(lambda: server.get("/readyz").status == 200)

    def start_front(self):
        servers = "".join(f"server 127.0.0.1:{p} max_fails=0;" for p in self.backs)
        conf = replaced(text_of("nginx.conf"), {
            "resolver 127.0.0.11 valid=5s;": "",
            "server presignd:8080 resolve max_fails=0;": servers,
            "listen 8080;": f"listen 127.0.0.1:{self.port} reuseport;",
            "/tmp/": f"{self.folder}/tmp/", "/run/secrets/": f"{self.folder}/front/"})
        (self.folder / "nginx.conf").write_text(conf)
        process = subprocess.Popen(
            [nginx.PROGRAM, "-e", "stderr", "-g", "daemon off;", "-c", self.folder / "nginx.conf"],
            stdin=subprocess.DEVNULL, stderr=open(self.folder / "front.log", "wb"))
        wait_until(lambda: nginx.answers(self.port) or process.poll() is not None)
        assert process.poll() is None, (self.folder / "front.log").read_text()
        return process

    def ask(self, cookie, origin=None, method="POST", path="/v1/uploads", body=None):
        headers = {"Cookie": cookie, "Content-Type": "application/json"}
        if origin or method != "GET":
            headers["Origin"] = origin or self.url
        data = json.dumps(body).encode() if body is not None else b""
        headers["Content-Length"] = str(len(data))
        return store.call(method, self.url + path, data, headers)

    def close(self):
        if self.front:
            self.front.send_signal(signal.SIGQUIT)
            assert self.front.wait(LIMIT_S) == 0
        for s in self.servers:
            s.stop()
        if self.ledger:
            self.ledger.close()
        self.ports.close()


@pytest.fixture(scope="module")
def stack(tmp_path_factory, rgw, store_url):
    if not redis_server.PROGRAM:
        pytest.skip("redis-server is not installed")
    s = Stack(tmp_path_factory.mktemp("stack"), rgw, store_url)
    yield s
    s.close()


WISH = {"content_type": "text/plain", "content_length": 5, "filename": "hello.txt"}


@pytest.fixture
def cookie(stack):
    page = store.call("GET", stack.url + "/")
    assert page.status == 200 and b"<!doctype html>" in page.body.lower()
    name, *rest = page.headers["Set-Cookie"].split("; ")
    assert sorted(rest) == ["HttpOnly", "Path=/", "SameSite=Strict"]
    return name


def test_secrets_are_drawn_once(stack):
    before = secrets_in(stack.folder)
    stack.setup()
    after = secrets_in(stack.folder)
    changed = {n for n in after if after[n] != before.get(n)}
    assert changed <= {"front/cookie.conf"}  # the same if it was the same second
    drawn = ("presignd/jwt", "presignd/ledger", "store/root-password")
    assert len({after[name] for name in drawn}) == 3
    for name in drawn:
        assert re.fullmatch(r"[0-9a-f]{64}", after[name])
        assert stat.S_IMODE((stack.folder / name).stat().st_mode) == 0o640
    assert after["presignd/ledger"] not in after["ledger/users.acl"]


def test_the_ledger_is_presignds_alone(stack):
    assert stack.ledger.command("PING") == "+PONG\r\n"
    assert any((stack.folder / "ledger-data").iterdir())
    for words in (["GET", "x"], ["CONFIG", "GET", "*"], ["KEYS", "*"]):
        assert stack.ledger.command(*words).startswith("-NOPERM"), words


def test_the_page_in_a_browser(stack, browser):
    page = Page(browser)
    try:
        page.open(stack.url)
        page.drop(("hello.txt", "text/plain", b"hello"))
        page.wait_states("done")
        assert page.look("window.violations") == []
    finally:
        page.close()


def test_a_packet_is_asked_for_used_and_settled(stack, cookie):
    packet = stack.ask(cookie, body=WISH)
    assert packet.status == 201, packet
    packet = json.loads(packet.body)
    assert store.post(packet, b"hello!").code == "EntityTooLarge"
    assert store.post(packet, b"hello").status == 201
    seen = stack.ask(cookie, path=f"/v1/uploads/{packet['id']}/complete")
    assert seen.status == 200 and json.loads(seen.body)["size"] == 5


def test_only_the_page_may_use_the_cookie(stack, cookie):
    assert stack.ask(cookie, origin="https://evil.example.com", body=WISH).status == 403
    assert store.call("GET", stack.url + "/v1/quota").status == 401
    assert "Set-Cookie" not in stack.ask(cookie, method="GET", path="/v1/quota").headers


def test_both_are_asked_and_one_may_go(stack, cookie):
    def grants(n=6):
        for _ in range(n):
            answer = stack.ask(cookie, body=WISH)
            assert answer.status == 201, answer

    for i in range(2):
        grants()
        stack.servers[i].stop()
        grants()
        stack.servers[i] = Service(stack.configs[i], credentials=None)
        grants()  # whether or not the new one has its ledger already
        stack.wait_ready(stack.servers[i])
    grants()
    # one ledger: who asks one of them sees what both have granted
    quota = json.loads(stack.ask(cookie, method="GET", path="/v1/quota").body)
    files = next(x for x in quota["limits"] if x["name"] == "uploads_a_day")
    assert files["used"] + files["reserved"] >= 42
    for s in stack.servers:
        assert sum(v for n, v in s.metrics().items() if n.startswith("presignd_grants_total")) > 0


def test_it_is_a_good_configuration(stack):
    status, out, err = run_command("check", "--config", stack.config_path)
    assert status == 0, err
    assert json.loads(out)["auth"]["cookie"] == "presignd"
