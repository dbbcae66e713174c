#include "broker/model/producer_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/crc32c.h"
#include "common/endian.h"

namespace millrace::model {
namespace {

using common::ByteView;
using common::Timestamp;

// The serialised form, little endian (docs/formats/producers.md): magic, version, count, the
// producers, CRC-32C.
constexpr std::uint32_t kMagic = 0x31505250;  // "PRP1"
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kPrefixBytes = 12;
constexpr std::size_t kProducerBytes = 8 + 2 + 8 + 1;
constexpr std::size_t kBatchBytes = 4 + 4 + 8 + 8 + 8;
constexpr std::size_t kChecksumBytes = 4;

bool follows(std::int32_t last, std::int32_t next) {
  return next == std::int64_t{last} + 1 || (next == 0 && last == INT32_MAX);
}

class Writer {
 public:
  explicit Writer(std::size_t size) : bytes_(common::Bytes::allocate(size)) {}
  template <std::integral T>
  void put(T value) {
    common::store_little(bytes_.mutable_data() + used_, value);
    used_ += sizeof(T);
  }
  ByteView written() const { return bytes_.view().first(used_); }
  common::Bytes take() {
    CHECK(used_ == bytes_.size());
    return std::move(bytes_);
  }

 private:
  common::Bytes bytes_;
  std::size_t used_ = 0;
};

/// Reads integers off the front; the caller has checked that they are there.
class Reader {
 public:
  explicit Reader(ByteView bytes) : bytes_(bytes) {}
  std::size_t left() const { return bytes_.size(); }
  template <std::integral T>
  T get() {
    CHECK(bytes_.size() >= sizeof(T));
    const T value = common::load_little<T>(bytes_.data());
    bytes_ = bytes_.subspan(sizeof(T));
    return value;
  }

 private:
  ByteView bytes_;
};

Error damaged(std::string_view why) {
  return Error{ErrorCode::kCorruptLog, fmt::format("a snapshot of producers is damaged: {}", why)};
}

std::optional<ProducerEntry> read_entry(Reader& reader) {
  if (reader.left() < kProducerBytes) return std::nullopt;
  ProducerEntry entry;
  entry.producer_id = ProducerId{reader.get<std::int64_t>()};
  entry.epoch = reader.get<std::int16_t>();
  entry.last_seen = Timestamp{reader.get<std::int64_t>()};
  entry.batch_count = reader.get<std::uint8_t>();
  if (entry.batch_count > kProducedBatchesKept || reader.left() < entry.batch_count * kBatchBytes)
    return std::nullopt;
  for (std::size_t i = 0; i < entry.batch_count; ++i) {
    ProducedBatch& batch = entry.batches[i];
    batch.first_sequence = reader.get<std::int32_t>();
    batch.last_sequence = reader.get<std::int32_t>();
    batch.base_offset = Offset{reader.get<std::int64_t>()};
    batch.last_offset = Offset{reader.get<std::int64_t>()};
    batch.timestamp = Timestamp{reader.get<std::int64_t>()};
  }
  return entry;
}

ProducerVerdict refused(ErrorCode code, std::string detail) {
  return ProducerVerdict{.action = ProducerVerdict::Action::kRefuse,
                         .original = {},
                         .error = Error{code, std::move(detail)}};
}

}  // namespace

ProducerVerdict ProducerTable::check(const BatchView& batch, std::string_view partition) const {
  if (batch.producer_id().value() < 0) return {};
  const ProducerEntry* const entry = find(batch.producer_id());
  if (entry == nullptr) return {};
  const std::int32_t first = batch.base_sequence();
  if (batch.producer_epoch() < entry->epoch) {
    return refused(
        ErrorCode::kInvalidProducerEpoch,
        fmt::format(
            "Epoch of producer {} in {} is {}, which is smaller than the last seen epoch {}",
            batch.producer_id(), partition, batch.producer_epoch(), entry->epoch));
  }
  if (batch.producer_epoch() > entry->epoch) {
    if (first == 0) return {};
    return refused(
        ErrorCode::kOutOfOrderSequenceNumber,
        fmt::format("Invalid sequence number for new epoch of producer {} in {}: {} (request "
                    "epoch), {} (seq. "
                    "number), {} (current producer epoch)",
                    batch.producer_id(), partition, batch.producer_epoch(), first, entry->epoch));
  }
  for (std::size_t i = 0; i < entry->batch_count; ++i) {
    const ProducedBatch& known = entry->batches[i];
    if (known.first_sequence == first && known.last_sequence == batch.last_sequence()) {
      return ProducerVerdict{
          .action = ProducerVerdict::Action::kDuplicate, .original = known, .error = std::nullopt};
    }
  }
  if (follows(entry->last_sequence(), first)) return {};
  return refused(ErrorCode::kOutOfOrderSequenceNumber,
                 fmt::format("Out of order sequence number for producer {} in {}: {} (incoming "
                             "seq. number), {} (current "
                             "end sequence number)",
                             batch.producer_id(), partition, first, entry->last_sequence()));
}

void ProducerTable::apply(const BatchView& batch, Timestamp now) {
  if (batch.producer_id().value() < 0) return;
  if (producers_.size() >= kProducersPerPartitionMax && !producers_.contains(batch.producer_id())) {
    // Some at once, so that a flood of new producers does not pay a pass over all of them each
    // time.
    forget_idlest(kProducersPerPartitionMax / 16);
  }
  ProducerEntry& entry = producers_[batch.producer_id()];
  entry.producer_id = batch.producer_id();
  entry.last_seen = std::max(entry.last_seen, now);
  if (entry.epoch != batch.producer_epoch()) {
    entry.epoch = batch.producer_epoch();
    entry.batch_count = 0;
    entry.batches = {};
  }
  if (batch.control()) return;  // a transaction marker carries no sequence
  if (entry.batch_count == kProducedBatchesKept) {
    std::move(entry.batches.begin() + 1, entry.batches.end(), entry.batches.begin());
    --entry.batch_count;
  }
  entry.batches[entry.batch_count++] = ProducedBatch{.first_sequence = batch.base_sequence(),
                                                     .last_sequence = batch.last_sequence(),
                                                     .base_offset = batch.base_offset(),
                                                     .last_offset = batch.last_offset(),
                                                     .timestamp = batch.max_timestamp()};
}

void ProducerTable::expire(Timestamp now, std::int64_t idle_ms) {
  std::erase_if(producers_, [&](const auto& item) {
    // In unsigned numbers, because snapshots may hold any time.
    return item.second.last_seen < now &&
           static_cast<std::uint64_t>(now.value()) -
                   static_cast<std::uint64_t>(item.second.last_seen.value()) >=
               static_cast<std::uint64_t>(idle_ms);
  });
}

bool ProducerTable::reaches(Offset end) const {
  return std::any_of(producers_.begin(), producers_.end(), [&](const auto& item) {
    const ProducedBatch* const newest = item.second.newest();
    return newest != nullptr && newest->last_offset >= end;
  });
}

void ProducerTable::cut(Offset end) {
  for (auto item = producers_.begin(); item != producers_.end();) {
    ProducerEntry& entry = item->second;
    const std::uint8_t known = entry.batch_count;
    while (entry.batch_count > 0 && entry.newest()->last_offset >= end)
      entry.batches[--entry.batch_count] = {};
    item = known > 0 && entry.batch_count == 0 ? producers_.erase(item) : std::next(item);
  }
}

void ProducerTable::clear() {
  producers_.clear();
}

const ProducerEntry* ProducerTable::find(ProducerId id) const {
  const auto found = producers_.find(id);
  return found == producers_.end() ? nullptr : &found->second;
}

std::vector<ProducerEntry> ProducerTable::entries() const {
  std::vector<ProducerEntry> all;
  all.reserve(producers_.size());
  for (const auto& [id, entry] : producers_) all.push_back(entry);
  std::sort(all.begin(), all.end(), [](const ProducerEntry& a, const ProducerEntry& b) {
    return a.producer_id < b.producer_id;
  });
  return all;
}

std::vector<ProducerView> ProducerTable::views() const {
  std::vector<ProducerView> views;
  for (const ProducerEntry& entry : entries()) {
    const ProducedBatch* const newest = entry.newest();
    views.push_back({.producer_id = entry.producer_id,
                     .epoch = entry.epoch,
                     .last_sequence = entry.last_sequence(),
                     .last_timestamp = newest == nullptr ? Timestamp{-1} : newest->timestamp});
  }
  return views;
}

void ProducerTable::forget_idlest(std::size_t count) {
  std::vector<std::pair<Timestamp, ProducerId>> order;
  order.reserve(producers_.size());
  for (const auto& [id, entry] : producers_) order.emplace_back(entry.last_seen, id);
  count = std::min(count, order.size());
  // Ties are broken by id, so that every replica forgets the same ones.
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end());
  for (std::size_t i = 0; i < count; ++i) producers_.erase(order[i].second);
}

