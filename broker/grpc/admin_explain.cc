#include <utility>

#include "broker/grpc/admin.h"
#include "broker/grpc/admin_calls.h"
#include "broker/grpc/utf8.h"
#include "broker/service/explain.h"

namespace millrace::grpc {
namespace {

using service::Severity;

static_assert(static_cast<int>(Severity::kNote) == v1::SEVERITY_NOTE);
static_assert(static_cast<int>(Severity::kWarning) == v1::SEVERITY_WARNING);
static_assert(static_cast<int>(Severity::kProblem) == v1::SEVERITY_PROBLEM);

void answer_with(const common::Result<service::Explanation>& explanation,
                 v1::ExplainResponse& response, const UnaryAnswer& answer) {
  if (!explanation.ok()) return answer.fail(explanation.error());
  response.set_summary(as_utf8(explanation->summary));
  for (const service::Finding& finding : explanation->findings) {
    v1::Finding& out = *response.add_findings();
    out.set_severity(static_cast<v1::Severity>(finding.severity));
    out.set_code(finding.code);
    out.set_what(as_utf8(finding.what));
    out.set_blocked_by(as_utf8(finding.blocked_by));
    out.set_advice(as_utf8(finding.advice));
  }
  answer.ok();
}

void explain(service::Shard& shard, const v1::ExplainRequest& request,
             v1::ExplainResponse& response, const UnaryAnswer& answer) {
  auto done = [&response, answer](const common::Result<service::Explanation>& explanation) {
    answer_with(explanation, response, answer);
  };
  switch (request.subject_case()) {
    case v1::ExplainRequest::kGroup:
      return service::explain_group(shard, request.group(), std::move(done));
    case v1::ExplainRequest::kTopic: {
      const v1::TopicSubject& topic = request.topic();
      return service::explain_topic(
          shard, topic.topic(),
          topic.has_partition() ? std::optional(topic.partition()) : std::nullopt, std::move(done));
    }
    case v1::ExplainRequest::kBroker:
      return service::explain_broker(shard, model::BrokerId{request.broker()}, std::move(done));
    case v1::ExplainRequest::SUBJECT_NOT_SET:
      return answer.fail(model::ErrorCode::kInvalidRequest,
                         "a group, a topic or a broker must be named");
  }
}

}  // namespace

const Forwardable<v1::ExplainRequest, v1::ExplainResponse> kExplain{"Explain", explain};

::grpc::ServerUnaryReactor* Admin::Explain(::grpc::CallbackServerContext* context,
                                           const v1::ExplainRequest* request,
                                           v1::ExplainResponse* response) {
  if (request->subject_case() == v1::ExplainRequest::kGroup)
    return on_coordinator(context, dealer_, kExplain, request->group(), request, response);
  return on_shard(context, dealer_,
                  [request, response](service::Shard& shard, const UnaryAnswer& answer) {
                    // A broker that is there knows itself best.
                    model::BrokerId broker{-1};
                    if (request->has_broker() && shard.alive(model::BrokerId{request->broker()}))
                      broker = model::BrokerId{request->broker()};
                    run_at(shard, broker, kExplain, *request, *response, answer);
                  });
}

}  // namespace millrace::grpc
