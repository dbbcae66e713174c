"""The .cc of one schema: read, write, size and print of every struct."""

from check import all_structs, wire_min
from cpp import BANNER, FIXED_CALLS, element_type, flag, in_versions, is_default, struct_name
from model import PRIMITIVES


def _fixed(base):
    return PRIMITIVES.get(base, (None,))[0] is not None


class Struct:
    """One C++ struct: the root of a message or a nested one."""

    def __init__(self, message, name, fields, versions, path):
        self.message = message
        self.name = name
        self.fields = fields
        self.versions = versions
        self.path = path
        self.flexible = flag(message.flexible, versions)

    def compact(self, field):
        if field.never_flexible or self.flexible == "false":
            return "false"
        return "flexible"

    @property
    def plain(self):
        return [f for f in self.fields if f.tag is None]

    @property
    def tagged(self):
        return sorted((f for f in self.fields if f.tag is not None), key=lambda f: f.tag)

    def preamble(self):
        return [f"  [[maybe_unused]] const bool flexible = {self.flexible};"]


def structs_of(message):
    """Inner ones first, the root last."""
    paths = {}

    def visit(fields, path):
        for f in fields:
            here = f"{path}.{f.name}"
            paths[id(f)] = here
            visit(f.fields, here)

    visit(message.fields, message.name)
    found = [Struct(message, struct_name(message, f), f.fields, f.versions, paths[id(f)])
             for f in all_structs(message)]
    return found + [Struct(message, message.name, message.fields, message.versions, message.name)]


def _get_value(struct, field, target, where, indent):
    """Statements that read one value, array or not, into `target`."""
    compact, nullable = struct.compact(field), flag(field.nullable, field.versions)
    optional = field.nullable is not None
    if field.array:
        return _get_array(struct, field, target, where, indent)
    if field.is_struct:
        if not optional:
            return [f"{indent}get({target}, in, version);"]
        # Presence goes before a struct that may be null: a byte that is negative for null, or, in a tagged field, a
        # varint that is zero.
        is_null = f"in.i8({where}) < 0" if field.tag is None else f"in.varuint({where}) == 0"
        return [f"{indent}if (({nullable}) && {is_null}) {{", f"{indent}  {target}.reset();",
                f"{indent}}} else {{", f"{indent}  get({target}.emplace(), in, version);", f"{indent}}}"]
    if _fixed(field.base):
        return [f"{indent}{target} = in.{FIXED_CALLS.get(field.base, field.base)}({where});"]
    call = "string" if field.base == "string" else "bytes"
    arguments = f"{target}, {compact}" + (f", {nullable}" if optional else "")
    return [f"{indent}in.{call}({arguments}, {where});"]


def _get_array(struct, field, target, where, indent):
    compact, nullable = struct.compact(field), flag(field.nullable, field.versions)
    element = element_type(struct.message, field)
    size = wire_min(field, struct.message)
    lines = [f"{indent}{{",
             f"{indent}  const std::int32_t count = in.array({{{size}, sizeof({element})}}, {compact}, "
             f"{nullable}, {where});"]
    body = indent + "  "
    values = target
    if field.nullable:
        lines += [f"{body}if (count < 0) {{", f"{body}  {target}.reset();", f"{body}}} else {{",
                  f"{body}  auto& values = {target}.emplace();"]
        body += "  "
        values = "values"
    else:
        lines.append(f"{body}{values}.clear();")
    lines += [f"{body}{values}.reserve(static_cast<std::size_t>(count));",
              f"{body}for (std::int32_t i = 0; i < count && in.good(); ++i) {{"]
    if field.is_struct:
        lines.append(f"{body}  get({values}.emplace_back(), in, version);")
    elif field.base == "string":
        lines.append(f"{body}  in.string({values}.emplace_back(), {compact}, {where});")
    else:
        lines.append(f"{body}  {values}.push_back(in.{FIXED_CALLS.get(field.base, field.base)}({where}));")
    lines.append(f"{body}}}")
    if field.nullable:
        lines.append(f"{indent}  }}")
    lines.append(f"{indent}}}")
    return lines


def _get_tags(struct):
    where = f'"{struct.path}"'
    if struct.flexible == "false":
        return []
    if not struct.tagged:
        return [f"  if (flexible) in.skip_tags({where});"]
    lines = ["  if (!flexible) return;",
             f"  for (std::uint32_t tags = in.varuint({where}); tags > 0 && in.good(); --tags) {{",
             f"    const std::uint32_t tag = in.varuint({where});",
             f"    const std::uint32_t size = in.varuint({where});"]
    for f in struct.tagged:
        condition = in_versions(f.tag_versions, struct.versions)
        test = f"tag == {f.tag}" + (f" && {condition}" if condition else "")
        name = f'"{struct.path}.{f.name}"'
        lines += [f"    if ({test}) {{", f"      const Reader::Window window = in.enter(size, {name});"]
        lines += _get_value(struct, f, f"m.{f.name}", name, "      ")
        lines += [f"      in.leave(window, {name});", "      continue;", "    }"]
    lines += [f"    in.skip(size, {where});", "  }"]
    return lines


def _guarded(lines, condition):
    if condition is None:
        return lines
    return [f"  if ({condition}) {{"] + ["  " + line for line in lines] + ["  }"]


def emit_get(struct):
    lines = [f"void get({struct.name}& m, Reader& in, [[maybe_unused]] std::int16_t version) {{"]
    lines += struct.preamble()
    for f in struct.plain:
        body = _get_value(struct, f, f"m.{f.name}", f'"{struct.path}.{f.name}"', "  ")
        lines += _guarded(body, in_versions(f.versions, struct.versions))
    return lines + _get_tags(struct) + ["}", ""]


