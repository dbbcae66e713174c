#include "broker/server/broker.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <future>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "broker/env/real_disk.h"
#include "broker/env/real_loop.h"
#include "broker/env/real_transport.h"
#include "broker/grpc/server.h"
#include "broker/server/logging.h"
#include "broker/server/metrics.h"
#include "broker/server/node.h"
#include "broker/server/outside_file.h"
#include "broker/server/version.h"
#include "common/process/pages.h"

namespace millrace::server {
namespace {

using common::Error;
using common::Reply;
using common::Result;
using model::ErrorCode;

constexpr int kExitFatalDisk = 74;  // EX_IOERR

/// What a node asks of this process.
class ProcessHost final : public NodeHost {
 public:
  void log(Level level, std::string_view line) override {
    switch (level) {
      case Level::kInfo:
        return log_info(line);
      case Level::kWarning:
        return log_warning(line);
      case Level::kError:
        return log_error(line);
    }
  }
  /// Ends the process without any further write: what reached the disk is unknown, and the next
  /// start finds out.
  [[noreturn]] void fatal_disk(const Error& error) override {
    log_error(
        fmt::format("event=fatal-disk-error detail=\"{}\" action=\"the process ends; check the "
                    "disk and start again\"",
                    error.detail));
    std::_Exit(kExitFatalDisk);
  }
  service::Loggers& loggers() override { return loggers_; }
  void waits(std::string_view why) override {
    {
      const std::scoped_lock lock(mutex_);
      if (why_ == why) return;
      why_ = why;
    }
    log_info(fmt::format("event=waiting reason=\"{}\"", why));
  }
  std::string why() {
    const std::scoped_lock lock(mutex_);
    return why_;
  }

 private:
  ProcessLoggers loggers_;
  std::mutex mutex_;  // guards why_: read by the threads of the HTTP door
  std::string why_;
};

/// Asks for something and waits until it is done.
template <typename Ask>
Result<void> wait_for(Ask ask) {
  // Shared: the loop still holds it when this thread goes on.
  const auto promise = std::make_shared<std::promise<Result<void>>>();
  ask(Reply<Result<void>>([promise](Result<void> done) { promise->set_value(std::move(done)); }));
  return promise->get_future().get();
}

/// What one shard stands on. Members are destroyed in reverse order.
struct ShardThread {
  std::unique_ptr<env::RealLoop> loop;
  std::unique_ptr<env::Disk> disk;
  std::unique_ptr<env::Transport> transport;
};

class RealBroker final : public Broker {
 public:
  explicit RealBroker(const Options& options)
      : start_config_(std::make_shared<const model::ConfigMap>(options.config)),
        settings_(model::resolve_broker_settings({.from_start = start_config_.get()})),
        random_(common::system_seed()) {}
  ~RealBroker() override { stop(); }

  Result<void> open() override {
    TRY(open_directory());
    make_node();
    TRY(open_stores());
    TRY(node_->assemble());
    for (ShardThread& thread : threads_) thread.loop->start();
    started_ = true;
    // First of the doors: whoever watches the process sees what it waits for.
    TRY(open_http());
    TRY(take([this](auto reply) { node_->recover(std::move(reply)); }));
    watch_outside();
    TRY(open_doors());
    TRY(take([this](auto reply) { node_->serve(grpc_->endpoint(), std::move(reply)); }));
    phase_ = Phase::kReady;
    return common::ok();
  }

  Result<std::string> format() {
    TRY(open_directory());
    return fmt::format("{} is formatted: cluster.id={} node.id={} directory.id={} shards={}",
                       settings_.data_dir, directory_.cluster_id, directory_.node,
                       directory_.directory_id, directory_.shards);
  }

  std::string ready_line() const override {
    std::string line = fmt::format("ready kafka={} grpc={} http={}", node_->kafka_endpoint().text(),
                                   grpc_->endpoint().text(), http_endpoint().text());
    for (std::size_t i = 0; i < node_->outside_endpoints().size(); ++i) {
      line += fmt::format(" outside.{}={}", node_->outside().listeners[i].name,
                          node_->outside_endpoints()[i].text());
    }
    return line;
  }

  void interrupt() override;
  void stop() override;

