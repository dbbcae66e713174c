"""Samples, one JSON line each, and the report made of them."""

import json
import statistics
import time

from harness.bars import BARS


class Results:
    """Appends to a file as the run goes, so that a broken run loses nothing."""

    def __init__(self, file):
        self.file = file
        self.samples = []
        self.notes = []

    def add(self, case, broker, run, metrics):
        metrics = {name: round(value, 4) for name, value in metrics.items()}
        self._append({"case": case, "broker": broker, "run": run, "at": round(time.time()), "metrics": metrics})
        shown = " ".join(f"{name}={shorten(value)}" for name, value in metrics.items())
        print(f"{case} {broker} #{run + 1}: {shown}", flush=True)

    def note(self, case, text):
        self._append({"case": case, "note": text})
        print(f"{case}: {text}", flush=True)

    def _append(self, line):
        self._take(line)
        with open(self.file, "a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")

    def _take(self, line):
        (self.notes if "note" in line else self.samples).append(line)

    def read(self, file):
        """Takes the samples of an earlier run; of a case that ran again since, only those of the last time."""
        for line in file.read_text(encoding="utf-8").splitlines():
            self._take(json.loads(line))

    def values(self, case, broker, metric):
        """By run: {run: value}. A later sample of the same run replaces an earlier one."""
        return {s["run"]: s["metrics"][metric] for s in self.samples
                if s["case"] == case and s["broker"] == broker and metric in s["metrics"]}


def shorten(value):
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def spread(values):
    """`median [min..max]`."""
    values = list(values)
    if not values:
        return "-"
    middle = shorten(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} [{shorten(min(values))}..{shorten(max(values))}]"


def judge(results, bar):
    """(values, met) of a bar: per-turn ratios where it compares, else plain values. met is None without samples."""
    ours = results.values(bar.case, "millrace", bar.metric)
    if bar.against is None:
        values = list(ours.values())
    else:
        theirs = results.values(bar.case, bar.against, bar.metric)
        values = [ours[run] / theirs[run] for run in sorted(ours) if theirs.get(run)]
    return values, bar.met(statistics.median(values)) if values else None


def bars_table(results):
    """Lines of a Markdown table: one bar each."""
    lines = ["| case | measure | millrace | against | its figure | ratio | bar | |", "| --- " * 8 + "|"]
    for bar in BARS:
        values, met = judge(results, bar)
        ours = results.values(bar.case, "millrace", bar.metric).values()
        theirs = results.values(bar.case, bar.against or "kafka", bar.metric).values()
        verdict = {True: "met", False: "**missed**", None: "not run"}[met]
        lines.append(f"| {bar.case} | {bar.metric} | {spread(ours)} | {bar.against or '(kafka, to compare)'} | {spread(theirs)} | "
                     f"{spread(values) if bar.against else ''} | {bar.text()} | {verdict} |")
    return lines


def samples_table(results):
    """Lines of a Markdown table: everything that was measured."""
    lines = ["| case | broker | runs | measure: median [min..max] |", "| --- " * 4 + "|"]
    seen = dict.fromkeys((s["case"], s["broker"]) for s in results.samples)
    for case, broker in seen:
        metrics = dict.fromkeys(m for s in results.samples if (s["case"], s["broker"]) == (case, broker) for m in s["metrics"])
        cells = [f"{m} {spread(results.values(case, broker, m).values())}" for m in metrics]
        runs = len(results.values(case, broker, next(iter(metrics))))
        lines.append(f"| {case} | {broker} | {runs} | {'; '.join(cells)} |")
    return lines
