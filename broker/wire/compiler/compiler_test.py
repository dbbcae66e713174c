"""What the schema compiler says about faulty schemas, and what it makes of good ones."""

import os
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from check import check, check_all, wire_min  # noqa: E402: found through the line above
from emit_header import emit_header  # noqa: E402
from model import SchemaError  # noqa: E402
from parse import parse  # noqa: E402

GOOD = """# Says hello.
api Hello key=900 versions=1..4 flexible=3+
request
  name      string        # of the caller
  old       i16    1..2 default=-1
  tags      []Tag? 2+
    key     string
    value   string?3+ default=null
  extra     i64    3+ tag=0 default=-9223372036854775808
response
  error_code  i16
"""

RECORD = """# Who was seen.
record Seen type=7 versions=0..3 flexible=2+
key
  name   string
value
  when   i64
  where  string  1+
"""


def compiled(text):
    schema = parse("x.api", text)
    check(schema)
    return schema


class Faults(unittest.TestCase):
    def expect(self, text, message):
        with self.assertRaises(SchemaError) as caught:
            compiled(text)
        self.assertEqual(str(caught.exception), message)

    def field(self, line, message, flexible=""):
        """Line 3 of a file is the faulty one."""
        self.expect(f"api A key=1 versions=0..5{flexible}\nrequest\n{line}\nresponse\n", f"x.api:3: {message}")

    def test_file(self):
        self.expect("# nothing\n", "x.api:1: no api, header or record; begin with 'api NAME key=NUMBER versions=LOW..HIGH'")
        self.expect("api A versions=0..1\n", "x.api:1: A lacks a key; an api has key=NUMBER, a header has none")
        self.expect("header A key=1 versions=0..1\n", "x.api:1: A has a key; an api has key=NUMBER, a header has none")
        self.expect("api A key=1\n",
                    "x.api:1: A has no versions=; add the range that this broker serves, as versions=0..4")
        self.expect("api A key=1 versions=2+\n", "x.api:1: A has an open version range; name the newest version")
        self.expect("api A key=x versions=0..1\n", "x.api:1: 'x' is no api key; write a number that is not negative")
        self.expect("api A key=1 versions=0..1 color=red\n", "x.api:1: 'color=red' is not understood here; "
                    "allowed are announced=, flexible=, key=, versions=")
        self.expect("api A key=1 versions=2..3 announced=3\nrequest\nresponse\n",
                    "x.api:1: announced=3 hides served versions; announce 2 or less")
        self.expect("api A key=1 versions=0..1\nrequest\n",
                    "x.api:1: A has ['request']; write one request and then one response")
        self.expect("api A key=1 versions=0..1\nfield i8\n", "x.api:2: 'field' is not understood at the left edge; "
                    "only api, header, record and their sections begin there; indent fields")
        self.expect("api A key=1 versions=0..1\n  field i8\n",
                    "x.api:2: a field outside of a message; write the section that it belongs to before it")
        self.expect("record A type=1 versions=0..1\nrequest\n",
                    "x.api:2: 'request' in a file without 'api'; begin the file with 'api NAME ...'")
        self.expect("record A versions=0..1\n",
                    "x.api:1: A lacks a type; a record has type=NUMBER, the version that its keys begin with")
        self.expect("record A type=1 versions=0..1 key=2\n",
                    "x.api:1: 'key=2' is not understood here; allowed are flexible=, type=, versions=")
        self.expect("record A type=1 versions=0..1\nvalue\n",
                    "x.api:1: A has ['value']; write one key and then one value")
        self.expect("record A type=1 versions=0..1\nrecord B type=2 versions=0\n",
                    "x.api:2: a second record; give each its own file")

    def test_layout(self):
        self.field("   a i8", "an indentation of 3; indent with two spaces a level")
        self.field("\ta i8", "a tab; indent with two spaces a level")
        self.field("    a i8", "a field that is indented too far; indent two spaces more than its struct, not more")
        self.field("  a", "field 'a' has no type; write 'name type', as 'group_id string'")
        self.field("  Name i8", "'Name' is no field name; use lower case and underscores")

    def test_types(self):
        self.field("  a [i8", "'[i8' is no type; write i32, string?, []i32, []Topic or []Topic?1+")
        self.field("  a i32?", "a: i32 cannot be null on the wire; drop the '?' or choose a default")
        self.field("  a Topic", "a: struct Topic has no fields; indent them below this line")
        self.field("  a []bytes", "a: arrays of bytes are not supported; wrap it in a struct")
        self.field("  a int", "a: unknown type int; known are bool, i8, i16, u16, i32, u32, i64, f64, uuid, string, bytes, "
                   "records; structs begin with a capital")
        self.field("  a i8\n    b i8", "a: i8 has no fields; name a struct (Capital) or unindent the lines below")
        self.expect("api A key=1 versions=0..5\nrequest\n  a T\n    x i8\n  b T\n    y i8\nresponse\n",
                    "x.api:5: b: struct T is already defined on line 3; structs of one message need different names")
        self.expect("api A key=1 versions=0..5\nrequest\n  a i8\n  a i8\nresponse\n",
                    "x.api:4: a: named twice in its struct; rename one")

    def test_versions(self):
        self.field("  a i8 3-4", "'3-4' is no version range; write 3, 3+ or 3..7")
        self.field("  a i8 4..3", "version range 4..3 ends before it begins; write 3..4")
        self.field("  a i8 6+", "a: its versions 6+ lie outside of 0..5; remove it or widen the range")
        self.field("  a i8 3..9", "a: its versions 3..9 end after 0..5; write 3+")
        self.field("  a string?0..1 3+", "a: nullable in 0..1 but present in 3..5; make the ranges meet")

    def test_tags(self):
        self.field("  a i8 tag=0", "a: tagged in 0..5, where messages are not flexible; tags need flexible versions")
        self.field("  a i8 2+ tag=0", "a: tagged in 2..5, where messages are not flexible; tags need flexible versions",
                   " flexible=3+")
        self.field("  a i8 3+ tag=1", "a: its struct has tags [1]; count tags from 0 without a gap", " flexible=3+")
        self.field("  a i8 3+ tag=0@4+", "a: tagged in only a part of its versions; let tag= cover all of them",
                   " flexible=3+")
        self.expect("api A key=1 versions=0..5 flexible=0+\nrequest\n  a i8 tag=0\n  b i8 tag=0\nresponse\n",
                    "x.api:4: b: tag 0 is used twice in its struct; count tags from 0")

    def test_defaults(self):
        self.field("  a i8 default=200", "a: default 200 does not fit i8; stay within -128..127")
        self.field("  a i8 default=x", "a: default x for i8; write a decimal number")
        self.field("  a bool default=1", "a: default 1 for bool; write true or false")
        self.field("  a string default=null", "a: default null for a field that is never null; add '?' to its type")
        self.field("  a string default=x", 'a: default x for string; write default="text" or default=null')
        self.field("  a []i8 default=1", "a: default 1 for an array; only null is possible here")
        self.field("  a i8 default=1 default=2", "default= is given twice; keep one")

    def test_between_files(self):
        with self.assertRaises(SchemaError) as caught:
            check_all([compiled(GOOD), parse("y.api", GOOD.replace("Hello", "Other"))])
        self.assertEqual(str(caught.exception), "y.api:2: key 900 is already that of x.api; every api and every record has its own")
        with self.assertRaises(SchemaError) as caught:
            check_all([parse("x.api", RECORD), parse("y.api", RECORD.replace("Seen", "Other"))])
        self.assertEqual(str(caught.exception),
                         "y.api:2: type 7 is already that of x.api; every api and every record has its own")
        # The stems would name one file twice.
        with self.assertRaises(SchemaError) as caught:
            check_all([parse("1_x.api", GOOD), parse("2_x.api", RECORD)])
        self.assertEqual(str(caught.exception),
                         "2_x.api:2: stem x is already that of 1_x.api; every api and every record has its own")
        check_all([parse("x.api", GOOD), parse("y.api", RECORD.replace("Seen", "Hello"))])


