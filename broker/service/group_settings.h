// The settings of groups now in force, out of the broker's.
#pragma once

#include <cstdint>

#include "broker/coordinator/settings.h"
#include "broker/model/broker_settings.h"
#include "common/clock.h"

namespace millrace::service {

coordinator::Settings group_settings(const model::BrokerLayers& layers);

/// What __consumer_offsets is made with.
struct OffsetsTopicSettings {
  std::int32_t partitions = 50;                    // offsets.topic.num.partitions
  std::int16_t replication_factor = 3;             // offsets.topic.replication.factor
  std::int64_t segment_bytes = 100 * 1024 * 1024;  // offsets.topic.segment.bytes
};
OffsetsTopicSettings offsets_topic_settings(const model::BrokerLayers& layers);

/// group.coordinator.append.linger.ms; -1: adaptive.
std::int32_t group_linger_ms(const model::BrokerLayers& layers);

/// group.fetch.silence.ms
common::Duration fetch_silence(const model::BrokerLayers& layers);

}  // namespace millrace::service
