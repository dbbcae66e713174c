// Groups as tables and as JSON.
#pragma once

#include <string>

#include "millrace/v1/admin.pb.h"

namespace millrace::cli {

std::string groups_text(const v1::ListGroupsResponse& response);
std::string groups_json(const v1::ListGroupsResponse& response);

/// A line about the group, a table of members and a table of partitions.
std::string group_text(const v1::DescribeGroupResponse& response);
std::string group_json(const v1::DescribeGroupResponse& response);

std::string reset_text(const v1::ResetGroupOffsetsResponse& response);
std::string reset_json(const v1::ResetGroupOffsetsResponse& response);

}  // namespace millrace::cli
