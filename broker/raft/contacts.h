// contacts.trust(node, Trust{7});   contacts.hear(node, {.trust = Trust{3}, .heard = sent_at,
// ...});
//
// What brokers have promised each other, and have heard of each other: what the leases of leaders
// rest on (docs/replication.md, "Leases").
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "broker/model/ids.h"
#include "common/clock.h"

namespace millrace::raft {

using common::Duration;
using common::Instant;

/// Names a stretch of time in which one broker takes another for alive. The later stretches of a
/// process have higher numbers. kNone: it does not.
enum class Trust : std::uint64_t { kNone = 0 };

/// What another broker says of this one.
struct Word {
  /// It takes this one for alive,
  Trust trust = Trust::kNone;
  /// has heard what this one sent at this time, by this broker's clock,
  Instant heard{};
  /// and takes it for dead when it has heard nothing more for so long, by its own.
  Duration patience{0};
  /// It is of a version that says nothing of the kind.
  bool wordless = false;

  bool operator==(const Word&) const = default;
};

/// For how much of the other's patience its word is relied on: clocks of brokers may differ by so
/// much in speed.
constexpr Duration reliable(Duration patience) {
  return patience / 4 * 3;
}

/// One for all groups of a shard. Groups look into it; whoever hears of brokers fills it in, before
/// he tells the groups of it (Group::alive() and the like).
class Contacts {
 public:
  /// This broker takes `node` for alive since it drew this number; kNone: for dead.
  void trust(model::BrokerId node, Trust trust) { at(node).own = trust; }
  void hear(model::BrokerId node, const Word& word) { at(node).word = word; }
  /// What the other one said counts no more: it is suspected, or another process.
  void forget_word(model::BrokerId node) { at(node).word.reset(); }

  /// nullptr: none that counts.
  const Word* word(model::BrokerId node) const {
    const Contact* const found = find(node);
    return found == nullptr || !found->word.has_value() ? nullptr : &*found->word;
  }
  /// The number to be told to a leader over there; kNone: nothing can be promised to it.
  Trust promise(model::BrokerId node) const {
    const Contact* const found = find(node);
    const bool understands = found != nullptr && found->word.has_value() && !found->word->wordless;
    return understands ? found->own : Trust::kNone;
  }

 private:
  struct Contact {
    model::BrokerId node;
    Trust own = Trust::kNone;
    std::optional<Word> word;
  };
  const Contact* find(model::BrokerId node) const {
    const auto place = std::ranges::lower_bound(contacts_, node, {}, &Contact::node);
    return place == contacts_.end() || place->node != node ? nullptr : &*place;
  }
  Contact& at(model::BrokerId node) {
    const auto place = std::ranges::lower_bound(contacts_, node, {}, &Contact::node);
    if (place != contacts_.end() && place->node == node) return *place;
    return *contacts_.insert(place, Contact{.node = node, .word = std::nullopt});
  }

  std::vector<Contact> contacts_;  // by node; of all brokers that were ever heard of
};

}  // namespace millrace::raft
