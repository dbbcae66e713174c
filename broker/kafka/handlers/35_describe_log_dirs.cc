// DescribeLogDirs: the data directory and what each partition takes of it.
#include <map>
#include <set>

#include "broker/kafka/handlers/answers.h"
#include "broker/service/log_dirs.h"
#include "broker/wire/messages/describe_log_dirs.h"

namespace millrace::kafka {
namespace {

using Request = wire::DescribeLogDirsRequest;
using Response = wire::DescribeLogDirsResponse;

/// Which partitions were asked for.
class Filter {
 public:
  explicit Filter(const Request& request) : all_(!request.topics.has_value()) {
    if (all_) return;
    for (const Request::Topic& topic : *request.topics) {
      wanted_[topic.topic].insert(topic.partitions.begin(), topic.partitions.end());
    }
  }
  bool takes(const service::PartitionSize& partition) const {
    if (all_) return true;
    const auto topic = wanted_.find(partition.topic_name);
    return topic != wanted_.end() && topic->second.contains(partition.key.index.value());
  }

 private:
  bool all_;
  std::map<std::string, std::set<std::int32_t>> wanted_;
};

Response::Directory view(service::LogDirs dirs, const Filter& filter) {
  Response::Directory directory;
  directory.log_dir = std::move(dirs.path);
  directory.total_bytes = static_cast<std::int64_t>(dirs.space.total);
  directory.usable_bytes = static_cast<std::int64_t>(dirs.space.free);
  std::map<std::string, Response::Topic> topics;
  for (const service::PartitionSize& partition : dirs.partitions) {
    if (!filter.takes(partition)) continue;
    Response::Partition view;
    view.partition_index = partition.key.index.value();
    view.partition_size = static_cast<std::int64_t>(partition.bytes);
    topics[partition.topic_name].partitions.push_back(view);
  }
  for (auto& [name, topic] : topics) {
    topic.name = name;
    directory.topics.push_back(std::move(topic));
  }
  return directory;
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  service::Shard& shard = call.shard();
  service::describe_log_dirs(shard, [call = std::move(call), filter = Filter(request)](
                                        common::Result<service::LogDirs> dirs) mutable {
    Response response;
    if (dirs.ok()) {
      response.results.push_back(view(std::move(dirs).value(), filter));
    } else {
      response.error_code = kafka_number(dirs.error().code);
    }
    call.answer(response);
  });
}

}  // namespace millrace::kafka
