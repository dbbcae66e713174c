#include "broker/env/disk.h"

#include <fmt/format.h>

namespace millrace::env {

Result<Bytes> read_file(Disk& disk, std::string_view path) {
  TRY_ASSIGN(const auto file, disk.open(path, {.caching = OpenOptions::Caching::kYes}));
  TRY_ASSIGN(const std::uint64_t size, file->size());
  Bytes content = Bytes::allocate(size);
  TRY_ASSIGN(const std::size_t count, file->read_now(0, content.mutable_view()));
  return content.slice(0, count);
}

Result<void> replace_file(Disk& disk, std::string_view path, common::ByteView content) {
  const std::string temporary = fmt::format("{}.new", path);
  {
    TRY_ASSIGN(const auto file,
               disk.open(temporary, {.create = true, .caching = OpenOptions::Caching::kYes}));
    TRY(file->resize(0));  // one may be left over from a crash
    TRY(file->write_now(0, content));
    TRY(file->sync_now());
  }
  TRY(disk.rename(temporary, path));
  const std::size_t slash = path.rfind('/');
  return disk.sync_directory(slash == std::string_view::npos ? std::string_view{}
                                                             : path.substr(0, slash));
}

}  // namespace millrace::env
