// out.set_key(as_utf8(header.key));
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"

namespace millrace::grpc {

/// The longest text that Kafka's protocol has a length for: what a group keeps in its records, and
/// what any client must be able to be told of it.
constexpr std::size_t kTextBytesMax = 32'767;

/// kInvalidRequest when `text`, the field `what` of a request, is longer than kTextBytesMax.
std::optional<common::Error> too_long(std::string_view what, std::string_view text);

/// `text` as protobuf's strings must be; bytes that are no UTF-8 become U+FFFD. Kafka's clients
/// write UTF-8, but nothing checks it: a single bad byte would keep every reader from the whole
/// message.
std::string as_utf8(std::string_view text);

}  // namespace millrace::grpc
