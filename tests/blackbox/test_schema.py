"""config/presignd.schema.json against the program: what editors complete from is what is accepted.

Where the schema refuses, `presignd check` must refuse, and what the program accepts the schema must
accept. What only the program can know (a reference to another member, a template) stands in a table
of its own.
"""
import copy
import json
import re

import jsonschema
import pytest
import tokens
from service import TOP, base_config, merge, run_command

SCHEMA = json.loads((TOP / "config/presignd.schema.json").read_text())
EXAMPLE = json.loads((TOP / "config/presignd.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
FULL = merge(EXAMPLE, {
    "default_plan": "free", "plans": {"free": {"unsettled": "keep"}},
    "credentials": {"file": "/run/secrets/aws", "profile": "default",
                    "region": "eu-west-1", "sts_endpoint": "", "assume_role": {
        "role_arn": "arn:aws:iam::1:role/x", "session_name": "presignd", "duration_s": 3600,
        "external_id": "", "policy": {"Statement": []}}},
    "buckets": {"main": {"path_style": False, "post": True, "dualstack": False, "fips": False,
                         "accelerate": False, "endpoint": "", "public_endpoint": ""}},
    "profiles": {"default": {
        "checksum": "optional", "token_bound": False,
        "extensions": {"image/png": ["png"]},
        "allow": {"plans": ["free"], "scope": "upload", "claims": {"role": ["editor"]}}}}})
# What goes with some values of another member only: the place, and what stands there then.
LEDGERS = {
    "none": {"backend": "none"},
    "sqlite": {"backend": "sqlite", "path": "/var/lib/presignd/ledger.db"},
    "redis": {"backend": "redis", "url": "redis://h", "username": "u", "password_file": "/p",
              "prefix": "p:", "timeout_ms": 50, "replicas": 2,
              "on_failure": {"rate": "deny", "quota": "allow"}}}
ROLE = {"role_arn": "arn:aws:iam::123456789012:role/uploads/writer"}
LIMITS = {
    "rate": {"name": "a", "kind": "rate", "max": 5, "window_s": 60, "burst": 2},
    "count": {"name": "a", "kind": "count", "max": 5, "window": "month"},
    "bytes": {"name": "a", "kind": "bytes", "max": 5},
    "open": {"name": "a", "kind": "open", "max": 5}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("config")
    (path / "secret").write_bytes(tokens.SECRET)
    (path / "short").write_bytes(b"x" * 31)
    (path / "key.pem").write_bytes(tokens.public_pem(tokens.make_key("ES256")))
    (path / "jwks.json").write_text(json.dumps(
        {"keys": [tokens.jwk(tokens.make_key("ES256"), "one")]}))
    return path


def check(folder, config, **more):
    """(status, effective configuration or None, faults)"""
    path = folder / "presignd.json"
    path.write_text(json.dumps(config).replace("{dir}", str(folder)))
    status, out, err = run_command("check", "--config", path, **more)
    assert status in (0, 1), err
    faults = [line for line in err.splitlines() if not line.startswith("warning: ")]
    assert bool(faults) == (status == 1), err
    return status, json.loads(out) if status == 0 else None, faults


def complaints(config):
    return [e.message for e in VALIDATOR.iter_errors(config)]


# ---- the schema itself ---------------------------------------------------------------------------

def subschemas(schema, path=()):
    """Every member of every object, with its place: names, "*" for a map's entry, 0 for a list's."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    yield path, schema
    for name, sub in schema.get("properties", {}).items():
        yield from subschemas(sub, path + (name,))
    if isinstance(schema.get("additionalProperties"), dict):
        yield from subschemas(schema["additionalProperties"], path + ("*",))
    if isinstance(schema.get("items"), dict):
        yield from subschemas(schema["items"], path + (0,))


MEMBERS = list(subschemas(SCHEMA))


def test_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for path, schema in MEMBERS:
        if "properties" in schema:
            assert schema.get("additionalProperties") is False, path
        if path and isinstance(path[-1], str) and path[-1] != "*":
            assert schema.get("description"), path
        own = jsonschema.Draft202012Validator(schema | {"$defs": SCHEMA["$defs"]})
        for value in [schema[k] for k in ("default",) if k in schema] + schema.get("examples", []):
            own.validate(value)


def test_examples(folder):
    for config in (EXAMPLE, FULL):
        assert complaints(config) == []
        status, effective, faults = check(folder, config)
        assert status == 0, faults
        assert complaints(effective) == []


def test_dev_configuration_fits():
    status, out, err = run_command("check", "--dev")
    assert status == 0, err
    assert complaints(json.loads(out)) == []


def get(config, path):
    for step in path:
        config = config[step]
    return config


def concrete(path, config=FULL):
    """A place of the schema in the full example: map entries by their first name."""
    out = ()
    for step in path:
        here = get(config, out)
        out += (next(iter(here)) if step == "*" else step,)
    return out


def suited(path, value):
    """The full example, with a ledger and limits that the member goes with."""
    out, word = copy.deepcopy(FULL), value if isinstance(value, str) else None
    plan = out["plans"]["free"]
    if path[0] == "ledger":
        member = path[1] if len(path) > 1 else None
        kind = word if member == "backend" else "sqlite" if member in (None, "path") else "redis"
        out["ledger"] = copy.deepcopy(LEDGERS.get(kind, LEDGERS["sqlite"]))
        plan["limits"] = [] if kind == "none" else plan["limits"]
    if path[:3] == ("plans", "free", "limits") and len(path) > 4:
        kind = {"max": "count", "window": "count", "kind": word}.get(path[4], "rate")
        plan["limits"] = [dict(LIMITS.get(kind, LIMITS["rate"]))]
    return out


def with_member(path, value):
    """The full example with one member set; objects on the way are made."""
    out = suited(path, value)
    here = out
    for step in path[:-1]:
        here = here[step] if isinstance(step, int) else here.setdefault(step, {})
    here[path[-1]] = value
    return out


def spelled(path):
    """As the program writes it: auth.issuers[0].scope."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def test_defaults_are_the_programs(folder):
    small = {"auth": {"issuers": [{k: v for k, v in EXAMPLE["auth"]["issuers"][0].items()
                                   if k in ("issuer", "audience", "algorithms", "jwks_url")}]},
             "buckets": {"main": {"bucket": "my-upload-bucket", "region": "eu-west-1"}},
             "profiles": {"default": {"bucket": "main", "key": "{uuid}", "max_bytes": 1,
                                      "content_types": ["image/*"]}},
             "credentials": {"region": "eu-west-1", "assume_role": ROLE},
             "default_plan": "free", "plans": {"free": {}}}
    status, effective, faults = check(folder, small)
    assert status == 0, faults
    status, of_redis, faults = check(folder, small | {"ledger": {"backend": "redis",
                                                                 "url": "redis://h"}})
    assert status == 0, faults
    seen = 0
    for path, schema in MEMBERS:
        if "default" in schema:
            seen += 1
            there = of_redis if path[0] == "ledger" and path[1] not in ("backend", "path") \
                else effective
            assert get(there, concrete(path, there)) == schema["default"], path
    assert seen > 35
    assert effective["profiles"]["default"]["max_expires_s"] == 3600


# ---- every member, both ways ---------------------------------------------------------------------

LEAVES = [(p, s) for p, s in MEMBERS if p and isinstance(p[-1], str) and p[-1] != "*"]


def test_program_knows_every_member(folder):
    """A value of no type at all is a fault of the member's value, never an unknown name."""
    for path, schema in LEAVES:
        place = concrete(path[:-1]) + path[-1:]
        status, _, faults = check(folder, with_member(place, {"no": ["such", 1.5]}))
        assert status == 1, place
        assert not [f for f in faults if spelled(place) + ": unknown" in f], faults
        assert [f for f in faults if path[-1] in f], (place, faults)


def test_schema_knows_every_member():
    """The names in the program's tables."""
    known = {p[-1] for p, _ in LEAVES}
    source = (TOP / "src/config_tables.c").read_text()
    names = re.findall(r'\{ \.name = "(\w+)"', source)
    assert len(names) > 60
    texts = (TOP / "src/rules/profile_texts.c").read_text()
    rules = texts[texts.index("field_rules[] = {"):texts.index("refused_fields[]")]
    fields = re.findall(r'\{ STR_INIT\("([^"]+)"\)', rules)
    assert len(fields) == 10
    assert set(names) | set(fields) <= known, set(names) - known
    assert known <= set(names) | set(fields), known - set(names)


def test_unknown_members_are_refused_everywhere(folder):
    seen = 0
    for path, schema in MEMBERS:
        if schema.get("additionalProperties") is not False:
            continue
        place = concrete(path) + ("nope",)
        config = with_member(place, 1)
        assert complaints(config), place
        status, _, faults = check(folder, config)
        assert status == 1, place
        assert [f for f in faults if "nope" in f], (place, faults)
        seen += 1
    assert seen == 18


def test_null_is_refused_or_known(folder):
    for path, schema in LEAVES:
        place = concrete(path[:-1]) + path[-1:]
        config = with_member(place, None)
        status, _, faults = check(folder, config)
        assert (status == 0) == (complaints(config) == []), (place, faults, complaints(config))


def test_bounds_of_numbers(folder):
    seen = 0
    for path, schema in LEAVES:
        if schema.get("type") != "integer":
            continue
        place = concrete(path)[:-1] + path[-1:]
        values = [(schema["minimum"] - 1, False), (schema["minimum"], True),
                  (schema["maximum"], True), (schema["maximum"] + 1, False), (True, False),
                  ("1", False), (1.5, False)]
        for value, good in values:
            config = with_member(place, value)
            assert (complaints(config) == []) == good, (place, value)
            status, _, faults = check(folder, config)
            assert good or status == 1, (place, value)
            # Members that are judged together may refuse each other: that is no fault of a bound.
            own = [f for f in faults if not re.search(
                r"to max_bytes$|than (max_expires_s|drain.delay_s)$|366 days to come back$", f)]
            assert not (good and own), (place, value, faults)
        seen += 1
    assert seen >= 20


def test_words(folder):
    seen = 0
    for path, schema in LEAVES:
        if "enum" not in schema:
            continue
        place = concrete(path[:-1]) + path[-1:]
        for word in schema["enum"]:
            status, _, faults = check(folder, with_member(place, word))
            assert status == 0, (place, word, faults)
        for word in ("nope", "", 1, schema["enum"][0].swapcase() + "x"):
            config = with_member(place, word)
            assert complaints(config), (place, word)
            status, _, faults = check(folder, config)
            assert status == 1, (place, word)
            assert [f for f in faults if path[-1] in f], faults
        seen += 1
    assert seen >= 12


# ---- tables --------------------------------------------------------------------------------------

def issuer(**members):
    """The base configuration with another issuer; None takes a member away."""
    one = {"issuer": "https://login.test/", "audience": ["a"], "algorithms": ["HS256"],
           "secret_file": "{dir}/secret"} | members
    return {"auth": {"issuers": [{k: v for k, v in one.items() if v is not None}]}}


def public(**members):
    return issuer(**{"secret_file": None, "algorithms": ["RS256", "ES256"]} | members)


def profile(**members):
    return {"profiles": {"default": members}}


def bucket(**members):
    return {"buckets": {"main": members}}


def limits(*entries, **more):
    """One plan with these limits."""
    return {"plans": {"free": {"limits": list(entries)} | more}, "default_plan": "free"}


def across(*entries):
    """Plans a, b, … of one limit each, which is called a unless it says otherwise."""
    return {"plans": {plan: {"limits": [{"name": "a", "max": 1} | entry]}
                      for plan, entry in zip("abc", entries)}, "default_plan": "a"}


def limit(kind="count", **members):
    """One limit; None takes a member away."""
    one = {"name": "a", "kind": kind, "max": 5} | ({"window_s": 60} if kind == "rate" else {})
    return limits({k: v for k, v in (one | members).items() if v is not None})


def ledger(**members):
    return {"ledger": members}


def redis(**members):
    return ledger(**{"backend": "redis", "url": "redis://cache.test:6379/0"} | members)


GOOD = {
    "base": {},
    "IPv6": {"listen": "[::]:8080", "admin_listen": "[::1]:9090"},
    "every address": {"listen": ":8080"},
    "no admin listener": {"admin_listen": None},
    "no admin listener, empty": {"admin_listen": ""},
    "any origin": {"cors": {"origins": ["*"]}},
    "origins": {"cors": {"origins": ["http://localhost:3000", "https://*.a.test:8443",
                                     "https://[::1]"], "credentials": True}},
    "cookie": {"auth": {"cookie": "__Host-token"}},
    "jwks_url": public(jwks_url="https://login.test/jwks"),
    "jwks_url, loopback": public(jwks_url="http://127.0.0.1:1234/jwks"),
    "jwks_url, localhost": public(jwks_url="http://localhost/jwks"),
    "jwks_file": public(jwks_file="{dir}/jwks.json"),
    "public key": public(public_key_file="{dir}/key.pem", algorithms=["ES256"]),
    "discovery": public(discovery=True),
    "discovery, said to be off": issuer(discovery=False),
    "all public algorithms": public(jwks_url="https://login.test/jwks", algorithms=[
        f"{a}{n}" for a in ("RS", "PS", "ES") for n in (256, 384, 512)] + ["EdDSA"]),
    "all secret algorithms": issuer(algorithms=["HS256", "HS384", "HS512"]),
    "no scope": issuer(scope=""),
    "endpoint": bucket(endpoint="http://minio:9000/", public_endpoint="https://files.test",
                       region="Garage_1"),
    "AWS switches": bucket(dualstack=True, fips=True),
    "accelerate": bucket(accelerate=True, path_style=False),
    "dots": bucket(bucket="a.b.c"),
    "no size": profile(size="range", min_bytes=0),
    "5 GiB": profile(max_bytes=5368709120),
    "a week": profile(expires_s=604800),
    "fields": profile(fields={"acl": "private", "tagging": {"a": "{user}", "b": ""},
                              "Content-Disposition": "attachment"}),
    "key words": profile(key="{user_hash}/{tenant}/{plan}/{profile}/{yyyy}/{mm}/{dd}/{hh}/"
                             "{epoch_ms}/{claim:team}/{uuid7}.{ext}"),
    "metadata": profile(metadata={"allow": ["a-1"], "set": {"user": "{user} über"}}),
    "names": {"buckets": {"a": {"bucket": "aaa", "region": "eu-west-1"}},
              "profiles": {"a-1-b": {"bucket": "a", "key": "{uuid}", "max_bytes": 1,
                                     "content_types": ["a/b"]}}},
    "plans": {"plans": {"free": {}, "pro": {"limits": []}}, "default_plan": "pro"},
    "no plans": {"plans": {}},
    "no ledger": ledger(backend="none"),
    "no ledger, plans without limits": ledger(backend="none") | limits(),
    "sqlite": ledger(backend="sqlite", path="/x"),
    "sqlite as it comes": ledger(),
    "sqlite, a path of this folder": ledger(path="ledger.db"),
    "redis": redis(),
    "redis, a host": redis(url="redis://h"),
    "redis, a port": redis(url="redis://h:1"),
    "redis, a database": redis(url="redis://10.0.0.1/15"),
    "redis, a slash": redis(url="redis://h:6379/"),
    "redis, IPv6 and TLS": redis(url="rediss://[2001:db8::1]:6380/1"),
    "redis, all": {"ledger": LEDGERS["redis"]},
    "redis, a password": redis(password_file="/run/secrets/redis"),
    "each kind": limits(*(one | {"name": kind} for kind, one in LIMITS.items())),
    "sixteen": limits(*({"name": f"l{i}", "kind": "open", "max": 1} for i in range(16))),
    "one name in two plans": {"plans": {p: limit("open")["plans"]["free"] for p in "ab"},
                              "default_plan": "a"},
    "one name, other maxima": across({"kind": "bytes", "window_s": 60},
                                     {"kind": "bytes", "window_s": 60, "max": 9}),
    "one name, other rates": across({"kind": "rate", "window_s": 60},
                                    {"kind": "rate", "window_s": 3600, "burst": 9}),
    "one name, months": across({"kind": "count", "window": "month"},
                               {"kind": "count", "window": "month"}),
    "two names, two windows": across({"kind": "count", "window_s": 60},
                                     {"kind": "count", "name": "b"}),
    "rate at its fastest": limit("rate", max=600000),
    "rate at its slowest": limit("rate", max=1, window_s=31622400),
    "burst above max": limit("rate", burst=100),
    "all the bytes there are": limit("bytes", max=9007199254740991),
    "bytes a month": limit("bytes", window="month"),
    "a limit's name": limit(name="a-b_c9" + "x" * 58),
    "release": limits(unsettled="release"),
    "proxies": {"trusted_proxies": ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"]},
    "providers": {"credentials": {"provider": "imds", "assume_role": None}},
    "a file": {"credentials": {"provider": "file", "file": "/f", "profile": "up loads[\\^~"}},
    "web identity": {"credentials": {"provider": "web_identity"}},
    "a role": {"credentials": {"region": "eu-west-1", "assume_role": ROLE}},
    "a role, all": {"credentials": {
        "provider": "container", "region": "eu-west-1", "sts_endpoint": "https://sts.test:8443/",
        "assume_role": ROLE | {"session_name": "a.b@c", "duration_s": 43200, "external_id": "a/b",
                               "policy": {"Version": "2012-10-17", "Statement": []}}}},
    "a policy's text": {"credentials": {"region": "cn-north-1", "assume_role":
                                        ROLE | {"policy": '{"Statement": []}'}}},
    "the page": {"ui": True},
}

# What must stand in a fault beside it.
BAD = {
    "not an address": ({"listen": "nowhere"}, "listen"),
    "a name": ({"listen": "localhost:80"}, "listen"),
    "no port": ({"listen": "127.0.0.1"}, "listen"),
    "IPv6 without brackets": ({"listen": "::1:80"}, "listen"),
    "empty listen": ({"listen": ""}, "listen"),
    "threads": ({"threads": 65}, "threads"),
    "threads, text": ({"threads": "2"}, "threads"),
    "origin with a path": ({"cors": {"origins": ["https://a.test/"]}}, "cors.origins"),
    "origin null": ({"cors": {"origins": ["null"]}}, "cors.origins"),
    "origin, star inside": ({"cors": {"origins": ["https://a.*.test"]}}, "cors.origins"),
    "origin, capital": ({"cors": {"origins": ["https://A.test"]}}, "cors.origins"),
    "origins, a text": ({"cors": {"origins": "*"}}, "cors.origins"),
    "cookie": ({"auth": {"cookie": "a b"}}, "auth.cookie"),
    "no issuers": ({"auth": {"issuers": []}}, "auth.issuers"),
    "no audience": (issuer(audience=None), "audience"),
    "empty audience": (issuer(audience=[]), "audience"),
    "empty audience in it": (issuer(audience=[""]), "audience"),
    "audience, a text": (issuer(audience="a"), "audience"),
    "no algorithms": (issuer(algorithms=[]), "algorithms"),
    "alg none": (issuer(algorithms=["none"]), "algorithms"),
    "alg in small letters": (issuer(algorithms=["hs256"]), "algorithms"),
    "HS and RS": (issuer(algorithms=["HS256", "RS256"]), "algorithms"),
    "HS without secret": (public(jwks_url="https://a.test/", algorithms=["HS256"]), "algorithms"),
    "RS with secret": (issuer(algorithms=["RS256"]), "secret_file"),
    "no keys": (issuer(secret_file=None, algorithms=["RS256"]), "exactly one of"),
    "two places": (public(jwks_url="https://a.test/", jwks_file="{dir}/jwks.json"),
                   "exactly one of"),
    "place and discovery": (public(jwks_url="https://a.test/", discovery=True), "exactly one of"),
    "jwks_url, http": (public(jwks_url="http://login.test/jwks"), "jwks_url"),
    "jwks_url, empty": (public(jwks_url=""), "jwks_url"),
    "discovery of a name": (public(discovery=True, issuer="login"), "discovery"),
    "two words of scope": (issuer(scope="a b"), "scope"),
    "leeway": (issuer(leeway_s=301), "leeway_s"),
    "body beyond a request's memory": ({"limits": {"body_bytes": 1048577}}, "limits.body_bytes"),
    "provider": ({"credentials": {"provider": "static"}}, "credentials.provider"),
    "a profile with a bracket": ({"credentials": {"profile": "a]"}}, "credentials.profile"),
    "a profile in two lines": ({"credentials": {"profile": "a\nb"}}, "credentials.profile"),
    "a long profile": ({"credentials": {"profile": "a" * 129}}, "credentials.profile"),
    "a role without an ARN": ({"credentials": {"region": "a", "assume_role": {}}},
                              "assume_role.role_arn"),
    "a user's ARN": ({"credentials": {"region": "a", "assume_role": {
        "role_arn": "arn:aws:iam::1:user/x"}}}, "assume_role.role_arn"),
    "a role's session name": ({"credentials": {"region": "a", "assume_role":
                                               ROLE | {"session_name": "a b"}}}, "session_name"),
    "a role's duration": ({"credentials": {"region": "a", "assume_role":
                                           ROLE | {"duration_s": 899}}}, "duration_s"),
    "a role's external id": ({"credentials": {"region": "a", "assume_role":
                                              ROLE | {"external_id": "a"}}}, "external_id"),
    "a role's policy": ({"credentials": {"region": "a", "assume_role":
                                         ROLE | {"policy": []}}}, "policy"),
    "STS's region": ({"credentials": {"region": "eu west", "assume_role": ROLE}},
                     "credentials.region"),
    "STS's endpoint": ({"credentials": {"sts_endpoint": "ftp://sts.test"}},
                       "credentials.sts_endpoint"),
    "bucket's alias": ({"buckets": {"Main": {"bucket": "aaa", "region": "eu-west-1"}}},
                       "buckets.Main"),
    "bucket's alias, digit": ({"buckets": {"1a": {"bucket": "aaa", "region": "eu-west-1"}}},
                              "buckets.1a"),
    "bucket's name": (bucket(bucket="My_Bucket"), "buckets.main"),
    "bucket's name, short": (bucket(bucket="ab"), "buckets.main"),
    "region": (bucket(region="eu/west"), "buckets.main.region"),
    "endpoint with a path": (bucket(endpoint="https://s3.test/x"), "buckets.main"),
    "endpoint with a user": (bucket(endpoint="https://u@s3.test"), "buckets.main"),
    "endpoint, a name": (bucket(endpoint="s3.test"), "buckets.main"),
    "public endpoint": (bucket(public_endpoint="ftp://s3.test"), "buckets.main"),
    "no buckets": ({"buckets": {"main": None}}, "buckets.main"),
    "profile without key": ({"profiles": {"b": {"bucket": "main", "max_bytes": 1,
                                                "content_types": ["a/b"]}}}, "profiles.b.key"),
    "profile without types": ({"profiles": {"b": {"bucket": "main", "max_bytes": 1,
                                                  "key": "{uuid}"}}}, "profiles.b.content_types"),
    "profile without bucket": ({"profiles": {"b": {"key": "{uuid}", "max_bytes": 1,
                                                   "content_types": ["a/b"]}}},
                               "profiles.b.bucket"),
    "profile without max_bytes": ({"profiles": {"b": {"bucket": "main", "key": "{uuid}",
                                                      "content_types": ["a/b"]}}},
                                  "profiles.b.max_bytes"),
    "profile's name": ({"profiles": {"a_b": {}}}, "profiles.a_b"),
    "key without uuid": (profile(key="{user}"), "profiles.default.key"),
    "all types": (profile(content_types=["*/*"]), "content_types"),
    "no types": (profile(content_types=[]), "content_types"),
    "type in capitals": (profile(content_types=["Image/png"]), "content_types"),
    "over 5 GiB": (profile(max_bytes=5368709121), "max_bytes"),
    "extension with a dot": (profile(extensions={"image/png": [".png"]}), "extensions"),
    "extensions of a family": (profile(extensions={"image/*": ["png"]}), "extensions"),
    "no extensions": (profile(extensions={"image/png": []}), "extensions"),
    "field": (profile(fields={"Content-Type": "text/plain"}), "fields.Content-Type"),
    "field's spelling": (profile(fields={"cache-control": "x"}), "fields.cache-control"),
    "status": (profile(fields={"success_action_status": "302"}), "success_action_status"),
    "status, a number": (profile(fields={"success_action_status": 201}), "success_action_status"),
    "acl": (profile(fields={"acl": "everybody"}), "fields.acl"),
    "tagging, a text": (profile(fields={"tagging": "a=b"}), "fields.tagging"),
    "tagging, aws": (profile(fields={"tagging": {"aws:a": "b"}}), "fields.tagging"),
    "metadata's name": (profile(metadata={"allow": ["Album"]}), "metadata.allow"),
    "metadata's name, set": (profile(metadata={"set": {"a_b": "c"}}), "metadata.set"),
    "metadata, a number": (profile(metadata={"set": {"a": 1}}), "metadata.set"),
    "nobody": (profile(allow={"plans": []}), "allow.plans"),
    "two scopes": (profile(allow={"scope": "a b"}), "allow.scope"),
    "claims": (profile(allow={"claims": {"role": "editor"}}), "allow.claims"),
    "claims, none": (profile(allow={"claims": {"role": []}}), "allow.claims"),
    "plans without default": ({"plans": {"free": {}}}, "default_plan"),
    "default without plans": ({"default_plan": "free"}, "default_plan"),
    "limits, an object": ({"plans": {"free": {"limits": {}}}, "default_plan": "free"},
                          "plans.free.limits"),
    "plan's name": ({"plans": {"Free": {}}, "default_plan": "Free"}, "plans.Free"),
    "unsettled": ({"plans": {"free": {"unsettled": "drop"}}, "default_plan": "free"},
                  "plans.free.unsettled"),
    "limits without a ledger": (limit() | ledger(backend="none"), "plans.free.limits"),
    "seventeen": (limits(*({"name": f"l{i}", "kind": "open", "max": 1} for i in range(17))),
                  "plans.free.limits"),
    "a limit that is a text": (limits("a"), "plans.free.limits[0]"),
    "limit without a name": (limit(name=None), "plans.free.limits[0].name"),
    "limit without a kind": (limits({"name": "a", "max": 1}), "plans.free.limits[0].kind"),
    "limit without max": (limit(max=None), "plans.free.limits[0].max"),
    "limit, capitals": (limit(name="Bytes"), "plans.free.limits[0].name"),
    "limit, a blank": (limit(name="a b"), "plans.free.limits[0].name"),
    "limit, a digit first": (limit(name="1a"), "plans.free.limits[0].name"),
    "limit, a long name": (limit(name="a" * 65), "plans.free.limits[0].name"),
    "limit, no name": (limit(name=""), "plans.free.limits[0].name"),
    "kind": (limit("size"), "plans.free.limits[0].kind"),
    "max of nothing": (limit(max=0), "plans.free.limits[0].max"),
    "max below nothing": (limit(max=-1), "plans.free.limits[0].max"),
    "max beyond exact sums": (limit(max=2 ** 53), "plans.free.limits[0].max"),
    "max, a fraction": (limit(max=1.5), "plans.free.limits[0].max"),
    "max, a text": (limit(max="10GB"), "plans.free.limits[0].max"),
    "rate without a window": (limit("rate", window_s=None), "plans.free.limits[0].window_s"),
    "rate a month": (limit("rate", window_s=None, window="month"), "plans.free.limits[0].window"),
    "no burst": (limit("rate", burst=0), "plans.free.limits[0].burst"),
    "count with a burst": (limit(burst=1), "plans.free.limits[0].burst"),
    "bytes with a burst": (limit("bytes", burst=1), "plans.free.limits[0].burst"),
    "open with a window": (limit("open", window_s=60), "plans.free.limits[0].window_s"),
    "open a month": (limit("open", window="month"), "plans.free.limits[0].window"),
    "open with a burst": (limit("open", burst=1), "plans.free.limits[0].burst"),
    "two windows": (limit(window_s=60, window="month"), "plans.free.limits[0].window"),
    "another window": (limit(window="week"), "plans.free.limits[0].window"),
    "window of nothing": (limit(window_s=0), "plans.free.limits[0].window_s"),
    "window beyond a year": (limit(window_s=31622401), "plans.free.limits[0].window_s"),
    "the second limit": (limits({"name": "a", "kind": "open", "max": 1},
                                {"name": "b", "kind": "open"}), "plans.free.limits[1].max"),
    "none, with a path": (ledger(backend="none", path="/x"), "ledger.path"),
    "none, with a url": (ledger(backend="none", url="redis://h"), "ledger.url"),
    "sqlite, with a url": (ledger(url="redis://h"), "ledger.url"),
    "sqlite, with replicas": (ledger(backend="sqlite", replicas=3), "ledger.replicas"),
    "sqlite, with on_failure": (ledger(on_failure={}), "ledger.on_failure"),
    "sqlite in memory": (ledger(path=":memory:"), "ledger.path"),
    "sqlite, a folder": (ledger(path="/var/lib/presignd/"), "ledger.path"),
    "sqlite, no path": (ledger(path=""), "ledger.path"),
    "redis, with a path": (redis(path="/x"), "ledger.path"),
    "redis without a url": (ledger(backend="redis"), "ledger.url"),
    "redis, an empty url": (redis(url=""), "ledger.url"),
    "redis, a password in the url": (redis(url="redis://u:p@h:6379"), "ledger.url"),
    "redis, a user in the url": (redis(url="redis://u@h"), "ledger.url"),
    "redis, another scheme": (redis(url="http://h:6379"), "ledger.url"),
    "redis, a socket": (redis(url="unix:///run/redis.sock"), "ledger.url"),
    "redis, no host": (redis(url="redis://:6379"), "ledger.url"),
    "redis, a query": (redis(url="redis://h?db=1"), "ledger.url"),
    "redis, two databases": (redis(url="redis://h/0/1"), "ledger.url"),
    "redis, a database's name": (redis(url="redis://h/main"), "ledger.url"),
    "redis, IPv6 without brackets": (redis(url="redis://2001:db8::1"), "ledger.url"),
    "redis, an open bracket": (redis(url="redis://[::1"), "ledger.url"),
    "redis, a user alone": (redis(username="u"), "ledger.username"),
    "redis, a user of two words": (redis(username="a b", password_file="/p"), "ledger.username"),
    "redis, the password": (redis(password="p"), "ledger.password"),
    "redis, no prefix": (redis(prefix=""), "ledger.prefix"),
    "redis, a hash tag": (redis(prefix="a{b}"), "ledger.prefix"),
    "redis, a pattern": (redis(prefix="a*"), "ledger.prefix"),
    "redis, no time": (redis(timeout_ms=0), "ledger.timeout_ms"),
    "redis, all the time": (redis(timeout_ms=5001), "ledger.timeout_ms"),
    "redis, no replicas": (redis(replicas=0), "ledger.replicas"),
    "redis, a rate's failure": (redis(on_failure={"rate": "open"}), "ledger.on_failure.rate"),
    "redis, a quota's failure": (redis(on_failure={"quota": "local"}), "ledger.on_failure.quota"),
    "ledger": ({"ledger": {"backend": "file"}}, "ledger.backend"),
    "proxy": ({"trusted_proxies": ["proxy.test"]}, "trusted_proxies"),
    "log": ({"log": {"level": "trace"}}, "log.level"),
    "ui": ({"ui": "yes"}, "ui"),
    "a section that is a list": ({"drain": []}, "drain"),
    "a map that is a list": ({"profiles": []}, "profiles"),
    "no profiles": ({"profiles": {"default": 7}}, "profiles.default"),
}

# Only the program can know.
BLIND = {
    "port": ({"listen": "127.0.0.1:65536"}, "listen"),
    "address": ({"listen": "127.0.0.256:80"}, "listen"),
    "both the same": ({"listen": "127.0.0.1:80", "admin_listen": "127.0.0.1:80"}, "admin_listen"),
    "star and credentials": ({"cors": {"origins": ["*"], "credentials": True}}, "cors.origins"),
    "star and cookie": ({"cors": {"origins": ["*"]}, "auth": {"cookie": "t"}}, "cors.origins"),
    "default port": ({"cors": {"origins": ["https://a.test:443"]}}, "cors.origins"),
    "issuer twice": ({"auth": {"issuers": issuer()["auth"]["issuers"] * 2}}, "twice"),
    "no secret": (issuer(secret_file="{dir}/none"), "none"),
    "short secret": (issuer(secret_file="{dir}/short"), "32"),
    "no key set": (public(jwks_file="{dir}/secret"), "login.test"),
    "no PEM": (public(public_key_file="{dir}/secret"), "login.test"),
    "PEM of another kind": (public(public_key_file="{dir}/key.pem", algorithms=["RS256"]),
                            "login.test"),
    "no region": ({"buckets": {"b": {"bucket": "bbb"}}}, "buckets.b.region"),
    "region in capitals": (bucket(region="EU-WEST-1"), "buckets.main"),
    "bucket is an address": (bucket(bucket="127.0.0.1"), "buckets.main"),
    "fips and accelerate": (bucket(fips=True, accelerate=True), "buckets.main"),
    "dualstack at home": (bucket(dualstack=True, endpoint="https://s3.test"), "buckets.main"),
    "default profile": ({"default_profile": "none"}, "default_profile"),
    "profile's bucket": (profile(bucket="none"), "profiles.default.bucket"),
    "key's word": (profile(key="{uuid}{usr}"), "profiles.default.key"),
    "key's brace": (profile(key="{uuid}{"), "profiles.default.key"),
    "key climbs": (profile(key="../{uuid}"), "profiles.default.key"),
    "min over max": (profile(min_bytes=2000000), "profiles.default.min_bytes"),
    "wish over max": (profile(expires_s=901, max_expires_s=900), "profiles.default.expires_s"),
    "dollar": (profile(fields={"Cache-Control": "$x"}), "fields.Cache-Control"),
    "file name in a field": (profile(fields={"Cache-Control": "{filename}"}),
                             "fields.Cache-Control"),
    "plan of allow": (profile(allow={"plans": ["gold"]}) | {"plans": {"free": {}},
                                                             "default_plan": "free"}, "allow.plans"),
    "default plan": ({"plans": {"free": {}}, "default_plan": "gold"}, "default_plan"),
    "a limit twice": (limits({"name": "a", "kind": "open", "max": 1},
                             {"name": "a", "kind": "count", "max": 1}),
                      "plans.free.limits[1].name"),
    "one name, two kinds": (across({"kind": "count"}, {"kind": "bytes"}),
                            "plans.b.limits[0].name: a has another kind in plan a,"),
    "one name, open and a rate": (across({"kind": "open"}, {"kind": "rate", "window_s": 60}),
                                  "plans.b.limits[0].name: a has another kind in plan a,"),
    "one name, two windows": (across({"kind": "count", "window_s": 60},
                                     {"kind": "count", "window_s": 61}),
                              "plans.b.limits[0].name: a has another window in plan a,"),
    "one name, for ever and a month": (across({"kind": "bytes"},
                                              {"kind": "bytes", "window": "month"}),
                                       "plans.b.limits[0].name: a has another window in plan a,"),
    "one name, the third plan": (across({"kind": "open", "name": "z"}, {"kind": "count"},
                                        {"kind": "count", "window_s": 1}),
                                 "plans.c.limits[0].name: a has another window in plan b,"),
    "rate too fast": (limit("rate", max=600001), "plans.free.limits[0].max"),
    "burst of a lifetime": (limit("rate", max=1, burst=600000), "plans.free.limits[0].burst"),
    "redis, port 0": (redis(url="redis://h:0"), "ledger.url"),
    "redis, a large port": (redis(url="redis://h:65536"), "ledger.url"),
    "redis, a large database": (redis(url="redis://h/65536"), "ledger.url"),
    "redis, no IPv6": (redis(url="redis://[1.2.3.4]"), "ledger.url"),
    "drain": ({"drain": {"delay_s": 11, "timeout_s": 10}}, "drain.timeout_s"),
    "network with host bits": ({"trusted_proxies": ["10.0.0.1/8"]}, "trusted_proxies"),
}


def rows(table):
    return [pytest.param(row, id=name) for name, row in table.items()]


@pytest.mark.parametrize("changes", rows(GOOD))
def test_good(folder, changes):
    config = base_config(**changes)
    assert complaints(config) == []
    status, effective, faults = check(folder, config)
    assert status == 0, faults
    assert complaints(effective) == []


@pytest.mark.parametrize("row", rows(BAD))
def test_bad(folder, row):
    changes, place = row
    config = base_config(**changes)
    assert complaints(config), "the schema accepts it"
    status, _, faults = check(folder, config)
    assert status == 1, "the program accepts it"
    assert [f for f in faults if place in f], faults


@pytest.mark.parametrize("row", rows(BLIND))
def test_bad_for_the_program_only(folder, row):
    changes, place = row
    config = base_config(**changes)
    assert complaints(config) == []
    status, _, faults = check(folder, config)
    assert status == 1
    assert [f for f in faults if place in f], faults
