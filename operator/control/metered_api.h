// MeteredApi api(*client, metrics, clock);
//
// The Kubernetes API with every call counted.
#pragma once

#include "operator/control/metrics.h"
#include "operator/kube/api.h"

namespace millrace::control {

/// Passes every call on. Thread-safe as what is below; all must outlive it.
class MeteredApi final : public kube::Api {
 public:
  MeteredApi(kube::Api& below, Metrics& metrics, const common::Clock& clock)
      : below_(below), metrics_(metrics), clock_(clock) {}

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
  template <typename Call>
  auto counted(std::string_view verb, const kube::Resource& resource, Call call);

  kube::Api& below_;
  Metrics& metrics_;
  const common::Clock& clock_;
};

}  // namespace millrace::control
