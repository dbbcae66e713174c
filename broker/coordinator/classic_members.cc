#include "broker/coordinator/classic_members.h"

#include <algorithm>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "common/check.h"

namespace millrace::coordinator {

const Protocol* ClassicMember::protocol(const std::string& name) const {
  for (const Protocol& known : protocols) {
    if (known.name == name) return &known;
  }
  return nullptr;
}

ClassicMember* ClassicMembers::find(const std::string& id) {
  const auto at = table_.find(id);
  return at == table_.end() ? nullptr : &at->second;
}

const ClassicMember* ClassicMembers::find(const std::string& id) const {
  const auto at = table_.find(id);
  return at == table_.end() ? nullptr : &at->second;
}

ClassicMember* ClassicMembers::find_instance(const std::string& instance) {
  const auto id = instances_.find(instance);
  return id == instances_.end() ? nullptr : find(id->second);
}

const ClassicMember* ClassicMembers::find_instance(const std::string& instance) const {
  const auto id = instances_.find(instance);
  if (id == instances_.end()) return nullptr;
  const ClassicMember* member = find(id->second);
  CHECK(member != nullptr, "instance {} is of member {}, who is not there", instance, id->second);
  return member;
}

std::vector<std::string> ClassicMembers::ids() const {
  std::vector<std::string> ids;
  ids.reserve(table_.size());
  for (const auto& [id, member] : table_) ids.push_back(id);
  return ids;
}

ClassicMember& ClassicMembers::add(ClassicMember member) {
  CHECK(!member.id.empty());
  CHECK(!member.join.has_value());
  CHECK(!member.sync.has_value());
  CHECK(!member.owes_sync);
  if (member.instance.has_value()) {
    const bool is_free = instances_.emplace(*member.instance, member.id).second;
    CHECK(is_free, "instance {} is taken", *member.instance);
  }
  std::string id = member.id;
  const auto [at, is_new] = table_.emplace(std::move(id), std::move(member));
  CHECK(is_new, "member {} is there", at->first);
  count(at->second);
  if (leader_.empty()) leader_ = at->first;
  return at->second;
}

void ClassicMembers::remove(const std::string& id) {
  const auto at = table_.find(id);
  CHECK(at != table_.end(), "no member {}", id);
  ClassicMember& member = at->second;
  CHECK(!member.join.has_value(), "the join of {} would never be answered", id);
  CHECK(!member.sync.has_value(), "the sync of {} would never be answered", id);
  set_owes_sync(member, false);
  uncount(member);
  if (member.instance.has_value()) instances_.erase(*member.instance);
  const bool led = leader_ == id;
  table_.erase(at);  // `id` may have been the member's own
  if (led) leader_ = table_.empty() ? std::string() : table_.begin()->first;
}

ClassicMember& ClassicMembers::rename(const std::string& instance, const std::string& new_id) {
  CHECK(table_.count(new_id) == 0, "member {} is there", new_id);
  const auto holder = instances_.find(instance);
  CHECK(holder != instances_.end(), "no instance {}", instance);
  auto node = table_.extract(holder->second);
  CHECK(!node.empty(), "instance {} is of nobody", instance);
  CHECK(!node.mapped().join.has_value());
  CHECK(!node.mapped().sync.has_value());
  if (leader_ == holder->second) leader_ = new_id;
  holder->second = new_id;
  node.key() = new_id;
  node.mapped().id = new_id;
  node.mapped().session = Timer();
  return table_.insert(std::move(node)).position->second;
}

void ClassicMembers::lead(const std::string& id) {
  CHECK(table_.count(id) == 1, "{} cannot lead a group that it is not in", id);
  leader_ = id;
}

void ClassicMembers::set_protocols(ClassicMember& member, const std::vector<Protocol>& protocols) {
  uncount(member);
  member.protocols.clear();
  std::unordered_set<std::string_view> names;
  for (const Protocol& protocol : protocols) {
    if (names.insert(protocol.name).second) member.protocols.push_back(protocol);
  }
  count(member);
}

void ClassicMembers::count(const ClassicMember& member) {
  for (const Protocol& protocol : member.protocols) ++known_by_[protocol.name];
}

void ClassicMembers::uncount(const ClassicMember& member) {
  for (const Protocol& protocol : member.protocols) {
    const auto at = known_by_.find(protocol.name);
    CHECK(at != known_by_.end(), "protocol {} was never counted", protocol.name);
    if (--at->second == 0) known_by_.erase(at);
  }
}

void ClassicMembers::wait_for_join(ClassicMember& member, Ticket ticket) {
  CHECK(!member.join.has_value(), "two joins of {}", member.id);
  member.join = ticket;
  ++joining_;
}

void ClassicMembers::wait_for_sync(ClassicMember& member, Ticket ticket) {
  CHECK(!member.sync.has_value(), "two syncs of {}", member.id);
  member.sync = ticket;
}

std::optional<Ticket> ClassicMembers::take_join(ClassicMember& member) {
  if (member.join.has_value()) {
    CHECK(joining_ > 0);
    --joining_;
  }
  return std::exchange(member.join, std::nullopt);
}

std::optional<Ticket> ClassicMembers::take_sync(ClassicMember& member) {
  return std::exchange(member.sync, std::nullopt);
}

void ClassicMembers::set_owes_sync(ClassicMember& member, bool owes) {
  if (member.owes_sync == owes) return;
  member.owes_sync = owes;
  if (owes) {
    ++owing_sync_;
    CHECK(owing_sync_ <= table_.size());
  } else {
    CHECK(owing_sync_ > 0);
    --owing_sync_;
  }
}

std::int32_t ClassicMembers::rebalance_timeout_ms() const {
  std::int32_t longest = 0;
  for (const auto& [id, member] : table_) {
    longest = std::max(longest, member.rebalance_timeout_ms);
  }
  return longest;
}

bool ClassicMembers::supports_any(const std::vector<Protocol>& protocols) const {
  if (table_.empty()) return true;
  return std::any_of(protocols.begin(), protocols.end(), [&](const Protocol& protocol) {
    const auto at = known_by_.find(protocol.name);
    return at != known_by_.end() && at->second == table_.size();
  });
}

std::string ClassicMembers::elect_protocol() const {
  CHECK(!table_.empty(), "nobody elects");
  const auto is_candidate = [&](const Protocol& protocol) {
    const auto at = known_by_.find(protocol.name);
    return at != known_by_.end() && at->second == table_.size();
  };
  std::map<std::string, std::size_t> votes;
  for (const auto& [id, member] : table_) {
    const auto favourite =
        std::find_if(member.protocols.begin(), member.protocols.end(), is_candidate);
    CHECK(favourite != member.protocols.end(), "{} shares no protocol with the others", id);
    ++votes[favourite->name];
  }
  // In the leader's order, so that of equals the first one stays.
  const ClassicMember* leader = find(leader_);
  CHECK(leader != nullptr, "a group without a leader");
  const std::string* best = nullptr;
  std::size_t most = 0;
  for (const Protocol& protocol : leader->protocols) {
    const auto at = votes.find(protocol.name);
    if (at == votes.end() || at->second <= most) continue;
    most = at->second;
    best = &protocol.name;
  }
  CHECK(best != nullptr);
  return *best;
}

}  // namespace millrace::coordinator
