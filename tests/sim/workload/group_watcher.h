// Somebody who looks whether a group as a whole gets on.
#pragma once

#include <string>

#include "tests/sim/client/client.h"
#include "tests/sim/group_history.h"
#include "tests/sim/history.h"
#include "tests/sim/workload/actor.h"

namespace millrace::sim {

/// At the end the group must have committed all of each partition, whoever of its members has it.
class GroupWatcher final : public Actor {
 public:
  struct Parts {
    const GroupHistory& groups;
    History& history;
    std::string group;
    std::string topic;
  };
  GroupWatcher(Client::Parts client, Parts parts)
      : client_(std::move(client)), parts_(std::move(parts)) {
    client_.track(parts_.topic);
  }
  void start() override { look(); }
  void finish() override {
    finishing_ = true;
    looked_again_ = false;
  }
  std::string unfinished() const override {
    const TopicView* const view = client_.topic(parts_.topic);
    if (!looked_again_ || view == nullptr)
      return fmt::format("{}: knows nothing of the topic", client_.name());
    for (std::int32_t i = 0; i < static_cast<std::int32_t>(view->leaders.size()); ++i) {
      const Offset end = parts_.history.high_watermark_seen({view->id, model::PartitionIndex{i}});
      const Offset committed = parts_.groups.committed_floor(parts_.group, {parts_.topic, i});
      if (committed != end) {
        return fmt::format("group {} has committed {} of {}-{}, which ends at {}", parts_.group,
                           committed, parts_.topic, i, end);
      }
    }
    return {};
  }

 private:
  void look() {
    client_.refresh([this, finishing = finishing_](bool fresh) {
      looked_again_ = looked_again_ || (finishing && fresh);
      client_.loop().after(std::chrono::seconds(2), [this] { look(); });
    });
  }

  Client client_;
  const Parts parts_;
  bool finishing_ = false;
  bool looked_again_ = false;  // since then
};

}  // namespace millrace::sim
