#include "broker/model/outside_listeners.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

namespace millrace::model {
namespace {

constexpr std::size_t kNameBytesMax = 63;
constexpr std::size_t kHostBytesMax = 255;
constexpr std::string_view kSpace = " \t\r";

Error bad_list(std::string_view text, std::string_view why) {
  return {ErrorCode::kInvalidConfig,
          fmt::format("Invalid value {} for configuration kafka.outside.listen: {}", text, why)};
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kNameBytesMax && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

bool is_taken(std::string_view name) {
  constexpr std::array<std::string_view, 4> kOfBrokers = {"grpc", "http", "internal", "kafka"};
  return std::ranges::count(kOfBrokers, name) > 0;
}

/// A name or an address; empty: all of this machine's.
bool is_host(std::string_view text) {
  return text.size() <= kHostBytesMax && std::ranges::all_of(text, [](char c) {
           return c > ' ' && c <= '~' && c != '[' && c != ']' && c != '/';
         });
}

bool is_any(std::string_view host) {
  return host.empty() || host == "0.0.0.0" || host == "::";
}

Result<OutsideListener> parse_listener(std::string_view element) {
  constexpr std::string_view kBehindName = "://";
  const std::size_t end = element.find(kBehindName);
  if (end == std::string_view::npos)
    return bad_list(element, "Expected NAME://HOST:PORT, with commas between them");
  const std::string_view name = element.substr(0, end);
  if (!is_name(name)) {
    return bad_list(element, fmt::format("The name of a listener has letters, digits, '.', '_' and "
                                         "'-', {} at most",
                                         kNameBytesMax));
  }
  if (is_taken(name)) {
    return bad_list(element, fmt::format("Brokers have a door of their own that is called {}: "
                                         "choose another name",
                                         name));
  }
  auto address = parse_listen_address(element.substr(end + kBehindName.size()));
  if (!address.ok() || !is_host(address->host)) {
    return bad_list(element, "Expected NAME://HOST:PORT, with a port from 0 (a free one) to 65535");
  }
  return OutsideListener{.name = std::string(name), .listen = *std::move(address)};
}

/// The next of the words of a line, which is taken off it; empty: there is none.
std::string_view take_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(kSpace), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kSpace));
  line.remove_prefix(word.size());
  return word;
}

std::optional<BrokerId> parse_broker(std::string_view word) {
  std::int32_t id = -1;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
  if (error != std::errc{} || end != word.data() + word.size() || id < 0) return std::nullopt;
  return BrokerId{id};
}

/// An address that somebody can be told: it names a host and a port.
std::optional<ListenAddress> parse_told(std::string_view word) {
  auto address = parse_listen_address(word);
  if (!address.ok() || is_any(address->host) || address->port == 0) return std::nullopt;
  if (!is_host(address->host)) return std::nullopt;
  return *std::move(address);
}

/// "LISTENER BROKER HOST:PORT".
struct Line {
  std::string_view listener;
  BrokerId broker{-1};
  ListenAddress address;
};

std::optional<Line> parse_line(std::string_view line) {
  const std::string_view listener = take_word(line);
  const auto broker = parse_broker(take_word(line));
  auto address = parse_told(take_word(line));
  if (!is_name(listener) || !broker || !address || !take_word(line).empty()) return std::nullopt;
  return Line{listener, *broker, *std::move(address)};
}

/// Whether two listeners would be given the same connections.
bool overlap(const ListenAddress& one, const ListenAddress& other) {
  if (one.port == 0 || one.port != other.port) return false;
  return one.host == other.host || is_any(one.host) || is_any(other.host);
}

}  // namespace

Result<std::vector<OutsideListener>> parse_outside_listeners(std::string_view text) {
  std::vector<OutsideListener> listeners;
  for (const std::string& element : parse_list(text)) {
    TRY_ASSIGN(OutsideListener listener, parse_listener(element));
    for (const OutsideListener& other : listeners) {
      if (other.name == listener.name)
        return bad_list(text, fmt::format("Two listeners are called {}", other.name));
      if (overlap(other.listen, listener.listen)) {
        return bad_list(text, fmt::format("Listeners {} and {} have the same port: give each one "
                                          "of its own",
                                          other.name, listener.name));
      }
    }
    listeners.push_back(std::move(listener));
    if (listeners.size() > kOutsideListenersMax)
      return bad_list(text, fmt::format("There may be {} listeners", kOutsideListenersMax));
  }
  return listeners;
}

OutsideLines read_outside_addresses(std::string_view text, BrokerId self) {
  OutsideLines read;
  const auto bad = [&](std::size_t number, std::string_view why) {
    if (read.problem.empty()) read.problem = fmt::format("line {} {}", number, why);
  };
  if (text.size() > kOutsideFileBytesMax) {
    read.problem = fmt::format("it has more than {} bytes", kOutsideFileBytesMax);
    return read;
  }
  std::map<std::pair<std::string_view, BrokerId>, std::size_t> said;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view whole = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(whole.size() + 1, text.size()));
    std::string_view rest = whole;
    const std::string_view first = take_word(rest);
    if (first.empty() || first.front() == '#') continue;
    auto line = parse_line(whole);
    if (!line) {
      bad(number,
          "is not of the form LISTENER BROKER HOST:PORT, with the number of a broker and an "
          "address "
          "that clients can connect to");
      continue;
    }
    const auto [before, fresh] = said.emplace(std::pair(line->listener, line->broker), number);
    if (!fresh) {
      bad(number, fmt::format("says again where listener {} of broker {} is, after line {}",
                              line->listener, line->broker, before->second));
    } else if (line->broker == self) {
      read.addresses.emplace(std::string(line->listener), std::move(line->address));
    }
  }
  return read;
}

OutsideSettings resolve_outside_settings(const BrokerLayers& layers) {
  OutsideSettings settings;
  if (const auto text = broker_value("kafka.outside.listen", layers)) {
    if (auto listeners = parse_outside_listeners(*text); listeners.ok())
      settings.listeners = *std::move(listeners);
  }
  settings.addresses = broker_value("kafka.outside.addresses", layers).value_or("");
  return settings;
}

Result<void> check_outside(const OutsideSettings& outside, const BrokerSettings& settings) {
  if (!outside.listeners.empty() && outside.addresses.empty()) {
    return Error{ErrorCode::kInvalidConfig,
                 "kafka.outside.listen is set, and nobody says which addresses clients of these "
                 "listeners are told: set kafka.outside.addresses to a file with lines LISTENER "
                 "BROKER HOST:PORT"};
  }
  const std::array<std::pair<std::string_view, const ListenAddress&>, 4> doors = {{
      {"kafka.listen", settings.kafka_listen},
      {"internal.listen", settings.internal_listen},
      {"grpc.listen", settings.grpc_listen},
      {"http.listen", settings.http_listen},
  }};
  for (const OutsideListener& listener : outside.listeners) {
    for (const auto& [name, address] : doors) {
      if (!overlap(listener.listen, address)) continue;
      return Error{ErrorCode::kInvalidConfig,
                   fmt::format("listener {} of kafka.outside.listen has port {}, which {} has: "
                               "give it another one",
                               listener.name, address.port, name)};
    }
  }
  return common::ok();
}

}  // namespace millrace::model
