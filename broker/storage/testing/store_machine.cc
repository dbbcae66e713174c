#include "broker/storage/testing/store_machine.h"

#include "broker/model/record.h"

namespace millrace::storage::testing {

using env::testing::Survival;

StoreOptions tiny_options() {
  StoreOptions options;
  options.journal_file_bytes = 64 << 10;
  options.journal_bytes_max = 256 << 10;
  options.round_bytes_max = 16 << 10;
  options.chunk_bytes = 16 << 10;
  options.direct_bytes_min = 6 << 10;
  options.cache_bytes = 96 << 10;
  options.index_interval_bytes = 1024;
  options.open_files_max = 4;
  options.free_bytes_min = 0;
  options.retention_check_interval_ms = 3'600'000;
  options.index_cache_bytes = 4 << 10;
  options.removal_step_bytes = 4 << 10;
  return options;
}

Bytes make_batch(common::Random& random, const BatchSpec& spec) {
  model::BatchOptions options;
  options.base_offset = spec.base;
  options.leader_epoch = spec.term;
  options.producer_id = spec.producer;
  options.producer_epoch = spec.producer == model::kNoProducerId ? -1 : 0;
  options.base_sequence = spec.sequence;
  model::BatchBuilder builder(options);
  std::vector<std::uint8_t> value(spec.value_bytes);
  for (std::int32_t i = 0; i < spec.count; ++i) {
    for (std::size_t at = 0; at < value.size(); at += 8) {
      const std::uint64_t bits = random.next();
      std::memcpy(value.data() + at, &bits, std::min<std::size_t>(8, value.size() - at));
    }
    builder.append({.timestamp = spec.timestamp + i, .value = common::ByteView(value)});
  }
  return builder.build();
}

PartitionKey key_of(std::int32_t partition, std::uint8_t topic) {
  PartitionKey key{.topic = {}, .index = model::PartitionIndex{partition}};
  key.topic.bytes[15] = topic;
  key.topic.bytes[0] = 0x42;
  return key;
}

StoreMachine::StoreMachine(std::uint64_t seed, StoreOptions options,
                           env::testing::SimDiskOptions disk_options)
    : world(seed), hardware(world, disk_options), random(seed * 31 + 7), options_(options) {}

StoreMachine::~StoreMachine() {
  if (running()) crash();
}

Result<void> StoreMachine::try_start() {
  CHECK(!running());
  fatal.reset();
  loop_ = &world.make_loop();
  disk_ = hardware.mount(*loop_);
  if (flaw_ != FlawedDisk::Flaw::kNone)
    disk_ = std::make_unique<FlawedDisk>(std::move(disk_), flaw_);
  auto opened =
      Store::open({.disk = *disk_,
                   .loop = *loop_,
                   .shard = 0,
                   .on_fatal = [this](const common::Error& error) { fatal = error; },
                   .on_notice = [this](std::string_view line) { notices.emplace_back(line); }},
                  options_);
  if (!opened.ok()) {
    loop_->stop();
    disk_.reset();
    return std::move(opened).error();
  }
  store_ = std::move(opened).value();
  return common::ok();
}

void StoreMachine::start() {
  const auto started = try_start();
  CHECK(started.ok(), "{}", started.error().detail);
}

void StoreMachine::stop_loop() {
  const common::RepliesMayDrop may_drop;
  if (running()) loop_->stop();
}

void StoreMachine::end() {
  const common::RepliesMayDrop may_drop;
  store_.reset();
  disk_.reset();
}

void StoreMachine::crash() {
  stop_loop();
  hardware.crash();
  end();
}

void StoreMachine::crash(Survival how) {
  stop_loop();
  hardware.crash(how);
  end();
}

void StoreMachine::kill() {
  stop_loop();
  hardware.kill();
  end();
}

void StoreMachine::stop() {
  const auto closed = wait<void>([this](auto reply) { store_->close(std::move(reply)); });
  CHECK(closed.ok(), "{}", closed.error().detail);
  stop_loop();
  end();
}

Log& StoreMachine::create(const PartitionKey& key, const LogSettings& settings) {
  return store_->create(key, "orders", settings);
}

Result<void> StoreMachine::append(Log& log, std::int32_t count, std::size_t value_bytes) {
  Bytes batch = make_batch(
      random, {.base = log.end_offset(),
               .count = count,
               .value_bytes = value_bytes,
               .term = log.term_starts().empty() ? Term{0} : log.term_starts().back().term});
  return wait<void>([&](auto reply) { log.append(std::move(batch), std::move(reply)); });
}

Result<ReadResult> StoreMachine::read(Log& log, Offset from, ReadLimits limits) {
  return wait<ReadResult>([&](auto reply) { log.read(from, limits, std::move(reply)); });
}

Result<std::vector<std::uint8_t>> StoreMachine::read_all(Log& log, Offset from, Offset up_to,
                                                         std::size_t bytes_max) {
  std::vector<std::uint8_t> all;
  while (from < up_to) {
    TRY_ASSIGN(const ReadResult result, read(log, from, {.up_to = up_to, .bytes_max = bytes_max}));
    CHECK(result.next_offset > from, "a read at {} brought nothing", from);
    for (const Bytes& piece : result.pieces)
      all.insert(all.end(), piece.view().begin(), piece.view().end());
    from = result.next_offset;
  }
  return all;
}

Result<void> StoreMachine::checkpoint() {
  return wait<void>([this](auto reply) { store_->checkpoint(std::move(reply)); });
}

}  // namespace millrace::storage::testing