class Results(unittest.TestCase):
    def test_model(self):
        schema = compiled(GOOD)
        request = schema.messages[0]
        self.assertEqual([f.name for f in request.fields], ["name", "old", "tags", "extra"])
        tags = request.fields[2]
        self.assertEqual((str(tags.versions), str(tags.nullable)), ("2..4", "2..4"))
        self.assertEqual(str(tags.fields[1].nullable), "3..4")
        self.assertEqual((schema.comment, request.fields[0].comment), ("Says hello.", "of the caller"))

    def test_wire_min_is_a_lower_bound_over_versions(self):
        tags = compiled(GOOD).messages[0].fields[2]
        self.assertEqual(wire_min(tags, compiled(GOOD).messages[0]), 2)  # two compact strings; tags only from 3 on

    def test_header(self):
        header = emit_header(compiled(GOOD))
        self.assertIn("std::optional<std::vector<HelloRequestTag>> tags = "
                      "std::optional<std::vector<HelloRequestTag>>(std::in_place);", header)
        self.assertIn("std::int64_t extra = (-9223372036854775807 - 1);", header)
        self.assertIn("std::int16_t old = -1;", header)
        self.assertIn("/// (versions 3..4, tagged)", header)

    def test_record(self):
        """A key has one layout, whatever versions its value has; the type is known to both."""
        schema = compiled(RECORD)
        key, value = schema.messages
        self.assertEqual((key.name, str(key.versions), key.flexible), ("SeenKey", "0", None))
        self.assertEqual((value.name, str(value.versions), str(value.flexible)), ("SeenValue", "0..3", "2..3"))
        header = emit_header(schema)
        self.assertEqual(header.count("static constexpr std::int16_t kType = 7;"), 2)
        self.assertIn("  using Value = SeenValue;", header)
        self.assertIn("  using Key = SeenKey;", header)

    def test_program(self):
        """A fault ends the program with its place; unchanged output is not written again."""
        program = [sys.executable, "-B", os.path.join(os.path.dirname(os.path.abspath(__file__)), "main.py")]
        with tempfile.TemporaryDirectory() as folder:
            source, out = os.path.join(folder, "900_hello.api"), os.path.join(folder, "out")
            with open(source, "w", encoding="utf-8") as file:
                file.write(GOOD)
            subprocess.run(program + [out, source], check=True)
            before = os.stat(os.path.join(out, "hello.h")).st_mtime_ns
            subprocess.run(program + [out, source], check=True)
            self.assertEqual(os.stat(os.path.join(out, "hello.h")).st_mtime_ns, before)
            with open(source, "a", encoding="utf-8") as file:
                file.write("  x i99\n")
            fault = subprocess.run(program + [out, source], capture_output=True, text=True, check=False)
            self.assertEqual(fault.returncode, 1)
            self.assertTrue(fault.stderr.startswith(f"{source}:12: x: unknown type i99"), fault.stderr)


if __name__ == "__main__":
    unittest.main()
