#include "broker/storage/removals.h"

#include <algorithm>

#include "broker/model/errors.h"

namespace millrace::storage {
namespace {

// The folder itself, or something in it.
bool is_in(const std::string& folder, const std::string& path) {
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

constexpr std::chrono::seconds kRetryDelay{10};
// After each step the disk belongs to others for this many times as long as the step took, and at
// least so long: some file systems tell the device later, of much at once.
constexpr int kPauseFactor = 4;
constexpr std::chrono::milliseconds kPauseMin{4};
// What waits for longer goes without these pauses: space must come back as fast as it is written.
constexpr std::chrono::seconds kPatience{5};
// Small files go together, as many as fit into this time.
constexpr std::chrono::milliseconds kStepTime{1};

}  // namespace

/// What is being removed, one step at a time.
struct Removals::Sweep {
  std::vector<Removal> paths;
  common::Instant since;      // when the first of them was due
  std::vector<bool> removed;  // of the first paths: those that are dealt with
  std::unique_ptr<env::File> shrinking;
  std::uint64_t left = 0;  // bytes of that file
  common::Duration took{};

  bool done() const { return removed.size() == paths.size() && shrinking == nullptr; }

  void step(env::Disk& disk, std::uint64_t step_bytes) {
    if (shrinking != nullptr) return shrink(step_bytes);
    const Removal& next = paths[removed.size()];
    if (next.kind == Removal::Kind::kFile) {
      removed.push_back(remove_file(disk, next.path, step_bytes));
      return;
    }
    const auto entries = disk.list(next.path);
    if (entries.ok()) {
      const auto large = std::ranges::find_if(*entries, [&](const env::DirectoryEntry& entry) {
        return !entry.directory && entry.size > step_bytes;
      });
      const bool goes_on =
          large != entries->end() && remove_file(disk, next.path + "/" + large->name, step_bytes);
      if (goes_on) return;
    }
    removed.push_back(remove_folder(disk, next));
  }

 private:
  void shrink(std::uint64_t step_bytes) {
    left -= std::min(left, step_bytes);
    // What a failure leaves goes when the file is closed.
    if (!shrinking->resize(left).ok() || left == 0) shrinking.reset();
  }

  // The name goes first: nobody must find a file that is shorter than it should be. Failures are
  // not an error of anybody: the path stays listed and is tried again later.
  bool remove_file(env::Disk& disk, const std::string& path, std::uint64_t step_bytes) {
    auto file = disk.open(path, {});
    const auto size = file.ok() ? (*file)->size() : common::Result<std::uint64_t>(0);
    const auto gone = disk.remove(path);
    if (gone.ok() && file.ok() && size.ok() && *size > step_bytes) {
      shrinking = std::move(file).value();
      left = *size;
    }
    return gone.ok() || gone.error().code == model::ErrorCode::kNotFound;
  }

  static bool remove_folder(env::Disk& disk, const Removal& removal) {
    if (!disk.remove_all(removal.path).ok()) return false;
    if (removal.kind == Removal::Kind::kFolderAlone) return true;
    const std::string parent = removal.path.substr(0, removal.path.rfind('/'));
    const auto left = disk.list(parent);
    return !left.ok() || !left->empty() || disk.remove_all(parent).ok();
  }
};

void Removals::add(std::vector<std::string> files, std::int64_t delay_ms) {
  for (std::string& path : files) enter({.path = std::move(path)}, delay_ms);
  schedule();
}

void Removals::add_folder(std::string path, std::int64_t delay_ms) {
  enter({.path = std::move(path), .kind = Removal::Kind::kFolder}, delay_ms);
  schedule();
}

void Removals::add_folder_alone(std::string path, std::int64_t delay_ms) {
  enter({.path = std::move(path), .kind = Removal::Kind::kFolderAlone}, delay_ms);
  schedule();
}

void Removals::enter(Removal removal, std::int64_t delay_ms) {
  const common::Instant due =
      loop_.clock().now() + std::chrono::milliseconds(std::max<std::int64_t>(delay_ms, 0));
  entries_.push_back({.removal = std::move(removal), .due = due});
}

bool Removals::holds(const std::string& folder) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const Entry& entry) { return is_in(folder, entry.removal.path); });
}

void Removals::cancel(const std::string& folder) {
  std::erase_if(entries_, [&](const Entry& entry) {
    return is_in(folder, entry.removal.path) && !entry.running;
  });
}

std::vector<Removal> Removals::pending() const {
  std::vector<Removal> all;
  all.reserve(entries_.size());
  for (const Entry& entry : entries_) all.push_back(entry.removal);
  return all;
}

void Removals::start() {
  started_ = true;
  schedule();
}

void Removals::hurry() {
  if (entries_.empty()) return;  // else the sweep after this one would go without its pauses
  for (Entry& entry : entries_) entry.due = loop_.clock().now();
  hurried_ = true;
  run();
}

void Removals::schedule() {
  if (!started_ || running_ || entries_.empty()) return;
  if (timer_ != env::TimerId::kNone) loop_.cancel(timer_);
  common::Instant first = entries_.front().due;
  for (const Entry& entry : entries_) first = std::min(first, entry.due);
  const auto delay = std::max(first - loop_.clock().now(), common::Duration{0});
  timer_ = loop_.after(delay, lifeline_.guard([this] {
    timer_ = env::TimerId::kNone;
    run();
  }));
}

void Removals::run() {
  if (running_) return;
  auto sweep = std::make_shared<Sweep>();
  const common::Instant now = loop_.clock().now();
  for (Entry& entry : entries_) {
    if (entry.due > now) continue;
    entry.running = true;
    sweep->since = sweep->paths.empty() ? entry.due : std::min(sweep->since, entry.due);
    sweep->paths.push_back(entry.removal);
  }
  if (sweep->paths.empty()) return schedule();
  running_ = true;
  step(std::move(sweep));
}

void Removals::step(std::shared_ptr<Sweep> sweep) {
  disk_.offload(
      [&disk = disk_, &clock = loop_.clock(), step_bytes = step_bytes_, sweep] {
        const common::Instant began = clock.now();
        bool shrank = false;
        do {
          shrank = sweep->shrinking != nullptr;
          sweep->step(disk, step_bytes);
          sweep->took = clock.now() - began;
        } while (!sweep->done() && !shrank && sweep->took < kStepTime);
      },
      lifeline_.guard([this, sweep] { stepped(sweep); }));
}

void Removals::stepped(std::shared_ptr<Sweep> sweep) {
  if (sweep->done()) return end(*sweep);
  const bool urgent = hurried_ || loop_.clock().now() - sweep->since > kPatience;
  const common::Duration pause =
      urgent ? common::Duration{}
             : std::max(common::Duration{kPauseMin}, sweep->took * kPauseFactor);
  loop_.after(pause, lifeline_.guard([this, sweep] { step(sweep); }));
}

void Removals::end(const Sweep& sweep) {
  running_ = false;
  hurried_ = false;
  std::size_t next = 0;  // those that ran are still in the same order
  std::erase_if(entries_, [&](Entry& entry) {
    if (!entry.running) return false;
    entry.running = false;
    entry.due = loop_.clock().now() + kRetryDelay;
    return static_cast<bool>(sweep.removed[next++]);
  });
  schedule();
}

}  // namespace millrace::storage