common::Bytes ProducerTable::serialise() const {
  const std::vector<ProducerEntry> all = entries();
  std::size_t size = kPrefixBytes + kChecksumBytes;
  for (const ProducerEntry& entry : all) size += kProducerBytes + entry.batch_count * kBatchBytes;
  Writer writer(size);
  writer.put(kMagic);
  writer.put(kVersion);
  writer.put(static_cast<std::uint32_t>(all.size()));
  for (const ProducerEntry& entry : all) {
    writer.put(entry.producer_id.value());
    writer.put(entry.epoch);
    writer.put(entry.last_seen.value());
    writer.put(entry.batch_count);
    for (std::size_t i = 0; i < entry.batch_count; ++i) {
      const ProducedBatch& batch = entry.batches[i];
      writer.put(batch.first_sequence);
      writer.put(batch.last_sequence);
      writer.put(batch.base_offset.value());
      writer.put(batch.last_offset.value());
      writer.put(batch.timestamp.value());
    }
  }
  writer.put(common::crc32c(writer.written()));
  return writer.take();
}

Result<void> ProducerTable::restore(common::ByteView bytes) {
  if (bytes.size() < kPrefixBytes + kChecksumBytes) return damaged("it is too short");
  const ByteView body = bytes.first(bytes.size() - kChecksumBytes);
  if (common::crc32c(body) != common::load_little<std::uint32_t>(bytes.data() + body.size())) {
    return damaged("the checksum does not match");
  }
  Reader reader(body);
  if (reader.get<std::uint32_t>() != kMagic) return damaged("it is something else");
  if (const auto version = reader.get<std::uint32_t>(); version != kVersion) {
    return damaged(fmt::format("its version {} is not known", version));
  }
  const auto count = reader.get<std::uint32_t>();
  if (count > kProducersPerPartitionMax) return damaged("it holds too many producers");
  std::unordered_map<ProducerId, ProducerEntry> restored;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto entry = read_entry(reader);
    if (!entry) return damaged("it ends early");
    if (!restored.emplace(entry->producer_id, *entry).second)
      return damaged("a producer is in it twice");
  }
  if (reader.left() != 0) return damaged("bytes follow its end");
  producers_ = std::move(restored);
  return common::ok();
}

}  // namespace millrace::model
