#include "broker/replica/testing/cluster.h"

#include <algorithm>
#include <utility>

#include "broker/replica/retirement.h"
#include "common/check.h"

namespace millrace::replica::testing {
namespace {

using common::Instant;
using env::testing::SimLoop;

constexpr std::chrono::milliseconds kHeartbeat{150};

/// As if it had gone over a socket: no memory is shared.
std::vector<Bytes> copy_of(const std::vector<Bytes>& data) {
  std::vector<Bytes> copies;
  for (const Bytes& piece : data) copies.push_back(Bytes::copy_of(piece.view()));
  return copies;
}

}  // namespace

/// One broker: a disk, and the process that runs on it.
class Cluster::Machine final : public Peers {
 public:
  Machine(Cluster& cluster, Node number, std::uint64_t seed)
      : hardware(cluster.world), random(seed), cluster_(cluster), number_(number) {}

  void send(const model::PartitionKey& key, raft::Message message,
            std::vector<Bytes> data) override {
    CHECK(key == cluster_.key());
    cluster_.deliver(number_, life, std::move(message), std::move(data));
  }
  bool has_room(const model::PartitionKey&, const raft::ReplicaId&) const override {
    return cluster_.room;
  }
  void leadership(const model::PartitionKey& key, const raft::RoleChange& change) override {
    CHECK(key == cluster_.key());
    roles.push_back(change);
  }

  void open();
  void open_partition(storage::Log& log);
  /// Everything of the process goes, in the order in which it came up.
  void end();
  void heard(Node from, std::uint64_t its_life);
  void look_for_silence();
  /// A heartbeat, and what it says of this broker.
  struct Beat {
    std::uint64_t life = 0;
    Instant sent{};
    raft::Trust trust = raft::Trust::kNone;
    Instant heard{};
  };
  void take(Node from, const Beat& beat);

  env::testing::SimDisk hardware;
  common::Random random;
  int disks = 1;
  std::uint64_t life = 0;
  SimLoop* loop = nullptr;
  std::unique_ptr<env::Disk> disk;
  std::unique_ptr<storage::Store> store;
  std::unique_ptr<Ticker> ticker;
  std::unique_ptr<CatchUp> catch_up;
  std::unique_ptr<CatchUp> moves;
  std::unique_ptr<Host> host;
  std::unique_ptr<Partition> partition;
  std::vector<raft::RoleChange> roles;
  std::vector<std::string> notes;
  struct Other {
    Instant heard_at{};
    Instant heard_sent{};
    std::uint64_t life = 0;
    raft::Trust trust = raft::Trust::kNone;
    bool suspected = false;
  };
  std::vector<Other> others;
  std::uint64_t trusts = 0;
  raft::Contacts contacts;
  raft::Settings raft;

