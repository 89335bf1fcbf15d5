"""config/monitoring: every metric, label and value that alerts and dashboard name is one that a
running presignd shows; whoever is woken is told what to do; Prometheus's own judgement."""
import json
import re
import shutil
import subprocess

import pytest
import tokens
from jwks import Jwks
from service import CREDENTIALS, TOP, Service, base_config, run_command

FOLDER = TOP / "config/monitoring"
RULES, DASHBOARD = FOLDER / "presignd.rules.yml", FOLDER / "presignd.dashboard.json"
FILE = {"content_type": "image/png", "content_length": 1000}
# What Prometheus adds to every series, and a series of its own.
TARGET, ITS_OWN = {"job", "instance"}, {"up": [{}]}
# A status of 5xx is not made here: of that label the name alone is compared.
OPEN_LABELS = TARGET | {"status"}


# ---- what the files say --------------------------------------------------------------------------

def alerts():
    """{name: its text}; the file is plain enough to need no YAML library."""
    texts = re.split(r"^      - alert: ", RULES.read_text(), flags=re.M)[1:]
    return {text.split("\n", 1)[0]: text for text in texts}


def alert_expression(text):
    found = re.search(r"^        expr: (?:\|\n((?: {10,}.*\n)+)|(.*)\n)", text, re.M)
    return found.group(1) or found.group(2)


def panels():
    return [p for p in json.loads(DASHBOARD.read_text())["panels"] if p["type"] != "row"]


def expressions():
    found = {name: alert_expression(text) for name, text in alerts().items()}
    return found | {f"{p['title']}/{t['refId']}": t["expr"] for p in panels() for t in p["targets"]}


def selectors(expression):
    """(metric, [(label, values)]) of every series that it names; `values` split at "|"."""
    for name, inside in re.findall(r"\b(presignd_\w+|up)\b(?:\{([^}]*)\})?", expression):
        labels = re.findall(r'([a-z_]+)\s*=~?\s*"([^"]*)"', inside)
        yield name, [(label, values.split("|")) for label, values in labels]


EXPRESSIONS = expressions()


# ---- what a server shows -------------------------------------------------------------------------

def series(service):
    """{metric: [labels of each of its series]}"""
    found = {}
    for key in service.metrics():
        name, _, labels = key.partition("{")
        found.setdefault(name, []).append(dict(re.findall(r'([a-z_]+)="([^"]*)"', labels)))
    return found


@pytest.fixture(scope="module")
def shown():
    """Of a server that has met every kind of request, a limit, a key host and credentials that end."""
    key = tokens.make_key("ES256")
    with Jwks() as host:
        host.publish("login", tokens.jwk(key, kid="k", alg="ES256"))
        issuers = base_config()["auth"]["issuers"] + [
            {"issuer": "https://two.test/", "audience": ["presignd"], "algorithms": ["ES256"],
             "jwks_url": host.jwks_url("login")}]
        config = base_config(
            auth={"issuers": issuers}, default_plan="free",
            plans={"free": {"limits": [{"name": "files", "kind": "count", "max": 4}]}})
        end = {"AWS_SESSION_TOKEN": "t", "AWS_CREDENTIAL_EXPIRATION": "2099-01-01T00:00:00Z"}
        with Service(config, credentials=CREDENTIALS | end) as s:
            upload = s.ask(FILE).json["id"]
            s.ask(FILE, "/presign"), s.ask(FILE, "/upload"), s.ask(FILE, token="x")
            s.ask({"files": [FILE] * 5})
            s.get("/v1/quota", token=s.token()), s.get(f"/v1/uploads/{upload}", token=s.token())
            s.request("POST", f"/v1/uploads/{upload}/complete", token=s.token())
            s.request("DELETE", f"/v1/uploads/{upload}", token=s.token())
            s.get("/livez"), s.get("/readyz")
            yield series(s) | ITS_OWN


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expressions_name_what_is_there(shown, name):
    named = list(selectors(EXPRESSIONS[name]))
    assert named
    for metric, labels in named:
        assert metric in shown, metric
        assert "job" in dict(labels)
        known = set().union(*shown[metric]) | TARGET
        for label, values in labels:
            assert label in known, (metric, label)
            if label not in OPEN_LABELS:
                assert set(values) <= {s.get(label) for s in shown[metric]}, (metric, label)
    known = set().union(TARGET, *(s for metric, _ in named for s in shown[metric]))
    for labels in re.findall(r"\bby \(([^)]*)\)", EXPRESSIONS[name]):
        assert {label.strip() for label in labels.split(",")} <= known


def test_nothing_that_is_shown_is_left_out(shown):
    """A new metric has a panel."""
    on_it = {m for p in panels() for t in p["targets"] for m, _ in selectors(t["expr"])}
    histograms = r"_(bucket|sum|count)$"
    assert {re.sub(histograms, "", m) for m in shown if m.startswith("presignd_")} == \
        {re.sub(histograms, "", m) for m in on_it - set(ITS_OWN)}


