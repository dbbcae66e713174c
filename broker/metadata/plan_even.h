// Steps of plan_moves() for a cluster that is whole: nothing is under way, nothing must leave.
// Each step ends, because what it evens out only becomes more even; none makes a partition less
// spread over racks.
#pragma once

#include "broker/metadata/move_draft.h"

namespace millrace::metadata {

/// Moves single replicas of a topic from brokers with more of it to those that have at least two
/// fewer: what a topic is asked for is shared by as many brokers as there are, also by a new one.
void even_topics(MoveDraft& draft);

/// Moves single replicas from fuller brokers to those that have at least two fewer in total, and
/// fewer of the topic, so that no topic becomes less even.
void even_totals(MoveDraft& draft);

/// Swaps a large replica of a broker with much data for a small one of a broker with little, so
/// that counts stay as they are. Begins where the emptier one has less than four fifths of the
/// fuller one's bytes and at least MoveLimits::bytes_uneven_min less, and does kSwapsMax swaps at
/// once.
void even_bytes(MoveDraft& draft);
inline constexpr int kSwapsMax = 4;

/// Reorders replica sets, which copies nothing, until no other choice of preferred leaders among
/// the replicas is more even.
void even_preferred_leaders(MoveDraft& draft);

}  // namespace millrace::metadata
