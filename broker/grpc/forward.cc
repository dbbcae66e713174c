#include "broker/grpc/forward.h"

#include <algorithm>

#include "common/check.h"

namespace millrace::grpc {
namespace {

constexpr std::size_t kNameBytesMax = 64;

common::Error unreadable() {
  return {model::ErrorCode::kCorruptMessage, "Another broker sent something that cannot be read"};
}

}  // namespace

common::Bytes to_body(std::string_view name, const google::protobuf::MessageLite& request) {
  CHECK(name.size() <= kNameBytesMax);
  const std::size_t size = request.ByteSizeLong();
  common::Bytes body = common::Bytes::allocate(1 + name.size() + size);
  std::uint8_t* out = body.mutable_data();
  *out++ = static_cast<std::uint8_t>(name.size());
  out = std::copy(name.begin(), name.end(), out);
  CHECK(request.SerializeToArray(out, static_cast<int>(size)));
  return body;
}

common::Result<NamedRequest> parse_body(common::ByteView body) {
  if (body.empty() || body[0] > kNameBytesMax || body.size() < 1U + body[0]) return unreadable();
  return NamedRequest{.name = common::as_text(body.subspan(1, body[0])),
                      .request = body.subspan(1U + body[0])};
}

common::Bytes to_bytes(const google::protobuf::MessageLite& message) {
  const std::size_t size = message.ByteSizeLong();
  common::Bytes bytes = common::Bytes::allocate(size);
  CHECK(message.SerializeToArray(bytes.mutable_data(), static_cast<int>(size)));
  return bytes;
}

common::Result<void> parse_into(google::protobuf::MessageLite& message, common::ByteView bytes) {
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return unreadable();
  return common::ok();
}

}  // namespace millrace::grpc
