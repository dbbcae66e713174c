// ticker.wake(replica, group.next_deadline());   ...   replica.tick(now);
// ticker.call_soon(replica);                      ...   replica.turn_ended();
//
// The deadlines of all groups of a shard, over one timer of its loop; and what they put off until
// the rest of the loop's turn has come in.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "broker/env/loop.h"

namespace millrace::replica {

/// A heap of deadlines. Those that nobody moved forward stay where they are when a later one is
/// asked for: a leader that replicates sets and drops a deadline with every batch, and should not
/// pay for that. So a client may be ticked when nothing is due; what asks for nothing any more is
/// ticked once at most. Loop thread only; goes after its clients.
class Ticker {
 public:
  class Client {
   public:
    virtual ~Client() = default;
    /// Called on the loop. May wake() or forget() anybody, and end other clients' lives.
    virtual void tick(common::Instant now) = 0;
    /// Likewise, where it was asked for by call_soon().
    virtual void turn_ended() = 0;

   private:
    friend class Ticker;
    static constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);
    std::size_t place_ = kNowhere;
    std::size_t soon_ = kNowhere;
  };

  explicit Ticker(env::Loop& loop) : loop_(loop) {}
  ~Ticker();
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;

  /// Calls client.tick() once, at `at` or earlier; Instant::max(): asks for nothing.
  void wake(Client& client, common::Instant at);
  /// Calls client.turn_ended() once, behind what is already there for this loop to do.
  void call_soon(Client& client);
  /// The client is not called any more, until it asks again.
  void forget(Client& client);
  /// Clients that wait.
  std::size_t size() const { return heap_.size(); }

 private:
  struct Entry {
    common::Instant at;
    /// Those of one instant go in the order in which they asked.
    std::uint64_t sequence;
    Client* client;
    bool before(const Entry& other) const {
      return at != other.at ? at < other.at : sequence < other.sequence;
    }
  };
  void forget_deadline(Client& client);
  void put(std::size_t place, const Entry& entry);
  void up(std::size_t place);
  void down(std::size_t place);
  void arm();
  void run();
  void end_turn();

  env::Loop& loop_;
  std::vector<Entry> heap_;
  std::uint64_t last_sequence_ = 0;
  env::TimerId timer_ = env::TimerId::kNone;
  common::Instant armed_at_ = common::Instant::max();
  bool running_ = false;
  std::vector<Client*> soon_;  // nullptr: forgotten meanwhile
  std::vector<Client*> ending_;
  bool end_posted_ = false;
  const std::shared_ptr<bool> here_ = std::make_shared<bool>(true);
};

}  // namespace millrace::replica
