"""Reads schema files into model.Schema. The notation is described in broker/wire/README.md."""

import os
import re

from model import Field, Message, Schema, SchemaError, Versions, VERSION_MAX

_VERSIONS = re.compile(r"^(\d+)(\+|\.\.(\d+))?$")
_TYPE = re.compile(r"^(\[\])?([A-Za-z][A-Za-z0-9]*)(\?(\S*))?$")
_NAME = re.compile(r"^[a-z][a-z0-9_]*$")
_STRUCT = re.compile(r"^[A-Z][A-Za-z0-9]*$")
_API_KEYS = {"key", "versions", "announced", "flexible"}
_RECORD_KEYS = {"type", "versions", "flexible"}
_SECTIONS = {"api": ["request", "response"], "record": ["key", "value"]}  # of a file, in this order
_FIELD_KEYS = {"default", "tag", "flexible"}


class _File:
    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.line = 0

    def fail(self, problem, mend):
        raise SchemaError(self.path, self.line, problem, mend)

    def versions(self, text):
        match = _VERSIONS.match(text)
        if not match:
            self.fail(f"'{text}' is no version range", "write 3, 3+ or 3..7")
        low = int(match.group(1))
        high = low if match.group(2) is None else VERSION_MAX
        if match.group(3) is not None:
            high = int(match.group(3))
        if high < low:
            self.fail(f"version range {text} ends before it begins", f"write {high}..{low}")
        return Versions(low, high)

    def number(self, text, what):
        if not re.match(r"^\d+$", text):
            self.fail(f"'{text}' is no {what}", "write a number that is not negative")
        return int(text)

    def settings(self, words, allowed):
        found = {}
        for word in words:
            name, equals, value = word.partition("=")
            if not equals or name not in allowed:
                self.fail(f"'{word}' is not understood here", "allowed are " + ", ".join(
                    f"{a}=" for a in sorted(allowed)))
            if name in found:
                self.fail(f"{name}= is given twice", "keep one")
            found[name] = value
        return found


def _split_comment(line):
    text, _, comment = line.partition("#")
    return text.rstrip(), comment.strip()


def _api(file, words, comment):
    """`api Name key=0 versions=3..13 [announced=0] [flexible=9+]`, `header Name ...` without a key, or
    `record Name type=1 versions=0..4 [flexible=4+]`."""
    kind = words[0]
    if len(words) < 2 or not _STRUCT.match(words[1]):
        file.fail(f"'{words[0]}' needs a name", "write it as 'api Heartbeat key=12 versions=0..4'")
    settings = file.settings(words[2:], _RECORD_KEYS if kind == "record" else _API_KEYS)
    if "versions" not in settings:
        file.fail(f"{words[1]} has no versions=", "add the range that this broker serves, as versions=0..4")
    if (kind == "api") != ("key" in settings):
        file.fail(f"{words[1]} {'lacks' if kind == 'api' else 'has'} a key",
                  "an api has key=NUMBER, a header has none")
    if kind == "record" and "type" not in settings:
        file.fail(f"{words[1]} lacks a type", "a record has type=NUMBER, the version that its keys begin with")
    versions = file.versions(settings["versions"])
    if versions.high == VERSION_MAX:
        file.fail(f"{words[1]} has an open version range", "name the newest version")
    announced = versions.low
    if "announced" in settings:
        announced = file.number(settings["announced"], "version")
    flexible = None
    if "flexible" in settings:
        flexible = file.versions(settings["flexible"])
    key = file.number(settings["key"], "api key") if "key" in settings else None
    type_ = file.number(settings["type"], "record type") if "type" in settings else None
    stem = re.sub(r"^\d+_", "", os.path.splitext(os.path.basename(file.path))[0])
    return Schema(file.path, stem, words[1], file.line, kind, key, type_, versions, announced, flexible, comment)


def _type(file, text):
    match = _TYPE.match(text)
    if not match:
        file.fail(f"'{text}' is no type", "write i32, string?, []i32, []Topic or []Topic?1+")
    nullable = None
    if match.group(3) is not None:
        nullable = file.versions(match.group(4)) if match.group(4) else Versions(0, VERSION_MAX)
    return match.group(2), match.group(1) is not None, nullable


