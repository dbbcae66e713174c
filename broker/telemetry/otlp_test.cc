#include "broker/telemetry/otlp.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/telemetry/labels.h"
#include "broker/telemetry/testing/otlp_message.h"
#include "common/random.h"

namespace millrace::telemetry {
namespace {

using testing::attribute;
using testing::data_point;
using ::testing::ElementsAre;
using testing::field;
using testing::fixed_field;
using testing::number_field;
using testing::OtlpMessage;

/// "kind metric=value name:text ..." of each point.
std::vector<std::string> shown(const common::Bytes& message) {
  const auto metrics = read_metrics(message);
  if (!metrics.ok()) return {metrics.error().detail};
  std::vector<std::string> lines;
  for (const Point& point : metrics->points) {
    const char* const kind = point.kind == PointKind::kGauge   ? "gauge"
                             : point.kind == PointKind::kTotal ? "total"
                                                               : "delta";
    std::string line = fmt::format("{} {}={}", kind, point.metric, point.value);
    for (const Attribute& one : point.attributes)
      line += fmt::format(" {}:{}", one.name, one.value);
    lines.push_back(line);
  }
  if (metrics->dropped > 0) lines.push_back(fmt::format("dropped {}", metrics->dropped));
  return lines;
}

common::Bytes bytes(std::string_view text) {
  return common::Bytes::copy_of(text);
}

TEST(Otlp, ReadsNumbersWithTheLabelsOfClientAndPoint) {
  OtlpMessage message(testing::Labels{{"client_rack", "r1"}});
  message.gauge("lag", 2.5, {{"topic", "t"}, {"partition", "3"}});
  message.sum("sent", 7).sum("sent.delta", 8, true);
  EXPECT_THAT(shown(message.bytes()),
              ElementsAre("gauge lag=2.5 client_rack:r1 topic:t partition:3",
                          "total sent=7 client_rack:r1", "delta sent.delta=8 client_rack:r1"));
  EXPECT_THAT(shown(bytes("")), ElementsAre());
}

TEST(Otlp, ReadsIntegersAndEveryScalarLabel) {
  const std::string point =
      fixed_field(6, static_cast<std::uint64_t>(-5)) + field(7, attribute("text", "x")) +
      field(7, field(1, "yes") + field(2, number_field(2, 1))) +
      field(7, field(1, "many") + field(2, number_field(3, static_cast<std::uint64_t>(-2)))) +
      field(7, field(1, "half") + field(2, fixed_field(4, std::bit_cast<std::uint64_t>(0.5)))) +
      field(7, field(1, "list") + field(2, field(5, "")));
  EXPECT_THAT(shown(OtlpMessage().metric("n", 5, field(1, point)).bytes()),
              ElementsAre("gauge n=-5 text:x yes:true many:-2 half:0.5"));
}

// Protobuf allows fields in any order; what a message needs to know may come last.
TEST(Otlp, TheOrderOfFieldsDoesNotMatter) {
  const std::string sum = number_field(3, 1) + field(1, data_point(1, {})) + number_field(2, 1);
  const std::string metric = field(7, sum) + field(1, "late");
  const std::string resource = field(1, attribute("rack", "r"));
  const std::string all = field(1, field(2, field(2, metric)) + field(1, resource));
  EXPECT_THAT(shown(bytes(all)), ElementsAre("delta late=1 rack:r"));
}

TEST(Otlp, ASumThatMayShrinkIsAGauge) {
  const std::string sum = field(1, data_point(4, {})) + number_field(2, 2);
  EXPECT_THAT(shown(OtlpMessage().metric("m", 7, sum).bytes()), ElementsAre("gauge m=4"));
}

TEST(Otlp, WhatHasNoNumberIsCounted) {
  OtlpMessage message;
  message.metric("histogram", 9, "").metric("exponential", 10, "").metric("summary", 11, "");
  message.metric("empty", 5, field(1, ""));
  message.metric("absent", 5, field(1, data_point(1, {}) + number_field(8, 1)));
  message.metric("", 5, field(1, data_point(1, {})));
  message.gauge("good", 1);
  EXPECT_THAT(shown(message.bytes()), ElementsAre("gauge good=1", "dropped 6"));
}

TEST(Otlp, FieldsOfLaterVersionsAreSkipped) {
  std::string all(OtlpMessage().gauge("m", 1).bytes().text());
  all += number_field(99, 5) + fixed_field(98, 5) + field(97, "later") +
         testing::varint(96 << 3 | 5) + "four";
  EXPECT_THAT(shown(bytes(all)), ElementsAre("gauge m=1"));
}

TEST(Otlp, TooManyPointsAndLabelsAreLeftOut) {
  OtlpMessage many;
  for (std::size_t i = 0; i < kPointsMax + 3; ++i) many.gauge("m", 1);
  const auto metrics = read_metrics(many.bytes());
  ASSERT_TRUE(metrics.ok());
  EXPECT_EQ(metrics->points.size(), kPointsMax);
  EXPECT_EQ(metrics->dropped, 3U);
  testing::Labels labels(kAttributesMax + 5, {"l", "v"});
  labels.front() = {"long", std::string(300, 'x')};
  const common::Bytes kept =
      OtlpMessage().gauge("m", 1, labels).bytes();  // the names point into it
  const auto labelled = read_metrics(kept);
  ASSERT_TRUE(labelled.ok());
  ASSERT_EQ(labelled->points.size(), 1U);
  EXPECT_EQ(labelled->points[0].attributes.size(), kAttributesMax);
  EXPECT_EQ(labelled->points[0].attributes[0].name, "l");
}

TEST(Otlp, DamageIsAnError) {
  const std::string good(
      OtlpMessage(testing::Labels{{"a", "b"}}).gauge("m", 1, {{"c", "d"}}).bytes().text());
  for (const std::string& bad :
       {std::string("\x0a"), std::string("\x0a\x05xx"), std::string("\x00\x01", 2),
        std::string("\x0b"), std::string("\x09zz"), std::string(11, '\xff'),
        good.substr(0, good.size() - 1)}) {
    const auto metrics = read_metrics(bytes(bad));
    ASSERT_FALSE(metrics.ok());
    EXPECT_EQ(metrics.error().code, model::ErrorCode::kInvalidRecord);
  }
}

// Goal: no bytes end the process, and nothing is read beyond them (the sanitizers watch). Method:
// right messages with bytes changed, cut and doubled.
TEST(Otlp, AnyBytesAreSafe) {
  common::Random random(7);
  std::size_t refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text(OtlpMessage(testing::Labels{{"a", "b"}})
                         .gauge("m", 1, {{"c", "d"}})
                         .sum("n", 2, true)
                         .bytes()
                         .text());
    for (std::uint64_t n = random.below(4); n > 0; --n)
      text[random.below(text.size())] = static_cast<char>(random.next());
    text.resize(random.below(text.size() + 1));
    refused += read_metrics(bytes(text)).ok() ? 0 : 1;
  }
  EXPECT_GT(refused, 5'000U);
}

TEST(Labels, ValuesCannotBreakAScrape) {
  EXPECT_EQ(label_value("caf\xc3\xa9 \xe2\x82\xac"), "caf\xc3\xa9 \xe2\x82\xac");
  EXPECT_EQ(label_value(std::string_view("a\nb\0c\x1f\x7f", 7)), "a?b?c??");
  EXPECT_EQ(label_value("x\xff\xc3"), "x??");
  EXPECT_EQ(label_value(std::string(1000, 'x')).size(), kLabelBytesMax);
  EXPECT_EQ(label_value(std::string(199, 'x') + "\xc3\xa9").size(), 199U);
}

TEST(Labels, NamesAreThoseOfPrometheus) {
  EXPECT_EQ(label_name("Node-Id.9"), "node_id_9");
  EXPECT_EQ(label_name("9lives"), std::nullopt);
  EXPECT_EQ(label_name("__name__"), std::nullopt);
  EXPECT_EQ(label_name(""), std::nullopt);
  EXPECT_EQ(label_name(std::string(65, 'a')), std::nullopt);
}

}  // namespace
}  // namespace millrace::telemetry
