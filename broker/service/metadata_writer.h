// MetadataWriter::decide_on<TopicOutcome>(here, [=](const Image& image) { return decide(image,
// command, rules); }, reply);
//
// Changes of the metadata, on every broker: any shard hands over decisions to make. Lives on the
// first shard.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "broker/metadata/machine.h"
#include "broker/metadata/proposer.h"
#include "broker/service/cluster_calls.h"
#include "broker/service/metadata_gate.h"
#include "broker/service/metadata_log.h"
#include "broker/service/shard.h"
#include "broker/service/topic_removals.h"

namespace millrace::service {

struct MetadataWriterSettings {
  metadata::ProposerSettings proposals;
  MetadataGateSettings gate;
  /// How long the leader may take to answer one proposal.
  common::Duration call_timeout = std::chrono::seconds(5);
};

/// Takes one decision at a time: decides on the image that holds everything before it, proposes the
/// records to whoever leads the metadata log, waits until they are committed and every shard of
/// this broker has applied them, and only then answers. Where others were quicker it decides again.
/// The Decide may so be called several times; the last call counts.
///
/// Errors besides the decision's own: kNotController (nothing was changed: no leader, or others
/// were quicker too often), kRequestTimedOut (it is not known), kNoSpace and others of the leader's
/// log (nothing was changed), kShuttingDown.
class MetadataWriter final : private MetadataListener {
 public:
  /// Looks at the newest image and says what to commit (perhaps nothing).
  using Decide =
      common::Function<common::Result<std::vector<metadata::Record>>(const metadata::Image&)>;

  /// Of a broker that is alone. Opens (or makes) the metadata log in the first shard's store. First
  /// shard's loop, as all that follows.
  explicit MetadataWriter(Shard& first);
  /// `calls` outlives it. `beginning`: what its replica of the metadata log begins with where it
  /// has no state yet: one of the first voters with their set, any other with nothing.
  MetadataWriter(Shard& first, ClusterCalls& calls, const replica::Beginning& beginning,
                 MetadataWriterSettings settings = {});
  ~MetadataWriter() override;

  /// Gives the image of what is known to be committed to every shard, and goes on applying what is
  /// committed from then on. Before partitions are open. kCorruptLog: it cannot be read.
  void replay(common::Reply<common::Result<void>> done);

  /// Answers on the first shard's loop.
  void submit(Decide decide, common::Reply<common::Result<void>> done);

  /// From any shard's loop, with an outcome: `decide` returns Result<metadata::Decision<Outcome>>;
  /// the answer comes on `here`'s loop once every shard has applied the decision.
  template <typename Outcome, typename DecideOutcome>
  static void decide_on(Shard& here, DecideOutcome decide,
                        common::Reply<common::Result<Outcome>> done);

  /// Once every shard's image holds everything that was committed when this was called. Errors as
  /// submit().
  void catch_up(common::Reply<common::Result<void>> done);

  /// After open_partitions() of all shards: finishes removals that an earlier run left over, and
  /// sets aside logs that the metadata does not know, once it is known to be the newest.
  void clean_up();

  /// A proposal of another broker, as ClusterCalls::propose brings it; always answered, unless this
  /// broker stops first (kShuttingDown).
  void serve(const common::Bytes& proposal, common::Reply<common::Result<common::Bytes>> done);

  /// Answers everything that waits with kShuttingDown.
  void close();
  /// How far the metadata log is.
  replica::Bounds bounds() const { return log_.replica().bounds(); }
  /// The end of what the first shard's image holds.
  model::Offset applied() const { return log_.applied(); }
  /// This broker's replica of the metadata log.
  replica::Partition& replica() { return log_.replica(); }

 private:
  struct Job {
    Decide decide;
    metadata::Question question = metadata::Question::kIfPossible;
    common::Reply<common::Result<void>> done;
  };
  /// The job under way.
  struct Current {
    Job job;
    metadata::Proposer proposer;
    std::uint64_t serial = 0;
    common::Bytes batch;                   // empty: the decision has no records
    std::optional<common::Error> refusal;  // of the decision
  };

  void on_applied(const std::vector<metadata::ReplayStep>& steps) override;
  void on_skipped(model::Offset start) override;
  void add(Job job);
  void drive();
  bool drive_current();
  void decide();
  void send();
  void answered(std::uint64_t serial, std::uint64_t call,
                common::Result<metadata::ProposalAnswer> answer);
  void wait_until(common::Instant until);
  void finish(common::Result<void> outcome);
  void set_aside_later(common::Duration delay);
  void set_aside_unknown();
  void confirm_removals(std::vector<model::TopicId> topics,
                        common::Reply<common::Result<void>> done);

  Shard& first_;
  const std::unique_ptr<ClusterCalls> alone_;  // nullptr: there are others
  ClusterCalls& calls_;
  const MetadataWriterSettings settings_;
  MetadataLog log_;
  MetadataGate gate_;
  TopicRemovals removals_;
  std::deque<Job> jobs_;
  std::unique_ptr<Current> current_;
  std::uint64_t last_serial_ = 0;
  env::TimerId timer_ = env::TimerId::kNone;
  bool driving_ = false;
  bool drive_again_ = false;
  bool closed_ = false;
  storage::Lifeline lifeline_;
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
