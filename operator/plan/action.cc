#include "operator/plan/action.h"

#include <fmt/format.h>

namespace millrace::plan {
namespace {

template <typename... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <typename... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

std::string about(const ObjectRef& target) {
  return fmt::format("{}/{}", target.kind, target.name);
}

std::string about(const Deed& deed) {
  return std::visit(
      Overloaded{
          [](const Create& create) { return about(create.target); },
          [](const Apply& apply) { return about(apply.target); },
          [](const Patch& patch) { return about(patch.target); },
          [](const Delete& gone) { return about(gone.target); },
          [](const AcquirePermit& permit) { return fmt::format("{}", permit.broker); },
          [](const Drain& drain) { return fmt::format("{}", drain.broker); },
          [](const CancelDrain& cancel) { return fmt::format("{}", cancel.broker); },
          [](const Decommission& leave) { return fmt::format("{}", leave.broker); },
          [](const AlterBrokerConfig& config) { return config.name; },
          [](const CreateTopic& topic) { return topic.topic; },
          [](const AddPartitions& topic) { return topic.topic; },
          [](const AlterTopicConfigs& topic) { return topic.topic; },
          [](const DeleteTopic& topic) { return topic.topic; },
      },
      deed);
}

}  // namespace

std::string_view step_name(Step step) {
  switch (step) {
    case Step::kSurroundings:
      return "surroundings";
    case Step::kServices:
      return "services";
    case Step::kBrokers:
      return "brokers";
    case Step::kVolumes:
      return "volumes";
    case Step::kMarks:
      return "marks";
    case Step::kPlaces:
      return "places";
    case Step::kConfig:
      return "config";
    case Step::kRoll:
      return "roll";
    case Step::kScaleDown:
      return "scale-down";
    case Step::kTopic:
      return "topic";
  }
  return "unknown";
}

std::string_view verb(const Action& action) {
  return std::visit(
      Overloaded{
          [](const Create&) { return std::string_view("Create"); },
          [](const Apply&) { return std::string_view("Apply"); },
          [](const Patch&) { return std::string_view("Patch"); },
          [](const Delete&) { return std::string_view("Delete"); },
          [](const AcquirePermit&) { return std::string_view("AcquirePermit"); },
          [](const Drain&) { return std::string_view("Drain"); },
          [](const CancelDrain&) { return std::string_view("CancelDrain"); },
          [](const Decommission&) { return std::string_view("Decommission"); },
          [](const AlterBrokerConfig&) { return std::string_view("AlterBrokerConfig"); },
          [](const CreateTopic&) { return std::string_view("CreateTopic"); },
          [](const AddPartitions&) { return std::string_view("AddPartitions"); },
          [](const AlterTopicConfigs&) { return std::string_view("AlterTopicConfigs"); },
          [](const DeleteTopic&) { return std::string_view("DeleteTopic"); },
      },
      action.deed);
}

std::string key(const Action& action) {
  return fmt::format("{}/{}", verb(action), about(action.deed));
}

}  // namespace millrace::plan
