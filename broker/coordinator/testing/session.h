// Session session;
// run_script("testdata/x.txt", [&](const ScriptCommand& command) { return session.run(command); });
//
// Scripts about a machine and its classic groups. Each command prints what was appended ("+ ...")
// and what was answered ("COMMAND MEMBER: ..."), which may be to an earlier command.
//
//   settings [initial-delay=MS] [max-size=N] [retention=MS] [metadata-max=N]   begins anew
//   topics NAME=PARTITIONS ... [incarnation=N]
//   join GROUP NAME [as=ID] [instance=I] [type=T] [protocols=P:TOPICS,...] [session=MS]
//        [rebalance=MS] [required] [skip]        without as= a new member, which gets id NAME
//   sync GROUP ID gen=N [instance=I] [type=T] [protocol=P] [assign=ID:TEXT,...]
//   heartbeat GROUP ID gen=N [instance=I]
//   leave GROUP [ID | ID/INSTANCE | /INSTANCE] ...
//   commit GROUP [member=ID] [gen=N] [instance=I] [retention=MS] [old] TOPIC:P=OFFSET[:META] ...
//   fetch GROUP [TOPIC:P ...]     delete-offsets GROUP TOPIC:P ...     delete GROUP
//   describe GROUP     list     snapshot     waiting
//   advance MS     hold     release     refuse ERROR-NUMBER
//   crash [compacted | snapshot]     resign
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/coordinator/testing/harness.h"
#include "common/testing/script.h"

namespace millrace::coordinator {

class Session {
 public:
  std::string run(const common::ScriptCommand& command);

 private:
  /// The commands that are requests; false: another one.
  bool request(const common::ScriptCommand& command);
  bool world(const common::ScriptCommand& command);
  std::string read(const common::ScriptCommand& command);
  void begin(const common::ScriptCommand& command);
  void topics(const common::ScriptCommand& command);
  void join(const common::ScriptCommand& command);
  void sync(const common::ScriptCommand& command);
  void heartbeat(const common::ScriptCommand& command);
  void leave(const common::ScriptCommand& command);
  void commit(const common::ScriptCommand& command);
  void delete_offsets(const common::ScriptCommand& command);
  std::string fetch(const common::ScriptCommand& command);
  std::string happened();

  std::unique_ptr<Harness> harness_ = std::make_unique<Harness>(Settings{});
  std::uint8_t incarnation_ = 0;
};

}  // namespace millrace::coordinator
