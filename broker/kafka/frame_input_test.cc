// Frames come out whole and in order however the bytes are cut, and memory follows what arrived.
#include "broker/kafka/frame_input.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "broker/model/errors.h"
#include "common/endian.h"
#include "common/random.h"

namespace millrace::kafka {
namespace {

constexpr std::size_t kFrameMax = std::size_t{4} << 20;

std::string frame_of(std::size_t size, char fill) {
  std::string bytes(4 + size, fill);
  common::store_big(reinterpret_cast<std::uint8_t*>(bytes.data()), static_cast<std::int32_t>(size));
  return bytes;
}

/// A connection's receiving end: what is pushed is read in steps of the given size.
class Receiver {
 public:
  explicit Receiver(std::size_t scratch_bytes) : scratch_(scratch_bytes) {}

  /// Reads `bytes` in as many steps as it takes, at most `step` bytes each. False: refused.
  bool push(std::string_view bytes, std::size_t step) {
    while (!bytes.empty()) {
      const common::MutableByteView space = input.space(scratch_);
      const std::size_t count = std::min({step, space.size(), bytes.size()});
      std::copy_n(bytes.data(), count, space.data());
      const auto taken =
          input.take(count, [&](common::Bytes frame) { return take(std::move(frame)); });
      if (!taken.ok()) {
        error = taken.error();
        return false;
      }
      held_max = std::max(held_max, input.held_bytes());
      bytes.remove_prefix(count);
    }
    return true;
  }
  bool take(common::Bytes frame) {
    frames.emplace_back(frame.text());
    return frames.size() < stop_at;
  }

  FrameInput input{kFrameMax};
  std::vector<std::string> frames;
  std::size_t stop_at = SIZE_MAX;
  std::size_t held_max = 0;
  std::optional<common::Error> error;

