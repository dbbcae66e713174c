#include "broker/service/metadata_writer.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "broker/service/testing/metadata_cluster.h"

namespace millrace::service {
namespace {

using common::Result;
using model::BrokerId;
using model::ErrorCode;
using model::Offset;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::MetadataBroker;
using testing::MetadataCluster;

// Goal: any broker changes the metadata, and all shards of all brokers come to hold the same.
TEST(MetadataWriter, EveryBrokerDecides) {
  MetadataCluster cluster(3);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto made = cluster.create(cluster.at(i), fmt::format("t{}", i));
    ASSERT_TRUE(made.ok()) << made.error().detail;
    EXPECT_NE(cluster.at(i).image(0).topic(made->id), nullptr) << "who made it sees it";
    EXPECT_NE(cluster.at(i).image(1).topic(made->id), nullptr);
  }
  cluster.settle();
  EXPECT_EQ(cluster.at(2).image().topics().size(), 3U);
  EXPECT_EQ(cluster.at(2).image().brokers().size(), 3U);
  EXPECT_EQ(cluster.at(1).image().rejected(), 0U);
  const auto twice = cluster.create(cluster.at(2), "t0");
  ASSERT_FALSE(twice.ok());
  EXPECT_EQ(twice.error().code, ErrorCode::kTopicAlreadyExists);
}

// Goal: a refusal is of the newest state, on a broker that is behind as well.
TEST(MetadataWriter, RefusalsAreOfTheNewestState) {
  MetadataCluster cluster(2);
  cluster.settle();
  cluster.cut_off = {BrokerId{1}};
  const auto made = cluster.create(cluster.at(0), "late");
  ASSERT_TRUE(made.ok());
  auto deleted = std::make_shared<std::optional<Result<metadata::DeletedTopic>>>();
  MetadataWriter::decide_on<metadata::DeletedTopic>(
      cluster.at(1).shard(1),
      [](const metadata::Image& image) {
        return metadata::decide(image, metadata::DeleteTopic{"late", {}});
      },
      [deleted](Result<metadata::DeletedTopic> outcome) { *deleted = std::move(outcome); });
  cluster.world.run_for(milliseconds(100));
  EXPECT_FALSE(deleted->has_value()) << "it does not know the topic, and knows that it is behind";
  cluster.cut_off.clear();
  ASSERT_TRUE(cluster.world.run_until([&] { return deleted->has_value(); }));
  EXPECT_TRUE((*deleted)->ok());
}

// Goal: many brokers at once, with calls and answers that get lost: each topic is made once, who
// made it is told so, and everybody's turn comes.
TEST(MetadataWriter, ChangesHappenOnceAndAreReportedTruly) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    MetadataCluster cluster(4, seed);
    cluster.loss_percent = 20;
    int waiting = 0;
    std::map<std::string, int> made;
    for (int i = 0; i < 40; ++i) {
      for (std::size_t broker = 0; broker < 4; ++broker) {
        const std::string name = fmt::format("t{}", i % 20 + (broker % 2 == 0 ? 0 : 100));
        ++waiting;
        cluster.ask_topic(
            cluster.at(broker).shard(static_cast<std::size_t>(i) % 2), name,
            [&, name](const Result<metadata::TopicOutcome>& outcome) {
              --waiting;
              made[name] += outcome.ok() ? 1 : 0;
              EXPECT_TRUE(outcome.ok() || outcome.error().code == ErrorCode::kTopicAlreadyExists)
                  << outcome.error().detail;
            });
      }
    }
    ASSERT_TRUE(cluster.world.run_until([&] { return waiting == 0; }, std::chrono::minutes(5)));
    EXPECT_EQ(made.size(), 40U);
    for (const auto& [name, times] : made) EXPECT_EQ(times, 1) << name;
    cluster.loss_percent = 0;
    cluster.settle();
    EXPECT_EQ(cluster.at(0).image().topics().size(), 40U);
    EXPECT_EQ(cluster.at(0).image().rejected(), 0U);
  }
}

// Goal: without a leader nothing is changed, and that is what is said.
TEST(MetadataWriter, SaysThatNobodyLeads) {
  MetadataCluster cluster(2);
  cluster.settle();
  cluster.leader.reset();
  const auto made = cluster.create(cluster.at(1), "t");
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, ErrorCode::kNotController);
  // Nor is it known that something is not there.
  const auto unknown = cluster.remove(cluster.at(1), "made-elsewhere");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, ErrorCode::kNotController);
  cluster.leader = BrokerId{0};
  EXPECT_TRUE(cluster.create(cluster.at(1), "t").ok());
  cluster.loss_percent = 100;
  const auto lost = cluster.create(cluster.at(1), "u");
  ASSERT_FALSE(lost.ok());
  EXPECT_EQ(lost.error().code, ErrorCode::kRequestTimedOut);
}

