// Any bytes as what brokers ask of each other's services, and as the answers: what can be read
// comes back from its bytes, and a broker answers every call, once.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "broker/service/broker_states.h"
#include "broker/service/calls.h"
#include "broker/service/group_fields.h"
#include "broker/service/group_report.h"
#include "broker/service/led_partitions.h"
#include "broker/service/partition_facts.h"
#include "broker/service/partition_recovery.h"
#include "broker/service/permits.h"
#include "broker/service/testing/node.h"
#include "common/check.h"

namespace {

using namespace millrace;

/// A broker of the whole run, with a topic.
service::testing::Node& node() {
  static service::testing::Node node({.shards = 1, .config = {}});
  static const bool started = [] {
    node.start();
    return !node.create_topic("orders", 2).is_zero();
  }();
  CHECK(started);
  return node;
}

void ask(cluster::Method method, common::ByteView body) {
  std::optional<common::Result<common::Bytes>> answer;
  service::Shard& shard = node().shard();
  shard.calls().answer(
      {.from = model::BrokerId{1},
       .from_shard = 0,
       .method = method,
       .body = common::Bytes::copy_of(body),
       .deadline = shard.clock().now() + std::chrono::seconds(1)},
      common::Reply<common::Result<common::Bytes>>([&](common::Result<common::Bytes> bytes) {
        CHECK(!answer.has_value());
        answer = std::move(bytes);
      }));
  CHECK(node().world.run_until([&] { return answer.has_value(); }, std::chrono::minutes(2)));
}

template <typename T>
void member_message(common::ByteView bytes) {
  T read;
  if (!service::decode(bytes, read).ok()) return;
  T again;
  const common::Bytes body = service::encode(read);
  CHECK(service::decode(body.view(), again).ok() && service::encode(again) == body);
}

template <typename Decode>
void report(common::ByteView bytes, Decode decode) {
  const auto read = decode(bytes);
  if (read.ok()) CHECK(decode(service::encode(*read).view()).ok());
}

void read_as_anything(common::ByteView bytes) {
  member_message<coordinator::ConsumerHeartbeat>(bytes);
  member_message<coordinator::ConsumerHeartbeatOutcome>(bytes);
  member_message<coordinator::OffsetCommit>(bytes);
  member_message<coordinator::OffsetCommitOutcome>(bytes);
  member_message<coordinator::OffsetFetch>(bytes);
  member_message<coordinator::OffsetFetchOutcome>(bytes);
  report(bytes, service::decode_move_blockers);
  report(bytes, service::decode_remaining);
  report(bytes, service::decode_permit_answer);
  report(bytes, service::decode_group_report);
  report(bytes, service::decode_facts);
  (void)service::decode_led(bytes).ok();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const common::ByteView body{data + 1, size - 1};
  ask(static_cast<cluster::Method>(data[0]), body);
  read_as_anything(body);
  return 0;
}
