// Groups as several of their APIs tell of them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "broker/coordinator/requests.h"
#include "broker/kafka/handlers/answers.h"
#include "broker/metadata/image.h"

namespace millrace::kafka {

/// Collects the answers to several questions of one request; the last one ends it.
template <typename T>
class Gather : public std::enable_shared_from_this<Gather<T>> {
 public:
  /// Requires at least one question; each reply(i) must be made and used once.
  Gather(std::size_t count, common::Reply<std::vector<T>> done)
      : answers_(count), missing_(count), done_(std::move(done)) {
    CHECK(count > 0);
  }
  common::Reply<T> reply(std::size_t i) {
    CHECK(i < answers_.size());
    return [self = this->shared_from_this(), i](T answer) {
      self->answers_[i] = std::move(answer);
      CHECK(self->missing_ > 0);
      if (--self->missing_ == 0) self->done_(std::move(self->answers_));
    };
  }

 private:
  std::vector<T> answers_;
  std::size_t missing_;
  common::Reply<std::vector<T>> done_;
};

/// A member id that nobody else has: what the member is known by, and a random UUID.
std::string fresh_member_id(const std::string& known_by, common::Random& random);

/// The type as Kafka's messages name it: in lower case, unlike states.
std::string_view type_name(coordinator::GroupType type);

/// Why a group cannot be described by an API of `wanted` groups; kNone if it can. One of the other
/// type is not found.
coordinator::Status refused(const coordinator::GroupDescription& group,
                            coordinator::GroupType wanted);

/// The topic that a request names. nullptr: unknown.
template <typename Topic>
std::shared_ptr<const metadata::Topic> named_topic(const metadata::Image& image, const Topic& topic,
                                                   bool by_id) {
  return by_id ? image.topic(topic.topic_id) : image.topic(topic.name);
}

/// Lists things by topic in the order in which topics are first named. `Topic` needs a name.
template <typename Topic>
class ByTopic {
 public:
  explicit ByTopic(std::vector<Topic>& topics) : topics_(topics) {}
  /// The entry of this name; made, with `made` called on it, if it is new.
  template <typename Made>
  Topic& at(const std::string& name, Made made) {
    const auto [place, is_new] = places_.try_emplace(name, topics_.size());
    if (is_new) {
      topics_.emplace_back().name = name;
      made(topics_.back());
    }
    return topics_[place->second];
  }

 private:
  std::vector<Topic>& topics_;
  std::unordered_map<std::string, std::size_t> places_;
};

}  // namespace millrace::kafka
