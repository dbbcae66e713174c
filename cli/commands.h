// What each group of commands adds to the command line. A command stores its result in `exit`.
#pragma once

#include <CLI/App.hpp>

#include "cli/client.h"

namespace millrace::cli {

void add_topic_commands(CLI::App& app, const Global& global, Exit& exit);
void add_produce_command(CLI::App& app, const Global& global, Exit& exit);
void add_consume_command(CLI::App& app, const Global& global, Exit& exit);
void add_config_commands(CLI::App& app, const Global& global, Exit& exit);
void add_cluster_commands(CLI::App& app, const Global& global, Exit& exit);
void add_broker_commands(CLI::App& app, const Global& global, Exit& exit);
void add_partition_commands(CLI::App& app, const Global& global, Exit& exit);
void add_group_commands(CLI::App& app, const Global& global, Exit& exit);
void add_why_command(CLI::App& app, const Global& global, Exit& exit);
void add_doctor_command(CLI::App& app, const Global& global, Exit& exit);
void add_local_commands(CLI::App& app, const Global& global, Exit& exit);
void add_log_commands(CLI::App& app, const Global& global, Exit& exit);
void add_completion_command(CLI::App& app, Exit& exit);

}  // namespace millrace::cli