def _put_value(struct, field, value, sink, indent):
    compact, nullable = struct.compact(field), flag(field.nullable, field.versions)
    optional = field.nullable is not None
    if field.array:
        lines = []
        values = value
        if optional:
            values = f"*{value}"
            lines += [f"{indent}if (!{value}.has_value()) {{",
                      f"{indent}  if ({nullable}) {sink}.null_length({compact});",
                      f"{indent}  else {sink}.length(0, {compact});", f"{indent}}} else {{"]
            indent += "  "
        size = f"{value}->size()" if optional else f"{value}.size()"
        lines.append(f"{indent}{sink}.length({size}, {compact});")
        lines.append(f"{indent}for (const auto& element : {values}) "
                     + _put_element(field, sink, compact) + ";")
        return lines + ([indent[2:] + "}"] if optional else [])
    if field.is_struct:
        if not optional:
            return [f"{indent}put({value}, {sink}, version);"]
        absent, present = ("i8(-1)", "i8(1)") if field.tag is None else ("varuint(0)", "varuint(1)")
        return [f"{indent}if (!{value}.has_value() && ({nullable})) {{", f"{indent}  {sink}.{absent};",
                f"{indent}}} else {{", f"{indent}  if ({nullable}) {sink}.{present};",
                f"{indent}  put({value}.value_or({struct_name(struct.message, field)}{{}}), {sink}, version);",
                f"{indent}}}"]
    if _fixed(field.base):
        return [f"{indent}{sink}.{FIXED_CALLS.get(field.base, field.base)}({value});"]
    call = "string" if field.base == "string" else "bytes"
    return [f"{indent}{sink}.{call}({value}, {compact}" + (f", {nullable}" if optional else "") + ");"]


def _put_element(field, sink, compact):
    if field.is_struct:
        return f"put(element, {sink}, version)"
    if field.base == "string":
        return f"{sink}.string(element, {compact})"
    return f"{sink}.{FIXED_CALLS.get(field.base, field.base)}(element)"


def _put_tags(struct):
    if struct.flexible == "false":
        return []
    if not struct.tagged:
        return ["  if (flexible) out.varuint(0);"]
    lines = ["  if (!flexible) return;", "  std::uint32_t tags = 0;"]
    conditions = []
    for f in struct.tagged:
        condition = in_versions(f.tag_versions, struct.versions)
        test = f"!({is_default(struct.message, f, f'm.{f.name}')})"
        conditions.append(f"{condition} && {test}" if condition else test)
        lines.append(f"  const bool has_{f.name} = {conditions[-1]};")
        lines.append(f"  if (has_{f.name}) ++tags;")
    lines.append("  out.varuint(tags);")
    for f in struct.tagged:
        lines += [f"  if (has_{f.name}) {{", f"    out.tagged({f.tag}, [&]([[maybe_unused]] auto& body) {{"]
        lines += _put_value(struct, f, f"m.{f.name}", "body", "      ")
        lines += ["    });", "  }"]
    return lines


def emit_put(struct):
    lines = ["template <typename Sink>",
             f"void put(const {struct.name}& m, Sink& out, [[maybe_unused]] std::int16_t version) {{"]
    lines += struct.preamble()
    for f in struct.plain:
        body = _put_value(struct, f, f"m.{f.name}", "out", "  ")
        lines += _guarded(body, in_versions(f.versions, struct.versions))
    if not struct.fields:
        lines.append("  (void)m;")
    return lines + _put_tags(struct) + ["}", ""]


def emit_print(struct):
    lines = [f"void {struct.name}::print([[maybe_unused]] std::string& out) const {{", "  out += '{';"]
    for i, f in enumerate(struct.fields):
        lead = ", " if i else ""
        lines += [f'  out += "{lead}{f.name}=";', f"  print_value(out, {f.name});"]
    return lines + ["  out += '}';", "}", ""]


def _entry_points(name):
    # `as` and not `version`, which a message may have as a field.
    return f"""common::Result<{name}> {name}::decode(Reader& in, std::int16_t version) {{
  if (version < kVersionMin || version > kVersionMax) in.fail("{name}", "a version that is not supported");
  {name} message;
  if (in.good()) get(message, in, version);
  if (!in.good()) return in.error();
  return message;
}}

void {name}::encode(Writer& out, std::int16_t as) const {{
  CHECK(as >= kVersionMin && as <= kVersionMax, "{name} in version {{}}", as);
  put(*this, out, as);
}}

std::size_t {name}::size(std::int16_t as) const {{
  CHECK(as >= kVersionMin && as <= kVersionMax, "{name} in version {{}}", as);
  Counter counter;
  put(*this, counter, as);
  return counter.size();
}}

std::string {name}::debug() const {{
  std::string out = "{name}";
  print(out);
  return out;
}}
"""


def emit_codec(schema):
    lines = [BANNER, f'#include "broker/wire/messages/{schema.stem}.h"', "", '#include "broker/wire/print.h"', "",
             "namespace millrace::wire {", "namespace {", ""]
    structs = [s for message in schema.messages for s in structs_of(message)]
    for struct in structs:
        lines += emit_get(struct) + emit_put(struct)
    lines += ["}  // namespace", ""]
    for struct in structs:
        lines += emit_print(struct)
    for message in schema.messages:
        lines.append(_entry_points(message.name))
    lines.append("}  // namespace millrace::wire")
    return "\n".join(lines) + "\n"
