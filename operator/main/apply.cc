#include "operator/main/apply.h"

#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <optional>

namespace millrace::operators {
namespace {

constexpr kube::Resource kDefinitions{
    .group = "apiextensions.k8s.io",
    .version = "v1",
    .kind = "CustomResourceDefinition",
    .plural = "customresourcedefinitions",
    .namespaced = false,
};

/// nullopt: the file cannot be read, or holds something else.
std::optional<kube::Json> definition_in(const std::string& file) {
  std::ifstream in(file);
  if (!in) return std::nullopt;
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  kube::Json object = kube::Json::parse(text, nullptr, false);
  if (!object.is_object() || object["kind"] != std::string(kDefinitions.kind) ||
      object["apiVersion"] != kDefinitions.api_version() || kube::key_of(object).name.empty()) {
    return std::nullopt;
  }
  return object;
}

}  // namespace

int apply_files(kube::Api& api, const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    const auto definition = definition_in(file);
    if (!definition) {
      fmt::print(stderr, "millrace-operator: {} is not the JSON of a {}\n", file,
                 kDefinitions.kind);
      return 64;
    }
    const auto applied = api.apply(kDefinitions, *definition);
    if (!applied.ok()) {
      fmt::print(stderr, "millrace-operator: {}: {}\n", file, applied.error().detail);
      return 1;
    }
    fmt::print("{} is up to date\n", kube::key_of(*definition).name);
  }
  return 0;
}

}  // namespace millrace::operators
