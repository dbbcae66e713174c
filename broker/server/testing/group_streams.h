// class MyTest : public GroupStreams {};   Member member(*subscriber_);   member.join("g",
// "topic");
//
// A whole broker on a real disk and real sockets, and members of groups on streams.
#pragma once

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "broker/env/testing/both_worlds.h"
#include "broker/server/broker.h"
#include "millrace/v1/admin.grpc.pb.h"
#include "millrace/v1/publisher.grpc.pb.h"
#include "millrace/v1/subscriber.grpc.pb.h"

namespace millrace::server::testing {

inline constexpr auto kDeadline = std::chrono::seconds(60);

/// One call's context: no test waits for ever.
struct Call : ::grpc::ClientContext {
  Call() { set_deadline(std::chrono::system_clock::now() + kDeadline); }
  std::string error_name() const {
    const auto found = GetServerTrailingMetadata().find("millrace-error");
    if (found == GetServerTrailingMetadata().end()) return {};
    return {found->second.data(), found->second.size()};
  }
};

inline std::string address_of(const std::string& ready, const std::string& door) {
  const std::size_t begin = ready.find(door + "=") + door.size() + 1;
  return ready.substr(begin, ready.find(' ', begin) - begin);
}

/// One Subscribe call. Remembers what came, and answers Revoking unless it is told not to.
class Member {
 public:
  explicit Member(v1::Subscriber::Stub& stub) : stream_(stub.Subscribe(&call_)) {}
  ~Member() {
    if (finished_) return;
    call_.TryCancel();
    finish();
  }

  void send(const v1::SubscribeRequest& request) { stream_->Write(request); }
  void join(
      const std::string& group, const std::string& topic,
      const std::function<void(v1::Join&)>& more = [](v1::Join&) {}) {
    v1::SubscribeRequest request;
    v1::Join& join = *request.mutable_join();
    join.set_group(group);
    join.add_topics(topic);
    join.set_client_id("test");
    join.set_without_offset(v1::WITHOUT_OFFSET_EARLIEST);
    join.set_credit_records(1'000);
    more(join);
    send(request);
  }
  void credit(std::int64_t more) {
    v1::SubscribeRequest request;
    request.mutable_credit()->set_records(more);
    send(request);
  }
  void release() {
    v1::SubscribeRequest request;
    request.mutable_release()->set_revocation(revocation);
    send(request);
    has.clear();  // told again by what follows, if this was not everything
    for (const auto& place : kept_) has.insert(place);
  }
  void commit(std::vector<std::tuple<std::string, int, std::int64_t>> offsets, std::int64_t tag) {
    v1::SubscribeRequest request;
    request.mutable_commit()->set_tag(tag);
    for (const auto& [topic, partition, offset] : offsets) {
      v1::PartitionCommit& one = *request.mutable_commit()->add_offsets();
      one.set_topic(topic);
      one.set_partition(partition);
      one.set_offset(offset);
    }
    send(request);
  }
  void pause(const std::string& topic, int partition, bool resume) {
    v1::SubscribeRequest request;
    auto& some = resume ? *request.mutable_resume()->add_partitions()
                        : *request.mutable_pause()->add_partitions();
    some.set_topic(topic);
    some.add_partitions(partition);
    send(request);
  }
  /// Reads until the condition holds. False: the call ended first.
  bool until(const std::function<bool()>& condition) {
    while (!condition()) {
      v1::SubscribeResponse response;
      if (!stream_->Read(&response)) return false;
      take(response);
    }
    return true;
  }
  /// Leaves and waits for the end.
  ::grpc::Status leave(bool for_good = false) {
    v1::SubscribeRequest request;
    request.mutable_leave()->set_for_good(for_good);
    send(request);
    stream_->WritesDone();
    return drain();
  }
  /// Reads to the end.
  ::grpc::Status drain() {
    until([] { return false; });
    return finish();
  }
  void cancel() {
    call_.TryCancel();
    drain();
  }
  std::string error_name() const { return call_.error_name(); }
  std::vector<std::string> values() const {
    std::vector<std::string> all;
    for (const v1::Record& record : records) all.push_back(record.value());
    return all;
  }

  bool releases_at_once = true;
  std::string id;
  std::set<std::pair<std::string, int>> has;
  std::vector<v1::AssignedPartition> assigned;
  std::vector<v1::Record> records;
  std::vector<v1::Committed> commits;
  std::vector<v1::Repositioned> moves;
  std::int64_t revocation = 0;
  bool revoking = false;

 private:
  void take(const v1::SubscribeResponse& response) {
    switch (response.message_case()) {
      case v1::SubscribeResponse::kJoined:
        id = response.joined().member_id();
        break;
      case v1::SubscribeResponse::kAssigned:
        for (const v1::AssignedPartition& one : response.assigned().partitions()) {
          assigned.push_back(one);
          has.insert({one.topic(), one.partition()});
        }
        break;
      case v1::SubscribeResponse::kRecords:
        for (const v1::Record& record : response.records().records()) {
          EXPECT_TRUE(has.contains({record.topic(), record.partition()}))
              << "a record of a partition that is not this member's";
          records.push_back(record);
        }
        break;
      case v1::SubscribeResponse::kRevoking:
        revocation = response.revoking().revocation();
        kept_ = has;
        for (const v1::TopicPartitions& some : response.revoking().partitions()) {
          for (const int partition : some.partitions()) kept_.erase({some.topic(), partition});
        }
        revoking = true;
        if (releases_at_once) release();
        break;
      case v1::SubscribeResponse::kCommitted:
        commits.push_back(response.committed());
        break;
      case v1::SubscribeResponse::kRepositioned:
        moves.push_back(response.repositioned());
        break;
      case v1::SubscribeResponse::kLost:
      case v1::SubscribeResponse::MESSAGE_NOT_SET:
        break;
    }
  }
  ::grpc::Status finish() {
    finished_ = true;
    return stream_->Finish();
  }

  Call call_;
  std::unique_ptr<::grpc::ClientReaderWriter<v1::SubscribeRequest, v1::SubscribeResponse>> stream_;
  std::set<std::pair<std::string, int>> kept_;
  bool finished_ = false;
};

class GroupStreams : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_.emplace();
    Options options;
    options.config = {{"data.dir", folder_->path() + "/data"},
                      {"shards", "2"},
                      {"kafka.listen", "127.0.0.1:0"},
                      {"grpc.listen", "127.0.0.1:0"},
                      {"http.listen", "127.0.0.1:0"},
                      {"internal.listen", "127.0.0.1:0"},
                      {"journal.file.bytes", "8388608"},
                      {"journal.bytes.max", "33554432"},
                      {"group.consumer.heartbeat.interval.ms", "500"},
                      {"group.fetch.silence.ms", "1000"},
                      {"group.consumer.assignment.interval.ms", "0"}};
    auto started = Broker::start(options);
    CHECK(started.ok(), "{}", started.error().detail);
    broker_ = std::move(started).value();
    const auto channel = ::grpc::CreateChannel(address_of(broker_->ready_line(), "grpc"),
                                               ::grpc::InsecureChannelCredentials());
    admin_ = v1::Admin::NewStub(channel);
    publisher_ = v1::Publisher::NewStub(channel);
    subscriber_ = v1::Subscriber::NewStub(channel);
  }
  static void TearDownTestSuite() {
    broker_.reset();
    folder_.reset();
  }

