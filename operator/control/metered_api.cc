#include "operator/control/metered_api.h"

#include <fmt/format.h>

#include <utility>

namespace millrace::control {
namespace {

using kube::ApiError;
using kube::ApiResult;
using kube::Json;

std::string code_of(const ApiError& error) {
  if (error.http_status != 0) return fmt::format("{}", error.http_status);
  return std::string(kube::name(error.cause));
}

}  // namespace

template <typename Call>
auto MeteredApi::counted(std::string_view verb, const kube::Resource& resource, Call call) {
  const common::Instant began = clock_.now();
  auto result = call();
  metrics_.api_called(verb, resource.plural, result.ok() ? "200" : code_of(result.error()),
                      clock_.now() - began);
  return result;
}

ApiResult<Json> MeteredApi::get(const kube::Resource& resource, const kube::ObjectKey& key,
                                kube::Part part) {
  return counted("get", resource, [&] { return below_.get(resource, key, part); });
}

ApiResult<kube::ListPage> MeteredApi::list(const kube::Resource& resource,
                                           const kube::ListOptions& options) {
  return counted("list", resource, [&] { return below_.list(resource, options); });
}

// Lasts for minutes: how long says nothing, and that it began is told by the informers.
ApiResult<void> MeteredApi::watch(const kube::Resource& resource, const kube::WatchOptions& options,
                                  const kube::WatchSink& sink, std::stop_token stop) {
  return below_.watch(resource, options, sink, std::move(stop));
}

ApiResult<Json> MeteredApi::create(const kube::Resource& resource, const Json& object) {
  return counted("create", resource, [&] { return below_.create(resource, object); });
}

ApiResult<Json> MeteredApi::update(const kube::Resource& resource, const Json& object,
                                   kube::Part part) {
  return counted("update", resource, [&] { return below_.update(resource, object, part); });
}

ApiResult<Json> MeteredApi::apply(const kube::Resource& resource, const Json& manifest,
                                  const kube::ApplyOptions& options) {
  return counted("apply", resource, [&] { return below_.apply(resource, manifest, options); });
}

ApiResult<Json> MeteredApi::patch(const kube::Resource& resource, const kube::ObjectKey& key,
                                  const Json& patch, kube::PatchKind kind, kube::Part part) {
  return counted("patch", resource, [&] { return below_.patch(resource, key, patch, kind, part); });
}

ApiResult<void> MeteredApi::remove(const kube::Resource& resource, const kube::ObjectKey& key,
                                   const kube::DeleteOptions& options) {
  return counted("delete", resource, [&] { return below_.remove(resource, key, options); });
}

}  // namespace millrace::control
