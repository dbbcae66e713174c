// quantity_bytes("100Gi") == 107374182400
//
// Amounts as Kubernetes writes them: "100Gi", "500m", "1e3".
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace::resources {

/// The amount in thousandths; nullopt: not a quantity, or too large for the type. Fractions of a
/// thousandth are rounded up, as Kubernetes does.
std::optional<std::int64_t> quantity_milli(std::string_view text);
/// The amount in whole units, rounded up.
std::optional<std::int64_t> quantity_bytes(std::string_view text);

}  // namespace millrace::resources
