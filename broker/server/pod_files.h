// const std::optional<std::string> rack = read_text("/etc/millrace/racks/node-7");
//
// Files that tell a broker in a pod what whoever described the pod could not know.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "broker/model/config_key.h"

namespace millrace::server {

/// The first `bytes_max` bytes of a file; nullopt: it is missing or cannot be read.
std::optional<std::string> read_up_to(const std::string& path, std::size_t bytes_max);
/// What stands in a small file, without the space around it; nullopt: it is missing or cannot be
/// read.
std::optional<std::string> read_text(const std::string& path);

/// Fills in broker.rack from broker.rack.file, where the one is empty and the other is not. Returns
/// the rack that was read; nullopt: nothing was to be read.
std::optional<std::string> take_rack(model::ConfigMap& config);

}  // namespace millrace::server
