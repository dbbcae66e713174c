#include "bench/load/admin.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <thread>

#include "bench/load/basics.h"

namespace millrace::bench {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPause{20};
// Kafka refuses to make many more in one request.
constexpr int kCreatedAtOnce = 5000;
constexpr int kReplicaNotAvailable = 9;
constexpr int kLoadInProgress = 14;
constexpr int kTopicExists = 36;
constexpr int kInvalidReplicationFactor = 38;

milliseconds timeout_of(const Options& options) {
  return milliseconds(static_cast<std::int64_t>(options.timeout_s * 1000));
}

std::int64_t deadline_of(const Options& options) {
  return monotonic_ns() + static_cast<std::int64_t>(options.timeout_s * 1e9);
}

/// Answers that change nothing and may be asked again: fails when the connection is lost.
Buffer must_call(Session& session, Api api, const Buffer& body) {
  auto answer = session.open() ? session.call(api, body) : std::nullopt;
  if (!answer) fail("no answer from the broker");
  return std::move(*answer);
}

/// The first of the brokers that takes connections; the very first where none does.
const Endpoint& reachable(const Options& options) {
  for (const Endpoint& broker : options.bootstraps) {
    if (Session(broker, kPause).open()) return broker;
  }
  return options.bootstrap;
}

std::map<int, Endpoint> read_brokers(Reader& reader) {
  std::map<int, Endpoint> brokers;
  for (int count = reader.i32(); count > 0; --count) {
    const int id = reader.i32();
    const std::string host = reader.text();
    const int port = reader.i32();
    reader.text();  // rack
    brokers[id] = parse_endpoint(fmt::format("{}:{}", host, port));
  }
  return brokers;
}

}  // namespace

std::optional<TopicState> ask_topic(Session& session, const Options& options) {
  Buffer body;
  append_client_id(body);
  Writer writer(body);
  writer.i32(1);
  writer.text(options.topic);
  writer.i8(0);  // do not create it
  const auto answer = session.call(kMetadataApi, body);
  if (!answer) return std::nullopt;
  TopicState state;
  Reader reader(*answer);
  reader.i32();  // throttle
  state.brokers = read_brokers(reader);
  reader.text();  // cluster id
  state.controller = reader.i32();
  if (reader.i32() != 1) return std::nullopt;
  state.error = reader.i16();
  reader.text();
  reader.i8();
  state.partitions.resize(static_cast<std::size_t>(options.partitions));
  for (int count = reader.i32(); count > 0; --count) {
    const int partition_error = reader.i16();
    const auto number = static_cast<std::size_t>(reader.i32());
    PartitionState partition;
    partition.leader = reader.i32();
    partition.replicas = reader.i32s();
    partition.in_sync = reader.i32s();
    reader.i32s();  // offline
    // Replicas that are not available are an error beside a leader that is.
    if (partition_error != 0 && partition_error != kReplicaNotAvailable) partition.leader = -1;
    if (number < state.partitions.size()) state.partitions[number] = std::move(partition);
  }
  return state;
}

std::optional<std::vector<Endpoint>> ask_leaders(Session& session, const Options& options) {
  const auto state = ask_topic(session, options);
  if (!state || state->error != 0) return std::nullopt;
  std::vector<Endpoint> leaders;
  for (const PartitionState& partition : state->partitions) {
    const auto leader = state->brokers.find(partition.leader);
    if (leader == state->brokers.end()) return std::nullopt;
    leaders.push_back(leader->second);
  }
  return leaders;
}

std::vector<Endpoint> find_leaders(const Options& options) {
  const std::int64_t deadline = deadline_of(options);
  for (std::size_t turn = 0; monotonic_ns() < deadline; ++turn) {
    Session session(options.bootstraps[turn % options.bootstraps.size()], timeout_of(options));
    if (session.open()) {
      if (auto leaders = ask_leaders(session, options)) return std::move(*leaders);
    }
    std::this_thread::sleep_for(kPause);
  }
  fail("no leaders for all {} partitions of '{}' within {} s", options.partitions, options.topic,
       options.timeout_s);
}

std::optional<int> ask_create(Session& session, const Options& options) {
  Buffer body;
  append_client_id(body);
  Writer writer(body);
  writer.i32(1);
  writer.text(options.topic);
  writer.i32(std::min(options.partitions, kCreatedAtOnce));
  writer.i16(static_cast<std::int16_t>(options.replication));
  writer.i32(0);  // no assignment
  writer.i32(static_cast<std::int32_t>(options.topic_configs.size()));
  for (const auto& config : options.topic_configs) {
    const auto equals = config.find('=');
    if (equals == std::string::npos) fail("'{}' is not name=value", config);
    writer.text(config.substr(0, equals));
    writer.text(config.substr(equals + 1));
  }
  writer.i32(static_cast<std::int32_t>(timeout_of(options).count()));
  writer.i8(0);  // not only to validate
  const auto answer = session.call(kCreateTopicsApi, body);
  if (!answer) return std::nullopt;
  Reader reader(*answer);
  reader.i32();
  if (reader.i32() != 1) fail("an answer about no topic");
  reader.text();
  const int error = reader.i16();
  return error == kTopicExists ? 0 : error;
}

namespace {

/// Brings a topic that has fewer up to `partitions`.
void extend_topic(Session& session, const Options& options, int partitions) {
  Buffer body;
  append_client_id(body);
  Writer writer(body);
  writer.i32(1);
  writer.text(options.topic);
  writer.i32(partitions);
  writer.i32(-1);  // no assignment
  writer.i32(static_cast<std::int32_t>(timeout_of(options).count()));
  writer.i8(0);  // not only to validate
  const Buffer answer = must_call(session, kCreatePartitionsApi, body);
  Reader reader(answer);
  reader.i32();
  if (reader.i32() != 1) fail("an answer about no topic");
  reader.text();
  if (const int error = reader.i16(); error != 0)
    fail("{} partitions of '{}': error {}", partitions, options.topic, error);
}

}  // namespace

