"""The commands of the program: usage, check, token, health, version, and serve's beginnings."""
import base64
import hashlib
import hmac
import json
import os
import re
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest
import tokens
from service import (BIN, CREDENTIALS, TOP, Service, base_config, clean_environment, run_command,
                     wait_until)

COMMANDS = ("serve", "check", "token", "ledger", "health", "explain", "doctor", "version")
FILE = {"content_type": "image/png", "content_length": 1000}
SMALL = {
    "PRESIGND__AUTH__ISSUERS": json.dumps([{
        "issuer": tokens.ISSUER, "audience": ["presignd"], "algorithms": ["HS256"],
        "secret_file": "{dir}/secret"}]),
    "PRESIGND__BUCKETS__MAIN__BUCKET": "small-bucket",
    "PRESIGND__PROFILES__DEFAULT__BUCKET": "main",
    "PRESIGND__PROFILES__DEFAULT__KEY": "{user}/{uuid}",
    "PRESIGND__PROFILES__DEFAULT__CONTENT_TYPES": '["image/*"]',
    "PRESIGND__PROFILES__DEFAULT__MAX_BYTES": "5000",
    "PRESIGND__LISTEN": "127.0.0.1:0", "PRESIGND__ADMIN_LISTEN": "127.0.0.1:0",
    "PRESIGND__LEDGER__PATH": "{dir}/ledger.db", "PRESIGND__DRAIN__DELAY_S": "0",
    "AWS_REGION": "eu-north-1"}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "secret").write_bytes(tokens.SECRET)
    return tmp_path


def write(folder, config, name="presignd.json"):
    path = folder / name
    path.write_text(json.dumps(config).replace("{dir}", str(folder)))
    return path


def small(folder, **more):
    env = {k: v.replace("{dir}", str(folder)) for k, v in SMALL.items()}
    return env | more


# ---- usage ---------------------------------------------------------------------------------------

def test_help():
    for args in (["--help"], ["-h"], ["help"]):
        status, out, err = run_command(*args)
        assert status == 0 and err == ""
        assert all(re.search(rf"^  {name} ", out, re.M) for name in COMMANDS)
    for name in COMMANDS:
        status, out, err = run_command(name, "--help")
        assert status == 0 and err == "" and out.startswith(f"usage: presignd {name}")


WRONG = {
    "nothing": (), "unknown": ("sing",), "unknown option": ("--nope",),
    "serve, option": ("serve", "--nope"), "serve, word": ("serve", "x"),
    "serve, no value": ("serve", "--config"), "check, option": ("check", "-x"),
    "check, word": ("check", "file.json"), "token, no user": ("token",),
    "token, ttl": ("token", "--user", "u", "--ttl", "soon"),
    "token, no ttl": ("token", "--user", "u", "--ttl", "0"),
    "token, word": ("token", "--user", "u", "x"), "token, option": ("token", "--admin"),
    "health, option": ("health", "--port", "1"), "health, word": ("health", "x"),
    "version, word": ("version", "x"),
}


@pytest.mark.parametrize("args", [pytest.param(a, id=n) for n, a in WRONG.items()])
def test_wrong_usage(args):
    status, out, err = run_command(*args)
    assert status == 2 and out == ""
    assert "usage: presignd" in err


def test_version():
    for args in (["version"], ["--version"]):
        status, out, err = run_command(*args)
        assert status == 0 and err == ""
        assert re.match(r"presignd \d+\.\d+\.\d+ \(\S+\)\n", out)
        assert all(name in out for name in ("libmicrohttpd", "OpenSSL", "libcurl", "jansson",
                                        "SQLite 3.", "hiredis "))


# ---- check ---------------------------------------------------------------------------------------

def test_check_prints_what_is_in_force(folder):
    status, out, err = run_command(
        "check", "--config", write(folder, base_config()),
        env={"PRESIGND__LOG__LEVEL": "debug", "PRESIGND__BUCKETS__MAIN__REGION": "us-east-2"})
    assert status == 0 and err == ""
    shown = json.loads(out)
    assert shown["log"] == {"level": "debug", "access": True}
    assert shown["buckets"]["main"]["region"] == "us-east-2"
    assert shown["limits"]["body_bytes"] == 65536
    assert tokens.SECRET.decode() not in out
    assert not [v for v in CREDENTIALS.values() if v in out]


