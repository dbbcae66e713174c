// Clients clients(limits);
// TRY_ASSIGN(const Interest interest, clients.subscribe(client, now));
// TRY(clients.push(client, {...}, now));   ...   clients.readings(now)
//
// The clients that push metrics to one shard, and what they pushed last (KIP-714).
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "broker/model/batch.h"
#include "broker/telemetry/otlp.h"
#include "broker/telemetry/subscription.h"
#include "common/clock.h"

namespace millrace::telemetry {

struct Limits {
  /// Of clients known at once; above it the one that was silent for longest is forgotten.
  std::size_t clients_max = 8192;
  /// Of series of one client, and of all; points of further ones are dropped and counted.
  std::size_t series_per_client_max = 1000;
  std::size_t series_max = 10'000;
};

/// A push as it came.
struct Push {
  std::int32_t subscription_id = 0;
  bool terminating = false;
  std::int8_t compression = 0;
  common::ByteView metrics;
};

/// Under which name and labels a number is shown. Immutable: whoever shows it shares it with the
/// shard.
struct SeriesName {
  std::string metric;
  std::vector<std::pair<std::string, std::string>> labels;
};
struct Reading {
  std::shared_ptr<const SeriesName> name;
  bool is_total = false;
  double value = 0;
};

struct Counts {
  std::uint64_t pushes = 0;
  /// Pushes that could not be unpacked or read.
  std::uint64_t unreadable = 0;
  std::uint64_t points_dropped = 0;
};

/// One shard's table. A client is absent -> (any request) known -> (a push with `terminating`)
/// leaving -> (silent for long) absent. Loop thread only; never fails for lack of room.
class Clients {
 public:
  explicit Clients(Limits limits = {}) : limits_(limits) {}

  /// Each client learns at its next request that its subscription id is an old one.
  void set_subscriptions(std::vector<Subscription> subscriptions);

  /// What the client should push. kThrottlingQuotaExceeded: it asks before its interval is over and
  /// without a reason to.
  model::Result<Interest> subscribe(const Client& client, common::Instant now);

  /// Takes what a client pushed. `bytes_max`: of the push as it is.
  /// kInvalidRequest: it said before that it was leaving. kThrottlingQuotaExceeded: too early.
  /// kUnknownSubscriptionId: ask again what is wanted. kUnsupportedCompressionType,
  /// kTelemetryTooLarge, kInvalidRecord.
  model::Result<void> push(const Client& client, const Push& push, std::size_t bytes_max,
                           common::Instant now);

  /// What is known now, after forgetting what was not told again for three intervals (at least a
  /// minute). In order of client and series.
  std::vector<Reading> readings(common::Instant now);
  std::size_t size() const { return clients_.size(); }
  const Counts& counts() const { return counts_; }

 private:
  struct Series {
    std::shared_ptr<const SeriesName> name;
    bool is_total = false;
    double value = 0;
    common::Instant told;
  };
  struct Known {
    Client client;
    Interest interest;
    std::uint64_t version = 0;  // of the subscriptions that the interest comes from
    std::optional<common::Instant> asked;
    std::optional<common::Instant> pushed;
    common::Instant seen;
    model::ErrorCode last_error = model::ErrorCode::kNone;
    bool first_push = true;  // the next one is the first since it asked
    bool leaving = false;
    std::map<std::string, Series> series;
  };
  /// The most recently seen first.
  using Order = std::list<Known>;

  Known& know(const Client& client, common::Instant now);
  model::Result<void> check(const Known& known, const Push& push, std::size_t bytes_max,
                            common::Instant now) const;
  model::Result<void> take(Known& known, const Push& push, common::Instant now);
  void record(Known& known, const Point& point, common::Instant now);
  void forget(Order::iterator place);
  void forget_silent(common::Instant now);

  Limits limits_;
  std::vector<Subscription> subscriptions_;
  std::uint64_t version_ = 0;
  Order order_;
  std::unordered_map<common::Uuid, Order::iterator> clients_;
  std::size_t series_ = 0;
  common::Instant swept_{};
  Counts counts_;
};

}  // namespace millrace::telemetry
