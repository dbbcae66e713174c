// Certificates for tests, made in memory.
#pragma once

#include <memory>
#include <string>

namespace millrace::kube::testing {

struct Certificate {
  std::string cert_pem;
  std::string key_pem;
};

/// A certificate authority of its own.
class Authority {
 public:
  explicit Authority(const std::string& name);
  ~Authority();

  const std::string& cert_pem() const { return own_.cert_pem; }
  /// `names` as in an X.509 extension: "DNS:localhost,IP:127.0.0.1".
  Certificate issue(const std::string& common_name, const std::string& names) const;

 private:
  struct Keys;
  std::unique_ptr<Keys> keys_;
  Certificate own_;
};

}  // namespace millrace::kube::testing
