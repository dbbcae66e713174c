// Sends the items of one request to the shards that own their partitions and gathers the outcomes
// in order.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "broker/service/partition_ref.h"

namespace millrace::service {

/// One request under way: lives on the loop of the shard that asked.
template <typename Outcome>
struct Gathering {
  std::vector<Outcome> outcomes;
  std::size_t missing = 0;
  common::Reply<std::vector<Outcome>> done;

  void arrived() {
    CHECK(missing > 0);
    if (--missing == 0) done(std::move(outcomes));
  }
};

/// Items of one request that another shard owns, and their outcomes so far: lives on that shard's
/// loop.
template <typename Item, typename Outcome>
struct ForeignPart {
  struct Entry {
    std::size_t position;  // in the request
    model::PartitionKey key;
    Item item;
    Outcome outcome;
  };
  std::vector<Entry> entries;
  std::size_t missing = 0;
};

/// Calls run(owner, key, std::move(item), reply) on the loop of each item's owner. `run` must be
/// copyable and hold nothing that belongs to a thread. An item whose partition is unknown gets
/// fail(error). Item must have a `target`; Outcome must be default-constructible. Answers on
/// `here`'s loop; inline when every item is local and answers inline.
template <typename Item, typename Outcome, typename Run, typename Fail>
void scatter(Shard& here, std::vector<Item> items, Run run, Fail fail,
             common::Reply<std::vector<Outcome>> done) {
  if (items.empty()) return done({});
  auto first = resolve(here, items.front().target);
  // Most requests are about one partition, and many of those about one of this shard.
  if (items.size() == 1 && first.ok() && &here.owner(*first) == &here) {
    return run(here, *first, std::move(items.front()),
               common::Reply<Outcome>([done = std::move(done)](Outcome outcome) mutable {
                 std::vector<Outcome> outcomes;
                 outcomes.push_back(std::move(outcome));
                 done(std::move(outcomes));
               }));
  }
  using Part = ForeignPart<Item, Outcome>;
  auto gathering = std::make_shared<Gathering<Outcome>>();
  gathering->outcomes.resize(items.size());
  gathering->done = std::move(done);
  gathering->missing = 1;  // held until everything is sent
  std::vector<std::shared_ptr<Part>> parts(here.peers().size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto key = i == 0 ? std::move(first) : resolve(here, items[i].target);
    if (!key.ok()) {
      gathering->outcomes[i] = fail(key.error());
      continue;
    }
    Shard& owner = here.owner(*key);
    if (&owner == &here) {
      ++gathering->missing;
      run(here, *key, std::move(items[i]), common::Reply<Outcome>([gathering, i](Outcome outcome) {
            gathering->outcomes[i] = std::move(outcome);
            gathering->arrived();
          }));
      continue;
    }
    auto& part = parts[owner.index()];
    if (part == nullptr) part = std::make_shared<Part>();
    part->entries.push_back({i, *key, std::move(items[i]), Outcome{}});
  }
  for (std::size_t shard = 0; shard < parts.size(); ++shard) {
    if (parts[shard] == nullptr) continue;
    ++gathering->missing;
    Shard& owner = *here.peers()[shard];
    owner.loop().post([&here, &owner, part = std::move(parts[shard]), gathering, run]() mutable {
      part->missing = part->entries.size();
      // The gathering belongs to `here`: it travels back unopened, and is let go of there.
      auto deliver = [&here, part, gathering] {
        if (--part->missing > 0) return;
        here.loop().post([part, gathering] {
          for (auto& entry : part->entries)
            gathering->outcomes[entry.position] = std::move(entry.outcome);
          gathering->arrived();
        });
      };
      for (std::size_t i = 0; i < part->entries.size(); ++i) {
        auto& entry = part->entries[i];
        run(owner, entry.key, std::move(entry.item),
            common::Reply<Outcome>([part, i, deliver](Outcome outcome) mutable {
              part->entries[i].outcome = std::move(outcome);
              deliver();
            }));
      }
    });
  }
  gathering->arrived();
}

}  // namespace millrace::service
