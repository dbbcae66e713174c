#include "broker/service/log_dirs.h"

#include <memory>
#include <utility>

namespace millrace::service {
namespace {

struct Collecting {
  LogDirs dirs;
  common::Result<env::DiskSpace> space = env::DiskSpace{};
  std::size_t missing = 0;
  common::Reply<common::Result<LogDirs>> done;

  void arrived() {
    if (--missing > 0) return;
    if (!space.ok()) return done(space.error());
    dirs.space = *space;
    done(std::move(dirs));
  }
};

std::vector<PartitionSize> sizes_of(Shard& shard) {
  std::vector<PartitionSize> sizes;
  for (const auto& [key, partition] : shard.partitions()) {
    sizes.push_back({key, partition->log().topic_name(), partition->log().size_bytes()});
  }
  return sizes;
}

}  // namespace

void describe_log_dirs(Shard& here, common::Reply<common::Result<LogDirs>> done) {
  auto collecting = std::make_shared<Collecting>();
  collecting->done = std::move(done);
  collecting->dirs.path = here.settings().data_dir;
  collecting->missing = here.peers().size() + 1;
  here.disk().offload([collecting, &disk = here.disk()] { collecting->space = disk.space(); },
                      [collecting] { collecting->arrived(); });
  for (Shard* shard : here.peers()) {
    shard->loop().post([collecting, shard, &here] {
      here.loop().post([collecting, sizes = sizes_of(*shard)]() mutable {
        auto& all = collecting->dirs.partitions;
        all.insert(all.end(), std::make_move_iterator(sizes.begin()),
                   std::make_move_iterator(sizes.end()));
        collecting->arrived();
      });
    });
  }
}

}  // namespace millrace::service
