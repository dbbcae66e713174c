// One partition over the real log on a simulated disk: what producers are told and what readers
// see.
#include "broker/replica/partition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/model/record.h"
#include "broker/storage/testing/store_machine.h"

namespace millrace::replica {
namespace {

using env::testing::Survival;
using model::ErrorCode;
using storage::testing::StoreMachine;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const model::PartitionKey kKey = storage::testing::key_of(0);
constexpr model::ProducerId kProducer{77};

struct Sent {
  std::int32_t count = 1;
  model::ProducerId producer = model::kNoProducerId;
  std::int16_t epoch = 0;
  std::int32_t sequence = 0;
  bool transactional = false;
  std::size_t value_bytes = 10;
  const char* key = nullptr;
  common::Timestamp time{1'700'000'000'000};
};

Bytes batch(const Sent& sent) {
  model::BatchOptions options;
  if (sent.producer != model::kNoProducerId) {
    options.producer_id = sent.producer;
    options.producer_epoch = sent.epoch;
    options.base_sequence = sent.sequence;
    options.transactional = sent.transactional;
  }
  model::BatchBuilder builder(options);
  const std::vector<std::uint8_t> value(sent.value_bytes, 'v');
  for (std::int32_t i = 0; i < sent.count; ++i) {
    model::NewRecord record{.timestamp = sent.time + i, .value = common::ByteView(value)};
    if (sent.key != nullptr) record.key = common::as_bytes(sent.key);
    builder.append(record);
  }
  return builder.build();
}

class PartitionTest : public ::testing::Test {
 protected:
  PartitionTest() { start(); }
  ~PartitionTest() override { partition_.reset(); }

  void start() {
    machine_.start();
    storage::Log* log = machine_.store().find(kKey);
    if (log == nullptr) log = &machine_.create(kKey);
    open(*log);
  }
  void open(storage::Log& log) {
    partition_ = std::make_unique<Partition>(
        log, settings_, host_,
        Beginning{.first_voters = sole_voter(host_.self),
                  .after_clean_stop = machine_.store().recovery().closed_cleanly});
  }
  /// A clean stop, in the broker's order: the last checkpoint asks the closed partition for its
  /// producers.
  void restart() {
    partition_->close(ErrorCode::kShuttingDown);
    machine_.stop();
    start();
  }
  void crash() {
    partition_.reset();
    machine_.crash(Survival::kNothing);
    start();
  }

  /// Appends and does not wait; the outcome comes into the returned place.
  std::shared_ptr<std::optional<AppendOutcome>> begin(const Sent& sent, Acks acks = Acks::kAll) {
    auto place = std::make_shared<std::optional<AppendOutcome>>();
    partition_->append(batch(sent), {.acks = acks},
                       [place](AppendOutcome outcome) { *place = std::move(outcome); });
    return place;
  }
  AppendOutcome append(const Sent& sent, Acks acks = Acks::kAll) {
    const auto place = begin(sent, acks);
    CHECK(machine_.world.run_until([&] { return place->has_value(); }), "no outcome");
    return **place;
  }
  Offset appended(const Sent& sent) {
    const AppendOutcome outcome = append(sent);
    EXPECT_FALSE(outcome.error.has_value()) << outcome.error->detail;
    return outcome.appended.base_offset;
  }
  ErrorCode refused(const Sent& sent) {
    const AppendOutcome outcome = append(sent);
    return outcome.error ? outcome.error->code : ErrorCode::kNone;
  }
  Result<storage::ReadResult> read(Offset from, std::size_t bytes_max = 1 << 20) {
    return machine_.wait<storage::ReadResult>([&](auto reply) {
      partition_->read(from, Isolation::kReadUncommitted, bytes_max, true, std::move(reply));
    });
  }
  Result<Offset> delete_records(Offset offset) {
    return machine_.wait<Offset>(
        [&](auto reply) { partition_->delete_records(offset, std::move(reply)); });
  }
  Offset high_watermark() const { return partition_->bounds().high_watermark; }

