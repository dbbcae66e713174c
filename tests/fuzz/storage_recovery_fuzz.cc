// A store opens on any checkpoint and journal, or says why not; what it then serves can be read and
// it can be closed.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "broker/env/testing/sim_disk.h"
#include "broker/env/testing/sim_world.h"
#include "broker/model/record.h"
#include "broker/storage/checkpoint_file.h"
#include "broker/storage/codec.h"
#include "broker/storage/journal_format.h"
#include "broker/storage/store.h"
#include "common/crc32c.h"

namespace {

using namespace millrace;
using storage::EntryHeader;
using storage::EntryType;
using storage::RoundHeader;

constexpr std::uint64_t kSalt = 0x1234;
constexpr std::uint64_t kFileBytes = 64 << 10;

/// Takes small numbers from the fuzzer's bytes; zeros at their end.
class Input {
 public:
  explicit Input(common::ByteView bytes) : bytes_(bytes) {}
  std::uint8_t byte() {
    if (bytes_.empty()) return 0;
    const std::uint8_t first = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return first;
  }
  common::ByteView take(std::size_t size) {
    const common::ByteView front = bytes_.first(std::min(size, bytes_.size()));
    bytes_ = bytes_.subspan(front.size());
    return front;
  }
  bool empty() const { return bytes_.empty(); }

