#include <algorithm>
#include <map>
#include <utility>

#include "broker/coordinator/assignor.h"
#include "common/check.h"

namespace millrace::coordinator {
namespace {

// Topics that are given out together: partition i of each goes to the same member.
struct Company {
  std::vector<std::uint32_t> topics;
  std::vector<std::uint32_t> members;  // in the order in which they are served
  std::int32_t partitions = 0;
};

// Static members by instance, then dynamic ones by name: an order that restarts do not change.
std::vector<std::uint32_t> serving_order(const AssignorInput& input) {
  std::vector<std::uint32_t> order(input.members.size());
  for (std::uint32_t m = 0; m < order.size(); ++m) order[m] = m;
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    const AssignorMember& x = input.members[a];
    const AssignorMember& y = input.members[b];
    if (x.instance.empty() != y.instance.empty()) return y.instance.empty();
    return x.instance < y.instance;
  });
  return order;
}

std::vector<Company> companies_of(const AssignorInput& input) {
  std::vector<std::vector<std::uint32_t>> members(input.topics.size());
  for (const std::uint32_t m : serving_order(input)) {
    for (const std::uint32_t topic : input.subscriptions[input.members[m].subscription])
      members[topic].push_back(m);
  }
  std::map<std::pair<std::int32_t, std::vector<std::uint32_t>>, std::size_t> found;
  std::vector<Company> companies;
  for (std::uint32_t topic = 0; topic < input.topics.size(); ++topic) {
    if (members[topic].empty()) continue;
    const std::int32_t partitions = input.topics[topic].partitions;
    const auto [at, fresh] = found.try_emplace({partitions, members[topic]}, companies.size());
    if (fresh) companies.push_back({{}, std::move(members[topic]), partitions});
    companies[at->second].topics.push_back(topic);
  }
  return companies;
}

// Who has partition i, for each i: its member in the first topic of the company that had one.
// Topics that were apart before (one just grew to the size of another) follow that one.
std::vector<std::int32_t> owners_before(const Company& company, const Slots& slots,
                                        const std::vector<std::int32_t>& owner_of_slot) {
  std::vector<std::int32_t> owners(static_cast<std::size_t>(company.partitions), -1);
  for (const std::uint32_t topic : company.topics) {
    for (std::size_t i = 0; i < owners.size(); ++i) {
      if (owners[i] < 0)
        owners[i] = owner_of_slot[slots.first_of(topic) + static_cast<std::uint32_t>(i)];
    }
  }
  return owners;
}

// New owners of the company's partition numbers.
void share_out(const Company& company, std::vector<std::int32_t>& owners, std::size_t all_members) {
  const std::size_t quota = owners.size() / company.members.size();
  std::size_t extras = owners.size() % company.members.size();
  std::vector<std::size_t> had(all_members, 0);
  for (const std::int32_t owner : owners) {
    if (owner >= 0) ++had[static_cast<std::size_t>(owner)];
  }
  // Members with more than the quota may keep one of the extras; what is left of those goes to the
  // first that are served.
  std::vector<std::size_t> due(all_members, 0);
  for (const std::uint32_t m : company.members) {
    due[m] = quota;
    if (had[m] > quota && extras > 0) {
      ++due[m];
      --extras;
    }
  }
  for (const std::uint32_t m : company.members) {
    if (extras > 0 && due[m] == quota) {
      ++due[m];
      --extras;
    }
  }
  CHECK(extras == 0);
  std::vector<std::int32_t> free;
  for (std::size_t i = 0; i < owners.size(); ++i) {
    const std::int32_t owner = owners[i];
    if (owner >= 0 && due[static_cast<std::size_t>(owner)] > 0) {
      --due[static_cast<std::size_t>(owner)];
    } else {
      owners[i] = -1;
      free.push_back(static_cast<std::int32_t>(i));
    }
  }
  auto next = free.begin();
  for (const std::uint32_t m : company.members) {
    for (; due[m] > 0; --due[m]) {
      CHECK(next != free.end());
      owners[static_cast<std::size_t>(*next++)] = static_cast<std::int32_t>(m);
    }
  }
  CHECK(next == free.end(), "{} partitions without an owner", free.end() - next);
}

}  // namespace

Shares assign_range(const AssignorInput& input) {
  const Slots slots(input);
  std::vector<std::int32_t> owner_of_slot(slots.count(), -1);
  const auto kept = slots.kept();
  for (std::size_t m = 0; m < kept.size(); ++m) {
    for (const std::uint32_t slot : kept[m]) owner_of_slot[slot] = static_cast<std::int32_t>(m);
  }
  for (const Company& company : companies_of(input)) {
    std::vector<std::int32_t> owners = owners_before(company, slots, owner_of_slot);
    share_out(company, owners, input.members.size());
    for (const std::uint32_t topic : company.topics) {
      std::copy(owners.begin(), owners.end(), owner_of_slot.begin() + slots.first_of(topic));
    }
  }
  std::vector<std::vector<std::uint32_t>> owned(input.members.size());
  for (std::uint32_t slot = 0; slot < slots.count(); ++slot) {
    if (owner_of_slot[slot] >= 0)
      owned[static_cast<std::size_t>(owner_of_slot[slot])].push_back(slot);
  }
  return slots.shares(std::move(owned));
}

}  // namespace millrace::coordinator
