"""Names, types and small expressions of the generated C++, shared by the emitters."""

import re

from model import PRIMITIVES

FIXED_CALLS = {"bool": "boolean"}


def enumerator(api):
    return "k" + api


def struct_name(message, field):
    return message.name + field.base


def element_type(message, field):
    return struct_name(message, field) if field.is_struct else PRIMITIVES[field.base][1]


def member_type(message, field):
    inner = element_type(message, field)
    if field.array:
        inner = f"std::vector<{inner}>"
    return f"std::optional<{inner}>" if field.nullable else inner


def _integer(text):
    value = int(text)
    # The most negative number has no literal of its own.
    return "(-9223372036854775807 - 1)" if value == -(2**63) else str(value)


def default_value(message, field):
    """The C++ expression of the default; None when the type's own initial state is it."""
    text = field.default
    if field.nullable:
        if text == "null" or field.base == "records":
            return None
        if text is None:
            return f"{member_type(message, field)}(std::in_place)"
        return f"std::string({text})"
    if field.array or field.is_struct or field.base in ("uuid", "bytes", "records"):
        return None
    if field.base == "string":
        return None if text in (None, '""') else text
    if field.base == "bool":
        return text or "false"
    return _integer(text) if text is not None else "0"


def is_default(message, field, value):
    """A C++ condition: `value` of a tagged field equals its default, so that it need not be sent."""
    if field.nullable and (field.default == "null" or field.base == "records"):
        return f"!{value}.has_value()"
    if field.nullable:
        return f"{value} == {default_value(message, field)}"
    if field.array:
        return f"{value}.empty()"
    if field.is_struct:
        return f"{value} == {struct_name(message, field)}{{}}"
    if field.base == "uuid":
        return f"{value}.is_zero()"
    if field.base in ("bytes", "records", "string") and field.default is None:
        return f"{value}.empty()"
    return f"{value} == {default_value(message, field)}"


def in_versions(versions, within):
    """A C++ condition on `version`; None when it always holds within the struct's versions."""
    parts = []
    if versions.low > within.low:
        parts.append(f"version >= {versions.low}")
    if versions.high < within.high:
        parts.append(f"version <= {versions.high}")
    return " && ".join(parts) or None


def flag(versions, within):
    """As in_versions, as a C++ bool: `false` for no versions at all."""
    if versions is None or versions.cut(within) is None:
        return "false"
    return in_versions(versions.cut(within), within) or "true"


def wrap_comment(text, indent):
    """`text` as /// lines of at most 100 columns."""
    lines, line = [], ""
    for word in text.split():
        if line and len(indent) + 4 + len(line) + 1 + len(word) > 100:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [f"{indent}/// {part}" for part in lines + [line] if part]


def lower_name(camel):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", camel).lower()


BANNER = "// Generated from proto/kafka by broker/wire/compiler. Changes belong there."