 private:
  enum class Phase : std::uint8_t { kStarting, kOpen, kReady, kStopping };
  template <typename Step>
  Result<void> take(Step step);
  Result<void> open_directory();
  bool joins_others() const;
  void make_node();
  Result<void> open_stores();
  Result<void> open_http();
  void watch_outside();
  Result<void> open_doors();
  std::vector<MetricSource> metric_sources() const;
  std::string not_ready();
  env::Endpoint http_endpoint() const {
    return {settings_.http_listen.host, static_cast<std::uint16_t>(pages_->port())};
  }

  std::shared_ptr<const model::ConfigMap> start_config_;
  model::BrokerSettings settings_;
  common::Random random_;
  std::unique_ptr<env::DataDirectory> data_;
  Directory directory_;
  env::RealNetwork network_{log_warning};
  ProcessHost host_;
  std::vector<ShardThread> threads_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<OutsideWatch> outside_;
  std::unique_ptr<grpc::Server> grpc_;
  std::unique_ptr<process::PageServer> pages_;
  std::atomic<Phase> phase_{Phase::kStarting};
  std::mutex interruption_;  // guards the two below
  bool interrupted_ = false;
  bool taking_ = false;  // a step of the node's start is under way
  bool started_ = false;
  bool stopped_ = false;
};

Result<void> RealBroker::open_directory() {
  if (settings_.data_dir.empty()) {
    return Error{ErrorCode::kInvalidConfig,
                 "say where the data is: millrace --data DIR (see millrace --help)"};
  }
  TRY(model::check_outside(model::resolve_outside_settings({.from_start = start_config_.get()}),
                           settings_));
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
                      .shards = static_cast<std::uint32_t>(std::max(0, settings_.shards)),
                      .joins_others = joins_others()},
                     cores, random_);
  if (!directory.ok() && directory.error().code == ErrorCode::kForeignData) data_->leave_as_found();
  TRY_ASSIGN(directory_, std::move(directory));
  return common::ok();
}

bool RealBroker::joins_others() const {
  const auto cluster = model::resolve_cluster_settings({.from_start = start_config_.get()});
  return std::ranges::any_of(cluster.voters, [this](const model::VoterAddress& voter) {
    return voter.node.value() != settings_.node_id;
  });
}

void RealBroker::make_node() {
  threads_.resize(directory_.shards);
  const bool pin =
      std::thread::hardware_concurrency() >= directory_.shards && directory_.shards > 1;
  std::vector<ShardWorld> worlds;
  for (std::uint32_t i = 0; i < directory_.shards; ++i) {
    ShardThread& thread = threads_[i];
    thread.loop = std::make_unique<env::RealLoop>(env::RealLoopOptions{
        .name = fmt::format("shard-{}", i), .cpu = pin ? static_cast<int>(i) : -1});
    thread.disk = data_->disk(*thread.loop);
    thread.transport = network_.join(*thread.loop);
    worlds.push_back({*thread.loop, *thread.disk, *thread.transport});
  }
  node_ = std::make_unique<Node>(Node::Parts{.shards = std::move(worlds),
                                             .directory = directory_,
                                             .start_config = start_config_,
                                             .memory = plan_memory(settings_, directory_.shards),
                                             .random = random_.fork(),
                                             .version = kVersion,
                                             .host = host_});
}

// Each shard reads its own journal: side by side, so that start-up takes as long as the longest.
Result<void> RealBroker::open_stores() {
  std::vector<std::future<Result<void>>> openings;
  for (std::uint32_t i = 0; i < directory_.shards; ++i) {
    openings.push_back(std::async(std::launch::async, [this, i] { return node_->open_store(i); }));
  }
  Result<void> outcome;
  for (auto& opening : openings) {
    Result<void> opened = opening.get();
    if (!opened.ok()) outcome = std::move(opened);
  }
  return outcome;
}

/// Takes a step of the node's start, unless somebody wants it to end.
template <typename Step>
Result<void> RealBroker::take(Step step) {
  {
    const std::scoped_lock lock(interruption_);
    if (interrupted_) return model::error(ErrorCode::kShuttingDown);
    taking_ = true;
  }
  return wait_for(std::move(step));
}

