#include "operator/kube/error.h"

namespace millrace::kube {

std::string_view name(Cause cause) {
  switch (cause) {
    case Cause::kNotFound:
      return "not found";
    case Cause::kAlreadyExists:
      return "already exists";
    case Cause::kConflict:
      return "conflict";
    case Cause::kGone:
      return "gone";
    case Cause::kInvalid:
      return "invalid";
    case Cause::kForbidden:
      return "forbidden";
    case Cause::kUnauthorized:
      return "unauthorized";
    case Cause::kTooManyRequests:
      return "too many requests";
    case Cause::kUnavailable:
      return "unavailable";
    case Cause::kTimeout:
      return "timeout";
    case Cause::kCancelled:
      return "cancelled";
    case Cause::kBadAnswer:
      return "bad answer";
  }
  CHECK(false, "no such cause: {}", static_cast<int>(cause));
  return {};
}

bool is_transient(const ApiError& error) {
  switch (error.cause) {
    case Cause::kConflict:
    case Cause::kGone:
    case Cause::kUnauthorized:
    case Cause::kTooManyRequests:
    case Cause::kUnavailable:
    case Cause::kTimeout:
    case Cause::kBadAnswer:
      return true;
    case Cause::kNotFound:
    case Cause::kAlreadyExists:
    case Cause::kInvalid:
    case Cause::kForbidden:
    case Cause::kCancelled:
      return false;
  }
  return false;
}

}  // namespace millrace::kube
