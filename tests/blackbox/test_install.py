"""`make install` and `make uninstall` into a folder, the manual pages, the completion, and the Debian
package through the life that dpkg gives it."""
import gzip
import hashlib
import json
import os
import pty
import re
import select
import shutil
import stat
import subprocess
import time
from pathlib import Path

import jsonschema
import pytest
from service import BIN, TOP, WAIT_LIMIT_S, run_command

pytestmark = pytest.mark.without_presignd
BUILD = Path(os.environ.get("PRESIGND_BUILD", BIN.parent))
MAN = TOP / "src/man"
PAGES = ("presignd.1", "presignd.json.5")
# Below PREFIX, and the mode.
FILES = {
    "bin/presignd": 0o755,
    "lib/systemd/system/presignd.service": 0o644,
    "lib/systemd/system/presignd.socket": 0o644,
    "share/man/man1/presignd.1": 0o644,
    "share/man/man5/presignd.json.5": 0o644,
    "share/bash-completion/completions/presignd": 0o644,
    "share/presignd/presignd.json": 0o644,
    "share/presignd/presignd.schema.json": 0o644,
    "share/presignd/web/presignd.js": 0o644,
    "share/presignd/web/presignd.d.ts": 0o644,
    "share/presignd/monitoring/presignd.dashboard.json": 0o644,
    "share/presignd/monitoring/presignd.rules.yml": 0o644,
}


def run(*argv, ok=True, env=None, **more):
    done = subprocess.run([str(a) for a in argv], env=os.environ | {"LC_ALL": "C.UTF-8"} | (env or {}),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                          check=False, **more)
    assert not ok or done.returncode == 0, done.stdout + done.stderr
    return done


def make(*targets, ok=True, more_env=None, **variables):
    """The Makefile on what is built already: others run the program while it is installed, so it is
    not linked anew. What `make check` passes down is not for it."""
    build = os.path.relpath(BUILD, TOP)
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    words = [f"{name}={value}" for name, value in variables.items()]
    done = subprocess.run(["make", "-C", TOP, "-o", f"{build}/presignd", "NODEPS=1", f"B={build}",
                           *words, *targets], env=env | (more_env or {}), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return done.stdout if ok else done.stderr


def files_below(folder):
    """Every file and link, by its path in there."""
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir() or p.is_symlink()}


def bare(root, *folders):
    for name in folders:
        (root / name).mkdir(parents=True)
    return root


# ---- make install --------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    root = tmp_path_factory.mktemp("install with space")
    make("install", DESTDIR=root, PREFIX="/usr")
    return root


def test_what_is_installed(installed):
    assert files_below(installed) == {f"usr/{name}" for name in FILES}
    for name, mode in FILES.items():
        assert stat.S_IMODE((installed / "usr" / name).stat().st_mode) == mode, name
    for folder in (p for p in installed.rglob("*") if p.is_dir()):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o755, folder
    status, out, _ = run_command("version")
    assert status == 0
    assert run(installed / "usr/bin/presignd", "version").stdout == out


def test_unit_starts_what_was_installed(installed, tmp_path):
    make("install", DESTDIR=tmp_path, PREFIX="/opt/presignd")
    for root, prefix in ((installed, "/usr"), (tmp_path, "/opt/presignd")):
        unit = (root / prefix[1:] / "lib/systemd/system/presignd.service").read_text()
        assert re.findall(r"^ExecStart=(\S+)", unit, re.M) == [f"{prefix}/bin/presignd"]
        assert (root / prefix[1:] / "bin/presignd").exists()
        assert prefix == "/usr" or "/usr/bin/presignd" not in unit


def test_default_prefix(tmp_path):
    make("install", DESTDIR=tmp_path)
    assert files_below(tmp_path) == {f"usr/local/{name}" for name in FILES}


def test_configuration_is_the_operators(tmp_path):
    config = tmp_path / "etc/presignd/presignd.json"
    config.parent.mkdir(parents=True)
    config.write_text("mine")
    other = tmp_path / "usr/share/presignd/mine"
    make("install", DESTDIR=tmp_path, PREFIX="/usr")
    other.write_text("mine")
    make("install", DESTDIR=tmp_path, PREFIX="/usr")
    assert config.read_text() == other.read_text() == "mine"
    assert json.loads((tmp_path / "usr/share/presignd/presignd.json").read_text())["listen"]
    make("uninstall", DESTDIR=tmp_path, PREFIX="/usr")
    assert files_below(tmp_path) == {"etc/presignd/presignd.json", "usr/share/presignd/mine"}
    assert config.read_text() == other.read_text() == "mine"


