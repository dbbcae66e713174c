// What the first message of a Subscribe call asks for.
#pragma once

#include <string>
#include <string_view>

#include "broker/grpc/credit.h"
#include "broker/grpc/feed.h"
#include "broker/service/group_member.h"
#include "millrace/v1/subscriber.pb.h"

namespace millrace::grpc {

/// What a Join asks for, checked and with defaults.
struct SubscribeWish {
  service::MemberOptions member;
  Feed::Settings feed;
  Credit::Amount credit;
  common::Duration progress_timeout{};
  common::Duration auto_commit_interval{};  // 0: none
};
/// kInvalidGroupId, kInvalidRequest. `peer` is the client as gRPC names it.
common::Result<SubscribeWish> read_wish(const v1::Join& join, std::string_view peer);

/// A peer as gRPC names it ("ipv4:10.1.2.3:5000") in Kafka's words ("/10.1.2.3").
std::string host_of_peer(std::string_view peer);

}  // namespace millrace::grpc
