#include "operator/resources/quantity.h"

#include <charconv>
#include <cmath>
#include <string>
#include <utility>

namespace millrace::resources {
namespace {

// long double has 64 bits of mantissa here: enough for every amount below 2^63 thousandths.
std::optional<long double> factor_of(std::string_view suffix) {
  constexpr std::pair<std::string_view, long double> kFactors[] = {
      {"", 1.0L},
      {"n", 1e-9L},
      {"u", 1e-6L},
      {"m", 1e-3L},
      {"k", 1e3L},
      {"M", 1e6L},
      {"G", 1e9L},
      {"T", 1e12L},
      {"P", 1e15L},
      {"E", 1e18L},
      {"Ki", 1024.0L},
      {"Mi", 1048576.0L},
      {"Gi", 1073741824.0L},
      {"Ti", 1099511627776.0L},
      {"Pi", 1125899906842624.0L},
      {"Ei", 1152921504606846976.0L},
  };
  for (const auto& [name, factor] : kFactors) {
    if (name == suffix) return factor;
  }
  // "1e3" and "1E3".
  if (suffix.size() < 2 || (suffix[0] != 'e' && suffix[0] != 'E')) return std::nullopt;
  const std::string_view digits = suffix.substr(suffix[1] == '+' ? 2 : 1);
  int exponent = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  if (exponent < -30 || exponent > 30) return std::nullopt;
  return std::pow(10.0L, exponent);
}

std::optional<long double> amount(std::string_view text) {
  const std::size_t sign = !text.empty() && (text[0] == '+' || text[0] == '-') ? 1 : 0;
  const std::size_t end = std::min(text.find_first_not_of("0123456789.", sign), text.size());
  const std::string digits(text.substr(sign, end - sign));
  if (digits.empty() || digits.find('.') != digits.rfind('.') || digits == ".") {
    return std::nullopt;
  }
  const auto factor = factor_of(text.substr(end));
  if (!factor) return std::nullopt;
  const long double value = std::strtold(digits.c_str(), nullptr) * *factor;
  return text[0] == '-' ? -value : value;
}

std::optional<std::int64_t> rounded_up(long double value) {
  // What decimal fractions cost in binary must not become another thousandth.
  const long double whole = std::ceil(value - 1e-9L);
  if (!(std::fabs(whole) < 9.2e18L)) return std::nullopt;
  return static_cast<std::int64_t>(whole);
}

}  // namespace

std::optional<std::int64_t> quantity_milli(std::string_view text) {
  const auto value = amount(text);
  if (!value) return std::nullopt;
  return rounded_up(*value * 1000);
}

std::optional<std::int64_t> quantity_bytes(std::string_view text) {
  const auto value = amount(text);
  if (!value) return std::nullopt;
  return rounded_up(*value);
}

}  // namespace millrace::resources