def test_uninstall_leaves_nothing(tmp_path):
    make("install", DESTDIR=tmp_path, PREFIX="/usr")
    make("uninstall", DESTDIR=tmp_path, PREFIX="/usr")
    assert files_below(tmp_path) == set()
    assert not (tmp_path / "usr/share/presignd").exists()
    make("uninstall", DESTDIR=tmp_path, PREFIX="/usr")


@pytest.mark.parametrize("prefix", ["/opt/my app", "opt", "/a&b", "/a|b", "/a%b", "/a'b", "/a;b", ""])
def test_prefix_that_a_unit_cannot_have(tmp_path, prefix):
    for target in ("install", "uninstall"):
        said = make(target, ok=False, DESTDIR=tmp_path, PREFIX=prefix)
        assert "make: PREFIX must be an absolute path" in said
    assert files_below(tmp_path) == set()


# ---- manual pages --------------------------------------------------------------------------------

def rendered(page):
    """The page as a terminal shows it, without overstrikes."""
    done = run("mandoc", "-Tutf8", "-Owidth=200", MAN / page)
    return re.sub(r".\x08", "", done.stdout)


@pytest.mark.parametrize("page", PAGES)
def test_page_is_clean(page):
    if not shutil.which("mandoc") or not shutil.which("man"):
        pytest.skip("mandoc or man is not installed")
    # That a page is not installed on this machine is no fault of the one that names it.
    said = [line for line in run("mandoc", "-Tlint", MAN / page, ok=False).stdout.splitlines()
            if "referenced manual not found" not in line]
    assert said == []
    done = run("man", "--warnings", "-l", MAN / page, env={"MANWIDTH": "80"})
    assert "warning" not in done.stderr
    assert page.rsplit(".", 1)[0].upper() in done.stdout


def commands_of_help():
    """Each command with the options in its --help."""
    names = re.findall(r"^  ([a-z]+) ", run_command("--help")[1], re.M)
    assert "serve" in names and "explain" in names
    return {name: set(re.findall(r"--[a-z][a-z-]*", run_command(name, "--help")[1]))
            for name in names}


def test_page_has_every_command_and_option():
    text = rendered("presignd.1")
    commands = text[text.index("\nCOMMANDS\n"):text.index("\nSIGNALS\n")]
    parts = re.split(r"\n   ([a-z]+)\n", commands)
    described = {name: set(re.findall(r"^     (--[a-z][a-z-]*)", body, re.M))
                 for name, body in zip(parts[1::2], parts[2::2])}
    assert described == commands_of_help()


def test_page_has_every_verb_of_ledger():
    verbs = set(re.findall(r"^  ([a-z]+)(?: [A-Z]+)*  ", run_command("ledger", "--help")[1], re.M))
    assert {"show", "backup"} <= verbs
    text = rendered("presignd.1")
    assert verbs == set(re.findall(r"^     presignd ledger ([a-z]+)", text, re.M))


def member_names(node):
    """The names of all members that a schema knows."""
    if isinstance(node, list):
        for item in node:
            yield from member_names(item)
    elif isinstance(node, dict):
        if node.get("type") == "object" or "description" in node:
            yield from node.get("properties", ())
        for item in node.values():
            yield from member_names(item)


def test_page_has_every_member():
    done = run(MAN / "members", TOP / "config/presignd.schema.json", MAN / "presignd.json.5")
    assert done.stdout == (MAN / "presignd.json.5").read_text(), "`make man` makes it anew"
    schema = json.loads((TOP / "config/presignd.schema.json").read_text())
    names = set(member_names(schema))
    assert {"listen", "role_arn", "max_expires_s", "on_failure", "burst"} <= names
    text = rendered("presignd.json.5")
    text = text[text.index("\nMEMBERS\n"):text.index("\nENVIRONMENT\n")]
    shown = set(re.findall(r"^     ([A-Za-z][\w-]*) \(", text, re.M))
    sections = set(re.findall(r"^   ([\w.\[\]]+)$", text, re.M))
    for name in names - shown:
        assert any(re.search(rf"(^|\.){name}(\.NAME|\[\])?$", s) for s in sections), name
    assert shown <= names


