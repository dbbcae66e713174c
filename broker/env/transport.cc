#include "broker/env/transport.h"

#include <fmt/format.h>

#include <charconv>

namespace millrace::env {

using common::Error;
using common::Result;
using model::ErrorCode;

Result<Endpoint> Endpoint::parse(std::string_view text) {
  const auto refused = [text](std::string_view why) {
    return Error{
        ErrorCode::kInvalidConfig,
        fmt::format("\"{}\" is not an address: {}; expected HOST:PORT, :PORT or [IPV6]:PORT", text,
                    why)};
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return refused("it has no port");
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (host.starts_with('[')) {
    if (host.size() < 3 || !host.ends_with(']')) return refused("the bracket is not closed");
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return refused("an IPv6 address needs brackets");
  }
  if (host.find_first_of(" \t[]/") != std::string_view::npos)
    return refused("the host has a character no host has");
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size()) {
    return refused("the port must be a number from 0 to 65535");
  }
  return Endpoint{std::string(host), port};
}

std::string Endpoint::text() const {
  if (host.find(':') != std::string::npos) return fmt::format("[{}]:{}", host, port);
  return fmt::format("{}:{}", host, port);
}

}  // namespace millrace::env
