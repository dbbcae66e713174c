#include <algorithm>
#include <utility>

#include "operator/kube/lease.h"

namespace millrace::kube {

Election::Election(std::string identity, ElectionSettings settings)
    : identity_(std::move(identity)), settings_(settings) {
  CHECK(!identity_.empty(), "an empty holder means that nobody leads");
  CHECK(settings_.retry.count() > 0);
  CHECK(settings_.retry < settings_.renew_deadline, "a leader needs time to try again");
  CHECK(settings_.renew_deadline < settings_.lease, "a leader stops before another may start");
}

LeaseRecord Election::mine(const std::string& wall) const {
  LeaseRecord record = seen_;
  if (seen_.holder != identity_) {
    record.acquired = wall;
    // The first holder of a new Lease has taken it from nobody.
    record.transitions = seen_at_ && !seen_.resource_version.empty() ? seen_.transitions + 1 : 0;
  }
  record.holder = identity_;
  record.seconds = settings_.lease.count();
  record.renewed = wall;
  return record;
}

bool Election::may_take(common::Instant now) const {
  if (!seen_at_) return false;
  if (seen_.holder.empty() || seen_.holder == identity_) return true;
  // The time that its holder promised counts where it is longer than ours.
  const common::Duration theirs =
      std::chrono::seconds(std::clamp<std::int64_t>(seen_.seconds, 0, 3600));
  return now - *seen_at_ >= std::max<common::Duration>(settings_.lease, theirs);
}

Election::Step Election::step(common::Instant now, const std::string& wall) {
  if (leads_until_ && now >= *leads_until_) {
    // From here on a follower like any other, who must see what became of the lease.
    leads_until_.reset();
    must_read_ = true;
  }
  if (now < next_) {
    return Wait{leads_until_ ? std::min(next_, *leads_until_) : next_};
  }
  if (must_read_) return Read{};
  if (leads_until_ || may_take(now)) return Write{mine(wall)};
  must_read_ = true;
  return Read{};
}

void Election::read_done(const std::optional<LeaseRecord>& found, common::Instant now) {
  const LeaseRecord record = found.value_or(LeaseRecord{});
  if (!seen_at_ || !(record == seen_)) {
    seen_ = record;
    seen_at_ = now;
  }
  must_read_ = false;
  const bool attempt_landed = attempt_ && record.holder == identity_ &&
                              record.renewed == attempt_->renewed &&
                              record.resource_version != attempt_->resource_version;
  if (attempt_landed) {
    // The answer was lost, the write was not. It counts from when it was sent.
    leads_until_ = attempt_began_ + settings_.renew_deadline;
    if (now >= *leads_until_) leads_until_.reset();
  } else if (leads_until_ && record.holder != identity_) {
    leads_until_.reset();
  }
  attempt_.reset();
  if (leads_until_) {
    next_ = std::min(now + settings_.retry, *leads_until_);
    return;
  }
  next_ = may_take(now) ? now : now + settings_.retry;
  // A follower looks again before it decides; one that may take the lease writes at once.
  must_read_ = !may_take(now);
}

void Election::read_failed(common::Instant now) {
  must_read_ = true;
  next_ = now + settings_.retry;
}

void Election::write_done(Written how, const LeaseRecord& record,
                          const std::string& resource_version, common::Instant began,
                          common::Instant now) {
  CHECK(record.holder == identity_, "{} wrote for {}", identity_, record.holder);
  CHECK(began <= now);
  switch (how) {
    case Written::kYes:
      seen_ = record;
      seen_.resource_version = resource_version;
      seen_at_ = now;
      attempt_.reset();
      leads_until_ = began + settings_.renew_deadline;
      if (now >= *leads_until_) leads_until_.reset();
      must_read_ = !leads_until_;
      next_ = began + settings_.retry;
      return;
    case Written::kNo:
      attempt_.reset();
      must_read_ = true;
      // A leader whose record another wrote must know at once; others have time.
      next_ = leads_until_ ? now : now + settings_.retry;
      return;
    case Written::kUnknown:
      attempt_ = record;
      attempt_began_ = began;
      must_read_ = true;
      next_ = leads_until_ ? now : now + settings_.retry;
      return;
  }
}

std::optional<LeaseRecord> Election::resign(common::Instant now, const std::string& wall) {
  if (!leading(now)) return std::nullopt;
  leads_until_.reset();
  must_read_ = true;
  LeaseRecord record = seen_;
  record.holder.clear();
  record.seconds = 1;
  record.renewed = wall;
  return record;
}

}  // namespace millrace::kube
