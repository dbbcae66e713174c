"""Traps of g++ 12.2: it frees twice what some temporaries of a co_await expression own. Name such a value first."""

import re

import sources
import structure

_AWAIT = re.compile(r"\bco_(await|yield)\b")
_CAPTURING = re.compile(r"\[\s*[^\]\s][^\]]*\]\s*(\(|\{|mutable)")
_COROUTINE = re.compile(r"\bco_(await|yield|return)\b")


def _expression(text, begin):
    """The text of the awaited expression that starts at `begin`."""
    depth = 0
    for position in range(begin, len(text)):
        char = text[position]
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if depth < 0:
                return text[begin:position]
        elif char == ";" and depth == 0:
            return text[begin:position]
    return text[begin:]


def check_file(path, text):
    """Problems of one file; `text` is blanked."""
    problems = []
    if not _COROUTINE.search(text):
        return problems
    for match in _AWAIT.finditer(text):
        begin = max(text.rfind(mark, 0, match.start()) for mark in ";{}") + 1
        before, after = text[begin:match.start()], _expression(text, match.end())
        found = []
        if _CAPTURING.search(after):
            found.append("a capturing lambda")
        elif "{" in after:
            found.append("a braced value")
        if "?" in before or "?" in after:
            found.append("a ?: expression")
        for what in found:
            problems.append(f"{path}:{sources.line_of(text, match.start())}: {what} inside a co_await expression: name it first")
    lambdas = [b for b in structure.blocks(text) if b.kind in ("lambda", "function")]
    for match in _COROUTINE.finditer(text):
        around = [b for b in lambdas if b.begin < match.start() < b.end]
        if around and max(around, key=lambda b: b.begin).kind == "lambda":
            problems.append(f"{path}:{sources.line_of(text, match.start())}: a lambda is a coroutine: write a function")
    return problems


def check():
    return [p for name in sources.code() for p in check_file(name, sources.stripped(name))]
