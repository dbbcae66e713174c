// KubeLink api({model, agenda, ...}, faults);   api.get(kube::kPods, key) ...
//
// A simulated operator's way to the API server.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "common/random.h"
#include "operator/kube/testing/model_api.h"
#include "tests/sim/operator/life.h"
#include "tests/sim/operator/rules.h"
#include "tests/sim/trace.h"

namespace millrace::sim {

/// What goes wrong between an operator and the API server, in so many of 1000 calls each.
struct KubeFaults {
  int refuse = 0;    ///< kUnavailable, or kTooManyRequests, before anything happened
  int lose = 0;      ///< it is done, and kTimeout with maybe_done comes back
  int conflict = 0;  ///< somebody else writes the object first
  int slow = 0;      ///< the call takes seconds
  bool cut = false;  ///< nothing gets through
};

/// Calls take time, in which the world goes on. Every write is told to the rules. Watches are fed
/// by WatchFeed and do not come here.
class KubeLink final : public kube::Api {
 public:
  struct Parts {
    kube::testing::ModelApi& model;
    const common::Clock& clock;
    Trace& trace;
    common::Random random;
    Life& life;
    Rules& rules;
    std::string name;
  };
  /// `faults` may change, and outlives it.
  KubeLink(Parts parts, const KubeFaults& faults) : parts_(std::move(parts)), faults_(faults) {}

  kube::ApiResult<kube::Json> get(const kube::Resource& resource, const kube::ObjectKey& key,
                                  kube::Part part) override;
  kube::ApiResult<kube::ListPage> list(const kube::Resource& resource,
                                       const kube::ListOptions& options) override;
  kube::ApiResult<void> watch(const kube::Resource& resource, const kube::WatchOptions& options,
                              const kube::WatchSink& sink, std::stop_token stop) override;
  kube::ApiResult<kube::Json> create(const kube::Resource& resource,
                                     const kube::Json& object) override;
  kube::ApiResult<kube::Json> update(const kube::Resource& resource, const kube::Json& object,
                                     kube::Part part) override;
  kube::ApiResult<kube::Json> apply(const kube::Resource& resource, const kube::Json& manifest,
                                    const kube::ApplyOptions& options) override;
  kube::ApiResult<kube::Json> patch(const kube::Resource& resource, const kube::ObjectKey& key,
                                    const kube::Json& patch, kube::PatchKind kind,
                                    kube::Part part) override;
  kube::ApiResult<void> remove(const kube::Resource& resource, const kube::ObjectKey& key,
                               const kube::DeleteOptions& options) override;

 private:
  /// Which call, for the trace.
  struct Call {
    const char* verb;
    const kube::Resource& resource;
    kube::ObjectKey key;
    /// Only the version that was read may be written.
    bool conditional = false;
  };
  template <typename T>
  kube::ApiResult<T> read(const Call& call, const std::function<kube::ApiResult<T>()>& perform);
  template <typename T>
  kube::ApiResult<T> write(const Call& call, const std::function<kube::ApiResult<T>()>& perform);
  /// The call gets to the server; otherwise what the caller is told.
  std::optional<kube::ApiError> arrive(const Call& call);
  bool chance(int per_mille) { return per_mille > 0 && parts_.random.chance(per_mille, 1000); }
  common::Duration latency();
  void interfere(const Call& call);

  Parts parts_;
  const KubeFaults& faults_;
};

/// The server's clock shows the world's time.
void set_time(kube::testing::ModelApi& model, const common::Clock& clock);

}  // namespace millrace::sim
