#include "broker/service/role_waits.h"

#include <vector>

namespace millrace::service {

using model::PartitionKey;

void RoleWaits::wait(const PartitionKey& key, common::Duration limit,
                     common::Function<void()> then) {
  const Place place{key, ++last_};
  Waiter& waiter = waiting_[place];
  waiter.then = std::move(then);
  waiter.timer = loop_.after(closed_ ? common::Duration{0} : limit, lifeline_.guard([this, place] {
    waiting_[place].timer = env::TimerId::kNone;
    call(place);
  }));
}

void RoleWaits::fire(const PartitionKey& key) {
  std::vector<Place> places;
  for (auto at = waiting_.lower_bound({key, 0}); at != waiting_.end() && at->first.first == key;
       ++at)
    places.push_back(at->first);
  for (const Place& place : places) call(place);
}

void RoleWaits::close() {
  closed_ = true;
  std::vector<Place> places;
  for (const auto& [place, waiter] : waiting_) places.push_back(place);
  for (const Place& place : places) call(place);
}

void RoleWaits::call(const Place& place) {
  auto waiter = waiting_.extract(place);
  if (waiter.empty()) return;
  if (waiter.mapped().timer != env::TimerId::kNone) loop_.cancel(waiter.mapped().timer);
  waiter.mapped().then();
}

}  // namespace millrace::service
