#include "bench/load/produce_lane.h"

#include <algorithm>
#include <numeric>

#include "bench/load/basics.h"

namespace millrace::bench {

std::vector<ProduceBody> encode_bodies(const Options& options, const std::vector<int>& partitions) {
  std::vector<ProduceBody> bodies;
  const auto step = static_cast<std::size_t>(options.request_partitions);
  for (std::size_t first = 0; first < partitions.size(); first += step) {
    std::vector<int> written;
    for (std::size_t i = 0; i < step; ++i)
      written.push_back(partitions[(first + i) % partitions.size()]);
    bodies.push_back(produce_body({options.topic, options.acks, written},
                                  {options.batch_records, options.record_bytes}));
  }
  return bodies;
}

ProduceLane::ProduceLane(const Options& options, const Endpoint& leader,
                         const std::vector<ProduceBody>& bodies, std::size_t first)
    : options_(options), bodies_(bodies), connection_(leader), next_(first % bodies.size()) {
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
    : options_(options), leaders_(find_leaders(options)) {
  const auto groups = by_leader(leaders_);
  if (options.request_partitions > 1 && groups.size() > 1)
    fail("the partitions of a request have several leaders");
  if (options.spread == Spread::kInTurn) {
    spread_in_turn(groups);
  } else {
    std::vector<int> all(leaders_.size());
    std::iota(all.begin(), all.end(), 0);
    bodies_.push_back(encode_bodies(options, all));
    for (std::size_t i = 0; i < static_cast<std::size_t>(options.connections); ++i)
      add_lane(leaders_[i % leaders_.size()], bodies_.front(), i);
  }
  watching_.resize(lanes_.size());
}

void ProduceLanes::spread_in_turn(const std::vector<LedPartitions>& groups) {
  const auto connections = static_cast<std::size_t>(options_.connections);
  if (connections < groups.size())
    fail("{} connections for {} leaders: some partitions would not be written", connections,
         groups.size());
  for (const LedPartitions& group : groups)
    bodies_.push_back(encode_bodies(options_, group.partitions));
  for (std::size_t i = 0; i < connections; ++i) {
    const std::size_t at = i % groups.size();
    // Evenly apart, so that they do not all write the same partition at once.
    add_lane(groups[at].leader, bodies_[at], i * bodies_[at].size() / connections);
  }
}

void ProduceLanes::add_lane(const Endpoint& leader, const std::vector<ProduceBody>& bodies,
                            std::size_t first) {
  const auto tag = static_cast<std::uint32_t>(lanes_.size());
  lanes_.push_back(std::make_unique<ProduceLane>(options_, leader, bodies, first));
  poller_.add(lanes_.back()->fd(), tag);
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