def _field(file, words, comment):
    """`name type [versions] [default=X] [tag=N[@versions]] [flexible=never]`"""
    if len(words) < 2:
        file.fail(f"field '{words[0]}' has no type", "write 'name type', as 'group_id string'")
    if not _NAME.match(words[0]):
        file.fail(f"'{words[0]}' is no field name", "use lower case and underscores")
    base, array, nullable = _type(file, words[1])
    rest = words[2:]
    versions = Versions(0, VERSION_MAX)
    if rest and "=" not in rest[0]:
        versions = file.versions(rest[0])
        rest = rest[1:]
    settings = file.settings(rest, _FIELD_KEYS)
    tag = tag_versions = None
    if "tag" in settings:
        number, at, tagged = settings["tag"].partition("@")
        tag = file.number(number, "tag")
        tag_versions = file.versions(tagged) if at else versions
    if settings.get("flexible", "never") != "never":
        file.fail(f"flexible={settings['flexible']} is not understood", "only flexible=never exists for a field")
    return Field(file.line, words[0], base, array, nullable, versions, settings.get("default"), tag,
                 tag_versions, "flexible" in settings, comment)


class _Parser:
    def __init__(self, path, text):
        self.file = _File(path, text)
        self.schema = None
        self.doc = []
        self.stack = []  # lists of fields, one per level of indentation

    def line(self, raw):
        if "\t" in raw:
            self.file.fail("a tab", "indent with two spaces a level")
        text, comment = _split_comment(raw)
        words = text.split()
        if not words:
            if comment and self.schema is None:
                self.doc.append(comment)
            return
        indent = len(text) - len(text.lstrip(" "))
        if indent == 0:
            self.top(words, comment)
        else:
            self.nested(words, comment, indent)

    def top(self, words, comment):
        if words[0] in ("api", "header", "record"):
            if self.schema is not None:
                self.file.fail(f"a second {self.schema.kind}", "give each its own file")
            self.schema = _api(self.file, words, " ".join(self.doc))
            if words[0] == "header":
                self.message("header", self.schema.name, self.schema.comment)
        elif len(words) == 1 and words[0] in sum(_SECTIONS.values(), []):
            kind = next(kind for kind, sections in _SECTIONS.items() if words[0] in sections)
            if self.schema is None or self.schema.kind != kind:
                self.file.fail(f"'{words[0]}' in a file without '{kind}'", f"begin the file with '{kind} NAME ...'")
            kinds = [m.kind for m in self.schema.messages]
            if words[0] in kinds:
                self.file.fail(f"a second {words[0]}", "keep one")
            self.message(words[0], self.schema.name + words[0].capitalize(), comment)
        else:
            self.file.fail(f"'{words[0]}' is not understood at the left edge",
                           "only api, header, record and their sections begin there; indent fields")

    def message(self, kind, name, comment):
        schema = self.schema
        # The version that stands in front of a key is the record's type: its layout never changes.
        versions, flexible = (Versions(0, 0), None) if kind == "key" else (schema.versions, schema.flexible)
        message = Message(name, kind, self.file.line, versions, flexible, comment)
        schema.messages.append(message)
        self.stack = [message.fields]

    def nested(self, words, comment, indent):
        if not self.stack:
            self.file.fail("a field outside of a message", "write the section that it belongs to before it")
        if indent % 2:
            self.file.fail(f"an indentation of {indent}", "indent with two spaces a level")
        level = indent // 2
        field = _field(self.file, words, comment)
        if level > len(self.stack):
            self.file.fail("a field that is indented too far", "indent two spaces more than its struct, not more")
        del self.stack[level:]
        self.stack[-1].append(field)
        self.stack.append(field.fields)


def parse(path, text):
    """The schema that `text` says. Raises SchemaError at the first line that cannot be understood."""
    parser = _Parser(path, text)
    for number, raw in enumerate(text.splitlines(), 1):
        parser.file.line = number
        parser.line(raw)
    if parser.schema is None:
        parser.file.line = 1
        parser.file.fail("no api, header or record", "begin with 'api NAME key=NUMBER versions=LOW..HIGH'")
    return parser.schema


def parse_file(path):
    with open(path, encoding="utf-8") as source:
        return parse(path, source.read())
