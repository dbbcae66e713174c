#include "broker/service/metadata_log.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "broker/model/mutation.h"
#include "broker/service/everywhere.h"

namespace millrace::service {
namespace {

using model::ErrorCode;
using model::Offset;

constexpr model::PartitionKey kMetadataKey{model::kMetadataTopicId, model::PartitionIndex{0}};
constexpr std::size_t kReadBytes = 4 << 20;
/// A read that failed is tried again after this: a leader is confirmed, or a damaged replica was
/// rebuilt.
constexpr auto kRetry = std::chrono::milliseconds(50);

model::TopicSettings metadata_settings() {
  model::TopicSettings settings;
  settings.retention_ms = -1;
  settings.retention_bytes = -1;
  settings.max_message_bytes = INT32_MAX;
  // What a snapshot makes superfluous is removed segment by segment.
  settings.segment_bytes = 16 << 20;
  return settings;
}

std::unique_ptr<replica::Partition> open_replica(Shard& first,
                                                 const replica::Beginning& beginning) {
  const storage::LogSettings settings = replica::log_settings(metadata_settings());
  storage::Log* log = first.store().find(kMetadataKey);
  if (log == nullptr) {
    log = &first.store().create(kMetadataKey, kMetadataTopicName, settings);
  } else {
    log->set_settings(settings);
  }
  auto replica = std::make_unique<replica::Partition>(*log, metadata_settings(),
                                                      first.replicas().host(), beginning);
  first.replicas().adopt(kMetadataKey, replica.get());
  return replica;
}

void apply_step(Shard& shard, const metadata::ReplayStep& step) {
  if (model::mutated(model::Mutation::kSkipOneShard) && shard.index() == 1) return;
  for (const metadata::Record& record : step.records) shard.apply(record);
  if (model::mutated(model::Mutation::kApplyTwice)) {
    for (const metadata::Record& record : step.records) shard.apply(record);
  }
  for (const common::Bytes& value : step.unreadable) shard.reject(value);
}

}  // namespace

MetadataLog::MetadataLog(Shard& first, MetadataListener& listener,
                         const replica::Beginning& beginning)
    : first_(first),
      listener_(listener),
      log_(open_replica(first, beginning)),
      replay_(log_->bounds().log_start) {}

MetadataLog::~MetadataLog() {
  close();
  first_.replicas().adopt(kMetadataKey, nullptr);
}

std::optional<Offset> MetadataLog::snapshot_start() const {
  const auto start = replay_.snapshot_start();
  if (!start || *start <= log_->bounds().log_start) return std::nullopt;
  return start;
}

void MetadataLog::replay(common::Reply<common::Result<void>> done) {
  CHECK(!following_);
  if (const auto damage = log_->log().damage(); damage && !comes_again()) return done(*damage);
  read_back(std::make_shared<metadata::Image>(),
            std::make_shared<common::Reply<common::Result<void>>>(std::move(done)));
}

/// Damage of this log is no reason not to start where others have it too.
bool MetadataLog::comes_again() const {
  return log_->log().damage().has_value() && log_->replica().has_others();
}

void MetadataLog::read_back(std::shared_ptr<metadata::Image> image,
                            std::shared_ptr<common::Reply<common::Result<void>>> done) {
  if (applied() >= log_->bounds().high_watermark) return hand_out(*image, std::move(*done));
  log_->read(applied(), replica::Isolation::kReadUncommitted, kReadBytes, true,
             [this, image, done](common::Result<storage::ReadResult> read) {
               // What is read so far is true; the rest is read when it is there again.
               if (!read.ok() && comes_again()) return hand_out(*image, std::move(*done));
               if (!read.ok()) return (*done)(read.error());
               const Parsed parsed = parse(*read);
               for (const metadata::ReplayStep& step : parsed.steps) {
                 if (step.kind == metadata::ReplayStep::Kind::kSnapshot) *image = metadata::Image();
                 // A record that cannot be read or makes no sense is counted and skipped, never
                 // fatal.
                 for (const metadata::Record& record : step.records) image->apply(record);
                 for (const common::Bytes& value : step.unreadable) image->apply_bytes(value);
               }
               if (parsed.error) return (*done)(*parsed.error);
               // Through the loop, so that a long log does not become a deep stack.
               first_.loop().post([this, image, done] { read_back(image, done); });
             });
}

void MetadataLog::hand_out(const metadata::Image& image, common::Reply<common::Result<void>> done) {
  auto shared = std::make_shared<const metadata::Image>(image);
  on_every_shard<bool>(
      first_,
      [shared](Shard& shard, common::Reply<bool> reply) {
        shard.take_image(*shared);
        reply(true);
      },
      [done = std::move(done)](std::vector<bool>) mutable { done(common::ok()); });
}

MetadataLog::Parsed MetadataLog::parse(const storage::ReadResult& read) {
  Parsed parsed;
  for (const common::Bytes& piece : read.pieces) {
    common::ByteView rest = piece;
    while (!rest.empty()) {
      const auto batch = model::BatchView::parse(rest);
      auto step = batch.ok() ? replay_.take(*batch) : batch.error();
      if (!step.ok()) {
        parsed.error = step.error();
        return parsed;
      }
      parsed.steps.push_back(*std::move(step));
      rest = rest.subspan(batch->size());
    }
  }
  return parsed;
}

void MetadataLog::follow() {
  following_ = true;
  pump();
}

/// Reads what is committed and not applied; else waits for more.
void MetadataLog::pump() {
  if (!following_ || closed_ || reading_) return;
  const replica::Bounds bounds = log_->bounds();
  if (bounds.log_start > applied()) {
    replay_.begin(bounds.log_start);
    listener_.on_skipped(bounds.log_start);
  }
  if (applied() < bounds.high_watermark) {
    reading_ = true;
    log_->read(applied(), replica::Isolation::kReadUncommitted, kReadBytes, true,
               lifeline_.guard([this](common::Result<storage::ReadResult> read) {
                 reading_ = false;
                 if (closed_) return;
                 if (!read.ok()) return failed(read.error());
                 took(*read);
               }));
    return;
  }
  if (std::exchange(watching_, true)) return;
  log_->watch(applied(), replica::Isolation::kReadUncommitted, lifeline_.guard([this] {
    watching_ = false;
    // Through the loop: the one whose append has come this far is in the middle of something.
    first_.loop().post(lifeline_.guard([this] { pump(); }));
  }));
}

void MetadataLog::failed(const common::Error& error) {
  // The log's start may have moved since; and a new leader answers nothing at first.
  const bool passing =
      error.code == ErrorCode::kOffsetOutOfRange || error.code == ErrorCode::kNotLeaderOrFollower;
  if (!passing && std::exchange(unreadable_, applied()) != applied())
    first_.note(fmt::format("event=metadata-unreadable detail=\"{}\"", error.detail));
  retry();
}

void MetadataLog::retry() {
  if (retry_ != env::TimerId::kNone) return;
  retry_ = first_.loop().after(kRetry, lifeline_.guard([this] {
    retry_ = env::TimerId::kNone;
    pump();
  }));
}

void MetadataLog::took(const storage::ReadResult& read) {
  // The log may have begun anew while this was read.
  if (log_->bounds().log_start > applied()) return pump();
  Parsed parsed = parse(read);
  if (!parsed.steps.empty())
    return apply_everywhere(std::make_shared<const Steps>(std::move(parsed.steps)));
  if (parsed.error) return failed(*parsed.error);
  retry();
}

/// nullptr: the images hold what the snapshot says already.
std::shared_ptr<const metadata::Image> MetadataLog::replacement(const metadata::ReplayStep& step) {
  auto image = std::make_shared<const metadata::Image>(metadata::image_of(step.records));
  return *image == first_.image() ? nullptr : image;
}

void MetadataLog::apply_everywhere(std::shared_ptr<const Steps> steps) {
  // Of each step the image that takes the place of the old one, where there is one. In order: a
  // snapshot is compared with what the steps in front of it make.
  auto images =
      std::make_shared<std::vector<std::shared_ptr<const metadata::Image>>>(steps->size());
  for (std::size_t i = 0; i < steps->size(); ++i) {
    const metadata::ReplayStep& step = (*steps)[i];
    if (step.kind == metadata::ReplayStep::Kind::kRecords) apply_step(first_, step);
    if (step.kind != metadata::ReplayStep::Kind::kSnapshot) continue;
    (*images)[i] = replacement(step);
    if ((*images)[i] != nullptr) first_.take_image(*(*images)[i]);
  }
  reading_ = true;  // until all have it: what follows is applied behind it
  on_every_shard<bool>(
      first_,
      [steps, images](Shard& shard, common::Reply<bool> reply) {
        for (std::size_t i = 0; i < steps->size() && &shard != &shard.first(); ++i) {
          if ((*steps)[i].kind == metadata::ReplayStep::Kind::kRecords)
            apply_step(shard, (*steps)[i]);
          if ((*images)[i] != nullptr) shard.take_image(*(*images)[i]);
        }
        reply(true);
      },
      lifeline_.guard([this, steps](std::vector<bool>) {
        reading_ = false;
        if (closed_) return;
        listener_.on_applied(*steps);
        // Through the loop, so that a long log does not become a deep stack.
        first_.loop().post(lifeline_.guard([this] { pump(); }));
      }));
}

void MetadataLog::close() {
  if (std::exchange(closed_, true)) return;
  if (retry_ != env::TimerId::kNone)
    first_.loop().cancel(std::exchange(retry_, env::TimerId::kNone));
  log_->close(ErrorCode::kShuttingDown);
}

}  // namespace millrace::service
