// run_script("testdata/create.txt", [&](const ScriptCommand& command) { return
// machine.run(command); });
//
// Tests as text: commands, "----", what they print, an empty line. Lines that begin with '#' say
// why. With REWRITE=1 in the environment the expected output is written anew instead of compared;
// read every change.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::common {

/// One line of a script: a word and its arguments, split at spaces.
struct ScriptCommand {
  std::string line;
  std::string name;
  std::vector<std::string> arguments;

  /// The value of an argument "key=value"; nullopt if it is not given.
  std::optional<std::string> value(std::string_view key) const;
};

/// Runs the script at `path` (relative to the test's source folder), block by block; every
/// command's output must end in a newline or be empty. Differences fail the running test, each with
/// its place.
void run_script(const std::string& path,
                const std::function<std::string(const ScriptCommand&)>& handler);

}  // namespace millrace::common
