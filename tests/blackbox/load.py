"""load - clients that ask for grants as fast as they can, each on one connection kept alive."""
import http.client
import json
import threading

from service import wait_until

ASK = json.dumps({"content_type": "image/png", "content_length": 10485}).encode()
LIMIT_S = 20


class Load:
    """One client for each token. `done` counts requests that ended, `ids` what 201 said, `faults`
    every other end."""

    def __init__(self, port, all_tokens):
        self.port = port
        self.stop, self.lock = threading.Event(), threading.Lock()
        self.ids, self.faults, self.done = set(), [], 0
        self.threads = [threading.Thread(target=self.client, args=(t,), daemon=True)
                        for t in all_tokens]
        for t in self.threads:
            t.start()

    def client(self, token):
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        while not self.stop.is_set():
            try:
                c.request("POST", "/v1/uploads", ASK, headers)
                r = c.getresponse()
                body = r.read()
                fault = None if r.status == 201 else (r.status, body[:200])
                granted = json.loads(body)["id"] if r.status == 201 else None
            except (OSError, http.client.HTTPException, ValueError, KeyError) as e:
                c.close()
                fault, granted = repr(e), None
            with self.lock:
                self.done += 1
                if granted:
                    self.ids.add(granted)
                else:
                    self.faults.append(fault)
        c.close()

    def more(self, n):
        """Waits until so many more requests have ended."""
        until = self.done + n
        wait_until(lambda: self.done >= until, every_s=0.002)

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join(LIMIT_S)
            assert not t.is_alive()
