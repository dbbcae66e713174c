#include "broker/service/coordinator_home.h"

#include <utility>

#include "broker/service/groups.h"
#include "broker/service/leaders.h"
#include "broker/service/offsets_topic.h"

namespace millrace::service {

void coordinator_home(Shard& here, std::string_view group, common::Reply<model::BrokerId> done) {
  constexpr model::BrokerId kNobody{-1};
  const auto topic = here.image().topic(kOffsetsTopic);
  if (topic == nullptr) return done(kNobody);
  std::vector<model::PartitionKey> keys{
      {topic->id, coordinator_partition(group, topic->partition_count())}};
  known_leaders(here, std::move(keys),
                [&here, done = std::move(done)](std::vector<KnownLeader> leaders) mutable {
                  const model::BrokerId leader = leaders.front().leader;
                  done(here.alive(leader) ? leader : kNobody);
                });
}

}  // namespace millrace::service
