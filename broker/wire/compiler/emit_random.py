"""random.h and random.cc, for tests: messages with random content that a version can carry without loss."""

from check import all_structs
from cpp import BANNER, element_type, flag, in_versions, struct_name


def _value(message, field, target, indent):
    lines = []
    if field.nullable:
        may = flag(field.nullable, field.versions)
        lines += [f"{indent}if (({may}) && random.chance(1, 4)) {{", f"{indent}  {target}.reset();",
                  f"{indent}}} else {{"]
        inner = _value_present(message, field, f"{target}.emplace()", indent + "  ")
        return lines + inner + [f"{indent}}}"]
    return _value_present(message, field, target, indent)


def _value_present(message, field, target, indent):
    if field.array:
        element = element_type(message, field)
        lines = [f"{indent}auto& values = {target};", f"{indent}values.clear();",
                 f"{indent}for (std::uint64_t n = random_count(random); n > 0; --n) {{",
                 f"{indent}  {element} element{{}};"]
        if field.is_struct:
            lines.append(f"{indent}  fill(element, random, version);")
        else:
            lines.append(f"{indent}  random_value(element, random);")
        return [f"{indent}{{"] + lines + [f"{indent}  values.push_back(std::move(element));", f"{indent}}}",
                                          f"{indent}}}"]
    if field.is_struct:
        return [f"{indent}fill({target}, random, version);"]
    return [f"{indent}random_value({target}, random);"]


def _fill(message, name, fields, versions):
    lines = [f"void fill([[maybe_unused]] {name}& m, [[maybe_unused]] common::Random& random, "
             "[[maybe_unused]] std::int16_t version) {"]
    for f in fields:
        condition = in_versions(f.versions, versions)
        if f.tag is not None:
            condition = (f"{condition} && " if condition else "") + "random.chance(1, 2)"
        body = _value(message, f, f"m.{f.name}", "    " if condition else "  ")
        lines += [f"  if ({condition}) {{"] + body + ["  }"] if condition else body
    return lines + ["}", ""]


def emit_random_header(schemas):
    lines = [BANNER, "#pragma once", "", '#include "broker/wire/messages/all.h"', '#include "common/random.h"', "",
             "namespace millrace::wire {", ""]
    for schema in schemas:
        for message in schema.messages:
            lines.append(f"void randomize({message.name}& message, common::Random& random, std::int16_t version);")
    lines += ["", "}  // namespace millrace::wire"]
    return "\n".join(lines) + "\n"


def emit_random(schemas):
    lines = [BANNER, '#include "broker/wire/messages/random.h"', "", '#include "broker/wire/random_value.h"', "",
             "namespace millrace::wire {", "namespace {", ""]
    roots = []
    for schema in schemas:
        for message in schema.messages:
            for f in all_structs(message):
                lines += _fill(message, struct_name(message, f), f.fields, f.versions)
            lines += _fill(message, message.name, message.fields, message.versions)
            roots.append(message.name)
    lines += ["}  // namespace", ""]
    for name in roots:
        lines += [f"void randomize({name}& message, common::Random& random, std::int16_t version) {{",
                  "  fill(message, random, version);", "}", ""]
    lines.append("}  // namespace millrace::wire")
    return "\n".join(lines) + "\n"
