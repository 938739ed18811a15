#include "worker/etcd/certificates.hpp"

#include "common/base/timestamp.hpp"
#include "worker/base/format.hpp"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cerrno>
#include <ctime>
#include <memory>
#include <string_view>

namespace rollout::etcd {

namespace {

constexpr std::int64_t second_us = 1000000;

template <auto release>
struct released_by {
    template <typename T>
    void operator()(T *of) const
    {
        release(of);
    }
};

using bio_ptr = std::unique_ptr<BIO, released_by<BIO_free_all>>;
using certificate_ptr = std::unique_ptr<X509, released_by<X509_free>>;
using key_ptr = std::unique_ptr<EVP_PKEY, released_by<EVP_PKEY_free>>;


std::string named(std::string_view member, const std::string &path)
{
    return std::string(member) + ": " + shown(path);
}


bio_ptr opened(const std::string &path, std::string_view member, std::string &fault)
{
    errno = 0;
    bio_ptr file(BIO_new_file(path.c_str(), "re"));
    if (!file) {
        fault = named(member, path) + " cannot be read (" + format_errno(errno) + ')';
    }
    return file;
}


/// A key with a pass phrase is none that rolloutd can use.
int no_pass_phrase(char *, int, int, void *)
{
    return 0;
}


std::int64_t us_of(const ASN1_TIME *time)
{
    std::tm fields{};
    return ASN1_TIME_to_tm(time, &fields) == 1 ? static_cast<std::int64_t>(timegm(&fields)) * second_us : 0;
}


certificate_ptr read_certificate(const std::string &path, std::string_view member, std::string &fault)
{
    const auto file = opened(path, member, fault);
    certificate_ptr read(file ? PEM_read_bio_X509(file.get(), nullptr, no_pass_phrase, nullptr) : nullptr);
    if (file && !read) {
        fault = named(member, path) + " holds no certificate in PEM form";
    }
    return read;
}


std::string fault_of_time(const X509 &certificate, const std::string &path, std::int64_t wall_us)
{
    const auto begins = us_of(X509_get0_notBefore(&certificate));
    const auto ends = us_of(X509_get0_notAfter(&certificate));
    if (ends < wall_us) {
        return named("cert_file", path) + " has expired, on " + timestamp(ends);
    }
    if (begins > wall_us) {
        return named("cert_file", path) + " is not valid before " + timestamp(begins) +
               ", by this machine's clock, which says " + timestamp(wall_us);
    }
    return {};
}


std::string fault_of_key(X509 &certificate, const std::string &path)
{
    std::string fault;
    const auto file = opened(path, "key_file", fault);
    if (!file) {
        return fault;
    }
    const key_ptr key(PEM_read_bio_PrivateKey(file.get(), nullptr, no_pass_phrase, nullptr));
    if (!key) {
        return named("key_file", path) + " holds no private key in PEM form without a pass phrase";
    }
    return X509_check_private_key(&certificate, key.get()) == 1
               ? std::string()
               : named("key_file", path) + " is not the key of the certificate in \"cert_file\"";
}


std::string first_fault(const certificate_files &files, std::int64_t wall_us)
{
    std::string fault;
    if (!files.ca_file.empty() && !read_certificate(files.ca_file, "ca_file", fault)) {
        return fault;
    }
    if (files.cert_file.empty()) {
        return {};
    }
    const auto own = read_certificate(files.cert_file, "cert_file", fault);
    if (!own) {
        return fault;
    }
    fault = fault_of_time(*own, files.cert_file, wall_us);
    return fault.empty() ? fault_of_key(*own, files.key_file) : fault;
}

} // namespace


std::string fault_of(const certificate_files &files, std::int64_t wall_us)
{
    auto fault = first_fault(files, wall_us);
    ERR_clear_error(); // what OpenSSL has noted is of this thread, and would be taken for a fault of a later call
    return fault;
}

} // namespace rollout::etcd
