// Where the operator's pages are.
#pragma once

#include <optional>
#include <string>

namespace millrace::operators {

struct ListenAddress {
  std::string host;  // empty: every address of the machine
  int port = 0;      // 0: a free one
};

/// HOST:PORT, with [] around an IPv6 address. nullopt: it is none.
std::optional<ListenAddress> parse_listen_address(const std::string& text);

}  // namespace millrace::operators