// Goal: leadership moves, and changes go on, from all brokers.
TEST(MetadataWriter, FollowsTheLeader) {
  MetadataCluster cluster(3);
  for (int i = 0; i < 6; ++i) {
    cluster.settle();
    cluster.leader = BrokerId{i % 3};
    for (std::size_t broker = 0; broker < 3; ++broker) {
      const auto made = cluster.create(cluster.at(broker), fmt::format("t{}-{}", i, broker));
      ASSERT_TRUE(made.ok()) << made.error().detail;
    }
  }
  cluster.settle();
  EXPECT_EQ(cluster.at(1).image().topics().size(), 18U);
}

// Goal: producer ids are given once, whichever shard of whichever broker is asked.
TEST(MetadataWriter, ProducerIdsAreGivenOnce) {
  MetadataCluster cluster(3);
  cluster.loss_percent = 20;
  std::set<model::ProducerId> given;
  std::size_t answers = 0;
  for (std::size_t i = 0; i < 300; ++i) {
    cluster.at(i % 3).shard(i % 2).next_producer_id([&](const Result<model::ProducerId>& id) {
      ++answers;
      if (!id.ok()) return;
      EXPECT_TRUE(given.insert(*id).second);
    });
  }
  ASSERT_TRUE(cluster.world.run_until([&] { return answers == 300; }));
  EXPECT_GT(given.size(), 200U);
}

// Goal: a broker that was away comes back with what it knew, and catches up.
TEST(MetadataWriter, ComesBackAfterACrash) {
  MetadataCluster cluster(3);
  for (int i = 0; i < 5; ++i)
    ASSERT_TRUE(cluster.create(cluster.at(1), fmt::format("a{}", i)).ok());
  cluster.settle();
  cluster.at(2).crash();
  for (int i = 0; i < 5; ++i)
    ASSERT_TRUE(cluster.create(cluster.at(1), fmt::format("b{}", i)).ok());
  cluster.cut_off = {BrokerId{2}};
  cluster.at(2).start();
  EXPECT_EQ(cluster.at(2).image(1).topics().size(), 5U);
  auto newest = std::make_shared<std::optional<Result<void>>>();
  cluster.at(2).writer().catch_up([newest](Result<void> done) { *newest = std::move(done); });
  cluster.world.run_for(seconds(2));
  EXPECT_FALSE(newest->has_value());
  cluster.cut_off.clear();
  ASSERT_TRUE(cluster.world.run_until([&] { return newest->has_value(); }));
  EXPECT_TRUE((*newest)->ok());
  EXPECT_EQ(cluster.at(2).image(0).topics().size(), 10U);
  cluster.at(0).crash();
  cluster.at(0).start();
  cluster.settle();
  EXPECT_TRUE(cluster.create(cluster.at(2), "c").ok());
}

// Goal: the leader keeps the log short while it works, whoever decides; what is left of it makes
// the same images.
TEST(MetadataWriter, SnapshotsKeepTheLogShort) {
  MetadataCluster cluster(2);
  cluster.settle();
  for (auto& broker : cluster.all) broker->crash();
  cluster.settings.gate.shorten_bytes_min = 20'000;
  cluster.settings.gate.snapshot_batch_bytes = 500;
  for (auto& broker : cluster.all) broker->start();
  ASSERT_TRUE(cluster.create(cluster.at(1), "kept").ok());
  for (int i = 0; i < 600; ++i) {
    const metadata::AlterBrokerConfigs change{
        .broker = std::nullopt,
        .changes = {{.name = "log.retention.ms", .value = std::to_string(1000 + i)}}};
    const auto altered = cluster.decide<metadata::NoOutcome>(
        cluster.at(static_cast<std::size_t>(i) % 2).shard(0),
        [change](const metadata::Image& image) {
          return metadata::decide(image, change, model::BrokerLayers{});
        });
    ASSERT_TRUE(altered.ok()) << altered.error().detail;
  }
  cluster.settle();
  const replica::Bounds bounds = cluster.at(0).writer().bounds();
  EXPECT_GT(bounds.log_start, Offset{300});
  EXPECT_EQ(cluster.at(0).image().rejected(), 0U);
  EXPECT_EQ(cluster.at(1).image().rejected(), 0U);
  const metadata::Image before = cluster.at(0).image();
  cluster.at(0).crash();
  cluster.at(0).start();
  EXPECT_TRUE(cluster.at(0).image(0) == before);
  EXPECT_TRUE(cluster.at(0).image(1) == before);
  EXPECT_TRUE(cluster.create(cluster.at(1), "more").ok());
}