def test_example_of_page_is_good(tmp_path):
    text = rendered("presignd.json.5")
    example = text[text.index("The smallest useful"):text.index("A plan:")]
    path = tmp_path / "presignd.json"
    path.write_text(example[example.index("{"):])
    status, out, err = run_command("check", "--config", path)
    assert (status, err) == (0, ""), err
    plan = text[text.index("A plan:"):text.index("\nSEE ALSO")]
    config = json.loads(path.read_text()) | json.loads(
        "{" + plan[plan.index('"default_plan"'):] + "}")
    jsonschema.validate(config, json.loads((TOP / "config/presignd.schema.json").read_text()))
    path.write_text(json.dumps(config))
    assert run_command("check", "--config", path)[0] == 0


# ---- completion ----------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def shell_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("completion")
    (folder / "presignd").symlink_to(BIN)
    (folder / "refusal one.xml").write_text("")
    (folder / "packet.json").write_text("")
    (folder / "parts").mkdir()
    return folder


COMPLETE = r"""
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_presignd presignd "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}"
"""


def completions(folder, *words):
    done = run("bash", "--norc", "-c", COMPLETE, "bash", MAN / "presignd.bash", "presignd", *words,
               env={"PATH": f"{folder}:/usr/bin:/bin"}, cwd=folder)
    assert done.stderr == ""
    return done.stdout.splitlines()


FOLDER = ["packet.json", "parts", "presignd", "refusal one.xml"]
COMPLETIONS = [
    ("command by its beginning", ["se"], ["serve"]),
    ("no such command", ["sign"], []),
    ("options of serve", ["serve", "--"], ["--config", "--dev", "--help"]),
    ("option by its beginning", ["serve", "--c"], ["--config"]),
    ("file behind an option", ["serve", "--config", "pa"], ["packet.json", "parts"]),
    ("file behind = as bash has it", ["serve", "--config", "=", "pac"], ["packet.json"]),
    ("nothing typed behind =", ["serve", "--config", "="], FOLDER),
    ("a file may have spaces", ["explain", "ref"], ["refusal one.xml"]),
    ("explain takes a file", ["explain", "--packet", "packet.json", ""], FOLDER),
    ("value that nobody can guess", ["token", "--user", ""], []),
    ("value of a pair", ["token", "--claim", "--"], []),
    ("option that only the usage line has", ["check", "--config", "pac"], ["packet.json"]),
    ("option behind a value", ["token", "--user", "alice", "--aud"], ["--audience"]),
    ("verbs", ["ledger", "re"], ["release", "reset"]),
    ("verbs behind an option", ["ledger", "--json", "sh"], ["show"]),
    ("one verb is enough", ["ledger", "show", "alice", ""], []),
    ("a verb's file", ["ledger", "backup", "pac"], ["packet.json"]),
    ("a verb's user is no file", ["ledger", "show", "pac"], []),
    ("options behind a verb", ["ledger", "backup", "x.db", "--co"], ["--config"]),
    ("flag takes no value", ["serve", "--dev", "--co"], ["--config"]),
    ("command that does not exist", ["nonsense", "--"], []),
]


@pytest.mark.parametrize("words, want", [c[1:] for c in COMPLETIONS], ids=[c[0] for c in COMPLETIONS])
def test_completion(shell_folder, words, want):
    assert sorted(completions(shell_folder, *words)) == sorted(want)


def test_completion_has_every_command_and_option(shell_folder):
    commands = commands_of_help()
    assert set(completions(shell_folder, "")) == set(commands) | {"help"}
    for name, options in commands.items():
        assert set(completions(shell_folder, name, "--")) == options | {"--help"}, name


