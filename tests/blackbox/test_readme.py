"""The README's commands, run as a reader types them, chapter by chapter in a scratch folder; and what
its sentences name (targets, commands, options, files, members of the configuration) is there.

On the PATH stand only the programs named here and in standins.py, so a command that no test knows how
to run fails. What is real and what is held against the project, standins.py says.
"""
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import readme
import tokens
from service import BIN, TOP, Service, base_config, merge, run_command
from store import post

STANDINS = Path(__file__).resolve().parent / "standins.py"
ROLES = re.findall(r'"([a-z-]+)": [a-z_]+[,}]', STANDINS.read_text().split("ROLES = ")[1])
# What a reader has, and a test may run as it is.
TOOLS = ("base64", "cat", "chmod", "cp", "grep", "head", "install", "ls", "mkdir", "mv", "openssl",
         "rm", "sed", "sqlite3", "tail", "tee")
# Absolute paths a command may write to or read from: below the scratch folder here.
PLACES = r"""(?<=[\s'"=<>@])/(?=(etc|usr/local|usr/share|var/lib/presignd|run/secrets)\b)"""
SCRIPTS = readme.scripts()
CHAPTERS = list(dict.fromkeys(s.chapter for s in SCRIPTS))
ASK = {"content_type": "image/png", "content_length": 9}


def plans():
    return json.loads("{" + readme.block("json", '"default_plan"') + "}")


@pytest.fixture(scope="module")
def service(rgw):
    """What the README's addresses, 127.0.0.1:8080 and :9090, stand for."""
    config = base_config(buckets={"main": rgw.bucket_config()}, cors={"origins": ["https://app.example.com"]}, **plans())
    config["profiles"]["default"]["key"] = "{user_hash}/{uuid}/{filename}"
    with Service(config, credentials=rgw.session_credentials()) as s:
        yield s


def refused(service, folder):
    """A packet, a form that is not its, and what the store said to it."""
    packet = service.ask(ASK).json
    sent = packet["fields"] | {"Content-Type": "text/html"}
    reply = post(packet, b"123456789", {"Content-Type": "text/html"})
    assert reply.verdict == (403, "AccessDenied")
    for name, value in (("packet", packet), ("form", sent)):
        (folder / f"{name}.json").write_text(json.dumps(value))
    (folder / "refusal.xml").write_bytes(reply.body)


def machine(root):
    """The folders of one with the package, which test_install.py looks into."""
    for name in ("etc/presignd", "etc/default", "var/lib/presignd", "run/secrets", "usr/local"):
        (root / name).mkdir(parents=True)
    for name in ("usr/share/presignd", "usr/local/share/presignd", "usr/share/doc/presignd/examples"):
        (root / name).mkdir(parents=True)
        shutil.copy(TOP / "config/presignd.json", root / name)
    return root


@pytest.fixture
def reader(tmp_path, service, rgw):
    """Runs a script in a copy of the checkout: `reader(text)` gives what it printed."""
    here, programs, root = tmp_path / "presignd", tmp_path / "bin", machine(tmp_path / "machine")
    for folder in ("config", "docker", "systemd"):
        shutil.copytree(TOP / folder, here / folder)
    for name in ("src", "include", "Makefile", "LICENSE"):
        (here / name).symlink_to(TOP / name)
    (here / "presignd.json").write_text(readme.block("json", '"issuers"'))
    (here / "cors.json").write_text(readme.block("json", '"CORSRules"'))
    refused(service, here)
    programs.mkdir()
    for name in ROLES:
        (programs / name).symlink_to(STANDINS)
    for name in TOOLS:
        if real := shutil.which(name):
            (programs / name).symlink_to(real)
    listening = service.config | {"listen": f"127.0.0.1:{service.port}",
                                  "admin_listen": f"127.0.0.1:{service.admin_port}"}
    config = tmp_path / "running.json"
    config.write_text(json.dumps(listening).replace("{dir}", str(service.dir)))
    world = {"top": str(TOP), "presignd": str(BIN),
             "public": f"127.0.0.1:{service.port}", "admin": f"127.0.0.1:{service.admin_port}",
             "config": str(TOP / "config/presignd.json"), "images": said(r"docker build .*?-t (\S+)"),
             "containers": said(r"docker run .*?--name (\S+)"),
             "overlay": {"PRESIGND__LISTEN": "127.0.0.1:0", "PRESIGND__ADMIN_LISTEN": "127.0.0.1:0",
                         "PRESIGND__DRAIN__DELAY_S": "0",
                         "PRESIGND__LEDGER__PATH": str(tmp_path / "ledger.db")},
             "store": {"endpoint": rgw.endpoint, "key": rgw.credentials["AWS_ACCESS_KEY_ID"],
                       "secret": rgw.credentials["AWS_SECRET_ACCESS_KEY"]}}
    (tmp_path / "world.json").write_text(json.dumps(world))
    env = {"PATH": str(programs), "LC_ALL": "C.UTF-8", "HOME": str(tmp_path), "TOKEN": tokens.token(),
           "STANDIN_WORLD": str(tmp_path / "world.json"), "PRESIGND_CONFIG": str(config),
           "PYTHONDONTWRITEBYTECODE": "1"} | rgw.session_credentials()

    def run(script):
        local = re.sub(PLACES, f"{root}/", f" {script}")
        return subprocess.run(["/bin/bash", "-euo", "pipefail", "-c", local], cwd=here, env=env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60, check=False)

    return run


def said(pattern):
    return re.findall(pattern, readme.text().replace("\\\n", " "))


