#include "common/testing/script.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace millrace::common {
namespace {

constexpr std::string_view kSeparator = "----";

ScriptCommand parse_command(const std::string& line) {
  ScriptCommand command{.line = line, .name = {}, .arguments = {}};
  std::istringstream words(line);
  words >> command.name;
  for (std::string word; words >> word;) command.arguments.push_back(word);
  return command;
}

/// Reads the expected output that begins at `at`; moves behind it.
std::string read_expected(const std::vector<std::string>& lines, std::size_t& at) {
  std::string expected;
  for (; at < lines.size() && !lines[at].empty(); ++at) expected += lines[at] + '\n';
  return expected;
}

std::vector<std::string> read_lines(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path << " cannot be read";
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

}  // namespace

std::optional<std::string> ScriptCommand::value(std::string_view key) const {
  for (const std::string& argument : arguments) {
    if (argument.size() > key.size() && argument.starts_with(key) && argument[key.size()] == '=') {
      return argument.substr(key.size() + 1);
    }
  }
  return std::nullopt;
}

void run_script(const std::string& path,
                const std::function<std::string(const ScriptCommand&)>& handler) {
  const bool rewrite = std::getenv("REWRITE") != nullptr;
  const std::vector<std::string> lines = read_lines(path);
  std::string rewritten;
  std::string actual;
  int blocks = 0;
  for (std::size_t at = 0; at < lines.size(); ++at) {
    rewritten += lines[at] + '\n';
    if (lines[at].empty() || lines[at].starts_with('#')) continue;
    if (lines[at] != kSeparator) {
      actual += handler(parse_command(lines[at]));
      continue;
    }
    const std::size_t place = at + 2;
    const std::string expected = read_expected(lines, ++at);
    rewritten += actual;
    if (at < lines.size()) rewritten += '\n';
    if (!rewrite) {
      EXPECT_EQ(actual, expected) << path << ":" << place;
    }
    actual.clear();
    ++blocks;
  }
  EXPECT_EQ(actual, "") << path << " ends without " << kSeparator;
  EXPECT_GT(blocks, 0) << path << " has no blocks";
  if (rewrite) std::ofstream(path) << rewritten;
}

}  // namespace millrace::common
