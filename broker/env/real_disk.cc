#include "broker/env/real_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "broker/env/aio.h"
#include "broker/env/posix_io.h"
#include "broker/env/real_file.h"

namespace millrace::env {

using model::ErrorCode;

namespace {

constexpr unsigned kAioDepth = 256;
constexpr mode_t kFileMode = 0640;
constexpr const char* kLockName = ".lock";
constexpr const char* kProbeName = ".direct-io-probe";

int open_retrying(const std::string& path, int flags) {
  for (;;) {
    const int number = ::open(path.c_str(), flags | O_CLOEXEC, kFileMode);
    if (number >= 0 || errno != EINTR) return number;
  }
}

Error start_error(const std::string& path, int number) {
  const Error plain = posix_error(number, "cannot use the data directory", path);
  const char* hint = number == EACCES || number == EPERM
                         ? "; let this user write there, or choose another --data"
                     : number == EROFS                       ? "; the file system is read-only"
                     : number == ENOTDIR || number == EEXIST ? "; a file is in the way"
                                                             : "";
  return {plain.code == ErrorCode::kNotFound ? ErrorCode::kIo : plain.code, plain.detail + hint};
}

// Who holds the lock, as it wrote there; empty if it did not.
std::string holder_of(int lock) {
  std::array<char, 32> text{};
  const ssize_t count = ::pread(lock, text.data(), text.size() - 1, 0);
  std::string_view digits(text.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
  digits = digits.substr(0, digits.find_first_not_of("0123456789"));
  return digits.empty() ? std::string{} : fmt::format(" (process {})", digits);
}

}  // namespace

class RealDisk final : public Disk {
 public:
  RealDisk(DataDirectory& data, RealLoop& loop) : data_(data), loop_(loop), aio_(loop, kAioDepth) {}
  /// Jobs use the disk: it waits for those that were offloaded to it.
  ~RealDisk() override {
    for (std::uint32_t left = jobs_->load(); left > 0; left = jobs_->load()) jobs_->wait(left);
  }

  Result<std::unique_ptr<File>> open(std::string_view path, OpenOptions options) override {
    const std::string full = full_path(path);
    const bool aligned = options.caching == OpenOptions::Caching::kNo;
    const bool direct = aligned && data_.direct_;
    const int flags = O_RDWR | (direct ? O_DIRECT : 0);
    int number = open_retrying(full, flags);
    bool made = false;
    if (number < 0 && errno == ENOENT && options.create) {
      number = open_retrying(full, flags | O_CREAT | O_EXCL);
      made = number >= 0;
    }
    if (number < 0) return posix_error(errno, "open", full);
    auto descriptor = std::make_shared<Descriptor>(number, full);
    if (made && options.reserve > 0) {
      if (auto reserved = reserve(*descriptor, options.reserve); !reserved.ok()) {
        ::unlink(full.c_str());
        return std::move(reserved).error();
      }
    }
    struct stat status {};
    if (::fstat(number, &status) != 0) return posix_error(errno, "stat", full);
    if (S_ISDIR(status.st_mode)) return posix_error(EISDIR, "open", full);
    return std::unique_ptr<File>(
        std::make_unique<RealFile>(RealFile::Home{loop_, aio_, data_.calls_}, std::move(descriptor),
                                   direct, aligned, static_cast<std::uint64_t>(status.st_size)));
  }

  Result<void> make_directories(std::string_view path) override {
    const std::string full = full_path(path);
    std::error_code error;
    std::filesystem::create_directories(full, error);
    if (error) return posix_error(error.value(), "make folder", full);
    return {};
  }

  Result<std::vector<DirectoryEntry>> list(std::string_view path) override {
    const std::string full = full_path(path);
    DIR* const folder = ::opendir(full.c_str());
    if (folder == nullptr) return posix_error(errno, "list", full);
    const std::unique_ptr<DIR, int (*)(DIR*)> closer(folder, ::closedir);
    std::vector<DirectoryEntry> entries;
    for (;;) {
      errno = 0;
      const dirent* const entry = ::readdir(folder);
      if (entry == nullptr && errno != 0) return posix_error(errno, "list", full);
      if (entry == nullptr) break;
      const std::string_view name = entry->d_name;
      if (name == "." || name == ".." || (path.empty() && name == kLockName)) continue;
      struct stat status {};
      if (::fstatat(::dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) continue;  // removed meanwhile
        return posix_error(errno, "stat", full);
      }
      const bool directory = S_ISDIR(status.st_mode);
      entries.push_back({std::string(name), directory,
                         directory ? 0 : static_cast<std::uint64_t>(status.st_size)});
    }
    std::ranges::sort(entries, {}, &DirectoryEntry::name);
    return entries;
  }

  Result<void> rename(std::string_view from, std::string_view to) override {
    const std::string source = full_path(from);
    if (::rename(source.c_str(), full_path(to).c_str()) != 0)
      return posix_error(errno, "rename", source);
    return {};
  }

  Result<void> remove(std::string_view path) override {
    const std::string full = full_path(path);
    if (::unlink(full.c_str()) != 0) return posix_error(errno, "remove", full);
    return {};
  }

  Result<void> remove_all(std::string_view path) override {
    const std::string full = full_path(path);
    std::error_code error;
    std::filesystem::remove_all(full, error);
    if (error) return posix_error(error.value(), "remove", full);
    return {};
  }

