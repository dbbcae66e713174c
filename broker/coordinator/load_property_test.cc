// Goal: no log, whoever wrote it and however it was damaged or compacted, can bring the machine
// down, and what it makes of it survives a snapshot. Method: random records of all types over few
// names, in any order; then time passes and members of both protocols come, all of it applied.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "broker/coordinator/consumer_protocol.h"
#include "broker/coordinator/testing/harness.h"
#include "broker/coordinator/testing/text.h"
#include "common/random.h"

namespace millrace::coordinator {
namespace {

class AnyRecord {
 public:
  explicit AnyRecord(common::Random& random) : random_(random) {}

  Record draw() {
    switch (random_.below(8)) {
      case 0:
        return offset();
      case 1:
        return classic_group();
      case 2:
        return filled(ConsumerGroupRecord{.group = group()},
                      {.epoch = number(), .metadata_hash = number().value()});
      case 3:
        return consumer_member();
      case 4:
        return filled(TargetEpochRecord{.group = group()}, number());
      case 5:
        return filled(TargetRecord{.group = group(), .member = member()}, partitions());
      case 6:
        return current();
      default:
        return filled(RegexRecord{.group = group(), .regex = "t.*"},
                      {.topics = {topic()}, .version = 1, .resolved = common::Timestamp{5}});
    }
  }
  std::string group() { return one_of({"g", "h"}); }
  std::string member() { return one_of({"a", "b", "c", ""}); }
  std::string topic() { return one_of({"t", "u", "v"}); }
  std::optional<std::string> instance() {
    if (random_.chance(1, 2)) return std::nullopt;
    return one_of({"i", "j"});
  }

