#include "broker/env/testing/sim_mount.h"

#include <fmt/format.h>

namespace millrace::env::testing {

using model::ErrorCode;

namespace {

model::Error machine_is_down() {
  return {ErrorCode::kIo, "the simulated machine is down"};
}

}  // namespace

Result<void> SimMount::alive() const {
  if (boot_ != disk_.boot_ || disk_.power_cut_) return machine_is_down();
  return {};
}

Result<void> SimMount::may_change() const {
  if (boot_ != disk_.boot_ || !disk_.change_goes_on()) return machine_is_down();
  return {};
}

Result<std::unique_ptr<File>> SimMount::open(std::string_view path, OpenOptions options) {
  TRY(alive());
  auto found = disk_.tree_.find(path);
  std::shared_ptr<SimFile> file;
  if (found.ok()) {
    if (found->file == nullptr)
      return model::Error{ErrorCode::kIo, fmt::format("{}: is a folder", path)};
    file = found->file;
  } else if (!options.create) {
    return std::move(found).error();
  } else {
    TRY(may_change());
    file = std::make_shared<SimFile>();
    TRY(disk_.allocate(*file, options.reserve));
    file->content.resize(options.reserve);
    TRY(disk_.tree_.put_file(path, file));
  }
  std::erase_if(disk_.opened_, [](const auto& opened) { return opened.expired(); });
  disk_.opened_.push_back(file);
  return std::unique_ptr<File>(
      std::make_unique<SimHandle>(disk_, loop_, std::move(file), options.caching));
}

Result<void> SimMount::make_directories(std::string_view path) {
  TRY(may_change());
  return disk_.tree_.make_folders(path);
}

Result<std::vector<DirectoryEntry>> SimMount::list(std::string_view path) {
  TRY(alive());
  TRY_ASSIGN(const SimFolder* const folder, disk_.tree_.folder(path));
  std::vector<DirectoryEntry> entries;
  for (const auto& [name, entry] : folder->names) {
    const bool directory = entry.folder != nullptr;
    entries.push_back({name, directory, directory ? 0 : entry.file->content.size()});
  }
  return entries;
}

Result<void> SimMount::rename(std::string_view from, std::string_view to) {
  TRY(may_change());
  return disk_.tree_.rename(from, to);
}

Result<void> SimMount::remove(std::string_view path) {
  TRY(may_change());
  return disk_.tree_.remove(path);
}

Result<void> SimMount::remove_all(std::string_view path) {
  TRY(may_change());
  disk_.tree_.remove_all(path);
  return {};
}

Result<bool> SimMount::exists(std::string_view path) {
  TRY(alive());
  return disk_.tree_.find(path).ok();
}

Result<void> SimMount::sync_directory(std::string_view path) {
  TRY(may_change());
  if (disk_.fails(disk_.failing_syncs_, disk_.faults_.sync)) {
    return {ErrorCode::kIo, "injected: the sync of a folder failed"};
  }
  TRY_ASSIGN(SimFolder* const folder, disk_.tree_.folder(path));
  disk_.tree_.sync(*folder);
  return {};
}

Result<void> SimMount::sync_all() {
  TRY(may_change());
  for (SimFile* file : disk_.tree_.files()) {
    if (!file->content.dirty()) continue;
    const std::uint32_t epoch = file->content.begin_sync();
    TRY(disk_.sync(*file, epoch, file->content.size()));
  }
  disk_.tree_.sync_all();
  return {};
}

Result<DiskSpace> SimMount::space() {
  TRY(alive());
  const std::uint64_t used = disk_.used();
  const std::uint64_t total = disk_.options_.capacity;
  return DiskSpace{total, used < total ? total - used : 0};
}

void SimMount::offload(Task job, Task done) {
  if (boot_ != disk_.boot_) {
    const common::RepliesMayDrop nobody_listens;
    job.reset();
    done.reset();
    return;
  }
  // The job itself dies with the process, so it runs as an event of the loop's process, but never
  // as a task of it.
  struct Work {
    Task job;
    Task done;
  };
  auto work = std::make_unique<Work>(Work{std::move(job), std::move(done)});
  loop_.world().schedule(
      nullptr, disk_.delay(),
      [disk = &disk_, boot = boot_, loop = &loop_, work = std::move(work)]() mutable {
        if (boot != disk->boot_ || loop->stopped()) {
          const common::RepliesMayDrop nobody_listens;
          work.reset();
          return;
        }
        work->job();
        loop->post(std::move(work->done));
      });
}

SimHandle::SimHandle(SimDisk& disk, SimLoop& loop, std::shared_ptr<SimFile> file,
                     OpenOptions::Caching caching)
    : disk_(disk), loop_(loop), boot_(disk.boot_), file_(std::move(file)), caching_(caching) {
  ++file_->handles;
}

SimHandle::~SimHandle() {
  if (boot_ != disk_.boot_) return;
  --file_->handles;
  CHECK(*pending_ == 0 || loop_.stopped() || disk_.power_cut_,
        "a file was closed with {} calls under way", *pending_);
}

Result<void> SimHandle::alive() const {
  if (boot_ != disk_.boot_ || disk_.power_cut_) return machine_is_down();
  return {};
}

Result<void> SimHandle::may_change() const {
  if (boot_ != disk_.boot_ || !disk_.change_goes_on()) return machine_is_down();
  return {};
}

void SimHandle::check_alignment(std::uint64_t position, common::ByteView bytes) const {
  if (caching_ == OpenOptions::Caching::kYes) return;
  CHECK(position % common::kDiskAlignment == 0, "position {}", position);
  CHECK(bytes.size() % common::kDiskAlignment == 0, "length {}", bytes.size());
  CHECK(reinterpret_cast<std::uintptr_t>(bytes.data()) % common::kDiskAlignment == 0,
        "memory not aligned");
}

SimDisk::Pending SimHandle::call(SimDisk::Kind kind) {
  ++*pending_;
  return {0, kind, file_, 0, {}, Durable::kNo, 0, 0, &loop_, pending_, {}, {}};
}

template <typename T>
bool SimHandle::start_or_drop(Reply<T>& reply) {
  CHECK(loop_.here(), "a file was used from outside its loop");
  if (alive().ok() && !loop_.stopped()) return true;
  const common::RepliesMayDrop nobody_listens;
  const Reply<T> dropped = std::move(reply);
  return false;
}

void SimHandle::write(std::uint64_t position, std::vector<Bytes> pieces, Durable durable,
                      Reply<Result<void>> done) {
  for (const Bytes& piece : pieces) check_alignment(position, piece);
  if (!start_or_drop(done)) return;
  SimDisk::Pending write = call(SimDisk::Kind::kWrite);
  write.position = position;
  write.pieces = std::move(pieces);
  write.durable = durable;
  write.done = std::move(done);
  disk_.start(std::move(write));
}

void SimHandle::read(std::uint64_t position, Bytes into, Reply<Result<std::size_t>> done) {
  check_alignment(position, into);
  if (!start_or_drop(done)) return;
  SimDisk::Pending read = call(SimDisk::Kind::kRead);
  read.position = position;
  read.pieces.push_back(std::move(into));
  read.done_reading = std::move(done);
  disk_.start(std::move(read));
}

void SimHandle::sync(Reply<Result<void>> done) {
  if (!start_or_drop(done)) return;
  SimDisk::Pending sync = call(SimDisk::Kind::kSync);
  sync.epoch = file_->content.begin_sync();
  sync.size_then = file_->content.size();
  sync.done = std::move(done);
  disk_.start(std::move(sync));
}

Result<std::size_t> SimHandle::read_now(std::uint64_t position, common::MutableByteView into) {
  TRY(alive());
  if (disk_.fails(disk_.failing_reads_, disk_.faults_.read)) {
    return model::Error{ErrorCode::kIo, "injected: the read failed"};
  }
  return file_->content.read(position, into);
}

Result<void> SimHandle::write_now(std::uint64_t position, common::ByteView bytes) {
  check_alignment(position, bytes);
  TRY(may_change());
  return disk_.write(*file_, position, {bytes}, Durable::kNo);
}

Result<void> SimHandle::sync_now() {
  TRY(may_change());
  const std::uint32_t epoch = file_->content.begin_sync();
  return disk_.sync(*file_, epoch, file_->content.size());
}

Result<std::uint64_t> SimHandle::size() {
  TRY(alive());
  return file_->content.size();
}

Result<void> SimHandle::resize(std::uint64_t size) {
  TRY(may_change());
  file_->content.resize(size);
  file_->allocated = std::min(file_->allocated, size);
  return {};
}

}  // namespace millrace::env::testing
