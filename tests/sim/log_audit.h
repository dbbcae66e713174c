// LogAudit audit(members, witness, trace);   audit.start();   ... audit.done()
//
// Compares the logs of all replicas, batch by batch, when nothing moves any more.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "tests/sim/wholeness.h"
#include "tests/sim/witness.h"

namespace millrace::sim {

/// All replicas of a group must hold the same, and what was known to be committed; apart from what
/// each of them may have compacted by itself. Lives as long as the machines' loops run.
class LogAudit {
 public:
  LogAudit(Members members, Witness& witness, Trace& trace)
      : members_(std::move(members)), witness_(witness), trace_(trace) {}

  /// Requires that the cluster is whole and stays so until it is done.
  void start();
  /// Everything was read and compared.
  bool done() const { return done_; }

 private:
  using Batches = std::map<model::Offset, Witness::BatchId>;
  struct Copy {
    std::string machine;
    model::PartitionKey key;
    storage::Log* log = nullptr;
    /// In front of this batches may be missing, or other ones.
    model::Offset from;
    model::Offset end;
    Batches batches;
  };

  void read(const std::shared_ptr<Copy>& copy, model::Offset from);
  void take(const std::shared_ptr<Copy>& copy, const storage::ReadResult& result);
  void compare();
  void compare(const Copy& left, const Copy& right);
  void compare_committed(const Copy& copy);

  const Members members_;
  Witness& witness_;
  Trace& trace_;
  std::vector<std::shared_ptr<Copy>> copies_;
  std::size_t to_read_ = 0;
  bool done_ = false;
};

}  // namespace millrace::sim
