#include "broker/storage/clean_mark.h"

#include "broker/storage/codec.h"
#include "common/crc32c.h"

namespace millrace::storage {
namespace {

using common::Bytes;
using common::Result;
using model::ErrorCode;

constexpr std::uint64_t kCleanMagic = 0x31534c435f524c4dULL;  // "MLR_CLS1"

std::string path_in(const std::string& folder) {
  return folder + "/closed";
}

ByteWriter encode(const CleanMark& mark) {
  ByteWriter out;
  out.put(kCleanMagic);
  out.put(mark.salt);
  out.put(mark.round);
  out.put(common::crc32c(out.view()));
  return out;
}

}  // namespace

Result<void> put_clean_mark(env::Disk& disk, const std::string& folder, const CleanMark& mark) {
  return env::replace_file(disk, path_in(folder), encode(mark).view());
}

Result<bool> take_clean_mark(env::Disk& disk, const std::string& folder, const CleanMark& mark) {
  const Result<Bytes> found = env::read_file(disk, path_in(folder));
  if (!found.ok() && found.error().code == ErrorCode::kNotFound) return false;
  TRY(found);
  TRY(disk.remove(path_in(folder)));
  TRY(disk.sync_directory(folder));
  // Anything else, damaged or not, says nothing.
  return common::as_text(found->view()) == common::as_text(encode(mark).view());
}

}  // namespace millrace::storage