void RealBroker::interrupt() {
  const std::scoped_lock lock(interruption_);
  interrupted_ = true;
  if (taking_) node_->give_up();
}

Result<void> RealBroker::open_http() {
  const model::ListenAddress& listen = settings_.http_listen;
  pages_ = process::PageServer::start(
      listen.host, listen.port,
      {.program = "millrace",
       .version = kVersion,
       .not_ready = [this] { return not_ready(); },
       .metrics =
           [this] {
             // Not all that is counted is there before.
             return phase_ < Phase::kOpen ? std::string()
                                          : metrics_text(metric_sources(), node_->membership());
           }});
  if (pages_ == nullptr) {
    return model::Error{
        ErrorCode::kAddressInUse,
        fmt::format(
            "http.listen: cannot listen on {}: the address is in use or not of this machine; "
            "choose another with --http.listen",
            env::Endpoint{listen.host, listen.port}.text())};
  }
  return common::ok();
}

/// What the file says already is told with the first registration.
void RealBroker::watch_outside() {
  const model::OutsideSettings& outside = node_->outside();
  if (outside.listeners.empty()) {
    if (!outside.addresses.empty())
      log_warning(
          "event=setting_unused name=kafka.outside.addresses detail=\"set "
          "kafka.outside.listen to the listeners that it has the addresses of\"");
    return;
  }
  OutsideFile::Parts parts{.path = outside.addresses,
                           .listeners = {},
                           .self = directory_.node,
                           .log = log_info,
                           .warn = log_warning};
  for (const model::OutsideListener& listener : outside.listeners)
    parts.listeners.push_back(listener.name);
  outside_ = std::make_unique<OutsideWatch>(
      OutsideFile(std::move(parts)),
      [this](model::OutsideAddresses addresses) { node_->set_outside(std::move(addresses)); });
}

Result<void> RealBroker::open_doors() {
  TRY_ASSIGN(grpc_, grpc::Server::start({settings_.grpc_listen.host, settings_.grpc_listen.port},
                                        node_->shards()));
  TRY(take([this](auto reply) { node_->listen(std::move(reply)); }));
  phase_ = Phase::kOpen;
  return common::ok();
}

std::vector<MetricSource> RealBroker::metric_sources() const {
  std::vector<MetricSource> sources;
  Membership* const membership = node_->membership();
  for (service::Shard* shard : node_->shards()) {
    sources.push_back(
        {.shard = shard,
         .kafka = node_->kafka(shard->index()),
         .mesh = membership == nullptr ? nullptr : &membership->mesh(shard->index())});
  }
  return sources;
}

std::string RealBroker::not_ready() {
  switch (phase_.load()) {
    case Phase::kReady:
      return "";
    case Phase::kStopping:
      return "stopping";
    default:
      break;
  }
  const std::string why = host_.why();
  return why.empty() ? "starting" : "starting: " + why;
}

void RealBroker::stop() {
  if (stopped_) return;
  stopped_ = true;
  phase_ = Phase::kStopping;
  outside_.reset();
  // While everything is still served. What nobody could take is no error.
  if (started_) (void)wait_for([this](auto reply) { node_->hand_over(std::move(reply)); });
  if (grpc_ != nullptr) grpc_->stop();
  if (pages_ != nullptr) pages_->stop();
  if (started_) {
    const auto closed = wait_for([this](auto reply) { node_->stop(std::move(reply)); });
    if (!closed.ok())
      log_error(fmt::format("event=close-failed detail=\"{}\"", closed.error().detail));
  }
  for (ShardThread& thread : threads_) thread.loop->stop();
  node_.reset();
  for (ShardThread& thread : threads_) {
    thread.transport.reset();
    thread.disk.reset();
  }
  data_.reset();
}

}  // namespace

std::unique_ptr<Broker> Broker::create(const Options& options) {
  return std::make_unique<RealBroker>(options);
}

Result<std::unique_ptr<Broker>> Broker::start(const Options& options) {
  auto broker = create(options);
  TRY(broker->open());
  return broker;
}

Result<std::string> format_directory(const Options& options) {
  return RealBroker(options).format();
}

}  // namespace millrace::server
