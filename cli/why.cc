// millctl why GROUP | TOPIC | TOPIC/PARTITION | BROKER
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <memory>
#include <optional>

#include "cli/commands.h"
#include "cli/findings.h"
#include "millrace/v1/admin.grpc.pb.h"

namespace millrace::cli {
namespace {

struct WhyOptions {
  std::string subject;
  std::string as;  // group, topic, broker; empty: whatever there is
};

std::optional<int> number_in(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

/// "orders/3" is a partition; names have no slash.
v1::ExplainRequest topic_request(const std::string& subject) {
  v1::ExplainRequest request;
  const std::size_t slash = subject.rfind('/');
  request.mutable_topic()->set_topic(subject.substr(0, slash));
  if (slash != std::string::npos) {
    if (const auto partition = number_in(std::string_view(subject).substr(slash + 1)))
      request.mutable_topic()->set_partition(*partition);
  }
  return request;
}

/// What `subject` may be, in the order in which it is tried.
std::vector<v1::ExplainRequest> requests_for(const WhyOptions& options) {
  std::vector<v1::ExplainRequest> requests;
  const bool any = options.as.empty();
  if (any || options.as == "group") requests.emplace_back().set_group(options.subject);
  if (any || options.as == "topic") requests.push_back(topic_request(options.subject));
  const auto number = number_in(options.subject);
  if (number && (any || options.as == "broker")) requests.emplace_back().set_broker(*number);
  return requests;
}

Report report_of(const v1::ExplainResponse& response) {
  Report report{.summary = response.summary(), .findings = {}};
  for (const v1::Finding& finding : response.findings()) {
    report.findings.push_back({.level = static_cast<Level>(finding.severity()),
                               .code = finding.code(),
                               .what = finding.what(),
                               .blocked_by = finding.blocked_by(),
                               .advice = finding.advice()});
  }
  return report;
}

Exit why(const Global& global, const WhyOptions& options) {
  const std::vector<v1::ExplainRequest> requests = requests_for(options);
  if (requests.empty()) {
    fmt::print(stderr, "millctl: a broker is named by its number, not {}\n", options.subject);
    return Exit::kUsage;
  }
  const Client client(global);
  const auto admin = v1::Admin::NewStub(client.channel());
  Exit exit = Exit::kOk;
  std::size_t found = 0;
  ::grpc::Status missing;
  for (const v1::ExplainRequest& request : requests) {
    v1::ExplainResponse response;
    const auto context = client.context();
    const ::grpc::Status status = admin->Explain(context.get(), request, &response);
    if (status.error_code() == ::grpc::StatusCode::NOT_FOUND) {
      missing = status;
      continue;
    }
    if (!status.ok()) return client.report(status);
    const Report report = report_of(response);
    fmt::print("{}{}\n", found++ > 0 && !global.json ? "\n" : "",
               global.json ? findings_json(report) : findings_text(report));
    exit = std::max(exit, exit_of(report, Level::kWarning));
  }
  if (found > 0) return exit;
  if (requests.size() == 1) return client.report(missing);
  fmt::print(stderr, "millctl: there is no group, topic or broker {}\n", options.subject);
  return Exit::kNotFound;
}

}  // namespace

void add_why_command(CLI::App& app, const Global& global, Exit& exit) {
  auto options = std::make_shared<WhyOptions>();
  CLI::App* command = app.add_subcommand("why", "Say what is wrong, what blocks it and what to do");
  command
      ->add_option("subject", options->subject,
                   "a group, a topic, TOPIC/PARTITION, or a broker's number")
      ->required();
  command->add_option("--as", options->as, "group, topic or broker, where a name means several")
      ->check(CLI::IsMember({"group", "topic", "broker"}));
  command->footer(
      "examples:\n  millctl why orders-app\n  millctl why orders/3\n  millctl why 0 --as broker\n"
      "Ends with 5 if there is a warning or a problem.");
  command->callback([options, &global, &exit] { exit = why(global, *options); });
}

}  // namespace millrace::cli
