// kube::Json status = container.status(pod);
//
// The one container of a broker's pod, as its node knows it.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string>

#include "common/clock.h"
#include "operator/kube/api.h"
#include "tests/sim/machine.h"

namespace millrace::sim {

/// States: waiting (for its image, its settings, or for the back-off) -> running -> ended ->
/// waiting again; and at any time, once its pod is deleted, on its way down.
struct Container {
  Machine* machine = nullptr;
  std::string address;
  /// It may be started from then on, and looked at again.
  common::Instant next_try{};
  /// Its process, while it runs.
  std::optional<std::uint64_t> process;
  common::Timestamp started_at;
  std::int32_t restarts = -1;
  /// ImagePullBackOff, CrashLoopBackOff ...; empty: ContainerCreating.
  std::string waiting;
  int exit_code = 0;
  bool ready = false;
  common::Timestamp ready_changed;
  /// Probes tell it later.
  std::optional<common::Instant> ready_from;
  /// Its pod is deleted: SIGTERM is sent then, and SIGKILL.
  std::optional<common::Instant> stop_at;
  std::optional<common::Instant> kill_at;
  bool told_to_stop = false;
  /// face() of what the server was told last.
  std::string told;

  bool runs() const {
    return process && machine->process() == *process && machine->state() != Machine::State::kOff;
  }
  void set_ready(bool yes, common::Timestamp now) {
    if (ready == yes) return;
    ready = yes;
    ready_changed = now;
  }
  /// Differs where the status does.
  std::string face() const {
    return fmt::format("{} {} {} {} {} {} {}", address, process.has_value(), started_at, restarts,
                       waiting, ready, ready_changed);
  }
  /// For the pod's status subresource.
  kube::Json status(const kube::Json& pod) const;
};

}  // namespace millrace::sim
