#include "broker/grpc/feed.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace millrace::grpc {

using common::Error;
using model::ErrorCode;
using model::Offset;
using model::PartitionKey;

namespace {

constexpr auto kWait = std::chrono::seconds(10);
constexpr auto kRest = std::chrono::milliseconds(200);
/// How long the leader of a partition is looked for at a time.
constexpr auto kSeekMax = std::chrono::seconds(5);

/// A later look may find it well. Damage does not heal, whatever Kafka clients are told of it.
bool may_pass(ErrorCode code) {
  const model::ErrorRow& row = model::error_row(code);
  return row.retriable && row.grpc != model::GrpcStatus::kDataLoss;
}

}  // namespace

std::shared_ptr<Feed> Feed::make(service::Shard& shard, UnpackedBytes& unpacked, Settings settings,
                                 FeedEvents& events) {
  return std::shared_ptr<Feed>(new Feed(shard, unpacked, settings, events));
}

// ---- Where to read

void Feed::add(const std::vector<service::AssignedPartition>& partitions) {
  std::vector<Position> known;
  std::vector<PartitionKey> unknown;
  for (const service::AssignedPartition& partition : partitions) {
    CHECK(!places_.contains(partition.key), "a partition is added twice");
    Place& place = places_[partition.key];
    place.topic = partition.topic;
    place.life = ++lives_;
    place.next = partition.committed.offset;
    if (place.next.value() < 0) {
      unknown.push_back(partition.key);
      continue;
    }
    place.found = true;
    known.push_back({partition.key, place.topic, place.next, true});
  }
  if (!known.empty()) events_->on_positions(known);
  if (!unknown.empty() && events_ != nullptr) find(unknown);
  interrupt();
}

/// Asks where the log begins or ends now.
void Feed::find(const std::vector<PartitionKey>& keys) {
  std::vector<service::OffsetQuery> queries;
  std::vector<Asked> asked;
  for (const PartitionKey& key : keys) {
    Place& place = places_.at(key);
    if (settings_.without_offset == Without::kNone) {
      return fail(
          {ErrorCode::kOffsetOutOfRange,
           place.next.value() < 0
               ? fmt::format("The group has no committed offset of {}-{}", place.topic, key.index)
               : fmt::format("Offset {} is not in the log of {}-{}", place.next, place.topic,
                             key.index)});
    }
    place.finding = true;
    asked.push_back({key, place.next, place.life});
    queries.push_back({.target = {key.topic, place.topic, key.index},
                       .at = settings_.without_offset == Without::kEarliest ? service::kEarliest
                                                                            : service::kLatest});
  }
  service::list_offsets_anywhere(
      shard_, std::move(queries), replica::Isolation::kReadCommitted, kSeekMax,
      [self = shared_from_this(),
       asked = std::move(asked)](std::vector<service::OffsetAnswer> answers) {
        // Through the loop: the answer may come inside the question.
        self->shard_.loop().post(
            [self, asked, answers = std::move(answers)] { self->take_positions(asked, answers); });
      });
}

void Feed::take_positions(const std::vector<Asked>& asked,
                          const std::vector<service::OffsetAnswer>& answers) {
  std::vector<Position> found;
  for (std::size_t i = 0; i < asked.size() && events_ != nullptr; ++i) {
    Place* place = same(asked[i]);
    if (place == nullptr) continue;
    place->finding = false;
    if (answers[i].code != ErrorCode::kNone) {
      if (!may_pass(answers[i].code)) return fail({answers[i].code, answers[i].detail});
      place->resting = true;
      continue;
    }
    const Offset from = std::exchange(place->next, answers[i].offset);
    const Position position{asked[i].key, place->topic, place->next, false};
    if (std::exchange(place->found, true)) {
      events_->on_repositioned(from, position);
    } else {
      found.push_back(position);
    }
  }
  if (events_ == nullptr) return;
  if (!found.empty()) events_->on_positions(found);
  rest();
  interrupt();
}

Feed::Place* Feed::same(const Asked& asked) {
  const auto place = places_.find(asked.key);
  if (place == places_.end() || place->second.life != asked.life) return nullptr;
  return place->second.next == asked.from ? &place->second : nullptr;
}

void Feed::drop(const std::vector<PartitionKey>& keys) {
  for (const PartitionKey& key : keys) {
    const auto decoder = decoders_.find(key.topic);
    if (decoder != decoders_.end()) decoder->second->drop(key.index);
    places_.erase(key);
    // The last of its topic: decoders of topics that come and go must not pile up.
    const auto neighbour = places_.lower_bound({key.topic, model::PartitionIndex{0}});
    if (neighbour == places_.end() || neighbour->first.topic != key.topic)
      decoders_.erase(key.topic);
  }
}

void Feed::pause(const PartitionKey& key) {
  const auto place = places_.find(key);
  if (place == places_.end()) return;
  place->second.paused = true;
  const auto decoder = decoders_.find(key.topic);
  if (decoder != decoders_.end()) decoder->second->drop(key.index);
}

void Feed::resume(const PartitionKey& key) {
  const auto place = places_.find(key);
  if (place == places_.end()) return;
  place->second.paused = false;
  interrupt();
}

/// What is read has changed: a fetch that waits for the others asks again.
void Feed::interrupt() {
  if (fetch_ != nullptr) fetch_->cancel();
  if (events_ != nullptr) events_->on_ready();
}

