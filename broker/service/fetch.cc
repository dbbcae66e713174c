#include "broker/service/fetch.h"

#include <algorithm>
#include <utility>

#include "broker/metadata/endpoints.h"
#include "broker/service/nearest_replica.h"

namespace millrace::service {
namespace {

using model::ErrorCode;

/// Where a reader is, and by which listener it comes.
struct ReaderPlace {
  std::string rack;
  std::string listener;
};

bool can_send_to(const metadata::Broker& broker, const ReaderPlace& reader) {
  return reader.listener.empty() || metadata::endpoint_named(broker, reader.listener) != nullptr;
}

/// What a leader tells a reader in a rack; nullopt: to stay.
std::optional<model::BrokerId> nearer_replica(Shard& owner, const replica::Partition& leader,
                                              const ReaderPlace& reader, model::Offset from) {
  if (reader.rack.empty() || !leader.is_leader()) return std::nullopt;
  const auto& brokers = owner.image().brokers();
  std::vector<ReadableReplica> followers;
  for (const raft::ReplicaId& id : leader.in_sync()) {
    const raft::Progress* const progress = leader.group()->progress(id);
    const auto broker = brokers.find(id.node);
    if (progress == nullptr || broker == brokers.end() || !owner.alive(id.node)) continue;
    if (!can_send_to(broker->second, reader)) continue;
    followers.push_back({id.node, broker->second.rack, progress->acked.offset});
  }
  return nearest_replica(reader.rack, owner.settings().rack, from, followers);
}

/// One item on the shard that owns its partition.
struct Reading {
  std::size_t position = 0;  // in the command
  model::PartitionKey key;
  FetchItem item;
  FetchOutcome outcome;
};

/// The items of one shard, read one after the other with a common budget. Lives on that shard's
/// loop.
class ShardRead : public std::enable_shared_from_this<ShardRead> {
 public:
  /// How the whole command reads.
  struct Manner {
    replica::Isolation isolation;
    bool from_followers;
    ReaderPlace reader;
  };
  ShardRead(Shard& owner, std::vector<Reading> readings, Manner manner, std::size_t budget,
            common::Function<void(std::vector<Reading>)> done)
      : owner_(owner),
        readings_(std::move(readings)),
        manner_(std::move(manner)),
        budget_(budget),
        done_(std::move(done)) {}

  void start() {
    missing_ = readings_.size() + 1;
    now_ = owner_.clock().now();
    for (std::size_t i = 0; i < readings_.size(); ++i)
      when_settled(owner_, readings_[i].key, [self = shared_from_this(), i] { self->read(i); });
    finished_one();
  }

 private:
  void read(std::size_t i) {
    Reading& reading = readings_[i];
    FetchOutcome& outcome = reading.outcome;
    outcome = FetchOutcome{};
    const auto found = manner_.from_followers
                           ? replica_of(owner_, reading.key, reading.item.leader_epoch)
                           : leader_of(owner_, reading.key, reading.item.leader_epoch);
    if (!found.ok()) return fail(i, found.error());
    replica::Partition* const partition = *found;
    if (const auto why = partition->reader_refusal()) return fail(i, *why);
    partition->note_fetch(now_);
    outcome.bounds = partition->bounds();
    if (diverges(*partition, reading)) return finished_one();
    if (const auto nearer = nearer_replica(owner_, *partition, manner_.reader, reading.item.from)) {
      outcome.nearer = *nearer;
      return finished_one();
    }
    // What may still come of reads under way counts as used, so that their sum stays within the
    // budget.
    const std::size_t share = std::min(reading.item.bytes_max, budget_);
    const bool whole_batch = !found_any_;
    if (share == 0 && found_any_) return skip(i, *partition);
    budget_ -= share;
    partition->read(
        reading.item.from, manner_.isolation, share, whole_batch,
        [self = shared_from_this(), i, share](common::Result<storage::ReadResult> read) {
          self->arrived(i, share, std::move(read));
        });
  }

