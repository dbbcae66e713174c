#include "broker/env/aio.h"

#include <limits.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/reply.h"

namespace millrace::env {
namespace {

// glibc has no wrappers for these.
int io_setup(unsigned depth, aio_context_t* context) {
  return static_cast<int>(::syscall(SYS_io_setup, depth, context));
}
int io_destroy(aio_context_t context) {
  return static_cast<int>(::syscall(SYS_io_destroy, context));
}
int io_submit(aio_context_t context, iocb* call) {
  return static_cast<int>(::syscall(SYS_io_submit, context, 1L, &call));
}
int io_getevents(aio_context_t context, long count, io_event* events) {
  timespec no_wait{0, 0};
  return static_cast<int>(::syscall(SYS_io_getevents, context, 0L, count, events, &no_wait));
}

constexpr long kEventsPerCall = 32;

}  // namespace

Aio::Aio(RealLoop& loop, unsigned depth) : loop_(loop), depth_(depth) {
  if (io_setup(depth, &context_) != 0) {
    context_ = 0;
    return;
  }
  event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  CHECK(event_ >= 0, "eventfd: {}", std::strerror(errno));
  loop_.watch(event_, EPOLLIN, *this);
}

Aio::~Aio() {
  if (context_ == 0) return;
  loop_.unwatch(event_, *this);
  io_destroy(context_);  // returns when the device is done with our memory
  ::close(event_);
  const common::RepliesMayDrop nobody_listens;
  calls_.clear();
}

Aio::Call* Aio::free_call() {
  if (free_.empty()) {
    if (calls_.size() >= depth_) return nullptr;
    calls_.push_back(std::make_unique<Call>());
    free_.push_back(calls_.back().get());
  }
  Call* const call = free_.back();
  free_.pop_back();
  call->vectors.clear();
  return call;
}

bool Aio::submit(Call* call, Done& done) {
  iocb& control = call->control;
  control.aio_data = reinterpret_cast<std::uint64_t>(call);
  control.aio_buf = reinterpret_cast<std::uint64_t>(call->vectors.data());
  control.aio_nbytes = call->vectors.size();
  control.aio_flags = IOCB_FLAG_RESFD;
  control.aio_resfd = static_cast<std::uint32_t>(event_);
  control.aio_fildes = static_cast<std::uint32_t>(call->file->number());
  call->done = std::move(done);
  if (io_submit(context_, &control) == 1) return true;
  done = std::move(call->done);
  call->memory.clear();
  call->file.reset();
  free_.push_back(call);
  return false;
}

bool Aio::write(const std::shared_ptr<Descriptor>& file, std::uint64_t position,
                const std::vector<Bytes>& pieces, Durable durable, Done& done) {
  if (!usable() || pieces.size() > IOV_MAX) return false;
  Call* const call = free_call();
  if (call == nullptr) return false;
  for (const Bytes& piece : pieces) {
    call->vectors.push_back({const_cast<std::uint8_t*>(piece.data()), piece.size()});
  }
  call->memory = pieces;
  call->file = file;
  call->control = iocb{};
  call->control.aio_lio_opcode = IOCB_CMD_PWRITEV;
  call->control.aio_rw_flags = durable == Durable::kYes ? RWF_DSYNC : 0;
  call->control.aio_offset = static_cast<std::int64_t>(position);
  return submit(call, done);
}

bool Aio::read(const std::shared_ptr<Descriptor>& file, std::uint64_t position, const Bytes& into,
               Done& done) {
  if (!usable()) return false;
  Call* const call = free_call();
  if (call == nullptr) return false;
  call->vectors.push_back({const_cast<std::uint8_t*>(into.data()), into.size()});
  call->memory.push_back(into);
  call->file = file;
  call->control = iocb{};
  call->control.aio_lio_opcode = IOCB_CMD_PREADV;
  call->control.aio_offset = static_cast<std::int64_t>(position);
  return submit(call, done);
}

void Aio::on_ready(std::uint32_t) {
  // The eventfd is edge-triggered and never read. Fetching until there is nothing more misses no
  // completion: each one that comes later makes a new edge.
  io_event events[kEventsPerCall];
  for (;;) {
    const int count = io_getevents(context_, kEventsPerCall, events);
    if (count < 0 && errno == EINTR) continue;
    CHECK(count >= 0, "io_getevents: {}", std::strerror(errno));
    for (int i = 0; i < count; ++i) {
      Call* const call = reinterpret_cast<Call*>(events[i].data);
      Done done = std::move(call->done);
      call->memory.clear();
      call->file.reset();
      free_.push_back(call);
      done(events[i].res);
    }
    if (count < kEventsPerCall) return;
  }
}

}  // namespace millrace::env
