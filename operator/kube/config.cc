#include "operator/kube/config.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>

#include "operator/kube/file.h"

namespace millrace::kube {
namespace {

ApiError trouble(Cause cause, std::string detail) {
  return {.cause = cause, .detail = std::move(detail)};
}

std::string stripped(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) {
    text.pop_back();
  }
  return text;
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value =
        std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): nobody sets any
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
}

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  if (file.bad()) return std::nullopt;
  return std::move(text).str();
}

std::optional<std::string> read_token(const std::string& path) {
  auto text = read_file(path);
  if (!text) return std::nullopt;
  return stripped(std::move(*text));
}

std::string Config::url() const {
  const bool bracketed = host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", tls ? "https" : "http", bracketed ? "[" : "", host,
                     bracketed ? "]" : "", port);
}

ApiResult<Config> in_cluster_config(const Environment& environment, const std::string& folder) {
  const auto host = environment("KUBERNETES_SERVICE_HOST");
  const auto port = environment("KUBERNETES_SERVICE_PORT");
  if (!host || host->empty() || !port || port->empty()) {
    return trouble(Cause::kUnavailable,
                   "not in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set");
  }
  Config config;
  config.host = *host;
  const auto [end, error] = std::from_chars(port->data(), port->data() + port->size(), config.port);
  if (error != std::errc() || end != port->data() + port->size() || config.port < 1 ||
      config.port > 65535) {
    return trouble(Cause::kInvalid, fmt::format("KUBERNETES_SERVICE_PORT={} is no port", *port));
  }
  config.token_file = folder + "/token";
  config.ca_file = folder + "/ca.crt";
  for (const std::string& file : {config.token_file, config.ca_file}) {
    if (!read_file(file)) {
      return trouble(Cause::kUnavailable,
                     fmt::format("cannot read {}: does the pod have a service account, with "
                                 "automountServiceAccountToken?",
                                 file));
    }
  }
  config.space = stripped(read_file(folder + "/namespace").value_or(std::string()));
  return config;
}

ApiResult<Config> find_config(const Environment& environment, const std::string& path,
                              const std::string& context) {
  if (!path.empty()) return kubeconfig(path, context);
  const auto named = environment("KUBECONFIG");
  if (environment("KUBERNETES_SERVICE_HOST") && !named) return in_cluster_config(environment);
  if (named && !named->empty()) {
    // kubectl would merge a list; the first that is there is enough to find one server.
    std::istringstream list(*named);
    for (std::string one; std::getline(list, one, ':');) {
      if (!one.empty() && read_file(one)) return kubeconfig(one, context);
    }
    return trouble(Cause::kNotFound, fmt::format("KUBECONFIG={}: no such file", *named));
  }
  const auto home = environment("HOME");
  if (!home) return trouble(Cause::kNotFound, "neither a pod nor a kubeconfig: HOME is not set");
  return kubeconfig(*home + "/.kube/config", context);
}

}  // namespace millrace::kube
