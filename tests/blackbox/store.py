"""store - what a client does with a packet: the form, the PUT, and what the store says to them.

Every helper takes the packet as presignd gave it and the changes to make, so that a test reads as
"this packet, but with that": `post(packet, data, {"key": "other"})`; None leaves a field out.
"""
import http.client
import re
import uuid
from urllib.parse import urlsplit

LIMIT_S = 20


class Reply:
    """status, the store's error code (None without one), headers, body."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        found = re.search(rb"<Code>([^<]*)</Code>", body)
        self.code = found.group(1).decode() if found else None

    @property
    def verdict(self):
        return self.status, self.code

    def __repr__(self):
        return f"<{self.status} {self.body[:400]!r}>"


def call(method, url, body=b"", headers=None, host=None):
    """One request whose headers are exactly these. Names below .localhost are this machine."""
    parts = urlsplit(url)
    c = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=LIMIT_S)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        c.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        c.putheader("Host", host or parts.netloc)
        for name, value in (headers or {}).items():
            c.putheader(name, value)
        c.endheaders(body)
        r = c.getresponse()
        return Reply(r.status, r.headers, r.read())
    finally:
        c.close()


def form(fields, data, file_name="file.bin"):
    """(Content-Type, body) of multipart/form-data as a browser sends it (RFC 7578), file last."""
    boundary = uuid.uuid4().hex
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
             for name, value in fields.items()]
    parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="file"; '
                 f'filename="{file_name}"\r\nContent-Type: application/octet-stream\r\n\r\n')
    return (f"multipart/form-data; boundary={boundary}",
            "".join(parts).encode() + data + f"\r\n--{boundary}--\r\n".encode())


def changed(values, changes):
    """A copy with these set anew, those that are None taken away."""
    return {k: v for k, v in (values | changes).items() if v is not None}


def post(packet, data, changes=None, url=None, file_name="file.bin"):
    """The POST packet's form with this file; changes are to its fields."""
    kind, body = form(changed(packet["fields"], changes or {}), data, file_name)
    return call("POST", url or packet["url"], body,
                {"Content-Type": kind, "Content-Length": str(len(body))})


def put(packet, data, changes=None, url=None, method="PUT", host=None):
    """The PUT packet with this file; changes are to its headers. Like any client it sends the
    file's own length, which is why another length is another request."""
    headers = packet["headers"] | {"content-length": str(len(data))}
    return call(method, url or packet["url"], data, changed(headers, changes or {}), host)
