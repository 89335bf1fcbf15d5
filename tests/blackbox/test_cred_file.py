"""The shared credentials file: which one, which profile, and that a change of it counts.

Read again every five minutes; SIGHUP reads it at once.
"""
import json
import time

import pytest
from service import base_config, run_command, wait_until
from sts import Sts

ASK = {"content_type": "image/png", "content_length": 1000}
SECRET = "secret+of+the+file"


def profile(key, name="default", **more):
    keys = {"aws_access_key_id": key, "aws_secret_access_key": SECRET} | more
    return f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items() if v is not None)


@pytest.fixture
def start(presignd, tmp_path):
    def go(env=None, **members):
        config = base_config(credentials={"provider": "file", "min_ttl_s": 1} | members)
        return presignd(config, env={"HOME": str(tmp_path)} | (env or {}), credentials=None)
    return go


@pytest.fixture
def aws(tmp_path):
    (tmp_path / ".aws").mkdir()
    return tmp_path / ".aws/credentials"


def signed_by(service):
    answer = service.ask(ASK)
    assert answer.status == 201, answer
    return answer.json["fields"]["x-amz-credential"].split("/")[0]


def swap(path, text):
    """As secret volumes do it: by rename."""
    other = path.with_name("other")
    other.write_text(text)
    other.rename(path)


def nothing_leaked(service):
    assert SECRET not in "\n".join(json.dumps(line) for line in service.logs())


def test_home(start, aws):
    aws.write_text(profile("AKIAHOME"))
    s = start()
    assert signed_by(s) == "AKIAHOME"
    assert "file" in s.wait_log("credentials_available")["message"]
    nothing_leaked(s)


def test_named_by_the_environment(start, aws, tmp_path):
    aws.write_text(profile("AKIAHOME"))
    (tmp_path / "keys").write_text(profile("AKIADEFAULT") + profile("AKIAOTHER", "other"))
    s = start({"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "keys"), "AWS_PROFILE": "other"})
    assert signed_by(s) == "AKIAOTHER"


def test_named_by_the_configuration(start, aws, tmp_path):
    aws.write_text(profile("AKIAHOME", "mine"))
    s = start({"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"), "AWS_PROFILE": "other"},
              file="~/.aws/credentials", profile="mine")
    assert signed_by(s) == "AKIAHOME"


def test_config_beside_it(start, aws, tmp_path):
    aws.with_name("config").write_text("[default]\nregion = eu-west-1\n" +
                                       profile("AKIACONFIG", "profile other"))
    assert signed_by(start({"AWS_PROFILE": "other"})) == "AKIACONFIG"
    aws.write_text(profile("AKIAHOME", "other"))
    assert signed_by(start({"AWS_PROFILE": "other"})) == "AKIAHOME"
    (tmp_path / "else").write_text(profile("AKIAELSE", "profile mine"))
    assert signed_by(start({"AWS_CONFIG_FILE": str(tmp_path / "else")},
                           profile="mine")) == "AKIAELSE"
    s = start({"AWS_PROFILE": "other"}, file=str(tmp_path / "none"))  # named: no other is read
    assert "no such file" in s.wait_log("credentials_unavailable")["message"]


def test_a_role_beside_the_keys(start, aws):
    """The SDKs would assume it: to sign with the keys would be to sign with other rights."""
    aws.write_text(profile("AKIAHOME"))
    config = aws.with_name("config")
    config.write_text("[default]\nrole_arn = r\nsource_profile = default\n")
    s = start()
    message = s.wait_log("credentials_unavailable")["message"]
    assert str(config) in message and "set credentials.assume_role" in message
    config.write_text("[default]\nregion = eu-west-1\n")
    s.wait_log("credentials_recovered")
    assert signed_by(s) == "AKIAHOME"
    nothing_leaked(s)


def test_a_token_and_its_end(start, aws):
    end = int(time.time()) + 300
    iso = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))
    aws.write_text(profile("ASIA", aws_session_token="t==", aws_expiration=iso))
    answer = start().ask(ASK)
    assert answer.json["fields"]["x-amz-security-token"] == "t=="
    assert answer.json["expires_limited_by"] == "credentials"


