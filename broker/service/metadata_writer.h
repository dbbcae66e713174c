// MetadataWriter::decide_on<TopicOutcome>(here, [=](const Image& image) { return decide(image,
// command, rules); }, reply);
//
// The one who writes the metadata log. Lives on the first shard; any shard hands it decisions to
// make.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string_view>
#include <vector>

#include "broker/metadata/machine.h"
#include "broker/service/shard.h"

namespace millrace::service {

/// The name that the metadata log goes by among topics; no topic may have it.
inline constexpr std::string_view kMetadataTopicName = "__cluster_metadata";

/// Takes one decision at a time: decides on the image that holds everything before it, appends the
/// records, waits until they are committed, lets every shard apply them, and only then answers.
class MetadataWriter {
 public:
  /// Looks at the newest image and says what to commit (perhaps nothing).
  using Decide =
      common::Function<common::Result<std::vector<metadata::Record>>(const metadata::Image&)>;

  /// Opens (or makes) the metadata log in the first shard's store. First shard's loop.
  explicit MetadataWriter(Shard& first);
  ~MetadataWriter();

  /// Reads the whole log and applies it to the image of every shard (whose loops must not serve
  /// yet: called while the other shards are quiet), shortens it when it has grown far beyond what
  /// it describes. kCorruptLog: it cannot be read.
  void replay(common::Reply<common::Result<void>> done);

  /// First shard's loop; answers there.
  void submit(Decide decide, common::Reply<common::Result<void>> done);

  /// From any shard's loop, with an outcome: `decide` returns Result<metadata::Decision<Outcome>>;
  /// the answer comes on `here`'s loop once every shard has applied the decision.
  template <typename Outcome, typename DecideOutcome>
  static void decide_on(Shard& here, DecideOutcome decide,
                        common::Reply<common::Result<Outcome>> done);

  /// Finishes removals that an earlier run left over. After open_partitions() of all shards.
  void resume_removals();
  /// Answers everything that waits with kShuttingDown.
  void close();
  /// How far the metadata log is. First shard's loop.
  replica::Bounds bounds() const { return log_->bounds(); }

 private:
  struct Job {
    Decide decide;
    common::Reply<common::Result<void>> done;
  };

  void read_from(model::Offset offset, std::shared_ptr<common::Reply<common::Result<void>>> done);
  common::Result<void> replay_piece(common::ByteView piece);
  void shorten(common::Reply<common::Result<void>> done);
  void next();
  void commit(std::vector<metadata::Record> records);
  void apply_everywhere(std::shared_ptr<const std::vector<metadata::Record>> records);
  void finish(common::Result<void> outcome);
  void remove_everywhere(const model::TopicId& topic);

  Shard& first_;
  std::unique_ptr<replica::Partition> log_;
  std::deque<Job> jobs_;  // the front one is under way when busy_
  bool busy_ = false;
  bool closed_ = false;
};

template <typename Outcome, typename DecideOutcome>
void MetadataWriter::decide_on(Shard& here, DecideOutcome decide,
                               common::Reply<common::Result<Outcome>> done) {
  auto outcome = std::make_shared<Outcome>();
  auto job = [&here, decide = std::move(decide), outcome, done = std::move(done)]() mutable {
    here.first().metadata_writer()->submit(
        [decide = std::move(decide), outcome](
            const metadata::Image& image) mutable -> common::Result<std::vector<metadata::Record>> {
          TRY_ASSIGN(metadata::Decision<Outcome> decision, decide(image));
          *outcome = std::move(decision.outcome);
          return std::move(decision.records);
        },
        [&here, outcome, done = std::move(done)](common::Result<void> committed) mutable {
          auto answer = [outcome, done = std::move(done),
                         committed = std::move(committed)]() mutable {
            if (committed.ok()) {
              done(std::move(*outcome));
            } else {
              done(std::move(committed).error());
            }
          };
          if (&here == &here.first()) {
            answer();
          } else {
            here.loop().post(std::move(answer));
          }
        });
  };
  if (&here == &here.first()) {
    job();
  } else {
    here.first().loop().post(std::move(job));
  }
}

}  // namespace millrace::service
