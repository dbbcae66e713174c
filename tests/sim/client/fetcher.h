// Fetcher fetcher(client, history);   fetcher.assign({"orders", 0}, Offset{0});   fetcher.start();
//
// Reads partitions as a consumer does, and checks what it is given.
#pragma once

#include <compare>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "broker/model/batch.h"
#include "broker/wire/messages/fetch.h"
#include "tests/sim/client/client.h"
#include "tests/sim/history.h"

namespace millrace::sim {

/// A partition as clients name it.
struct Target {
  std::string topic;
  std::int32_t partition = 0;
  auto operator<=>(const Target&) const = default;
};

/// With or without fetch sessions (KIP-227), as chance decides. Every record it reads goes to the
/// history; gaps, wrong checksums, errors that a healthy reader does not get are failures. Loop
/// thread only; lives as long as its loop runs.
class Fetcher {
 public:
  Fetcher(Client& client, History& history);

  void start();
  /// Hears of every record that is read.
  using OnRecord = common::Function<void(const PartitionKey&, Offset, std::string_view)>;
  void on_record(OnRecord hears) { on_record_ = std::move(hears); }
  /// Reads from there on. nullopt: from the log's start.
  void assign(const Target& target, std::optional<Offset> from);
  void revoke(const Target& target) { places_.erase(target); }
  void revoke_all() { places_.clear(); }
  /// The next offset to be read; nullopt: not assigned, or not known yet.
  std::optional<Offset> position(const Target& target) const;
  bool assigned(const Target& target) const { return places_.contains(target); }
  std::vector<Target> targets() const;
  /// Whether everything was read that was there at some time after `since`.
  bool caught_up(common::Instant since) const { return behind(since).empty(); }
  /// What was not, and why as far as is known; empty: caught up.
  std::string behind(common::Instant since) const;

 private:
  struct Place {
    std::optional<Offset> next;
    Offset high_watermark;                               // as last told; at first beyond any offset
    common::Instant as_of{};                             // when that was asked
    model::TopicId topic;                                // zero: not known
    int out_of_range = 0;                                // one after the other
    model::ErrorCode trouble = model::ErrorCode::kNone;  // the last answer
    bool seeking = false;
  };
  struct Asked {
    PartitionKey key;
    Offset from;
    std::int32_t epoch = -1;  // of the leader
    Offset high_watermark_seen;
    common::Instant at;
  };
  struct Told {
    Offset from;
    std::int32_t epoch = -1;
    model::TopicId topic;
    /// As the broker told it in this session: it does so again when it has changed.
    std::optional<Offset> high_watermark;
  };
  /// What was told to one broker.
  struct Session {
    std::int32_t id = 0;
    std::int32_t epoch = 0;
    std::map<Target, Told> told;
    bool waiting = false;
  };
  using Round = std::map<Target, Asked>;

  void pump();
  void pump_after(Duration delay);
  void look_again();
  Offset floor_of(const PartitionKey& key, Offset next);
  void fetch(std::int32_t node, Round round);
  wire::FetchRequest request(Session& session, const Round& round);
  void forget_what_went(Session& session, const Round& round, wire::FetchRequest& request) const;
  void take(std::int32_t node, const Round& round, const Result<wire::FetchResponse>& answer);
  void take_silence(Session& session, const Round& round);
  const std::pair<const Target, Asked>* asked_for(const Round& round,
                                                  const wire::FetchResponse::Topic& topic,
                                                  std::int32_t partition) const;
  void take_partition(Session& session, const Target& target, const Asked& asked,
                      const wire::FetchResponse::Partition& partition);
  void take_records(const Target& target, const Asked& asked,
                    const wire::FetchResponse::Partition& partition);
  bool take_batch(const PartitionKey& key, Place& place, const model::BatchView& batch,
                  Offset high_watermark);
  void refused(const Target& target, model::ErrorCode code);
  void seek_start(const Target& target);

  Client& client_;
  History& history_;
  OnRecord on_record_;
  std::map<Target, Place> places_;
  std::map<std::int32_t, Session> sessions_;
  const bool uses_sessions_;
  const bool uses_ids_;
  const bool uses_epochs_;
  const std::int8_t isolation_;
  const std::int32_t bytes_max_;
  bool running_ = false;
  bool pump_set_ = false;
  bool must_refresh_ = true;
  bool refreshing_ = false;
};

}  // namespace millrace::sim
