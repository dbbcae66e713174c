// Each rule of `millctl doctor`: what breaks it is found, what keeps it is not.
#include "cli/diagnosis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace millrace::cli {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// Nothing about it is unsafe.
ClusterSeen safe() {
  ClusterSeen seen;
  seen.brokers = 3;
  seen.disk_free_bytes = 90LL << 30;
  seen.disk_total_bytes = 100LL << 30;
  seen.configs = {
      {"default.replication.factor", "3"},    {"min.insync.replicas", "2"},
      {"kafka.listen", "127.0.0.1:9092"},     {"grpc.listen", "localhost:9094"},
      {"http.listen", "[::1]:9644"},          {"kafka.outside.listen", "office://127.0.0.1:9095"},
      {"auto.create.topics.enable", "false"}, {"flush.mode", "strict"},
      {"disk.reserve.bytes", "67108864"},     {"offsets.retention.minutes", "10080"}};
  seen.topics.push_back({.name = "orders",
                         .replicas = 3,
                         .configs = {{"min.insync.replicas", "2"},
                                     {"cleanup.policy", "delete"},
                                     {"retention.ms", "604800000"},
                                     {"retention.bytes", "-1"},
                                     {"flush.mode", "strict"}}});
  return seen;
}

std::vector<std::string> codes(const ClusterSeen& seen,
                               const std::vector<std::string>& ignored = {}) {
  std::vector<std::string> codes;
  for (const Finding& finding : diagnose(seen, ignored).findings) codes.push_back(finding.code);
  return codes;
}

TEST(Diagnosis, NothingOfASafeCluster) {
  EXPECT_THAT(codes(safe()), IsEmpty());
  EXPECT_EQ(exit_of(diagnose(safe(), {}), Level::kNote), Exit::kOk);
}

TEST(Diagnosis, TheDefaultOfCopiesIsOneOnlyForABrokerThatIsAlone) {
  ClusterSeen seen = safe();
  seen.configs["default.replication.factor"] = "-1";
  EXPECT_THAT(codes(seen), Not(Contains("one-copy-default")));
  seen.brokers = 1;
  EXPECT_THAT(codes(seen), Contains("one-copy-default"));
}

TEST(Diagnosis, EachBrokerSettingHasItsRule) {
  const std::tuple<const char*, const char*, const char*> rules[] = {
      {"default.replication.factor", "1", "one-copy-default"},
      {"min.insync.replicas", "1", "min-insync-one"},
      {"kafka.listen", "0.0.0.0:9092", "plain-listeners"},
      {"grpc.listen", "10.0.0.1:9094", "plain-listeners"},
      {"kafka.outside.listen", "a://127.0.0.1:1,b://0.0.0.0:9095", "plain-listeners"},
      {"http.listen", "[::]:9644", "plain-listeners"},
      {"auto.create.topics.enable", "true", "auto-create"},
      {"flush.mode", "relaxed", "relaxed-flush"},
      {"disk.reserve.bytes", "0", "no-reserve"},
      {"offsets.retention.minutes", "60", "short-offset-retention"}};
  for (const auto& [name, value, code] : rules) {
    ClusterSeen seen = safe();
    seen.configs[name] = value;
    EXPECT_THAT(codes(seen), ElementsAre(code)) << name;
  }
}

TEST(Diagnosis, EachTopicSettingHasItsRule) {
  ClusterSeen seen = safe();
  seen.topics[0].replicas = 1;
  EXPECT_THAT(codes(seen), ElementsAre("one-copy"));
  seen = safe();
  seen.topics[0].configs["min.insync.replicas"] = "1";
  EXPECT_THAT(codes(seen), ElementsAre("min-insync-one"));
  seen = safe();
  seen.topics[0].configs["flush.mode"] = "relaxed";
  EXPECT_THAT(codes(seen), ElementsAre("relaxed-flush"));
  seen = safe();
  seen.topics[0].configs["retention.ms"] = "-1";
  EXPECT_THAT(codes(seen), ElementsAre("endless-retention"));
  seen.topics[0].configs["retention.bytes"] = "1000000";
  EXPECT_THAT(codes(seen), IsEmpty());
  seen.topics[0].configs["retention.bytes"] = "-1";
  seen.topics[0].configs["cleanup.policy"] = "compact";
  EXPECT_THAT(codes(seen), IsEmpty()) << "compaction bounds it by its keys";
}

TEST(Diagnosis, AFullDiskIsTheFirstToBeTold) {
  ClusterSeen seen = safe();
  seen.configs["auto.create.topics.enable"] = "true";
  seen.disk_free_bytes = 9LL << 30;
  EXPECT_THAT(codes(seen), ElementsAre("disk-low", "auto-create"));
  EXPECT_EQ(exit_of(diagnose(seen, {}), Level::kProblem), Exit::kUnwell);
}

TEST(Diagnosis, ManyTopicsAreCountedAndSomeNamed) {
  ClusterSeen seen = safe();
  seen.topics.clear();
  for (int i = 0; i < 8; ++i)
    seen.topics.push_back({.name = "t" + std::to_string(i), .replicas = 1, .configs = {}});
  const Report report = diagnose(seen, {});
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_THAT(report.findings[0].what, HasSubstr("8 topic(s)"));
  EXPECT_THAT(report.findings[0].what, HasSubstr("t4 and 3 more"));
}

TEST(Diagnosis, WhatIsIgnoredIsCounted) {
  ClusterSeen seen = safe();
  seen.configs["auto.create.topics.enable"] = "true";
  seen.configs["http.listen"] = "0.0.0.0:9644";
  EXPECT_THAT(codes(seen, {"auto-create"}), ElementsAre("plain-listeners"));
  EXPECT_THAT(diagnose(seen, {"auto-create"}).summary, HasSubstr("1 finding(s), 1 ignored"));
}

TEST(Findings, TextAndJsonSayTheSame) {
  const Report report{
      .summary = "group g: Stable",
      .findings = {{Level::kProblem, "not-fetching", "nobody fetches", "the client", "restart it"},
                   {Level::kNote, "idle-members", "one is idle", "", ""}}};
  EXPECT_EQ(findings_text(report),
            "group g: Stable\n"
            "\nproblem: nobody fetches  [not-fetching]\n"
            "  blocked by: the client\n"
            "  what to do: restart it\n"
            "\nnote: one is idle  [idle-members]\n");
  const auto json = nlohmann::json::parse(findings_json(report));
  EXPECT_EQ(json["summary"], "group g: Stable");
  EXPECT_EQ(json["findings"][0]["level"], "problem");
  EXPECT_EQ(json["findings"][1]["code"], "idle-members");
  EXPECT_THAT(findings_text({.summary = "s", .findings = {}}), HasSubstr("nothing is wrong"));
  EXPECT_EQ(exit_of(report, Level::kWarning), Exit::kUnwell);
  EXPECT_EQ(exit_of({.summary = "", .findings = {report.findings[1]}}, Level::kWarning), Exit::kOk);
}

}  // namespace
}  // namespace millrace::cli
