"""A pytest plugin: every skip is named with its reason, and the last line of the output is the count."""
import os
import sys

counts = {"passed": 0, "failed": 0, "skipped": 0}
skips = []


def pytest_runtest_logreport(report):
    if report.skipped:
        counts["skipped"] += 1
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        skips.append((report.nodeid.split("/")[-1], reason.removeprefix("Skipped: ")))
    elif report.failed:
        counts["failed"] += 1
    elif report.when == "call":
        counts["passed"] += 1


def pytest_collectreport(report):
    if report.failed:
        counts["failed"] += 1


def pytest_terminal_summary(terminalreporter):
    for name, reason in skips:
        terminalreporter.write_line("skipped: %s: %s" % (name, reason))


def pytest_unconfigure(config):
    if getattr(config.option, "collectonly", False):
        return
    print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % counts)
    sys.stdout.flush()


def pytest_report_header():
    return "broker: " + (os.environ.get("MILLRACE_BOOTSTRAP") or os.path.join(os.environ.get("MILLRACE_BUILD", "?"), "bin/millrace"))
