#include "broker/server/node.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/server/node_steps.h"

namespace millrace::server {
namespace {

using common::Error;
using common::Reply;
using common::Result;
using model::ErrorCode;
using Level = NodeHost::Level;

constexpr model::PartitionKey kMetadataKey{model::kMetadataTopicId, model::PartitionIndex{0}};

storage::CompactionOptions compaction_options(const model::BrokerSettings& settings,
                                              const MemoryPlan& memory, std::size_t shards) {
  storage::CompactionOptions options;
  options.enabled = settings.compaction_enabled;
  options.check_interval_ms = settings.compaction_check_interval_ms;
  options.map_bytes_max = memory.compaction_bytes_per_shard;
  const double rate = settings.compaction_bytes_per_second_max / static_cast<double>(shards);
  // More than any disk does is no limit.
  constexpr double kNoLimit = 1e12;
  if (rate < kNoLimit)
    options.bytes_per_second_max = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(rate));
  return options;
}

}  // namespace

Node::Node(Parts parts)
    : directory_(std::move(parts.directory)),
      start_config_(std::move(parts.start_config)),
      settings_(model::resolve_broker_settings({.from_start = start_config_.get()})),
      cluster_settings_(model::resolve_cluster_settings({.from_start = start_config_.get()})),
      outside_(model::resolve_outside_settings({.from_start = start_config_.get()})),
      memory_(parts.memory),
      random_(parts.random),
      version_(std::move(parts.version)),
      host_(parts.host) {
  CHECK(parts.shards.size() == directory_.shards, "{} shards for a directory of {}",
        parts.shards.size(), directory_.shards);
  for (const ShardWorld& world : parts.shards)
    seats_.push_back({.world = world, .store = nullptr, .shard = nullptr, .kafka = nullptr});
}

Node::~Node() {
  // What waits on one shard may belong to another: all hear of the end while all are there.
  if (writer_ != nullptr) writer_->close();
  for (Seat& seat : seats_)
    if (seat.shard != nullptr) seat.shard->close();
  writer_.reset();
  membership_.reset();
  for (Seat& seat : seats_) seat.kafka.reset();
}

common::Function<void(std::string_view)> Node::log_at(Level level) {
  return [&host = host_, level](std::string_view line) { host.log(level, line); };
}

std::vector<service::Shard*> Node::shards() const {
  std::vector<service::Shard*> all;
  for (const Seat& seat : seats_)
    if (seat.shard != nullptr) all.push_back(seat.shard.get());
  return all;
}

// ---- Start

storage::StoreOptions Node::store_options() const {
  storage::StoreOptions options;
  options.journal_bytes_max = static_cast<std::uint64_t>(settings_.journal_bytes_max);
  options.journal_file_bytes = static_cast<std::uint64_t>(settings_.journal_file_bytes);
  options.cache_bytes = memory_.cache_bytes_per_shard;
  options.free_bytes_min = static_cast<std::uint64_t>(settings_.disk_reserve_bytes);
  options.retention_check_interval_ms = settings_.retention_check_interval_ms;
  options.compaction = compaction_options(settings_, memory_, seats_.size());
  return options;
}

Result<void> Node::open_store(std::uint32_t shard) {
  Seat& seat = seats_[shard];
  TRY_ASSIGN(seat.store,
             storage::Store::open(
                 {.disk = seat.world.disk,
                  .loop = seat.world.loop,
                  .shard = shard,
                  .on_fatal = [&host = host_](const Error& error) { host.fatal_disk(error); },
                  .on_notice = log_at(Level::kInfo)},
                 store_options()));
  const storage::RecoveryReport& report = seat.store->recovery();
  host_.log(Level::kInfo,
            fmt::format("event=recovered shard={} logs={} journal_bytes={} entries={} "
                        "batches_cut={}",
                        shard, seat.store->logs().size(), report.journal_bytes_read,
                        report.entries_replayed, report.batches_cut));
  for (const std::string& damage : report.damages) {
    host_.log(Level::kError, fmt::format("event=damage shard={} detail=\"{}\"", shard, damage));
  }
  return common::ok();
}

