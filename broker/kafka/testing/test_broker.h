// TestBroker broker;   Client client = broker.connect();   auto response = client.call(request, 9);
//
// A broker of some shards in simulated time, without disk and network, and clients that speak the
// protocol to it.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/env/testing/sim_disk.h"
#include "broker/env/testing/sim_world.h"
#include "broker/kafka/server.h"
#include "broker/kafka/testing/memory_store.h"
#include "broker/kafka/testing/wire_end.h"
#include "broker/model/record.h"
#include "broker/service/loggers.h"
#include "broker/service/metadata_writer.h"
#include "broker/service/testing/fake_neighbours.h"
#include "broker/wire/header.h"
#include "broker/wire/messages/create_topics.h"
#include "broker/wire/messages/fetch.h"
#include "broker/wire/messages/produce.h"

namespace millrace::kafka::testing {

class TestBroker;

/// One whole answer: what follows the length.
struct Answer {
  common::Bytes frame;
  std::int32_t correlation_id() const;
};

/// One connection. Calls drive the simulated world until the answer is there.
class Client {
 public:
  Client(TestBroker& broker, std::shared_ptr<WireEnd> end)
      : broker_(&broker), end_(std::move(end)) {}

  /// Sends a request; its correlation id is answered.
  template <typename Request>
  std::int32_t send(const Request& request, std::int16_t version) {
    const std::int32_t id = next_id_++;
    end_->send(wire::encode_request(request, version, id, "test").joined().text());
    return id;
  }
  void send_bytes(std::string_view bytes) { end_->send(bytes); }
  /// The next answer, whatever it answers; nullopt: none came within simulated `limit`, or the
  /// connection was closed.
  std::optional<Answer> receive(common::Duration limit = std::chrono::seconds(60));
  /// The next answer, which must be to request `id`.
  template <typename Request>
  typename Request::Response receive_as(std::int32_t id, std::int16_t version) {
    using Response = typename Request::Response;
    const auto answer = receive();
    EXPECT_TRUE(answer.has_value()) << "no answer";
    if (!answer.has_value()) return {};
    EXPECT_EQ(answer->correlation_id(), id);
    return decode<Response>(*answer, version);
  }
  template <typename Response>
  static Response decode(const Answer& answer, std::int16_t version) {
    wire::Reader in(answer.frame);
    in.i32("correlation_id");
    if (wire::response_header_version(Response::kKey, version) >= 1) in.skip_tags("header");
    auto response = Response::decode(in, version);
    EXPECT_TRUE(response.ok()) << (response.ok() ? "" : response.error().detail);
    EXPECT_EQ(in.remaining(), 0u) << "bytes behind the answer";
    return response.ok() ? std::move(response).value() : Response{};
  }
  template <typename Request>
  typename Request::Response call(const Request& request,
                                  std::int16_t version = Request::kVersionMax) {
    return receive_as<Request>(send(request, version), version);
  }
  /// Whether the broker ended the connection, after all that is due within `limit` has happened.
  bool closed(common::Duration limit = std::chrono::seconds(1));
  WireEnd& end() { return *end_; }

 private:
  TestBroker* broker_;
  std::shared_ptr<WireEnd> end_;
  std::string received_;
  std::int32_t next_id_ = 1;
};

/// Levels that only tests see.
class MemoryLoggers final : public service::Loggers {
 public:
  std::map<std::string, std::string> levels() const override { return levels_; }
  model::Result<void> set_level(const std::string& logger, std::string_view level) override {
    levels_[logger] = level;
    return common::ok();
  }

 private:
  std::map<std::string, std::string> levels_{{std::string(service::kRootLogger), "INFO"}};
};

struct TestBrokerOptions {
  std::uint32_t shards = 1;
  Limits limits;
  model::ConfigMap config;
  bool serve = true;
  /// What clients are told to connect to; an empty host: where they came.
  env::Endpoint advertised{"broker.test", 9092};
  /// Of a cluster, whose other brokers are what the test says (TestBroker::others).
  bool neighbours = false;
};

class TestBroker {
 public:
  explicit TestBroker(TestBrokerOptions options = {});
  ~TestBroker();

  /// `listener`: the one that the client comes by.
  Client connect(std::size_t shard = 0, const std::string& listener = std::string(kMainListener));
  env::testing::SimWorld& world() { return world_; }
  service::Shard& shard(std::size_t i = 0) { return *shards_[i]; }
  Server& server(std::size_t i = 0) { return *servers_[i]; }
  MemoryStoreOptions& storage() { return *storage_; }
  const std::vector<std::string>& log() const { return log_; }
  ConnectionCount& connections() { return *connections_; }
  /// What the shards believe of other brokers.
  service::testing::FakeNeighbours& others() { return others_; }
  /// Another broker registers, at broker-ID.test:9092.
  void enroll(model::BrokerId id, const std::string& rack = "");
  /// A registered broker, or this one (0), tells where clients outside find it, in place of what
  /// it told before.
  void tell_outside(model::BrokerId id, std::vector<metadata::Endpoint> endpoints);
  /// Ends everything in the order of a clean stop.
  void stop();

  /// A topic with so many partitions; its id.
  model::TopicId create_topic(const std::string& name, std::int32_t partitions = 1,
                              std::vector<wire::CreateTopicsRequest::Config> configs = {});

 private:
  template <typename Command>
  void change(Command command);

  env::testing::SimWorld world_{42};
  env::testing::SimDisk hardware_{world_};
  std::vector<env::testing::SimLoop*> loops_;
  std::vector<std::unique_ptr<env::Disk>> disks_;
  std::shared_ptr<MemoryStoreOptions> storage_ = std::make_shared<MemoryStoreOptions>();
  std::shared_ptr<ConnectionCount> connections_ = std::make_shared<ConnectionCount>();
  std::unique_ptr<env::Transport> transport_;
  MemoryLoggers loggers_;
  service::testing::FakeNeighbours others_;
  std::vector<std::unique_ptr<service::Shard>> shards_;
  std::unique_ptr<service::MetadataWriter> writer_;
  std::vector<std::unique_ptr<Server>> servers_;
  std::vector<std::string> log_;
};

/// One batch with a record per value, a millisecond apart.
common::Bytes batch_of(const std::vector<std::string>& values, model::BatchOptions options = {},
                       common::Timestamp first = common::Timestamp{1'700'000'000'000});
/// The values of all records in whole batches.
std::vector<std::string> values_in(const wire::Chunks& records);

/// A Produce of one batch to one partition, by name or by id as the version asks.
wire::ProduceRequest produce_request(const std::string& topic, const model::TopicId& id,
                                     std::int32_t partition, common::Bytes records,
                                     std::int16_t acks = -1);

}  // namespace millrace::kafka::testing
