// Somebody who writes to a topic.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "broker/model/batch.h"
#include "broker/wire/messages/produce.h"
#include "tests/sim/client/client.h"
#include "tests/sim/history.h"
#include "tests/sim/workload/actor.h"

namespace millrace::sim {

struct ProducerPlan {
  std::string topic;
  Promise promise = Promise::kExactlyOnce;
  std::int16_t acks = -1;
  /// Mean time between two batches.
  Duration interval = std::chrono::milliseconds(20);
  std::int32_t records_max = 5;  // of a batch
  std::size_t bytes_max = 100;   // of a record
  std::size_t in_flight_max = 1;
  model::Compression compression = model::Compression::kNone;
  /// Now and then it dies and starts anew, as another writer.
  bool restarts = false;
};

/// Writes to partitions at random, as a client library does: several batches per partition on their
/// way, retries in order until they are acknowledged (or never, without a promise).
class Producer final : public Actor {
 public:
  Producer(Client::Parts client, History& history, ProducerPlan plan);
  void start() override;
  void finish() override;
  std::string unfinished() const override;
  bool writes() const override { return true; }

 private:
  struct Batch {
    WriteId write{};
    Bytes bytes;
    bool in_flight = false;
  };
  /// One partition's batches, oldest first.
  struct Lane {
    std::deque<Batch> batches;
    std::size_t in_flight = 0;
    std::int32_t next_sequence = 0;
    bool known = false;   // something was acknowledged
    bool failed = false;  // nothing more leaves until all that is under way is back
    bool pausing = false;
  };
  /// One request: which batch of which partition.
  using Cargo = std::map<std::int32_t, WriteId>;

  void begin_anew();
  void ask_producer_id();
  void write_soon();
  void write_one();
  Bytes make_batch(WriteId write, std::int32_t records, std::int32_t sequence);
  void pump();
  Batch* next_batch(std::int32_t partition);
  void send(std::int32_t node, const Cargo& cargo);
  void take(std::uint32_t life, const Cargo& cargo, const Result<wire::ProduceResponse>& answer);
  void take_one(std::int32_t partition, WriteId write, model::ErrorCode code, Offset base);
  void retry(std::int32_t partition);
  bool is_first(const Lane& lane, WriteId write) const;
  void refresh_after(Duration delay);

  Client client_;
  History& history_;
  ProducerPlan plan_;
  WriterId writer_{};
  std::uint32_t life_ = 0;  // counts restarts
  std::int64_t producer_id_ = -1;
  std::int16_t producer_epoch_ = -1;
  std::map<std::int32_t, Lane> lanes_;
  bool finishing_ = false;
  bool refresh_set_ = false;
};

}  // namespace millrace::sim
