// A connection that a shard of another broker made to a shard of this one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "broker/cluster/raft_codec.h"
#include "broker/cluster/stream.h"

namespace millrace::cluster {

class Mesh;

/// Brings Raft's messages and calls; answers go back on it. Destroyed only where it is not on the
/// stack.
class Inbound final : private StreamOwner {
 public:
  /// Of one connection, calls that are worked on at once; more are refused.
  static constexpr std::size_t kRequestsMax = 1024;

  Inbound(Mesh& mesh, std::unique_ptr<env::Connection> connection,
          std::shared_ptr<const Introduction> who, std::uint32_t from_shard, std::uint8_t version);

  /// Answers the hello, and begins to read.
  void start();
  void close() { stream_.close(); }
  bool closed() const { return stream_.closed(); }
  const Introduction& who() const { return *who_; }
  std::uint32_t from_shard() const { return from_shard_; }

 private:
  Result<std::size_t> on_body(const FrameHead& head, Bytes body) override;
  Result<std::size_t> on_piece(Bytes piece) override;
  void on_end(StreamEnd end, const std::string& why) override;

  Result<std::size_t> next_messages();
  void deliver(RaftItem item, std::vector<Bytes> data);
  void serve(const RequestHead& head, Bytes body);
  void respond(std::uint64_t id, Result<Bytes> result);

  Mesh& mesh_;
  const std::shared_ptr<const Introduction> who_;
  const std::uint32_t from_shard_;
  const std::uint8_t version_;
  Stream stream_;
  FrameType reading_{};     // whose data is on its way
  RaftFrameReader reader_;  // of a kRaft
  RaftItem item_;           // likewise
  RequestHead request_;     // of a kRequest
  std::size_t in_work_ = 0;
  const std::shared_ptr<bool> here_ = std::make_shared<bool>(true);
};

}  // namespace millrace::cluster
