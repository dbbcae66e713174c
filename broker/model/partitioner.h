// Which partition a keyed record goes to: as the Java client decides, so that every door agrees.
#pragma once

#include <cstdint>

#include "broker/model/ids.h"
#include "common/bytes.h"
#include "common/check.h"

namespace millrace::model {

/// MurmurHash2 (Austin Appleby, public domain) with the Java client's seed; its `int` as a signed
/// number.
std::int32_t murmur2(common::ByteView bytes);

/// The partition of a key. Requires partition_count > 0.
inline PartitionIndex partition_for_key(common::ByteView key, std::int32_t partition_count) {
  CHECK(partition_count > 0);
  return PartitionIndex{(murmur2(key) & 0x7fffffff) % partition_count};
}

}  // namespace millrace::model
