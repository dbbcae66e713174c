// Random sequences of what people, fate and the operator do (testing/world.h): nothing lost,
// nothing stuck, no volume deleted without a receipt. PLAN_SEEDS=100000 runs more; PLAN_SEED=7 runs
// one and prints what happened.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "common/random.h"
#include "operator/plan/testing/world.h"

namespace millrace::plan {
namespace {

using common::Random;
using testing::World;

class Trial {
 public:
  explicit Trial(std::uint64_t seed) : random_(seed) {
    world_.recovery = static_cast<std::int32_t>(random_.between(0, 4));
    world_.cluster()["spec"]["brokers"] = random_.between(3, 5);
    world_.cluster()["spec"]["rollout"]["atOnce"] = random_.between(0, 2);
    if (random_.chance(1, 4)) world_.settle();
    old_ = world_.observe();
  }

  void go() {
    const auto steps = random_.between(10, 80);
    for (int i = 0; i < steps && world_.broken.empty(); ++i) {
      if (random_.chance(1, 4)) fate();
      if (random_.chance(1, 6)) person();
      operate();
      if (random_.chance(2, 3)) world_.tick();
    }
    calm_down();
  }

  World& world() { return world_; }
  const std::vector<std::string>& story() const { return story_; }

 private:
  std::int32_t broker() { return static_cast<std::int32_t>(random_.below(6)); }
  std::string zone() { return fmt::format("zone-{}", "abcd"[random_.below(4)]); }
  void tell(std::string what) {
    story_.push_back(what);
    world_.log.push_back("* " + std::move(what));
  }

  void person() {
    switch (random_.below(9)) {
      case 0:
      case 1: {
        const auto brokers = random_.between(3, 6);
        tell(fmt::format("brokers {}", brokers));
        return world_.edit({{"brokers", brokers}});
      }
      case 2: {
        const auto image = fmt::format("millrace:{}", random_.below(4));
        tell("image " + image);
        return world_.edit({{"image", image}});
      }
      case 3: {
        const auto shards = random_.below(3);
        tell(fmt::format("shards {}", shards));
        return world_.edit({{"config", {{"shards", shards}}}});
      }
      case 4: {
        const auto bytes = random_.below(3);
        tell(fmt::format("message.max.bytes {}", bytes));
        const Json value = bytes == 0 ? Json() : Json(bytes * 1000000);
        return world_.edit({{"config", {{"message.max.bytes", value}}}});
      }
      case 5: {
        const auto size = fmt::format("{}Gi", 10 + random_.below(3) * 5);
        tell("size " + size);
        return world_.edit({{"storage", {{"size", size}}}});
      }
      case 6: {
        const bool goes = random_.chance(1, 2);
        tell(fmt::format("deleteOnScaleDown {}", goes));
        return world_.edit({{"storage", {{"deleteOnScaleDown", goes}}}});
      }
      case 7:
        return hold(random_.chance(1, 2));
      default:
        world_.annotate("MillraceCluster", "events", "millrace.dev/paused",
                        random_.chance(1, 3) ? std::optional<std::string>("true") : std::nullopt);
        return tell("paused or not");
    }
  }

  void hold(bool held) {
    for (auto& [name, pod] : world_.all("Pod")) {
      if (!random_.chance(1, 3)) continue;
      tell(fmt::format("hold {} {}", name, held));
      world_.annotate("Pod", name, "millrace.dev/hold",
                      held ? std::optional<std::string>("true") : std::nullopt);
    }
  }

