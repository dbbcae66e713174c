#include "broker/metadata/replay.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "broker/metadata/testing/cluster_model.h"
#include "broker/model/batch.h"
#include "broker/model/record.h"
#include "common/random.h"

namespace millrace::metadata {
namespace {

using model::BrokerId;
using model::Offset;
using testing::id_of;
using Kind = ReplayStep::Kind;

/// A log of metadata: batches one behind the other.
struct Log {
  Offset end;
  std::vector<common::Bytes> batches;

  Offset append(common::Bytes batch) {
    const Offset at = end;
    model::set_position(batch.mutable_view(), at, model::Term{1});
    end = model::BatchView::parse(batch)->next_offset();
    batches.push_back(std::move(batch));
    return at;
  }
  Offset append(const std::vector<Record>& records) { return append(to_batch(records, {})); }
};

ReplayStep take(Replay& replay, const common::Bytes& batch) {
  auto step = replay.take(model::BatchView::parse(batch).value());
  EXPECT_TRUE(step.ok());
  return *std::move(step);
}

/// What the shell does with a step.
void perform(const ReplayStep& step, Image& image) {
  if (step.kind == Kind::kSnapshot) image = image_of(step.records);
  if (step.kind != Kind::kRecords) return;
  for (const Record& record : step.records) image.apply(record);
  for (const common::Bytes& value : step.unreadable) image.apply_bytes(value);
}

Image image_of_some_cluster(std::uint64_t seed) {
  common::Random random(seed);
  return testing::random_cluster(random).image;
}

// Goal: a snapshot of any state is that state, in however many parts, and is named as where the log
// may be cut off.
TEST(Replay, SnapshotsComeBackWhole) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    const Image image = image_of_some_cluster(seed);
    Log log;
    log.append({BrokerGone{BrokerId{5}}});
    const Offset at = log.end;
    const auto batches = snapshot_batches(image, at, {}, 50 * seed);
    for (const common::Bytes& batch : batches) log.append(batch);
    Replay replay(Offset{0});
    take(replay, log.batches[0]);
    Image built;
    for (std::size_t i = 1; i < log.batches.size(); ++i) {
      EXPECT_EQ(replay.snapshot_start(), std::nullopt);
      const ReplayStep step = take(replay, log.batches[i]);
      EXPECT_EQ(step.kind, i + 1 < log.batches.size() ? Kind::kNothing : Kind::kSnapshot);
      perform(step, built);
    }
    EXPECT_TRUE(built == image);
    EXPECT_EQ(replay.snapshot_start(), at);
    EXPECT_EQ(replay.next(), log.end);
    EXPECT_TRUE(replay.whole());
    std::uint64_t bytes = 0;
    for (const common::Bytes& batch : batches) bytes += batch.size();
    EXPECT_EQ(replay.bytes(), bytes) << "what lies in front can be cut off";
    if (seed > 3) continue;
    EXPECT_GT(batches.size(), 2U);
    for (const common::Bytes& batch : batches) EXPECT_LT(batch.size(), 50 * seed + 1000);
  }
}

// Goal: a log that was cut off begins with a snapshot, and is not the whole state before its end.
TEST(Replay, ALogThatBeginsWithASnapshot) {
  const Image image = image_of_some_cluster(4);
  Log log{.end = Offset{100}, .batches = {}};
  for (const common::Bytes& batch : snapshot_batches(image, Offset{100}, {}, 200))
    log.append(batch);
  log.append({BrokerConfigSet{std::nullopt, "a", "b"}});
  Replay replay(Offset{100});
  EXPECT_FALSE(replay.whole());
  Image built;
  for (std::size_t i = 0; i < log.batches.size(); ++i) {
    perform(take(replay, log.batches[i]), built);
    EXPECT_EQ(replay.whole(), i + 2 >= log.batches.size());
  }
  EXPECT_EQ(replay.snapshot_start(), std::nullopt) << "the log is cut off there already";
  EXPECT_EQ(built.cluster_config().at("a"), "b");
  // And with plain records where an older broker cut it off.
  Log old{.end = Offset{7}, .batches = {}};
  old.append({FeatureLevelSet{1}});
  Replay plain(Offset{7});
  EXPECT_FALSE(plain.whole());
  EXPECT_EQ(take(plain, old.batches[0]).kind, Kind::kRecords);
  EXPECT_TRUE(plain.whole());
}

