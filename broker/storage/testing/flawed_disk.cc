#include "broker/storage/testing/flawed_disk.h"

namespace millrace::storage::testing {
namespace {

using Flaw = FlawedDisk::Flaw;

class FlawedFile final : public env::File {
 public:
  FlawedFile(std::unique_ptr<env::File> file, Flaw flaw, bool segment)
      : file_(std::move(file)), flaw_(flaw), segment_(segment) {}
  void write(std::uint64_t position, std::vector<Bytes> pieces, env::Durable durable,
             Reply<Result<void>> done) override {
    if (flaw_ == Flaw::kChunksLost && durable == env::Durable::kNo) {
      std::size_t size = 0;
      for (const Bytes& piece : pieces) size += piece.size();
      pieces = {Bytes::zeros(size, common::kDiskAlignment)};
    }
    if (flaw_ == Flaw::kWritesNotDurable) durable = env::Durable::kNo;
    file_->write(position, std::move(pieces), durable, std::move(done));
  }
  void read(std::uint64_t position, Bytes into, Reply<Result<std::size_t>> done) override {
    file_->read(position, std::move(into), std::move(done));
  }
  void sync(Reply<Result<void>> done) override { file_->sync(std::move(done)); }
  Result<std::size_t> read_now(std::uint64_t position, common::MutableByteView into) override {
    return file_->read_now(position, into);
  }
  Result<void> write_now(std::uint64_t position, common::ByteView bytes) override {
    return file_->write_now(position, bytes);
  }
  Result<void> sync_now() override {
    const bool skipped =
        flaw_ == Flaw::kRenameBeforeContent || (flaw_ == Flaw::kSegmentsNotSynced && segment_);
    return skipped ? Result<void>() : file_->sync_now();
  }
  Result<std::uint64_t> size() override { return file_->size(); }
  Result<void> resize(std::uint64_t size) override { return file_->resize(size); }

 private:
  std::unique_ptr<env::File> file_;
  const Flaw flaw_;
  const bool segment_;
};

}  // namespace

Result<std::unique_ptr<env::File>> FlawedDisk::open(std::string_view path,
                                                    env::OpenOptions options) {
  TRY_ASSIGN(std::unique_ptr<env::File> file, disk_->open(path, options));
  if (flaw_ == Flaw::kNone) return file;
  return std::unique_ptr<env::File>(
      std::make_unique<FlawedFile>(std::move(file), flaw_, path.ends_with(".log")));
}

}  // namespace millrace::storage::testing
