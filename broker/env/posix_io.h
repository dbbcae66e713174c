// System calls on files with their errors as values, retried where they were only interrupted.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "broker/env/disk.h"

namespace millrace::env {

/// The errno of a failed call as an error: kNoSpace, kNotFound or kIo, with what was tried.
Error posix_error(int number, std::string_view what, std::string_view path);

/// An open file descriptor and the name it was opened by. Shared by a file and its calls under way.
class Descriptor {
 public:
  Descriptor(int number, std::string path) : number_(number), path_(std::move(path)) {}
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }
  const std::string& path() const { return path_; }

 private:
  const int number_;
  const std::string path_;
};

/// Blocking. Writes all, whatever the number of pieces.
Result<void> write_fully(const Descriptor& file, std::uint64_t position,
                         std::span<const common::ByteView> pieces, Durable durable);
/// Blocking. Reads until `into` is full or the file ends.
Result<std::size_t> read_fully(const Descriptor& file, std::uint64_t position,
                               common::MutableByteView into);
Result<void> sync_data(const Descriptor& file);

}  // namespace millrace::env
