// How a node opens its doors, and tells the cluster of them.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/metadata/endpoints.h"
#include "broker/metadata/machine_cluster.h"
#include "broker/server/node_steps.h"

namespace millrace::server {
namespace {

using common::Error;
using common::Result;
using model::ErrorCode;
using Level = NodeHost::Level;

/// The address to tell clients: the configured one, or where we listen. An address that stands for
/// all interfaces is left out of it: then each client is told the address it came to.
env::Endpoint advertised(const model::ListenAddress& configured, const env::Endpoint& listening) {
  const std::uint16_t port = configured.port == 0 ? listening.port : configured.port;
  if (!configured.host.empty()) return {configured.host, port};
  const bool any = listening.host.empty() || listening.host == "0.0.0.0" || listening.host == "::";
  return {any ? "" : listening.host, port};
}

}  // namespace

void Node::listen(Done done) {
  kafka_endpoint_ = {settings_.kafka_listen.host, settings_.kafka_listen.port};
  for (const model::OutsideListener& listener : outside_.listeners)
    outside_endpoints_.push_back({listener.listen.host, listener.listen.port});
  on_first([this, done = std::move(done)]() mutable {
    listen_from(0, kafka::limits_from(settings_, memory_.total_bytes, seats_.size()),
                std::make_shared<kafka::ConnectionCount>(), std::move(done));
  });
}

// The first shard finds out the port; the others then share it.
void Node::listen_from(std::size_t index, kafka::Limits limits,
                       std::shared_ptr<kafka::ConnectionCount> connections, Done done) {
  if (index == seats_.size()) {
    return on_first([done = std::move(done)]() mutable { done(common::ok()); });
  }
  seats_[index].world.loop.post(
      [this, index, limits, connections, done = std::move(done)]() mutable {
        const auto failed = [&](const Error& error) {
          on_first([done = std::move(done), error]() mutable { done(error); });
        };
        Seat& seat = seats_[index];
        if (seat.closing) return failed(model::error(ErrorCode::kShuttingDown));
        seat.kafka = std::make_unique<kafka::Server>(kafka::Server::Parts{
            *seat.shard, seat.world.transport, limits, connections, log_at(Level::kWarning)});
        const auto listening = listen_at(*seat.kafka);
        if (!listening.ok()) return failed(listening.error());
        listen_from(index + 1, limits, std::move(connections), std::move(done));
      });
}

Result<void> Node::listen_at(kafka::Server& server) {
  TRY_ASSIGN(kafka_endpoint_, server.listen(kafka_endpoint_));
  for (std::size_t i = 0; i < outside_.listeners.size(); ++i) {
    const std::string& name = outside_.listeners[i].name;
    auto listening = server.listen(outside_endpoints_[i], name);
    if (!listening.ok()) {
      return Error{listening.error().code, fmt::format("listener {} of kafka.outside.listen: {}",
                                                       name, listening.error().detail)};
    }
    outside_endpoints_[i] = *std::move(listening);
  }
  return common::ok();
}

void Node::serve(const env::Endpoint& grpc, Done done) {
  on_first([this, grpc, done = std::move(done)]() mutable {
    auto open = [this](Done reply) { serve_kafka(std::move(reply)); };
    auto raise = [this, open](Done reply) {
      registered_ = true;
      tell_outside();  // what changed since it asked
      raise_level(and_then(std::move(reply), open));
    };
    auto join = [this, raise](Done reply) {
      insist([this](Done registered) { register_broker(std::move(registered)); },
             and_then(std::move(reply), raise));
    };
    tell_identity(grpc, and_then(std::move(done), join));
  });
}

void Node::tell_identity(const env::Endpoint& grpc, Done done) {
  auto told = std::make_shared<service::Identity>(first().identity());
  told->kafka_advertised = advertised(settings_.kafka_advertised, kafka_endpoint_);
  told->grpc_advertised = advertised(settings_.grpc_advertised, grpc);
  if (membership_ != nullptr) {
    // Clients hear of this broker from others too, who cannot tell by which address they came.
    for (env::Endpoint* const endpoint : {&told->kafka_advertised, &told->grpc_advertised})
      if (endpoint->host.empty()) endpoint->host = membership_->endpoint().host;
  }
  const std::shared_ptr<const service::Identity> identity = std::move(told);
  on_all(
      [identity](Seat& seat, Done reply) {
        seat.shard->set_identity(identity);
        reply(common::ok());
      },
      std::move(done));
}

metadata::Broker Node::registration() {
  const service::Identity& identity = first().identity();
  metadata::Broker broker{.id = directory_.node,
                          .directory = directory_.directory_id,
                          .endpoints = {},
                          .rack = settings_.rack};
  broker.shards = static_cast<std::int32_t>(seats_.size());
  const auto add = [&](std::string_view name, const env::Endpoint& endpoint) {
    broker.endpoints.push_back({std::string(name), endpoint.host, endpoint.port});
  };
  add(metadata::kKafkaEndpoint, identity.kafka_advertised);
  add(metadata::kGrpcEndpoint, identity.grpc_advertised);
  for (const model::OutsideListener& listener : outside_.listeners) {
    const auto found = outside_addresses_.find(listener.name);
    if (found == outside_addresses_.end()) continue;
    add(listener.name, {found->second.host, found->second.port});
  }
  if (membership_ != nullptr) {
    add(metadata::kInternalEndpoint, membership_->endpoint());
    broker.incarnation = membership_->incarnation();
  }
  if (membership_ != nullptr || first().image().feature_level() > 0)
    broker.level_max = metadata::kFeatureLevelMax;
  return broker;
}

// Another process of this broker's id, on another disk, would not have let this one get so far: the
// others talk to one of the two only.
void Node::register_broker(Done done) {
  service::MetadataWriter::decide_on<metadata::NoOutcome>(
      first(),
      [broker = registration()](const metadata::Image& image) {
        return metadata::decide(image, metadata::RegisterBroker{broker});
      },
      [done = std::move(done)](Result<metadata::NoOutcome> registered) mutable {
        if (!registered.ok()) return done(std::move(registered).error());
        done(common::ok());
      });
}

void Node::set_outside(model::OutsideAddresses addresses) {
  on_first([this, addresses = std::move(addresses)]() mutable {
    outside_addresses_ = std::move(addresses);
    tell_outside();
  });
}

/// Registers anew if the cluster was told other addresses than there are now; again and again while
/// the cluster does not take it. A broker that was decommissioned has nothing to tell any more.
void Node::tell_outside() {
  if (!registered_ || telling_outside_ || stopping_) return;
  const auto known = first().image().brokers().find(directory_.node);
  if (known == first().image().brokers().end()) return;
  if (known->second.endpoints == registration().endpoints) return;
  telling_outside_ = true;
  register_broker([this](const Result<void>& told) {
    telling_outside_ = false;
    if (told.ok()) return tell_outside();
    if (is_final(told.error())) {
      if (stopping_) return;
      host_.log(Level::kWarning,
                fmt::format("event=outside_addresses_refused detail=\"{}\"", told.error().detail));
      return;
    }
    first().loop().after(kTryAgain, [this] { tell_outside(); });
  });
}

/// A cluster works at the level of clusters as soon as all its brokers can; a broker that was alone
/// did not.
void Node::raise_level(Done done) {
  if (membership_ == nullptr || first().image().feature_level() >= metadata::kClusterLevel)
    return done(common::ok());
  const auto raise = [this](Done reply) {
    service::MetadataWriter::decide_on<metadata::NoOutcome>(
        first(),
        [](const metadata::Image& image) {
          return metadata::decide(image, metadata::SetFeatureLevel{std::max(
                                             image.feature_level(), metadata::kClusterLevel)});
        },
        [this, reply = std::move(reply)](Result<metadata::NoOutcome> raised) mutable {
          if (raised.ok()) return reply(common::ok());
          if (raised.error().code != ErrorCode::kFeatureUpdateFailed)
            return reply(std::move(raised).error());
          // An older broker is in the cluster: nothing moves until it was replaced.
          host_.log(Level::kWarning,
                    fmt::format("event=feature-level detail=\"{}\"", raised.error().detail));
          reply(common::ok());
        });
  };
  insist(raise, std::move(done));
}

void Node::serve_kafka(Done done) {
  std::vector<kafka::Server*> servers;
  for (const Seat& seat : seats_) servers.push_back(seat.kafka.get());
  on_all(
      [servers](Seat& seat, Done reply) {
        if (seat.closing) return reply(model::error(ErrorCode::kShuttingDown));
        seat.kafka->set_peers(servers);
        seat.kafka->serve();
        reply(common::ok());
      },
      and_then(std::move(done), [this](Done reply) {
        if (membership_ != nullptr) membership_->served();
        reply(common::ok());
      }));
}

}  // namespace millrace::server
