"""docs/settings.md, made from the tables of settings in broker/model: settings_page.py writes it."""

import re

import sources

PAGE = "docs/settings.md"
_BROKER = [f"broker/model/broker_keys_{part}.h" for part in ("groups", "logs", "server")]
_TABLES = [("The broker", _BROKER, "As a flag, in the environment or in the file: see [configuration.md](configuration.md)."),
           ("Topics", ["broker/model/topic_keys.cc"], "Given when a topic is created or changed at run time; Kafka's names, defaults and meanings.")]
_FIELD = re.compile(r'\.(?P<name>\w+) =\s*(?P<value>(?:"(?:\\.|[^"\\])*"\s*)+|[^,}]+)')


def _text(value):
    """The characters of adjacent string literals, or the token itself."""
    parts = re.findall(r'"((?:\\.|[^"\\])*)"', value)
    return "".join(parts).replace('\\"', '"').replace("\\\\", "\\") if parts else value.strip()


def parse(files):
    """The settings of one table: a list of dicts of their fields, by name."""
    chunks = [chunk for file in files for chunk in sources.read(file).split("ConfigKey{")[1:]]
    keys = [{m.group("name"): _text(m.group("value")) for m in _FIELD.finditer(chunk)} for chunk in chunks]
    return sorted(keys, key=lambda key: key["name"])


def page():
    lines = ["# Settings", "", "Made from the tables in `broker/model` by `tests/tidy/settings_page.py`; a test compares them. `millrace config` prints",
             "the values in force, and where each comes from."]
    for title, files, how in _TABLES:
        lines += ["", f"## {title}", how, "", "| setting | default | unit | meaning |", "| --- | --- | --- | --- |"]
        for key in parse(files):
            cell = {name: key.get(name, "").replace("|", "\\|") for name in ("name", "default_value", "unit", "meaning")}
            lines.append(f"| `{cell['name']}` | {cell['default_value']} | {cell['unit']} | {cell['meaning']} |")
    return "\n".join(lines) + "\n"


def check():
    silent = [key["name"] for _, files, _ in _TABLES for key in parse(files) if not key.get("meaning")]
    if silent:
        return [f"{PAGE}: no meaning is found of {name}" for name in silent]
    if not (sources.ROOT / PAGE).exists() or sources.read(PAGE) != page():
        return [f"{PAGE}: the tables of settings have changed: python3 tests/tidy/settings_page.py"]
    return []


if __name__ == "__main__":
    (sources.ROOT / PAGE).write_text(page(), encoding="utf-8")
