// millctl completion bash|zsh|fish: scripts made from the commands themselves.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "cli/commands.h"

namespace millrace::cli {
namespace {

/// Words that may follow each command path, as "path|word word ...".
void collect(const CLI::App& app, const std::string& path,
             std::vector<std::pair<std::string, std::string>>& rows) {
  std::string words;
  for (const CLI::App* command : app.get_subcommands({})) words += command->get_name() + " ";
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) words += "--" + name + " ";
  }
  rows.emplace_back(path, words);
  for (const CLI::App* command : app.get_subcommands({})) {
    collect(*command, path.empty() ? command->get_name() : path + " " + command->get_name(), rows);
  }
}

std::string bash_script(const CLI::App& app, bool zsh) {
  std::vector<std::pair<std::string, std::string>> rows;
  collect(app, "", rows);
  std::string script = zsh ? "autoload -U +X bashcompinit && bashcompinit\n" : "";
  script += "_millctl() {\n  local path=\"\" word i\n";
  script += "  for ((i = 1; i < COMP_CWORD; i++)); do\n    word=${COMP_WORDS[i]}\n";
  script += "    [[ $word == -* ]] || path=\"${path:+$path }$word\"\n  done\n  case \"$path\" in\n";
  for (const auto& [path, words] : rows) {
    // The words of a command follow its path; its own arguments (a topic's name, say) may stand
    // between. Groups have none: what follows them is a command.
    const bool group = std::any_of(rows.begin(), rows.end(), [&path = path](const auto& other) {
      return path.empty() || other.first.starts_with(path + " ");
    });
    const std::string pattern =
        group ? fmt::format("\"{}\"", path) : fmt::format("\"{0}\"|\"{0} \"*", path);
    script += fmt::format(
        "    {}) COMPREPLY=($(compgen -W \"{}\" -- \"${{COMP_WORDS[COMP_CWORD]}}\")) ;;\n", pattern,
        words);
  }
  script += "  esac\n}\ncomplete -F _millctl millctl\n";
  return script;
}

std::string fish_script(const CLI::App& app) {
  std::string script = "complete -c millctl -f\n";
  for (const CLI::App* command : app.get_subcommands({})) {
    script += fmt::format("complete -c millctl -n __fish_use_subcommand -a {} -d '{}'\n",
                          command->get_name(), command->get_description());
    for (const CLI::App* inner : command->get_subcommands({})) {
      script +=
          fmt::format("complete -c millctl -n '__fish_seen_subcommand_from {}' -a {} -d '{}'\n",
                      command->get_name(), inner->get_name(), inner->get_description());
    }
  }
  return script;
}

}  // namespace

void add_completion_command(CLI::App& app, Exit& exit) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("completion", "Print a completion script for a shell");
  command->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->footer("example: source <(millctl completion bash)");
  command->callback([shell, &app, &exit] {
    fmt::print("{}", *shell == "fish" ? fish_script(app) : bash_script(app, *shell == "zsh"));
    exit = Exit::kOk;
  });
}

}  // namespace millrace::cli
