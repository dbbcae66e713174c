// in_turn<TopicOutcome>(std::move(topics), [&](NewTopic topic, common::Reply<TopicOutcome> reply) {
// ... }, std::move(done));
//
// Commands of one request that depend on each other.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "common/function.h"
#include "common/reply.h"

namespace millrace::service {

/// A list of commands under way.
template <typename Outcome, typename Item>
class InTurn : public std::enable_shared_from_this<InTurn<Outcome, Item>> {
 public:
  using Step = common::Function<void(Item, common::Reply<Outcome>)>;
  InTurn(std::vector<Item> items, Step step, common::Reply<std::vector<Outcome>> done)
      : items_(std::move(items)), step_(std::move(step)), done_(std::move(done)) {}

  void next() {
    again_ = true;
    if (std::exchange(running_, true)) return;
    while (std::exchange(again_, false)) start_one();
    running_ = false;
  }

 private:
  void start_one() {
    if (outcomes_.size() == items_.size()) return done_(std::move(outcomes_));
    step_(std::move(items_[outcomes_.size()]), [self = this->shared_from_this()](Outcome outcome) {
      self->outcomes_.push_back(std::move(outcome));
      self->next();
    });
  }

  std::vector<Item> items_;
  Step step_;
  std::vector<Outcome> outcomes_;
  bool running_ = false;
  bool again_ = false;
  common::Reply<std::vector<Outcome>> done_;
};

/// Runs `step` on one item after the other, so that each sees what the ones before it did, and
/// answers with all outcomes in their order. A step that answers at once does not make the stack
/// deeper: a request may have very many. One loop.
template <typename Outcome, typename Item>
void in_turn(std::vector<Item> items, typename InTurn<Outcome, Item>::Step step,
             common::Reply<std::vector<Outcome>> done) {
  std::make_shared<InTurn<Outcome, Item>>(std::move(items), std::move(step), std::move(done))
      ->next();
}

}  // namespace millrace::service