# ---- the dashboard -------------------------------------------------------------------------------

def test_the_dashboard():
    board = json.loads(DASHBOARD.read_text())
    variables = {v["name"] for v in board["templating"]["list"]}
    assert variables == {"datasource", "job", "instance"}
    every = board["panels"]
    assert len({p["id"] for p in every}) == len(every)
    assert len({p["title"] for p in every}) == len(every)
    for panel in panels():
        assert panel["description"] and panel["datasource"]["uid"] == "${datasource}"
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        for target in panel["targets"]:
            assert set(re.findall(r"\$(?!__)(\w+)", target["expr"])) <= variables
            grouped = re.search(r"\bby \(([^)]*)\)", target["expr"])
            for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                assert not grouped or label in grouped.group(1)


def test_panels_do_not_cover_each_other():
    places = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        g = panel["gridPos"]
        cells = {(x, y) for x in range(g["x"], g["x"] + g["w"])
                 for y in range(g["y"], g["y"] + g["h"])}
        assert not cells & places, panel["title"]
        places |= cells


# ---- the alerts ----------------------------------------------------------------------------------

@pytest.mark.parametrize("name", alerts())
def test_an_alert_says_what_to_do(name):
    text = alerts()[name]
    assert re.search(r"severity: (critical|warning) ", text)
    for word in ("summary", "runbook"):
        sentence = re.search(rf'^          {word}: "([^"\n]+)"$', text, re.M)
        assert sentence and sentence.group(1).endswith("."), word
    for label in re.findall(r"\$labels\.(\w+)", text):
        expression = alert_expression(text)
        grouped = re.findall(r"\bby \(([^)]*)\)", expression)
        assert not grouped or all(label in g for g in grouped), label


def test_commands_of_the_runbooks_exist():
    for command in set(re.findall(r"\bpresignd (check|health|explain|ledger)\b", RULES.read_text())):
        assert run_command(command, "--help")[0] == 0


def promtool(*args):
    """(status, all that it says)"""
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (Debian package prometheus)")
    done = subprocess.run(["promtool", *map(str, args)], capture_output=True, text=True, timeout=60,
                          check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.without_presignd
def test_prometheus_takes_the_rules():
    status, told = promtool("check", "rules", RULES)
    assert status == 0 and f"{len(alerts())} rules found" in told, told


# metric: (of a healthy server, of an ill one, who notices); in promtool's notation
ILL = {
    "up": ("1x60", "0x60", "PresigndDown"),
    "presignd_credentials_available": ("1x60", "0x60", "PresigndCredentialsMissing"),
    "presignd_credentials_remaining_seconds": ("3000x60", "60x60", "PresigndCredentialsEnding"),
    "presignd_keys": ("2x60", "0x60", "PresigndNoKeys"),
    "presignd_keys_age_seconds": ("600x60", "90000x60", "PresigndKeysStale"),
    'presignd_reservations_total{outcome="unavailable"}': ("0x60", "0+5x60",
                                                           "PresigndLedgerUnavailable"),
    'presignd_refusals_total{code="invalid_token"}': ("0+5x60", "0+600x60",
                                                      "PresigndInvalidTokens"),
    "presignd_connections_refused_total": ("0+5x60", "0+600x60", "PresigndConnectionsRefused"),
    "presignd_log_lines_lost_total": ("0x60", "0+5x60", "PresigndLogLinesLost"),
    "presignd_sweep_backlog": ("10x60", "2000+50x60", "PresigndSweepBacklog"),
}


@pytest.mark.without_presignd
def test_the_rules_fire(tmp_path):
    """Asked for no alert at all, promtool complains of those that Prometheus would send: of an ill
    server each, of a healthy one none."""
    text = [f"rule_files: [{RULES}]", "evaluation_interval: 1m", "tests:", "  - interval: 1m",
            "    input_series:"]
    for metric, (well, ill, _) in ILL.items():
        name, _, labels = metric.partition("{")
        labels = ",".join(filter(None, ['job="presignd"', labels.rstrip("}")]))
        for instance, values in (("well", well), ("ill", ill)):
            text += [f"      - series: '{name}{{{labels},instance=\"{instance}\"}}'",
                     f"        values: '{values}'"]
    text += ["    alert_rule_test:"]
    for _, _, alert in ILL.values():
        text += ["      - eval_time: 50m", f"        alertname: {alert}", "        exp_alerts:"]
    (tmp_path / "test.yml").write_text("\n".join(text) + "\n")
    _, told = promtool("test", "rules", tmp_path / "test.yml")
    assert 'instance="well"' not in told, told
    for _, _, alert in ILL.values():
        own = re.search(rf"alertname: ?{alert}\b(?:(?!alertname:).)*", told, re.S)
        assert own and 'instance="ill"' in own.group(), told
