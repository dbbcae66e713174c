// ScriptedClient client;
// run_script("testdata/topics.txt", [&](const ScriptCommand& c) { return client.run(c); });
//
// Requests as lines of a script, and answers as lines of text. A command is an API with what it
// names and options:
//   create orders:3:1 config:retention.ms=77 validate v=7
//   fetch @orders:0@5 @other:1@0 v=13..18
//   delete @orders
// A topic to be made is NAME[:PARTITIONS[:REPLICAS]], a partition NAME:INDEX[@OFFSET]. With '@' in
// front the request carries the id that the topic has, or had; @nobody is an unknown id.
// `v=` is the version, else it is the newest; with `v=A..B` each of them is sent, and versions with
// different answers are told apart.
// `broker shards=2 KEY=VALUE …` begins anew with another broker.
//
// With `broker cluster=yes` it is one of a cluster whose other brokers are what the script says:
//   enroll 1 rack=b
//   alive 1
//   leads orders:0 by=1 epoch=5 in-sync=1,2
// Brokers (this one is 0) have listeners for clients outside, and one connects anew by one of them:
//   outside 1 nodes=203.0.113.1:31001
//   come nodes
//
// Members of groups: `as=NAME` speaks on a connection of that name, and the member id that it is
// given is known by that name from then on:
//   join readers as=a protocols=range topics=orders later
//   answer as=a
// `later` only sends; `answer` shows what came.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "broker/kafka/testing/test_broker.h"
#include "common/testing/script.h"

namespace millrace::kafka::testing {

class ScriptedClient {
 public:
  ScriptedClient() { restart({}); }
  /// The answer as lines of text.
  std::string run(const common::ScriptCommand& command);

 private:
  using Command = common::ScriptCommand;
  using Handler = std::string (ScriptedClient::*)(const Command&, std::int16_t version);
  struct Row {
    Handler handler;
    std::int16_t version_min;
    std::int16_t version_max;
  };
  /// One argument that names something: NAME[:NUMBER[:NUMBER]][@OFFSET], with '@' in front: by id.
  struct Target {
    std::string name;
    common::Uuid id;
    bool by_id = false;
    std::optional<std::int32_t> number;
    std::optional<std::int16_t> second;
    std::int64_t offset = 0;
  };

  static const std::map<std::string, Row>& rows();
  template <typename Request>
  static Row row(Handler handler) {
    return {handler, Request::kVersionMin, Request::kVersionMax};
  }
  static void add_cluster_rows(std::map<std::string, Row>& table);
  static void add_group_rows(std::map<std::string, Row>& table);
  static void add_offset_rows(std::map<std::string, Row>& table);
  static void add_telemetry_rows(std::map<std::string, Row>& table);
  std::string restart(const Command& command);
  /// nullopt: the command is none of these.
  std::optional<std::string> set_cluster(const Command& command);
  void tell_outside(model::BrokerId broker, const Command& command);
  std::vector<Target> targets(const Command& command) const;
  static std::int64_t number(const Command& command, std::string_view key, std::int64_t otherwise);
  static bool flag(const Command& command, std::string_view word);
  /// Arguments "WORD:NAME=VALUE" or "WORD:NAME" as pairs.
  static std::vector<std::pair<std::string, std::string>> pairs(const Command& command,
                                                                const std::string& word);

