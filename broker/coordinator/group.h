// One group of a machine: what is committed in its name, and its members, whichever protocol they
// speak.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>

#include "broker/coordinator/classic_group.h"
#include "broker/coordinator/consumer_group.h"
#include "broker/coordinator/offsets.h"

namespace millrace::coordinator {

struct Group {
  Offsets offsets;
  std::variant<std::unique_ptr<ClassicGroup>, std::unique_ptr<ConsumerGroup>> members;
  /// The batches that last changed the members and the offsets: what tells of them has to wait
  /// until they are committed. 0: none since the machine was loaded.
  std::uint64_t members_batch = 0;
  std::uint64_t offsets_batch = 0;

  ClassicGroup* classic();
  const ClassicGroup* classic() const;
  ConsumerGroup* consumer();
  const ConsumerGroup* consumer() const;
};

}  // namespace millrace::coordinator