/// Bytes that a follower lacks, as the leader would send them.
std::vector<common::Bytes> batches_behind(MetadataCluster& cluster, MetadataBroker& leader,
                                          Offset from) {
  std::vector<common::Bytes> batches;
  const auto read = cluster.wait<Result<storage::ReadResult>>([&](auto reply) {
    leader.writer().replica().read(from, replica::Isolation::kReadUncommitted, 1 << 20, true,
                                   std::move(reply));
  });
  for (const common::Bytes& piece : read.value().pieces) {
    common::ByteView rest = piece;
    while (!rest.empty()) {
      const auto batch = model::BatchView::parse(rest).value();
      batches.push_back(common::Bytes::copy_of(batch.bytes()));
      rest = rest.subspan(batch.size());
    }
  }
  return batches;
}

// Goal: a follower whose log begins anew behind what it has applied takes the snapshot there as a
// whole: topics that are gone are closed, new ones open. Method: its log gets everything in one
// turn and is cut off at the snapshot before it can look.
TEST(MetadataWriter, ASnapshotReplacesTheImage) {
  MetadataCluster cluster(2);
  const auto gone = cluster.create(cluster.at(0), "gone", 2);
  const auto stays = cluster.create(cluster.at(0), "stays", 2);
  cluster.settle();
  cluster.cut_off = {BrokerId{1}};
  MetadataBroker& leader = cluster.at(0);
  MetadataBroker& follower = cluster.at(1);
  const auto deleted = cluster.remove(leader, "gone");
  ASSERT_TRUE(deleted.ok());
  const auto fresh = cluster.create(leader, "fresh", 2);
  cluster.world.run_for(seconds(1));  // the leader confirms that it has removed its files
  auto batches = batches_behind(cluster, leader, follower.writer().bounds().log_end);
  const Offset at = leader.writer().bounds().log_end;
  const auto parts = metadata::snapshot_batches(leader.image(), at, common::Timestamp{1}, 100);
  ASSERT_GT(parts.size(), 2U);
  for (const common::Bytes& part : parts) {
    batches.push_back(common::Bytes::copy_of(part));
    leader.writer().replica().append(common::Bytes::copy_of(part),
                                     {.origin = replica::Origin::kBroker},
                                     [](const replica::AppendOutcome&) {});
  }
  cluster.world.run_for(seconds(1));
  EXPECT_NE(follower.shard(0).image().topic("gone"), nullptr);

  std::size_t missing = batches.size();
  for (common::Bytes& batch : batches) {
    follower.writer().replica().append(
        std::move(batch), {.origin = replica::Origin::kBroker}, [&](const replica::AppendOutcome&) {
          if (--missing == 0) follower.writer().replica().trim(at, [](const Result<void>&) {});
        });
  }
  ASSERT_TRUE(cluster.world.run_until([&] { return missing == 0; }));
  ASSERT_EQ(follower.writer().bounds().log_start, at);
  cluster.settle();
  EXPECT_EQ(follower.image().rejected(), 0U);
  for (std::size_t i = 0; i < 2; ++i) {
    for (std::int32_t index = 0; index < 2; ++index) {
      const model::PartitionIndex partition{index};
      EXPECT_EQ(follower.shard(i).partition({gone->id, partition}), nullptr);
      const model::PartitionKey there{stays->id, partition};
      EXPECT_EQ(follower.shard(i).partition(there) != nullptr,
                &follower.shard(i).owner(there) == &follower.shard(i));
      const model::PartitionKey made{fresh->id, partition};
      EXPECT_EQ(follower.shard(i).partition(made) != nullptr,
                &follower.shard(i).owner(made) == &follower.shard(i));
    }
  }
  // Its own files of the deleted topic go, and it says so.
  cluster.cut_off.clear();
  ASSERT_TRUE(cluster.world.run_until([&] { return leader.image().removing().empty(); }));
  EXPECT_FALSE(follower.has_log(gone->id));
}

