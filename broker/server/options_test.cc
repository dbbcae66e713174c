// What millrace is asked to do, from flags, environment and files.
#include "broker/server/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <fstream>

#include "broker/env/testing/both_worlds.h"
#include "broker/server/settings_table.h"

namespace millrace::server {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

class OptionsTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& content) {
    const std::string path = folder_.path() + "/" + name;
    std::ofstream(path) << content;
    return path;
  }
  static Options read(const std::vector<std::string>& arguments,
                      const std::vector<std::string>& environment = {}) {
    auto options = read_options(arguments, environment);
    EXPECT_TRUE(options.ok()) << options.error().detail;
    return options.ok() ? std::move(options).value() : Options{};
  }
  static std::string refusal(const std::vector<std::string>& arguments,
                             const std::vector<std::string>& environment = {}) {
    const auto options = read_options(arguments, environment);
    EXPECT_FALSE(options.ok()) << ::testing::PrintToString(arguments);
    if (options.ok()) return "";
    EXPECT_EQ(options.error().code, model::ErrorCode::kInvalidConfig);
    return options.error().detail;
  }

  env::testing::TemporaryFolder folder_;
};

TEST_F(OptionsTest, FlagsInBothForms) {
  const Options options =
      read({"--data", "/d", "--kafka.listen=127.0.0.1:0", "--num.partitions", "3"});
  EXPECT_EQ(options.command, Command::kServe);
  EXPECT_THAT(options.config,
              UnorderedElementsAre(Pair("data.dir", "/d"), Pair("kafka.listen", "127.0.0.1:0"),
                                   Pair("num.partitions", "3")));
}

TEST_F(OptionsTest, Commands) {
  EXPECT_EQ(read({}).command, Command::kServe);
  EXPECT_EQ(read({"serve", "--data=/d"}).command, Command::kServe);
  EXPECT_EQ(read({"format", "--data=/d"}).command, Command::kFormat);
  EXPECT_EQ(read({"--help"}).command, Command::kHelp);
  EXPECT_EQ(read({"--data=/d", "-h"}).command, Command::kHelp);
  EXPECT_EQ(read({"--version"}).command, Command::kVersion);
  const Options config = read({"config", "-o", "json"});
  EXPECT_EQ(config.command, Command::kConfig);
  EXPECT_TRUE(config.json);
}

TEST_F(OptionsTest, WrongUsageSaysWhatIsRight) {
  EXPECT_THAT(refusal({"start"}), HasSubstr("there are serve, format and config"));
  EXPECT_THAT(refusal({"serve", "now"}), HasSubstr("unexpected argument now"));
  EXPECT_THAT(refusal({"-x"}), HasSubstr("millrace --help"));
  EXPECT_THAT(refusal({"--data"}), HasSubstr("--data=VALUE"));
  EXPECT_THAT(refusal({"--data", "--kafka.listen=:1"}), HasSubstr("--data=VALUE"));
  EXPECT_THAT(refusal({"config", "-o", "xml"}), HasSubstr("table or json"));
  EXPECT_THAT(refusal({"--kafka.listne=:0"}), HasSubstr("did you mean kafka.listen?"));
  EXPECT_THAT(refusal({"--num.partitions=many"}), HasSubstr("num.partitions"));
  EXPECT_THAT(refusal({"--kafka.listen=nonsense"}), HasSubstr("HOST:PORT"));
}

TEST_F(OptionsTest, EnvironmentSpellsKeysInCapitals) {
  const Options options =
      read({}, {"MILLRACE_KAFKA_LISTEN=:0", "MILLRACE_DATA_DIR=/d", "HOME=/root"});
  EXPECT_THAT(options.config,
              UnorderedElementsAre(Pair("data.dir", "/d"), Pair("kafka.listen", ":0")));
  EXPECT_THAT(options.warnings, IsEmpty());
  EXPECT_THAT(refusal({}, {"MILLRACE_NUM_PARTITIONS=x"}),
              HasSubstr("environment variable MILLRACE_NUM_PARTITIONS"));
}

// Goal: what others put into the environment never keeps a broker from starting. Method: the
// variables of a Kubernetes service called "millrace", the one of millctl, and a misspelt one.
TEST_F(OptionsTest, ForeignVariablesDoNotStopIt) {
  EXPECT_THAT(read({}, {"MILLRACE_SERVICE_HOST=10.0.0.1", "MILLRACE_SERVICE_PORT=9092",
                        "MILLRACE_PORT=tcp://10.0.0.1:9092", "MILLRACE_SERVICE_PORT_KAFKA=9092",
                        "MILLRACE_PORT_9092_TCP=tcp://10.0.0.1:9092",
                        "MILLRACE_PORT_9092_TCP_ADDR=10.0.0.1", "MILLRACE_BROKER=localhost:9094"})
                  .warnings,
              IsEmpty());
  const Options misspelt = read({}, {"MILLRACE_NUM_PARTITION=3", "MILLRACE_EMPTY"});
  EXPECT_THAT(misspelt.config, IsEmpty());
  EXPECT_THAT(misspelt.warnings, ElementsAre(HasSubstr("MILLRACE_NUM_PARTITION is no setting"),
                                             HasSubstr("MILLRACE_EMPTY")));
}

