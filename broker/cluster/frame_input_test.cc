// Frames come out as they went in, however the network cuts them, and lies cost no memory.
#include "broker/cluster/frame_input.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "common/random.h"

namespace millrace::cluster {
namespace {

using common::MutableByteView;
using common::Random;
using model::ErrorCode;

constexpr std::size_t kDataMax = std::size_t{64} << 20;

/// Asks for the data in pieces of given sizes, in turn.
class Collector final : public FrameSink {
 public:
  Result<std::size_t> on_body(const FrameHead& head, Bytes body) override {
    heads.push_back(head);
    bodies.push_back(std::move(body));
    left_ = head.data_bytes;
    return next();
  }
  Result<std::size_t> on_piece(Bytes piece) override {
    left_ -= piece.size();
    pieces.push_back(std::move(piece));
    return next();
  }

  std::vector<FrameHead> heads;
  std::vector<Bytes> bodies;
  std::vector<Bytes> pieces;
  std::vector<std::size_t> sizes = {1, 17, 20'000, 100'000};

 private:
  std::size_t next() { return std::min(left_, sizes[turn_++ % sizes.size()]); }
  std::size_t left_ = 0;
  std::size_t turn_ = 0;
};

/// Gives the input what it asks for, at most `most` bytes at a time.
Result<void> feed(FrameInput& input, FrameSink& sink, ByteView bytes, std::size_t most,
                  MutableByteView scratch) {
  while (!bytes.empty()) {
    const MutableByteView space = input.space(scratch);
    CHECK(!space.empty());
    const std::size_t count = std::min({space.size(), bytes.size(), most});
    std::memcpy(space.data(), bytes.data(), count);
    bytes = bytes.subspan(count);
    TRY(input.take(count, sink));
  }
  return {};
}

void append(std::vector<std::uint8_t>& all, ByteView bytes) {
  all.insert(all.end(), bytes.begin(), bytes.end());
}

Bytes random_bytes(Random& random, std::size_t size) {
  Bytes bytes = Bytes::allocate(size);
  for (std::uint8_t& byte : bytes.mutable_view()) byte = static_cast<std::uint8_t>(random.next());
  return bytes;
}

TEST(FrameInput, FramesComeOutAsTheyWentIn) {
  std::array<std::uint8_t, 4096> scratch;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    std::vector<std::uint8_t> stream;
    std::vector<std::uint8_t> data_sent;
    std::size_t frames = 0;
    for (; frames < 20; ++frames) {
      if (random.chance(1, 3)) {
        append(stream, encode_goodbye(1));
        continue;
      }
      const Bytes data =
          random_bytes(random, random.chance(1, 4) ? random.below(300'000) : random.below(200));
      const ResponseHead head{.id = frames, .text = std::string(random.below(2000), 'x')};
      append(stream, encode(head, data.size(), 1));
      append(stream, data);
      append(data_sent, data);
    }
    FrameInput input(kDataMax);
    Collector sink;
    const std::size_t most = random.chance(1, 2) ? random.below(50) + 1 : random.below(100'000) + 1;
    const auto fed = feed(input, sink, stream, most, scratch);
    ASSERT_TRUE(fed.ok()) << "seed " << seed << ": " << fed.error().detail;
    EXPECT_TRUE(input.between_frames());
    EXPECT_EQ(input.held_bytes(), 0U);
    EXPECT_EQ(sink.heads.size(), frames);
    std::vector<std::uint8_t> data_got;
    for (const Bytes& piece : sink.pieces) append(data_got, piece);
    EXPECT_EQ(data_got, data_sent) << "seed " << seed;
    for (std::size_t at = 0; at < sink.heads.size(); ++at) {
      const bool response = sink.heads[at].type == FrameType::kResponse;
      EXPECT_TRUE(response ? decode_response(sink.bodies[at]).ok() : sink.bodies[at].empty());
    }
  }
}

// What a piece keeps alive is itself: nothing of a large frame hangs on a small piece of it.
TEST(FrameInput, PiecesHaveMemoryOfTheirOwn) {
  std::array<std::uint8_t, 65536> scratch;
  Random random(1);
  std::vector<std::uint8_t> stream;
  append(stream, encode(ResponseHead{.id = 1}, 300'000, 1));
  append(stream, random_bytes(random, 300'000));
  FrameInput input(kDataMax);
  Collector sink;
  ASSERT_TRUE(feed(input, sink, stream, stream.size(), scratch).ok());
  ASSERT_GT(sink.pieces.size(), 4U);
  for (const Bytes& piece : sink.pieces) EXPECT_EQ(piece.block_size(), piece.size());
}

// Goal: an announced length allocates no more than a bounded part of it before its bytes are there.
// Method: announce the maximum, send little of it.
TEST(FrameInput, ALieCostsLittle) {
  std::array<std::uint8_t, 4096> scratch;
  FrameInput input(kDataMax);
  Collector sink;
  sink.sizes = {kDataMax};
  const std::vector<std::uint8_t> some(100, 7);
  ASSERT_TRUE(feed(input, sink, encode(ResponseHead{.id = 1}, kDataMax, 1), 4096, scratch).ok());
  ASSERT_TRUE(feed(input, sink, some, 4096, scratch).ok());
  EXPECT_LE(input.held_bytes(), FrameInput::kFirstBytes);
  const std::vector<std::uint8_t> more(3 * FrameInput::kFirstBytes, 7);
  ASSERT_TRUE(feed(input, sink, more, 65536, scratch).ok());
  EXPECT_LE(input.held_bytes(), 4 * FrameInput::kFirstBytes);
  EXPECT_FALSE(input.between_frames());
}

TEST(FrameInput, GarbageEndsIt) {
  std::array<std::uint8_t, 4096> scratch;
  Collector sink;
  for (const std::string_view text : {"GET / HTTP/1.1\r\nHost: somewhere\r\n\r\n",
                                      "\0\0\0\x12\0\x12\0\0\0\0\0\0\0\x0akafka-client-1"}) {
    FrameInput input(kDataMax);
    const std::string garbage = std::string(text) + std::string(64, '\0');
    const auto fed = feed(input, sink, common::as_bytes(garbage), 4096, scratch);
    ASSERT_FALSE(fed.ok());
    EXPECT_EQ(fed.error().code, ErrorCode::kCorruptMessage);
  }
  EXPECT_TRUE(sink.heads.empty());
}

// A reader that finds the sizes in the body not to fit the frame's says so: nothing may be left
// over, and nothing missing.
TEST(FrameInput, DataMustFitTheBody) {
  class Greedy final : public FrameSink {
   public:
    explicit Greedy(std::size_t wish) : wish_(wish) {}
    Result<std::size_t> on_body(const FrameHead&, Bytes) override { return wish_; }
    Result<std::size_t> on_piece(Bytes) override { return std::size_t{0}; }

   private:
    std::size_t wish_;
  };
  std::array<std::uint8_t, 4096> scratch;
  std::vector<std::uint8_t> stream;
  append(stream, encode(ResponseHead{.id = 1}, 100, 1));
  stream.insert(stream.end(), 100, 0);
  for (const std::size_t wish : {0U, 99U, 101U}) {
    Greedy sink(wish);
    FrameInput input(kDataMax);
    const auto fed = feed(input, sink, stream, 4096, scratch);
    ASSERT_FALSE(fed.ok()) << wish;
    EXPECT_EQ(fed.error().code, ErrorCode::kCorruptMessage);
  }
  Greedy fitting(100);
  FrameInput input(kDataMax);
  EXPECT_TRUE(feed(input, fitting, stream, 4096, scratch).ok());
}

}  // namespace
}  // namespace millrace::cluster
