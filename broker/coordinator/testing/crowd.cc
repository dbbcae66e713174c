#include "broker/coordinator/testing/crowd.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "broker/coordinator/testing/text.h"
#include "broker/coordinator/topic_regex.h"

namespace millrace::coordinator {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kStoryLines = 80;

Settings settings_of(const CrowdOptions& options) {
  Settings settings;
  settings.consumer_assignment_interval_ms = options.interval_ms;
  settings.consumer_migration = options.migration;
  settings.group_initial_rebalance_delay_ms = 1'000;
  return settings;
}

}  // namespace

Crowd::Crowd(std::uint64_t seed, const CrowdOptions& options)
    : random_(seed),
      options_(options),
      shell_(settings_of(options)),
      world_{shell_, random_, true} {
  for (const char* topic : {"t1", "t2", "t3"})
    shell_.set_topic(topic, static_cast<std::int32_t>(random_.between(1, 6)));
  for (int i = 0; i < 3; ++i) come();
}
Crowd::~Crowd() = default;

std::vector<std::string> Crowd::some_topics() {
  std::vector<std::string> topics;
  for (const char* topic : {"t1", "t2", "t3", "u4"}) {
    if (random_.chance(3, 4)) topics.emplace_back(topic);
  }
  return topics;
}

std::string Crowd::regex_or_none() {
  switch (random_.below(4)) {
    case 0:
      return "t.*";
    case 1:
      return "[tu][34]";
    default:
      return "";
  }
}

void Crowd::come() {
  if (clients_.size() >= 8) return;
  const std::string name = fmt::format("m{}", made_++);
  std::optional<std::string> instance;
  if (random_.chance(1, 4)) instance = fmt::format("i{}", made_);
  const bool classic = random_.chance(static_cast<std::uint64_t>(options_.classic_percent), 100);
  clients_.push_back(classic ? make_classic(name, instance, options_.rounds)
                             : make_consumer(name, instance));
  clients_.back()->subscribe(some_topics(), classic ? "" : regex_or_none());
}

// By a word, or without one.
void Crowd::go() {
  if (clients_.size() < 2) return;
  const auto at = clients_.begin() + static_cast<std::ptrdiff_t>(random_.below(clients_.size()));
  if (random_.chance(1, 2)) (*at)->leave(world_);
  clients_.erase(at);
}

// The process of a static member starts again: another id, or another protocol, for its instance.
void Crowd::restart_static() {
  for (auto& client : clients_) {
    if (!client->instance() || !random_.chance(1, 2)) continue;
    if (random_.chance(2, 3)) client->leave(world_);
    const std::string name = fmt::format("m{}", made_++);
    const bool classic = random_.chance(static_cast<std::uint64_t>(options_.classic_percent), 100);
    auto next = classic ? make_classic(name, client->instance(), options_.rounds)
                        : make_consumer(name, client->instance());
    next->subscribe(client->topics(), classic ? "" : client->regex());
    client = std::move(next);
    return;
  }
}

void Crowd::change_topics() {
  const char* names[] = {"t1", "t2", "t3", "u4"};
  const std::string name = names[random_.below(4)];
  const auto topic = shell_.topics().by_name.find(name);
  if (topic == shell_.topics().by_name.end()) {
    shell_.set_topic(name, static_cast<std::int32_t>(random_.between(1, 6)));
  } else if (random_.chance(1, 3)) {
    shell_.delete_topic(name);
  } else {
    shell_.set_topic(name, topic->second.partitions + 1);
  }
}

void Crowd::move_coordinator() {
  happened_ = "reload";
  shell_.reload(static_cast<Harness::LoadFrom>(random_.below(3)));
}

