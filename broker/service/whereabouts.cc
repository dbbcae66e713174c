#include "broker/service/whereabouts.h"

#include <utility>

#include "broker/cluster/fields.h"
#include "broker/metadata/endpoints.h"
#include "broker/service/calls.h"
#include "broker/service/neighbours.h"

namespace millrace::service {
namespace {

using cluster::FieldReader;
using cluster::FieldWriter;
using common::Result;
using env::Endpoint;
using model::ErrorCode;

constexpr std::uint8_t kVersion = 1;
constexpr auto kAnswerMax = std::chrono::seconds(1);

Result<Endpoint> known_endpoint(Shard& first, model::BrokerId wanted) {
  const auto said = first.neighbours()->introduction(wanted);
  if (said != nullptr && !said->internal.host.empty()) return said->internal;
  const auto& brokers = first.image().brokers();
  const auto registered = brokers.find(wanted);
  if (registered == brokers.end()) return model::error(ErrorCode::kBrokerIdNotRegistered);
  const auto* const found =
      metadata::endpoint_named(registered->second, metadata::kInternalEndpoint);
  if (found == nullptr) return model::error(ErrorCode::kBrokerIdNotRegistered);
  return Endpoint{found->host, static_cast<std::uint16_t>(found->port)};
}

Result<Endpoint> decode_endpoint(common::ByteView body) {
  FieldReader in(body);
  if (in.byte() != kVersion) return model::error(ErrorCode::kUnsupportedVersion);
  Endpoint endpoint = in.endpoint();
  if (!in.done() || endpoint.host.empty()) return model::error(ErrorCode::kCorruptMessage);
  return endpoint;
}

}  // namespace

void ask_whereabouts(Shard& first, model::BrokerId asked, model::BrokerId wanted,
                     common::Reply<Result<Endpoint>> done) {
  CHECK(&first == &first.first() && first.neighbours() != nullptr);
  FieldWriter out;
  out.byte(kVersion);
  out.number(wanted.value());
  first.neighbours()->call(asked, 0, cluster::Method::kWhereabouts,
                           common::Bytes::copy_of(out.view()), kAnswerMax,
                           [done = std::move(done)](Result<common::Bytes> answer) mutable {
                             if (!answer.ok()) return done(std::move(answer).error());
                             done(decode_endpoint(answer->view()));
                           });
}

void serve_whereabouts(Shard& first) {
  CHECK(&first == &first.first());
  first.calls().serve(cluster::Method::kWhereabouts,
                      [&first](const cluster::Request& request, Calls::Reply reply) {
                        FieldReader in(request.body.view());
                        if (in.byte() != kVersion)
                          return reply(model::error(ErrorCode::kUnsupportedVersion));
                        const model::BrokerId wanted = in.broker();
                        if (!in.done()) return reply(model::error(ErrorCode::kCorruptMessage));
                        const auto endpoint = known_endpoint(first, wanted);
                        if (!endpoint.ok()) return reply(endpoint.error());
                        FieldWriter out;
                        out.byte(kVersion);
                        out.endpoint(*endpoint);
                        reply(common::Bytes::copy_of(out.view()));
                      });
}

}  // namespace millrace::service
