// Founding founding({...});   founding.serve();   founding.start([](Result<Standing> standing) {
// ... });
//
// What metadata::Formation asks for, done: brokers tell each other how they stand until this one
// belongs to a cluster, and each step is on the disk before it is told.
#pragma once

#include <string>
#include <string_view>

#include "broker/env/disk.h"
#include "broker/env/loop.h"
#include "broker/metadata/formation.h"
#include "broker/service/shard.h"
#include "broker/storage/lifeline.h"
#include "common/function.h"
#include "common/reply.h"

namespace millrace::server {

/// The standing that a data directory keeps; blank where it keeps none. kForeignData: it cannot be
/// read; the text says what to do. Blocking.
common::Result<metadata::Standing> read_standing(env::Disk& disk, const std::string& path);
/// Blocking.
common::Result<void> write_standing(env::Disk& disk, const metadata::Standing& standing);

/// First shard's loop.
class Founding {
 public:
  struct Parts {
    /// Its neighbours carry the tales.
    service::Shard& first;
    env::Disk& disk;
    metadata::FormationSettings settings;
    metadata::Standing standing;
    /// Takes why this broker has to wait, as a sentence, again and again.
    common::Function<void(metadata::FormationStep::Act, const std::string&)> waits;
  };
  explicit Founding(Parts parts);
  ~Founding();
  Founding(const Founding&) = delete;
  Founding& operator=(const Founding&) = delete;

  /// Answers brokers that ask, from now on: those who come later need it too.
  void serve();
  /// Answers when this broker belongs to a cluster, at once if it did before: the stage is kFormed
  /// or kMember. kIo ...: the disk failed.
  void start(common::Reply<common::Result<metadata::Standing>> done);
  /// start() is answered kShuttingDown, if it was not yet.
  void stop();

 private:
  void arm();
  void ask_all();
  void ask(model::BrokerId node);
  void hear(common::ByteView tale);
  void step();
  void persist(const metadata::Standing& standing);
  void finish(common::Result<metadata::Standing> outcome);

  service::Shard& first_;
  env::Disk& disk_;
  const std::vector<model::BrokerId> voters_;
  const model::BrokerId self_;
  common::Function<void(metadata::FormationStep::Act, const std::string&)> waits_;
  metadata::Formation formation_;
  metadata::Standing standing_;
  common::Reply<common::Result<metadata::Standing>> done_;
  bool persisting_ = false;
  env::TimerId timer_ = env::TimerId::kNone;
  storage::Lifeline lifeline_;
};

}  // namespace millrace::server