  StoreMachine machine_{11};
  model::TopicSettings settings_;
  NoPeers peers_;
  common::Random random_{3};
  raft::Settings raft_;
  Ticker ticker_{machine_.world.make_loop()};
  std::vector<std::string> notes_;
  Host host_{.self = {.node = model::BrokerId{1}, .directory = {{7}}},
             .clock = machine_.world.clock(),
             .ticker = ticker_,
             .peers = peers_,
             .random = random_,
             .raft = raft_,
             .note = [this](std::string_view line) { notes_.emplace_back(line); }};
  std::unique_ptr<Partition> partition_;
};

// ---- A group of one

// Goal: who is alone leads at once, and pays one round of the journal for it and its first write
// together. Method: count rounds.
TEST_F(PartitionTest, TheOnlyVoterLeadsAtOnce) {
  EXPECT_EQ(partition_->role(), raft::Role::kLeader);
  EXPECT_TRUE(partition_->is_leader());
  EXPECT_EQ(partition_->leader(), host_.self);
  EXPECT_EQ(partition_->in_sync(), std::vector{host_.self});
  EXPECT_FALSE(partition_->leader_refusal().has_value());
  EXPECT_EQ(partition_->check_leader_epoch(partition_->term()).ok(), true);
  const auto rounds = [&] { return machine_.store().stats().journal_rounds; };
  const std::uint64_t before = rounds();
  EXPECT_EQ(appended({}), Offset{0});
  EXPECT_EQ(rounds(), before + 1);
  EXPECT_EQ(appended({}), Offset{1});
  EXPECT_EQ(rounds(), before + 2);
  machine_.world.run_for(std::chrono::minutes(1));
  EXPECT_TRUE(partition_->group()->quiet());
  EXPECT_EQ(ticker_.size(), 0u) << "a quiet group has no timer";
}

// Goal: what was on the disk at the start is there for readers at once. Method: look before time
// passes.
TEST_F(PartitionTest, WhatWasOnTheDiskIsReadableAtOnce) {
  appended({.count = 3});
  crash();
  EXPECT_TRUE(partition_->is_leader());
  EXPECT_EQ(high_watermark(), Offset{3});
  std::optional<Result<storage::ReadResult>> found;
  partition_->read(Offset{0}, Isolation::kReadUncommitted, 1000, true,
                   [&](auto result) { found = std::move(result); });
  ASSERT_TRUE(machine_.world.run_until([&] { return found.has_value(); }));
  EXPECT_EQ((*found)->next_offset, Offset{3});
}

// Goal: more replicas than there are are never waited for.
TEST_F(PartitionTest, MinInsyncIsAtMostWhatThereIs) {
  settings_.min_insync_replicas = 2;
  partition_->set_settings(settings_);
  EXPECT_EQ(appended({}), Offset{0});
}

// Goal: with relaxed flush a death may have taken something; it is said, and one that is alone goes
// on. A clean stop takes nothing.
TEST_F(PartitionTest, ADeathWithRelaxedFlushIsTold) {
  settings_.flush_mode = model::FlushMode::kRelaxed;
  partition_->set_settings(settings_);
  appended({});
  restart();
  EXPECT_THAT(notes_, ::testing::IsEmpty());
  crash();
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("event=unclean-election")));
  EXPECT_TRUE(partition_->is_leader());
  settings_.flush_mode = model::FlushMode::kStrict;
  partition_->set_settings(settings_);
  const Offset next = appended({});
  notes_.clear();
  crash();
  EXPECT_THAT(notes_, ::testing::IsEmpty()) << "it was strict again";
  EXPECT_EQ(appended({}), next + 1);
}

// Goal: a replica whose state is no state takes no part, and says so. Method: put some other bytes
// in its place.
TEST_F(PartitionTest, AStateThatCannotBeReadIsNoReplica) {
  appended({});
  const auto put = machine_.wait<void>([&](auto reply) {
    partition_->log().put_state(Bytes::copy_of("something else"), std::move(reply));
  });
  ASSERT_TRUE(put.ok());
  notes_.clear();
  crash();
  ASSERT_TRUE(partition_->replica().refusal().has_value());
  EXPECT_EQ(partition_->replica().refusal()->code, ErrorCode::kCorruptLog);
  EXPECT_EQ(partition_->group(), nullptr);
  EXPECT_FALSE(partition_->is_leader());
  EXPECT_EQ(refused({}), ErrorCode::kCorruptLog);
  EXPECT_EQ(partition_->refusal(100)->code, ErrorCode::kCorruptLog);
  EXPECT_EQ(partition_->leader_refusal()->code, ErrorCode::kCorruptLog);
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("event=replica-out-of-service")));
  const raft::ReplicaId other{.node = model::BrokerId{2}, .directory = {{8}}};
  partition_->step({.from = other, .to = host_.self, .term = Term{9}, .body = raft::TimeoutNow{}},
                   {}, machine_.world.clock().now());
  partition_->campaign();
  EXPECT_EQ(partition_->recover_alone(), raft::Refusal::kUnknownReplica);
  EXPECT_EQ(partition_->role(), raft::Role::kFollower);
}

