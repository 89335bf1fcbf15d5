#!/usr/bin/python3
"""store_relay - a relay in front of a real store, which says what that store never would (faults:
fake.py). Every method is a stage: "HEAD", "OPTIONS", "GET", "POST", "PUT", "DELETE". Values:

    upstream       http://HOST:PORT of the store
    clock_ahead_s  shifts the Date header
    region         where the bucket is: x-amz-bucket-region, on every answer; null for none
    drop           names of response headers, lower case, that are left out
    after          {stage: fault}: met once the store has done what was asked; "{NAME}" in its body
                   is that field of the form, as XML's text
"""
import re
from xml.sax.saxutils import escape

import fake as base

OWN = ("date", "server", "content-length", "connection", "transfer-encoding")


class StoreRelay(base.Fake):
    stages = ("HEAD", "OPTIONS", "GET", "POST", "PUT", "DELETE")
    defaults = {"upstream": None, "clock_ahead_s": 0, "region": None, "drop": [],
                "after": {}}

    def __init__(self, upstream=None):
        super().__init__()
        self.set(upstream=upstream)

    def stage_of(self, handler):
        return handler.command

    def reply(self, handler, stage, body, headers):
        status, theirs, text = base.relay(self.values["upstream"], handler, body)
        with self.lock:
            left_out = (*OWN, *self.values["drop"])
            region = self.values["region"]
            after = dict(self.values["after"].get(stage, {}))
        if "body" in after:
            form = body.decode("latin-1")
            after["body"] = re.sub(r"\{([\w-]+)\}", lambda m: escape(
                form.split(f'name="{m[1]}"\r\n\r\n')[1].split("\r\n")[0]), after["body"])
        if after and self.suffer(handler, stage, after):
            return
        kept = {n: v for n, v in theirs if n.lower() not in left_out}
        if region:
            kept["x-amz-bucket-region"] = region
        handler.answer(status, text, kept | dict(headers))


if __name__ == "__main__":
    base.main(StoreRelay)
