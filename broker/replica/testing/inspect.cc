#include "broker/replica/testing/inspect.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/model/record.h"
#include "common/check.h"

namespace millrace::replica::testing {
namespace {

constexpr common::Timestamp kTime{1'700'000'000'000};

}  // namespace

Bytes batch(const Sent& sent) {
  model::BatchOptions options;
  if (sent.producer != model::kNoProducerId) {
    options.producer_id = sent.producer;
    options.producer_epoch = 0;
    options.base_sequence = sent.sequence;
  }
  model::BatchBuilder builder(options);
  for (std::int32_t i = 0; i < sent.count; ++i) {
    std::string value = i == 0 ? sent.text : std::string();
    value.append(sent.padding, '.');
    model::NewRecord record{.timestamp = kTime + i, .value = common::as_bytes(value)};
    if (sent.key.has_value()) record.key = common::as_bytes(*sent.key);
    builder.append(record);
  }
  return builder.build();
}

std::string text_of(const Bytes& bytes) {
  const auto view = model::BatchView::parse(bytes);
  CHECK(view.ok());
  if (view->record_count() == 0) return {};
  model::RecordReader reader(view->payload(), view->record_count());
  const auto record = reader.next();
  CHECK(record.ok() && record->has_value());
  std::string text(common::as_text(*(*record)->value));
  return text.substr(0, text.find('.'));
}

std::vector<std::string> lines_of(const std::vector<Bytes>& batches) {
  std::vector<std::string> lines;
  for (const Bytes& bytes : batches) {
    const auto view = model::BatchView::parse(bytes);
    CHECK(view.ok());
    lines.push_back(
        fmt::format("{}: {} of {}", view->base_offset(), text_of(bytes), view->leader_epoch()));
  }
  return lines;
}

std::vector<model::ProducerEntry> replayed(const std::vector<Bytes>& batches) {
  model::ProducerTable table;
  for (const Bytes& bytes : batches) {
    const auto view = model::BatchView::parse(bytes);
    CHECK(view.ok());
    table.apply(*view, common::Timestamp{0});
  }
  return without_times(table.entries());
}

std::string text_of(const std::vector<model::ProducerEntry>& entries) {
  std::string text;
  for (const model::ProducerEntry& entry : entries) {
    text += fmt::format("{}{}:", text.empty() ? "" : " ", entry.producer_id);
    for (std::size_t i = 0; i < entry.batch_count; ++i)
      text += fmt::format("{}{}", i == 0 ? "" : ",", entry.batches[i].base_offset);
  }
  return text;
}

std::vector<model::ProducerEntry> without_times(std::vector<model::ProducerEntry> entries) {
  for (model::ProducerEntry& entry : entries) entry.last_seen = common::Timestamp{0};
  return entries;
}

std::optional<std::string> producers_fault(const std::vector<model::ProducerEntry>& known_ones,
                                           const std::vector<Bytes>& batches, model::Offset start) {
  const auto table = without_times(known_ones);
  const auto told = replayed(batches);
  for (const model::ProducerEntry& entry : told) {
    const auto known =
        std::ranges::find(table, entry.producer_id, &model::ProducerEntry::producer_id);
    if (known == table.end() || known->epoch != entry.epoch ||
        known->batch_count < entry.batch_count)
      return fmt::format("does not know producer {} as its log does", entry.producer_id);
    const std::size_t older = known->batch_count - std::size_t{entry.batch_count};
    if (!std::equal(entry.batches.begin(), entry.batches.begin() + entry.batch_count,
                    known->batches.begin() + static_cast<std::ptrdiff_t>(older)) ||
        (older > 0 && start == model::Offset{0}))
      return fmt::format("knows other batches of producer {} than its log", entry.producer_id);
  }
  for (const model::ProducerEntry& known : table) {
    const bool behind_start = known.newest() != nullptr && known.newest()->last_offset >= start;
    if (behind_start && std::ranges::find(told, known.producer_id,
                                          &model::ProducerEntry::producer_id) == told.end())
      return fmt::format("knows producer {}, and its log does not", known.producer_id);
  }
  return std::nullopt;
}

}  // namespace millrace::replica::testing