void create_topic(const Options& options) {
  const std::int64_t deadline = deadline_of(options);
  Session session(reachable(options), timeout_of(options));
  auto error = session.open() ? ask_create(session, options) : std::nullopt;
  // Of a cluster that was just started some brokers may not have registered yet.
  while (error == kInvalidReplicationFactor && monotonic_ns() < deadline) {
    std::this_thread::sleep_for(kPause);
    error = ask_create(session, options);
  }
  if (!error) fail("no answer from the broker");
  if (*error != 0) fail("create of '{}': error {}", options.topic, *error);
  for (int made = kCreatedAtOnce; made < options.partitions;) {
    made = std::min(made + kCreatedAtOnce, options.partitions);
    extend_topic(session, options, made);
  }
  // Metadata may name a leader that has not opened the partition yet.
  while (!end_offsets(options, find_leaders(options))) {
    if (monotonic_ns() > deadline)
      fail("'{}' is not served within {} s", options.topic, options.timeout_s);
    std::this_thread::sleep_for(kPause);
  }
}

void delete_topic(const Options& options) {
  Buffer body;
  append_client_id(body);
  Writer writer(body);
  writer.i32(1);
  writer.text(options.topic);
  writer.i32(static_cast<std::int32_t>(timeout_of(options).count()));
  Session session(reachable(options), timeout_of(options));
  const Buffer answer = must_call(session, kDeleteTopicsApi, body);
  Reader reader(answer);
  reader.i32();
  if (reader.i32() != 1) fail("an answer about no topic");
  reader.text();
  if (const int error = reader.i16(); error != 0)
    fail("delete of '{}': error {}", options.topic, error);
}

Producer new_producer(const Options& options) {
  Buffer body;
  append_client_id(body);
  Writer writer(body);
  writer.i16(-1);  // no transaction
  writer.i32(0);
  Session session(reachable(options), timeout_of(options));
  for (const std::int64_t deadline = deadline_of(options);;) {
    const Buffer answer = must_call(session, kInitProducerIdApi, body);
    Reader reader(answer);
    reader.i32();
    const int error = reader.i16();
    if (error == 0) {
      Producer producer;
      producer.id = reader.i64();
      producer.epoch = reader.i16();
      producer.sequence = 0;
      return producer;
    }
    if (error != kLoadInProgress || monotonic_ns() > deadline)
      fail("no producer id: error {}", error);
    std::this_thread::sleep_for(kPause);
  }
}

namespace {

/// Puts the first free offsets of these partitions, all led there, into `offsets`.
bool add_end_offsets(const Options& options, const Endpoint& leader,
                     const std::vector<int>& partitions, std::vector<std::int64_t>& offsets) {
  Buffer body;
  append_client_id(body);
  Writer writer(body);
  writer.i32(-1);  // a consumer
  writer.i8(0);    // read uncommitted
  writer.i32(1);
  writer.text(options.topic);
  writer.i32(static_cast<std::int32_t>(partitions.size()));
  for (const int partition : partitions) {
    writer.i32(partition);
    writer.i64(-1);  // the end
  }
  Session session(leader, timeout_of(options));
  const Buffer answer = must_call(session, kListOffsetsApi, body);
  Reader reader(answer);
  reader.i32();  // throttle
  reader.i32();  // one topic
  reader.text();
  for (int count = reader.i32(); count > 0; --count) {
    const auto partition = static_cast<std::size_t>(reader.i32());
    if (reader.i16() != 0) return false;
    reader.i64();  // timestamp
    offsets.at(partition) = reader.i64();
  }
  return true;
}

}  // namespace

std::optional<std::vector<std::int64_t>> end_offsets(const Options& options,
                                                     const std::vector<Endpoint>& leaders) {
  std::vector<std::int64_t> offsets(leaders.size());
  for (const auto& [leader, partitions] : by_leader(leaders)) {
    if (!add_end_offsets(options, leader, partitions, offsets)) return std::nullopt;
  }
  return offsets;
}

std::vector<LedPartitions> by_leader(const std::vector<Endpoint>& leaders) {
  std::vector<LedPartitions> groups;
  for (std::size_t partition = 0; partition < leaders.size(); ++partition) {
    auto group = std::find_if(groups.begin(), groups.end(), [&](const LedPartitions& one) {
      return one.leader == leaders[partition];
    });
    if (group == groups.end()) group = groups.insert(groups.end(), {leaders[partition], {}});
    group->partitions.push_back(static_cast<int>(partition));
  }
  return groups;
}

ProduceAnswer read_produce_answer(common::ByteView answer) {
  Reader reader(answer);
  ProduceAnswer result{.correlation = reader.i32()};
  for (int topics = reader.i32(); topics > 0; --topics) {
    reader.text();
    for (int partitions = reader.i32(); partitions > 0; --partitions) {
      reader.i32();
      const int error = reader.i16();
      if (error != 0 && result.error == 0) result.error = error;
      result.base_offset = reader.i64();
      reader.i64();  // append time
      reader.i64();  // log start
      for (int errors = reader.i32(); errors > 0; --errors) {
        reader.i32();
        reader.text();
      }
      reader.text();
      ++result.partitions;
    }
  }
  return result;
}

}  // namespace millrace::bench