 private:
  common::ByteView bytes_;
};

// The first checkpoint of a store, or bytes of the fuzzer's with a right frame and checksum.
std::vector<std::uint8_t> make_checkpoint(Input& in) {
  storage::ByteWriter out;
  const std::uint8_t kind = in.byte();
  out.put(std::uint64_t{0x315450435f524c4dULL});
  const std::uint32_t older = (kind & 2) != 0 ? 2 : 1;
  out.put((kind & 4) != 0 ? storage::kCheckpointVersion : older);
  out.put(std::uint32_t{0});
  out.put(kSalt);
  out.put(std::uint64_t{1});
  out.put(std::uint64_t{0});
  out.put(std::uint64_t{1});
  out.put(std::uint32_t{200});
  out.put(std::uint32_t{0});
  if ((kind & 1) != 0) {
    const std::size_t size = in.byte() + 1U;
    out.raw(in.take(size));
  } else {
    out.put(std::uint32_t{0});
  }
  out.put(common::crc32c(out.view()));
  return {out.view().begin(), out.view().end()};
}

common::Bytes make_payload(Input& in, const EntryHeader& header) {
  if (header.type == EntryType::kAppended) {
    model::BatchBuilder builder({.base_offset = header.offset,
                                 .leader_epoch = header.term,
                                 .producer_id = model::ProducerId{in.byte() % 3 - 1}});
    for (int i = in.byte() % 4; i >= 0; --i)
      builder.append({.timestamp = common::Timestamp{in.byte()}});
    return builder.build();
  }
  if (header.type == EntryType::kLogCreated) {
    storage::ByteWriter out;
    model::PartitionKey key;
    key.topic.bytes[3] = in.byte() & 3;
    out.key(key);
    out.put(std::uint32_t{in.byte()} & 1);
    out.text("t");
    return common::Bytes::copy_of(out.view());
  }
  if (header.type == EntryType::kTruncated) {
    storage::ByteWriter out;
    out.put(std::int64_t{in.byte()});
    out.put(std::uint64_t{in.byte()} * 7);
    if ((header.term.value() & 1) != 0) out.put(std::uint8_t{1});  // what was cut was damaged
    return common::Bytes::copy_of(out.view());
  }
  if (header.type == EntryType::kLogReset) {
    storage::ByteWriter out;
    out.put(std::uint32_t{in.byte()});     // folder suffix
    out.put(std::int64_t{in.byte()});      // time
    out.put(std::int64_t{in.byte()} - 1);  // first offset of the term
    out.sized(in.take(in.byte() % 20));    // producers
    return common::Bytes::copy_of(out.view());
  }
  if (header.type == EntryType::kSegmentsReplaced) {
    storage::ByteWriter out;
    out.put(std::int64_t{in.byte()});                              // end
    out.put(std::uint64_t{in.byte()});                             // size
    for (int i = 0; i < 2; ++i) out.put(std::int64_t{in.byte()});  // times
    out.put(std::uint32_t{0});                                     // checksum
    out.put(std::uint32_t{in.byte()} & 3);                         // generation
    out.put(std::int64_t{in.byte()});                              // compacted to
    return common::Bytes::copy_of(out.view());
  }
  return common::Bytes::copy_of(in.take(in.byte() % 20));
}

// One round with right checksums around whatever entries the fuzzer thinks of.
std::vector<std::uint8_t> make_round(Input& in, std::uint64_t number) {
  std::vector<std::uint8_t> round(storage::kRoundHeaderBytes);
  RoundHeader frame{.salt = kSalt, .file_sequence = 1, .number = number};
  for (int left = in.byte() % 6; left >= 0; --left) {
    EntryHeader header;
    header.type =
        static_cast<EntryType>(in.byte() % static_cast<unsigned>(storage::kLastEntryType) + 1);
    header.log = storage::LogNumber{in.byte() & 3U};
    header.offset = model::Offset{in.byte()};
    header.term = model::Term{in.byte()};
    const common::Bytes payload = make_payload(in, header);
    header.payload_length = static_cast<std::uint32_t>(payload.size());
    header.payload_crc = header.type == EntryType::kAppended
                             ? model::BatchView::parse(payload)->crc()
                             : common::crc32c(payload);
    std::vector<std::uint8_t> entry(storage::entry_bytes(payload.size()));
    header.encode(entry);
    std::copy(payload.view().begin(), payload.view().end(),
              entry.begin() + storage::kEntryHeaderBytes);
    round.insert(round.end(), entry.begin(), entry.end());
    ++frame.entries;
  }
  frame.length = round.size();
  frame.encode(round);
  round.resize(frame.padded_length());
  return round;
}

void put_file(env::Disk& disk, std::string_view path, const std::vector<std::uint8_t>& bytes,
              std::uint64_t size) {
  const auto file = disk.open(path, {.create = true, .caching = env::OpenOptions::Caching::kYes});
  CHECK(file.ok());
  CHECK((*file)->write_now(0, bytes).ok());
  CHECK((*file)->resize(size).ok());
}

void use(storage::Store& store, env::testing::SimWorld& world) {
  for (storage::Log* log : store.logs()) {
    (void)log->take_recovered_producers();
    log->read(log->start_offset(), {.up_to = log->end_offset(), .bytes_max = 1 << 20},
              [](common::Result<storage::ReadResult>) {});
    log->find_max_time(log->end_offset(),
                       [](common::Result<std::optional<storage::TimedOffset>>) {});
    log->on_compaction([log] { return storage::CompactionLimits{.up_to = log->durable_offset()}; });
    log->set_settings({.retention_ms = 1, .compact = true, .min_cleanable_dirty_ratio = 0});
  }
  store.compact();
  world.run_for(std::chrono::milliseconds(10));
  bool anew = false;
  for (storage::Log* log : store.logs()) {
    log->put_state(common::Bytes::copy_of("state"), [](common::Result<void>) {});
    anew = !anew;
    if (anew) log->reset(model::Offset{300}, std::nullopt, {}, [](common::Result<void>) {});
  }
  store.apply_retention();
  bool closed = false;
  store.close([&](common::Result<void>) { closed = true; });
  CHECK(world.run_until([&] { return closed; }), "the store does not close");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in({data, size});
  env::testing::SimWorld world(1);
  env::testing::SimDisk hardware(world);
  env::testing::SimLoop& loop = world.make_loop();
  const auto disk = hardware.mount(loop);
  CHECK(disk->make_directories("journal/0").ok() && disk->make_directories("topics").ok());
  const std::vector<std::uint8_t> checkpoint = make_checkpoint(in);
  put_file(*disk, "journal/0/checkpoint", checkpoint, checkpoint.size());
  std::vector<std::uint8_t> journal;
  for (std::uint64_t number = 1; !in.empty() && journal.size() < kFileBytes / 2; ++number) {
    const auto round = make_round(in, number);
    journal.insert(journal.end(), round.begin(), round.end());
    if ((in.byte() & 31) == 31) journal[journal.size() - 1 - in.byte()] ^= in.byte();
  }
  put_file(*disk, "journal/0/000001.wal", journal, kFileBytes);

  storage::StoreOptions options;
  options.journal_file_bytes = kFileBytes;
  options.journal_bytes_max = 4 * kFileBytes;
  options.round_bytes_max = 16 << 10;
  options.chunk_bytes = 16 << 10;
  options.free_bytes_min = 0;
  {
    const common::RepliesMayDrop may_drop;
    auto store = storage::Store::open(
        {.disk = *disk, .loop = loop, .shard = 0, .on_fatal = [](const common::Error&) {}},
        options);
    if (store.ok()) use(**store, world);
    loop.stop();
    // What the disk's threads still had to do ends before the disk does.
    world.run_for(std::chrono::seconds(1));
  }
  return 0;
}
