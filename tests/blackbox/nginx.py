"""nginx - a real nginx for a test, and ports that stay ours while whoever listens there is away."""
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from service import wait_until

PROGRAM = shutil.which("nginx", path="/usr/sbin:/usr/bin")
LIMIT_S = 20

CONFIG = """
daemon off;
master_process off;
pid {dir}/pid;
error_log {dir}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    keepalive_requests 1000000;
{http}
}}
"""


class Ports:
    """Ports from the kernel, held by sockets that never listen. Nobody else gets such a port, but
    who shares it does: nginx with `reuseport`, presignd with more than one loop."""

    def __init__(self, n):
        self.sockets = [self.hold() for _ in range(n)]
        self.numbers = [s.getsockname()[1] for s in self.sockets]

    @staticmethod
    def hold():
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        s.bind(("127.0.0.1", 0))
        return s

    def close(self):
        for s in self.sockets:
            s.close()


def answers(port):
    """Does anybody listen?"""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionError:  # refused, or reset while it went away
        return False
    return True


class Nginx:
    """Runs with this content of its http block, which must listen on `port`."""

    def __init__(self, port, http):
        self.dir = Path(tempfile.mkdtemp(prefix="presignd-nginx-"))
        (self.dir / "conf").write_text(CONFIG.format(dir=self.dir, http=http))
        self.process = subprocess.Popen(
            [PROGRAM, "-p", self.dir, "-c", self.dir / "conf", "-e", self.dir / "error.log"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: answers(port) or self.process.poll() is not None)
        assert self.process.poll() is None, self.errors()

    def errors(self):
        return (self.dir / "error.log").read_text()

    def stop(self):
        self.process.terminate()
        self.process.wait(LIMIT_S)
        shutil.rmtree(self.dir)