def test_check_says_all_that_is_wrong(folder):
    config = base_config(nope=1, threads="x", log={"level": "loud"})
    status, out, err = run_command("check", "--config", write(folder, config),
                                   env={"PRESIGND__NOPE": "1"})
    assert status == 1 and out == ""
    places = [line.split(":")[0] for line in err.splitlines()]
    assert places == ["PRESIGND__NOPE", "nope", "threads", "log.level"]


def test_check_names_line_and_column(folder):
    path = folder / "broken.json"
    path.write_text('{\n  "listen": ,\n}')
    status, out, err = run_command("check", "--config", path)
    assert status == 1 and err.startswith(f"{path}: line 2, column ")
    path.write_text('{"cors": {"max_age_s": 1, "max_age_s": 2}}')
    status, out, err = run_command("check", "--config", path)
    assert status == 1 and "cors.max_age_s" in err
    path.write_bytes(b'{"listen": "\xff"}')
    assert run_command("check", "--config", path)[0] == 1
    path.write_text("")
    assert run_command("check", "--config", path)[0] == 1


def test_check_looks_at_files_too(folder):
    for content in (None, b"", b"short", b"x" * 31 + b"\n", b"x" * 5000):
        (folder / "secret").unlink(missing_ok=True)
        if content is not None:
            (folder / "secret").write_bytes(content)
        status, out, err = run_command("check", "--config", write(folder, base_config()))
        assert status == 1 and tokens.ISSUER in err
    (folder / "secret").write_bytes(b"x" * 32 + b"\n")
    assert run_command("check", "--config", write(folder, base_config()))[0] == 0


def test_check_judges_credentials(folder):
    path = write(folder, base_config(credentials={"provider": "auto"}))
    refused = {"http://192.0.2.1/x": 1, "http://evil.test/x": 0, "http://169.254.170.2/x": 0,
               "https://any.test/x": 0}
    for uri, want in refused.items():
        env = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": uri}
        status, _, err = run_command("check", "--config", path, credentials=None, env=env)
        assert status == want, (uri, err)
    status, _, err = run_command("check", "--config", path, credentials=None,
                                 env={"AWS_ACCESS_KEY_ID": "A"})
    assert status == 1 and "AWS_SECRET_ACCESS_KEY" in err


WARNINGS = {
    "size any": ({"profiles": {"default": {"size": "any"}}}, "profiles.default.size"),
    "no forms": ({"buckets": {"main": {"post": False}}}, "profiles.default.bucket"),
    "release": ({"plans": {"free": {"unsettled": "release"}}, "default_plan": "free"},
                "plans.free.unsettled"),
    "two issuers": ({"auth": {"issuers": base_config()["auth"]["issuers"] + [
        {"issuer": "https://two.test/", "audience": ["a"], "algorithms": ["ES256"],
         "jwks_url": "https://two.test/jwks"}]}}, "profiles.default.key"),
    "metadata set and allowed": ({"profiles": {"default": {"metadata": {
        "allow": ["a"], "set": {"a": "b"}}}}}, "profiles.default.metadata"),
    "long fields": ({"profiles": {"default": {"fields": {
        "Cache-Control": "x" * 2000, "Content-Encoding": "y" * 2000,
        "x-amz-storage-class": "z" * 2000, "Content-Disposition": "w" * 2000}}}},
        "profiles.default.fields"),
}


@pytest.mark.parametrize("changes,place", [pytest.param(*r, id=n) for n, r in WARNINGS.items()])
def test_check_warns(folder, changes, place):
    status, out, err = run_command("check", "--config", write(folder, base_config(**changes)))
    assert status == 0 and json.loads(out)
    assert [line for line in err.splitlines() if line.startswith(f"warning: {place}")], err


def test_no_warning_without_reason(folder):
    key = {"profiles": {"default": {"key": "{user_hash}/{uuid}"}}}
    two = WARNINGS["two issuers"][0]
    status, _, err = run_command("check", "--config", write(folder, base_config(**two | key)))
    assert (status, err) == (0, "")


# ---- where the configuration comes from ----------------------------------------------------------

