#include "broker/replica/ticker.h"

#include <algorithm>
#include <utility>

#include "common/check.h"

namespace millrace::replica {
namespace {

// After so many the loop gets its turn: a broker that fell silent makes thousands stand for
// election.
constexpr int kTicksPerTurn = 256;

}  // namespace

Ticker::~Ticker() {
  CHECK(heap_.empty(), "{} clients are left", heap_.size());
  if (timer_ != env::TimerId::kNone) loop_.cancel(timer_);
}

void Ticker::wake(Client& client, common::Instant at) {
  if (at == common::Instant::max()) return;
  if (client.place_ == Client::kNowhere) {
    heap_.push_back({});
    put(heap_.size() - 1, {.at = at, .sequence = ++last_sequence_, .client = &client});
  } else {
    Entry& entry = heap_[client.place_];
    CHECK(entry.client == &client);
    if (entry.at <= at) return;
    entry.at = at;
    entry.sequence = ++last_sequence_;
  }
  up(client.place_);
  arm();
}

void Ticker::call_soon(Client& client) {
  if (client.soon_ != Client::kNowhere) return;
  client.soon_ = soon_.size();
  soon_.push_back(&client);
  if (std::exchange(end_posted_, true)) return;
  loop_.post([this, here = std::weak_ptr<bool>(here_)] {
    if (!here.expired()) end_turn();
  });
}

void Ticker::end_turn() {
  end_posted_ = false;
  // Who asks again is called in the next turn.
  std::swap(soon_, ending_);
  for (std::size_t i = 0; i < ending_.size(); ++i) {
    Client* const client = ending_[i];
    if (client == nullptr) continue;
    CHECK(client->soon_ == i);
    client->soon_ = Client::kNowhere;
    ending_[i] = nullptr;
    client->turn_ended();
  }
  ending_.clear();
}

void Ticker::forget(Client& client) {
  if (client.soon_ != Client::kNowhere) {
    std::vector<Client*>& list =
        client.soon_ < ending_.size() && ending_[client.soon_] == &client ? ending_ : soon_;
    CHECK(list[client.soon_] == &client);
    list[std::exchange(client.soon_, Client::kNowhere)] = nullptr;
  }
  forget_deadline(client);
}

void Ticker::forget_deadline(Client& client) {
  if (client.place_ == Client::kNowhere) return;
  const std::size_t place = client.place_;
  CHECK(heap_[place].client == &client);
  client.place_ = Client::kNowhere;
  const Entry last = heap_.back();
  heap_.pop_back();
  if (place == heap_.size()) return;
  put(place, last);
  up(place);
  down(last.client->place_);
}

void Ticker::put(std::size_t place, const Entry& entry) {
  heap_[place] = entry;
  entry.client->place_ = place;
}

void Ticker::up(std::size_t place) {
  const Entry entry = heap_[place];
  while (place > 0 && entry.before(heap_[(place - 1) / 2])) {
    put(place, heap_[(place - 1) / 2]);
    place = (place - 1) / 2;
  }
  put(place, entry);
}

void Ticker::down(std::size_t place) {
  const Entry entry = heap_[place];
  for (;;) {
    std::size_t child = 2 * place + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1].before(heap_[child])) ++child;
    if (!heap_[child].before(entry)) break;
    put(place, heap_[child]);
    place = child;
  }
  put(place, entry);
}

void Ticker::arm() {
  if (running_ || heap_.empty() || heap_.front().at >= armed_at_) return;
  if (timer_ != env::TimerId::kNone) loop_.cancel(timer_);
  armed_at_ = heap_.front().at;
  const common::Duration delay = armed_at_ - loop_.clock().now();
  timer_ = loop_.after(std::max(delay, common::Duration{0}), [this] { run(); });
}

void Ticker::run() {
  timer_ = env::TimerId::kNone;
  armed_at_ = common::Instant::max();
  running_ = true;
  const common::Instant now = loop_.clock().now();
  for (int i = 0; i < kTicksPerTurn && !heap_.empty() && heap_.front().at <= now; ++i) {
    Client& client = *heap_.front().client;
    forget_deadline(client);
    client.tick(now);
  }
  running_ = false;
  arm();
}

}  // namespace millrace::replica
