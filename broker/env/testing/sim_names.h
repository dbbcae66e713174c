// The folders of a simulated disk: names as programs see them, and what a loss of power may leave
// of them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "broker/env/testing/sim_content.h"
#include "broker/model/errors.h"

namespace millrace::env::testing {

struct SimFolder;

/// One file of the simulated disk; lives as long as a name, a possible name after a crash, or an
/// open handle.
struct SimFile {
  SimContent content;
  std::uint64_t allocated = 0;  // bytes of space it holds, from its start
  int names = 0;                // visible ones
  int handles = 0;
};

/// What a name stands for: exactly one of the two.
struct SimEntry {
  std::shared_ptr<SimFile> file;
  std::shared_ptr<SimFolder> folder;
};

/// One change of a folder that is not yet durable.
struct NameChange {
  std::uint64_t move = 0;  // not 0: half of a move between folders; the other half carries the same
  std::string put;         // empty: nothing was put
  SimEntry entry;
  std::string erased;  // empty: nothing was erased
};

using SimNames = std::map<std::string, SimEntry, std::less<>>;

struct SimFolder {
  SimNames names;
  SimNames stable;
  std::vector<NameChange> unsynced;
  bool seen = false;  // scratch of SimTree::forget_unreachable()
};

/// All folders. Changes of one folder reach the disk in their order; those of different folders in
/// any order, except that a move between two folders happens in both or in none.
class SimTree {
 public:
  SimTree() : root_(std::make_shared<SimFolder>()) { folders_.push_back(root_); }

  /// kNotFound: no such folder on the way.
  model::Result<SimFolder*> folder(std::string_view path) const;
  /// kNotFound: no such name, or no folder on the way.
  model::Result<SimEntry> find(std::string_view path) const;
  model::Result<void> make_folders(std::string_view path);
  model::Result<void> put_file(std::string_view path, std::shared_ptr<SimFile> file);
  model::Result<void> rename(std::string_view from, std::string_view to);
  model::Result<void> remove(std::string_view path);
  void remove_all(std::string_view path);
  void sync(SimFolder& folder);
  void sync_all();
  /// Loss of power: each folder keeps a prefix of its unsynced changes.
  void settle(Survival survival, common::Random& random);
  /// Every file that is visible, in order of path.
  std::vector<SimFile*> files() const;
  std::uint64_t changes_unsynced() const;

 private:
  void change(SimFolder& folder, NameChange change);
  static void apply(SimNames& names, const NameChange& change);
  void erase_below(SimFolder& folder);
  struct Half {
    std::size_t folder;
    std::size_t place;
  };
  std::vector<Half> halves_of(std::uint64_t move) const;
  void forget_unreachable();

  std::shared_ptr<SimFolder> root_;
  std::vector<std::shared_ptr<SimFolder>> folders_;  // in order of creation
  std::uint64_t last_move_ = 0;
};

}  // namespace millrace::env::testing
