#include "tests/sim/workload/surveyor.h"

#include <utility>

#include "tests/sim/client/offset_lookup.h"

namespace millrace::sim {

using model::ErrorCode;

namespace {

constexpr Duration kLookEvery = std::chrono::seconds(2);
constexpr Duration kTimeout = std::chrono::seconds(5);
/// Answers that may be missing: of brokers that stand still.
constexpr std::size_t kAskingMax = 32;

}  // namespace

Surveyor::Surveyor(Client::Parts client, History& history, std::vector<std::string> topics)
    : client_(std::move(client)), history_(history), topics_(std::move(topics)) {
  for (const std::string& topic : topics_) client_.track(topic);
}

void Surveyor::start() {
  look_for_partitions();
  ask_soon();
}

void Surveyor::finish() {
  finishing_ = true;
  answered_.clear();
}

std::string Surveyor::unfinished() const {
  if (targets_.empty()) return fmt::format("{}: knows no partitions", client_.name());
  for (const Target& target : targets_) {
    if (!answered_.contains(target))
      return fmt::format("{}: nobody says where {}-{} ends", client_.name(), target.topic,
                         target.partition);
  }
  return {};
}

void Surveyor::look_for_partitions() {
  client_.refresh([this](bool) {
    targets_.clear();
    for (const std::string& name : topics_) {
      const TopicView* const view = client_.topic(name);
      const std::size_t partitions = view == nullptr ? 0 : view->leaders.size();
      for (std::size_t i = 0; i < partitions; ++i)
        targets_.push_back({name, static_cast<std::int32_t>(i)});
    }
    client_.loop().after(kLookEvery, [this] { look_for_partitions(); });
  });
}

void Surveyor::ask_soon() {
  const Duration pause = std::chrono::milliseconds(client_.random().between(1, 100));
  client_.loop().after(pause, [this] {
    if (!targets_.empty() && asking_ < kAskingMax) ask();
    ask_soon();
  });
}

void Surveyor::ask() {
  const Target target = targets_[client_.random().below(targets_.size())];
  const TopicView* const view = client_.topic(target.topic);
  if (view == nullptr) return;
  const PartitionKey key{view->id, model::PartitionIndex{target.partition}};
  auto request = ask_of_one(target.topic, target.partition, service::kLatest);
  request.isolation_level = client_.random().chance(1, 2) ? 1 : 0;
  ++asking_;
  client_.call(
      Client::kAnyNode, request, kTimeout,
      [this, target, key,
       floor = history_.high_watermark_seen(key)](const Result<wire::ListOffsetsResponse>& answer) {
        --asking_;
        const auto* const told = told_of_one(answer);
        if (told == nullptr) return;
        const ErrorCode code = code_of(told->error_code);
        if (code == ErrorCode::kNone) {
          history_.saw_high_watermark(key, floor, Offset{told->offset});
          if (finishing_) answered_.insert(target);
        } else if (!model::error_row(code).retriable) {
          client_.trace().fail(fmt::format("{}: the end of {}-{} was answered {}", client_.name(),
                                           target.topic, target.partition, name_of(code)));
        }
      });
}

}  // namespace millrace::sim
