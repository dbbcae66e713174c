// ByteWriter out;   out.u32(number); out.text(name);   ...   ByteReader in(bytes);   number =
// in.u32();
//
// Little-endian fields one after the other, as our own files hold them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "broker/model/ids.h"
#include "common/bytes.h"
#include "common/endian.h"

namespace millrace::storage {

/// Appends fields to a growing buffer.
class ByteWriter {
 public:
  template <std::integral T>
  void put(T value) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + sizeof(T));
    common::store_little(bytes_.data() + at, value);
  }
  void raw(common::ByteView bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  /// Length (u32) and bytes.
  void sized(common::ByteView bytes) {
    put(static_cast<std::uint32_t>(bytes.size()));
    raw(bytes);
  }
  void text(std::string_view text) { sized(common::as_bytes(text)); }
  void key(const model::PartitionKey& key) {
    raw(key.topic.bytes);
    put(key.index.value());
  }
  std::size_t size() const { return bytes_.size(); }
  /// Overwrites a field written before.
  template <std::integral T>
  void set(std::size_t at, T value) {
    CHECK(at + sizeof(T) <= bytes_.size());
    common::store_little(bytes_.data() + at, value);
  }
  common::ByteView view() const { return bytes_; }

 private:
  std::vector<std::uint8_t> bytes_;
};

/// Reads fields back. Once the bytes have run out every field is zero and failed() is true: callers
/// check once.
class ByteReader {
 public:
  explicit ByteReader(common::ByteView bytes) : bytes_(bytes) {}
  template <std::integral T>
  T get() {
    if (!need(sizeof(T))) return 0;
    const T value = common::load_little<T>(bytes_.data());
    bytes_ = bytes_.subspan(sizeof(T));
    return value;
  }
  common::ByteView raw(std::size_t size) {
    if (!need(size)) return {};
    const common::ByteView front = bytes_.first(size);
    bytes_ = bytes_.subspan(size);
    return front;
  }
  common::ByteView sized() { return raw(get<std::uint32_t>()); }
  std::string text() { return std::string(common::as_text(sized())); }
  model::PartitionKey key() {
    model::PartitionKey key;
    const common::ByteView id = raw(key.topic.bytes.size());
    if (!id.empty()) std::copy(id.begin(), id.end(), key.topic.bytes.begin());
    key.index = model::PartitionIndex{get<std::int32_t>()};
    return key;
  }
  bool failed() const { return failed_; }
  std::size_t left() const { return bytes_.size(); }

 private:
  bool need(std::size_t size) {
    if (size <= bytes_.size()) return true;
    failed_ = true;
    bytes_ = {};
    return false;
  }
  common::ByteView bytes_;
  bool failed_ = false;
};

}  // namespace millrace::storage