// Goal: logs of versions before groups, which counted terms from 0 and kept no state, are taken
// over. Method: write one as they did.
TEST_F(PartitionTest, ALogOfAnOlderVersionIsTakenOver) {
  for (const bool restarted : {false, true}) {
    partition_.reset();
    const model::PartitionKey key = storage::testing::key_of(restarted ? 2 : 1);
    storage::Log* log = &machine_.create(key);
    log->start_term({Term{0}, Offset{0}}, [](Result<void>) {});
    const auto write = [&](std::int32_t sequence, Term term) {
      Bytes bytes = batch({.count = 2, .producer = kProducer, .sequence = sequence});
      model::set_position(bytes.mutable_view(), log->end_offset(), term);
      ASSERT_TRUE(
          machine_.wait<void>([&](auto reply) { log->append(bytes, std::move(reply)); }).ok());
    };
    write(0, Term{0});
    if (restarted) {
      log->start_term({Term{1}, Offset{2}}, [](Result<void>) {});
      write(2, Term{1});
    }
    machine_.crash(Survival::kNothing);
    machine_.start();
    log = machine_.store().find(key);
    open(*log);
    ASSERT_TRUE(partition_->is_leader());
    EXPECT_EQ(partition_->term(), Term{2});
    const Offset end{restarted ? 4 : 2};
    EXPECT_EQ(high_watermark(), end);
    EXPECT_EQ(appended({.count = 2, .producer = kProducer, .sequence = 0}), Offset{0}) << "a retry";
    EXPECT_EQ(appended({}), end);
    EXPECT_EQ(partition_->end_of_epoch(Term{0}).offset, Offset{2});
    partition_.reset();
    machine_.crash(Survival::kNothing);
    machine_.start();
    open(*machine_.store().find(key));
    EXPECT_EQ(partition_->term(), Term{3});
    EXPECT_EQ(high_watermark(), end + 1);
  }
}

// ---- Answers

TEST_F(PartitionTest, OffsetsAreDenseAndReadBack) {
  EXPECT_EQ(appended({.count = 3}), Offset{0});
  EXPECT_EQ(appended({.count = 2}), Offset{3});
  const auto all = read(Offset{0});
  ASSERT_TRUE(all.ok());
  EXPECT_EQ(all->next_offset, Offset{5});
  EXPECT_EQ(high_watermark(), Offset{5});
}

// Goal: acks=all is answered when the write is committed, acks=1 when it is in the log. Method:
// look before time passes.
TEST_F(PartitionTest, AcksSayWhenTheAnswerComes) {
  const auto leader = begin({.count = 2}, Acks::kLeader);
  ASSERT_TRUE(leader->has_value());
  EXPECT_EQ((*leader)->appended.base_offset, Offset{0});
  EXPECT_TRUE(begin({}, Acks::kNone)->has_value());
  const auto all = begin({});
  EXPECT_FALSE(all->has_value());
  EXPECT_EQ(high_watermark(), Offset{0}) << "nothing is durable yet";
  EXPECT_EQ(partition_->bounds().log_end, Offset{4});
  ASSERT_TRUE(machine_.world.run_until([&] { return all->has_value(); }));
  EXPECT_FALSE((*all)->error.has_value());
  EXPECT_EQ(high_watermark(), Offset{4});
}

TEST_F(PartitionTest, RelaxedTopicsAnswerFromMemory) {
  settings_.flush_mode = model::FlushMode::kRelaxed;
  partition_->set_settings(settings_);
  EXPECT_TRUE(begin({.count = 2})->has_value());
  EXPECT_EQ(high_watermark(), Offset{2});
  EXPECT_EQ(read(Offset{0})->next_offset, Offset{2});
}

TEST_F(PartitionTest, TopicTimeIsTold) {
  settings_.timestamp_type = model::TimestampType::kLogAppendTime;
  partition_->set_settings(settings_);
  const AppendOutcome outcome = append({});
  ASSERT_FALSE(outcome.error.has_value());
  EXPECT_GE(outcome.appended.append_time, common::Timestamp{1'700'000'000'000});
}

