#!/usr/bin/python3
"""container - a fake of the credential endpoint of ECS and EKS Pod Identity (faults: fake.py).

One stage, "document", for every path. Values:

    life_s         of the next generation (negative: expired at arrival)
    fresh          every request makes a new generation
    authorization  what the Authorization header must say; null: not looked at
    clock_ahead_s  shifts the Date header

Act: {"rotate": true} makes a new generation.
"""
import json
import time

import fake as base


class Container(base.Fake):
    stages = ("document",)
    defaults = {"life_s": 21600, "fresh": False, "authorization": None, "clock_ahead_s": 0}

    def __init__(self):
        self.generations = base.Generations()
        super().__init__()

    def act(self, name, value):
        if name == "rotate" and value:
            self.generations.renew(self.values["life_s"], time.time())
        else:
            super().act(name, value)

    def stage_of(self, handler):
        return "document"

    def reply(self, handler, stage, body, headers):
        wanted = self.values["authorization"]
        if wanted is not None and handler.headers.get("Authorization") != wanted:
            handler.answer(401, json.dumps({"code": "AccessDenied", "message": "bad token"}))
            return
        with self.lock:
            now = time.time()
            ended = self.values["life_s"] > 0 and self.generations.ends_at <= now
            if self.values["fresh"] or self.generations.n == 0 or ended:
                self.generations.renew(self.values["life_s"], now)
            text = json.dumps({"RoleArn": "arn:aws:iam::123456789012:role/upload",
                               **self.generations.document()})
        handler.answer(200, text, headers)


if __name__ == "__main__":
    base.main(Container)
