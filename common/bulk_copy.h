// bulk_copy(arena + used, batch);
//
// Copies of memory that the processor will not read again soon.
#pragma once

#include <cstdint>

#include "common/bytes.h"

namespace millrace::common {

/// Copies `from` to `to`, which must not overlap. As memcpy, but what is written goes around the
/// caches where the processor can do that: right for bytes that a device reads next, or somebody
/// much later. Half the time of memcpy there, because the old content is not fetched first. Short
/// copies are plain ones.
void bulk_copy(std::uint8_t* to, ByteView from);

}  // namespace millrace::common
