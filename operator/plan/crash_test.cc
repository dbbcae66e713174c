// The operator ends between any two of its actions, and another one begins with nothing but what is
// there.
#include <gtest/gtest.h>

#include <functional>

#include "operator/plan/testing/world.h"

namespace millrace::plan {
namespace {

using testing::World;

struct Story {
  const char* name;
  /// The cluster before, and what people then ask for.
  std::function<void(World&)> begin;
  std::function<void(World&)> change;
};

void three(World& world) {
  world.settle();
}
void five(World& world) {
  world.cluster()["spec"]["brokers"] = 5;
  world.settle();
}

const Story kStories[] = {
    {"a new cluster", [](World&) {}, [](World&) {}},
    {"another image", three,
     [](World& world) {
       world.edit({{"image", "millrace:2"}});
     }},
    {"a setting that restarts", three,
     [](World& world) {
       world.edit({{"config", {{"shards", 2}}}});
     }},
    {"a setting at run time", three,
     [](World& world) {
       world.edit({{"config", {{"message.max.bytes", "2000000"}}}});
     }},
    {"more brokers", three,
     [](World& world) {
       world.edit({{"brokers", 5}});
     }},
    {"fewer brokers", five,
     [](World& world) {
       world.edit({{"brokers", 3}});
     }},
    {"fewer brokers without their volumes", five,
     [](World& world) {
       world.edit({{"brokers", 3}, {"storage", {{"deleteOnScaleDown", true}}}});
     }},
    {"fewer brokers and another image", five,
     [](World& world) {
       world.edit({{"brokers", 4}, {"image", "millrace:2"}});
     }},
    {"larger volumes", three,
     [](World& world) {
       world.edit({{"storage", {{"size", "20Gi"}}}});
     }},
    {"another rack", three, [](World& world) { world.set_rack("node-1", "zone-d"); }},
};

void run_actions(World& world, const ClusterPlan& plan, int& left) {
  for (const Action& action : plan.actions) {
    if (left == 0) return;
    --left;
    world.act(action);
  }
  if (left > 0) world.write_status(plan);
}

// Goal: it does not matter where the operator ends. Method: for every n, do n actions of the story
// and stop in the middle of the pass, before its status is written; then begin anew with no memory.
TEST(Crash, BetweenAnyTwoActionsTheEndIsTheSame) {
  for (const Story& story : kStories) {
    for (int n = 0; n < 120; ++n) {
      SCOPED_TRACE(std::string(story.name) + ", after " + std::to_string(n) + " actions");
      World world;
      story.begin(world);
      story.change(world);
      int left = n;
      for (int pass = 0; pass < 200 && left > 0; ++pass) {
        run_actions(world, plan_cluster(world.observe(), world.now()), left);
        if (left > 0) world.tick();
      }
      world.answers.clear();
      world.settle();
      ASSERT_TRUE(world.is_as_asked());
      ASSERT_EQ(world.broken, std::vector<std::string>{});
      // The story has fewer actions than that.
      if (left > 0) break;
    }
  }
}

// Goal: likewise when an action was done and its answer was lost. Method: the n-th answer.
TEST(Crash, ALostAnswerChangesNothing) {
  for (const Story& story : kStories) {
    for (int n = 0; n < 60; ++n) {
      SCOPED_TRACE(std::string(story.name) + ", answer " + std::to_string(n));
      World world;
      story.begin(world);
      story.change(world);
      int left = n;
      for (int pass = 0; pass < 200 && left > 0; ++pass) {
        run_actions(world, plan_cluster(world.observe(), world.now()), left);
        if (left > 0) world.tick();
      }
      world.lost_answers = 1;
      world.settle();
      ASSERT_TRUE(world.is_as_asked());
      ASSERT_EQ(world.broken, std::vector<std::string>{});
      if (left > 0) break;
    }
  }
}

// Goal: a cluster at rest is left alone (C17). Method: count the writes of many passes over
// minutes.
TEST(Steady, NothingIsPlannedOrWritten) {
  for (const Story& story : kStories) {
    SCOPED_TRACE(story.name);
    World world;
    story.begin(world);
    story.change(world);
    world.settle();
    const std::uint64_t writes = world.writes;
    for (int i = 0; i < 50; ++i) {
      const ClusterPlan plan = world.pass();
      EXPECT_TRUE(plan.actions.empty());
      EXPECT_FALSE(plan.status_changed);
      EXPECT_TRUE(plan.events.empty());
      world.tick();
    }
    EXPECT_EQ(world.writes, writes);
  }
}

}  // namespace
}  // namespace millrace::plan
