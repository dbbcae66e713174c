// route(here, ListOffsetsUse{...}, std::move(queries), 10s, std::move(done));
//
// Use cases on partitions whoever leads them: what this broker does not lead is asked of the broker
// that does, and asked again while leaders change. For clients that cannot find leaders themselves.
// A request takes one step at most: what comes from another broker is done here or refused.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "broker/cluster/fields.h"
#include "broker/service/calls.h"
#include "broker/service/leaders.h"
#include "broker/service/misrouted.h"
#include "broker/service/neighbours.h"
#include "broker/service/partition_ref.h"

namespace millrace::service {

/// A partition in the body of a call.
inline void put_target(cluster::FieldWriter& out, const model::PartitionKey& key) {
  out.uuid(key.topic);
  out.number(key.index.value());
}
inline PartitionRef get_target(cluster::FieldReader& in) {
  PartitionRef target;
  target.topic_id = in.uuid();
  target.partition = model::PartitionIndex{in.number<std::int32_t>()};
  return target;
}
/// The error of an outcome in the body of an answer.
struct RoutedError {
  model::ErrorCode code = model::ErrorCode::kNone;
  std::string detail;
};
inline constexpr std::size_t kDetailBytesMax = 4096;
inline void put_error(cluster::FieldWriter& out, model::ErrorCode code, std::string_view detail) {
  out.number(static_cast<std::int16_t>(code));
  out.text(detail.substr(0, kDetailBytesMax));
}
inline RoutedError get_error(cluster::FieldReader& in) {
  RoutedError error;
  // A number that a newer broker made up is an error all the same.
  error.code = model::error_row(static_cast<model::ErrorCode>(in.number<std::int16_t>())).code;
  error.detail = in.text(kDetailBytesMax);
  return error;
}

/// One request while it is worked on. Lives on the asking shard's loop. A Use has
///   Item (with a `target`), Outcome (default-constructible), static constexpr Method kMethod;
///   copy(item): one that can be used up, while the original is kept for the next try;
///   run_here(here, items, reply): does it on this broker, without asking others;
///   encode(keys, items): the body of a call; decode(answer, n): the outcomes, in order;
///   encode_outcomes(outcomes): the body of the answer;
///   failed(error): an outcome; try_again(item, outcome, rounds): whether a further round may help.
/// It is copied into calls.
template <typename Use>
class Routed final : public std::enable_shared_from_this<Routed<Use>> {
 public:
  using Item = typename Use::Item;
  using Outcome = typename Use::Outcome;
  using Done = common::Reply<std::vector<Outcome>>;

  Routed(Shard& here, Use use, std::vector<Item> items, common::Duration limit, Done done)
      : here_(here),
        use_(std::move(use)),
        items_(std::move(items)),
        until_(here.clock().now() + limit),
        done_(std::move(done)) {}

  void start() {
    outcomes_.resize(items_.size());
    again_.resize(items_.size());
    std::iota(again_.begin(), again_.end(), std::size_t{0});
    round();
  }

 private:
  static constexpr common::Duration kPauseMin = std::chrono::milliseconds(10);
  static constexpr common::Duration kPauseMax = std::chrono::milliseconds(200);
  static constexpr common::Duration kAnswerSlack = std::chrono::seconds(1);
  /// Items of one request that go the same way.
  struct Part {
    std::vector<std::size_t> places;
    std::vector<model::PartitionKey> keys;
  };
  /// Broker -1: this one.
  using Way = std::pair<model::BrokerId, std::uint32_t>;

  void round() {
    ++rounds_;
    std::vector<std::size_t> places = std::exchange(again_, {});
    auto found = std::make_shared<Part>();
    for (const std::size_t place : places) {
      const auto key = resolve(here_, items_[place].target);
      if (key.ok()) {
        found->places.push_back(place);
        found->keys.push_back(*key);
      } else {
        outcomes_[place] = use_.failed(key.error());
      }
    }
    if (found->keys.empty()) return done_(std::move(outcomes_));
    known_leaders(here_, found->keys,
                  [self = this->shared_from_this(), found](
                      const std::vector<KnownLeader>& leaders) { self->deal(*found, leaders); });
  }

  Way way_to(const model::PartitionKey& key, model::BrokerId leader) const {
    constexpr Way kHere{model::BrokerId{-1}, 0};
    if (leader == here_.identity().node || !here_.alive(leader)) return kHere;
    const auto who = here_.neighbours()->introduction(leader);
    return who == nullptr ? kHere : Way{leader, shard_of(key, who->shards)};
  }

