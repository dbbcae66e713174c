// TRY_ASSIGN(const Subscription subscription, Subscription::from(configs));
// if (subscription.matches(client)) ...
//
// Which clients push which metrics (KIP-714), from the settings of a client metrics resource.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "broker/model/config_key.h"
#include "common/clock.h"
#include "common/uuid.h"

namespace re2 {
class RE2;
}  // namespace re2

namespace millrace::telemetry {

/// A client as it told of itself, and where it comes from.
struct Client {
  common::Uuid instance;
  std::string id;
  std::string software_name;
  std::string software_version;
  std::string address;
  std::string port;
};

/// One "NAME=REGEX" of the setting "match".
class Pattern {
 public:
  /// kInvalidConfig, in Kafka's words: no such name, or no regular expression.
  static model::Result<Pattern> parse(std::string_view text);
  /// Whether the whole of what it speaks of matches.
  bool matches(const Client& client) const;

 private:
  using Member = std::string (*)(const Client&);
  Pattern(Member member, std::shared_ptr<const re2::RE2> regex);
  Member member_;
  std::shared_ptr<const re2::RE2> regex_;  // shared by copies of the pattern
};

/// Every pattern of a value of "match".
model::Result<std::vector<Pattern>> parse_match(std::string_view value);

struct Subscription {
  std::vector<std::string> metrics;
  std::chrono::milliseconds interval;
  std::vector<Pattern> match;

  /// kInvalidConfig: a pattern cannot be read. What is not set has its default.
  static model::Result<Subscription> from(const model::ConfigMap& configs);
  bool matches(const Client& client) const;
};

/// What all subscriptions together want of one client.
struct Interest {
  /// Prefixes of names, ascending; a single "*": all; none: nothing is wanted.
  std::vector<std::string> metrics;
  /// The shortest of the subscriptions that match; the default if none does.
  std::chrono::milliseconds interval;
  /// The same for the same client and wishes, on every broker; another one for other wishes.
  std::int32_t id = 0;
};
Interest interest_in(const Client& client, const std::vector<Subscription>& subscriptions);

}  // namespace millrace::telemetry
