#include "broker/server/shortage.h"

#include <algorithm>

#include "broker/service/everywhere.h"
#include "broker/service/hand_over.h"

namespace millrace::server {
namespace {

// Heirs that do not take over within this are asked again with what is led then.
constexpr auto kRound = std::chrono::seconds(1);

}  // namespace

void Shortage::look() {
  if (std::exchange(asking_, true)) return;
  service::on_every_shard<bool>(
      parts_.first,
      [](service::Shard& shard, common::Reply<bool> reply) { reply(shard.store().out_of_space()); },
      lifeline_.guard([this](const std::vector<bool>& all) {
        asking_ = false;
        judge(std::ranges::count(all, true) > 0);
      }));
}

void Shortage::judge(bool out_of_space) {
  if (std::exchange(now_, out_of_space) != out_of_space) {
    parts_.warn(out_of_space
                    ? "event=out-of-space detail=\"less than disk.reserve.bytes are free: writes "
                      "are refused, and what this broker leads is handed over\""
                    : "event=space-again detail=\"writes are taken again\"");
    parts_.changed();
  }
  if (now_) hand_over();
}

void Shortage::hand_over() {
  if (std::exchange(handing_over_, true)) return;
  service::on_every_shard<std::size_t>(
      parts_.first,
      [unfit = parts_.unfit()](service::Shard& shard, common::Reply<std::size_t> reply) {
        service::hand_over_all(shard, kRound, std::move(reply), unfit);
      },
      lifeline_.guard([this](const std::vector<std::size_t>&) { handing_over_ = false; }));
}

}  // namespace millrace::server
