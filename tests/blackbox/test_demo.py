"""`make demo KEEP=1`: the address that it prints opens the page, a file given to the page lands in the
bucket, and Ctrl-C ends everything that was started."""
import os
import re
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import Rgw, exports
from service import BIN, TOP, sanitizer_options, wait_until

START_LIMIT_S, END_LIMIT_S = 100, 60


def hear_ctrl_c():
    """A shell's background job ignores it, and so would all that the job starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Demo:
    """A running demo: its page's address, its store, the pids of what it started."""

    def __init__(self, folder):
        self.folder, self.text = folder, ""
        self.process = subprocess.Popen(
            [TOP / "tests/demo"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=hear_ctrl_c,
            env=os.environ | sanitizer_options() | {"KEEP": "1", "TMPDIR": str(folder),
                                                    "PRESIGND_BIN": str(BIN)})

    def wait_ready(self):
        self.address = self.wait_for(r"(http://127\.0\.0\.1:\d+/#token=\S+)\s")
        home = next(self.folder.glob("presignd-demo.*"))
        self.store = Rgw(home / "s3", exports(home / "s3/env"))
        stores = [int(p.read_text()) for p in (home / "s3").glob("*.pid")]
        self.pids = stores + children(self.process.pid)

    def wait_for(self, pattern):
        end = time.monotonic() + START_LIMIT_S
        while not (found := re.search(pattern, self.text)):
            ready = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]
            more = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert more, f"no {pattern}:\n{self.text}"
            self.text += more.decode()
        return found.group(1)

    def objects(self):
        """{key: bytes}"""
        s3 = self.store.client()
        keys = [o["Key"] for o in s3.list_objects_v2(Bucket=self.store.bucket).get("Contents", [])]
        return {k: s3.get_object(Bucket=self.store.bucket, Key=k)["Body"].read() for k in keys}

    def interrupt(self):
        """Ctrl-C; the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(END_LIMIT_S)

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(END_LIMIT_S)
        self.process.stdout.close()


def children(pid):
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def runs(pid):
    """Whether this process lives; one that only waits for its parent does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def demo(tmp_path):
    if not shutil.which("radosgw"):
        pytest.skip("radosgw is not installed")
    made = Demo(tmp_path)
    try:
        made.wait_ready()
        yield made
    finally:
        made.close()


def test_a_file_given_to_the_page_lands_in_the_bucket(demo, browser, tmp_path):
    file = tmp_path / "Größe ☃.txt"
    file.write_bytes(os.urandom(100000))
    before = demo.objects()
    assert len(before) == 1 and len(demo.pids) == 4

    browser.get(demo.address)
    chosen = browser.find_elements("css selector", "input[type=file]")
    assert len(chosen) == 1
    chosen[0].send_keys(str(file))
    new = wait_until(lambda: demo.objects().items() - before.items(), END_LIMIT_S)
    assert [(key.rsplit("/", 1)[1], data) for key, data in new] == [(file.name, file.read_bytes())]

    assert demo.interrupt() == 0
    wait_until(lambda: not any(map(runs, demo.pids)), END_LIMIT_S)
    assert [p.name for p in tmp_path.iterdir()] == [file.name]