// Goal: nobody takes the word of a leader that is deposed. Method: a broker has heard of a later
// term than the leader's; its changes wait until a leader of that term is there.
TEST(MetadataWriter, ADeposedLeaderIsNotBelieved) {
  MetadataCluster cluster(2);
  cluster.leads_in_newest_term = false;
  cluster.hear_of(cluster.at(1), model::Term{5});
  cluster.world.run_for(seconds(1));
  ASSERT_GE(cluster.at(1).writer().replica().term(), model::Term{5});
  std::optional<bool> newest;
  cluster.at(1).writer().catch_up([&](const Result<void>& caught_up) { newest = caught_up.ok(); });
  cluster.world.run_for(seconds(3));
  EXPECT_FALSE(newest.has_value()) << "the leader's word does not count";
  cluster.hear_of(cluster.at(0), model::Term{9});
  ASSERT_TRUE(cluster.world.run_until([&] { return newest.has_value(); }));
  EXPECT_TRUE(*newest);
  EXPECT_TRUE(cluster.create(cluster.at(1), "late").ok());
}

// Goal: every broker removes what it holds of a deleted topic, and confirms it even if that does
// not get through at first.
TEST(MetadataWriter, EveryBrokerConfirmsItsRemovals) {
  MetadataCluster cluster(3);
  const auto made = cluster.create(cluster.at(0), "t", 3);
  ASSERT_TRUE(made.ok());
  cluster.settle();
  for (auto& broker : cluster.all) EXPECT_TRUE(broker->has_log(made->id));
  const auto deleted = cluster.remove(cluster.at(2), "t");
  ASSERT_TRUE(deleted.ok());
  cluster.settle();
  cluster.leader.reset();
  cluster.at(1).crash();
  cluster.world.run_for(seconds(40));
  EXPECT_FALSE(cluster.at(0).image().removing().empty());
  cluster.leader = BrokerId{0};
  cluster.world.run_for(seconds(60));
  ASSERT_EQ(cluster.at(0).image().removing().size(), 1U);
  EXPECT_EQ(cluster.at(0).image().removing().begin()->second.waiting_for,
            (std::set<BrokerId>{BrokerId{1}}));
  cluster.at(1).start();
  ASSERT_TRUE(cluster.world.run_until([&] { return cluster.at(0).image().removing().empty(); }));
  cluster.settle();
  for (auto& broker : cluster.all) EXPECT_FALSE(broker->has_log(made->id));
}

// Goal: a log that the metadata does not know is set aside only once the metadata is known to be
// the newest: it may be of a topic that this broker has not heard of yet.
TEST(MetadataWriter, SetsAsideOnlyWhatTheNewestMetadataDoesNotKnow) {
  MetadataCluster cluster(2);
  cluster.settle();
  MetadataBroker& late = cluster.at(1);
  const model::TopicId unknown = common::Uuid::random(cluster.world.random());
  storage::Log& log = late.shard(0).store().create({unknown, model::PartitionIndex{0}}, "unknown",
                                                   storage::LogSettings());
  const std::vector<metadata::Record> records{metadata::BrokerGone{BrokerId{9}}};
  common::Bytes batch = metadata::to_batch(records, common::Timestamp{1});
  model::set_position(batch.mutable_view(), Offset{0}, model::Term{0});
  const auto written = cluster.wait<Result<void>>(
      [&](auto reply) { log.append(std::move(batch), std::move(reply)); });
  ASSERT_TRUE(written.ok());
  late.crash();
  cluster.leader.reset();
  late.start();
  cluster.world.run_for(seconds(30));
  EXPECT_TRUE(late.has_log(unknown));
  cluster.leader = BrokerId{0};
  ASSERT_TRUE(cluster.world.run_until([&] { return !late.has_log(unknown); }, seconds(60)));
}

// Goal: bytes that are no proposal get an answer and nothing else.
TEST(MetadataWriter, NonsenseIsRefused) {
  MetadataCluster cluster(1);
  const Offset end = cluster.at(0).writer().bounds().log_end;
  const auto serve = [&](common::Bytes bytes) {
    return cluster.wait<Result<common::Bytes>>(
        [&](auto reply) { cluster.at(0).writer().serve(bytes, std::move(reply)); });
  };
  EXPECT_EQ(serve(common::Bytes::copy_of(common::as_bytes("nonsense"))).error().code,
            ErrorCode::kCorruptMessage);
  const metadata::Proposal odd{.from = BrokerId{1},
                               .base = end,
                               .batch = common::Bytes::copy_of(common::as_bytes("no batch"))};
  const auto answer = metadata::read_answer(serve(metadata::encode(odd)).value()).value();
  EXPECT_EQ(answer.verdict, metadata::Verdict::kRefused);
  EXPECT_EQ(answer.error, ErrorCode::kCorruptMessage);
  EXPECT_EQ(cluster.at(0).writer().bounds().log_end, end);
}

}  // namespace
}  // namespace millrace::service
