// Writing, reading and trimming, as scripts ask for it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "broker/kafka/testing/scripted_client.h"
#include "broker/model/compression.h"
#include "broker/wire/messages/delete_records.h"
#include "broker/wire/messages/describe_producers.h"
#include "broker/wire/messages/init_producer_id.h"
#include "broker/wire/messages/list_offsets.h"
#include "broker/wire/messages/offset_for_leader_epoch.h"

namespace millrace::kafka::testing {
namespace {

/// values=a,b,c, or size=N: one value of so many bytes. producer=ID, epoch=N, sequence=N,
/// codec=NAME, time=MS.
common::Bytes batch_for(const common::ScriptCommand& command) {
  const auto number = [&](std::string_view key, std::int64_t otherwise) {
    const auto value = command.value(key);
    return value ? std::stoll(*value) : otherwise;
  };
  model::BatchOptions options;
  if (const auto codec = command.value("codec")) {
    options.compression = model::parse_compression(*codec).value();
  }
  if (command.value("producer")) {
    options.producer_id = model::ProducerId{number("producer", 0)};
    options.producer_epoch = static_cast<std::int16_t>(number("epoch", 0));
    options.base_sequence = static_cast<std::int32_t>(number("sequence", 0));
  }
  std::vector<std::string> values;
  if (command.value("size")) {
    values.emplace_back(static_cast<std::size_t>(number("size", 0)), 'x');
  } else {
    std::string rest = command.value("values").value_or("v");
    for (std::size_t at = 0; (at = rest.find(',')) != std::string::npos; rest.erase(0, at + 1))
      values.push_back(rest.substr(0, at));
    values.push_back(rest);
  }
  return batch_of(values, options, common::Timestamp{number("time", 1'700'000'000'000)});
}

/// Whom an error points to; empty: nobody.
template <typename Leader>
std::string hint(const Leader& leader) {
  if (leader.leader_id < 0 && leader.leader_epoch < 0) return "";
  return fmt::format(" leader={} epoch={}", leader.leader_id, leader.leader_epoch);
}
template <typename Endpoints>
std::string addresses(const Endpoints& endpoints) {
  std::string out;
  for (const auto& one : endpoints)
    out += fmt::format("  broker {} at {}:{}\n", one.node_id, one.host, one.port);
  return out;
}

}  // namespace

std::string ScriptedClient::produce(const Command& command, std::int16_t version) {
  wire::ProduceRequest request;
  request.acks = static_cast<std::int16_t>(number(command, "acks", -1));
  request.timeout_ms = 1000;
  request.transactional_id = command.value("transaction");
  for (const Target& target : targets(command)) {
    auto& topic = request.topic_data.emplace_back();
    topic.name = target.name;
    topic.topic_id = target.id;
    auto& data = topic.partition_data.emplace_back();
    data.index = target.number.value_or(0);
    if (flag(command, "none")) continue;
    common::Bytes batch = batch_for(command);
    const auto damaged = static_cast<std::size_t>(number(command, "damage", -1));
    CHECK(damaged == SIZE_MAX || damaged < batch.size(), "the batch has {} bytes", batch.size());
    if (damaged != SIZE_MAX) batch.mutable_data()[damaged] ^= 0x7f;
    data.records = wire::Chunks(std::move(batch));
  }
  if (request.acks == 0) {
    client_->send(request, version);
    if (!client_->closed()) return "no answer\n";
    client_ = broker_->connect();
    return "connection closed\n";
  }
  std::string out;
  const auto response = client_->call(request, version);
  for (const auto& topic : response.responses) {
    for (const auto& partition : topic.partition_responses) {
      out += fmt::format("{} base={}", shown(partition.error_code, partition.error_message),
                         partition.base_offset);
      if (version >= 5) out += fmt::format(" start={}", partition.log_start_offset);
      if (partition.log_append_time_ms != -1) out += " stamped";
      for (const auto& error : partition.record_errors) {
        out += fmt::format(" record {}: {}", error.batch_index,
                           error.batch_index_error_message.value_or(""));
      }
      out += hint(partition.current_leader) + '\n';
    }
  }
  return out + addresses(response.node_endpoints);
}

std::string ScriptedClient::fetch(const Command& command, std::int16_t version) {
  wire::FetchRequest request;
  request.max_bytes = static_cast<std::int32_t>(number(command, "max", 1 << 20));
  request.isolation_level = static_cast<std::int8_t>(number(command, "isolation", 0));
  request.session_epoch = -1;
  request.rack_id = command.value("rack").value_or("");
  for (const Target& target : targets(command)) {
    auto& topic = request.topics.emplace_back();
    topic.topic = target.name;
    topic.topic_id = target.id;
    auto& partition = topic.partitions.emplace_back();
    partition.partition = target.number.value_or(0);
    partition.fetch_offset = target.offset;
    partition.current_leader_epoch = static_cast<std::int32_t>(number(command, "epoch", -1));
    partition.partition_max_bytes = static_cast<std::int32_t>(number(command, "each", 1 << 20));
  }
  const auto response = client_->call(request, version);
  std::string out;
  if (response.error_code != 0) out += fmt::format("{}\n", shown(response.error_code));
  for (const auto& topic : response.responses) {
    for (const auto& partition : topic.partitions) {
      out += fmt::format("{} high={}", shown(partition.error_code), partition.high_watermark);
      if (version >= 5) out += fmt::format(" start={}", partition.log_start_offset);
      const auto values =
          partition.records ? values_in(*partition.records) : std::vector<std::string>{};
      std::vector<std::string> short_values;
      for (const std::string& value : values) {
        short_values.push_back(value.size() > 20 ? fmt::format("({} bytes)", value.size()) : value);
      }
      out += fmt::format(" [{}]", fmt::join(short_values, " "));
      if (partition.preferred_read_replica >= 0)
        out += fmt::format(" nearer={}", partition.preferred_read_replica);
      out += hint(partition.current_leader) + '\n';
    }
  }
  return out + addresses(response.node_endpoints);
}

std::string ScriptedClient::offsets(const Command& command, std::int16_t version) {
  wire::ListOffsetsRequest request;
  request.replica_id = -1;
  request.isolation_level = static_cast<std::int8_t>(number(command, "isolation", 0));
  for (const Target& target : targets(command)) {
    auto& topic = request.topics.emplace_back();
    topic.name = target.name;
    topic.partitions.push_back({target.number.value_or(0),
                                static_cast<std::int32_t>(number(command, "epoch", -1)),
                                number(command, "at", -1)});
  }
  std::string out;
  for (const auto& topic : client_->call(request, version).topics) {
    for (const auto& partition : topic.partitions) {
      out += fmt::format("{} offset={} time={}\n", shown(partition.error_code), partition.offset,
                         partition.timestamp);
    }
  }
  return out;
}

std::string ScriptedClient::epoch_end(const Command& command, std::int16_t version) {
  wire::OffsetForLeaderEpochRequest request;
  for (const Target& target : targets(command)) {
    auto& topic = request.topics.emplace_back();
    topic.topic = target.name;
    topic.partitions.push_back({target.number.value_or(0),
                                static_cast<std::int32_t>(number(command, "current", -1)),
                                static_cast<std::int32_t>(number(command, "epoch", 0))});
  }
  std::string out;
  for (const auto& topic : client_->call(request, version).topics) {
    for (const auto& partition : topic.partitions) {
      out += fmt::format("{} epoch={} end={}\n", shown(partition.error_code),
                         partition.leader_epoch, partition.end_offset);
    }
  }
  return out;
}

std::string ScriptedClient::delete_records(const Command& command, std::int16_t version) {
  wire::DeleteRecordsRequest request;
  for (const Target& target : targets(command)) {
    auto& topic = request.topics.emplace_back();
    topic.name = target.name;
    topic.partitions.push_back({target.number.value_or(0), target.offset});
  }
  std::string out;
  for (const auto& topic : client_->call(request, version).topics) {
    for (const auto& partition : topic.partitions)
      out += fmt::format("{} start={}\n", shown(partition.error_code), partition.low_watermark);
  }
  return out;
}

std::string ScriptedClient::init_producer(const Command& command, std::int16_t version) {
  wire::InitProducerIdRequest request;
  request.transactional_id = command.value("transaction");
  request.transaction_timeout_ms = 60'000;
  request.producer_id = number(command, "producer", -1);
  request.producer_epoch = static_cast<std::int16_t>(number(command, "epoch", -1));
  const auto response = client_->call(request, version);
  return fmt::format("{} producer={} epoch={}\n", shown(response.error_code), response.producer_id,
                     response.producer_epoch);
}

std::string ScriptedClient::producers(const Command& command, std::int16_t version) {
  wire::DescribeProducersRequest request;
  for (const Target& target : targets(command)) {
    auto& topic = request.topics.emplace_back();
    topic.name = target.name;
    topic.partition_indexes.push_back(target.number.value_or(0));
  }
  std::string out;
  for (const auto& topic : client_->call(request, version).topics) {
    for (const auto& partition : topic.partitions) {
      out += fmt::format("{}:{} {}\n", topic.name, partition.partition_index,
                         shown(partition.error_code, partition.error_message));
      for (const auto& producer : partition.active_producers) {
        out += fmt::format("  producer={} epoch={} sequence={} transaction={}\n",
                           producer.producer_id, producer.producer_epoch, producer.last_sequence,
                           producer.current_txn_start_offset);
      }
    }
  }
  return out;
}

}  // namespace millrace::kafka::testing
