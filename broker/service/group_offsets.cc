#include "broker/service/group_offsets.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "broker/service/groups.h"
#include "broker/service/offsets.h"

namespace millrace::service {
namespace {

using common::Error;
using coordinator::OffsetFetchOutcome;
using model::ErrorCode;
using model::Offset;

using Place = std::pair<std::string, std::int32_t>;  // topic and partition

Error error_of(const coordinator::Status& status) {
  return {status.code, status.detail.empty() ? std::string(model::error_row(status.code).meaning)
                                             : status.detail};
}

/// Everything the group has committed.
void fetch_committed(Shard& here, const std::string& group,
                     common::Reply<common::Result<std::map<Place, Offset>>> done) {
  coordinator::OffsetFetch request;
  request.group = group;
  fetch_offsets(
      here, std::move(request),
      [done = std::move(done)](const OffsetFetchOutcome& outcome) mutable {
        if (!outcome.status.ok()) return done(error_of(outcome.status));
        std::map<Place, Offset> committed;
        for (const OffsetFetchOutcome::Partition& partition : outcome.partitions) {
          if (partition.code == ErrorCode::kNone && partition.committed.offset.value() >= 0)
            committed[{partition.topic.name, partition.partition}] = partition.committed.offset;
        }
        done(std::move(committed));
      });
}

/// One reset under way: what the group is, what it has, where the logs are, then the commit. Lives
/// on the loop of `here`.
class Resetting : public std::enable_shared_from_this<Resetting> {
 public:
  using Answer = common::Result<std::vector<OffsetResetRow>>;

  Resetting(Shard& here, OffsetReset reset, common::Reply<Answer> done)
      : here_(here), reset_(std::move(reset)), done_(std::move(done)) {}

  void start() {
    describe_groups(
        here_, {reset_.group},
        [self = shared_from_this()](const std::vector<coordinator::GroupDescription>& groups) {
          self->described(groups.front());
        });
  }

 private:
  void described(const coordinator::GroupDescription& group) {
    const bool absent = group.status.code == ErrorCode::kGroupIdNotFound ||
                        group.summary.state == coordinator::GroupState::kDead;
    if (!absent && !group.status.ok()) return done_(error_of(group.status));
    if (absent && reset_.topics.empty() && reset_.exact.empty()) {
      return done_(Error{
          ErrorCode::kGroupIdNotFound,
          fmt::format("Group {} does not exist; name topics to give it offsets", reset_.group)});
    }
    if (!absent && !group.members.empty()) return done_(busy(group.members.size()));
    if (absent) return choose({});
    fetch_committed(
        here_, reset_.group,
        [self = shared_from_this()](const common::Result<std::map<Place, Offset>>& committed) {
          if (!committed.ok()) return self->done_(committed.error());
          self->choose(*committed);
        });
  }

  Error busy(std::size_t members) const {
    return {ErrorCode::kNonEmptyGroup,
            fmt::format("Group {} has {} member(s), which would go on from where they are: stop "
                        "them first",
                        reset_.group, members)};
  }

  /// Makes a row for each partition, in order.
  void choose(const std::map<Place, Offset>& committed) {
    std::map<Place, OffsetResetRow> rows;
    if (!reset_.exact.empty()) {
      for (const ExactOffset& exact : reset_.exact) rows[{exact.topic, exact.partition}];
    } else if (reset_.topics.empty()) {
      for (const auto& [place, offset] : committed) rows[place];
    }
    for (const TopicChoice& choice : reset_.topics) {
      const auto topic = here_.image().topic(choice.topic);
      if (topic == nullptr) {
        return done_(Error{ErrorCode::kUnknownTopicOrPartition,
                           fmt::format("Topic {} does not exist", choice.topic)});
      }
      for (const std::int32_t index : choice.partitions) rows[{choice.topic, index}];
      for (std::int32_t i = 0; choice.partitions.empty() && i < topic->partition_count(); ++i)
        rows[{choice.topic, i}];
    }
    for (auto& [place, row] : rows) {
      row.topic = place.first;
      row.partition = place.second;
      const auto before = committed.find(place);
      if (before != committed.end()) row.before = before->second;
      rows_.push_back(std::move(row));
    }
    look_up();
  }

