// Definitions are applied from files, one after the other, and what is none is refused before
// anything is sent for it.
#include "operator/main/apply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace millrace::operators {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// An API server that takes definitions, or refuses them.
class Server : public kube::Api {
 public:
  std::vector<std::string> applied;
  bool refuses = false;

  kube::ApiResult<kube::Json> apply(const kube::Resource& resource, const kube::Json& manifest,
                                    const kube::ApplyOptions&) override {
    EXPECT_EQ(resource.plural, "customresourcedefinitions");
    EXPECT_FALSE(resource.namespaced);
    if (refuses) return refusal();
    applied.push_back(kube::key_of(manifest).name);
    return manifest;
  }
  kube::ApiResult<kube::Json> get(const kube::Resource&, const kube::ObjectKey&,
                                  kube::Part) override {
    return refusal();
  }
  kube::ApiResult<kube::ListPage> list(const kube::Resource&, const kube::ListOptions&) override {
    return refusal();
  }
  kube::ApiResult<void> watch(const kube::Resource&, const kube::WatchOptions&,
                              const kube::WatchSink&, std::stop_token) override {
    return refusal();
  }
  kube::ApiResult<kube::Json> create(const kube::Resource&, const kube::Json&) override {
    return refusal();
  }
  kube::ApiResult<kube::Json> update(const kube::Resource&, const kube::Json&,
                                     kube::Part) override {
    return refusal();
  }
  kube::ApiResult<kube::Json> patch(const kube::Resource&, const kube::ObjectKey&,
                                    const kube::Json&, kube::PatchKind, kube::Part) override {
    return refusal();
  }
  kube::ApiResult<void> remove(const kube::Resource&, const kube::ObjectKey&,
                               const kube::DeleteOptions&) override {
    return refusal();
  }

 private:
  static kube::ApiError refusal() { return {.cause = kube::Cause::kForbidden, .detail = "no"}; }
};

class Apply : public ::testing::Test {
 protected:
  Apply() {
    std::string name = (std::filesystem::temp_directory_path() / "apply-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~Apply() override { std::filesystem::remove_all(folder_); }

  std::string file(const std::string& name, const std::string& text) {
    const auto path = folder_ / name;
    std::ofstream(path) << text;
    return path;
  }
  std::string definition(const std::string& name) {
    return file(name,
                R"({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                          "metadata": {"name": ")" +
                    name + R"("}})");
  }

  Server server_;
  std::filesystem::path folder_;
};

TEST_F(Apply, AppliesOneAfterTheOther) {
  EXPECT_EQ(apply_files(server_, {definition("b"), definition("a")}), 0);
  EXPECT_THAT(server_.applied, ElementsAre("b", "a"));
}

TEST_F(Apply, SaysWhenItIsRefused) {
  server_.refuses = true;
  EXPECT_EQ(apply_files(server_, {definition("a")}), 1);
}

TEST_F(Apply, TakesNothingElse) {
  for (const std::string text :
       {"", "kind: CustomResourceDefinition", "[]", "{}", "{\"kind\": 3}",
        R"({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}})",
        R"({"apiVersion": "apiextensions.k8s.io/v1",
                                     "kind": "CustomResourceDefinition", "metadata": 1})"}) {
    EXPECT_EQ(apply_files(server_, {file("odd", text)}), 64) << text;
  }
  EXPECT_EQ(apply_files(server_, {folder_ / "not-there"}), 64);
  EXPECT_THAT(server_.applied, IsEmpty());
}

}  // namespace
}  // namespace millrace::operators
