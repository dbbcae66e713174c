"""apis.h: the keys and the version table. all.h: every message, the list of all requests and that of all records."""

from cpp import BANNER, enumerator


def emit_apis(schemas):
    apis = sorted((s for s in schemas if s.key is not None), key=lambda s: s.key)
    lines = [BANNER, "#pragma once", "", "#include <array>", "#include <cstdint>", "#include <string_view>", "",
             "namespace millrace::wire {", "", "/// The kinds of requests, with Kafka's numbers.",
             "enum class ApiKey : std::int16_t {"]
    lines += [f"  {enumerator(s.name)} = {s.key}," for s in apis]
    lines += ["};", "",
              "/// One kind of request and the versions of it that this broker serves.",
              "struct ApiVersionRow {",
              "  ApiKey key;",
              "  std::string_view name;",
              "  std::int16_t version_min;",
              "  std::int16_t version_max;",
              "  /// The lowest version that the ApiVersions answer claims; below version_min it is refused.",
              "  std::int16_t announced_min;",
              "  /// The first version with compact forms and tagged fields (KIP-482).",
              "  std::int16_t flexible_min;",
              "};", "",
              "/// Every API, by ascending key.",
              f"inline constexpr std::array<ApiVersionRow, {len(apis)}> kApis = {{{{"]
    for s in apis:
        flexible = s.flexible.low if s.flexible else 32767
        lines.append(f'    {{ApiKey::{enumerator(s.name)}, "{s.name}", {s.versions.low}, {s.versions.high}, '
                     f"{s.announced}, {flexible}}},")
    lines += ["}};", "", "}  // namespace millrace::wire"]
    return "\n".join(lines) + "\n"


def emit_all(schemas):
    lines = [BANNER, "#pragma once", "", "#include <tuple>", ""]
    lines += [f'#include "broker/wire/messages/{s.stem}.h"' for s in sorted(schemas, key=lambda s: s.stem)]
    apis = sorted((s for s in schemas if s.key is not None), key=lambda s: s.key)
    lines += ["", "namespace millrace::wire {", "",
              "/// Every request type by ascending key, for code that must treat each of them.", "using AllRequests = std::tuple<"]
    lines.append(",\n".join(f"    {s.name}Request" for s in apis) + ">;")
    records = sorted((s for s in schemas if s.type is not None), key=lambda s: s.type)
    lines += ["", "/// Every key of a record that we persist, by ascending type.", "using AllRecordKeys = std::tuple<"]
    lines.append(",\n".join(f"    {s.name}Key" for s in records) + ">;")
    lines += ["", "}  // namespace millrace::wire"]
    return "\n".join(lines) + "\n"
