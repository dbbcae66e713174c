// Records on standard output, one per line.
#pragma once

#include "millrace/v1/record.pb.h"

namespace millrace::cli {

/// One JSON object.
void print_json(const v1::Record& record);
/// The value alone; with `verbose` also partition, offset, time, key and headers.
void print_plain(const v1::Record& record, bool verbose);

}  // namespace millrace::cli
