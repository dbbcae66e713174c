#include "broker/replica/hard_state_codec.h"

#include <gtest/gtest.h>

#include "broker/model/errors.h"
#include "broker/model/test_batches.h"
#include "broker/storage/log.h"
#include "common/crc32c.h"
#include "common/endian.h"

namespace millrace::replica {
namespace {

raft::ReplicaId replica(int node) {
  raft::ReplicaId id{.node = model::BrokerId{node}, .directory = {}};
  for (std::size_t i = 0; i < id.directory.bytes.size(); ++i)
    id.directory.bytes[i] = static_cast<std::uint8_t>(16 * node + static_cast<int>(i));
  return id;
}

StoredState some_state() {
  return {.hard = {.term = raft::Term{7},
                   .vote = replica(2),
                   .config = {.id = {.term = raft::Term{6}, .version = 4},
                              .voters = {replica(1), replica(2), replica(3)},
                              .learners = {replica(9)}},
                   .loss_term = raft::Term{5},
                   .incarnation = 3,
                   .unclean = true},
          .relaxed = true};
}

TEST(HardStateCodec, KeepsEverything) {
  for (const StoredState& state : {some_state(), StoredState{}}) {
    const auto read = decode_state(encode(state));
    ASSERT_TRUE(read.ok()) << read.error().detail;
    EXPECT_EQ(*read, state);
  }
  StoredState relaxed;
  relaxed.relaxed = true;
  EXPECT_EQ(*decode_state(encode(relaxed)), relaxed);
  StoredState retired;
  retired.retired = true;
  EXPECT_EQ(*decode_state(encode(retired)), retired);
}

// The largest one fits where it is to be kept.
TEST(HardStateCodec, TheLargestFits) {
  StoredState state = some_state();
  state.hard.config.voters.clear();
  for (int i = 0; i < static_cast<int>(raft::kReplicasMax); ++i)
    state.hard.config.voters.push_back(replica(i));
  EXPECT_LE(encode(state).size(), storage::kStateBytesMax);
}

common::Bytes sealed(common::Bytes bytes) {
  const std::size_t body = bytes.size() - 4;
  common::store_little(bytes.mutable_data() + body, common::crc32c(bytes.view().first(body)));
  return bytes;
}

TEST(HardStateCodec, SaysWhichVersionItCannotRead) {
  common::Bytes newer = encode(some_state());
  newer.mutable_data()[0] = 2;
  EXPECT_TRUE(decode_state(sealed(newer)).ok()) << "newer, and to be read by this one";
  newer.mutable_data()[1] = 2;
  EXPECT_EQ(decode_state(sealed(newer)).error().code, model::ErrorCode::kUnsupportedVersion);
}

// Goal: no bytes are taken for a state that is none. Method: random damage, with and without a
// checksum that fits.
TEST(HardStateCodec, SafeOnAnyBytes) {
  common::Random random(4);
  const common::Bytes good = encode(some_state());
  for (int i = 0; i < 20'000; ++i) {
    const auto bad = model::damaged(good.view(), random);
    const common::Bytes bytes = common::Bytes::copy_of(common::ByteView(bad));
    if (bytes == good) continue;
    EXPECT_FALSE(decode_state(bytes).ok());
    if (bytes.size() < 6) continue;
    // Right or wrong, but never more than the bytes hold.
    const auto read = decode_state(sealed(bytes));
    if (!read.ok()) continue;
    EXPECT_LE(20 * (read->hard.config.voters.size() + read->hard.config.learners.size()),
              bytes.size());
  }
}

}  // namespace
}  // namespace millrace::replica
