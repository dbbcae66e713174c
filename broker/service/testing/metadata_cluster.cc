#include "broker/service/testing/metadata_cluster.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace millrace::service::testing {

using common::Result;
using model::BrokerId;
using model::ErrorCode;
using model::Offset;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr metadata::CreationRules kRules{.partitions_per_shard_max = 10'000};

common::Uuid directory_of(BrokerId id) {
  common::Uuid directory;
  directory.bytes[0] = 8;
  directory.bytes[15] = static_cast<std::uint8_t>(id.value());
  return directory;
}

storage::StoreOptions small_store() {
  storage::StoreOptions options;
  options.journal_file_bytes = 4 << 20;
  options.journal_bytes_max = 16 << 20;
  options.cache_bytes = 4 << 20;
  options.free_bytes_min = 0;
  return options;
}

void append_all(MetadataBroker& follower, common::ByteView rest) {
  while (!rest.empty()) {
    const auto batch = model::BatchView::parse(rest).value();
    follower.writer().replica().append(common::Bytes::copy_of(batch.bytes()),
                                       {.origin = replica::Origin::kBroker},
                                       [](const replica::AppendOutcome&) {});
    rest = rest.subspan(batch.size());
  }
}

/// Answered once, by whatever comes first; not at all if the one who asked lost its power.
struct Call {
  common::Reply<Result<common::Bytes>> done;
  bool answered = false;
  ~Call() {
    const common::RepliesMayDrop nobody_listens;
    const auto dropped = std::move(done);
  }
  void answer(Result<common::Bytes> result) {
    if (!std::exchange(answered, true)) done(std::move(result));
  }
};

}  // namespace

MetadataBroker::MetadataBroker(MetadataCluster& cluster, BrokerId broker)
    : id(broker), cluster_(cluster), hardware_(cluster.world) {
  auto identity = std::make_shared<Identity>();
  identity->cluster_id = "test-cluster";
  identity->node = id;
  identity->directory = directory_of(id);
  identity_ = identity;
}

void MetadataBroker::start() {
  const auto config =
      std::make_shared<const model::ConfigMap>(model::ConfigMap{{"data.dir", "/data"}});
  std::vector<Shard*> peers;
  for (std::uint32_t i = 0; i < 2; ++i) {
    loops_.push_back(&cluster_.world.make_loop());
    disks_.push_back(hardware_.mount(*loops_[i]));
    auto store = storage::Store::open(
        {.disk = *disks_[i],
         .loop = *loops_[i],
         .shard = i,
         .on_fatal = [](const common::Error& error) { CHECK(false, "fatal: {}", error.detail); }},
        small_store());
    CHECK(store.ok(), "{}", store.error().detail);
    shards_.push_back(std::make_unique<Shard>(
        Shard::Parts{.index = i,
                     .loop = *loops_[i],
                     .disk = *disks_[i],
                     .random = cluster_.world.random().fork(),
                     .store = std::move(store).value(),
                     .identity = identity_,
                     .start_config = config,
                     .log = [this](std::string_view line) { notes.emplace_back(line); }}));
    peers.push_back(shards_.back().get());
  }
  for (auto& shard : shards_) shard->set_peers(peers);
  writer_ = std::make_unique<MetadataWriter>(*shards_[0], *this, shards_[0]->beginning(),
                                             cluster_.settings);
  shards_[0]->set_metadata_writer(writer_.get());
  const auto replayed =
      cluster_.wait<Result<void>>([&](auto reply) { writer_->replay(std::move(reply)); });
  CHECK(replayed.ok(), "{}", replayed.error().detail);
  for (auto& shard : shards_) shard->open_partitions();
  writer_->clean_up();
}

void MetadataBroker::crash() {
  if (writer_ == nullptr) return;
  hardware_.crash(env::testing::Survival::kNothing);
  const common::RepliesMayDrop end_of_the_machine;
  for (auto* loop : loops_) loop->stop();
  for (auto& shard : shards_) shard->close();
  writer_.reset();
  // What still waits on one of the others answers to the first.
  while (!shards_.empty()) shards_.pop_back();
  disks_.clear();
  loops_.clear();
}

std::optional<BrokerId> MetadataBroker::metadata_leader() const {
  return cluster_.leader;
}

void MetadataBroker::propose(BrokerId leader, common::Bytes proposal, common::Duration timeout,
                             common::Reply<Result<common::Bytes>> done) {
  MetadataBroker& to = cluster_.at(static_cast<std::size_t>(leader.value()));
  if (!to.up()) return done(model::error(ErrorCode::kBrokerNotAvailable));
  auto call = std::make_shared<Call>();
  call->done = std::move(done);
  loop().after(timeout, [call] { call->answer(model::error(ErrorCode::kRequestTimedOut)); });
  if (cluster_.lost()) return;
  cluster_.world.schedule(
      &to.loop(), milliseconds(1), [this, call, &to, proposal = std::move(proposal)]() mutable {
        to.writer().serve(proposal, [this, call](Result<common::Bytes> answer) {
          if (cluster_.lost() || !up()) return;
          cluster_.world.schedule(
              &loop(), milliseconds(1),
              [call, answer = std::move(answer)]() mutable { call->answer(std::move(answer)); });
        });
      });
}

bool MetadataBroker::has_log(const model::TopicId& topic) {
  return std::any_of(shards_.begin(), shards_.end(), [&](const auto& shard) {
    const auto logs = shard->store().logs();
    return std::any_of(logs.begin(), logs.end(),
                       [&](const storage::Log* log) { return log->key().topic == topic; });
  });
}

