#include "broker/storage/removals.h"

#include <algorithm>

#include "broker/model/errors.h"

namespace millrace::storage {
namespace {

// Failures are not an error of anybody: the path stays listed and is tried again later.
bool remove_path(env::Disk& disk, const Removal& removal) {
  if (!removal.folder) {
    const auto removed = disk.remove(removal.path);
    return removed.ok() || removed.error().code == model::ErrorCode::kNotFound;
  }
  if (!disk.remove_all(removal.path).ok()) return false;
  const std::string parent = removal.path.substr(0, removal.path.rfind('/'));
  const auto left = disk.list(parent);
  return !left.ok() || !left->empty() || disk.remove_all(parent).ok();
}

// The folder itself, or something in it.
bool is_in(const std::string& folder, const std::string& path) {
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

constexpr std::chrono::seconds kRetryDelay{10};

}  // namespace

void Removals::add(std::vector<std::string> files, std::int64_t delay_ms) {
  const common::Instant due =
      loop_.clock().now() + std::chrono::milliseconds(std::max<std::int64_t>(delay_ms, 0));
  for (std::string& path : files)
    entries_.push_back({.removal = {.path = std::move(path)}, .due = due});
  schedule();
}

void Removals::add_folder(std::string path, std::int64_t delay_ms) {
  const common::Instant due =
      loop_.clock().now() + std::chrono::milliseconds(std::max<std::int64_t>(delay_ms, 0));
  entries_.push_back({.removal = {.path = std::move(path), .folder = true}, .due = due});
  schedule();
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
  for (Entry& entry : entries_) entry.due = loop_.clock().now();
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
  struct Job {
    std::vector<Removal> paths;
    std::vector<bool> removed;
  };
  auto job = std::make_shared<Job>();
  const common::Instant now = loop_.clock().now();
  for (Entry& entry : entries_) {
    if (entry.due > now) continue;
    entry.running = true;
    job->paths.push_back(entry.removal);
  }
  if (job->paths.empty()) return schedule();
  running_ = true;
  disk_.offload(
      [&disk = disk_, job] {
        for (const Removal& removal : job->paths)
          job->removed.push_back(remove_path(disk, removal));
      },
      lifeline_.guard([this, job] {
        running_ = false;
        std::size_t next = 0;  // those that ran are still in the same order
        std::erase_if(entries_, [&](Entry& entry) {
          if (!entry.running) return false;
          entry.running = false;
          entry.due = loop_.clock().now() + kRetryDelay;
          return static_cast<bool>(job->removed[next++]);
        });
        schedule();
      }));
}

}  // namespace millrace::storage
