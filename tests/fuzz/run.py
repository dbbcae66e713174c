"""Runs every fuzz target of a build for a bounded time: run.py --build DIR --seconds N [--jobs N] [target ...]

New inputs go to BUILD/corpus/TARGET, beside the seeds of tests/fuzz/corpus/TARGET, which stay untouched. A finding is
kept in BUILD/findings and its reproduction is printed. Last line: "N passed, N failed, N skipped" (targets).
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
# A decoder that needs more than this for one input of at most INPUT_BYTES_MAX is itself a finding.
MEMORY_MIB_MAX = 1024
INPUT_SECONDS_MAX = 10
INPUT_BYTES_MAX = 65536
# Short allocation stacks and no weighing of inputs by rare features: both together take longer than most decoders.
SANITIZER_OPTIONS = {"ASAN_OPTIONS": "malloc_context_size=6:" + os.environ.get("ASAN_OPTIONS", ""),
                     "UBSAN_OPTIONS": "print_stacktrace=1:" + os.environ.get("UBSAN_OPTIONS", "")}


def run(build, target, seconds):
    """Runs one target; returns (target, executions, error output or None)."""
    grown, findings = build / "corpus" / target, build / "findings"
    grown.mkdir(parents=True, exist_ok=True)
    findings.mkdir(parents=True, exist_ok=True)
    seeds = HERE / "corpus" / target
    command = [str(build / "bin" / target), f"-max_total_time={seconds}", f"-rss_limit_mb={MEMORY_MIB_MAX}",
               f"-timeout={INPUT_SECONDS_MAX}", f"-max_len={INPUT_BYTES_MAX}", "-entropic=0", "-print_final_stats=1",
               f"-artifact_prefix={findings}/{target}-", str(grown)]
    if seeds.is_dir():
        command.append(str(seeds))
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                              timeout=seconds + 120, check=False, env={**os.environ, **SANITIZER_OPTIONS})
    except subprocess.TimeoutExpired:
        return target, 0, "did not stop in time"
    count = re.search(r"stat::number_of_executed_units: *(\d+)", done.stdout)
    executions = int(count.group(1)) if count else 0
    if done.returncode != 0 or executions == 0:
        return target, executions, done.stdout[-6000:]
    return target, executions, None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("targets", nargs="*")
    options = parser.parse_args()
    build = options.build.resolve()
    targets = options.targets or (build / "fuzzers.txt").read_text(encoding="utf-8").split()
    failed = total = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for target, executions, error in pool.map(lambda t: run(build, t, options.seconds), targets):
            total += executions
            print(f"{'FAILED' if error else 'ok    '} {target}: {executions} executions", flush=True)
            if error:
                failed += 1
                print(error)
    print(f"{total} executions in all")
    print(f"{len(targets) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
