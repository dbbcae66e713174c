#include "cli/log_dump.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "broker/model/compression.h"
#include "broker/model/record.h"
#include "cli/table.h"

namespace millrace::cli {
namespace {

using nlohmann::json;

// No log comes this far; what a batch adds to it does not overflow.
constexpr model::Offset kOffsetMax{std::int64_t{1} << 60};

std::string text_of(const std::optional<common::ByteView>& bytes) {
  return bytes ? std::string(common::as_text(*bytes)) : "(null)";
}

json json_of(const std::optional<common::ByteView>& bytes) {
  return bytes ? json(std::string(common::as_text(*bytes))) : json(nullptr);
}

std::string line_of(const model::BatchView& batch, std::size_t position, bool intact) {
  std::string line = fmt::format(
      "position={} offsets={}..{} records={} bytes={} codec={} time={}..{} epoch={} crc={}",
      position, batch.base_offset(), batch.last_offset(), batch.record_count(), batch.size(),
      model::compression_name(batch.compression()), human_time(batch.base_timestamp().value()),
      human_time(batch.max_timestamp().value()), batch.leader_epoch(), intact ? "ok" : "wrong");
  if (batch.producer_id() != model::kNoProducerId) {
    line += fmt::format(" producer={} producer_epoch={} sequences={}..{}", batch.producer_id(),
                        batch.producer_epoch(), batch.base_sequence(), batch.last_sequence());
  }
  if (batch.timestamp_type() == model::TimestampType::kLogAppendTime) line += " log_append_time";
  if (batch.transactional()) line += " transactional";
  if (batch.control()) line += " control";
  // Then the base timestamp is the time from which on compaction may remove tombstones.
  if (batch.has_delete_horizon())
    line += fmt::format(" delete_horizon={}", human_time(batch.base_timestamp().value()));
  return line;
}

json json_of(const model::BatchView& batch, std::size_t position, bool intact) {
  return {{"position", position},
          {"base_offset", batch.base_offset().value()},
          {"last_offset", batch.last_offset().value()},
          {"record_count", batch.record_count()},
          {"bytes", batch.size()},
          {"codec", model::compression_name(batch.compression())},
          {"base_timestamp_ms", batch.base_timestamp().value()},
          {"max_timestamp_ms", batch.max_timestamp().value()},
          {"log_append_time", batch.timestamp_type() == model::TimestampType::kLogAppendTime},
          {"leader_epoch", batch.leader_epoch().value()},
          {"producer_id", batch.producer_id().value()},
          {"producer_epoch", batch.producer_epoch()},
          {"base_sequence", batch.base_sequence()},
          {"transactional", batch.transactional()},
          {"control", batch.control()},
          {"delete_horizon_ms",
           batch.has_delete_horizon() ? json(batch.base_timestamp().value()) : json(nullptr)},
          {"crc_ok", intact}};
}

std::string line_of(const model::BatchView& batch, const model::RecordView& record) {
  std::string line = fmt::format("  offset={} time={} key={} value={}", record.offset(batch),
                                 human_time(record.timestamp(batch).value()), text_of(record.key),
                                 text_of(record.value));
  model::HeaderReader headers = record.headers;
  while (const auto header = headers.next())
    line += fmt::format(" header={}:{}", header->key, text_of(header->value));
  return line;
}

json json_of(const model::BatchView& batch, const model::RecordView& record) {
  json headers = json::array();
  model::HeaderReader reader = record.headers;
  while (const auto header = reader.next()) {
    headers.push_back({{"key", std::string(header->key)}, {"value", json_of(header->value)}});
  }
  return {{"offset", record.offset(batch).value()},
          {"timestamp_ms", record.timestamp(batch).value()},
          {"key", json_of(record.key)},
          {"value", json_of(record.value)},
          {"headers", std::move(headers)}};
}

/// Calls visit(record) for each; answers what is wrong with them, or an empty text.
template <typename Visit>
std::string walk_records(const model::BatchView& batch, std::size_t plain_bytes_max, Visit visit) {
  const auto plain = model::plain_records(batch, plain_bytes_max);
  if (!plain.ok()) return plain.error().detail;
  model::RecordReader reader(plain->records, batch.record_count());
  for (;;) {
    const auto record = reader.next();
    if (!record.ok()) return record.error().detail;
    if (!record->has_value()) return {};
    visit(**record);
  }
}

/// One batch in the asked form; answers what is wrong with its records.
std::string print_batch(const model::BatchView& batch, std::size_t position, bool intact,
                        const DumpOptions& options,
                        common::Function<void(std::string_view)>& print) {
  std::string wrong;
  if (options.json) {
    json row = json_of(batch, position, intact);
    if (options.records && intact) {
      json records = json::array();
      wrong = walk_records(batch, options.plain_bytes_max, [&](const model::RecordView& record) {
        records.push_back(json_of(batch, record));
      });
      row["records"] = std::move(records);
    }
    print(row.dump(-1, ' ', false, json::error_handler_t::replace));
    return wrong;
  }
  print(line_of(batch, position, intact));
  if (!options.records || !intact) return wrong;
  return walk_records(batch, options.plain_bytes_max,
                      [&](const model::RecordView& record) { print(line_of(batch, record)); });
}

}  // namespace

DumpSummary dump_segment(common::ByteView file, const DumpOptions& options,
                         common::Function<void(std::string_view)> print) {
  DumpSummary summary;
  const auto damaged = [&summary](std::size_t position, std::string_view why) {
    if (summary.damage.empty()) summary.damage = fmt::format("at position {}: {}", position, why);
  };
  std::size_t position = 0;
  while (position < file.size()) {
    const common::ByteView rest = file.subspan(position);
    const auto batch = model::BatchView::parse(rest);
    if (!batch.ok()) {
      const bool zeros =
          std::all_of(rest.begin(), rest.end(), [](std::uint8_t byte) { return byte == 0; });
      if (zeros) {
        summary.unwritten_bytes = rest.size();
      } else {
        damaged(position, batch.error().detail);
      }
      break;
    }
    if (batch->base_offset() < model::Offset{0} || batch->base_offset() > kOffsetMax) {
      damaged(position, fmt::format("no log has an offset {}", batch->base_offset()));
      break;
    }
    const bool intact = batch->crc_matches();
    if (!intact) damaged(position, "the checksum does not match");
    const std::string wrong = print_batch(*batch, position, intact, options, print);
    if (!wrong.empty()) damaged(position, wrong);
    ++summary.batches;
    summary.records += static_cast<std::uint64_t>(batch->record_count());
    position += batch->size();
  }
  return summary;
}

}  // namespace millrace::cli
