// Kafka's rules for topic names.
#pragma once

#include <string>
#include <string_view>

#include "broker/model/errors.h"

namespace millrace::model {

inline constexpr std::size_t kTopicNameBytesMax = 249;

/// kInvalidTopic with Kafka's wording unless the name has 1 to 249 of [a-zA-Z0-9._-] and is neither
/// "." nor "..".
Result<void> check_topic_name(std::string_view name);

/// Two names collide when they differ only in '.' and '_', because metric names would be the same.
bool topic_names_collide(std::string_view a, std::string_view b);
/// The form in which colliding names are equal.
std::string collision_form(std::string_view name);

/// True for the topics that belong to the broker itself, such as __consumer_offsets: clients may
/// not write there.
bool is_internal_topic(std::string_view name);

}  // namespace millrace::model
