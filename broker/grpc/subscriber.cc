#include "broker/grpc/subscriber.h"

#include <fmt/format.h>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "broker/grpc/subscribe.h"
#include "broker/service/fetch_anywhere.h"
#include "broker/service/misrouted.h"
#include "broker/service/offsets_anywhere.h"

namespace millrace::grpc {
namespace {

using common::Error;
using model::ErrorCode;
using model::Offset;
using model::PartitionIndex;

constexpr std::size_t kResponseBytes = 1 << 20;
constexpr std::size_t kResponseBytesMax = 32 << 20;
constexpr auto kWait = std::chrono::seconds(10);
/// How long the leader of a partition is looked for: longer than it takes to notice that one is
/// gone, and to have another one.
constexpr auto kSeekMax = std::chrono::seconds(10);
constexpr auto kSeekPause = std::chrono::milliseconds(50);

/// One Read call. Everything but the three callbacks runs on its shard's loop; one response is on
/// its way at a time.
class ReadStream final : public ::grpc::ServerWriteReactor<v1::ReadResponse>,
                         public std::enable_shared_from_this<ReadStream> {
 public:
  ReadStream(::grpc::CallbackServerContext* context, service::Shard& shard,
             const v1::ReadRequest& request, UnpackedBytes& unpacked)
      : context_(context), shard_(shard), request_(request), decoder_(request.topic(), unpacked) {}

  /// The stream keeps itself alive until gRPC is done with it.
  void start() {
    self_ = shared_from_this();
    shard_.loop().post([self = self_] { self->begin(); });
  }

  void OnWriteDone(bool ok) override {
    shard_.loop().post([self = shared_from_this(), ok] {
      if (ok) {
        self->next();
      } else {
        self->end(::grpc::Status::CANCELLED);
      }
    });
  }
  void OnCancel() override {
    shard_.loop().post([self = shared_from_this()] {
      self->cancelled_ = true;
      if (self->fetching_ != nullptr) self->fetching_->cancel();
    });
  }
  void OnDone() override { self_.reset(); }

 private:
  void begin() {
    bytes_max_ =
        request_.response_bytes_max() <= 0
            ? kResponseBytes
            : std::min<std::size_t>(kResponseBytesMax,
                                    static_cast<std::size_t>(request_.response_bytes_max()));
    if (request_.records_max() < 0)
      return fail({ErrorCode::kInvalidRequest, "records_max must not be negative"});
    const auto topic = shard_.image().topic(request_.topic());
    if (topic == nullptr) {
      return fail({ErrorCode::kUnknownTopicOrPartition,
                   fmt::format("Topic {} does not exist", request_.topic())});
    }
    topic_id_ = topic->id;
    std::set<std::int32_t> chosen(request_.partitions().begin(), request_.partitions().end());
    for (const auto& [partition, offset] : request_.offsets()) {
      if (request_.partitions_size() > 0 && !chosen.contains(partition)) {
        return fail({ErrorCode::kInvalidRequest,
                     fmt::format("offsets names partition {}, partitions does not", partition)});
      }
    }
    if (chosen.empty()) {
      for (std::int32_t i = 0; i < topic->partition_count(); ++i) chosen.insert(i);
    }
    locate(chosen, request_.start());
  }

  /// Finds where each partition begins, and where it ends now if that is asked for.
  void locate(const std::set<std::int32_t>& partitions, const v1::Start& start) {
    common::Timestamp at = service::kLatest;
    if (start.earliest()) at = service::kEarliest;
    if (start.at_case() == v1::Start::kTimestampMs)
      at = common::Timestamp{std::max<std::int64_t>(0, start.timestamp_ms())};
    std::vector<service::OffsetQuery> queries;
    for (const std::int32_t partition : partitions) {
      queries.push_back({.target = target(partition), .at = at});
      queries.push_back({.target = target(partition), .at = service::kLatest});
    }
    service::list_offsets_anywhere(
        shard_, std::move(queries), replica::Isolation::kReadCommitted, kSeekMax,
        [self = shared_from_this(), partitions, start](std::vector<service::OffsetAnswer> answers) {
          self->located({partitions.begin(), partitions.end()}, start, answers);
        });
  }

  void located(const std::vector<std::int32_t>& partitions, const v1::Start& start,
               const std::vector<service::OffsetAnswer>& answers) {
    for (std::size_t i = 0; i < partitions.size(); ++i) {
      const service::OffsetAnswer& first = answers[2 * i];
      const service::OffsetAnswer& last = answers[2 * i + 1];
      if (first.code != ErrorCode::kNone) return fail({first.code, first.detail});
      if (last.code != ErrorCode::kNone) return fail({last.code, last.detail});
      Offset from = first.offset.value() < 0 ? last.offset : first.offset;
      if (start.at_case() == v1::Start::kOffset) from = Offset{start.offset()};
      const auto own = request_.offsets().find(partitions[i]);
      if (own != request_.offsets().end()) from = Offset{own->second};
      places_[partitions[i]] = from;
      ends_[partitions[i]] = last.offset;
    }
    next();
  }

  service::PartitionRef target(std::int32_t partition) const {
    return {topic_id_, request_.topic(), PartitionIndex{partition}};
  }

  /// Sends what was fetched and not yet sent, asks for more records, or ends.
  void next() {
    if (ended_) return;
    if (cancelled_) return end(::grpc::Status::CANCELLED);
    if (request_.records_max() > 0 && sent_ >= request_.records_max())
      return end(::grpc::Status::OK);
    if (!decoder_.empty()) return deliver();
    fetch();
  }

  void fetch() {
    take_new_partitions();
    service::FetchCommand command{.isolation = replica::Isolation::kReadCommitted,
                                  .bytes_min = 1,
                                  .bytes_max = bytes_max_,
                                  .wait_max = kWait};
    asked_.clear();
    for (const auto& [partition, from] : places_) {
      if (request_.until_end() && from >= ends_[partition]) continue;
      command.items.push_back({.target = target(partition), .from = from, .bytes_max = bytes_max_});
      asked_.push_back(partition);
    }
    // The partition that was read first last time comes last now: none starves behind a busy one.
    if (!asked_.empty()) {
      const std::size_t turn = turns_++ % asked_.size();
      std::rotate(command.items.begin(), command.items.begin() + static_cast<std::ptrdiff_t>(turn),
                  command.items.end());
      std::rotate(asked_.begin(), asked_.begin() + static_cast<std::ptrdiff_t>(turn), asked_.end());
    }
    if (request_.until_end() && asked_.empty()) return end(::grpc::Status::OK);
    if (request_.until_end()) command.wait_max = common::Duration{0};
    fetching_ = service::fetch_anywhere(
        shard_, std::move(command),
        [self = shared_from_this()](std::vector<service::FetchOutcome> outcomes) mutable {
          // Through the loop: the answer may come before fetch() has returned its
          // handle.
          self->shard_.loop().post([self, outcomes = std::move(outcomes)]() mutable {
            self->fetching_.reset();
            self->take(outcomes);
          });
        });
  }

  void take_new_partitions() {
    if (request_.partitions_size() > 0 || request_.until_end()) return;
    const auto topic = shard_.image().topic(topic_id_);
    if (topic == nullptr) return;  // deleted: the fetch says so
    for (std::int32_t i = static_cast<std::int32_t>(places_.size()); i < topic->partition_count();
         ++i) {
      places_.emplace(i, Offset{0});
    }
  }

  void take(std::vector<service::FetchOutcome>& outcomes) {
    bool missing = false;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      const service::FetchOutcome& outcome = outcomes[i];
      if (service::is_misrouted(outcome.code) && may_seek()) {
        missing = true;
        continue;
      }
      if (outcome.code != ErrorCode::kNone) return fail({outcome.code, outcome.detail});
      for (common::Bytes& piece : outcomes[i].pieces)
        decoder_.add(PartitionIndex{asked_[i]}, places_[asked_[i]], std::move(piece));
    }
    if (!missing) seeking_since_.reset();
    if (!missing || !decoder_.empty()) return next();
    shard_.loop().after(kSeekPause, [self = shared_from_this()] { self->next(); });
  }

