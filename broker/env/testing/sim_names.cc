#include "broker/env/testing/sim_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

namespace millrace::env::testing {

using model::ErrorCode;
using model::Result;

namespace {

// "a/b/c" -> {"a/b", "c"}.
std::pair<std::string_view, std::string_view> split(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {{}, path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

// Takes the first part off the path.
std::string_view next_part(std::string_view& path) {
  const std::size_t slash = path.find('/');
  const std::string_view part = path.substr(0, slash);
  path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
  return part;
}

model::Error missing(std::string_view path) {
  return {ErrorCode::kNotFound, fmt::format("{}: no such file or folder", path)};
}

}  // namespace

Result<SimFolder*> SimTree::folder(std::string_view path) const {
  SimFolder* at = root_.get();
  std::string_view rest = path;
  while (!rest.empty()) {
    const std::string_view part = next_part(rest);
    if (part.empty() || part == ".") continue;
    CHECK(part != "..", "paths stay inside the data directory: {}", path);
    const auto found = at->names.find(part);
    if (found == at->names.end() || found->second.folder == nullptr) return missing(path);
    at = found->second.folder.get();
  }
  return at;
}

Result<SimEntry> SimTree::find(std::string_view path) const {
  const auto [parent, name] = split(path);
  TRY_ASSIGN(SimFolder* const at, folder(parent));
  if (name.empty() || name == ".") {
    if (at == root_.get()) return SimEntry{nullptr, root_};
    return missing(path);
  }
  const auto found = at->names.find(name);
  if (found == at->names.end()) return missing(path);
  return found->second;
}

void SimTree::apply(SimNames& names, const NameChange& change) {
  if (!change.erased.empty()) names.erase(change.erased);
  if (!change.put.empty()) names[change.put] = change.entry;
}

void SimTree::change(SimFolder& folder, NameChange change) {
  if (!change.put.empty()) {
    const auto replaced = folder.names.find(change.put);
    if (replaced != folder.names.end() && replaced->second.file != nullptr)
      --replaced->second.file->names;
  }
  apply(folder.names, change);
  folder.unsynced.push_back(std::move(change));
}

Result<void> SimTree::make_folders(std::string_view path) {
  SimFolder* at = root_.get();
  std::string_view rest = path;
  while (!rest.empty()) {
    const std::string_view part = next_part(rest);
    if (part.empty() || part == ".") continue;
    const auto found = at->names.find(part);
    if (found != at->names.end()) {
      if (found->second.folder == nullptr) {
        return {ErrorCode::kIo, fmt::format("{}: a file is in the way", path)};
      }
      at = found->second.folder.get();
      continue;
    }
    auto made = std::make_shared<SimFolder>();
    folders_.push_back(made);
    change(*at, NameChange{0, std::string(part), SimEntry{nullptr, made}, {}});
    at = made.get();
  }
  return {};
}

Result<void> SimTree::put_file(std::string_view path, std::shared_ptr<SimFile> file) {
  const auto [parent, name] = split(path);
  TRY_ASSIGN(SimFolder* const at, folder(parent));
  ++file->names;
  change(*at, NameChange{0, std::string(name), SimEntry{std::move(file), nullptr}, {}});
  return {};
}

Result<void> SimTree::rename(std::string_view from, std::string_view to) {
  const auto [from_parent, from_name] = split(from);
  const auto [to_parent, to_name] = split(to);
  TRY_ASSIGN(SimFolder* const source, folder(from_parent));
  TRY_ASSIGN(SimFolder* const target, folder(to_parent));
  const auto found = source->names.find(from_name);
  if (found == source->names.end()) return missing(from);
  if (from == to) return {};
  const SimEntry entry = found->second;
  if (const auto there = target->names.find(to_name);
      there != target->names.end() && there->second.folder != nullptr) {
    return {ErrorCode::kIo, fmt::format("{}: a folder is in the way", to)};
  }
  if (source == target) {
    change(*target, NameChange{0, std::string(to_name), entry, std::string(from_name)});
    return {};
  }
  const std::uint64_t move = ++last_move_;
  change(*target, NameChange{move, std::string(to_name), entry, {}});
  change(*source, NameChange{move, {}, {}, std::string(from_name)});
  return {};
}

Result<void> SimTree::remove(std::string_view path) {
  const auto [parent, name] = split(path);
  TRY_ASSIGN(SimFolder* const at, folder(parent));
  const auto found = at->names.find(name);
  if (found == at->names.end()) return missing(path);
  if (found->second.file == nullptr) return {ErrorCode::kIo, fmt::format("{}: is a folder", path)};
  --found->second.file->names;
  change(*at, NameChange{0, {}, {}, std::string(name)});
  return {};
}

void SimTree::erase_below(SimFolder& folder) {
  while (!folder.names.empty()) {
    const auto& [name, entry] = *folder.names.begin();
    if (entry.folder != nullptr) erase_below(*entry.folder);
    if (entry.file != nullptr) --entry.file->names;
    change(folder, NameChange{0, {}, {}, name});
  }
}

void SimTree::remove_all(std::string_view path) {
  const auto [parent, name] = split(path);
  const auto at = folder(parent);
  if (!at.ok()) return;
  const auto found = at.value()->names.find(name);
  if (found == at.value()->names.end()) return;
  if (found->second.folder != nullptr) erase_below(*found->second.folder);
  if (found->second.file != nullptr) --found->second.file->names;
  change(*at.value(), NameChange{0, {}, {}, std::string(name)});
}

std::vector<SimTree::Half> SimTree::halves_of(std::uint64_t move) const {
  std::vector<Half> halves;
  if (move == 0) return halves;
  for (std::size_t i = 0; i < folders_.size(); ++i) {
    const auto& unsynced = folders_[i]->unsynced;
    const auto half = std::ranges::find(unsynced, move, &NameChange::move);
    if (half != unsynced.end())
      halves.push_back({i, static_cast<std::size_t>(half - unsynced.begin())});
  }
  return halves;
}

void SimTree::sync(SimFolder& folder) {
  // The other half of a move becomes durable with this one, and all that came before it there.
  std::vector<std::pair<SimFolder*, std::size_t>> work{{&folder, folder.unsynced.size()}};
  while (!work.empty()) {
    auto [at, count] = work.back();
    work.pop_back();
    count = std::min(count, at->unsynced.size());
    std::vector<NameChange> done(
        std::make_move_iterator(at->unsynced.begin()),
        std::make_move_iterator(at->unsynced.begin() + static_cast<std::ptrdiff_t>(count)));
    at->unsynced.erase(at->unsynced.begin(),
                       at->unsynced.begin() + static_cast<std::ptrdiff_t>(count));
    for (const NameChange& change : done) {
      apply(at->stable, change);
      for (const Half half : halves_of(change.move)) {
        work.emplace_back(folders_[half.folder].get(), half.place + 1);
      }
    }
  }
}

void SimTree::sync_all() {
  for (const auto& folder : folders_) {
    for (const NameChange& change : folder->unsynced) apply(folder->stable, change);
    folder->unsynced.clear();
  }
  forget_unreachable();
}

void SimTree::settle(Survival survival, common::Random& random) {
  std::vector<std::size_t> kept(folders_.size());
  for (std::size_t i = 0; i < folders_.size(); ++i) {
    const std::size_t all = folders_[i]->unsynced.size();
    kept[i] = survival == Survival::kEverything ? all
              : survival == Survival::kNothing  ? 0
                                                : random.below(all + 1);
  }
  // A move survives in both folders or in none: shorten prefixes until that is so.
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t i = 0; i < folders_.size(); ++i) {
      for (std::size_t k = kept[i]; k < folders_[i]->unsynced.size(); ++k) {
        for (const Half half : halves_of(folders_[i]->unsynced[k].move)) {
          if (half.place >= kept[half.folder]) continue;
          kept[half.folder] = half.place;
          changed = true;
        }
      }
    }
  }
  for (std::size_t i = 0; i < folders_.size(); ++i) {
    SimFolder& folder = *folders_[i];
    for (std::size_t k = 0; k < kept[i]; ++k) apply(folder.stable, folder.unsynced[k]);
    folder.unsynced.clear();
    for (const auto& [name, entry] : folder.names) {
      if (entry.file != nullptr) entry.file->names = 0;
    }
  }
  for (const auto& folder : folders_) folder->names = folder->stable;
  forget_unreachable();
  for (SimFile* file : files()) file->names = 0;
  for (SimFile* file : files()) ++file->names;
}

void SimTree::forget_unreachable() {
  for (const auto& folder : folders_) folder->seen = false;
  root_->seen = true;
  std::vector<SimFolder*> seen{root_.get()};
  for (std::size_t i = 0; i < seen.size(); ++i) {
    for (const SimNames* names : {&seen[i]->names, &seen[i]->stable}) {
      for (const auto& [name, entry] : *names) {
        if (entry.folder == nullptr || entry.folder->seen) continue;
        entry.folder->seen = true;
        seen.push_back(entry.folder.get());
      }
    }
  }
  std::erase_if(folders_, [](const auto& folder) { return !folder->seen; });
}

std::vector<SimFile*> SimTree::files() const {
  std::vector<SimFile*> all;
  std::vector<const SimFolder*> folders{root_.get()};
  while (!folders.empty()) {
    const SimFolder* at = folders.back();
    folders.pop_back();
    for (const auto& [name, entry] : at->names) {
      if (entry.file != nullptr) all.push_back(entry.file.get());
      if (entry.folder != nullptr) folders.push_back(entry.folder.get());
    }
  }
  return all;
}

std::uint64_t SimTree::changes_unsynced() const {
  std::uint64_t count = 0;
  for (const auto& folder : folders_) count += folder->unsynced.size();
  return count;
}

}  // namespace millrace::env::testing
