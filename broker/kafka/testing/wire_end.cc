#include "broker/kafka/testing/wire_end.h"

#include <algorithm>
#include <cstring>

#include "broker/model/errors.h"

namespace millrace::kafka::testing {

/// The broker's end.
class WireConnection final : public env::Connection {
 public:
  explicit WireConnection(std::shared_ptr<WireEnd> far) : far_(std::move(far)) {}
  ~WireConnection() override {
    far_->closed_by_broker_ = true;
    far_->readable_.reset();
    far_->writable_.reset();
  }
  void when_readable(env::Task ready) override {
    CHECK(!far_->readable_, "asked twice");
    far_->readable_ = std::move(ready);
    far_->wake();
  }
  void when_writable(env::Task ready) override {
    CHECK(!far_->writable_, "asked twice");
    far_->writable_ = std::move(ready);
    far_->wake();
  }
  common::Result<std::size_t> read(common::MutableByteView into) override {
    const std::size_t count = std::min(into.size(), far_->unread());
    if (count == 0 && far_->shut_) return model::error(model::ErrorCode::kConnectionClosed);
    std::memcpy(into.data(), far_->incoming_.data() + far_->read_, count);
    far_->read_ += count;
    if (far_->unread() == 0) {
      far_->incoming_.clear();
      far_->read_ = 0;
    }
    return count;
  }
  common::Result<std::size_t> write(std::span<const common::ByteView> pieces) override {
    if (far_->shut_) return model::error(model::ErrorCode::kConnectionClosed);
    std::size_t written = 0;
    for (const common::ByteView piece : pieces) {
      const std::size_t count = std::min(piece.size(), far_->room_);
      far_->received_.append(common::as_text(piece.first(count)));
      if (far_->room_ != SIZE_MAX) far_->room_ -= count;
      written += count;
      if (count < piece.size()) break;
    }
    if (written > 0) ++far_->writes_;
    return written;
  }
  void leave() override {
    far_->readable_.reset();
    far_->writable_.reset();
  }
  std::string local() const override { return "door.test:9999"; }
  std::string peer() const override { return "test:1"; }

 private:
  std::shared_ptr<WireEnd> far_;
};

void WireEnd::wake() {
  loop_.post([weak = self_] {
    const auto end = weak.lock();
    if (end == nullptr) return;
    if (end->readable_ && (end->unread() > 0 || end->shut_))
      std::exchange(end->readable_, env::Task{})();
    if (end->writable_ && (end->room_ > 0 || end->shut_))
      std::exchange(end->writable_, env::Task{})();
  });
}

void WireEnd::send(std::string_view bytes) {
  incoming_.append(bytes);
  wake();
}

void WireEnd::shut() {
  shut_ = true;
  wake();
}

void WireEnd::set_room(std::size_t bytes) {
  room_ = bytes;
  wake();
}

std::pair<std::unique_ptr<env::Connection>, std::shared_ptr<WireEnd>> make_wire(env::Loop& loop) {
  auto far = std::shared_ptr<WireEnd>(new WireEnd(loop));
  far->self_ = far;
  return {std::make_unique<WireConnection>(far), far};
}

}  // namespace millrace::kafka::testing
