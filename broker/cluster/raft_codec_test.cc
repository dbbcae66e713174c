// Raft's messages arrive as they were sent, whatever is in them.
#include "broker/cluster/raft_codec.h"

#include <gtest/gtest.h>

#include "broker/cluster/testing/random_message.h"

namespace millrace::cluster {
namespace {

using common::Random;
using testing::random_key;
using testing::random_message;
using testing::same;

struct Sent {
  model::PartitionKey group;
  raft::Message message;
  std::vector<Bytes> data;
};

Bytes joined(std::span<const Bytes> pieces) {
  std::vector<std::uint8_t> all;
  for (const Bytes& piece : pieces) all.insert(all.end(), piece.view().begin(), piece.view().end());
  return Bytes::copy_of(all);
}

std::vector<Bytes> random_data(Random& random) {
  std::vector<Bytes> data(random.chance(1, 2) ? 0 : random.below(6));
  for (Bytes& piece : data) {
    piece = Bytes::zeros(random.below(100));
    for (std::uint8_t& byte : piece.mutable_view()) byte = static_cast<std::uint8_t>(random.next());
  }
  return data;
}

// Goal: what is written is read, field by field. Method: random messages, many to a frame, keys
// that repeat and keys that do not.
TEST(RaftCodec, FramesAreReadBackAsTheyWere) {
  Random random(1);
  for (int round = 0; round < 500; ++round) {
    RaftFrameWriter writer;
    std::vector<Sent> sent;
    model::PartitionKey key = random_key(random);
    for (std::uint64_t left = random.below(20) + 1; left > 0; --left) {
      if (random.chance(1, 2)) key = random_key(random);
      ++key.index;
      sent.push_back({key, random_message(random), random_data(random)});
      ASSERT_TRUE(writer.room());
      writer.add(key, sent.back().message, sent.back().data);
    }
    EXPECT_EQ(writer.messages(), sent.size());
    std::vector<Bytes> frame;
    writer.finish(1, frame);
    EXPECT_TRUE(writer.empty());
    const auto head = read_head(frame.front(), 1 << 20);
    ASSERT_TRUE(head.ok());
    const Bytes data = joined(std::span(frame).subspan(1));
    EXPECT_EQ(head->data_bytes, data.size());
    RaftFrameReader reader(frame.front().slice(kHeadBytes, head->body_bytes));
    std::size_t at = 0;
    for (const Sent& one : sent) {
      ASSERT_TRUE(reader.more());
      const auto item = reader.next();
      ASSERT_TRUE(item.ok()) << item.error().detail;
      EXPECT_EQ(item->group, one.group);
      EXPECT_TRUE(same(item->message, one.message));
      ASSERT_EQ(item->pieces.size(), one.data.size());
      for (std::size_t i = 0; i < one.data.size(); ++i) {
        ASSERT_EQ(item->pieces[i], one.data[i].size());
        EXPECT_EQ(data.slice(at, one.data[i].size()), one.data[i]);
        at += one.data[i].size();
      }
    }
    EXPECT_FALSE(reader.more());
    EXPECT_EQ(at, data.size());
  }
}

// Data is shared with whoever has it, not copied.
TEST(RaftCodec, DataIsNotCopied) {
  Random random(2);
  const std::vector<Bytes> data = {Bytes::zeros(1000), Bytes(), Bytes::zeros(10)};
  RaftFrameWriter writer;
  writer.add(random_key(random), random_message(random), data);
  std::vector<Bytes> frame;
  writer.finish(1, frame);
  ASSERT_EQ(frame.size(), 3U);
  EXPECT_EQ(frame[1].data(), data[0].data());
  EXPECT_EQ(frame[2].data(), data[2].data());
}

TEST(RaftCodec, ManyPiecesAreToldAsFewer) {
  Random random(3);
  std::vector<Bytes> data(kPiecesMax + 10, Bytes::zeros(3));
  RaftFrameWriter writer;
  writer.add(random_key(random), random_message(random), data);
  std::vector<Bytes> frame;
  writer.finish(1, frame);
  EXPECT_EQ(frame.size(), 1 + data.size());
  RaftFrameReader reader(frame.front().slice(kHeadBytes, frame.front().size() - kHeadBytes));
  const auto item = reader.next();
  ASSERT_TRUE(item.ok());
  ASSERT_EQ(item->pieces.size(), kPiecesMax);
  EXPECT_EQ(item->pieces.back(), 3 * 11U);
  EXPECT_EQ(item->data_bytes, 3 * data.size());
}

// Goal: the largest frame stays within what its reader takes. Method: fill one until there is no
// room, with messages that are as large as they get.
TEST(RaftCodec, AFullFrameCanBeRead) {
  Random random(4);
  raft::Message large;
  large.term = model::Term{1 << 30};
  large.config = raft::VoterSet{};
  large.config->voters.assign(raft::kReplicasMax, {model::BrokerId{1 << 30}, {}});
  large.config->learners = large.config->voters;
  raft::AppendReply reply;
  reply.mismatch.emplace();
  reply.mismatch->starts.assign(raft::kStartsPerReply,
                                {model::Term{1 << 30}, model::Offset{1LL << 62}});
  large.body = reply;
  const std::vector<Bytes> data(kPiecesMax, Bytes::zeros(1));
  RaftFrameWriter writer;
  std::size_t count = 0;
  for (; writer.room(); ++count) writer.add(random_key(random), large, data);
  EXPECT_GT(count, 30U);
  std::vector<Bytes> frame;
  writer.finish(1, frame);
  ASSERT_TRUE(read_head(frame.front(), 1 << 30).ok());
  // A frame with much data is full as well.
  const std::vector<Bytes> much = {Bytes::allocate(kFrameDataGoal)};
  writer.add(random_key(random), random_message(random), much);
  EXPECT_FALSE(writer.room());
}

// Goal: damage is refused, never more than that. Method: good bodies, cut off anywhere or changed
// anywhere; read to the end or to the first error.
TEST(RaftCodec, DamageIsRefused) {
  Random random(5);
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    RaftFrameWriter writer;
    for (std::uint64_t left = random.below(4) + 1; left > 0; --left)
      writer.add(random_key(random), random_message(random), random_data(random));
    std::vector<Bytes> frame;
    writer.finish(1, frame);
    Bytes body = Bytes::copy_of(frame.front().view().subspan(kHeadBytes));
    if (random.chance(1, 2)) {
      body = body.slice(0, random.below(body.size()));
    } else {
      for (int i = 0; i < 3; ++i)
        body.mutable_data()[random.below(body.size())] = static_cast<std::uint8_t>(random.next());
    }
    RaftFrameReader reader(body);
    while (reader.more()) {
      const auto item = reader.next();
      if (item.ok()) continue;
      EXPECT_EQ(item.error().code, model::ErrorCode::kCorruptMessage);
      ++refused;
      break;
    }
  }
  EXPECT_GT(refused, 500);
}

// The format is pinned: brokers of different ages must understand each other.
TEST(RaftCodec, BytesStayWhatTheyAre) {
  raft::Message message;
  message.term = model::Term{7};
  message.config_id = {model::Term{1}, 2};
  message.body = raft::Append{.prev = {model::Term{6}, model::Offset{100}},
                              .term = model::Term{7},
                              .to = model::Offset{110},
                              .bytes = 300,
                              .commit = model::Offset{90},
                              .commit_confirmed = true,
                              .log_start = model::Offset{1},
                              .loss_term = model::Term{0},
                              .incarnation = 3,
                              .probe = false};
  model::PartitionKey key;
  key.topic.bytes[15] = 0xee;
  key.index = model::PartitionIndex{5};
  const std::vector<Bytes> data = {Bytes::zeros(300)};
  RaftFrameWriter writer;
  writer.add(key, message, data);
  writer.add(key, message, {});
  std::vector<Bytes> frame;
  writer.finish(1, frame);
  const ByteView body = frame.front().view().subspan(kHeadBytes);
  const std::vector<std::uint8_t> wanted = {
      0x22,  // Append, commit confirmed
      0,    0,    0, 0,  0,    0,    0,    0,  0,    0, 0,    0, 0,    0, 0, 0xee,  // topic
      10,   14,   2, 4,                                              // index, term, voter set
      12,   0xc8, 1, 14, 0xdc, 1,    0xac, 2,  0xb4, 1, 2,    0, 3,  // prev .. incarnation
      1,    0xac, 2,                                                 // one piece
      0x2a,                                                          // the same topic
      10,   14,   2, 4,  12,   0xc8, 1,    14, 0xdc, 1, 0xac, 2, 0xb4, 1, 2, 0,    3, 0};
  EXPECT_EQ(std::vector<std::uint8_t>(body.begin(), body.end()), wanted);
}

}  // namespace
}  // namespace millrace::cluster
