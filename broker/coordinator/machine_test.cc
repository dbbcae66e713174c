// Goal: every transition of the classic group, and what commits, reads and deletion of offsets are
// answered. Method: scripts, each line of which is one input; see testing/session.h.
#include "broker/coordinator/machine.h"

#include <gtest/gtest.h>

#include "broker/coordinator/testing/session.h"

namespace millrace::coordinator {
namespace {

class Scripts : public testing::TestWithParam<const char*> {};

TEST_P(Scripts, AnswerAsWritten) {
  Session session;
  common::run_script(std::string("testdata/") + GetParam() + ".txt",
                     [&](const common::ScriptCommand& command) { return session.run(command); });
}

INSTANTIATE_TEST_SUITE_P(Machine, Scripts,
                         testing::Values("classic_join", "classic_sync", "classic_sessions",
                                         "classic_static", "classic_leave", "classic_refused",
                                         "classic_restart", "offsets", "offsets_expiry", "admin"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace millrace::coordinator
