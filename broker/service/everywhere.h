// on_every_shard<std::vector<GroupSummary>>(here, [](Shard& shard, auto reply) { ... }, done);
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "broker/service/shard.h"
#include "common/check.h"
#include "common/reply.h"

namespace millrace::service {

/// A reply that may be used on another shard's loop: `done` is called on `here`'s.
template <typename T>
common::Reply<T> reply_on(Shard& here, common::Reply<T> done) {
  return [&here, done = std::move(done)](T answer) mutable {
    here.loop().post([done = std::move(done), answer = std::move(answer)]() mutable {
      done(std::move(answer));
    });
  };
}

/// run(shard, reply) on the loop of each shard; the answers in order of the shards, on `here`'s
/// loop. `run` must be copyable and hold nothing that belongs to a thread.
template <typename T, typename Run>
void on_every_shard(Shard& here, Run run, common::Reply<std::vector<T>> done) {
  struct Gathering {
    std::vector<T> answers;
    std::size_t missing = 0;
    common::Reply<std::vector<T>> done;
  };
  auto gathering = std::make_shared<Gathering>();
  gathering->answers.resize(here.peers().size());
  gathering->missing = here.peers().size();
  gathering->done = std::move(done);
  for (std::size_t i = 0; i < here.peers().size(); ++i) {
    common::Reply<T> arrived([gathering, i](T answer) {
      gathering->answers[i] = std::move(answer);
      CHECK(gathering->missing > 0);
      if (--gathering->missing == 0) gathering->done(std::move(gathering->answers));
    });
    Shard& shard = *here.peers()[i];
    if (&shard == &here) {
      run(here, std::move(arrived));
      continue;
    }
    shard.loop().post([&shard, run, reply = reply_on<T>(here, std::move(arrived))]() mutable {
      run(shard, std::move(reply));
    });
  }
}

}  // namespace millrace::service
