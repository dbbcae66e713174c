#include "broker/env/real_loop.h"

#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/reply.h"

namespace millrace::env {
namespace {

thread_local const RealLoop* t_current = nullptr;

// A round fires at most so many timers before sockets get their turn.
constexpr int kTimersPerRound = 256;
constexpr std::int64_t kWaitMsMax = 60'000;

}  // namespace

RealLoop::RealLoop(RealLoopOptions options) : options_(std::move(options)) {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  CHECK(epoll_ >= 0, "epoll_create1: {}", std::strerror(errno));
  wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  CHECK(wake_ >= 0, "eventfd: {}", std::strerror(errno));
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.ptr = nullptr;  // no watcher: it only ends the wait
  CHECK(::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) == 0);
}

RealLoop::~RealLoop() {
  stop();
  ::close(wake_);
  ::close(epoll_);
}

void RealLoop::start() {
  CHECK(!thread_.joinable() && !stopped());
  thread_ = std::thread([this] { run(); });
  ::pthread_setname_np(thread_.native_handle(), options_.name.substr(0, 15).c_str());
  if (options_.cpu >= 0) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(static_cast<unsigned>(options_.cpu), &cpus);
    // Refused where the container's own set is smaller: then the scheduler decides.
    ::pthread_setaffinity_np(thread_.native_handle(), sizeof(cpus), &cpus);
  }
}

void RealLoop::stop() {
  CHECK(t_current != this, "a loop cannot stop itself");
  if (stopped()) return;
  stopping_.store(true, std::memory_order_release);
  wake();
  if (thread_.joinable()) thread_.join();
  stopped_.store(true, std::memory_order_release);
  destroy_queued();
}

void RealLoop::destroy_queued() {
  const common::RepliesMayDrop nobody_listens;
  // Destroying a task may post another, which is destroyed by post() itself.
  std::vector<Task> dropped = std::move(posted_);
  {
    const std::lock_guard lock(mutex_);
    std::ranges::move(posted_from_outside_, std::back_inserter(dropped));
    posted_from_outside_.clear();
  }
  dropped.clear();
  timers_.clear().clear();
}

void RealLoop::wake() {
  const std::uint64_t one = 1;
  while (::write(wake_, &one, sizeof(one)) < 0 && errno == EINTR) {
  }
}

void RealLoop::post(Task task) {
  if (t_current == this) {
    posted_.push_back(std::move(task));
    return;
  }
  bool wake_it = false;
  {
    const std::lock_guard lock(mutex_);
    // Under the lock, so that destroy_queued() sees it or it sees stopped().
    if (!stopped()) {
      posted_from_outside_.push_back(std::move(task));
      wake_it = std::exchange(asleep_, false);
    }
  }
  if (wake_it) wake();
  if (task) {
    const common::RepliesMayDrop nobody_listens;
    task.reset();
  }
}

TimerId RealLoop::after(common::Duration delay, Task task) {
  if (stopped()) {
    const common::RepliesMayDrop nobody_listens;
    task.reset();
    return TimerId::kNone;
  }
  CHECK(here(), "a timer was set from outside its loop");
  return timers_.add(clock_.now() + std::max(delay, common::Duration{0}), std::move(task));
}

void RealLoop::cancel(TimerId timer) {
  if (stopped()) return;
  CHECK(here(), "a timer was cancelled from outside its loop");
  timers_.cancel(timer);
}

bool RealLoop::here() const {
  return t_current == this;
}

void RealLoop::watch(int descriptor, std::uint32_t events, Watcher& watcher) {
  epoll_event event{};
  event.events = events | EPOLLET;
  event.data.ptr = &watcher;
  CHECK(::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) == 0, "epoll_ctl: {}",
        std::strerror(errno));
}

void RealLoop::unwatch(int descriptor, Watcher& watcher) {
  CHECK(::epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr) == 0, "epoll_ctl: {}",
        std::strerror(errno));
  for (int i = ready_next_; i < ready_count_; ++i) {
    if (ready_[static_cast<std::size_t>(i)].data.ptr == &watcher) {
      ready_[static_cast<std::size_t>(i)].data.ptr = nullptr;
    }
  }
  std::ranges::replace(nudged_, &watcher, nullptr);
  std::ranges::replace(nudging_, &watcher, nullptr);
}

void RealLoop::nudge(Watcher& watcher) {
  nudged_.push_back(&watcher);
}

void RealLoop::run_nudged() {
  nudging_.swap(nudged_);
  for (std::size_t i = 0; i < nudging_.size(); ++i) {
    if (Watcher* const watcher = std::exchange(nudging_[i], nullptr)) watcher->on_ready(0);
  }
  nudging_.clear();
}

bool RealLoop::collect_or_sleep(bool may_sleep) {
  const std::lock_guard lock(mutex_);
  asleep_ = false;
  if (posted_from_outside_.empty()) {
    asleep_ = may_sleep;
    return false;
  }
  if (posted_.empty()) {
    posted_.swap(posted_from_outside_);
  } else {
    std::ranges::move(posted_from_outside_, std::back_inserter(posted_));
    posted_from_outside_.clear();
  }
  return true;
}

void RealLoop::run_posted() {
  running_.swap(posted_);
  for (Task& task : running_) {
    task();
    task.reset();
  }
  running_.clear();
}

void RealLoop::run_timers() {
  if (timers_.size() == 0) return;
  const common::Instant now = clock_.now();
  for (int i = 0; i < kTimersPerRound; ++i) {
    Task task = timers_.take_due(now);
    if (!task) return;
    task();
  }
}

int RealLoop::wait_ms() {
  const bool work = !posted_.empty() || !nudged_.empty();
  if (collect_or_sleep(!work) || work) return 0;
  const auto next = timers_.next();
  if (!next.has_value()) return -1;
  const auto left = *next - clock_.now();
  // Rounded up: a timer never fires early.
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(std::clamp<std::int64_t>(ms, 0, kWaitMsMax));
}

void RealLoop::wait_for_events() {
  const int count = ::epoll_wait(epoll_, ready_.data(), static_cast<int>(ready_.size()), wait_ms());
  CHECK(count >= 0 || errno == EINTR, "epoll_wait: {}", std::strerror(errno));
  ready_count_ = std::max(count, 0);
  for (ready_next_ = 0; ready_next_ < ready_count_;) {
    const epoll_event event = ready_[static_cast<std::size_t>(ready_next_++)];
    // The wake-up descriptor is edge-triggered and never read: it counts up and cannot overflow in
    // practice.
    if (event.data.ptr != nullptr) static_cast<Watcher*>(event.data.ptr)->on_ready(event.events);
  }
  ready_count_ = 0;
}

void RealLoop::run() {
  t_current = this;
  while (!stopping_.load(std::memory_order_acquire)) {
    run_posted();
    run_nudged();
    run_timers();
    wait_for_events();
  }
  t_current = nullptr;
}

}  // namespace millrace::env
