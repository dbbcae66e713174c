#include "broker/env/testing/sim_disk.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/env/testing/sim_mount.h"

namespace millrace::env::testing {

using model::ErrorCode;

SimDisk::SimDisk(SimWorld& world, SimDiskOptions options)
    : world_(world), options_(options), random_(world.random().fork()) {}

SimDisk::~SimDisk() {
  const common::RepliesMayDrop nobody_listens;
  pending_.clear();
}

std::unique_ptr<Disk> SimDisk::mount(SimLoop& loop) {
  return std::make_unique<SimMount>(*this, loop);
}

common::Duration SimDisk::delay() {
  const auto low = options_.delay_min.count();
  common::Duration delay{random_.between(low, std::max(low, options_.delay_max.count()))};
  if (options_.slow_one_in != 0 && random_.chance(1, options_.slow_one_in)) delay *= 10;
  return delay + extra_delay_;
}

bool SimDisk::change_goes_on() {
  if (power_cut_) return false;
  if (power_left_ == 0) {
    power_cut_ = true;
    if (Task then = std::move(on_power_cut_)) then();
    return false;
  }
  if (power_left_ != UINT64_MAX) --power_left_;
  ++operations_;
  return true;
}

bool SimDisk::fails(std::uint32_t& scripted, std::uint32_t per_million) {
  if (scripted > 0) {
    --scripted;
    return true;
  }
  return per_million > 0 && random_.chance(per_million, 1'000'000);
}

std::uint64_t SimDisk::used() const {
  std::uint64_t bytes = 0;
  for (const SimFile* file : tree_.files()) bytes += file->allocated;
  for (const auto& opened : opened_) {
    const auto file = opened.lock();
    if (file != nullptr && file->names == 0 && file->handles > 0) bytes += file->allocated;
  }
  return bytes;
}

Result<void> SimDisk::allocate(SimFile& file, std::uint64_t end) {
  if (end <= file.allocated) return {};
  // The sum is only worked out where space could matter.
  if (options_.capacity < (std::uint64_t{1} << 40) &&
      used() + (end - file.allocated) > options_.capacity) {
    return {ErrorCode::kNoSpace, "no space left on the simulated disk"};
  }
  file.allocated = end;
  return {};
}

void SimDisk::write_some_sectors(SimFile& file, std::uint64_t position,
                                 const std::vector<common::ByteView>& pieces, Survival how) {
  if (how == Survival::kNothing) return;
  std::uint64_t total = 0;
  for (const auto piece : pieces) total += piece.size();
  std::uint64_t left =
      how == Survival::kPrefix ? random_.below(total / kSectorBytes + 1) : UINT64_MAX;
  std::uint64_t at = position;
  for (const auto piece : pieces) {
    for (std::size_t done = 0; done < piece.size();) {
      const std::size_t count =
          std::min<std::size_t>(piece.size() - done, kSectorBytes - at % kSectorBytes);
      const bool lands = how == Survival::kRandom ? random_.chance(1, 2) : left > 0;
      if (lands) file.content.write(at, piece.subspan(done, count));
      if (left > 0 && left != UINT64_MAX) --left;
      done += count;
      at += count;
    }
  }
}

Result<void> SimDisk::write(SimFile& file, std::uint64_t position,
                            const std::vector<common::ByteView>& pieces, Durable durable) {
  std::uint64_t end = position;
  for (const auto piece : pieces) end += piece.size();
  if (fails(failing_writes_, faults_.write)) {
    write_some_sectors(file, position, pieces, draw_survival());
    return {ErrorCode::kIo, "injected: the write failed"};
  }
  if (auto space = allocate(file, end); !space.ok()) {
    write_some_sectors(file, position, pieces, Survival::kPrefix);
    return space;
  }
  std::uint64_t at = position;
  for (const auto piece : pieces) {
    file.content.write(at, piece);
    at += piece.size();
  }
  if (durable == Durable::kYes && end > position) file.content.stabilize(position, end - position);
  return {};
}

Result<void> SimDisk::sync(SimFile& file, std::uint32_t epoch, std::uint64_t size_then) {
  if (fails(failing_syncs_, faults_.sync)) {
    file.content.fail_sync(random_);
    return {ErrorCode::kIo, "injected: the sync failed"};
  }
  file.content.end_sync(epoch, size_then);
  return {};
}

void SimDisk::start(Pending call) {
  if (power_cut_) {
    const common::RepliesMayDrop nobody_listens;
    const Pending dropped = std::move(call);
    return;
  }
  call.id = ++last_id_;
  const std::uint64_t id = call.id;
  pending_.push_back(std::move(call));
  // On no loop: the hardware goes on when a process dies.
  world_.schedule(nullptr, delay(), [this, id] { finish(id); });
}

void SimDisk::finish(std::uint64_t id) {
  const auto found = std::ranges::find(pending_, id, &Pending::id);
  if (found == pending_.end()) return;
  if (found->kind != Kind::kRead && !change_goes_on()) return;
  if (power_cut_) return;
  Pending call = std::move(*found);
  pending_.erase(found);
  answer(std::move(call));
}

void SimDisk::answer(Pending call) {
  SimFile& file = *call.file;
  Result<void> result;
  std::size_t count = 0;
  if (call.kind == Kind::kRead) {
    if (fails(failing_reads_, faults_.read)) {
      result = Result<void>(ErrorCode::kIo, "injected: the read failed");
    } else {
      count = file.content.read(call.position, call.pieces[0].mutable_view());
    }
  } else if (call.kind == Kind::kWrite) {
    result = write(file, call.position, {call.pieces.begin(), call.pieces.end()}, call.durable);
  } else {
    result = sync(file, call.epoch, call.size_then);
  }
  world_.note(call.id << 1 | static_cast<std::uint64_t>(result.ok()));
  SimLoop* const loop = call.loop;
  loop->post([call = std::make_unique<Pending>(std::move(call)), result = std::move(result),
              count]() mutable {
    --*call->handle_pending;
    call->pieces.clear();
    if (call->kind != Kind::kRead) {
      call->done(std::move(result));
    } else if (result.ok()) {
      call->done_reading(count);
    } else {
      call->done_reading(std::move(result).error());
    }
  });
}

Survival SimDisk::draw_survival() {
  constexpr Survival kAll[] = {Survival::kNothing, Survival::kEverything, Survival::kPrefix,
                               Survival::kRandom};
  return kAll[random_.below(4)];
}

void SimDisk::end_of_machine(bool power_lost, const Survival* how) {
  const common::RepliesMayDrop nobody_listens;
  for (const Pending& call : pending_) {
    if (call.kind != Kind::kWrite) continue;
    const Survival part = how != nullptr ? *how : draw_survival();
    const std::vector<common::ByteView> pieces(call.pieces.begin(), call.pieces.end());
    std::uint64_t end = call.position;
    for (const auto piece : pieces) end += piece.size();
    if (part != Survival::kNothing && allocate(*call.file, end).ok()) {
      write_some_sectors(*call.file, call.position, pieces, part);
    }
  }
  pending_.clear();
  ++boot_;
  power_cut_ = false;
  on_power_cut_.reset();
  power_left_ = UINT64_MAX;
  for (const auto& opened : opened_) {
    if (const auto file = opened.lock()) file->handles = 0;
  }
  opened_.clear();
  if (!power_lost) return;
  tree_.settle(how != nullptr ? *how : draw_survival(), random_);
  for (SimFile* file : tree_.files()) {
    file->content.settle(how != nullptr ? *how : draw_survival(), random_);
  }
}

void SimDisk::crash() {
  end_of_machine(true, nullptr);
}
void SimDisk::crash(Survival how) {
  end_of_machine(true, &how);
}
void SimDisk::kill() {
  end_of_machine(false, nullptr);
}

void SimDisk::cut_power_after(std::uint64_t operations, Task then) {
  power_left_ = operations;
  on_power_cut_ = std::move(then);
}

void SimDisk::lose_everything() {
  crash(Survival::kNothing);
  tree_ = SimTree();
}

SimFile& SimDisk::file(std::string_view path) const {
  const auto found = tree_.find(path);
  CHECK(found.ok() && found->file != nullptr, "no file {} on the simulated disk", path);
  return *found->file;
}

void SimDisk::flip_bit(std::string_view path, std::uint64_t position, unsigned bit) {
  file(path).content.flip(position, bit);
}

void SimDisk::overwrite(std::string_view path, std::uint64_t position, common::ByteView bytes) {
  SimContent& content = file(path).content;
  content.write(position, bytes);
  if (!bytes.empty()) content.stabilize(position, bytes.size());
}

void SimDisk::zero(std::string_view path, std::uint64_t position, std::uint64_t length) {
  overwrite(path, position, std::vector<std::uint8_t>(length));
}

void SimDisk::truncate(std::string_view path, std::uint64_t size) {
  SimContent& content = file(path).content;
  content.resize(size);
  const std::uint32_t epoch = content.begin_sync();
  content.end_sync(epoch, size);
}

std::vector<std::uint8_t> SimDisk::content(std::string_view path) const {
  const SimContent& content = file(path).content;
  std::vector<std::uint8_t> bytes(content.size());
  content.read(0, bytes);
  return bytes;
}

}  // namespace millrace::env::testing
