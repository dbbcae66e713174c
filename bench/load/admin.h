// What is asked of the broker before and after a run: topics, leaders, offsets, producer ids.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bench/load/connection.h"
#include "bench/load/options.h"
#include "bench/load/wire.h"

namespace millrace::bench {

/// What Metadata says of one partition.
struct PartitionState {
  int leader = -1;  // node id; -1: nobody
  std::vector<std::int32_t> replicas;
  std::vector<std::int32_t> in_sync;
};
/// What one broker says of the cluster and the topic.
struct TopicState {
  std::map<int, Endpoint> brokers;
  int controller = -1;
  int error = 0;  // of the topic
  std::vector<PartitionState> partitions;
};
/// Asks once. nullopt: the connection is lost, or the answer is about another topic.
std::optional<TopicState> ask_topic(Session& session, const Options& options);

/// Who leads each partition of the topic, by partition. Waits until all have a leader, within
/// options.timeout_s.
std::vector<Endpoint> find_leaders(const Options& options);
/// The same asked once: nullopt when the connection is lost or any partition is without a leader.
std::optional<std::vector<Endpoint>> ask_leaders(Session& session, const Options& options);

/// Asks once for the topic with options.partitions and options.topic_configs. nullopt: the
/// connection is lost. Otherwise the error number; 36 (exists already) comes back as 0.
std::optional<int> ask_create(Session& session, const Options& options);
void create_topic(const Options& options);
void delete_topic(const Options& options);

/// A new id without transactions.
Producer new_producer(const Options& options);

/// The partitions of one broker.
struct LedPartitions {
  Endpoint leader;
  std::vector<int> partitions;
};
/// leaders: by partition. In the order of the first partition that each leads.
std::vector<LedPartitions> by_leader(const std::vector<Endpoint>& leaders);

/// First free offset of every partition; nullopt while one of them is not served yet.
std::optional<std::vector<std::int64_t>> end_offsets(const Options& options,
                                                     const std::vector<Endpoint>& leaders);

/// What one produce answer says. error: the first that is not 0.
struct ProduceAnswer {
  std::int32_t correlation;
  int error = 0;
  int partitions = 0;
  std::int64_t base_offset = -1;  // of the last partition named
};
/// answer: with its correlation id.
ProduceAnswer read_produce_answer(common::ByteView answer);

}  // namespace millrace::bench
