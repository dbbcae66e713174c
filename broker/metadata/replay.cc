#include "broker/metadata/replay.h"

#include <iterator>
#include <utility>

#include "common/check.h"

namespace millrace::metadata {

void Replay::begin(model::Offset start) {
  start_ = start;
  next_ = start;
  whole_ = start == model::Offset{0};
  bytes_ = 0;
  gathering_.reset();
  snapshot_start_.reset();
}

void Replay::skip_to(model::Offset next) {
  CHECK(next >= next_);
  CHECK(whole_);
  next_ = next;
  bytes_ = 0;
  gathering_.reset();
}

/// Whether the part belongs behind what was gathered, or begins a snapshot.
bool Replay::continues(const SnapshotPart& part) const {
  if (part.part < 0 || part.part >= part.parts) return false;
  if (part.part == 0) return part.at == next_;
  return gathering_.has_value() && gathering_->last.at == part.at &&
         gathering_->last.parts == part.parts && gathering_->last.part + 1 == part.part;
}

Result<ReplayStep> Replay::take(const model::BatchView& batch) {
  CHECK(batch.base_offset() == next_, "the batch at {} is taken where {} is next",
        batch.base_offset(), next_);
  TRY_ASSIGN(const std::vector<common::ByteView> values, values_of(batch));
  ReplayStep step{.kind = ReplayStep::Kind::kRecords,
                  .records = {},
                  .unreadable = {},
                  .proposal = proposal_of(batch),
                  .base = batch.base_offset(),
                  .next = batch.next_offset()};
  for (const common::ByteView value : values) {
    auto record = decode(value);
    if (record.ok()) {
      step.records.push_back(*std::move(record));
    } else {
      step.unreadable.push_back(common::Bytes::copy_of(value));
    }
  }
  bytes_ += batch.size();
  const auto* const mark =
      step.records.empty() ? nullptr : std::get_if<SnapshotPart>(&step.records.front());
  if (mark == nullptr) {
    gathering_.reset();
    // Logs of before there were parts begin with plain records that describe the state.
    whole_ = true;
    next_ = step.next;
    return step;
  }
  step.kind = ReplayStep::Kind::kNothing;
  const SnapshotPart part = *mark;
  if (!continues(part)) {
    gathering_.reset();
  } else {
    if (part.part == 0) gathering_.emplace();
    gathering_->last = part;
    gathering_->bytes += batch.size();
    gathering_->records.insert(gathering_->records.end(),
                               std::make_move_iterator(step.records.begin() + 1),
                               std::make_move_iterator(step.records.end()));
  }
  next_ = step.next;
  step.records.clear();
  if (gathering_ && part.part + 1 == part.parts) {
    step.kind = ReplayStep::Kind::kSnapshot;
    step.records = std::move(gathering_->records);
    bytes_ = gathering_->bytes;
    gathering_.reset();
    whole_ = true;
    if (part.at > start_) snapshot_start_ = part.at;
  }
  return step;
}

std::vector<common::Bytes> snapshot_batches(const Image& image, model::Offset at,
                                            common::Timestamp now, std::size_t bytes_max) {
  CHECK(image.feature_level() >= kClusterLevel, "below it a snapshot has no parts");
  std::vector<std::vector<Record>> parts(1);
  std::size_t bytes = 0;
  for (Record& record : image.snapshot()) {
    const std::size_t size = encode(record).size();
    if (bytes + size > bytes_max && !parts.back().empty()) {
      parts.emplace_back();
      bytes = 0;
    }
    bytes += size;
    parts.back().push_back(std::move(record));
  }
  std::vector<common::Bytes> batches;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    parts[i].insert(parts[i].begin(),
                    SnapshotPart{.at = at,
                                 .part = static_cast<std::int32_t>(i),
                                 .parts = static_cast<std::int32_t>(parts.size())});
    batches.push_back(to_batch(parts[i], now));
  }
  return batches;
}

Image image_of(const std::vector<Record>& records) {
  Image image;
  for (const Record& record : records) image.apply(record);
  return image;
}

}  // namespace millrace::metadata
