#include "broker/coordinator/topic_regex.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <utility>

#include "broker/model/errors.h"

namespace millrace::coordinator {

TopicRegex::TopicRegex(std::unique_ptr<re2::RE2> compiled) : compiled_(std::move(compiled)) {}
TopicRegex::TopicRegex(TopicRegex&&) noexcept = default;
TopicRegex& TopicRegex::operator=(TopicRegex&&) noexcept = default;
TopicRegex::~TopicRegex() = default;

common::Result<TopicRegex> TopicRegex::parse(std::string_view text) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kMemoryMax);
  auto compiled = std::make_unique<re2::RE2>(re2::StringPiece(text.data(), text.size()), options);
  if (!compiled->ok()) {
    return common::Error{
        model::ErrorCode::kInvalidRegularExpression,
        fmt::format("SubscribedTopicRegex `{}` is not a valid regular expression: {}.", text,
                    compiled->error())};
  }
  return TopicRegex(std::move(compiled));
}

bool TopicRegex::matches(std::string_view topic) const {
  return re2::RE2::FullMatch(re2::StringPiece(topic.data(), topic.size()), *compiled_);
}

std::vector<std::string> TopicRegex::matches(const Topics& topics) const {
  std::vector<std::string> found;
  for (const auto& [name, topic] : topics.by_name) {
    if (matches(name)) found.push_back(name);
  }
  return found;
}

}  // namespace millrace::coordinator
