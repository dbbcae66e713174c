// OutsideWatch watch(OutsideFile({.path = path, .listeners = {"nodes"}, ...}), [](auto addresses) {
// node.set_outside(addresses); });
//
// The file of kafka.outside.addresses, which says where clients outside find this broker and may
// come, change and change again while it runs.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "broker/model/outside_listeners.h"
#include "common/function.h"

namespace millrace::server {

/// The file as one broker reads it. Says what it makes of it once, not at each look.
class OutsideFile {
 public:
  struct Parts {
    std::string path;
    /// The names of kafka.outside.listen.
    std::vector<std::string> listeners;
    model::BrokerId self;
    /// Lines for the log, and those that somebody should do something about.
    common::Function<void(std::string_view)> log;
    common::Function<void(std::string_view)> warn;
  };
  explicit OutsideFile(Parts parts) : parts_(std::move(parts)) {}

  /// Reads the file; answers the addresses of this broker's listeners where they are others than
  /// before. A change counts when it is read twice in a row, but for the first look: a file that is
  /// written in place may be caught half. While the file is missing, what it said before holds;
  /// while it has a bad line, that holds for the listeners that the others say nothing of.
  std::optional<model::OutsideAddresses> look();

 private:
  std::optional<model::OutsideAddresses> read_lines(const std::string& text);
  void drop_unknown(model::OutsideAddresses& addresses);
  void tell(const model::OutsideAddresses& addresses, bool all);
  void complain(const std::string& what);

  Parts parts_;
  bool looked_ = false;
  /// What it held at the look before; nullopt: it was missing.
  std::optional<std::string> seen_;
  /// What it held when its lines were read last.
  std::optional<std::string> read_;
  model::OutsideAddresses addresses_;
  std::string complaint_;
};

/// Looks at the file at once and then every second, on a thread of its own, until it is destroyed.
class OutsideWatch {
 public:
  using Changed = common::Function<void(model::OutsideAddresses)>;
  /// `changed` is called for the first look before this returns, afterwards on that thread.
  OutsideWatch(OutsideFile file, Changed changed);
  OutsideWatch(const OutsideWatch&) = delete;
  OutsideWatch& operator=(const OutsideWatch&) = delete;

 private:
  void look();
  void run(const std::stop_token& stop);

  OutsideFile file_;
  Changed changed_;
  std::mutex mutex_;  // only for waiting: nothing is shared
  std::condition_variable_any stopped_;
  std::jthread thread_;
};

}  // namespace millrace::server
