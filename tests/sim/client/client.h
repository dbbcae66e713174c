// Client client({loop, network, "client-1", seeds, random, trace});   client.track("orders");
// client.refresh([&](bool fresh) { ... });
// client.call(client.leader(partition), request, 5s, [](Result<ProduceResponse> answer) { ... });
//
// What a client library knows of the cluster, and its connections.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "broker/env/testing/sim_transport.h"
#include "broker/model/ids.h"
#include "broker/wire/header.h"
#include "broker/wire/messages/metadata.h"
#include "common/random.h"
#include "tests/sim/client/connection.h"

namespace millrace::sim {

/// What an answer's number says; kNone: no error.
inline model::ErrorCode code_of(std::int16_t number) {
  return model::error_row(model::ErrorCode{number}).code;
}
/// Its name, for the trace.
inline std::string_view name_of(model::ErrorCode code) {
  return model::error_row(code).kafka_name;
}

/// A topic as the newest metadata shows it.
struct TopicView {
  model::TopicId id;
  std::vector<std::int32_t> leaders;  // by partition; -1: none
  std::vector<std::int32_t> epochs;   // of the leaders
};

/// Each client speaks versions of its own choice, drawn once per API. Loop thread only; lives as
/// long as its loop runs.
class Client {
 public:
  struct Parts {
    env::testing::SimLoop& loop;
    env::testing::SimNetwork& network;
    /// Of the client, and of the host it is on.
    std::string name;
    std::vector<env::Endpoint> seeds;
    common::Random random;
    Trace& trace;
  };
  explicit Client(Parts parts);

  /// Any broker that is known.
  static constexpr std::int32_t kAnyNode = -2;

  /// Asks a broker. Errors as Connection::send(). `version_min`: the first version with what the
  /// caller needs.
  template <typename Request>
  void call(std::int32_t node, const Request& request, Duration timeout,
            Reply<Result<typename Request::Response>> done,
            std::int16_t version_min = Request::kVersionMin);
  /// A request without an answer.
  template <typename Request>
  void tell(std::int32_t node, const Request& request);
  /// The version that call() uses.
  template <typename Request>
  std::int16_t version(std::int16_t version_min = Request::kVersionMin);

  /// Metadata is asked for this topic too from now on.
  void track(const std::string& topic) { tracked_.insert(topic); }
  void untrack(const std::string& topic);
  /// Asks for metadata, once for all who want it at a time. False: no answer came.
  void refresh(common::Function<void(bool)> then);
  /// nullptr: unknown, or not there.
  const TopicView* topic(const std::string& name) const;
  /// -1: unknown.
  std::int32_t leader(const std::string& topic, std::int32_t partition) const;
  /// The epoch in which it leads; -1: unknown.
  std::int32_t epoch(const std::string& topic, std::int32_t partition) const;

  /// The broker that coordinates the group; -1: not told.
  void find_coordinator(const std::string& group, Reply<std::int32_t> done);

  env::Loop& loop() { return parts_.loop; }
  common::Random& random() { return parts_.random; }
  Trace& trace() { return parts_.trace; }
  const std::string& name() const { return parts_.name; }
  /// Between two attempts at the same thing.
  Duration pause() { return std::chrono::microseconds(parts_.random.between(20'000, 200'000)); }

 private:
  void take_metadata(const wire::MetadataResponse& answer);
  Connection* connection(std::int32_t node);
  Connection& connection_to(const env::Endpoint& endpoint);
  template <typename Response>
  Result<Response> decode(const Bytes& frame, std::int16_t version);

  Parts parts_;
  std::unique_ptr<env::Transport> transport_;
  std::map<std::string, std::unique_ptr<Connection>> connections_;
  std::map<std::int32_t, env::Endpoint> brokers_;
  std::map<wire::ApiKey, std::int16_t> versions_;
  std::set<std::string> tracked_;
  std::map<std::string, TopicView> topics_;
  std::vector<common::Function<void(bool)>> refreshing_;
  std::int32_t last_id_ = 0;
};

template <typename Request>
std::int16_t Client::version(std::int16_t version_min) {
  const auto [place, drawn] = versions_.emplace(Request::kKey, Request::kVersionMax);
  if (drawn && parts_.random.chance(1, 2)) {
    place->second = static_cast<std::int16_t>(
        parts_.random.between(Request::kVersionMin, Request::kVersionMax));
  }
  return std::max(place->second, version_min);
}

template <typename Response>
Result<Response> Client::decode(const Bytes& frame, std::int16_t version) {
  wire::Reader in(frame);
  in.i32("correlation_id");
  if (wire::response_header_version(Response::kKey, version) >= 1) in.skip_tags("header");
  auto response = Response::decode(in, version);
  if (!response.ok()) {
    parts_.trace.fail(
        fmt::format("{} cannot read its answer: {}", parts_.name, response.error().detail));
  } else if (in.remaining() > 0) {
    parts_.trace.fail(fmt::format("{}: bytes behind an answer", parts_.name));
  }
  return response;
}

template <typename Request>
void Client::call(std::int32_t node, const Request& request, Duration timeout,
                  Reply<Result<typename Request::Response>> done, std::int16_t version_min) {
  using Response = typename Request::Response;
  Connection* const to = connection(node);
  if (to == nullptr) {
    return parts_.loop.post([done = std::move(done)]() mutable {
      done(model::error(model::ErrorCode::kBrokerNotAvailable));
    });
  }
  const std::int16_t spoken = version<Request>(version_min);
  const std::int32_t id = ++last_id_;
  to->send(wire::encode_request(request, spoken, id, parts_.name), id, timeout,
           [this, spoken, done = std::move(done)](Result<Bytes> frame) mutable {
             if (!frame.ok()) return done(std::move(frame).error());
             done(decode<Response>(*frame, spoken));
           });
}

template <typename Request>
void Client::tell(std::int32_t node, const Request& request) {
  if (Connection* const to = connection(node)) {
    to->send_only(wire::encode_request(request, version<Request>(), ++last_id_, parts_.name));
  }
}

}  // namespace millrace::sim