TEST_F(PartitionTest, RefusalsChangeNothing) {
  settings_.max_message_bytes = 200;
  partition_->set_settings(settings_);
  EXPECT_EQ(refused({.value_bytes = 500}), ErrorCode::kMessageTooLarge);
  EXPECT_EQ(refused({.producer = kProducer, .transactional = true}), ErrorCode::kInvalidTxnState);
  Bytes damaged = batch({.count = 2});
  damaged.mutable_view()[damaged.size() - 1] ^= 1;
  std::optional<AppendOutcome> outcome;
  partition_->append(std::move(damaged), {}, [&](AppendOutcome o) { outcome = std::move(o); });
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->error->code, ErrorCode::kCorruptMessage);
  EXPECT_EQ(partition_->bounds().log_end, Offset{0});
}

// ---- Idempotent producers

TEST_F(PartitionTest, ARepeatedBatchIsAnsweredWithItsFirstOffset) {
  EXPECT_EQ(appended({}), Offset{0});
  EXPECT_EQ(appended({.count = 3, .producer = kProducer, .sequence = 0}), Offset{1});
  EXPECT_EQ(appended({.count = 2, .producer = kProducer, .sequence = 3}), Offset{4});
  EXPECT_EQ(appended({.count = 3, .producer = kProducer, .sequence = 0}), Offset{1});
  EXPECT_EQ(partition_->bounds().log_end, Offset{6});
}

// A retry is answered as the first try was: with the topic's own stamp of that time, also from a
// checkpoint, and with where the log begins now.
TEST_F(PartitionTest, ARepeatedBatchKeepsItsAppendTime) {
  settings_.timestamp_type = model::TimestampType::kLogAppendTime;
  partition_->set_settings(settings_);
  const auto first = append({.count = 2, .producer = kProducer, .sequence = 0});
  machine_.world.run_for(std::chrono::seconds(5));
  const auto second = append({.producer = kProducer, .sequence = 2});
  EXPECT_GT(second.appended.append_time, first.appended.append_time);
  const auto again = [&] {
    return append({.count = 2, .producer = kProducer, .sequence = 0}).appended;
  };
  EXPECT_EQ(again().append_time, first.appended.append_time);
  EXPECT_EQ(again().log_start, Offset{0});
  ASSERT_TRUE(machine_.checkpoint().ok());
  restart();
  EXPECT_EQ(again().append_time, first.appended.append_time);
  EXPECT_TRUE(delete_records(Offset{1}).ok());
  EXPECT_EQ(again().base_offset, Offset{0});
  EXPECT_EQ(again().log_start, Offset{1});
  settings_.timestamp_type = model::TimestampType::kCreateTime;
  partition_->set_settings(settings_);
  EXPECT_EQ(again().append_time, common::Timestamp{-1}) << "then clients go by their own clock";
}

// Goal: a retry never overtakes its first try (KIP-98). Method: send the same batch twice before
// the disk has answered; acks=all waits for the write of the first, acks=1 does not.
TEST_F(PartitionTest, ADuplicateOfABatchInFlightWaitsForIt) {
  const auto first = begin({.count = 2, .producer = kProducer});
  const auto again = begin({.count = 2, .producer = kProducer});
  const auto hasty = begin({.count = 2, .producer = kProducer}, Acks::kLeader);
  EXPECT_FALSE(first->has_value());
  EXPECT_FALSE(again->has_value());
  ASSERT_TRUE(hasty->has_value());
  EXPECT_EQ((*hasty)->appended.base_offset, Offset{0});
  ASSERT_TRUE(machine_.world.run_until([&] { return first->has_value() && again->has_value(); }));
  EXPECT_EQ((*again)->appended.base_offset, Offset{0});
  EXPECT_EQ(partition_->bounds().log_end, Offset{2});
}

TEST_F(PartitionTest, GapsAndOldEpochsAreRefused) {
  EXPECT_EQ(appended({.producer = kProducer, .epoch = 1, .sequence = 0}), Offset{0});
  EXPECT_EQ(refused({.producer = kProducer, .epoch = 1, .sequence = 2}),
            ErrorCode::kOutOfOrderSequenceNumber);
  EXPECT_EQ(refused({.producer = kProducer, .epoch = 0, .sequence = 1}),
            ErrorCode::kInvalidProducerEpoch);
  EXPECT_EQ(appended({.producer = kProducer, .epoch = 1, .sequence = 1}), Offset{1});
  ASSERT_EQ(partition_->producers().size(), 1u);
  EXPECT_EQ(partition_->producers()[0].last_sequence(), 1);
}

