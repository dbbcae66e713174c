#include "cli/record_text.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/table.h"

namespace millrace::cli {
namespace {

nlohmann::json text_or_null(bool has, const std::string& bytes) {
  return has ? nlohmann::json(bytes) : nlohmann::json(nullptr);
}

}  // namespace

void print_json(const v1::Record& record) {
  nlohmann::json headers = nlohmann::json::array();
  for (const v1::Header& header : record.headers()) {
    headers.push_back(
        {{"key", header.key()}, {"value", text_or_null(header.has_value(), header.value())}});
  }
  const nlohmann::json row{{"topic", record.topic()},
                           {"partition", record.partition()},
                           {"offset", record.offset()},
                           {"timestamp_ms", record.timestamp_ms()},
                           {"key", text_or_null(record.has_key(), record.key())},
                           {"value", text_or_null(record.has_value(), record.value())},
                           {"headers", headers}};
  fmt::print("{}\n", row.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

void print_plain(const v1::Record& record, bool verbose) {
  if (verbose) {
    fmt::print("{}[{}] @ {}  {}  {}  ", record.topic(), record.partition(), record.offset(),
               human_time(record.timestamp_ms()), record.has_key() ? record.key() : "(no key)");
    for (const v1::Header& header : record.headers())
      fmt::print("{}={} ", header.key(), header.value());
  }
  fmt::print("{}\n", record.has_value() ? record.value() : "(null)");
}

}  // namespace millrace::cli
