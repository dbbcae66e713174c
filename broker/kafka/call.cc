#include "broker/kafka/call.h"

#include "broker/kafka/session.h"

namespace millrace::kafka {

const Context& AnyCall::context() const {
  return ticket_.session->context();
}

const std::string& AnyCall::listener() const {
  return ticket_.session->listener();
}

Arrival AnyCall::arrival() const {
  Arrival arrival{.listener = listener(), .own = {}};
  if (!arrival.by_main_listener()) return arrival;
  arrival.own = shard().identity().kafka_advertised;
  if (!arrival.own.host.empty()) return arrival;
  const auto local = env::Endpoint::parse(ticket_.session->local_address());
  // The port stays: with a mapped one, kafka.advertised may name a port without a host.
  if (local.ok()) arrival.own.host = local->host;
  return arrival;
}

coordinator::ClientInfo AnyCall::client() const {
  const auto peer = env::Endpoint::parse(ticket_.session->peer_address());
  // With the slash of Java's addresses: tools show it, and cut it off where they do not want it.
  return {ticket_.session->client_id(), peer.ok() ? "/" + peer->host : ""};
}

void AnyCall::set_client_software(std::string_view name, std::string_view version) const {
  ticket_.session->set_client_software(name, version);
}

Sender AnyCall::sender() const {
  const Session& session = *ticket_.session;
  Sender sender{.id = session.client_id(),
                .software_name = session.software_name(),
                .software_version = session.software_version()};
  if (const auto peer = env::Endpoint::parse(session.peer_address()); peer.ok()) {
    sender.host = peer->host;
    sender.port = fmt::format("{}", peer->port);
  }
  return sender;
}

void AnyCall::Place::cancel_with_connection(std::shared_ptr<service::FetchHandle> waiting) const {
  session->cancel_with_connection(slot, std::move(waiting));
}

bool AnyCall::may_move() const {
  return ticket_.session->may_move();
}

bool AnyCall::asks_for_home() const {
  return ticket_.session->asks_for_home();
}

void AnyCall::lives_on(std::size_t shard) const {
  ticket_.session->lives_on(shard);
}

bool AnyCall::abandoned() const {
  return ticket_.session->closed();
}

void AnyCall::answer_nothing() && {
  const auto session = std::move(ticket_.session);
  session->finish(ticket_.slot, {});
}

void AnyCall::close_connection(std::string_view why) && {
  const auto session = std::move(ticket_.session);
  session->finish(ticket_.slot, {});
  session->close(CloseReason::kUnanswerable, why);
}

void AnyCall::send(wire::Chunks frame) {
  CHECK(ticket_.session != nullptr, "a request was answered twice");
  const auto session = std::move(ticket_.session);
  session->finish(ticket_.slot, std::move(frame));
}

}  // namespace millrace::kafka
