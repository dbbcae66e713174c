#include "broker/server/broker.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <thread>
#include <utility>
#include <vector>

#include "broker/env/real_disk.h"
#include "broker/env/real_loop.h"
#include "broker/env/real_transport.h"
#include "broker/grpc/server.h"
#include "broker/http/server.h"
#include "broker/kafka/server.h"
#include "broker/server/directory.h"
#include "broker/server/logging.h"
#include "broker/server/memory_plan.h"
#include "broker/server/metrics.h"
#include "broker/server/version.h"
#include "broker/service/group_coordinators.h"
#include "broker/service/metadata_writer.h"

namespace millrace::server {
namespace {

using common::Error;
using common::Result;
using model::ErrorCode;

constexpr auto kDrainMax = std::chrono::seconds(10);
constexpr int kExitFatalDisk = 74;  // EX_IOERR

/// Ends the process without any further write: what reached the disk is unknown, and the next start
/// finds out.
[[noreturn]] void fatal_disk(const Error& error) {
  log_error(
      fmt::format("event=fatal-disk-error detail=\"{}\" action=\"the process ends; check the disk "
                  "and start again\"",
                  error.detail));
  std::_Exit(kExitFatalDisk);
}

storage::CompactionOptions compaction_options(const model::BrokerSettings& settings,
                                              const MemoryPlan& memory, std::uint32_t shards) {
  storage::CompactionOptions options;
  options.enabled = settings.compaction_enabled;
  options.check_interval_ms = settings.compaction_check_interval_ms;
  options.map_bytes_max = memory.compaction_bytes_per_shard;
  const double rate = settings.compaction_bytes_per_second_max / shards;
  // More than any disk does is no limit.
  constexpr double kNoLimit = 1e12;
  if (rate < kNoLimit)
    options.bytes_per_second_max = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(rate));
  return options;
}

/// Runs `work(reply)` on a loop and waits for the reply's answer.
template <typename Answer, typename Work>
Answer run_on(env::Loop& loop, Work work) {
  std::promise<Answer> promise;
  auto answer = promise.get_future();
  loop.post([&promise, work = std::move(work)]() mutable {
    work(common::Reply<Answer>([&promise](Answer value) { promise.set_value(std::move(value)); }));
  });
  return answer.get();
}

/// One shard with everything of its thread. Members are destroyed in reverse order.
struct ShardThread {
  std::unique_ptr<env::RealLoop> loop;
  std::unique_ptr<env::Disk> disk;
  std::unique_ptr<env::Transport> transport;
  std::unique_ptr<service::Shard> shard;
  std::unique_ptr<kafka::Server> kafka;
};

class RealBroker final : public Broker {
 public:
  explicit RealBroker(const Options& options)
      : start_config_(std::make_shared<const model::ConfigMap>(options.config)),
        settings_(model::resolve_broker_settings({.from_start = start_config_.get()})),
        random_(common::system_seed()) {}
  ~RealBroker() override { stop(); }

  Result<void> start() {
    TRY(open_directory());
    TRY(open_shards());
    for (ShardThread& thread : threads_) thread.loop->start();
    started_ = true;
    TRY(recover_metadata());
    TRY(open_doors());
    TRY(register_broker());
    serve_kafka();
    ready_ = true;
    return common::ok();
  }

  Result<std::string> format() {
    TRY(open_directory());
    return fmt::format("{} is formatted: cluster.id={} node.id={} directory.id={} shards={}",
                       settings_.data_dir, directory_.cluster_id, directory_.node,
                       directory_.directory_id, directory_.shards);
  }

  std::string ready_line() const override {
    return fmt::format("ready kafka={} grpc={} http={}", kafka_endpoint_.text(),
                       grpc_->endpoint().text(), http_->endpoint().text());
  }

  void stop() override;

 private:
  Result<void> open_directory();
  Result<void> open_shards();
  Result<void> open_store(std::uint32_t index, std::unique_ptr<storage::Store>& store);
  Result<void> recover_metadata();
  Result<void> open_doors();
  Result<void> listen_kafka();
  Result<void> register_broker();
  void serve_kafka();
  void close_coordinators();
  void close_shards();
  std::vector<service::Shard*> shards() const;
  std::vector<MetricSource> metric_sources() const;
  std::string not_ready() const;

