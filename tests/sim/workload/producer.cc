#include "tests/sim/workload/producer.h"

#include <algorithm>
#include <utility>

#include "broker/model/record.h"
#include "broker/wire/messages/init_producer_id.h"

namespace millrace::sim {

using model::ErrorCode;

namespace {

constexpr Duration kRequestTimeout = std::chrono::seconds(4);
constexpr std::size_t kWaitingMax = 12;  // batches of one partition
constexpr std::uint64_t kRestartOneIn = 150;

/// What makes a producer try again.
bool passes(ErrorCode code) {
  return model::error_row(code).retriable && code != ErrorCode::kCorruptMessage;
}

}  // namespace

Producer::Producer(Client::Parts client, History& history, ProducerPlan plan)
    : client_(std::move(client)), history_(history), plan_(std::move(plan)) {
  client_.track(plan_.topic);
  // Older requests do not have it.
  constexpr std::int16_t kZstdVersionMin = 7;
  if (client_.version<wire::ProduceRequest>() < kZstdVersionMin &&
      plan_.compression == model::Compression::kZstd)
    plan_.compression = model::Compression::kNone;
}

void Producer::start() {
  begin_anew();
  refresh_after(Duration{0});
  write_soon();
}

void Producer::finish() {
  finishing_ = true;
}

std::string Producer::unfinished() const {
  std::size_t waiting = 0;
  for (const auto& [partition, lane] : lanes_) waiting += lane.batches.size();
  if (waiting == 0) return {};
  return fmt::format("{}: {} batches are not acknowledged", client_.name(), waiting);
}

void Producer::begin_anew() {
  ++life_;
  lanes_.clear();
  writer_ = history_.new_writer(plan_.promise);
  producer_id_ = -1;
  if (plan_.promise == Promise::kExactlyOnce) ask_producer_id();
}

void Producer::ask_producer_id() {
  wire::InitProducerIdRequest request;
  request.transactional_id.reset();
  request.transaction_timeout_ms = 60'000;
  client_.call(Client::kAnyNode, request, kRequestTimeout,
               [this, life = life_](const Result<wire::InitProducerIdResponse>& answer) {
                 if (life != life_) return;
                 if (!answer.ok() || answer->error_code != 0) {
                   client_.loop().after(client_.pause(), [this] { ask_producer_id(); });
                   return;
                 }
                 history_.producer_id_given(answer->producer_id, answer->producer_epoch);
                 producer_id_ = answer->producer_id;
                 producer_epoch_ = answer->producer_epoch;
                 client_.trace().say(client_.name(), "is producer {}", producer_id_);
                 pump();
               });
}

void Producer::write_soon() {
  const Duration delay{static_cast<std::int64_t>(
      client_.random().below(static_cast<std::uint64_t>(2 * plan_.interval.count()) + 1))};
  client_.loop().after(delay, [this] {
    if (finishing_) return;
    if (plan_.restarts && client_.random().chance(1, kRestartOneIn)) begin_anew();
    write_one();
    write_soon();
  });
}

void Producer::write_one() {
  const TopicView* const view = client_.topic(plan_.topic);
  const bool has_id = plan_.promise != Promise::kExactlyOnce || producer_id_ >= 0;
  if (view == nullptr || view->leaders.empty() || !has_id) return refresh_after(client_.pause());
  const auto partition = static_cast<std::int32_t>(client_.random().below(view->leaders.size()));
  Lane& lane = lanes_[partition];
  if (lane.batches.size() >= kWaitingMax) return;
  const auto records = static_cast<std::int32_t>(client_.random().between(1, plan_.records_max));
  const WriteId write =
      history_.begin(writer_, {view->id, model::PartitionIndex{partition}}, records);
  lane.batches.push_back({write, make_batch(write, records, lane.next_sequence)});
  lane.next_sequence = model::advance_sequence(lane.next_sequence, records);
  pump();
}

Bytes Producer::make_batch(WriteId write, std::int32_t records, std::int32_t sequence) {
  model::BatchOptions options;
  options.compression = plan_.compression;
  if (plan_.promise == Promise::kExactlyOnce) {
    options.producer_id = model::ProducerId{producer_id_};
    options.producer_epoch = producer_epoch_;
    options.base_sequence = sequence;
  }
  model::BatchBuilder builder(options);
  for (std::int32_t i = 0; i < records; ++i) {
    std::string value = history_.value(write, i) + ' ';
    value.append(client_.random().below(plan_.bytes_max + 1), 'x');
    builder.append({.timestamp = client_.loop().clock().wall(),
                    .key = std::nullopt,
                    .value = common::as_bytes(value),
                    .headers = {}});
  }
  return builder.build();
}

Producer::Batch* Producer::next_batch(std::int32_t partition) {
  Lane& lane = lanes_[partition];
  // Until a broker knows the producer it takes any sequence for its first one, as Kafka's does:
  // what follows the first batch waits for it.
  const std::size_t in_flight_max = lane.known ? plan_.in_flight_max : 1;
  if (lane.failed || lane.in_flight >= in_flight_max) return nullptr;
  for (Batch& batch : lane.batches)
    if (!batch.in_flight) return &batch;
  return nullptr;
}

void Producer::pump() {
  for (;;) {
    // One batch of each partition that may send, together where they have one leader.
    std::map<std::int32_t, Cargo> requests;
    bool homeless = false;
    for (auto& [partition, lane] : lanes_) {
      Batch* const batch = next_batch(partition);
      if (batch == nullptr) continue;
      const std::int32_t node = client_.leader(plan_.topic, partition);
      if (node < 0) {
        homeless = true;
        continue;
      }
      requests[node].emplace(partition, batch->write);
      batch->in_flight = true;
      ++lane.in_flight;
    }
    if (homeless) refresh_after(client_.pause());
    if (requests.empty()) return;
    for (const auto& [node, cargo] : requests) send(node, cargo);
  }
}

void Producer::send(std::int32_t node, const Cargo& cargo) {
  wire::ProduceRequest request;
  request.acks = plan_.acks;
  request.timeout_ms = 2000;
  auto& topic = request.topic_data.emplace_back();
  topic.name = plan_.topic;
  topic.topic_id = client_.topic(plan_.topic)->id;
  for (const auto& [partition, write] : cargo) {
    const auto& batches = lanes_[partition].batches;
    const auto batch = std::ranges::find(batches, write, &Batch::write);
    history_.sent(write);
    topic.partition_data.push_back({partition, wire::Chunks(batch->bytes)});
  }
  if (plan_.acks != 0) {
    return client_.call(node, request, kRequestTimeout,
                        [this, life = life_, cargo](Result<wire::ProduceResponse> answer) {
                          take(life, cargo, answer);
                        });
  }
  client_.tell(node, request);
  for (const auto& [partition, write] : cargo) {
    Lane& lane = lanes_[partition];
    --lane.in_flight;
    std::erase_if(lane.batches, [write = write](const Batch& b) { return b.write == write; });
  }
}

void Producer::take(std::uint32_t life, const Cargo& cargo,
                    const Result<wire::ProduceResponse>& answer) {
  if (life != life_) return;
  for (const auto& [partition, write] : cargo) {
    if (!answer.ok()) {
      take_one(partition, write, answer.error().code, Offset{-1});
      continue;
    }
    const wire::ProduceResponse::Partition* told = nullptr;
    for (const auto& topic : answer->responses) {
      for (const auto& one : topic.partition_responses)
        if (one.index == partition) told = &one;
    }
    if (told == nullptr) {
      client_.trace().fail(
          fmt::format("{}: nothing was answered for partition {}", client_.name(), partition));
      continue;
    }
    take_one(partition, write, code_of(told->error_code), Offset{told->base_offset});
  }
  pump();
}

void Producer::take_one(std::int32_t partition, WriteId write, ErrorCode code, Offset base) {
  Lane& lane = lanes_[partition];
  const auto batch = std::ranges::find(lane.batches, write, &Batch::write);
  CHECK(batch != lane.batches.end() && batch->in_flight, "an answer to nothing");
  batch->in_flight = false;
  --lane.in_flight;
  const bool duplicate = code == ErrorCode::kDuplicateSequenceNumber;
  if (code == ErrorCode::kNone || duplicate) lane.known = true;
  if (code == ErrorCode::kNone || duplicate || plan_.promise == Promise::kNone) {
    if (code == ErrorCode::kNone && plan_.promise != Promise::kNone) {
      history_.acknowledged(write, base);
    } else if (duplicate) {
      history_.acknowledged_before(write);
    }
    if (code != ErrorCode::kNone) refresh_after(client_.pause());
    lane.batches.erase(batch);
    if (lane.failed) retry(partition);
    return;
  }
  // Behind one that has to go again, the next ones come out of turn.
  const bool overtook = code == ErrorCode::kOutOfOrderSequenceNumber && !is_first(lane, write);
  client_.trace().say(client_.name(), "batch {} for {}-{}: {}", static_cast<std::uint32_t>(write),
                      plan_.topic, partition, name_of(code));
  if (!passes(code) && !overtook && code != ErrorCode::kBrokerNotAvailable) {
    client_.trace().fail(fmt::format("{}: a produce to {}-{} was answered {}", client_.name(),
                                     plan_.topic, partition, name_of(code)));
  }
  lane.failed = true;
  retry(partition);
}

bool Producer::is_first(const Lane& lane, WriteId write) const {
  return lane.batches.front().write == write;
}

void Producer::retry(std::int32_t partition) {
  Lane& lane = lanes_[partition];
  if (lane.in_flight > 0 || std::exchange(lane.pausing, true)) return;
  refresh_after(client_.pause());
  client_.loop().after(client_.pause() * 2, [this, partition, life = life_] {
    if (life != life_) return;
    Lane& again = lanes_[partition];
    again.failed = false;
    again.pausing = false;
    pump();
  });
}

void Producer::refresh_after(Duration delay) {
  if (std::exchange(refresh_set_, true)) return;
  client_.loop().after(delay, [this] {
    client_.refresh([this](bool fresh) {
      refresh_set_ = false;
      if (!fresh) return refresh_after(client_.pause());
      pump();
    });
  });
}

}  // namespace millrace::sim
