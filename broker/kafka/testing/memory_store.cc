#include "broker/kafka/testing/memory_store.h"

#include <algorithm>
#include <utility>

#include "broker/model/compression.h"
#include "broker/model/record.h"

namespace millrace::kafka::testing {
namespace {

using common::Bytes;
using common::Reply;
using common::Result;
using model::BatchView;
using model::Offset;
using storage::LogSettings;
using storage::TermStart;
using storage::TimedOffset;

constexpr std::size_t kPlainBytesMax = std::size_t{64} << 20;

class MemoryLog final : public storage::Log {
 public:
  MemoryLog(env::Loop& loop, std::shared_ptr<const MemoryStoreOptions> options,
            model::PartitionKey key, std::string_view topic, const LogSettings& settings)
      : loop_(loop), options_(std::move(options)), key_(key), topic_(topic), settings_(settings) {}

  const model::PartitionKey& key() const override { return key_; }
  const std::string& topic_name() const override { return topic_; }
  Offset start_offset() const override { return start_; }
  Offset end_offset() const override { return end_; }
  Offset durable_offset() const override { return durable_; }
  std::uint64_t size_bytes() const override {
    std::uint64_t bytes = 0;
    for (const Bytes& batch : batches_) bytes += batch.size();
    return bytes;
  }

  void append(Bytes batches, Reply<Result<void>> durable) override {
    if (options_->full) return durable(model::error(model::ErrorCode::kNoSpace));
    for (std::size_t at = 0; at < batches.size();) {
      const BatchView batch = BatchView::parse(batches.view().subspan(at)).value();
      batches_.push_back(batches.slice(at, batch.size()));
      end_ = batch.next_offset();
      at += batch.size();
    }
    loop_.after(options_->append_delay, [this, end = end_, durable = std::move(durable)]() mutable {
      durable_ = end;
      durable(common::ok());
    });
  }

  std::optional<common::Error> refusal(std::size_t) const override {
    if (options_->full) return model::error(model::ErrorCode::kNoSpace);
    return std::nullopt;
  }

  void read(Offset from, storage::ReadLimits limits,
            Reply<Result<storage::ReadResult>> done) override {
    if (from < start_ || from > end_)
      return done(model::error(model::ErrorCode::kOffsetOutOfRange));
    storage::ReadResult result{{}, from};
    std::size_t bytes = 0;
    for (const Bytes& bytes_of : batches_) {
      const BatchView batch = BatchView::parse(bytes_of).value();
      if (batch.next_offset() <= from) continue;
      if (batch.next_offset() > limits.up_to) break;
      const bool forced = limits.at_least_one_batch && result.pieces.empty();
      if (!forced && bytes + bytes_of.size() > limits.bytes_max) break;
      bytes += bytes_of.size();
      result.pieces.push_back(bytes_of);
      result.next_offset = batch.next_offset();
    }
    done(std::move(result));
  }

  bool in_memory(Offset) const override { return true; }

  void find_time(common::Timestamp target, Offset up_to,
                 Reply<Result<std::optional<TimedOffset>>> done) override {
    done(first([&](common::Timestamp time) { return time >= target; }, up_to));
  }
  void find_max_time(Offset up_to, Reply<Result<std::optional<TimedOffset>>> done) override {
    common::Timestamp largest{-1};
    first(
        [&](common::Timestamp time) {
          largest = std::max(largest, time);
          return false;
        },
        up_to);
    done(first([&](common::Timestamp time) { return time == largest; }, up_to));
  }

