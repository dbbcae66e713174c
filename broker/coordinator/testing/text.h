// Records, answers and descriptions as one line each, for scripts and failing tests.
#pragma once

#include <string>

#include "broker/coordinator/records.h"
#include "broker/coordinator/requests.h"

namespace millrace::coordinator {

/// "classic g generation=2 leader=a a=x b=y"; a tombstone ends in " gone".
std::string to_text(const Record& record);
/// What names the record in a compacted log: a newer record of the same key replaces it.
std::string key_text(const Record& record);
/// Without what is empty or has its default; begins with the error or "ok".
std::string to_text(const Answer& answer);
std::string to_text(const OffsetFetchOutcome& outcome);
std::string to_text(const GroupDescription& description);
std::string to_text(const Status& status);

}  // namespace millrace::coordinator
