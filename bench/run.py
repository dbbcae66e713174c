#!/usr/bin/env python3
"""Measures Millrace against Apache Kafka on this machine and writes RESULTS.md. bench/README.md tells of the cases."""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import time

from harness import arena, brokers, cases, load, machine, report
from harness.results import Results

BENCH = pathlib.Path(__file__).resolve().parent
BINARIES = BENCH.parent / "build" / "release" / "bin"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="+", choices=list(cases.CASES), default=list(cases.CASES), metavar="CASE",
                        help="default: all of " + " ".join(cases.CASES))
    parser.add_argument("--runs", type=int, default=5, help="turns of each broker in each case (5)")
    parser.add_argument("--quick", action="store_true", help="small volumes: to see that all works, not to compare")
    parser.add_argument("--binaries", type=pathlib.Path, default=BINARIES, help="folder of millrace and the load programs")
    parser.add_argument("--folder", type=pathlib.Path, default=BENCH / "results" / "data",
                        help="where the brokers keep their data: the disk that is measured")
    parser.add_argument("--set", dest="millrace_settings", action="append", default=[], metavar="KEY=VALUE",
                        help="a setting of millrace")
    parser.add_argument("--alone", action="store_true", help="without Kafka, whose failures take minutes: for more turns of those cases")
    parser.add_argument("--cold-gb", type=float, help="volume of fetch_cold (10)")
    parser.add_argument("--recent-mb", type=float, default=32, help="what fetch_recent reads again and again (32)")
    parser.add_argument("--samples", type=pathlib.Path, help="JSON lines to append to; default: a new file in results/")
    parser.add_argument("--report", type=pathlib.Path, help="where to write the report; default: RESULTS.md, with --quick none")
    parser.add_argument("--only-report", action="store_true", help="measures nothing: reports on --samples")
    settings = parser.parse_args()
    settings.millrace = settings.binaries / "millrace"
    if settings.report is None and not settings.quick:
        settings.report = BENCH / "RESULTS.md"
    return settings


def facts(settings):
    """What the report says about where and how it was made."""
    commit = subprocess.run(["git", "-C", str(BENCH), "describe", "--always", "--dirty"], capture_output=True, text=True,
                            check=False).stdout.strip()
    arguments = re.sub(r"--samples \S+ ?", "", " ".join(sys.argv[1:]))
    return {**machine.describe(settings.folder), "load average at the end": f"{os.getloadavg()[0]:.1f}",
            "millrace": commit or "unknown", "Apache Kafka": f"{brokers.KAFKA_VERSION}, `java {' '.join(brokers.JVM)}`",
            "command": f"`bench/run.py {arguments}`".replace(" `", "`")}


def main():
    settings = parse_arguments()
    folder = BENCH / "results"
    folder.mkdir(exist_ok=True)
    settings.folder.mkdir(parents=True, exist_ok=True)
    samples = settings.samples or folder / time.strftime("samples-%Y%m%d-%H%M%S.jsonl")
    results = Results(samples)
    if samples.exists():
        results.read(samples)
    ground = arena.Arena(settings, load.Load(settings.binaries), results)
    failed = []
    try:
        for name in [] if settings.only_report else settings.cases:
            try:
                cases.CASES[name](ground)
            except (load.LoadFailed, OSError, RuntimeError, TimeoutError, subprocess.SubprocessError) as error:
                failed.append(name)
                results.note(name, f"failed: {str(error).splitlines()[0]}")
                ground.close()
    finally:
        ground.close()
    if settings.report:
        report.write(settings.report, results, facts(settings), report.kept_remarks(settings.report))
    met, missed, absent = report.verdicts(results)
    print(f"{met} bars met, {missed} missed, {absent} not run; samples in {samples}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
