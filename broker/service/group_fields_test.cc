// What members of groups ask and are told comes through whole, and nothing that is cut is taken.
#include "broker/service/group_fields.h"

#include <gtest/gtest.h>

namespace millrace::service {
namespace {

using coordinator::Epoch;
using model::ErrorCode;
using model::Offset;

/// Encodes, decodes, and encodes again: the same bytes. No prefix of them can be read.
template <typename T>
T there_and_back(const T& value) {
  const common::Bytes body = encode(value);
  T read;
  EXPECT_TRUE(decode(body.view(), read).ok());
  EXPECT_EQ(encode(read), body);
  for (std::size_t size = 0; size < body.size(); ++size) {
    T partial;
    EXPECT_FALSE(decode(body.view().first(size), partial).ok()) << size;
  }
  return read;
}

TEST(GroupFields, Heartbeats) {
  coordinator::ConsumerHeartbeat request{.group = "orders-app",
                                         .member = "m",
                                         .epoch = Epoch{-2},
                                         .instance = "i",
                                         .rack = "r",
                                         .rebalance_timeout_ms = 7,
                                         .topics = {{"orders", ""}},
                                         .topic_regex = "o.*",
                                         .assignor = {},
                                         .owned = {{{common::Uuid{{4}}, {0, 5}}}},
                                         .client = {"shop", "/10.0.0.1"}};
  const auto read = there_and_back(request);
  EXPECT_EQ(read.epoch, Epoch{-2});
  EXPECT_EQ(read.topics, request.topics);
  EXPECT_EQ(read.owned, request.owned);
  EXPECT_EQ(read.assignor, std::nullopt);
  EXPECT_EQ(read.client, request.client);

  coordinator::ConsumerHeartbeatOutcome outcome;
  outcome.status = {ErrorCode::kFencedMemberEpoch, "too late"};
  outcome.epoch = Epoch{9};
  outcome.assignment.emplace();
  const auto told = there_and_back(outcome);
  EXPECT_EQ(told.status.code, ErrorCode::kFencedMemberEpoch);
  EXPECT_EQ(told.status.detail, "too late");
  EXPECT_TRUE(told.assignment.has_value() && told.assignment->empty());
}

TEST(GroupFields, Commits) {
  coordinator::OffsetCommit request{.group = "g", .epoch = Epoch{3}, .member = "m"};
  request.partitions.push_back({.topic = {"orders", common::Uuid{{4}}},
                                .partition = 2,
                                .offset = Offset{1'000'000'007},
                                .leader_epoch = 5,
                                .metadata = "here"});
  const auto read = there_and_back(request);
  ASSERT_EQ(read.partitions.size(), 1u);
  EXPECT_EQ(read.partitions[0].offset, Offset{1'000'000'007});
  EXPECT_EQ(read.partitions[0].metadata, "here");
  EXPECT_EQ(read.retention_ms, -1);

  coordinator::OffsetCommitOutcome outcome;
  outcome.partitions = {ErrorCode::kNone, ErrorCode::kStaleMemberEpoch};
  EXPECT_EQ(there_and_back(outcome).partitions, outcome.partitions);
}

TEST(GroupFields, CommittedOffsets) {
  coordinator::OffsetFetch all{.group = "g"};
  EXPECT_FALSE(there_and_back(all).partitions.has_value());
  coordinator::OffsetFetch some{.group = "g", .member = "m", .epoch = Epoch{1}};
  some.require_stable = true;
  some.partitions.emplace();
  some.partitions->push_back({.topic = {"orders", {}}, .partition = 1});
  const auto read = there_and_back(some);
  EXPECT_TRUE(read.require_stable);
  ASSERT_EQ(read.partitions->size(), 1u);
  EXPECT_EQ(read.partitions->front().topic.name, "orders");

  coordinator::OffsetFetchOutcome outcome;
  outcome.partitions.push_back(
      {.topic = {"orders", {}},
       .partition = 1,
       .code = ErrorCode::kUnstableOffsetCommit,
       .committed = {.offset = Offset{4}, .metadata = "x", .committed = common::Timestamp{5}}});
  const auto told = there_and_back(outcome);
  EXPECT_EQ(told.partitions[0].committed, outcome.partitions[0].committed);
  EXPECT_EQ(told.partitions[0].code, ErrorCode::kUnstableOffsetCommit);
}

TEST(GroupFields, NumbersThatNobodyKnowsAreErrorsAndCountsAreNotBelieved) {
  coordinator::OffsetCommitOutcome outcome;
  outcome.partitions = {static_cast<ErrorCode>(29'999)};
  coordinator::OffsetCommitOutcome read;
  ASSERT_TRUE(decode(encode(outcome).view(), read).ok());
  EXPECT_EQ(read.partitions[0], ErrorCode::kUnknownServerError);
  const common::Bytes huge = common::Bytes::copy_of(std::string("\x01\x00\x00\xff\xff\x7f", 6));
  EXPECT_FALSE(decode(huge.view(), read).ok());
}

}  // namespace
}  // namespace millrace::service
