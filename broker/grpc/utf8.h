// out.set_key(as_utf8(header.key));
#pragma once

#include <string>
#include <string_view>

namespace millrace::grpc {

/// `text` as protobuf's strings must be; bytes that are no UTF-8 become U+FFFD. Kafka's clients
/// write UTF-8, but nothing checks it: a single bad byte would keep every reader from the whole
/// message.
std::string as_utf8(std::string_view text);

}  // namespace millrace::grpc