MetadataCluster::MetadataCluster(std::size_t brokers, std::uint64_t seed) : world(seed) {
  settings.proposals.patience = seconds(10);
  settings.call_timeout = milliseconds(200);
  for (std::size_t i = 0; i < brokers; ++i) {
    all.push_back(std::make_unique<MetadataBroker>(*this, BrokerId{static_cast<std::int32_t>(i)}));
  }
  for (auto& broker : all) broker->start();
  replicate();
  for (auto& broker : all) join(*broker);
  const metadata::SetFeatureLevel level{metadata::kClusterLevel};
  const auto raised = decide<metadata::NoOutcome>(
      at(0).shard(0),
      [level](const metadata::Image& image) { return metadata::decide(image, level); });
  CHECK(raised.ok(), "{}", raised.error().detail);
}

MetadataCluster::~MetadataCluster() {
  stopped_ = true;
  all.clear();
}

void MetadataCluster::join(MetadataBroker& broker) {
  metadata::Broker registered{.id = broker.id, .directory = directory_of(broker.id)};
  registered.endpoints = {{"kafka", "broker.test", 9092}};
  registered.shards = 2;
  registered.level_max = metadata::kClusterLevel;
  const auto joined =
      decide<metadata::NoOutcome>(broker.shard(0), [registered](const metadata::Image& image) {
        return metadata::decide(image, metadata::RegisterBroker{registered});
      });
  CHECK(joined.ok(), "{}", joined.error().detail);
}

void MetadataCluster::ask_topic(Shard& here, const std::string& name,
                                common::Reply<Result<metadata::TopicOutcome>> done,
                                std::int16_t replication_factor) {
  metadata::CreateTopic command{.name = name,
                                .id = common::Uuid::random(world.random()),
                                .partitions = 2,
                                .replication_factor = replication_factor};
  MetadataWriter::decide_on<metadata::TopicOutcome>(
      here,
      [command](const metadata::Image& image) { return metadata::decide(image, command, kRules); },
      std::move(done));
}

Result<metadata::TopicOutcome> MetadataCluster::create(MetadataBroker& broker,
                                                       const std::string& name,
                                                       std::int16_t replication_factor) {
  return wait<Result<metadata::TopicOutcome>>(
      [&](auto reply) { ask_topic(broker.shard(0), name, std::move(reply), replication_factor); });
}

Result<metadata::DeletedTopic> MetadataCluster::remove(MetadataBroker& broker,
                                                       const std::string& name) {
  return decide<metadata::DeletedTopic>(broker.shard(1), [name](const metadata::Image& image) {
    return metadata::decide(image, metadata::DeleteTopic{name, {}});
  });
}

void MetadataCluster::settle() {
  CHECK(world.run_until([this] { return equal(); }, seconds(60)), "the images stay different");
}

bool MetadataCluster::equal() const {
  const MetadataBroker& first =
      **std::find_if(all.begin(), all.end(), [](const auto& broker) { return broker->up(); });
  return std::all_of(all.begin(), all.end(), [&](const auto& broker) {
    return !broker->up() ||
           (broker->image(0) == first.image() && broker->image(1) == first.image());
  });
}

/// At once when the leader has committed something, and now and then for those that come back.
void MetadataCluster::replicate() {
  follow_terms();
  copy_to_all();
  watch_leader();
  world.schedule(nullptr, milliseconds(5), [this] {
    if (!stopped_) replicate();
  });
}

/// Each broker is alone in its group, and so in a later term each time that it starts.
void MetadataCluster::follow_terms() {
  if (!leader || !leads_in_newest_term) return;
  MetadataBroker& leading = *all[static_cast<std::size_t>(leader->value())];
  if (!leading.up()) return;
  model::Term newest;
  for (auto& broker : all) {
    if (broker->up()) newest = std::max(newest, broker->writer().replica().term());
  }
  if (newest > leading.writer().replica().term()) hear_of(leading, newest);
}

void MetadataCluster::hear_of(MetadataBroker& broker, model::Term term) {
  world.schedule(&broker.loop(), common::Duration(0), [&broker, term] {
    if (broker.up()) broker.writer().replica().observe_term(term);
  });
}

void MetadataCluster::copy_to_all() {
  for (auto& broker : all) {
    if (leader && broker->up() && broker->id != *leader && !cut_off.contains(broker->id))
      copy_to(*broker);
  }
}

void MetadataCluster::watch_leader() {
  if (!leader) return;
  MetadataBroker& from = *all[static_cast<std::size_t>(leader->value())];
  if (!from.up() || watched_ == &from.writer()) return;
  watched_ = &from.writer();
  from.writer().replica().watch(from.writer().bounds().high_watermark,
                                replica::Isolation::kReadUncommitted, [this, &from] {
                                  watched_ = nullptr;
                                  if (stopped_ || !from.up() || leader != from.id) return;
                                  copy_to_all();
                                  watch_leader();
                                });
}

void MetadataCluster::copy_to(MetadataBroker& follower) {
  MetadataBroker& from = *all[static_cast<std::size_t>(leader->value())];
  if (!from.up()) return;
  const Offset end = follower.writer().bounds().log_end;
  if (end >= from.writer().bounds().high_watermark) return;
  from.writer().replica().read(end, replica::Isolation::kReadUncommitted, 1 << 20, true,
                               [this, &follower, end](Result<storage::ReadResult> read) {
                                 CHECK(read.ok(), "{}", read.error().detail);
                                 if (!follower.up()) return;
                                 // At once, but on the follower's own loop.
                                 world.schedule(&follower.loop(), common::Duration(0),
                                                [&follower, end, read = std::move(*read)] {
                                                  if (follower.writer().bounds().log_end != end)
                                                    return;
                                                  for (const common::Bytes& piece : read.pieces)
                                                    append_all(follower, piece);
                                                });
                               });
}

}  // namespace millrace::service::testing
