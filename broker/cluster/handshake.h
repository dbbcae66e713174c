// if (const auto refusal = judge(hello, self)) ...
//
// Who is let in: what can be said without knowing anybody else.
#pragma once

#include <optional>

#include "broker/cluster/frames.h"

namespace millrace::cluster {

/// Why a hello is turned away; nullopt: nothing speaks against it.
std::optional<TurnedAway> judge(const Hello& hello, const Introduction& self);
/// Why somebody is not taken for the broker that he says he is. Requires a doubt.
TurnedAway refusal_of(Doubt doubt, const Introduction& who);
/// The newest version that both speak. Requires that there is one.
std::uint8_t agreed_version(const Hello& hello);

}  // namespace millrace::cluster
