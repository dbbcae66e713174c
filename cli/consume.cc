// millctl consume TOPIC: records to standard output.
#include "cli/consume.h"

#include <fmt/format.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <charconv>
#include <memory>

#include "cli/commands.h"
#include "cli/record_text.h"
#include "millrace/v1/subscriber.grpc.pb.h"

namespace millrace::cli {
namespace {

/// The call that Ctrl-C cancels. TryCancel is safe in a handler only through a thread of gRPC's
/// own, so the handler just notes it and cancels: the stream then ends as any other.
std::atomic<::grpc::ClientContext*> g_context{nullptr};

void on_interrupt(int) {
  if (::grpc::ClientContext* context = g_context.load()) context->TryCancel();
}

/// "earliest", "latest", an offset, or "@" with milliseconds since 1970.
bool parse_start(const std::string& text, v1::Start& start) {
  if (text == "earliest" || text == "beginning") {
    start.set_earliest(true);
    return true;
  }
  if (text == "latest" || text == "end") {
    start.set_latest(true);
    return true;
  }
  const bool time = text.starts_with('@');
  const std::string_view digits = std::string_view(text).substr(time ? 1 : 0);
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc{} || end != digits.data() + digits.size() || number < 0) return false;
  if (time) {
    start.set_timestamp_ms(number);
  } else {
    start.set_offset(number);
  }
  return true;
}

Exit consume(const Global& global, const ConsumeOptions& options) {
  const Client client(global);
  v1::ReadRequest request;
  request.set_topic(options.topic);
  request.set_records_max(options.records_max);
  request.set_until_end(options.until_end);
  for (const int partition : options.partitions) request.add_partitions(partition);
  if (!parse_start(options.from, *request.mutable_start())) {
    fmt::print(stderr,
               "millctl: --from takes earliest, latest, an offset, or @MILLISECONDS, not {}\n",
               options.from);
    return Exit::kUsage;
  }
  const auto stub = v1::Subscriber::NewStub(client.channel());
  const auto context = client.endless_context();
  const CancelOnInterrupt interruptible(*context);
  const auto stream = stub->Read(context.get(), request);
  v1::ReadResponse response;
  while (stream->Read(&response)) print_records(global, options, response.records());
  const ::grpc::Status status = stream->Finish();
  if (status.error_code() == ::grpc::StatusCode::CANCELLED) return Exit::kOk;
  return client.report(status);
}

}  // namespace

void print_records(const Global& global, const ConsumeOptions& options,
                   const google::protobuf::RepeatedPtrField<v1::Record>& records) {
  for (const v1::Record& record : records) {
    if (global.json) {
      print_json(record);
    } else {
      print_plain(record, options.verbose);
    }
  }
  std::fflush(stdout);
}

CancelOnInterrupt::CancelOnInterrupt(::grpc::ClientContext& context) {
  g_context = &context;
  signal(SIGINT, on_interrupt);
  signal(SIGTERM, on_interrupt);
}
CancelOnInterrupt::~CancelOnInterrupt() {
  g_context = nullptr;
}

void add_consume_command(CLI::App& app, const Global& global, Exit& exit) {
  auto options = std::make_shared<ConsumeOptions>();
  CLI::App* command = app.add_subcommand("consume", "Print records as they are committed");
  command->add_option("topic", options->topic, "name of the topic")->required();
  command->add_option("-f,--from", options->from,
                      "earliest, latest (default), an offset, or @MILLISECONDS since 1970");
  CLI::Option* partition = command->add_option("-p,--partition", options->partitions,
                                               "only this one; may be given several times");
  command->add_option("-n,--max", options->records_max, "end after so many records")
      ->check(CLI::PositiveNumber);
  CLI::Option* until_end =
      command->add_flag("-e,--until-end", options->until_end,
                        "end at the records that are there now, instead of waiting");
  CLI::Option* group = command
                           ->add_option("-g,--group", options->group,
                                        "as a member of this group, which keeps the place; --from "
                                        "(earliest or latest) is for "
                                        "partitions where it has none")
                           ->excludes(partition)
                           ->excludes(until_end);
  command
      ->add_option("--instance", options->instance,
                   "a name that keeps the partitions of this member while it restarts")
      ->needs(group);
  command->add_flag("--verbose", options->verbose, "with partition, offset, time, key and headers");
  command->footer(
      "examples:\n  millctl consume orders --from earliest --until-end\n  millctl consume orders "
      "-o json | jq .value\n  millctl consume orders --group orders-app --from earliest");
  command->callback([options, &global, &exit] {
    exit = options->group.empty() ? consume(global, *options) : consume_in_group(global, *options);
  });
}

}  // namespace millrace::cli
