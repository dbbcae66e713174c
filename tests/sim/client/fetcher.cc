#include "tests/sim/client/fetcher.h"

#include <algorithm>
#include <utility>

#include "broker/model/compression.h"
#include "broker/model/record.h"
#include "tests/sim/client/offset_lookup.h"

namespace millrace::sim {

using model::BatchView;
using model::ErrorCode;

namespace {

constexpr Duration kFetchTimeout = std::chrono::seconds(5);
constexpr std::int32_t kWaitMs = 500;
constexpr std::size_t kPlainBytesMax = std::size_t{16} << 20;
constexpr Offset kNoEnd{INT64_MAX};
constexpr Offset kNotTold{-1};
constexpr std::int32_t kNoEpoch = -1;
/// A reader who is told so more often for one place has lost records that it could have had.
constexpr int kOutOfRangeMax = 20;
constexpr std::int16_t kSessionVersionMin = 7;
constexpr std::int16_t kIdVersionMin = 13;
/// From this version on readers may be served by followers (KIP-392).
constexpr std::int16_t kFollowersVersionMin = 11;

/// What a reader may be told while brokers come and go.
bool passes(ErrorCode code) {
  switch (code) {
    case ErrorCode::kNotLeaderOrFollower:
    case ErrorCode::kLeaderNotAvailable:
    case ErrorCode::kReplicaNotAvailable:
    case ErrorCode::kUnknownTopicOrPartition:
    case ErrorCode::kUnknownTopicId:
    case ErrorCode::kInconsistentTopicId:
    case ErrorCode::kKafkaStorageError:
    case ErrorCode::kFencedLeaderEpoch:
    case ErrorCode::kUnknownLeaderEpoch:
    case ErrorCode::kOffsetNotAvailable:
    case ErrorCode::kThrottlingQuotaExceeded:
      return true;
    default:
      return false;
  }
}

}  // namespace

Fetcher::Fetcher(Client& client, History& history)
    : client_(client),
      history_(history),
      uses_sessions_(client.random().chance(1, 2) &&
                     client.version<wire::FetchRequest>() >= kSessionVersionMin),
      uses_ids_(client.version<wire::FetchRequest>() >= kIdVersionMin),
      uses_epochs_(client.random().chance(2, 3)),
      isolation_(client.random().chance(1, 2) ? 1 : 0),
      // Now and then so few that every answer holds one batch.
      bytes_max_(client.random().chance(1, 4) ? 1 : 1 << 20) {}

void Fetcher::start() {
  running_ = true;
  pump_after(Duration{0});
}

void Fetcher::assign(const Target& target, std::optional<Offset> from) {
  client_.track(target.topic);
  places_[target] = Place{.next = from, .high_watermark = kNoEnd, .topic = {}};
  for (auto& [node, session] : sessions_) {
    if (const auto told = session.told.find(target); told != session.told.end())
      told->second.from = kNotTold;
  }
  must_refresh_ = must_refresh_ || client_.leader(target.topic, target.partition) < 0;
  pump_after(Duration{0});
}

std::optional<Offset> Fetcher::position(const Target& target) const {
  const auto found = places_.find(target);
  return found == places_.end() ? std::nullopt : found->second.next;
}

std::vector<Target> Fetcher::targets() const {
  std::vector<Target> all;
  for (const auto& [target, place] : places_) all.push_back(target);
  return all;
}

std::string Fetcher::behind(common::Instant since) const {
  for (const auto& [target, place] : places_) {
    if (place.next && *place.next >= place.high_watermark && place.as_of >= since) continue;
    return fmt::format("{}-{} at {} of {}, which {} leads in epoch {}: {}", target.topic,
                       target.partition, place.next.value_or(Offset{-1}), place.high_watermark,
                       client_.leader(target.topic, target.partition),
                       client_.epoch(target.topic, target.partition), name_of(place.trouble));
  }
  return {};
}

void Fetcher::pump_after(Duration delay) {
  if (!running_ || std::exchange(pump_set_, true)) return;
  client_.loop().after(delay, [this] {
    pump_set_ = false;
    if (running_) pump();
  });
}

void Fetcher::look_again() {
  must_refresh_ = true;
  pump_after(client_.pause());
}

void Fetcher::pump() {
  if (refreshing_) return;
  if (std::exchange(must_refresh_, false)) {
    refreshing_ = true;
    return client_.refresh([this](bool fresh) {
      refreshing_ = false;
      if (!fresh) return look_again();
      pump_after(Duration{0});
    });
  }
  std::map<std::int32_t, Round> rounds;
  bool homeless = false;
  for (auto& [target, place] : places_) {
    const TopicView* const view = client_.topic(target.topic);
    const std::int32_t node = client_.leader(target.topic, target.partition);
    if (node < 0) {
      homeless = true;
      continue;
    }
    // A topic that was made anew under the same name is another log.
    if (!place.topic.is_zero() && place.topic != view->id) place.next = Offset{0};
    place.topic = view->id;
    if (!place.next) {
      seek_start(target);
      continue;
    }
    const PartitionKey key{view->id, model::PartitionIndex{target.partition}};
    const std::int32_t epoch =
        uses_epochs_ ? client_.epoch(target.topic, target.partition) : kNoEpoch;
    rounds[node].emplace(target, Asked{key, *place.next, epoch, floor_of(key, *place.next),
                                       client_.loop().clock().now()});
  }
  if (homeless) look_again();
  for (auto& [node, round] : rounds) {
    if (!sessions_[node].waiting) fetch(node, std::move(round));
  }
}

/// What a broker must not tell to be less. One that follows may know less than others, but not than
/// who asks it.
Offset Fetcher::floor_of(const PartitionKey& key, Offset next) {
  const bool from_followers = history_.leaders() == History::Leaders::kSeveral &&
                              client_.version<wire::FetchRequest>() >= kFollowersVersionMin;
  return from_followers ? next : history_.high_watermark_seen(key);
}

void Fetcher::fetch(std::int32_t node, Round round) {
  Session& session = sessions_[node];
  session.waiting = true;
  const wire::FetchRequest fetch = request(session, round);
  client_.call(node, fetch, kFetchTimeout,
               [this, node, round = std::move(round)](Result<wire::FetchResponse> answer) {
                 take(node, round, answer);
               });
}

wire::FetchRequest Fetcher::request(Session& session, const Round& round) {
  wire::FetchRequest request;
  request.max_wait_ms = kWaitMs;
  request.min_bytes = 1;
  request.max_bytes = bytes_max_;
  request.isolation_level = isolation_;
  request.session_id = session.id;
  request.session_epoch = uses_sessions_ ? session.epoch : -1;
  const bool incremental = uses_sessions_ && session.epoch > 0;
  if (!incremental) session.told.clear();
  forget_what_went(session, round, request);
  for (const auto& [target, asked] : round) {
    const auto told = session.told.find(target);
    if (told != session.told.end() && told->second.from == asked.from &&
        told->second.epoch == asked.epoch)
      continue;
    Told& fresh = session.told[target];
    fresh.from = asked.from;
    fresh.epoch = asked.epoch;
    fresh.topic = asked.key.topic;
    auto& topic = request.topics.emplace_back();
    topic.topic = target.topic;
    topic.topic_id = asked.key.topic;
    auto& partition = topic.partitions.emplace_back();
    partition.partition = target.partition;
    partition.current_leader_epoch = asked.epoch;
    partition.fetch_offset = asked.from.value();
    partition.partition_max_bytes = bytes_max_;
  }
  return request;
}

void Fetcher::forget_what_went(Session& session, const Round& round,
                               wire::FetchRequest& request) const {
  std::erase_if(session.told, [&](const auto& entry) {
    const auto& [target, told] = entry;
    const auto still = round.find(target);
    // By name a topic that was made anew is the same to the session.
    const bool same = still != round.end() && (!uses_ids_ || still->second.key.topic == told.topic);
    if (!same)
      request.forgotten_topics_data.push_back({target.topic, told.topic, {target.partition}});
    return !same;
  });
}

void Fetcher::take(std::int32_t node, const Round& round,
                   const Result<wire::FetchResponse>& answer) {
  Session& session = sessions_[node];
  session.waiting = false;
  if (!answer.ok() || answer->error_code != 0) {
    session = Session{};
    if (answer.ok()) {
      const ErrorCode code = code_of(answer->error_code);
      const bool lost_session = code == ErrorCode::kFetchSessionIdNotFound ||
                                code == ErrorCode::kInvalidFetchSessionEpoch ||
                                code == ErrorCode::kFetchSessionTopicIdError || passes(code);
      if (!lost_session) {
        client_.trace().fail(
            fmt::format("{}: a fetch was answered {}", client_.name(), name_of(code)));
      }
    }
    return look_again();
  }
  if (uses_sessions_ && answer->session_id != 0) {
    session.id = answer->session_id;
    ++session.epoch;
  }
  for (const auto& topic : answer->responses) {
    for (const auto& partition : topic.partitions) {
      const auto* const entry = asked_for(round, topic, partition.partition_index);
      if (entry == nullptr) {
        client_.trace().fail(fmt::format("{}: a fetch was answered for {}-{}, which was not asked",
                                         client_.name(), topic.topic, partition.partition_index));
        continue;
      }
      take_partition(session, entry->first, entry->second, partition);
    }
  }
  take_silence(session, round);
  pump_after(Duration{0});
}

// Of what is not mentioned the high watermark is as it was told before.
void Fetcher::take_silence(Session& session, const Round& round) {
  for (const auto& [target, asked] : round) {
    const auto found = places_.find(target);
    const auto told = session.told.find(target);
    if (found == places_.end() || found->second.next != asked.from || told == session.told.end() ||
        !told->second.high_watermark)
      continue;
    found->second.high_watermark = *told->second.high_watermark;
    found->second.as_of = asked.at;
  }
}

const std::pair<const Target, Fetcher::Asked>* Fetcher::asked_for(
    const Round& round, const wire::FetchResponse::Topic& topic, std::int32_t partition) const {
  for (const auto& entry : round) {
    if (entry.first.partition != partition) continue;
    if (topic.topic.empty() ? entry.second.key.topic == topic.topic_id
                            : entry.first.topic == topic.topic)
      return &entry;
  }
  return nullptr;
}

void Fetcher::take_partition(Session& session, const Target& target, const Asked& asked,
                             const wire::FetchResponse::Partition& partition) {
  if (const auto told = session.told.find(target); told != session.told.end()) {
    told->second.high_watermark =
        partition.error_code == 0 ? std::optional(Offset{partition.high_watermark}) : std::nullopt;
  }
  const auto found = places_.find(target);
  // Revoked, or assigned anew meanwhile.
  if (found == places_.end() || found->second.next != asked.from) return;
  Place& place = found->second;
  const ErrorCode code = code_of(partition.error_code);
  place.trouble = code;
  if (code != ErrorCode::kNone) return refused(target, code);
  place.out_of_range = 0;
  const Offset high_watermark{partition.high_watermark};
  history_.saw_high_watermark(asked.key, asked.high_watermark_seen, high_watermark);
  if (partition.log_start_offset >= 0)
    history_.saw_log_start(asked.key, Offset{partition.log_start_offset});
  place.high_watermark = high_watermark;
  place.as_of = asked.at;
  take_records(target, asked, partition);
}

void Fetcher::take_records(const Target& target, const Asked& asked,
                           const wire::FetchResponse::Partition& partition) {
  if (!partition.records) return;
  Place& place = places_.at(target);
  const Bytes all = partition.records->joined();
  for (common::ByteView rest = all; !rest.empty();) {
    const auto batch = BatchView::parse(rest);
    if (!batch.ok()) {
      client_.trace().fail(fmt::format("{}: {}-{} at {}: {}", client_.name(), target.topic,
                                       target.partition, *place.next, batch.error().detail));
      return;
    }
    if (!take_batch(asked.key, place, *batch, Offset{partition.high_watermark})) return;
    rest = rest.subspan(batch->size());
  }
}

bool Fetcher::take_batch(const PartitionKey& key, Place& place, const BatchView& batch,
                         Offset high_watermark) {
  const auto wrong = [&](std::string_view what) {
    client_.trace().fail(fmt::format("{}: {}-{}: the batch of offsets {} to {}, read from {}: {}",
                                     client_.name(), key.topic, key.index, batch.base_offset(),
                                     batch.last_offset(), *place.next, what));
    return false;
  };
  if (!batch.crc_matches()) return wrong("its checksum is wrong");
  if (batch.next_offset() > high_watermark) return wrong("it is beyond the high watermark");
  if (batch.base_offset() > *place.next) return wrong("records in front of it are missing");
  const auto plain = model::plain_records(batch, kPlainBytesMax);
  if (!plain.ok()) return wrong(plain.error().detail);
  model::RecordReader records(plain->records, batch.record_count());
  for (;;) {
    const auto record = records.next();
    if (!record.ok()) return wrong(record.error().detail);
    if (!record->has_value()) break;
    const Offset offset = (*record)->offset(batch);
    // A batch comes whole, whichever of its records was asked for.
    if (offset < *place.next) continue;
    if (offset != *place.next) return wrong(fmt::format("after {} comes {}", *place.next, offset));
    if (!(*record)->value) return wrong("a value is null");
    const std::string_view value = common::as_text(*(*record)->value);
    history_.read(key, offset, value);
    if (on_record_) on_record_(key, offset, value);
    place.next = offset + 1;
  }
  return true;
}

void Fetcher::refused(const Target& target, ErrorCode code) {
  Place& place = places_.at(target);
  if (code == ErrorCode::kOffsetOutOfRange) {
    if (++place.out_of_range > kOutOfRangeMax) {
      client_.trace().fail(fmt::format("{}: {}-{} has no offset {}", client_.name(), target.topic,
                                       target.partition, *place.next));
    }
    must_refresh_ = true;  // it may be another topic by now
    return seek_start(target);
  }
  if (!passes(code)) {
    client_.trace().fail(fmt::format("{}: a fetch of {}-{} at {} was answered {}", client_.name(),
                                     target.topic, target.partition, *place.next, name_of(code)));
  }
  look_again();
}

// The log's start may have moved beyond what was to be read next, never back in front of it.
void Fetcher::seek_start(const Target& target) {
  Place& place = places_.at(target);
  if (std::exchange(place.seeking, true)) return;
  client_.call(client_.leader(target.topic, target.partition),
               ask_of_one(target.topic, target.partition, service::kEarliest), kFetchTimeout,
               [this, target](const Result<wire::ListOffsetsResponse>& answer) {
                 const auto found = places_.find(target);
                 if (found == places_.end()) return;
                 Place& sought = found->second;
                 sought.seeking = false;
                 const auto* const told = told_of_one(answer);
                 if (told == nullptr || told->error_code != 0) {
                   // While nobody leads, replicas know that it does not begin here, and nobody says
                   // where.
                   sought.out_of_range = 0;
                   return look_again();
                 }
                 const Offset start{told->offset};
                 if (!sought.next || *sought.next < start) sought.next = start;
                 pump_after(sought.out_of_range > 0 ? client_.pause() : Duration{0});
               });
}

}  // namespace millrace::sim