void Crowd::step() {
  const std::uint64_t dice = random_.below(100);
  if (dice < 3) {
    happened_ = "come";
    come();
  } else if (dice < 5) {
    happened_ = "go";
    go();
  } else if (dice < 6) {
    happened_ = "restart";
    restart_static();
  } else if (dice < 8) {
    happened_ = "topics";
    change_topics();
  } else if (dice < 11) {
    happened_ = "refuse";
    shell_.refuse();
  } else if (dice < 16) {
    move_coordinator();
  } else if (dice < 18) {
    happened_ = "subscribe";
    if (!clients_.empty())
      clients_[random_.below(clients_.size())]->subscribe(some_topics(), regex_or_none());
  } else if (dice < 19) {
    happened_ = "a long pause";
    shell_.advance(milliseconds(random_.between(10'000, 50'000)));
  } else if (dice < 40) {
    happened_ = "time";
    shell_.advance(milliseconds(random_.between(1, 3'000)));
  } else if (!clients_.empty()) {
    const auto& client = clients_[random_.below(clients_.size())];
    happened_ = "turn of " + client->id();
    client->turn(world_);
  }
  std::erase_if(clients_, [](const auto& client) { return client->is_dead(); });
  check();
}

std::string Crowd::story() const {
  std::string text;
  for (const std::string& line : story_) text += line + "\n";
  for (const auto& client : clients_) {
    const PartitionList used(client->used().begin(), client->used().end());
    text += fmt::format("{} uses {}\n", client->id(), shell_.text(by_topic(used)));
  }
  return text;
}

// One user of a partition among those that the group counts as members. A member that was removed
// and does not know it yet is none: what it commits is refused.
void Crowd::check() {
  if (story_.empty() || story_.back() != happened_) story_.push_back(happened_);
  for (const Record& record : shell_.take_records()) {
    const auto* current = std::get_if<CurrentRecord>(&record);
    story_.push_back("  " + to_text(record));
    if (current == nullptr || !current->value) continue;
    const auto print = [&](const std::vector<HeldPartitions>& held) {
      return shell_.text(by_topic(keys_of(flat(held, Epoch{0}))));
    };
    story_.back() += fmt::format(" has {} revokes {}", print(current->value->assigned),
                                 print(current->value->pending_revocation));
  }
  while (story_.size() > kStoryLines) story_.pop_front();
  const GroupDescription group = describe();
  std::set<std::string> members;
  for (const auto& member : group.members) members.insert(member.member);
  std::map<model::PartitionKey, std::string> users;
  for (const auto& client : clients_) {
    if (!members.contains(client->id())) continue;
    // A static member that slept through a generation of a classic group is in it, but what it does
    // is void until it comes again, also if the group is upgraded meanwhile: the leader knew
    // nothing of what it uses.
    if (group.summary.type == GroupType::kClassic && client->epoch() != group.epoch)
      void_[client->id()] = client->epoch();
    const auto slept = void_.find(client->id());
    if (slept != void_.end() && slept->second == client->epoch()) continue;
    for (const model::PartitionKey& key : client->used()) {
      if (!shell_.topics().names.contains(key.topic)) continue;  // deleted: nothing to be used
      const auto [at, first] = users.emplace(key, client->id());
      EXPECT_TRUE(first) << "after " << happened_ << ": " << client->id() << " and " << at->second
                         << " use partition " << key.index.value();
    }
  }
  check_committed();
}

// Of topics that are still there: the others' offsets go with them.
void Crowd::check_committed() {
  for (const auto& [key, offset] : world_.committed) {
    const auto name = shell_.topics().names.find(key.topic);
    if (name == shell_.topics().names.end()) continue;
    OffsetFetch request{.group = "g"};
    request.partitions.emplace();
    request.partitions->push_back(
        {.topic = {.name = name->second, .id = key.topic}, .partition = key.index.value()});
    const OffsetFetchOutcome found = shell_.machine().fetch_offsets(request).value;
    ASSERT_EQ(found.partitions.size(), 1U);
    EXPECT_GE(found.partitions[0].committed.offset.value(), offset)
        << "after " << happened_ << ": what was committed for " << name->second << "-"
        << key.index.value() << " is gone";
  }
}

void Crowd::heal() {
  world_.faults = false;
  happened_ = "healing";
  // Sessions of the dead end after 45 s; then targets, revocations and releases take a few rounds.
  for (int round = 0; round < 40; ++round) {
    shell_.advance(milliseconds(2'500));
    for (const auto& client : clients_) {
      client->turn(world_);
      check();
      if (testing::Test::HasFailure()) return;
    }
    std::erase_if(clients_, [](const auto& client) { return client->is_dead(); });
  }
}

void Crowd::expect_everything_served() {
  std::map<model::PartitionKey, int> expected;
  std::map<model::PartitionKey, int> users;
  for (const auto& client : clients_) {
    EXPECT_TRUE(client->at_rest()) << client->id();
    Used wanted;
    const auto regex = TopicRegex::parse(client->regex());
    for (const auto& [name, topic] : shell_.topics().by_name) {
      const bool named = std::find(client->topics().begin(), client->topics().end(), name) !=
                         client->topics().end();
      if (!named && (client->regex().empty() || !regex->matches(name))) continue;
      for (std::int32_t i = 0; i < topic.partitions; ++i)
        wanted.insert({topic.id, model::PartitionIndex{i}});
    }
    for (const model::PartitionKey& key : wanted) expected[key] = 1;
    for (const model::PartitionKey& key : client->used()) {
      ++users[key];
      EXPECT_TRUE(wanted.contains(key)) << client->id() << " uses what it does not subscribe to";
    }
  }
  EXPECT_EQ(users, expected);
  const GroupDescription group = describe();
  EXPECT_EQ(group.members.size(), clients_.size());
  EXPECT_TRUE(clients_.empty() || group.summary.state == GroupState::kStable)
      << name_of(group.summary.state);
}

}  // namespace millrace::coordinator
