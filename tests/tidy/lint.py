"""clang-format over every file, shellcheck over the scripts and clang-tidy (.clang-tidy) over the sources of a configured build."""

import concurrent.futures
import json
import pathlib
import random
import re
import shutil
import subprocess
import time

import sources

FORMAT = "clang-format-14"
TIDY = "clang-tidy-14"


def check_format():
    """Files that clang-format would change; scripts/format makes the change."""
    done = subprocess.run([FORMAT, "--dry-run", "-Werror", *sources.code()], cwd=sources.ROOT, text=True,
                          capture_output=True, check=False)
    files = sorted(set(re.findall(r"^(\S+?):\d+:\d+: error: code should be clang-formatted", done.stderr, re.MULTILINE)))
    if done.returncode and not files:
        return [done.stderr[-2000:]]
    return [f"{name}: not formatted; run scripts/format" for name in files]


def check_shell():
    """What shellcheck finds in every bash script."""
    scripts = [n for n in sources.tracked() if n.endswith(".sh") or sources.read(n).startswith("#!/bin/bash")]
    done = subprocess.run(["shellcheck", "--format=gcc", *scripts], cwd=sources.ROOT, text=True, capture_output=True,
                          check=False)
    return (done.stdout + done.stderr).splitlines()


def _compiled(build):
    """Our own sources in the build's compile_commands.json, generated ones left out: {name: command}."""
    commands = json.loads((pathlib.Path(build) / "compile_commands.json").read_text(encoding="utf-8"))
    ours = set(sources.code())
    found = {}
    for command in commands:
        path = pathlib.Path(command["directory"], command["file"]).resolve()
        if path.is_relative_to(sources.ROOT) and str(path.relative_to(sources.ROOT)) in ours:
            found[str(path.relative_to(sources.ROOT))] = command
    return found


def _for_clang(commands, build):
    """Writes the commands as clang understands them and returns the folder they are in."""
    folder = pathlib.Path(build) / "lint"
    folder.mkdir(exist_ok=True)
    adapted = []
    for command in commands:
        text = re.sub(r"(?<=\s)(-fcoroutines|-fconcepts|-Winvalid-pch|-include \S*cmake_pch\S*)(?=\s)", "", command["command"])
        adapted.append({**command, "command": text + " -Wno-everything"})
    (folder / "compile_commands.json").write_text(json.dumps(adapted), encoding="utf-8")
    return folder


def check_lint(build, jobs, only=None, seconds=None):
    """What clang-tidy finds in `only`, or in every source that is not a test.

    With `seconds`, no file is begun after that time: it takes some seconds each. The order is another one in each commit,
    so that none is always left out; how many were checked is printed.
    """
    if shutil.which(TIDY) is None:
        return [f"{TIDY} is not installed"]
    commands = _compiled(build)
    names = [n for n in sorted(commands) if (n in only if only else not n.endswith("_test.cc"))]
    folder = _for_clang([commands[n] for n in names], build)
    if seconds is not None:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=sources.ROOT, text=True, capture_output=True, check=False)
        random.Random(head.stdout).shuffle(names)
    started, checked = time.monotonic(), []

    def run(name):
        if seconds is not None and time.monotonic() - started > seconds:
            return []
        checked.append(name)
        done = subprocess.run([TIDY, "--quiet", "-p", str(folder), name], cwd=sources.ROOT, text=True,
                              capture_output=True, check=False)
        found = [line for line in done.stdout.splitlines() if re.search(r"(warning|error): ", line)]
        return found or ([f"{name}: clang-tidy failed\n{done.stderr[-1500:]}"] if done.returncode else [])

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        found = [problem for problems in pool.map(run, names) for problem in problems]
    print(f"       clang-tidy: {len(checked)} of {len(names)} sources checked")
    return sorted(set(line.replace(f"{sources.ROOT}/", "") for line in found))
