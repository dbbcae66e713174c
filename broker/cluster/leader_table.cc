#include "broker/cluster/leader_table.h"

#include <algorithm>
#include <tuple>

#include "broker/model/mutation.h"
#include "common/check.h"
#include "common/endian.h"

namespace millrace::cluster {
namespace {

// The finalizer of splitmix64 (Steele, Lea, Flood 2014). Part of the format: all brokers must get
// the same sums.
std::uint64_t mix(std::uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

std::uint64_t with(std::uint64_t hash, std::int64_t value) {
  return mix(hash + 0x9e3779b97f4a7c15 + static_cast<std::uint64_t>(value));
}

std::uint64_t hash_of(const model::PartitionKey& key) {
  std::uint64_t hash = with(0, common::load_little<std::int64_t>(key.topic.bytes.data()));
  hash = with(hash, common::load_little<std::int64_t>(key.topic.bytes.data() + 8));
  return with(hash, key.index.value());
}

LeaderTable::Sum sum_of(const LeaderEntry& entry) {
  std::uint64_t hash = hash_of(entry.key);
  hash = with(hash, entry.leadership.leader.value());
  hash = with(hash, entry.leadership.term.value());
  hash = with(hash, entry.leadership.version);
  for (const model::BrokerId replica : entry.leadership.in_sync) hash = with(hash, replica.value());
  return hash;
}

std::size_t bucket_of(const model::PartitionKey& key) {
  static_assert(LeaderTable::kBuckets == 256);
  return hash_of(key) >> 56;
}

template <typename Bucket>
auto place_of(Bucket& bucket, const model::PartitionKey& key) {
  return std::ranges::lower_bound(bucket, key, {}, &LeaderEntry::key);
}

}  // namespace

bool is_newer(const Leadership& left, const Leadership& right) {
  if (model::mutated(model::Mutation::kOlderLeaderWins) && left.term != right.term)
    return left.term < right.term;
  return std::tie(left.term, left.version, left.leader, left.in_sync) >
         std::tie(right.term, right.version, right.leader, right.in_sync);
}

bool is_sound(const Leadership& leadership) {
  static constexpr model::BrokerId kNobody{-1};
  if (leadership.leader < kNobody || leadership.term < model::Term{0}) return false;
  if (leadership.in_sync.size() > kInSyncMax) return false;
  return std::ranges::all_of(leadership.in_sync, [](model::BrokerId id) { return id > kNobody; });
}

const Leadership* LeaderTable::find(const model::PartitionKey& key) const {
  const Bucket& bucket = buckets_[bucket_of(key)];
  const auto found = place_of(bucket, key);
  return found != bucket.end() && found->key == key ? &found->leadership : nullptr;
}

bool LeaderTable::learn(const model::PartitionKey& key, Leadership leadership) {
  if (!is_sound(leadership) || forgotten_.contains(key.topic)) return false;
  const std::size_t index = bucket_of(key);
  Bucket& bucket = buckets_[index];
  const auto found = place_of(bucket, key);
  // Kept for long: no more memory than it needs.
  leadership.in_sync.shrink_to_fit();
  if (found != bucket.end() && found->key == key) {
    if (!is_newer(leadership, found->leadership)) return false;
    subtract(index, *found);
    found->leadership = std::move(leadership);
    add(index, *found);
    return true;
  }
  if (size_ >= partitions_max_) {
    ++overflows_;
    return false;
  }
  add(index, *bucket.insert(found, LeaderEntry{key, std::move(leadership)}));
  return true;
}

void LeaderTable::forget(const model::TopicId& topic, std::int32_t partitions) {
  remember_forgotten(topic);
  for (std::int32_t i = 0; i < partitions; ++i) {
    const model::PartitionKey key{topic, model::PartitionIndex{i}};
    const std::size_t index = bucket_of(key);
    Bucket& bucket = buckets_[index];
    const auto found = place_of(bucket, key);
    if (found == bucket.end() || found->key != key) continue;
    subtract(index, *found);
    bucket.erase(found);
  }
}

void LeaderTable::remember_forgotten(const model::TopicId& topic) {
  if (!forgotten_.insert(topic).second) return;
  forgotten_order_.push_back(topic);
  if (forgotten_order_.size() <= kTopicsForgotten) return;
  forgotten_.erase(forgotten_order_.front());
  forgotten_order_.pop_front();
}

void LeaderTable::add(std::size_t bucket, const LeaderEntry& entry) {
  const Sum sum = sum_of(entry);
  sums_[bucket] += sum;
  sum_ += sum;
  ++size_;
}

void LeaderTable::subtract(std::size_t bucket, const LeaderEntry& entry) {
  const Sum sum = sum_of(entry);
  sums_[bucket] -= sum;
  sum_ -= sum;
  CHECK(size_ > 0);
  --size_;
}

std::size_t LeaderTable::memory_bytes() const {
  // As glibc's malloc rounds.
  constexpr auto block = [](std::size_t size) {
    return size == 0 ? 0 : std::max<std::size_t>(32, (size + 8 + 15) / 16 * 16);
  };
  std::size_t bytes = sizeof(*this);
  for (const Bucket& bucket : buckets_) {
    bytes += block(bucket.capacity() * sizeof(LeaderEntry));
    for (const LeaderEntry& entry : bucket)
      bytes += block(entry.leadership.in_sync.capacity() * sizeof(model::BrokerId));
  }
  // A set's node and a deque's element.
  return bytes + forgotten_.size() * (block(48) + sizeof(model::TopicId));
}

}  // namespace millrace::cluster
