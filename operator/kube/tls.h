// TLS towards the API server, set up by hand: cpp-httplib would trust the system's authorities
// besides the cluster's own.
#pragma once

#include <openssl/ssl.h>

#include <string>

#include "operator/kube/config.h"

namespace millrace::kube {

/// Makes `context` trust the config's authorities alone, demand a certificate for the right name,
/// and show the client's own. kInvalid: files or PEM that cannot be used, and why.
ApiResult<void> set_up_tls(SSL_CTX* context, const Config& config);

/// Why the last handshake on this thread refused the server's certificate; empty if it did not.
/// Clears it.
std::string take_certificate_trouble();

}  // namespace millrace::kube
