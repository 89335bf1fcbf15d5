#!/usr/bin/python3
"""jwks - a fake host of key sets and discovery documents (see fake.py for its faults).

Stages: keys, discovery; anything else is "other" and answered 404. Several issuers live on one
host, each in a folder of its own; the folder is the issuer's path:

    GET /<folder>/jwks.json
    GET /<folder>/.well-known/openid-configuration   issuer http://127.0.0.1:PORT/<folder>

Values:

    sets           folder → list of JWKs (a folder without a set is 404)
    cache_control  the header of both answers, or null for none
    issuer         what discovery documents say instead of the folder's own issuer
    jwks_uri       what they say instead of the folder's own address

Making keys is the business of the tests: JWKs come in as JSON.
"""
import json

import fake as base

DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/jwks.json"


class Jwks(base.Fake):
    stages = ("keys", "discovery", "other")
    defaults = {"sets": {}, "cache_control": None, "issuer": None, "jwks_uri": None}

    def issuer(self, folder):
        return f"{self.url}/{folder}"

    def jwks_url(self, folder):
        return self.issuer(folder) + KEYS

    def publish(self, folder, *keys):
        self.set(sets={**self.values["sets"], folder: list(keys)})

    def folder_of(self, handler):
        for stage, end in (("keys", KEYS), ("discovery", DISCOVERY)):
            if handler.command == "GET" and handler.path.endswith(end):
                return stage, handler.path[1:-len(end)]
        return "other", None

    def stage_of(self, handler):
        return self.folder_of(handler)[0]

    def reply(self, handler, stage, body, headers):
        folder = self.folder_of(handler)[1]
        with self.lock:
            values = dict(self.values)
        if stage == "other" or folder not in values["sets"]:
            handler.answer(404)
            return
        if values["cache_control"] is not None:
            headers = {"Cache-Control": values["cache_control"], **headers}
        if stage == "keys":
            document = {"keys": values["sets"][folder]}
        else:
            document = {"issuer": values["issuer"] or self.issuer(folder),
                        "jwks_uri": values["jwks_uri"] or self.jwks_url(folder)}
        handler.answer(200, json.dumps(document), {"Content-Type": "application/json", **headers})


if __name__ == "__main__":
    base.main(Jwks)
