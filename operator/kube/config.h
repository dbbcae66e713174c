// Where the API server is and how to show who we are.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "operator/kube/error.h"

namespace millrace::kube {

/// The environment, for tests to replace: the value of a variable, nullopt if it is not set.
using Environment = std::function<std::optional<std::string>(const std::string&)>;
Environment process_environment();

struct Config {
  std::string host;  ///< a name or an address; IPv6 without brackets
  int port = 443;
  bool tls = true;  ///< false only for a kubeconfig with an http:// server, on loopback
  /// PEM. Empty: the system's authorities. `ca_file` is read again for each new connection, so a
  /// rotated CA is taken over; it wins over `ca_pem`.
  std::string ca_pem;
  std::string ca_file;
  bool verify = true;  ///< false: insecure-skip-tls-verify
  /// What the certificate must be for, where it is not `host` (tls-server-name).
  std::string server_name;
  /// Client certificate and key, PEM; or files of them, which win and are read again for each new
  /// connection.
  std::string cert_pem;
  std::string key_pem;
  std::string cert_file;
  std::string key_file;
  /// Bearer token; or a file of it, which wins, and is read again every minute and after a 401.
  std::string token;
  std::string token_file;
  std::string user;  ///< basic authentication, for proxies in front
  std::string password;
  /// The namespace to work in where none is named: the pod's own, or the context's. May be empty.
  std::string space;

  std::string url() const;
};

/// A pod's service account: KUBERNETES_SERVICE_HOST and _PORT, files below `folder`.
/// kUnavailable: not in a pod, says what is missing.
ApiResult<Config> in_cluster_config(
    const Environment& environment,
    const std::string& folder = "/var/run/secrets/kubernetes.io/serviceaccount");

/// A kubeconfig file (YAML or JSON); `context` empty: the current one. Certificates and keys inline
/// (base64) or as files, relative to the kubeconfig's folder. Programs that fetch credentials
/// (exec, auth-provider) are refused with a sentence that says so. kInvalid with what is wrong,
/// kNotFound: no such file.
ApiResult<Config> kubeconfig(const std::string& path, const std::string& context = {});

/// In a pod the service account, else $KUBECONFIG, else ~/.kube/config. `path`, if given, wins.
ApiResult<Config> find_config(const Environment& environment, const std::string& path,
                              const std::string& context);

}  // namespace millrace::kube
