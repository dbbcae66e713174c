// Why the API server, or the way to it, did not do what was asked.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/clock.h"
#include "common/outcome.h"

namespace millrace::kube {

/// What happened, as far as a caller's decision depends on it. The reason of the server's Status
/// object decides; where it has none, the HTTP status does.
enum class Cause {
  kNotFound,       ///< no such object, or no such kind (its CRD is not installed)
  kAlreadyExists,  ///< create: the name is taken
  kConflict,       ///< another resourceVersion or uid than the precondition; or a field another
                   ///< manager owns (apply without force). Read again, then decide anew.
  kGone,           ///< the resourceVersion or the continue token is too old: list from the start
  kInvalid,       ///< the schema or an admission rule refuses the object: `detail` says which field
  kForbidden,     ///< the service account may not (RBAC), or a quota or admission rule says no
  kUnauthorized,  ///< the credentials are not accepted; they are read again before the next call
  kTooManyRequests,  ///< slow down; `retry_after` may say for how long
  kUnavailable,      ///< no connection, or the server cannot now: try later
  kTimeout,          ///< no answer in time
  kCancelled,        ///< the caller's stop token asked for it
  kBadAnswer,        ///< bytes that are no answer of an API server
};

/// "not found", "conflict" ...: for log lines and metric labels ('_' instead of spaces).
std::string_view name(Cause cause);

/// An error of one call. The cause alone drives behaviour; `detail` is the sentence for people and
/// carries the server's own words where it said some.
struct ApiError {
  Cause cause = Cause::kBadAnswer;
  std::string detail;
  /// 0: no HTTP answer came.
  int http_status = 0;
  /// The call may have been done all the same: the request was sent and its answer is lost. Read
  /// before deciding anything. Never set when nothing left this process, or when a refusal arrived.
  bool maybe_done = false;
  /// How long the server asked to wait.
  std::optional<common::Duration> retry_after;
};

template <typename T>
using ApiResult = common::Outcome<T, ApiError>;

/// True where the same call may succeed later without anybody changing anything.
bool is_transient(const ApiError& error);

}  // namespace millrace::kube
