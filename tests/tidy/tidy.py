"""House rules as a test: tidy.py [--build DIR] [--all] [--lint] [--lint-only FILE ...]

Without --all only the checks that need no compiler. Each check counts as one; the last line is
"N passed, N failed, N skipped".
"""

import argparse
import os
import sys
import time

import arrows
import coroutines
import documented
import headers
import lint
import reasons_page
import registered
import rules
import settings_page
import sizes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/release", help="a configured build directory")
    parser.add_argument("--all", action="store_true", help="also formatting, shell scripts, headers that compile alone")
    parser.add_argument("--lint", action="store_true", help="also clang-tidy, for LINT_SECONDS (240)")
    parser.add_argument("--lint-only", nargs="+", metavar="FILE", help="run clang-tidy on these sources and nothing else")
    options = parser.parse_args()
    jobs = int(os.environ.get("JOBS", os.cpu_count() or 1))
    build = os.path.abspath(options.build)
    checks = [
        ("includes follow arrows.txt", arrows.check),
        ("sizes of files and functions", sizes.check),
        ("banned words and calls", rules.check),
        ("traps of coroutines", coroutines.check),
        ("no dead file", registered.check),
        ("pages agree with the source", documented.check),
        ("the page of settings is what the tables say", settings_page.check),
        ("the reasons in docs/kubernetes.md are the operator's", reasons_page.check),
    ]
    if options.all:
        checks += [
            ("formatting", lint.check_format),
            ("shell scripts", lint.check_shell),
            ("headers compile alone", lambda: headers.check(build, jobs)),
        ]
    if options.lint:
        seconds = float(os.environ.get("LINT_SECONDS", "240"))
        checks += [("clang-tidy", lambda: lint.check_lint(build, jobs, seconds=seconds))]
    if options.lint_only:
        checks = [("clang-tidy", lambda: lint.check_lint(build, jobs, set(options.lint_only)))]
    failed = 0
    for name, check in checks:
        started = time.monotonic()
        problems = check()
        failed += bool(problems)
        print(f"{'FAILED' if problems else 'ok    '} {name} ({time.monotonic() - started:.1f} s)", flush=True)
        for problem in problems:
            print(f"    {problem}")
    print(f"{len(checks) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