  /// Nothing is read, as the answer is full; nor is the asker told that less is committed than it
  /// has seen.
  void skip(std::size_t i, const replica::Partition& partition) {
    const bool knows_all = partition.is_leader();
    const bool knows_enough = partition.role() != raft::Role::kLeader &&
                              readings_[i].item.from <= partition.bounds().high_watermark;
    if (knows_all || knows_enough) return finished_one();
    fail(i, model::error(model::ErrorCode::kNotLeaderOrFollower));
  }

  bool diverges(const replica::Partition& partition, Reading& reading) const {
    const model::Term last = reading.item.last_fetched_epoch;
    if (last.value() < 0) return false;
    const storage::TermStart end = partition.end_of_epoch(last);
    if (end.term == last && end.offset >= reading.item.from) return false;
    if (end.term.value() < 0) return false;
    reading.outcome.diverging = end;
    return true;
  }

  void arrived(std::size_t i, std::size_t share, common::Result<storage::ReadResult> read) {
    if (!read.ok()) {
      budget_ += share;
      return fail(i, read.error());
    }
    FetchOutcome& outcome = readings_[i].outcome;
    outcome.pieces = std::move(read->pieces);
    for (const common::Bytes& piece : outcome.pieces) outcome.bytes += piece.size();
    if (outcome.bytes > 0) found_any_ = true;
    budget_ += share - std::min(share, outcome.bytes);
    finished_one();
  }

  void fail(std::size_t i, const common::Error& error) {
    readings_[i].outcome.code = error.code;
    readings_[i].outcome.detail = error.detail;
    readings_[i].outcome.leader = leader_hint(owner_, readings_[i].key, error.code);
    finished_one();
  }

  void finished_one() {
    if (--missing_ == 0) done_(std::move(readings_));
  }

  Shard& owner_;
  std::vector<Reading> readings_;
  const Manner manner_;
  std::size_t budget_;
  common::Function<void(std::vector<Reading>)> done_;
  common::Instant now_{};
  std::size_t missing_ = 0;
  bool found_any_ = false;
};

/// What one operation watches on one shard; lives on that shard's loop.
struct ShardWatches {
  struct Watched {
    std::size_t position = 0;  // in the command
    model::PartitionKey key;
    model::Offset seen;  // the end of what was read of it
    replica::WatchId watch = replica::WatchId::kNone;
    bool news = false;
  };
  std::vector<Watched> items;
  bool reported = false;

