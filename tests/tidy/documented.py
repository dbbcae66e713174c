"""Pages that repeat what the source says agree with it, and links between pages lead somewhere."""

import re

import sources

_API = re.compile(r"^api (?P<name>\w+) key=(?P<key>\d+) versions=(?P<low>\d+)\.\.(?P<high>\d+)", re.MULTILINE)
_ROW = re.compile(r"^\| (?P<name>\w+) \| (?P<key>\d+) \| (?P<low>\d+)-(?P<high>\d+) \|", re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")
_KAFKA_PAGE = "docs/kafka-compatibility.md"


def api_problems(page, schemas):
    """Compares the table of the page with the "api" lines of the schemas' joined text."""
    wanted = {m.group("name"): m.group("key", "low", "high") for m in _API.finditer(schemas)}
    written = {m.group("name"): m.group("key", "low", "high") for m in _ROW.finditer(page)}
    return [f"{_KAFKA_PAGE}: {name}: the schema says key and versions {wanted.get(name)}, the page {written.get(name)}"
            for name in sorted(wanted.keys() | written.keys()) if wanted.get(name) != written.get(name)]


def link_problems(name, text):
    folder = (sources.ROOT / name).parent
    return [f"{name}: the link to {target} leads nowhere" for target in _LINK.findall(text) if not (folder / target).exists()]


def check():
    schemas = [n for n in sources.tracked() if n.startswith("proto/kafka/") and n.endswith(".api")]
    problems = api_problems(sources.read(_KAFKA_PAGE), "\n".join(sources.read(n) for n in schemas))
    for name in sources.tracked():
        if name.endswith(".md"):
            problems += link_problems(name, sources.read(name))
    return problems