  /// A topic of this test alone.
  static std::string make_topic(std::int32_t partitions = 1) {
    static int made = 0;
    v1::CreateTopicRequest request;
    request.set_name("topic-" + std::to_string(++made));
    request.set_partitions(partitions);
    v1::CreateTopicResponse response;
    Call call;
    const ::grpc::Status status = admin_->CreateTopic(&call, request, &response);
    CHECK(status.ok(), "{}", status.error_message());
    return request.name();
  }
  static void publish(const std::string& topic, std::int32_t partition,
                      const std::vector<std::string>& values) {
    v1::PublishRequest request;
    request.set_topic(topic);
    for (const std::string& value : values) {
      auto& record = *request.add_records();
      record.set_partition(partition);
      record.set_value(value);
    }
    v1::PublishResponse response;
    Call call;
    const ::grpc::Status status = publisher_->Publish(&call, request, &response);
    CHECK(status.ok(), "{}", status.error_message());
  }
  static v1::DescribeGroupResponse describe(const std::string& group) {
    v1::DescribeGroupRequest request;
    request.set_name(group);
    v1::DescribeGroupResponse response;
    Call call;
    const ::grpc::Status status = admin_->DescribeGroup(&call, request, &response);
    CHECK(status.ok(), "{}", status.error_message());
    return response;
  }
  /// -1: none.
  static std::int64_t committed(const std::string& group, std::int32_t partition) {
    const v1::DescribeGroupResponse described = describe(group);
    for (const v1::GroupPartition& row : described.partitions()) {
      if (row.partition() == partition && row.has_committed_offset()) return row.committed_offset();
    }
    return -1;
  }

  static inline std::optional<env::testing::TemporaryFolder> folder_;
  static inline std::unique_ptr<Broker> broker_;
  static inline std::unique_ptr<v1::Admin::Stub> admin_;
  static inline std::unique_ptr<v1::Publisher::Stub> publisher_;
  static inline std::unique_ptr<v1::Subscriber::Stub> subscriber_;
};

}  // namespace millrace::server::testing