  /// Asks for start, end and, if that is wanted, the record of a time of each partition's log.
  void look_up() {
    std::vector<OffsetQuery> queries;
    for (const OffsetResetRow& row : rows_) {
      const PartitionRef target{{}, row.topic, model::PartitionIndex{row.partition}};
      queries.push_back({.target = target, .at = kEarliest});
      queries.push_back({.target = target, .at = kLatest});
      if (by_time())
        queries.push_back({.target = target, .at = common::Timestamp{reset_.move.value}});
    }
    list_offsets(here_, std::move(queries), replica::Isolation::kReadCommitted,
                 [self = shared_from_this()](const std::vector<OffsetAnswer>& answers) {
                   self->place(answers);
                 });
  }
  bool by_time() const { return reset_.exact.empty() && reset_.move.to == OffsetMove::To::kTime; }

  void place(const std::vector<OffsetAnswer>& answers) {
    const std::size_t step = by_time() ? 3 : 2;
    CHECK(answers.size() == step * rows_.size());
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      OffsetResetRow& row = rows_[i];
      const auto own = answers.begin() + static_cast<std::ptrdiff_t>(step * i);
      const auto failed =
          std::find_if(own, own + static_cast<std::ptrdiff_t>(step),
                       [](const OffsetAnswer& answer) { return answer.code != ErrorCode::kNone; });
      if (failed != own + static_cast<std::ptrdiff_t>(step)) {
        row.code = failed->code;
        row.detail = failed->detail;
        continue;
      }
      row.log_start = own[0].offset;
      row.end = own[1].offset;
      const std::optional<Offset> wanted = target(row, by_time() ? own[2].offset : Offset{-1});
      if (!wanted) {
        row.code = ErrorCode::kInvalidRequest;
        row.detail = "nothing is committed here that could be shifted";
        continue;
      }
      row.after = std::clamp(*wanted, row.log_start, row.end);
    }
    if (reset_.dry_run) return done_(std::move(rows_));
    store();
  }

  /// Before it is brought into the log; nullopt: there is nothing to go by.
  std::optional<Offset> target(const OffsetResetRow& row, Offset of_time) const {
    if (!reset_.exact.empty()) return exact(row).offset;
    switch (reset_.move.to) {
      case OffsetMove::To::kEarliest:
        return row.log_start;
      case OffsetMove::To::kLatest:
        return row.end;
      case OffsetMove::To::kOffset:
        return Offset{reset_.move.value};
      case OffsetMove::To::kTime:
        return of_time.value() < 0 ? row.end : of_time;
      case OffsetMove::To::kShift: {
        if (!row.before) return std::nullopt;
        std::int64_t shifted = 0;
        if (__builtin_add_overflow(row.before->value(), reset_.move.value, &shifted))
          return reset_.move.value < 0 ? row.log_start : row.end;
        return Offset{shifted};
      }
    }
    return std::nullopt;
  }
  const ExactOffset& exact(const OffsetResetRow& row) const {
    return *std::find_if(reset_.exact.begin(), reset_.exact.end(), [&](const ExactOffset& one) {
      return one.topic == row.topic && one.partition == row.partition;
    });
  }

