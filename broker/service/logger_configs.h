// The levels of the process's log as settings of a resource BROKER_LOGGER, whose name is the
// broker's id.
#pragma once

#include "broker/service/configs.h"

namespace millrace::service {

ConfigAnswer describe_loggers(const Shard& here, const ConfigQuery& query);

/// All changes of the command or none. kInvalidRequest, kInvalidConfig.
common::Result<void> alter_loggers(const Shard& here, const ConfigCommand& command,
                                   AlterStyle style, bool validate_only);

}  // namespace millrace::service
