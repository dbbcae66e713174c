#include <limits>
#include <utility>

#include "operator/kube/backoff.h"
#include "operator/kube/fields.h"
#include "operator/kube/kinds.h"
#include "operator/kube/lease.h"
#include "operator/kube/timestamp.h"

namespace millrace::kube {
namespace {

constexpr auto kNever = std::numeric_limits<common::Instant::rep>::min();

}  // namespace

Json lease_object(const ObjectKey& key, const LeaseRecord& record) {
  Json object{{"apiVersion", kLeases.api_version()},
              {"kind", kLeases.kind},
              {"metadata", {{"namespace", key.space}, {"name", key.name}}},
              {"spec",
               {{"holderIdentity", record.holder},
                {"leaseDurationSeconds", record.seconds},
                {"leaseTransitions", record.transitions}}}};
  if (!record.resource_version.empty()) {
    object["metadata"]["resourceVersion"] = record.resource_version;
  }
  if (!record.acquired.empty()) object["spec"]["acquireTime"] = record.acquired;
  if (!record.renewed.empty()) object["spec"]["renewTime"] = record.renewed;
  return object;
}

std::optional<LeaseRecord> lease_record(const Json& object) {
  LeaseRecord record;
  record.resource_version = text_at(object, {"metadata", "resourceVersion"});
  if (record.resource_version.empty()) return std::nullopt;
  record.holder = text_at(object, {"spec", "holderIdentity"});
  record.seconds = number_at(object, {"spec", "leaseDurationSeconds"}).value_or(0);
  record.transitions = number_at(object, {"spec", "leaseTransitions"}).value_or(0);
  record.acquired = text_at(object, {"spec", "acquireTime"});
  record.renewed = text_at(object, {"spec", "renewTime"});
  return record;
}

Leadership::Leadership(Api& api, Key lease, std::string identity, const common::Clock& clock,
                       ElectionSettings settings)
    : api_(api),
      key_(std::move(lease)),
      clock_(clock),
      election_(std::move(identity), settings),
      leads_until_(kNever) {}

void Leadership::on_change(std::function<void(bool)> handler) {
  handler_ = std::move(handler);
}

void Leadership::run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    if (const auto until = turn()) pause(*until - clock_.now(), stop);
  }
  resign();
}

std::optional<common::Instant> Leadership::turn() {
  const Election::Step step = election_.step(clock_.now(), micro_time_text(clock_.wall()));
  publish();
  if (const auto* wait = std::get_if<Election::Wait>(&step)) return wait->until;
  if (const auto* written = std::get_if<Election::Write>(&step)) {
    write(written->record);
  } else {
    read();
  }
  publish();
  return std::nullopt;
}

void Leadership::read() {
  const auto found = api_.get(kLeases, key_);
  const common::Instant now = clock_.now();
  if (found.ok()) {
    const auto record = lease_record(*found);
    if (!record) {
      note("the server's answer is no Lease");
      return election_.read_failed(now);
    }
    election_.read_done(record, now);
  } else if (found.error().cause == Cause::kNotFound) {
    election_.read_done(std::nullopt, now);
  } else {
    note(found.error().detail);
    return election_.read_failed(now);
  }
  note({});
}

void Leadership::write(const LeaseRecord& record) {
  const Json object = lease_object(key_, record);
  const common::Instant began = clock_.now();
  const auto answer =
      record.resource_version.empty() ? api_.create(kLeases, object) : api_.update(kLeases, object);
  const common::Instant now = clock_.now();
  if (answer.ok()) {
    const std::string version = text_at(*answer, {"metadata", "resourceVersion"});
    election_.write_done(Election::Written::kYes, record, version, began, now);
    return note({});
  }
  const ApiError& error = answer.error();
  const bool refused = !error.maybe_done;
  // To lose the race for a lease is no trouble.
  const bool expected = error.cause == Cause::kConflict || error.cause == Cause::kAlreadyExists;
  note(expected ? std::string() : error.detail);
  election_.write_done(refused ? Election::Written::kNo : Election::Written::kUnknown, record, {},
                       began, now);
}

void Leadership::publish() {
  const auto until = election_.leads_until();
  leads_until_.store(until ? until->time_since_epoch().count() : kNever);
  {
    const std::lock_guard lock(mutex_);
    holder_ = election_.holder();
  }
  if (until.has_value() == announced_) return;
  announced_ = until.has_value();
  if (announced_) ++terms_;
  if (handler_) handler_(announced_);
}

void Leadership::resign() {
  const auto record = election_.resign(clock_.now(), micro_time_text(clock_.wall()));
  publish();
  if (!record) return;
  // Best effort: without it the others wait for the lease to run out.
  const auto answer = api_.update(kLeases, lease_object(key_, *record));
  if (!answer.ok()) note(answer.error().detail);
}

bool Leadership::leading() const {
  return clock_.now().time_since_epoch().count() < leads_until_.load();
}

std::string Leadership::holder() const {
  const std::lock_guard lock(mutex_);
  return holder_;
}

std::string Leadership::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

void Leadership::note(const std::string& trouble) {
  const std::lock_guard lock(mutex_);
  trouble_ = trouble;
}

}  // namespace millrace::kube
