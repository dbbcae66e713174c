// auto broker = Broker::start(options);   print(broker->ready_line());   wait_for_signal();
// broker->stop();
//
// One whole broker: a data directory, its shards, and the doors.
#pragma once

#include <memory>
#include <string>

#include "broker/server/options.h"

namespace millrace::server {

class Broker {
 public:
  static std::unique_ptr<Broker> create(const Options& options);
  /// create() and open().
  static common::Result<std::unique_ptr<Broker>> start(const Options& options);
  virtual ~Broker() = default;
  /// Recovers the data directory, joins the cluster and serves. Blocking, for as long as it takes
  /// until enough other brokers are there. The error says what is wrong and what to do about it.
  /// Once.
  virtual common::Result<void> open() = 0;
  /// open() gives up waiting for others: kShuttingDown. From any thread.
  virtual void interrupt() = 0;
  /// "ready kafka=HOST:PORT grpc=HOST:PORT http=HOST:PORT": scripts wait for it. Each listener of
  /// kafka.outside.listen adds outside.NAME=HOST:PORT.
  virtual std::string ready_line() const = 0;
  /// Gives leaderships away, answers what is under way, writes everything behind, so that the next
  /// start has nothing to replay. Blocking. After open(), whatever became of it.
  virtual void stop() = 0;
};

/// Makes the data directory without serving (`millrace format`); answers what it now is, as one
/// line.
common::Result<std::string> format_directory(const Options& options);

}  // namespace millrace::server
