// const std::optional<Receipt> receipt = parse_receipt("3/XJ4…/17");
//
// The brokers' proof that a disk is empty and will never be taken back, as it stands on a volume.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::resources {

/// What DecommissionBroker answers (cluster.proto).
struct Receipt {
  std::int32_t broker = -1;
  std::string directory_id;
  std::int64_t epoch = 0;
  bool operator==(const Receipt&) const = default;
};

/// The value of the annotation millrace.dev/receipt: "BROKER/DIRECTORY/EPOCH".
std::string to_text(const Receipt& receipt);
/// nullopt: not of that form. A directory id has no '/' (it is URL-safe base64).
std::optional<Receipt> parse_receipt(std::string_view text);

}  // namespace millrace::resources
