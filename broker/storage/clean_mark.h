// The mark that a store leaves which is closed, for the next start: nothing was in memory alone.
#pragma once

#include <cstdint>
#include <string>

#include "broker/env/disk.h"

namespace millrace::storage {

/// Which state of the store was the last one. Format: docs/formats/checkpoint.md.
struct CleanMark {
  std::uint64_t salt = 0;
  /// The round that would have come next.
  std::uint64_t round = 0;
  bool operator==(const CleanMark&) const = default;
};

/// Leaves the mark in the journal's folder, durably; blocking.
common::Result<void> put_clean_mark(env::Disk& disk, const std::string& folder,
                                    const CleanMark& mark);
/// Takes it away, durably: what follows is not clean before it is closed again. True: it was there
/// and is this one. Blocking.
common::Result<bool> take_clean_mark(env::Disk& disk, const std::string& folder,
                                     const CleanMark& mark);

}  // namespace millrace::storage
