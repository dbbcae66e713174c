#include "broker/service/fetch_anywhere.h"

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

#include "broker/service/routed.h"

namespace millrace::service {
namespace {

using cluster::FieldReader;
using cluster::FieldWriter;
using common::Result;
using model::BrokerId;
using model::ErrorCode;
using Outcomes = std::vector<FetchOutcome>;

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kItemsMax = 1'000'000;
constexpr std::size_t kItemBytesMin = 19;
constexpr std::size_t kPiecesMax = 1'000'000;
constexpr std::int64_t kWaitMsMax = 60'000;
/// The deadline of the one who asked should not come before the answer.
constexpr auto kAnswerSlack = std::chrono::seconds(5);
constexpr auto kEndMax = std::chrono::seconds(5);

std::int64_t milliseconds(common::Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

/// A fetch that another broker waits for, under a name that it gave.
struct Asked {
  common::Uuid ticket;
  FetchCommand command;
};

common::Bytes encode_request(const Asked& asked) {
  const FetchCommand& command = asked.command;
  FieldWriter out;
  out.byte(kVersion);
  out.uuid(asked.ticket);
  out.byte(static_cast<std::uint8_t>(command.isolation));
  out.count(command.bytes_min);
  out.count(command.bytes_max);
  out.number(milliseconds(command.wait_max));
  out.count(command.items.size());
  for (const FetchItem& item : command.items) {
    put_target(out, {item.target.topic_id, item.target.partition});
    out.number(item.from.value());
    out.count(item.bytes_max);
  }
  return common::Bytes::copy_of(out.view());
}

Result<Asked> decode_request(common::ByteView body) {
  FieldReader in(body);
  if (in.byte() != kVersion) return model::error(ErrorCode::kUnsupportedVersion);
  Asked asked;
  asked.ticket = in.uuid();
  FetchCommand& command = asked.command;
  command.isolation =
      in.byte() == 0 ? replica::Isolation::kReadUncommitted : replica::Isolation::kReadCommitted;
  command.bytes_min = in.count();
  command.bytes_max = in.count();
  command.wait_max =
      std::chrono::milliseconds(std::clamp<std::int64_t>(in.number<std::int64_t>(), 0, kWaitMsMax));
  command.items.resize(in.length(kItemsMax, kItemBytesMin));
  for (FetchItem& item : command.items) {
    item.target = get_target(in);
    item.from = in.offset();
    item.bytes_max = in.count();
  }
  if (!in.done()) return model::error(ErrorCode::kCorruptMessage);
  return asked;
}

common::Bytes encode_outcomes(const Outcomes& outcomes) {
  FieldWriter out;
  out.byte(kVersion);
  out.count(outcomes.size());
  for (const FetchOutcome& outcome : outcomes) {
    put_error(out, outcome.code, outcome.detail);
    out.number(outcome.bounds.log_start.value());
    out.number(outcome.bounds.high_watermark.value());
    out.number(outcome.bounds.last_stable.value());
    out.number(outcome.bounds.log_end.value());
    out.number(outcome.bounds.leader_epoch.value());
    out.count(outcome.pieces.size());
    for (const common::Bytes& piece : outcome.pieces) {
      out.count(piece.size());
      out.raw(piece.view());
    }
  }
  return common::Bytes::copy_of(out.view());
}

/// The pieces are windows on the answer.
Result<Outcomes> decode_outcomes(const common::Bytes& answer, std::size_t count) {
  FieldReader in(answer.view());
  if (in.byte() != kVersion) return model::error(ErrorCode::kUnsupportedVersion);
  Outcomes outcomes(in.length(kItemsMax));
  for (FetchOutcome& outcome : outcomes) {
    RoutedError error = get_error(in);
    // Somebody else leads what a broker led that stops.
    outcome.code =
        error.code == ErrorCode::kShuttingDown ? ErrorCode::kNotLeaderOrFollower : error.code;
    outcome.detail = std::move(error.detail);
    outcome.bounds.log_start = in.offset();
    outcome.bounds.high_watermark = in.offset();
    outcome.bounds.last_stable = in.offset();
    outcome.bounds.log_end = in.offset();
    outcome.bounds.leader_epoch = in.term();
    outcome.pieces.resize(in.length(kPiecesMax));
    for (common::Bytes& piece : outcome.pieces) {
      const std::size_t size = in.length(answer.size());
      const std::size_t at = answer.size() - in.left();
      in.raw(size);
      if (in.failed()) return model::error(ErrorCode::kCorruptMessage);
      piece = answer.slice(at, size);
      outcome.bytes += size;
    }
  }
  if (!in.done() || outcomes.size() != count) return model::error(ErrorCode::kCorruptMessage);
  return outcomes;
}

/// A leader that does not answer is as good as none.
Outcomes unanswered(std::size_t count, const common::Error& error) {
  FetchOutcome outcome;
  outcome.code = ErrorCode::kNotLeaderOrFollower;
  outcome.detail = "The leader does not answer: " + error.detail;
  return Outcomes(count, outcome);
}

/// One fetch of partitions that several brokers lead. Lives on the asking shard's loop.
class SpreadFetch final : public FetchHandle, public std::enable_shared_from_this<SpreadFetch> {
 public:
  SpreadFetch(Shard& here, FetchCommand command, common::Reply<Outcomes> done)
      : here_(here), command_(std::move(command)), done_(std::move(done)) {}

  void start() {
    outcomes_.resize(command_.items.size());
    std::vector<std::size_t> places;
    std::vector<model::PartitionKey> keys;
    for (std::size_t i = 0; i < command_.items.size(); ++i) {
      const auto key = resolve(here_, command_.items[i].target);
      if (key.ok()) {
        places.push_back(i);
        keys.push_back(*key);
        continue;
      }
      outcomes_[i].code = key.error().code;
      outcomes_[i].detail = key.error().detail;
      ended_ = true;  // an error is told at once
    }
    std::vector<model::PartitionKey> asked = keys;
    known_leaders(
        here_, std::move(asked),
        [self = shared_from_this(), places = std::move(places), keys = std::move(keys)](
            const std::vector<KnownLeader>& leaders) { self->deal(places, keys, leaders); });
  }

  void cancel() override { end(nullptr); }

 private:
  /// What one broker reads.
  struct Part {
    BrokerId broker{-1};  // -1: this one
    std::uint32_t shard = 0;
    std::vector<std::size_t> places;
    Asked asked;
    std::shared_ptr<FetchHandle> handle;  // of a fetch on this broker
    bool begun = false;
    bool answered = false;
  };

  void deal(const std::vector<std::size_t>& places, const std::vector<model::PartitionKey>& keys,
            const std::vector<KnownLeader>& leaders) {
    std::map<BrokerId, std::size_t> parts;
    for (std::size_t i = 0; i < places.size(); ++i) {
      const BrokerId broker = reader_of(leaders[i].leader);
      const auto [found, fresh] = parts.emplace(broker, parts_.size());
      if (fresh) add_part(broker, keys[i]);
      Part& part = parts_[found->second];
      part.places.push_back(places[i]);
      FetchItem item = command_.items[places[i]];
      item.target.topic_id = keys[i].topic;
      part.asked.command.items.push_back(std::move(item));
    }
    missing_ = parts_.size() + 1;
    for (Part& part : parts_) read(part);
    arrived();
  }

  /// -1: this broker, which leads, or says that nobody does.
  BrokerId reader_of(BrokerId leader) const {
    const bool other = leader != here_.identity().node && here_.alive(leader) &&
                       here_.neighbours()->introduction(leader) != nullptr;
    return other ? leader : BrokerId{-1};
  }

  void add_part(BrokerId broker, const model::PartitionKey& key) {
    Part& part = parts_.emplace_back();
    part.broker = broker;
    if (broker != BrokerId{-1})
      part.shard = shard_of(key, here_.neighbours()->introduction(broker)->shards);
    part.asked.ticket = common::Uuid::random(here_.random());
    FetchCommand& command = part.asked.command;
    command.isolation = command_.isolation;
    command.bytes_min = command_.bytes_min;
    command.bytes_max = command_.bytes_max;
  }

  void read(Part& part) {
    part.begun = true;
    part.asked.command.wait_max = ended_ ? common::Duration{0} : command_.wait_max;
    if (part.broker == BrokerId{-1}) {
      part.handle =
          fetch(here_, part.asked.command, [self = shared_from_this(), &part](Outcomes outcomes) {
            self->take(part, std::move(outcomes));
          });
      return;
    }
    here_.neighbours()->call(
        part.broker, part.shard, cluster::Method::kFetch, encode_request(part.asked),
        part.asked.command.wait_max + kAnswerSlack,
        [self = shared_from_this(), &part](Result<common::Bytes> answer) {
          const std::size_t count = part.places.size();
          auto outcomes = answer.ok() ? decode_outcomes(*answer, count)
                                      : Result<Outcomes>(std::move(answer).error());
          self->take(part,
                     outcomes.ok() ? *std::move(outcomes) : unanswered(count, outcomes.error()));
        });
  }

  void take(Part& part, Outcomes outcomes) {
    part.answered = true;
    for (std::size_t i = 0; i < outcomes.size(); ++i)
      outcomes_[part.places[i]] = std::move(outcomes[i]);
    end(&part);
    arrived();
  }

  /// Nobody need wait for news any more: all others answer with what they have.
  void end(const Part* because) {
    if (std::exchange(ended_, true)) return;
    for (Part& part : parts_) {
      if (&part == because || !part.begun || part.answered) continue;
      if (part.broker == BrokerId{-1}) {
        part.handle->cancel();
        continue;
      }
      FieldWriter body;
      body.uuid(part.asked.ticket);
      here_.neighbours()->call(part.broker, part.shard, cluster::Method::kEndFetch,
                               common::Bytes::copy_of(body.view()), kEndMax,
                               [](const Result<common::Bytes>&) {});
    }
  }

  void arrived() {
    if (--missing_ == 0) done_(std::move(outcomes_));
  }

  Shard& here_;
  const FetchCommand command_;
  common::Reply<Outcomes> done_;
  Outcomes outcomes_;
  std::deque<Part> parts_;  // parts stay where they are
  std::size_t missing_ = 0;
  bool ended_ = false;  // nobody waits for news any more
};

/// Fetches of other brokers that wait here, by the names that they gave.
using Waiting = std::map<common::Uuid, std::shared_ptr<FetchHandle>>;

void serve_one(Shard& shard, const std::shared_ptr<Waiting>& waiting, Asked asked,
               Calls::Reply reply) {
  const common::Uuid ticket = asked.ticket;
  auto over = std::make_shared<bool>(false);
  auto handle = fetch(shard, std::move(asked.command),
                      [waiting, ticket, over, reply = std::move(reply)](Outcomes outcomes) mutable {
                        *over = true;
                        waiting->erase(ticket);
                        reply(encode_outcomes(outcomes));
                      });
  if (!*over) waiting->insert_or_assign(ticket, std::move(handle));
}

void end_one(const Waiting& waiting, const common::Uuid& ticket) {
  const auto found = waiting.find(ticket);
  if (found == waiting.end()) return;
  const std::shared_ptr<FetchHandle> handle = found->second;  // its end erases it
  handle->cancel();
}

}  // namespace

std::shared_ptr<FetchHandle> fetch_anywhere(Shard& here, FetchCommand command,
                                            common::Reply<Outcomes> done) {
  if (here.neighbours() == nullptr) return fetch(here, std::move(command), std::move(done));
  auto spread = std::make_shared<SpreadFetch>(here, std::move(command), std::move(done));
  spread->start();
  return spread;
}

void serve_fetch(Shard& shard) {
  auto waiting = std::make_shared<Waiting>();
  shard.calls().serve(cluster::Method::kFetch,
                      [&shard, waiting](const cluster::Request& request, Calls::Reply reply) {
                        auto asked = decode_request(request.body.view());
                        if (!asked.ok()) return reply(std::move(asked).error());
                        serve_one(shard, waiting, *std::move(asked), std::move(reply));
                      });
  shard.calls().serve(cluster::Method::kEndFetch,
                      [waiting](const cluster::Request& request, Calls::Reply reply) {
                        FieldReader in(request.body.view());
                        const common::Uuid ticket = in.uuid();
                        if (!in.done()) return reply(model::error(ErrorCode::kCorruptMessage));
                        end_one(*waiting, ticket);
                        reply(common::Bytes());
                      });
}

}  // namespace millrace::service
