// stream.queue(frame, data);   // leaves at the end of the loop's turn
//
// One connection as a stream of frames in both directions, and what all those of a loop share.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "broker/cluster/frame_input.h"
#include "broker/cluster/metrics.h"
#include "broker/cluster/settings.h"
#include "broker/env/transport.h"

namespace millrace::cluster {

class Stream;

/// Why a stream ended by itself.
enum class StreamEnd : std::uint8_t {
  kBroken,     // the peer closed it, or it broke
  kMalformed,  // what it brought makes no sense
  kStalled,    // bytes wait, in one direction or the other, and none moves
};

/// Whether a stream begins no new frame while its pool is paused or short of memory.
enum class Intake : std::uint8_t { kWaits, kGoesOn };

/// Whose stream it is.
class StreamOwner : public FrameSink {
 public:
  /// The turn ends: what should go with it is to be queued now.
  virtual void on_turn_end() {}
  /// The last call; the connection is closed. Not from within the owner's own calls, but for
  /// flush().
  virtual void on_end(StreamEnd end, const std::string& why) = 0;
};

/// The streams of one loop: a scratch buffer to read into, a count of what half a frame takes, and
/// the list of those who have something to send at the end of the turn. Outlives its streams.
class StreamPool {
 public:
  StreamPool(env::Loop& loop, const Settings& settings, MeshMetrics& metrics)
      : loop_(loop), settings_(settings), metrics_(metrics) {}
  ~StreamPool();
  StreamPool(const StreamPool&) = delete;
  StreamPool& operator=(const StreamPool&) = delete;

  env::Loop& loop() { return loop_; }
  const Settings& settings() const { return settings_; }
  MeshMetrics& metrics() { return metrics_; }
  Instant now() const { return loop_.clock().now(); }

  /// Streams whose intake waits begin no new frame until resume().
  void pause();
  void resume();
  /// Destroys it when nothing of this turn can refer to it any more.
  void bury(std::shared_ptr<void> thing);
  /// Runs the task at the end of the turn, before streams are flushed.
  void at_turn_end(env::Task task);
  std::size_t streams() const { return streams_.size(); }

 private:
  friend class Stream;
  void enter(Stream& stream);
  void leave(Stream& stream);
  common::MutableByteView scratch();
  bool may_begin_frame() const {
    return !paused_ && metrics_.input_bytes < settings_.input_bytes_max;
  }
  void park(Stream& stream) { parked_.push_back(&stream); }
  void count_input(std::size_t before, std::size_t after);
  void flush_soon(Stream& stream);
  void end_turn_soon();
  void end_turn();
  void unpark_soon();
  void unpark();
  void sweep_soon();
  void sweep();

  env::Loop& loop_;
  const Settings& settings_;
  MeshMetrics& metrics_;
  Bytes scratch_;
  std::vector<Stream*> streams_;
  std::vector<Stream*> parked_;
  std::vector<Stream*> dirty_;  // nullptr: gone meanwhile
  std::vector<Stream*> flushing_;
  std::vector<env::Task> turn_end_;
  std::vector<std::shared_ptr<void>> graves_;
  env::TimerId sweep_timer_ = env::TimerId::kNone;
  bool paused_ = false;
  bool turn_end_posted_ = false;
  bool unpark_posted_ = false;
  const std::shared_ptr<bool> here_ = std::make_shared<bool>(true);
};

/// Loop thread only. After close(), release() or on_end() nothing happens any more; it may be
/// destroyed in on_end(), and else only where it is not on the stack (StreamPool::bury).
class Stream final : private FrameSink {
 public:
  Stream(StreamPool& pool, std::unique_ptr<env::Connection> connection, StreamOwner& owner,
         std::size_t data_bytes_max, Intake intake = Intake::kWaits);
  ~Stream() override;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  /// Begins to read.
  void start();
  /// Reads no further; what has been read is still handed over.
  void stop_reading() { stopped_ = true; }
  /// Queues a frame and what follows it, to leave at the end of the turn.
  void queue(Bytes frame, std::span<const Bytes> data = {});
  /// One frame, in pieces.
  void queue(std::vector<Bytes> pieces);
  /// on_turn_end() will be called for this one.
  void flush_soon();
  /// Writes what the socket takes. May call on_end().
  void flush();
  std::size_t queued_bytes() const { return queued_bytes_; }
  void close();
  bool closed() const { return connection_ == nullptr; }
  /// Gives the connection up, to be adopted elsewhere. Requires that nothing is queued.
  std::unique_ptr<env::Connection> release();
  /// The other end, for logs.
  const std::string& peer() const { return peer_; }

 private:
  friend class StreamPool;
  Result<std::size_t> on_body(const FrameHead& head, Bytes body) override;
  Result<std::size_t> on_piece(Bytes piece) override;

  void listen();
  bool must_wait() const {
    return intake_ == Intake::kWaits && input_.between_frames() && !pool_.may_begin_frame();
  }
  void on_readable();
  bool read_some();
  void count_input();
  void drop_written(std::size_t count);
  void end(StreamEnd kind, const std::string& why);
  void forget();
  void end_if_stalled(Instant now);

  StreamPool& pool_;
  std::unique_ptr<env::Connection> connection_;
  StreamOwner& owner_;
  const std::string peer_;
  const Intake intake_;
  FrameInput input_;
  std::size_t input_counted_ = 0;
  std::vector<Bytes> out_;  // from out_head_ on still to be written
  std::size_t out_head_ = 0;
  std::size_t out_offset_ = 0;  // of out_[out_head_] already written
  std::size_t queued_bytes_ = 0;
  Instant moved_;  // when a byte last went out, or came in
  bool stopped_ = false;
  bool read_armed_ = false;
  bool write_armed_ = false;
  bool dirty_ = false;
  bool parked_ = false;
};

}  // namespace millrace::cluster
