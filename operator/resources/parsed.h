// const Parsed<ClusterSpec> parsed = parse_cluster_spec(object.at("spec"), {.image = image});
// if (!parsed.problems.empty()) ...
//
// What comes out of reading a custom resource: always a value, and what is wrong with what was
// read.
#pragma once

#include <string>
#include <vector>

namespace millrace::resources {

/// A value read from JSON that somebody else wrote. The API server has checked it against our
/// schema, unless the schema that is installed is an older one: so nothing may rely on it, and what
/// does not fit is a sentence for a person and not an error of the program. With problems the value
/// has the defaults in place of what did not fit, and nothing may be done with it but be reported.
template <typename T>
struct Parsed {
  T value;
  std::vector<std::string> problems;
};

}  // namespace millrace::resources