 private:
  std::vector<std::uint8_t> scratch_;
};

// Goal: every way to cut two frames in two reads gives the same frames. Method: all cuts of a
// stream of three frames.
TEST(FrameInput, AnyCutGivesTheSameFrames) {
  const std::string stream = frame_of(0, 'x') + frame_of(5, 'a') + frame_of(40, 'b');
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    Receiver receiver(64);
    ASSERT_TRUE(receiver.push(std::string_view(stream).substr(0, cut), SIZE_MAX));
    ASSERT_TRUE(receiver.push(std::string_view(stream).substr(cut), SIZE_MAX));
    ASSERT_EQ(receiver.frames,
              (std::vector<std::string>{"", std::string(5, 'a'), std::string(40, 'b')}))
        << cut;
    EXPECT_EQ(receiver.input.held_bytes(), 0u);
    EXPECT_FALSE(receiver.input.holds_data());
  }
}

TEST(FrameInput, OneByteAtATime) {
  Receiver receiver(16);
  ASSERT_TRUE(receiver.push(frame_of(3, 'a') + frame_of(100, 'b') + frame_of(1, 'c'), 1));
  EXPECT_EQ(receiver.frames, (std::vector<std::string>{"aaa", std::string(100, 'b'), "c"}));
}

// Goal: random sizes around the limits of scratch memory and direct reading, random steps.
TEST(FrameInput, RandomStreamsComeBackWhole) {
  common::Random random(7);
  for (int round = 0; round < 200; ++round) {
    Receiver receiver(1 + random.below(40'000));
    std::vector<std::string> sent;
    std::string stream;
    for (std::uint64_t i = 0, count = 1 + random.below(12); i < count; ++i) {
      const std::size_t size = random.chance(1, 2) ? random.below(60) : random.below(50'000);
      const std::string frame = frame_of(size, static_cast<char>('a' + i));
      sent.push_back(frame.substr(4));
      stream += frame;
    }
    while (!stream.empty()) {
      const std::size_t part = 1 + random.below(stream.size());
      ASSERT_TRUE(receiver.push(stream.substr(0, part), 1 + random.below(30'000)));
      stream.erase(0, part);
    }
    ASSERT_EQ(receiver.frames, sent) << round;
    EXPECT_EQ(receiver.input.held_bytes(), 0u);
  }
}

// Goal: an announced length that is a lie costs nothing. Method: announce the maximum, send a few
// bytes.
TEST(FrameInput, MemoryFollowsTheBytesThatArrived) {
  Receiver receiver(64 << 10);
  const std::string frame = frame_of(kFrameMax, 'z');
  std::size_t sent = 0;
  for (const std::size_t upto : {4ul, 5ul, 100ul, 1000ul, 70'000ul, 300'000ul}) {
    ASSERT_TRUE(receiver.push(std::string_view(frame).substr(sent, upto - sent), SIZE_MAX));
    sent = upto;
    EXPECT_LE(receiver.input.held_bytes(), std::max<std::size_t>(64, 2 * upto)) << upto;
    EXPECT_EQ(receiver.input.announced_bytes(), kFrameMax);
  }
  ASSERT_TRUE(receiver.push(std::string_view(frame).substr(sent), SIZE_MAX));
  ASSERT_EQ(receiver.frames.size(), 1u);
  EXPECT_EQ(receiver.frames[0], frame.substr(4));
}

TEST(FrameInput, RefusesLengthsBeyondTheMaximum) {
  for (const std::int32_t length :
       {static_cast<std::int32_t>(kFrameMax) + 1, INT32_MAX, -1, INT32_MIN}) {
    Receiver receiver(64);
    std::string bytes(4, 0);
    common::store_big(reinterpret_cast<std::uint8_t*>(bytes.data()), length);
    EXPECT_FALSE(receiver.push(frame_of(2, 'a') + bytes, SIZE_MAX)) << length;
    ASSERT_TRUE(receiver.error.has_value());
    EXPECT_EQ(receiver.error->code, model::ErrorCode::kInvalidRequest);
    EXPECT_EQ(receiver.frames, std::vector<std::string>{"aa"});
  }
}

// Goal: a second large frame is read straight to where it stays. Method: its bytes lie in the
// buffer it was read into.
TEST(FrameInput, LargeFramesAreNotCopied) {
  FrameInput input(kFrameMax);
  std::vector<std::uint8_t> scratch(64 << 10);
  const std::string frame = frame_of(100'000, 'p');
  const std::uint8_t* read_into = nullptr;
  const std::uint8_t* delivered = nullptr;
  for (int i = 0; i < 2; ++i) {
    std::size_t sent = 0;
    while (sent < frame.size()) {
      const common::MutableByteView space = input.space(scratch);
      if (sent == 0) read_into = space.data();
      const std::size_t count = std::min(space.size(), frame.size() - sent);
      std::copy_n(frame.data() + sent, count, space.data());
      sent += count;
      ASSERT_TRUE(input
                      .take(count,
                            [&](common::Bytes whole) {
                              delivered = whole.data();
                              return true;
                            })
                      .ok());
    }
  }
  EXPECT_EQ(delivered, read_into + 4);
}

// Goal: a sink that has enough gets the rest later, in order, also when more arrives meanwhile.
TEST(FrameInput, KeepsWhatTheSinkDidNotTake) {
  Receiver receiver(1 << 10);
  receiver.stop_at = 2;
  ASSERT_TRUE(receiver.push(
      frame_of(1, 'a') + frame_of(2, 'b') + frame_of(3, 'c') + frame_of(4, 'd') + "\0", SIZE_MAX));
  EXPECT_EQ(receiver.frames.size(), 2u);
  EXPECT_TRUE(receiver.input.holds_data());
  receiver.stop_at = 3;
  ASSERT_TRUE(
      receiver.input.resume([&](common::Bytes frame) { return receiver.take(std::move(frame)); })
          .ok());
  EXPECT_EQ(receiver.frames.size(), 3u);
  receiver.stop_at = SIZE_MAX;
  ASSERT_TRUE(receiver.push(frame_of(5, 'e'), SIZE_MAX));
  EXPECT_EQ(receiver.frames, (std::vector<std::string>{"a", "bb", "ccc", "dddd", "eeeee"}));
}

}  // namespace
}  // namespace millrace::kafka