  void drop(Shard& owner) {
    for (Watched& item : items) {
      const replica::WatchId watch = std::exchange(item.watch, replica::WatchId::kNone);
      if (watch == replica::WatchId::kNone) continue;
      if (replica::Partition* partition = owner.partition(item.key)) partition->unwatch(watch);
    }
  }
};

class FetchOperation final : public FetchHandle,
                             public std::enable_shared_from_this<FetchOperation> {
 public:
  FetchOperation(Shard& here, FetchCommand command, common::Reply<std::vector<FetchOutcome>> done)
      : here_(here), command_(std::move(command)), done_(std::move(done)) {}

  void start() {
    outcomes_.resize(command_.items.size());
    keys_.resize(command_.items.size());
    std::vector<std::size_t> known;
    for (std::size_t i = 0; i < command_.items.size(); ++i) {
      auto key = resolve(here_, command_.items[i].target);
      if (key.ok()) {
        keys_[i] = *key;
        known.push_back(i);
      } else {
        outcomes_[i].code = key.error().code;
        outcomes_[i].detail = key.error().detail;
      }
    }
    if (command_.wait_max.count() > 0) {
      timer_ = here_.loop().after(command_.wait_max, [self = shared_from_this()] {
        self->timer_ = env::TimerId::kNone;
        self->give_up();
      });
    }
    read(known);
  }

  void cancel() override {
    if (!finished_) give_up();
  }

 private:
  /// On any loop: the command does not change but for its time.
  ShardRead::Manner manner() const {
    return {.isolation = command_.isolation,
            .from_followers = command_.from_followers,
            .reader = {command_.rack, command_.listener}};
  }

  /// Reads the items at these positions anew, each on its shard; then decides.
  void read(const std::vector<std::size_t>& positions) {
    std::vector<std::vector<Reading>> parts(here_.peers().size());
    for (const std::size_t i : positions) {
      parts[here_.owner(keys_[i]).index()].push_back({i, keys_[i], command_.items[i], {}});
    }
    reads_missing_ = 1;
    for (std::size_t shard = 0; shard < parts.size(); ++shard) {
      if (parts[shard].empty()) continue;
      ++reads_missing_;
      read_part(*here_.peers()[shard], std::move(parts[shard]));
    }
    part_arrived({});
  }

  void read_part(Shard& owner, std::vector<Reading> part) {
    auto self = shared_from_this();
    if (&owner == &here_) {
      std::make_shared<ShardRead>(
          owner, std::move(part), manner(), command_.bytes_max,
          [self](std::vector<Reading> done) { self->part_arrived(std::move(done)); })
          ->start();
      return;
    }
    owner.loop().post([self, &owner, &here = here_, part = std::move(part)]() mutable {
      ShardRead::Manner manner = self->manner();
      const std::size_t bytes_max = self->command_.bytes_max;
      std::make_shared<ShardRead>(
          owner, std::move(part), std::move(manner), bytes_max,
          [self = std::move(self), &here](std::vector<Reading> done) mutable {
            here.loop().post([self = std::move(self), done = std::move(done)]() mutable {
              self->part_arrived(std::move(done));
            });
          })
          ->start();
    });
  }

  void part_arrived(std::vector<Reading> part) {
    for (Reading& reading : part) outcomes_[reading.position] = std::move(reading.outcome);
    if (--reads_missing_ == 0 && !finished_) decide();
  }

  void decide() {
    std::size_t bytes = 0;
    bool answer_now = command_.wait_max.count() <= 0 || timer_ == env::TimerId::kNone;
    for (const FetchOutcome& outcome : outcomes_) {
      bytes += outcome.bytes;
      if (outcome.code != ErrorCode::kNone || outcome.diverging.term.value() >= 0 ||
          outcome.nearer != model::BrokerId{-1})
        answer_now = true;
    }
    if (answer_now || bytes >= command_.bytes_min || command_.items.empty()) {
      if (command_.items.empty() && timer_ != env::TimerId::kNone && command_.bytes_min > 0) return;
      return finish();
    }
    watch_unwatched();
  }

  /// Asks every shard that is not watched yet for news beyond what was seen of its partitions.
  void watch_unwatched() {
    watches_.resize(here_.peers().size());
    std::vector<std::shared_ptr<ShardWatches>> fresh(watches_.size());
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      const std::size_t shard = here_.owner(keys_[i]).index();
      if (watches_[shard] != nullptr) continue;
      if (fresh[shard] == nullptr) fresh[shard] = std::make_shared<ShardWatches>();
      fresh[shard]->items.push_back({.position = i, .key = keys_[i], .seen = seen_of(i)});
    }
    for (std::size_t shard = 0; shard < fresh.size(); ++shard) {
      if (fresh[shard] == nullptr) continue;
      watches_[shard] = fresh[shard];
      Shard& owner = *here_.peers()[shard];
      on_loop_of(owner, [self = shared_from_this(), &owner, watches = std::move(fresh[shard])] {
        self->watch(owner, watches);
      });
    }
  }

  model::Offset seen_of(std::size_t i) const {
    const replica::Bounds& bounds = outcomes_[i].bounds;
    return command_.isolation == replica::Isolation::kReadCommitted ? bounds.last_stable
                                                                    : bounds.high_watermark;
  }

  /// On the owner's loop.
  void watch(Shard& owner, const std::shared_ptr<ShardWatches>& watches) {
    for (std::size_t i = 0; i < watches->items.size(); ++i) {
      ShardWatches::Watched& item = watches->items[i];
      replica::Partition* partition = owner.partition(item.key);
      const bool serves = partition != nullptr &&
                          (command_.from_followers || partition->role() == raft::Role::kLeader);
      if (!serves || partition->readable_end(command_.isolation) > item.seen) {
        news(owner, watches, i);
        continue;
      }
      item.watch = partition->watch(
          item.seen, command_.isolation,
          [self = shared_from_this(), &owner, watches, i] { self->news(owner, watches, i); });
    }
  }