// ---- Reading

void Feed::want() {
  if (fetching_ || events_ == nullptr) return;
  for (const auto& [topic, decoder] : decoders_) {
    if (!decoder->empty()) return;
  }
  service::FetchCommand command{.items = {},
                                .isolation = replica::Isolation::kReadCommitted,
                                .bytes_min = 1,
                                .bytes_max = settings_.bytes_max,
                                .wait_max = kWait};
  std::vector<Asked> asked;
  for (const auto& [key, place] : places_) {
    if (!place.found || place.finding || place.paused || place.resting) continue;
    command.items.push_back({.target = {key.topic, place.topic, key.index},
                             .from = place.next,
                             .bytes_max = settings_.bytes_max});
    asked.push_back({key, place.next, place.life});
  }
  if (asked.empty()) return rest();
  // The partition that was read first last time comes last now: none starves behind a busy one.
  const auto turn = static_cast<std::ptrdiff_t>(turns_++ % asked.size());
  std::rotate(command.items.begin(), command.items.begin() + turn, command.items.end());
  std::rotate(asked.begin(), asked.begin() + turn, asked.end());
  fetching_ = true;
  fetch_ = service::fetch_anywhere(
      shard_, std::move(command),
      [self = shared_from_this(),
       asked = std::move(asked)](std::vector<service::FetchOutcome> outcomes) mutable {
        // Through the loop: the answer may come before fetch() has returned its
        // handle.
        self->shard_.loop().post(
            [self, asked = std::move(asked), outcomes = std::move(outcomes)]() mutable {
              self->fetching_ = false;
              self->fetch_.reset();
              self->take_outcomes(asked, outcomes);
            });
      });
  rest();
}

void Feed::take_outcomes(const std::vector<Asked>& asked,
                         std::vector<service::FetchOutcome>& outcomes) {
  std::vector<PartitionKey> lost;
  for (std::size_t i = 0; i < asked.size() && events_ != nullptr; ++i) {
    Place* place = same(asked[i]);
    if (place == nullptr || place->paused || place->finding) continue;
    service::FetchOutcome& outcome = outcomes[i];
    if (outcome.code == ErrorCode::kOffsetOutOfRange) {
      lost.push_back(asked[i].key);
    } else if (may_pass(outcome.code)) {
      place->resting = true;  // deleted or moving: the group or the next look will tell
    } else if (outcome.code != ErrorCode::kNone) {
      return fail({outcome.code, outcome.detail});
    } else {
      for (common::Bytes& piece : outcome.pieces)
        decoder(asked[i].key, place->topic).add(asked[i].key.index, place->next, std::move(piece));
    }
  }
  if (events_ == nullptr) return;
  if (!lost.empty()) find(lost);
  rest();
  if (events_ != nullptr) events_->on_ready();
}

/// Looks again after a pause at what could not be read or held, if there is such a thing.
void Feed::rest() {
  if (events_ == nullptr || rest_timer_ != env::TimerId::kNone) return;
  const bool resting = std::any_of(places_.begin(), places_.end(),
                                   [](const auto& entry) { return entry.second.resting; });
  if (!resting && !short_of_memory_) return;
  rest_timer_ = shard_.loop().after(kRest, [self = shared_from_this()] {
    self->rest_timer_ = env::TimerId::kNone;
    self->short_of_memory_ = false;
    std::vector<PartitionKey> unknown;
    for (auto& [key, place] : self->places_) {
      if (std::exchange(place.resting, false) && !place.found) unknown.push_back(key);
    }
    if (!unknown.empty()) self->find(unknown);
    self->interrupt();
  });
}

RecordDecoder& Feed::decoder(const PartitionKey& key, const std::string& topic) {
  auto& decoder = decoders_[key.topic];
  if (decoder == nullptr) decoder = std::make_unique<RecordDecoder>(topic, unpacked_);
  return *decoder;
}

bool Feed::empty() const {
  return short_of_memory_ || std::all_of(decoders_.begin(), decoders_.end(),
                                         [](const auto& entry) { return entry.second->empty(); });
}

common::Result<model::TopicId> Feed::take(RecordDecoder::Portion portion,
                                          RecordDecoder::Records& out) {
  CHECK(!empty());
  // The topic after the one whose turn it was, around.
  auto next = decoders_.upper_bound(last_topic_);
  while (true) {
    if (next == decoders_.end()) next = decoders_.begin();
    if (!next->second->empty()) break;
    next = std::next(next);
  }
  last_topic_ = next->first;
  const auto taken = next->second->take(portion, out);
  if (!taken.ok() && taken.error().code == ErrorCode::kMemoryExhausted) {
    short_of_memory_ = true;
    rest();
    return last_topic_;
  }
  if (!taken.ok()) return taken.error();
  return last_topic_;
}

void Feed::fail(const Error& error) {
  if (events_ != nullptr) events_->on_feed_failed(error);
}

void Feed::close() {
  events_ = nullptr;
  if (fetch_ != nullptr) fetch_->cancel();
  if (rest_timer_ != env::TimerId::kNone) shard_.loop().cancel(rest_timer_);
  rest_timer_ = env::TimerId::kNone;
  decoders_.clear();
  places_.clear();
}

}  // namespace millrace::grpc
