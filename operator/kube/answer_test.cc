#include "operator/kube/answer.h"

#include <gtest/gtest.h>

#include "operator/kube/kinds.h"

namespace millrace::kube {
namespace {

TEST(Address, OfEachKindOfThing) {
  EXPECT_EQ(path_of(kPods, {"shop", "events-0"}), "/api/v1/namespaces/shop/pods/events-0");
  EXPECT_EQ(path_of(kPods, {}), "/api/v1/pods");
  EXPECT_EQ(path_of(kPods, {"shop", {}}), "/api/v1/namespaces/shop/pods");
  EXPECT_EQ(path_of(kNodes, {{}, "n1"}), "/api/v1/nodes/n1");
  EXPECT_EQ(path_of(kClusters, {"shop", "events"}, Part::kStatus),
            "/apis/millrace.dev/v1alpha1/namespaces/shop/millraceclusters/events/status");
  EXPECT_EQ(path_of(kStatefulSets, {"shop", "events"}, Part::kScale),
            "/apis/apps/v1/namespaces/shop/statefulsets/events/scale");
  EXPECT_EQ(path_of(kPods, {"a/../b", "c?d"}), "/api/v1/namespaces/a%2F..%2Fb/pods/c%3Fd");
}

TEST(Address, QueriesSayOnlyWhatIsMeant) {
  EXPECT_EQ(query_of(ListOptions{}), "?limit=200");
  EXPECT_EQ(query_of(ListOptions{.label_selector = "a=b,c in (d)", .limit = 0}),
            "?labelSelector=a%3Db%2Cc%20in%20%28d%29");
  EXPECT_EQ(query_of(ListOptions{.limit = 5, .resource_version = "0", .continue_token = "x+y"}),
            "?limit=5&continue=x%2By");
  EXPECT_EQ(query_of(WatchOptions{.resource_version = "7", .duration = std::chrono::seconds(90)}),
            "?watch=true&allowWatchBookmarks=true&resourceVersion=7&timeoutSeconds=90");
  EXPECT_EQ(
      query_of(WatchOptions{.resource_version = "7", .duration = std::chrono::milliseconds(3)}),
      "?watch=true&allowWatchBookmarks=true&resourceVersion=7&timeoutSeconds=1");
}

ApiError of_reason(const std::string& reason, int status) {
  const Json body{{"kind", "Status"}, {"reason", reason}, {"message", "because"}, {"code", status}};
  return error_of_answer(status, body.dump(), {});
}

TEST(Refusal, TheReasonDecides) {
  EXPECT_EQ(of_reason("NotFound", 404).cause, Cause::kNotFound);
  EXPECT_EQ(of_reason("AlreadyExists", 409).cause, Cause::kAlreadyExists);
  EXPECT_EQ(of_reason("Conflict", 409).cause, Cause::kConflict);
  EXPECT_EQ(of_reason("Expired", 410).cause, Cause::kGone);
  EXPECT_EQ(of_reason("Gone", 410).cause, Cause::kGone);
  EXPECT_EQ(of_reason("Invalid", 422).cause, Cause::kInvalid);
  EXPECT_EQ(of_reason("Forbidden", 403).cause, Cause::kForbidden);
  EXPECT_EQ(of_reason("Unauthorized", 401).cause, Cause::kUnauthorized);
  EXPECT_EQ(of_reason("TooManyRequests", 429).cause, Cause::kTooManyRequests);
  EXPECT_EQ(of_reason("Timeout", 504).cause, Cause::kTimeout);
  EXPECT_EQ(of_reason("InternalError", 500).cause, Cause::kUnavailable);
  EXPECT_EQ(of_reason("", 404).cause, Cause::kNotFound);
  EXPECT_EQ(of_reason("Unheard", 503).cause, Cause::kUnavailable);
  EXPECT_EQ(of_reason("Invalid", 422).detail, "because");
}

TEST(Refusal, OnlyAServerThatGaveUpMayHaveDoneIt) {
  EXPECT_TRUE(of_reason("InternalError", 500).maybe_done);
  EXPECT_TRUE(of_reason("Timeout", 504).maybe_done);
  for (const char* reason : {"NotFound", "Conflict", "Invalid", "Forbidden"}) {
    EXPECT_FALSE(of_reason(reason, 400).maybe_done) << reason;
  }
  EXPECT_FALSE(of_reason("TooManyRequests", 429).maybe_done);
}

TEST(Refusal, ABodyThatIsNoStatusIsShown) {
  const ApiError error = error_of_answer(502, "<html>bad gateway</html>", {});
  EXPECT_EQ(error.cause, Cause::kUnavailable);
  EXPECT_EQ(error.detail, "HTTP 502: <html>bad gateway</html>");
  EXPECT_EQ(error_of_answer(404, "404 page not found\n", {}).cause, Cause::kNotFound);
  EXPECT_EQ(error_of_answer(302, "", {}).cause, Cause::kBadAnswer);
}

TEST(Refusal, SaysHowLongToWait) {
  EXPECT_EQ(error_of_answer(429, "", "3").retry_after, std::chrono::seconds(3));
  EXPECT_EQ(error_of_answer(429, "", "soon").retry_after, std::nullopt);
  EXPECT_EQ(error_of_answer(429, "", "99999999").retry_after, std::chrono::hours(1));
  const Json body{{"kind", "Status"}, {"details", {{"retryAfterSeconds", 2}}}, {"code", 429}};
  EXPECT_EQ(error_of_answer(429, body.dump(), {}).retry_after, std::chrono::seconds(2));
}

TEST(List, ItemsAreLikeObjectsReadAlone) {
  const auto page = list_page(R"({"kind": "PodList", "apiVersion": "v1",
      "metadata": {"resourceVersion": "55", "continue": "more"},
      "items": [{"metadata": {"name": "a", "managedFields": [{}]}}, {"metadata": {"name": "b"}}]})",
                              kPods);
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->resource_version, "55");
  EXPECT_EQ(page->continue_token, "more");
  ASSERT_EQ(page->items.size(), 2);
  EXPECT_EQ(page->items[0].dump(), R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}})");
}

