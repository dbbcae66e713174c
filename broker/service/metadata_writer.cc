#include "broker/service/metadata_writer.h"

#include <fmt/format.h>

#include <utility>

namespace millrace::service {
namespace {

using model::ErrorCode;
using model::Offset;

constexpr model::PartitionKey kMetadataKey{model::kMetadataTopicId, model::PartitionIndex{0}};
constexpr std::size_t kReplayBytes = 4 << 20;
/// A log shorter than this is never worth shortening; a longer one is, when a snapshot is at most a
/// quarter of it.
constexpr std::uint64_t kShortenBytesMin = 8 << 20;

model::TopicSettings metadata_settings() {
  model::TopicSettings settings;
  settings.retention_ms = -1;
  settings.retention_bytes = -1;
  settings.max_message_bytes = INT32_MAX;
  return settings;
}

}  // namespace

MetadataWriter::MetadataWriter(Shard& first) : first_(first) {
  storage::Log* log = first.store().find(kMetadataKey);
  if (log == nullptr) {
    log = &first.store().create(kMetadataKey, kMetadataTopicName,
                                replica::log_settings(metadata_settings()));
  } else {
    log->set_settings(replica::log_settings(metadata_settings()));
  }
  log_ = std::make_unique<replica::Partition>(*log, metadata_settings(), first.clock());
}

MetadataWriter::~MetadataWriter() {
  close();
}

void MetadataWriter::replay(common::Reply<common::Result<void>> done) {
  if (const auto damage = log_->log().damage()) return done(*damage);
  read_from(log_->bounds().log_start,
            std::make_shared<common::Reply<common::Result<void>>>(std::move(done)));
}

void MetadataWriter::read_from(Offset offset,
                               std::shared_ptr<common::Reply<common::Result<void>>> done) {
  if (offset >= log_->bounds().high_watermark) return shorten(std::move(*done));
  log_->read(
      offset, replica::Isolation::kReadUncommitted, kReplayBytes, true,
      [this, done](common::Result<storage::ReadResult> read) {
        if (!read.ok()) return (*done)(read.error());
        for (const common::Bytes& piece : read->pieces) {
          if (auto applied = replay_piece(piece); !applied.ok()) return (*done)(applied.error());
        }
        // Through the loop, so that a long log does not become a deep stack.
        first_.loop().post([this, next = read->next_offset, done] { read_from(next, done); });
      });
}

common::Result<void> MetadataWriter::replay_piece(common::ByteView piece) {
  while (!piece.empty()) {
    TRY_ASSIGN(const model::BatchView batch, model::BatchView::parse(piece));
    TRY_ASSIGN(const auto values, metadata::values_of(batch));
    for (const common::ByteView value : values) {
      // A record that cannot be read or makes no sense is counted by each image and skipped, never
      // fatal.
      const auto record = metadata::decode(value);
      for (Shard* shard : first_.peers()) {
        if (record.ok()) {
          shard->replay(*record);
        } else {
          shard->reject(value);
        }
      }
    }
    piece = piece.subspan(batch.size());
  }
  return common::ok();
}

void MetadataWriter::shorten(common::Reply<common::Result<void>> done) {
  const std::uint64_t size = log_->log().size_bytes();
  if (size < kShortenBytesMin) return done(common::ok());
  const std::vector<metadata::Record> snapshot = first_.image().snapshot();
  if (snapshot.empty()) return done(common::ok());
  common::Bytes batch = metadata::to_batch(snapshot, first_.clock().wall());
  if (batch.size() > size / 4) return done(common::ok());
  // A crash between the two steps is harmless: a snapshot on top of the state it describes changes
  // nothing.
  log_->append(std::move(batch), {.acks = replica::Acks::kAll, .origin = replica::Origin::kBroker},
               [this, done = std::move(done)](replica::AppendOutcome appended) mutable {
                 if (appended.error) return done(*appended.error);
                 log_->delete_records(
                     appended.appended.base_offset,
                     [done = std::move(done)](common::Result<Offset> deleted) mutable {
                       done(deleted.ok() ? common::ok() : common::Result<void>(deleted.error()));
                     });
               });
}

void MetadataWriter::submit(Decide decide, common::Reply<common::Result<void>> done) {
  if (closed_) return done(model::error(ErrorCode::kShuttingDown));
  jobs_.push_back({std::move(decide), std::move(done)});
  if (!busy_) next();
}

void MetadataWriter::next() {
  if (jobs_.empty() || closed_) return;
  busy_ = true;
  auto records = jobs_.front().decide(first_.image());
  if (!records.ok()) return finish(std::move(records).error());
  if (records->empty()) return finish(common::ok());
  commit(std::move(*records));
}

void MetadataWriter::commit(std::vector<metadata::Record> records) {
  common::Bytes batch = metadata::to_batch(records, first_.clock().wall());
  auto shared = std::make_shared<const std::vector<metadata::Record>>(std::move(records));
  log_->append(std::move(batch), {.acks = replica::Acks::kAll, .origin = replica::Origin::kBroker},
               [this, shared](replica::AppendOutcome appended) {
                 if (appended.error) return finish(std::move(*appended.error));
                 apply_everywhere(shared);
               });
}

void MetadataWriter::apply_everywhere(
    std::shared_ptr<const std::vector<metadata::Record>> records) {
  auto missing = std::make_shared<std::size_t>(first_.peers().size());
  auto applied = [this, missing, records] {
    if (--*missing > 0) return;
    for (const metadata::Record& record : *records) {
      if (const auto* gone = std::get_if<metadata::TopicDeleted>(&record))
        remove_everywhere(gone->topic);
    }
    finish(common::ok());
  };
  for (Shard* shard : first_.peers()) {
    if (shard == &first_) continue;
    shard->loop().post([this, shard, records, applied] {
      for (const metadata::Record& record : *records) shard->apply(record);
      first_.loop().post(applied);
    });
  }
  for (const metadata::Record& record : *records) first_.apply(record);
  applied();
}

void MetadataWriter::finish(common::Result<void> outcome) {
  if (jobs_.empty()) return;  // closed meanwhile, and answered then
  Job job = std::move(jobs_.front());
  jobs_.pop_front();
  busy_ = false;
  job.done(std::move(outcome));
  if (!busy_) next();
}

void MetadataWriter::remove_everywhere(const model::TopicId& topic) {
  auto missing = std::make_shared<std::size_t>(first_.peers().size());
  auto failed = std::make_shared<bool>(false);
  auto removed = [this, missing, failed, topic](bool ok) {
    if (!ok) *failed = true;
    // After a failure the topic stays in the list of those being removed, and the next start tries
    // again.
    if (--*missing > 0 || *failed || closed_) return;
    submit(
        [this,
         topic](const metadata::Image& image) -> common::Result<std::vector<metadata::Record>> {
          return metadata::decide(image, metadata::ConfirmRemoval{topic, first_.identity().node})
              .records;
        },
        [](common::Result<void>) {});
  };
  for (Shard* shard : first_.peers()) {
    shard->loop().post([this, shard, topic, removed] {
      shard->remove_logs(topic, [this, removed](common::Result<void> outcome) {
        first_.loop().post([removed, ok = outcome.ok()] { removed(ok); });
      });
    });
  }
}

void MetadataWriter::resume_removals() {
  for (const auto& [topic, removing] : first_.image().removing()) {
    if (removing.waiting_for.contains(first_.identity().node)) remove_everywhere(topic);
  }
}

void MetadataWriter::close() {
  if (closed_) return;
  closed_ = true;
  auto jobs = std::exchange(jobs_, {});
  for (Job& job : jobs) job.done(model::error(ErrorCode::kShuttingDown));
  log_->close(ErrorCode::kShuttingDown);
}

}  // namespace millrace::service
