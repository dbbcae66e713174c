#include "tests/sim/history.h"

#include <algorithm>
#include <charconv>

namespace millrace::sim {
namespace {

// Far more than a run writes; protects from an offset that makes no sense.
constexpr std::int64_t kOffsetMax = 10'000'000;

std::string name_of(const PartitionKey& key) {
  return fmt::format("{}-{}", key.topic.text(), key.index);
}

/// What a value says of itself.
struct Parsed {
  std::string_view prefix;
  WriterId writer{};
  std::int64_t number = 0;
};

template <typename Number>
bool take_number(std::string_view& text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

std::optional<Parsed> parse(std::string_view value) {
  const std::size_t mark = value.find('#');
  if (mark == std::string_view::npos) return std::nullopt;
  Parsed parsed;
  parsed.prefix = value.substr(0, mark);
  value.remove_prefix(mark + 1);
  std::uint32_t writer = 0;
  if (!take_number(value, writer) || !value.starts_with('.')) return std::nullopt;
  value.remove_prefix(1);
  if (!take_number(value, parsed.number)) return std::nullopt;
  if (!value.empty() && value.front() != ' ') return std::nullopt;
  parsed.writer = WriterId{writer};
  return parsed;
}

}  // namespace

std::string History::prefix(const PartitionKey& partition) {
  return fmt::format("{}-{}", partition.topic.text().substr(0, 8), partition.index);
}

WriterId History::new_writer(Promise promise) {
  writers_.push_back({promise});
  return WriterId{static_cast<std::uint32_t>(writers_.size() - 1)};
}

WriteId History::begin(WriterId writer, const PartitionKey& partition, std::int32_t records) {
  const WriteId id{static_cast<std::uint32_t>(writes_.size())};
  Lane& lane = partitions_[partition].lanes[writer];
  Write write{.writer = writer, .partition = partition};
  write.first = static_cast<std::int64_t>(lane.copies.size());
  write.records = records;
  writes_.push_back(write);
  lane.copies.resize(lane.copies.size() + static_cast<std::size_t>(records));
  lane.writes.insert(lane.writes.end(), static_cast<std::size_t>(records), id);
  return id;
}

std::string History::value(WriteId write, std::int32_t index) const {
  const Write& batch = at(write);
  return fmt::format("{}#{}.{}", prefix(batch.partition), static_cast<std::uint32_t>(batch.writer),
                     batch.first + index);
}

void History::sent(WriteId write) {
  Write& batch = at(write);
  if (batch.attempts++ == 0) batch.floor = partitions_[batch.partition].acknowledged_end;
}

History::Slot& History::slot(Partition& partition, Offset offset) {
  const auto index = static_cast<std::size_t>(offset.value());
  if (index >= partition.slots.size()) partition.slots.resize(index + 1);
  return partition.slots[index];
}

// One offset has one record for ever, and one record of an idempotent producer one offset.
bool History::place(const PartitionKey& key, Partition& partition, Offset offset, WriterId writer,
                    std::int64_t number, std::string_view how) {
  if (offset < Offset{0} || offset.value() > kOffsetMax) {
    trace_.fail(fmt::format("{}: offset {} was {}", name_of(key), offset, how));
    return false;
  }
  Slot& at_offset = slot(partition, offset);
  const std::pair record{writer, number};
  if (at_offset.record && *at_offset.record != record) {
    trace_.fail(
        fmt::format("{}: offset {} was {} as record {}.{}, but before as record {}.{} ({}{})",
                    name_of(key), offset, how, static_cast<std::uint32_t>(writer), number,
                    static_cast<std::uint32_t>(at_offset.record->first), at_offset.record->second,
                    at_offset.acknowledged ? "acknowledged" : "", at_offset.read ? ", read" : ""));
    return false;
  }
  const bool news = !at_offset.record;
  at_offset.record = record;
  if (news) note_copy(key, partition.lanes[writer], writer, number, offset);
  return true;
}

void History::note_copy(const PartitionKey& key, Lane& lane, WriterId writer, std::int64_t number,
                        Offset offset) {
  auto& offsets = lane.copies[static_cast<std::size_t>(number)].offsets;
  offsets.push_back(offset);
  const Write& write = at(lane.writes[static_cast<std::size_t>(number)]);
  const bool once = writers_[static_cast<std::size_t>(writer)].promise == Promise::kExactlyOnce;
  const std::size_t copies_max = once ? 1 : write.attempts;
  if (offsets.size() <= copies_max) return;
  trace_.fail(fmt::format("{}: record {}.{} is at offsets {} and {}, sent {} times{}", name_of(key),
                          static_cast<std::uint32_t>(writer), number, offsets[offsets.size() - 2],
                          offset, write.attempts, once ? " by an idempotent producer" : ""));
}

void History::acknowledged(WriteId id, Offset base) {
  Write& write = at(id);
  Partition& partition = partitions_[write.partition];
  if (base < write.floor) {
    trace_.fail(
        fmt::format("{}: an append was acknowledged at {}, though {} was acknowledged "
                    "before it was sent",
                    name_of(write.partition), base, write.floor - 1));
  }
  if (write.base && *write.base != base) {
    trace_.fail(fmt::format("{}: one batch was acknowledged at {} and at {}",
                            name_of(write.partition), *write.base, base));
  }
  write.base = base;
  write.fate = Fate::kAcknowledged;
  for (std::int32_t i = 0; i < write.records; ++i) {
    if (!place(write.partition, partition, base + i, write.writer, write.first + i, "acknowledged"))
      return;
    slot(partition, base + i).acknowledged = true;
  }
  partition.acknowledged_end = std::max(partition.acknowledged_end, base + write.records);
  // What is acknowledged is committed: whoever asks from now on may read it.
  partition.high_watermark = std::max(partition.high_watermark, partition.acknowledged_end);
  acknowledged_ += static_cast<std::uint64_t>(write.records);
}

void History::acknowledged_before(WriteId id) {
  at(id).fate = Fate::kAcknowledged;
  acknowledged_ += static_cast<std::uint64_t>(at(id).records);
}

void History::refused(WriteId id) {
  Write& write = at(id);
  write.fate = Fate::kRefused;
  const Lane& lane = partitions_[write.partition].lanes[write.writer];
  for (std::int32_t i = 0; i < write.records; ++i) {
    const auto& offsets = lane.copies[static_cast<std::size_t>(write.first + i)].offsets;
    if (offsets.empty()) continue;
    trace_.fail(fmt::format("{}: record {}.{} was refused, but is at {}", name_of(write.partition),
                            static_cast<std::uint32_t>(write.writer), write.first + i,
                            offsets.front()));
  }
}

void History::producer_id_given(std::int64_t id, std::int16_t epoch) {
  if (producer_ids_.emplace(id, epoch).second) return;
  trace_.fail(fmt::format("producer id {} was given twice in epoch {}", id, epoch));
}

void History::read(const PartitionKey& key, Offset offset, std::string_view value) {
  ++read_;
  const auto parsed = parse(value);
  if (!parsed) {
    trace_.fail(fmt::format("{}: offset {} holds what nobody wrote: \"{}\"", name_of(key), offset,
                            value.substr(0, 60)));
    return;
  }
  if (parsed->prefix != prefix(key)) {
    trace_.fail(fmt::format("{}: offset {} holds a record of another partition: \"{}\"",
                            name_of(key), offset, value.substr(0, 60)));
    return;
  }
  Partition& partition = partitions_[key];
  const auto lane = partition.lanes.find(parsed->writer);
  if (lane == partition.lanes.end() || parsed->number < 0 ||
      parsed->number >= static_cast<std::int64_t>(lane->second.writes.size())) {
    trace_.fail(fmt::format("{}: offset {} holds a record that was never made: \"{}\"",
                            name_of(key), offset, value.substr(0, 60)));
    return;
  }
  const Write& write = at(lane->second.writes[static_cast<std::size_t>(parsed->number)]);
  if (write.fate == Fate::kRefused || write.attempts == 0) {
    trace_.fail(fmt::format("{}: offset {} holds record {}.{}, which was {}", name_of(key), offset,
                            static_cast<std::uint32_t>(parsed->writer), parsed->number,
                            write.attempts == 0 ? "not sent" : "refused"));
    return;
  }
  if (place(key, partition, offset, parsed->writer, parsed->number, "read"))
    slot(partition, offset).read = true;
}

Offset History::high_watermark_seen(const PartitionKey& partition) {
  return partitions_[partition].high_watermark;
}

void History::saw_high_watermark(const PartitionKey& key, Offset seen_before, Offset now) {
  if (now < seen_before) {
    trace_.fail(
        fmt::format("{}: the high watermark was {}, and later {}", name_of(key), seen_before, now));
  }
  Offset& highest = partitions_[key].high_watermark;
  highest = std::max(highest, now);
}

void History::trim_asked(const PartitionKey& key, Offset offset) {
  Partition& partition = partitions_[key];
  partition.trim_asked = std::max(partition.trim_asked, offset);
}

void History::trimmed(const PartitionKey& key, Offset low_watermark) {
  Partition& partition = partitions_[key];
  partition.trimmed = std::max(partition.trimmed, low_watermark);
  saw_log_start(key, low_watermark);
}

void History::saw_log_start(const PartitionKey& key, Offset start) {
  const Partition& partition = partitions_[key];
  if (start > partition.trim_asked) {
    trace_.fail(fmt::format("{}: the log begins at {}, though nobody asked to drop more than {}",
                            name_of(key), start, partition.trim_asked));
  }
}

void History::deletion_asked(const model::TopicId& topic) {
  deleted_.insert(topic);
}

std::vector<PartitionKey> History::partitions() const {
  std::vector<PartitionKey> keys;
  for (const auto& [key, partition] : partitions_) {
    if (!deleted_.contains(key.topic) && !partition.lanes.empty()) keys.push_back(key);
  }
  return keys;
}

void History::check_whole(const PartitionKey& key, Offset start, Offset end,
                          const std::vector<ReadRecord>& records) {
  Partition& partition = partitions_[key];
  saw_log_start(key, start);
  if (start < partition.trimmed && leaders_ == Leaders::kOne) {
    trace_.fail(fmt::format("{}: the log begins at {} again, after it was cut at {}", name_of(key),
                            start, partition.trimmed));
  }
  Offset next = start;
  for (const ReadRecord& record : records) {
    if (record.offset != next) {
      trace_.fail(fmt::format("{}: offset {} is missing", name_of(key), next));
      return;
    }
    read(key, record.offset, record.value);
    next = record.offset + 1;
  }
  if (next != end)
    trace_.fail(fmt::format("{}: the log ends at {}, not at {}", name_of(key), next, end));
  for (auto i = static_cast<std::size_t>(end.value()); i < partition.slots.size(); ++i) {
    const Slot& lost = partition.slots[i];
    if (!lost.record) continue;
    trace_.fail(fmt::format("{}: record {}.{} was {} at {}, and the log ends at {}", name_of(key),
                            static_cast<std::uint32_t>(lost.record->first), lost.record->second,
                            lost.acknowledged ? "acknowledged" : "read", i, end));
    return;
  }
  check_order(key, partition, start);
}

// Records of an idempotent producer follow each other without a gap, from the first on where
// nothing was cut off.
void History::check_order(const PartitionKey& key, const Partition& partition, Offset start) {
  std::map<WriterId, std::int64_t> next;
  for (auto i = static_cast<std::size_t>(start.value()); i < partition.slots.size(); ++i) {
    if (!partition.slots[i].record) continue;
    const auto [writer, number] = *partition.slots[i].record;
    if (writers_[static_cast<std::size_t>(writer)].promise != Promise::kExactlyOnce) continue;
    const auto [place, first] = next.emplace(writer, start > Offset{0} ? number : 0);
    if (place->second != number) {
      trace_.fail(fmt::format("{}: at {} stands record {}.{}, and {}.{} should", name_of(key), i,
                              static_cast<std::uint32_t>(writer), number,
                              static_cast<std::uint32_t>(writer), place->second));
      return;
    }
    place->second = number + 1;
  }
}

}  // namespace millrace::sim
