// if (!frame.fits(message, data)) frame.finish(version, out);
// frame.add(group, message, data);
//
// Raft's messages of many groups in one frame, followed by their data.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "broker/cluster/frames.h"
#include "broker/raft/messages.h"

namespace millrace::cluster {

/// More pieces of data than this are told as fewer.
inline constexpr std::size_t kPiecesMax = 1024;
/// A frame that holds so much data takes no more messages.
inline constexpr std::size_t kFrameDataGoal = std::size_t{4} << 20;

/// Who sends and who gets a message is not written: it is known from the handshake of the
/// connection.
class RaftFrameWriter {
 public:
  /// `data` is shared, not copied, and may be empty. Requires room().
  void add(const model::PartitionKey& group, const raft::Message& message,
           std::span<const Bytes> data);
  bool empty() const { return messages_ == 0; }
  std::size_t messages() const { return messages_; }
  /// Whether another message may be added.
  bool room() const;
  /// Of the frame so far.
  std::size_t bytes() const { return body_.size() + data_bytes_; }
  /// Appends the frame to `out`: its head and body, then the data. Begins the next one. Requires
  /// !empty().
  void finish(std::uint8_t version, std::vector<Bytes>& out);
  /// Drops what was added.
  void clear();

 private:
  FieldWriter body_;
  std::vector<Bytes> data_;
  std::size_t data_bytes_ = 0;
  std::size_t messages_ = 0;
  model::TopicId topic_;  // of the message before
};

/// One message as it was read, and the sizes of the pieces of its data.
struct RaftItem {
  model::PartitionKey group;
  raft::Message message;
  std::vector<std::uint32_t> pieces;
  std::size_t data_bytes = 0;
};

/// Reads the messages of a frame's body one by one.
class RaftFrameReader {
 public:
  RaftFrameReader() : in_(ByteView()) {}
  explicit RaftFrameReader(Bytes body) : body_(std::move(body)), in_(body_.view()) {}
  bool more() const { return in_.left() > 0; }
  /// kCorruptMessage: the rest cannot be read. The message's `from` and `to` are the caller's to
  /// fill in; whether it makes sense is for raft::is_sound() to say.
  Result<RaftItem> next();

 private:
  Bytes body_;
  FieldReader in_;
  model::TopicId topic_;
};

}  // namespace millrace::cluster
