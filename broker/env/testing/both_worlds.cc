#include "broker/env/testing/both_worlds.h"

#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <mutex>

#include "broker/env/real_disk.h"
#include "broker/env/real_loop.h"
#include "broker/env/real_transport.h"
#include "broker/env/testing/sim_disk.h"
#include "broker/env/testing/sim_transport.h"

namespace millrace::env::testing {
namespace {

class RealWorld final : public World {
 public:
  RealWorld() {
    data_ = std::move(DataDirectory::open(folder_.path() + "/data", {})).value();
    disk_ = data_->disk(loop_);
    transport_ = network_.join(loop_);
    loop_.start();
  }
  ~RealWorld() override { loop_.stop(); }
  Loop& loop() override { return loop_; }
  Disk& disk() override { return *disk_; }
  Transport& transport() override { return *transport_; }

  void run(Task task) override {
    bool done = false;
    loop_.post([&] {
      task();
      // Notified under the lock: the waiter owns what is notified.
      const std::lock_guard lock(mutex_);
      done = true;
      changed_.notify_one();
    });
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&done] { return done; });
  }

  bool wait(common::Function<bool()> condition, common::Duration limit) override {
    const common::Instant end = loop_.clock().now() + limit;
    bool holds = false;
    bool ended = false;
    common::Function<void()> poll;
    poll = [&] {
      holds = condition();
      if (!holds && loop_.clock().now() < end) {
        loop_.after(std::chrono::milliseconds(1), [&poll] { poll(); });
        return;
      }
      const std::lock_guard lock(mutex_);
      ended = true;
      changed_.notify_one();
    };
    loop_.post([&poll] { poll(); });
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&ended] { return ended; });
    return holds;
  }

 private:
  TemporaryFolder folder_;
  RealLoop loop_;
  std::unique_ptr<DataDirectory> data_;
  RealNetwork network_;
  std::unique_ptr<Disk> disk_;
  std::unique_ptr<Transport> transport_;
  std::mutex mutex_;
  std::condition_variable changed_;
};

class SimulatedWorld final : public World {
 public:
  ~SimulatedWorld() override { loop_.stop(); }
  Loop& loop() override { return loop_; }
  Disk& disk() override { return *mount_; }
  Transport& transport() override { return *transport_; }
  void run(Task task) override {
    bool done = false;
    loop_.post([&] {
      task();
      done = true;
    });
    CHECK(world_.run_until([&done] { return done; }));
  }
  bool wait(common::Function<bool()> condition, common::Duration limit) override {
    return world_.run_until(std::move(condition), limit);
  }

 private:
  SimWorld world_{1};
  SimLoop& loop_ = world_.make_loop();
  SimDisk disk_{world_};
  SimNetwork network_{world_};
  std::unique_ptr<Disk> mount_ = disk_.mount(loop_);
  std::unique_ptr<Transport> transport_ = network_.join(loop_, "localhost");
};

}  // namespace

std::unique_ptr<World> make_real_world() {
  return std::make_unique<RealWorld>();
}
std::unique_ptr<World> make_simulated_world() {
  return std::make_unique<SimulatedWorld>();
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "millrace-test-XXXXXX").string();
  CHECK(::mkdtemp(name.data()) != nullptr, "cannot make {}", name);
  path_ = std::move(name);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

}  // namespace millrace::env::testing
