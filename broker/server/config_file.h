// Settings from a file: YAML, or a Kafka broker's properties.
#pragma once

#include <string>
#include <vector>

#include "broker/model/broker_settings.h"

namespace millrace::server {

struct ConfigFile {
  model::ConfigMap config;
  std::vector<std::string> warnings;
};

/// A file whose name ends in .properties is read as Kafka's: keys that mean nothing here become
/// warnings. Anything else is YAML, flat (`kafka.listen: ...`) or nested, where an unknown key is
/// an error. Errors name the file and the key.
common::Result<ConfigFile> read_config_file(const std::string& path);
/// The same for a file's content; `path` chooses the form and stands in errors.
common::Result<ConfigFile> parse_config_file(const std::string& content, const std::string& path);

}  // namespace millrace::server
