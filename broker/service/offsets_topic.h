// Use case: the topic that groups live in.
#pragma once

#include <string_view>

#include "broker/coordinator/ids.h"
#include "broker/service/shard.h"

namespace millrace::service {

inline constexpr std::string_view kOffsetsTopic = "__consumer_offsets";

/// Makes __consumer_offsets if it is not there, with the settings offsets.topic.*, also where
/// auto.create.topics.enable is off. More copies than brokers are not asked for. Answers on
/// `here`'s loop, inline when it is there. kCoordinatorNotAvailable: not now; the text says why.
void ensure_offsets_topic(Shard& here, common::Reply<coordinator::Status> done);

}  // namespace millrace::service