// Goal: the state of producers survives every kind of end. Method: repeat the newest batch after a
// clean stop, after a crash without a checkpoint, and after a crash behind one.
TEST_F(PartitionTest, ProducersSurviveRestarts) {
  EXPECT_EQ(appended({.producer = kProducer, .sequence = 0}), Offset{0});
  restart();
  EXPECT_EQ(appended({.producer = kProducer, .sequence = 0}), Offset{0});
  EXPECT_EQ(appended({.producer = kProducer, .sequence = 1}), Offset{1});
  crash();
  EXPECT_EQ(appended({.producer = kProducer, .sequence = 1}), Offset{1});
  ASSERT_TRUE(machine_.checkpoint().ok());
  EXPECT_EQ(appended({.producer = kProducer, .sequence = 2}), Offset{2});
  crash();
  EXPECT_EQ(appended({.producer = kProducer, .sequence = 2}), Offset{2});
  EXPECT_EQ(refused({.producer = kProducer, .sequence = 4}), ErrorCode::kOutOfOrderSequenceNumber);
}

// ---- Reading

TEST_F(PartitionTest, ReadersStayWithinTheirBounds) {
  appended({.count = 2});
  EXPECT_EQ(read(Offset{-1}).error().code, ErrorCode::kOffsetOutOfRange);
  EXPECT_EQ(read(Offset{3}).error().code, ErrorCode::kOffsetOutOfRange);
  EXPECT_EQ(read(Offset{2})->next_offset, Offset{2});
  EXPECT_TRUE(read(Offset{2})->pieces.empty());
}

// Goal: who learned an offset by acks=1 and reads there at once is not sent away (its consumer
// would reset). Method: read at offsets that are in the log but not committed.
TEST_F(PartitionTest, WhatIsNotCommittedYetIsEmptyNotOutOfRange) {
  ASSERT_TRUE(begin({.count = 3}, Acks::kLeader)->has_value());
  ASSERT_EQ(high_watermark(), Offset{0});
  for (const std::int64_t from : {0, 1, 3}) {
    std::optional<Result<storage::ReadResult>> early;
    partition_->read(Offset{from}, Isolation::kReadUncommitted, 1000, true,
                     [&](auto result) { early = std::move(result); });
    ASSERT_TRUE(early.has_value());
    ASSERT_TRUE(early->ok()) << from;
    EXPECT_TRUE((*early)->pieces.empty());
    EXPECT_EQ((*early)->next_offset, Offset{from});
  }
  ASSERT_TRUE(machine_.world.run_until([&] { return high_watermark() == Offset{3}; }));
  EXPECT_EQ(read(Offset{0})->next_offset, Offset{3});
}

TEST_F(PartitionTest, WatchersHearOnceAndOnlyOfNews) {
  std::vector<std::string> heard;
  partition_->watch(Offset{0}, Isolation::kReadUncommitted,
                    [&] { heard.emplace_back("beyond 0"); });
  partition_->watch(Offset{1}, Isolation::kReadCommitted, [&] { heard.emplace_back("beyond 1"); });
  const WatchId gone = partition_->watch(Offset{0}, Isolation::kReadUncommitted,
                                         [&] { heard.emplace_back("never"); });
  partition_->unwatch(gone);
  appended({});
  EXPECT_THAT(heard, ElementsAre("beyond 0"));
  appended({.count = 2});
  EXPECT_THAT(heard, ElementsAre("beyond 0", "beyond 1"));
}

TEST_F(PartitionTest, FindsByTime) {
  appended({.count = 3, .time = common::Timestamp{1'700'000'000'000}});
  appended({.count = 1, .time = common::Timestamp{1'699'999'999'000}});
  const auto find = [&](std::int64_t at) {
    return machine_.wait<std::optional<storage::TimedOffset>>([&](auto reply) {
      partition_->find_time(common::Timestamp{at}, Isolation::kReadUncommitted, std::move(reply));
    });
  };
  EXPECT_EQ((*find(1'700'000'000'001))->offset, Offset{1});
  EXPECT_EQ((*find(0))->offset, Offset{0});
  EXPECT_FALSE(find(1'700'000'000'003)->has_value());
  const auto newest = machine_.wait<std::optional<storage::TimedOffset>>(
      [&](auto reply) { partition_->find_max_time(std::move(reply)); });
  EXPECT_EQ((*newest)->offset, Offset{2});
}