TEST_F(OptionsTest, FlagsWinOverEnvironmentAndThatOverTheFile) {
  const std::string file =
      write("m.yaml", "num.partitions: 1\ndata.dir: /file\ncluster.id: file\n");
  const Options options = read({"--config", file, "--num.partitions=3"},
                               {"MILLRACE_NUM_PARTITIONS=2", "MILLRACE_CLUSTER_ID=environment"});
  EXPECT_THAT(options.config,
              UnorderedElementsAre(Pair("num.partitions", "3"), Pair("cluster.id", "environment"),
                                   Pair("data.dir", "/file")));
}

TEST_F(OptionsTest, YamlMayNestAndList) {
  const std::string file =
      write("m.yaml",
            "# comment\nkafka:\n  listen: 127.0.0.1:0\nlog:\n  retention:\n    ms: 1000\n"
            "log.cleanup.policy: [delete, compact]\nauto.create.topics.enable: false\n");
  EXPECT_THAT(
      read({"--config=" + file}).config,
      UnorderedElementsAre(Pair("kafka.listen", "127.0.0.1:0"), Pair("log.retention.ms", "1000"),
                           Pair("log.cleanup.policy", "delete,compact"),
                           Pair("auto.create.topics.enable", "false")));
  EXPECT_THAT(read({"--config", write("empty.yaml", "")}).config, IsEmpty());
}

TEST_F(OptionsTest, WrongFilesAreNamed) {
  EXPECT_THAT(refusal({"--config", "/no/such.yaml"}), HasSubstr("/no/such.yaml"));
  EXPECT_THAT(refusal({"--config", write("a.yaml", "a: [1")}), HasSubstr("a.yaml"));
  EXPECT_THAT(refusal({"--config", write("b.yaml", "just words")}), HasSubstr("name: value"));
  EXPECT_THAT(refusal({"--config", write("c.yaml", "kafka.listne: :0")}),
              HasSubstr("did you mean kafka.listen?"));
  EXPECT_THAT(refusal({"--config", write("d.properties", "num.partitions=x")}),
              HasSubstr("d.properties"));
}

// Goal: a small file that is a large or endless tree is refused at once. Method: an alias to the
// node that holds it, and nine levels of nine aliases each to the level before.
TEST_F(OptionsTest, YamlThatNeverEndsIsRefused) {
  EXPECT_THAT(refusal({"--config", write("loop.yaml", "a: &a\n  b: *a\n")}),
              HasSubstr("loop.yaml: nested too deeply"));
  std::string many = "l0: &l0 {}\n";
  for (int level = 1; level < 10; ++level) {
    many += fmt::format("l{0}: &l{0} {{", level);
    for (int i = 0; i < 9; ++i) many += fmt::format("k{}: *l{}, ", i, level - 1);
    many += "}\n";
  }
  EXPECT_THAT(refusal({"--config", write("many.yaml", many)}), HasSubstr("too many entries"));
}

// Goal: a Kafka broker's file starts a broker. Method: the forms that Java's properties have, known
// and unknown keys.
TEST_F(OptionsTest, PropertiesOfAKafkaBroker) {
  const std::string file =
      write("server.properties",
            "# a comment that ends in \\\nbroker.id=4\n! another\n\n"
            "listeners = PLAINTEXT://:9092\r\nlog.retention.hours: 24\n"
            "log.cleanup.policy=delete,\\\n    compact\nzookeeper.connect=zk:2181\n"
            "log.dirs=/var/lib/kafka\\");
  const Options options = read({"--config", file});
  EXPECT_THAT(options.config, Contains(Pair("broker.id", "4")));
  EXPECT_THAT(options.config, Contains(Pair("listeners", "PLAINTEXT://:9092")));
  EXPECT_THAT(options.config, Contains(Pair("log.retention.hours", "24")));
  EXPECT_THAT(options.config, Contains(Pair("log.cleanup.policy", "delete,compact")));
  EXPECT_THAT(options.config, Contains(Pair("log.dirs", "/var/lib/kafka")));
  EXPECT_THAT(options.warnings,
              ElementsAre(HasSubstr("zookeeper.connect means nothing to this broker")));
  const auto settings = model::resolve_broker_settings({.from_start = &options.config});
  EXPECT_EQ(settings.kafka_listen, (model::ListenAddress{"0.0.0.0", 9092}));
  EXPECT_EQ(settings.data_dir, "/var/lib/kafka");
  EXPECT_EQ(settings.node_id, 4);
}

TEST_F(OptionsTest, HelpAndTablesNameWhatExists) {
  EXPECT_THAT(help_text(), HasSubstr("--data DIR"));
  const std::string table = settings_as_table({{"num.partitions", "7"}});
  EXPECT_THAT(table, HasSubstr("7 partitions (set)"));
  const std::string json = settings_as_json({{"num.partitions", "7"}});
  for (const model::ConfigKey& key : model::broker_keys()) {
    EXPECT_THAT(table, HasSubstr(std::string(key.name)));
    EXPECT_THAT(json, HasSubstr("\"" + std::string(key.name) + "\""));
  }
}

}  // namespace
}  // namespace millrace::server