Result<void> Node::assemble() {
  CHECK(seats_.front().store != nullptr, "a store is not open");
  TRY_ASSIGN(metadata::Standing standing,
             standing_of(seats_.front().world.disk, settings_.data_dir, directory_,
                         cluster_settings_, seats_.front().store->find(kMetadataKey) != nullptr));
  auto identity = std::make_shared<service::Identity>();
  identity->cluster_id = directory_.cluster_id;
  identity->node = directory_.node;
  identity->directory = directory_.directory_id;
  identity->version = version_;
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    Seat& seat = seats_[i];
    CHECK(seat.store != nullptr && seat.shard == nullptr, "store {} is not open", i);
    seat.shard = std::make_unique<service::Shard>(
        service::Shard::Parts{.index = static_cast<std::uint32_t>(i),
                              .loop = seat.world.loop,
                              .disk = seat.world.disk,
                              .random = random_.fork(),
                              .store = std::move(seat.store),
                              .identity = identity,
                              .start_config = start_config_,
                              .raft = raft_settings(cluster_settings_),
                              .log = log_at(Level::kWarning),
                              .tell = log_at(Level::kInfo)});
  }
  const std::vector<service::Shard*> all = shards();
  for (service::Shard* shard : all) {
    shard->set_peers(all);
    shard->set_loggers(&host_.loggers());
  }
  if (!cluster_settings_.voters.empty()) make_membership(std::move(standing));
  return common::ok();
}

void Node::make_membership(metadata::Standing standing) {
  std::vector<Membership::Place> places;
  for (const Seat& seat : seats_) places.push_back({*seat.shard, seat.world.transport});
  membership_ = std::make_unique<Membership>(
      Membership::Parts{.places = std::move(places),
                        .disk = seats_.front().world.disk,
                        .directory = directory_,
                        .settings = cluster_settings_,
                        .listen = {settings_.internal_listen.host, settings_.internal_listen.port},
                        .rack = settings_.rack,
                        .standing = std::move(standing),
                        .random = random_.fork(),
                        .log = log_at(Level::kInfo),
                        .warn = log_at(Level::kWarning),
                        .waits = [&host = host_](std::string_view why) { host.waits(why); }});
}

// ---- Start

void Node::recover(Done done) {
  on_first([this, done = std::move(done)]() mutable {
    if (stopping_) return done(model::error(ErrorCode::kShuttingDown));
    if (membership_ == nullptr) return begin(first().beginning(), std::move(done));
    if (auto opened = membership_->open(); !opened.ok()) return done(std::move(opened));
    membership_->found(
        [this, done = std::move(done)](Result<replica::Beginning> beginning) mutable {
          if (!beginning.ok()) return done(std::move(beginning).error());
          if (stopping_) return done(model::error(ErrorCode::kShuttingDown));
          begin(*beginning, std::move(done));
        });
  });
}

void Node::begin(const replica::Beginning& beginning, Done done) {
  writer_ = membership_ == nullptr ? std::make_unique<service::MetadataWriter>(first())
                                   : std::make_unique<service::MetadataWriter>(
                                         first(), membership_->calls(), beginning);
  first().set_metadata_writer(writer_.get());
  writer_->replay(
      and_then(std::move(done), [this](Done reply) { open_partitions(std::move(reply)); }));
}

/// For a broker that is alone: one that the metadata knows as well. Learners of its log may be
/// known only by the log's own state.
std::optional<model::BrokerId> Node::another_broker() {
  if (membership_ != nullptr) return std::nullopt;
  const model::BrokerId self = directory_.node;
  for (const auto& [id, broker] : first().image().brokers())
    if (id != self) return id;
  const raft::Group* const group = writer_->replica().group();
  if (group == nullptr) return std::nullopt;
  for (const auto* members : {&group->config().voters, &group->config().learners})
    for (const raft::ReplicaId& member : *members)
      if (member.node != self) return member.node;
  return std::nullopt;
}

void Node::open_partitions(Done done) {
  if (const auto other = another_broker()) {
    return done(Error{ErrorCode::kForeignData,
                      fmt::format("{} belongs to a cluster with broker {}: set metadata.voters as "
                                  "on the others",
                                  settings_.data_dir, *other)});
  }
  on_all(
      [others = membership_ != nullptr](Seat& seat, Done reply) {
        if (others) seat.shard->await_newest_image();
        seat.shard->open_partitions();
        reply(common::ok());
      },
      and_then(std::move(done), [this](Done reply) {
        const metadata::Image& known = first().image();
        host_.log(Level::kInfo,
                  fmt::format("event=metadata topics={} partitions={} rejected_records={}",
                              known.topics().size(), known.partition_total(), known.rejected()));
        catch_up(std::move(reply));
      }));
}

void Node::catch_up(Done done) {
  if (membership_ == nullptr) {
    writer_->clean_up();
    return done(common::ok());
  }
  membership_->follow(*writer_);
  membership_->introduce();
  writer_->clean_up();
  auto caught_up = [this](Done reply) {
    on_all(
        [](Seat& seat, Done opened) {
          seat.shard->image_is_newest();
          opened(common::ok());
        },
        std::move(reply));
  };
  insist([this](Done reply) { writer_->catch_up(std::move(reply)); },
         and_then(std::move(done), caught_up));
}

}  // namespace millrace::server
