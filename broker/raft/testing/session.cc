#include "broker/raft/testing/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "broker/raft/testing/text.h"

namespace millrace::raft {
namespace {

using std::chrono::milliseconds;

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

ReplicaId parse_replica(const std::string& text) {
  const bool other = text.back() >= 'a';
  return replica_id(std::stoi(text), other ? text.back() - 'a' : 0);
}

std::vector<ReplicaId> parse_replicas(const std::string& text) {
  std::vector<ReplicaId> replicas;
  for (const std::string& one : split(text, ',')) replicas.push_back(parse_replica(one));
  return replicas;
}

Position parse_position(const std::string& text) {
  const auto parts = split(text, '@');
  return {Term{std::stoi(parts.at(0))}, Offset{std::stoll(parts.at(1))}};
}

std::int64_t number(const common::ScriptCommand& command, const char* key, std::int64_t fallback) {
  const auto text = command.value(key);
  return text.has_value() ? std::stoll(*text) : fallback;
}

bool has(const common::ScriptCommand& command, const char* word) {
  return std::ranges::find(command.arguments, word) != command.arguments.end();
}

/// A log whose records are told apart by term and offset, so that scripts that say the same have
/// it.
LogImage make_log(const common::ScriptCommand& command) {
  LogImage log;
  log.start = Offset{number(command, "start", 0)};
  const Offset end{number(command, "end", log.start.value())};
  for (const std::string& one : split(command.value("log").value_or(""), ',')) {
    const Position at = parse_position(one);
    log.starts.push_back({at.term, at.offset});
  }
  for (Offset offset = log.start; offset < end; ++offset) {
    Term term{0};
    for (const TermStart& start : log.starts) term = start.offset <= offset ? start.term : term;
    const auto value = static_cast<std::uint64_t>(term.value() * 100'000 + offset.value());
    log.entries.push_back({term, value});
  }
  return log;
}

}  // namespace

Session::Session() {
  // Scripts are about order, not about luck.
  settings_.election_timeout = milliseconds(1000);
  settings_.election_spread = milliseconds(100);
  settings_.promotion_lag_max = 5;
  settings_.append_bytes_max = 2000;
  settings_.inflight_messages_max = 2;
}

void Session::Broker::trusts_anew(int other) {
  trust[other] = Trust{++trusts};
  contacts.trust(model::BrokerId{other}, trust[other]);
}

Session::Broker& Session::broker(int node) {
  Broker& broker = brokers_[node];
  broker.settings = settings_;
  broker.settings.contacts = &broker.contacts;
  return broker;
}

Shell* Session::find(const std::string& name) {
  const auto found = replicas_.find(name);
  return found == replicas_.end() ? nullptr : found->second.get();
}

std::string Session::collect(Shell& shell) {
  std::string text;
  const std::string name = to_text(shell.id());
  Shell::Output& output = shell.output();
  if (!brief_) {
    for (const HardState& hard : output.hard_states)
      text += fmt::format("  {}: save {}\n", name, to_text(hard));
    for (const LogWrite& write : output.writes)
      text += fmt::format("  {}: {}\n", name, to_text(write));
  }
  for (const RoleChange& role : output.roles)
    text += fmt::format("  {}: {}\n", name, to_text(role));
  for (const Notice what : output.notices) text += fmt::format("  {}: {}\n", name, to_text(what));
  if (output.commit.has_value()) text += fmt::format("  {}: committed {}\n", name, *output.commit);
  if (output.acknowledged.has_value() && output.acknowledged != output.commit)
    text += fmt::format("  {}: acknowledged {}\n", name, *output.acknowledged);
  if (output.trim_to.has_value() && !brief_)
    text += fmt::format("  {}: may trim to {}\n", name, *output.trim_to);
  if (output.start_known.has_value() && !brief_)
    text += fmt::format("  {}: a majority knows the start {}\n", name, *output.start_known);
  for (Letter& letter : output.letters) {
    if (!brief_) text += fmt::format("  {}\n", to_text(letter.message));
    waiting_.push_back(std::move(letter));
  }
  output.clear();
  shell.written().clear();
  return text;
}

std::string Session::add(const common::ScriptCommand& command) {
  const std::string& name = command.arguments.at(0);
  HardState hard;
  hard.term = Term{static_cast<std::int32_t>(number(command, "term", 0))};
  if (const auto vote = command.value("vote")) hard.vote = parse_replica(*vote);
  if (const auto voters = command.value("voters")) {
    hard.config.id = {Term{0}, 1};
    hard.config.voters = parse_replicas(*voters);
  }
  if (const auto learners = command.value("learners"))
    hard.config.learners = parse_replicas(*learners);
  if (const auto config = command.value("config")) {
    const auto parts = split(*config, '.');
    hard.config.id = {Term{std::stoi(parts.at(0))}, std::stoll(parts.at(1))};
  }
  GroupSettings group_settings;
  if (has(command, "relaxed")) group_settings.flush = FlushMode::kRelaxed;
  group_settings.min_insync = static_cast<std::uint32_t>(number(command, "insync", 1));
  const ReplicaId id = parse_replica(name);
  auto shell =
      std::make_unique<Shell>(id, group_settings, broker(id.node.value()).settings, random_);
  shell->format(std::move(hard), make_log(command));
  shell->was_away = true;
  replicas_[name] = std::move(shell);
  return start(command);
}

std::string Session::start(const common::ScriptCommand& command) {
  Shell* shell = find(command.arguments.at(0));
  shell->was_away |= has(command, "away");
  shell->boot(now_, has(command, "lost"));
  shell->was_away = false;
  return collect(*shell);
}

std::string Session::crash(const common::ScriptCommand& command) {
  Shell* shell = find(command.arguments.at(0));
  shell->die(has(command, "keep") ? Shell::Unsynced::kKept : Shell::Unsynced::kLost);
  return "";
}

std::string Session::deliver(const common::ScriptCommand& command, bool drop) {
  std::string text;
  const std::string way = command.arguments.empty() ? "" : command.arguments[0];
  std::deque<Letter> now = std::move(waiting_);
  waiting_.clear();
  std::deque<Letter> kept;
  for (Letter& letter : now) {
    const Message& message = letter.message;
    const std::string its = to_text(message.from) + "->" + to_text(message.to);
    if (!way.empty() && way != its) {
      kept.push_back(std::move(letter));
      continue;
    }
    // Addressed by node: a replica on another disk gets to see what is meant for the old one.
    Shell* target = nullptr;
    for (auto& [name, shell] : replicas_) {
      if (shell->running() && shell->id().node == message.to.node) target = shell.get();
    }
    if (drop || target == nullptr) continue;
    if (!brief_) text += to_text(message) + '\n';
    target->step(letter, now_);
    text += collect(*target);
  }
  waiting_.insert(waiting_.begin(), std::make_move_iterator(kept.begin()),
                  std::make_move_iterator(kept.end()));
  return text;
}

std::string Session::settle() {
  std::string text;
  brief_ = true;
  for (int round = 0; round < 100; ++round) {
    bool moved = !waiting_.empty();
    text += deliver({.line = {}, .name = {}, .arguments = {}}, false);
    for (auto& [name, shell] : replicas_) {
      if (!shell->running()) continue;
      moved |= shell->sync_hard(now_);
      text += collect(*shell);
      moved |= shell->sync_log(100, now_);
      text += collect(*shell);
      moved |= shell->answer_fetch(100, now_);
      text += collect(*shell);
    }
    if (!moved) break;
  }
  brief_ = false;
  return text;
}

std::string Session::advance(const common::ScriptCommand& command) {
  std::string text;
  const Instant end = now_ + milliseconds(std::stoll(command.arguments.at(0)));
  for (int steps = 0; steps < 1000; ++steps) {
    Shell* first = nullptr;
    for (auto& [name, shell] : replicas_) {
      if (!shell->running() || shell->group().next_deadline() > end) continue;
      if (first == nullptr || shell->group().next_deadline() < first->group().next_deadline())
        first = shell.get();
    }
    if (first == nullptr) break;
    now_ = std::max(now_, first->group().next_deadline());
    first->tick(now_);
    text += collect(*first);
  }
  now_ = end;
  return text;
}

std::string Session::change(const common::ScriptCommand& command) {
  static const std::map<std::string, Change> kChanges = {{"add", Change::kAddLearner},
                                                         {"promote", Change::kPromote},
                                                         {"demote", Change::kDemote},
                                                         {"remove", Change::kRemove}};
  Shell* shell = find(command.arguments.at(0));
  const Refusal refused = shell->reconfigure(kChanges.at(command.arguments.at(1)),
                                             parse_replica(command.arguments.at(2)), now_);
  return to_text(refused) + '\n' + collect(*shell);
}

/// send FROM->TO tTERM append PREV to=POSITION commit=O | ack POSITION | stand
std::string Session::inject(const common::ScriptCommand& command) {
  const std::string& way = command.arguments.at(0);
  const std::size_t arrow = way.find("->");
  Letter letter;
  Message& message = letter.message;
  message.from = parse_replica(way.substr(0, arrow));
  message.to = parse_replica(way.substr(arrow + 2));
  message.term = Term{std::stoi(command.arguments.at(1).substr(1))};
  const std::string& kind = command.arguments.at(2);
  if (kind == "append") {
    const Position prev = parse_position(command.arguments.at(3));
    const Position to = parse_position(command.value("to").value_or(command.arguments.at(3)));
    message.body = Append{.prev = prev,
                          .term = to.term,
                          .to = to.offset,
                          .commit = Offset{number(command, "commit", 0)}};
    auto data = std::make_shared<Entries>();
    for (Offset offset = prev.offset; offset < to.offset; ++offset)
      data->push_back({to.term, static_cast<std::uint64_t>(offset.value())});
    letter.data = std::move(data);
  } else if (kind == "install") {
    const Position at = parse_position(command.arguments.at(3));
    message.body = Install{.at = at, .first = {at.term, at.offset}, .loss_term = {}};
  } else if (kind == "ack") {
    const Position at = parse_position(command.arguments.at(3));
    message.body = AppendReply{.acked = at, .received = at, .mismatch = std::nullopt};
  }
  waiting_.push_back(std::move(letter));
  return "";
}

std::string Session::state(const Shell& shell) const {
  const std::string name = to_text(shell.id());
  if (!shell.running()) return name + ": down\n";
  static constexpr const char* kRoles[] = {"follower", "pre-candidate", "candidate", "leader"};
  const Group& group = shell.group();
  std::string text =
      fmt::format("{}: {} term={} leader={} log={} commit={} {}", name,
                  kRoles[static_cast<int>(group.role())], group.term(), to_text(group.leader()),
                  to_text(group.log()), group.commit(), to_text(group.config()));
  if (group.unclean()) text += " unclean";
  if (group.quiet()) text += " quiet";
  static constexpr const char* kOddities[] = {"wrong-replica", "unsound", "two-leaders",
                                              "cuts-committed", "impossible"};
  for (int i = 0; i < static_cast<int>(Oddity::kCount); ++i) {
    const std::uint32_t count = group.oddities(static_cast<Oddity>(i));
    if (count > 0) text += fmt::format(" {}={}", kOddities[i], count);
  }
  return text + '\n';
}

std::string Session::show(const common::ScriptCommand& command) {
  if (!command.arguments.empty()) return state(*find(command.arguments[0]));
  std::string text;
  for (const auto& [name, shell] : replicas_) text += state(*shell);
  return text;
}

std::string Session::on_replica(const common::ScriptCommand& command) {
  Shell* shell = command.arguments.empty() ? nullptr : find(command.arguments[0]);
  if (shell == nullptr || !shell->running()) return "no such replica\n";
  const std::string second = command.arguments.size() > 1 ? command.arguments[1] : "";
  const auto node = [&] { return model::BrokerId{std::stoi(second)}; };
  std::string text;
  if (command.name == "sync") {
    shell->sync_log(second.empty() ? 100 : std::stoul(second), now_);
  } else if (command.name == "hard") {
    shell->sync_hard(now_);
  } else if (command.name == "propose") {
    if (!shell->propose(std::stoll(second), now_)) text = "refused\n";
  } else if (command.name == "read") {
    if (!shell->answer_fetch(second.empty() ? 100 : std::stoll(second), now_))
      text = "nothing to read\n";
  } else if (command.name == "suspect") {
    Broker& here = broker(shell->id().node.value());
    here.trust.erase(node().value());
    here.contacts.trust(node(), Trust::kNone);
    here.contacts.forget_word(node());
    shell->suspect(node(), now_);
  } else if (command.name == "alive") {
    Broker& here = broker(shell->id().node.value());
    if (here.trust.count(node().value()) == 0) here.trusts_anew(node().value());
    shell->alive(node(), now_);
  } else if (command.name == "restarted") {
    Broker& here = broker(shell->id().node.value());
    here.heard.erase(node().value());
    here.contacts.forget_word(node());
    here.trusts_anew(node().value());
    shell->restarted(node(), now_);
  } else if (command.name == "campaign") {
    shell->campaign(now_);
  } else if (command.name == "transfer") {
    text = to_text(shell->transfer(parse_replica(second), now_)) + '\n';
  } else if (command.name == "recover") {
    text = to_text(shell->recover_alone(now_)) + '\n';
  } else if (command.name == "trim") {
    shell->trim(Offset{std::stoll(second)}, now_);
  } else if (command.name == "lease") {
    text = shell->group().leased(now_) ? "leased\n" : "no lease\n";
  } else if (command.name == "insync") {
    for (const ReplicaId& one : shell->group().in_sync(now_)) text += to_text(one) + ' ';
    text += shell->group().enough_in_sync(now_) ? "enough\n" : "too few\n";
  } else {
    return "unknown command " + command.name + '\n';
  }
  return text + collect(*shell);
}

std::string Session::beat(const common::ScriptCommand& command) {
  const std::string& way = command.arguments.at(0);
  const int from = std::stoi(way);
  const int to = std::stoi(way.substr(way.find("->") + 2));
  Broker& sender = broker(from);
  Broker& receiver = broker(to);
  if (receiver.trust.count(from) == 0) receiver.trusts_anew(from);
  receiver.heard[from] = now_;
  const auto trusts = sender.trust.find(to);
  const auto heard = sender.heard.find(to);
  const bool says = trusts != sender.trust.end() && heard != sender.heard.end();
  receiver.contacts.hear(model::BrokerId{from}, {.trust = says ? trusts->second : Trust::kNone,
                                                 .heard = says ? heard->second : Instant{},
                                                 .patience = settings_.election_timeout,
                                                 .wordless = has(command, "wordless")});
  std::string text;
  for (auto& [name, shell] : replicas_) {
    if (!shell->running() || shell->id().node.value() != to) continue;
    shell->alive(model::BrokerId{from}, now_);
    text += collect(*shell);
  }
  return text;
}

std::string Session::run(const common::ScriptCommand& command) {
  if (command.name == "replica") return add(command);
  if (command.name == "start") return start(command);
  if (command.name == "crash") return crash(command);
  if (command.name == "deliver") return deliver(command, false);
  if (command.name == "drop") return deliver(command, true);
  if (command.name == "settle") return settle();
  if (command.name == "advance") return advance(command);
  if (command.name == "change") return change(command);
  if (command.name == "send") return inject(command);
  if (command.name == "show") return show(command);
  if (command.name == "beat") return beat(command);
  return on_replica(command);
}

}  // namespace millrace::raft
