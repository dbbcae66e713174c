"""Compares proto/kafka with the schemas that Kafka publishes: compare.py KAFKA_CLIENTS_JAR KAFKA_GROUP_COORDINATOR_JAR

Every field of every API and record that we have, in the versions that we serve: type, versions, nullability, default, tag; and every
API's key, every record's type, and their versions and flexible versions. Each is one check. A difference that is meant stands in allowed.txt with its
reason. Writes one line per difference; the last line is `N passed, N failed, N skipped`.
"""

import glob
import json
import os
import re
import sys
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "broker", "wire", "compiler"))

import main as compiler  # noqa: E402: found through the line above
from model import SchemaError, Versions, VERSION_MAX, walk  # noqa: E402

TYPES = {"int8": "i8", "int16": "i16", "uint16": "u16", "int32": "i32", "uint32": "u32", "int64": "i64",
         "float64": "f64"}


def snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def versions(text):
    """`3+`, `3-7`, `3`, or None for none."""
    if text is None or text == "none":
        return None
    if text.endswith("+"):
        return Versions(int(text[:-1]), VERSION_MAX)
    low, _, high = text.partition("-")
    return Versions(int(low), int(high or low))


def cut(range_, within):
    return None if range_ is None else range_.cut(within)


def zero(base, array, nullable):
    if base == "records" and not array:
        return "null" if nullable else "empty"
    if array or base in ("string", "bytes") or base[0].isupper():
        return "empty"
    return {"bool": "false", "uuid": "zero", "f64": "0"}.get(base, "0")


def default(value, base, array, nullable):
    """Both notations of a default, as one text."""
    if value is None or value == "":
        return zero(base, array, nullable)
    if isinstance(value, bool):
        return str(value).lower()
    if re.match(r"^-?0x[0-9a-fA-F]+$", str(value)):
        return str(int(value, 16))
    return str(value).strip('"') or "empty"


def load(jar, name):
    with jar.open(f"common/message/{name}.json") as source:
        lines = source.read().decode().splitlines()
    return json.loads("\n".join(line for line in lines if not line.lstrip().startswith("//")))


def theirs(jar, message):
    """One message of the jar: (json, version range that is stable). Only the request says that its last is not."""
    found = load(jar, message.name)
    valid = versions(found["validVersions"])
    request = load(jar, message.name.removesuffix("Response") + "Request") if message.kind == "response" else found
    if request.get("latestVersionUnstable") is True:
        valid = Versions(valid.low, valid.high - 1)
    return found, valid


def their_fields(fields, within, structs, path=()):
    """{path: facts} for the fields that exist somewhere in `within`."""
    found = {}
    for f in fields:
        range_ = cut(versions(f.get("versions", "0+")), within)
        if range_ is None:
            continue
        array = f["type"].startswith("[]")
        base = f["type"].removeprefix("[]")
        base = TYPES.get(base, base)
        nullable = cut(versions(f.get("nullableVersions")), range_)
        here = path + (snake(f["name"]),)
        found[here] = {
            "type": ("[]" if array else "") + ("struct" if base[0].isupper() else base),
            "versions": str(range_),
            "null": str(nullable),
            "default": default(f.get("default"), base, array, nullable),
            "tag": str(f.get("tag")),
            "tagged": str(cut(versions(f.get("taggedVersions")), range_)),
            "flexible": f.get("flexibleVersions", "as its message").replace("none", "never"),
        }
        if base[0].isupper():
            found.update(their_fields(f.get("fields", structs.get(base, [])), range_, structs, here))
    return found


def our_fields(message):
    found = {}
    for path, f in walk(message.fields):
        found[path] = {
            "type": ("[]" if f.array else "") + ("struct" if f.is_struct else f.base),
            "versions": str(f.versions),
            "null": str(f.nullable),
            "default": default(f.default, f.base, f.array, f.nullable),
            "tag": str(f.tag),
            "tagged": str(f.tag_versions),
            "flexible": "never" if f.never_flexible else "as its message",
        }
    return found


class Comparison:
    def __init__(self, allowed):
        self.allowed = allowed
        self.used = set()
        self.passed = self.failed = 0

    def check(self, place, ours, theirs_):
        if ours == theirs_:
            self.passed += 1
        elif place in self.allowed:
            self.used.add(place)
            self.passed += 1
        else:
            self.failed += 1
            print(f"{place}: ours {ours}, Kafka's {theirs_}")

    def message(self, message, jar):
        theirs_, valid = theirs(jar, message)
        self.check(f"{message.name} versions", str(message.versions), str(valid))
        self.check(f"{message.name} flexible", str(message.flexible),
                   str(cut(versions(theirs_["flexibleVersions"]), message.versions)))
        structs = {s["name"]: s["fields"] for s in theirs_.get("commonStructs", [])}
        a, b = our_fields(message), their_fields(theirs_["fields"], message.versions, structs)
        self.check(f"{message.name} field order", [p for p in a if p in b], [p for p in b if p in a])
        for path in {**b, **a}:
            name = ".".join((message.name,) + path)
            if path not in a or path not in b:
                self.check(name, "present" if path in a else "absent", "present" if path in b else "absent")
                continue
            for what, value in b[path].items():
                self.check(f"{name} {what}", a[path][what], value)
        return theirs_


def read_allowed(path):
    """Lines `PLACE: reason`; PLACE as this program prints it."""
    allowed = {}
    with open(path, encoding="utf-8") as source:
        for line in source:
            place, colon, reason = line.strip().partition(": ")
            if place and not place.startswith("#"):
                if not colon or not reason:
                    sys.exit(f"{path}: '{place}' has no reason")
                allowed[place] = reason
    return allowed


def run(clients_path, coordinator_path):
    comparison = Comparison(read_allowed(os.path.join(HERE, "allowed.txt")))
    schemas = compiler.load(sorted(glob.glob(os.path.join(ROOT, "proto", "kafka", "**", "*.api"), recursive=True)))
    with zipfile.ZipFile(clients_path) as clients, zipfile.ZipFile(coordinator_path) as coordinator:
        for schema in schemas:
            for message in schema.messages:
                theirs_ = comparison.message(message, coordinator if schema.kind == "record" else clients)
                if schema.kind != "header":
                    number = schema.type if schema.kind == "record" else schema.key
                    comparison.check(f"{message.name} number", number, theirs_["apiKey"])
            if schema.key is not None:
                comparison.check(f"{schema.name} announced", schema.announced, schema.versions.low)
    for place in sorted(set(comparison.allowed) - comparison.used):
        comparison.failed += 1
        print(f"{place}: allowed.txt lists it, but there is no such difference")
    print(f"{comparison.passed} passed, {comparison.failed} failed, 0 skipped")
    return 1 if comparison.failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        sys.exit(run(sys.argv[1], sys.argv[2]))
    except SchemaError as error:
        print(error)
        print("0 passed, 1 failed, 0 skipped")
        sys.exit(1)
