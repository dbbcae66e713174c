// Any bytes read as any Kafka message or record in any version give an error or a message whose own
// encoding reads back equal, within the memory that the limits allow. The first byte chooses the
// kind, the second the API or the type of record by its number (so that seeds stay what they are
// when APIs are added), the third the version, counted from the lowest.
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

/// What the first byte chooses.
enum Kind : std::uint8_t { kRequest, kResponse, kHeaders, kRecordKey, kRecordValue, kKinds };

struct Choice {
  Kind kind;
  int number;  // an API's key, a record's type; of the headers: 0 of requests, 1 of responses
  Check check;
};

template <typename... Request, typename... Key>
constexpr auto choices_of(std::tuple<Request...>*, std::tuple<Key...>*) {
  return std::array{
      Choice{kRequest, static_cast<int>(Request::kKey), check<Request>}...,
      Choice{kResponse, static_cast<int>(Request::kKey), check<typename Request::Response>}...,
      Choice{kHeaders, 0, check<RequestHeader>},
      Choice{kHeaders, 1, check<ResponseHeader>},
      Choice{kRecordKey, Key::kType, check<Key>}...,
      Choice{kRecordValue, Key::kType, check<typename Key::Value>}...};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static constexpr auto kChoices =
      choices_of(static_cast<AllRequests*>(nullptr), static_cast<AllRecordKeys*>(nullptr));
  if (size < 3) return 0;
  const Bytes frame = Bytes::copy_of(millrace::common::ByteView{data + 3, size - 3});
  for (const Choice& choice : kChoices) {
    if (choice.kind == data[0] % kKinds && choice.number == data[1]) choice.check(frame, data[2]);
  }
  Reader header(frame);
  // As the front end does: a header, then the body it names.
  if (const auto read = read_request_header(header); read.ok()) CHECK(!read->debug().empty());
  return 0;
}