 private:
  void trust_anew(Node other);
  Cluster& cluster_;
  const Node number_;
};

void Cluster::Machine::open() {
  CHECK(store == nullptr);
  ++life;
  roles.clear();
  notes.clear();
  const Instant now = cluster_.world.clock().now();
  others.assign(cluster_.machines_.size(), Other{.heard_at = now});
  trusts = 0;
  contacts = {};
  raft = cluster_.options_.raft;
  raft.contacts = &contacts;
  loop = &cluster_.world.make_loop();
  disk = hardware.mount(*loop);
  auto opened = storage::Store::open(
      {.disk = *disk,
       .loop = *loop,
       .shard = 0,
       .on_fatal = [](const common::Error& error) { CHECK(false, "{}", error.detail); }},
      cluster_.options_.store);
  CHECK(opened.ok(), "{}", opened.error().detail);
  store = std::move(opened).value();
  ticker = std::make_unique<Ticker>(*loop);
  catch_up = std::make_unique<CatchUp>(*loop, cluster_.options_.catch_up);
  moves = std::make_unique<CatchUp>(*loop, cluster_.options_.catch_up);
  host = std::make_unique<Host>(
      Host{.self = cluster_.id(number_),
           .clock = cluster_.world.clock(),
           .ticker = *ticker,
           .peers = *this,
           .random = random,
           .raft = raft,
           .catch_up = catch_up.get(),
           .moves = moves.get(),
           .note = [this](std::string_view line) { notes.emplace_back(line); }});
  storage::Log* log = store->find(cluster_.key());
  const auto settings = log_settings(cluster_.options_.settings);
  if (log == nullptr) log = &store->create(cluster_.key(), "orders", settings);
  log->set_settings(settings);
  open_partition(*log);
}

void Cluster::Machine::open_partition(storage::Log& log) {
  const Beginning beginning{.first_voters = cluster_.first_voters(number_),
                            .after_clean_stop = store->recovery().closed_cleanly};
  partition = std::make_unique<Partition>(log, cluster_.options_.settings, *host, beginning);
}

void Cluster::Machine::end() {
  const common::RepliesMayDrop may_drop;
  partition.reset();
  host.reset();
  ticker.reset();
  catch_up.reset();
  moves.reset();
  store.reset();
  disk.reset();
  loop = nullptr;
}

void Cluster::Machine::trust_anew(Node other) {
  others[other].trust = raft::Trust{++trusts};
  contacts.trust(cluster_.id(other).node, others[other].trust);
}

void Cluster::Machine::heard(Node from, std::uint64_t its_life) {
  Other& other = others[from];
  const model::BrokerId node = cluster_.id(from).node;
  other.heard_at = cluster_.world.clock().now();
  if (its_life > other.life) {
    const bool first = std::exchange(other.life, its_life) == 0;
    other.heard_sent = {};
    trust_anew(from);
    contacts.forget_word(node);
    if (!first) {
      other.suspected = false;
      partition->restarted(node);
    }
  }
  if (!std::exchange(other.suspected, false)) return;
  trust_anew(from);
  partition->alive(node);
}

void Cluster::Machine::take(Node from, const Beat& beat) {
  Other& other = others[from];
  if (beat.life < other.life) return;
  heard(from, beat.life);
  other.heard_sent = std::max(other.heard_sent, beat.sent);
  const model::BrokerId node = cluster_.id(from).node;
  const raft::Word* const before = contacts.word(node);
  const bool news = before == nullptr || before->trust != beat.trust;
  contacts.hear(node,
                {.trust = beat.trust, .heard = beat.heard, .patience = raft.election_timeout});
  if (news) partition->alive(node);
}

void Cluster::Machine::look_for_silence() {
  const Instant now = cluster_.world.clock().now();
  for (Node i = 0; i < others.size(); ++i) {
    if (i == number_ || others[i].suspected) continue;
    if (now - others[i].heard_at < cluster_.options_.raft.election_timeout) continue;
    others[i].suspected = true;
    others[i].trust = raft::Trust::kNone;
    contacts.trust(cluster_.id(i).node, raft::Trust::kNone);
    contacts.forget_word(cluster_.id(i).node);
    partition->suspect(cluster_.id(i).node);
  }
}

Cluster::Cluster(ClusterOptions options)
    : world(options.seed), options_(std::move(options)), random_(options_.seed * 77 + 5) {
  for (Node i = 0; i < options_.nodes; ++i)
    machines_.push_back(std::make_unique<Machine>(*this, i, random_.next()));
  links_.resize(options_.nodes * options_.nodes);
}

Cluster::~Cluster() {
  for (Node i = 0; i < machines_.size(); ++i) {
    if (up(i)) crash(i);
  }
}

raft::ReplicaId Cluster::id(Node node) const {
  raft::ReplicaId id{.node = model::BrokerId{static_cast<std::int32_t>(node)}, .directory = {}};
  id.directory.bytes[0] = static_cast<std::uint8_t>(0xd0 + node);
  id.directory.bytes[1] = static_cast<std::uint8_t>(machines_[node]->disks);
  return id;
}

raft::VoterSet Cluster::first_voters(Node node) const {
  raft::VoterSet voters;
  if (node >= options_.voters || machines_[node]->disks > 1) return voters;
  voters.id = {.term = Term{0}, .version = 1};
  for (Node i = 0; i < options_.voters; ++i) {
    raft::ReplicaId first = id(i);
    first.directory.bytes[1] = 1;
    voters.voters.push_back(first);
  }
  return voters;
}

bool Cluster::up(Node node) const {
  return machines_[node]->partition != nullptr;
}
Partition& Cluster::at(Node node) {
  CHECK(up(node));
  return *machines_[node]->partition;
}
const Partition& Cluster::at(Node node) const {
  CHECK(up(node));
  return *machines_[node]->partition;
}
storage::Store& Cluster::store(Node node) {
  return *machines_[node]->store;
}
env::testing::SimDisk& Cluster::disk(Node node) {
  return machines_[node]->hardware;
}
const std::vector<raft::RoleChange>& Cluster::roles(Node node) const {
  return machines_[node]->roles;
}
const std::vector<std::string>& Cluster::notes(Node node) const {
  return machines_[node]->notes;
}

void Cluster::start(Node node) {
  machines_[node]->open();
  machines_[node]->loop->post([this, node] { beat(node); });
}

void Cluster::start_all() {
  for (Node i = 0; i < machines_.size(); ++i) {
    if (!up(i)) start(i);
  }
}

void Cluster::stop(Node node) {
  Machine& machine = *machines_[node];
  machine.partition->close(model::ErrorCode::kShuttingDown);
  auto closed = std::make_shared<std::optional<Result<void>>>();
  machine.store->close([closed](Result<void> result) { *closed = std::move(result); });
  CHECK(world.run_until([closed] { return closed->has_value(); }, std::chrono::minutes(1)),
        "it does not close");
  CHECK((*closed)->ok(), "{}", (*closed)->error().detail);
  machine.loop->stop();
  machine.end();
}

void Cluster::crash(Node node) {
  Machine& machine = *machines_[node];
  machine.loop->stop();
  machine.hardware.crash();
  machine.end();
}

void Cluster::crash(Node node, env::testing::Survival how) {
  Machine& machine = *machines_[node];
  machine.loop->stop();
  machine.hardware.crash(how);
  machine.end();
}

void Cluster::kill(Node node) {
  Machine& machine = *machines_[node];
  machine.loop->stop();
  machine.hardware.kill();
  machine.end();
}

void Cluster::retire_and_return(Node node) {
  Machine& machine = *machines_[node];
  storage::Log& log = *machine.store->find(key());
  machine.partition->close(model::ErrorCode::kNotLeaderOrFollower);
  CHECK(retire(log), "it has no state");
  machine.partition.reset();
  machine.open_partition(log);
}

void Cluster::replace_disk(Node node) {
  CHECK(!up(node));
  machines_[node]->hardware.lose_everything();
  ++machines_[node]->disks;
}

void Cluster::pause(Node node, common::Duration span) {
  machines_[node]->loop->pause_for(span);
}

void Cluster::on(Node node, env::Task task) {
  if (up(node)) machines_[node]->loop->post(std::move(task));
}

// ---- The network

void Cluster::cut(Node from, Node to, bool is_cut) {
  links_[from * machines_.size() + to].is_cut = is_cut;
}

void Cluster::isolate(Node node) {
  for (Node i = 0; i < machines_.size(); ++i) {
    cut(node, i);
    cut(i, node);
  }
}

void Cluster::heal() {
  for (Link& link : links_) link.is_cut = false;
}

void Cluster::deliver(Node from, std::uint64_t life, raft::Message message,
                      std::vector<Bytes> data) {
  ++sent_;
  const auto to = static_cast<Node>(message.to.node.value());
  CHECK(to < machines_.size() && to != from);
  if (on_message && !on_message(message, data)) return;
  const auto chance = [&](int percent) {
    return percent > 0 && random_.chance(static_cast<std::uint64_t>(percent), 100);
  };
  if (!linked(from, to) || chance(faults.drop_percent)) return;
  const int times = chance(faults.repeat_percent) ? 2 : 1;
  for (int i = 0; i < times; ++i) {
    const common::Duration delay{static_cast<common::Duration::rep>(
        random_.below(static_cast<std::uint64_t>(faults.delay_max.count()) + 1))};
    auto shared =
        std::make_shared<std::pair<raft::Message, std::vector<Bytes>>>(message, copy_of(data));
    world.schedule(nullptr, delay, [this, from, to, life, shared] {
      on(to,
         [this, from, to, life, shared] { arrive(from, to, life, shared->first, shared->second); });
    });
  }
}

void Cluster::arrive(Node from, Node to, std::uint64_t life, const raft::Message& message,
                     const std::vector<Bytes>& data) {
  Machine& machine = *machines_[to];
  // Nothing of an old process is given on once the new one was heard.
  if (!linked(from, to) || life < machine.others[from].life) return;
  machine.heard(from, life);
  machine.partition->step(message, data, world.clock().now());
}

void Cluster::beat(Node node) {
  Machine& machine = *machines_[node];
  machine.look_for_silence();
  for (Node to = 0; to < machines_.size(); ++to) {
    if (to == node || !linked(node, to)) continue;
    const Machine::Beat sent{.life = machine.life,
                             .sent = world.clock().now(),
                             .trust = machine.others[to].trust,
                             .heard = machine.others[to].heard_sent};
    world.schedule(nullptr, std::chrono::microseconds(100), [this, node, to, sent] {
      on(to, [this, node, to, sent] {
        if (linked(node, to)) machines_[to]->take(node, sent);
      });
    });
  }
  machine.loop->after(kHeartbeat, [this, node] { beat(node); });
}

// ---- Waiting and asking

bool Cluster::wait(common::Function<bool()> condition, common::Duration limit) {
  return world.run_until(std::move(condition), limit);
}

std::optional<Node> Cluster::leader() const {
  std::optional<Node> found;
  for (Node i = 0; i < machines_.size(); ++i) {
    if (!up(i) || !at(i).is_leader()) continue;
    if (!found.has_value() || at(*found).term() < at(i).term()) found = i;
  }
  return found;
}

Node Cluster::wait_for_leader() {
  CHECK(wait([this] { return leader().has_value(); }), "nobody leads");
  return *leader();
}

bool Cluster::wait_until_level() {
  return wait([this] {
    const auto leading = leader();
    if (!leading.has_value()) return false;
    const Bounds wanted = at(*leading).bounds();
    for (Node i = 0; i < machines_.size(); ++i) {
      if (!up(i)) continue;
      const Bounds bounds = at(i).bounds();
      if (bounds.log_end != wanted.log_end || bounds.high_watermark != wanted.log_end ||
          at(i).log().durable_offset() != wanted.log_end || at(i).term() != at(*leading).term())
        return false;
    }
    return true;
  });
}

std::optional<AppendOutcome> Cluster::append(Node node, Bytes batch, AppendOptions options,
                                             common::Duration limit) {
  auto outcome = std::make_shared<std::optional<AppendOutcome>>();
  at(node).append(std::move(batch), options,
                  [outcome](AppendOutcome answer) { *outcome = std::move(answer); });
  wait([outcome] { return outcome->has_value(); }, limit);
  return *outcome;
}

Offset Cluster::appended(Bytes batch, AppendOptions options) {
  const auto outcome = append(wait_for_leader(), std::move(batch), options);
  CHECK(outcome.has_value(), "no outcome");
  CHECK(!outcome->error.has_value(), "{}", outcome->error->detail);
  return outcome->appended.base_offset;
}

std::vector<Bytes> Cluster::read_all(Node node) {
  while (true) {
    const Offset end = at(node).readable_end(Isolation::kReadUncommitted);
    if (auto batches = read_log(node, end)) return *std::move(batches);
  }
}

std::optional<std::vector<Bytes>> Cluster::read_log(Node node, Offset end) {
  std::vector<Bytes> batches;
  Offset from = at(node).bounds().log_start;
  while (from < end) {
    auto answer = std::make_shared<std::optional<Result<storage::ReadResult>>>();
    at(node).log().read(from, {.up_to = end, .bytes_max = 1 << 20, .at_least_one_batch = true},
                        [answer](Result<storage::ReadResult> read) { *answer = std::move(read); });
    CHECK(wait([answer] { return answer->has_value(); }), "no answer");
    const Bounds bounds = at(node).bounds();
    if (from < bounds.log_start || bounds.log_end < end) return std::nullopt;
    CHECK((*answer)->ok(), "{}", (*answer)->error().detail);
    const storage::ReadResult& read = ***answer;
    CHECK(read.next_offset > from, "a read at {} brought nothing", from);
    for (const Bytes& piece : read.pieces) {
      for (std::size_t at = 0; at < piece.size();) {
        const auto batch = model::BatchView::parse(piece.view().subspan(at));
        CHECK(batch.ok());
        batches.push_back(piece.slice(at, batch->size()));
        at += batch->size();
      }
    }
    from = read.next_offset;
  }
  return batches;
}

void Cluster::set_settings(const model::TopicSettings& settings) {
  options_.settings = settings;
  for (Node i = 0; i < machines_.size(); ++i) {
    if (up(i)) at(i).set_settings(settings);
  }
}

}  // namespace millrace::replica::testing
