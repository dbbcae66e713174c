// Any bytes as the file that says whose a data directory is: refused with a reason, or a directory
// that opens the same a second time and that nothing but its own wishes fit.
#include <cstddef>
#include <cstdint>

#include "broker/env/testing/sim_disk.h"
#include "broker/env/testing/sim_world.h"
#include "broker/server/directory.h"
#include "common/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  if (size < 1) return 0;
  const common::ByteView content{data + 1, size - 1};
  env::testing::SimWorld world(1);
  env::testing::SimDisk hardware(world);
  env::testing::SimLoop& loop = world.make_loop();
  const auto disk = hardware.mount(loop);
  CHECK(env::replace_file(*disk, "millrace.json", content).ok());
  common::Random random(1);
  const server::DirectoryWish wish{
      .cluster_id = {}, .node = model::BrokerId{data[0] & 3}, .shards = (data[0] >> 2) & 3U};
  const auto opened = server::open_or_format(*disk, "d", wish, 2, random);
  if (!opened.ok()) {
    CHECK(!opened.error().detail.empty());
  } else {
    CHECK(!opened->cluster_id.empty() && opened->shards > 0 && opened->node == wish.node);
    const server::DirectoryWish same{
        .cluster_id = opened->cluster_id, .node = opened->node, .shards = opened->shards};
    CHECK(server::open_or_format(*disk, "d", same, 2, random).ok());
    const server::DirectoryWish other{
        .cluster_id = opened->cluster_id + "x", .node = opened->node, .shards = 0};
    CHECK(!server::open_or_format(*disk, "d", other, 2, random).ok());
  }
  const auto kept = env::read_file(*disk, "millrace.json");
  CHECK(kept.ok() && kept->view().size() == content.size(), "a refused file was changed");
  return 0;
}
