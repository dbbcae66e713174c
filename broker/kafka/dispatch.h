// From the number in a request's header to its handler.
#pragma once

#include <cstddef>
#include <optional>

#include "broker/kafka/call.h"
#include "broker/wire/header.h"
#include "broker/wire/reader.h"

namespace millrace::kafka {

/// The position of an API in wire::kApis; nullopt: not served.
std::optional<std::size_t> api_position(std::int16_t key);

/// Whether a request may start while earlier ones of its connection are still worked on, if they
/// are of the same kind. Only produces are: their order is kept all the way, and everything else
/// sees what came before it on its connection.
bool pipelined(wire::ApiKey key);

/// Decodes the body of a served API and version and calls its handler, which owns the ticket from
/// then on. kInvalidRequest: it cannot be decoded; the ticket was not used and the connection
/// should end.
common::Result<void> dispatch(std::size_t api, wire::Reader& body, CallTicket& ticket);

}  // namespace millrace::kafka
