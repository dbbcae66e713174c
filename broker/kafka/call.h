// template <> void handle(wire::MetadataRequest request, Call<wire::MetadataRequest> call) {
// call.answer(response); }
//
// One request being worked on, as its handler sees it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "broker/coordinator/ids.h"
#include "broker/kafka/limits.h"
#include "broker/kafka/memory.h"
#include "broker/metadata/endpoints.h"
#include "broker/service/fetch.h"
#include "broker/service/shard.h"
#include "broker/wire/header.h"

namespace millrace::kafka {

class FetchSessions;
class Session;

/// Who is at the other end, as far as it told; empty: not told.
struct Sender {
  std::string id;
  std::string software_name;
  std::string software_version;
  /// Where it comes from; an IPv6 address has no brackets.
  std::string host;
  std::string port;
};

/// The listener of kafka.listen.
inline constexpr std::string_view kMainListener = metadata::kKafkaEndpoint;

/// The listener that a client came to, which decides the addresses that it is told of brokers.
struct Arrival {
  /// As brokers register their addresses on it (broker/metadata/endpoints.h).
  std::string listener;
  /// Where this client should connect to reach this broker: what is advertised, or else the host
  /// that it came to. Of the main listener only; on others it is what was registered, as of any
  /// other broker.
  env::Endpoint own;
  bool by_main_listener() const { return listener == kMainListener; }
};

/// What handlers work with. Belongs to the server; to be used only before the handler returns, not
/// in later answers.
struct Context {
  service::Shard& shard;
  FetchSessions& fetch_sessions;
  const Memory& memory;
  const Limits& limits;
};

/// Which request of which connection. The connection may be gone before the answer is there: the
/// answer is then dropped.
struct CallTicket {
  std::shared_ptr<Session> session;
  std::uint64_t slot = 0;
  std::int32_t correlation_id = 0;
  std::int16_t version = 0;
};

/// The parts of a Call that do not depend on its API. Move-only; finished exactly once, CHECKed as
/// a Reply is.
class AnyCall {
 public:
  explicit AnyCall(CallTicket ticket) : ticket_(std::move(ticket)) {}
  AnyCall(AnyCall&&) noexcept = default;
  AnyCall& operator=(AnyCall&&) = delete;
  ~AnyCall() {
    CHECK(ticket_.session == nullptr || common::RepliesMayDrop::active(),
          "a request was dropped unanswered");
  }

  std::int16_t version() const { return ticket_.version; }
  const Context& context() const;
  service::Shard& shard() const { return context().shard; }
  Arrival arrival() const;
  const std::string& listener() const;
  /// Who asks, as members of groups are described.
  coordinator::ClientInfo client() const;
  /// Whom the connection says it is, for logs (ApiVersions 3 and later).
  void set_client_software(std::string_view name, std::string_view version) const;
  /// Who sent this request. To be asked before the handler returns.
  Sender sender() const;
  /// Whether this call's connection would like to know where its partition lives; the shard's
  /// index is then told to lives_on(). may_move(): always; asks_for_home(): every so often.
  bool may_move() const;
  bool asks_for_home() const;
  void lives_on(std::size_t shard) const;
  /// Where a call belongs, for what is known only after the call was handed on.
  struct Place {
    std::shared_ptr<Session> session;
    std::uint64_t slot = 0;
    /// Cancels `waiting` when the connection ends, so that nothing waits for a reader that left.
    /// Nothing happens if the request is answered already.
    void cancel_with_connection(std::shared_ptr<service::FetchHandle> waiting) const;
  };
  Place place() const { return {ticket_.session, ticket_.slot}; }
  /// Whether the connection is gone: nobody will see the answer, and the Context may be gone too.
  bool abandoned() const;
  /// Ends the request without an answer (acks=0).
  void answer_nothing() &&;
  /// Ends the request and its connection: Kafka does so where an answer cannot say what is wrong.
  void close_connection(std::string_view why) &&;

 protected:
  void send(wire::Chunks frame);
  CallTicket ticket_;
};

/// Answered on the shard's loop. `Request` says with what.
template <typename Request>
class Call : public AnyCall {
 public:
  using AnyCall::AnyCall;
  using Response = typename Request::Response;
  void answer(const Response& response) {
    send(wire::encode_response(response, ticket_.version, ticket_.correlation_id));
  }
};

/// Works on one request and answers `call`, now or later. One specialisation per API, in
/// handlers/NN_name.cc; a missing one does not link. What the handler keeps of the request's byte
/// fields shares memory with the frame.
template <typename Request>
void handle(Request request, Call<Request> call);

}  // namespace millrace::kafka
