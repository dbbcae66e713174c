// One Kafka connection: requests in, answers out in the order of the requests.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/env/transport.h"
#include "broker/kafka/call.h"
#include "broker/kafka/frame_input.h"
#include "common/clock.h"

namespace millrace::kafka {

class Server;

/// Why we end a connection. Each has its counter; all but kPeer and kShutdown are logged,
/// rate-limited.
enum class CloseReason : std::uint8_t {
  kPeer,
  kShutdown,
  kIdle,
  kMalformed,
  kOversized,
  kUnsupported,
  kUnanswerable,
  kStalled
};

/// States: open -> closed. An open one reads as long as all of these hold: requests in work and
/// answers waiting are below their limits, no frame waits for its turn, and the shard is not short
/// of memory; else it comes back to reading when the last obstacle is gone. Holds no buffers while
/// nothing is under way. Loop thread only; owned by its Server, and by the calls that are not
/// answered yet.
class Session : public std::enable_shared_from_this<Session> {
 public:
  /// `listener`: the name of the one that it came by.
  Session(Server& server, std::unique_ptr<env::Connection> connection, std::string listener);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Begins to read. Once, after it is owned by a shared_ptr.
  void start();
  /// Ends the connection. Requests in work run on; their answers are dropped.
  void close(CloseReason reason, std::string_view why);
  bool closed() const { return closed_; }
  /// Reads no more and closes as soon as every request in work is answered.
  void drain();

  /// The server is about to be destroyed; answers that still come are dropped. Requires closed().
  void detach() { server_ = nullptr; }

  /// Called once per request by its Call: the whole frame of its answer; empty: none is sent.
  void finish(std::uint64_t slot, wire::Chunks frame);
  void cancel_with_connection(std::uint64_t slot, std::shared_ptr<service::FetchHandle> waiting);
  void set_client_software(std::string_view name, std::string_view version);
  const Context& context() const;
  /// The address that the client came to, HOST:PORT; empty once the connection is gone.
  std::string local_address() const { return connection_ == nullptr ? "" : connection_->local(); }

  /// The address that the client came from, likewise.
  std::string peer_address() const { return connection_ == nullptr ? "" : connection_->peer(); }
  const std::string& listener() const { return listener_; }
  /// What the request that was begun last calls its client; empty if it does not.
  const std::string& client_id() const { return client_id_; }
  /// Empty: the client did not tell.
  const std::string& software_name() const { return software_name_; }
  const std::string& software_version() const { return software_version_; }

  /// Called by the server: sends what is answered, then goes on with input. Once per turn of the
  /// loop.
  void flush();
  /// Whether the connection may still move to another shard. Those that fetch stay: they read from
  /// many partitions.
  bool may_move() const;
  /// Whether to ask where this request's partition lives, when asking costs something: every so
  /// often.
  bool asks_for_home();
  /// The index of the shard where the partition of the latest request lives.
  void lives_on(std::size_t shard);
  /// The shard to move to: where its partition lives, if that is another one and nothing is under
  /// way.
  std::optional<std::size_t> destination() const;
  /// What goes with a connection to another shard.
  struct Luggage {
    std::unique_ptr<env::Connection> connection;
    std::string listener;
    std::string software_name;
    std::string software_version;
    std::uint8_t moves = 0;
  };
  /// Ends this session without closing the connection. Requires destination().
  Luggage pack();
  void unpack(Luggage luggage);

  /// Called by the server when there is memory again. `overdraft`: read on until one frame is
  /// whole, whatever it takes.
  void resume(bool overdraft);
  /// Gives back memory that only a busy connection needs.
  void shrink();

  /// For the server's sweep.
  common::Instant last_moved() const { return last_moved_; }
  bool in_work() const { return head_ < slots_.size(); }
  std::size_t bytes_waiting() const { return out_bytes_; }
  std::size_t input_bytes() const { return held_counted_; }
  bool in_overdraft() const { return overdraft_; }
  bool parked() const { return parked_; }
  std::string describe() const;

  /// Place in the server's list and whether a flush is due: the server's own notes.
  std::size_t list_position = 0;
  bool flush_due = false;

 private:
  /// One request in work, or answered and waiting for those before it.
  struct Slot {
    wire::Chunks answer;
    std::shared_ptr<service::FetchHandle> waiting;
    common::Instant started;
    std::uint32_t frame_bytes = 0;
    std::uint8_t api = 0;
    bool done = false;
  };

  void on_readable();
  void read_some();
  bool take_frames(std::size_t count);
  bool on_frame(common::Bytes frame);
  bool may_start(wire::ApiKey key) const;
  void begin(common::Bytes frame, wire::RequestHeader header, wire::Reader body);
  void refuse(const wire::RequestHeader& header);
  void go_on_with_input();
  bool may_read();
  void listen_for_input();
  void count_held();
  void collect_answers();
  bool write_out();
  void drop_written(std::size_t count);
  std::size_t requests_in_work() const { return slots_.size() - head_; }

  Server* server_;  // nullptr once it is gone
  std::unique_ptr<env::Connection> connection_;
  std::string listener_;
  FrameInput input_;
  common::Bytes next_frame_;  // whole, but not its turn yet
  std::vector<Slot> slots_;   // from head_ on in order of arrival
  std::size_t head_ = 0;
  std::uint64_t head_id_ = 0;       // slot id of slots_[head_]
  std::vector<common::Bytes> out_;  // from out_head_ on still to be written
  std::size_t out_head_ = 0;
  std::size_t out_offset_ = 0;  // of out_[out_head_] already written
  std::size_t out_bytes_ = 0;   // in out_, and in answers that wait for earlier ones
  std::size_t held_counted_ = 0;
  common::Instant last_moved_;
  std::string client_id_;
  std::string software_name_;
  std::string software_version_;
  std::uint32_t questions_ = 0;
  std::uint32_t home_ = 0;  // the shard that lives_on() told last
  std::uint16_t told_ = 0;  // how often in a row
  std::uint8_t moves_ = 0;  // of the connection so far
  bool fetches_ = false;
  bool closed_ = false;
  bool draining_ = false;
  bool read_armed_ = false;
  bool write_armed_ = false;
  bool parked_ = false;
  bool overdraft_ = false;
};

}  // namespace millrace::kafka
