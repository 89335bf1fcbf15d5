"""readme - the README's examples, for those who prove them by use."""
import json
import re
from pathlib import Path
from typing import NamedTuple

README = Path(__file__).resolve().parent.parent / "README.md"


def text():
    return README.read_text(encoding="utf-8")


class Fence(NamedTuple):
    """A fenced block: its language, the number of its first line, the chapter, what stands in it."""
    language: str
    line: int
    chapter: str
    text: str


def fences():
    """All of them, in order; those in a list without their indent."""
    out, chapter, opened, lines = [], "", None, []
    for number, line in enumerate(text().splitlines(), 1):
        mark = re.match(r"^( *)```(\w*)$", line)
        if opened and mark and not mark[2]:
            indent = len(opened[0])
            body = "".join(one[indent:] + "\n" for one in lines)
            out.append(Fence(opened[1], opened[2], chapter, body))
            opened = None
        elif opened:
            lines.append(line)
        elif mark:
            opened, lines = (mark[1], mark[2], number + 1), []
        elif line.startswith("## "):
            chapter = line[3:]
    if opened:
        raise LookupError(f"README.md:{opened[2] - 1}: a block is never closed")
    return out


def block(language, holding):
    """The text of the one fenced block in this language that holds these words."""
    found = [f.text for f in fences() if f.language == language and holding in f.text]
    if len(found) != 1:
        raise LookupError(f"README.md: {len(found)} {language} blocks hold {holding!r}")
    return found[0]


def scripts():
    """What a reader types: the sh blocks as they stand, of the console blocks what follows the $."""
    out = []
    for f in fences():
        if f.language == "sh":
            out.append(f)
        elif f.language == "console":
            typed, goes_on = [], False
            for line in f.text.splitlines():
                if line.startswith("$ ") or goes_on:
                    typed.append(line.removeprefix("$ "))
                    goes_on = line.endswith("\\")
            out.append(f._replace(text="\n".join(typed) + "\n"))
    return out


def inline_code():
    """(line number, text) of every piece of code in a sentence."""
    out, fenced = [], False
    for number, line in enumerate(text().splitlines(), 1):
        if re.match(r"^ *```", line):
            fenced = not fenced
        elif not fenced:
            out += [(number, code) for code in re.findall(r"`([^`]+)`", line)]
    return out


def bucket_cors(origins):
    """The bucket's CORS configuration, for these origins."""
    cors = json.loads(block("json", '"CORSRules"'))
    for rule in cors["CORSRules"]:
        rule["AllowedOrigins"] = origins
    return cors
