// TRY_ASSIGN(const TopicRegex regex, TopicRegex::parse("orders-.*"));
// const std::vector<std::string> topics = regex.matches(all);
//
// Subscriptions by regular expression, in the syntax of RE2 (Kafka's brokers use RE2/J, whose
// syntax is the same).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "broker/coordinator/topics.h"
#include "common/result.h"

namespace re2 {
class RE2;
}  // namespace re2

namespace millrace::coordinator {

class TopicRegex {
 public:
  /// kInvalidRegularExpression, with the place and the reason. Bounded: an expression whose program
  /// would need more than kMemoryMax is refused; matching takes time in proportion to the name.
  static common::Result<TopicRegex> parse(std::string_view text);
  TopicRegex(TopicRegex&&) noexcept;
  TopicRegex& operator=(TopicRegex&&) noexcept;
  ~TopicRegex();

  /// Does it match the whole name?
  bool matches(std::string_view topic) const;
  /// The topics whose names match, ascending. Cost: one match for each topic.
  std::vector<std::string> matches(const Topics& topics) const;

  static constexpr std::int64_t kMemoryMax = 1 << 20;

 private:
  explicit TopicRegex(std::unique_ptr<re2::RE2> compiled);
  std::unique_ptr<re2::RE2> compiled_;
};

}  // namespace millrace::coordinator
