// Any text as kafka.outside.listen (refused with a reason, or not), and as the file of
// kafka.outside.addresses: what was understood can be written down and read again.
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>

#include "broker/model/outside_listeners.h"
#include "common/bytes.h"
#include "common/check.h"

namespace {

using namespace millrace;

std::string text_of(const model::ListenAddress& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", address.host, address.port)
            : fmt::format("{}:{}", address.host, address.port);
}

void read_listeners(std::string_view text) {
  const auto listeners = model::parse_outside_listeners(text);
  const bool taken = model::check_broker_config("kafka.outside.listen", text).ok();
  CHECK(listeners.ok() == taken, "the setting is checked by another rule");
  if (!listeners.ok()) {
    CHECK(!listeners.error().detail.empty());
    return;
  }
  CHECK(listeners->size() <= model::kOutsideListenersMax);
  std::string again;
  std::set<std::string> names;
  for (const model::OutsideListener& listener : *listeners) {
    again += fmt::format("{}://{},", listener.name, text_of(listener.listen));
    CHECK(names.insert(listener.name).second && !names.contains("kafka"));
  }
  const auto same = model::parse_outside_listeners(again);
  CHECK(same.ok() && *same == *listeners, "{}", again);
}

void read_addresses(std::string_view text, model::BrokerId self) {
  const model::OutsideLines lines = model::read_outside_addresses(text, self);
  std::string again;
  for (const auto& [listener, address] : lines.addresses) {
    CHECK(!address.host.empty() && address.port != 0);
    again += fmt::format("{} {} {}\n", listener, self, text_of(address));
  }
  const model::OutsideLines same = model::read_outside_addresses(again, self);
  CHECK(same.problem.empty() && same.addresses == lines.addresses, "{}", again);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view text = common::as_text({data + 1, size - 1});
  if (data[0] % 4 == 0) {
    read_listeners(text);
  } else {
    read_addresses(text, model::BrokerId{data[0] % 4 - 1});
  }
  return 0;
}
