// The refusal of an ApiVersions request of a version to come (KIP-511).
#pragma once

#include <cstdint>

#include "broker/wire/chunks.h"

namespace millrace::kafka {

/// A whole answer frame in version 0, the only form that every client can read, naming the versions
/// that may be asked.
wire::Chunks version_refusal(std::int32_t correlation_id);

}  // namespace millrace::kafka