def test_completion_by_the_key(shell_folder):
    """An interactive bash, its line editor and the Tab key."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(shell_folder)
        env = {"PATH": f"{shell_folder}:/usr/bin:/bin", "TERM": "dumb", "PS1": "ready> ",
               "HISTFILE": "", "HOME": str(shell_folder), "LC_ALL": "C.UTF-8"}
        os.execve("/bin/bash", ["bash", "--norc", "--noprofile", "-i"], env)
    seen = b""

    def until(text):
        nonlocal seen
        end = time.monotonic() + WAIT_LIMIT_S
        while text not in seen:
            assert time.monotonic() < end and select.select([fd], [], [], WAIT_LIMIT_S)[0], seen
            seen += os.read(fd, 4096)
        seen = seen[seen.index(text) + len(text):]

    try:
        until(b"ready> ")
        os.write(fd, f"source {MAN / 'presignd.bash'}\r".encode())
        until(b"ready> ")
        os.write(fd, b"presignd exp\t--pac\tpac\tref\t")
        until(b"presignd explain --packet packet.json refusal\\ one.xml ")
        os.write(fd, b"\x15presignd check --config=pac\t")
        until(b"--config=packet.json ")
        os.write(fd, b"\x15exit\r")
    finally:
        os.close(fd)
        os.waitpid(pid, 0)


# ---- the Debian package --------------------------------------------------------------------------

VERSION = re.search(r"^VERSION := (\S+)", (TOP / "Makefile").read_text(), re.M).group(1)


@pytest.fixture(scope="module")
def deb():
    if not shutil.which("dpkg-shlibdeps"):
        pytest.skip("dpkg-dev is not installed")
    (BUILD / "presignd_0.0.1_all.deb").touch()
    make("deb")
    arch = run("dpkg", "--print-architecture").stdout.strip()
    [path] = BUILD.glob("presignd_*.deb")  # one, whatever was built before
    assert path.name.endswith(f"_{arch}.deb")
    return path


def field(deb, name):
    return run("dpkg-deb", "--field", deb, name).stdout.strip()


def test_deb_says_what_it_is(deb):
    assert field(deb, "Package") == "presignd"
    assert re.fullmatch(re.escape(VERSION) + r"(\+git\d{8}\.\d{6}\.[0-9a-f]+)?", field(deb, "Version"))
    assert run("dpkg-parsechangelog", "-l", TOP / "config/debian/changelog", "-S",
               "Version").stdout.strip() == VERSION
    depends = {re.split(r"[ (]", d.strip())[0] for d in field(deb, "Depends").split(",")}
    linked = {line.split()[0] for line in run("ldd", BIN).stdout.splitlines() if "=> /" in line}
    for library, package in (("libmicrohttpd", "libmicrohttpd"), ("libsqlite3", "libsqlite3"),
                             ("libcurl", "libcurl"), ("libc.so", "libc6")):
        assert any(name.startswith(library) for name in linked)
        assert any(name.startswith(package) for name in depends), depends
    assert "ca-certificates" in depends
    assert 0 < int(field(deb, "Installed-Size")) < 4096


def test_deb_contents(deb, tmp_path):
    run("dpkg-deb", "--raw-extract", deb, tmp_path)
    control = tmp_path / "DEBIAN"
    assert {p.name for p in control.iterdir()} == {"control", "conffiles", "md5sums", "preinst",
                                                   "postinst", "prerm", "postrm"}
    want = {re.sub(r"(/man/.*)", r"\1.gz", f"usr/{name}") for name in FILES}
    doc = "usr/share/doc/presignd"
    want |= {f"{doc}/copyright", f"{doc}/changelog.gz", f"{doc}/examples/presignd.json",
             "etc/default/presignd"}
    found = {name for name in files_below(tmp_path) if not name.startswith("DEBIAN/")}
    assert found == want
    assert (control / "conffiles").read_text() == "/etc/default/presignd\n"
    sums = dict(reversed(line.split("  ")) for line in (control / "md5sums").read_text().splitlines())
    assert set(sums) == {n for n in found - {"etc/default/presignd"}
                         if not (tmp_path / n).is_symlink()}
    for name, md5 in sums.items():
        assert hashlib.md5((tmp_path / name).read_bytes()).hexdigest() == md5, name
    assert json.loads((tmp_path / doc / "examples/presignd.json").read_text())["buckets"]
    assert VERSION in gzip.decompress((tmp_path / doc / "changelog.gz").read_bytes()).decode()
    assert all(line.startswith("#") for line in
               (tmp_path / "etc/default/presignd").read_text().splitlines())
    listing = run("dpkg-deb", "--contents", deb).stdout
    assert all(line.split()[1] == "root/root" for line in listing.splitlines())
    assert not re.search(r"^.{3}[sS]|^.{6}[sS]", listing, re.M)


def test_deb_is_reproducible(deb, tmp_path):
    first = deb.read_bytes()
    old = os.umask(0o077)
    try:
        make("deb")
    finally:
        os.umask(old)
    assert deb.read_bytes() == first


def test_a_later_commit_is_a_later_version(tmp_path):
    """Else apt keeps what is installed. A release is its version alone."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    where = {"GIT_DIR": str(tmp_path / ".git"), "GIT_WORK_TREE": str(tmp_path),
             "GIT_CONFIG_GLOBAL": "/dev/null"}

    def git(*args, **env):
        run("git", "-c", "user.name=a", "-c", "user.email=a@example.com", *args, env=where | env)

    def version():
        return re.search(r"debian/build \S+ (\S+) ", make("-n", "deb", more_env=where))[1]

    assert version() == VERSION  # no checkout
    git("init", "-q")
    seen = [VERSION]
    for at in ("2026-11-22T09:59:59+0200", "2026-11-22T08:00:00+0000", "2027-01-01T00:00:00-0500"):
        git("commit", "-q", "--allow-empty", "-m", "x", GIT_COMMITTER_DATE=at, GIT_AUTHOR_DATE=at)
        seen.append(version())
        run("dpkg", "--compare-versions", seen[-2], "lt", seen[-1])
    run("dpkg", "--compare-versions", seen[-1], "lt", VERSION + ".1")
    git("tag", "v1")
    assert version() == VERSION


