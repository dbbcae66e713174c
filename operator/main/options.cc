#include "operator/main/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <sstream>

namespace millrace::operators {
namespace {

/// "--http-listen" -> "MILLRACE_OPERATOR_HTTP_LISTEN".
std::string variable_of(const std::string& flag) {
  std::string name = "MILLRACE_OPERATOR_";
  for (const char c : flag.substr(2))
    name.push_back(c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c))));
  return name;
}

template <typename T>
CLI::Option* add(CLI::App& app, const std::string& flag, T& value, const std::string& meaning) {
  return app.add_option(flag, value, meaning)->envname(variable_of(flag));
}

void add_flags(CLI::App& app, Options& options) {
  add(app, "--namespace", options.namespaces,
      "Namespace to look after; may be repeated, or a list with commas. None: all")
      ->delimiter(',')
      ->take_all();
  add(app, "--broker-image", options.broker_image, "Image of clusters whose resource names none");
  add(app, "--http-listen", options.http_listen, "HOST:PORT of /metrics, /livez and /readyz")
      ->capture_default_str();
  add(app, "--workers", options.workers, "Clusters that are worked on at once")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  add(app, "--resync-seconds", options.resync_seconds,
      "How often brokers are asked for all topics, so that what others changed is set right")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  add(app, "--lease-namespace", options.lease_namespace,
      "Where the Lease is by which one of several operators acts. Default: the pod's own");
  add(app, "--lease-name", options.lease_name, "Its name")->capture_default_str();
  add(app, "--lease-seconds", options.lease_seconds, "How long a silent leader is waited for")
      ->check(CLI::Range(3, 3600))
      ->capture_default_str();
  add(app, "--identity", options.identity,
      "Who this process is in the Lease. Default: the pod's name, and something drawn");
  add(app, "--kubeconfig", options.kubeconfig,
      "How to reach the API server. Default: the pod's service account, $KUBECONFIG, "
      "~/.kube/config");
  add(app, "--context", options.context, "Context of the kubeconfig");
  add(app, "--log-level", options.log_level, "Log lines from this level up")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->capture_default_str();
  add(app, "--log-format", options.log_format, "Form of log lines")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
}

}  // namespace

std::optional<UsageError> read_options(const std::vector<std::string>& arguments,
                                       Options& options) {
  CLI::App app(
      "millrace-operator - runs Millrace clusters and topics in Kubernetes\n\n"
      "Without a command it looks after MillraceCluster and MillraceTopic resources until it is "
      "told to stop. Each flag --a-b may also come from the environment as MILLRACE_OPERATOR_A_B.",
      "millrace-operator");
  app.set_version_flag("--version", std::string("millrace-operator ") + MILLRACE_VERSION);
  add_flags(app, options);
  app.fallthrough();  // flags may also stand behind a command
  CLI::App* const check = app.add_subcommand(
      "check", "Asks a page once a second until it answers 200; ends with 1 if it never does");
  check->add_option("url", options.url, "http://HOST:PORT/PATH")->required();
  check->add_option("--wait-seconds", options.wait_seconds, "How long")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  CLI::App* const apply = app.add_subcommand(
      "apply", "Brings the CustomResourceDefinitions of JSON files up to date, and ends");
  apply->add_option("file", options.files, "Files")->required();
  app.require_subcommand(0, 1);
  // CLI11 throws for --help, too; nothing of it leaves this function.
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::ParseError& problem) {
    std::ostringstream said;
    std::ostringstream complaint;
    const bool fine = app.exit(problem, said, complaint) == 0;
    if (!fine) return UsageError{complaint.str() + said.str()};
    std::fputs(said.str().c_str(), stdout);
    options.command = Command::kDone;
    return std::nullopt;
  }
  if (check->parsed()) options.command = Command::kCheck;
  if (apply->parsed()) options.command = Command::kApply;
  std::erase(options.namespaces, "");
  // A name that somebody forgot to fill in must not mean all of them.
  if (options.namespaces.empty() && app.get_option("--namespace")->count() > 0) {
    return UsageError{
        "--namespace: names no namespace; leave it out to look after all of them\n"
        "Run with --help for more information.\n"};
  }
  return std::nullopt;
}

}  // namespace millrace::operators
