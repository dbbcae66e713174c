#include "broker/server/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/server/config_file.h"

namespace millrace::server {
namespace {

using common::Error;
using common::Result;
using model::ErrorCode;

constexpr std::string_view kEnvironmentPrefix = "MILLRACE_";

/// The setting whose environment variable this is: dots become underscores, letters capitals.
std::string variable_of(std::string_view key) {
  std::string name(kEnvironmentPrefix);
  for (const char c : key) {
    name.push_back(c == '.' || c == '-'
                       ? '_'
                       : static_cast<char>(std::toupper(static_cast<unsigned char>(c))));
  }
  return name;
}

/// Whether a variable with our prefix was set by somebody else for another purpose: millctl's own,
/// and those that Kubernetes sets for each service (one called "millrace" is likely):
/// MILLRACE_SERVICE_HOST, MILLRACE_PORT_9092_TCP ...
bool is_not_ours(std::string_view name, std::string_view value) {
  if (name == "MILLRACE_BROKER") return true;
  return name.ends_with("_SERVICE_HOST") || name.find("_SERVICE_PORT") != std::string_view::npos ||
         name.find("_TCP_") != std::string_view::npos || value.starts_with("tcp://") ||
         value.starts_with("udp://");
}

/// The environment belongs to whoever set it up, so a variable that is no setting is a warning.
Result<model::ConfigMap> from_environment(const std::vector<std::string>& environment,
                                          std::vector<std::string>& warnings) {
  model::ConfigMap config;
  for (const std::string& variable : environment) {
    if (!variable.starts_with(kEnvironmentPrefix)) continue;
    const std::size_t equals = variable.find('=');
    const std::string name = variable.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : variable.substr(equals + 1);
    const auto keys = model::broker_keys();
    const auto key = std::find_if(keys.begin(), keys.end(), [&](const model::ConfigKey& row) {
      return variable_of(row.name) == name;
    });
    if (key == keys.end()) {
      if (is_not_ours(name, value)) continue;
      warnings.push_back(fmt::format(
          "environment variable {} is no setting and is ignored; `millrace config` lists them all",
          name));
      continue;
    }
    if (const auto checked = model::check_broker_config(key->name, value); !checked.ok()) {
      return Error{checked.error().code,
                   fmt::format("environment variable {}: {}", name, checked.error().detail)};
    }
    config[std::string(key->name)] = value;
  }
  return config;
}

/// The command line, before files are read.
struct Flags {
  Command command = Command::kServe;
  std::string file;
  model::ConfigMap config;
  bool json = false;
};

std::string_view real_name(std::string_view flag) {
  if (flag == "data") return "data.dir";
  return flag;
}

Result<void> take_flag(Flags& flags, std::string_view name, const std::string& value) {
  if (name == "config") {
    flags.file = value;
    return common::ok();
  }
  if (name == "output") {
    if (value != "json" && value != "table") {
      return Error{ErrorCode::kInvalidConfig, fmt::format("-o takes table or json, not {}", value)};
    }
    flags.json = value == "json";
    return common::ok();
  }
  const std::string_view key = real_name(name);
  TRY(model::check_broker_config(key, value));
  flags.config[std::string(key)] = value;
  return common::ok();
}

Result<Flags> parse_flags(const std::vector<std::string>& arguments) {
  Flags flags;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string_view argument = arguments[i];
    if (argument == "--help" || argument == "-h" || argument == "help")
      return Flags{.command = Command::kHelp};
    if (argument == "--version" || argument == "version")
      return Flags{.command = Command::kVersion};
    if (!argument.starts_with('-')) {
      if (i != 0)
        return Error{ErrorCode::kInvalidConfig,
                     fmt::format("unexpected argument {}; see millrace --help", argument)};
      if (argument == "serve") continue;
      if (argument == "format") {
        flags.command = Command::kFormat;
      } else if (argument == "config") {
        flags.command = Command::kConfig;
      } else {
        return Error{
            ErrorCode::kInvalidConfig,
            fmt::format(
                "unknown command {}: there are serve, format and config; see millrace --help",
                argument)};
      }
      continue;
    }
    if (argument == "-o") argument = "--output";
    if (!argument.starts_with("--")) {
      return Error{ErrorCode::kInvalidConfig,
                   fmt::format("unknown option {}; see millrace --help", argument)};
    }
    argument.remove_prefix(2);
    const std::size_t equals = argument.find('=');
    if (equals != std::string_view::npos) {
      TRY(take_flag(flags, argument.substr(0, equals), std::string(argument.substr(equals + 1))));
      continue;
    }
    if (i + 1 == arguments.size() || arguments[i + 1].starts_with("--")) {
      return Error{ErrorCode::kInvalidConfig,
                   fmt::format("--{} needs a value: --{}=VALUE", argument, argument)};
    }
    TRY(take_flag(flags, argument, arguments[++i]));
  }
  return flags;
}

}  // namespace

Result<Options> read_options(const std::vector<std::string>& arguments,
                             const std::vector<std::string>& environment) {
  TRY_ASSIGN(const Flags flags, parse_flags(arguments));
  Options options{.command = flags.command, .config = {}, .warnings = {}, .json = flags.json};
  if (flags.command == Command::kHelp || flags.command == Command::kVersion) return options;
  if (!flags.file.empty()) {
    TRY_ASSIGN(ConfigFile file, read_config_file(flags.file));
    options.config = std::move(file.config);
    options.warnings = std::move(file.warnings);
  }
  TRY_ASSIGN(const model::ConfigMap variables, from_environment(environment, options.warnings));
  for (const auto& [name, value] : variables) options.config[name] = value;
  for (const auto& [name, value] : flags.config) options.config[name] = value;
  return options;
}

std::string help_text() {
  return R"(millrace - an event streaming broker that speaks gRPC and the Kafka protocol

usage: millrace [serve] --data DIR [--config FILE] [--KEY=VALUE ...]
       millrace format --data DIR [--cluster.id=ID]
       millrace config [--config FILE] [--KEY=VALUE ...] [-o json]

  serve    (default) runs a complete broker on DIR, which is made if it is missing. Prints one line
           "ready kafka=HOST:PORT grpc=HOST:PORT http=HOST:PORT" when it serves; SIGTERM stops it cleanly.
  format   makes DIR without serving, with a cluster id of your choice.
  config   prints every setting with its value, where that comes from, unit and meaning.

  --data DIR     the data directory (setting data.dir)
  --config FILE  settings from a .yaml file, or from a Kafka broker's .properties file
  --KEY=VALUE    any setting, such as --kafka.listen=127.0.0.1:0 (port 0: a free one)
  --version, --help

Each setting may also come from the environment: kafka.listen is MILLRACE_KAFKA_LISTEN. Flags win over the
environment, and that over the file.

examples:
  millrace --data /var/lib/millrace
  millrace --data /tmp/m --kafka.listen=127.0.0.1:0 --grpc.listen=127.0.0.1:0 --http.listen=127.0.0.1:0
  millrace config --config server.properties
)";
}

}  // namespace millrace::server
