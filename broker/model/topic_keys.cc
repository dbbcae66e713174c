// The table of topic settings. Names, types, defaults and bounds are Kafka 4.3's, except for
// flush.mode.
#include <algorithm>
#include <array>

#include "broker/model/topic_settings.h"

namespace millrace::model {
namespace {

using enum ConfigType;

constexpr std::array kTopicKeys = {
    ConfigKey{.name = "cleanup.policy",
              .type = kList,
              .default_value = "delete",
              .meaning = "How old data goes: delete removes segments past the retention, compact "
                         "keeps the last record of "
                         "each key.",
              .words = "compact|delete",
              .broker_names = "log.cleanup.policy"},
    ConfigKey{
        .name = "compression.gzip.level",
        .type = kInt,
        .default_value = "-1",
        .meaning =
            "Level used when the broker itself compresses with gzip; -1 is zlib's own choice.",
        .low = 1,
        .high = 9,
        .also = -1,
        .broker_names = "compression.gzip.level"},
    ConfigKey{
        .name = "compression.lz4.level",
        .type = kInt,
        .default_value = "9",
        .meaning =
            "Level used when the broker itself compresses with lz4; 9 is the fast compressor.",
        .low = 1,
        .high = 17,
        .broker_names = "compression.lz4.level"},
    ConfigKey{
        .name = "compression.type",
        .type = kString,
        .default_value = "producer",
        .meaning = "Codec that batches are stored with; producer keeps what the client chose.",
        .words = "uncompressed|zstd|lz4|snappy|gzip|producer",
        .broker_names = "compression.type"},
    ConfigKey{.name = "compression.zstd.level",
              .type = kInt,
              .default_value = "3",
              .meaning = "Level used when the broker itself compresses with zstd.",
              .low = -131072,
              .high = 22,
              .broker_names = "compression.zstd.level"},
    ConfigKey{.name = "delete.retention.ms",
              .type = kLong,
              .default_value = "86400000",
              .unit = "ms",
              .meaning = "How long compaction keeps the tombstone of a deleted key.",
              .low = 0,
              .broker_names = "log.cleaner.delete.retention.ms"},
    ConfigKey{.name = "file.delete.delay.ms",
              .type = kLong,
              .default_value = "60000",
              .unit = "ms",
              .meaning = "Time between a file's leaving the log and its removal from disk.",
              .low = 0,
              .broker_names = "log.segment.delete.delay.ms"},
    ConfigKey{
        .name = "flush.messages",
        .type = kLong,
        .default_value = "9223372036854775807",
        .unit = "records",
        .meaning =
            "In Kafka, records between two syncs; here flush.mode decides what is synced and when.",
        .low = 1,
        .effective = false,
        .broker_names = "log.flush.interval.messages"},
    ConfigKey{.name = "flush.mode",
              .type = kString,
              .default_value = "strict",
              .meaning = "What an acknowledged write survives: strict waits for the disks of a "
                         "majority, relaxed for its "
                         "memory.",
              .words = "strict|relaxed",
              .broker_names = "flush.mode"},
    ConfigKey{
        .name = "flush.ms",
        .type = kLong,
        .default_value = "9223372036854775807",
        .unit = "ms",
        .meaning =
            "In Kafka, time between two syncs; here flush.mode decides what is synced and when.",
        .low = 0,
        .effective = false,
        .broker_names = "log.flush.interval.ms,log.flush.scheduler.interval.ms"},
    ConfigKey{.name = "follower.replication.throttled.replicas",
              .type = kList,
              .default_value = "",
              .meaning = "Replicas whose catching up is throttled on the follower's side, as "
                         "partition:broker, or *.",
              .effective = false},
    ConfigKey{
        .name = "index.interval.bytes",
        .type = kInt,
        .default_value = "4096",
        .unit = "bytes",
        .meaning = "Bytes of log between two index entries; here the store fixes that distance.",
        .low = 0,
        .effective = false,
        .broker_names = "log.index.interval.bytes"},
    ConfigKey{.name = "leader.replication.throttled.replicas",
              .type = kList,
              .default_value = "",
              .meaning = "Replicas whose catching up is throttled on the leader's side, as "
                         "partition:broker, or *.",
              .effective = false},
    ConfigKey{
        .name = "local.retention.bytes",
        .type = kLong,
        .default_value = "-2",
        .unit = "bytes",
        .meaning =
            "With remote storage, bytes kept here as well; -2 is the value of retention.bytes.",
        .low = -2,
        .effective = false,
        .broker_names = "log.local.retention.bytes"},
    ConfigKey{.name = "local.retention.ms",
              .type = kLong,
              .default_value = "-2",
              .unit = "ms",
              .meaning = "With remote storage, time that data is kept here as well; -2 is the "
                         "value of retention.ms.",
              .low = -2,
              .effective = false,
              .broker_names = "log.local.retention.ms"},
    ConfigKey{.name = "max.compaction.lag.ms",
              .type = kLong,
              .default_value = "9223372036854775807",
              .unit = "ms",
              .meaning = "Longest time a record may stay out of compaction.",
              .low = 1,
              .broker_names = "log.cleaner.max.compaction.lag.ms"},
    ConfigKey{.name = "max.message.bytes",
              .type = kInt,
              .default_value = "1048588",
              .unit = "bytes",
              .meaning = "Largest record batch a producer may send, as it is on the wire.",
              .low = 0,
              .broker_names = "message.max.bytes"},
    ConfigKey{
        .name = "message.timestamp.after.max.ms",
        .type = kLong,
        .default_value = "3600000",
        .unit = "ms",
        .meaning =
            "How far ahead of the broker's clock a record's timestamp may be (CreateTime only).",
        .low = 0,
        .broker_names = "log.message.timestamp.after.max.ms"},
    ConfigKey{
        .name = "message.timestamp.before.max.ms",
        .type = kLong,
        .default_value = "9223372036854775807",
        .unit = "ms",
        .meaning =
            "How far behind the broker's clock a record's timestamp may be (CreateTime only).",
        .low = 0,
        .broker_names = "log.message.timestamp.before.max.ms"},
    ConfigKey{.name = "message.timestamp.type",
              .type = kString,
              .default_value = "CreateTime",
              .meaning = "Whose time records carry: the producer's (CreateTime) or the broker's "
                         "(LogAppendTime).",
              .words = "CreateTime|LogAppendTime",
              .broker_names = "log.message.timestamp.type"},
    ConfigKey{.name = "min.cleanable.dirty.ratio",
              .type = kDouble,
              .default_value = "0.5",
              .meaning = "Share of a log that must be uncompacted before compaction looks at it.",
              .low = 0,
              .high = 1,
              .broker_names = "log.cleaner.min.cleanable.ratio"},
    ConfigKey{.name = "min.compaction.lag.ms",
              .type = kLong,
              .default_value = "0",
              .unit = "ms",
              .meaning = "Shortest time a record stays out of compaction.",
              .low = 0,
              .broker_names = "log.cleaner.min.compaction.lag.ms"},
    ConfigKey{.name = "min.insync.replicas",
              .type = kInt,
              .default_value = "1",
              .meaning = "Replicas that must hold a write with acks=all before it is acknowledged; "
                         "never less than a "
                         "majority.",
              .low = 1,
              .broker_names = "min.insync.replicas"},
    ConfigKey{
        .name = "preallocate",
        .type = kBoolean,
        .default_value = "false",
        .meaning = "In Kafka, reserves a segment's space when it is made; here the store decides.",
        .effective = false,
        .broker_names = "log.preallocate"},
    ConfigKey{.name = "remote.log.copy.disable",
              .type = kBoolean,
              .default_value = "false",
              .meaning = "With remote storage, stops the copying of new segments.",
              .effective = false},
    ConfigKey{.name = "remote.log.delete.on.disable",
              .type = kBoolean,
              .default_value = "false",
              .meaning = "With remote storage, removes what was copied once it is switched off.",
              .effective = false},
    ConfigKey{.name = "remote.storage.enable",
              .type = kBoolean,
              .default_value = "false",
              .meaning = "Keeps older segments in remote storage.",
              .effective = false},
    ConfigKey{.name = "retention.bytes",
              .type = kLong,
              .default_value = "-1",
              .unit = "bytes",
              .meaning =
                  "Size of a partition beyond which its oldest segments are removed; -1: no limit.",
              .broker_names = "log.retention.bytes"},
    ConfigKey{.name = "retention.ms",
              .type = kLong,
              .default_value = "604800000",
              .unit = "ms",
              .meaning = "Age beyond which segments are removed; -1: never.",
              .low = -1,
              .broker_names = "log.retention.ms,log.retention.minutes,log.retention.hours"},
    ConfigKey{.name = "segment.bytes",
              .type = kInt,
              .default_value = "1073741824",
              .unit = "bytes",
              .meaning = "Size at which a partition begins a new segment file.",
              .low = 1048576,
              .broker_names = "log.segment.bytes"},
    ConfigKey{.name = "segment.index.bytes",
              .type = kInt,
              .default_value = "10485760",
              .unit = "bytes",
              .meaning = "In Kafka, the largest index file; here indexes grow with their segment.",
              .low = 4,
              .effective = false,
              .broker_names = "log.index.size.max.bytes"},
    ConfigKey{.name = "segment.jitter.ms",
              .type = kLong,
              .default_value = "0",
              .unit = "ms",
              .meaning = "In Kafka, spreads the rolling of segments in time.",
              .low = 0,
              .effective = false,
              .broker_names = "log.roll.jitter.ms,log.roll.jitter.hours"},
    ConfigKey{.name = "segment.ms",
              .type = kLong,
              .default_value = "604800000",
              .unit = "ms",
              .meaning = "Age at which a partition begins a new segment file, full or not.",
              .low = 1,
              .broker_names = "log.roll.ms,log.roll.hours"},
    ConfigKey{.name = "unclean.leader.election.enable",
              .type = kBoolean,
              .default_value = "false",
              .meaning = "In Kafka, lets a replica lead that lacks acknowledged writes; here that "
                         "never happens by itself.",
              .effective = false,
              .broker_names = "unclean.leader.election.enable"},
};

static_assert(std::is_sorted(kTopicKeys.begin(), kTopicKeys.end(),
                             [](const ConfigKey& a, const ConfigKey& b) {
                               return a.name < b.name;
                             }),
              "find_key() searches by halves");

}  // namespace

std::span<const ConfigKey> topic_keys() {
  return kTopicKeys;
}

const ConfigKey* find_topic_key(std::string_view name) {
  return find_key(kTopicKeys, name);
}

}  // namespace millrace::model
