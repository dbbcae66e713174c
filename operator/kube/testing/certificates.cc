#include "operator/kube/testing/certificates.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "common/check.h"

namespace millrace::kube::testing {
namespace {

constexpr long kDaySeconds = 86'400;

EVP_PKEY* make_key() {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  CHECK(key != nullptr, "no key");
  return key;
}

std::string text_of(BIO* bio) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio, &bytes);
  std::string text(bytes, static_cast<std::size_t>(size));
  BIO_free(bio);
  return text;
}

std::string pem(X509* certificate) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, certificate);
  return text_of(bio);
}

std::string pem(EVP_PKEY* key) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  return text_of(bio);
}

void add_extension(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str());
  CHECK(extension != nullptr, "{}", value);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

X509* make_certificate(const std::string& name, EVP_PKEY* key) {
  static long serial = 0;
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -kDaySeconds);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 10 * kDaySeconds);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_pubkey(certificate, key);
  return certificate;
}

}  // namespace

struct Authority::Keys {
  EVP_PKEY* key = nullptr;
  X509* certificate = nullptr;
  ~Keys() {
    EVP_PKEY_free(key);
    X509_free(certificate);
  }
};

Authority::Authority(const std::string& name) : keys_(std::make_unique<Keys>()) {
  keys_->key = make_key();
  keys_->certificate = make_certificate(name, keys_->key);
  X509_set_issuer_name(keys_->certificate, X509_get_subject_name(keys_->certificate));
  add_extension(keys_->certificate, keys_->certificate, NID_basic_constraints, "critical,CA:TRUE");
  add_extension(keys_->certificate, keys_->certificate, NID_key_usage, "critical,keyCertSign");
  CHECK(X509_sign(keys_->certificate, keys_->key, EVP_sha256()) != 0);
  own_ = {pem(keys_->certificate), pem(keys_->key)};
}

Authority::~Authority() = default;

Certificate Authority::issue(const std::string& common_name, const std::string& names) const {
  EVP_PKEY* key = make_key();
  X509* certificate = make_certificate(common_name, key);
  X509_set_issuer_name(certificate, X509_get_subject_name(keys_->certificate));
  if (!names.empty()) {
    add_extension(certificate, keys_->certificate, NID_subject_alt_name, names);
  }
  CHECK(X509_sign(certificate, keys_->key, EVP_sha256()) != 0);
  const Certificate issued{pem(certificate), pem(key)};
  X509_free(certificate);
  EVP_PKEY_free(key);
  return issued;
}

}  // namespace millrace::kube::testing
