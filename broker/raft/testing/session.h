// A script's replicas: every message waits until the script delivers or drops it, every disk until
// it is told to sync. See broker/raft/testdata for the commands in use.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "broker/raft/testing/shell.h"
#include "common/testing/script.h"

namespace millrace::raft {

/// Commands, one per line; replicas are written "1", or "1b" on another disk than the first:
///
///   replica R [voters=R,R] [learners=R] [config=TERM.VERSION] [term=T] [vote=R] [log=T@O,T@O]
///           [start=O] [end=O] [relaxed] [insync=N]       adds one with this on its disk, not
///           started
///   start R [lost] [away]     crash R [keep]             with `keep`, what is not synced survives;
///                                                        `away`: for longer than a promise holds
///   deliver [R->R]            drop [R->R]                all messages that wait, or those of a way
///   settle                    delivers, syncs and reads until nothing moves; prints what it did
///   not
///                             see before only in short: the roles and commits
///   sync R                    hard R                     the log; term, vote and voter set
///   propose R COUNT           read R [COUNT]             answers what R's group asked for
///   advance MS                lets time pass: deadlines are met in order
///   suspect R NODE            alive R NODE               restarted R NODE
///   beat NODE->NODE [wordless]                           a heartbeat is heard the moment it is
///                                                        sent; `wordless`: of an old version
///   lease R                                              whether its leader may answer readers
///   transfer R TO             change R add|promote|demote|remove WHOM
///   recover R                 an operator gives up the others
///   trim R OFFSET             show [R]                   insync R
///   send FROM->TO tTERM KIND ...                         a message nobody sent; see inject()
class Session {
 public:
  Session();
  std::string run(const common::ScriptCommand& command);

 private:
  std::string add(const common::ScriptCommand& command);
  std::string start(const common::ScriptCommand& command);
  std::string deliver(const common::ScriptCommand& command, bool drop);
  std::string settle();
  std::string advance(const common::ScriptCommand& command);
  std::string change(const common::ScriptCommand& command);
  std::string inject(const common::ScriptCommand& command);
  std::string show(const common::ScriptCommand& command);
  std::string crash(const common::ScriptCommand& command);
  std::string on_replica(const common::ScriptCommand& command);
  std::string beat(const common::ScriptCommand& command);
  /// Prints and queues what the last call brought.
  std::string collect(Shell& shell);
  std::string state(const Shell& shell) const;
  Shell* find(const std::string& name);

  /// What one broker knows of the others.
  struct Broker {
    Contacts contacts;
    Settings settings;
    std::map<int, Trust> trust;
    std::map<int, Instant> heard;  // the newest heartbeat: when it was sent
    std::uint64_t trusts = 0;
    void trusts_anew(int other);
  };
  Broker& broker(int node);

  Settings settings_;
  common::Random random_{1};
  Instant now_{};
  std::map<int, Broker> brokers_;
  std::map<std::string, std::unique_ptr<Shell>> replicas_;
  std::deque<Letter> waiting_;
  bool brief_ = false;
};

}  // namespace millrace::raft
