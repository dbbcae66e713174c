// look_up<Term>(here, keys, [](Shard& owner, const PartitionKey& key) { ... }, done);
//
// Asks the owners of partitions what they know at once.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "broker/service/shard.h"
#include "common/check.h"
#include "common/reply.h"

namespace millrace::service {

/// look(owner, key), which answers optional<T>, for each key, on the loop of its owner. Answers in
/// the order of the keys, on `here`'s loop; inline when one shard owns all. `look` must be copyable
/// and hold nothing that belongs to a thread. Cost: one message to and from each other shard that
/// owns some.
template <typename T, typename Look>
void look_up(Shard& here, std::vector<model::PartitionKey> keys, Look look,
             common::Reply<std::vector<std::optional<T>>> done) {
  /// The keys that one shard owns, with their places in the request, and what it says of them.
  struct Part {
    std::vector<std::size_t> places;
    std::vector<model::PartitionKey> keys;
    std::vector<std::optional<T>> found;
  };
  /// Lives on the asking shard's loop.
  struct Gathering {
    std::vector<std::optional<T>> found;
    std::size_t missing = 1;
    common::Reply<std::vector<std::optional<T>>> done;

    void arrived() {
      CHECK(missing > 0);
      if (--missing == 0) done(std::move(found));
    }
    void take(Part& part) {
      for (std::size_t i = 0; i < part.places.size(); ++i)
        found[part.places[i]] = std::move(part.found[i]);
      arrived();
    }
  };
  const auto ask = [look](Shard& owner, Part& part) {
    part.found.reserve(part.keys.size());
    for (const model::PartitionKey& key : part.keys) part.found.push_back(look(owner, key));
  };
  std::vector<Part> parts(here.peers().size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    Part& part = parts[here.owner(keys[i]).index()];
    part.places.push_back(i);
    part.keys.push_back(keys[i]);
  }
  auto gathering = std::make_shared<Gathering>();
  gathering->found.resize(keys.size());
  gathering->done = std::move(done);
  for (std::size_t shard = 0; shard < parts.size(); ++shard) {
    if (parts[shard].keys.empty()) continue;
    ++gathering->missing;
    Shard& owner = *here.peers()[shard];
    if (&owner == &here) {
      ask(here, parts[shard]);
      gathering->take(parts[shard]);
      continue;
    }
    // The gathering belongs to `here`: it travels unopened.
    owner.loop().post([&here, &owner, ask, part = std::move(parts[shard]), gathering]() mutable {
      ask(owner, part);
      here.loop().post([part = std::move(part), gathering = std::move(gathering)]() mutable {
        gathering->take(part);
      });
    });
  }
  gathering->arrived();
}

}  // namespace millrace::service
