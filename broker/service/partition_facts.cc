#include "broker/service/partition_facts.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "broker/cluster/fields.h"
#include "broker/service/calls.h"
#include "broker/service/leaders.h"
#include "broker/service/lookup.h"
#include "broker/service/neighbours.h"

namespace millrace::service {
namespace {

using cluster::FieldReader;
using cluster::FieldWriter;
using Facts = std::vector<std::optional<PartitionFacts>>;

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kKeysMax = 1'000'000;
constexpr std::size_t kKeyBytesMin = 17;
constexpr auto kAnswerMax = std::chrono::seconds(2);

std::optional<PartitionFacts> facts_of(Shard& owner, const model::PartitionKey& key) {
  const replica::Partition* const partition = owner.partition(key);
  if (partition == nullptr || partition->role() != raft::Role::kLeader) return std::nullopt;
  const replica::Bounds bounds = partition->bounds();
  const common::Instant now = owner.clock().now();
  PartitionFacts facts{.log_start = bounds.log_start,
                       .end = bounds.last_stable,
                       .unfetched = {},
                       .led = now - partition->led_since(),
                       .bytes = static_cast<std::int64_t>(partition->log().size_bytes())};
  if (const auto last = partition->last_fetch()) facts.unfetched = now - *last;
  return facts;
}

std::int64_t milliseconds(common::Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

/// No more than a Duration holds.
std::int64_t read_ms(FieldReader& in) {
  constexpr std::int64_t kMax = std::int64_t{1} << 40;
  return std::min(in.number<std::int64_t>(), kMax);
}

common::Error unreadable() {
  return {model::ErrorCode::kCorruptMessage, "What is known of partitions cannot be read"};
}

/// One question about many partitions of several brokers. Lives on the asking shard's loop.
struct Gathering {
  Facts facts;
  std::size_t missing = 1;
  common::Reply<Facts> done;

  void arrived() {
    if (--missing == 0) done(std::move(facts));
  }
  void take(const std::vector<std::size_t>& places, Facts found) {
    for (std::size_t i = 0; i < places.size() && i < found.size(); ++i)
      facts[places[i]] = std::move(found[i]);
    arrived();
  }
};

/// The keys that one broker leads, with their places in the question.
struct Share {
  std::vector<std::size_t> places;
  std::vector<model::PartitionKey> keys;
};

void ask_broker(Shard& here, model::BrokerId broker, Share share,
                const std::shared_ptr<Gathering>& gathering) {
  ++gathering->missing;
  here.neighbours()->call(
      broker, 0, cluster::Method::kPartitionFacts, encode(share.keys), kAnswerMax,
      [gathering, places = std::move(share.places)](common::Result<common::Bytes> answer) {
        auto found = answer.ok() ? decode_facts(answer->view())
                                 : common::Result<Facts>(std::move(answer).error());
        gathering->take(places, found.ok() ? std::move(found).value() : Facts{});
      });
}

}  // namespace

void partition_facts(Shard& here, std::vector<model::PartitionKey> keys,
                     common::Reply<Facts> done) {
  if (here.neighbours() == nullptr)
    return look_up<PartitionFacts>(here, std::move(keys), facts_of, std::move(done));
  auto gathering = std::make_shared<Gathering>();
  gathering->facts.resize(keys.size());
  gathering->done = std::move(done);
  std::map<model::BrokerId, Share> elsewhere;
  Share own;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const cluster::Leadership* const said = here.neighbours()->leaders().find(keys[i]);
    const bool other = said != nullptr && here.neighbours()->alive(said->leader);
    Share& share = other ? elsewhere[said->leader] : own;
    share.places.push_back(i);
    share.keys.push_back(keys[i]);
  }
  for (auto& [broker, share] : elsewhere) ask_broker(here, broker, std::move(share), gathering);
  ++gathering->missing;
  look_up<PartitionFacts>(here, std::move(own.keys), facts_of,
                          [gathering, places = std::move(own.places)](Facts found) {
                            gathering->take(places, std::move(found));
                          });
  gathering->arrived();
}

void serve_partition_facts(Shard& shard) {
  shard.calls().serve(
      cluster::Method::kPartitionFacts, [&shard](cluster::Request request, Calls::Reply reply) {
        auto keys = decode_keys(request.body.view());
        if (!keys.ok()) return reply(keys.error());
        look_up<PartitionFacts>(
            shard, std::move(*keys), facts_of,
            [reply = std::move(reply)](Facts found) mutable { reply(encode(found)); });
      });
}

common::Bytes encode(const std::vector<model::PartitionKey>& keys) {
  FieldWriter out;
  out.byte(kVersion);
  out.count(keys.size());
  for (const model::PartitionKey& key : keys) {
    out.uuid(key.topic);
    out.number(key.index.value());
  }
  return common::Bytes::copy_of(out.view());
}

common::Result<std::vector<model::PartitionKey>> decode_keys(common::ByteView body) {
  FieldReader in(body);
  if (in.byte() != kVersion) return model::error(model::ErrorCode::kUnsupportedVersion);
  std::vector<model::PartitionKey> keys(in.length(kKeysMax, kKeyBytesMin));
  for (model::PartitionKey& key : keys) {
    key.topic = in.uuid();
    key.index = model::PartitionIndex{in.number<std::int32_t>()};
  }
  if (!in.done()) return unreadable();
  return keys;
}

common::Bytes encode(const Facts& facts) {
  FieldWriter out;
  out.byte(kVersion);
  out.count(facts.size());
  for (const auto& fact : facts) {
    out.byte(fact ? 1 : 0);
    if (!fact) continue;
    out.number(fact->log_start.value());
    out.number(fact->end.value());
    out.number(fact->unfetched ? milliseconds(*fact->unfetched) : -1);
    out.number(milliseconds(fact->led));
    out.number(fact->bytes);
  }
  return common::Bytes::copy_of(out.view());
}

common::Result<Facts> decode_facts(common::ByteView body) {
  FieldReader in(body);
  if (in.byte() != kVersion) return model::error(model::ErrorCode::kUnsupportedVersion);
  Facts facts(in.length(kKeysMax));
  for (auto& fact : facts) {
    if (in.byte() == 0) continue;
    fact.emplace();
    fact->log_start = in.offset();
    fact->end = in.offset();
    if (const std::int64_t unfetched = read_ms(in); unfetched >= 0)
      fact->unfetched = std::chrono::milliseconds(unfetched);
    fact->led = std::chrono::milliseconds(std::max<std::int64_t>(0, read_ms(in)));
    fact->bytes = in.number<std::int64_t>();
  }
  if (!in.done()) return unreadable();
  return facts;
}

}  // namespace millrace::service
