// Everything the broker counts, in Prometheus' text format. The names are documented in
// docs/metrics.md.
#pragma once

#include <string>
#include <vector>

#include "broker/kafka/server.h"
#include "broker/server/membership.h"
#include "broker/service/shard.h"

namespace millrace::server {

/// One shard's parts that count things. `kafka` may be null before the doors are open, `mesh` where
/// the broker is alone.
struct MetricSource {
  service::Shard* shard = nullptr;
  kafka::Server* kafka = nullptr;
  cluster::Mesh* mesh = nullptr;
};

/// Asks every shard on its own loop and merges. Blocking, at most two seconds: a shard that does
/// not answer by then is left out and counted in millrace_scrape_shards_missing. Not on a shard's
/// loop. `membership` may be null.
std::string metrics_text(const std::vector<MetricSource>& sources, Membership* membership);

}  // namespace millrace::server
