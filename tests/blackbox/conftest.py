"""Fixtures for tests of the running program; see service.py and tokens.py for what they give."""
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "fakes")]

import browser as browsers  # noqa: E402
from service import BIN, CREDENTIALS, TOP, Service, base_config  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "without_presignd: the program is not run; nothing there is "
                            "for a sanitizer to watch")
    config.addinivalue_line("markers", "in_browser: by a browser, whose few requests one after "
                            "another show a sanitizer nothing that others do not")


def pytest_itemcollected(item):
    if "browser" in item.fixturenames:
        item.add_marker("in_browser")


def pytest_sessionstart(session):
    if not BIN.exists():
        pytest.exit(f"{BIN} is not built (PRESIGND_BIN names another)", 2)


@pytest.fixture
def presignd():
    """Starts services: presignd(config, ...). Those still running at the end are stopped, and each
    must end well."""
    started = []

    def start(config=None, **more):
        if config is None and not more.get("args"):
            config = base_config()
        started.append(Service(config, **more))
        return started[-1]

    yield start
    faults = []
    for s in started:
        try:
            if s.dir.exists():
                s.stop()
        except Exception as e:
            faults.append(e)
        finally:
            s.kill()
    if faults:
        raise faults[0]


@pytest.fixture(scope="module")
def server():
    """One service with the base configuration for all tests of a module."""
    with Service(base_config()) as s:
        yield s


class Rgw:
    """A real S3 on loopback: endpoint, bucket, region, credentials, sts_endpoint, role_arn."""

    def __init__(self, folder, env):
        self.dir, self.env = folder, env
        self.endpoint, self.bucket, self.region = (
            env["S3_ENDPOINT"], env["S3_BUCKET"], env["S3_REGION"])
        self.credentials = {k: env[k] for k in CREDENTIALS}
        self.sts_endpoint, self.role_arn = env["STS_ENDPOINT"], env["STS_ROLE_ARN"]

    def bucket_config(self):
        """An entry of `buckets` for it."""
        return {"bucket": self.bucket, "region": self.region, "endpoint": self.endpoint,
                "path_style": True}

    def client(self, credentials=None):
        import boto3
        from botocore.config import Config
        c = credentials or self.credentials
        return boto3.client("s3", endpoint_url=self.endpoint, region_name=self.region,
                            aws_access_key_id=c["AWS_ACCESS_KEY_ID"],
                            aws_secret_access_key=c["AWS_SECRET_ACCESS_KEY"],
                            aws_session_token=c.get("AWS_SESSION_TOKEN"),
                            config=Config(signature_version="s3v4",
                                          s3={"addressing_style": "path"}))

    def session_credentials(self, duration_s=3600, **more):
        """Temporary ones from its STS, under the environment's names, with their expiration."""
        import boto3
        sts = boto3.client("sts", endpoint_url=self.sts_endpoint, region_name=self.region,
                           aws_access_key_id=self.credentials["AWS_ACCESS_KEY_ID"],
                           aws_secret_access_key=self.credentials["AWS_SECRET_ACCESS_KEY"])
        c = sts.assume_role(RoleArn=self.role_arn, RoleSessionName="tests",
                            DurationSeconds=duration_s, **more)["Credentials"]
        return {"AWS_ACCESS_KEY_ID": c["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": c["SecretAccessKey"],
                "AWS_SESSION_TOKEN": c["SessionToken"],
                "AWS_CREDENTIAL_EXPIRATION": c["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ")}


def exports(path):
    """The variables of a file of `export NAME=VALUE` lines."""
    words = (shlex.split(line) for line in path.read_text().splitlines())
    return dict(w[1].split("=", 1) for w in words if len(w) == 2 and w[0] == "export")


@pytest.fixture(scope="session")
def rgw(tmp_path_factory):
    """Ceph's gateway, for the whole session. Its bucket allows every origin."""
    if not shutil.which("radosgw"):
        pytest.skip("radosgw is not installed")
    folder = tmp_path_factory.mktemp("s3") / "store"
    env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    try:
        done = subprocess.run([TOP / "tests/s3/up", folder], env=env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=200,
                              check=False)
        assert done.returncode == 0, done.stderr.decode()
        yield Rgw(folder, exports(folder / "env"))
    finally:
        subprocess.run([TOP / "tests/s3/down", folder], check=False, timeout=60)


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium, driven by Selenium."""
    why = browsers.missing()
    if why:
        pytest.skip(why)
    chromium = browsers.Browser()
    yield chromium.driver
    chromium.close()


@pytest.fixture(scope="session")
def store_url(rgw):
    """The store, as browsers see it."""
    if not browsers.nginx.PROGRAM:
        pytest.skip("nginx is not installed")
    front = browsers.StoreFront(rgw.endpoint)
    yield front.url
    front.close()
