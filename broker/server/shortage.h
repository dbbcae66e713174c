// Shortage shortage({...});   shortage.look();   if (shortage.now()) ...
//
// A broker whose disk is full refuses writes: while that lasts, it leads nothing that another
// broker can lead.
#pragma once

#include <string_view>
#include <vector>

#include "broker/service/shard.h"
#include "broker/storage/lifeline.h"
#include "common/function.h"

namespace millrace::server {

/// First shard's loop.
class Shortage {
 public:
  struct Parts {
    service::Shard& first;
    /// Brokers that should be given nothing: not caught up, about to stop, or out of space.
    common::Function<std::vector<model::BrokerId>()> unfit;
    /// It began, or ended: the other brokers should hear of it.
    common::Function<void()> changed;
    /// Takes a line for the broker's log, at the level of warnings.
    common::Function<void(std::string_view)> warn;
  };
  explicit Shortage(Parts parts) : parts_(std::move(parts)) {}

  /// Asks the shards whether they are out of space. While one is, hands over what all of them lead,
  /// and again what they were elected for since. To be called again and again.
  void look();
  /// As the last look found.
  bool now() const { return now_; }

 private:
  void judge(bool out_of_space);
  void hand_over();

  Parts parts_;
  bool now_ = false;
  bool asking_ = false;
  bool handing_over_ = false;
  storage::Lifeline lifeline_;
};

}  // namespace millrace::server
