"""Which metrics there are, with which labels, and which of them a query uses."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What Prometheus and the monitors add to every series.
_ADDED = {"namespace", "pod", "millrace_cluster", "job", "instance", "le"}
_ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<type>\w+) \| (?P<labels>[^|]*) \|", re.MULTILINE)
_SELECTED = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<matchers>[^}]*)\})?")
_GROUPED = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\((?P<labels>[^)]*)\)")
_STRING = re.compile(r'"(?:\\.|[^"\\])*"')
_PREFIXES = ("millrace_", "process_")


def documented():
    """{name: labels} of docs/metrics.md; histograms as the series they become."""
    found = {}
    for row in _ROW.finditer((ROOT / "docs/metrics.md").read_text(encoding="utf-8")):
        labels = {label.strip() for label in row["labels"].split(",") if label.strip()} | _ADDED
        names = [row["name"] + part for part in ("_bucket", "_sum", "_count")] if row["type"] == "histogram" else [row["name"]]
        for name in names:
            found.setdefault(name, set()).update(labels)
    return found


def used(query):
    """[(name, labels in its braces)] of a query, and all labels it groups by."""
    grouped = {label.strip() for group in _GROUPED.finditer(query) for label in group["labels"].split(",") if label.strip()}
    metrics = []
    for match in _SELECTED.finditer(_GROUPED.sub("", _STRING.sub('""', query))):
        if match["name"].startswith(_PREFIXES):
            matchers = {re.split(r"[=!~]", part)[0].strip() for part in (match["matchers"] or "").split(",") if part.strip()}
            metrics.append((match["name"], matchers))
    return metrics, grouped


def problems(query, known):
    """Why a query cannot be right: a metric that nobody has, a label that it has not."""
    metrics, grouped = used(query)
    found = [f"no metric is called {name}" for name, _ in metrics if name not in known]
    if found:
        return found
    for name, matchers in metrics:
        found += [f"{name} has no label {label}" for label in sorted(matchers - known[name])]
    anywhere = set().union(*(known[name] for name, _ in metrics)) if metrics else set(_ADDED)
    return found + [f"nothing in it has the label {label}" for label in sorted(grouped - anywhere)]
