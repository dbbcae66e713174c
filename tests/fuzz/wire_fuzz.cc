// Any bytes read as any Kafka message or record in any version give an error or a message whose own
// encoding reads back equal, within the memory that the limits allow. The first byte chooses the
// message, the second its version.
#include <array>
#include <cstddef>
#include <cstdint>
#include <tuple>

#include "broker/wire/header.h"
#include "broker/wire/messages/all.h"

namespace {

using namespace millrace::wire;
using millrace::common::Bytes;

template <typename Message>
void check(const Bytes& frame, std::uint8_t choice) {
  constexpr int kVersions = Message::kVersionMax - Message::kVersionMin + 1;
  const auto version = static_cast<std::int16_t>(Message::kVersionMin + choice % kVersions);
  Reader in(frame, ReadLimits{.decoded_bytes_max = std::size_t{1} << 20});
  const auto message = Message::decode(in, version);
  if (!message.ok()) {
    CHECK(!message.error().detail.empty());
    return;
  }
  CHECK(!message->debug().empty());
  Writer out;
  message->encode(out, version);
  CHECK(out.size() == message->size(version), "size() says {}", message->size(version));
  Reader again(out.take().joined());
  const auto twice = Message::decode(again, version);
  CHECK(twice.ok(), "{}", twice.error().detail);
  CHECK(again.remaining() == 0, "{} bytes are left over", again.remaining());
  CHECK(*twice == *message, "{} and {}", message->debug(), twice->debug());
}

using Check = void (*)(const Bytes&, std::uint8_t);

template <typename... Request, typename... Key>
constexpr auto checks_of(std::tuple<Request...>*, std::tuple<Key...>*) {
  return std::array{Check{check<Request>}...,    Check{check<typename Request::Response>}...,
                    Check{check<RequestHeader>}, Check{check<ResponseHeader>},
                    Check{check<Key>}...,        Check{check<typename Key::Value>}...};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static constexpr auto kChecks =
      checks_of(static_cast<AllRequests*>(nullptr), static_cast<AllRecordKeys*>(nullptr));
  if (size < 2) return 0;
  const Bytes frame = Bytes::copy_of(millrace::common::ByteView{data + 2, size - 2});
  kChecks[data[0] % kChecks.size()](frame, data[1]);
  Reader header(frame);
  // As the front end does: a header, then the body it names.
  if (const auto read = read_request_header(header); read.ok()) CHECK(!read->debug().empty());
  return 0;
}