  /// On the owner's loop: it reads what is new itself and sends that, so that news cross to `here`
  /// once. In the next turn, because more of them may come in this one.
  void news(Shard& owner, const std::shared_ptr<ShardWatches>& watches, std::size_t i) {
    watches->items[i].news = true;
    watches->items[i].watch = replica::WatchId::kNone;
    if (std::exchange(watches->reported, true)) return;
    owner.loop().post(
        [self = shared_from_this(), &owner, watches] { self->read_news(owner, watches); });
  }

  /// On the owner's loop.
  void read_news(Shard& owner, const std::shared_ptr<ShardWatches>& watches) {
    watches->drop(owner);
    std::vector<Reading> readings;
    for (const ShardWatches::Watched& item : watches->items) {
      if (!item.news) continue;
      readings.push_back({item.position, item.key, command_.items[item.position], {}});
    }
    std::make_shared<ShardRead>(
        owner, std::move(readings), manner(), command_.bytes_max,
        [self = shared_from_this(), shard = owner.index()](std::vector<Reading> done) mutable {
          Shard& here = self->here_;
          on_loop_of(here, [self = std::move(self), shard, done = std::move(done)]() mutable {
            self->news_arrived(shard, std::move(done));
          });
        })
        ->start();
  }

  void news_arrived(std::size_t shard, std::vector<Reading> readings) {
    if (finished_) return;
    watches_[shard] = nullptr;
    for (Reading& reading : readings) outcomes_[reading.position] = std::move(reading.outcome);
    decide();
  }

  template <typename Work>
  static void on_loop_of(Shard& shard, Work work) {
    if (shard.loop().here()) {
      work();
    } else {
      shard.loop().post(std::move(work));
    }
  }

  void give_up() {
    if (finished_) return;
    if (reads_missing_ > 0) {
      // A cold read is under way; decide() answers as soon as it is there.
      command_.wait_max = common::Duration{0};
      return;
    }
    finish();
  }

  void finish() {
    CHECK(!finished_);
    finished_ = true;
    if (timer_ != env::TimerId::kNone) here_.loop().cancel(timer_);
    drop_watches();
    trim();
    done_(std::move(outcomes_));
  }

  /// Each shard read within the whole budget; the sum may be more than one response should carry.
  void trim() {
    std::size_t bytes = 0;
    for (FetchOutcome& outcome : outcomes_) {
      if (bytes > 0 && bytes + outcome.bytes > command_.bytes_max) {
        outcome.pieces.clear();
        outcome.bytes = 0;
      }
      bytes += outcome.bytes;
    }
  }

  void drop_watches() {
    for (std::size_t shard = 0; shard < watches_.size(); ++shard) {
      if (watches_[shard] == nullptr) continue;
      Shard& owner = *here_.peers()[shard];
      on_loop_of(owner, [&owner, watches = std::move(watches_[shard])] {
        watches->reported = true;
        watches->drop(owner);
      });
    }
    watches_.clear();
  }

  Shard& here_;
  FetchCommand command_;  // items and limits: read by other shards while the operation runs
  common::Reply<std::vector<FetchOutcome>> done_;
  std::vector<FetchOutcome> outcomes_;
  std::vector<model::PartitionKey> keys_;
  std::vector<std::shared_ptr<ShardWatches>> watches_;  // by shard; null: not watched
  std::size_t reads_missing_ = 0;
  env::TimerId timer_ = env::TimerId::kNone;
  bool finished_ = false;
};

}  // namespace

std::shared_ptr<FetchHandle> fetch(Shard& here, FetchCommand command,
                                   common::Reply<std::vector<FetchOutcome>> done) {
  auto operation = std::make_shared<FetchOperation>(here, std::move(command), std::move(done));
  operation->start();
  return operation;
}

}  // namespace millrace::service
