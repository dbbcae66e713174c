#include "broker/wire/header.h"

#include <algorithm>

namespace millrace::wire {
namespace {

const ApiVersionRow& row_of(ApiKey key) {
  const ApiVersionRow* row = find_api(static_cast<std::int16_t>(key));
  CHECK(row != nullptr, "api key {}", static_cast<int>(key));
  return *row;
}

}  // namespace

const ApiVersionRow* find_api(std::int16_t key) {
  const auto row = std::lower_bound(
      kApis.begin(), kApis.end(), key,
      [](const ApiVersionRow& a, std::int16_t b) { return static_cast<std::int16_t>(a.key) < b; });
  return row != kApis.end() && static_cast<std::int16_t>(row->key) == key ? &*row : nullptr;
}

bool is_served(const RequestHeader& header) {
  const ApiVersionRow* row = find_api(header.request_api_key);
  return row != nullptr && header.request_api_version >= row->version_min &&
         header.request_api_version <= row->version_max;
}

common::Result<RequestHeader> read_request_header(Reader& in) {
  Reader ahead = in;
  RequestHeader header;
  header.request_api_key = ahead.i16("RequestHeader.request_api_key");
  header.request_api_version = ahead.i16("RequestHeader.request_api_version");
  header.correlation_id = ahead.i32("RequestHeader.correlation_id");
  if (!ahead.good()) return ahead.error();
  if (!is_served(header)) {
    in = std::move(ahead);
    return header;
  }
  const auto key = static_cast<ApiKey>(header.request_api_key);
  return RequestHeader::decode(in, request_header_version(key, header.request_api_version));
}

std::int16_t request_header_version(ApiKey key, std::int16_t version) {
  return version >= row_of(key).flexible_min ? 2 : 1;
}

std::int16_t response_header_version(ApiKey key, std::int16_t version) {
  // A client that asks with a version we do not know must be able to read our answer's header.
  if (key == ApiKey::kApiVersions) return 0;
  return version >= row_of(key).flexible_min ? 1 : 0;
}

FrameWriter FrameWriter::request(const RequestHeader& header) {
  CHECK(is_served(header));
  FrameWriter frame;
  const auto key = static_cast<ApiKey>(header.request_api_key);
  header.encode(frame.out_, request_header_version(key, header.request_api_version));
  return frame;
}

FrameWriter FrameWriter::response(ApiKey key, std::int16_t version, std::int32_t correlation_id) {
  FrameWriter frame;
  ResponseHeader header;
  header.correlation_id = correlation_id;
  header.encode(frame.out_, response_header_version(key, version));
  return frame;
}

Chunks FrameWriter::finish() {
  const std::size_t size = out_.size() - sizeof(std::int32_t);
  CHECK(size <= 0x7fffffff, "a frame of {} bytes", size);
  out_.fill_i32(length_, static_cast<std::int32_t>(size));
  return out_.take();
}

}  // namespace millrace::wire