def test_every_file_has_the_same_version():
    named = re.findall(r"^ARG VERSION=(\S+)$|^ +image: presignd[a-z-]*:(\S+)$",
                       "\n".join((TOP / "docker" / n).read_text() for n in ("Dockerfile", "compose.yaml")),
                       re.M)
    assert len(named) == 3 and {a or b for a, b in named} == {VERSION}


class Machine:
    """An empty root that dpkg installs into. The package's scripts run outside of it and honour
    DPKG_ROOT, as for a foreign architecture."""

    def __init__(self, root):
        self.root = bare(root, *(f"var/lib/dpkg/{n}" for n in ("info", "updates", "triggers", "parts")))
        (root / "var/lib/dpkg/status").touch()
        (root / "var/lib/dpkg/available").touch()

    def dpkg(self, *args):
        rooted = [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]
        return run(*rooted, "dpkg", f"--root={self.root}", "--force-script-chrootless",
                   "--force-depends", "--log=/dev/null", *args,
                   env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})

    def files(self):
        return {n for n in files_below(self.root) if not n.startswith("var/lib/dpkg/")}


@pytest.fixture
def machine(tmp_path):
    rooted = os.geteuid() == 0 or run("unshare", "--map-root-user", "true", ok=False).returncode == 0
    if not rooted:
        pytest.skip("dpkg needs root, or a user namespace")
    return Machine(tmp_path / "machine")


WANTS = "etc/systemd/system/multi-user.target.wants/presignd.service"


def test_deb_lives_and_goes(deb, machine):
    root = machine.root
    said = machine.dpkg("--install", deb).stdout
    assert "presignd waits for its configuration" in said
    assert os.readlink(root / WANTS) == "/usr/lib/systemd/system/presignd.service"
    assert not (root / "etc/systemd/system/sockets.target.wants").exists()
    assert not (root / "etc/presignd/presignd.json").exists()

    # What the operator adds, and the service.
    (root / "etc/presignd/presignd.json").write_text("{}")
    (root / "etc/default/presignd").write_text("AWS_REGION=eu-west-1\n")
    bare(root, "var/lib/private/presignd", "etc/systemd/system/presignd.service.d")
    (root / "var/lib/private/presignd/ledger.db").touch()
    (root / "var/lib/presignd").symlink_to("private/presignd")
    (root / "etc/systemd/system/presignd.service.d/override.conf").touch()

    # Again, as an upgrade does it: what is the operator's stays as it is.
    (root / WANTS).unlink()
    said = machine.dpkg("--install", deb).stdout
    assert "waits" not in said
    assert not (root / WANTS).exists()  # disabled stays disabled
    assert (root / "etc/default/presignd").read_text() == "AWS_REGION=eu-west-1\n"

    machine.dpkg("--remove", "presignd")
    left = {"etc/presignd/presignd.json", "etc/default/presignd", "var/lib/presignd",
            "var/lib/private/presignd/ledger.db",
            "etc/systemd/system/presignd.service.d/override.conf"}
    assert {n for n in machine.files() if "deb-systemd-helper" not in n} == left
    machine.dpkg("--purge", "presignd")
    assert machine.files() == set()
    assert not any("presignd" in str(p.relative_to(root)) for p in root.rglob("*"))
