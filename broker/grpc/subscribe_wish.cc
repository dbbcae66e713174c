#include "broker/grpc/subscribe_wish.h"

#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <set>
#include <utility>

#include "broker/grpc/utf8.h"

namespace millrace::grpc {
namespace {

using common::Error;
using model::ErrorCode;

constexpr std::int64_t kCreditBytes = 8 << 20;
constexpr std::int32_t kResponseBytes = 1 << 20;
constexpr std::int32_t kResponseBytesMax = 32 << 20;
constexpr std::int32_t kProgressTimeoutMs = 300'000;
constexpr std::int32_t kProgressTimeoutMsMin = 1'000;
constexpr std::int32_t kProgressTimeoutMsMax = 1'800'000;

static_assert(static_cast<int>(Feed::Without::kLatest) == v1::WITHOUT_OFFSET_LATEST);
static_assert(static_cast<int>(Feed::Without::kEarliest) == v1::WITHOUT_OFFSET_EARLIEST);
static_assert(static_cast<int>(Feed::Without::kNone) == v1::WITHOUT_OFFSET_NONE);

std::optional<Error> a_text_too_long(const v1::Join& join) {
  const std::pair<std::string_view, std::string_view> texts[] = {
      {"group", join.group()},       {"instance_id", join.instance_id()},
      {"rack", join.rack()},         {"topic_regex", join.topic_regex()},
      {"assignor", join.assignor()}, {"client_id", join.client_id()}};
  for (const auto& [what, text] : texts) {
    if (auto error = too_long(what, text)) return error;
  }
  for (const std::string& topic : join.topics()) {
    if (auto error = too_long("a topic's name", topic)) return error;
  }
  return std::nullopt;
}

std::optional<std::string> given(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

}  // namespace

common::Result<SubscribeWish> read_wish(const v1::Join& join, std::string_view peer) {
  const auto refuse = [](std::string why) { return Error{ErrorCode::kInvalidRequest, why}; };
  if (join.group().empty()) return Error{ErrorCode::kInvalidGroupId, "group must not be empty"};
  if (const auto error = a_text_too_long(join)) return *error;
  if (join.topics().empty() && join.topic_regex().empty())
    return refuse("topics or topic_regex must say what to read");
  if (!v1::WithoutOffset_IsValid(join.without_offset())) return refuse("unknown without_offset");
  if (join.auto_commit_interval_ms() < 0)
    return refuse("auto_commit_interval_ms must not be negative");
  if (join.response_bytes_max() < 0 || join.response_bytes_max() > kResponseBytesMax)
    return refuse(fmt::format("response_bytes_max is between 0 and {}", kResponseBytesMax));
  const std::int32_t progress_ms =
      join.progress_timeout_ms() == 0 ? kProgressTimeoutMs : join.progress_timeout_ms();
  if (progress_ms < kProgressTimeoutMsMin || progress_ms > kProgressTimeoutMsMax) {
    return refuse(fmt::format("progress_timeout_ms is between {} and {}", kProgressTimeoutMsMin,
                              kProgressTimeoutMsMax));
  }
  SubscribeWish wish;
  wish.member.group = join.group();
  wish.member.instance = given(join.instance_id());
  wish.member.rack = given(join.rack());
  const std::set<std::string> topics(join.topics().begin(), join.topics().end());
  wish.member.topics.assign(topics.begin(), topics.end());
  wish.member.topic_regex = given(join.topic_regex());
  wish.member.assignor = given(join.assignor());
  wish.member.rebalance_timeout_ms = progress_ms;
  wish.member.client = {join.client_id().empty() ? "grpc" : join.client_id(), host_of_peer(peer)};
  wish.feed.bytes_max = static_cast<std::size_t>(
      join.response_bytes_max() == 0 ? kResponseBytes : join.response_bytes_max());
  wish.feed.without_offset = static_cast<Feed::Without>(join.without_offset());
  wish.credit = {join.credit_records(),
                 join.credit_bytes() == 0 ? kCreditBytes : join.credit_bytes()};
  wish.progress_timeout = std::chrono::milliseconds(progress_ms);
  wish.auto_commit_interval = std::chrono::milliseconds(join.auto_commit_interval_ms());
  return wish;
}

std::string host_of_peer(std::string_view peer) {
  const std::size_t scheme = peer.find(':');
  if (scheme == std::string_view::npos || !peer.starts_with("ipv")) return "/" + std::string(peer);
  std::string_view host = peer.substr(scheme + 1);
  host = host.substr(0, host.rfind(':'));
  // "%5B::1%5D": gRPC writes the brackets of IPv6 addresses in URL form.
  if (host.starts_with("%5B")) host.remove_prefix(3);
  if (host.ends_with("%5D")) host.remove_suffix(3);
  if (host.starts_with('[')) host.remove_prefix(1);
  if (host.ends_with(']')) host.remove_suffix(1);
  return "/" + std::string(host);
}

}  // namespace millrace::grpc
