"""redis_server - a real redis-server for a test, and a wire to it that can be made to misbehave."""
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import nginx
from service import wait_until

PROGRAM = shutil.which("redis-server")
LIMIT_S = 10


class RedisServer:
    """On a port that stays ours while the server is away."""

    def __init__(self, *options):
        self.options = options
        self.ports = nginx.Ports(1)
        self.port = self.ports.numbers[0]
        self.dir = Path(tempfile.mkdtemp(prefix="presignd-redis-"))
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [PROGRAM, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.dir,
             "--save", "", "--appendonly", "yes", "--appendfsync", "always", *self.options],
            stdin=subprocess.DEVNULL, stdout=open(self.dir / "log", "ab"), stderr=subprocess.STDOUT)
        wait_until(lambda: self.process.poll() is not None or self.answers())
        assert self.process.poll() is None, (self.dir / "log").read_text()

    def answers(self):
        try:
            return self.command("PING").startswith(("+PONG", "-NOAUTH", "-NOPERM"))
        except OSError:
            return False

    def command(self, *words):
        """The reply as it came over the wire; one short reply is all we ever want."""
        text = f"*{len(words)}\r\n" + "".join(f"${len(w)}\r\n{w}\r\n" for w in words)
        with socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT_S) as s:
            s.sendall(text.encode())
            got = b""
            while not got.endswith(b"\r\n"):
                more = s.recv(65536)
                if not more:
                    break
                got += more
        return got.decode()

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(number)
        self.process.wait(LIMIT_S)

    def close(self):
        if self.process.poll() is None:
            self.stop(signal.SIGKILL)
        self.ports.close()
        shutil.rmtree(self.dir, ignore_errors=True)


class Wire:
    """A way to a server: `mode` is pass, hang (swallows what comes), garbage (answers nonsense),
    half (cuts replies in the middle), reset. A change ends the connections that are open, but for
    hang, which they just feel."""

    def __init__(self, target):
        self.target, self.mode = target, "pass"
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open, self.lock = set(), threading.Lock()
        threading.Thread(target=self.accept, daemon=True).start()

    def become(self, mode, target=None):
        was, self.mode = self.mode, mode
        self.target = target or self.target
        if mode != "hang" or was != "pass":
            self.cut()

    def cut(self):
        with self.lock:
            for s in self.open:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.mode == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=LIMIT_S)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self.lock:
                self.open |= {client, server}
            for way in ((client, server, False), (server, client, True)):
                threading.Thread(target=self.carry, args=way, daemon=True).start()

    def carry(self, source, sink, replies):
        try:
            while data := source.recv(65536):
                if self.mode == "hang":
                    continue
                if replies and self.mode == "garbage":
                    data = b"\0\xff?? nonsense\r\n" * 3
                if replies and self.mode == "half":
                    sink.sendall(data[:len(data) // 2])
                    break
                sink.sendall(data)
        except OSError:
            pass
        for s in (source, sink):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        with self.lock:
            self.open -= {source, sink}
        source.close()

    def close(self):
        self.listener.close()
        self.cut()
