"""Includes go one way only: arrows.txt."""

import os
import re

import sources

_INCLUDE = re.compile(r'^\s*#\s*include\s*(?P<name><[^>]+>|"[^"]+")', re.MULTILINE)


def parse(text):
    """arrows.txt -> ({module: set of modules}, {module: set more for tests}, {prefix: set of modules or "*"})."""
    modules, tests, external = {}, {}, {}
    for line in text.splitlines():
        line = line.split("#")[0].strip()
        if not line:
            continue
        left, right = line.rsplit(":", 1)
        allowed = set(right.split())
        if left.startswith("<"):
            external[left] = allowed
        elif left.endswith(" tests"):
            tests[left.removesuffix(" tests")] = allowed
        else:
            modules[left] = allowed
    return modules, tests, external


def module_of(path, modules):
    """The longest module folder that holds the path, or None. Generated gRPC headers are of proto."""
    if path.startswith("millrace/") and path.endswith(".pb.h"):
        return "proto"
    held = [m for m in modules | {"proto": set()} if path.startswith(m + "/")]
    return max(held, key=len) if held else None


def is_test(path):
    """No part of what is shipped: tests, their doubles, and the benchmarks beside the code."""
    return path.endswith(("_test.cc", "_bench.cc")) or "/testing/" in path or path.startswith("tests/")


def check_file(path, text, table):
    """Problems of one file, as strings."""
    modules, tests, external = table
    module = module_of(path, modules)
    if module is None or module == "proto":
        return [] if path.startswith(("tests/", "cmake/")) else [f"{path}: belongs to no module of tests/tidy/arrows.txt"]
    allowed = modules[module] | {module}
    if is_test(path):
        allowed |= tests.get(module, set())
    problems = []
    for match in _INCLUDE.finditer(text):
        quoted, name = match.group("name")[0] == '"', match.group("name")[1:-1]
        where = f"{path}:{sources.line_of(text, match.start('name'))}"
        if quoted:
            target = module_of(name, modules)
            if target is None:
                problems.append(f'{where}: "{name}" is not a path from the top of the source tree')
            elif target not in allowed:
                problems.append(f"{where}: {module} may not include {target}")
            elif "/testing/" in name and not is_test(path) and module != "bench":
                problems.append(f"{where}: only tests may include a double ({name})")
        else:
            for prefix, users in external.items():
                if ("<" + name).startswith(prefix) and "*" not in users and module not in users:
                    problems.append(f"{where}: {module} may not include <{name}>")
    return problems


def check():
    table = parse(sources.read("tests/tidy/arrows.txt"))
    problems = [p for name in sources.code() for p in check_file(name, sources.read(name), table)]
    for module in table[0]:
        if not os.path.isdir(sources.ROOT / module):
            problems.append(f"tests/tidy/arrows.txt: there is no folder {module}")
    return problems
