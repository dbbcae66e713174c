#include "broker/storage/journal_writer.h"

#include <algorithm>
#include <chrono>

#include "broker/model/mutation.h"
#include "common/bulk_copy.h"
#include "common/crc32c.h"

namespace millrace::storage {
namespace {

using common::ByteView;
using model::ErrorCode;

// A round that begins near the end of an arena would be a short one; better to leave that end
// unused.
constexpr std::uint64_t kArenaRestShare = 8;

// Behind a round that just ended its clients' next requests are on their way: a small round waits
// for them, as long as each turn of the loop brings some, because a round costs the same however
// few it carries.
constexpr int kGatherTurns = 4;
constexpr std::uint64_t kGatheredBytes = 64 << 10;

}  // namespace

JournalWriter::JournalWriter(env::Loop& loop, Arenas& arenas, JournalFiles& files, Options options,
                             OnFatal on_fatal, OnRound on_round)
    : loop_(loop),
      arenas_(arenas),
      files_(files),
      options_(options),
      on_fatal_(std::move(on_fatal)),
      on_round_(std::move(on_round)) {
  CHECK(options_.round_bytes_max >= common::kDiskAlignment);
}

JournalWriter::~JournalWriter() = default;

void JournalWriter::abandon() {
  failed_ = true;
  close_round();
  std::deque<Round> abandoned = std::exchange(queue_, {});
  for (Round& round : abandoned) {
    for (Completion& completion : round.completions) {
      if (completion.reply) completion.reply(model::error(ErrorCode::kShuttingDown));
    }
  }
}

void JournalWriter::start(JournalPosition next) {
  CHECK(rounds_ == 0 && !gathering());
  CHECK(next.file_sequence == files_.current_sequence() && next.offset == files_.offset());
  next_round_ = next.round;
}

std::uint64_t JournalWriter::payload_bytes_max() const {
  return files_.file_bytes() -
         round_up(kRoundHeaderBytes + kEntryHeaderBytes, common::kDiskAlignment);
}

void JournalWriter::begin_round(std::uint64_t room) {
  CHECK(current_.length == 0);
  const std::uint64_t least = round_up(kRoundHeaderBytes + room, common::kDiskAlignment);
  const std::uint64_t wanted =
      arena_ == nullptr ? least : std::max(least, arena_->buffer.size() / kArenaRestShare);
  if (arena_ == nullptr || arena_->room() < wanted) {
    if (arena_ != nullptr) arenas_.close(*arena_);
    arena_ =
        &arenas_.open(std::max(least, round_up(options_.round_bytes_max, common::kDiskAlignment)));
  }
  round_start_ = arena_->used;
  CHECK(round_start_ % common::kDiskAlignment == 0);
  const std::uint64_t limit =
      std::max(least, round_up(options_.round_bytes_max, common::kDiskAlignment));
  round_limit_ = std::min({limit, std::uint64_t{round_down(arena_->room(), common::kDiskAlignment)},
                           files_.file_bytes()});
  current_.length = kRoundHeaderBytes;
}

Bytes JournalWriter::add(EntryHeader header, ByteView payload, Arena** arena,
                         std::optional<std::uint64_t> like) {
  CHECK(payload.size() <= payload_bytes_max(), "an entry of {} bytes", payload.size());
  constexpr std::uint64_t kGapMax = common::kDiskAlignment - 1;
  if (payload.size() + kGapMax > payload_bytes_max()) like.reset();
  const std::uint64_t room = entry_bytes(payload.size(), like.has_value() ? kGapMax : 0);
  if (current_.length > 0 && current_.length + room > round_limit_) close_round();
  if (current_.length == 0) begin_round(room);
  if (header.type != EntryType::kAppended) header.payload_crc = common::crc32c(payload);
  header.payload_length = static_cast<std::uint32_t>(payload.size());

  const std::size_t at = round_start_ + current_.length;
  std::uint8_t* const out = arena_->buffer.mutable_data() + at;
  std::uint8_t* const behind_header = out + kEntryHeaderBytes;
  if (like.has_value()) {
    const std::uint64_t ahead = *like - reinterpret_cast<std::uintptr_t>(behind_header);
    header.gap = static_cast<std::uint16_t>(ahead % common::kDiskAlignment);
  }
  header.encode({out, kEntryHeaderBytes});
  const std::uint64_t size = entry_bytes(payload.size(), header.gap);
  std::memset(behind_header, 0, header.gap);
  common::bulk_copy(behind_header + header.gap, payload);
  const std::size_t used = kEntryHeaderBytes + header.gap + payload.size();
  std::memset(out + used, 0, size - used);
  current_.length += size;
  ++current_.entries;
  if (arena != nullptr) *arena = arena_;
  schedule();
  return arena_->buffer.slice(at + kEntryHeaderBytes + header.gap, payload.size());
}

void JournalWriter::when_durable(Completion completion) {
  // An entry is already on its way or gone when the round was closed behind it: the completion goes
  // with the newest.
  if (current_.entries == 0 && !queue_.empty()) {
    queue_.back().completions.push_back(std::move(completion));
    return;
  }
  CHECK(current_.entries > 0, "nothing was added to wait for");
  current_.completions.push_back(std::move(completion));
}

void JournalWriter::mark(common::Function<void(JournalPosition)> reached) {
  close_round();
  if (queue_.empty() && told_behind_ != nullptr) return told_behind_->push_back(std::move(reached));
  if (queue_.empty()) return reached(position());
  queue_.back().marks.push_back(std::move(reached));
  let_pass();
}

void JournalWriter::hold(bool held) {
  if (held && !held_) let_pass();
  held_ = held;
  if (!held) send();
}

void JournalWriter::let_pass() {
  close_round();
  if (!queue_.empty()) marked_round_ = std::max(marked_round_, queue_.back().number);
  send();
}

void JournalWriter::resume() {
  files_.prepare();
  send();
}

void JournalWriter::close_round() {
  if (current_.entries == 0) return;
  const std::uint64_t padded = round_up(current_.length, common::kDiskAlignment);
  CHECK(round_start_ + padded <= arena_->buffer.size());
  std::memset(arena_->buffer.mutable_data() + round_start_ + current_.length, 0,
              padded - current_.length);
  current_.bytes = arena_->buffer.slice(round_start_, padded);
  current_.number = next_round_++;
  arena_->used = round_start_ + padded;
  queue_.push_back(std::move(current_));
  current_ = Round{};
}

// What arrives in the same turn of the loop shares a round.
void JournalWriter::schedule() {
  if (scheduled_ || in_flight_) return;
  scheduled_ = true;
  loop_.post(lifeline_.guard([this] {
    scheduled_ = false;
    send();
  }));
}

void JournalWriter::send_when_gathered() {
  if (!queue_.empty() || current_.length == 0 || current_.length >= kGatheredBytes) return send();
  scheduled_ = true;
  gather({.turns = kGatherTurns, .entries = 0});
}

void JournalWriter::gather(Gathering so_far) {
  loop_.post(lifeline_.guard([this, so_far] {
    const bool more = current_.entries > so_far.entries;
    if (more && so_far.turns > 0 && current_.length < kGatheredBytes && queue_.empty()) {
      return gather({.turns = so_far.turns - 1, .entries = current_.entries});
    }
    scheduled_ = false;
    send();
  }));
}

void JournalWriter::send() {
  if (in_flight_ || failed_) return;
  if (queue_.empty()) close_round();
  if (queue_.empty()) return;
  Round& round = queue_.front();
  if (held_ && round.number > marked_round_) return;
  if (!files_.reserve(round.bytes.size())) return;
  RoundHeader header;
  header.salt = options_.salt;
  header.file_sequence = files_.current_sequence();
  header.number = round.number;
  header.length = round.length;
  header.entries = round.entries;
  header.encode(round.bytes.mutable_view());
  in_flight_ = true;
  files_.current().write(
      files_.offset(), {round.bytes},
      model::mutated(model::Mutation::kAnswerUnsynced) ? env::Durable::kNo : env::Durable::kYes,
      lifeline_.guard([this, length = round.bytes.size(), began = loop_.clock().now()](
                          Result<void> written) { finish(std::move(written), length, began); }));
}

void JournalWriter::finish(Result<void> written, std::uint64_t length, common::Instant began) {
  CHECK(in_flight_ && !queue_.empty());
  in_flight_ = false;
  if (!written.ok()) {
    // Nobody was told that this round is durable, so on a full disk the same one is written again
    // later.
    if (written.error().code == ErrorCode::kNoSpace) {
      on_round_(-1);
      return;
    }
    failed_ = true;
    return on_fatal_(written.error());
  }
  files_.advance(length);
  ++rounds_;
  bytes_written_ += length;
  Round round = std::move(queue_.front());
  queue_.pop_front();
  const double seconds = std::chrono::duration<double>(loop_.clock().now() - began).count();
  const JournalPosition reached = position();
  // With a mark to reach, the position behind this round must be told before the next one moves it.
  Marks marks = std::move(round.marks);
  if (marks.empty()) send_when_gathered();
  told_behind_ = &marks;
  complete(std::move(round));
  told_behind_ = nullptr;
  for (auto& mark : marks) mark(reached);
  if (!marks.empty()) send();
  on_round_(seconds);
}

void JournalWriter::complete(Round round) {
  for (Completion& completion : round.completions) {
    if (completion.client != nullptr)
      completion.client->entries_durable(completion.end, completion.stream);
  }
  for (Completion& completion : round.completions) {
    if (completion.reply) completion.reply(common::ok());
  }
}

JournalPosition JournalWriter::position() const {
  const std::uint64_t next = queue_.empty() ? next_round_ : queue_.front().number;
  return {.file_sequence = files_.current_sequence(), .offset = files_.offset(), .round = next};
}

}  // namespace millrace::storage
