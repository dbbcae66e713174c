// Retention: which segments a log may forget.
#pragma once

#include "broker/storage/log.h"
#include "broker/storage/segment.h"
#include "common/clock.h"

namespace millrace::storage {

/// The start offset that the settings ask for now: whole segments from the front, by the age of
/// their newest record and by size, and no offset behind `durable`. Never in front of `start`.
Offset retained_from(const std::vector<Segment>& segments, Offset start, Offset durable,
                     const LogSettings& settings, common::Timestamp now);

}  // namespace millrace::storage
