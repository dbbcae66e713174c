// What the command line, the environment and the configuration file ask for.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "broker/model/broker_settings.h"

namespace millrace::server {

/// What the process was started to do.
enum class Command { kServe, kFormat, kConfig, kHelp, kVersion };

struct Options {
  Command command = Command::kServe;
  /// Broker settings by name, checked; the nearest source won: flags over environment over file.
  model::ConfigMap config;
  /// Sentences to log: keys of a Kafka properties file and environment variables that mean nothing
  /// here.
  std::vector<std::string> warnings;
  bool json = false;  // millrace config -o json
};

/// Reads `millrace [serve|format|config] [--config FILE] [--data DIR] [--KEY=VALUE ...]`, the
/// variables MILLRACE_KEY of `environment` ("NAME=VALUE"), and the file. A key that does not exist
/// is an error that names the nearest one; in a .properties file, which may be a Kafka broker's,
/// and in the environment, which others fill too, it is a warning.
common::Result<Options> read_options(const std::vector<std::string>& arguments,
                                     const std::vector<std::string>& environment);

/// The text of --help.
std::string help_text();

}  // namespace millrace::server
