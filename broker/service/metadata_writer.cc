#include "broker/service/metadata_writer.h"

#include <algorithm>
#include <utility>

#include "broker/service/everywhere.h"

namespace millrace::service {
namespace {

using metadata::Proposer;
using metadata::Question;
using model::ErrorCode;
using Records = std::vector<metadata::Record>;

/// While this broker's image is no state of the cluster, and when nobody can be asked.
constexpr auto kTryAgain = std::chrono::seconds(1);

}  // namespace

MetadataWriter::MetadataWriter(Shard& first)
    : first_(first),
      alone_(std::make_unique<NoOtherBrokers>(first.identity().node)),
      calls_(*alone_),
      log_(first, *this, first.beginning()),
      gate_(first, log_, calls_, settings_.gate),
      removals_(first, [this](std::vector<model::TopicId> topics,
                              common::Reply<common::Result<void>> done) {
        confirm_removals(std::move(topics), std::move(done));
      }) {}

MetadataWriter::MetadataWriter(Shard& first, ClusterCalls& calls,
                               const replica::Beginning& beginning, MetadataWriterSettings settings)
    : first_(first),
      calls_(calls),
      settings_(settings),
      log_(first, *this, beginning),
      gate_(first, log_, calls_, settings_.gate),
      removals_(first, [this](std::vector<model::TopicId> topics,
                              common::Reply<common::Result<void>> done) {
        confirm_removals(std::move(topics), std::move(done));
      }) {}

MetadataWriter::~MetadataWriter() {
  close();
}

void MetadataWriter::replay(common::Reply<common::Result<void>> done) {
  log_.replay([this, done = std::move(done)](common::Result<void> replayed) mutable {
    if (!replayed.ok()) return done(std::move(replayed));
    gate_.shorten_before_following(
        [this, done = std::move(done)](common::Result<void> shortened) mutable {
          if (shortened.ok()) log_.follow();
          done(std::move(shortened));
        });
  });
}

void MetadataWriter::submit(Decide decide, common::Reply<common::Result<void>> done) {
  add({.decide = std::move(decide), .question = Question::kIfPossible, .done = std::move(done)});
}

void MetadataWriter::catch_up(common::Reply<common::Result<void>> done) {
  add({.decide = [](const metadata::Image&) { return common::Result<Records>(Records{}); },
       .question = Question::kStrict,
       .done = std::move(done)});
}

void MetadataWriter::add(Job job) {
  if (closed_) return job.done(model::error(ErrorCode::kShuttingDown));
  jobs_.push_back(std::move(job));
  drive();
}

/// Does what can be done now. What happens meanwhile, in an answer to a job or from a log that
/// answers at once, is looked at in the next round, so that the stack stays flat.
void MetadataWriter::drive() {
  drive_again_ = true;
  if (std::exchange(driving_, true)) return;
  while (std::exchange(drive_again_, false) && !closed_) {
    if (current_ == nullptr && jobs_.empty()) break;
    if (current_ == nullptr) {
      current_ = std::make_unique<Current>(
          Current{.job = std::move(jobs_.front()),
                  .proposer = Proposer(settings_.proposals, first_.random(), first_.clock().now()),
                  .serial = ++last_serial_,
                  .batch = {},
                  .refusal = {}});
      jobs_.pop_front();
    }
    if (drive_current()) drive_again_ = true;
  }
  driving_ = false;
}

/// One step. False: nothing to do until something happens.
bool MetadataWriter::drive_current() {
  const common::Instant now = first_.clock().now();
  Proposer::Step step = current_->proposer.next(now, log_.applied());
  switch (step.act) {
    case Proposer::Act::kDecide:
      if (!log_.whole()) {
        wait_until(now + kTryAgain);
        return false;
      }
      decide();
      return true;
    case Proposer::Act::kSend:
      send();
      return true;
    case Proposer::Act::kWait:
      wait_until(step.until);
      return false;
    case Proposer::Act::kDone:
      finish(current_->refusal ? common::Result<void>(*current_->refusal) : common::ok());
      return true;
    case Proposer::Act::kFail:
      finish(*std::move(step.error));
      return true;
  }
  return false;
}

void MetadataWriter::decide() {
  const model::Offset base = log_.applied();
  current_->batch = {};
  current_->refusal.reset();
  auto records = current_->job.decide(first_.image());
  if (!records.ok()) current_->refusal = std::move(records).error();
  // A broker that is cut off must not say that there is no such topic.
  if (current_->refusal) return current_->proposer.decided(base, {}, Question::kStrict);
  if (records->empty()) return current_->proposer.decided(base, {}, current_->job.question);
  const auto id = common::Uuid::random(first_.random());
  current_->batch = metadata::to_batch(*records, first_.clock().wall(), id);
  if (const auto checked = metadata::check_batch(current_->batch); !checked.ok()) {
    current_->refusal = checked.error();
    return current_->proposer.decided(base, {}, Question::kStrict);
  }
  current_->proposer.decided(base, id);
}

void MetadataWriter::send() {
  const auto leader = calls_.metadata_leader();
  if (!leader) return current_->proposer.no_leader(first_.clock().now());
  const std::uint64_t serial = current_->serial;
  const std::uint64_t call = current_->proposer.sent();
  metadata::Proposal proposal{.from = first_.identity().node,
                              .base = current_->proposer.base(),
                              .batch = {},
                              .term = log_.replica().term()};
  if (*leader == first_.identity().node) {
    // The log writes into what it appends, and it may have to be sent once more.
    if (!current_->batch.empty()) proposal.batch = common::Bytes::copy_of(current_->batch);
    return gate_.judge(std::move(proposal),
                       lifeline_.guard([this, serial, call](metadata::ProposalAnswer answer) {
                         answered(serial, call, std::move(answer));
                       }));
  }
  proposal.batch = current_->batch;
  calls_.propose(*leader, metadata::encode(proposal), settings_.call_timeout,
                 lifeline_.guard([this, serial, call](const common::Result<common::Bytes>& reply) {
                   if (!reply.ok()) return answered(serial, call, reply.error());
                   answered(serial, call, metadata::read_answer(*reply));
                 }));
}

void MetadataWriter::answered(std::uint64_t serial, std::uint64_t call,
                              common::Result<metadata::ProposalAnswer> answer) {
  if (current_ == nullptr || current_->serial != serial) return;
  const common::Instant now = first_.clock().now();
  if (answer.ok()) {
    current_->proposer.answered(call, *answer, now);
  } else {
    current_->proposer.unanswered(call, answer.error(), now);
  }
  drive();
}

void MetadataWriter::wait_until(common::Instant until) {
  if (timer_ != env::TimerId::kNone) first_.loop().cancel(timer_);
  const common::Duration delay = until - first_.clock().now();
  timer_ = first_.loop().after(std::max(delay, common::Duration(0)), lifeline_.guard([this] {
    timer_ = env::TimerId::kNone;
    drive();
  }));
}

void MetadataWriter::finish(common::Result<void> outcome) {
  if (timer_ != env::TimerId::kNone)
    first_.loop().cancel(std::exchange(timer_, env::TimerId::kNone));
  const std::unique_ptr<Current> finished = std::move(current_);
  finished->job.done(std::move(outcome));
}

void MetadataWriter::on_applied(const std::vector<metadata::ReplayStep>& steps) {
  for (const metadata::ReplayStep& step : steps) {
    if (current_ != nullptr) current_->proposer.applied(step.base, step.proposal);
  }
  removals_.look();
  gate_.shorten_if_long();
  drive();
}

void MetadataWriter::on_skipped(model::Offset start) {
  if (current_ != nullptr) current_->proposer.skipped_to(start);
}

void MetadataWriter::serve(const common::Bytes& proposal,
                           common::Reply<common::Result<common::Bytes>> done) {
  if (closed_) return done(model::error(ErrorCode::kShuttingDown));
  auto read = metadata::read_proposal(proposal);
  if (!read.ok()) return done(read.error());
  if (!read->batch.empty()) {
    if (const auto checked = metadata::check_batch(read->batch); !checked.ok()) {
      return done(metadata::encode(metadata::ProposalAnswer{.verdict = metadata::Verdict::kRefused,
                                                            .newest = {},
                                                            .error = checked.error().code,
                                                            .detail = checked.error().detail}));
    }
  }
  gate_.judge(*std::move(read), [done = std::move(done)](metadata::ProposalAnswer answer) mutable {
    done(metadata::encode(answer));
  });
}

void MetadataWriter::confirm_removals(std::vector<model::TopicId> topics,
                                      common::Reply<common::Result<void>> done) {
  submit(
      [this, topics = std::move(topics)](const metadata::Image& image) -> common::Result<Records> {
        Records records;
        for (const model::TopicId& topic : topics) {
          const auto decision =
              metadata::decide(image, metadata::ConfirmRemoval{topic, first_.identity().node});
          records.insert(records.end(), decision.records.begin(), decision.records.end());
        }
        return records;
      },
      std::move(done));
}

void MetadataWriter::clean_up() {
  removals_.begin();
  if (alone_ != nullptr) return set_aside_unknown();
  set_aside_later(2 * first_.raft().election_timeout);
}

void MetadataWriter::set_aside_later(common::Duration delay) {
  first_.loop().after(delay, lifeline_.guard([this] { set_aside_unknown(); }));
}

/// What is here was made by metadata from before this process. A leader counts on nobody who has
/// not answered it for an election timeout, so one that still leads after two of them led when that
/// was the newest.
void MetadataWriter::set_aside_unknown() {
  catch_up(lifeline_.guard([this](const common::Result<void>& newest) {
    if (closed_) return;
    if (!newest.ok() || log_.applied() < log_.replica().bounds().log_end)
      return set_aside_later(kTryAgain);
    on_every_shard<bool>(
        first_,
        [](Shard& shard, common::Reply<bool> reply) {
          shard.set_aside_unknown();
          reply(true);
        },
        [](std::vector<bool>) {});
  }));
}

void MetadataWriter::close() {
  if (std::exchange(closed_, true)) return;
  removals_.close();
  auto jobs = std::exchange(jobs_, {});
  if (current_ != nullptr) finish(model::error(ErrorCode::kShuttingDown));
  for (Job& job : jobs) job.done(model::error(ErrorCode::kShuttingDown));
  log_.close();
}

}  // namespace millrace::service
