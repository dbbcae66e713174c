"""Writes bench/RESULTS.md."""

from harness import results as res
from harness.bars import BARS

INTRO = """# Millrace and Apache Kafka on one machine

Made by `bench/run.py`; `bench/README.md` says what each case does and what to mind when reading. Millrace answers
after its disk has the records. Kafka runs as it ships, so it answers from the page cache before the disk has them;
the broker named `kafka, fsync` flushes each append. Runs alternate, and only one broker is awake at a time. A ratio is
the median of the ratios of the turns; figures are medians with [least..most]. Absolute figures of a small shared
virtual machine mean little; the ratios are what counts.
"""


def verdicts(results):
    met = [res.judge(results, bar)[1] for bar in BARS]
    return met.count(True), met.count(False), met.count(None)


def write(file, results, facts, remarks):
    """facts: what to say of machine, versions and commands. remarks: Markdown kept from the previous report."""
    met, missed, absent = verdicts(results)
    runs = max((s["run"] for s in results.samples), default=-1) + 1
    lines = [INTRO, f"**{met} bars met, {missed} missed, {absent} not run; medians of up to {runs} runs.**", "",
             "## Machine and versions", "", *(f"- {name}: {value}" for name, value in facts.items()), "",
             "## Bars", "", *res.bars_table(results), "", "## All figures", "", *res.samples_table(results), ""]
    if results.notes:
        lines += ["Notes:", "", *(f"- {n['case']}: {n['note']}" for n in results.notes), ""]
    lines += [REMARKS, "", remarks.strip(), ""]
    file.write_text("\n".join(lines), encoding="utf-8")


REMARKS = "## Remarks"


def kept_remarks(file):
    """The part below the heading, which people write."""
    if not file.exists():
        return ""
    _, found, rest = file.read_text(encoding="utf-8").partition(REMARKS + "\n")
    return rest if found else ""
