// LogAudit audit(members, LogAudit::Aim::kCompare, witness, trace);   audit.start();   ...
// audit.done()
//
// Compares the logs of all replicas, batch by batch, when nothing moves any more.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

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
  /// Everything was read and compared, unless found_rot().
  bool done() const { return done_; }
  /// Where bits flip something could not be read, which its broker knows by that, and repairs.
  /// Nothing was compared.
  bool found_rot() const { return found_rot_; }

 private:
  using Batches = std::map<model::Offset, Witness::BatchId>;
  struct Copy {
    std::string machine;
    bool rotten = false;
    model::PartitionKey key;
    storage::Log* log = nullptr;
    /// In front of this batches may be missing, or other ones.
    model::Offset from;
    model::Offset end;
    Batches batches;
  };

  void check_end(const Copy& copy);
  void read(const std::shared_ptr<Copy>& copy, model::Offset from);
  void read_one();
  void take(const std::shared_ptr<Copy>& copy, const storage::ReadResult& result);
  void compare();
  void compare(const Copy& left, const Copy& right);
  void compare_committed(const Copy& copy);
  void fail(const Copy& copy, model::Offset base, const Witness::BatchId& id,
            std::string_view what);

  const Members members_;
  Witness& witness_;
  Trace& trace_;
  std::vector<std::shared_ptr<Copy>> copies_;
  std::size_t to_read_ = 0;
  bool done_ = false;
  bool found_rot_ = false;
};

}  // namespace millrace::sim
