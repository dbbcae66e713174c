#include "operator/kube/tls.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <memory>
#include <utility>

#include "operator/kube/file.h"

namespace millrace::kube {
namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(X509_STORE* store) const { X509_STORE_free(store); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

thread_local std::string certificate_trouble;

ApiError wrong(std::string what) {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  if (code != 0) {
    const char* reason = ERR_reason_error_string(code);
    what += fmt::format(": {}", reason != nullptr ? reason : "unknown error");
  }
  return {.cause = Cause::kInvalid, .detail = std::move(what)};
}

/// PEM from a file or as it is; empty if neither is given.
ApiResult<std::string> pem_of(const std::string& file, const std::string& pem) {
  if (file.empty()) return pem;
  auto text = read_file(file);
  if (!text) return wrong(fmt::format("cannot read {}", file));
  return std::move(*text);
}

Owned<BIO> reader(const std::string& pem) {
  return Owned<BIO>(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

ApiResult<void> trust(SSL_CTX* context, const Config& config) {
  TRY_ASSIGN(const std::string pem, pem_of(config.ca_file, config.ca_pem));
  if (pem.empty()) {
    if (SSL_CTX_set_default_verify_paths(context) != 1) return wrong("no system authorities");
    return {};
  }
  const Owned<X509_STORE> store(X509_STORE_new());
  const Owned<BIO> bio = reader(pem);
  int count = 0;
  while (true) {
    const Owned<X509> certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (!certificate) break;
    if (X509_STORE_add_cert(store.get(), certificate.get()) != 1) {
      return wrong("an authority's certificate cannot be used");
    }
    ++count;
  }
  if (count == 0) return wrong("the certificate authority is no PEM certificate");
  ERR_clear_error();  // the end of the text is an error to the reader
  SSL_CTX_set1_verify_cert_store(context, store.get());
  return {};
}

ApiResult<void> show_certificate(SSL_CTX* context, const Config& config) {
  TRY_ASSIGN(const std::string cert, pem_of(config.cert_file, config.cert_pem));
  TRY_ASSIGN(const std::string key, pem_of(config.key_file, config.key_pem));
  if (cert.empty()) return {};
  const Owned<BIO> cert_bio = reader(cert);
  const Owned<X509> own(PEM_read_bio_X509(cert_bio.get(), nullptr, nullptr, nullptr));
  if (!own || SSL_CTX_use_certificate(context, own.get()) != 1) {
    return wrong("the client certificate cannot be used");
  }
  while (true) {
    const Owned<X509> link(PEM_read_bio_X509(cert_bio.get(), nullptr, nullptr, nullptr));
    if (!link) break;
    SSL_CTX_add1_chain_cert(context, link.get());
  }
  ERR_clear_error();
  const Owned<BIO> key_bio = reader(key);
  const Owned<EVP_PKEY> private_key(
      PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr));
  if (!private_key || SSL_CTX_use_PrivateKey(context, private_key.get()) != 1 ||
      SSL_CTX_check_private_key(context) != 1) {
    return wrong("the client key cannot be used");
  }
  return {};
}

/// Called for each certificate of the chain; keeps the sentence, as OpenSSL only keeps a number.
int note_trouble(int fine, X509_STORE_CTX* store) {
  if (fine != 1) {
    certificate_trouble = X509_verify_cert_error_string(X509_STORE_CTX_get_error(store));
  }
  return fine;
}

}  // namespace

ApiResult<void> set_up_tls(SSL_CTX* context, const Config& config) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  TRY(show_certificate(context, config));
  if (!config.verify) {
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
    return {};
  }
  TRY(trust(context, config));
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, note_trouble);
  const std::string& name = config.server_name.empty() ? config.host : config.server_name;
  X509_VERIFY_PARAM* wanted = SSL_CTX_get0_param(context);
  // An address must stand in the certificate as an address.
  const bool set = X509_VERIFY_PARAM_set1_ip_asc(wanted, name.c_str()) == 1 ||
                   X509_VERIFY_PARAM_set1_host(wanted, name.data(), name.size()) == 1;
  ERR_clear_error();
  if (!set) return wrong(fmt::format("{} is no name to check a certificate for", name));
  return {};
}

std::string take_certificate_trouble() {
  return std::exchange(certificate_trouble, {});
}

}  // namespace millrace::kube
