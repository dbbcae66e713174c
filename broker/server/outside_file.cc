#include "broker/server/outside_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "broker/server/pod_files.h"

namespace millrace::server {
namespace {

/// The kubelet takes up to a minute to bring a change; another second does not matter.
constexpr auto kLookInterval = std::chrono::seconds(1);

/// What is told of the listener, if it is told anything.
std::optional<model::ListenAddress> address_on(const model::OutsideAddresses& addresses,
                                               const std::string& listener) {
  const auto found = addresses.find(listener);
  return found == addresses.end() ? std::nullopt : std::optional(found->second);
}

std::string shown(const model::ListenAddress& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", address.host, address.port)
            : fmt::format("{}:{}", address.host, address.port);
}

}  // namespace

std::optional<model::OutsideAddresses> OutsideFile::look() {
  auto text = read_up_to(parts_.path, model::kOutsideFileBytesMax + 1);
  const bool first = !std::exchange(looked_, true);
  const bool settled = first || text == seen_;
  seen_ = std::move(text);
  if (!settled) return std::nullopt;
  if (!seen_) {
    complain(read_ ? "it is gone or cannot be read; what it said before holds"
                   : "it is not there yet: clients outside are told of no address of this broker "
                     "until it is");
    return std::nullopt;
  }
  if (seen_ != read_) return read_lines(*seen_);
  complaint_.clear();
  return std::nullopt;
}

std::optional<model::OutsideAddresses> OutsideFile::read_lines(const std::string& text) {
  auto [addresses, problem] = model::read_outside_addresses(text, parts_.self);
  if (problem.empty()) {
    complaint_.clear();
  } else {
    complain(problem + "; until it is corrected, addresses that are not there stay what they were");
    addresses.insert(addresses_.begin(), addresses_.end());
  }
  drop_unknown(addresses);
  const bool first = !std::exchange(read_, text).has_value();
  tell(addresses, first);
  if (addresses == addresses_) return std::nullopt;
  addresses_ = std::move(addresses);
  return addresses_;
}

void OutsideFile::drop_unknown(model::OutsideAddresses& addresses) {
  for (auto address = addresses.begin(); address != addresses.end();) {
    const bool known = std::ranges::count(parts_.listeners, address->first) > 0;
    if (!known) {
      parts_.warn(
          fmt::format("event=outside_address_unused file={} listener={} "
                      "detail=\"kafka.outside.listen has {}, and no listener of this name\"",
                      parts_.path, address->first, fmt::join(parts_.listeners, ", ")));
    }
    address = known ? std::next(address) : addresses.erase(address);
  }
}

void OutsideFile::tell(const model::OutsideAddresses& addresses, bool all) {
  for (const std::string& listener : parts_.listeners) {
    const auto now = address_on(addresses, listener);
    if (!all && now == address_on(addresses_, listener)) continue;
    if (now) {
      parts_.log(
          fmt::format("event=outside_address listener={} address={}", listener, shown(*now)));
      continue;
    }
    parts_.warn(
        fmt::format("event=outside_address_missing listener={} file={} detail=\"clients of "
                    "it are not told of this broker until there is a line {} {} HOST:PORT\"",
                    listener, parts_.path, listener, parts_.self));
  }
}

void OutsideFile::complain(const std::string& what) {
  if (std::exchange(complaint_, what) == what) return;
  parts_.warn(fmt::format("event=outside_addresses file={} detail=\"{}\"", parts_.path, what));
}

OutsideWatch::OutsideWatch(OutsideFile file, Changed changed)
    : file_(std::move(file)), changed_(std::move(changed)) {
  look();
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void OutsideWatch::look() {
  if (auto addresses = file_.look()) changed_(*std::move(addresses));
}

void OutsideWatch::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (true) {
    stopped_.wait_for(lock, stop, kLookInterval, [] { return false; });
    if (stop.stop_requested()) return;
    look();
  }
}

}  // namespace millrace::server
