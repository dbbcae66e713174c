// millctl log dump FILE
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <memory>

#include "cli/commands.h"
#include "cli/log_dump.h"

namespace millrace::cli {
namespace {

struct Arguments {
  std::string file;
  bool records = false;
};

/// A file as memory, for reading. Empty: it could not be opened, or has no bytes.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) {
      problem_ = std::strerror(errno);
      return;
    }
    struct stat status {};
    if (::fstat(file, &status) != 0) {
      problem_ = std::strerror(errno);
    } else if (!S_ISREG(status.st_mode)) {
      problem_ = "it is not a file";
    } else if (status.st_size > 0) {
      size_ = static_cast<std::size_t>(status.st_size);
      start_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
      if (start_ == MAP_FAILED) problem_ = std::strerror(errno);
    }
    ::close(file);
  }
  ~MappedFile() {
    if (size_ > 0 && start_ != MAP_FAILED) ::munmap(start_, size_);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& problem() const { return problem_; }
  common::ByteView view() const { return {static_cast<const std::uint8_t*>(start_), size_}; }

 private:
  void* start_ = nullptr;
  std::size_t size_ = 0;
  std::string problem_;
};

Exit dump(const Arguments& arguments, bool json) {
  const MappedFile file(arguments.file);
  if (!file.problem().empty()) {
    fmt::print(stderr, "millctl: {}: {}\n", arguments.file, file.problem());
    return Exit::kNotFound;
  }
  const DumpSummary summary =
      dump_segment(file.view(), {.records = arguments.records, .json = json},
                   [](std::string_view line) { fmt::print("{}\n", line); });
  fmt::print(stderr, "{} batches with {} records", summary.batches, summary.records);
  if (summary.unwritten_bytes > 0)
    fmt::print(stderr, "; {} bytes at the end are not written yet", summary.unwritten_bytes);
  fmt::print(stderr, "\n");
  if (summary.damage.empty()) return Exit::kOk;
  fmt::print(stderr, "millctl: {}: damaged {}\n", arguments.file, summary.damage);
  return Exit::kFailed;
}

}  // namespace

void add_log_commands(CLI::App& app, const Global& global, Exit& exit) {
  CLI::App* log = app.add_subcommand("log", "Look into the files of a data directory");
  log->require_subcommand(1);
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      log->add_subcommand("dump", "Print the batches of a segment file, checking every checksum");
  command->add_option("file", arguments->file, "a .log file below DATA/topics")->required();
  command->add_flag("--records", arguments->records, "the records of each batch too");
  command->footer(
      "With -o json: one object per line. The file of a running broker may end in the middle of "
      "what is being written.");
  command->callback([arguments, &global, &exit] { exit = dump(*arguments, global.json); });
}

}  // namespace millrace::cli
