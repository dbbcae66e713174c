"""The .h of one schema: plain structs with defaults, and the declarations of their codecs."""

from check import all_structs
from cpp import BANNER, default_value, enumerator, member_type, struct_name, wrap_comment


def _member(message, field):
    notes = []
    if str(field.versions) != str(message.versions):
        notes.append(f"versions {field.versions}")
    if field.nullable:
        where = "" if field.nullable == field.versions else f" in {field.nullable}"
        notes.append(f"may be null{where}")
    if field.tag is not None:
        notes.append("tagged")
    comment = field.comment
    if notes:
        comment = f"{comment} ({', '.join(notes)})".strip()
    lines = wrap_comment(comment, "  ")
    value = default_value(message, field)
    suffix = f" = {value}" if value is not None else ""
    lines.append(f"  {member_type(message, field)} {field.name}{suffix};")
    return lines


def _struct(message, field):
    name = struct_name(message, field)
    lines = [f"/// An element of {message.name}: {field.name}.", f"struct {name} {{"]
    for f in field.fields:
        lines += _member(message, f)
    lines += ["", "  void print(std::string& out) const;",
              f"  bool operator==(const {name}&) const = default;", "};", ""]
    return lines


def _root(schema, message):
    name = message.name
    low, high = message.versions.low, message.versions.high
    lines = wrap_comment(message.comment or schema.comment, "") + [f"struct {name} {{"]
    if schema.key is not None:
        lines.append(f"  static constexpr ApiKey kKey = ApiKey::{enumerator(schema.name)};")
        other = "Response" if message.kind == "request" else "Request"
        lines.append(f"  using {other} = {schema.name}{other};")
    if schema.type is not None:
        lines.append(f"  static constexpr std::int16_t kType = {schema.type};")
        other = "Value" if message.kind == "key" else "Key"
        lines.append(f"  using {other} = {schema.name}{other};")
    lines.append(f"  static constexpr std::int16_t kVersionMin = {low};")
    lines.append(f"  static constexpr std::int16_t kVersionMax = {high};")
    for f in reversed(all_structs(message)):
        lines.append(f"  using {f.base} = {struct_name(message, f)};")
    lines.append("")
    for f in message.fields:
        lines += _member(message, f)
    lines += [
        "",
        "  /// Reads the body from where `in` stands. kInvalidRequest names the field that is wrong or cut off,",
        "  /// or says that the version is outside of [kVersionMin, kVersionMax].",
        f"  static common::Result<{name}> decode(Reader& in, std::int16_t version);",
        "  /// Appends the body. Requires a version within [kVersionMin, kVersionMax]. Fields that it does not have are",
        "  /// left out.",
        "  void encode(Writer& out, std::int16_t version) const;",
        "  /// Bytes that encode() would append.",
        "  std::size_t size(std::int16_t version) const;",
        "  /// All fields as text, for logs; byte fields show only their size.",
        "  std::string debug() const;",
        "  void print(std::string& out) const;",
        f"  bool operator==(const {name}&) const = default;",
        "};",
        "",
    ]
    return lines


def emit_header(schema):
    lines = [BANNER, "#pragma once", "", "#include <cstddef>", "#include <cstdint>", "#include <optional>",
             "#include <string>", "#include <vector>", "", '#include "broker/wire/chunks.h"',
             '#include "broker/wire/messages/apis.h"', '#include "broker/wire/reader.h"',
             '#include "broker/wire/writer.h"', '#include "common/bytes.h"', '#include "common/result.h"',
             '#include "common/uuid.h"', "", "namespace millrace::wire {", ""]
    if schema.key is not None:
        lines += [f"struct {schema.name}Request;", f"struct {schema.name}Response;", ""]
    if schema.type is not None:
        lines += [f"struct {schema.name}Key;", f"struct {schema.name}Value;", ""]
    for message in schema.messages:
        for f in all_structs(message):
            lines += _struct(message, f)
        lines += _root(schema, message)
    lines.append("}  // namespace millrace::wire")
    return "\n".join(lines) + "\n"
