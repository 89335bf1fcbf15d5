"""csource - what the checks of tests/check-* know about C: files, comments, includes."""
import re
import subprocess
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent


def files(*patterns):
    """Paths relative to the top, sorted."""
    return sorted(p.relative_to(TOP) for pattern in patterns for p in TOP.glob(pattern))


def tracked():
    """Every file git knows, or that is there and not ignored; also where somebody else owns it."""
    listed = subprocess.run(["git", "-c", f"safe.directory={TOP}", "ls-files", "-z", "--cached",
                             "--others", "--exclude-standard"],
                            cwd=TOP, stdout=subprocess.PIPE, check=True).stdout
    return [Path(p) for p in listed.decode().split("\0") if p and (TOP / p).is_file()]


def read(path):
    return (TOP / path).read_text(encoding="utf-8", errors="replace")


TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text):
    """The text with comments blanked and literals emptied; lines keep their numbers."""
    def blank(m):
        t = m.group(0)
        return t[0] * 2 if t[0] in "\"'" else re.sub(r"[^\n]", " ", t)
    return TOKEN.sub(blank, text)


def line_comments(text):
    """Line numbers of // comments."""
    return [text.count("\n", 0, m.start()) + 1 for m in TOKEN.finditer(text)
            if m.group(0).startswith("//")]


INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def includes(path):
    """(line number, name) of each include in quotes."""
    text = read(path)
    return [(text.count("\n", 0, m.start()) + 1, m.group(1)) for m in INCLUDE.finditer(text)]


def report(name, faults):
    """Prints the faults; the exit status."""
    for fault in faults:
        print(f"{name}: {fault}")
    return int(bool(faults))
