"""Judges a parsed schema and brings it into the form that the emitters read: every range cut to its message's."""

import re

from model import INTEGER_RANGES, PRIMITIVES, SchemaError, Versions, VERSION_MAX, walk


class _Judge:
    def __init__(self, schema, message):
        self.schema = schema
        self.message = message
        self.structs = {}

    def fail(self, field, problem, mend):
        raise SchemaError(self.schema.path, field.line, f"{field.name}: {problem}", mend)

    def fields(self, fields, versions):
        seen, tags = set(), set()
        for f in fields:
            if f.name in seen:
                self.fail(f, "named twice in its struct", "rename one")
            seen.add(f.name)
            self.ranges(f, versions)
            self.type(f)
            if f.tag is not None:
                self.tag(f, tags)
            self.default(f)
            if f.is_struct:
                self.fields(f.fields, f.versions)
        if sorted(tags) != list(range(len(tags))):
            f = next(f for f in fields if f.tag is not None)
            self.fail(f, f"its struct has tags {sorted(tags)}", "count tags from 0 without a gap")

    def ranges(self, f, versions):
        cut = f.versions.cut(versions)
        if cut is None:
            self.fail(f, f"its versions {f.versions} lie outside of {versions}", "remove it or widen the range")
        if f.versions.high != VERSION_MAX and f.versions.high > versions.high:
            self.fail(f, f"its versions {f.versions} end after {versions}", f"write {f.versions.low}+")
        f.versions = cut
        if f.nullable is not None:
            nullable = f.nullable.cut(cut)
            if nullable is None:
                self.fail(f, f"nullable in {f.nullable} but present in {cut}", "make the ranges meet")
            f.nullable = nullable

    def type(self, f):
        if f.nullable and not f.array and f.base in PRIMITIVES and PRIMITIVES[f.base][0] is not None:
            self.fail(f, f"{f.base} cannot be null on the wire", "drop the '?' or choose a default")
        if f.array and f.base in ("bytes", "records"):
            self.fail(f, f"arrays of {f.base} are not supported", "wrap it in a struct")
        if not f.is_struct:
            if f.fields:
                self.fail(f, f"{f.base} has no fields", "name a struct (Capital) or unindent the lines below")
            return
        if not re.match(r"^[A-Z]", f.base):
            self.fail(f, f"unknown type {f.base}", "known are " + ", ".join(PRIMITIVES) + "; structs begin with a capital")
        if not f.fields:
            self.fail(f, f"struct {f.base} has no fields", "indent them below this line")
        if f.base in self.structs:
            self.fail(f, f"struct {f.base} is already defined on line {self.structs[f.base]}",
                      "structs of one message need different names")
        self.structs[f.base] = f.line

    def tag(self, f, tags):
        flexible = self.message.flexible
        if f.tag in tags:
            self.fail(f, f"tag {f.tag} is used twice in its struct", "count tags from 0")
        tags.add(f.tag)
        f.tag_versions = f.tag_versions.cut(f.versions)
        if f.tag_versions != f.versions:
            self.fail(f, "tagged in only a part of its versions", "let tag= cover all of them")
        if flexible is None or not flexible.contains(f.tag_versions):
            self.fail(f, f"tagged in {f.tag_versions}, where messages are not flexible", "tags need flexible versions")

    def default(self, f):
        if f.default is None:
            return
        text = f.default
        if text == "null":
            if f.nullable is None:
                self.fail(f, "default null for a field that is never null", "add '?' to its type")
        elif f.array or f.is_struct or f.base in ("uuid", "bytes", "records", "f64"):
            self.fail(f, f"default {text} for {'an array' if f.array else f.base}", "only null is possible here")
        elif f.base == "bool":
            if text not in ("true", "false"):
                self.fail(f, f"default {text} for bool", "write true or false")
        elif f.base in INTEGER_RANGES:
            if not re.match(r"^-?\d+$", text):
                self.fail(f, f"default {text} for {f.base}", "write a decimal number")
            low, high = INTEGER_RANGES[f.base]
            if not low <= int(text) <= high:
                self.fail(f, f"default {text} does not fit {f.base}", f"stay within {low}..{high}")
        elif not re.match(r'^"[^"\\]*"$', text):
            self.fail(f, f"default {text} for string", 'write default="text" or default=null')


def check(schema):
    """Raises SchemaError at the first fault; otherwise cuts all version ranges in place."""
    def fail(problem, mend):
        raise SchemaError(schema.path, schema.line, problem, mend)

    kinds = [m.kind for m in schema.messages]
    wanted = {"api": ["request", "response"], "record": ["key", "value"]}.get(schema.kind)
    if wanted is not None and kinds != wanted:
        fail(f"{schema.name} has {kinds or 'no messages'}", f"write one {wanted[0]} and then one {wanted[1]}")
    if schema.announced > schema.versions.low:
        fail(f"announced={schema.announced} hides served versions", f"announce {schema.versions.low} or less")
    for message in schema.messages:
        if message.flexible is not None:
            if message.flexible.high != VERSION_MAX:
                fail("flexible versions that end", "write flexible=N+")
            message.flexible = message.flexible.cut(message.versions)
        _Judge(schema, message).fields(message.fields, message.versions)


def check_all(schemas):
    """Faults between files: the same key, type, name or stem twice."""
    keys, types, names, stems = {}, {}, {}, {}
    for schema in schemas:
        # A record may be called as an api: OffsetCommitKey is none of its messages.
        name = (schema.kind == "record", schema.name)
        for seen, value, what in ((keys, schema.key, "key"), (types, schema.type, "type"), (names, name, "name"),
                                  (stems, schema.stem, "stem")):
            if value is not None and value in seen:
                shown = schema.name if what == "name" else value
                raise SchemaError(schema.path, schema.line, f"{what} {shown} is already that of {seen[value]}",
                                  "every api and every record has its own")
            seen[value] = schema.path


def wire_min(field, message):
    """A lower bound, over all versions, of the bytes that one value of the field's base type takes."""
    if not field.is_struct:
        fixed = PRIMITIVES[field.base][0]
        return fixed if fixed is not None else (1 if message.flexible else 2)
    return struct_wire_min(field.fields, field.versions, message)


def struct_wire_min(fields, versions, message):
    total = 0
    for f in fields:
        if f.versions != versions or f.tag is not None:
            continue  # absent in some version
        if f.array:
            total += 1 if message.flexible else 4
        elif f.nullable is not None and f.is_struct:
            total += 1
        else:
            total += wire_min(f, message)
    flexible = message.flexible
    if flexible is not None and flexible.contains(versions):
        total += 1  # the count of tagged fields
    return max(total, 1)


def all_structs(message):
    """The structs of a message as (name, field), inner ones first, so that C++ can declare them in this order."""
    found = []

    def visit(fields):
        for f in fields:
            visit(f.fields)
            if f.is_struct:
                found.append(f)

    visit(message.fields)
    return found


__all__ = ["check", "check_all", "wire_min", "all_structs", "walk", "Versions"]
