#!/usr/bin/python3
"""standins - what the README's commands find on their PATH: links to this file, named as the programs.

Each does what the program would, as far as a test can: presignd and curl are the real ones, pointed to the
test's ports and store. What cannot run in a test (docker, terraform, systemctl, make, ...)
is held against the project instead: every file, option, service, unit, package and image that the
command names must be there. A fault is a sentence on standard error and status 97.

The test says in STANDIN_WORLD, a file of JSON, where things are and what the README builds.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

WORLD = json.loads(Path(os.environ["STANDIN_WORLD"]).read_text(encoding="utf-8"))
TOP = Path(WORLD["top"])
REAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def fail(sentence):
    print(f"{Path(sys.argv[0]).name} {' '.join(sys.argv[1:])}: {sentence}", file=sys.stderr)
    sys.exit(97)


def demand(holds, sentence):
    if not holds:
        fail(sentence)


def run(*argv, env=None):
    """The real program of this name, to its end."""
    argv = [str(a) for a in argv]
    program = argv[0] if "/" in argv[0] else shutil.which(argv[0], path=REAL_PATH)
    demand(program, f"{argv[0]} is not installed")
    done = subprocess.run([program, *argv[1:]], env=env or os.environ | {"PATH": REAL_PATH},
                          check=False)
    return done.returncode


class Words:
    """The words of a command, taken from the left."""

    def __init__(self, words):
        self.words = list(words)

    def next(self, what="one more word"):
        demand(self.words, f"lacks {what}")
        return self.words.pop(0)

    def options(self, flags=(), valued=()):
        """[(name, value or None)] up to the first word that is no option; an unknown one fails."""
        out = []
        while self.words and self.words[0].startswith("-") and self.words[0] != "-":
            name, equals, value = self.words.pop(0).partition("=")
            demand(name in flags or name in valued, f"no option {name} is known here")
            if name in valued:
                out.append((name, value if equals else self.next(f"a value of {name}")))
            else:
                out.append((name, None))
        return out


# ---- what runs for real --------------------------------------------------------------------------

def presignd(args):
    """The program; what it finds in the environment leads it to the test's ports and store."""
    env = os.environ | {"PATH": REAL_PATH}
    if args[:1] != ["serve"]:
        return run(WORLD["presignd"], *args, env=env)
    env |= WORLD["overlay"]
    # A reader leaves it running; here it is stopped as soon as it answers.
    child = subprocess.Popen([WORLD["presignd"], *args], env=env, stderr=subprocess.PIPE, text=True)
    seen = False
    for line in child.stderr:
        sys.stderr.write(line)
        if not seen and '"event":"listening"' in line:
            seen = True
            child.send_signal(signal.SIGTERM)
    demand(child.wait() == 0 and seen, "it did not come up, or did not end well")
    return 0


def curl(args):
    """The real one: the README's ports are the test's. A refusal is a failure."""
    ports = {"127.0.0.1:8080": WORLD["public"], "localhost:8080": WORLD["public"],
             "127.0.0.1:9090": WORLD["admin"], "localhost:9090": WORLD["admin"]}
    words = []
    for word in args:
        for theirs, ours in ports.items():
            word = word.replace(f"http://{theirs}", f"http://{ours}")
        words.append(word)
    demand(all(w.startswith("http://127.0.0.1:") for w in words if "://" in w and "{" not in w),
           "asks somebody else")
    return run("curl", "--fail-with-body", *words)


def make(args):
    """That the targets are there, and the variables: what they do, other tests and CI show."""
    text = (TOP / "Makefile").read_text(encoding="utf-8")
    known = re.findall(r"^([a-z][a-z-]*)\b[^:=\n]*:(?!=)", text, re.M)
    for word in args:
        name, equals, _ = word.partition("=")
        if equals:
            demand(re.search(rf"^{re.escape(name)} \?=|\$\({re.escape(name)}\)|#\s+make .*\b{name}=",
                             text, re.M) or name in ("KEEP",), f"no variable {name} is asked for")
        else:
            demand(name in known, f"there is no target {name}")
    return 0


def sudo(args):
    return run(args[0], *args[1:], env=os.environ) if shutil.which(args[0]) else 127


# ---- Debian --------------------------------------------------------------------------------------

def apt_get(args):
    words = Words(args)
    verb = words.next("a verb")
    if verb == "update":
        demand(not words.words, "update takes no more")
        return 0
    demand(verb in ("install", "remove", "purge"), "no such verb is known here")
    words.options(flags=("-y", "--no-install-recommends"))
    demand(words.words, "names no package")
    ours = (TOP / "tests/deps").read_text(encoding="utf-8")
    for package in words.words:
        if package.startswith("./"):
            built = re.fullmatch(r"\./build/presignd_[*\w.]+\.deb", package)
            demand(built, "is no package that `make deb` builds")
        elif package != "presignd":
            demand(package in re.findall(r"[a-z0-9][a-z0-9.+-]+", ours) or
                   run("dpkg-query", "-W", package) == 0, f"{package} is a package nobody uses here")
    return 0