  void delete_before(Offset offset, Reply<Result<void>> durable) override {
    start_ = std::max(start_, offset);
    std::erase_if(batches_, [&](const Bytes& batch) {
      return BatchView::parse(batch).value().next_offset() <= start_;
    });
    durable(common::ok());
  }
  void truncate(Offset, Reply<Result<void>> durable) override { durable(common::ok()); }
  void start_term(TermStart start, Reply<Result<void>> durable) override {
    if (!terms_.empty() && terms_.back().offset == start.offset) terms_.pop_back();
    terms_.push_back(start);
    durable(common::ok());
  }
  void reset(Offset at, std::optional<TermStart> first, Bytes,
             Reply<Result<void>> durable) override {
    batches_.clear();
    terms_.clear();
    if (first.has_value()) terms_.push_back(*first);
    start_ = end_ = durable_ = at;
    durable(common::ok());
  }
  const std::vector<TermStart>& term_starts() const override { return terms_; }
  void put_state(Bytes state, Reply<Result<void>> durable) override {
    state_ = std::move(state);
    durable(common::ok());
  }
  const Bytes& state() const override { return state_; }
  void on_checkpoint(ProducerSnapshot) override {}
  void on_compaction(LimitsSource) override {}
  Offset compacted_to() const override { return Offset{0}; }
  void on_retention(RetentionLimit) override {}
  RecoveredProducers take_recovered_producers() override { return {}; }
  void set_settings(const LogSettings& settings) override { settings_ = settings; }
  const LogSettings& settings() const override { return settings_; }
  std::optional<common::Error> damage() const override { return std::nullopt; }
  void on_damage(common::Function<void()>) override {}
  bool lost_suffix() const override { return false; }

 private:
  template <typename Matches>
  std::optional<TimedOffset> first(Matches matches, Offset up_to) const {
    for (const Bytes& bytes : batches_) {
      const BatchView batch = BatchView::parse(bytes).value();
      if (batch.next_offset() > up_to) break;
      const auto plain = model::plain_records(batch, kPlainBytesMax);
      if (!plain.ok()) continue;
      model::RecordReader records(plain->records, batch.record_count());
      for (auto next = records.next(); next.ok() && next->has_value(); next = records.next()) {
        const auto& record = *next;
        if (record->offset(batch) < start_ || !matches(record->timestamp(batch))) continue;
        return TimedOffset{record->timestamp(batch), record->offset(batch), batch.leader_epoch()};
      }
    }
    return std::nullopt;
  }

  env::Loop& loop_;
  std::shared_ptr<const MemoryStoreOptions> options_;
  model::PartitionKey key_;
  std::string topic_;
  LogSettings settings_;
  std::vector<Bytes> batches_;
  std::vector<TermStart> terms_;
  Bytes state_;
  Offset start_;
  Offset end_;
  Offset durable_;
};

class MemoryStore final : public storage::Store {
 public:
  MemoryStore(env::Loop& loop, std::shared_ptr<const MemoryStoreOptions> options)
      : loop_(loop), options_(std::move(options)) {}

  const storage::RecoveryReport& recovery() const override { return recovery_; }
  std::vector<storage::Log*> logs() override {
    std::vector<storage::Log*> all;
    for (const auto& [key, log] : logs_) all.push_back(log.get());
    return all;
  }
  storage::Log* find(const model::PartitionKey& key) override {
    const auto found = logs_.find(key);
    return found == logs_.end() ? nullptr : found->second.get();
  }
  storage::Log& create(const model::PartitionKey& key, std::string_view topic_name,
                       const LogSettings& settings) override {
    auto& log = logs_[key];
    log = std::make_unique<MemoryLog>(loop_, options_, key, topic_name, settings);
    return *log;
  }
  void remove(const model::PartitionKey& key, Reply<Result<void>> durable) override {
    // Appends under way still answer.
    if (auto node = logs_.extract(key)) removed_.push_back(std::move(node.mapped()));
    durable(common::ok());
  }
  void quarantine(const model::PartitionKey& key, Reply<Result<void>> durable) override {
    remove(key, std::move(durable));
  }
  void apply_retention() override {}
  void compact() override {}
  void close(Reply<Result<void>> closed) override { closed(common::ok()); }
  void checkpoint(Reply<Result<void>> done) override { done(common::ok()); }
  storage::StoreStats stats() override { return {}; }
  bool out_of_space() const override { return options_->full; }

 private:
  env::Loop& loop_;
  std::shared_ptr<const MemoryStoreOptions> options_;
  storage::RecoveryReport recovery_;
  std::map<model::PartitionKey, std::unique_ptr<MemoryLog>> logs_;
  std::vector<std::unique_ptr<MemoryLog>> removed_;
};

}  // namespace

std::unique_ptr<storage::Store> make_memory_store(
    env::Loop& loop, std::shared_ptr<const MemoryStoreOptions> options) {
  return std::make_unique<MemoryStore>(loop, std::move(options));
}

}  // namespace millrace::kafka::testing