  /// Whether a partition without a leader is waited for any longer.
  bool may_seek() {
    const common::Instant now = shard_.clock().now();
    if (!seeking_since_) seeking_since_ = now;
    return now - *seeking_since_ < kSeekMax;
  }

  /// One portion of what was fetched. Through the loop when nothing of it is wanted, so that the
  /// shard's other work gets its turn between two of them.
  void deliver() {
    response_.Clear();
    if (const auto taken = decoder_.take(bytes_max_, response_); !taken.ok())
      return fail(taken.error());
    trim();
    if (response_.records_size() == 0)
      return shard_.loop().post([self = shared_from_this()] { self->next(); });
    sent_ += response_.records_size();
    StartWrite(&response_);
  }

  /// Drops what the limits of the call do not ask for: records beyond records_max, or written after
  /// the call began.
  void trim() {
    auto& records = *response_.mutable_records();
    if (request_.until_end()) {
      const auto late =
          std::remove_if(records.begin(), records.end(), [&](const v1::Record& record) {
            return Offset{record.offset()} >= ends_[record.partition()];
          });
      records.DeleteSubrange(static_cast<int>(late - records.begin()),
                             static_cast<int>(records.end() - late));
    }
    if (request_.records_max() > 0 && sent_ + records.size() > request_.records_max()) {
      const int keep = static_cast<int>(request_.records_max() - sent_);
      records.DeleteSubrange(keep, records.size() - keep);
    }
  }

  void fail(const Error& error) {
    if (ended_) return;
    context_->AddTrailingMetadata(kErrorMetadata, error_name(error.code));
    end(to_status(error));
  }
  void end(const ::grpc::Status& status) {
    if (ended_) return;
    ended_ = true;
    Finish(status);
  }

  ::grpc::CallbackServerContext* context_;
  service::Shard& shard_;
  const v1::ReadRequest request_;
  std::shared_ptr<ReadStream> self_;
  model::TopicId topic_id_;
  std::map<std::int32_t, Offset> places_;
  std::map<std::int32_t, Offset> ends_;
  std::vector<std::int32_t> asked_;
  RecordDecoder decoder_;
  std::shared_ptr<service::FetchHandle> fetching_;
  /// Some partition has had no leader since.
  std::optional<common::Instant> seeking_since_;
  v1::ReadResponse response_;
  std::int64_t sent_ = 0;
  std::size_t bytes_max_ = kResponseBytes;
  std::size_t turns_ = 0;
  bool cancelled_ = false;
  bool ended_ = false;
};

}  // namespace

::grpc::ServerWriteReactor<v1::ReadResponse>* Subscriber::Read(
    ::grpc::CallbackServerContext* context, const v1::ReadRequest* request) {
  auto stream = std::make_shared<ReadStream>(context, dealer_.next(), *request, unpacked_);
  stream->start();
  return stream.get();
}

::grpc::ServerBidiReactor<v1::SubscribeRequest, v1::SubscribeResponse>* Subscriber::Subscribe(
    ::grpc::CallbackServerContext* context) {
  return subscribe(context, dealer_.next(), unpacked_);
}

}  // namespace millrace::grpc
