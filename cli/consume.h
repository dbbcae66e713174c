// What `millctl consume` is asked for, and its two ways: without and with a group.
#pragma once

#include <google/protobuf/repeated_field.h>
#include <grpcpp/client_context.h>

#include <string>
#include <vector>

#include "cli/client.h"
#include "millrace/v1/record.pb.h"

namespace millrace::cli {

struct ConsumeOptions {
  std::string topic;
  std::string from = "latest";
  std::vector<int> partitions;
  std::int64_t records_max = 0;
  bool until_end = false;
  bool verbose = false;
  std::string group;
  std::string instance;
};

/// Prints records as the options ask for it.
void print_records(const Global& global, const ConsumeOptions& options,
                   const google::protobuf::RepeatedPtrField<v1::Record>& records);

/// While one lives, Ctrl-C and SIGTERM cancel this call.
class CancelOnInterrupt {
 public:
  explicit CancelOnInterrupt(::grpc::ClientContext& context);
  ~CancelOnInterrupt();
  CancelOnInterrupt(const CancelOnInterrupt&) = delete;
  CancelOnInterrupt& operator=(const CancelOnInterrupt&) = delete;
};

/// As a member of a group.
Exit consume_in_group(const Global& global, const ConsumeOptions& options);

}  // namespace millrace::cli
