"""Bans that one regular expression can state. Places allowed to break one stand in exceptions.txt with their reason."""

import re

import sources

# name, pattern on blanked C++ text, what to do instead
_CODE_RULES = [
    ("now", re.compile(r"[cC]lock::now\s*\(\s*\)(?!\s*const)|\bclock_gettime\s*\(|\bgettimeofday\s*\(|\btime\s*\(\s*(nullptr|NULL|0)\s*\)"),
     "time comes in through common::Clock"),
    ("random", re.compile(r"\brandom_device\b|\b\w+_distribution\s*<|\bs?rand\s*\(\s*\)|\bgetrandom\s*\("),
     "randomness comes in through common::Random"),
    ("sleep", re.compile(r"\bsleep_(for|until)\b|\bu?sleep\s*\(|\bnanosleep\s*\("), "wait for a condition, or use a timer"),
    ("thread", re.compile(r"\bstd::j?thread\b(?!::)|\bstd::async\b|\bpthread_create\b"), "threads are made by env and server only"),
    ("throw", re.compile(r"\bthrow\b"), "expected failures are a Result, wrong code is a CHECK"),
    ("using_namespace", re.compile(r"^\s*using\s+namespace\b", re.MULTILINE), "name what you use"),
]
_UNFINISHED = re.compile("|".join([r"\bTO" + r"DO\b", r"\bFIX" + r"ME\b", r"\bX" + r"XX\b", r"\bHA" + r"CK\b"]))
_MACHINE = re.compile("|".join(["/ho" + r"me/\w", "/wo" + r"rk/\w", "/Us" + r"ers/\w"]))
_TEXT = (".cc", ".h", ".py", ".sh", ".cmake", ".txt", ".md", ".proto", ".api", ".yml", ".yaml", ".json", ".java", ".js",
         ".go", ".xml")


def parse_exceptions(text):
    """exceptions.txt -> list of (rule, path, reason)."""
    found = []
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            rule, path, reason = line.split(None, 2)
            found.append((rule, path, reason))
    return found


def broken(path, text):
    """(rule, problem) of one blanked C++ file."""
    for name, pattern, instead in _CODE_RULES:
        if name == "using_namespace" and not path.endswith(".h"):
            continue
        for match in pattern.finditer(text):
            line = sources.line_of(text, match.start() + len(match.group(0)) - len(match.group(0).lstrip()))
            yield name, f"{path}:{line}: '{match.group(0).strip()}': {instead} (rule {name})"


def check():
    problems, used = [], set()
    exceptions = parse_exceptions(sources.read("tests/tidy/exceptions.txt"))
    for path in sources.code():
        for rule, problem in broken(path, sources.stripped(path)):
            allowed = [e for e in exceptions if e[0] == rule and (path == e[1] or path.startswith(e[1].rstrip("/") + "/"))]
            used.update(allowed)
            if not allowed:
                problems.append(problem)
    problems += [f"tests/tidy/exceptions.txt: '{e[0]} {e[1]}' is needed no more" for e in exceptions if e not in used]
    for path in sources.tracked():
        if not path.endswith(_TEXT) and "scripts/" not in path:
            continue
        for pattern, what in ((_UNFINISHED, "finish it, or write it in docs/not-supported.md"),
                              (_MACHINE, "a path of somebody's machine")):
            for match in pattern.finditer(sources.read(path)):
                problems.append(f"{path}:{sources.line_of(sources.read(path), match.start())}: '{match.group(0)}': {what}")
    for path in sources.code():
        if path.endswith(".h") and not re.search(r"\A(//[^\n]*\n|\n)*#pragma once\n", sources.read(path)):
            problems.append(f"{path}: a header starts with its comment and #pragma once")
    return problems