 private:
  template <typename Made>
  Record filled(Made record, typename decltype(Made::value)::value_type value) {
    if (!random_.chance(1, 4)) record.value = std::move(value);
    return record;
  }
  std::string one_of(const std::vector<std::string>& names) {
    return names[random_.below(names.size())];
  }
  Epoch number() {
    return Epoch{
        static_cast<std::int32_t>(random_.chance(1, 20) ? random_.next() : random_.below(9))};
  }
  std::int32_t timeout_ms() {
    return static_cast<std::int32_t>(random_.chance(1, 20) ? random_.next() : random_.below(9'000));
  }
  std::vector<TopicPartitions> partitions() {
    std::vector<TopicPartitions> list;
    for (const char* name : {"t", "u"}) {
      if (random_.chance(1, 2)) continue;
      TopicPartitions one{.topic = Harness::topic_id(name)};
      for (std::int32_t partition = 0; partition < 4; ++partition) {
        if (random_.chance(1, 2)) one.partitions.push_back(partition);
      }
      list.push_back(std::move(one));
    }
    return list;
  }
  std::vector<HeldPartitions> held() {
    std::vector<HeldPartitions> list;
    for (TopicPartitions& topic : partitions()) {
      list.push_back({.topic = topic.topic,
                      .partitions = topic.partitions,
                      .epochs = std::vector<Epoch>(topic.partitions.size(), number())});
    }
    return list;
  }
  common::Bytes subscription() {
    if (random_.chance(1, 5)) return common::Bytes::copy_of("no subscription");
    Subscription made;
    made.topics = {topic()};
    return encode(made);
  }
  Record offset() {
    OffsetRecord record{.group = group(), .topic = topic(), .partition = number().value()};
    if (random_.chance(1, 2)) record.topic_id = Harness::topic_id(record.topic);
    return filled(record, CommittedOffset{.offset = model::Offset{number().value()}});
  }
  Record classic_group() {
    ClassicGroupRecord::Value value{.protocol_type = random_.chance(3, 4) ? "consumer" : "",
                                    .generation = number()};
    if (random_.chance(3, 4)) value.protocol = "range";
    if (random_.chance(3, 4)) value.leader = member();
    for (std::uint64_t count = random_.below(4); count > 0; --count) {
      value.members.push_back({.member = member(),
                               .instance = instance(),
                               .rebalance_timeout_ms = timeout_ms(),
                               .session_timeout_ms = timeout_ms(),
                               .subscription = subscription(),
                               .assignment = subscription()});
    }
    return filled(ClassicGroupRecord{.group = group()}, std::move(value));
  }
  Record consumer_member() {
    ConsumerMemberRecord::Value value{.instance = instance(),
                                      .topics = {topic()},
                                      .topic_regex = random_.chance(1, 5) ? "t.*" : "",
                                      .rebalance_timeout_ms = timeout_ms()};
    if (random_.chance(1, 2)) {
      value.classic = ConsumerMemberRecord::ClassicMember{
          .session_timeout_ms = timeout_ms(),
          .protocols = {{.name = "range", .metadata = subscription()}}};
    }
    return filled(ConsumerMemberRecord{.group = group(), .member = member()}, std::move(value));
  }
  Record current() {
    return filled(CurrentRecord{.group = group(), .member = member()},
                  {.epoch = number(),
                   .previous_epoch = number(),
                   .state = static_cast<MemberState>(random_.below(3)),
                   .assigned = held(),
                   .pending_revocation = held()});
  }

  common::Random& random_;
};

std::vector<std::string> texts(const std::vector<Record>& records) {
  std::vector<std::string> texts;
  for (const Record& record : records) texts.push_back(to_text(record));
  return texts;
}

/// Requests of members that the log may know, and of others.
void live(Harness& harness, AnyRecord& any, common::Random& random) {
  for (int step = 0; step < 30; ++step) {
    const auto ticket = harness.ticket("request");
    Machine& machine = harness.machine();
    const Epoch epoch{static_cast<std::int32_t>(random.below(10)) - 2};
    switch (random.below(6)) {
      case 0:
        machine.join(ticket,
                     {.group = any.group(),
                      .member = any.member(),
                      .instance = any.instance(),
                      .protocol_type = "consumer",
                      .protocols = {{.name = "range", .metadata = encode(Subscription{})}},
                      .session_timeout_ms = 10'000,
                      .fresh_member = fmt::format("fresh-{}", step)},
                     harness.now());
        break;
      case 1:
        machine.sync(ticket, {.group = any.group(), .generation = epoch, .member = any.member()},
                     harness.now());
        break;
      case 2:
        machine.heartbeat(ticket,
                          {.group = any.group(), .generation = epoch, .member = any.member()},
                          harness.now());
        break;
      case 3:
        machine.consumer_heartbeat(ticket,
                                   {.group = any.group(),
                                    .member = "a",
                                    .epoch = epoch,
                                    .instance = any.instance(),
                                    .rebalance_timeout_ms = 5'000,
                                    .topics = std::vector<std::string>{any.topic()},
                                    .owned = std::vector<TopicPartitions>{}},
                                   harness.now());
        break;
      case 4:
        machine.leave(ticket,
                      {.group = any.group(),
                       .members = {{.member = any.member(), .instance = any.instance()}}},
                      harness.now());
        break;
      default:
        machine.delete_group(ticket, any.group(), harness.now());
    }
    harness.perform();
    harness.advance(std::chrono::milliseconds(random.below(4'000)));
  }
}

TEST(LoadProperty, AnyLogIsLivedWith) {
  for (std::uint64_t seed = 0; seed < 3'000; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    common::Random random(seed);
    AnyRecord any(random);
    std::vector<Record> log;
    for (std::uint64_t count = 1 + random.below(30); count > 0; --count) log.push_back(any.draw());

    Settings settings;
    settings.group_initial_rebalance_delay_ms = 0;
    Harness harness(settings);
    harness.set_topics({{"t", 4}, {"u", 4}});
    harness.adopt_log(log);
    const auto before = texts(harness.machine().snapshot());
    harness.crash(Harness::LoadFrom::kSnapshot);
    ASSERT_EQ(texts(harness.machine().snapshot()), before);
    live(harness, any, random);
    harness.advance(std::chrono::minutes(20));
    const auto after = texts(harness.machine().snapshot());
    harness.crash(Harness::LoadFrom::kSnapshot);
    ASSERT_EQ(texts(harness.machine().snapshot()), after);
  }
}

}  // namespace
}  // namespace millrace::coordinator
