// One group of a machine: what is committed in its name, and its members, whichever protocol they
// speak.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "broker/coordinator/classic_group.h"
#include "broker/coordinator/consumer_group.h"
#include "broker/coordinator/offsets.h"

namespace millrace::coordinator {

struct Group {
  /// Without members, which is the same in both protocols.
  Group(const std::string& name, Shared& shared);

  /// nullptr: of the other type.
  ClassicGroup* classic();
  const ClassicGroup* classic() const;
  ConsumerGroup* consumer();
  const ConsumerGroup* consumer() const;

  /// Whether it has no members; those that were only told an id do not count.
  bool empty() const;
  /// Whether it is nothing but a name: no members, no offsets, nothing of it in the log.
  bool is_nothing() const;
  bool subscribes(const std::string& topic) const;
  OffsetAge offset_age() const;
  /// When its last member left, for OffsetAge::kSinceEmptied.
  common::Timestamp emptied() const;
  GroupDescription describe() const;
  /// Appends the records that replay its members, or remove them from the log.
  void snapshot(std::vector<Record>& records) const;
  void tombstones(std::vector<Record>& records) const;

  const std::string name;
  Offsets offsets;
  std::variant<std::unique_ptr<ClassicGroup>, std::unique_ptr<ConsumerGroup>> members;
  /// The batches that last changed the members and the offsets: what tells of them has to wait
  /// until they are committed. 0: none since the machine was loaded.
  std::uint64_t members_batch = 0;
  std::uint64_t offsets_batch = 0;
};

}  // namespace millrace::coordinator
