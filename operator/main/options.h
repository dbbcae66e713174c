// What the command line and the environment ask for.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace millrace::operators {

/// What the process was started to do.
enum class Command {
  kRun,
  kCheck,  ///< asks a page until it answers 200
  kApply,  ///< applies definitions
  kDone,   ///< --help and --version have been printed
};

struct Options {
  Command command = Command::kRun;
  /// Namespaces to look after; empty: all.
  std::vector<std::string> namespaces;
  /// Image of clusters that name none.
  std::string broker_image;
  std::string http_listen = "0.0.0.0:8080";
  int workers = 4;
  std::string log_level = "info";
  std::string log_format = "text";
  /// Empty: the pod's service account, $KUBECONFIG or ~/.kube/config.
  std::string kubeconfig;
  std::string context;
  std::string lease_namespace;
  std::string lease_name = "millrace-operator";
  int lease_seconds = 15;
  /// Of the lease; empty: drawn.
  std::string identity;
  int resync_seconds = 30;
  /// check
  std::string url;
  int wait_seconds = 30;
  /// apply
  std::vector<std::string> files;
};

/// What is wrong with them, for people; and the exit code.
struct UsageError {
  std::string detail;
  int exit_code = 64;
};

/// Reads the command line; each flag --a-b can also be given as MILLRACE_OPERATOR_A_B, and the flag
/// wins. Prints --help and --version. `arguments` without the program's name.
std::optional<UsageError> read_options(const std::vector<std::string>& arguments, Options& options);

}  // namespace millrace::operators
