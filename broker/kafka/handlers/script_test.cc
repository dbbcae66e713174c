// The APIs as scripts: what a client is told, version by version, about what is there, what is
// not, and what is wrong.
#include <gtest/gtest.h>

#include "broker/kafka/testing/scripted_client.h"

namespace millrace::kafka {
namespace {

class Script : public ::testing::TestWithParam<const char*> {};

TEST_P(Script, TellsWhatItTold) {
  testing::ScriptedClient client;
  common::run_script("handlers/testdata/" + std::string(GetParam()) + ".txt",
                     [&](const common::ScriptCommand& command) { return client.run(command); });
}

INSTANTIATE_TEST_SUITE_P(, Script,
                         ::testing::Values("admin", "brokers", "cluster", "configs",
                                           "consumer_groups", "groups", "listeners", "offsets",
                                           "produce", "producers", "read", "telemetry", "topics"),
                         [](const auto& script) { return std::string(script.param); });

}  // namespace
}  // namespace millrace::kafka