// ---- Terms

TEST_F(PartitionTest, EachStartLeadsInANewTerm) {
  const Term first = partition_->bounds().leader_epoch;
  appended({.count = 2});
  restart();
  const Term second = partition_->bounds().leader_epoch;
  EXPECT_GT(second, first);
  appended({});
  EXPECT_TRUE(partition_->check_leader_epoch(second).ok());
  EXPECT_TRUE(partition_->check_leader_epoch(Term{-1}).ok());
  EXPECT_EQ(partition_->check_leader_epoch(first).error().code, ErrorCode::kFencedLeaderEpoch);
  EXPECT_EQ(partition_->check_leader_epoch(second + 1).error().code,
            ErrorCode::kUnknownLeaderEpoch);
  EXPECT_EQ(partition_->end_of_epoch(first), (storage::TermStart{first, Offset{2}}));
  EXPECT_EQ(partition_->end_of_epoch(second), (storage::TermStart{second, Offset{3}}));
  EXPECT_EQ(partition_->end_of_epoch(second + 1), (storage::TermStart{Term{-1}, Offset{-1}}));
}

// ---- Trimming

TEST_F(PartitionTest, DeleteRecordsMovesTheStartWithinItsBounds) {
  for (int i = 0; i < 3; ++i) appended({.count = 2});
  EXPECT_EQ(delete_records(Offset{7}).error().code, ErrorCode::kOffsetOutOfRange);
  EXPECT_EQ(delete_records(Offset{-2}).error().code, ErrorCode::kOffsetOutOfRange);
  EXPECT_EQ(*delete_records(Offset{3}), Offset{3});
  EXPECT_EQ(*delete_records(Offset{1}), Offset{3}) << "it never moves back";
  EXPECT_EQ(read(Offset{2}).error().code, ErrorCode::kOffsetOutOfRange);
  EXPECT_EQ(read(Offset{3})->next_offset, Offset{6});
  crash();
  EXPECT_EQ(partition_->bounds().log_start, Offset{3});
  EXPECT_EQ(*delete_records(Offset{-1}), Offset{6});
  EXPECT_EQ(appended({}), Offset{6});
}

TEST_F(PartitionTest, CompactedTopicsKeepTheirRecords) {
  appended({});
  settings_.delete_old = false;
  partition_->set_settings(settings_);
  EXPECT_EQ(delete_records(Offset{1}).error().code, ErrorCode::kPolicyViolation);
}

// The broker's own trims do not ask the topic: groups rewrite their state and cut what is before
// it.
TEST_F(PartitionTest, TheBrokerTrimsWhateverThePolicy) {
  appended({.count = 3});
  settings_.delete_old = false;
  partition_->set_settings(settings_);
  const auto trimmed =
      machine_.wait<void>([&](auto reply) { partition_->trim(Offset{2}, std::move(reply)); });
  EXPECT_TRUE(trimmed.ok());
  EXPECT_EQ(partition_->bounds().log_start, Offset{2});
  crash();
  EXPECT_EQ(partition_->bounds().log_start, Offset{2});
}