TEST(List, OfNothingAndOfNoList) {
  EXPECT_TRUE(
      list_page(R"({"kind":"PodList","metadata":{"resourceVersion":"1"},"items":null})", kPods)
          ->items.empty());
  for (const char* body :
       {"", "[]", R"({"kind":"Pod","metadata":{"resourceVersion":"1"}})",
        R"({"kind":"PodList","metadata":{},"items":[]})", R"({"kind":"PodList","items":[)"}) {
    const auto page = list_page(body, kPods);
    ASSERT_FALSE(page.ok()) << body;
    EXPECT_EQ(page.error().cause, Cause::kBadAnswer);
  }
}

TEST(Watch, LinesAreEventsOrTheEnd) {
  const auto added = watch_line(R"({"type":"ADDED","object":{"metadata":{"name":"a"}}})");
  ASSERT_TRUE(added.ok());
  EXPECT_EQ(added->kind, ChangeKind::kAdded);
  EXPECT_EQ(key_of(added->object).name, "a");
  EXPECT_EQ(watch_line(R"({"type":"MODIFIED","object":{}})")->kind, ChangeKind::kModified);
  EXPECT_EQ(watch_line(R"({"type":"DELETED","object":{}})")->kind, ChangeKind::kDeleted);
  EXPECT_EQ(watch_line(R"({"type":"BOOKMARK","object":{}})")->kind, ChangeKind::kBookmark);
  const auto error = watch_line(
      R"({"type":"ERROR","object":{"kind":"Status","reason":"Expired","code":410,"message":"too old"}})");
  ASSERT_FALSE(error.ok());
  EXPECT_EQ(error.error().cause, Cause::kGone);
  EXPECT_EQ(error.error().detail, "too old");
  for (const char* line : {"", "{", "{}", R"({"type":"NEW","object":{}})", R"({"type":"ADDED"})"}) {
    EXPECT_EQ(watch_line(line).error().cause, Cause::kBadAnswer) << line;
  }
}

}  // namespace
}  // namespace millrace::kube
