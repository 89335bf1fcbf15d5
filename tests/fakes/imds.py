#!/usr/bin/python3
"""imds - a fake EC2 instance metadata service, version 2 (see fake.py for its faults).

Stages: token, role, document; anything else is "other" and answered 404. A GET without a good
session token is 401, as the real one says it. Values:

    life_s        of the next generation of credentials (negative: expired at arrival)
    fresh         every request for the document makes a new generation
    role          what the role stage answers
    code          of the document
    clock_ahead_s shifts the Date header

Acts: {"rotate": true} makes a new generation; {"revoke": true} forgets all session tokens.
"""
import json
import time

import fake as base

ROLES = "/latest/meta-data/iam/security-credentials/"


class Imds(base.Fake):
    stages = ("token", "role", "document", "other")
    defaults = {"life_s": 21600, "fresh": False, "role": "upload-role\n", "code": "Success",
                "clock_ahead_s": 0}

    def __init__(self):
        self.tokens = set()
        self.generations = base.Generations()
        super().__init__()

    def act(self, name, value):
        if name == "rotate" and value:
            self.generations.renew(self.values["life_s"], time.time())
        elif name == "revoke" and value:
            self.tokens.clear()
        else:
            super().act(name, value)

    def stage_of(self, handler):
        if handler.path == "/latest/api/token" and handler.command == "PUT":
            return "token"
        if handler.path == ROLES and handler.command == "GET":
            return "role"
        if handler.path.startswith(ROLES) and handler.command == "GET":
            return "document"
        return "other"

    def reply(self, handler, stage, body, headers):
        if stage == "token":
            self.reply_token(handler, headers)
            return
        if stage == "other":
            handler.answer(404)
            return
        with self.lock:
            known = handler.headers.get("X-aws-ec2-metadata-token") in self.tokens
        if not known:
            handler.answer(401)
        elif stage == "role":
            handler.answer(200, self.values["role"], headers)
        elif handler.path != ROLES + self.values["role"].split("\n", maxsplit=1)[0].strip():
            handler.answer(404)
        else:
            handler.answer(200, json.dumps(self.document()), headers)

    def reply_token(self, handler, headers):
        life = handler.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if not life.isdigit() or not 1 <= int(life) <= 21600:
            handler.answer(400)
        elif "X-Forwarded-For" in handler.headers:
            handler.answer(403)
        else:
            with self.lock:
                token = f"AQAEA-fake-{len(self.tokens)}-{time.monotonic_ns()}=="
                self.tokens.add(token)
            handler.answer(200, token, {"X-aws-ec2-metadata-token-ttl-seconds": life, **headers})

    def document(self):
        with self.lock:
            now = time.time()
            ended = self.values["life_s"] > 0 and self.generations.ends_at <= now
            if self.values["fresh"] or self.generations.n == 0 or ended:
                self.generations.renew(self.values["life_s"], now)
            return {"Code": self.values["code"], "LastUpdated": base.iso(now), "Type": "AWS-HMAC",
                    **self.generations.document()}


if __name__ == "__main__":
    base.main(Imds)