  // scripted_admin.cc
  std::string api_versions(const Command& command, std::int16_t version);
  std::string metadata(const Command& command, std::int16_t version);
  std::string create(const Command& command, std::int16_t version);
  std::string remove(const Command& command, std::int16_t version);
  std::string grow(const Command& command, std::int16_t version);
  std::string configs(const Command& command, std::int16_t version);
  std::string alter(const Command& command, std::int16_t version);
  std::string replace_configs(const Command& command, std::int16_t version);
  std::string log_dirs(const Command& command, std::int16_t version);
  std::string cluster(const Command& command, std::int16_t version);
  std::string describe(const Command& command, std::int16_t version);
  // scripted_groups.cc
  std::string find(const Command& command, std::int16_t version);
  std::string join(const Command& command, std::int16_t version);
  std::string sync(const Command& command, std::int16_t version);
  std::string heartbeat(const Command& command, std::int16_t version);
  std::string leave(const Command& command, std::int16_t version);
  std::string groups(const Command& command, std::int16_t version);
  std::string describe_groups(const Command& command, std::int16_t version);
  std::string delete_groups(const Command& command, std::int16_t version);
  std::string consumer_heartbeat(const Command& command, std::int16_t version);
  std::string describe_consumers(const Command& command, std::int16_t version);
  // scripted_offsets.cc
  std::string commit(const Command& command, std::int16_t version);
  std::string committed(const Command& command, std::int16_t version);
  std::string delete_offsets(const Command& command, std::int16_t version);
  // scripted_data.cc
  std::string produce(const Command& command, std::int16_t version);
  std::string fetch(const Command& command, std::int16_t version);
  std::string offsets(const Command& command, std::int16_t version);
  std::string epoch_end(const Command& command, std::int16_t version);
  std::string delete_records(const Command& command, std::int16_t version);
  std::string init_producer(const Command& command, std::int16_t version);
  std::string producers(const Command& command, std::int16_t version);

  // scripted_cluster.cc
  std::string acls(const Command& command, std::int16_t version);
  std::string create_acls(const Command& command, std::int16_t version);
  std::string delete_acls(const Command& command, std::int16_t version);
  std::string describe_transactions(const Command& command, std::int16_t version);
  std::string list_transactions(const Command& command, std::int16_t version);
  std::string elect(const Command& command, std::int16_t version);
  std::string move(const Command& command, std::int16_t version);
  std::string move_dir(const Command& command, std::int16_t version);
  std::string moves(const Command& command, std::int16_t version);
  std::string quorum(const Command& command, std::int16_t version);
  std::string quotas(const Command& command, std::int16_t version);
  std::string set_quota(const Command& command, std::int16_t version);
  std::string scram(const Command& command, std::int16_t version);
  std::string set_scram(const Command& command, std::int16_t version);
  std::string resources(const Command& command, std::int16_t version);
  std::string unregister(const Command& command, std::int16_t version);
  std::string update_features(const Command& command, std::int16_t version);
  // scripted_telemetry.cc
  std::string subscribe(const Command& command, std::int16_t version);
  std::string push(const Command& command, std::int16_t version);
  std::string readings(const Command& command, std::int16_t version);
  std::string wait(const Command& command, std::int16_t version);
  /// A member of groups, on a connection of its own.
  struct Party {
    std::string name;
    std::optional<Client> client;
    std::string member;           // its id; empty: none yet
    std::int32_t generation = 0;  // or member epoch
    /// Shows the answer that is still to come.
    std::function<std::string()> pending;
  };
  Party& party(const Command& command);
  std::string answer(const Command& command);
  /// Sends, and shows the answer now or, with `later`, when it is asked for.
  template <typename Request, typename Show>
  std::string ask(const Command& command, const Request& request, std::int16_t version, Show show);
  /// The member id that a command means: that of its party, or member=NAME of another one, or text.
  std::string member_of(const Command& command);
  std::int32_t generation_of(const Command& command);
  /// The party that has a member id; the id itself if none has.
  std::string name_of_member(const std::string& id) const;
  std::string name_of_topic(const common::Uuid& id) const;
  common::Uuid id_of_topic(const std::string& name) const;

  std::unique_ptr<TestBroker> broker_;
  std::optional<Client> client_;
  std::map<std::string, common::Uuid> ids_;
  common::Uuid instance_;  // as the broker knows this client's metrics
  std::int32_t subscription_ = 0;
  std::map<std::string, Party> parties_;
};

/// The parts of a text between commas; none of an empty one.
std::vector<std::string> split(const std::string& text);
/// The command without its first argument, which names a group, say.
common::ScriptCommand rest_of(const common::ScriptCommand& command);

/// The name of an error as Kafka writes it, and the sentence beside it if there is one.
std::string shown(std::int16_t error, const std::optional<std::string>& message = std::nullopt);

}  // namespace millrace::kafka::testing