def test_no_configuration():
    if Path("/etc/presignd/presignd.json").exists():
        pytest.skip("this machine has a configuration of its own")
    status, _, err = run_command("check")
    assert status == 1 and "/etc/presignd/presignd.json" in err


def test_config_by_environment(folder):
    path = write(folder, base_config(default_profile="other"))
    status, _, err = run_command("check", env={"PRESIGND_CONFIG": str(path)})
    assert status == 1 and "default_profile" in err
    good = write(folder, base_config(), "good.json")
    assert run_command("check", "--config", good, env={"PRESIGND_CONFIG": str(path)})[0] == 0
    status, _, err = run_command("check", env=small(folder, PRESIGND_CONFIG="/nowhere.json"))
    assert status == 1 and "/nowhere.json" in err


def test_the_environment_is_enough(folder):
    with Service(None, env=small(folder)) as s:
        u = s.ask(FILE).json
        assert u["url"] == "https://small-bucket.s3.eu-north-1.amazonaws.com/"
        assert s.ask(FILE | {"content_length": 5001}).code == "file_too_large"


def test_secrets_lose_one_newline(presignd):
    for written, secret in ((tokens.SECRET + b"\n", tokens.SECRET),
                            (tokens.SECRET + b"\n\n", tokens.SECRET + b"\n"),
                            (tokens.SECRET, tokens.SECRET)):
        s = presignd(base_config(), files={"secret": written})
        assert s.ask(FILE, token=tokens.token(key=secret)).status == 201
        assert s.ask(FILE, token=tokens.token(key=secret + b"\n")).status == 401
        s.stop()


# ---- token ---------------------------------------------------------------------------------------

def claims_of(token):
    head, body, _ = token.split(".")
    read = lambda part: json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return read(head), read(body)


def make(folder, *args, config=None, **more):
    path = write(folder, config or base_config())
    status, out, err = run_command("token", "--config", path, *args, **more)
    assert status == 0, err
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", out)
    return out.strip()


def test_token(folder):
    token = make(folder, "--user", "ann", "--plan", "pro", "--ttl", "60", "--claim", "role=editor",
                 "--claim", "n=7", "--claim", 'list=["a","b"]', "--claim", "text=a=b", "--kid", "k1")
    head, claims = claims_of(token)
    assert head["alg"] == "HS256" and head["kid"] == "k1"
    assert claims["exp"] - claims["iat"] == 60 and abs(claims["iat"] - time.time()) < 20
    del claims["exp"], claims["iat"]
    assert claims == {"iss": tokens.ISSUER, "aud": "presignd", "sub": "ann", "plan": "pro",
                      "role": "editor", "n": 7, "list": ["a", "b"], "text": "a=b"}
    text, signature = token.rsplit(".", 1)
    assert signature == tokens.b64url(hmac.new(tokens.SECRET, text.encode(),
                                               hashlib.sha256).digest())


def test_token_is_taken(presignd, folder):
    s = presignd()
    assert s.ask(FILE, token=make(folder, "--user", "ann")).status == 201
    assert s.ask(FILE, token=make(folder, "--user", "ann", "--audience", "x")).status == 401


@pytest.mark.parametrize("alg", ["RS256", "RS512", "ES256", "ES384"])
def test_token_with_a_key(presignd, folder, alg):
    key = tokens.make_key(alg)
    (folder / "key.pem").write_bytes(tokens.private_pem(key))
    issuer = {"issuer": tokens.ISSUER, "audience": ["presignd"], "algorithms": [alg],
              "public_key_file": "{dir}/public.pem", "user_claim": "uid"}
    config = base_config(auth={"issuers": [issuer]})
    token = make(folder, "--user", "ann", "--key", folder / "key.pem", config=config)
    assert claims_of(token)[0]["alg"] == alg and claims_of(token)[1]["uid"] == "ann"
    s = presignd(config, files={"public.pem": tokens.public_pem(key)})
    assert s.ask(FILE, token=token).status == 201


BAD_TOKENS = {
    "unknown algorithm": (["--alg", "none"], "--alg"),
    "issuer": (["--issuer", "https://nobody.test/"], "--issuer"),
    "key": (["--key", "/nowhere/key.pem"], "key"),
    "claim": (["--claim", "novalue"], "--claim"),
    "claim without name": (["--claim", "=x"], "--claim"),
    "wrong key": (["--key", "{dir}/presignd.json", "--alg", "RS256"], "key"),
}


