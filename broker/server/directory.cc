#include "broker/server/directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace millrace::server {
namespace {

using common::Error;
using common::Result;
using model::ErrorCode;

constexpr const char* kFile = "millrace.json";
constexpr std::int64_t kFormatVersion = 1;
// More threads than any machine has; protects from a damaged file.
constexpr std::int64_t kShardsMax = 4096;

Error foreign(std::string text) {
  return Error{ErrorCode::kForeignData, std::move(text)};
}

/// A member that is a text; empty if it is missing or something else.
std::string text_of(const nlohmann::json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// A member that is a number in [0, high]; -1 if it is missing or something else.
std::int64_t number_of(const nlohmann::json& json, const char* name, std::int64_t high) {
  const auto found = json.find(name);
  if (found == json.end() || !found->is_number_integer()) return -1;
  const auto value = found->get<std::int64_t>();
  return value >= 0 && value <= high ? value : -1;
}

Result<Directory> parse(const common::Bytes& content, const std::string& path) {
  const auto json = nlohmann::json::parse(content.text(), nullptr, false);
  if (json.is_discarded() || !json.is_object()) {
    return foreign(
        fmt::format("{}/{} cannot be read as JSON: it was changed by hand or the disk is damaged",
                    path, kFile));
  }
  const std::int64_t version = number_of(json, "format_version", INT64_MAX);
  if (version > kFormatVersion) {
    return foreign(fmt::format(
        "{} was written by a newer millrace (format {}, this one knows {}); start that version",
        path, version, kFormatVersion));
  }
  Directory directory;
  const auto id = common::Uuid::parse(text_of(json, "directory_id"));
  directory.cluster_id = text_of(json, "cluster_id");
  directory.node =
      model::BrokerId{static_cast<std::int32_t>(number_of(json, "node_id", INT32_MAX))};
  directory.shards =
      static_cast<std::uint32_t>(std::max<std::int64_t>(number_of(json, "shards", kShardsMax), 0));
  if (version < 1 || !id || directory.cluster_id.empty() || directory.node.value() < 0 ||
      directory.shards == 0) {
    return foreign(fmt::format(
        "{}/{} lacks a valid format_version, cluster_id, node_id, directory_id or shards: it was "
        "changed by hand or the disk is damaged",
        path, kFile));
  }
  directory.directory_id = *id;
  return directory;
}

Result<void> check_wish(const Directory& directory, const std::string& path,
                        const DirectoryWish& wish) {
  if (!wish.cluster_id.empty() && wish.cluster_id != directory.cluster_id) {
    return foreign(
        fmt::format("{} belongs to cluster {}, not {}; use another data directory or cluster.id",
                    path, directory.cluster_id, wish.cluster_id));
  }
  if (wish.node != directory.node) {
    return foreign(
        fmt::format("{} belongs to node {}, not {}; use another data directory or node.id", path,
                    directory.node, wish.node));
  }
  if (wish.shards != 0 && wish.shards != directory.shards) {
    return foreign(fmt::format(
        "{} was formatted with {} shards, not {}: leave `shards` unset, or start with an empty "
        "data directory",
        path, directory.shards, wish.shards));
  }
  return common::ok();
}

Result<Directory> format(env::Disk& disk, const std::string& path, const DirectoryWish& wish,
                         std::uint32_t cores, common::Random& random) {
  TRY_ASSIGN(const auto entries, disk.list(""));
  for (const env::DirectoryEntry& entry : entries) {
    // A fresh file system has the first; the second is what a crash in the middle of formatting
    // leaves; the process's own lock begins with a dot.
    if (entry.name == "lost+found" || entry.name == fmt::format("{}.new", kFile) ||
        entry.name.starts_with("."))
      continue;
    return foreign(
        fmt::format("{} is not empty and holds no millrace.json, but {}: choose an empty directory",
                    path, entry.name));
  }
  if (wish.joins_others && wish.cluster_id.empty()) {
    return Error{
        ErrorCode::kInvalidConfig,
        "cluster.id: give the cluster a name, the same on all brokers that metadata.voters "
        "brings together"};
  }
  Directory directory{
      .cluster_id = wish.cluster_id.empty() ? common::Uuid::random(random).text() : wish.cluster_id,
      .node = wish.node,
      .directory_id = common::Uuid::random(random),
      .shards = wish.shards == 0 ? cores : wish.shards};
  const nlohmann::json json{{"format_version", kFormatVersion},
                            {"cluster_id", directory.cluster_id},
                            {"node_id", directory.node.value()},
                            {"directory_id", directory.directory_id.text()},
                            {"shards", directory.shards}};
  TRY(env::replace_file(disk, kFile, common::as_bytes(json.dump(2) + "\n")));
  return directory;
}

}  // namespace

Result<Directory> open_or_format(env::Disk& disk, const std::string& path,
                                 const DirectoryWish& wish, std::uint32_t cores,
                                 common::Random& random) {
  auto content = env::read_file(disk, kFile);
  if (!content.ok()) {
    if (content.error().code != ErrorCode::kNotFound) return std::move(content).error();
    return format(disk, path, wish, cores, random);
  }
  TRY_ASSIGN(const Directory directory, parse(*content, path));
  TRY(check_wish(directory, path, wish));
  return directory;
}

}  // namespace millrace::server
