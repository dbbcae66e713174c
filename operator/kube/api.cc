#include "operator/kube/api.h"

#include <fmt/format.h>

#include <utility>

#include "operator/kube/fields.h"

namespace millrace::kube {

std::string Resource::api_version() const {
  return group.empty() ? std::string(version) : fmt::format("{}/{}", group, version);
}

std::string ObjectKey::text() const {
  return space.empty() ? name : fmt::format("{}/{}", space, name);
}

ObjectKey key_of(const Json& object) {
  return {text_at(object, {"metadata", "namespace"}), text_at(object, {"metadata", "name"})};
}

ApiResult<std::string> list_all(Api& api, const Resource& resource, ListOptions options,
                                const std::function<void(Json&&)>& sink,
                                const std::function<void()>& restart) {
  CHECK(options.continue_token.empty(), "list_all begins at the first page");
  for (int tries_left = kListTries - 1;;) {
    auto page = api.list(resource, options);
    if (!page.ok()) {
      const bool expired = page.error().cause == Cause::kGone && !options.continue_token.empty();
      if (!expired || tries_left == 0) return std::move(page).error();
      --tries_left;
      options.continue_token.clear();
      restart();
      continue;
    }
    for (Json& item : page->items) sink(std::move(item));
    if (page->continue_token.empty()) return std::move(page->resource_version);
    options.continue_token = std::move(page->continue_token);
  }
}

}  // namespace millrace::kube