def unit_of(name):
    name = name if re.search(r"\.(service|socket)$", name) else f"{name}.service"
    demand((TOP / "systemd" / name).exists(), f"there is no unit {name}")


def systemctl(args):
    words = Words(args)
    words.options(flags=("--now", "--no-pager", "--system"))
    verb = words.next("a verb")
    demand(verb in ("start", "stop", "restart", "reload", "status", "enable", "disable", "edit",
                    "daemon-reload", "show", "is-active"), "no such verb is known here")
    words.options(flags=("--now", "--no-pager", "--full", "--stdin"), valued=("-p",))
    demand(bool(words.words) != (verb == "daemon-reload"), "which unit?")
    for name in words.words:
        unit_of(name)
    return 0


def journalctl(args):
    options = Words(args).options(flags=("-f", "-e", "--no-pager"),
                                  valued=("-u", "-o", "-n", "--since"))
    units = [value for name, value in options if name == "-u"]
    demand(units, "of which unit?")
    for name in units:
        unit_of(name)
    return 0


def systemd_run(args):
    """Runs the program with the options that the service has too."""
    words = Words(args)
    options = words.options(flags=("--quiet", "--pipe", "--wait"), valued=("-p",))
    unit = (TOP / "systemd/presignd.service").read_text(encoding="utf-8").splitlines()
    for name, value in options:
        demand(name != "-p" or value in unit, f"the service has no {value}")
    demand(words.next() == "presignd", "another program is no service of ours")
    return presignd(words.words)


def systemd_analyze(args):
    words = Words(args)
    demand(words.next() in ("security", "verify"), "no such verb is known here")
    words.options(flags=("--no-pager",))
    for name in words.words:
        unit_of(Path(name).name)
    return 0


def editor(args):
    for name in args:
        demand(Path(name).is_file(), f"there is no {name} to edit")
    return 0


# ---- containers ----------------------------------------------------------------------------------

def of_compose(words):
    """The services of the file."""
    files = []
    for name, value in words.options(valued=("-f", "--file", "-p", "--project-name")):
        if name in ("-f", "--file"):
            files.append(value)
    demand(len(files) == 1 and Path(files[0]).is_file(), "which compose file?")
    text = Path(files[0]).read_text(encoding="utf-8")
    inside = re.search(r"^services:\n(.*?)(?=^\S|\Z)", text, re.M | re.S)
    demand(inside, f"{files[0]} has no services")
    return re.findall(r"^  ([\w-]+):", inside[1], re.M)


def docker_compose(words):
    services = of_compose(words)
    verb = words.next("a verb")
    known = {"up": ("-d", "--detach", "--build", "--wait"), "down": ("-v", "--volumes"),
             "config": ("-q", "--quiet"), "logs": ("-f", "--follow"), "build": (), "ps": (),
             "restart": (), "stop": (), "exec": ("-T",), "run": ("--rm", "-T"), "kill": ()}
    demand(verb in known, "no such verb is known here")
    options = words.options(flags=known[verb], valued=("--scale", "-s"))
    named = [value.split("=")[0] for name, value in options if name == "--scale"]
    if verb in ("exec", "run"):
        named.append(words.next("a service"))
        within_image(words.words)
    elif verb != "config":
        named += words.words
    for name in named:
        demand(name in services, f"there is no service {name}; there are {services}")
    return 0


def dockerfile():
    return (TOP / "docker/Dockerfile").read_text(encoding="utf-8")


def docker_build(words):
    context = words.words.pop() if words.words else ""
    options = words.options(flags=("--pull", "--no-cache"),
                            valued=("-f", "--file", "-t", "--tag", "--target", "--build-arg",
                                    "--output", "--platform"))
    demand(not words.words, "one context, at the end")
    demand(Path(context, "src").is_dir(), "the context is the checkout")
    files = [value for name, value in options if name in ("-f", "--file")]
    demand(len(files) == 1 and Path(files[0]).is_file(), "which Dockerfile?")
    for name, value in options:
        if name == "--target":
            demand(re.search(rf"^FROM \S+ AS {re.escape(value)}$", dockerfile(), re.M),
                   f"the Dockerfile has no stage {value}")
        elif name == "--build-arg":
            demand(re.search(rf"^ARG {re.escape(value.split('=')[0])}\b", dockerfile(), re.M) or
                   value.startswith("SOURCE_DATE_EPOCH"), f"the Dockerfile takes no {value}")
    return 0


def within_image(words):
    """What the image is told to do: the image's program, and options it knows."""
    if words[:1] in (["presignd"], ["/usr/bin/presignd"]):
        words = words[1:]
    if words:
        help_of(words[0], [w for w in words[1:] if w.startswith("--")])


def help_of(command, options):
    done = subprocess.run([WORLD["presignd"], command, "--help"], capture_output=True, text=True,
                          check=False)
    demand(done.returncode == 0, f"presignd has no command {command}")
    for name in options:
        demand(re.search(rf"(?<![\w-]){re.escape(name.split('=')[0])}(?![\w-])", done.stdout),
               f"presignd {command} has no {name}")


