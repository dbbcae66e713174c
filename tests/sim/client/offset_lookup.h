// client.call(node, ask_of_one("orders", 0, service::kEarliest), 5s, [](const auto& answer) {
//   if (const auto* told = told_of_one(answer)) ...
// });
//
// ListOffsets of one partition.
#pragma once

#include <string>

#include "broker/service/offsets.h"
#include "broker/wire/messages/list_offsets.h"
#include "common/result.h"

namespace millrace::sim {

/// `at`: milliseconds, or service::kEarliest and the like.
wire::ListOffsetsRequest ask_of_one(const std::string& topic, std::int32_t partition,
                                    common::Timestamp at);

/// What was said of the only partition that was asked about, an error too; nullptr: nothing. Lives
/// as long as the answer.
const wire::ListOffsetsResponse::Partition* told_of_one(
    const common::Result<wire::ListOffsetsResponse>& answer);

}  // namespace millrace::sim
