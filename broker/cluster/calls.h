// const auto id = calls.add(timeout, std::move(reply));   ...   calls.answer(id, std::move(bytes));
//
// Calls that wait for their answers.
#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "broker/cluster/metrics.h"
#include "broker/env/loop.h"
#include "broker/model/errors.h"
#include "common/bytes.h"
#include "common/clock.h"
#include "common/reply.h"

namespace millrace::cluster {

using Answer = common::Reply<common::Result<common::Bytes>>;

/// Each is answered once: by its answer, by its timeout or by fail_all(). Loop thread only.
class Calls {
 public:
  Calls(env::Loop& loop, MeshMetrics& metrics) : loop_(loop), metrics_(metrics) {}
  /// Drops what is left unanswered.
  ~Calls() {
    const common::RepliesMayDrop nobody_listens;
    for (auto& [id, call] : calls_) loop_.cancel(call.timer);
    calls_.clear();
  }
  Calls(const Calls&) = delete;
  Calls& operator=(const Calls&) = delete;

  std::uint64_t add(common::Duration timeout, Answer reply) {
    const std::uint64_t id = ++last_id_;
    const env::TimerId timer = loop_.after(timeout, [this, id] {
      ++metrics_.calls_failed;
      answer(id, model::error(model::ErrorCode::kRequestTimedOut));
    });
    calls_.emplace(id, Call{std::move(reply), timer});
    return id;
  }
  /// Nothing happens if it is not there any more.
  void answer(std::uint64_t id, common::Result<common::Bytes> result) {
    const auto found = calls_.find(id);
    if (found == calls_.end()) return;
    loop_.cancel(found->second.timer);
    Answer reply = std::move(found->second.reply);
    calls_.erase(found);
    reply(std::move(result));
  }
  void fail_all(const common::Error& error) {
    // An answer may bring the next call.
    auto calls = std::exchange(calls_, {});
    for (auto& [id, call] : calls) {
      loop_.cancel(call.timer);
      ++metrics_.calls_failed;
      call.reply(error);
    }
  }
  std::size_t size() const { return calls_.size(); }

 private:
  struct Call {
    Answer reply;
    env::TimerId timer;
  };
  env::Loop& loop_;
  MeshMetrics& metrics_;
  std::map<std::uint64_t, Call> calls_;
  std::uint64_t last_id_ = 0;
};

}  // namespace millrace::cluster
