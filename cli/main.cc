#include <CLI/CLI.hpp>

#include "cli/commands.h"

// The Millrace command line. docs/millctl.md shows it in use.
int main(int argc, char** argv) {
  using namespace millrace::cli;  // NOLINT: this is the program
  CLI::App app("millctl - the command line of Millrace. It talks gRPC to any broker.", "millctl");
  app.set_version_flag("--version", MILLRACE_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  Global global;
  std::string output = "table";
  app.add_option("-b,--broker", global.broker,
                 "HOST:PORT of a broker's gRPC door (default localhost:9094)")
      ->envname("MILLRACE_BROKER");
  app.add_option("-o,--output", output, "table or json")->check(CLI::IsMember({"table", "json"}));
  app.add_option("--timeout-ms", global.timeout_ms, "how long a call may take")
      ->check(CLI::PositiveNumber);
  app.parse_complete_callback([&] { global.json = output == "json"; });
  Exit exit = Exit::kOk;
  add_topic_commands(app, global, exit);
  add_produce_command(app, global, exit);
  add_consume_command(app, global, exit);
  add_group_commands(app, global, exit);
  add_config_commands(app, global, exit);
  add_cluster_commands(app, global, exit);
  add_broker_commands(app, global, exit);
  add_partition_commands(app, global, exit);
  add_why_command(app, global, exit);
  add_doctor_command(app, global, exit);
  add_local_commands(app, global, exit);
  add_log_commands(app, global, exit);
  add_completion_command(app, exit);
  app.footer(
      "exit codes: 0 done, 1 refused, 2 wrong usage, 3 not found, 4 no broker answered, 5 "
      "something "
      "is not well (why, doctor, cluster health)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    return app.exit(problem) == 0 ? 0 : static_cast<int>(Exit::kUsage);
  }
  return static_cast<int>(exit);
}