  void deal(const Part& found, const std::vector<KnownLeader>& leaders) {
    std::map<Way, Part> parts;
    for (std::size_t i = 0; i < found.keys.size(); ++i) {
      Part& part = parts[way_to(found.keys[i], leaders[i].leader)];
      part.places.push_back(found.places[i]);
      part.keys.push_back(found.keys[i]);
    }
    missing_ = parts.size();
    for (auto& [way, part] : parts) send(way, std::move(part));
  }

  common::Bytes body_of(const Part& part) const {
    std::vector<const Item*> items;
    items.reserve(part.places.size());
    for (const std::size_t place : part.places) items.push_back(&items_[place]);
    return use_.encode(part.keys, items);
  }

  void send(const Way& way, Part part) {
    if (way.first == model::BrokerId{-1}) {
      std::vector<Item> items;
      items.reserve(part.places.size());
      for (const std::size_t place : part.places) items.push_back(use_.copy(items_[place]));
      return use_.run_here(
          here_, std::move(items),
          [self = this->shared_from_this(), part = std::move(part)](std::vector<Outcome> outcomes) {
            self->take(part, std::move(outcomes));
          });
    }
    common::Bytes body = body_of(part);
    here_.neighbours()->call(
        way.first, way.second, Use::kMethod, std::move(body), time_left(),
        [self = this->shared_from_this(), part = std::move(part)](
            common::Result<common::Bytes> answer) { self->take_answer(part, std::move(answer)); });
  }

  /// The other broker may use all that is left, and say so.
  common::Duration time_left() const {
    return std::max<common::Duration>(until_ - here_.clock().now(), kPauseMax) + kAnswerSlack;
  }

  void take_answer(const Part& part, common::Result<common::Bytes> answer) {
    const std::size_t count = part.places.size();
    auto outcomes = answer.ok() ? use_.decode(*answer, count)
                                : common::Result<std::vector<Outcome>>(std::move(answer).error());
    if (outcomes.ok()) return take(part, *std::move(outcomes));
    take(part, std::vector<Outcome>(count, use_.failed(outcomes.error())));
  }

  void take(const Part& part, std::vector<Outcome> outcomes) {
    CHECK(outcomes.size() == part.places.size());
    const bool late = here_.clock().now() >= until_;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      const std::size_t place = part.places[i];
      outcomes_[place] = std::move(outcomes[i]);
      if (!late && use_.try_again(items_[place], outcomes_[place], rounds_))
        again_.push_back(place);
    }
    if (--missing_ > 0) return;
    if (again_.empty()) return done_(std::move(outcomes_));
    pause_ = std::clamp(2 * pause_, kPauseMin, kPauseMax);
    here_.loop().after(pause_, [self = this->shared_from_this()] { self->round(); });
  }

  Shard& here_;
  const Use use_;
  const std::vector<Item> items_;
  const common::Instant until_;
  Done done_;
  std::vector<Outcome> outcomes_;
  std::vector<std::size_t> again_;
  std::size_t missing_ = 0;
  std::size_t rounds_ = 0;
  common::Duration pause_{0};
};

/// Outcomes in the order of the items, on `here`'s loop. `limit`: how long leaders are looked for;
/// what then is not done has the error that it had last.
template <typename Use>
void route(Shard& here, Use use, std::vector<typename Use::Item> items, common::Duration limit,
           common::Reply<std::vector<typename Use::Outcome>> done) {
  if (items.empty()) return done({});
  // Alone, there is nobody to ask.
  if (here.neighbours() == nullptr) return use.run_here(here, std::move(items), std::move(done));
  std::make_shared<Routed<Use>>(here, std::move(use), std::move(items), limit, std::move(done))
      ->start();
}

/// Serves such a request of another broker: `read(body)` gives the Use and its items.
template <typename Use, typename Read>
void serve_routed(Shard& shard, Read read) {
  shard.calls().serve(Use::kMethod, [&shard, read](const cluster::Request& request,
                                                   Calls::Reply reply) {
    auto asked = read(request.body);
    if (!asked.ok()) return reply(std::move(asked).error());
    auto [use, items] = *std::move(asked);
    use.run_here(
        shard, std::move(items),
        [use = use, reply = std::move(reply)](std::vector<typename Use::Outcome> outcomes) mutable {
          reply(use.encode_outcomes(outcomes));
        });
  });
}

}  // namespace millrace::service