// Goal: compaction gets from the partition how far it may go, and which batches tell a retry from a
// new one. Method: a producer's only record is superseded; what is left of its batch, and what a
// retry of it is told.
TEST_F(PartitionTest, CompactionKeepsTheLastSequenceOfAProducer) {
  settings_.compact = true;
  settings_.delete_old = false;
  settings_.segment_bytes = 2000;
  settings_.min_cleanable_dirty_ratio = 0;
  settings_.file_delete_delay_ms = 0;
  partition_->set_settings(settings_);
  EXPECT_EQ(refused({}), ErrorCode::kInvalidRecord) << "no key";
  const Sent first{.producer = kProducer, .sequence = 0, .key = "a"};
  const Sent second{.producer = kProducer, .sequence = 1, .key = "a"};
  EXPECT_EQ(appended(first), Offset{0});
  EXPECT_EQ(appended(second), Offset{1});
  for (int i = 0; i < 50; ++i) appended({.value_bytes = 100, .key = "a"});
  ASSERT_TRUE(machine_.checkpoint().ok());
  machine_.store().compact();
  ASSERT_TRUE(
      machine_.world.run_until([&] { return machine_.store().stats().compaction.runs > 0; }));
  const auto found = read(Offset{0});
  ASSERT_TRUE(found.ok());
  const auto front = model::BatchView::parse(found->pieces.front());
  ASSERT_TRUE(front.ok());
  EXPECT_EQ(front->base_offset(), Offset{1});
  EXPECT_EQ(front->record_count(), 0);
  EXPECT_EQ(front->producer_id(), kProducer);
  EXPECT_EQ(front->last_sequence(), 1);
  for (const bool restarted : {false, true}) {
    if (restarted) crash();
    partition_->set_settings(settings_);
    EXPECT_EQ(appended(second), Offset{1}) << "a retry";
  }
}

// ---- Endings

TEST_F(PartitionTest, ClosingAnswersEverybody) {
  const auto waiting = begin({});
  bool woken = false;
  partition_->watch(Offset{0}, Isolation::kReadUncommitted, [&] { woken = true; });
  partition_->close(ErrorCode::kUnknownTopicOrPartition);
  ASSERT_TRUE(waiting->has_value());
  EXPECT_EQ((*waiting)->error->code, ErrorCode::kUnknownTopicOrPartition);
  EXPECT_TRUE(woken);
  EXPECT_EQ(refused({}), ErrorCode::kUnknownTopicOrPartition);
  EXPECT_EQ(read(Offset{0}).error().code, ErrorCode::kUnknownTopicOrPartition);
  EXPECT_EQ(delete_records(Offset{0}).error().code, ErrorCode::kUnknownTopicOrPartition);
  EXPECT_EQ(partition_->refusal(100)->code, ErrorCode::kUnknownTopicOrPartition);
}

// Goal: answers of the disk that come after the partition is gone touch nothing. Method: destroy it
// with a write and a trim under way, then let time pass (the address sanitizer watches).
TEST_F(PartitionTest, DiskAnswersMayOutliveIt) {
  appended({.count = 2});
  const auto waiting = begin({});
  std::optional<Result<Offset>> trimmed;
  partition_->delete_records(Offset{1},
                             [&](Result<Offset> result) { trimmed = std::move(result); });
  partition_.reset();
  EXPECT_EQ((*waiting)->error->code, ErrorCode::kShuttingDown);
  ASSERT_TRUE(machine_.world.run_until([&] { return trimmed.has_value(); }));
  machine_.world.run_for(std::chrono::seconds(1));
}

// Goal: a full disk refuses a write whole and heals. Method: no free space; a producer's sequence
// is not used up.
TEST_F(PartitionTest, AFullDiskRefusesAndHeals) {
  EXPECT_EQ(appended({.producer = kProducer, .sequence = 0}), Offset{0});
  machine_.hardware.set_capacity(0);
  std::optional<ErrorCode> code;
  std::int32_t sequence = 1;
  // What is reserved already may still take some.
  for (; sequence < 1000 && code.value_or(ErrorCode::kNone) == ErrorCode::kNone; ++sequence) {
    code = refused({.producer = kProducer, .sequence = sequence, .value_bytes = 4000});
  }
  EXPECT_EQ(code, ErrorCode::kNoSpace);
  ASSERT_TRUE(partition_->refusal(100).has_value()) << "and says so beforehand";
  EXPECT_EQ(partition_->refusal(100)->code, ErrorCode::kNoSpace);
  const Offset end = partition_->bounds().log_end;
  machine_.hardware.set_capacity(std::uint64_t{1} << 40);
  const auto accepted = [&] {
    return refused({.producer = kProducer, .sequence = sequence - 1}) == ErrorCode::kNone;
  };
  for (int i = 0; i < 100 && !accepted(); ++i) machine_.world.run_for(std::chrono::seconds(1));
  EXPECT_EQ(partition_->bounds().log_end, end + 1);
  EXPECT_FALSE(partition_->refusal(100).has_value());
  EXPECT_EQ(partition_->refusal(std::size_t{1} << 40)->code, ErrorCode::kRecordListTooLarge);
  EXPECT_FALSE(machine_.fatal.has_value());
}

}  // namespace
}  // namespace millrace::replica
