// What the groups of one machine share, and what they hand to it.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "broker/coordinator/records.h"
#include "broker/coordinator/requests.h"
#include "broker/coordinator/settings.h"
#include "broker/coordinator/timers.h"
#include "broker/coordinator/topics.h"

namespace millrace::coordinator {

/// What one input (or several commits) wants to have done. The machine gives it a number and hands
/// it to the shell; the records are applied once the log took them, and only then do the answers
/// count: if it refuses, those that say "no error" are replaced by the refusal, by the machine.
/// So a group decides on what is applied, puts what is to change into `records` and answers as if
/// it were stored. State outside of records may change at once where a refusal does no harm.
struct Outbox {
  std::vector<Record> records;
  std::vector<std::pair<Ticket, Answer>> answers;
  /// Joins that are to be asked once more when the records are applied: by then the group speaks
  /// the other protocol. On refusal the machine answers them.
  std::vector<std::pair<Ticket, JoinGroup>> joins_again;

  template <typename Outcome>
  void answer(Ticket ticket, Outcome outcome) {
    answers.emplace_back(ticket, Answer(std::move(outcome)));
  }
};

/// What the groups of one machine have in common. The machine owns it; it outlives the groups.
struct Shared {
  explicit Shared(const Settings& the_settings) : settings(the_settings) {}
  Settings settings;
  Timers timers;
  /// Never null; without topics until the first topics_changed().
  std::shared_ptr<const Topics> topics = std::make_shared<const Topics>();
};

}  // namespace millrace::coordinator
