// Reader reader(at(object, "spec"), "spec");
// reader.integer("brokers", spec.brokers, 1, 1000);
//
// Reads members of a JSON object into typed values that keep their defaults where nothing is said,
// and collects a sentence for each that does not fit.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "operator/resources/fields.h"

namespace millrace::resources {

struct Range {
  std::int64_t low;
  std::int64_t high;
};

/// Borrows the object and the problems.
class Reader {
 public:
  Reader(const Json& object, std::string path, std::vector<std::string>& problems);

  void integer(std::string_view name, std::int32_t& target, Range range);
  void integer(std::string_view name, std::int64_t& target, Range range);
  void text(std::string_view name, std::string& target);
  void text(std::string_view name, std::optional<std::string>& target);
  void flag(std::string_view name, bool& target);
  /// A map of strings.
  void labels(std::string_view name, std::map<std::string, std::string>& target);
  /// A map of strings, numbers and booleans, as text.
  void settings(std::string_view name, std::map<std::string, std::string>& target);
  /// An object or array that is handed on as it is.
  void object(std::string_view name, Json& target);
  void array(std::string_view name, Json& target);
  /// A member that is an object itself.
  Reader inside(std::string_view name);
  /// The members of an array of objects.
  std::vector<Reader> each(std::string_view name);

  void problem(std::string_view name, std::string_view what);
  const std::string& path() const { return path_; }

 private:
  const Json* find(std::string_view name) const;

  const Json& object_;
  std::string path_;
  std::vector<std::string>& problems_;
};

}  // namespace millrace::resources