def test_rereading_shortens_no_packet(start, aws):
    """Five minutes to the next look are no end."""
    aws.write_text(profile("AKIA"))
    life = start().ask(ASK | {"expires_in": 3600}).json
    assert life["expires_in"] == 3600
    assert "expires_limited_by" not in life or life["expires_limited_by"] != "credentials"


def test_rotation(start, aws):
    aws.write_text(profile("AKIAFIRST"))
    s = start()
    assert signed_by(s) == "AKIAFIRST"
    s.reload()
    assert signed_by(s) == "AKIAFIRST"
    # The same texts are the same generation: one change is told in the end.
    swap(aws, profile("AKIASECOND"))
    s.reload()
    wait_until(lambda: signed_by(s) == "AKIASECOND")
    assert len(s.logs("credentials_changed")) == 1
    nothing_leaked(s)


def test_rotation_to_nothing(start, aws):
    """What was read serves on, whatever became of the file."""
    aws.write_text(profile("AKIAFIRST"))
    s = start()
    assert signed_by(s) == "AKIAFIRST"
    swap(aws, profile("AKIASECOND", aws_secret_access_key=None))
    s.reload()
    line = s.wait_log("credentials_refresh_failing")
    assert "has aws_access_key_id but no aws_secret_access_key" in line["message"]
    assert signed_by(s) == "AKIAFIRST"
    swap(aws, profile("AKIATHIRD"))
    s.wait_log("credentials_recovered")
    wait_until(lambda: signed_by(s) == "AKIATHIRD")


FAULTS = {
    # name: (the file, what the log says)
    "no file": (None, "no such file"),
    "another profile": (profile("AKIA", "other"), 'profile "default" is not in it'),
    "half a pair": (profile("AKIA", aws_secret_access_key=None), "no aws_secret_access_key"),
    "a role": ("[default]\nrole_arn = r\nsource_profile = x\n", "credentials.assume_role"),
    "a program": ("[default]\ncredential_process = /bin/false\n", "no program is run"),
    "no such form": ("aws_access_key_id: AKIA\n", "line 1"),
    "ended": (profile("AKIA", aws_expiration="2020-01-01T00:00:00Z"), "ended at 2020-01-01"),
    "too large": (profile("AKIA") + "#" * 70000, "larger than allowed"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault(start, aws, name):
    text, says = FAULTS[name]
    if text is not None:
        aws.write_text(text)
    s = start()
    message = s.wait_log("credentials_unavailable")["message"]
    assert says in message
    assert str(aws) in message
    assert (answer := s.ask(ASK)).code == "credentials_unavailable", answer
    aws.write_text(profile("AKIAMENDED"))
    s.wait_log("credentials_recovered")
    assert signed_by(s) == "AKIAMENDED"
    nothing_leaked(s)


def test_a_role_on_top(start, aws):
    aws.write_text(profile("AKIAINNER"))
    with Sts() as fake:
        s = start(region="eu-west-1", sts_endpoint=fake.url,
                  assume_role={"role_arn": "arn:aws:iam::123456789012:role/uploader"})
        assert signed_by(s) != "AKIAINNER"
        assert "assume_role" in s.wait_log("credentials_available")["message"]
        swap(aws, profile("AKIANEXT"))
        asked = len(fake.seen)
        s.reload()
        fake.wait_for(lambda f: len(f.seen) > asked)
        assert "Credential=AKIANEXT/" in fake.seen[-1]["headers"]["authorization"]


def test_check_says_what_is_missing(tmp_path):
    path = tmp_path / "presignd.json"
    (tmp_path / "secret").write_bytes(b"x" * 64)

    def check(env=None, **members):
        config = base_config(credentials=members)
        path.write_text(json.dumps(config).replace("{dir}", str(tmp_path)))
        status, _, err = run_command("check", "--config", path, env=env)
        return status, err

    status, err = check(provider="file")
    assert status == 1 and "HOME" in err
    assert check({"HOME": "/nowhere"}, provider="file")[0] == 0
    status, err = check({"AWS_PROFILE": "a]"}, provider="file", file="/f")
    assert status == 1 and "AWS_PROFILE" in err
    status, err = check(provider="env", file="/f")
    assert status == 0 and 'warning: credentials.file' in err