def docker_run(words):
    options = words.options(
        flags=("-d", "--detach", "--rm", "--read-only", "-i", "-t", "-it", "--init"),
        valued=("--name", "-p", "--publish", "-v", "--volume", "--mount", "-e", "--env", "--env-file",
                "--cap-drop", "--security-opt", "--user", "-u", "--network", "--restart", "--memory",
                "-m", "--cpus", "--ulimit", "--stop-timeout", "--log-driver", "--pids-limit",
                "--tmpfs"))
    image = words.next("an image")
    demand(image in WORLD["images"], f"nobody has built an image {image}")
    exposed = re.search(r"^EXPOSE (.+)$", dockerfile(), re.M)[1].split()
    for name, value in options:
        if name in ("-p", "--publish"):
            demand(value.split(":")[-1] in exposed, f"the image exposes {exposed}, not {value}")
        elif name in ("-v", "--volume"):
            host, _, rest = value.partition(":")
            place = rest.split(":")[0]
            demand(place.startswith(("/etc/presignd", "/var/lib/presignd", "/run/secrets",
                                     "/run/presignd")), f"presignd looks for nothing at {place}")
            demand(not host.startswith((".", "/")) or Path(host).exists(), f"there is no {host}")
        elif name in ("-e", "--env") and value.startswith("PRESIGND__"):
            member_of(value)
    within_image(words.words)
    return 0


def member_of(setting):
    """Whether the program knows the member, judged by itself."""
    name = setting.split("=")[0]
    done = subprocess.run([WORLD["presignd"], "check", "--config", WORLD["config"]],
                          env={"PATH": REAL_PATH, name: "?"}, capture_output=True, text=True,
                          check=False)
    demand(f"{name}: there is no such member" not in done.stderr and
           not re.search(rf"{name}.*no such|{name}.*unknown", done.stderr), "no member is called so")


def docker(args):
    words = Words(args)
    verb = words.next("a verb")
    if verb == "compose":
        return docker_compose(words)
    if verb == "build":
        return docker_build(words)
    if verb == "run":
        return docker_run(words)
    if verb in ("stop", "logs", "exec", "kill", "rm", "restart"):
        words.options(flags=("-f", "-it", "-t", "-i"), valued=("--signal", "-s", "--time"))
        demand(words.next("a container") in WORLD["containers"], "nobody has started that container")
        if verb == "exec":
            within_image(words.words)
        return 0
    fail("no such verb is known here")
    return 1


# ---- Terraform, AWS ------------------------------------------------------------------------------

def terraform(args):
    here = Path.cwd()
    words = Words(args)
    verb = words.next("a verb")
    demand(list(here.glob("*.tf")), "there is no module in this folder")
    demand(verb in ("init", "plan", "apply", "output", "destroy", "fmt", "test", "validate"),
           "no such verb is known here")
    options = words.options(flags=("-raw", "-check", "-recursive", "-json"), valued=("-var",))
    declared = "".join(f.read_text(encoding="utf-8") for f in here.glob("*.tf"))
    for name, value in options:
        if name == "-var":
            demand(f'variable "{value.split("=")[0]}"' in declared, f"there is no variable {value}")
    for name in words.words:
        demand(verb == "output" and f'output "{name}"' in declared, f"there is no output {name}")
    if words.words == ["configuration"]:
        print(Path(WORLD["config"]).read_text(encoding="utf-8"))
    return 0


def aws(args):
    """The CORS rule goes to a bucket of the test's store; nothing else is asked of AWS."""
    demand(args[:2] == ["s3api", "put-bucket-cors"], "no such call is known here")
    words = Words(args[2:])
    options = dict(words.options(valued=("--bucket", "--cors-configuration")))
    demand(not words.words and len(options) == 2, "--bucket and --cors-configuration, no more")
    path = options["--cors-configuration"].removeprefix("file://")
    import boto3
    s3 = boto3.client("s3", endpoint_url=WORLD["store"]["endpoint"], region_name="us-east-1",
                      aws_access_key_id=WORLD["store"]["key"],
                      aws_secret_access_key=WORLD["store"]["secret"])
    s3.create_bucket(Bucket=options["--bucket"])
    s3.put_bucket_cors(Bucket=options["--bucket"],
                       CORSConfiguration=json.loads(Path(path).read_text(encoding="utf-8")))
    return 0


ROLES = {"presignd": presignd, "curl": curl, "make": make, "sudo": sudo, "apt-get": apt_get,
         "systemctl": systemctl, "journalctl": journalctl, "systemd-analyze": systemd_analyze,
         "systemd-run": systemd_run,
         "editor": editor, "docker": docker, "terraform": terraform, "aws": aws}

if __name__ == "__main__":
    sys.exit(ROLES[Path(sys.argv[0]).name](sys.argv[1:]))
