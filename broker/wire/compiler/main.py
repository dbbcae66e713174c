"""Compiles schema files to C++: main.py OUTPUT_FOLDER FILE.api..."""

import os
import sys

from check import check, check_all
from emit_apis import emit_all, emit_apis
from emit_codec import emit_codec
from emit_header import emit_header
from emit_random import emit_random, emit_random_header
from model import SchemaError
from parse import parse_file


def _write(folder, name, text):
    """Leaves a file that already says this untouched, so that nothing is compiled again for it."""
    path = os.path.join(folder, name)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as old:
            if old.read() == text:
                return
    with open(path, "w", encoding="utf-8") as new:
        new.write(text)


def load(paths):
    """All schemas, judged. Raises SchemaError."""
    schemas = [parse_file(path) for path in paths]
    for schema in schemas:
        check(schema)
    check_all(schemas)
    return schemas


def main(arguments):
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder, paths = arguments[0], arguments[1:]
    try:
        schemas = load(paths)
    except SchemaError as error:
        print(error, file=sys.stderr)
        return 1
    os.makedirs(folder, exist_ok=True)
    for schema in schemas:
        _write(folder, schema.stem + ".h", emit_header(schema))
        _write(folder, schema.stem + ".cc", emit_codec(schema))
    _write(folder, "apis.h", emit_apis(schemas))
    _write(folder, "all.h", emit_all(schemas))
    _write(folder, "random.h", emit_random_header(schemas))
    _write(folder, "random.cc", emit_random(schemas))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
