#include "tests/sim/apart.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "common/check.h"

namespace millrace::sim {

std::string failure_apart(const std::function<Outcome()>& run) {
  int ends[2];
  CHECK(::pipe(ends) == 0);
  const pid_t child = ::fork();
  CHECK(child >= 0, "no more processes");
  if (child == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[0]);
    ::alarm(120);
    const Outcome outcome = run();
    fmt::print(stderr, "{}", outcome.failure);
    std::fflush(stderr);
    ::_exit(outcome.failure.empty() ? 0 : 1);
  }
  ::close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t got = 0; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(got));
    if (text.size() > 8192) text.erase(0, text.size() - 4096);
  }
  ::close(ends[0]);
  int status = 0;
  CHECK(::waitpid(child, &status, 0) == child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return "found: " + text.substr(0, 300);
}

}  // namespace millrace::sim
