"""Pages that repeat what the source says agree with it, and links between pages lead somewhere."""

import re

import sources

_API = re.compile(r"^api (?P<name>\w+) key=(?P<key>\d+) versions=(?P<low>\d+)\.\.(?P<high>\d+)", re.MULTILINE)
_ROW = re.compile(r"^\| (?P<name>\w+) \| (?P<key>\d+) \| (?P<low>\d+)-(?P<high>\d+) \|", re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")
_LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')
_METRIC = re.compile(r'\bout\.(?P<type>gauge|counter|histogram)\(\s*"(?P<name>\w+)",\s*(?P<help>(?:"(?:[^"\\]|\\.)*"\s*)+)')
_METRIC_ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<type>\w+) \| [^|]* \| (?P<help>[^|]*) \|$", re.MULTILINE)
_METRICS_PAGE = "docs/metrics.md"
_METRIC_SOURCES = ("broker/server/metrics.cc", "broker/server/group_metrics.cc", "broker/server/replication_metrics.cc",
                   "operator/control/metrics.cc")
_KAFKA_PAGE = "docs/kafka-compatibility.md"


def api_problems(page, schemas):
    """Compares the table of the page with the "api" lines of the schemas' joined text."""
    wanted = {m.group("name"): m.group("key", "low", "high") for m in _API.finditer(schemas)}
    written = {m.group("name"): m.group("key", "low", "high") for m in _ROW.finditer(page)}
    return [f"{_KAFKA_PAGE}: {name}: the schema says key and versions {wanted.get(name)}, the page {written.get(name)}"
            for name in sorted(wanted.keys() | written.keys()) if wanted.get(name) != written.get(name)]


def metric_problems(page, source):
    """Compares name, type and meaning of each row of the page with the metrics that the source exposes."""
    wanted = {m.group("name"): (m.group("type"), "".join(_LITERAL.findall(m.group("help")))) for m in _METRIC.finditer(source)}
    written = {m.group("name"): m.group("type", "help") for m in _METRIC_ROW.finditer(page)}
    return [f"{_METRICS_PAGE}: {name}: the source says {wanted.get(name)}, the page {written.get(name)}"
            for name in sorted(wanted.keys() | written.keys()) if wanted.get(name) != written.get(name)]


def link_problems(name, text):
    folder = (sources.ROOT / name).parent
    return [f"{name}: the link to {target} leads nowhere" for target in _LINK.findall(text) if not (folder / target).exists()]


def check():
    schemas = [n for n in sources.tracked() if n.startswith("proto/kafka/") and n.endswith(".api")]
    problems = api_problems(sources.read(_KAFKA_PAGE), "\n".join(sources.read(n) for n in schemas))
    problems += metric_problems(sources.read(_METRICS_PAGE), "\n".join(sources.read(n) for n in _METRIC_SOURCES))
    for name in sources.tracked():
        if name.endswith(".md"):
            problems += link_problems(name, sources.read(name))
    return problems
