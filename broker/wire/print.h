// Values of messages as text, for logs and failing tests. Used by the generated debug().
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <vector>

#include "broker/wire/chunks.h"
#include "common/uuid.h"

namespace millrace::wire {

inline void print_value(std::string& out, bool value) {
  out += value ? "true" : "false";
}
template <std::integral T>
void print_value(std::string& out, T value) {
  fmt::format_to(std::back_inserter(out), "{}", +value);
}
inline void print_value(std::string& out, double value) {
  fmt::format_to(std::back_inserter(out), "{}", value);
}
inline void print_value(std::string& out, const common::Uuid& value) {
  out += value.text();
}
/// In double quotes; what is not printable ASCII is written as \xNN.
void print_value(std::string& out, const std::string& value);
/// Byte fields show only their size.
inline void print_value(std::string& out, const common::Bytes& value) {
  fmt::format_to(std::back_inserter(out), "<{} bytes>", value.size());
}
inline void print_value(std::string& out, const Chunks& value) {
  fmt::format_to(std::back_inserter(out), "<{} bytes>", value.size());
}
template <typename T>
requires requires(const T& value, std::string& out) {
  value.print(out);
}
void print_value(std::string& out, const T& value) {
  value.print(out);
}
template <typename T>
void print_value(std::string& out, const std::vector<T>& values) {
  out += '[';
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += ", ";
    print_value(out, values[i]);
  }
  out += ']';
}
template <typename T>
void print_value(std::string& out, const std::optional<T>& value) {
  if (value.has_value()) {
    print_value(out, *value);
  } else {
    out += "null";
  }
}

}  // namespace millrace::wire
