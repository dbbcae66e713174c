// Any bytes as a record of __consumer_offsets give an error, nothing, or a record that our own
// encoding keeps: a second way through bytes changes nothing. The first byte says how long the key
// is and whether there is a value.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "broker/coordinator/records.h"
#include "common/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  if (size < 1) return 0;
  const common::ByteView rest{data + 1, size - 1};
  const common::ByteView key = rest.first(std::min<std::size_t>(data[0] & 127, rest.size()));
  std::optional<common::ByteView> value;
  if ((data[0] & 128) == 0) value = rest.subspan(key.size());
  const auto record = coordinator::decode(key, value);
  if (!record.ok()) {
    CHECK(!record.error().detail.empty());
    return 0;
  }
  if (!record->has_value()) return 0;
  const coordinator::EncodedRecords stored({&**record, 1});
  CHECK(stored.value(0).has_value() == value.has_value(), "a tombstone came or went");
  const auto again = coordinator::decode(stored.key(0), stored.value(0));
  CHECK(again.ok() && again->has_value(), "our own bytes are refused");
  const coordinator::EncodedRecords twice({&**again, 1});
  CHECK(std::ranges::equal(twice.key(0), stored.key(0)), "the second way changed the key");
  CHECK(!value || std::ranges::equal(*twice.value(0), *stored.value(0)),
        "the second way changed the value");
  const std::vector<coordinator::Record> records{**record};
  CHECK(!coordinator::to_batch(records, common::Timestamp{1}).empty());
  return 0;
}
