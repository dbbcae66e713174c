#include "broker/replica/testing/random_run.h"

#include <fmt/format.h>

#include <algorithm>

namespace millrace::replica::testing {
namespace {

constexpr std::size_t kClients = 3;

ClusterOptions cluster_options(const RunOptions& options, common::Random& random) {
  ClusterOptions made;
  made.seed = options.seed;
  made.settings.flush_mode = options.flush;
  made.settings.min_insync_replicas = random.chance(1, 2) ? 2 : 1;
  made.settings.segment_bytes = random.chance(1, 2) ? 4000 : 200'000;
  made.settings.file_delete_delay_ms = random.chance(1, 2) ? 0 : 60'000;
  // So small that what goes over takes several messages.
  made.raft.append_bytes_max = random.chance(1, 2) ? 1 << 20 : 1500;
  made.raft.inflight_messages_max = random.chance(1, 2) ? 16 : 3;
  return made;
}

}  // namespace

RandomRun::RandomRun(const RunOptions& options)
    : options_(options), random_(options.seed * 13 + 1) {
  cluster_ = std::make_unique<Cluster>(cluster_options(options, random_));
  for (std::size_t i = 0; i < kClients; ++i) {
    clients_.push_back(std::make_unique<Client>(
        *cluster_, ClientOptions{.producer = model::ProducerId{static_cast<std::int64_t>(100 + i)},
                                 .seed = random_.next(),
                                 .inflight_max = 1 + random_.below(4),
                                 .loss_expected = relaxed()}));
  }
}

std::string RandomRun::go() {
  cluster_->start_all();
  for (auto& client : clients_) client->begin();
  for (int step = 0; step < options_.steps && failure_.empty(); ++step) {
    const bool calm = random_.chance(1, 10);
    cluster_->world.run_for(std::chrono::milliseconds(random_.below(calm ? 3000 : 120) + 1));
    look();
    if (!failure_.empty()) trace(failure_);
    if (random_.chance(1, 8)) look_at_logs();
    act();
  }
  if (failure_.empty()) come_to_rest();
  for (Node i = 0; i < cluster_->options().nodes; ++i) {
    if (cluster_->up(i)) note_process(i);
  }
  if (failure_.empty()) check_end();
  stats_.terms = leaders_.size();
  return failure_;
}

// ---- What happens

void RandomRun::trace(const std::string& what) {
  if (!options_.trace) return;
  const auto since = cluster_->world.clock().now().time_since_epoch();
  fmt::print("{:9.3f} {}", std::chrono::duration<double>(since).count(), what);
  for (Node i = 0; i < cluster_->options().nodes; ++i) {
    if (!cluster_->up(i)) continue;
    const Bounds bounds = cluster_->at(i).bounds();
    fmt::print("  {}{}: {} {} {}", i, cluster_->at(i).is_leader() ? "*" : "", bounds.log_start,
               bounds.high_watermark, bounds.log_end);
  }
  fmt::print("\n");
}

void RandomRun::act() {
  switch (random_.below(4)) {
    case 0:
      return act_on_process();
    case 1:
      return act_on_network();
    case 2:
      return act_on_group();
    default:
      return;
  }
}

void RandomRun::act_on_process() {
  const Node node = any();
  if (!cluster_->up(node)) {
    cluster_->start(node);
    return trace(fmt::format("start {}", node));
  }
  switch (random_.below(6)) {
    case 0:
    case 1:
      return end_process(node);
    case 2:
      // All at once.
      for (Node i = 0; i < cluster_->options().nodes; ++i) {
        if (cluster_->up(i) && random_.chance(3, 4)) end_process(i);
      }
      return;
    case 3:
      cluster_->disk(node).set_capacity(random_.chance(1, 3) ? 0 : std::uint64_t{1} << 40);
      return;
    case 4:
      trace(fmt::format("checkpoint {}", node));
      return cluster_->store(node).checkpoint([](auto) {});
    default:
      // Down for a moment only.
      end_process(node);
      cluster_->start(node);
      return trace(fmt::format("start {}", node));
  }
}

void RandomRun::end_process(Node node) {
  note_process(node);
  ++stats_.crashes;
  const auto how = random_.below(8);
  trace(fmt::format("end {} {}", node, how == 0 ? "stop" : how < 3 ? "kill" : "crash"));
  switch (how) {
    case 0:
      cluster_->disk(node).set_capacity(std::uint64_t{1} << 40);
      return cluster_->stop(node);
    case 1:
    case 2:
      return cluster_->kill(node);
    case 3:
      return cluster_->crash(node, env::testing::Survival::kNothing);
    default:
      return cluster_->crash(node);
  }
}

/// Remembers of a process that ends what its lines said.
void RandomRun::note_process(Node node) {
  for (const std::string& line : cluster_->notes(node)) {
    if (line.starts_with("event=unclean-election")) ++stats_.unclean_elections;
    if (line.starts_with("event=replica-out-of-service"))
      fail(fmt::format("{} went out of service: {}", node, line));
    if (line.starts_with("event=data-refused")) fail(fmt::format("{} refused: {}", node, line));
  }
}

void RandomRun::act_on_network() {
  switch (random_.below(6)) {
    case 0:
      return cluster_->isolate(any());
    case 1:
      return cluster_->cut(any(), any());
    case 2:
      cluster_->faults.drop_percent = static_cast<int>(random_.below(20));
      return;
    case 3:
      cluster_->faults.repeat_percent = static_cast<int>(random_.below(30));
      return;
    case 4:
      cluster_->faults.delay_max = std::chrono::microseconds(1 + random_.below(20'000));
      return;
    default:
      cluster_->faults = {};
      return cluster_->heal();
  }
}

void RandomRun::act_on_group() {
  const auto leader = cluster_->leader();
  if (!leader.has_value()) {
    if (const Node node = any(); cluster_->up(node)) cluster_->at(node).campaign();
    return;
  }
  Partition& partition = cluster_->at(*leader);
  switch (random_.below(5)) {
    case 0:
    case 1:
      partition.transfer(cluster_->id(any()));
      return;
    case 2: {
      const Bounds bounds = partition.bounds();
      const auto span = static_cast<std::uint64_t>(bounds.high_watermark - bounds.log_start);
      const Offset to = bounds.log_start + static_cast<std::int64_t>(random_.below(span + 1));
      trace(fmt::format("trim {} to {}", *leader, to));
      return partition.delete_records(to, [](auto) {});
    }
    case 3:
      // What nobody waits for.
      return partition.append(batch({.text = "loose"}), {.acks = Acks::kLeader},
                              [](const AppendOutcome&) {});
    default:
      if (const Node node = any(); cluster_->up(node)) cluster_->at(node).campaign();
      return;
  }
}

// ---- What must hold at any time

void RandomRun::look() {
  std::vector<Node> new_leaders;
  for (Node i = 0; i < cluster_->options().nodes; ++i) {
    if (!cluster_->up(i)) continue;
    const Partition& partition = cluster_->at(i);
    const Bounds bounds = partition.bounds();
    if (!(bounds.log_start <= bounds.high_watermark && bounds.high_watermark <= bounds.log_end))
      fail(fmt::format("{} has a high watermark {} outside [{}, {}]", i, bounds.high_watermark,
                       bounds.log_start, bounds.log_end));
    if (partition.role() != raft::Role::kLeader) continue;
    const auto [found, is_new] = leaders_.emplace(partition.term(), i);
    if (!is_new && found->second != i)
      fail(fmt::format("{} and {} lead in term {}", i, found->second, partition.term()));
    if (is_new) new_leaders.push_back(i);
    if (!partition.is_leader()) continue;
    // One that leads in a newer term than all before knows all that was ever shown (E08).
    if (partition.term() > newest_ && bounds.high_watermark < shown_ && !relaxed())
      fail(fmt::format("{} shows {} in term {}, before it was {}", i, bounds.high_watermark,
                       partition.term(), shown_));
    newest_ = std::max(newest_, partition.term());
    shown_ = std::max(shown_, bounds.high_watermark);
  }
  // Last, as time goes by meanwhile.
  for (const Node leader : new_leaders) look_at_producers(leader);
}

/// A new leader knows its producers up to its log's end, committed or not.
void RandomRun::look_at_producers(Node leader) {
  Partition& partition = cluster_->at(leader);
  const auto table = partition.producers();
  const Term term = partition.term();
  const Offset start = partition.bounds().log_start;
  const auto batches = cluster_->read_log(leader, partition.bounds().log_end);
  // What it appends behind changes nothing; one that leads no more may be cut back.
  const bool still = partition.term() == term && partition.bounds().log_start == start;
  if (!still || !batches.has_value() || lost_something()) return;
  ++stats_.leaders_looked_at;
  if (const auto fault = producers_fault(table, *batches, start))
    fail(fmt::format("{}, a new leader, {}", leader, *fault));
}

void RandomRun::look_at_logs() {
  const Node node = any();
  if (!cluster_->up(node)) return;
  check_committed(cluster_->read_all(node), node);
}

/// What was seen once stays as it was (E20).
void RandomRun::check_committed(const std::vector<Bytes>& batches, Node node) {
  if (relaxed()) return;
  for (const Bytes& bytes : batches) {
    const auto view = model::BatchView::parse(bytes).value();
    const auto [found, is_new] = committed_.emplace(view.base_offset(), view.crc());
    if (!is_new && found->second != view.crc())
      fail(fmt::format("{} has another batch at {} than was seen there", node, view.base_offset()));
  }
}

// ---- The end

/// The faults end; then all must be well within some time.
void RandomRun::come_to_rest() {
  cluster_->faults = {};
  cluster_->heal();
  for (Node i = 0; i < cluster_->options().nodes; ++i)
    cluster_->disk(i).set_capacity(std::uint64_t{1} << 40);
  cluster_->start_all();
  for (auto& client : clients_) client->end();
  const bool idle = cluster_->wait([this] {
    return std::ranges::all_of(clients_, [](const auto& client) { return client->idle(); });
  });
  if (!idle) return fail("a client does not get on");
  if (!cluster_->wait_until_level()) return fail("the replicas do not become level");
  look();
  for (const auto& client : clients_) {
    if (!client->failure().empty()) fail(client->failure());
    stats_.acknowledged += client->acknowledged().size();
  }
  cluster_->world.run_for(std::chrono::seconds(20));
  for (Node i = 0; i < cluster_->options().nodes; ++i) {
    if (!cluster_->at(i).group()->quiet()) fail(fmt::format("{} does not become quiet", i));
  }
}

void RandomRun::check_end() {
  std::vector<std::vector<Bytes>> logs;
  for (Node i = 0; i < cluster_->options().nodes; ++i) {
    logs.push_back(cluster_->read_all(i));
    check_committed(logs.back(), i);
    check_log(i, logs.back());
    if (cluster_->at(i).bounds().log_start > Offset{0} &&
        cluster_->at(i).bounds().log_start != cluster_->at(0).bounds().log_start)
      ++stats_.installs;
  }
  const Node leader = *cluster_->leader();
  const auto producers = without_times(cluster_->at(leader).producers());
  for (Node i = 0; i < cluster_->options().nodes; ++i) {
    const auto own = without_times(cluster_->at(i).producers());
    if (own != producers && !lost_something())
      fail(fmt::format("{} knows producers {} and {} knows {}", i, text_of(own), leader,
                       text_of(producers)));
    if (cluster_->at(i).bounds().log_start != cluster_->at(leader).bounds().log_start)
      fail(fmt::format("{} begins at {}, its leader at {}", i, cluster_->at(i).bounds().log_start,
                       cluster_->at(leader).bounds().log_start));
    const auto common = std::min(logs[i].size(), logs[leader].size());
    if (!std::equal(logs[i].end() - static_cast<std::ptrdiff_t>(common), logs[i].end(),
                    logs[leader].end() - static_cast<std::ptrdiff_t>(common)))
      fail(fmt::format("{} and {} have different logs", i, leader));
  }
}

void RandomRun::check_log(Node node, const std::vector<Bytes>& batches) {
  const Bounds bounds = cluster_->at(node).bounds();
  std::map<Offset, std::string> there;
  std::set<std::string> texts;
  std::optional<Offset> next;
  for (const Bytes& bytes : batches) {
    const auto view = model::BatchView::parse(bytes).value();
    if (next.has_value() && view.base_offset() != *next)
      fail(fmt::format("{} has a hole in front of {}", node, view.base_offset()));
    next = view.next_offset();
    const std::string text = text_of(bytes);
    there[view.base_offset()] = text;
    if (text != "loose" && !texts.insert(text).second && !lost_something())
      fail(fmt::format("{} has {} twice", node, text));
  }
  if (next.value_or(bounds.log_end) != bounds.log_end)
    fail(fmt::format("{} ends at {}, its last batch at {}", node, bounds.log_end, *next));
  if (lost_something()) return;
  for (const auto& client : clients_) {
    for (const Acknowledged& one : client->acknowledged()) {
      if (one.offset >= bounds.log_start && there[one.offset] != one.text)
        fail(fmt::format("{} has \"{}\" at {}, acknowledged was {}", node, there[one.offset],
                         one.offset, one.text));
    }
  }
  if (const auto fault = producers_fault(cluster_->at(node).producers(), batches, bounds.log_start))
    fail(fmt::format("{} {}", node, *fault));
}

}  // namespace millrace::replica::testing
