#include "tests/sim/operator/admin_link.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/grpc/cluster_view.h"
#include "broker/grpc/status.h"
#include "broker/model/topic_name.h"
#include "broker/service/broker_states.h"
#include "broker/service/configs.h"
#include "broker/service/permits.h"
#include "broker/service/topics.h"
#include "operator/brokers/translate.h"

namespace millrace::sim {
namespace {

using brokers::Answer;
using brokers::BrokerError;
using brokers::Configs;
using brokers::Trouble;
using common::Error;
using common::Result;
using model::BrokerId;
using model::ErrorCode;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// As those of GrpcAdmin.
constexpr common::Duration kRead = seconds(3);
constexpr common::Duration kChange = seconds(10);
constexpr common::Duration kBatch = seconds(60);
constexpr common::Duration kWhole = seconds(15);

/// What the gRPC door would answer to this error of a service.
brokers::Said said_of(const Error& error, const std::string& address) {
  return {
      .status = grpc::to_status(error), .code = grpc::error_name(error.code), .address = address};
}

/// Of several outcomes of one call, the first.
template <typename Outcome>
Result<bool> first_of(const std::vector<Outcome>& outcomes) {
  if (outcomes.front().code == ErrorCode::kNone) return true;
  return Error{outcomes.front().code, outcomes.front().detail};
}

template <typename T>
Answer<void> only_done(const Answer<T>& answer) {
  if (!answer.ok()) return answer.error();
  return {};
}

std::string topic_of(const service::Shard& shard, const model::TopicId& id) {
  const auto topic = shard.image().topic(id);
  return topic == nullptr ? id.text() : topic->name;
}

std::string why_not(const service::Shard& shard, const metadata::PermitAnswer& permit) {
  if (!permit.refusal.empty()) return permit.refusal;
  const metadata::PermitBlocker& first = permit.blockers.front();
  return fmt::format("{}-{} would have {} of {} replicas in sync",
                     topic_of(shard, first.partition.topic), first.partition.index, first.left,
                     first.needed);
}

brokers::BrokerState state_of(metadata::BrokerState state) {
  return brokers::translate(grpc::state_of(state));
}

brokers::DrainAnswer drain_answer(const service::DrainProgress& progress,
                                  const Result<std::vector<metadata::MoveBlocker>>& blockers,
                                  BrokerId broker) {
  brokers::DrainAnswer answer{.state = state_of(progress.state),
                              .replicas_left = static_cast<std::int32_t>(progress.replicas_left),
                              .blockers = {}};
  if (!blockers.ok()) {
    answer.blockers = blockers.error().detail;
    return answer;
  }
  for (const metadata::MoveBlocker& blocker : *blockers)
    if (blocker.broker == broker) answer.blockers += blocker.cause + "; ";
  return answer;
}

brokers::Topic topic_of(const metadata::Topic& topic) {
  return {.name = topic.name,
          .id = topic.id.text(),
          .partitions = topic.partition_count(),
          .replication_factor = static_cast<std::int32_t>(topic.partitions.front().size()),
          .configs = {topic.configs.begin(), topic.configs.end()}};
}

service::NewTopic new_topic(const brokers::NewTopic& wanted) {
  service::NewTopic topic{.name = wanted.name, .assignments = {}, .configs = {}};
  if (wanted.partitions > 0) topic.partitions = wanted.partitions;
  if (wanted.replication_factor > 0)
    topic.replication_factor = static_cast<std::int16_t>(wanted.replication_factor);
  for (const auto& [name, value] : wanted.configs) topic.configs.emplace_back(name, value);
  return topic;
}

Answer<brokers::Topic> outcome_of(const service::TopicOutcome& outcome) {
  if (outcome.code != ErrorCode::kNone) {
    BrokerError error =
        brokers::error_of("CreateTopics", said_of(Error{outcome.code, outcome.detail}, "a broker"));
    return error;
  }
  return brokers::Topic{.name = outcome.name,
                        .id = outcome.id.text(),
                        .partitions = outcome.partitions,
                        .replication_factor = outcome.replication_factor,
                        .configs = {}};
}

}  // namespace

std::vector<std::string> AdminLink::doors() const {
  std::vector<std::string> doors = addresses_;
  const auto last = std::find(doors.begin(), doors.end(), answered_last_);
  if (last != doors.end()) std::rotate(doors.begin(), last, last + 1);
  return doors;
}

template <typename T>
AdminLink::Try<T> AdminLink::ask_one(const Call& call, const std::string& address,
                                     const Work<T>& work) {
  using ::grpc::StatusCode;
  const auto nobody = [](StatusCode code, const char* why) {
    return Try<T>{std::nullopt, {code, why}};
  };
  parts_.life.wait(microseconds(parts_.random.between(100, 1'500)));
  if (faults_.cut) {
    parts_.life.wait(call.deadline);
    return nobody(StatusCode::DEADLINE_EXCEEDED, "no way to the brokers");
  }
  Machine* const machine = parts_.book.machine_at(address);
  const bool open = machine != nullptr && machine->state() == Machine::State::kServing;
  if (!open) return nobody(StatusCode::UNAVAILABLE, "connection refused");
  const std::vector<service::Shard*> shards = machine->running()->shards();
  service::Shard* const shard = shards[parts_.random.below(shards.size())];
  auto answer = std::make_shared<std::optional<Result<T>>>();
  auto arrive = [machine, process = machine->process(), shard, work, answer] {
    if (machine->process() != process || machine->running() == nullptr) return;
    shard->loop().post([shard, work, answer] {
      work(*shard, [answer](Result<T> result) { *answer = std::move(result); });
    });
  };
  const bool slow = parts_.random.chance(static_cast<std::uint64_t>(faults_.slow), 1000);
  const common::Duration delay =
      slow ? milliseconds(parts_.random.between(500, 12'000)) : common::Duration{0};
  const auto still_there = [machine, process = machine->process()] {
    return machine->process() == process && machine->running() != nullptr;
  };
  parts_.agenda.after(delay, std::move(arrive));
  const common::Instant until = parts_.agenda.now() + call.deadline;
  parts_.life.wait_until([&] { return answer->has_value() || !still_there(); }, call.deadline);
  const bool lost = parts_.random.chance(static_cast<std::uint64_t>(faults_.lose), 1000);
  if (answer->has_value() && !lost) return {std::move(*answer), {}};
  if (!lost && !still_there()) return nobody(StatusCode::UNAVAILABLE, "connection reset");
  if (parts_.agenda.now() < until) parts_.life.wait(until - parts_.agenda.now());
  return nobody(StatusCode::DEADLINE_EXCEEDED, "Deadline Exceeded");
}

template <typename T>
Answer<T> AdminLink::ask(const Call& call, const Work<T>& work) {
  const BrokerError ended{.trouble = Trouble::kUnreachable, .detail = "the process has ended"};
  if (!parts_.life.call_begins()) return ended;
  const common::Instant began = parts_.agenda.now();
  brokers::Tries tries;
  for (const std::string& address : doors()) {
    const common::Duration left = std::max(kWhole, call.deadline) - (parts_.agenda.now() - began);
    if (left <= common::Duration{0}) break;
    Call once = call;
    once.deadline = std::min(left, call.deadline);
    Try<T> one = ask_one<T>(once, address, work);
    if (parts_.life.over() || parts_.trace.failed()) return ended;
    if (one.answer && one.answer->ok()) {
      if (!parts_.life.call_is_done()) return ended;
      answered_last_ = address;
      return **std::move(one.answer);
    }
    const brokers::Said said = one.answer ? said_of(one.answer->error(), address)
                                          : brokers::Said{one.silence, "", address};
    if (!tries.go_on(brokers::error_of(call.name, said))) break;
  }
  if (!parts_.life.call_is_done()) return ended;
  const BrokerError error = tries.outcome();
  parts_.trace.say(parts_.name, "{} {}: {}", call.name, call.about, error.detail);
  return error;
}

Answer<brokers::Cluster> AdminLink::cluster() {
  return ask<brokers::Cluster>(
      {"ClusterHealth", kRead}, [](service::Shard& shard, Done<brokers::Cluster> done) {
        service::report_cluster(
            shard, [&shard, done = std::move(done)](const service::ClusterReport& report) mutable {
              v1::ClusterHealthResponse response;
              response.set_cluster_id(shard.identity().cluster_id);
              response.set_answered_by(shard.identity().node.value());
              grpc::fill(response, report, 1);
              done(brokers::translate(response));
            });
      });
}

Answer<Configs> AdminLink::dynamic_defaults() {
  return ask<Configs>({"DescribeConfigs", kRead}, [](service::Shard& shard, Done<Configs> done) {
    const auto answers =
        service::describe_configs(shard, {{.type = service::ResourceType::kBroker}});
    if (answers.front().code != ErrorCode::kNone)
      return done(Error{answers.front().code, answers.front().detail});
    Configs configs;
    for (const service::ConfigEntry& entry : answers.front().entries) {
      if (entry.source == service::ConfigSource::kDynamicDefaultBroker && entry.value)
        configs[entry.name] = *entry.value;
    }
    done(std::move(configs));
  });
}

Answer<void> AdminLink::alter(bool topic, const std::string& name, const Configs& set,
                              const std::vector<std::string>& remove) {
  using service::ConfigChange;
  service::ConfigCommand command{
      .type = topic ? service::ResourceType::kTopic : service::ResourceType::kBroker,
      .resource = name,
      .changes = {}};
  for (const auto& [setting, value] : set)
    command.changes.push_back({setting, ConfigChange::Operation::kSet, value});
  for (const std::string& setting : remove)
    command.changes.push_back({setting, ConfigChange::Operation::kDelete, ""});
  return only_done(
      ask<bool>({"AlterConfigs", kChange, name}, [command](service::Shard& shard, Done<bool> done) {
        service::alter_configs(
            shard, {command}, service::AlterStyle::kIncremental, false,
            [done = std::move(done)](const std::vector<service::ConfigOutcome>& outcomes) mutable {
              done(first_of(outcomes));
            });
      }));
}

Answer<void> AdminLink::alter_defaults(const Configs& set, const std::vector<std::string>& remove) {
  return alter(false, "", set, remove);
}

Answer<void> AdminLink::alter_topic(const std::string& topic, const Configs& set,
                                    const std::vector<std::string>& remove) {
  return alter(true, topic, set, remove);
}

Answer<brokers::PermitAnswer> AdminLink::acquire_permit(const brokers::PermitRequest& request) {
  using Permit = brokers::PermitAnswer;
  const auto incarnation = common::Uuid::parse(request.incarnation);
  const service::PermitWish wish{.broker = BrokerId{request.broker},
                                 .incarnation = incarnation.value_or(common::Uuid{}),
                                 .lasts_ms = request.lasts_ms};
  auto answer = ask<Permit>(
      {"AcquireRestartPermit", kChange, std::to_string(request.broker)},
      [wish](service::Shard& shard, Done<Permit> done) {
        service::ask_permit(
            shard, wish,
            [&shard, done = std::move(done)](const Result<metadata::PermitAnswer>& permit) mutable {
              if (!permit.ok()) return done(permit.error());
              if (permit->granted) return done(Permit{.granted = true, .why = {}});
              done(Permit{.granted = false, .why = why_not(shard, *permit)});
            });
      });
  if (answer.ok()) {
    parts_.trace.say(parts_.name, "broker {} {} stop {}", request.broker,
                     answer->granted ? "may" : "may not", answer->why);
  }
  return answer;
}

Answer<void> AdminLink::release_permit(std::int32_t broker) {
  return only_done(ask<bool>({"ReleaseRestartPermit", kChange, std::to_string(broker)},
                             [broker](service::Shard& shard, Done<bool> done) {
                               service::give_back_permit(shard, BrokerId{broker}, std::move(done));
                             }));
}

Answer<brokers::DrainAnswer> AdminLink::drain(std::int32_t broker) {
  using Drained = brokers::DrainAnswer;
  const BrokerId id{broker};
  auto answer = ask<Drained>(
      {"DrainBroker", kChange, std::to_string(broker)},
      [id](service::Shard& shard, Done<Drained> done) {
        service::drain_broker(
            shard, id,
            [&shard, id, done = std::move(done)](Result<service::DrainProgress> progress) mutable {
              if (!progress.ok()) return done(progress.error());
              service::ask_move_blockers(
                  shard, [id, progress = *progress, done = std::move(done)](
                             const Result<std::vector<metadata::MoveBlocker>>& blockers) mutable {
                    done(drain_answer(progress, blockers, id));
                  });
            });
      });
  if (answer.ok()) {
    parts_.trace.say(parts_.name, "broker {} drains, {} replicas left {}", broker,
                     answer->replicas_left, answer->blockers);
  }
  return answer;
}

Answer<void> AdminLink::cancel_drain(std::int32_t broker) {
  return only_done(ask<bool>(
      {"CancelDrain", kChange, std::to_string(broker)},
      [broker](service::Shard& shard, Done<bool> done) {
        service::undrain_broker(
            shard, BrokerId{broker},
            [done = std::move(done)](const Result<service::DrainProgress>& progress) mutable {
              if (!progress.ok()) return done(progress.error());
              done(true);
            });
      }));
}

Answer<brokers::Receipt> AdminLink::decommission(std::int32_t broker,
                                                 const std::string& directory_id) {
  using Receipt = brokers::Receipt;
  const auto directory = common::Uuid::parse(directory_id);
  if (!directory) {
    return brokers::error_of("DecommissionBroker",
                             said_of(Error{ErrorCode::kInvalidRequest, "directory_id"}, ""));
  }
  parts_.book.retires(broker);
  Rules* const rules = &parts_.rules;
  return ask<Receipt>(
      {"DecommissionBroker", kChange, std::to_string(broker)},
      [broker, directory, rules](service::Shard& shard, Done<Receipt> done) {
        service::decommission_broker(
            shard, BrokerId{broker}, directory,
            [rules, done = std::move(done)](const Result<metadata::Receipt>& receipt) mutable {
              if (!receipt.ok()) return done(receipt.error());
              rules->gave_receipt(receipt->broker.value(), receipt->directory.text());
              done(Receipt{receipt->broker.value(), receipt->directory.text(), receipt->epoch});
            });
      });
}

Answer<std::vector<brokers::Topic>> AdminLink::topics() {
  using Topics = std::vector<brokers::Topic>;
  return ask<Topics>({"ListTopics", kChange}, [](service::Shard& shard, Done<Topics> done) {
    Topics topics;
    for (const auto& [name, topic] : shard.image().topics())
      if (!model::is_internal_topic(name)) topics.push_back(topic_of(*topic));
    done(std::move(topics));
  });
}

Answer<std::map<std::string, brokers::TopicTrouble>> AdminLink::unwell_topics() {
  using Troubles = std::map<std::string, brokers::TopicTrouble>;
  return ask<Troubles>({"ListPartitions", kChange}, [this](service::Shard& shard,
                                                           Done<Troubles> done) {
    service::report_cluster(shard, [this, &shard, done = std::move(done)](
                                       const service::ClusterReport& report) mutable {
      v1::ListPartitionsResponse response;
      for (const service::PartitionReport& partition : report.partitions) {
        const v1::PartitionTrouble trouble = grpc::trouble_of(partition);
        if (model::is_internal_topic(partition.topic) ||
            trouble == v1::PARTITION_TROUBLE_UNSPECIFIED || trouble == v1::PARTITION_TROUBLE_MOVING)
          continue;
        parts_.trace.say(parts_.name, "hears of broker {} that {}-{} is unwell, led by {}",
                         shard.identity().node, partition.topic, partition.key.index,
                         partition.leader);
        grpc::fill(*response.add_partitions(), partition);
      }
      done(brokers::translate(response));
    });
  });
}

Answer<std::vector<Answer<brokers::Topic>>> AdminLink::create_topics(
    const std::vector<brokers::NewTopic>& topics) {
  using Outcomes = std::vector<service::TopicOutcome>;
  const auto outcomes = ask<Outcomes>(
      {"CreateTopics", kBatch, topics.front().name},
      [topics](service::Shard& shard, Done<Outcomes> done) {
        std::vector<service::NewTopic> wanted;
        for (const brokers::NewTopic& topic : topics) wanted.push_back(new_topic(topic));
        service::create_topics(
            shard, std::move(wanted), false,
            [done = std::move(done)](Outcomes made) mutable { done(std::move(made)); });
      });
  if (!outcomes.ok()) return outcomes.error();
  std::vector<Answer<brokers::Topic>> answers;
  for (const service::TopicOutcome& outcome : *outcomes) answers.push_back(outcome_of(outcome));
  return answers;
}

Answer<void> AdminLink::add_partitions(const std::string& topic, std::int32_t partitions) {
  return only_done(ask<bool>(
      {"CreatePartitions", kChange, topic},
      [topic, partitions](service::Shard& shard, Done<bool> done) {
        service::create_partitions(
            shard, {{.name = topic, .count = partitions, .assignments = {}}}, false,
            [done = std::move(done)](const std::vector<service::TopicOutcome>& outcomes) mutable {
              done(first_of(outcomes));
            });
      }));
}

Answer<void> AdminLink::delete_topic(const std::string& topic_id) {
  const auto id = model::TopicId::parse(topic_id);
  if (!id) {
    return brokers::error_of("DeleteTopic",
                             said_of(Error{ErrorCode::kInvalidRequest, "topic_id"}, ""));
  }
  return only_done(
      ask<bool>({"DeleteTopic", kChange, topic_id}, [id](service::Shard& shard, Done<bool> done) {
        service::delete_topics(
            shard, {{.id = *id, .name = ""}},
            [done = std::move(done)](const std::vector<service::TopicOutcome>& outcomes) mutable {
              done(first_of(outcomes));
            });
      }));
}

std::shared_ptr<brokers::Admin> AdminLinks::admin(const kube::ObjectKey& cluster,
                                                  std::vector<std::string> addresses) {
  std::shared_ptr<AdminLink>& link = links_[cluster];
  if (link == nullptr) {
    AdminParts parts = parts_;
    parts.random = parts_.random.fork();
    link = std::make_shared<AdminLink>(std::move(parts), faults_);
  }
  link->set_addresses(std::move(addresses));
  return link;
}

}  // namespace millrace::sim
