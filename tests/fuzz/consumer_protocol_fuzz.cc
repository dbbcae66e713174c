// Any bytes as what consumers tell each other: what is read encodes to what reads the same, and the
// topics alone are the topics of the whole.
#include <cstddef>
#include <cstdint>

#include "broker/coordinator/consumer_protocol.h"
#include "common/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  const common::Bytes bytes = common::Bytes::copy_of(common::ByteView{data, size});
  if (const auto subscription = coordinator::decode_subscription(bytes); subscription.ok()) {
    const auto again = coordinator::decode_subscription(coordinator::encode(*subscription));
    CHECK(again.ok());
    CHECK(again->version == subscription->version);
    CHECK(again->topics == subscription->topics);
    CHECK(again->user_data == subscription->user_data);
    CHECK(again->owned == subscription->owned);
    CHECK(again->generation == subscription->generation);
    CHECK(again->rack == subscription->rack);
    const auto topics = coordinator::decode_topics(bytes);
    CHECK(topics.ok());
    CHECK(*topics == subscription->topics);
  }
  if (const auto assignment = coordinator::decode_assignment(bytes); assignment.ok()) {
    const auto again = coordinator::decode_assignment(coordinator::encode(*assignment));
    CHECK(again.ok());
    CHECK(again->partitions == assignment->partitions);
    CHECK(again->user_data == assignment->user_data);
  }
  return 0;
}
