#include "broker/storage/segment.h"

#include <fmt/format.h>

#include "common/crc32c.h"
#include "common/endian.h"

namespace millrace::storage {

std::uint32_t extend_checksum(std::uint32_t checksum, std::uint32_t batch_crc) {
  std::uint8_t bytes[4];
  common::store_little(bytes, batch_crc);
  return common::crc32c(bytes, checksum);
}

std::uint32_t extend_checksum(std::uint32_t checksum, model::Offset base) {
  std::uint8_t bytes[8];
  common::store_little(bytes, base.value());
  return common::crc32c(bytes, checksum);
}

std::string log_folder(const std::string& topic, const model::PartitionKey& key, LogNumber suffix) {
  const std::string plain = fmt::format("topics/{}.{}/{}", topic, key.topic, key.index);
  return suffix == LogNumber{0} ? plain : fmt::format("{}.{}", plain, suffix);
}

std::string segment_name(model::Offset base, std::uint32_t generation) {
  return generation == 0 ? fmt::format("{:020}.log", base.value())
                         : fmt::format("{:020}.{}.log", base.value(), generation);
}
std::string index_name(model::Offset base, std::uint32_t generation) {
  return generation == 0 ? fmt::format("{:020}.idx", base.value())
                         : fmt::format("{:020}.{}.idx", base.value(), generation);
}

}  // namespace millrace::storage
