#include "broker/grpc/subscribe.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <set>
#include <utility>

#include "broker/grpc/subscribe_wish.h"

namespace millrace::grpc {
namespace {

using common::Error;
using model::ErrorCode;
using model::Offset;
using model::PartitionKey;
using service::GroupMember;

/// A client that does not read gets this long to take the response on its way before the call is
/// cut off.
constexpr auto kFinishWait = std::chrono::seconds(5);
/// A call that says nothing gets this long to say its Join.
constexpr auto kJoinWait = std::chrono::seconds(30);
constexpr std::size_t kCommitsOpenMax = 64;

/// One Subscribe call. Everything but the four callbacks runs on its shard's loop; one response is
/// on its way at a time, and the next request is read when the last one is worked off.
///
/// joining -> member -> leaving (the client's wish: commits are stored, the group hears of it, then
/// the call ends) -> over. Whatever breaks goes straight to over; the member leaves by itself then.
class SubscribeStream final
    : public ::grpc::ServerBidiReactor<v1::SubscribeRequest, v1::SubscribeResponse>,
      public service::MemberEvents,
      public FeedEvents,
      public std::enable_shared_from_this<SubscribeStream> {
 public:
  SubscribeStream(::grpc::CallbackServerContext* context, service::Shard& shard,
                  UnpackedBytes& unpacked)
      : context_(context), shard_(shard), unpacked_(unpacked) {}

  /// The stream keeps itself alive until gRPC is done with it.
  void start() {
    self_ = shared_from_this();
    shard_.loop().post([self = self_] { self->wait_for_join(); });
    StartRead(&incoming_);
  }

  void OnReadDone(bool ok) override {
    shard_.loop().post([self = shared_from_this(), ok] {
      self->reading_ = false;
      // Worked off from a copy: the next request may be on its way before this one is done.
      ok ? self->handle(std::move(self->incoming_)) : self->leave(false);
    });
  }
  void OnWriteDone(bool ok) override {
    shard_.loop().post([self = shared_from_this(), ok] {
      self->writing_since_.reset();
      ok ? self->pump() : self->finish(::grpc::Status::CANCELLED);
    });
  }
  void OnCancel() override {
    shard_.loop().post([self = shared_from_this()] { self->finish(::grpc::Status::CANCELLED); });
  }
  void OnDone() override { self_.reset(); }

 private:
  // ---- What the client sends
  void handle(v1::SubscribeRequest request);
  void wait_for_join();
  void begin(const v1::Join& join);
  void commit(const v1::Commit& request);
  void answer_commit(v1::SubscribeResponse response, const std::vector<ErrorCode>& codes);
  void release(std::int64_t revocation);
  void pause(const v1::Pause& request);
  void resume(const v1::Resume& request);
  void leave(bool for_good);
  void read_on();

  // ---- What the group and the log say
  void on_joined() override;
  void on_assigned(std::vector<service::AssignedPartition> partitions) override;
  void on_revoking(std::vector<PartitionKey> partitions) override;
  void on_lost(std::vector<PartitionKey> partitions, const std::string& reason) override;
  void on_failed(const Error& error) override;
  void on_ready() override { pump(); }
  void on_positions(const std::vector<Position>& positions) override;
  void on_repositioned(Offset from, const Position& to) override;
  void on_feed_failed(const Error& error) override { fail(error); }

  // ---- Sending
  void pump();
  bool deliver();
  void write();
  v1::SubscribeResponse& say() { return says_.emplace_back(); }
  std::vector<PartitionKey> told_of(const std::vector<PartitionKey>& keys) const;
  void forget(const std::vector<PartitionKey>& keys);
  void list(const std::vector<PartitionKey>& keys,
            ::google::protobuf::RepeatedPtrField<v1::TopicPartitions>& out) const;

  // ---- Committing by itself
  void schedule_auto_commit();
  void auto_commit(const std::vector<Credit::Done>& done);
  bool commits_by_itself() const { return auto_commit_interval_.count() > 0; }

  // ---- Standing still, and the end
  bool writing() const { return writing_since_.has_value(); }
  void watch_progress();
  void look_at_progress();
  void leave_group(GroupMember::Leaving way, common::Function<void()> done);
  void fail(const Error& error);
  void finish(const ::grpc::Status& status);
  void finish_when_written();
  void stop_timers();

  ::grpc::CallbackServerContext* context_;
  service::Shard& shard_;
  UnpackedBytes& unpacked_;
  std::shared_ptr<SubscribeStream> self_;
  v1::SubscribeRequest incoming_;
  v1::SubscribeResponse outgoing_;
  std::deque<v1::SubscribeResponse> says_;  // everything but records; before those
  std::shared_ptr<GroupMember> member_;
  std::shared_ptr<Feed> feed_;
  Credit credit_;
  std::string group_;
  std::map<PartitionKey, std::string> told_;  // the client knows that it has them; topic names
  std::vector<PartitionKey> revoking_;        // until the client releases them
  std::int64_t revocation_ = 0;
  common::Duration auto_commit_interval_{};
  common::Duration progress_timeout_{};
  // Since when the client is waited for: to give credit, to answer Revoking, to read.
  std::optional<common::Instant> without_credit_since_;
  std::optional<common::Instant> revoking_since_;
  std::optional<common::Instant> writing_since_;
  env::TimerId auto_commit_timer_ = env::TimerId::kNone;
  env::TimerId progress_timer_ = env::TimerId::kNone;
  std::optional<::grpc::Status> status_;  // the call is over, or will be when the write is
  std::int64_t response_bytes_max_ = 0;
  bool reading_ = true;
  bool leaving_ = false;
  bool left_ = false;
  bool finished_ = false;
};

// ---- What the client sends

void SubscribeStream::handle(v1::SubscribeRequest request) {
  if (status_ || leaving_) return;
  if (request.has_join() != (member_ == nullptr)) {
    return fail({ErrorCode::kInvalidRequest,
                 member_ == nullptr ? "the first message must be a Join" : "a stream joins once"});
  }
  without_credit_since_.reset();  // whatever it is, the client does something
  switch (request.message_case()) {
    case v1::SubscribeRequest::kJoin:
      begin(request.join());
      break;
    case v1::SubscribeRequest::kCredit:
      if (const auto taken = credit_.give({request.credit().records(), request.credit().bytes()});
          !taken.ok()) {
        return fail(taken.error());
      }
      break;
    case v1::SubscribeRequest::kCommit:
      commit(request.commit());
      break;
    case v1::SubscribeRequest::kRelease:
      release(request.release().revocation());
      break;
    case v1::SubscribeRequest::kPause:
      pause(request.pause());
      break;
    case v1::SubscribeRequest::kResume:
      resume(request.resume());
      break;
    case v1::SubscribeRequest::kLeave:
      return leave(request.leave().for_good());
    case v1::SubscribeRequest::MESSAGE_NOT_SET:
      return fail({ErrorCode::kInvalidRequest, "an empty message, or one of a newer client"});
  }
  read_on();
  pump();
}

void SubscribeStream::read_on() {
  if (reading_ || leaving_ || status_) return;
  if (member_ != nullptr && member_->commits_open() >= kCommitsOpenMax) return;
  if (says_.size() >= kCommitsOpenMax) return;  // the client does not read what it asked for
  reading_ = true;
  StartRead(&incoming_);
}

void SubscribeStream::wait_for_join() {
  progress_timer_ = shard_.loop().after(kJoinWait, [self = shared_from_this()] {
    self->progress_timer_ = env::TimerId::kNone;
    self->fail({ErrorCode::kInvalidRequest,
                fmt::format("no Join came within {} s", kJoinWait / std::chrono::seconds(1))});
  });
}

void SubscribeStream::begin(const v1::Join& join) {
  common::Result<SubscribeWish> wish = read_wish(join, context_->peer());
  if (!wish.ok()) return fail(wish.error());
  if (const auto given = credit_.give(wish->credit); !given.ok()) return fail(given.error());
  group_ = join.group();
  progress_timeout_ = wish->progress_timeout;
  auto_commit_interval_ = wish->auto_commit_interval;
  response_bytes_max_ = static_cast<std::int64_t>(wish->feed.bytes_max);
  feed_ = Feed::make(shard_, unpacked_, wish->feed, *this);
  member_ = GroupMember::join(shard_, std::move(wish->member), *this);
  stop_timers();
  if (commits_by_itself()) schedule_auto_commit();
  look_at_progress();
}

void SubscribeStream::commit(const v1::Commit& request) {
  std::vector<GroupMember::CommitPartition> partitions;
  const auto add = [&](const std::string& topic, const PartitionKey& key, Offset offset) {
    GroupMember::CommitPartition& partition = partitions.emplace_back();
    partition.topic = {topic, key.topic};
    partition.partition = key.index.value();
    partition.offset = offset;
  };
  for (const v1::PartitionCommit& one : request.offsets()) {
    if (one.offset() < 0)
      return fail({ErrorCode::kInvalidRequest, "an offset to commit must not be negative"});
    const auto topic = shard_.image().topic(one.topic());
    add(one.topic(),
        {topic == nullptr ? model::TopicId{} : topic->id, model::PartitionIndex{one.partition()}},
        Offset{one.offset()});
    partitions.back().metadata = one.metadata();
    // Now and not with the answer: a commit by itself that comes next must not go back behind it.
    credit_.put({partitions.back().topic.id, model::PartitionIndex{one.partition()}},
                Offset{one.offset()});
  }
  if (request.offsets().empty()) {
    for (const Credit::Done& done : credit_.done()) add(told_.at(done.key), done.key, done.next);
  }
  v1::SubscribeResponse response;
  response.mutable_committed()->set_tag(request.tag());
  for (const auto& partition : partitions) {
    v1::CommitResult& result = *response.mutable_committed()->add_results();
    result.set_topic(partition.topic.name);
    result.set_partition(partition.partition);
  }
  member_->commit(std::move(partitions),
                  [self = shared_from_this(),
                   response = std::move(response)](const std::vector<ErrorCode>& codes) mutable {
                    self->answer_commit(std::move(response), codes);
                  });
}

void SubscribeStream::answer_commit(v1::SubscribeResponse response,
                                    const std::vector<ErrorCode>& codes) {
  if (status_) return;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    if (codes[i] == ErrorCode::kNone) continue;
    v1::CommitResult& result = *response.mutable_committed()->mutable_results(static_cast<int>(i));
    result.set_error(error_name(codes[i]));
    result.set_error_message(std::string(model::error_row(codes[i]).meaning));
  }
  says_.push_back(std::move(response));
  read_on();
  pump();
}

void SubscribeStream::release(std::int64_t revocation) {
  if (revocation > revocation_)
    return fail({ErrorCode::kInvalidRequest, fmt::format("no revocation {}", revocation)});
  // One that is over already: the partitions were lost while the client was at it.
  if (revocation < revocation_ || revoking_.empty()) return;
  if (commits_by_itself()) {
    std::vector<Credit::Done> mine = credit_.done();
    std::erase_if(mine, [this](const Credit::Done& done) {
      return std::find(revoking_.begin(), revoking_.end(), done.key) == revoking_.end();
    });
    auto_commit(mine);
  }
  forget(std::exchange(revoking_, {}));
  member_->released();
}

void SubscribeStream::pause(const v1::Pause& request) {
  for (const v1::TopicPartitions& some : request.partitions()) {
    const auto topic = shard_.image().topic(some.topic());
    if (topic == nullptr) continue;
    for (const std::int32_t index : some.partitions())
      feed_->pause({topic->id, model::PartitionIndex{index}});
  }
}

void SubscribeStream::resume(const v1::Resume& request) {
  for (const v1::TopicPartitions& some : request.partitions()) {
    const auto topic = shard_.image().topic(some.topic());
    if (topic == nullptr) continue;
    for (const std::int32_t index : some.partitions())
      feed_->resume({topic->id, model::PartitionIndex{index}});
  }
}

/// The client goes: by Leave, or by closing its side.
void SubscribeStream::leave(bool for_good) {
  if (status_ || leaving_) return;
  leaving_ = true;
  if (member_ == nullptr) return finish(::grpc::Status::OK);
  feed_->close();
  leave_group(for_good ? GroupMember::Leaving::kForGood : GroupMember::Leaving::kForAWhile,
              [self = shared_from_this()] {
                self->left_ = true;
                self->pump();
              });
}

// ---- What the group and the log say

void SubscribeStream::on_joined() {
  v1::Joined& joined = *say().mutable_joined();
  joined.set_group(group_);
  joined.set_member_id(member_->id());
  pump();
}

void SubscribeStream::on_assigned(std::vector<service::AssignedPartition> partitions) {
  feed_->add(partitions);
}

void SubscribeStream::on_positions(const std::vector<Position>& positions) {
  v1::Assigned& assigned = *say().mutable_assigned();
  for (const Position& position : positions) {
    told_[position.key] = position.topic;
    // Where the group has no offset, this is its place from now on: a member that comes back
    // before the first record must not skip what was written meanwhile.
    credit_.begin(position.key, position.offset, !position.committed);
    v1::AssignedPartition& out = *assigned.add_partitions();
    out.set_topic(position.topic);
    out.set_partition(position.key.index.value());
    out.set_offset(position.offset.value());
    out.set_committed(position.committed);
  }
  pump();
}

void SubscribeStream::on_repositioned(Offset from, const Position& to) {
  credit_.forget(to.key);
  credit_.begin(to.key, to.offset, true);
  v1::Repositioned& out = *say().mutable_repositioned();
  out.set_topic(to.topic);
  out.set_partition(to.key.index.value());
  out.set_from(from.value());
  out.set_to(to.offset.value());
  pump();
}

void SubscribeStream::on_revoking(std::vector<PartitionKey> partitions) {
  feed_->drop(partitions);
  revoking_ = told_of(partitions);
  if (revoking_.empty()) return member_->released();  // the client never heard of them
  v1::Revoking& out = *say().mutable_revoking();
  out.set_revocation(++revocation_);
  out.set_timeout_ms(static_cast<std::int32_t>(progress_timeout_ / std::chrono::milliseconds(1)));
  list(revoking_, *out.mutable_partitions());
  pump();
}

void SubscribeStream::on_lost(std::vector<PartitionKey> partitions, const std::string& reason) {
  feed_->drop(partitions);
  revoking_.clear();
  const std::vector<PartitionKey> known = told_of(partitions);
  if (!known.empty()) {
    v1::Lost& out = *say().mutable_lost();
    out.set_reason(reason);
    list(known, *out.mutable_partitions());
  }
  forget(known);
  pump();
}

void SubscribeStream::on_failed(const Error& error) {
  fail(error);
}

// ---- Sending

/// Does what can be done now: says what is to be said, delivers, or asks for more to deliver.
void SubscribeStream::pump() {
  if (finished_ || writing()) return;
  if (status_) return finish_when_written();
  if (!says_.empty()) {
    outgoing_ = std::move(says_.front());
    says_.pop_front();
    write();
  } else if (leaving_) {
    if (left_) finish(::grpc::Status::OK);
  } else if (member_ != nullptr && credit_.open()) {
    if (feed_->empty()) {
      feed_->want();
    } else if (!deliver()) {
      // Nothing of it is for the client: other work of the shard gets its turn.
      shard_.loop().post([self = shared_from_this()] { self->pump(); });
    }
  }
  watch_progress();
  read_on();
}

/// Sends one portion of what was fetched. False: there was no record in it, or the call failed.
bool SubscribeStream::deliver() {
  outgoing_.Clear();
  auto& records = *outgoing_.mutable_records()->mutable_records();
  const std::int64_t bytes_max = std::min(credit_.left().bytes, response_bytes_max_);
  const auto topic = feed_->take(
      {.bytes_max = static_cast<std::size_t>(bytes_max), .records_max = credit_.left().records},
      records);
  if (!topic.ok()) {
    fail(topic.error());
    return true;
  }
  if (records.empty()) return false;
  for (const v1::Record& record : records) {
    credit_.delivered({*topic, model::PartitionIndex{record.partition()}}, Offset{record.offset()},
                      static_cast<std::int64_t>(record.ByteSizeLong()));
  }
  write();
  return true;
}

void SubscribeStream::write() {
  writing_since_ = shard_.clock().now();
  StartWrite(&outgoing_);
}

/// Those of `keys` that the client was told of.
std::vector<PartitionKey> SubscribeStream::told_of(const std::vector<PartitionKey>& keys) const {
  std::vector<PartitionKey> told;
  std::copy_if(keys.begin(), keys.end(), std::back_inserter(told),
               [this](const PartitionKey& key) { return told_.contains(key); });
  return told;
}

void SubscribeStream::forget(const std::vector<PartitionKey>& keys) {
  for (const PartitionKey& key : keys) {
    credit_.forget(key);
    told_.erase(key);
  }
}

void SubscribeStream::list(const std::vector<PartitionKey>& keys,
                           ::google::protobuf::RepeatedPtrField<v1::TopicPartitions>& out) const {
  for (const PartitionKey& key : keys) {
    const std::string& topic = told_.at(key);
    if (out.empty() || out.rbegin()->topic() != topic) out.Add()->set_topic(topic);
    out.rbegin()->add_partitions(key.index.value());
  }
}

// ---- Committing by itself

void SubscribeStream::schedule_auto_commit() {
  auto_commit_timer_ = shard_.loop().after(auto_commit_interval_, [self = shared_from_this()] {
    self->auto_commit(self->credit_.take_done());
    self->schedule_auto_commit();
  });
}

void SubscribeStream::auto_commit(const std::vector<Credit::Done>& done) {
  if (done.empty()) return;
  std::vector<GroupMember::CommitPartition> partitions;
  for (const Credit::Done& one : done) {
    GroupMember::CommitPartition& partition = partitions.emplace_back();
    const auto topic = shard_.image().topic(one.key.topic);
    partition.topic = {topic == nullptr ? std::string() : topic->name, one.key.topic};
    partition.partition = one.key.index.value();
    partition.offset = one.next;
  }
  member_->commit(std::move(partitions),
                  [self = shared_from_this(), done](const std::vector<ErrorCode>& codes) {
                    for (std::size_t i = 0; i < codes.size(); ++i) {
                      if (codes[i] != ErrorCode::kNone) self->credit_.take_again(done[i].key);
                    }
                    self->read_on();
                  });
}

// ---- Standing still, and the end

/// Notes since when the client is waited for.
void SubscribeStream::watch_progress() {
  const auto note = [now = shard_.clock().now()](std::optional<common::Instant>& since,
                                                 bool waits) {
    if (!waits) since.reset();
    if (waits && !since) since = now;
  };
  note(without_credit_since_, !credit_.open());
  note(revoking_since_, !revoking_.empty());
}

/// One timer for the whole call: set to when the client would have stood still for too long.
void SubscribeStream::look_at_progress() {
  const common::Instant now = shard_.clock().now();
  common::Instant next = now + progress_timeout_;
  const std::pair<std::optional<common::Instant>, const char*> waits[] = {
      {revoking_since_, "Revoking was not answered"},
      {writing_since_, "the responses were not read"},
      {without_credit_since_, "all credit was used up and nothing was heard"}};
  for (const auto& [since, what] : waits) {
    if (!since) continue;
    if (*since + progress_timeout_ <= now) {
      return fail({ErrorCode::kFencedMemberEpoch,
                   fmt::format("{} for {} ms (progress_timeout_ms): the member has left the group; "
                               "join again",
                               what, progress_timeout_ / std::chrono::milliseconds(1))});
    }
    next = std::min(next, *since + progress_timeout_);
  }
  progress_timer_ = shard_.loop().after(next - now, [self = shared_from_this()] {
    self->progress_timer_ = env::TimerId::kNone;
    self->look_at_progress();
  });
}

/// Stores what may be stored by itself, and leaves.
void SubscribeStream::leave_group(GroupMember::Leaving way, common::Function<void()> done) {
  stop_timers();
  if (commits_by_itself()) auto_commit(credit_.done());
  member_->leave(way, std::move(done));
}

void SubscribeStream::fail(const Error& error) {
  if (status_) return;
  context_->AddTrailingMetadata(kErrorMetadata, error_name(error.code));
  finish(to_status(error));
}

/// Ends the call. The member leaves by itself: a static one for a while, since it may come back.
void SubscribeStream::finish(const ::grpc::Status& status) {
  if (status_) return finish_when_written();
  status_ = status;
  says_.clear();
  if (feed_ != nullptr) feed_->close();
  if (member_ != nullptr && !leaving_) leave_group(GroupMember::Leaving::kForAWhile, [] {});
  stop_timers();
  if (writing()) {
    progress_timer_ = shard_.loop().after(kFinishWait, [self = shared_from_this()] {
      self->progress_timer_ = env::TimerId::kNone;
      if (self->writing()) self->context_->TryCancel();
    });
  }
  finish_when_written();
}

void SubscribeStream::finish_when_written() {
  if (writing() || finished_) return;
  finished_ = true;
  stop_timers();
  Finish(*status_);
}

void SubscribeStream::stop_timers() {
  for (env::TimerId* timer : {&auto_commit_timer_, &progress_timer_}) {
    if (*timer != env::TimerId::kNone) shard_.loop().cancel(*timer);
    *timer = env::TimerId::kNone;
  }
}

}  // namespace

::grpc::ServerBidiReactor<v1::SubscribeRequest, v1::SubscribeResponse>* subscribe(
    ::grpc::CallbackServerContext* context, service::Shard& shard, UnpackedBytes& unpacked) {
  auto stream = std::make_shared<SubscribeStream>(context, shard, unpacked);
  stream->start();
  return stream.get();
}

}  // namespace millrace::grpc
