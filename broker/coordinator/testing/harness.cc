#include "broker/coordinator/testing/harness.h"

#include <algorithm>

#include "broker/coordinator/testing/text.h"
#include "common/check.h"

namespace millrace::coordinator {

Harness::Harness(const Settings& settings) : settings_(settings) {
  start({});
}

void Harness::start(const std::vector<Record>& records) {
  labels_.clear();
  parked_.clear();
  batch_ = 0;
  committed_ = 0;
  holds_ = false;
  machine_ = std::make_unique<Machine>(settings_);
  for (const Record& record : records) machine_->load(record);
  machine_->loaded(now());
  perform();
  machine_->topics_changed(topics_, now());
  perform();
}

Ticket Harness::ticket(std::string label) {
  const auto ticket = static_cast<Ticket>(++tickets_);
  labels_.emplace(ticket, std::move(label));
  return ticket;
}

void Harness::perform() {
  while (auto effects = machine_->take_effects()) {
    if (!effects->records.empty() && refusal_.has_value()) {
      const ErrorCode code = *std::exchange(refusal_, std::nullopt);
      machine_->refused(*std::move(effects), code, now());
      continue;
    }
    if (!effects->records.empty()) {
      CHECK(effects->batch > batch_);
      CHECK(effects->after == effects->batch);
      batch_ = effects->batch;
      log_.insert(log_.end(), effects->records.begin(), effects->records.end());
      appended_.insert(appended_.end(), effects->records.begin(), effects->records.end());
      machine_->appended(*effects, now());
    }
    CHECK(effects->after <= batch_, "an answer waits for a batch that is not there");
    parked_.push_back({effects->after, std::move(effects->answers)});
    if (!holds_) hold_commits(false);
    give_committed();
  }
}

void Harness::hold_commits(bool hold) {
  holds_ = hold;
  if (hold) return;
  committed_ = batch_;
  committed_records_ = log_.size();
  give_committed();
}

void Harness::give_committed() {
  std::deque<Parked> later;
  for (Parked& parked : std::exchange(parked_, {})) {
    if (parked.after <= committed_) {
      give(std::move(parked.answers));
    } else {
      later.push_back(std::move(parked));
    }
  }
  parked_ = std::move(later);
}

void Harness::give(std::vector<std::pair<Ticket, Answer>> answers) {
  for (auto& [ticket, answer] : answers) {
    const auto at = labels_.find(ticket);
    CHECK(at != labels_.end(), "ticket {} is answered twice, or was never drawn: {}",
          static_cast<std::uint64_t>(ticket), to_text(answer));
    answers_.emplace_back(at->second, std::move(answer));
    labels_.erase(at);
  }
}

void Harness::advance(common::Duration step) {
  const common::Instant end = clock_.now() + step;
  for (int ticks = 0;; ++ticks) {
    CHECK(ticks < 100'000, "the machine ticks without end");
    const auto next = machine_->next_tick();
    if (!next.has_value() || *next > end) break;
    if (*next > clock_.now()) clock_.advance(*next - clock_.now());
    machine_->tick(now());
    perform();
  }
  if (end > clock_.now()) clock_.advance(end - clock_.now());
}

model::TopicId Harness::topic_id(const std::string& name, std::uint8_t incarnation) {
  CHECK(!name.empty());
  model::TopicId id;
  id.bytes[0] = incarnation;
  id.bytes[15] = static_cast<std::uint8_t>(name[0]);
  return id;
}

void Harness::set_topics(const std::map<std::string, std::int32_t>& partitions,
                         std::uint8_t incarnation) {
  auto topics = std::make_shared<Topics>();
  topics->version = topics_->version + 1;
  for (const auto& [name, count] : partitions) {
    const model::TopicId id = topic_id(name, incarnation);
    topics->by_name.emplace(name, Topic{.id = id, .name = name, .partitions = count});
    topics->names.emplace(id, name);
  }
  set_topics(std::move(topics));
}

void Harness::set_topics(std::shared_ptr<const Topics> topics) {
  topics_ = std::move(topics);
  machine_->topics_changed(topics_, now());
  perform();
}

void Harness::set_settings(const Settings& settings) {
  settings_ = settings;
  machine_->set_settings(settings);
}

std::vector<Record> Harness::compacted() const {
  std::map<std::string, std::size_t> newest;
  for (std::size_t i = 0; i < log_.size(); ++i) newest[key_text(log_[i])] = i;
  std::vector<Record> kept;
  for (std::size_t i = 0; i < log_.size(); ++i) {
    const bool is_tombstone =
        std::visit([](const auto& record) { return !record.value.has_value(); }, log_[i]);
    if (newest[key_text(log_[i])] == i && !is_tombstone) kept.push_back(log_[i]);
  }
  return kept;
}

void Harness::crash(LoadFrom from) {
  log_.resize(committed_records_);
  if (from == LoadFrom::kCompactedLog) log_ = compacted();
  if (from == LoadFrom::kSnapshot) {
    Machine reader(settings_);
    for (const Record& record : log_) reader.load(record);
    reader.loaded(now());
    log_ = reader.snapshot();
  }
  committed_records_ = log_.size();
  refusal_.reset();
  start(std::vector<Record>(log_));
}

void Harness::adopt_log(std::vector<Record> records) {
  log_ = std::move(records);
  committed_records_ = log_.size();
  crash();
}

void Harness::resign(ErrorCode code) {
  machine_->close(code);
  while (const auto effects = machine_->take_effects()) {
    CHECK(effects->records.empty());
    give(effects->answers);
  }
  for (Parked& parked : std::exchange(parked_, {})) give(std::move(parked.answers));
  CHECK(labels_.empty(), "{} was never answered", labels_.begin()->second);
  crash();
}

std::vector<std::pair<std::string, Answer>> Harness::take_answers() {
  return std::exchange(answers_, {});
}

std::vector<std::string> Harness::waiting() const {
  std::vector<std::string> labels;
  for (const auto& [ticket, label] : labels_) labels.push_back(label);
  return labels;
}

}  // namespace millrace::coordinator
