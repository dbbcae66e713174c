#include "operator/main/listen_address.h"

#include <charconv>

namespace millrace::operators {
namespace {

constexpr int kPortMax = 65535;

}  // namespace

std::optional<ListenAddress> parse_listen_address(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  ListenAddress address{.host = text.substr(0, colon)};
  if (address.host.starts_with('[') && address.host.ends_with(']'))
    address.host = address.host.substr(1, address.host.size() - 2);
  const char* const end = text.data() + text.size();
  const auto [stop, problem] = std::from_chars(text.data() + colon + 1, end, address.port);
  if (problem != std::errc{} || stop != end || address.port < 0 || address.port > kPortMax)
    return std::nullopt;
  return address;
}

}  // namespace millrace::operators
