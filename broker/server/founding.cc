#include "broker/server/founding.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "broker/service/calls.h"
#include "broker/service/neighbours.h"

namespace millrace::server {
namespace {

using common::Result;
using metadata::FormationStep;
using metadata::Standing;
using model::ErrorCode;

constexpr const char* kFile = "formation";
/// Between two rounds of questions; whoever has news tells them at once.
constexpr auto kInterval = std::chrono::milliseconds(100);
constexpr auto kAnswerMax = std::chrono::seconds(1);

}  // namespace

Result<Standing> read_standing(env::Disk& disk, const std::string& path) {
  const auto content = env::read_file(disk, kFile);
  if (!content.ok()) {
    if (content.error().code == ErrorCode::kNotFound) return Standing{};
    return content.error();
  }
  auto standing = metadata::read_standing(content->view());
  if (standing.ok()) return standing;
  return common::Error{
      ErrorCode::kForeignData,
      fmt::format("{}/{} cannot be read ({}): it was written by a newer millrace, changed by hand, "
                  "or the disk is damaged",
                  path, kFile, standing.error().detail)};
}

Result<void> write_standing(env::Disk& disk, const Standing& standing) {
  return env::replace_file(disk, kFile, metadata::encode(standing).view());
}

Founding::Founding(Parts parts)
    : first_(parts.first),
      disk_(parts.disk),
      voters_(parts.settings.first_voters),
      self_(parts.settings.self.broker),
      waits_(std::move(parts.waits)),
      formation_(std::move(parts.settings), parts.standing),
      standing_(std::move(parts.standing)) {}

Founding::~Founding() {
  first_.calls().forget(cluster::Method::kFormation);
}

void Founding::serve() {
  first_.calls().serve(cluster::Method::kFormation,
                       [this](const cluster::Request& request, service::Calls::Reply reply) {
                         reply(metadata::encode(formation_.tale()));
                         hear(request.body.view());
                       });
}

void Founding::start(common::Reply<Result<Standing>> done) {
  done_ = std::move(done);
  step();
  if (!done_) return;
  ask_all();
  arm();
}

void Founding::stop() {
  if (done_) finish(model::error(ErrorCode::kShuttingDown));
}

void Founding::arm() {
  timer_ = first_.loop().after(kInterval, lifeline_.guard([this] {
    timer_ = env::TimerId::kNone;
    ask_all();
    if (done_) arm();
  }));
}

void Founding::ask_all() {
  for (const model::BrokerId node : voters_) {
    if (node == self_) continue;
    if (first_.alive(node)) {
      ask(node);
    } else {
      formation_.lost(node);
    }
  }
  step();
}

void Founding::ask(model::BrokerId node) {
  first_.neighbours()->call(node, 0, cluster::Method::kFormation,
                            metadata::encode(formation_.tale()), kAnswerMax,
                            lifeline_.guard([this](const Result<common::Bytes>& answer) {
                              if (answer.ok()) hear(answer->view());
                            }));
}

void Founding::hear(common::ByteView bytes) {
  auto tale = metadata::read_tale(bytes);
  if (!tale.ok()) return;  // of a newer broker, perhaps: it is as if it had not answered
  formation_.heard(*std::move(tale));
  step();
}

void Founding::step() {
  if (!done_ || persisting_) return;
  const FormationStep step = formation_.next();
  switch (step.act) {
    case FormationStep::Act::kWait:
    case FormationStep::Act::kRefuse:
      return waits_(step.act, step.reason);
    case FormationStep::Act::kPersist:
      return persist(step.standing);
    case FormationStep::Act::kServe:
    case FormationStep::Act::kJoin:
      return finish(standing_);
  }
}

void Founding::persist(const Standing& standing) {
  persisting_ = true;
  auto written = std::make_shared<Result<void>>();
  disk_.offload([&disk = disk_, standing, written] { *written = write_standing(disk, standing); },
                lifeline_.guard([this, standing, written] {
                  persisting_ = false;
                  if (!written->ok()) return finish(written->error());
                  formation_.persisted(standing);
                  standing_ = standing;
                  if (!done_) return;
                  ask_all();  // they wait for it
                }));
}

void Founding::finish(Result<Standing> outcome) {
  if (timer_ != env::TimerId::kNone)
    first_.loop().cancel(std::exchange(timer_, env::TimerId::kNone));
  if (done_) std::exchange(done_, {})(std::move(outcome));
}

}  // namespace millrace::server
