// Any bytes as what a client sends for one partition: the rules refuse them or give a batch that
// keeps the rules. The first bytes choose the topic's settings; the checksum is made right, so that
// what lies behind it is reached.
#include <cstddef>
#include <cstdint>

#include "broker/model/batch_rules.h"
#include "broker/model/producer_state.h"
#include "common/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  if (size < 2) return 0;
  model::TopicSettings settings;
  settings.compact = (data[0] & 1) != 0;
  if ((data[0] & 2) != 0) settings.timestamp_type = model::TimestampType::kLogAppendTime;
  if ((data[0] & 4) != 0) settings.timestamp_before_ms_max = 1000;
  if ((data[0] & 8) != 0) settings.compression = static_cast<model::Compression>(data[1] % 5);
  common::Bytes bytes = common::Bytes::copy_of(common::ByteView{data + 2, size - 2});
  if (const auto batch = model::BatchView::parse(bytes); batch.ok() && (data[0] & 16) == 0) {
    const model::BatchHeader header = model::header_of(*batch);
    model::seal_batch(bytes.mutable_view().first(batch->size()), header);
  }
  const common::Timestamp now{1'700'000'000'000};
  const model::BatchVerdict verdict = model::accept_batch(
      bytes, {.settings = settings, .partition = "t-0", .now = now, .transactions = true});
  CHECK(verdict.accepted.has_value() != verdict.refused.has_value());
  if (!verdict.accepted) return 0;
  const model::BatchView batch = verdict.accepted->view();
  CHECK(batch.size() == verdict.accepted->bytes.size());
  CHECK(batch.crc_matches());
  CHECK(batch.record_count() == std::int64_t{batch.last_offset_delta()} + 1);
  CHECK(!batch.control());
  if (settings.compression) CHECK(batch.compression() == *settings.compression);
  // What was appended once is a duplicate the second time.
  model::ProducerTable table;
  CHECK(table.check(batch, "t-0").action == model::ProducerVerdict::Action::kAppend);
  table.apply(batch, now);
  if (batch.producer_id().value() >= 0) {
    CHECK(table.check(batch, "t-0").action == model::ProducerVerdict::Action::kDuplicate);
  }
  return 0;
}
