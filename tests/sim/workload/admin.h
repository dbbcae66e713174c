// Somebody who makes, changes and deletes topics.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/client/client.h"
#include "tests/sim/history.h"
#include "tests/sim/workload/actor.h"

namespace millrace::sim {

struct AdminPlan {
  /// Names of topics that come and go.
  std::vector<std::string> passing;
  /// Gets more partitions, up to so many; empty: none.
  std::string growing;
  std::int32_t partitions_max = 6;
  /// Loses records from its start; empty: none.
  std::string trimmed;
  std::int16_t replication_factor = 1;
};

/// One thing at a time, and remembers what it was told: at the end the cluster must agree.
class Admin final : public Actor {
 public:
  Admin(Client::Parts client, History& history, AdminPlan plan);
  void start() override;
  void finish() override;
  std::string unfinished() const override;
  bool writes() const override { return true; }

 private:
  enum class There : std::uint8_t { kNo, kYes, kPerhaps };

  void act();
  void act_later();
  void create(const std::string& name);
  void write_to(const std::string& name);
  void remove(const std::string& name);
  void grow();
  void set_config(const std::string& name);
  void check_config(const std::string& name);
  void trim();
  void compare();
  void complain(std::string_view what, model::ErrorCode code);

  /// What was asked without an answer may be carried out even after what was asked, and answered,
  /// later.
  struct Setting {
    std::string known;
    std::set<std::string> in_doubt;
    bool may_be(const std::string& value) const {
      return value == known || in_doubt.contains(value);
    }
  };

  Client client_;
  History& history_;
  const AdminPlan plan_;
  WriterId writer_{};
  std::map<std::string, There> passing_;
  /// Topics of that name that have got records.
  std::map<std::string, std::set<model::TopicId>> written_;
  /// Names whose topic may have been deleted, and what is known to have been made after that.
  std::set<std::string> removed_;
  std::map<std::string, model::TopicId> made_;
  std::int32_t grown_at_least_ = 0;
  std::int32_t grown_at_most_ = 0;
  /// max.message.bytes of topics that were set at least once.
  std::map<std::string, Setting> configs_;
  bool finishing_ = false;
  bool config_agreed_ = false;
  bool agreed_ = false;
  std::string disagreement_;
};

}  // namespace millrace::sim