@pytest.mark.parametrize("args,about", [pytest.param(*r, id=n) for n, r in BAD_TOKENS.items()])
def test_no_token(folder, args, about):
    path = write(folder, base_config())
    args = [a.replace("{dir}", str(folder)) for a in args]
    status, out, err = run_command("token", "--config", path, "--user", "u", *args)
    assert status == 1 and out == "" and about in err


def test_no_token_without_secret(folder):
    issuer = {"issuer": "i", "audience": ["a"], "algorithms": ["RS256"],
              "jwks_url": "https://login.test/jwks"}
    path = write(folder, base_config(auth={"issuers": [issuer]}))
    status, _, err = run_command("token", "--config", path, "--user", "u")
    assert status == 1 and "--key" in err


# ---- health --------------------------------------------------------------------------------------

def test_health(presignd, folder):
    s = presignd()
    proxy = {"http_proxy": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1"}
    for url in (f"{s.url}/livez", s.url, f"{s.admin_url}/livez"):
        status, out, err = run_command("health", "--url", url, env=proxy)
        assert (status, out, err) == (0, "alive\n", "")
    status, out, err = run_command("health", "--url", f"{s.url}/nope")
    assert status == 1 and out == "" and "404" in err
    for listen in (f"127.0.0.1:{s.port}", f"0.0.0.0:{s.port}", f":{s.port}"):
        path = write(folder, base_config(listen=listen, buckets={"main": {"bucket": "other"}}))
        assert run_command("health", "--config", path)[0] == 0
    s.stop()
    status, _, err = run_command("health", "--config", path)
    assert status == 1 and err.startswith("not alive")


def test_health_of_something_that_hangs():
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        begin = time.monotonic()
        status, _, err = run_command("health", "--url",
                                     f"http://127.0.0.1:{hanging.getsockname()[1]}/livez")
        assert status == 1 and "not alive" in err
        assert time.monotonic() - begin < 15


def test_health_looks_at_liveness_only(presignd, folder):
    s = presignd(base_config(credentials={"provider": "imds"}), credentials=None,
                 env={"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"})
    assert s.get("/readyz").status == 503
    assert run_command("health", "--url", f"{s.url}/livez")[0] == 0


# ---- serve ---------------------------------------------------------------------------------------

def test_serve_refuses_what_check_refuses(folder):
    path = write(folder, base_config(nope=1))
    status, out, err = run_command("serve", "--config", path)
    assert status == 78 and out == "" and err == "nope: unknown member\n"


def test_serve_refuses_a_port_in_use(presignd, folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for member in ("listen", "admin_listen"):
            path = write(folder, base_config(**{member: f"127.0.0.1:{port}"}))
            status, out, err = run_command("serve", "--config", path)
            assert status == 1 and out == "" and "Address already in use" in err


def test_listening(presignd):
    s = presignd(base_config(threads=3))
    line = s.logs("listening")[0]
    assert line["address"] == "127.0.0.1" and line["port"] > 0 and line["admin_port"] > 0
    assert line["threads"] == 3 and s.stdout() == ""
    assert presignd(base_config(admin_listen="")).admin_port is None
    for listen, address in (("[::1]:0", "[::1]"), (":0", "")):
        try:
            other = presignd(base_config(listen=listen))
        except AssertionError:
            if socket.has_ipv6 and Path("/proc/net/if_inet6").exists():
                raise
            continue
        assert other.logs("listening")[0]["address"] == address


def test_threads_follow_affinity(presignd):
    processors = sorted(os.sched_getaffinity(0))
    for some in {1, len(processors)}:
        chosen = ",".join(map(str, processors[:some]))
        s = presignd(base_config(threads=0), launcher=("taskset", "-c", chosen))
        assert 1 <= s.logs("listening")[0]["threads"] <= some
    assert presignd(base_config(threads=5)).logs("listening")[0]["threads"] == 5


@pytest.mark.parametrize("allowed, warned", [("127:127", [127]), ("128:128", []), ("100:128", [])])
def test_few_descriptors_are_a_warning(presignd, allowed, warned):
    s = presignd(base_config(limits={"connections": 64}, threads=2),
                 launcher=("prlimit", f"--nofile={allowed}"))
    lines = s.logs("descriptors", level="warn")
    assert [line["allowed"] for line in lines] == warned
    assert all(line["wanted"] == 128 for line in lines)


def test_warnings_are_logged(presignd):
    s = presignd(base_config(profiles={"default": {"size": "any"}}))
    assert "profiles.default.size" in s.wait_log("config_warning")["message"]


# ---- serve --dev ---------------------------------------------------------------------------------

DEV = {"PRESIGND__LISTEN": "127.0.0.1:0", "PRESIGND__ADMIN_LISTEN": "127.0.0.1:0"}


def dev_folders():
    return set(Path("/tmp").glob("presignd-dev-*"))


def test_dev(presignd):
    before = dev_folders()
    s = presignd(args=["--dev"], env=DEV, credentials=None)
    hints = wait_until(lambda: "curl" in s.stdout() and s.stdout())
    made = [f for f in dev_folders() - before if f.stat().st_ctime >= s.dir.stat().st_mtime - 5]
    mine = [f for f in made if (f / "secret").exists() and stat.S_IMODE(f.stat().st_mode) == 0o700]
    assert mine and all(stat.S_IMODE((f / "secret").stat().st_mode) == 0o600 for f in mine)
    line = next(ln for ln in hints.splitlines() if ln.startswith("curl "))
    done = subprocess.run(["/bin/bash", "-c", line], capture_output=True, timeout=30, check=True)
    u = json.loads(done.stdout)
    assert u["method"] == "POST" and u["key"].endswith("/hello.txt")
    assert "dummy" in hints
    token = next(ln for ln in hints.splitlines() if re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", ln))
    assert s.ask(FILE, token=token).status == 201
    assert s.ask(FILE).status == 401
    # SIGHUP keeps the throw-away secret
    s.reload()
    assert s.ask(FILE, token=token).status == 201
    begin = time.monotonic()
    s.stop()
    assert time.monotonic() - begin < 8
    assert not (dev_folders() & set(mine))


def test_dev_with_credentials_and_variables(presignd):
    s = presignd(args=["--dev"], env=DEV | {
        "PRESIGND__BUCKETS__MAIN__BUCKET": "of-the-environment",
        "PRESIGND__PROFILES__DEFAULT__MAX_BYTES": "7", "AWS_REGION": "eu-south-1"})
    hints = wait_until(lambda: "curl" in s.stdout() and s.stdout())
    assert "dummy" not in hints
    token = next(ln for ln in hints.splitlines() if re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", ln))
    u = s.ask(FILE | {"content_length": 7}, token=token).json
    assert u["url"] == "https://of-the-environment.s3.eu-south-1.amazonaws.com/"
    assert u["fields"]["x-amz-credential"].startswith(CREDENTIALS["AWS_ACCESS_KEY_ID"])
    assert s.ask(FILE | {"content_length": 8}, token=token).code == "file_too_large"


def test_dev_stays_at_home():
    for name in ("LISTEN", "ADMIN_LISTEN"):
        for address in ("0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0"):
            env = DEV | {f"PRESIGND__{name}": address}
            status, out, err = run_command("serve", "--dev", env=env)
            assert status == 78 and out == ""
            assert err == f"{name.lower()}: --dev listens on loopback only\n"


def test_dev_needs_no_configuration(folder):
    path = write(folder, {"nope": 1})
    assert run_command("check", "--dev", env={"PRESIGND_CONFIG": str(path)})[0] == 0
    status, _, err = run_command("check", "--dev", "--config", path)
    assert status == 1 and "nope" in err
    status, _, err = run_command("check", "--dev", env={"PRESIGND__NOPE": "1"})
    assert status == 1 and "PRESIGND__NOPE" in err


def test_example_is_what_make_install_ships(folder):
    status, out, _ = run_command("check", "--config", TOP / "config/presignd.json")
    assert status == 0 and json.loads(out)["default_plan"] == "free"


def test_nothing_is_inherited():
    """The harness gives what it says: a program under test sees no variables of ours."""
    assert not [k for k in clean_environment(credentials=None) if k.startswith(("AWS_", "PRESIGND"))]
    assert BIN.exists()
