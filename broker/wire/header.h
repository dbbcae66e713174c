// TRY_ASSIGN(const RequestHeader header, read_request_header(in));
// if (!is_served(header)) ...
// Chunks answer = encode_response(response, header.request_api_version, header.correlation_id);
//
// Headers and frames of the Kafka protocol: which header form a request and its answer have, and
// the length before both.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "broker/wire/messages/apis.h"
#include "broker/wire/messages/request_header.h"
#include "broker/wire/messages/response_header.h"
#include "broker/wire/writer.h"
#include "common/result.h"

namespace millrace::wire {

/// The row of the version table for a number from the wire; nullptr when there is none.
const ApiVersionRow* find_api(std::int16_t key);

/// True when the header's API exists and its version is one that our decoders read.
bool is_served(const RequestHeader& header);

/// Reads the header of a request (the frame without its length). For an API or version that is not
/// served only key, version and correlation id are read: their header's form is unknown, and an
/// ApiVersions request of a future version must still be answered, with version 0 and error 35
/// (KIP-511). kInvalidRequest: the frame is cut off.
common::Result<RequestHeader> read_request_header(Reader& in);

/// The header versions of a served API and version.
std::int16_t request_header_version(ApiKey key, std::int16_t version);
std::int16_t response_header_version(ApiKey key, std::int16_t version);

/// A frame that begins with its length; `body` is appended after the header.
class FrameWriter {
 public:
  static FrameWriter request(const RequestHeader& header);
  static FrameWriter response(ApiKey key, std::int16_t version, std::int32_t correlation_id);
  Writer& body() { return out_; }
  /// The frame, its length filled in. Once. Requires it to be shorter than 2 GiB.
  Chunks finish();

 private:
  FrameWriter() : length_(out_.reserve_i32()) {}
  Writer out_;
  Writer::Mark length_;
};

/// The whole frame of an answer, length first.
template <typename Response>
Chunks encode_response(const Response& response, std::int16_t version,
                       std::int32_t correlation_id) {
  FrameWriter frame = FrameWriter::response(Response::kKey, version, correlation_id);
  response.encode(frame.body(), version);
  return frame.finish();
}

/// The whole frame of a request, length first. For our own clients and tests.
template <typename Request>
Chunks encode_request(const Request& request, std::int16_t version, std::int32_t correlation_id,
                      std::string client_id) {
  RequestHeader header;
  header.request_api_key = static_cast<std::int16_t>(Request::kKey);
  header.request_api_version = version;
  header.correlation_id = correlation_id;
  header.client_id = std::move(client_id);
  FrameWriter frame = FrameWriter::request(header);
  request.encode(frame.body(), version);
  return frame.finish();
}

}  // namespace millrace::wire
