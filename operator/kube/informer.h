// Informer topics(api, clock, random, {.resource = kTopics, .index_labels =
// {"millrace.dev/cluster"}}); topics.on_change([&](const Change& change) { queue.add(change.key);
// }); thread: topics.run(stop);            reader: topics.wait_synced(stop, 30s);
// topics.cache().get(...)
//
// Keeps a cache equal to the server's objects of one kind: list once, then watch.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/random.h"
#include "operator/kube/api.h"
#include "operator/kube/backoff.h"
#include "operator/kube/cache.h"

namespace millrace::kube {

struct InformerOptions {
  Resource resource;
  std::string space;  ///< empty: all namespaces
  std::string label_selector;
  std::string field_selector;
  Projection projection;
  std::vector<std::string> index_labels;
  int page_limit = 200;
  /// A watch is asked to last so long, and up to twice that, so that not all end together.
  common::Duration watch_duration = std::chrono::minutes(5);
  Backoff::Settings backoff;
};

/// What an informer did, for metrics. Since it was made.
struct InformerCounts {
  std::uint64_t lists = 0;
  std::uint64_t watches = 0;
  std::uint64_t events = 0;  ///< without bookmarks
  std::uint64_t errors = 0;  ///< lists and watches that failed, a stale resourceVersion included
};

/// States: listing -> watching -> (stream ends or breaks: watching again from the last
/// resourceVersion; kGone: listing). Whatever ends sooner than kShortest after it began is followed
/// by a wait with back-off: never a hot loop. A list is compared with the cache,
/// so what changed or vanished unseen reaches the handlers too.
class Informer {
 public:
  static constexpr common::Duration kShortest = std::chrono::seconds(1);

  /// `api` and `clock` must outlive it.
  Informer(Api& api, const common::Clock& clock, common::Random random, InformerOptions options);

  /// Before run(). Handlers run on the informer's thread, in the order added, and should do no more
  /// than put a key into a queue.
  void on_change(ChangeHandler handler);

  /// Lists and watches on the caller's thread until asked to stop. At most once.
  void run(std::stop_token stop);

  // ---- instead of run(), for simulations, where a watch may block nobody: begin with list(), do
  // what `next` says after `wait`, and so on

  enum class Next { kWatch, kList };
  /// What comes next, and how long to wait before it.
  struct Then {
    Next next = Next::kList;
    std::optional<common::Duration> wait;
  };
  /// One whole list.
  Then list();
  /// A watch begins: what it is to ask for.
  WatchOptions open_watch();
  /// What comes on the watch that was opened last.
  void hear(WatchEvent&& event);
  /// That watch has ended so.
  Then close_watch(const ApiResult<void>& how);

  /// True as soon as the first list is in the cache. A cache that is not synced says nothing about
  /// what does not exist.
  bool synced() const { return synced_.load(); }
  /// Waits for it in real time; false if stopped or out of time before.
  bool wait_synced(const std::stop_token& stop, common::Duration most);

  const Cache& cache() const { return cache_; }
  const Resource& resource() const { return options_.resource; }
  InformerCounts counts() const;
  /// The last error since a call worked; empty when all is well. For health pages and logs.
  std::string trouble() const;

 private:
  ApiResult<void> relist();
  Then watch(const std::stop_token& stop);
  void announce(const Change& change);
  void note_error(const ApiError& error);
  void note_success();

  Api& api_;
  const common::Clock& clock_;
  common::Random random_;
  const InformerOptions options_;
  Cache cache_;
  Backoff backoff_;
  std::vector<ChangeHandler> handlers_;
  std::string resource_version_;  // of the last list or event; used by run()'s thread alone
  bool heard_ = false;            // something came on the stream that is running
  common::Instant opened_at_;     // the stream that is running

  std::atomic<bool> synced_ = false;
  mutable std::mutex mutex_;  // guards what follows, and goes with changed_
  std::condition_variable_any changed_;
  InformerCounts counts_;
  std::string trouble_;
};

}  // namespace millrace::kube
