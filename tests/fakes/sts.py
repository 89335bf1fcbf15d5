#!/usr/bin/python3
"""sts - a fake of STS, or a relay in front of a real one (faults: fake.py).

One stage, "call", for every request; `forms` holds what was posted, in order. Values:

    upstream       http://HOST:PORT of a real STS that answers; null: generations of its own
    life_s         of the next generation (negative: expired at arrival); through the relay: what
                   stands in Expiration instead of the truth, null for the truth
    clock_ahead_s  shifts the Date header
"""
import re
import time
from urllib.parse import parse_qsl

import fake as base

ANSWER = """<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <{action}Result>
    <Credentials>
      <AccessKeyId>{AccessKeyId}</AccessKeyId>
      <SecretAccessKey>{SecretAccessKey}</SecretAccessKey>
      <SessionToken>{Token}</SessionToken>
      <Expiration>{Expiration}</Expiration>
    </Credentials>
    <AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/uploader/presignd</Arn>
    </AssumedRoleUser>
  </{action}Result>
  <ResponseMetadata><RequestId>00000000-0000-4000-8000-000000000000</RequestId></ResponseMetadata>
</{action}Response>
"""


def refusal(code, message):
    return (f'<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>'
            f"<Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
            f"<RequestId>11111111-1111-4111-8111-111111111111</RequestId></ErrorResponse>")


class Sts(base.Fake):
    stages = ("call",)
    defaults = {"upstream": None, "life_s": None, "clock_ahead_s": 0}

    def __init__(self, upstream=None, life_s=None):
        self.generations = base.Generations()
        self.forms = []
        super().__init__()
        self.set(upstream=upstream, life_s=life_s)

    def stage_of(self, handler):
        return "call"

    def serve(self, handler, body):
        with self.lock:
            self.forms.append(dict(parse_qsl(body.decode(), keep_blank_values=True)))
        super().serve(handler, body)

    def relay(self, handler, body):
        status, _, text = base.relay(self.values["upstream"], handler, body)
        text = text.decode()
        if self.values["life_s"] is not None:
            end = base.iso(time.time() + self.values["life_s"])
            text = re.sub("<Expiration>.*?</Expiration>", f"<Expiration>{end}</Expiration>", text)
        return status, text

    def reply(self, handler, stage, body, headers):
        if self.values["upstream"]:
            status, text = self.relay(handler, body)
            handler.answer(status, text, headers)
            return
        with self.lock:
            life = self.values["life_s"]
            self.generations.renew(3600 if life is None else life, time.time())
            text = ANSWER.format(action=dict(parse_qsl(body.decode())).get("Action"),
                                 **self.generations.document())
        handler.answer(200, text, {"Content-Type": "text/xml", **headers})


if __name__ == "__main__":
    base.main(Sts)
