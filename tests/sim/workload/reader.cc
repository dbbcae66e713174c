#include "tests/sim/workload/reader.h"

#include <utility>

namespace millrace::sim {
namespace {

constexpr Duration kLookEvery = std::chrono::seconds(2);
constexpr std::uint64_t kGoBackOneIn = 4;

}  // namespace

Reader::Reader(Client::Parts client, History& history, std::string topic)
    : client_(std::move(client)), fetcher_(client_, history), topic_(std::move(topic)) {
  client_.track(topic_);
}

void Reader::start() {
  fetcher_.start();
  look_for_partitions();
}

void Reader::finish() {
  finishing_ = true;
  finished_writing_ = client_.loop().clock().now();
}

std::string Reader::unfinished() const {
  const TopicView* const view = client_.topic(topic_);
  if (view == nullptr || fetcher_.targets().size() != view->leaders.size())
    return fmt::format("{}: does not know all of {}", client_.name(), topic_);
  const std::string behind = fetcher_.behind(finished_writing_);
  return behind.empty() ? "" : fmt::format("{}: has not read {}", client_.name(), behind);
}

void Reader::look_for_partitions() {
  client_.refresh([this](bool fresh) {
    const TopicView* const view = client_.topic(topic_);
    if (fresh && view != nullptr) {
      for (std::size_t i = 0; i < view->leaders.size(); ++i) {
        const Target target{topic_, static_cast<std::int32_t>(i)};
        if (!fetcher_.assigned(target)) fetcher_.assign(target, std::nullopt);
      }
    }
    if (!finishing_ && client_.random().chance(1, kGoBackOneIn)) go_back();
    client_.loop().after(kLookEvery, [this] { look_for_partitions(); });
  });
}

void Reader::go_back() {
  const auto targets = fetcher_.targets();
  if (targets.empty()) return;
  const Target& target = targets[client_.random().below(targets.size())];
  const auto position = fetcher_.position(target);
  if (!position) return;
  const Offset back{client_.random().between(0, position->value())};
  fetcher_.assign(target, back);
}

}  // namespace millrace::sim
