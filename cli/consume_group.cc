// millctl consume TOPIC --group GROUP
#include <fmt/format.h>

#include <map>
#include <utility>

#include "cli/consume.h"
#include "millrace/v1/subscriber.grpc.pb.h"

namespace millrace::cli {
namespace {

constexpr std::int64_t kWindowRecords = 1'000;
constexpr int kCommitIntervalMs = 1'000;

/// One Subscribe call that prints what comes. The broker commits what was printed: credit is given
/// back for it, response by response.
class Membership {
 public:
  Membership(const Global& global, const ConsumeOptions& options)
      : global_(global), options_(options), client_(global) {}

  Exit run() {
    const auto stub = v1::Subscriber::NewStub(client_.channel());
    const auto context = client_.endless_context();
    const CancelOnInterrupt interruptible(*context);
    stream_ = stub->Subscribe(context.get());
    join();
    v1::SubscribeResponse response;
    while (stream_->Read(&response)) take(response);
    const ::grpc::Status status = stream_->Finish();
    if (status.error_code() == ::grpc::StatusCode::CANCELLED) return Exit::kOk;
    return client_.report(status);
  }

 private:
  void join() {
    v1::SubscribeRequest request;
    v1::Join& join = *request.mutable_join();
    join.set_group(options_.group);
    join.add_topics(options_.topic);
    join.set_instance_id(options_.instance);
    join.set_client_id("millctl");
    join.set_without_offset(options_.from == "earliest" ? v1::WITHOUT_OFFSET_EARLIEST
                                                        : v1::WITHOUT_OFFSET_LATEST);
    join.set_auto_commit_interval_ms(kCommitIntervalMs);
    const bool bounded = options_.records_max > 0;
    credit_left_ = bounded ? options_.records_max : INT64_MAX;
    const std::int64_t first = std::min(kWindowRecords, credit_left_);
    credit_left_ -= bounded ? first : 0;
    join.set_credit_records(first);
    stream_->Write(request);
  }

  void take(const v1::SubscribeResponse& response) {
    switch (response.message_case()) {
      case v1::SubscribeResponse::kRecords:
        return take(response.records());
      case v1::SubscribeResponse::kAssigned:
        for (const v1::AssignedPartition& one : response.assigned().partitions())
          tell("has {}[{}] from {} on", one.topic(), one.partition(), one.offset());
        return;
      case v1::SubscribeResponse::kRevoking: {
        // Everything that came before is printed, and credit was given back for it.
        v1::SubscribeRequest release;
        release.mutable_release()->set_revocation(response.revoking().revocation());
        stream_->Write(release);
        for (const v1::TopicPartitions& some : response.revoking().partitions()) {
          for (const int partition : some.partitions()) {
            places_.erase({some.topic(), partition});
            tell("gives {}[{}] to others", some.topic(), partition);
          }
        }
        return;
      }
      case v1::SubscribeResponse::kLost:
        places_.clear();
        return tell("lost its partitions: {}", response.lost().reason());
      case v1::SubscribeResponse::kRepositioned: {
        const v1::Repositioned& moved = response.repositioned();
        fmt::print(stderr, "millctl: {}[{}]: offset {} is not in the log; goes on at {}\n",
                   moved.topic(), moved.partition(), moved.from(), moved.to());
        return;
      }
      case v1::SubscribeResponse::kCommitted:
        stream_->WritesDone();  // the last commit, after --max records
        return;
      case v1::SubscribeResponse::kJoined:
        return tell("joined {} as {}", response.joined().group(), response.joined().member_id());
      case v1::SubscribeResponse::MESSAGE_NOT_SET:
        return;
    }
  }

  void take(const v1::Records& records) {
    print_records(global_, options_, records.records());
    for (const v1::Record& record : records.records())
      places_[{record.topic(), record.partition()}] = record.offset() + 1;
    printed_ += records.records_size();
    if (options_.records_max > 0 && printed_ >= options_.records_max) return commit_and_end();
    v1::SubscribeRequest request;
    const std::int64_t more = std::min<std::int64_t>(records.records_size(), credit_left_);
    if (options_.records_max > 0) credit_left_ -= more;
    if (more == 0) return;
    request.mutable_credit()->set_records(more);
    stream_->Write(request);
  }

  /// The last records cannot be credited: more would come.
  void commit_and_end() {
    v1::SubscribeRequest request;
    for (const auto& [place, next] : places_) {
      v1::PartitionCommit& one = *request.mutable_commit()->add_offsets();
      one.set_topic(place.first);
      one.set_partition(place.second);
      one.set_offset(next);
    }
    stream_->Write(request);
  }

  template <typename... Parts>
  void tell(fmt::format_string<Parts...> text, Parts&&... parts) const {
    if (options_.verbose)
      fmt::print(stderr, "millctl: {}\n", fmt::format(text, std::forward<Parts>(parts)...));
  }

  const Global& global_;
  const ConsumeOptions& options_;
  const Client client_;
  std::unique_ptr<::grpc::ClientReaderWriter<v1::SubscribeRequest, v1::SubscribeResponse>> stream_;
  std::map<std::pair<std::string, int>, std::int64_t> places_;
  std::int64_t printed_ = 0;
  std::int64_t credit_left_ = 0;  // that may still be given, with --max
};

}  // namespace

Exit consume_in_group(const Global& global, const ConsumeOptions& options) {
  if (options.from != "earliest" && options.from != "latest") {
    fmt::print(stderr,
               "millctl: with --group, --from is earliest or latest, not {}; millctl group "
               "reset-offsets moves a group anywhere\n",
               options.from);
    return Exit::kUsage;
  }
  return Membership(global, options).run();
}

}  // namespace millrace::cli
