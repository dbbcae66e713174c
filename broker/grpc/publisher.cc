#include "broker/grpc/publisher.h"

#include <deque>
#include <memory>
#include <mutex>
#include <utility>

#include "broker/grpc/publish.h"

namespace millrace::grpc {
namespace {

/// Requests of one stream that may be worked on at once; beyond it the client is not read.
constexpr std::size_t kInFlightMax = 64;

/// One PublishStream call. Callbacks come on gRPC's threads and answers on a shard's, hence the
/// mutex. Requests go to one shard in order, so two of one partition are appended in order; answers
/// leave in order too.
class PublishStream final
    : public ::grpc::ServerBidiReactor<v1::PublishRequest, v1::PublishResponse> {
 public:
  PublishStream(::grpc::CallbackServerContext* context, service::Shard& shard)
      : context_(context), shard_(shard) {
    StartRead(&incoming_);
  }

  void OnReadDone(bool ok) override {
    std::unique_lock lock(mutex_);
    reading_ = false;
    if (!ok) {
      half_closed_ = true;
      return settle(lock);
    }
    auto exchange = std::make_shared<Exchange>();
    exchange->request = std::move(incoming_);
    incoming_.Clear();
    exchanges_.push_back(exchange);
    ++in_shard_;
    shard_.loop().post([this, exchange] {
      publish(shard_, exchange->request, exchange->response,
              [this, exchange](common::Result<void> outcome) {
                answered(*exchange, std::move(outcome));
              });
    });
    settle(lock);
  }

  void OnWriteDone(bool ok) override {
    std::unique_lock lock(mutex_);
    writing_ = false;
    exchanges_.pop_front();
    if (!ok) half_closed_ = true;
    settle(lock);
  }

  void OnCancel() override {
    std::unique_lock lock(mutex_);
    cancelled_ = true;
    settle(lock);
  }

  void OnDone() override { delete this; }

 private:
  struct Exchange {
    v1::PublishRequest request;
    v1::PublishResponse response;
    bool answered = false;
    std::optional<common::Error> error;
  };

  void answered(Exchange& exchange, common::Result<void> outcome) {
    std::unique_lock lock(mutex_);
    --in_shard_;
    exchange.answered = true;
    if (!outcome.ok()) exchange.error = outcome.error();
    settle(lock);
  }

  /// Starts whatever can go on now: the next write, the next read, the end.
  void settle(std::unique_lock<std::mutex>& lock) {
    if (finished_) return;
    const bool front_ready = !exchanges_.empty() && exchanges_.front()->answered;
    if (front_ready && exchanges_.front()->error && !writing_ && !failure_)
      failure_ = exchanges_.front()->error;
    // The reactor may go only when nothing of it is under way: no read, no write, nothing in the
    // shard.
    const bool quiet = in_shard_ == 0 && !writing_;
    const bool over = cancelled_ || failure_ || (half_closed_ && exchanges_.empty());
    if (over && quiet) {
      finished_ = true;
      const ::grpc::Status status = failure_ ? to_status(*failure_) : ::grpc::Status::OK;
      if (failure_) context_->AddTrailingMetadata(kErrorMetadata, error_name(failure_->code));
      lock.unlock();
      Finish(status);
      return;
    }
    if (over) return;
    if (front_ready && !writing_) {
      writing_ = true;
      StartWrite(&exchanges_.front()->response);
    }
    if (!reading_ && !half_closed_ && exchanges_.size() < kInFlightMax) {
      reading_ = true;
      StartRead(&incoming_);
    }
  }

  ::grpc::CallbackServerContext* context_;
  service::Shard& shard_;
  std::mutex mutex_;  // guards everything below
  v1::PublishRequest incoming_;
  std::deque<std::shared_ptr<Exchange>> exchanges_;
  std::optional<common::Error> failure_;
  std::size_t in_shard_ = 0;
  bool reading_ = true;
  bool writing_ = false;
  bool half_closed_ = false;
  bool cancelled_ = false;
  bool finished_ = false;
};

}  // namespace

::grpc::ServerUnaryReactor* Publisher::Publish(::grpc::CallbackServerContext* context,
                                               const v1::PublishRequest* request,
                                               v1::PublishResponse* response) {
  return on_shard(context, dealer_, [request, response](service::Shard& shard, UnaryAnswer answer) {
    publish(shard, *request, *response, [answer](common::Result<void> outcome) {
      if (outcome.ok()) {
        answer.ok();
      } else {
        answer.fail(outcome.error());
      }
    });
  });
}

::grpc::ServerBidiReactor<v1::PublishRequest, v1::PublishResponse>* Publisher::PublishStream(
    ::grpc::CallbackServerContext* context) {
  return new grpc::PublishStream(context, dealer_.next());
}

}  // namespace millrace::grpc
