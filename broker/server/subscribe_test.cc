// A whole broker on a real disk and real sockets: members of groups on streams, and what Admin says
// and does of groups.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <set>

#include "broker/env/testing/both_worlds.h"
#include "broker/server/broker.h"
#include "millrace/v1/admin.grpc.pb.h"
#include "millrace/v1/publisher.grpc.pb.h"
#include "millrace/v1/subscriber.grpc.pb.h"

namespace millrace::server {
namespace {

using ::grpc::ClientContext;
using ::grpc::Status;
using ::grpc::StatusCode;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr auto kDeadline = std::chrono::seconds(60);

/// One call's context: no test waits for ever.
struct Call : ClientContext {
  Call() { set_deadline(std::chrono::system_clock::now() + kDeadline); }
  std::string error_name() const {
    const auto found = GetServerTrailingMetadata().find("millrace-error");
    if (found == GetServerTrailingMetadata().end()) return {};
    return {found->second.data(), found->second.size()};
  }
};

std::string address_of(const std::string& ready, const std::string& door) {
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
  Status leave(bool for_good = false) {
    v1::SubscribeRequest request;
    request.mutable_leave()->set_for_good(for_good);
    send(request);
    stream_->WritesDone();
    return drain();
  }
  /// Reads to the end.
  Status drain() {
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
  Status finish() {
    finished_ = true;
    return stream_->Finish();
  }

  Call call_;
  std::unique_ptr<::grpc::ClientReaderWriter<v1::SubscribeRequest, v1::SubscribeResponse>> stream_;
  std::set<std::pair<std::string, int>> kept_;
  bool finished_ = false;
};

class Subscribe : public ::testing::Test {
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
    const Status status = admin_->CreateTopic(&call, request, &response);
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
    const Status status = publisher_->Publish(&call, request, &response);
    CHECK(status.ok(), "{}", status.error_message());
  }
  static v1::DescribeGroupResponse describe(const std::string& group) {
    v1::DescribeGroupRequest request;
    request.set_name(group);
    v1::DescribeGroupResponse response;
    Call call;
    const Status status = admin_->DescribeGroup(&call, request, &response);
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

// ---- Records, credit, commits

TEST_F(Subscribe, ReadsCommitsAndGoesOnThere) {
  const std::string topic = make_topic();
  publish(topic, 0, {"a", "b", "c"});
  {
    Member member(*subscriber_);
    member.join("reads", topic);
    ASSERT_TRUE(member.until([&] { return member.records.size() == 3; }));
    EXPECT_THAT(member.values(), ElementsAre("a", "b", "c"));
    EXPECT_NE(member.id, "");
    EXPECT_FALSE(member.assigned.at(0).committed());
    member.commit({{topic, 0, 2}}, 77);
    ASSERT_TRUE(member.until([&] { return !member.commits.empty(); }));
    EXPECT_EQ(member.commits[0].tag(), 77);
    EXPECT_EQ(member.commits[0].results(0).error(), "");
    publish(topic, 0, {"d"});
    ASSERT_TRUE(member.until([&] { return member.records.size() == 4; }));
    EXPECT_TRUE(member.leave().ok());
  }
  EXPECT_EQ(committed("reads", 0), 2);
  Member again(*subscriber_);
  again.join("reads", topic);
  ASSERT_TRUE(again.until([&] { return again.records.size() == 2; }));
  EXPECT_THAT(again.values(), ElementsAre("c", "d"));
  EXPECT_TRUE(again.assigned.at(0).committed());
}

TEST_F(Subscribe, NothingComesWithoutCredit) {
  const std::string topic = make_topic();
  publish(topic, 0, {"a", "b", "c", "d", "e"});
  Member member(*subscriber_);
  member.join("credit", topic, [](v1::Join& join) { join.set_credit_records(2); });
  ASSERT_TRUE(member.until([&] { return member.records.size() == 2; }));
  // An answer to a commit comes after what would have come without it.
  member.commit({{topic, 0, 1}}, 1);
  ASSERT_TRUE(member.until([&] { return member.commits.size() == 1; }));
  EXPECT_THAT(member.records, SizeIs(2));
  member.credit(1);
  ASSERT_TRUE(member.until([&] { return member.records.size() == 3; }));
  member.credit(10);
  ASSERT_TRUE(member.until([&] { return member.records.size() == 5; }));
  EXPECT_THAT(member.values(), ElementsAre("a", "b", "c", "d", "e"));
}

TEST_F(Subscribe, BytesAreCreditToo) {
  const std::string topic = make_topic();
  publish(topic, 0, std::vector<std::string>(10, std::string(1'000, 'v')));
  Member member(*subscriber_);
  member.join("bytes", topic, [](v1::Join& join) { join.set_credit_bytes(2'500); });
  ASSERT_TRUE(member.until([&] { return member.records.size() >= 2; }));
  member.commit({{topic, 0, 1}}, 1);
  ASSERT_TRUE(member.until([&] { return member.commits.size() == 1; }));
  EXPECT_LE(member.records.size(), 3u);
  member.credit(static_cast<std::int64_t>(member.records.size()));
  const std::size_t before = member.records.size();
  ASSERT_TRUE(member.until([&] { return member.records.size() > before; }))
      << "their bytes came back";
}

// Goal: what credit was given back for is committed, and nothing else. Method: five records come,
// three are done with.
TEST_F(Subscribe, CommitsByItselfWhatIsDoneWith) {
  const std::string topic = make_topic();
  publish(topic, 0, {"a", "b", "c", "d", "e"});
  Member member(*subscriber_);
  member.join("auto", topic, [](v1::Join& join) { join.set_auto_commit_interval_ms(3'600'000); });
  ASSERT_TRUE(member.until([&] { return member.records.size() == 5; }));
  member.credit(3);
  EXPECT_TRUE(member.leave().ok());
  EXPECT_EQ(committed("auto", 0), 3);
}

TEST_F(Subscribe, CommitsByItselfInTime) {
  const std::string topic = make_topic();
  publish(topic, 0, {"a", "b"});
  Member member(*subscriber_);
  member.join("timer", topic, [](v1::Join& join) { join.set_auto_commit_interval_ms(10); });
  ASSERT_TRUE(member.until([&] { return member.records.size() == 2; }));
  member.credit(2);
  const auto end = std::chrono::steady_clock::now() + kDeadline;
  while (committed("timer", 0) != 2) ASSERT_LT(std::chrono::steady_clock::now(), end);
}

TEST_F(Subscribe, AnEmptyCommitIsWhatIsDoneWith) {
  const std::string topic = make_topic(2);
  publish(topic, 0, {"a", "b"});
  Member member(*subscriber_);
  member.join("done", topic);
  ASSERT_TRUE(member.until([&] { return member.records.size() == 2; }));
  member.credit(1);
  member.commit({}, 5);
  ASSERT_TRUE(member.until([&] { return !member.commits.empty(); }));
  ASSERT_EQ(member.commits[0].results_size(), 2);
  EXPECT_EQ(committed("done", 0), 1);
  EXPECT_EQ(committed("done", 1), 0);
}

TEST_F(Subscribe, PausedPartitionsKeepTheirPlace) {
  const std::string topic = make_topic(2);
  Member member(*subscriber_);
  member.join("pause", topic);
  ASSERT_TRUE(member.until([&] { return member.has.size() == 2; }));
  member.pause(topic, 0, false);
  // Answered after the pause was taken up.
  member.commit({{topic, 0, 0}}, 1);
  ASSERT_TRUE(member.until([&] { return member.commits.size() == 1; }));
  publish(topic, 0, {"a"});
  publish(topic, 1, {"x"});
  ASSERT_TRUE(member.until([&] { return member.records.size() == 1; }));
  EXPECT_THAT(member.values(), ElementsAre("x"));
  publish(topic, 1, {"y"});
  ASSERT_TRUE(member.until([&] { return member.records.size() == 2; }));
  EXPECT_THAT(member.values(), ElementsAre("x", "y"));
  member.pause(topic, 0, true);
  ASSERT_TRUE(member.until([&] { return member.records.size() == 3; }));
  EXPECT_THAT(member.values(), ElementsAre("x", "y", "a"));
}

// Goal: records that are deleted under a member do not stop it, and it is told. Method: commit 0,
// delete the first two.
TEST_F(Subscribe, GoesOnWhereTheLogBegins) {
  const std::string topic = make_topic();
  publish(topic, 0, {"a", "b", "c"});
  Member first(*subscriber_);
  first.join("trimmed", topic);
  ASSERT_TRUE(first.until([&] { return first.records.size() == 3; }));
  first.commit({{topic, 0, 0}}, 1);
  ASSERT_TRUE(first.until([&] { return first.commits.size() == 1; }));
  EXPECT_TRUE(first.leave().ok());
  v1::DeleteRecordsRequest removal;
  removal.set_topic(topic);
  (*removal.mutable_before())[0] = 2;
  v1::DeleteRecordsResponse removed;
  ASSERT_TRUE(admin_->DeleteRecords(std::make_unique<Call>().get(), removal, &removed).ok());
  Member second(*subscriber_);
  second.join("trimmed", topic);
  ASSERT_TRUE(second.until([&] { return second.records.size() == 1; }));
  EXPECT_THAT(second.values(), ElementsAre("c"));
  ASSERT_THAT(second.moves, SizeIs(1));
  EXPECT_EQ(second.moves[0].from(), 0);
  EXPECT_EQ(second.moves[0].to(), 2);
}

// ---- Sharing

TEST_F(Subscribe, TwoShareAndOneThatBreaksLeavesItsPart) {
  const std::string topic = make_topic(4);
  Member first(*subscriber_);
  first.join("share", topic);
  ASSERT_TRUE(first.until([&] { return first.has.size() == 4; }));
  std::optional<Member> second(std::in_place, *subscriber_);
  second->join("share", topic);
  ASSERT_TRUE(first.until([&] { return first.has.size() == 2; }));
  ASSERT_TRUE(second->until([&] { return second->has.size() == 2; }));
  for (const auto& place : first.has) EXPECT_FALSE(second->has.contains(place));
  const v1::DescribeGroupResponse both = describe("share");
  EXPECT_EQ(both.group().type(), "consumer");
  EXPECT_EQ(both.members_size(), 2);
  EXPECT_EQ(both.members(0).host(), "/127.0.0.1");
  EXPECT_EQ(both.members(0).client_id(), "test");
  second->cancel();
  ASSERT_TRUE(first.until([&] { return first.has.size() == 4; }));
  EXPECT_EQ(describe("share").members_size(), 1);
}

// Goal: what is revoked is committed and released before somebody else reads it. Method: the first
// member commits everything when it is asked to release.
TEST_F(Subscribe, NothingComesTwiceWhenItIsCommittedBeforeTheRelease) {
  const std::string topic = make_topic(2);
  publish(topic, 0, {"a", "b"});
  publish(topic, 1, {"x", "y"});
  Member first(*subscriber_);
  first.releases_at_once = false;
  first.join("handover", topic);
  ASSERT_TRUE(first.until([&] { return first.records.size() == 4; }));
  Member second(*subscriber_);
  second.join("handover", topic);
  ASSERT_TRUE(first.until([&] { return first.revoking; }));
  first.commit({{topic, 0, 2}, {topic, 1, 2}}, 1);
  first.release();
  ASSERT_TRUE(second.until([&] { return second.has.size() == 1; }));
  EXPECT_EQ(second.assigned.at(0).offset(), 2);
  publish(topic, second.assigned[0].partition(), {"new"});
  ASSERT_TRUE(second.until([&] { return !second.records.empty(); }));
  EXPECT_THAT(second.values(), ElementsAre("new"));
}

TEST_F(Subscribe, AStaticMemberComesBackToItsPartitions) {
  const std::string topic = make_topic(4);
  const auto named = [](const std::string& name) {
    return [name](v1::Join& join) { join.set_instance_id(name); };
  };
  Member other(*subscriber_);
  other.join("static", topic, named("other"));
  ASSERT_TRUE(other.until([&] { return other.has.size() == 4; }));
  std::optional<Member> one(std::in_place, *subscriber_);
  one->join("static", topic, named("one"));
  ASSERT_TRUE(other.until([&] { return other.has.size() == 2; }));
  ASSERT_TRUE(one->until([&] { return one->has.size() == 2; }));
  const auto had = one->has;
  one->cancel();
  one.emplace(*subscriber_);
  one->join("static", topic, named("one"));
  ASSERT_TRUE(one->until([&] { return one->has.size() == 2; }));
  EXPECT_EQ(one->has, had);
  EXPECT_THAT(other.has, SizeIs(2));
  EXPECT_TRUE(one->leave(true).ok());
  ASSERT_TRUE(other.until([&] { return other.has.size() == 4; })) << "it left for good";
}

TEST_F(Subscribe, TopicsOfARegex) {
  Member member(*subscriber_);
  v1::SubscribeRequest request;
  request.mutable_join()->set_group("regex");
  request.mutable_join()->set_topic_regex("ledger-[0-9]+");
  request.mutable_join()->set_credit_records(10);
  request.mutable_join()->set_without_offset(v1::WITHOUT_OFFSET_EARLIEST);
  member.send(request);
  v1::CreateTopicRequest topic;
  topic.set_name("ledger-1");
  topic.set_partitions(1);
  v1::CreateTopicResponse made;
  ASSERT_TRUE(admin_->CreateTopic(std::make_unique<Call>().get(), topic, &made).ok());
  publish("ledger-1", 0, {"a"});
  ASSERT_TRUE(member.until([&] { return !member.records.empty(); }));
  EXPECT_EQ(member.records[0].topic(), "ledger-1");
}

// ---- Clients that stand still or make no sense

TEST_F(Subscribe, AClientThatStandsStillHasLeft) {
  const std::string topic = make_topic();
  publish(topic, 0, {"a", "b"});
  Member member(*subscriber_);
  member.join("still", topic, [](v1::Join& join) {
    join.set_credit_records(1);
    join.set_progress_timeout_ms(1'000);
  });
  const Status status = member.drain();
  EXPECT_EQ(status.error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("progress_timeout_ms"));
  EXPECT_EQ(member.error_name(), "FENCED_MEMBER_EPOCH");
  EXPECT_THAT(member.values(), ElementsAre("a"));
  EXPECT_EQ(describe("still").members_size(), 0);
}

TEST_F(Subscribe, AReleaseThatDoesNotComeEndsTheCall) {
  const std::string topic = make_topic(2);
  Member first(*subscriber_);
  first.releases_at_once = false;
  first.join("held", topic, [](v1::Join& join) { join.set_progress_timeout_ms(1'000); });
  ASSERT_TRUE(first.until([&] { return first.has.size() == 2; }));
  Member second(*subscriber_);
  second.join("held", topic);
  const Status status = first.drain();
  EXPECT_EQ(status.error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("Revoking was not answered"));
  ASSERT_TRUE(second.until([&] { return second.has.size() == 2; }));
}

TEST_F(Subscribe, WhatMakesNoSenseIsRefused) {
  const std::string topic = make_topic();
  using Refusal = std::pair<StatusCode, std::string>;
  const auto refusal = [](const std::function<void(Member&)>& act) {
    Member member(*subscriber_);
    act(member);
    const Status status = member.drain();
    return Refusal(status.error_code(), member.error_name());
  };
  const auto joining = [&](const std::function<void(v1::Join&)>& more) {
    return refusal([&](Member& member) { member.join("odd", topic, more); });
  };
  const Refusal invalid(StatusCode::INVALID_ARGUMENT, "INVALID_REQUEST");
  EXPECT_EQ(refusal([](Member& member) { member.credit(1); }), invalid);
  EXPECT_EQ(refusal([](Member& member) { member.send({}); }), invalid);
  EXPECT_EQ(refusal([&](Member& member) {
              member.join("odd", topic);
              member.join("odd", topic);
            }),
            invalid);
  EXPECT_EQ(joining([](v1::Join& join) { join.clear_topics(); }), invalid);
  EXPECT_EQ(joining([](v1::Join& join) { join.clear_group(); }),
            Refusal(StatusCode::INVALID_ARGUMENT, "INVALID_GROUP_ID"));
  EXPECT_EQ(joining([](v1::Join& join) { join.set_credit_records(-1); }), invalid);
  EXPECT_EQ(joining([](v1::Join& join) { join.set_credit_records(100'001); }), invalid);
  EXPECT_EQ(joining([](v1::Join& join) { join.set_progress_timeout_ms(1); }), invalid);
  EXPECT_EQ(joining([](v1::Join& join) { join.set_response_bytes_max(-1); }), invalid);
  EXPECT_EQ(joining([](v1::Join& join) { join.set_assignor("no-such"); }),
            Refusal(StatusCode::UNIMPLEMENTED, "UNSUPPORTED_ASSIGNOR"));
  EXPECT_EQ(joining([](v1::Join& join) { join.set_topic_regex("("); }),
            Refusal(StatusCode::INVALID_ARGUMENT, "INVALID_REGULAR_EXPRESSION"));
  EXPECT_EQ(joining([](v1::Join& join) { join.set_without_offset(v1::WITHOUT_OFFSET_NONE); }),
            Refusal(StatusCode::OUT_OF_RANGE, "OFFSET_OUT_OF_RANGE"));
}

TEST_F(Subscribe, ForeignPartitionsAreNotCommitted) {
  const std::string topic = make_topic();
  Member member(*subscriber_);
  member.join("foreign", topic);
  ASSERT_TRUE(member.until([&] { return member.has.size() == 1; }));
  member.commit({{topic, 0, 0}, {topic, 7, 0}, {"no-such-topic", 0, 0}}, 1);
  ASSERT_TRUE(member.until([&] { return !member.commits.empty(); }));
  EXPECT_EQ(member.commits[0].results(0).error(), "");
  EXPECT_EQ(member.commits[0].results(1).error(), "STALE_MEMBER_EPOCH");
  EXPECT_EQ(member.commits[0].results(2).error(), "STALE_MEMBER_EPOCH");
}

// ---- Admin

TEST_F(Subscribe, GroupsAreListedRewoundAndDeleted) {
  const std::string topic = make_topic(2);
  publish(topic, 0, {"a", "b", "c"});
  Member member(*subscriber_);
  member.join("admin", topic);
  ASSERT_TRUE(member.until([&] { return member.records.size() == 3; }));
  member.commit({{topic, 0, 1}}, 1);
  ASSERT_TRUE(member.until([&] { return !member.commits.empty(); }));

  v1::ListGroupsRequest which;
  which.set_with_lag(true);
  which.add_states("stable");
  which.add_types("consumer");
  v1::ListGroupsResponse groups;
  ASSERT_TRUE(admin_->ListGroups(std::make_unique<Call>().get(), which, &groups).ok());
  const auto listed = std::find_if(groups.groups().begin(), groups.groups().end(),
                                   [](const auto& group) { return group.name() == "admin"; });
  ASSERT_NE(listed, groups.groups().end());
  EXPECT_EQ(listed->members(), 1);
  EXPECT_EQ(listed->lag(), 2);
  which.add_states("asleep");
  EXPECT_EQ(admin_->ListGroups(std::make_unique<Call>().get(), which, &groups).error_code(),
            StatusCode::INVALID_ARGUMENT);

  v1::ResetGroupOffsetsRequest reset;
  reset.set_group("admin");
  reset.set_earliest(true);
  v1::ResetGroupOffsetsResponse moved;
  Call busy;
  EXPECT_EQ(admin_->ResetGroupOffsets(&busy, reset, &moved).error_code(),
            StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(busy.error_name(), "NON_EMPTY_GROUP");
  v1::DeleteGroupRequest removal;
  removal.set_name("admin");
  v1::DeleteGroupResponse removed;
  EXPECT_EQ(admin_->DeleteGroup(std::make_unique<Call>().get(), removal, &removed).error_code(),
            StatusCode::FAILED_PRECONDITION);
  EXPECT_TRUE(member.leave().ok());

  ASSERT_TRUE(admin_->ResetGroupOffsets(std::make_unique<Call>().get(), reset, &moved).ok());
  ASSERT_EQ(moved.partitions_size(), 1) << "the one with an offset";
  EXPECT_EQ(moved.partitions(0).before(), 1);
  EXPECT_EQ(moved.partitions(0).after(), 0);
  EXPECT_EQ(committed("admin", 0), 0);
  v1::DeleteGroupOffsetsRequest forget;
  forget.set_group("admin");
  forget.add_topics()->set_topic(topic);
  v1::DeleteGroupOffsetsResponse forgotten;
  ASSERT_TRUE(admin_->DeleteGroupOffsets(std::make_unique<Call>().get(), forget, &forgotten).ok());
  ASSERT_EQ(forgotten.partitions_size(), 1);
  EXPECT_EQ(forgotten.partitions(0).error(), "");
  EXPECT_TRUE(admin_->DeleteGroup(std::make_unique<Call>().get(), removal, &removed).ok());
  EXPECT_EQ(admin_->DeleteGroup(std::make_unique<Call>().get(), removal, &removed).error_code(),
            StatusCode::NOT_FOUND);
  v1::DescribeGroupRequest gone;
  gone.set_name("admin");
  v1::DescribeGroupResponse nothing;
  EXPECT_EQ(admin_->DescribeGroup(std::make_unique<Call>().get(), gone, &nothing).error_code(),
            StatusCode::NOT_FOUND);
}

TEST_F(Subscribe, ExplainsGroupsTopicsAndTheBroker) {
  const std::string topic = make_topic();
  publish(topic, 0, {"a", "b"});
  {
    Member member(*subscriber_);
    member.join("explained", topic);
    ASSERT_TRUE(member.until([&] { return member.records.size() == 2; }));
    member.commit({{topic, 0, 0}}, 1);
    EXPECT_TRUE(member.leave().ok());
  }
  const auto explain = [](const v1::ExplainRequest& request, v1::ExplainResponse& response) {
    return admin_->Explain(std::make_unique<Call>().get(), request, &response).error_code();
  };
  v1::ExplainRequest request;
  v1::ExplainResponse response;
  EXPECT_EQ(explain(request, response), StatusCode::INVALID_ARGUMENT);
  request.set_group("explained");
  ASSERT_EQ(explain(request, response), StatusCode::OK);
  ASSERT_GE(response.findings_size(), 1);
  EXPECT_EQ(response.findings(0).code(), "no-members");
  EXPECT_THAT(response.findings(0).what(), HasSubstr("2 record(s) wait"));
  request.set_group("no-such-group");
  EXPECT_EQ(explain(request, response), StatusCode::NOT_FOUND);
  request.mutable_topic()->set_topic(topic);
  ASSERT_EQ(explain(request, response), StatusCode::OK);
  EXPECT_THAT(response.summary(),
              AllOf(HasSubstr("1 of 1 partition(s) well"), HasSubstr("2 record(s), 1 group(s)")));
  request.mutable_topic()->set_partition(4);
  EXPECT_EQ(explain(request, response), StatusCode::NOT_FOUND);
  request.set_broker(0);
  ASSERT_EQ(explain(request, response), StatusCode::OK);
  EXPECT_THAT(response.summary(), HasSubstr("broker 0"));
  request.set_broker(5);
  EXPECT_EQ(explain(request, response), StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace millrace::server
