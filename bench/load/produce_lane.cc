#include "bench/load/produce_lane.h"

#include <algorithm>

#include "bench/load/basics.h"

namespace millrace::bench {

std::vector<ProduceBody> encode_bodies(const Options& options) {
  std::vector<ProduceBody> bodies;
  const int step = options.request_partitions;
  for (int first = 0; first < options.partitions; first += step) {
    std::vector<int> partitions;
    for (int i = 0; i < step; ++i) partitions.push_back((first + i) % options.partitions);
    bodies.push_back(produce_body({options.topic, options.acks, partitions},
                                  {options.batch_records, options.record_bytes}));
  }
  return bodies;
}

ProduceLane::ProduceLane(const Options& options, const Endpoint& leader,
                         const std::vector<ProduceBody>& bodies, int index)
    : options_(options), bodies_(bodies), connection_(leader) {
  // In turn, the lanes start evenly apart, so that they do not all write the same partition at
  // once.
  const auto at = static_cast<std::size_t>(index);
  next_ = options.spread == Spread::kFixed
              ? at % bodies.size()
              : at * bodies.size() / static_cast<std::size_t>(options.connections);
  if (!options.idempotent) return;
  producer_ = new_producer(options);
  sequences_.resize(static_cast<std::size_t>(options.partitions));
  slots_.resize(static_cast<std::size_t>(options.in_flight));
}

common::ByteView ProduceLane::sequenced(const ProduceBody& body) {
  Buffer& copy = slots_[slot_];
  slot_ = (slot_ + 1) % slots_.size();
  copy = body.bytes;
  for (const auto& batch : body.batches) {
    std::int32_t& sequence = sequences_[static_cast<std::size_t>(batch.partition)];
    producer_.sequence = sequence;
    set_producer({copy.data() + batch.position, batch.size}, producer_);
    sequence += options_.batch_records;
  }
  return copy;
}

common::ByteView ProduceLane::next_body() {
  const ProduceBody& body = bodies_[next_];
  if (options_.spread == Spread::kInTurn) next_ = (next_ + 1) % bodies_.size();
  return options_.idempotent ? sequenced(body) : common::ByteView(body.bytes);
}

void ProduceLane::issue(std::int64_t stamp_ns, ProduceTotals& totals) {
  const std::int32_t correlation = correlation_++;
  connection_.queue(kProduceApi, correlation, next_body());
  under_way_.push_back({stamp_ns, correlation});
  ++totals.issued;
}

void ProduceLane::flush(ProduceTotals& totals) {
  const int sent = connection_.flush();
  if (options_.acks != 0) return;
  for (int i = 0; i < sent; ++i) under_way_.pop_front();
  totals.answered += sent;
}

void ProduceLane::read(std::int64_t now_ns, ProduceTotals& totals) {
  connection_.read_answers([&](common::ByteView bytes) {
    const ProduceAnswer answer = read_produce_answer(bytes);
    if (under_way_.empty() || answer.correlation != under_way_.front().correlation) {
      fail("answers out of order: request {}", answer.correlation);
    }
    if (answer.partitions != options_.request_partitions)
      fail("an answer about {} partitions", answer.partitions);
    totals.latency_ns.add(now_ns - under_way_.front().stamp_ns);
    under_way_.pop_front();
    last_base_offset_ = answer.base_offset;
    ++totals.answered;
    if (answer.error == 0) return;
    ++totals.errors;
    if (totals.first_error == 0) totals.first_error = answer.error;
  });
}

ProduceLanes::ProduceLanes(const Options& options)
    : bodies_(encode_bodies(options)), leaders_(find_leaders(options)) {
  if (options.spread == Spread::kInTurn || options.request_partitions > 1) {
    const bool one = std::all_of(leaders_.begin(), leaders_.end(),
                                 [&](const auto& l) { return l == leaders_[0]; });
    if (!one)
      fail(
          "the partitions of a connection have several leaders: write one partition per "
          "connection");
  }
  watching_.resize(static_cast<std::size_t>(options.connections));
  for (int i = 0; i < options.connections; ++i) {
    const auto partition = static_cast<std::size_t>(i % options.partitions);
    lanes_.push_back(std::make_unique<ProduceLane>(options, leaders_[partition], bodies_, i));
    poller_.add(lanes_.back()->fd(), static_cast<std::uint32_t>(i));
  }
}

void ProduceLanes::flush(std::size_t i, ProduceTotals& totals) {
  lanes_[i]->flush(totals);
  const bool blocked = !lanes_[i]->all_sent();
  if (blocked == watching_[i]) return;
  watching_[i] = blocked;
  poller_.watch_writable(lanes_[i]->fd(), static_cast<std::uint32_t>(i), blocked);
}

bool ProduceLanes::all_idle() const {
  return std::all_of(lanes_.begin(), lanes_.end(), [](const auto& lane) { return lane->idle(); });
}

}  // namespace millrace::bench