// Goal: a snapshot that another batch interrupts, or whose parts do not fit, takes no effect; what
// follows does.
TEST(Replay, HalfASnapshotIsNone) {
  const Image image = image_of_some_cluster(5);
  const auto interrupted = [&](std::size_t parts, const std::vector<common::Bytes>& behind) {
    Log log;
    log.append({BrokerGone{BrokerId{5}}});
    const auto batches = snapshot_batches(image, log.end, {}, 100);
    CHECK(batches.size() > 3);
    for (std::size_t i = 0; i < parts; ++i) log.append(batches[i]);
    for (const common::Bytes& batch : behind) log.append(batch);
    Replay replay(Offset{0});
    std::string kinds;
    for (const common::Bytes& batch : log.batches) {
      const Kind kind = take(replay, batch).kind;
      kinds += kind == Kind::kRecords ? 'r' : kind == Kind::kSnapshot ? 's' : '-';
    }
    EXPECT_EQ(replay.snapshot_start(), std::nullopt);
    return kinds;
  };
  const auto plain = [] { return to_batch(std::vector<Record>{BrokerGone{BrokerId{6}}}, {}); };
  const auto parts = [&] { return snapshot_batches(image, Offset{1}, {}, 100); };
  EXPECT_EQ(interrupted(2, {plain(), parts()[2]}), "r--r-");
  EXPECT_EQ(interrupted(2, {parts()[3]}), "r---") << "one is left out";
  EXPECT_EQ(interrupted(2, {parts()[0], parts()[1], parts()[2]}), "r-----") << "not where it says";
  const auto odd = [](std::int32_t part, std::int32_t of) {
    return to_batch(std::vector<Record>{SnapshotPart{Offset{1}, part, of}}, {});
  };
  EXPECT_EQ(interrupted(0, {odd(-1, 1), odd(1, 1), odd(0, 0)}), "r---");
}

// Goal: values that are no record are handed on, to be counted, and a damaged batch is refused.
TEST(Replay, UnreadableValuesAreCounted) {
  model::BatchBuilder builder;
  const std::uint8_t newer[] = {0x08, 0x02, 0x1a, 0x00};
  const common::Bytes good = encode(BrokerConfigSet{std::nullopt, "a", "b"});
  builder.append({.timestamp = {}, .value = newer});
  builder.append({.timestamp = {}, .value = good.view()});
  Log log;
  log.append(builder.build());
  Replay replay(Offset{0});
  Image image;
  perform(take(replay, log.batches[0]), image);
  EXPECT_EQ(image.rejected(), 1U);
  EXPECT_EQ(image.cluster_config().size(), 1U);
  common::Bytes damaged = common::Bytes::copy_of(log.batches[0]);
  damaged.mutable_view()[model::kBatchHeaderBytes] = 0xff;
  EXPECT_FALSE(Replay(Offset{0}).take(model::BatchView::parse(damaged).value()).ok());
}

// Goal: proposals are found again by their id.
TEST(Replay, ProposalsHaveTheirIds) {
  Log log;
  log.append({BrokerGone{BrokerId{1}}});
  log.append(to_batch(std::vector<Record>{BrokerGone{BrokerId{1}}, BrokerGone{BrokerId{2}}}, {},
                      id_of(7, 7)));
  Replay replay(Offset{0});
  EXPECT_TRUE(take(replay, log.batches[0]).proposal.is_zero());
  const ReplayStep step = take(replay, log.batches[1]);
  EXPECT_EQ(step.proposal, id_of(7, 7));
  EXPECT_EQ(step.base, Offset{1});
  EXPECT_EQ(step.next, Offset{3});
  EXPECT_EQ(step.records.size(), 2U);
}

}  // namespace
}  // namespace millrace::metadata
