// wire_peer list | generate COUNT SEED | echo
//
// Our codecs as a filter; src/main/java/millrace/schema/Peer.java is the counterpart with Kafka's
// own classes. list writes "KEY KIND LOW HIGH" for every message; the other two are as there.
#include <charconv>
#include <cstdlib>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "broker/wire/header.h"
#include "broker/wire/messages/random.h"

namespace millrace::wire {
namespace {

std::string hex(const Chunks& chunks) {
  static constexpr char kDigits[] = "0123456789abcdef";
  const common::Bytes bytes = chunks.joined();
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes.view()) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

common::Bytes unhex(std::string_view text) {
  common::Bytes bytes = common::Bytes::allocate(text.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const char* at = text.data() + 2 * i;
    const auto [end, fault] = std::from_chars(at, at + 2, bytes.mutable_data()[i], 16);
    CHECK(fault == std::errc() && end == at + 2, "no hexadecimal digits at {}", 2 * i);
  }
  return bytes;
}

/// A message type by what its lines begin with.
struct Kind {
  std::string name;  // "KEY KIND", of records "TYPE KIND"
  std::int16_t low;
  std::int16_t high;
  std::string (*random_hex)(common::Random&, std::int16_t);
  std::string (*echo_hex)(common::Bytes, std::int16_t);
};

template <typename Message>
std::string encoded_hex(const Message& message, std::int16_t version) {
  Writer out;
  message.encode(out, version);
  return hex(out.take());
}

template <typename Message>
Kind kind_of(std::string name) {
  return {std::move(name), Message::kVersionMin, Message::kVersionMax,
          [](common::Random& random, std::int16_t version) {
            Message message;
            randomize(message, random, version);
            return encoded_hex(message, version);
          },
          [](common::Bytes bytes, std::int16_t version) {
            Reader in(std::move(bytes));
            const auto message = Message::decode(in, version);
            if (!message.ok()) return "error " + message.error().detail;
            if (in.remaining() > 0)
              return fmt::format("error {} bytes are left over", in.remaining());
            return encoded_hex(*message, version);
          }};
}

std::vector<Kind> all_kinds() {
  std::vector<Kind> kinds;
  const auto add = [&]<typename Request>(Request) {
    const int key = static_cast<int>(Request::kKey);
    kinds.push_back(kind_of<Request>(fmt::format("{} request", key)));
    kinds.push_back(kind_of<typename Request::Response>(fmt::format("{} response", key)));
  };
  std::apply([&](auto... requests) { (add(requests), ...); }, AllRequests{});
  const auto add_record = [&]<typename Key>(Key) {
    const int type = static_cast<int>(Key::kType);
    kinds.push_back(kind_of<Key>(fmt::format("{} key", type)));
    kinds.push_back(kind_of<typename Key::Value>(fmt::format("{} value", type)));
  };
  std::apply([&](auto... keys) { (add_record(keys), ...); }, AllRecordKeys{});
  kinds.push_back(kind_of<RequestHeader>("-1 request_header"));
  kinds.push_back(kind_of<ResponseHeader>("-1 response_header"));
  return kinds;
}

void generate(const std::vector<Kind>& kinds, int count, std::uint64_t seed) {
  common::Random random(seed);
  for (const Kind& kind : kinds) {
    for (std::int16_t version = kind.low; version <= kind.high; ++version) {
      for (int i = 0; i < count; ++i) {
        std::cout << kind.name << ' ' << version << ' ' << kind.random_hex(random, version) << '\n';
      }
    }
  }
}

int echo(const std::vector<Kind>& kinds) {
  std::map<std::string, const Kind*> by_name;
  for (const Kind& kind : kinds) by_name[kind.name] = &kind;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string key, name, body;
    std::int16_t version = 0;
    words >> key >> name >> version >> body;  // body stays empty for a message without bytes
    const auto kind = by_name.find(key + " " + name);
    if (kind == by_name.end()) {
      std::cerr << "unknown message in: " << line << '\n';
      return 1;
    }
    std::cout << kind->first << ' ' << version << ' '
              << kind->second->echo_hex(unhex(body), version) << '\n';
  }
  return 0;
}

int run(const std::vector<std::string>& arguments) {
  const std::vector<Kind> kinds = all_kinds();
  if (arguments.size() == 1 && arguments[0] == "list") {
    for (const Kind& kind : kinds)
      std::cout << kind.name << ' ' << kind.low << ' ' << kind.high << '\n';
    return 0;
  }
  if (arguments.size() == 3 && arguments[0] == "generate") {
    generate(kinds, std::atoi(arguments[1].c_str()),
             std::strtoull(arguments[2].c_str(), nullptr, 10));
    return 0;
  }
  if (arguments.size() == 1 && arguments[0] == "echo") return echo(kinds);
  std::cerr << "usage: wire_peer list | generate COUNT SEED | echo\n";
  return 2;
}

}  // namespace
}  // namespace millrace::wire

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  return millrace::wire::run(std::vector<std::string>(argv + 1, argv + argc));
}