  Result<bool> exists(std::string_view path) override {
    const std::string full = full_path(path);
    struct stat status {};
    if (::stat(full.c_str(), &status) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    return posix_error(errno, "stat", full);
  }

  Result<void> sync_directory(std::string_view path) override {
    return with_folder(path, "sync folder", [](int number) { return ::fsync(number); });
  }

  Result<void> sync_all() override {
    return with_folder("", "sync the file system of", [](int number) { return ::syncfs(number); });
  }

  Result<DiskSpace> space() override {
    struct statvfs status {};
    if (::statvfs(data_.path_.c_str(), &status) != 0)
      return posix_error(errno, "measure", data_.path_);
    return DiskSpace{status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize};
  }

  void offload(Task job, Task done) override {
    ++*jobs_;
    data_.jobs_.run([jobs = jobs_, loop = &loop_, job = std::make_unique<Task>(std::move(job)),
                     done = std::move(done)]() mutable {
      (*job)();
      {
        const common::RepliesMayDrop nobody_listens;
        job.reset();
      }
      loop->post(std::move(done));
      if (--*jobs == 0) jobs->notify_all();
    });
  }

  bool direct() const override { return data_.direct_; }

 private:
  std::string full_path(std::string_view path) const {
    CHECK(path.empty() || path.front() != '/', "paths are relative to the data directory: {}",
          path);
    return path.empty() ? data_.path_ : fmt::format("{}/{}", data_.path_, path);
  }

  static Result<void> reserve(const Descriptor& file, std::uint64_t bytes) {
    int result = 0;
    do {
      result = ::fallocate(file.number(), 0, 0, static_cast<off_t>(bytes));
    } while (result != 0 && errno == EINTR);
    if (result != 0 && errno == EOPNOTSUPP)
      result = ::ftruncate(file.number(), static_cast<off_t>(bytes));
    if (result != 0) return posix_error(errno, "reserve space for", file.path());
    return {};
  }

  template <typename Call>
  Result<void> with_folder(std::string_view path, std::string_view what, Call call) {
    const std::string full = full_path(path);
    const int number = open_retrying(full, O_RDONLY | O_DIRECTORY);
    if (number < 0) return posix_error(errno, "open", full);
    const Descriptor folder(number, full);
    if (call(number) != 0) return posix_error(errno, what, full);
    return {};
  }

  DataDirectory& data_;
  RealLoop& loop_;
  Aio aio_;
  /// Offloaded and not ended. Shared: the last job speaks of its end when the disk may be gone.
  const std::shared_ptr<std::atomic<std::uint32_t>> jobs_ =
      std::make_shared<std::atomic<std::uint32_t>>(0);
};

DataDirectory::DataDirectory(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}

DataDirectory::~DataDirectory() {
  ::close(lock_);
}

Result<std::unique_ptr<DataDirectory>> DataDirectory::open(
    std::string path, common::Function<void(std::string_view)> notice) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return start_error(path, error.value());
  const std::string lock_path = path + '/' + kLockName;
  int lock = open_retrying(lock_path, O_RDWR | O_CREAT | O_EXCL);
  const bool made = lock >= 0;
  if (!made) lock = open_retrying(lock_path, O_RDWR | O_CREAT);
  if (lock < 0) return start_error(path, errno);
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    const int number = errno;
    const std::string holder = holder_of(lock);
    ::close(lock);
    if (number != EWOULDBLOCK) return start_error(path, number);
    return Error{ErrorCode::kDataInUse, fmt::format("the data directory {} is in use by another "
                                                    "broker{}; stop it, or choose another --data",
                                                    path, holder)};
  }
  const std::string self = fmt::format("{}\n", ::getpid());
  // Only for the message above, so failing to write it does no harm.
  if (::ftruncate(lock, 0) == 0) static_cast<void>(!::pwrite(lock, self.data(), self.size(), 0));
  std::unique_ptr<DataDirectory> data(new DataDirectory(std::move(path), lock));
  data->made_lock_ = made;
  TRY(data->probe_direct(notice));
  return data;
}

void DataDirectory::leave_as_found() {
  if (made_lock_) ::unlink((path_ + '/' + kLockName).c_str());
}

Result<void> DataDirectory::probe_direct(common::Function<void(std::string_view)>& notice) {
  const std::string name = path_ + '/' + kProbeName;
  const int number = open_retrying(name, O_RDWR | O_CREAT | O_DIRECT);
  Result<void> result;
  if (number >= 0) {
    const Descriptor probe(number, name);
    const Bytes block = Bytes::zeros(common::kDiskAlignment, common::kDiskAlignment);
    const common::ByteView view = block;
    const ssize_t count = ::pwrite(number, view.data(), view.size(), 0);
    direct_ = count == static_cast<ssize_t>(view.size());
    // A full disk says nothing about O_DIRECT.
    if (count < 0 && errno == ENOSPC) direct_ = true;
  } else if (errno == EINVAL || errno == EOPNOTSUPP) {
    direct_ = false;
  } else if (errno != ENOSPC) {
    result = start_error(path_, errno);
  }
  ::unlink(name.c_str());
  if (result.ok() && !direct_ && notice) {
    notice(
        fmt::format("the file system of {} does not offer O_DIRECT: writes go through the page "
                    "cache and cost more",
                    path_));
  }
  return result;
}

std::unique_ptr<Disk> DataDirectory::disk(RealLoop& loop) {
  return std::make_unique<RealDisk>(*this, loop);
}

}  // namespace millrace::env