# ---- the commands --------------------------------------------------------------------------------

@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda c: c or "top")
def test_commands(reader, chapter):
    faults = []
    for script in SCRIPTS:
        if script.chapter == chapter:
            done = reader(script.text)
            if done.returncode:
                faults.append(f"README.md:{script.line}: status {done.returncode}\n{script.text}"
                              f"---\n{done.stdout}")
    assert not faults, "\n".join(faults)


def test_commands_in_sentences(reader):
    """Those of a stand-in that are whole; presignd's and make's are looked at below."""
    programs = ("apt-get", "docker compose", "journalctl", "systemctl", "systemd-analyze")
    whole = [(line, code) for line, code in readme.inline_code()
             if code.startswith(tuple(f"{p} " for p in programs)) and "…" not in code]
    assert whole
    for line, code in whole:
        done = reader(code)
        assert done.returncode == 0, f"README.md:{line}: {done.stdout}"


def test_an_unknown_command_fails(reader):
    """What keeps a new command from standing there untested."""
    for script in ("frobnicate --all", "presignd frobnicate", "presignd check --frobnicate",
                   "make frobnicate", "docker run frobnicate", "docker frobnicate",
                   "docker compose -f docker/none.yaml up", "systemctl start frobnicate",
                   "apt-get install -y frobnicate", "terraform apply", "aws s3 ls",
                   "curl -sS http://127.0.0.1:8080/frobnicate", "curl https://example.com/",
                   "cat /etc/presignd/frobnicate.json", "frobnicate | cat"):
        assert reader(script).returncode != 0, script


PARTS = [f for f in readme.fences() if f.language == "json" and '"CORSRules"' not in f.text]


@pytest.mark.parametrize("part", PARTS, ids=lambda f: f"line {f.line}")
def test_parts_of_a_configuration_are_good(tmp_path, part):
    """Laid on the smallest one, each as a reader would."""
    text = part.text if part.text.startswith("{") else "{" + part.text + "}"
    config = merge(json.loads(readme.block("json", '"issuers"')), json.loads(text))
    (tmp_path / "presignd.json").write_text(json.dumps(config))
    status, _, err = run_command("check", "--config", tmp_path / "presignd.json")
    assert (status, err) == (0, ""), f"README.md:{part.line}: {err}"


# ---- what the sentences name ---------------------------------------------------------------------

def test_every_chapter_the_reader_looks_for_is_there():
    chapters = re.findall(r"^## (.+)$", readme.text(), re.M)
    wanted = ["Install", "Configure", "Deploy", "Operate", "Security"]
    assert [c for c in chapters if c in wanted] == wanted


def test_links_lead_somewhere():
    text = readme.text()
    anchors = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-")
               for h in re.findall(r"^#+ (.+)$", text, re.M)}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif "://" not in target:
            assert (TOP / target.split("#")[0]).exists(), target


def test_targets_are_the_makefiles():
    makefile = (TOP / "Makefile").read_text()
    known = set(re.findall(r"^([a-z][a-z-]*)\b[^:=\n]*:(?!=)", makefile, re.M))
    for line, code in readme.inline_code():
        if code.startswith("make "):
            targets = [w for w in code.split()[1:] if re.fullmatch(r"[a-z-]+", w)]
            assert set(targets) <= known, f"README.md:{line}: {code}"


def test_files_are_there():
    folders = ("config", "docker", "include", "src", "systemd", "tests")
    for line, code in readme.inline_code():
        word = code.split()[0] if code.split() else ""
        if word.split("/")[0] in folders and "/" in word and "…" not in word:
            assert (TOP / word.rstrip("/")).exists(), f"README.md:{line}: {code}"


def test_options_are_the_commands():
    usage = {}
    for line, code in readme.inline_code():
        words = re.sub(r"[…\[\]|]", " ", code).split()
        if words[:1] != ["presignd"] or len(words) < 2 or not re.fullmatch(r"[a-z]+", words[1]):
            continue
        name = words[1]
        if name not in usage:
            usage[name] = run_command(name, "--help")
        status, out, _ = usage[name]
        assert status == 0, f"README.md:{line}: {code}"
        for option in re.findall(r"--[a-z-]+", code):
            assert option in out, f"README.md:{line}: {code}"


def test_metrics_are_the_services(service):
    known = set(re.findall(r"^# TYPE (\w+) ", service.get("/metrics", admin=True).body.decode(), re.M))
    named = [(line, m[0]) for line, code in readme.inline_code()
             if (m := re.match(r"presignd_\w+", code))]
    assert named
    for line, name in named:
        assert name in known, f"README.md:{line}: {name}"


def members(schema, definitions):
    """Every path of members, names of one's own as *."""
    if not isinstance(schema, dict):
        return
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rsplit("/", 1)[1]]
    for one in schema.get("oneOf", []) + schema.get("anyOf", []):
        yield from members(one, definitions)
    inside = list(schema.get("properties", {}).items())
    if isinstance(schema.get("additionalProperties"), dict):
        inside.append(("*", schema["additionalProperties"]))
    if isinstance(schema.get("items"), dict):
        yield from members(schema["items"], definitions)
    for name, value in inside:
        yield name
        for path in members(value, definitions):
            yield f"{name}.{path}"


def test_members_are_the_schemas():
    schema = json.loads((TOP / "config/presignd.schema.json").read_text())
    known = set(members(schema, schema["$defs"]))
    sections = {p.split(".")[0] for p in known}
    for line, code in readme.inline_code():
        if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", code) and code.split(".")[0] in sections:
            assert code in known, f"README.md:{line}: {code}"
