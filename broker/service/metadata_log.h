// MetadataLog log(first, listener);   log.replay(done);   log.follow();
//
// This broker's replica of the metadata log, and what it makes of it: every committed batch is
// applied in order to the image of every shard, on leaders and followers alike.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "broker/metadata/replay.h"
#include "broker/service/shard.h"
#include "broker/storage/lifeline.h"

namespace millrace::service {

/// The name that the metadata log goes by among topics; no topic may have it.
inline constexpr std::string_view kMetadataTopicName = "__cluster_metadata";

/// Hears what became of the images. On the first shard's loop.
class MetadataListener {
 public:
  virtual ~MetadataListener() = default;
  /// These batches were applied, in this order, by every shard.
  virtual void on_applied(const std::vector<metadata::ReplayStep>& steps) = 0;
  /// The log begins anew at `start`, further on than was read here: what comes next is a snapshot.
  virtual void on_skipped(model::Offset start) = 0;
};

/// First shard's loop. Only what the replica knows to be committed is applied. After a start that
/// is what it kept of that; the rest follows when a leader has confirmed it, which the only voter
/// of a group does by itself.
class MetadataLog {
 public:
  /// Opens (or makes) the log in the first shard's store. `beginning`: what its replica begins with
  /// where it has no state yet.
  MetadataLog(Shard& first, MetadataListener& listener, const replica::Beginning& beginning);
  ~MetadataLog();

  /// Reads what is known to be committed, and gives every shard the image of it. Before partitions
  /// are open. kCorruptLog: it cannot be read.
  void replay(common::Reply<common::Result<void>> done);
  /// Goes on applying, from now on.
  void follow();
  /// Nothing is applied any more; the replica answers nothing.
  void close();

  /// The end of what the first shard's image holds.
  model::Offset applied() const { return replay_.next(); }
  /// The first shard's image is a state of the cluster: false while a snapshot is being read that
  /// the log begins with.
  bool whole() const { return replay_.whole(); }
  /// How much was read since the state was last described as a whole.
  std::uint64_t bytes_to_shorten() const { return replay_.bytes(); }
  /// Where the log can be cut off now; nullopt: it was, or there is nothing to cut.
  std::optional<model::Offset> snapshot_start() const;
  /// The state of the log up to `next` is known to add nothing to the images.
  void skip_to(model::Offset next) { replay_.skip_to(next); }
  replica::Partition& replica() { return *log_; }
  const replica::Partition& replica() const { return *log_; }

 private:
  using Steps = std::vector<metadata::ReplayStep>;
  /// The steps in front of what cannot be read, if anything cannot.
  struct Parsed {
    Steps steps;
    std::optional<common::Error> error;
  };

  bool comes_again() const;
  void read_back(std::shared_ptr<metadata::Image> image,
                 std::shared_ptr<common::Reply<common::Result<void>>> done);
  void hand_out(const metadata::Image& image, common::Reply<common::Result<void>> done);
  Parsed parse(const storage::ReadResult& read);
  void pump();
  void took(const storage::ReadResult& read);
  void failed(const common::Error& error);
  void apply_everywhere(std::shared_ptr<const Steps> steps);
  std::shared_ptr<const metadata::Image> replacement(const metadata::ReplayStep& step);
  void retry();

  Shard& first_;
  MetadataListener& listener_;
  std::unique_ptr<replica::Partition> log_;
  metadata::Replay replay_;
  bool following_ = false;
  bool reading_ = false;
  bool watching_ = false;
  bool closed_ = false;
  model::Offset unreadable_{-1};  // was told of
  env::TimerId retry_ = env::TimerId::kNone;
  storage::Lifeline lifeline_;
};

}  // namespace millrace::service
