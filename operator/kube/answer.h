// From HTTP to ApiError, and from objects to addresses: the parts of the client that need no
// socket.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "operator/kube/api.h"

namespace millrace::kube {

/// "/apis/apps/v1/namespaces/shop/statefulsets/events/status". Without a name: the collection.
std::string path_of(const Resource& resource, const ObjectKey& key, Part part = Part::kObject);
/// "?limit=200&labelSelector=a%3Db", with what is not empty.
std::string query_of(const ListOptions& options);
std::string query_of(const WatchOptions& options);
/// Everything but letters, digits and "-._~" as %XX.
std::string percent_encoded(std::string_view text);

/// What a Status object (the body of a refusal, or of a watch's ERROR event) means. `http_status`
/// counts where the body has no reason that we know.
ApiError error_of_status(const Json& status, int http_status);
/// The error of an answer of 300 and more. `retry_after`: the header, may be empty.
ApiError error_of_answer(int http_status, std::string_view body, std::string_view retry_after);

/// A List object taken apart. kBadAnswer if it is none.
ApiResult<ListPage> list_page(std::string_view body, const Resource& resource);

/// One line of a watch: an event, or why the stream is over.
ApiResult<WatchEvent> watch_line(std::string_view line);

}  // namespace millrace::kube