  std::shared_ptr<const model::ConfigMap> start_config_;
  model::BrokerSettings settings_;
  common::Random random_;
  std::unique_ptr<env::DataDirectory> data_;
  Directory directory_;
  env::RealNetwork network_{log_warning};
  ProcessLoggers loggers_;
  std::vector<ShardThread> threads_;
  std::unique_ptr<service::MetadataWriter> writer_;
  std::unique_ptr<grpc::Server> grpc_;
  std::unique_ptr<http::Server> http_;
  env::Endpoint kafka_endpoint_;
  std::atomic<bool> ready_{false};
  bool started_ = false;
  bool stopped_ = false;
};

Result<void> RealBroker::open_directory() {
  if (settings_.data_dir.empty()) {
    return Error{ErrorCode::kInvalidConfig,
                 "say where the data is: millrace --data DIR (see millrace --help)"};
  }
  TRY_ASSIGN(data_, env::DataDirectory::open(settings_.data_dir, [](std::string_view notice) {
               log_warning(fmt::format("event=disk-notice detail=\"{}\"", notice));
             }));
  const std::uint32_t cores = std::max(1U, std::thread::hardware_concurrency());
  env::RealLoop loop;
  const auto disk = data_->disk(loop);
  auto directory =
      open_or_format(*disk, settings_.data_dir,
                     {.cluster_id = settings_.cluster_id,
                      .node = model::BrokerId{settings_.node_id},
                      .shards = static_cast<std::uint32_t>(std::max(0, settings_.shards))},
                     cores, random_);
  if (!directory.ok() && directory.error().code == ErrorCode::kForeignData) data_->leave_as_found();
  TRY_ASSIGN(directory_, std::move(directory));
  return common::ok();
}

Result<void> RealBroker::open_store(std::uint32_t index, std::unique_ptr<storage::Store>& store) {
  const MemoryPlan memory = plan_memory(settings_, directory_.shards);
  storage::StoreOptions options;
  options.journal_bytes_max = static_cast<std::uint64_t>(settings_.journal_bytes_max);
  options.journal_file_bytes = static_cast<std::uint64_t>(settings_.journal_file_bytes);
  options.cache_bytes = memory.cache_bytes_per_shard;
  options.free_bytes_min = static_cast<std::uint64_t>(settings_.disk_reserve_bytes);
  options.retention_check_interval_ms = settings_.retention_check_interval_ms;
  options.compaction = compaction_options(settings_, memory, directory_.shards);
  TRY_ASSIGN(store, storage::Store::open({.disk = *threads_[index].disk,
                                          .loop = *threads_[index].loop,
                                          .shard = index,
                                          .on_fatal = fatal_disk,
                                          .on_notice = log_info},
                                         options));
  const storage::RecoveryReport& report = store->recovery();
  log_info(
      fmt::format("event=recovered shard={} logs={} journal_bytes={} entries={} batches_cut={}",
                  index, store->logs().size(), report.journal_bytes_read, report.entries_replayed,
                  report.batches_cut));
  for (const std::string& damage : report.damages) {
    log_error(fmt::format("event=damage shard={} detail=\"{}\"", index, damage));
  }
  return common::ok();
}

Result<void> RealBroker::open_shards() {
  threads_.resize(directory_.shards);
  std::vector<std::unique_ptr<storage::Store>> stores(directory_.shards);
  std::vector<std::future<Result<void>>> openings;
  const bool pin =
      std::thread::hardware_concurrency() >= directory_.shards && directory_.shards > 1;
  for (std::uint32_t i = 0; i < directory_.shards; ++i) {
    threads_[i].loop = std::make_unique<env::RealLoop>(env::RealLoopOptions{
        .name = fmt::format("shard-{}", i), .cpu = pin ? static_cast<int>(i) : -1});
    threads_[i].disk = data_->disk(*threads_[i].loop);
    threads_[i].transport = network_.join(*threads_[i].loop);
  }
  // Each shard reads its own journal: side by side, so that start-up takes as long as the longest.
  for (std::uint32_t i = 0; i < directory_.shards; ++i) {
    openings.push_back(
        std::async(std::launch::async, [this, i, &stores] { return open_store(i, stores[i]); }));
  }
  Result<void> outcome;
  for (auto& opening : openings) {
    Result<void> opened = opening.get();
    if (!opened.ok()) outcome = std::move(opened);
  }
  TRY(std::move(outcome));
  auto identity = std::make_shared<service::Identity>();
  identity->cluster_id = directory_.cluster_id;
  identity->node = directory_.node;
  identity->directory = directory_.directory_id;
  identity->version = kVersion;
  for (std::uint32_t i = 0; i < directory_.shards; ++i) {
    threads_[i].shard =
        std::make_unique<service::Shard>(service::Shard::Parts{.index = i,
                                                               .loop = *threads_[i].loop,
                                                               .disk = *threads_[i].disk,
                                                               .random = random_.fork(),
                                                               .store = std::move(stores[i]),
                                                               .identity = identity,
                                                               .start_config = start_config_,
                                                               .log = log_warning});
  }
  const std::vector<service::Shard*> all = shards();
  for (service::Shard* shard : all) {
    shard->set_peers(all);
    shard->set_loggers(&loggers_);
  }
  return common::ok();
}

std::vector<service::Shard*> RealBroker::shards() const {
  std::vector<service::Shard*> all;
  for (const ShardThread& thread : threads_) all.push_back(thread.shard.get());
  return all;
}

std::vector<MetricSource> RealBroker::metric_sources() const {
  std::vector<MetricSource> sources;
  for (const ShardThread& thread : threads_)
    sources.push_back({thread.shard.get(), thread.kafka.get()});
  return sources;
}

std::string RealBroker::not_ready() const {
  return ready_ ? "" : "starting or stopping: partitions are not served";
}

Result<void> RealBroker::recover_metadata() {
  service::Shard& first = *threads_.front().shard;
  TRY(run_on<Result<void>>(first.loop(), [this, &first](common::Reply<Result<void>> reply) {
    writer_ = std::make_unique<service::MetadataWriter>(first);
    first.set_metadata_writer(writer_.get());
    writer_->replay(std::move(reply));
  }));
  for (ShardThread& thread : threads_) {
    run_on<bool>(*thread.loop, [&thread](common::Reply<bool> reply) {
      thread.shard->open_partitions();
      reply(true);
    });
  }
  const metadata::Image& image = first.image();
  log_info(fmt::format("event=metadata topics={} partitions={} rejected_records={}",
                       image.topics().size(), image.partition_total(), image.rejected()));
  first.loop().post([this] { writer_->resume_removals(); });
  return common::ok();
}

Result<void> RealBroker::listen_kafka() {
  kafka_endpoint_ = {settings_.kafka_listen.host, settings_.kafka_listen.port};
  const kafka::Limits limits = kafka::limits_from(
      settings_, plan_memory(settings_, directory_.shards).total_bytes, threads_.size());
  auto connections = std::make_shared<kafka::ConnectionCount>();
  for (ShardThread& thread : threads_) {
    // The first shard finds out the port; the others then share it.
    TRY(run_on<Result<void>>(*thread.loop, [&, this](common::Reply<Result<void>> reply) {
      thread.kafka = std::make_unique<kafka::Server>(
          kafka::Server::Parts{*thread.shard, *thread.transport, limits, connections, log_warning});
      auto listening = thread.kafka->listen(kafka_endpoint_);
      if (!listening.ok()) return reply(std::move(listening).error());
      kafka_endpoint_ = *listening;
      reply(common::ok());
    }));
  }
  return common::ok();
}

Result<void> RealBroker::open_doors() {
  const std::vector<service::Shard*> all = shards();
  TRY_ASSIGN(grpc_,
             grpc::Server::start({settings_.grpc_listen.host, settings_.grpc_listen.port}, all));
  TRY(listen_kafka());
  TRY_ASSIGN(http_,
             http::Server::start({settings_.http_listen.host, settings_.http_listen.port},
                                 {.not_ready = [this] { return not_ready(); },
                                  .metrics = [this] { return metrics_text(metric_sources()); },
                                  .version = kVersion}));
  return common::ok();
}

/// The address to tell clients: the configured one, or where we listen. An address that stands for
/// all interfaces is left out of it: then each client is told the address it came to.
env::Endpoint advertised(const model::ListenAddress& configured, const env::Endpoint& listening) {
  const std::uint16_t port = configured.port == 0 ? listening.port : configured.port;
  if (!configured.host.empty()) return {configured.host, port};
  const bool any = listening.host.empty() || listening.host == "0.0.0.0" || listening.host == "::";
  return {any ? "" : listening.host, port};
}

void RealBroker::serve_kafka() {
  std::vector<kafka::Server*> servers;
  for (const ShardThread& thread : threads_) servers.push_back(thread.kafka.get());
  for (ShardThread& thread : threads_) {
    run_on<bool>(*thread.loop, [&](common::Reply<bool> reply) {
      thread.kafka->set_peers(servers);
      thread.kafka->serve();
      reply(true);
    });
  }
}

Result<void> RealBroker::register_broker() {
  auto identity = std::make_shared<service::Identity>(threads_.front().shard->identity());
  identity->kafka_advertised = advertised(settings_.kafka_advertised, kafka_endpoint_);
  identity->grpc_advertised = advertised(settings_.grpc_advertised, grpc_->endpoint());
  for (ShardThread& thread : threads_) {
    run_on<bool>(*thread.loop, [&thread, identity](common::Reply<bool> reply) {
      thread.shard->set_identity(identity);
      reply(true);
    });
  }
  metadata::Broker broker{.id = directory_.node,
                          .directory = directory_.directory_id,
                          .endpoints = {},
                          .rack = settings_.rack};
  broker.shards = static_cast<std::int32_t>(threads_.size());
  broker.endpoints = {{"kafka", identity->kafka_advertised.host, identity->kafka_advertised.port},
                      {"grpc", identity->grpc_advertised.host, identity->grpc_advertised.port}};
  service::Shard& first = *threads_.front().shard;
  const auto registered = run_on<Result<metadata::NoOutcome>>(
      first.loop(), [&first, broker](common::Reply<Result<metadata::NoOutcome>> reply) {
        service::MetadataWriter::decide_on<metadata::NoOutcome>(
            first,
            [broker](const metadata::Image& image) {
              return metadata::decide(image, metadata::RegisterBroker{broker});
            },
            std::move(reply));
      });
  if (!registered.ok()) return registered.error();
  return common::ok();
}

void RealBroker::stop() {
  if (stopped_) return;
  stopped_ = true;
  ready_ = false;
  if (grpc_ != nullptr) grpc_->stop();
  if (http_ != nullptr) http_->stop();
  if (started_) {
    close_coordinators();
    close_shards();
  }
  for (ShardThread& thread : threads_) thread.loop->stop();
  writer_.reset();
  for (ShardThread& thread : threads_) {
    thread.kafka.reset();
    thread.shard.reset();
    thread.transport.reset();
    thread.disk.reset();
  }
  data_.reset();
}

// Members that wait in a rebalance would hold up their connections, and so the end.
void RealBroker::close_coordinators() {
  for (ShardThread& thread : threads_) {
    run_on<bool>(*thread.loop, [&thread](common::Reply<bool> reply) {
      thread.shard->coordinators().close(ErrorCode::kCoordinatorNotAvailable);
      reply(true);
    });
  }
}

void RealBroker::close_shards() {
  for (ShardThread& thread : threads_) {
    if (thread.kafka == nullptr) continue;
    auto drained = std::make_shared<std::promise<void>>();
    auto done = drained->get_future();
    thread.loop->post(
        [&thread, drained] { thread.kafka->drain([drained] { drained->set_value(); }); });
    if (done.wait_for(kDrainMax) != std::future_status::ready) {
      log_warning("event=stop detail=\"some clients did not take their answers in time\"");
    }
  }
  // The metadata writer and all shards close before any store does: an append under way on one of
  // them may concern another.
  run_on<bool>(*threads_.front().loop, [this](common::Reply<bool> reply) {
    if (writer_ != nullptr) writer_->close();
    reply(true);
  });
  for (ShardThread& thread : threads_) {
    run_on<bool>(*thread.loop, [&thread](common::Reply<bool> reply) {
      thread.shard->close();
      reply(true);
    });
  }
  for (ShardThread& thread : threads_) {
    const auto closed =
        run_on<Result<void>>(*thread.loop, [&thread](common::Reply<Result<void>> reply) {
          thread.shard->store().close(std::move(reply));
        });
    if (!closed.ok())
      log_error(fmt::format("event=close-failed detail=\"{}\"", closed.error().detail));
  }
}

}  // namespace

Result<std::unique_ptr<Broker>> Broker::start(const Options& options) {
  auto broker = std::make_unique<RealBroker>(options);
  TRY(broker->start());
  return std::unique_ptr<Broker>(std::move(broker));
}

Result<std::string> format_directory(const Options& options) {
  return RealBroker(options).format();
}

}  // namespace millrace::server
