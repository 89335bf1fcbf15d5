"""The Terraform modules: what can be said of them without Terraform, always, and Terraform's own
tests where it and its providers are on the machine.

Terraform is run offline: providers come from a folder that `terraform providers mirror` filled,
named by PRESIGND_TF_PLUGINS or one of those that Terraform looks into by itself.
"""
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import readme
from service import TOP, run_command

TERRAFORM = TOP / "config" / "terraform"
MODULES = ("bucket", "service", "examples/complete")
EXAMPLE = TERRAFORM / "examples" / "complete"
MIRRORS = (Path.home() / ".terraform.d/plugins", Path("/usr/local/share/terraform/plugins"),
           Path("/usr/share/terraform/plugins"))
# what the blanks of the configuration are filled with: one for each
BLANKS = {
    "origins": ["https://app.example.com", "https://*.preview.example.com"],
    "issuer": "https://login.example.com/", "audience": "presignd",
    "jwks_url": "https://login.example.com/.well-known/jwks.json",
    "bucket": "example-uploads", "region": "eu-west-1", "key": "uploads/{user_hash}/{uuid}",
    "max_expires_s": 3600, "proxies": ["10.64.0.0/20"],
    "ledger": {"backend": "redis", "url": "rediss://ledger.example.internal:6379/0",
               "username": "presignd", "password_file": "/run/secrets/ledger-password",
               "prefix": "presignd:", "replicas": 4},
}
ECS = {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/0", "AWS_REGION": "eu-west-1"}


def sources(module):
    return "\n".join(p.read_text() for p in sorted((TERRAFORM / module).glob("*.tf")))


def block(text, head):
    """The inside of a block that begins a line, as `terraform fmt` lays it out."""
    found = re.search(rf"^( *){head} \{{\n(.*?)^\1\}}$", text, re.M | re.S)
    assert found, head
    return found[2]


def variables(module):
    text = sources(module)
    return {name: block(text, f'variable "{name}"')
            for name in re.findall(r'^variable "(\w+)"', text, re.M)}


def default(module, name):
    return json.loads(re.search(r"^  default += (.+)$", variables(module)[name], re.M)[1])


# ---- the configuration of the example ------------------------------------------------------------

def configuration(**blanks):
    template = (EXAMPLE / "presignd.json.tftpl").read_text()
    text = re.sub(r"\$\{jsonencode\((\w+)\)\}",
                  lambda m: json.dumps((BLANKS | blanks)[m[1]]), template)
    assert "${" not in text and "%{" not in text, "a blank of another form"
    return json.loads(text)


def check(tmp_path, config):
    path = tmp_path / "presignd.json"
    path.write_text(json.dumps(config))
    return run_command("check", "--config", path, env=ECS, credentials=None)


def test_blanks():
    """What the test fills in is what Terraform fills in."""
    call = re.search(r"templatefile\(.*?, \{\n(.*?)^  \}\)", sources("examples/complete"),
                     re.M | re.S)[1]
    filled = set(re.findall(r"^    (\w+) +=", call, re.M))
    asked = set(re.findall(r"jsonencode\((\w+)\)", (EXAMPLE / "presignd.json.tftpl").read_text()))
    assert filled == asked == set(BLANKS)


def test_ledger_output():
    value = block(block(sources("service"), 'output "ledger"'), "value =")
    assert set(re.findall(r"^    (\w+) +=", value, re.M)) == set(BLANKS["ledger"])


def test_configuration_is_valid(tmp_path):
    status, out, err = check(tmp_path, configuration())
    assert status == 0, err
    in_force = json.loads(out)
    assert in_force["ledger"]["url"].startswith("rediss://")
    assert in_force["credentials"]["provider"] == "container"


@pytest.mark.parametrize("blank", ["key", "jwks_url", "max_expires_s", "ledger", "proxies"])
def test_configuration_with_a_fault(tmp_path, blank):
    wrong = {"key": "uploads/{user_hash}/file", "jwks_url": "ftp://login.example.com/",
             "max_expires_s": "an hour", "ledger": {"backend": "redis"}, "proxies": ["10.0.0.0/40"]}
    status, _, err = check(tmp_path, configuration(**{blank: wrong[blank]}))
    assert status == 1 and err


def environment(config):
    """As the module service makes it: text as it stands, everything else as JSON."""
    return {f"PRESIGND__{name.upper()}": value if isinstance(value, str) else json.dumps(value)
            for name, value in config.items() if value is not None}


def test_the_environment_says_the_same(tmp_path):
    _, from_file, _ = check(tmp_path, configuration())
    status, out, err = run_command("check", env=ECS | environment(configuration()),
                                   credentials=None)
    assert status == 0, err
    assert json.loads(out) == json.loads(from_file)


def test_timeouts_fit():
    """The halves of the promises between load balancer and presignd."""
    config = configuration()
    assert default("service", "idle_timeout_s") < config["limits"]["idle_timeout_s"]
    longest = config["drain"]["timeout_s"]
    assert default("service", "deregistration_delay_s") > longest
    assert default("service", "stop_timeout_s") > longest
    health = block(sources("service"), "health_check")
    interval, times = (int(re.search(rf"^ +{name} += (\d+)$", health, re.M)[1])
                       for name in ("interval", "unhealthy_threshold"))
    assert config["drain"]["delay_s"] >= interval * times


# ---- what the README says ------------------------------------------------------------------------

def test_cors_is_the_readmes():
    rule = block(sources("bucket"), "cors_rule")
    ours = {name: json.loads(value)
            for name, value in re.findall(r"^ +(\w+) += (?!var)(.+)$", rule, re.M)}
    theirs = readme.bucket_cors(None)["CORSRules"][0]
    assert ours == {"allowed_methods": theirs["AllowedMethods"],
                    "allowed_headers": theirs["AllowedHeaders"],
                    "expose_headers": theirs["ExposeHeaders"],
                    "max_age_seconds": theirs["MaxAgeSeconds"]}
    assert re.search(r"^ +allowed_origins = var\.allowed_origins$", rule, re.M)


def test_ledgers_user_is_the_readmes():
    granted = re.search(r'access_string = "on (.*)"', sources("service"))[1].split()
    said = re.search(r"^ACL SETUSER presignd on >PASSWORD resetkeys (.*)$",
                     readme.README.read_text(), re.M)[1].split()
    assert [w.replace("${local.ledger_prefix}", "presignd:") for w in granted] == said


# ---- how the modules are written -----------------------------------------------------------------

@pytest.mark.parametrize("module", MODULES)
def test_versions_are_pinned(module):
    terraform = block(sources(module), "terraform")
    assert re.search(r'required_version = ">= \d+\.\d+, < \d+\.\d+"', terraform)
    providers = block(terraform, "required_providers")
    names = re.findall(r"^ +(\w+) = \{$", providers, re.M)
    pins = re.findall(r'^ +version = "~> \d+\.\d+"$', providers, re.M)
    assert names and len(names) == len(pins)


@pytest.mark.parametrize("module", MODULES)
def test_variables_say_what_they_are(module):
    found = variables(module)
    assert found
    for name, body in found.items():
        assert re.search(r'^  description = ".{20,}"$', body, re.M), f"{name}: description"
        kind = re.search(r"^  type += (.+)$", body, re.M)
        assert kind, f"{name}: type"
        if kind[1] not in ("bool", "map(string)"):
            assert "  validation {" in body, f"{name}: validation"


@pytest.mark.parametrize("module", MODULES)
def test_outputs_say_what_they_are(module):
    text = sources(module)
    for name in re.findall(r'^output "(\w+)"', text, re.M):
        assert "  description = " in block(text, f'output "{name}"'), name


@pytest.mark.parametrize("module", MODULES)
def test_no_scanners_rule_is_skipped_without_a_reason(module):
    for line in sources(module).splitlines():
        if "checkov:skip" in line:
            assert re.search(r"# checkov:skip=CKV2?_AWS_\d+: \w.{5,}", line), line
        if "trivy:ignore" in line:
            assert re.search(r"^# trivy:ignore:AVD-AWS-\d{4} \w.{10,}", line), line


# ---- Terraform itself ----------------------------------------------------------------------------

def mirror():
    """A folder that holds what the modules pin, or None."""
    named = os.environ.get("PRESIGND_TF_PLUGINS")
    for folder in [Path(named)] if named else MIRRORS:
        if all(list(folder.glob(f"*/hashicorp/{p}/*")) for p in ("aws", "random")):
            return folder
    return None


def terraform(cwd, *args):
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd), "CHECKPOINT_DISABLE": "1",
           "TF_IN_AUTOMATION": "1", "AWS_EC2_METADATA_DISABLED": "true"}
    return subprocess.run(["terraform", *args, "-no-color"], cwd=cwd, env=env, timeout=600,
                          capture_output=True, text=True, check=False)


@pytest.mark.without_presignd
@pytest.mark.skipif(not shutil.which("terraform"), reason="terraform is not on this machine")
def test_format():
    done = terraform(TERRAFORM, "fmt", "-check", "-recursive", "-diff")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.without_presignd
@pytest.mark.skipif(not shutil.which("terraform"), reason="terraform is not on this machine")
@pytest.mark.skipif(not mirror(), reason="no mirror of Terraform's providers on this machine "
                    "(PRESIGND_TF_PLUGINS names one)")
@pytest.mark.parametrize("module", MODULES)
def test_validate_and_test(tmp_path, module):
    shutil.copytree(TERRAFORM, tmp_path / "t", ignore=shutil.ignore_patterns(".terraform*"))
    folder = tmp_path / "t" / module
    for step in (("init", "-backend=false", "-input=false", f"-plugin-dir={mirror()}"),
                 ("validate",), ("test",)):
        done = terraform(folder, *step)
        assert done.returncode == 0, done.stdout + done.stderr