  void fate() {
    switch (random_.below(8)) {
      case 0: {
        const auto which = broker();
        tell(fmt::format("kill {}", which));
        return world_.kill(which);
      }
      case 1: {
        const auto which = broker();
        const bool stopped = random_.chance(1, 2);
        tell(fmt::format("stop {} {}", which, stopped));
        return world_.stop(which, stopped);
      }
      case 2:
        world_.lost_answers = static_cast<int>(random_.below(3));
        return tell("lost answers");
      case 3:
        world_.brokers_reachable = random_.chance(1, 2);
        return tell(fmt::format("reachable {}", world_.brokers_reachable));
      case 4:
        world_.bad_images =
            random_.chance(1, 2) ? std::set<std::string>{"millrace:3"} : std::set<std::string>{};
        return tell("images");
      case 5: {
        const auto node = fmt::format("node-{}", random_.below(3));
        const auto rack = random_.chance(1, 4) ? "" : zone();
        tell(fmt::format("{} in {}", node, rack));
        return world_.set_rack(node, rack);
      }
      case 6:
        world_.stuck = random_.chance(1, 3);
        return tell(fmt::format("stuck {}", world_.stuck));
      default:
        world_.answers.clear();
        world_.synced = random_.chance(3, 4);
        return tell("the operator begins anew");
    }
  }

  /// A pass, or a part of one, on what is there or on what was there earlier.
  void operate() {
    if (random_.chance(1, 3)) old_ = world_.observe();
    // Caches of objects may be behind; brokers are asked when it is planned.
    ClusterObservation seen = world_.observe();
    if (random_.chance(1, 4)) {
      const ClusterView view = seen.view;
      seen = old_;
      if (random_.chance(1, 2)) seen.view = view;
    }
    const ClusterPlan plan = plan_cluster(seen, world_.now());
    check(plan);
    std::set<Step> failed;
    for (const Action& action : plan.actions) {
      if (random_.chance(1, 12)) return;  // The operator ends here.
      if (failed.count(action.step) == 0 && !world_.act(action)) failed.insert(action.step);
    }
    world_.write_status(plan);
  }

  /// One thing at most is destroyed at once, but for restarts that the brokers permitted.
  void check(const ClusterPlan& plan) {
    int destroyed = 0;
    int restarted = 0;
    for (const Action& action : plan.actions) {
      if (const auto* const gone = std::get_if<Delete>(&action.deed)) {
        if (gone->target.kind == "Pod") ++restarted;
        if (gone->target.kind == "PersistentVolumeClaim") ++destroyed;
      }
      if (std::holds_alternative<Decommission>(action.deed)) ++destroyed;
    }
    if (destroyed > 1 || (destroyed == 1 && restarted > 0)) {
      world_.broken.push_back("two things were destroyed at once");
    }
  }

  /// Faults stop, people want something that can be had: then it must come to be.
  void calm_down() {
    if (!world_.broken.empty()) return;
    for (int i = 0; i < 6; ++i) world_.stop(i, false);
    world_.lost_answers = 0;
    world_.brokers_reachable = true;
    world_.bad_images.clear();
    world_.stuck = false;
    world_.synced = true;
    hold(false);
    for (auto& [name, pod] : world_.all("Pod")) {
      world_.annotate("Pod", name, "millrace.dev/hold", std::nullopt);
    }
    world_.annotate("MillraceCluster", "events", "millrace.dev/paused", std::nullopt);
    tell("calm");
    world_.settle(600);
    if (world_.broken.empty() && !world_.is_as_asked()) {
      world_.broken.push_back(
          "it did not become what was asked for: " + world_.condition("Progressing", "message") +
          " / " + world_.condition("Degraded", "message"));
    }
  }

  Random random_;
  World world_;
  ClusterObservation old_;
  std::vector<std::string> story_;
};

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* const value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

TEST(PlanProperty, NothingLostNothingStuck) {
  const std::uint64_t only = from_environment("PLAN_SEED", 0);
  const std::uint64_t first = only != 0 ? only : from_environment("PLAN_FIRST", 1);
  const std::uint64_t seeds = only != 0 ? 1 : from_environment("PLAN_SEEDS", 500);
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    Trial run(seed);
    run.go();
    if (only != 0) {
      for (const std::string& line : run.world().log) fmt::print("{}\n", line);
    }
    for (const std::string& rule : run.world().broken) {
      ADD_FAILURE() << "PLAN_SEED=" << seed << ": " << rule;
    }
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace millrace::plan
