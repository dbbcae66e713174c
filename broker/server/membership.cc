#include "broker/server/membership.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/metadata/endpoints.h"
#include "broker/service/everywhere.h"
#include "broker/service/leaders.h"
#include "broker/service/permits.h"
#include "broker/service/whereabouts.h"

namespace millrace::server {
namespace {

using common::Duration;
using common::Error;
using common::Result;
using metadata::Stage;
using metadata::Standing;
using model::BrokerId;
using model::ErrorCode;

/// How often the metadata and the replicas are looked at for what the others should know.
constexpr auto kLookInterval = std::chrono::milliseconds(150);
/// Between two questions where the leader of the metadata log is; longer than an answer takes.
constexpr auto kHintInterval = std::chrono::seconds(1);

env::Endpoint endpoint_of(const model::ListenAddress& address) {
  return {address.host, address.port};
}

bool is_any(const std::string& host) {
  return host.empty() || host == "0.0.0.0" || host == "::";
}

/// Where others find this broker; an empty host: they do not.
env::Endpoint advertised(const model::ClusterSettings& settings, BrokerId self,
                         const env::Endpoint& listening) {
  env::Endpoint told = endpoint_of(settings.internal_advertised);
  if (told.host.empty()) {
    const auto own = std::ranges::find(settings.voters, self, &model::VoterAddress::node);
    told = own != settings.voters.end() ? endpoint_of(own->address)
           : is_any(listening.host)     ? env::Endpoint{}
                                        : listening;
  }
  if (told.port == 0) told.port = listening.port;
  return told;
}

/// Whether all that a shard has of others is caught up: it could lead it. What nobody leads has
/// nobody to catch up with.
bool caught_up(service::Shard& shard) {
  const BrokerId self = shard.identity().node;
  for (const auto& [key, replica] : shard.partitions()) {
    if (replica->group() == nullptr || !replica->group()->config().is_voter(shard.self_replica()))
      continue;
    const service::KnownLeader known = service::known_leader(shard, key);
    if (known.leader == BrokerId{-1} || known.leader == self) continue;
    if (std::ranges::count(known.in_sync, self) == 0) return false;
  }
  return true;
}

metadata::FormationSettings formation_settings(const Directory& directory,
                                               const model::ClusterSettings& settings) {
  metadata::FormationSettings formation{.self = {directory.node, directory.directory_id},
                                        .cluster_id = directory.cluster_id,
                                        .fresh_cluster_id = {},
                                        .first_voters = {}};
  for (const model::VoterAddress& voter : settings.voters)
    formation.first_voters.push_back(voter.node);
  return formation;
}

}  // namespace

cluster::Settings mesh_settings(const model::ClusterSettings& settings) {
  cluster::Settings mesh;
  mesh.heartbeat = std::chrono::milliseconds(settings.heartbeat_interval_ms);
  mesh.silence_max = std::chrono::milliseconds(settings.election_timeout_ms);
  return mesh;
}

raft::Settings raft_settings(const model::ClusterSettings& settings) {
  raft::Settings raft;
  raft.election_timeout = std::chrono::milliseconds(settings.election_timeout_ms);
  raft.election_spread = raft.election_timeout / 5;
  return raft;
}

Result<Standing> standing_of(env::Disk& disk, const std::string& path, const Directory& directory,
                             const model::ClusterSettings& settings, bool has_log) {
  TRY_ASSIGN(Standing standing, read_standing(disk, path));
  const metadata::Replica self{directory.node, directory.directory_id};
  if (standing.stage == Stage::kBlank && has_log) {
    standing = {Stage::kFormed, {.round = 1, .cluster_id = directory.cluster_id, .voters = {self}}};
  }
  if (standing.stage != Stage::kBlank && standing.first.cluster_id != directory.cluster_id) {
    return Error{ErrorCode::kForeignData,
                 fmt::format("{} belongs to cluster {}, and its broker took part in cluster {}: it "
                             "was changed by hand",
                             path, directory.cluster_id, standing.first.cluster_id)};
  }
  const bool of_one =
      standing.stage == Stage::kBlank ||
      (standing.stage != Stage::kMember && standing.first.voters == metadata::ReplicaSet{self});
  if (settings.voters.empty() && !of_one) {
    return Error{ErrorCode::kForeignData,
                 fmt::format("{} belongs to a cluster of several brokers: set metadata.voters as "
                             "on the others",
                             path)};
  }
  // Two that are late must not be taken for the end of a broker; and a leader's lease rests on what
  // the others have heard, which is up to two intervals old when it comes back (raft::reliable).
  if (settings.heartbeat_interval_ms * 4 > settings.election_timeout_ms) {
    return Error{ErrorCode::kInvalidConfig,
                 fmt::format("raft.heartbeat.interval.ms is {}: it must be at most a quarter of "
                             "raft.election.timeout.ms, which is {}",
                             settings.heartbeat_interval_ms, settings.election_timeout_ms)};
  }
  return standing;
}

Membership::Membership(Parts parts)
    : settings_(parts.settings),
      mesh_settings_(mesh_settings(parts.settings)),
      listen_(parts.listen),
      random_(parts.random),
      log_(std::move(parts.log)),
      warn_(std::move(parts.warn)),
      waits_(std::move(parts.waits)),
      calls_(parts.places.front().shard),
      founding_({.first = parts.places.front().shard,
                 .disk = parts.disk,
                 .settings = formation_settings(parts.directory, parts.settings),
                 .standing = parts.standing,
                 .waits = [this](auto act, const std::string& reason) { tell_wait(act, reason); }}),
      shortage_({.first = parts.places.front().shard,
                 .unfit = [this] { return no_heirs(); },
                 .changed = [this] { tell_state(); },
                 .warn = [this](std::string_view line) { warn_(line); }}),
      standing_(parts.standing) {
  who_.cluster_id = parts.directory.cluster_id;
  who_.node = parts.directory.node;
  who_.directory = parts.directory.directory_id;
  who_.incarnation = common::Uuid::random(random_);
  who_.shards = static_cast<std::uint32_t>(parts.places.size());
  who_.level_max = metadata::kFeatureLevelMax;
  who_.rack = parts.rack;
  std::vector<cluster::Mesh*> meshes;
  for (const Place& place : parts.places) {
    auto& seat =
        *seats_.emplace_back(std::make_unique<Seat>(place.shard, service::MeshPort(place.shard)));
    seat.mesh = std::make_unique<cluster::Mesh>(cluster::Mesh::Parts{.shard = place.shard.index(),
                                                                     .loop = place.shard.loop(),
                                                                     .transport = place.transport,
                                                                     .settings = mesh_settings_,
                                                                     .handler = seat.port,
                                                                     .shard_of = service::shard_of,
                                                                     .random = random_.fork()});
    seat.neighbours = std::make_unique<service::MeshNeighbours>(*seat.mesh);
    place.shard.set_neighbours(seat.neighbours.get());
    meshes.push_back(seat.mesh.get());
  }
  hub_ = std::make_unique<cluster::Hub>(
      cluster::Hub::Parts{.loop = first().loop(),
                          .transport = parts.places.front().transport,
                          .settings = mesh_settings_,
                          .random = random_.fork(),
                          .log = [this](std::string_view line) { log_(line); }});
  hub_->join(meshes);
  for (const model::VoterAddress& voter : settings_.voters)
    hub_->set_peer({voter.node, endpoint_of(voter.address)});
  founding_.serve();
}

Membership::~Membership() {
  first().set_keeper(nullptr);
  keeper_.reset();
  hub_.reset();
  for (const auto& seat : seats_) {
    seat->mesh->close();
    seat->shard.set_neighbours(nullptr);
  }
}

// ---- Start

Result<void> Membership::open() {
  TRY_ASSIGN(const env::Endpoint listening, hub_->listen(listen_));
  who_.internal = advertised(settings_, who_.node, listening);
  if (!who_.internal.host.empty()) return common::ok();
  return Error{ErrorCode::kInvalidConfig,
               fmt::format("internal.advertised: say where the other brokers reach this one; it "
                           "listens at {}, and metadata.voters does not name broker {}",
                           listening.text(), who_.node)};
}

void Membership::found(common::Reply<Result<replica::Beginning>> done) {
  if (standing_.stage != Stage::kFormed && standing_.stage != Stage::kMember) introduce();
  founding_.start([this, done = std::move(done)](Result<Standing> standing) mutable {
    if (!standing.ok()) return done(standing.error());
    standing_ = *std::move(standing);
    replica::Beginning beginning{.first_voters = {},
                                 .after_clean_stop = first().store().recovery().closed_cleanly};
    if (standing_.stage == Stage::kFormed) {
      beginning.first_voters.id = {.term = model::Term{0}, .version = standing_.first.round};
      for (const metadata::Replica& voter : standing_.first.voters)
        beginning.first_voters.voters.push_back({voter.broker, voter.directory});
    }
    log_(fmt::format("event=membership cluster={} stage={}", standing_.first.cluster_id,
                     standing_.stage == Stage::kFormed ? "first-voter" : "member"));
    done(std::move(beginning));
  });
}

/// With what keeps this broker from those it waits for.
void Membership::tell_wait(metadata::FormationStep::Act act, const std::string& reason) {
  std::string whole = reason;
  for (const model::VoterAddress& voter : settings_.voters) {
    if (voter.node == who_.node || first().alive(voter.node)) continue;
    if (const std::string trouble = hub_->trouble(voter.node); !trouble.empty())
      whole += fmt::format("; broker {}: {}", voter.node, trouble);
  }
  if (std::exchange(wait_told_, whole) == whole) return;
  waits_(whole);
  if (act == metadata::FormationStep::Act::kRefuse)
    warn_(fmt::format("event=not-joining reason=\"{}\"", whole));
}

void Membership::follow(service::MetadataWriter& writer) {
  writer_ = &writer;
  make_keeper();
  service::serve_proposals(first());
  service::serve_permits(first());
  service::serve_whereabouts(first());
  look();
  arm();
  stand_first();
}

void Membership::make_keeper() {
  service::KeeperSettings keeping;
  keeping.moves.dead_after_ms = settings_.dead_after_ms;
  keeping.moves.bytes_per_second = settings_.move_bytes_per_second_max;
  keeping.members.dead_after_ms = settings_.dead_after_ms;
  keeping.members.voters = static_cast<std::size_t>(settings_.metadata_voters_max);
  keeper_ = std::make_unique<service::ClusterKeeper>(service::ClusterKeeper::Parts{
      .first = first(),
      .health = [this] { return hub_->health(); },
      .leads = [this] { return calls_.metadata_leader() == who_.node; },
      .has_room = [this] { return !shortage_.now(); },
      .settings = keeping});
  first().set_keeper(keeper_.get());
  keeper_->start();
}

void Membership::introduce() {
  if (std::exchange(introduced_, true)) return;
  hub_->set_state({.blank = standing_.stage == Stage::kBlank});
  hub_->start(std::make_shared<const cluster::Introduction>(who_));
}

/// The first leader of a new cluster need not wait until everybody misses one.
void Membership::stand_first() {
  const bool founded =
      standing_.stage == Stage::kFormed && standing_.first.voters.front().broker == who_.node;
  replica::Partition& log = writer_->replica();
  if (!founded || resigned_ || log.bounds().log_end > model::Offset{0}) return;
  if (log.role() == raft::Role::kLeader || !log.leader().is_none()) return;
  log.campaign();
  first().loop().after(std::chrono::milliseconds(100), lifeline_.guard([this] { stand_first(); }));
}

// ---- What the others should know, and who they are

void Membership::arm() {
  timer_ = first().loop().after(kLookInterval, lifeline_.guard([this] {
    timer_ = env::TimerId::kNone;
    look();
    arm();
  }));
}

void Membership::look() {
  look_for_brokers();
  look_for_leader();
  look_whether_recovered();
  // Who stops hands over anyway.
  if (!resigned_) shortage_.look();
  tell_state();
}

void Membership::look_for_brokers() {
  std::map<BrokerId, env::Endpoint> wanted;
  for (const auto& [id, broker] : first().image().brokers()) {
    if (id == who_.node) continue;
    if (const auto* door = metadata::endpoint_named(broker, metadata::kInternalEndpoint))
      wanted[id] = {door->host, static_cast<std::uint16_t>(door->port)};
  }
  for (const auto& [id, endpoint] : hints_) wanted[id] = endpoint;
  if (wanted == sought_) return;
  for (const auto& [id, endpoint] : wanted) {
    const auto before = sought_.find(id);
    if (before == sought_.end() || before->second != endpoint) hub_->set_peer({id, endpoint});
  }
  for (const auto& [id, endpoint] : sought_) {
    if (!wanted.contains(id)) hub_->remove_peer(id);
  }
  sought_ = std::move(wanted);
}

/// The metadata may be led by a broker that came after all that this one was told of: then neither
/// of the two would ever hear of the other, and this one never learn the metadata.
void Membership::look_for_leader() {
  const auto leader = calls_.metadata_leader();
  if (served_at_ || !leader || *leader == who_.node || first().alive(*leader)) return;
  const common::Instant now = first().clock().now();
  if (hint_asked_at_ && now - *hint_asked_at_ < kHintInterval) return;
  std::vector<BrokerId> others;
  for (const cluster::Health& health : hub_->health())
    if (health.alive) others.push_back(health.node);
  if (others.empty()) return;
  hint_asked_at_ = now;
  service::ask_whereabouts(
      first(), others[random_.below(others.size())], *leader,
      lifeline_.guard([this, leader = *leader](const Result<env::Endpoint>& where) {
        if (!where.ok() || served_at_) return;
        const auto known = hints_.find(leader);
        if (known != hints_.end() && known->second == *where) return;
        hints_[leader] = *where;
        log_(
            fmt::format("event=metadata_leader_found broker={} address={}", leader, where->text()));
        look_for_brokers();
      }));
}

void Membership::tell_state() {
  hub_->set_state({.recovered = recovered_ && !resigned_,
                   .blank = standing_.stage == Stage::kBlank,
                   .out_of_space = shortage_.now(),
                   .applied = writer_->bounds().high_watermark});
}

/// Once: a replica that falls behind later is no reason not to lead others.
void Membership::look_whether_recovered() {
  if (recovered_ || asking_ || !served_at_) return;
  // Before that it has not heard yet who leads what.
  if (first().clock().now() < *served_at_ + 2 * mesh_settings_.silence_max) return;
  asking_ = true;
  service::on_every_shard<bool>(
      first(), [](service::Shard& shard, common::Reply<bool> reply) { reply(caught_up(shard)); },
      lifeline_.guard([this](const std::vector<bool>& all) {
        asking_ = false;
        if (recovered_ || std::ranges::count(all, false) > 0) return;
        recovered_ = true;
        log_("event=recovered-whole detail=\"every replica is caught up\"");
        tell_state();
      }));
}

void Membership::served() {
  served_at_ = first().clock().now();
  hints_.clear();
}

// ---- Stop

void Membership::resign() {
  resigned_ = true;
  if (writer_ != nullptr) tell_state();
}

std::vector<BrokerId> Membership::unfit() const {
  std::vector<BrokerId> unfit;
  for (const cluster::Health& health : hub_->health())
    if (!health.state.recovered) unfit.push_back(health.node);
  return unfit;
}

std::vector<BrokerId> Membership::no_heirs() const {
  std::vector<BrokerId> unfit = this->unfit();
  for (const cluster::Health& health : hub_->health())
    if (health.state.out_of_space) unfit.push_back(health.node);
  return unfit;
}

void Membership::leave() {
  if (timer_ != env::TimerId::kNone)
    first().loop().cancel(std::exchange(timer_, env::TimerId::kNone));
  if (keeper_ != nullptr) keeper_->stop();
  hub_->goodbye();
}

}  // namespace millrace::server
