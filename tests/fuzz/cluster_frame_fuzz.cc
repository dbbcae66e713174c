// Any bytes as what another broker sends: refused, or frames whose own encoding reads back equal,
// with memory that follows what really came. With an odd first byte the rest are bodies (each:
// type, two bytes of length, so much of a body, one byte of data to follow) that get right heads
// and checksums, so that what lies behind them is reached without luck.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "broker/cluster/frame_input.h"
#include "broker/cluster/raft_codec.h"

namespace {

using namespace millrace;
using namespace millrace::cluster;

constexpr std::size_t kDataMax = std::size_t{1} << 20;

ByteView body_of(const Bytes& frame) {
  return frame.view().subspan(kHeadBytes);
}

template <typename Read, typename Encode>
void check_again(ByteView body, Read read, Encode encode_it) {
  const auto first = read(body);
  if (!first.ok()) {
    CHECK(!first.error().detail.empty());
    return;
  }
  const auto second = read(body_of(encode_it(*first)));
  CHECK(second.ok(), "{}", second.error().detail);
  CHECK(*second == *first);
}

/// Reads every body as what it says it is, and takes data as Raft's messages ask for it.
class Reader final : public FrameSink {
 public:
  Result<std::size_t> on_body(const FrameHead& head, Bytes body) override {
    raft_ = head.type == FrameType::kRaft;
    if (raft_) {
      reader_ = RaftFrameReader(std::move(body));
      return next();
    }
    check(head.type, body);
    return std::size_t{head.data_bytes};
  }
  Result<std::size_t> on_piece(Bytes) override {
    if (raft_) return next();
    return std::size_t{0};
  }

 private:
  Result<std::size_t> next() {
    while (reader_.more()) {
      TRY_ASSIGN(const RaftItem item, reader_.next());
      check_item(item);
      if (item.data_bytes > 0) return item.data_bytes;
    }
    return std::size_t{0};
  }
  static void check_item(const RaftItem& item) {
    std::vector<Bytes> data;
    std::size_t total = 0;
    for (const std::uint32_t size : item.pieces) total += size;
    CHECK(total == item.data_bytes && item.pieces.size() <= kPiecesMax);
    if (total > kDataMax) return;
    for (const std::uint32_t size : item.pieces) data.push_back(Bytes::allocate(size));
    const Bytes once = written(item, data);
    RaftFrameReader again(once);
    const auto read = again.next();
    CHECK(read.ok() && !again.more());
    CHECK(read->group == item.group && read->pieces == item.pieces);
    CHECK(written(*read, data) == once);
  }
  static Bytes written(const RaftItem& item, const std::vector<Bytes>& data) {
    RaftFrameWriter writer;
    writer.add(item.group, item.message, data);
    std::vector<Bytes> frame;
    writer.finish(kVersionMax, frame);
    return frame.front().slice(kHeadBytes, frame.front().size() - kHeadBytes);
  }
  static void check(FrameType type, ByteView body) {
    switch (type) {
      case FrameType::kHello:
        return check_again(body, decode_hello, [](const Hello& v) { return encode(v); });
      case FrameType::kWelcome:
        return check_again(body, decode_welcome, [](const Welcome& v) { return encode(v); });
      case FrameType::kTurnedAway:
        return check_again(body, decode_turned_away, [](const TurnedAway& v) { return encode(v); });
      case FrameType::kHeartbeat:
        return check_again(
            body, [](ByteView bytes) { return decode_heartbeat(bytes, kVersionMax); },
            [](const Heartbeat& v) { return encode(v, kVersionMax); });
      case FrameType::kLeaders:
        return check_again(body, decode_leaders,
                           [](const Leaders& v) { return encode(v.entries, kVersionMax); });
      case FrameType::kSums:
        return check_again(body, decode_sums, [](const Sums& v) { return encode(v, kVersionMax); });
      case FrameType::kRequest:
        return check_again(body, decode_request,
                           [](const RequestHead& v) { return encode(v, 0, kVersionMax); });
      case FrameType::kResponse:
        return check_again(body, decode_response,
                           [](const ResponseHead& v) { return encode(v, 0, kVersionMax); });
      default:
        return;
    }
  }

  bool raft_ = false;
  RaftFrameReader reader_;
};

/// Frames with right heads around the bodies in `bytes`.
std::vector<std::uint8_t> framed(ByteView bytes) {
  std::vector<std::uint8_t> stream;
  while (bytes.size() >= 4) {
    const auto type = static_cast<FrameType>(bytes[0] % 10 + 1);
    const std::size_t wanted = common::load_little<std::uint16_t>(bytes.data() + 1);
    const bool has_data = type >= FrameType::kRaft;
    const bool handshake = type <= FrameType::kTurnedAway;
    const std::size_t data = has_data ? bytes[3] : 0;
    bytes = bytes.subspan(4);
    FieldWriter out;
    begin_frame(out);
    const std::size_t size = std::min(wanted, bytes.size());
    out.raw(bytes.first(size));
    bytes = bytes.subspan(size);
    const Bytes frame = end_frame(out, type, handshake ? kHandshakeVersion : kVersionMax, data);
    stream.insert(stream.end(), frame.view().begin(), frame.view().end());
    stream.insert(stream.end(), data, 0xda);
  }
  return stream;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  ByteView rest{data + 2, size - 2};
  std::vector<std::uint8_t> stream;
  if ((data[0] & 1) != 0) {
    stream = framed(rest);
    rest = stream;
  }
  // The second byte says how the network cuts it.
  const std::size_t most = std::size_t{data[1]} + 1;
  std::array<std::uint8_t, 512> scratch;
  FrameInput input(kDataMax);
  Reader reader;
  std::size_t came = 0;
  while (!rest.empty()) {
    const auto space = input.space(scratch);
    CHECK(!space.empty());
    const std::size_t count = std::min({space.size(), rest.size(), most});
    std::memcpy(space.data(), rest.data(), count);
    rest = rest.subspan(count);
    came += count;
    const auto taken = input.take(count, reader);
    CHECK(input.held_bytes() <= std::max(FrameInput::kFirstBytes, 2 * came));
    if (!taken.ok()) {
      CHECK(taken.error().code == model::ErrorCode::kCorruptMessage);
      break;
    }
  }
  return 0;
}