  void store() {
    find_coordinator(here_, reset_.group,
                     [self = shared_from_this()](const coordinator::Status& status) {
                       if (!status.ok()) return self->done_(error_of(status));
                       self->commit();
                     });
  }
  void commit() {
    coordinator::OffsetCommit request;
    request.group = reset_.group;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const OffsetResetRow& row = rows_[i];
      if (row.code != ErrorCode::kNone) continue;
      const auto topic = here_.image().topic(row.topic);
      coordinator::OffsetCommit::Partition& partition = request.partitions.emplace_back();
      partition.topic = {row.topic, topic == nullptr ? model::TopicId{} : topic->id};
      partition.partition = row.partition;
      partition.offset = row.after;
      if (!reset_.exact.empty()) partition.metadata = exact(row).metadata;
      committing_.push_back(i);
    }
    if (committing_.empty()) return done_(std::move(rows_));
    commit_offsets(here_, std::move(request),
                   [self = shared_from_this()](const coordinator::OffsetCommitOutcome& outcome) {
                     self->committed(outcome);
                   });
  }
  void committed(const coordinator::OffsetCommitOutcome& outcome) {
    // Members came between the look and the commit: the coordinator does not know ours.
    if (outcome.status.code == ErrorCode::kUnknownMemberId ||
        outcome.status.code == ErrorCode::kStaleMemberEpoch ||
        outcome.status.code == ErrorCode::kIllegalGeneration) {
      return done_(busy(1));
    }
    if (!outcome.status.ok()) return done_(error_of(outcome.status));
    for (std::size_t i = 0; i < committing_.size(); ++i)
      rows_[committing_[i]].code = outcome.partitions.at(i);
    done_(std::move(rows_));
  }

  Shard& here_;
  const OffsetReset reset_;
  common::Reply<Answer> done_;
  std::vector<OffsetResetRow> rows_;
  std::vector<std::size_t> committing_;  // of rows_
};

void send_deletion(Shard& here, coordinator::OffsetDelete request,
                   common::Reply<common::Result<std::vector<DeletedOffsetRow>>> done) {
  std::vector<DeletedOffsetRow> rows;
  for (const auto& partition : request.partitions)
    rows.push_back({.topic = partition.topic.name, .partition = partition.partition});
  if (rows.empty()) return done(std::move(rows));
  delete_offsets(here, std::move(request),
                 [rows = std::move(rows),
                  done = std::move(done)](const coordinator::OffsetDeleteOutcome& outcome) mutable {
                   if (!outcome.status.ok()) return done(error_of(outcome.status));
                   for (std::size_t i = 0; i < rows.size(); ++i)
                     rows[i].code = outcome.partitions.at(i);
                   done(std::move(rows));
                 });
}

}  // namespace

void reset_group_offsets(Shard& here, OffsetReset reset,
                         common::Reply<common::Result<std::vector<OffsetResetRow>>> done) {
  std::make_shared<Resetting>(here, std::move(reset), std::move(done))->start();
}

void delete_group_offsets(Shard& here, std::string group, std::vector<TopicChoice> topics,
                          common::Reply<common::Result<std::vector<DeletedOffsetRow>>> done) {
  const std::string name = group;
  fetch_committed(
      here, name,
      [&here, group = std::move(group), topics = std::move(topics),
       done = std::move(done)](const common::Result<std::map<Place, Offset>>& committed) mutable {
        if (!committed.ok()) return done(committed.error());
        std::set<Place> wanted;
        for (const TopicChoice& choice : topics) {
          for (const std::int32_t index : choice.partitions) wanted.insert({choice.topic, index});
          if (!choice.partitions.empty()) continue;
          for (const auto& [place, offset] : *committed) {
            if (place.first == choice.topic) wanted.insert(place);
          }
        }
        coordinator::OffsetDelete request;
        request.group = std::move(group);
        for (const Place& place : wanted) {
          const auto topic = here.image().topic(place.first);
          coordinator::OffsetFetch::Partition& partition = request.partitions.emplace_back();
          partition.topic = {place.first, topic == nullptr ? model::TopicId{} : topic->id};
          partition.partition = place.second;
        }
        send_deletion(here, std::move(request), std::move(done));
      });
}

}  // namespace millrace::service
