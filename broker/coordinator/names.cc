// The names of states and types as Kafka's tools print them.
#include "broker/coordinator/names.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "common/check.h"

namespace millrace::coordinator {
namespace {

constexpr std::array kStates = {GroupState::kEmpty,
                                GroupState::kPreparingRebalance,
                                GroupState::kCompletingRebalance,
                                GroupState::kStable,
                                GroupState::kDead,
                                GroupState::kAssigning,
                                GroupState::kReconciling};
constexpr std::array kTypes = {GroupType::kClassic, GroupType::kConsumer};

bool same_word(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

template <typename Value, std::size_t count>
std::optional<Value> named(const std::array<Value, count>& all, std::string_view name) {
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](Value value) { return same_word(name_of(value), name); });
  return found == all.end() ? std::nullopt : std::optional<Value>(*found);
}

}  // namespace

std::string_view name_of(GroupState state) {
  switch (state) {
    case GroupState::kEmpty:
      return "Empty";
    case GroupState::kPreparingRebalance:
      return "PreparingRebalance";
    case GroupState::kCompletingRebalance:
      return "CompletingRebalance";
    case GroupState::kStable:
      return "Stable";
    case GroupState::kDead:
      return "Dead";
    case GroupState::kAssigning:
      return "Assigning";
    case GroupState::kReconciling:
      return "Reconciling";
  }
  CHECK(false, "no such state");
}

std::string_view name_of(GroupType type) {
  switch (type) {
    case GroupType::kClassic:
      return "Classic";
    case GroupType::kConsumer:
      return "Consumer";
  }
  CHECK(false, "no such type");
}

std::optional<GroupState> state_named(std::string_view name) {
  return named(kStates, name);
}

std::optional<GroupType> type_named(std::string_view name) {
  return named(kTypes, name);
}

}  // namespace millrace::coordinator
