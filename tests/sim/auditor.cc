#include "tests/sim/auditor.h"

#include <utility>

#include "tests/sim/client/offset_lookup.h"

namespace millrace::sim {
namespace {

constexpr Duration kTimeout = std::chrono::seconds(4);

}  // namespace

Auditor::Auditor(Client::Parts client, History& history, GroupHistory& groups, Scope scope)
    : client_(std::move(client)),
      fetcher_(client_, history),
      history_(history),
      groups_(groups),
      scope_(std::move(scope)) {
  for (const std::string& topic : scope_.topics) client_.track(topic);
  fetcher_.on_record([this](const PartitionKey& key, Offset offset, std::string_view value) {
    records_[key].push_back({offset, std::string(value)});
  });
}

void Auditor::start() {
  began_ = client_.loop().clock().now();
  fetcher_.start();
  look();
}

std::string Auditor::unfinished() const {
  if (done_) return {};
  return fmt::format("{}: cannot read everything: {} of {} partitions found", client_.name(),
                     starts_.size(), targets_.size());
}

void Auditor::look_again() {
  client_.loop().after(client_.pause(), [this] { look(); });
}

void Auditor::look() {
  client_.refresh([this](bool fresh) {
    if (!fresh) return look_again();
    std::map<model::TopicId, std::string> names;
    for (const std::string& name : scope_.topics)
      if (const TopicView* const view = client_.topic(name)) names[view->id] = name;
    for (const PartitionKey& key : history_.partitions()) {
      const auto name = names.find(key.topic);
      if (name == names.end()) {
        return client_.trace().fail(
            fmt::format("the topic {}, which was written to, is not there", key.topic));
      }
      const Target target{name->second, key.index.value()};
      // Its leader may not be known yet.
      if (client_.leader(target.topic, target.partition) < 0) return look_again();
      if (targets_.emplace(key, target).second) ask_start(target, key);
    }
    looked_ = true;
    close_if_done();
  });
}

void Auditor::ask_start(const Target& target, const PartitionKey& key) {
  client_.call(client_.leader(target.topic, target.partition),
               ask_of_one(target.topic, target.partition, service::kEarliest), kTimeout,
               [this, target, key](const Result<wire::ListOffsetsResponse>& answer) {
                 const auto* const told = told_of_one(answer);
                 if (told == nullptr || told->error_code != 0) return ask_start_again(target, key);
                 const Offset start{told->offset};
                 starts_[key] = start;
                 fetcher_.assign(target, start);
               });
}

/// Another one may lead it by now.
void Auditor::ask_start_again(const Target& target, const PartitionKey& key) {
  client_.loop().after(client_.pause(), [this, target, key] {
    client_.refresh([this, target, key](bool) { ask_start(target, key); });
  });
}

void Auditor::close_if_done() {
  if (looked_ && starts_.size() == targets_.size() && fetcher_.caught_up(began_)) return close();
  client_.loop().after(client_.pause(), [this] { close_if_done(); });
}

void Auditor::close() {
  for (const auto& [key, target] : targets_)
    history_.check_whole(key, starts_.at(key), *fetcher_.position(target), records_[key]);
  for (const auto& [group, topic] : scope_.groups) {
    for (const auto& [key, target] : targets_) {
      if (target.topic != topic) continue;
      const Offset committed = groups_.committed_floor(group, target);
      const Offset end = *fetcher_.position(target);
      if (committed != end) {
        client_.trace().fail(fmt::format("group {} committed {} of {}-{}, which ends at {}", group,
                                         committed, target.topic, target.partition, end));
      }
    }
  }
  done_ = true;
}

}  // namespace millrace::sim
