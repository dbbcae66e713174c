#include "broker/kafka/dispatch.h"

#include <array>
#include <tuple>
#include <utility>

#include "broker/wire/messages/all.h"

namespace millrace::kafka {
namespace {

using Serve = common::Result<void> (*)(wire::Reader&, CallTicket&);

template <typename Request>
common::Result<void> serve(wire::Reader& body, CallTicket& ticket) {
  auto request = Request::decode(body, ticket.version);
  if (!request.ok()) return std::move(request).error();
  handle<Request>(std::move(request).value(), Call<Request>(std::move(ticket)));
  return {};
}

template <std::size_t... I>
constexpr std::array<Serve, sizeof...(I)> make_table(std::index_sequence<I...>) {
  static_assert(((std::tuple_element_t<I, wire::AllRequests>::kKey == wire::kApis[I].key) && ...),
                "the list of requests and the version table have one order");
  return {&serve<std::tuple_element_t<I, wire::AllRequests>>...};
}

constexpr auto kTable =
    make_table(std::make_index_sequence<std::tuple_size_v<wire::AllRequests>>());

}  // namespace

std::optional<std::size_t> api_position(std::int16_t key) {
  const wire::ApiVersionRow* row = wire::find_api(key);
  if (row == nullptr) return std::nullopt;
  return static_cast<std::size_t>(row - wire::kApis.data());
}

bool pipelined(wire::ApiKey key) {
  return key == wire::ApiKey::kProduce;
}

common::Result<void> dispatch(std::size_t api, wire::Reader& body, CallTicket& ticket) {
  CHECK(api < kTable.size());
  return kTable[api](body, ticket);
}

}  // namespace millrace::kafka
