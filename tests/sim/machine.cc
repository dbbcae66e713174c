#include "tests/sim/machine.h"

#include <map>
#include <utility>

#include "broker/server/directory.h"

namespace millrace::sim {

using common::Error;
using common::Result;
using env::testing::SimLoop;
using model::ErrorCode;

namespace {

constexpr std::uint16_t kKafkaPort = 9092;
constexpr std::uint16_t kInternalPort = 9093;
constexpr std::uint16_t kOutsidePort = 9095;
constexpr const char* kOutsideListener = "outside";
/// How long after its start a broker may learn where clients outside find it.
constexpr std::int64_t kAddressUnknownMsMax = 2000;
constexpr common::Duration kStopMax = std::chrono::seconds(60);

/// What is left of a process.
struct Remains {
  std::vector<std::unique_ptr<env::Disk>> mounts;
  std::vector<std::unique_ptr<env::Transport>> transports;
  std::unique_ptr<server::Node> node;
};

std::string name_of(std::int64_t node) {
  return fmt::format("broker-{}", node);
}

/// Files of records, of all partitions.
std::vector<std::string> segments_on(env::Disk& disk) {
  constexpr std::string_view kTopics = "topics";
  std::vector<std::string> segments;
  const auto below = [&disk](const std::string& folder) {
    auto listed = disk.list(folder);
    return listed.ok() ? *std::move(listed) : std::vector<env::DirectoryEntry>{};
  };
  for (const auto& topic : below(std::string(kTopics))) {
    const std::string folder = fmt::format("{}/{}", kTopics, topic.name);
    for (const auto& partition : below(folder)) {
      for (const auto& file : below(fmt::format("{}/{}", folder, partition.name))) {
        if (file.name.ends_with(".log"))
          segments.push_back(fmt::format("{}/{}/{}", folder, partition.name, file.name));
      }
    }
  }
  return segments;
}

/// Of one that was killed no destructor runs, here as in the world: it stays as it was.
void bury(Remains remains) {
  static auto* const graves = new std::vector<Remains>;
  graves->push_back(std::move(remains));
}

}  // namespace

/// Levels that nobody looks at.
class Machine::Levels final : public service::Loggers {
 public:
  std::map<std::string, std::string> levels() const override {
    return {{std::string(service::kRootLogger), "INFO"}};
  }
  model::Result<void> set_level(const std::string&, std::string_view) override {
    return common::ok();
  }
};

Machine::Machine(Place place, MachineOptions options)
    : place_(place),
      options_(std::move(options)),
      name_(options_.name.empty() ? name_of(options_.node) : options_.name),
      random_(place.world.random().fork()),
      disk_(place.world),
      levels_(std::make_unique<Levels>()) {
  model::ConfigMap config = options_.config;
  config["data.dir"] = "/data";
  config["node.id"] = std::to_string(options_.node);
  config["kafka.listen"] = fmt::format("0.0.0.0:{}", kKafkaPort);
  config["kafka.advertised"] = fmt::format("{}:{}", name_, kKafkaPort);
  if (options_.outside) {
    config["kafka.outside.listen"] = fmt::format("{}://0.0.0.0:{}", kOutsideListener, kOutsidePort);
    config["kafka.outside.addresses"] = "/told-by-the-machine";
  }
  if (options_.first_voters > 1) {
    std::string& voters = config["metadata.voters"];
    for (std::uint32_t i = 0; i < options_.first_voters; ++i)
      voters += fmt::format("{}{}@{}:{}", i == 0 ? "" : ",", i, name_of(i), kInternalPort);
    config["internal.listen"] = fmt::format("0.0.0.0:{}", kInternalPort);
    config["internal.advertised"] = fmt::format("{}:{}", name_, kInternalPort);
  }
  config_ = std::make_shared<const model::ConfigMap>(std::move(config));
}

Machine::~Machine() {
  if (node_ != nullptr) kill();
}

env::Endpoint Machine::endpoint() const {
  return {name_, options_.outside ? kOutsidePort : kKafkaPort};
}

service::Loggers& Machine::loggers() {
  return *levels_;
}

void Machine::log(Level level, std::string_view line) {
  place_.trace.say(name_, "{}", line);
  if (level == Level::kError && line.starts_with("event=damage") && excuses_ == 0 && !rotten_)
    place_.trace.fail(fmt::format("{}: {}", name_, line));
}

// On a shard's loop: what is left of the process's task can do nothing any more.
void Machine::fatal_disk(const Error& error) {
  place_.trace.say(name_, "ends, its disk failed: {}", error.detail);
  if (excuses_ == 0) place_.trace.fail(fmt::format("{}: its disk failed: {}", name_, error.detail));
  end_process(Told::kYes);
  disk_.kill();
  place_.agenda.after(common::Duration{0}, [this, process = process_] {
    if (process == process_) take_apart();
  });
}

// ---- Start

Result<void> Machine::open() {
  server::Directory directory;
  std::vector<server::ShardWorld> worlds;
  for (std::uint32_t i = 0; i < options_.shards; ++i) {
    SimLoop& loop = place_.world.make_loop();
    loop.set_wall_skew(wall_skew_ms_);
    loops_.push_back(&loop);
    mounts_.push_back(disk_.mount(loop));
    transports_.push_back(place_.network.join(loop, name_));
    worlds.push_back({loop, *mounts_[i], *transports_[i]});
  }
  const auto told = config_->find("cluster.id");
  TRY_ASSIGN(directory,
             server::open_or_format(*mounts_[0], "/data",
                                    {.cluster_id = told == config_->end() ? "sim" : told->second,
                                     .node = model::BrokerId{options_.node},
                                     .shards = options_.shards},
                                    options_.shards, random_));
  const server::MemoryPlan memory{
      .total_bytes = options_.memory_bytes,
      .cache_bytes_per_shard = options_.memory_bytes / 4 / options_.shards,
      .compaction_bytes_per_shard = options_.memory_bytes / 8 / options_.shards};
  node_ = std::make_unique<server::Node>(server::Node::Parts{.shards = std::move(worlds),
                                                             .directory = directory,
                                                             .start_config = config_,
                                                             .memory = memory,
                                                             .random = random_.fork(),
                                                             .version = "sim",
                                                             .host = *this});
  for (std::uint32_t i = 0; i < options_.shards; ++i) TRY(node_->open_store(i));
  TRY(node_->assemble());
  if (options_.outside) tell_outside();
  std::uint64_t replayed = 0;
  for (service::Shard* shard : node_->shards())
    replayed += shard->store().recovery().entries_replayed;
  if (std::exchange(clean_, false) && replayed > 0) {
    return Error{ErrorCode::kCorruptLog,
                 fmt::format("{} entries were replayed after a clean stop", replayed)};
  }
  return common::ok();
}

void Machine::use_settings(model::ConfigMap settings) {
  config_ = std::make_shared<const model::ConfigMap>(std::move(settings));
}

/// At once, or later: who manages the machines finds it out as they start.
void Machine::tell_outside() {
  const auto tell = [this, process = process_] {
    if (process != process_ || ended_ || node_ == nullptr) return;
    node_->set_outside({{kOutsideListener, {name_, kOutsidePort}}});
  };
  if (random_.chance(1, 2)) return tell();
  place_.agenda.after(std::chrono::milliseconds(random_.between(0, kAddressUnknownMsMax)), tell);
}

void Machine::start() {
  if (state_ != State::kOff) return;
  place_.trace.say(name_, "starts");
  state_ = State::kStarting;
  ended_ = false;
  ++process_;
  ++starts_;
  if (auto opened = open(); !opened.ok()) return could_not_start(opened.error());
  // A shard's loop may have been told to end the process meanwhile.
  if (!ended_) recover();
}

/// What follows a step of this process.
auto Machine::unless_it_ended(void (Machine::*next)()) {
  return [this, next, process = process_](Result<void> outcome) {
    // Once it was told to stop, that is what it answers.
    if (process != process_ || ended_ || state_ != State::kStarting) return;
    if (outcome.ok()) return (this->*next)();
    // It is a task of the node's that tells: the node may go only after it.
    place_.agenda.after(common::Duration{0}, [this, process, error = outcome.error()] {
      if (process == process_ && !ended_ && state_ == State::kStarting) could_not_start(error);
    });
  };
}

void Machine::recover() {
  node_->recover(unless_it_ended(&Machine::listen));
}

void Machine::listen() {
  node_->listen(unless_it_ended(&Machine::serve));
}

void Machine::serve() {
  node_->serve({name_, 0}, unless_it_ended(&Machine::served));
}

void Machine::served() {
  place_.trace.say(name_, "serves");
  state_ = State::kServing;
}

void Machine::could_not_start(const Error& error) {
  place_.trace.say(name_, "cannot start: {}", error.detail);
  if (disk_.power_is_cut()) return lose_power(Told::kYes);
  if (excuses_ == 0) place_.trace.fail(fmt::format("{} cannot start: {}", name_, error.detail));
  kill();
}

// ---- End

void Machine::kill() {
  if (state_ == State::kOff) return;
  place_.trace.say(name_, "is killed");
  end_process(Told::kYes);
  disk_.kill();
  take_apart();
}

void Machine::lose_power(Told told) {
  place_.trace.say(name_, "loses its power");
  end_process(told);
  disk_.crash();
  take_apart();
}

void Machine::lose_disk() {
  if (state_ != State::kOff) lose_power(Told::kYes);
  place_.trace.say(name_, "gets a new disk");
  disk_.lose_everything();
  rotten_ = false;
}

void Machine::rot() {
  const std::vector<std::string> segments = segments_on(*disk_.mount(place_.world.make_loop()));
  if (segments.empty()) return;
  const std::string& path = segments[random_.below(segments.size())];
  const auto content = disk_.content(path);
  if (content.size() == 0) return;
  const std::uint64_t at = random_.below(content.size());
  place_.trace.say(name_, "a bit flips in {} at {}", path, at);
  disk_.flip_bit(path, at, static_cast<unsigned>(random_.below(8)));
  rotten_ = true;
}

void Machine::lose_power_after(std::uint64_t disk_calls) {
  place_.trace.say(name_, "will lose its power in {} calls of its disk", disk_calls);
  disk_.cut_power_after(disk_calls, [this] {
    // From inside the call: nothing of the machine goes on.
    end_process(Told::kNo);
    place_.agenda.after(common::Duration{0}, [this] {
      if (disk_.power_is_cut()) lose_power(Told::kYes);
    });
  });
}

void Machine::stop() {
  place_.trace.say(name_, "is told to stop");
  if (state_ == State::kStarting || state_ == State::kServing) begin_to_stop();
}

void Machine::begin_to_stop() {
  state_ = State::kStopping;
  node_->stop([this, process = process_](Result<void> outcome) {
    if (process != process_ || ended_) return;
    place_.trace.say(name_, "has stopped{}{}", outcome.ok() ? "" : ": ",
                     outcome.ok() ? "" : outcome.error().detail);
    place_.agenda.after(common::Duration{0}, [this, process, clean = outcome.ok()] {
      if (process == process_ && !ended_) exit_process(clean);
    });
  });
  place_.agenda.after(kStopMax, [this, process = process_] {
    if (process == process_ && !ended_) {
      place_.trace.fail(fmt::format("{} does not stop", name_));
    }
  });
}

// As at the end of main(): everything is destroyed in order, and no answer is left out.
void Machine::exit_process(bool clean) {
  end_process(Told::kYes);
  node_.reset();
  disk_.kill();
  take_apart();
  clean_ = clean;
}

void Machine::end_process(Told told) {
  ended_ = true;
  place_.network.crash(name_, told == Told::kYes);
  for (SimLoop* loop : loops_) loop->stop();
}

void Machine::take_apart() {
  bury({std::exchange(mounts_, {}), std::exchange(transports_, {}), std::move(node_)});
  loops_.clear();
  ++process_;
  clean_ = false;
  if (std::exchange(state_, State::kOff) != State::kOff) start_later();
}

void Machine::start_later() {
  const common::Duration delay = std::chrono::milliseconds(random_.between(20, 3000));
  place_.agenda.after(delay, [this] {
    if (supervised_) start();
  });
}

void Machine::pause(common::Duration span) {
  place_.trace.say(name_, "stands still for {} ms", span / std::chrono::milliseconds(1));
  for (SimLoop* loop : loops_) loop->pause_for(span);
}

void Machine::pause_one_thread(common::Duration span) {
  if (!loops_.empty()) loops_[random_.below(loops_.size())]->pause_for(span);
}

void Machine::set_wall_skew(std::int64_t ms) {
  place_.trace.say(name_, "has a clock that is wrong by {} ms", ms);
  wall_skew_ms_ = ms;
  for (SimLoop* loop : loops_) loop->set_wall_skew(ms);
}

}  // namespace millrace::sim
