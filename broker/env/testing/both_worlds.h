// Lets one test suite run on the machine and on the simulator.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "broker/env/disk.h"
#include "broker/env/loop.h"
#include "broker/env/transport.h"

namespace millrace::env::testing {

/// One loop with its disk and transport. The test's thread is not the loop's: it hands work over
/// and waits.
class World {
 public:
  virtual ~World() = default;
  virtual Loop& loop() = 0;
  virtual Disk& disk() = 0;
  virtual Transport& transport() = 0;
  /// Runs the task on the loop and waits until it is done.
  virtual void run(Task task) = 0;
  /// Waits until the condition, asked on the loop, holds. False: it did not within `limit` of the
  /// world's time.
  virtual bool wait(common::Function<bool()> condition,
                    common::Duration limit = std::chrono::seconds(10)) = 0;
};

std::unique_ptr<World> make_real_world();
std::unique_ptr<World> make_simulated_world();

/// The names by which test parameters choose.
inline std::unique_ptr<World> make_world(const std::string& name) {
  return name == "real" ? make_real_world() : make_simulated_world();
}

/// A fresh folder that is removed with everything in it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace millrace::env::testing
