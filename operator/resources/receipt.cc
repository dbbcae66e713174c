#include "operator/resources/receipt.h"

#include <fmt/format.h>

#include <charconv>

namespace millrace::resources {
namespace {

template <typename Integer>
std::optional<Integer> number(std::string_view digits) {
  Integer value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

}  // namespace

std::string to_text(const Receipt& receipt) {
  return fmt::format("{}/{}/{}", receipt.broker, receipt.directory_id, receipt.epoch);
}

std::optional<Receipt> parse_receipt(std::string_view text) {
  const std::size_t first = text.find('/');
  const std::size_t last = text.rfind('/');
  if (first == std::string_view::npos || first == last) return std::nullopt;
  const auto broker = number<std::int32_t>(text.substr(0, first));
  const std::string_view directory = text.substr(first + 1, last - first - 1);
  const auto epoch = number<std::int64_t>(text.substr(last + 1));
  if (!broker || !epoch || directory.empty() || directory.find('/') != std::string_view::npos) {
    return std::nullopt;
  }
  return Receipt{*broker, std::string(directory), *epoch};
}

}  // namespace millrace::resources
