#include "broker/replica/testing/inspect.h"

#include <fmt/format.h>

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

}  // namespace millrace::replica::testing
