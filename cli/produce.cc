// millctl produce TOPIC: lines of standard input, or one value, as records.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "millrace/v1/publisher.grpc.pb.h"

namespace millrace::cli {
namespace {

constexpr int kRecordsPerRequest = 500;
constexpr std::size_t kBytesPerRequest = 256 << 10;

struct ProduceOptions {
  std::string topic;
  std::vector<std::string> values;
  std::string key;
  bool has_key = false;
  std::string key_separator;
  std::vector<std::string> headers;
  int partition = -1;
  std::string acks = "all";
  std::string compression;
  bool null_value = false;
  bool quiet = false;
};

/// Sends records in requests of a sensible size and reports where they went.
class Producing {
 public:
  Producing(const Global& global, const ProduceOptions& options)
      : global_(global),
        options_(options),
        client_(global),
        stub_(v1::Publisher::NewStub(client_.channel())) {
    clear();
  }

  Exit add(std::string_view line) {
    v1::NewRecord& record = *request_.add_records();
    std::string_view value = line;
    if (!options_.key_separator.empty()) {
      const std::size_t split = line.find(options_.key_separator);
      if (split != std::string_view::npos) {
        record.set_key(std::string(line.substr(0, split)));
        value = line.substr(split + options_.key_separator.size());
      }
    }
    if (options_.has_key) record.set_key(options_.key);
    if (!options_.null_value) record.set_value(std::string(value));
    if (options_.partition >= 0) record.set_partition(options_.partition);
    for (const std::string& header : options_.headers) {
      v1::Header& added = *record.add_headers();
      const std::size_t equals = header.find('=');
      added.set_key(header.substr(0, equals));
      if (equals != std::string::npos) added.set_value(header.substr(equals + 1));
    }
    bytes_ += line.size();
    if (request_.records_size() >= kRecordsPerRequest || bytes_ >= kBytesPerRequest) return flush();
    return Exit::kOk;
  }

  Exit flush() {
    if (request_.records().empty()) return Exit::kOk;
    v1::PublishResponse response;
    const auto context = client_.context();
    const ::grpc::Status status = stub_->Publish(context.get(), request_, &response);
    clear();
    if (!status.ok()) return client_.report(status);
    Exit exit = Exit::kOk;
    for (const v1::RecordPosition& position : response.positions()) {
      if (!position.error().empty()) {
        fmt::print(stderr, "millctl: a record was refused: {}: {}\n", position.error(),
                   position.error_message());
        exit = Exit::kFailed;
      } else if (!options_.quiet && global_.json) {
        fmt::print("{}\n", nlohmann::json{{"topic", response.topic()},
                                          {"partition", position.partition()},
                                          {"offset", position.offset()}}
                               .dump());
      } else if (!options_.quiet) {
        fmt::print("{}[{}] @ {}\n", response.topic(), position.partition(), position.offset());
      }
    }
    return exit;
  }

 private:
  void clear() {
    request_.Clear();
    request_.set_topic(options_.topic);
    request_.set_acks(options_.acks == "leader" || options_.acks == "1" ? v1::ACKS_LEADER
                                                                        : v1::ACKS_ALL);
    request_.set_compression(options_.compression);
    bytes_ = 0;
  }

  const Global& global_;
  const ProduceOptions& options_;
  Client client_;
  std::unique_ptr<v1::Publisher::Stub> stub_;
  v1::PublishRequest request_;
  std::size_t bytes_ = 0;
};

Exit produce(const Global& global, const ProduceOptions& options) {
  Producing producing(global, options);
  if (options.null_value) {
    if (const Exit exit = producing.add(""); exit != Exit::kOk) return exit;
    return producing.flush();
  }
  for (const std::string& value : options.values) {
    if (const Exit exit = producing.add(value); exit != Exit::kOk) return exit;
  }
  if (!options.values.empty()) return producing.flush();
  const bool interactive = isatty(STDIN_FILENO) != 0;
  if (interactive) fmt::print(stderr, "one record a line; Ctrl-D ends\n");
  std::string line;
  while (std::getline(std::cin, line)) {
    if (const Exit exit = producing.add(line); exit != Exit::kOk) return exit;
    if (!interactive) continue;
    if (const Exit exit = producing.flush(); exit != Exit::kOk) return exit;
  }
  return producing.flush();
}

}  // namespace

void add_produce_command(CLI::App& app, const Global& global, Exit& exit) {
  auto options = std::make_shared<ProduceOptions>();
  CLI::App* command = app.add_subcommand(
      "produce", "Send records: each line of standard input, or the values given");
  command->add_option("topic", options->topic, "name of the topic")->required();
  command->add_option("-v,--value", options->values,
                      "a record's value, instead of standard input; may be given several times");
  CLI::Option* key = command->add_option("-k,--key", options->key, "the key of all records");
  command->add_option("--key-separator", options->key_separator,
                      "what stands between key and value in a line, such as :");
  command->add_option("-H,--header", options->headers, "NAME=VALUE; may be given several times");
  command->add_option("-p,--partition", options->partition, "the partition of all records")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--acks", options->acks, "all (default) or leader")
      ->check(CLI::IsMember({"all", "leader", "1", "-1"}));
  command->add_option("--compression", options->compression, "none, gzip, snappy, lz4 or zstd")
      ->check(CLI::IsMember({"none", "gzip", "snappy", "lz4", "zstd"}));
  command->add_flag("--tombstone", options->null_value,
                    "send one record without value, for the key given with --key");
  command->add_flag("-q,--quiet", options->quiet, "do not print where records went");
  command->footer(
      "examples:\n  echo '{\"id\": 1}' | millctl produce orders\n  millctl produce orders -k "
      "customer-7 -v '{\"id\": 2}'");
  command->callback([options, key, &global, &exit] {
    options->has_key = key->count() > 0;
    exit = produce(global, *options);
  });
}

}  // namespace millrace::cli
