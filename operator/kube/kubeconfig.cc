#include <fmt/format.h>
#include <openssl/evp.h>
#include <yaml-cpp/yaml.h>

#include <charconv>
#include <filesystem>
#include <utility>

#include "operator/kube/config.h"
#include "operator/kube/file.h"

namespace millrace::kube {
namespace {

/// Reads one kubeconfig; errors name the file.
class Reader {
 public:
  Reader(std::string path, YAML::Node root) : path_(std::move(path)), root_(std::move(root)) {}

  ApiResult<Config> read(std::string context_name) {
    if (!root_.IsMap()) return wrong("it is no mapping");
    if (context_name.empty()) context_name = text(root_, "current-context");
    if (context_name.empty()) return wrong("it has no current-context, and none was named");
    TRY_ASSIGN(const YAML::Node context, entry("contexts", "context", context_name));
    TRY_ASSIGN(const YAML::Node cluster, entry("clusters", "cluster", text(context, "cluster")));
    Config config;
    config.space = text(context, "namespace");
    TRY(read_cluster(cluster, config));
    const std::string user = text(context, "user");
    if (user.empty()) return config;
    TRY_ASSIGN(const YAML::Node credentials, entry("users", "user", user));
    TRY(read_user(credentials, config));
    return config;
  }

 private:
  ApiError wrong(const std::string& what) const {
    return {.cause = Cause::kInvalid, .detail = fmt::format("kubeconfig {}: {}", path_, what)};
  }

  static std::string text(const YAML::Node& node, const char* name) {
    if (!node.IsMap()) return {};
    const YAML::Node value = node[name];
    return value && value.IsScalar() ? value.Scalar() : std::string();
  }

  /// The `inner` mapping of the item of that name in the list `outer`.
  ApiResult<YAML::Node> entry(const char* outer, const char* inner, const std::string& name) const {
    const YAML::Node list = root_[outer];
    if (list && list.IsSequence()) {
      for (const YAML::Node& item : list) {
        if (text(item, "name") == name && item[inner] && item[inner].IsMap()) {
          return YAML::Node(item[inner]);
        }
      }
    }
    return wrong(fmt::format("it has no {} \"{}\"", inner, name));
  }

  std::string file(const YAML::Node& node, const char* name) const {
    const std::filesystem::path named = text(node, name);
    if (named.empty() || named.is_absolute()) return named.string();
    return (std::filesystem::path(path_).parent_path() / named).string();
  }

  ApiResult<std::string> decoded(const YAML::Node& node, const char* name) const {
    std::string encoded = text(node, name);
    std::erase_if(encoded, [](char c) { return c == '\n' || c == '\r' || c == ' '; });
    if (encoded.empty()) return std::string();
    std::string bytes(encoded.size() / 4 * 3 + 3, '\0');
    const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                     reinterpret_cast<const unsigned char*>(encoded.data()),
                                     static_cast<int>(encoded.size()));
    if (size < 0) return wrong(fmt::format("{} is no base64", name));
    bytes.resize(static_cast<std::size_t>(size));
    // The function counts the padding as bytes.
    for (auto at = encoded.rbegin(); at != encoded.rend() && *at == '=' && !bytes.empty(); ++at) {
      bytes.pop_back();
    }
    return bytes;
  }

  ApiResult<void> read_cluster(const YAML::Node& cluster, Config& config) const {
    std::string server = text(cluster, "server");
    const bool tls = server.starts_with("https://");
    if (!tls && !server.starts_with("http://")) {
      return wrong(fmt::format("server \"{}\" begins with neither https:// nor http://", server));
    }
    server.erase(0, tls ? 8 : 7);
    while (server.ends_with('/')) server.pop_back();
    if (server.find('/') != std::string::npos) {
      return wrong(fmt::format("server {}: a path behind the address is not supported", server));
    }
    config.tls = tls;
    config.port = tls ? 443 : 80;
    const auto colon = server.rfind(':');
    const bool has_port =
        colon != std::string::npos && server.find(']', colon) == std::string::npos;
    if (has_port) {
      const char* end = server.data() + server.size();
      const auto parsed = std::from_chars(server.data() + colon + 1, end, config.port);
      if (parsed.ec != std::errc() || parsed.ptr != end || config.port < 1 || config.port > 65535) {
        return wrong(fmt::format("server {} has no port that we understand", server));
      }
      server.resize(colon);
    }
    if (server.starts_with('[') && server.ends_with(']'))
      server = server.substr(1, server.size() - 2);
    if (server.empty()) return wrong("server has no host");
    config.host = server;
    if (!text(cluster, "proxy-url").empty()) return wrong("proxy-url is not supported");
    config.verify = text(cluster, "insecure-skip-tls-verify") != "true";
    config.server_name = text(cluster, "tls-server-name");
    config.ca_file = file(cluster, "certificate-authority");
    TRY_ASSIGN(config.ca_pem, decoded(cluster, "certificate-authority-data"));
    // Inline data wins, as with kubectl.
    if (!config.ca_pem.empty()) config.ca_file.clear();
    return {};
  }

  ApiResult<void> read_user(const YAML::Node& user, Config& config) const {
    for (const char* program : {"exec", "auth-provider"}) {
      if (user[program]) {
        return wrong(
            fmt::format("credentials by {} are not supported: use a token or a client "
                        "certificate",
                        program));
      }
    }
    config.cert_file = file(user, "client-certificate");
    config.key_file = file(user, "client-key");
    TRY_ASSIGN(config.cert_pem, decoded(user, "client-certificate-data"));
    TRY_ASSIGN(config.key_pem, decoded(user, "client-key-data"));
    if (!config.cert_pem.empty()) config.cert_file.clear();
    if (!config.key_pem.empty()) config.key_file.clear();
    const bool has_cert = !config.cert_pem.empty() || !config.cert_file.empty();
    const bool has_key = !config.key_pem.empty() || !config.key_file.empty();
    if (has_cert != has_key)
      return wrong("a client certificate needs its key, and a key its certificate");
    config.token = text(user, "token");
    config.token_file = file(user, "tokenFile");
    config.user = text(user, "username");
    config.password = text(user, "password");
    return {};
  }

  const std::string path_;
  const YAML::Node root_;
};

}  // namespace

ApiResult<Config> kubeconfig(const std::string& path, const std::string& context) {
  const auto text = read_file(path);
  if (!text) {
    return ApiError{.cause = Cause::kNotFound,
                    .detail = fmt::format("kubeconfig {}: cannot be read", path)};
  }
  try {
    return Reader(path, YAML::Load(*text)).read(context);
  } catch (const YAML::Exception& error) {
    return ApiError{.cause = Cause::kInvalid,
                    .detail = fmt::format("kubeconfig {}: {}", path, error.what())};
  }
}

}  // namespace millrace::kube
