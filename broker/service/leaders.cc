#include "broker/service/leaders.h"

#include <memory>
#include <utility>

namespace millrace::service {
namespace {

using Epochs = std::vector<std::optional<model::Term>>;

/// The keys that one shard owns, with their places in the request, and what it says of them.
struct Part {
  std::vector<std::size_t> places;
  std::vector<model::PartitionKey> keys;
  Epochs epochs;
};

/// Lives on the asking shard's loop.
struct Gathering {
  Epochs epochs;
  std::size_t missing = 1;
  common::Reply<Epochs> done;

  void arrived() {
    if (--missing == 0) done(std::move(epochs));
  }
  void take(const Part& part) {
    for (std::size_t i = 0; i < part.places.size(); ++i) epochs[part.places[i]] = part.epochs[i];
    arrived();
  }
};

void look_up(Shard& owner, Part& part) {
  part.epochs.reserve(part.keys.size());
  for (const model::PartitionKey& key : part.keys) {
    const replica::Partition* partition = owner.partition(key);
    part.epochs.push_back(partition == nullptr ? std::nullopt
                                               : std::optional(partition->bounds().leader_epoch));
  }
}

}  // namespace

void leader_epochs(Shard& here, std::vector<model::PartitionKey> keys, common::Reply<Epochs> done) {
  std::vector<Part> parts(here.peers().size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    Part& part = parts[here.owner(keys[i]).index()];
    part.places.push_back(i);
    part.keys.push_back(keys[i]);
  }
  auto gathering = std::make_shared<Gathering>();
  gathering->epochs.resize(keys.size());
  gathering->done = std::move(done);
  for (std::size_t shard = 0; shard < parts.size(); ++shard) {
    if (parts[shard].keys.empty()) continue;
    ++gathering->missing;
    Shard& owner = *here.peers()[shard];
    if (&owner == &here) {
      look_up(here, parts[shard]);
      gathering->take(parts[shard]);
      continue;
    }
    // The gathering belongs to `here`: it travels unopened.
    owner.loop().post([&here, &owner, part = std::move(parts[shard]), gathering]() mutable {
      look_up(owner, part);
      here.loop().post(
          [part = std::move(part), gathering = std::move(gathering)] { gathering->take(part); });
    });
  }
  gathering->arrived();
}

}  // namespace millrace::service
