// FieldWriter out;   out.number(term); out.text(name);   ...   FieldReader in(body);
// term = in.number();
//
// The fields of a frame's body: numbers of variable length, texts and byte strings.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "broker/env/transport.h"
#include "broker/model/ids.h"
#include "common/bytes.h"
#include "common/endian.h"
#include "common/varint.h"

namespace millrace::cluster {

/// Appends fields to a buffer that is used again and again.
class FieldWriter {
 public:
  void byte(std::uint8_t value) { bytes_.push_back(value); }
  void fixed64(std::uint64_t value) {
    const std::size_t at = grow(sizeof(value));
    common::store_little(bytes_.data() + at, value);
  }
  /// At least 0.
  void count(std::uint64_t value) {
    const std::size_t at = grow(common::varint_size(value));
    common::write_varint(bytes_.data() + at, value);
  }
  /// Of any sign; small ones are short.
  void number(std::int64_t value) { count(common::zigzag(value)); }
  void raw(common::ByteView bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void text(std::string_view text) {
    count(text.size());
    raw(common::as_bytes(text));
  }
  void uuid(const common::Uuid& uuid) { raw(uuid.bytes); }
  void endpoint(const env::Endpoint& endpoint) {
    text(endpoint.host);
    count(endpoint.port);
  }

  std::size_t size() const { return bytes_.size(); }
  common::ByteView view() const { return bytes_; }
  std::uint8_t* data() { return bytes_.data(); }
  void clear() { bytes_.clear(); }
  /// Makes room for fields that are filled in later.
  std::size_t grow(std::size_t size) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + size);
    return at;
  }
  /// Takes back what was written behind this size.
  void cut(std::size_t size) { bytes_.resize(size); }

 private:
  std::vector<std::uint8_t> bytes_;
};

/// Reads them back. After the first field that is not there, or out of its range, every field is
/// zero or empty and failed() is true: callers check once. A count of fields to come is never
/// believed beyond the bytes that are left.
class FieldReader {
 public:
  explicit FieldReader(common::ByteView bytes) : bytes_(bytes) {}

  std::uint8_t byte() {
    const common::ByteView one = raw(1);
    return one.empty() ? 0 : one[0];
  }
  std::uint64_t fixed64() {
    const common::ByteView bytes = raw(8);
    return bytes.empty() ? 0 : common::load_little<std::uint64_t>(bytes.data());
  }
  std::uint64_t count(std::uint64_t max = std::numeric_limits<std::uint64_t>::max()) {
    const auto value = common::read_varint(bytes_);
    if (!value.has_value() || *value > max) return fail();
    return *value;
  }
  /// How many things follow, each of which takes at least `bytes_min` bytes.
  std::size_t length(std::size_t max, std::size_t bytes_min = 1) {
    const std::uint64_t value = count(max);
    return value * bytes_min > bytes_.size() ? fail() : value;
  }
  template <std::signed_integral T>
  T number() {
    const std::int64_t value = common::unzigzag(count());
    return std::in_range<T>(value) ? static_cast<T>(value) : static_cast<T>(fail());
  }
  common::ByteView raw(std::size_t size) {
    if (size > bytes_.size()) {
      fail();
      return {};
    }
    const common::ByteView front = bytes_.first(size);
    bytes_ = bytes_.subspan(size);
    return front;
  }
  std::string text(std::size_t bytes_max) {
    return std::string(common::as_text(raw(length(bytes_max))));
  }
  common::Uuid uuid() {
    common::Uuid uuid;
    const common::ByteView bytes = raw(uuid.bytes.size());
    if (!bytes.empty()) std::copy(bytes.begin(), bytes.end(), uuid.bytes.begin());
    return uuid;
  }
  model::BrokerId broker() { return model::BrokerId{number<std::int32_t>()}; }
  model::Term term() { return model::Term{number<std::int32_t>()}; }
  model::Offset offset() { return model::Offset{number<std::int64_t>()}; }
  env::Endpoint endpoint() {
    env::Endpoint endpoint;
    endpoint.host = text(kHostBytesMax);
    endpoint.port = static_cast<std::uint16_t>(count(0xffff));
    return endpoint;
  }

  bool failed() const { return failed_; }
  std::size_t left() const { return bytes_.size(); }
  /// Everything was read, and nothing was missing.
  bool done() const { return !failed_ && bytes_.empty(); }

  static constexpr std::size_t kHostBytesMax = 255;

 private:
  std::uint64_t fail() {
    failed_ = true;
    bytes_ = {};
    return 0;
  }
  common::ByteView bytes_;
  bool failed_ = false;
};

}  // namespace millrace::cluster
